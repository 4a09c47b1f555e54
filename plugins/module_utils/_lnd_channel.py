# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: it may change in any release.

"""What channels there are, which of them are meant, and what those that are to be opened cost. All without I/O, all in whole satoshis."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# Networks whose coins are worth nothing. Any other is treated as if they were.
PLAY_MONEY = ("regtest", "simnet", "signet", "testnet", "testnet4")
# lnd opens no smaller channel.
SMALLEST = 20_000
ALL_COINS = 2_100_000_000_000_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
PUBKEY = re.compile(r"0[23][0-9a-f]{64}")
HOST = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>[0-9]{1,5}))?")
ONION = re.compile(r"[a-z2-7]{56}")
PORT = 9735
# Other versions do not take the coins that a channel is to be paid with.
OLDEST = (0, 18)

# Weights of parts of a transaction (BIP 141), each at its largest.
FRAME = 42
INPUTS = {"WITNESS_PUBKEY_HASH": 273, "NESTED_PUBKEY_HASH": 365, "TAPROOT_PUBKEY": 230}
OUTPUT = 172
# Closing together: one input of two keys, an output for each side.
CLOSING = FRAME + 386 + 2 * OUTPUT
# lnd's own least, in satoshis for 1000 units of weight.
LEAST_RATE = 253
# Change that is worth less is left to the miners.
DUST = 330

# How far a channel is.
PENDING = "pending"
OPEN = "open"
CLOSING_STAGE = "closing"
FORCE_CLOSING = "force_closing"
CLOSED = "closed"

LABEL = re.compile(rf"(?:^|:)bcm-(?P<name>{NAME.pattern})$")
# lnd writes it when the channel is open, over all that was there. After that it leaves the label alone.
FINAL = "shortchanid-"


class ChannelError(ValueError):
    """Something that was asked for and cannot be meant."""


@dataclass(frozen=True)
class Wish:
    """One channel as it is declared."""

    name: str
    state: str
    pubkey: str = ""
    host: str | None = None
    amount: int = 0
    private: bool = True
    fee_rate: int | None = None
    target_blocks: int = 6
    reopen: bool = False
    force: bool = False


@dataclass(frozen=True)
class Known:
    """One channel as lnd has it."""

    point: str
    name: str
    peer: str
    capacity: int
    stage: str
    private: bool | None = None
    active: bool = False
    ours: bool = True
    local_balance: int = 0
    remote_balance: int = 0
    closing_txid: str = ""

    @property
    def txid(self) -> str:
        return self.point.partition(":")[0]

    @property
    def output(self) -> int:
        return int(self.point.partition(":")[2] or 0)


@dataclass(frozen=True)
class Coin:
    """An output that the wallet can spend."""

    txid: str
    output: int
    amount: int
    kind: str


@dataclass(frozen=True)
class Payment:
    """What a channel is paid with."""

    coins: tuple[Coin, ...]
    fee: int
    change: int


@dataclass
class Action:
    """What is to be done about one wish."""

    wish: Wish
    verb: str
    known: Known | None = None
    rate: int = 0
    fee: int = 0
    payment: Payment | None = None
    note: str = ""

    @property
    def cost(self) -> int:
        return self.fee + (self.wish.amount if self.verb in ("open", "reopen") else 0)


@dataclass
class Verdict:
    """All actions, and what is wrong with them."""

    actions: list[Action] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def onion_is_sound(host: str) -> bool:
    """Whether an address of a version 3 onion carries the right checksum: a letter that is mistyped shows."""
    label = host.removesuffix(".onion").rpartition(".")[2]
    if not ONION.fullmatch(label):
        return False
    try:
        raw = base64.b32decode(label.upper())
    except binascii.Error:
        return False
    key, checksum, version = raw[:32], raw[32:34], raw[34:]
    return version == b"\x03" and checksum == hashlib.sha3_256(b".onion checksum" + key + version).digest()[:2]


def peer_of(text: str) -> tuple[str, str | None]:
    """(public key, HOST:PORT or None) of a node's URI."""
    pubkey, _at, address = text.strip().partition("@")
    pubkey = pubkey.lower()
    if not PUBKEY.fullmatch(pubkey):
        raise ChannelError(
            f"peer: {text!r} has no public key of a node; allowed: 66 hexadecimal digits, or PUBKEY@HOST:PORT"
        )
    if not _at:
        return pubkey, None
    match = HOST.fullmatch(address)
    port = int(match["port"] or PORT) if match else 0
    if not match or not 0 < port < 65536:
        raise ChannelError(f"peer: {address!r} is no place where a node can be; allowed: HOST:PORT")
    host = match["host"].lower()
    if host.endswith(".onion") and not onion_is_sound(host):
        raise ChannelError(f"peer: {host!r} is no address of a version 3 onion; a letter of it is wrong, or missing")
    return pubkey, f"{host}:{port}"


