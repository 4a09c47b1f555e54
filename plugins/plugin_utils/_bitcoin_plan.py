# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""From the settings of a bitcoind to its configuration file, and what must not be set together."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.bcm.datacenter.plugins.module_utils import _sizes
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _bitcoin_network, _chains

# Our names of chains → those of bitcoind, which are its section names too.
SECTIONS = {"mainnet": "main", "testnet4": "testnet4", "signet": "signet", "regtest": "regtest"}

_WALLETS = "a failed migration of a wallet can delete the wallets' directory; its makers withdrew it"
# What is known to do harm. 28 and older: CVE-2024-52911, of high severity, "through 28.x" (bitcoincore.org, 2026-05-05). 29.0: CVE-2025-54604 and
# CVE-2025-54605, by which peers fill the disk with its log. 30.0 and 30.1: moved to /bin/insecure-wallet-deletion/ on bitcoincore.org. 32.0: the
# notes of 32.1. Knots has the numbers of the Core that it is made from.
OLDEST = (29, 1)
OLD = {
    28: "anybody in the network can do harm to it by CVE-2024-52911, of high severity, which 29.0 mended",
    29: "peers can fill its log without end (CVE-2025-54604, CVE-2025-54605), which 29.1 mended",
}
BLOCKED = {
    (30, 0): _WALLETS,
    (30, 1): _WALLETS,
    (32, 0): "its makers never released it, for what they found at the last minute",
}

# MiB that bitcoind takes beside its cache and the mempool: code, block index, peers, RPC, indexes.
OVERHEAD = 384
# Out of what is left, this part goes to the cache; a flush needs the rest for a while.
CACHE_SHARE = 3, 4
CACHE_MAXIMUM = 16384
# Below this a node at the tip writes its database again and again.
CACHE_LEAST = 64
MEMPOOL_DEFAULT = 300

# Passwords stand in no configuration: users have hashes.
SECRET_OPTIONS = ("rpcauth", "rpcpassword", "rpcuser")

USER_NAME = re.compile(r"^[a-z][a-z0-9_-]{0,31}$")
OPTION = re.compile(r"^[a-z][a-z0-9]*$")


class PlanError(ValueError):
    """Settings that cannot be meant. `errors` holds all of them."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def release(version: str) -> tuple[int, int]:
    """The first two numbers of a version: 29.4 of 29.4.knots20260508."""
    match = re.match(r"^(\d+)\.(\d+)", str(version))
    if not match:
        raise PlanError([f"version: {version!r} is not a version, such as 31.1"])
    return int(match.group(1)), int(match.group(2))


class Checker:
    """Collects what is wrong: key, value, and what is allowed."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def refuse(self, key: str, value: object, why: str, allowed: str) -> None:
        self.errors.append(f"{key}: {value!r}: {why}; allowed: {allowed}")


