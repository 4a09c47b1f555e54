#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_network_forward
short_description: Look after a forward of an LXD network
version_added: 0.1.0
description:
  - Makes, changes and removes a forward of a network, which leads what arrives at an address, or at some of its ports, to
    addresses of instances.
  - LXD writes the rules of the firewall, but does not give the machine the listen address. It has to be one that the machine
    has, or that is routed to it.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.lxd.project
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.actiongroup_lxd
attributes:
  check_mode:
    support: full
    details:
      - That the network does not exist is no error in check mode; an earlier task would have made it.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  network:
    description: The network, a bridge or one of OVN.
    type: str
    required: true
  listen_address:
    description: The address at which is listened. It is the forward's name, and compared as an address.
    type: str
    required: true
  state:
    description: Whether it should be there.
    type: str
    choices: [present, absent]
    default: present
  description:
    description: A description.
    type: str
  config:
    description: Its configuration, in LXD's own keys.
    type: dict
  target_address:
    description:
      - Where everything leads that is not said in O(ports), within the network's subnet. An empty text removes it.
    type: str
  ports:
    description:
      - Which ports lead where. This is the whole list, others are removed; without it the list is left alone.
      - The order does not count, and neither do the words in which the same is said, such as V(80-82) and V(80,81,82).
    type: list
    elements: dict
    suboptions:
      protocol:
        description: The protocol.
        type: str
        choices: [tcp, udp]
        default: tcp
      listen_port:
        description: Ports, such as V(80), or V(80,443,8000-8010).
        type: str
        required: true
      target_address:
        description: The address that they lead to, within the network's subnet.
        type: str
        required: true
      target_port:
        description: As many ports as O(ports[].listen_port) has, or one for all. The same ones by default.
        type: str
      description:
        description: A description.
        type: str
  target:
    description:
      - The member of a cluster that it is on. In a cluster each member has forwards of its own on a bridge; without this
        it is those of the member that the module speaks to.
    type: str
notes:
  - LXD needs nftables, or xtables with its C(iptables) and C(ip6tables), on its machine at the time at which it starts.
    Forwarding has to be on, which LXD sees to on a bridge that has an address.
seealso:
  - module: bcm.datacenter.lxd_network_forward_info
  - module: bcm.datacenter.lxd_network
"""

EXAMPLES = r"""
- name: Make a node reachable at an address of the machine
  bcm.datacenter.lxd_network_forward:
    network: bcm1a2b-outside
    listen_address: 192.0.2.10
    ports:
      - listen_port: 8333
        target_address: 10.80.0.21
      - listen_port: 80,443
        target_port: 8080,8443
        target_address: 10.80.0.22

- name: Lead all of an address to one instance
  bcm.datacenter.lxd_network_forward:
    network: bcm1a2b-outside
    listen_address: 192.0.2.11
    target_address: 10.80.0.23
"""

RETURN = r"""
action:
  description: What was done, or would be in check mode. One of V(none), V(create), V(update), V(delete).
  returned: success
  type: str
  sample: create
lxd_network_forward:
  description: What there is now, or would be, as LXD describes it. V(null) if it is absent.
  returned: success
  type: dict
  sample:
    listen_address: 192.0.2.10
    description: ''
    config: {}
    ports: [{protocol: tcp, listen_port: '8333', target_address: 10.80.0.21, target_port: '', description: ''}]
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_forward as forwards
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_members as parts
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule

SPEC: dict[str, t.Any] = {
    "network": {"type": "str", "required": True},
    "listen_address": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "description": {"type": "str"},
    "config": {"type": "dict"},
    "target_address": {"type": "str"},
    "ports": {
        "type": "list",
        "elements": "dict",
        "options": {
            "protocol": {"type": "str", "choices": ["tcp", "udp"], "default": "tcp"},
            "listen_port": {"type": "str", "required": True},
            "target_address": {"type": "str", "required": True},
            "target_port": {"type": "str"},
            "description": {"type": "str"},
        },
    },
    "target": {"type": "str"},
}


def run(lxd: LXDModule) -> dict[str, t.Any]:
    target = parts.settled_target(lxd.client, lxd.params["target"], forwards.label(lxd.params))
    change = forwards.plan_forward(lxd.client, lxd.params, target, lxd.check_mode)
    after = change.after
    if change.action != "none" and not lxd.check_mode:
        forwards.apply_forward(lxd.client, change)
        if after is not None:
            after = lxd.client.get(change.path, **change.query)
    return {
        "changed": change.action != "none",
        "action": change.action,
        "diff": resource.diff(change.before, change.after, forwards.label(change.desired)),
        "lxd_network_forward": resource.visible(after) if after is not None else None,
    }


def main() -> None:
    LXDModule(SPEC, project=True).run(run)


if __name__ == "__main__":
    main()
