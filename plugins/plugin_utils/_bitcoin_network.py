# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""How a bitcoind meets its peers: over Tor alone, through Tor to anybody, or in clear."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
from collections.abc import Mapping
from typing import Any

ONION = "onion"
# How much higher the port is at which bitcoind itself takes those who come by its onion. bitcoin-entrypoint has the same.
INNER = 1
MIXED = "onion_and_clear_through_tor"
CLEAR = "clear"
NETWORKS = (ONION, MIXED, CLEAR)

# Options by which a bitcoind is told whom it meets and how. The plan sets them, whether they stand in this configuration or not.
MANAGED = frozenset(
    (
        *(
            "addnode",
            "bind",
            "connect",
            "discover",
            "dns",
            "dnsseed",
            "externalip",
            "forcednsseed",
            "listen",
            "listenonion",
        ),
        *(
            "natpmp",
            "onion",
            "onlynet",
            "port",
            "privatebroadcast",
            "proxy",
            "proxyrandomize",
            "seednode",
            "upnp",
            "whitebind",
        ),
    )
)
# Ways to peers beside Tor, and orders to a Tor that is not the site's to command from here.
OTHER_WAYS = frozenset(("cjdnsreachable", "i2pacceptincoming", "i2psam", "torcontrol", "torpassword"))

# The first release in which a transaction that is broadcast privately does not tell who sends it: 31.1's notes say that before it some
# connections were made in clear (github.com/bitcoin/bitcoin, doc/release-notes for v31.1rc1, "PrivateBroadcast").
PRIVATE_BROADCAST = (31, 0)
PRIVATE_BROADCAST_SOUND = (31, 1)

_LABEL = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$")


def onion_problem(host: str) -> str | None:
    """What is wrong with an address of an onion, of version 3 (rend-spec-v3, "Encoding onion addresses")."""
    name, _dot, suffix = host.rpartition(".")
    if suffix != "onion":
        return "is not an onion"
    if len(name) == 16:
        return "is an onion of version 2, which Tor has given up"
    try:
        raw = base64.b32decode(name.upper()) if len(name) == 56 else b""
    except binascii.Error:
        raw = b""
    if len(raw) != 35 or name != name.lower():
        return "is no address of an onion: that is 56 small letters and digits 2 to 7 before .onion"
    key, found, version = raw[:32], raw[32:34], raw[34:]
    if version != b"\x03":
        return f"is an onion of version {version[0]}, and there is only version 3"
    if hashlib.sha3_256(b".onion checksum" + key + version).digest()[:2] != found:
        return "is mistyped: its checksum is not that of its key"
    return None


def split_peer(peer: str) -> tuple[str, int | None]:
    """Host and port of PEER.

    :raises ValueError: the port is none.
    """
    bracketed = re.match(r"^\[([^\]]+)\](?::(.*))?$", peer)
    if bracketed:
        host, port = bracketed.group(1), bracketed.group(2)
    elif peer.count(":") > 1:
        host, port = peer, None
    else:
        host, colon, after = peer.partition(":")
        port = after if colon else None
    if port is None:
        return host, None
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError(f"{port!r} is no port")
    return host, int(port)


def peer_problem(peer: str, network: str) -> tuple[str, str] | None:
    """What is wrong with PEER for a node on NETWORK, and what would be allowed; None if nothing is."""
    onion = "onions of version 3, as ADDRESS.onion or ADDRESS.onion:PORT"
    any_peer = f"{onion}, or public addresses and names"
    try:
        host, _port = split_peer(str(peer))
    except ValueError as exc:
        return f"is no peer: {exc}", "HOST or HOST:PORT"
    if host.endswith(".onion"):
        problem = onion_problem(host)
        if network == CLEAR:
            return "cannot be reached without Tor", "addresses and names, or another network"
        return (problem, onion) if problem else None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
        if not host or not all(_LABEL.match(label) for label in host.split(".")):
            return "is neither an address nor a name", "HOST or HOST:PORT"
    if network == ONION:
        # bitcoind's own onlynet does not bind the peers that it is told by name: it would go to this one by an exit of Tor's.
        why = "is not an onion: it would be reached through an exit of Tor's, in clear behind it"
        return why, f"{onion}; or network: {MIXED}"
    if network == MIXED and address is not None and not address.is_global:
        return "is a private address, to which Tor does not lead", any_peer
    return None


def problems(settings: Mapping[str, Any], found: tuple[int, int]) -> list[tuple[str, object, str, str]]:
    """All that is wrong with how a node of release FOUND shall meet its peers: key, value, why, what is allowed."""
    network = settings.get("network", ONION)
    if network not in NETWORKS:
        return [("network", network, "is not known", ", ".join(NETWORKS))]
    result = [*_way(settings, network), *_private_broadcast(settings, network, found)]
    for key in ("connect", "addnode", "seednode"):
        peers = [str(peer) for peer in settings.get(key) or []]
        for peer in peers:
            problem = peer_problem(peer, network)
            if problem:
                result.append((key, peer, *problem))
        result += [
            (key, peer, "is there twice", "each peer once") for peer in sorted(set(peers)) if peers.count(peer) > 1
        ]
    if settings.get("connect") and settings.get("seednode"):
        why = "with connect, no others are looked for"
        result.append(("seednode", settings["seednode"], why, "one of the two"))
    return result


