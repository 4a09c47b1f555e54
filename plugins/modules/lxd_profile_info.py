#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_profile_info
short_description: Read LXD profiles
version_added: 0.1.0
description:
  - Gives profiles as LXD describes them.
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
seealso:
  - module: bcm.datacenter.lxd_profile
"""

EXAMPLES = r"""
- name: Read a profile
  bcm.datacenter.lxd_profile_info:
    name: default
    project: bcm-home
"""

RETURN = r"""
profiles:
  description: What there is, one item each, sorted by name.
  returned: success
  type: list
  elements: dict
  sample: [{name: default, config: {}, devices: {}, used_by: []}]
"""

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_info import info_of_kind
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import PROFILE


def main() -> None:
    info_of_kind(PROFILE, "profiles")


if __name__ == "__main__":
    main()
