#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lnd_channel
short_description: Have channels of lnd's, within limits of what they cost
version_added: 0.1.0
description:
  - Opens and closes channels. It spends money, and what it has spent nobody gives back. So it takes all channels of a node at once, reckons what they
    cost together, holds that against the limits, and does nothing at all where one of them does not hold.
  - Each channel has a name, which is kept in lnd's own memo of it, from the request that opens it on. One that is pending, open or being closed is
    there, and no other is opened for its name. One that is closed is not opened again unless O(channels[].reopen) says so.
  - lnd does not tell the memo of a channel that is closed. So the name is written into the label of the transaction that funded it, too, once the
    channel is open. Where that did not come to pass, a closed channel with the same peer that was opened from here counts as the one that is meant.
  - Whoever is killed while a channel is being opened can be run again at once. Coins that lnd has put aside for a channel that it negotiates are
    waited for, and so is another run of this module on the same host. No request is ever repeated.
  - A channel is paid with confirmed coins of the wallet's default account, largest first, which are named to lnd together with the fee rate. So what
    check mode says is what is paid, but for what happens in between.
  - What a channel is made of cannot be changed. One that is there, but with another peer, size or visibility, is an error.
extends_documentation_fragment:
  - bcm.datacenter.lnd
  - bcm.datacenter.lnd.macaroon
  - bcm.datacenter.attributes
attributes:
  check_mode:
    support: full
    details:
      - RV(cost) and RV(channels[].fee) say what it would cost. Nobody is connected to, so whether the peer is there, and whether it takes the channel,
        is not known.
      - On mainnet without O(spend), it says what it would cost, and warns that it would be refused.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - With O(channels[].reopen), a channel that the peer has closed in between is opened again.
      - The name in the label of a channel's transaction is completed once the channel is open, which counts as no change.
options:
  macaroon_path:
    description:
      - Needs the rights C(info:read), C(onchain:read), C(onchain:write), C(offchain:read), C(offchain:write), C(peers:read) and C(peers:write).
    type: path
  macaroon:
    description: The macaroon itself, in hexadecimal or Base64, where there is no file.
    type: str
  channels:
    description: The channels of the node. Others that it has are left alone.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the channel, kept by lnd. A letter or digit, then at most 63 letters, digits, V(_), V(.) or V(-).
        type: str
        required: true
      state:
        description:
          - With V(open), it is there, be it pending. With V(closed), it is not, or is being closed.
        type: str
        choices: [open, closed]
        default: open
      peer:
        description:
          - The node at its other end, as C(PUBKEY@HOST:PORT), which may be an onion. One that is connected already needs its public key only.
          - Needed for O(channels[].state=open).
        type: str
      amount:
        description: Satoshis that the channel holds, all of them ours at first. Needed for O(channels[].state=open).
        type: int
      private:
        description:
          - Whether the channel is kept from the public. What is announced once stays known, and shows which coins belong to the node, so it is private
            unless this says otherwise. Others route no payments over a private one.
        type: bool
        default: true
      fee_rate:
        description: Satoshis for a virtual byte of the transaction that opens or closes it. Left out, lnd estimates it.
        type: int
      target_blocks:
        description: Within how many blocks the transaction shall be confirmed, from 2 to 1008, where lnd estimates the fee rate.
        type: int
        default: 6
      reopen:
        description:
          - Open it again although it was closed. This holds for as long as it is declared so - if the peer closes it again, the next run opens it again.
        type: bool
        default: false
      force:
        description:
          - Close it without its peer. That costs more, and the money is locked for days. Only for a peer that does not come back.
        type: bool
        default: false
  max_spend:
    description:
      - Satoshis that one run may spend at most, what goes into channels and fees together. Nothing is opened or closed unless this is said.
    type: int
  max_fee_rate:
    description: Satoshis for a virtual byte at most. Where more would be needed, nothing is done.
    type: int
    default: 25
  reserve:
    description:
      - Satoshis that stay in the wallet, confirmed or as change. lnd needs coins to get at the money in channels when a peer cheats or is gone, and
        where it asks for more than this, that counts.
    type: int
    default: 100000
  spend:
    description: Spend real money. Without it, nothing is opened or closed on mainnet.
    type: bool
    default: false
  require_files:
    description:
      - Files on the host without which nothing is opened on mainnet. The default is what the C(lnd) role keeps there for as long as
        the seed is confirmed and a backup of the channels lies on another machine.
    type: list
    elements: path
    default: [/run/bcm/lnd-may-open]
  wait:
    description:
      - How far a channel has to be that is opened, or was pending already. V(pending), its transaction is on its way; V(open), it is confirmed;
        V(active), its peer is there, too, and it can be paid over.
    type: str
    choices: [pending, open, active]
    default: pending
  wait_timeout:
    description: Seconds until it has to be so.
    type: int
    default: 900
  connect_timeout:
    description: Seconds until a peer has to be connected, and to have agreed to a channel. Over Tor, both take their time.
    type: int
    default: 180
