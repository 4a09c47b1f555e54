# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""Names and addresses that follow from a site's name: pure, and the same wherever they are asked for."""

from __future__ import annotations

import hashlib
from typing import Any

from ._declaration_schema import APP, TIERS, TierFacts

try:
    from netaddr import IPAddress, IPNetwork
    from netaddr.core import AddrFormatError
except ImportError as error:
    NETADDR_ERROR: ImportError | None = error
else:
    NETADDR_ERROR = None

NETWORKS = ("outside", "gateway", "cluster")
# Third octet and prefix of each network in the site's /16.
_SUBNETS = {"outside": (0, 24), "gateway": (16, 20), "cluster": (32, 20), "tunnel": (48, 20)}

# Blocks of 256 addresses in gateway and cluster: tiers that the collection knows have theirs (TIERS), the rest gets these.
FREE_BLOCKS = range(5, 15)
BUILDER_BLOCK = 15
# In a tier's block, beyond all indexes: the address that whichever of its instances holds it answers at.
FLOATING = 254

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "169.254.0.0/16")
SITE_RANGES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15")
# What Docker takes for itself on every instance.
TAKEN = {"10.0.0.0/16": "Swarm takes it for overlay networks", "172.17.0.0/16": "Docker takes it for its own bridge"}


def site_id(site: str) -> str:
    """Return the four digits that stand for SITE where names are short."""
    return hashlib.sha256(site.encode()).hexdigest()[:4]


def site_network(site: str) -> str:
    """Return the addresses of SITE, if it declares none."""
    return f"10.{64 + int(site_id(site), 16) % 128}.0.0/16"


def subnet(network: str, base: str) -> str:
    """Return the subnet of NETWORK in the site's BASE."""
    octet, prefix = _SUBNETS[network]
    return f"{IPNetwork(base).network + octet * 256}/{prefix}"


def bridge(network: str, site: str) -> str:
    """Return the name of the bridge of NETWORK."""
    return f"bcm{site_id(site)}-{network}"


def facts_of(tier: str) -> TierFacts:
    """Return what is fixed of TIER."""
    return TIERS.get(tier, APP)


def block(tier: str, declared: int | None) -> int:
    """Return the block of TIER: its own, the one declared, or one that follows from its name."""
    fixed = facts_of(tier).block
    if fixed is not None:
        return fixed
    if declared is not None:
        return declared
    return FREE_BLOCKS[int(hashlib.sha256(tier.encode()).hexdigest(), 16) % len(FREE_BLOCKS)]


def address(network: str, subnet_of_network: str, block_of_tier: int, index: int) -> str:
    """Return the address of instance INDEX of a tier in a network."""
    offset = 10 + index if network == "outside" else block_of_tier * 256 + index
    return str(IPNetwork(subnet_of_network).network + offset)


def ssh_host(ssh: str | None) -> str | None:
    """Return the host in user@host:port."""
    return ssh.rpartition("@")[2].partition(":")[0] if ssh else None


def network_of(text: str) -> Any:
    """Return TEXT, which is known to be a network, as one."""
    return IPNetwork(text)


def parse_network(text: str) -> Any | None:
    """Return TEXT as a network, or nothing if it is none."""
    try:
        return IPNetwork(text)
    except (AddrFormatError, ValueError):
        return None


def parse_address(text: str) -> Any | None:
    """Return TEXT as an address, or nothing if it is a name."""
    try:
        return IPAddress(text)
    except (AddrFormatError, ValueError):
        return None


def within(network: Any, ranges: tuple[str, ...]) -> bool:
    """Return whether NETWORK (or an address) lies in one of RANGES."""
    return any(network in IPNetwork(one) for one in ranges)


def overlap(one: Any, other: Any) -> bool:
    """Return whether two networks share an address."""
    return bool(one in other or other in one)


def is_private(address_or_network: Any) -> bool:
    """Return whether it is out of the public internet's reach."""
    if address_or_network.version == 6:
        return address_or_network in IPNetwork("fc00::/7") or address_or_network in IPNetwork("fe80::/10")
    return within(address_or_network, PRIVATE)
