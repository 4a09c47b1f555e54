# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""What follows from WireGuard between the endpoints of a site, and what is wrong with what was asked for: pure."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._addresses import site_id
from ._vxlan import ALLOWED_NAME, IP, LEAST_MTU, MOST_MTU, NAME, SITE, UDP, no_address, version_of
from ._vxlan import overhead as vxlan_overhead

# What WireGuard lays around a packet (its paper, section 5.4.6: type and reserved bytes, receiver, counter, and the tag of
# ChaCha20-Poly1305). It pads to 16 bytes, but never beyond the size of its own interface.
HEADER = 4 + 4 + 8 + 16

# The port that its documentation has, and those after it: several sites may be on the same endpoints.
FIRST_PORT, PORTS = 51820, 1000

# Base64 of 32 bytes.
KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
ALLOWED_KEY = "44 characters as `wg pubkey` prints them"

Object = Mapping[str, Any]


def overhead(version: int) -> int:
    """Return what WireGuard takes of each packet on an underlay of IP in VERSION."""
    return HEADER + UDP + IP[version]


def inner_mtu(underlay: int, version: int) -> int:
    """Return what is left to instances in VXLAN, which is IPv4 there, within WireGuard."""
    return underlay - overhead(version) - vxlan_overhead(4)


def wireguard_interface(site: str) -> str:
    """Return the name of the interface of SITE."""
    return f"wg{site_id(site)}"


def wireguard_port(site: str) -> int:
    """Return the UDP port of SITE."""
    return FIRST_PORT + int(site_id(site), 16) % PORTS


def tunnel_address(subnet: str, endpoint: str) -> str:
    """Return the address of ENDPOINT in SUBNET. It follows from the name alone: others may come and go, in any order."""
    network = ipaddress.ip_network(subnet)
    digest = int(hashlib.sha256(endpoint.encode()).hexdigest(), 16)
    return str(network.network_address + 1 + digest % (network.num_addresses - 2))


def of_interface(address: str) -> Iterator[str]:
    """Yield what is wrong with the own address."""
    try:
        own = ipaddress.ip_interface(address)
    except ValueError:
        yield f"wireguard_address is {address!r}; allowed is an address with the length of its prefix, such as 10.77.48.1/20"
        return
    if "/" not in address or own.network.prefixlen >= own.max_prefixlen - 1:
        yield f"wireguard_address is {address}, in whose network there is no room for another one"
    elif own.ip in (own.network.network_address, own.network.broadcast_address):
        yield f"wireguard_address is {address}, which is no address of a host"


def of_peers(peers: Sequence[Object], address: str) -> Iterator[str]:
    """Yield what is wrong with the peers."""
    # What is said of one's own address is said once.
    own = None if any(of_interface(address)) else ipaddress.ip_interface(address)
    seen: dict[tuple[str, str], str] = {}
    for peer in peers:
        where = f"wireguard_peers, {peer['name']}"
        if reason := no_address(peer["endpoint"]):
            yield f"{where}: endpoint is {peer['endpoint']}, which {reason}"
        if reason := no_address(peer["address"]):
            yield f"{where}: address is {peer['address']}, which {reason}"
        elif own and ipaddress.ip_address(peer["address"]) not in own.network:
            yield f"{where}: address is {peer['address']}, which is not in {own.network}"
        elif own and ipaddress.ip_address(peer["address"]) == own.ip:
            yield f"{where}: address is {peer['address']}, which is wireguard_address itself"
        if peer.get("public_key") and not KEY.fullmatch(peer["public_key"]):
            yield f"{where}: public_key is {peer['public_key']!r}; allowed is {ALLOWED_KEY}"
        for key in ("name", "endpoint", "address", "public_key"):
            if peer.get(key) and (other := seen.setdefault((key, peer[key]), where)) is not where:
                yield f"{where}: {key} {peer[key]} is that of another one ({other})"
    versions = {version_of(peer["endpoint"]) for peer in peers if not no_address(peer["endpoint"])}
    if len(versions) > 1:
        yield "wireguard_peers has endpoints of IPv4 and of IPv6, on whose ways packets differ in size"


def findings(site: str, interface: str, address: str, peers: Sequence[Object], numbers: Mapping[str, int]) -> list[str]:
    """Return everything that is wrong, in sentences. NUMBERS are those of the role, by the name that they have there."""
    found = []
    if not SITE.fullmatch(site):
        found.append(
            f"wireguard_site is {site!r}; allowed is a small letter, then at most 29 small letters, digits or dashes"
        )
    if not peers:
        return found
    if not NAME.fullmatch(interface):
        found.append(f"wireguard_interface is {interface!r}; allowed is {ALLOWED_NAME}")
    found += [*of_interface(address), *of_peers(peers, address)]
    limits = {"port": (1, 65535), "keepalive": (0, 65535), "key_serial": (1, 999999), "wait": (0, 3600)}
    for name, (least, most) in limits.items():
        if not least <= numbers[name] <= most:
            found.append(f"wireguard_{name} is {numbers[name]}; allowed is {least} to {most}")
    for name in ("mtu", "underlay_mtu"):
        if numbers[name] and not LEAST_MTU <= numbers[name] <= MOST_MTU:
            found.append(f"wireguard_{name} is {numbers[name]}; allowed is {LEAST_MTU} to {MOST_MTU}, or 0")
    return found


def with_keys(
    peers: Sequence[Object], hostvars: Mapping[str, Object], known: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return PEERS with their public keys: the one that is given, that of the host of this name, or the one that was known."""
    result = []
    for peer in peers:
        name = peer["name"]
        told = hostvars[name].get("wireguard_public_key") if name in hostvars else ""
        key = peer.get("public_key") or told or known.get(name) or ""
        result.append({**{part: peer[part] for part in ("name", "endpoint", "address")}, "public_key": str(key)})
    return sorted(result, key=lambda peer: str(peer["name"]))