seealso:
  - module: bcm.datacenter.lnd_channel_info
"""

EXAMPLES = r"""
- name: Have a channel with a friend
  bcm.datacenter.lnd_channel:
    ca_path: /etc/bcm/lnd/ca.pem
    macaroon_path: /etc/bcm/lnd/channels.macaroon
    channels:
      - name: friend
        peer: 02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619@pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion:9735
        amount: 500000
    max_spend: 510000
    max_fee_rate: 10
    spend: true

- name: Close another together with its peer
  bcm.datacenter.lnd_channel:
    ca_path: /etc/bcm/lnd/ca.pem
    macaroon_path: /etc/bcm/lnd/channels.macaroon
    channels:
      - name: stranger
        state: closed
    max_spend: 2000
    spend: true
"""

RETURN = r"""
channels:
  description: The declared channels as they are afterwards, or would be in check mode, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the channel.
      type: str
      returned: always
    action:
      description: What was done, or would be - V(open), V(reopen), V(close) or V(none).
      type: str
      returned: always
    stage:
      description: How far it is - V(absent), V(pending), V(open), V(closing), V(force_closing) or V(closed).
      type: str
      returned: always
    active:
      description: Whether it can be paid over now.
      type: bool
      returned: always
    note:
      description: What there is to know about it. Mostly empty.
      type: str
      returned: always
    channel_point:
      description: Transaction and output that funded it. Null where there is none yet.
      type: str
      returned: always
    peer:
      description: Public key of the node at its other end.
      type: str
      returned: always
    capacity:
      description: Satoshis in it.
      type: int
      returned: always
    local_balance:
      description: Satoshis of it that are ours.
      type: int
      returned: always
    fee:
      description: Satoshis that the transaction of this run pays, or would. 0 where none is made, and where a channel is closed by force.
      type: int
      returned: always
    fee_rate:
      description: Satoshis for a virtual byte that it pays.
      type: int
      returned: always
    closing_txid:
      description: Transaction that closes it. Empty where there is none.
      type: str
      returned: always
cost:
  description: What all of it costs, in satoshis.
  returned: success
  type: dict
  contains:
    amount:
      description: What goes into channels.
      type: int
    fee:
      description: What goes to miners.
      type: int
    total:
      description: Both.
      type: int
    balance_before:
      description: What the wallet can spend before.
      type: int
    balance_after:
      description: What is left of that, with change that has yet to be confirmed.
      type: int
    reserve:
      description: What has to be left, the larger of O(reserve) and what lnd asks for.
      type: int
  sample: {amount: 500000, fee: 1540, total: 501540, balance_before: 800000, balance_after: 298460, reserve: 100000}
network:
  description: The chain, in lnd's word.
  returned: success
  type: str
  sample: mainnet
