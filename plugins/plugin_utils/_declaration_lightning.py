# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""What is declared of Lightning must be to the rest, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import _bitcoin_nodes, _lightning_channels, _lnd_plan, _lnd_versions
from ._declaration_file import KeyPath
from ._declaration_kinds import Check

Data = Mapping[str, Any]

# Who its user is in bitcoind.
USER = "lnd"
# The volume that it brings with it, marked so that nobody copies it.
VOLUME = {"name": "lnd", "path": "/srv/lnd"}
MARK = {
    "user.bcm.never-copied": "lnd's channels are on it: an lnd that begins with an older state of them, or a second one, loses the money in them"
}
# Where its makers publish releases, and of how many of them the role knows the keys.
DOWNLOADS = "https://github.com/lightningnetwork/lnd/releases/download"
SIGNERS = 16
# What it needs of bitcoind.
TOPICS = ("rawblock", "rawtx")


def hosts(data: Data, tier: str, names: list[str]) -> list[str]:
    """Return which of NAMES, the instances of TIER, have an lnd."""
    lightning = data["stacks"]["lightning"]
    return list(names) if lightning and lightning["tier"] == tier else []


def nodes(data: Data) -> list[str]:
    """Return the instances that have an lnd."""
    tier = data["stacks"]["lightning"]["tier"]
    count = (data["tiers"].get(tier) or {}).get("count") or 0
    return hosts(data, tier, [f"{tier}-{index}" for index in range(1, count + 1)])


def judge(data: Data, check: Check) -> None:
    """Note what the keys about Lightning cannot be together, and beside others."""
    lightning = data["stacks"]["lightning"]
    path: KeyPath = ("stacks", "lightning")
    if not lightning:
        return
    _version(data, check)
    if not data["stacks"]["bitcoin"]:
        check.refuse(
            path, None, "lnd needs a bitcoind of the site's own", "stacks.bitcoin beside it", shows_value=False
        )
    elif check.sound(("stacks", "bitcoin")):
        _bitcoin(data["stacks"]["bitcoin"], check)
    if check.sound(("chain",)) and data["chain"] not in _lnd_plan.NETWORKS:
        check.refuse(("chain",), data["chain"], "lnd does not have it", ", ".join(_lnd_plan.NETWORKS))
    seen: dict[int, str] = {}
    for name, consumer in (lightning["consumers"] or {}).items():
        at = (*path, "consumers", name)
        if not consumer or not check.sound(at):
            continue
        number = consumer["root_key_id"]
        if number in seen:
            check.refuse(
                (*at, "root_key_id"),
                number,
                f"is that of {seen[number]}: to revoke one would revoke both",
                "another number",
            )
        seen.setdefault(number, name)
        if not consumer["permissions"]:
            check.refuse((*at, "permissions"), [], "may do nothing", "permissions such as info:read")
    _channels(data, check)


def _channels(data: Data, check: Check) -> None:
    path: KeyPath = ("stacks", "lightning")
    bitcoin, lightning = data["stacks"]["bitcoin"], data["stacks"]["lightning"]
    told = (("tiers",), (*path, "tier"), (*path, "channel_limits"), ("stacks", "bitcoin", "network"))
    # Without a bitcoind it is that which is said.
    if bitcoin and check.sound(*told):
        _lightning_channels.judge(
            lightning["channels"],
            lightning["channel_limits"],
            nodes(data),
            bitcoin["network"],
            (*path, "channels"),
            check,
        )


def _version(data: Data, check: Check) -> None:
    declared: dict[KeyPath, str | None] = {
        ("stacks", "lightning", "version"): data["stacks"]["lightning"]["version"],
        ("versions", "lnd"): data["versions"].get("lnd"),
    }
    for at, version in declared.items():
        if version and check.sound(at) and version not in _lnd_versions.RELEASES:
            problem = "nobody has looked yet which RPC methods of bitcoind it calls"
            check.refuse(at, version, problem, ", ".join(_lnd_versions.RELEASES))


def _bitcoin(bitcoin: Mapping[str, Any], check: Check) -> None:
    path: KeyPath = ("stacks", "bitcoin")
    missing = [topic for topic in TOPICS if topic not in bitcoin["zmq"]]
    if missing:
        check.refuse(
            (*path, "zmq"), bitcoin["zmq"], f"lnd hears of blocks by {' and '.join(missing)}", "both beside the others"
        )
    for position, user in enumerate(bitcoin["rpc_users"]):
        if user and user["name"] == USER:
            check.refuse(
                (*path, "rpc_users", position, "name"),
                USER,
                "is lnd's own user, which may call what this lnd calls",
                "another name",
            )


def version(data: Data) -> str:
    """Return the release of lnd."""
    return str(data["stacks"]["lightning"]["version"] or data["versions"].get("lnd") or _lnd_versions.DEFAULT)


def user(data: Data) -> list[dict[str, Any]]:
    """Return lnd's user of bitcoind's RPC, if there is an lnd: it may call what this release calls, and nothing else."""
    if not data["stacks"]["lightning"]:
        return []
    return [{"name": USER, "methods": list(_lnd_versions.release(version(data)).methods)}]


def memory(data: Data) -> dict[str, str]:
    """Return what lnd may have of an instance's memory, and what of that it leaves to the system."""
    tier = data["stacks"]["lightning"]["tier"]
    if _bitcoin_nodes.of_tier(data, tier):
        return {"memory": _bitcoin_nodes.LIGHTNING_MEMORY, "memory_reserve": "0B"}
    return {"memory": str(data["tiers"][tier]["size"]["memory"]), "memory_reserve": _bitcoin_nodes.RESERVE}


def stacks(data: Data, result: dict[str, Any]) -> dict[str, Any]:
    """Return RESULT, the stacks in the words of the playbooks, with this one, and with its user in bitcoind."""
    lightning = data["stacks"]["lightning"]
    if not lightning:
        return result
    bitcoin = dict(result["bitcoin"])
    bitcoin["rpc_users"] = [*bitcoin["rpc_users"], *user(data)]
    if "nodes" in bitcoin:
        bitcoin["nodes"] = [
            {**node, "rpc_users": [*node["rpc_users"], *user(data)]} if node.get("backs_lightning") else node
            for node in bitcoin["nodes"]
        ]
    channels = _lightning_channels.placed(lightning["channels"], nodes(data))
    own = {**lightning, "version": version(data), "volume": dict(VOLUME), "channels": channels, **memory(data)}
    return {**result, "bitcoin": bitcoin, "lightning": own}
