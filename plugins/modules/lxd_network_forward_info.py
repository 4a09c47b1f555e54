#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_network_forward_info
short_description: Read the forwards of an LXD network
version_added: 0.1.0
description:
  - Gives the forwards of a network as LXD describes them.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.lxd.project
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
  - bcm.datacenter.attributes.actiongroup_lxd
options:
  network:
    description: The network. That it does not exist is an error.
    type: str
    required: true
  listen_address:
    description: Only the one that listens at this address. That it does not exist is no error.
    type: str
  target:
    description: The member of a cluster whose forwards are meant. In a cluster those of all members by default.
    type: str
seealso:
  - module: bcm.datacenter.lxd_network_forward
"""

EXAMPLES = r"""
- name: Read the forwards of a network
  bcm.datacenter.lxd_network_forward_info:
    network: bcm1a2b-outside
"""

RETURN = r"""
forwards:
  description: What there is, one item each, sorted by listen address and by member of the cluster.
  returned: success
  type: list
  elements: dict
  sample:
    - listen_address: 192.0.2.10
      description: ''
      config: {}
      ports: [{protocol: tcp, listen_port: '8333', target_address: 10.80.0.21, target_port: '', description: ''}]
      location: none
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_forward as forwards
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_members as parts
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import api_path
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import PlanError

SPEC: dict[str, t.Any] = {
    "network": {"type": "str", "required": True},
    "listen_address": {"type": "str"},
    "target": {"type": "str"},
}


def run(lxd: LXDModule) -> dict[str, t.Any]:
    name = lxd.params["network"]
    path = api_path("networks", name)
    target = parts.settled_target(lxd.client, lxd.params["target"], f"network {name}")
    if lxd.client.find(path) is None:
        raise PlanError([f"network {name} does not exist"])
    found = lxd.client.get(path + "/forwards", recursion=1) or []
    wanted = lxd.params["listen_address"] and forwards.address(lxd.params["listen_address"])
    chosen = [
        item for item in found if wanted in (None, item["listen_address"]) and target in (None, item.get("location"))
    ]
    return {
        "changed": False,
        "forwards": sorted(chosen, key=lambda item: (item["listen_address"], item.get("location") or "")),
    }


def main() -> None:
    LXDModule(SPEC, project=True).run(run)


if __name__ == "__main__":
    main()
