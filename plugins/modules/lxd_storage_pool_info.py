#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_storage_pool_info
short_description: Read LXD storage pools
version_added: 0.1.0
description:
  - Gives storage pools as LXD describes them, with the space in them.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
  - bcm.datacenter.attributes.actiongroup_lxd
options:
  name:
    description: Only the one of this name. That it does not exist is no error.
    type: str
seealso:
  - module: bcm.datacenter.lxd_storage_pool
"""

EXAMPLES = r"""
- name: Read one pool
  bcm.datacenter.lxd_storage_pool_info:
    name: bcm-home
"""

RETURN = r"""
pools:
  description:
    - What there is, one item each, sorted by name.
    - In a cluster with C(members), what is each member's own. Members that are offline are left out.
  returned: success
  type: list
  elements: dict
  sample: [{name: default, driver: btrfs, config: {}, used_by: [], space: {used: 1048576, total: 1073741824}}]
"""

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_info import info_of_kind
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import POOL


def main() -> None:
    info_of_kind(POOL, "pools")


if __name__ == "__main__":
    main()
