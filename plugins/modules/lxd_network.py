#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_network
short_description: Look after an LXD network
version_added: 0.1.0
description:
  - Makes, changes and removes a network. Bridges do not belong to a project.
  - In a cluster it is made on all members, with what is each member's own.
  - A network whose subnet overlaps with that of another one, or with an address of another interface of the machine, is
    refused.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.actiongroup_lxd
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Its name.
    type: str
    required: true
  state:
    description: V(absent) is refused as long as anything uses the network.
    type: str
    choices: [present, absent]
    default: present
  description:
    description: A description.
    type: str
  config:
    description:
      - Its configuration, in LXD's own keys.
      - V(auto) for an address is met by any address that LXD chose.
    type: dict
  type:
    description: The kind of network. Used when the network is made (V(bridge) by default), and checked afterwards.
    type: str
  subnet:
    description:
      - The subnet that is used on the network, where LXD does not know it because the network has no address of its own.
        It is kept as C(user.bcm.subnet), and counts in the search for overlaps.
    type: str
  members:
    description:
      - In a cluster, what is a member's own, by the names of members; each as a dictionary in LXD's own keys. These are
        C(bridge.external_interfaces), C(parent), C(bgp.ipv4.nexthop), C(bgp.ipv6.nexthop) and C(acceleration.parent)
        (LXD's C(lxd/db/networks.go), C(NodeSpecificNetworkConfig)), as far as the version of the server knows them. Every
        other key belongs into O(config).
      - One of these keys in O(config) holds for every member that does not say otherwise here.
      - The network is made on all members. One that an interrupted run left pending, or that could not be made on a member,
        is finished, and may be given other keys. What it was, is in the diff as C(status).
      - On a server that is in no cluster there may be one entry, which has to have the server's own name.
    type: dict
seealso:
  - module: bcm.datacenter.lxd_network_info
  - module: bcm.datacenter.lxd_network_forward
  - module: bcm.datacenter.lxd_fabric
"""

EXAMPLES = r"""
- name: A network with a way out
  bcm.datacenter.lxd_network:
    name: bcm1a2b-outside
    config:
      ipv4.address: 10.80.0.1/24
      ipv4.nat: true
      ipv6.address: none

- name: A network without any leg on the machine
  bcm.datacenter.lxd_network:
    name: bcm1a2b-cluster
    subnet: 10.80.32.0/20
    config:
      ipv4.address: none
      ipv6.address: none

- name: A network of a cluster, joined to an interface of each member
  bcm.datacenter.lxd_network:
    name: rack0
    config:
      ipv4.address: none
      ipv6.address: none
    members:
      rack-1:
        bridge.external_interfaces: enp3s0
      rack-2:
        bridge.external_interfaces: eno1
"""

RETURN = r"""
action:
  description: What was done, or would be in check mode. One of V(none), V(create), V(update), V(delete).
  returned: always
  type: str
  sample: create
lxd_network:
  description:
    - What there is now, or would be, as LXD describes it. V(null) if it is absent.
    - In a cluster with C(members), what is each member's own.
  returned: success
  type: dict
  sample: {name: bcm1a2b-outside, type: bridge, config: {ipv4.nat: 'true'}}
"""

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule, object_spec, run_object
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import NETWORK


def main() -> None:
    LXDModule(object_spec(NETWORK)).run(lambda lxd: run_object(lxd, NETWORK, "lxd_network"))


if __name__ == "__main__":
    main()
