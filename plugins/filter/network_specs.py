# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the networks of a declaration to LXD's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: network_specs
short_description: LXD networks for the networks of a site
version_added: 0.1.0
description:
  - Turns C(bcm_networks), as the P(bcm.datacenter.site#inventory) inventory gives them, into items of the
    O(bcm.datacenter.lxd_fabric#module:networks) option.
  - A network without NAT is a plain layer-2 bridge without address, DHCP, DNS or any other leg on the host. (A bridge
    that merely has no NAT is not isolated - the host routes between its bridges, and its dnsmasq answers for the whole
    internet.)
options:
  _input:
    description:
      - Networks, each with C(name), C(bridge), C(subnet), C(nat), C(host_address), C(mtu), C(interface). One with C(lan) is no bridge of its own,
        but O(lan).
    type: list
    elements: dict
    required: true
  site:
    description: Name of the site that they belong to.
    type: str
    required: true
  endpoints:
    description:
      - The machines that they are on. Several are a cluster, in which C(interface), an interface of each machine, joins the
        bridges of a network without NAT.
    type: list
    elements: str
    default: []
  lan:
    description: The network, C(network), by which instances have a leg where the machines themselves are, by MACVLAN. Left out, there is none.
    type: dict
  parents:
    description: The interface of each machine that is there.
    type: dict
    default: {}
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: The networks of the site
  bcm.datacenter.lxd_fabric:
    project:
      name: "{{ bcm_project }}"
    networks: "{{ bcm_networks | bcm.datacenter.network_specs(bcm_site, groups['endpoints']) }}"
"""

RETURN = r"""
_value:
  description:
    - Networks with C(name), C(type), C(config) and, where LXD does not know it, C(subnet). In a cluster also with C(members).
  type: list
  elements: dict
"""


def network_spec(network: Mapping[str, Any], site: str, endpoints: list[str]) -> dict[str, Any]:
    """Return LXD's form of one network."""
    config = {
        "ipv6.address": "none",
        "user.bcm.site": site,
        "user.bcm.network": network["name"],
    }
    if network.get("mtu"):
        config["bridge.mtu"] = str(network["mtu"])
    spec: dict[str, Any] = {
        "name": network["bridge"],
        "type": "bridge",
        "description": f"Network {network['name']} of site {site}",
        "config": config,
    }
    if network["nat"]:
        prefix = network["subnet"].rsplit("/", 1)[1]
        config["ipv4.address"] = f"{network['host_address']}/{prefix}"
        config["ipv4.nat"] = "true"
    else:
        config["ipv4.address"] = "none"
        spec["subnet"] = network["subnet"]
        if len(endpoints) > 1:
            spec["members"] = {name: {"bridge.external_interfaces": network["interface"]} for name in endpoints}
    return spec


def lan_spec(lan: Mapping[str, Any], site: str, endpoints: list[str], parents: Mapping[str, str]) -> dict[str, Any]:
    """Return LXD's form of the network that the endpoints themselves are in."""
    spec: dict[str, Any] = {
        "name": lan["network"],
        "type": "macvlan",
        "description": f"Network lan of site {site}",
        "config": {"user.bcm.site": site, "user.bcm.network": "lan"},
    }
    if len(endpoints) > 1:
        spec["members"] = {name: {"parent": parents[name]} for name in endpoints}
    else:
        spec["config"]["parent"] = parents[endpoints[0]]
    return spec


def network_specs(
    networks: list[Mapping[str, Any]],
    site: str,
    endpoints: list[str] | None = None,
    lan: Mapping[str, Any] | None = None,
    parents: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Return LXD's form of NETWORKS."""
    own = [network_spec(network, site, endpoints or []) for network in networks if not network.get("lan")]
    return [*own, lan_spec(lan, site, endpoints or [], parents or {})] if lan else own


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"network_specs": network_specs}
