# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""The nodes of a site: one for each chain that it is on, each with all that it has to itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bcm.datacenter.plugins.module_utils import _sizes

from . import _bitcoin_plan, _chains
from ._declaration_file import KeyPath

# What a further node on the same instances gets of their memory where the declaration does not say. The first one has the rest.
FURTHER_MEMORY = "1GiB"
# What the first one leaves to the system and to Docker, as its role does.
RESERVE = "512MiB"

# By whom lnd is known to the nodes, and what it gets of the memory of instances that it shares with one.
LIGHTNING = "lnd"
LIGHTNING_MEMORY = "1GiB"


@dataclass(frozen=True)
class Node:
    """The node of a chain as it is declared."""

    chain: str
    # Empty for that of the site's own chain, whose names have none.
    instance: str
    declared: Mapping[str, Any]
    path: KeyPath

    @property
    def tier(self) -> str:
        """On whose instances it runs."""
        return str(self.declared["tier"])

    @property
    def prefix(self) -> str:
        """What its folder, its volume and its services are called by."""
        return f"bitcoin-{self.instance}" if self.instance else "bitcoin"

    @property
    def volume(self) -> dict[str, str]:
        """The volume that it brings with it."""
        return {"name": self.prefix, "path": f"/srv/{self.prefix}"}

    @property
    def prune_mib(self) -> int | None:
        """How much of the blocks it keeps; None: all."""
        return _sizes.to_bytes(self.declared["prune"]) // _sizes.MIB if self.declared["prune"] else None

    def default_volume(self) -> str:
        """The size of its volume, if the declaration says none."""
        if self.prune_mib is None:
            return _chains.CHAINS[self.chain].default_volume
        # Half as much again: the chain's state grows, and a database that is compacted stands twice for a moment.
        size = _chains.volume_minimum(self.chain, self.prune_mib, self.declared["indexes"]) * 3 // 2
        return f"{-(-size // _sizes.GIB)}GiB"

    def volume_size(self) -> str:
        """The size of its volume."""
        return str(self.declared["volume_size"] or self.default_volume())


def nodes(data: Mapping[str, Any]) -> list[Node]:
    """Return the nodes that DATA declares, that of the site's own chain first."""
    bitcoin = data["stacks"]["bitcoin"]
    if not bitcoin or data["chain"] not in _chains.CHAINS:
        return []
    path: KeyPath = ("stacks", "bitcoin")
    result = [Node(data["chain"], "", bitcoin, path)]
    for chain, declared in (bitcoin["chains"] or {}).items():
        if declared and chain != data["chain"]:
            result.append(
                Node(chain, chain, {**declared, "tier": declared["tier"] or bitcoin["tier"]}, (*path, "chains", chain))
            )
    return result


def of_tier(data: Mapping[str, Any], tier: str) -> list[Node]:
    """Return the nodes on the instances of TIER."""
    return [node for node in nodes(data) if node.tier == tier]


def beside_lightning(data: Mapping[str, Any], tier: str) -> bool:
    """Return whether an lnd is on the instances of TIER, too."""
    lightning = data["stacks"].get("lightning")
    return bool(lightning and lightning["tier"] == tier)


def memory(data: Mapping[str, Any], node: Node) -> tuple[str, str]:
    """Return what NODE may have of an instance's memory, and what of that it leaves to the system."""
    others = [other for other in of_tier(data, node.tier) if other.instance != node.instance]
    first = of_tier(data, node.tier)[0].instance == node.instance
    if node.declared["memory"]:
        return str(node.declared["memory"]), "0B"
    if not first:
        return FURTHER_MEMORY, "0B"
    whole = _sizes.to_bytes(data["tiers"][node.tier]["size"]["memory"])
    taken = sum(_sizes.to_bytes(other.declared["memory"] or FURTHER_MEMORY) for other in others)
    if beside_lightning(data, node.tier):
        taken += _sizes.to_bytes(LIGHTNING_MEMORY)
    return (
        _sizes.to_text(max(0, whole - taken)) if taken else str(data["tiers"][node.tier]["size"]["memory"])
    ), RESERVE


def least_memory(data: Mapping[str, Any], node: Node) -> int:
    """Return the least memory in MiB that NODE can do with: with a smaller mempool than usual, and the least cache that is of use."""
    least = _bitcoin_plan.OVERHEAD + _bitcoin_plan.CACHE_LEAST * 2 + 64
    return least + (_sizes.to_bytes(memory(data, node)[1]) // _sizes.MIB)


def consumers(data: Mapping[str, Any], node: Node) -> list[dict[str, Any]]:
    """Return who uses the RPC and ZMQ of NODE: those that are declared, and the site's lnd if it is on that chain."""
    result = [dict(one) for one in node.declared["consumers"]]
    lightning = data["stacks"].get("lightning")
    there = lightning and lightning.get("enabled") is not False
    if there and (lightning.get("chain") or data["chain"]) == node.chain:
        result.append({"name": LIGHTNING, "tier": lightning["tier"]})
    return result


def expand(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes in the words of the playbooks."""
    result = []
    for node in nodes(data):
        mine = {key: value for key, value in node.declared.items() if key not in SHARED}
        needed, reserve = memory(data, node)
        using = consumers(data, node)
        result.append(
            {
                "chain": node.chain,
                "instance": node.instance,
                **mine,
                "prune": node.prune_mib,
                "volume": node.volume,
                "volume_size": node.volume_size(),
                "memory": needed,
                "memory_reserve": reserve,
                "consumers": using,
                "backs_lightning": any(one["name"] == LIGHTNING for one in using),
                "ports": _chains.chain_ports(node.chain),
                "way_ports": _chains.way_ports(node.chain),
            }
        )
    return result


# What is said once for all nodes of a site.
SHARED = ("implementation", "version", "signers", "signatures", "chains")