"""

import base64
import contextlib
import fcntl
import os
import time
import typing as t
from pathlib import Path
from urllib.parse import quote

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils import _lnd_channel as channels
from ansible_collections.bcm.datacenter.plugins.module_utils._lnd_channel import Action, Coin, Known, Payment, Wish
from ansible_collections.bcm.datacenter.plugins.module_utils._lnd_rest import (
    MACAROON_RULES,
    MACAROON_SPEC,
    REST_SPEC,
    Lnd,
    LndError,
    RefusedError,
    UnansweredError,
    awaited,
    macaroon_of,
    number,
)

LOCKS = Path("/run/lock")
# By which lnd's own subsystems know the coins that they have put aside: the SHA-256 of "lnd-internal-lock-id".
OWN_LEASE = "ede19a92ed321a4705f8a1cccc1d4f6182545d4bb4fae08bd5937831b7e38f98"
OPENS = ("open", "reopen")
# How long lnd keeps coins for a channel whose peer does not go on.
NEGOTIATION = 600


class Node:
    """What the lnd at hand says of channels, coins and peers."""

    def __init__(self, lnd: Lnd) -> None:
        self.lnd = lnd

    def known(self) -> list[Known]:
        return channels.known_channels(
            self.lnd.get("/v1/channels"), self.lnd.get("/v1/channels/pending"), self.lnd.get("/v1/channels/closed")
        )

    def labels(self, wishes: t.Sequence[Wish], known: t.Sequence[Known]) -> dict[str, str]:
        """Names in the labels of closed channels, so far as they may be meant."""
        peers = {wish.pubkey for wish in wishes}
        # One that is declared as closed may come without a peer.
        all_peers = any(not wish.pubkey for wish in wishes)
        meant = [one for one in known if one.stage == channels.CLOSED and one.ours and (all_peers or one.peer in peers)]
        return {one.point: channels.name_in(self.label(one.txid)) for one in meant}

    def label(self, txid: str) -> str:
        try:
            return str(self.lnd.get("/v2/wallet/tx", txid=txid).get("label") or "")
        except RefusedError:
            # A transaction that the wallet does not know has no label.
            return ""

    def mark(self, name: str, txid: str) -> None:
        """Write the name where it can be found after the channel is closed."""
        label = channels.label_with(self.label(txid), name)
        if label:
            raw = base64.b64encode(bytes.fromhex(txid)[::-1]).decode()
            self.lnd.post("/v2/wallet/tx/label", {"txid": raw, "label": label, "overwrite": True})

    def coins(self) -> list[Coin]:
        """Confirmed coins of the account that channels are paid from."""
        said = self.lnd.get("/v1/utxos", min_confs=1, max_confs=2**31 - 1, account="default")
        return [
            Coin(
                str(one["outpoint"]["txid_str"]),
                int(one["outpoint"].get("output_index") or 0),
                number(one.get("amount_sat")),
                str(one.get("address_type")),
            )
            for one in said.get("utxos") or []
            if one.get("address_type") in channels.INPUTS
        ]

    def required_reserve(self, opens: int) -> int:
        return number(self.lnd.get("/v2/wallet/reserve", additional_public_channels=opens).get("required_reserve"))

    def estimated_rate(self, blocks: int) -> int:
        return channels.rate_of(number(self.lnd.get(f"/v2/wallet/estimatefee/{blocks}").get("sat_per_kw")))

    def peers(self) -> set[str]:
        return {str(one.get("pub_key")) for one in self.lnd.get("/v1/peers").get("peers") or []}

    def negotiating(self) -> list[tuple[str, int]]:
        """Coins that are put aside for a channel that is being negotiated."""
        leases = self.lnd.post("/v2/wallet/utxos/leases", {})
        if not leases.get("locked_utxos"):
            return []
        return channels.alive_leases(leases, self.lnd.get("/v1/transactions"), OWN_LEASE)


class Channels:
    """All channels that are declared, and what is to be done about them."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module, self.params, self.check = module, module.params, module.check_mode
        for name, least in (
            ("max_spend", 0),
            ("max_fee_rate", 1),
            ("reserve", 0),
            ("wait_timeout", 0),
            ("connect_timeout", 1),
        ):
            value = self.params[name]
            if value is not None and value < least:
                raise LndError(f"{name}: {value} is too little; allowed: {least} or more")
        try:
            self.wishes = channels.wishes(self.params["channels"])
        except channels.ChannelError as exc:
            raise LndError(str(exc)) from exc
        self.lnd = Lnd(self.params, macaroon_of(self.params))
        self.node = Node(self.lnd)
        self.done: list[Action] = []
        self.touched = False

    def run(self) -> dict[str, t.Any]:
        state = self.lnd.state()
        if state != "active":
            raise LndError(f"{self.lnd.url} is {state}; channels take one that is active. Nothing was done")
        info = self.lnd.get("/v1/getinfo")
        self.network = str(((info.get("chains") or [{}])[0]).get("network"))
        if channels.version_of(str(info.get("version"))) < channels.OLDEST:
            raise LndError(
                f"lnd {info.get('version')} is too old; allowed: {'.'.join(map(str, channels.OLDEST))} or later"
            )
        own = str(info.get("identity_pubkey"))
        if any(wish.pubkey == own for wish in self.wishes):
            raise LndError("peer: is the node itself; allowed: another node")
        with self.alone(own):
            return self.together(bool(info.get("synced_to_chain")))

    @contextlib.contextmanager
    def alone(self, own: str) -> t.Iterator[None]:
        """No other run of this module on this host touches the same node. Check mode disturbs nobody."""
        if self.check:
            yield
            return
        path = LOCKS / f"bcm-lnd-{own[:16]}.lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise LndError(f"{path}, by which runs wait for each other, cannot be opened: {exc.strerror}") from exc
        with os.fdopen(descriptor, "w") as stream:

            def look() -> str:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return "another run is at work on its channels"
                return ""

            awaited("nothing was done", self.params["wait_timeout"], look)
            yield

    def together(self, synced: bool) -> dict[str, t.Any]:
        verdict = self.settled()
        actions = verdict.actions
        opens = [action for action in actions if action.verb in OPENS]
        problems = list(verdict.problems)
        if opens and not synced:
            problems.append("lnd has not caught up with the chain, and does not know which coins it has")
        coins = self.node.coins()
        problems += self.reckon(actions, coins)
        cost = self.cost(actions, coins, len(opens))
        problems += self.limits(actions, cost)
        for text in verdict.warnings:
            self.module.warn(text)
        if problems:
            raise LndError(f"{'; '.join(problems)}. Nothing was done")
        if not self.check:
            for action in actions:
                self.act(action)
            self.wait([action for action in actions if action.verb in OPENS or is_pending(action)])
            self.mark(actions)
        return self.result(actions, cost)

    def settled(self) -> channels.Verdict:
        """What is to be done, once nothing is under way any more that could be one of the channels."""
        limit = max(self.params["wait_timeout"], NEGOTIATION + 60)
        found: list[channels.Verdict] = []

        def look() -> str:
            # First what is under way, then what has come of it: whatever ends in between is in the second answer.
            coins = self.node.negotiating()
            known = self.node.known()
            verdict = channels.decide(self.wishes, known, self.node.labels(self.wishes, known))
            found[:] = [verdict]
            if not coins or not any(action.verb in OPENS for action in verdict.actions):
                return ""
            left = max(0, coins[0][1] - int(time.time()))
            words = f"lnd has put {coins[0][0]} aside for a channel that is being opened, for {left} s more at most"
            if self.check:
                self.module.warn(f"{words}. A run would wait for what comes of it.")
                return ""
            return words

        awaited("nothing was done", limit, look)
        return found[0]

    def reckon(self, actions: t.Sequence[Action], coins: t.Sequence[Coin]) -> list[str]:
        """Give each action its fee and its coins. Returns what is wrong."""
        problems = []
        left, estimates = list(coins), dict[int, int]()
        for action in actions:
            wish = action.wish
            if action.verb == "none" or (action.verb == "close" and wish.force):
                continue
            if wish.fee_rate is None and wish.target_blocks not in estimates:
                estimates[wish.target_blocks] = self.node.estimated_rate(wish.target_blocks)
            action.rate = wish.fee_rate if wish.fee_rate is not None else estimates[wish.target_blocks]
            if action.rate > self.params["max_fee_rate"]:
                problems.append(
                    f"{wish.name}: {action.rate} satoshis for a virtual byte are more than max_fee_rate, {self.params['max_fee_rate']}"
                )
            if action.verb == "close":
                action.fee = channels.fee_of(channels.CLOSING, action.rate)
                continue
            payment = channels.payment(left, wish.amount, action.rate)
            if payment is None:
                problems.append(self.too_little(wish, left, coins))
                continue
            action.payment, action.fee = payment, payment.fee
            left = [coin for coin in left if coin not in payment.coins]
            if payment.fee * 5 > wish.amount + payment.change:
                problems.append(
                    f"{wish.name}: a fee of {payment.fee} satoshis is out of proportion, and lnd would not pay it"
                )
        return problems

    def too_little(self, wish: Wish, left: t.Sequence[Coin], coins: t.Sequence[Coin]) -> str:
        have = sum(coin.amount for coin in left)
        words = f"{wish.name}: {wish.amount} satoshis and the fee are more than the {have} that are confirmed and free"
        if len(left) < len(coins):
            words += "; change of the channels before it can be spent once it is confirmed, in another run"
        return words

    def cost(self, actions: t.Sequence[Action], coins: t.Sequence[Coin], opens: int) -> dict[str, int]:
        amount = sum(action.wish.amount for action in actions if action.verb in OPENS)
        fee = sum(action.fee for action in actions)
        paid = sum(action.cost for action in actions if action.verb in OPENS)
        before = sum(coin.amount for coin in coins)
        reserve = max(self.params["reserve"], self.node.required_reserve(opens)) if opens else self.params["reserve"]
        return {
            "amount": amount,
            "fee": fee,
            "total": amount + fee,
            "balance_before": before,
            "balance_after": before - paid,
            "reserve": reserve,
        }

    def limits(self, actions: t.Sequence[Action], cost: t.Mapping[str, int]) -> list[str]:
        """What the limits have to say against it."""
        busy = [action for action in actions if action.verb != "none"]
        if not busy:
            return []
        problems = []
        opens = [action for action in busy if action.verb in OPENS]
        limit = self.params["max_spend"]
        if limit is None:
            text = f"max_spend: is missing; allowed: satoshis that this may cost, which are {cost['total']} at least"
            # To see the cost is what decides about it.
            if self.check:
                self.module.warn(text)
            else:
                problems.append(text)
        elif cost["total"] > limit:
            problems.append(f"max_spend: {cost['total']} satoshis would be spent, and {limit} may be")
        paid = all(action.payment for action in opens)
        if opens and paid and cost["balance_after"] < cost["reserve"]:
            problems.append(
                f"reserve: {cost['balance_after']} satoshis would be left in the wallet, and {cost['reserve']} have to be"
            )
        if channels.is_mainnet(self.network):
            problems += self.real_money(opens)
        return problems

    def real_money(self, opens: t.Sequence[Action]) -> list[str]:
        found = []
        if not self.params["spend"]:
            found.append(
                f"spend: on {self.network} this is real money; allowed: spend: true, once the cost is what you want to pay"
            )
        if opens:
            found += [
                f"require_files: {path} is not there, so no channel is opened on {self.network}"
                for path in self.params["require_files"]
                if not Path(path).exists()
            ]
        if self.check:
            # To see the cost is what decides about it.
            for text in found:
                self.module.warn(text)
            return []
        return found

    def act(self, action: Action) -> None:
        self.touched |= action.verb != "none"
        if action.verb == "close":
            self.close(action)
        elif action.verb in OPENS:
            self.open(action)
        if action.verb != "none":
            self.done.append(action)

    def connect(self, wish: Wish) -> None:
        if wish.pubkey in self.node.peers():
            return
        if wish.host is None:
            raise LndError(
                f"{wish.name}: its peer is not connected, and peer does not say where it is; allowed: PUBKEY@HOST:PORT"
            )
        limit = self.params["connect_timeout"]
        body = {"addr": {"pubkey": wish.pubkey, "host": wish.host}, "perm": False, "timeout": str(limit)}
        try:
            self.lnd.post("/v1/peers", body, limit + 30)
        except RefusedError as exc:
            # It may have come by itself.
            if "already connected" not in exc.said:
                raise LndError(f"{wish.name}: its peer cannot be reached at {wish.host}: {exc.said}") from exc
        awaited(
            f"{wish.name}: its peer at {wish.host} is not connected",
            30,
            lambda: "" if wish.pubkey in self.node.peers() else "lnd does not list it",
        )

    def open(self, action: Action) -> None:
        wish = action.wish
        self.connect(wish)
        if action.payment is None:
            raise AssertionError("reckon has given it one, or complained")
        body = {
            "node_pubkey": base64.b64encode(bytes.fromhex(wish.pubkey)).decode(),
            "local_funding_amount": str(wish.amount),
            "sat_per_vbyte": str(action.rate),
            "private": wish.private,
            "min_confs": 1,
            "memo": wish.name,
            "outpoints": outpoints(action.payment),
        }
        try:
            self.lnd.post("/v1/channels", body, self.params["connect_timeout"])
        except RefusedError as exc:
            # Whatever it says: if it is there, it was opened.
            if not self.found(wish):
                raise LndError(f"{wish.name}: {exc.said}. It was not opened") from exc
        except UnansweredError as exc:
            self.resolve(wish, exc)
        awaited(
            f"{wish.name}: lnd has opened it, and does not list it",
            self.lnd.timeout,
            lambda: "" if self.found(wish) else "do not open it in another way before it is known what became of it",
        )

    def resolve(self, wish: Wish, cause: UnansweredError) -> None:
        """Find out what became of a request that was not answered. It is not repeated."""

        def look() -> str:
            coins = self.node.negotiating()
            if self.found(wish):
                return ""
            if not coins:
                raise LndError(f"{wish.name}: {cause}. It was not opened; the next run tries again") from cause
            return f"{cause}; lnd still negotiates it, and the next run waits for it"

        awaited(f"{wish.name}: it is not known what became of it", NEGOTIATION + 60, look)

    def found(self, wish: Wish) -> Known | None:
        """The channel of this name, however far it is."""
        living = [one for one in self.node.known() if one.name == wish.name and one.stage != channels.CLOSED]
        order = (channels.OPEN, channels.PENDING, channels.CLOSING_STAGE, channels.FORCE_CLOSING)
        return min(living, key=lambda one: order.index(one.stage), default=None)

    def close(self, action: Action) -> None:
        wish, known = action.wish, action.known
        if known is None:
            raise AssertionError("what is to be closed is there")
        # While it is open its name can still be kept for later.
        if known.ours:
            self.node.mark(wish.name, known.txid)
        query: dict[str, t.Any] = (
            {"force": "true"}
            if wish.force
            else {
                "sat_per_vbyte": action.rate,
                "max_fee_per_vbyte": self.params["max_fee_rate"],
            }
        )
        path = f"/v1/channels/{quote(known.txid, safe='')}/{known.output}"
        try:
            self.lnd.first_of(path, self.params["connect_timeout"], **query)
        except RefusedError as exc:
            raise LndError(f"{wish.name}: {exc.said}. It was not closed") from exc
        except UnansweredError as exc:
            if self.stage_of(known.point) in (channels.OPEN, channels.PENDING):
                raise LndError(f"{wish.name}: {exc}. It is still open; its closing may be under way") from exc
        awaited(
            f"{wish.name}: lnd has taken the order to close it, and it is open",
            self.lnd.timeout,
            lambda: "" if self.stage_of(known.point) != channels.OPEN else "the next run looks again",
        )

    def stage_of(self, point: str) -> str:
        return next((one.stage for one in self.node.known() if one.point == point), "")

    def wait(self, opened: t.Sequence[Action]) -> None:
        wanted = self.params["wait"]
        if wanted == "pending" or not opened:
            return

        def look() -> str:
            for action in opened:
                one = self.found(action.wish)
                stage = one.stage if one else "gone"
                if one is None or stage != channels.OPEN:
                    return f"{action.wish.name} is {stage}; it goes on without this"
                if wanted == "active" and not one.active:
                    return f"{action.wish.name} is open, and its peer is not ready; it goes on without this"
            return ""

        awaited(f"not all channels are {wanted}", self.params["wait_timeout"], look, 2.0)

    def mark(self, actions: t.Sequence[Action]) -> None:
        """Complete the labels of channels that are open. What the memo says already is no change."""
        for action in actions:
            one = self.found(action.wish) if action.verb in OPENS else action.known
            if one is not None and one.stage == channels.OPEN and one.ours and action.verb != "close":
                self.node.mark(action.wish.name, one.txid)

    def result(self, actions: t.Sequence[Action], cost: dict[str, int]) -> dict[str, t.Any]:
        known = self.node.known() if not self.check else []
        after = [described(action, self.now(action, known)) for action in actions]
        before = [described(Action(action.wish, "none", action.known), action.known) for action in actions]
        return {
            "changed": any(action.verb != "none" for action in actions),
            "channels": after,
            "cost": cost,
            "network": self.network,
            "diff": {"before": shown(before), "after": {**shown(after), "cost": cost}}
            if any(action.verb != "none" for action in actions)
            else {"before": shown(before), "after": shown(before)},
        }

    def now(self, action: Action, known: t.Sequence[Known]) -> Known | None:
        if self.check:
            return foreseen(action)
        if action.verb in OPENS:
            return next((one for one in known if one.name == action.wish.name and one.stage != channels.CLOSED), None)
        if action.known is None:
            return None
        return next((one for one in known if one.point == action.known.point), action.known)


