#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_storage_volume_info
short_description: Read LXD custom storage volumes
version_added: 0.1.0
description:
  - Gives the custom volumes of a project as LXD describes them, with what they use where LXD knows it.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.lxd.project
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
  - bcm.datacenter.attributes.actiongroup_lxd
options:
  name:
    description: Only the one of this name. That it does not exist is no error.
    type: str
  pool:
    description: Only those in this pool.
    type: str
seealso:
  - module: bcm.datacenter.lxd_storage_volume
"""

EXAMPLES = r"""
- name: Read all volumes of a site
  bcm.datacenter.lxd_storage_volume_info:
    project: bcm-home
    pool: bcm-home
"""

RETURN = r"""
volumes:
  description: What there is, one item each, sorted by name.
  returned: success
  type: list
  elements: dict
  sample: [{name: bitcoin-1-chain, pool: bcm-home, config: {size: 800GiB}, used_by: [], used: 1048576}]
"""

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_info import info_of_kind
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import VOLUME


def main() -> None:
    info_of_kind(VOLUME, "volumes")


if __name__ == "__main__":
    main()