def memory_plan(memory_mib: int, dbcache: int | None, maxmempool: int | None, check: Checker) -> tuple[int, int]:
    """(dbcache, maxmempool) in MiB for a bitcoind that may use MEMORY_MIB."""
    mempool = maxmempool if maxmempool is not None else min(MEMPOOL_DEFAULT, max(5, memory_mib // 8))
    room = memory_mib - OVERHEAD - mempool
    computed = max(0, room) * CACHE_SHARE[0] // CACHE_SHARE[1]
    if dbcache is None:
        if computed < CACHE_LEAST:
            least = CACHE_LEAST * CACHE_SHARE[1] // CACHE_SHARE[0] + OVERHEAD + mempool
            check.refuse("memory", f"{memory_mib}MiB", "is too little for bitcoind", f"at least {least}MiB")
        return min(computed, CACHE_MAXIMUM), mempool
    if not 4 <= dbcache <= max(4, room):
        check.refuse("dbcache", dbcache, "does not fit into the memory", f"4 to {max(4, room)} (MiB)")
    return dbcache, mempool


def check_version(version: str, check: Checker) -> tuple[int, int]:
    """The release that VERSION belongs to; refuses those that must not run."""
    try:
        found = release(version)
    except PlanError as exc:
        check.errors += exc.errors
        return OLDEST
    if found in BLOCKED:
        check.refuse("version", version, BLOCKED[found], "any other release from 29.1 on")
    elif found < OLDEST:
        check.refuse("version", version, f"is too old: {OLD.get(found[0], OLD[28])}", "29.1 or later")
    return found


def _check_storage(settings: Mapping[str, Any], check: Checker) -> None:
    prune, indexes, chain = settings.get("prune"), settings.get("indexes") or {}, settings["chain"]
    for name in indexes:
        if name not in _chains.INDEXES:
            check.refuse(f"indexes.{name}", indexes[name], "is no index", ", ".join(_chains.INDEXES))
    if prune and prune < _chains.PRUNE_MINIMUM_MIB:
        check.refuse("prune", prune, "is too little", f"none, or at least {_chains.PRUNE_MINIMUM_MIB} (MiB)")
    if prune and indexes.get("txindex"):
        check.refuse("prune", prune, "cannot go with indexes.txindex, which needs all blocks", "one of the two")
    if not settings.get("volume_size"):
        return
    volume = _sizes.to_bytes(settings["volume_size"])
    least = _chains.volume_minimum(chain, prune or None, dict(indexes))
    if volume < least:
        allowed = f"at least {-(-least // _sizes.GIB)}GiB, or prune"
        check.refuse("volume_size", settings["volume_size"], f"is too small for {chain}", allowed)
    free = _sizes.to_bytes(settings.get("free_space_min") or 0)
    if free * 2 > volume:
        check.refuse(
            "free_space_min", settings["free_space_min"], "leaves no room on the volume", "less than half of it"
        )


def _check_network(settings: Mapping[str, Any], found: tuple[int, int], check: Checker) -> None:
    for key, value, why, allowed in _bitcoin_network.problems(settings, found):
        check.refuse(key, value, why, allowed)
    for network in settings.get("rpc_allowed") or []:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            check.refuse("rpc_allowed", network, "is no network", "addresses with a prefix length, such as 10.0.0.0/24")
    for topic in settings.get("zmq") or []:
        if topic not in _chains.ZMQ_TOPICS:
            check.refuse("zmq", topic, "is no topic", ", ".join(_chains.ZMQ_TOPICS))
        elif not settings["ports"].get(f"zmq_{topic}"):
            check.refuse("zmq", topic, f"has no port on {settings['chain']}", "topics with a port")
    if settings.get("connect") and not settings.get("network_active", True):
        check.refuse("connect", settings["connect"], "with network_active off, nothing is connected", "one of the two")


def _check_users(settings: Mapping[str, Any], check: Checker) -> None:
    seen = set()
    for user in settings.get("rpc_users") or []:
        name = str(user.get("name"))
        if not USER_NAME.match(name):
            check.refuse(
                "rpc_users", name, "is no name of a user", "a small letter, then small letters, digits, _ or -"
            )
        if name in seen:
            check.refuse("rpc_users", name, "is there twice", "each name once")
        seen.add(name)
        if user.get("methods") is not None and not user["methods"]:
            check.refuse(f"rpc_users.{name}.methods", [], "may call nothing", "names of methods, or null for all")
        if len(str(user.get("auth") or "").splitlines()) > 1:
            check.refuse(f"rpc_users.{name}.auth", "(hidden)", "has several lines", f"{name}:SALT$HASH")


def _check_options(settings: Mapping[str, Any], managed: set[str], check: Checker) -> None:
    for option in settings.get("options") or {}:
        if not OPTION.match(str(option)):
            check.refuse("options", option, "is no name of an option", "small letters and digits, without a dash")
        elif option in managed:
            check.refuse("options", option, "is set by a variable of its own", "options that have none")
        elif option in _bitcoin_network.OTHER_WAYS and settings.get("network") != _bitcoin_network.CLEAR:
            check.refuse("options", option, "leads past the site's Tor", "options that do not, or network: clear")
    if (settings.get("options") or {}).get("peerblockfilters") and not (settings.get("indexes") or {}).get(
        "blockfilterindex"
    ):
        check.refuse("options", "peerblockfilters", "needs indexes.blockfilterindex", "both or none")


def _flag(value: object) -> str:
    return ("1" if value else "0") if isinstance(value, bool) else str(value)


def _common(settings: Mapping[str, Any], dbcache: int, mempool: int) -> list[tuple[str, str]]:
    """Options that hold on every chain."""
    indexes = settings.get("indexes") or {}
    lines = [
        ("chain", SECTIONS[settings["chain"]]),
        ("server", "1"),
        # Into the journal, which has limits; a file on the volume has none.
        ("printtoconsole", "1"),
        ("nodebuglogfile", "1"),
        # Health must not take a node for dead that closes its RPC port and then writes its cache for minutes.
        ("shutdownnotify", settings["shutdown_notify"]),
        # On since 30.0: asks the router to open a port.
        ("natpmp", "0"),
        # Neither looks for addresses of its own to tell others, nor asks a Tor for an onion: it is given one, which stays.
        ("discover", "0"),
        ("listenonion", "0"),
        ("disablewallet", _flag(not settings.get("wallet", False))),
        ("dbcache", str(dbcache)),
        ("maxmempool", str(mempool)),
        ("prune", str(settings.get("prune") or 0)),
        ("maxconnections", str(settings.get("max_connections", 125))),
        ("networkactive", _flag(bool(settings.get("network_active", True)))),
    ]
    lines += [(name, _flag(bool(indexes.get(name, False)))) for name in _chains.INDEXES]
    # The user of the cookie, inside the container, may do all; each other one what is on its list.
    lines += [("rpccookiefile", settings["cookie_file"]), ("rpcwhitelistdefault", "0")]
    for user in settings.get("rpc_users") or []:
        if user.get("methods") is not None:
            lines.append(("rpcwhitelist", f"{user['name']}:{','.join(user['methods'])}"))
    # The hashes of passwords are in a file of their own, so that the rest can be shown when it changes.
    return [*lines, ("includeconf", settings["users_file"])]


def _of_chain(settings: Mapping[str, Any], found: tuple[int, int]) -> list[tuple[str, str]]:
    """Options that bitcoind takes for one chain only, in its section."""
    ports = settings["ports"]
    lines = _bitcoin_network.lines(settings, found)
    lines += [("rpcport", str(ports["rpc"])), ("rpcallowip", "127.0.0.0/8")]
    allowed = settings.get("rpc_allowed") or []
    # Without an address that may reach it, the port is not even open to others.
    lines.append(("rpcbind", "0.0.0.0" if allowed else "127.0.0.1"))  # noqa: S104
    lines += [("rpcallowip", str(ipaddress.ip_network(network))) for network in allowed]
    lines += [(f"zmqpub{topic}", f"tcp://0.0.0.0:{ports[f'zmq_{topic}']}") for topic in settings.get("zmq") or []]
    return lines


def _extra(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = []
    for option, value in sorted((settings.get("options") or {}).items()):
        lines += [(str(option), _flag(one)) for one in (value if isinstance(value, list) else [value])]
    return lines


def plan(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration file, and the figures that follow from the settings.

    :raises PlanError: with all that is wrong.
    """
    check = Checker()
    chain = settings["chain"]
    if chain not in SECTIONS:
        check.refuse("chain", chain, "bitcoind does not have it", ", ".join(SECTIONS))
        raise PlanError(check.errors)
    found = check_version(settings["version"], check)
    memory = _sizes.to_bytes(settings["memory"]) - _sizes.to_bytes(settings.get("memory_reserve") or 0)
    dbcache, mempool = memory_plan(memory // _sizes.MIB, settings.get("dbcache"), settings.get("maxmempool"), check)
    _check_storage(settings, check)
    _check_network(settings, found, check)
    _check_users(settings, check)
    if check.errors:
        raise PlanError(check.errors)
    common, of_chain = _common(settings, dbcache, mempool), _of_chain(settings, found)
    managed = {*SECRET_OPTIONS, *_bitcoin_network.MANAGED, *(name for name, _value in common + of_chain)}
    _check_options(settings, managed, check)
    if check.errors:
        raise PlanError(check.errors)
    lines = [f"{name}={value}" for name, value in common]
    lines += ["", f"[{SECTIONS[chain]}]"]
    lines += [f"{name}={value}" for name, value in of_chain + _extra(settings)]
    users = [f"rpcauth={user['auth']}" for user in settings.get("rpc_users") or [] if user.get("auth")]
    return {
        "conf": "\n".join(lines) + "\n",
        "users": "".join(f"{line}\n" for line in users),
        "dbcache": dbcache,
        "maxmempool": mempool,
        "memory_limit": memory,
        "free_space_kib": _sizes.to_bytes(settings.get("free_space_min") or 0) // _sizes.KIB,
        "door": _bitcoin_network.has_door(settings),
        "volume_kib": _sizes.to_bytes(settings.get("volume_size") or 0) // _sizes.KIB,
    }