def _way(settings: Mapping[str, Any], network: str) -> list[tuple[str, object, str, str]]:
    """The way to Tor, and the onion by which peers come."""
    result: list[tuple[str, object, str, str]] = []
    socks, onion = settings.get("socks"), settings.get("onion_address")
    if network == CLEAR:
        if socks:
            result.append(
                ("socks", dict(socks), "is of no use to a node that goes out in clear", "none, or another network")
            )
        if onion:
            result.append(
                ("onion_address", onion, "is of no use to a node that is met in clear", "none, or another network")
            )
        return result
    allowed = "host, an IP address, and port of Tor's SOCKS"
    if not socks:
        why = f"is missing, and there is no way to peers but Tor's with network {network}"
        result.append(("socks", socks, why, f"{allowed}; or network: {CLEAR}"))
    else:
        try:
            ipaddress.ip_address(str(socks.get("host")))
            if not 1 <= int(socks.get("port", 0)) <= 65535:
                raise ValueError
        except (TypeError, ValueError):
            # A name would be asked for in clear.
            result.append(("socks", dict(socks), "is not a way to Tor", allowed))
    if onion:
        problem = onion_problem(str(onion))
        if problem:
            result.append(("onion_address", onion, problem, "the address of the node's own onion"))
        if not settings["ports"].get("onion"):
            result.append(("ports", settings["ports"], "have none for what comes by the onion", "a port called onion"))
    return result


def _private_broadcast(
    settings: Mapping[str, Any], network: str, found: tuple[int, int]
) -> list[tuple[str, object, str, str]]:
    if not settings.get("private_broadcast"):
        return []
    result: list[tuple[str, object, str, str]] = []
    if found < PRIVATE_BROADCAST:
        result.append(
            (
                "private_broadcast",
                True,
                f"is unknown to release {found[0]}.{found[1]}",
                "false, or release 31.1 or later",
            )
        )
    elif found < PRIVATE_BROADCAST_SOUND:
        why = f"tells in release {found[0]}.{found[1]} who sends: some of its connections are made in clear"
        result.append(("private_broadcast", True, why, "false, or release 31.1 or later"))
    if settings.get("backs_lightning"):
        # The node keeps such a transaction out of its own mempool until it has come back from the network.
        why = "hides what lnd sends from lnd itself, which looks for it in the node's mempool and must be able to raise its fee in time"
        result.append(("private_broadcast", True, why, "false for a node that lnd relies on"))
    if network == CLEAR:
        result.append(("private_broadcast", True, "needs Tor", f"false, or network: {ONION} or {MIXED}"))
    return result


def listens(settings: Mapping[str, Any]) -> bool:
    """Whether peers may come. Over Tor they come by an onion of the node's own, and without one by nothing."""
    if settings.get("network", ONION) == CLEAR:
        return bool(settings.get("listen", True))
    return bool(settings.get("listen", True) and settings.get("onion_address"))


def has_door(settings: Mapping[str, Any]) -> bool:
    """Whether peers come by an onion."""
    return settings.get("network", ONION) != CLEAR and listens(settings)


def lines(settings: Mapping[str, Any], found: tuple[int, int]) -> list[tuple[str, str]]:
    """The options that follow."""
    ports, network = settings["ports"], settings.get("network", ONION)
    listen = listens(settings)
    result = [("listen", "1" if listen else "0"), ("port", str(ports["p2p"]))]
    if network == CLEAR:
        if listen:
            result.append(("bind", f"0.0.0.0:{ports['p2p']}"))
    else:
        way = f"{settings['socks']['host']}:{settings['socks']['port']}"
        if ":" in str(settings["socks"]["host"]):
            way = f"[{settings['socks']['host']}]:{settings['socks']['port']}"
        # proxy is for whatever is no onion, too: what a mistake might lead to goes by Tor or not at all. Another name and password for
        # each connection makes Tor use another circuit for each.
        result += [("proxy", way), ("onion", way), ("proxyrandomize", "1"), ("dns", "0"), ("dnsseed", "0")]
        if network == ONION:
            result.append(("onlynet", "onion"))
        if listen:
            # What comes in there counts as come by an onion. It is the loopback's: bitcoin-door brings them, so that bitcoind, when it is through with
            # one of them, does not hang up on all others who have the proxyhost's address in common with it.
            result += [
                ("bind", f"127.0.0.1:{ports['onion'] + INNER}=onion"),
                ("externalip", f"{settings['onion_address']}:{ports['p2p']}"),
            ]
    if found >= PRIVATE_BROADCAST:
        result.append(("privatebroadcast", "1" if settings.get("private_broadcast") else "0"))
    for key in ("connect", "addnode", "seednode"):
        result += [(key, str(peer)) for peer in settings.get(key) or []]
    return result
