# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""What follows from a network that is joined across endpoints by VXLAN, and what is wrong with what was asked for: pure."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._addresses import site_id

# What VXLAN lays around a packet that leaves an instance (RFC 7348, section 5: the instance's Ethernet header, VXLAN's
# own, UDP's, and the IP header of the underlay). The underlay's Ethernet header is no part of its MTU.
INNER_ETHERNET, VXLAN, UDP = 14, 8, 8
IP = {4: 20, 6: 40}

# Numbers of networks have 24 bits (RFC 7348, section 4). What people and programs count by hand begins at the other end:
# LXD's tunnels at 1, Docker Swarm's overlays at 4096.
LEAST_VNI, MOST_VNI = 1, 2**24 - 1
FIRST_DERIVED = 2**23

# What IPv6 demands of a link, and the largest frame that switches commonly carry.
LEAST_MTU, MOST_MTU = 1280, 9216

SITE = re.compile(r"[a-z][a-z0-9-]{0,29}")
# The kernel takes 15 characters.
NAME = re.compile(r"[a-z][a-z0-9_-]{0,14}")
ALLOWED_NAME = "a small letter, then small letters, digits, _ or -, at most 15 in all (the kernel's limit)"


def vni(site: str, network: str) -> int:
    """Return the number by which VXLAN knows NETWORK of SITE."""
    digest = hashlib.sha256(f"{site}/{network}".encode()).hexdigest()
    return FIRST_DERIVED + int(digest, 16) % (MOST_VNI + 1 - FIRST_DERIVED)


def vxlan_interface(network: str, site: str) -> str:
    """Return the name of the interface that joins NETWORK, beside its bridge."""
    return f"vx{site_id(site)}-{network}"


def overhead(version: int) -> int:
    """Return what VXLAN takes of each packet on an underlay of IP in VERSION."""
    return INNER_ETHERNET + VXLAN + UDP + IP[version]


def mtus(underlay: int, version: int) -> dict[str, int]:
    """Return what VXLAN takes, and the largest packets: of the underlay, of instances, of Swarm's overlays among these."""
    inner = underlay - overhead(version)
    return {"overhead": overhead(version), "underlay": underlay, "inner": inner, "overlay": inner - overhead(4)}


# Of a site's inner networks, between endpoints whose network carries what Ethernet does. So it is with one endpoint too, or it would
# have to change under those who are connected when a site grows to several.
INNER_MTU = mtus(1500, 4)["inner"]


def version_of(address: str) -> int:
    """Return the version of an address that is known to be one."""
    return ipaddress.ip_address(address).version


def no_address(text: str) -> str:
    """Return why TEXT is no address of a host that one can send to, or nothing."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "is no IP address"
    if address.is_multicast or address.is_unspecified or address.is_loopback or text == "255.255.255.255":
        return "is no address of one host among others"
    if address.version == 6 and address.is_link_local:
        return "is an address of one link alone, which says nothing without that link"
    return ""


def addresses(local: str, peers: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with the addresses of the underlay."""
    if reason := no_address(local):
        yield f"vxlan_local is {local}, which {reason}"
        return
    own = ipaddress.ip_address(local)
    seen = set()
    for peer in peers:
        if reason := no_address(peer):
            yield f"vxlan_peers has {peer}, which {reason}"
            continue
        address = ipaddress.ip_address(peer)
        if address.version != own.version:
            yield f"vxlan_peers has {peer}, of IPv{address.version}, while vxlan_local is {local}, of IPv{own.version}"
        elif address == own:
            yield f"vxlan_peers has {peer}, which is vxlan_local itself; it takes the other endpoints alone"
        elif address in seen:
            yield f"vxlan_peers has {peer} twice"
        seen.add(address)


def networks_of(networks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with the networks by themselves."""
    seen: dict[tuple[str, Any], str] = {}
    for network in networks:
        interface, number = network["interface"], network["vni"]
        where = f"vxlan_networks, {interface}"
        for key in ("interface", "bridge"):
            name = network.get(key) or ""
            if (name or key == "interface") and not NAME.fullmatch(name):
                yield f"{where}: {key} is {name!r}; allowed is {ALLOWED_NAME}"
        if not LEAST_VNI <= number <= MOST_VNI:
            yield f"{where}: vni is {number}; allowed is {LEAST_VNI} to {MOST_VNI} (24 bits)"
        if network.get("mtu") and not LEAST_MTU <= network["mtu"] <= MOST_MTU:
            yield f"{where}: mtu is {network['mtu']}; allowed is {LEAST_MTU} to {MOST_MTU}"
        if network.get("bridge") == interface:
            yield f"{where}: bridge has the name of the interface itself"
        for key in ("interface", "vni", "bridge"):
            value = network.get(key)
            if value and (other := seen.setdefault((key, value), where)) is not where:
                yield f"{where}: {key} {value} is that of another one ({other})"


def too_large(networks: Sequence[Mapping[str, Any]], local: str, underlay_mtu: int) -> Iterator[str]:
    """Yield which networks ask for more than the underlay carries."""
    fits = underlay_mtu - overhead(version_of(local))
    if fits < LEAST_MTU:
        yield (
            f"the underlay carries packets of {underlay_mtu} bytes, which leaves {fits} to instances; "
            f"{LEAST_MTU} are the least"
        )
        return
    for network in networks:
        if network.get("mtu") and network["mtu"] > fits:
            yield (
                f"vxlan_networks, {network['interface']}: mtu is {network['mtu']}, and the underlay carries "
                f"{underlay_mtu} bytes, of which VXLAN takes {underlay_mtu - fits}; allowed is at most {fits}"
            )


def findings(
    networks: Sequence[Mapping[str, Any]], site: str, local: str, peers: Sequence[str], port: int, underlay_mtu: int
) -> list[str]:
    """Return everything that is wrong, in sentences. An underlay of 0 bytes is one that was not asked yet."""
    found = []
    if not SITE.fullmatch(site):
        found.append(
            f"vxlan_site is {site!r}; allowed is a small letter, then at most 29 small letters, digits or dashes"
        )
    found += [*addresses(local, peers), *networks_of(networks)]
    if not 1 <= port <= 65535:
        found.append(f"vxlan_port is {port}; allowed is 1 to 65535")
    if underlay_mtu and not no_address(local):
        found += too_large(networks, local, underlay_mtu)
    return found