def wishes(declared: Sequence[Mapping[str, t.Any]]) -> list[Wish]:
    """What is declared, checked.

    :raises ChannelError: with all that is wrong.
    """
    found: list[Wish] = []
    errors: list[str] = []
    for item in declared:
        name = str(item["name"])
        if not NAME.fullmatch(name):
            errors.append(
                f"name: {name!r} is no name of a channel; allowed: a letter or digit, then at most 63 letters, digits, _, . or -"
            )
        elif any(one.name == name for one in found):
            errors.append(f"name: {name!r} is there twice; allowed: each name once")
        try:
            found.append(_wish(name, item))
        except ChannelError as exc:
            errors.append(f"{name}: {exc}")
    if errors:
        raise ChannelError("; ".join(errors))
    return found


def _wish(name: str, item: Mapping[str, t.Any]) -> Wish:
    rate, blocks = item.get("fee_rate"), item.get("target_blocks") or 6
    if rate is not None and rate < 1:
        raise ChannelError(f"fee_rate: {rate} is too little; allowed: 1 or more (satoshis for a virtual byte)")
    if not 2 <= blocks <= 1008:
        raise ChannelError(f"target_blocks: {blocks} cannot be estimated for; allowed: 2 to 1008")
    pubkey, host = peer_of(item["peer"]) if item.get("peer") else ("", None)
    if item["state"] == "closed":
        return Wish(name, "closed", pubkey, host, fee_rate=rate, target_blocks=blocks, force=bool(item.get("force")))
    if not pubkey:
        raise ChannelError("peer: is missing; allowed: PUBKEY@HOST:PORT, or PUBKEY of a node that is connected")
    amount = item.get("amount")
    if amount is None or not SMALLEST <= amount <= ALL_COINS:
        raise ChannelError(f"amount: {amount} is no size of a channel; allowed: {SMALLEST} or more (satoshis)")
    if item.get("force"):
        raise ChannelError("force: true is about closing; allowed: with state closed")
    private, reopen = bool(item.get("private")), bool(item.get("reopen"))
    return Wish(name, "open", pubkey, host, amount, private, rate, blocks, reopen)