def is_pending(action: Action) -> bool:
    """Whether an earlier run has opened it, and it has a way to go."""
    return action.wish.state == "open" and action.known is not None and action.known.stage == channels.PENDING


def outpoints(payment: Payment) -> list[dict[str, t.Any]]:
    return [{"txid_str": coin.txid, "output_index": coin.output} for coin in payment.coins]


def foreseen(action: Action) -> Known | None:
    """What would be there after an action."""
    wish, known = action.wish, action.known
    if action.verb in OPENS:
        return Known("", wish.name, wish.pubkey, wish.amount, channels.PENDING, wish.private)
    if action.verb == "close" and known is not None:
        stage = channels.FORCE_CLOSING if wish.force else channels.CLOSING_STAGE
        return Known(known.point, known.name, known.peer, known.capacity, stage, known.private)
    return known


def described(action: Action, known: Known | None) -> dict[str, t.Any]:
    return {
        "name": action.wish.name,
        "action": action.verb,
        "stage": known.stage if known else "absent",
        "active": bool(known and known.active),
        "note": action.note,
        "channel_point": (known.point or None) if known else None,
        "peer": known.peer if known else action.wish.pubkey,
        "capacity": known.capacity if known else 0,
        "local_balance": known.local_balance if known else 0,
        "fee": action.fee,
        "fee_rate": action.rate,
        "closing_txid": known.closing_txid if known else "",
    }


