# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""What follows from a declaration for Tor: whether there is one, who goes out by it, and what its proxyhosts let through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from . import _addresses, _bitcoin_network, _bitcoin_nodes
from ._declaration_kinds import Check, suggestion

Data = Mapping[str, Any]

PORT = 9050
# The network that tiers which go out by Tor have a leg on, and other apps have not.
LEG = "gateway"
_PORTS = {"http": 80, "https": 443}


def stacks_through_tor(data: Data) -> list[str]:
    """Return the tiers of stacks that go through Tor, each once: those of nodes that meet their peers by it, and that of lnd."""
    tiers = dict.fromkeys(
        node.tier for node in _bitcoin_nodes.nodes(data) if node.declared["network"] != _bitcoin_network.CLEAR
    )
    if data["stacks"]["lightning"]:
        tiers[str(data["stacks"]["lightning"]["tier"])] = None
    return list(tiers)


def tiers(data: Data) -> list[str]:
    """Return the tiers that may go out by Tor, in the order of their names."""
    wanted = {*stacks_through_tor(data), *data["tor"]["tiers"]}
    return sorted(tier for tier in wanted if tier in data["tiers"])


def is_there(data: Data) -> bool:
    """Return whether the proxyhosts run tor."""
    if data["tor"]["enabled"] is not None:
        return bool(data["tor"]["enabled"])
    return bool(tiers(data) or data["egress"]["through_tor"])


def networks_of(data: Data, tier: str, own: Sequence[str]) -> tuple[str, ...]:
    """Return the networks of TIER, which has OWN in any case."""
    if LEG in own or not is_there(data) or tier not in tiers(data):
        return tuple(own)
    return tuple(name for name in _addresses.NETWORKS if name in own or name == LEG)


def confined(data: Data, subnet: str) -> list[str]:
    """Return the addresses in SUBNET, that of the leg, whose hosts reach nothing but mirrors and Tor: whole blocks, so that a new host is no
    exception."""
    if not is_there(data):
        return []
    base = _addresses.network_of(subnet).network
    result = []
    for tier in tiers(data):
        if LEG in _addresses.facts_of(tier).networks:
            continue
        block = _addresses.block(tier, data["tiers"][tier]["block"])
        result.append(f"{base + block * 256}/24")
    return result


def judge(data: Data, check: Check) -> None:
    """Note what the keys about Tor cannot be together."""
    if not check.sound(("tor",), ("tiers",), ("stacks",), ("egress", "through_tor")):
        return
    tor = data["tor"]
    apps = [name for name in data["tiers"] if name not in ("proxyhost", "manager")]
    for position, tier in enumerate(tor["tiers"]):
        path = ("tor", "tiers", position)
        if tier in ("proxyhost", "manager"):
            check.refuse(path, tier, "has the way out itself" if tier == "proxyhost" else "has Squid", ", ".join(apps))
        elif tier not in data["tiers"]:
            check.refuse(path, tier, f"is no tier of this site{suggestion(tier, apps)}", ", ".join(apps) or "none")
    needed = [f"tiers.{tier}" for tier in tiers(data)] + ["egress.through_tor"] * bool(data["egress"]["through_tor"])
    if tor["enabled"] is False and needed:
        check.refuse(
            ("tor", "enabled"), False, f"{', '.join(needed)} goes out by it", "true, or nothing that goes through Tor"
        )
    for position, text in enumerate(tor["allowed_private"]):
        path = ("tor", "allowed_private", position)
        network = _addresses.parse_network(text)
        if network is None:
            check.refuse(path, text, "is not an address", "an IPv4 address or network")
        elif not _addresses.is_private(network):
            check.refuse(path, text, "is not private", "a private address; tor reaches all others anyway")


def variable(data: Data, way_out: Mapping[str, Any], subnet: str) -> dict[str, Any] | None:
    """Return what every host knows of the site's Tor: nothing where there is none."""
    if not is_there(data):
        return None
    tor = data["tor"]
    return {
        "socks": {"host": way_out[LEG]["address"], "port": PORT},
        "tiers": tiers(data),
        "confined": confined(data, subnet),
        "bridges": list(tor["bridges"]),
        "config": [{"name": one["name"], "lines": list(one["lines"])} for one in tor["config"]],
        "allowed_private": list(tor["allowed_private"]),
        "through": list(data["egress"]["through_tor"]),
    }


def package_mirrors(mirrors: Mapping[str, Any]) -> dict[str, Any]:
    """Return where packages come from, all that a confined tier reaches: names, ports, and private addresses."""
    domains, ports, private = set(), set(), set()
    for url in mirrors["apt"].values():
        if not url:
            continue
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        address = _addresses.parse_address(host)
        if address is not None and _addresses.is_private(address):
            private.add((host, port))
        else:
            domains.add(host)
            ports.add(port)
    return {
        "domains": sorted(domains),
        "ports": sorted(ports),
        "private": [{"host": host, "port": port} for host, port in sorted(private)],
    }
