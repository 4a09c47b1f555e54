# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""What follows from an address that several machines share, and what is wrong with what was asked for: pure."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# RFC 9568, section 5.2.3: 0 is none.
LEAST_ROUTER_ID, MOST_ROUTER_ID = 1, 255

# So many share an address as far as each of them is concerned, even if there is but one. On the day on which there are several no
# configuration changes, and nobody has to learn of the others before these begin.
EXPECTED = 3

NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")
ALLOWED_NAME = "a small letter, then at most 29 small letters, digits or dashes"
# Keepalived reads all of it as one word.
INTERFACE = re.compile(r"[A-Za-z0-9._@-]{1,15}")


def router_id(site: str, network: str) -> int:
    """Return the number by which VRRP knows the floating address of SITE in NETWORK."""
    digest = hashlib.sha256(f"{site}/{network}".encode()).hexdigest()
    return LEAST_ROUTER_ID + int(digest, 16) % MOST_ROUTER_ID


def networks(
    way_out: Mapping[str, Mapping[str, Any]],
    host: str,
    hosts: Sequence[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    services: Mapping[str, Sequence[Mapping[str, Any]]],
) -> list[dict[str, Any]]:
    """Return what HOST, one of HOSTS, has to know of each floating address, of which WAY_OUT tells by network."""
    result = []
    for name, facts in way_out.items():
        tier = hostvars[host]["bcm_tier"]
        known = {f"{tier}-{index}": address for index, address in enumerate(facts["first"], 1)}
        known |= {other: hostvars[other]["bcm_addresses"][name] for other in hosts}
        result.append(
            {
                "name": name,
                # The leg in a network is called as the network is.
                "interface": name,
                "address": facts["address"],
                "own": hostvars[host]["bcm_addresses"][name],
                "peers": [{"name": other, "address": address} for other, address in known.items() if other != host],
                "router_id": facts["router_id"],
                "services": [dict(service) for service in services.get(name, [])],
            }
        )
    return result


def no_address(text: Any) -> str:
    """Return why TEXT is no address of one machine, or nothing."""
    try:
        address = ipaddress.IPv4Address(str(text))
    except ValueError:
        return "is no IPv4 address"
    if address.is_multicast or address.is_unspecified or address.is_loopback or str(text) == "255.255.255.255":
        return "is no address of one machine among others"
    return ""


def of_network(network: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with one network by itself."""
    where = f"floating_address_networks, {network['name']}"
    if not NAME.fullmatch(str(network["name"])):
        yield f"{where}: the name is not one; allowed is {ALLOWED_NAME}"
    if not INTERFACE.fullmatch(str(network["interface"])):
        yield f"{where}: interface is {network['interface']!r}, which is the name of none"
    if not LEAST_ROUTER_ID <= int(network["router_id"]) <= MOST_ROUTER_ID:
        yield f"{where}: router_id is {network['router_id']}; allowed is {LEAST_ROUTER_ID} to {MOST_ROUTER_ID}"
    seen: dict[str, str] = {}
    places = [("address", network["address"]), ("own", network["own"])]
    places += [(f"peers, {peer['name']}", peer["address"]) for peer in network["peers"]]
    for place, address in places:
        if reason := no_address(address):
            yield f"{where}: {place} is {address}, which {reason}"
        elif str(address) in seen:
            yield f"{where}: {place} is {address}, which is {seen[str(address)]} too"
        seen.setdefault(str(address), place)
    if not network["peers"]:
        yield f"{where}: peers is empty; where there is no other machine yet, name the address that the next one will have"
    if not network["services"]:
        yield f"{where}: services is empty, so that nothing tells which machine is able"


def findings(asked: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return everything that is wrong, in sentences."""
    found = [sentence for network in asked for sentence in of_network(network)]
    for key in ("name", "address"):
        values = [str(network[key]) for network in asked]
        twice = sorted({value for value in values if values.count(value) > 1})
        found += [f"floating_address_networks has two with the {key} {value}" for value in twice]
    pairs = [(str(network["interface"]), int(network["router_id"])) for network in asked]
    found += [
        f"floating_address_networks has two with the router_id {number} on {interface}"
        for interface, number in sorted({pair for pair in pairs if pairs.count(pair) > 1})
    ]
    return found