def known_channels(
    channels: Mapping[str, t.Any], pending: Mapping[str, t.Any], closed: Mapping[str, t.Any]
) -> list[Known]:
    """Every channel that lnd knows of, as its answers list them."""
    found = []
    for one in channels.get("channels") or []:
        found.append(
            Known(
                point=str(one["channel_point"]),
                name=str(one.get("memo") or ""),
                peer=str(one.get("remote_pubkey") or ""),
                capacity=int(one.get("capacity") or 0),
                stage=OPEN,
                private=bool(one.get("private")),
                active=bool(one.get("active")),
                ours=bool(one.get("initiator")),
                local_balance=int(one.get("local_balance") or 0),
                remote_balance=int(one.get("remote_balance") or 0),
            )
        )
    stages = {
        "pending_open_channels": PENDING,
        "waiting_close_channels": CLOSING_STAGE,
        "pending_closing_channels": CLOSING_STAGE,
        "pending_force_closing_channels": FORCE_CLOSING,
    }
    for key, stage in stages.items():
        for one in pending.get(key) or []:
            inner = one.get("channel") or {}
            found.append(
                Known(
                    point=str(inner.get("channel_point") or ""),
                    name=str(inner.get("memo") or ""),
                    peer=str(inner.get("remote_node_pub") or ""),
                    capacity=int(inner.get("capacity") or 0),
                    stage=stage,
                    private=bool(inner.get("private")),
                    # Only what is known to be another's is another's.
                    ours=inner.get("initiator") != "INITIATOR_REMOTE",
                    local_balance=int(inner.get("local_balance") or 0),
                    remote_balance=int(inner.get("remote_balance") or 0),
                    closing_txid=str(one.get("closing_txid") or ""),
                )
            )
    there = {one.point for one in found}
    for one in closed.get("channels") or []:
        point = str(one.get("channel_point") or "")
        if point in there:
            continue
        found.append(
            Known(
                point=point,
                name="",
                peer=str(one.get("remote_pubkey") or ""),
                capacity=int(one.get("capacity") or 0),
                stage=CLOSED,
                ours=one.get("open_initiator") != "INITIATOR_REMOTE",
                local_balance=int(one.get("settled_balance") or 0),
                closing_txid=str(one.get("closing_tx_hash") or ""),
            )
        )
    return found


def name_in(label: str) -> str:
    """The name of the channel in the label of the transaction that funded it; empty where it has none."""
    match = LABEL.search(label)
    return match["name"] if match else ""


def label_with(label: str, name: str) -> str:
    """The label with the name, in lnd's own way of writing them. Empty where lnd would write over it."""
    if FINAL not in label or name_in(label):
        return ""
    return f"{label}:bcm-{name}"


