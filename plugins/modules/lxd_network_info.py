#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_network_info
short_description: Read LXD networks
version_added: 0.1.0
description:
  - Gives networks as LXD describes them, among them the interfaces of the machine that LXD does not manage.
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
  - module: bcm.datacenter.lxd_network
"""

EXAMPLES = r"""
- name: Read the networks that LXD manages
  bcm.datacenter.lxd_network_info:
  register: result

- name: Show them
  ansible.builtin.debug:
    msg: "{{ result.networks | selectattr('managed') | map(attribute='name') }}"
"""

RETURN = r"""
networks:
  description:
    - What there is, one item each, sorted by name.
    - In a cluster with C(members), what is each member's own. Members that are offline are left out.
  returned: success
  type: list
  elements: dict
  sample: [{name: lxdbr0, type: bridge, managed: true, config: {}, used_by: []}]
"""

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_info import info_of_kind
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import NETWORK


def main() -> None:
    info_of_kind(NETWORK, "networks")


if __name__ == "__main__":
    main()
