#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_instance_info
short_description: Read LXD instances
version_added: 0.1.0
description:
  - Gives the instances of a project as LXD describes them, with their state, and with their addresses by interface.
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
  - module: bcm.datacenter.lxd_instance
"""

EXAMPLES = r"""
- name: Read all instances of a site
  bcm.datacenter.lxd_instance_info:
    project: bcm-home
  register: result

- name: Show where they are
  ansible.builtin.debug:
    msg: "{{ dict(result.instances | map(attribute='name') | zip(result.instances | map(attribute='addresses'))) }}"
"""

RETURN = r"""
instances:
  description: What there is, one item each, sorted by name.
  returned: success
  type: list
  elements: dict
  sample: [{name: manager-1, status: Running, config: {}, addresses: {cluster: [10.80.33.1]}}]
"""

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_info import info_module, read_instances


def main() -> None:
    info_module("instances", read_instances)


if __name__ == "__main__":
    main()