def fee_of(weight: int, rate: int) -> int:
    """What a transaction pays at most, in satoshis, with RATE for a virtual byte."""
    return -(-weight * max(LEAST_RATE, 250 * rate) // 1000)


def payment(coins: Sequence[Coin], amount: int, rate: int) -> Payment | None:
    """The coins that a channel is paid with, largest first; None if they are not enough.

    What lnd makes of them is what is reckoned here: it takes all that it is given, for the last of them is needed.
    """
    taken: list[Coin] = []
    have, weight = 0, FRAME + OUTPUT
    for coin in sorted(coins, key=lambda one: (-one.amount, one.txid, one.output)):
        taken.append(coin)
        have += coin.amount
        weight += INPUTS[coin.kind]
        if have < amount + fee_of(weight, rate):
            continue
        change = have - amount - fee_of(weight + OUTPUT, rate)
        if change < DUST:
            change = 0
        return Payment(tuple(taken), have - amount - change, change)
    return None


def rate_of(sat_per_kw: int) -> int:
    """Satoshis for a virtual byte, of satoshis for 1000 units of weight; never less."""
    return max(1, -(-sat_per_kw // 250))


def _same(wish: Wish, known: Known) -> list[str]:
    """In what a channel is another than the one that is declared."""
    found = []
    if known.peer != wish.pubkey:
        found.append(f"it leads to {known.peer}")
    if known.capacity != wish.amount:
        found.append(f"it holds {known.capacity} satoshis")
    if known.private is not None and known.private != wish.private:
        found.append("it is private" if known.private else "it is public")
    return found


def decide(declared: Sequence[Wish], known: Sequence[Known], labels: Mapping[str, str]) -> Verdict:
    """What is to be done. LABELS are names of closed channels, as far as their transactions carry them, by their outpoint."""
    verdict = Verdict()
    for wish in declared:
        living = [one for one in known if one.name == wish.name and one.stage != CLOSED]
        if len(living) > 1:
            points = ", ".join(sorted(one.point for one in living))
            verdict.warnings.append(f"{wish.name}: there are {len(living)} channels of this name: {points}")
        decider = _to_close if wish.state == "closed" else _to_open
        verdict.actions.append(decider(wish, living, known, labels, verdict))
    return verdict


def _to_close(
    wish: Wish, living: list[Known], known: Sequence[Known], labels: Mapping[str, str], verdict: Verdict
) -> Action:
    opened = [one for one in living if one.stage == OPEN]
    pending = [one for one in living if one.stage == PENDING]
    if len(opened) > 1:
        verdict.problems.append(f"{wish.name}: which of the channels is meant cannot be known; close them with lncli")
    if pending:
        verdict.problems.append(
            f"{wish.name}: {pending[0].point} is still being opened; it can be closed once it is open"
        )
    if len(opened) == 1 and not pending:
        if not wish.force and not opened[0].active:
            verdict.problems.append(
                f"{wish.name}: its peer is not there, and a channel is closed by both; allowed: to wait for it, or force: true, which "
                "costs more and keeps the money locked for days"
            )
        if wish.pubkey and wish.pubkey != opened[0].peer:
            verdict.problems.append(f"{wish.name}: it leads to {opened[0].peer}, not to the declared peer")
        return Action(wish, "close", opened[0])
    gone = [one for one in known if one.stage == CLOSED and labels.get(one.point) == wish.name]
    return Action(wish, "none", (living + gone + [None])[0])


def _to_open(
    wish: Wish, living: list[Known], known: Sequence[Known], labels: Mapping[str, str], verdict: Verdict
) -> Action:
    # One that works speaks for the name before one that is about to go.
    order = (OPEN, PENDING, FORCE_CLOSING, CLOSING_STAGE)
    for one in sorted(living, key=lambda item: order.index(item.stage)):
        if one.stage in (OPEN, PENDING):
            other = _same(wish, one)
            if other:
                verdict.problems.append(
                    f"{wish.name}: {one.point} has this name, but {', '.join(other)}, which cannot be changed; allowed: to close it first, "
                    "or another name"
                )
            return Action(wish, "none", one)
        return Action(wish, "none", one, note="it is being closed, and is not opened again")
    gone = closed_candidates(wish, known, labels)
    if gone and not wish.reopen:
        sure = labels.get(gone[0].point) == wish.name
        note = (
            f"it was closed ({gone[0].point})"
            if sure
            else f"a closed channel with this peer, {gone[0].point}, may have been it"
        )
        return Action(wish, "none", gone[0], note=f"{note}, and is opened again only with reopen: true")
    return Action(wish, "reopen" if gone else "open")


def closed_candidates(wish: Wish, known: Sequence[Known], labels: Mapping[str, str]) -> list[Known]:
    """Closed channels that are, or may have been, the one that is meant: those whose name nobody knows count, too."""
    sure, perhaps = [], []
    for one in known:
        if one.stage != CLOSED or not one.ours:
            continue
        name = labels.get(one.point, "")
        if name == wish.name:
            sure.append(one)
        elif not name and one.peer == wish.pubkey:
            perhaps.append(one)
    return sure + perhaps


def version_of(text: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def is_mainnet(network: str) -> bool:
    """Whether real money is at stake. What is not known to be play money is real."""
    return network not in PLAY_MONEY


def alive_leases(leases: Mapping[str, t.Any], transactions: Mapping[str, t.Any], own_id: str) -> list[tuple[str, int]]:
    """(outpoint, its end as a Unix time) of coins that lnd has put aside for a channel that is being opened, and has not spent."""
    spent = {
        str(one.get("outpoint"))
        for transaction in transactions.get("transactions") or []
        for one in transaction.get("previous_outpoints") or []
    }
    found = []
    for lease in leases.get("locked_utxos") or []:
        if base64.b64decode(lease.get("id") or "").hex() != own_id:
            continue
        outpoint = lease.get("outpoint") or {}
        point = f"{outpoint.get('txid_str')}:{int(outpoint.get('output_index') or 0)}"
        if point not in spent:
            found.append((point, int(lease.get("expiration") or 0)))
    return sorted(found)