def shown(found: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """What a diff shows: how far each channel is, and what it holds."""
    return {one["name"]: {key: one[key] for key in ("stage", "peer", "capacity", "fee")} for one in found}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REST_SPEC,
            **MACAROON_SPEC,
            "channels": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "state": {"type": "str", "choices": ["open", "closed"], "default": "open"},
                    "peer": {"type": "str"},
                    "amount": {"type": "int"},
                    "private": {"type": "bool", "default": True},
                    "fee_rate": {"type": "int"},
                    "target_blocks": {"type": "int", "default": 6},
                    "reopen": {"type": "bool", "default": False},
                    "force": {"type": "bool", "default": False},
                },
            },
            "max_spend": {"type": "int"},
            "max_fee_rate": {"type": "int", "default": 25},
            "reserve": {"type": "int", "default": 100000},
            "spend": {"type": "bool", "default": False},
            "require_files": {"type": "list", "elements": "path", "default": ["/run/bcm/lnd-may-open"]},
            "wait": {"type": "str", "choices": ["pending", "open", "active"], "default": "pending"},
            "wait_timeout": {"type": "int", "default": 900},
            "connect_timeout": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
        **MACAROON_RULES,
    )
    found: Channels | None = None
    try:
        found = Channels(module)
        result = found.run()
    except LndError as exc:
        done = found.done if found else []
        words = ", ".join(f"{action.verb} {action.wish.name}" for action in done)
        module.fail_json(
            msg=f"Channels: {exc}" + (f" Done before that: {words}." if words else ""),
            changed=bool(found and found.touched),
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
