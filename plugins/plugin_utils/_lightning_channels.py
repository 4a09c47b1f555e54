# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""The channels that are declared: their keys, what they cannot be, and which of them each lnd has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.module_utils import _lnd_channel

from . import _bitcoin_network
from ._declaration_file import Document, KeyPath
from ._declaration_kinds import Bool, Check, Choice, Int, Keys, ListOf, Text, suggestion

Channel = Mapping[str, Any]

PEER_ALLOWS = "PUBKEY@ADDRESS.onion:PORT"


class Peer(Text):
    """A node of Lightning, and where it is. Its normal form has a port."""

    def further(self, value: str, path: KeyPath, check: Check) -> Any:
        try:
            pubkey, host = _lnd_channel.peer_of(value)
        except _lnd_channel.ChannelError as error:
            problem, _between, allowed = str(error).removeprefix("peer: ").partition("; allowed: ")
            check.refuse(path, value, problem, allowed or self.allowed)
            return value
        return f"{pubkey}@{host}"


CHANNEL = Keys(
    fields={
        "name": Text(
            about="What it is called. lnd keeps the name, and by it the channel is known again.",
            required=True,
            pattern=_lnd_channel.NAME.pattern,
            allows="a letter or digit, then at most 63 letters, digits, _, . or -",
        ),
        "node": Text(
            about="Which lnd has it, by the name of its instance; `null`: the only one.",
            nullable=True,
            pattern=r"[a-z][a-z0-9]*-[0-9]+",
            allows="the name of an instance, such as lightning-1",
        ),
        "state": Choice(
            about="Whether it is there: `open`, it is opened unless it is there, or was; `closed`, it is closed.",
            choices=("open", "closed"),
            default="open",
        ),
        "peer": Peer(
            about="The node at its other end. Needed to open it.",
            nullable=True,
            pattern=r"0[23][0-9A-Fa-f]{64}@[^\s@]+",
            allows=PEER_ALLOWS,
        ),
        "amount": Int(
            about="Satoshis in it, all of them yours at first. Needed to open it.",
            nullable=True,
            low=_lnd_channel.SMALLEST,
            high=_lnd_channel.ALL_COINS,
        ),
        "private": Bool(
            about="Whether it is kept from the public. What is announced once stays known, and leads from coins to the node. Others route no payments "
            "over a private one.",
            default=True,
        ),
        "fee_rate": Int(
            about="What the transaction that opens or closes it pays, in sat/vB; `null`: as lnd estimates it.",
            nullable=True,
            low=1,
        ),
        "target_blocks": Int(
            about="Within how many blocks that is to be confirmed, where lnd estimates it.", default=6, low=2, high=1008
        ),
        "reopen": Bool(about="Whether it is opened again by a run after somebody has closed it.", default=False),
        "force": Bool(
            about="Whether it is closed without its peer, which costs more and locks the money for days. For a peer that does not come back.",
            default=False,
        ),
    }
)

CHANNELS = ListOf(
    about="Channels that it has, as `lightning_channels.yml` opens and closes them. Others that it has are left alone.",
    item=CHANNEL,
    unique="name",
)

LIMITS = Keys(
    about="What channels may cost. Where one limit does not hold, a run opens and closes none.",
    fields={
        "max_spend": Int(
            about="Satoshis that one run of an lnd may spend, what goes into channels and fees together. Without it nothing is opened or closed.",
            nullable=True,
        ),
        "max_fee_rate": Int(about="What a transaction may pay at most, in sat/vB.", default=25, low=1),
        "reserve": Int(
            about="Satoshis that stay in the wallet; more, where lnd asks for more. With them it gets at the money in channels when a peer cheats or is gone.",
            default=100_000,
        ),
    },
)


def judge(
    channels: Sequence[Channel],
    limits: Mapping[str, Any],
    nodes: Sequence[str],
    network: str,
    path: KeyPath,
    check: Check,
) -> None:
    """Note what CHANNELS, which stand at PATH, cannot be on NODES, whose bitcoind meets its peers by NETWORK."""
    for position, channel in enumerate(channels):
        at = (*path, position)
        if channel and check.sound(at):
            _node(channel, nodes, at, check)
            (_to_open if channel["state"] == "open" else _to_close)(channel, network, at, check)
            rate, most = channel["fee_rate"], limits["max_fee_rate"]
            if rate is not None and most is not None and rate > most:
                check.refuse((*at, "fee_rate"), rate, f"is more than max_fee_rate, {most}", f"at most {most}")


def _node(channel: Channel, nodes: Sequence[str], at: KeyPath, check: Check) -> None:
    node, there = channel["node"], ", ".join(nodes)
    if node is None and len(nodes) > 1:
        why = "is missing, and there are several lnd, of which each would open it"
        check.refuse((*at, "node"), None, why, f"one of {there}", shows_value=False)
    elif node is not None and node not in nodes:
        why = f"is no instance with an lnd{suggestion(node, nodes)}"
        check.refuse((*at, "node"), node, why, there or "none, for no instance has one")


def _to_open(channel: Channel, network: str, at: KeyPath, check: Check) -> None:
    for key, allowed in (("peer", PEER_ALLOWS), ("amount", CHANNEL.fields["amount"].allowed)):
        if channel[key] is None:
            check.refuse((*at, key), None, "is missing: it is needed to open a channel", allowed, shows_value=False)
    if channel["force"]:
        check.refuse((*at, "force"), True, "is about closing", "with state: closed")
    if channel["peer"] is None:
        return
    # lnd itself goes out by Tor alone, whatever its bitcoind does: what no onion is, it reaches through an exit.
    ways = _bitcoin_network.ONION if network == _bitcoin_network.ONION else _bitcoin_network.MIXED
    problem = _bitcoin_network.peer_problem(channel["peer"].partition("@")[2], ways)
    if problem:
        others = f"stacks.bitcoin.network: {_bitcoin_network.MIXED}"
        allowed = f"{PEER_ALLOWS}, or {others}" if ways == _bitcoin_network.ONION else problem[1]
        check.refuse((*at, "peer"), channel["peer"], problem[0], allowed)


def _to_close(channel: Channel, _network: str, at: KeyPath, check: Check) -> None:
    if channel["reopen"]:
        check.refuse((*at, "reopen"), True, "is about opening", "with state: open")


def placed(channels: Sequence[Channel], nodes: Sequence[str]) -> list[dict[str, Any]]:
    """Return CHANNELS, each with the one of NODES that has it."""
    only = nodes[0] if len(nodes) == 1 else None
    return [{**channel, "node": channel["node"] or only} for channel in channels]


def plan(channels: Any, limits: Any, nodes: Sequence[str], network: str) -> dict[str, Any]:
    """Return what each of NODES is to have in the words of module lnd_channel, and all that is wrong.

    It is checked as in a declaration, for a run may be told others.
    """
    check = Check(Document({}), {})
    path, at = ("lightning_channels",), ("lightning_channel_limits",)
    found, within = CHANNELS.check(channels, path, check), LIMITS.check(limits, at, check)
    judge(found, within, nodes, network, path, check)
    errors = [str(finding) for finding in check.findings]
    by_node: dict[str, list[dict[str, Any]]] = {}
    for channel in [] if errors else placed(found, nodes):
        told = {key: value for key, value in channel.items() if key != "node" and value is not None}
        by_node.setdefault(str(channel["node"]), []).append(told)
    return {"errors": errors, "nodes": by_node, "limits": within}
