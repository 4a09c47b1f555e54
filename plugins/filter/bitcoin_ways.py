# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""By which way those who use a node of the site reach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _bitcoin_ways

DOCUMENTATION = r"""
name: bitcoin_ways
short_description: By which way those who use a Bitcoin node reach it
version_added: 0.1.0
description:
  - Who is on the host of a node uses it there. Who is on another one gets there by mutual TLS alone, by the role tls_way, with a
    certificate of its own.
  - A consumer whose tier has the node itself uses that of its own host, any other one the first. More hosts of either move nobody to another node.
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
    description: Variables of all hosts, of which C(bcm_addresses.cluster) is read.
    type: dict
    required: true
  domain:
    description: Domain of the site.
    type: str
    required: true
  pools:
    description: Networks of the containers of a host.
    type: list
    elements: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Say where lnd finds its node
  ansible.builtin.debug:
    msg: "{{ (bcm_stacks.bitcoin.nodes | bcm.datacenter.bitcoin_ways(groups, hostvars, bcm_domain, ['172.30.0.0/16'])).backends['lightning-1'] }}"
"""

RETURN = r"""
_value:
  description:
    - C(hosts), by name, what the role tls_way has there (C(exits), C(entries)), the names of ports that a node publishes on its host (C(publish), by
      instance) and for whom (C(published), as the role docker_engine has it).
    - C(identities), the certificates that are needed, as the role site_ca has them.
    - C(backends), by host, then by C(CONSUMER_CHAIN), where the node is found - C(address), C(ports) (by name), C(node), C(node_host) and C(direct), whether it
      is on this very host.
  type: dict
"""


def bitcoin_ways(
    nodes: Sequence[Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    domain: str,
    pools: Sequence[str],
) -> dict[str, Any]:
    """Return the ways to NODES."""
    wanted = {node["tier"] for node in nodes} | {one["tier"] for node in nodes for one in node["consumers"]}
    tiers = {tier: groups.get(f"tier_{tier}", []) for tier in sorted(wanted)}
    addresses = {}
    for host in [host for hosts in tiers.values() for host in hosts]:
        address = (hostvars[host].get("bcm_addresses") or {}).get("cluster")
        if address:
            addresses[host] = address
    return _bitcoin_ways.ways(nodes, tiers, addresses, domain, pools)


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"bitcoin_ways": bitcoin_ways}
