# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says of itself, put into words: is it running, is it ready to be relied on, and if not, why."""

from __future__ import annotations

import re
import typing as t

# The chain that the node has to itself: no peers, and blocks only when somebody makes them.
PRIVATE_CHAIN = "regtest"
NAMES = {"main": "mainnet", "test": "testnet3"}

WARMING_UP = re.compile(r"error code: -28\b.*?error message:\s*(?P<what>.*)", re.DOTALL)


def _empty(running: bool, reason: str) -> dict[str, t.Any]:
    return {
        "running": running,
        "waiting": False,
        "ready": False,
        "reason": reason,
        "chain": None,
        "blocks": None,
        "headers": None,
        "best_block": None,
        "ibd": None,
        "progress": None,
        "pruned": None,
        "size_on_disk": None,
        "peers": None,
        "inbound": None,
        "outbound": None,
        "peer_networks": {},
        "strangers": [],
        "local_addresses": [],
        "tip_age": None,
        "version": None,
        "node_warnings": [],
        "indexes": {},
    }


def absent(reason: str) -> dict[str, t.Any]:
    """There is nothing to ask."""
    return _empty(False, reason)


def _as_list(value: t.Any) -> list[str]:
    # One string before 28.0, a list from then on.
    if isinstance(value, str):
        return [value] if value else []
    return [str(item) for item in value or []]


def of_peers(peers: t.Sequence[t.Mapping[str, t.Any]], allowed: t.Sequence[str]) -> dict[str, t.Any]:
    """By which networks the peers come, and which of them come by another than is ALLOWED. With none allowed, all are."""
    networks: dict[str, int] = {}
    strangers = []
    for peer in peers:
        network = str(peer.get("network", "unknown"))
        networks[network] = networks.get(network, 0) + 1
        if allowed and network not in allowed:
            way = "in" if peer.get("inbound") else "out"
            strangers.append({"address": str(peer.get("addr", "")), "network": network, "direction": way})
    return {"peer_networks": dict(sorted(networks.items())), "strangers": strangers}


def assess(
    status: dict[str, t.Any], now: float, min_peers: int, max_tip_age: int, networks: t.Sequence[str] = ()
) -> dict[str, t.Any]:
    """Judge the answer of `bitcoin-status`. NETWORKS are those by which peers may come; none given, all."""
    if status.get("held"):
        return _empty(False, f"held before its start: {status['held'].strip()}")
    if status.get("waiting"):
        return {**_empty(False, f"waits for its start: {status['waiting'].strip()}"), "waiting": True}
    if status.get("stopping"):
        return _empty(True, "is stopping and writes its cache to disk")
    if "blockchain" not in status:
        error = str(status.get("error") or "gave no answer").strip()
        warm = WARMING_UP.search(error)
        if warm:
            return _empty(True, f"starting: {warm.group('what').strip()}")
        return _empty(False, f"does not answer: {error}")
    chain, network = status["blockchain"], status["network"]
    name = NAMES.get(chain["chain"], chain["chain"])
    indexes = status.get("indexes") or {}
    result = _empty(True, "")
    result.update(
        chain=name,
        blocks=chain["blocks"],
        headers=chain["headers"],
        best_block=chain["bestblockhash"],
        ibd=chain["initialblockdownload"],
        progress=chain["verificationprogress"],
        pruned=chain["pruned"],
        size_on_disk=chain["size_on_disk"],
        peers=network["connections"],
        inbound=network.get("connections_in"),
        outbound=network.get("connections_out"),
        local_addresses=[f"{one['address']}:{one['port']}" for one in network.get("localaddresses") or []],
        **of_peers(status.get("peers") or [], networks),
        tip_age=max(0, int(now - chain.get("time", chain["mediantime"]))),
        version=network["subversion"].strip("/"),
        node_warnings=_as_list(chain.get("warnings")),
        indexes={index: facts["synced"] for index, facts in indexes.items()},
    )
    result["reason"] = _not_ready(result, min_peers, max_tip_age)
    result["ready"] = not result["reason"]
    return result


def _not_ready(node: dict[str, t.Any], min_peers: int, max_tip_age: int) -> str:
    if node["strangers"]:
        named = ", ".join(f"{one['address']} ({one['network']}, {one['direction']})" for one in node["strangers"][:5])
        more = len(node["strangers"]) - 5
        return f"has peers by networks that it must not have: {named}{f' and {more} more' if more > 0 else ''}"
    behind = node["headers"] - node["blocks"]
    private = node["chain"] == PRIVATE_CHAIN
    if node["ibd"] and not private:
        return f"initial download: block {node['blocks']} of {node['headers']}, {node['progress'] * 100:.2f} %"
    if behind > 1:
        return f"{behind} blocks behind its headers"
    building = sorted(name for name, synced in node["indexes"].items() if not synced)
    if building:
        return f"still builds {', '.join(building)}"
    if private:
        return ""
    if node["peers"] < min_peers:
        return f"{node['peers']} peers, at least {min_peers} are wanted"
    if node["tip_age"] > max_tip_age:
        return f"no block for {node['tip_age'] // 60} minutes"
    return ""
