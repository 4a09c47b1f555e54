# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The onions by which peers come to the nodes of a site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _bitcoin_ways

DOCUMENTATION = r"""
name: bitcoin_onions
short_description: The onions by which peers come to Bitcoin nodes
version_added: 0.1.0
description:
  - Each node that peers may come to by Tor has an onion of its own. It leads to a port of the node at which nothing but onions is expected, in the network that
    its host has in common with the proxyhosts.
options:
  _input:
    description: The nodes of the site, C(bcm_stacks.bitcoin.nodes).
    type: list
    elements: dict
    required: true
  groups:
    description: The groups of the inventory.
    type: dict
    required: true
  hostvars:
    description: Variables of all hosts, of which C(bcm_addresses) is read.
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Say which onions there are
  ansible.builtin.debug:
    msg: "{{ (bcm_stacks.bitcoin.nodes | bcm.datacenter.bitcoin_onions(groups, hostvars)).services | map(attribute='name') }}"
"""

RETURN = r"""
_value:
  description:
    - C(services), as the role onion_service has them, each called C(bitcoin-NODE).
    - C(published), by host, whom the ports are for to which they lead, as the role docker_engine has it - the proxyhosts, and nobody else.
  type: dict
"""


def bitcoin_onions(
    nodes: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the onions of NODES."""
    tiers = {node["tier"]: list(groups.get(f"tier_{node['tier']}", [])) for node in nodes}
    proxyhosts = list(groups.get("tier_proxyhost", []))
    hosts = [*proxyhosts, *(host for tier in tiers.values() for host in tier)]
    addresses = {host: dict(hostvars[host].get("bcm_addresses") or {}) for host in hosts}
    return _bitcoin_ways.onions(nodes, tiers, addresses, proxyhosts)


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"bitcoin_onions": bitcoin_onions}
