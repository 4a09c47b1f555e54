#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_project_info
short_description: Read LXD projects
version_added: 0.1.0
description:
  - Gives projects as LXD describes them.
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
  - module: bcm.datacenter.lxd_project
"""

EXAMPLES = r"""
- name: Read all projects
  bcm.datacenter.lxd_project_info:
  register: result

- name: Show those that belong to a site
  ansible.builtin.debug:
    msg: "{{ result.projects | selectattr('config', 'contains', 'user.bcm.site') | map(attribute='name') }}"
"""

RETURN = r"""
projects:
  description: What there is, one item each, sorted by name.
  returned: success
  type: list
  elements: dict
  sample: [{name: default, description: '', config: {}, used_by: []}]
"""

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_info import info_of_kind
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import PROJECT


def main() -> None:
    info_of_kind(PROJECT, "projects")


if __name__ == "__main__":
    main()
