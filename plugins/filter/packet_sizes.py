# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Network cards of instances that run with another size of packets than their network has now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: packet_sizes
short_description: Network cards of running instances whose packets have another size than the network's
version_added: 0.1.0
description:
  - LXD gives a network card the size of its network when the instance starts. Where that of the network changes while instances run, these
    go on with the old one, and what is too large for the way between two servers does not arrive.
  - Names the cards that are to be changed while they run. One that grows has to do so on the machine first, at the other end of its pair.
options:
  _input:
    description: Instances, as M(bcm.datacenter.lxd_instance_info) gives them.
    type: list
    elements: dict
    required: true
  networks:
    description: Networks, each with C(name), which is that of the card too, and C(mtu). One without a size of its own is left out.
    type: list
    elements: dict
    required: true
  hosts:
    description: The instances that it is about.
    type: list
    elements: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show whose packets have another size
  ansible.builtin.debug:
    msg: "{{ found.instances | bcm.datacenter.packet_sizes(bcm_networks, groups['instances']) }}"
"""

RETURN = r"""
_value:
  description:
    - One entry for each card, with C(instance), C(card), C(from), C(to), C(grows), C(host_name) (its other end on the machine) and C(location) (the
      member of a cluster that this is).
  type: list
  elements: dict
  sample: [{instance: manager-1, card: cluster, from: 1450, to: 1390, grows: false, host_name: veth1a2b3c4d, location: rack-1}]
"""


def packet_sizes(
    instances: list[Mapping[str, Any]], networks: list[Mapping[str, Any]], hosts: list[str]
) -> list[dict[str, Any]]:
    """Return the cards of INSTANCES that differ from NETWORKS."""
    wanted = {network["name"]: int(network["mtu"]) for network in networks if network.get("mtu")}
    found = []
    for instance in instances:
        if instance["name"] not in hosts:
            continue
        cards = (instance.get("state") or {}).get("network") or {}
        for name, card in sorted(cards.items()):
            size = card.get("mtu")
            if name in wanted and size and int(size) != wanted[name]:
                found.append(
                    {
                        "instance": instance["name"],
                        "card": name,
                        "from": int(size),
                        "to": wanted[name],
                        "grows": int(size) < wanted[name],
                        "host_name": card.get("host_name") or "",
                        "location": instance.get("location") or "",
                    }
                )
    return found


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"packet_sizes": packet_sizes}
