# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs beside lnd all the time: asks for the fence, sends copies, watches blocks, and writes down what is to be said."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from . import fence, seed, status
from .config import Config, TroubleError, load, write
from .fence import Said, Verdict
from .rest import AnswerError, Lnd
from .scb import Copier, Places

Object = dict[str, Any]

# Seconds between two looks at the backup, two questions for the fence and for lnd's state, and two looks into the copies.
TICK, ASK, LOOK = 1.0, 10.0, 3600.0


class Guard:
    """All that is known, and what follows from it."""

    def __init__(
        self,
        config: Config,
        lnd: Lnd,
        places: Places | None = None,
        ask_all: Callable[[Config], list[Said]] = fence.ask_all,
        held: Callable[[Config], str | None] = status.held,
        clock: Callable[[], float] = time.time,
        restart: Callable[[Config], None] = seed.done,
        end: Callable[[Config], None] = status.end,
    ) -> None:
        self.restart, self.end = restart, end
        # Since when it must not run any more.
        self.over: float | None = None
        self.missing = ""
        # The backup that lnd itself does not take for one.
        self.damaged: str | None = None
        self.config, self.lnd, self.ask_all, self.held, self.clock = config, lnd, ask_all, held, clock
        self.copier = Copier(config, places or Places(config), clock)
        self.verdict = Verdict(False, None, "nobody has been asked yet")
        self.state, self.trouble = "", "nobody has asked it yet"
        self.waits: str | None = None
        self.info: Object | None = None
        self.tip, self.tip_since, self.proven, self.awaiting = "", clock(), 0, False
        self.wanted: int | None = None
        self.asked = self.looked = float("-inf")
        self.told: str | None = None

    # -- what is done again and again

    def turn(self) -> None:
        """A look that may fail. Whoever cannot look lets nobody open a channel."""
        try:
            self.tick()
        except (TroubleError, OSError, ValueError, KeyError, TypeError) as error:
            self.config.may_open.unlink(missing_ok=True)
            self.say(f"could not look: {type(error).__name__}: {error}")

    def tick(self) -> None:
        now = self.clock()
        content = self.copier.look()
        # A clock that was set back is no reason to be silent until it has caught up.
        due = not 0 <= now - self.asked < ASK
        if due:
            self.asked = now
            self.of_fence()
            self.of_lnd()
        # A backup of an lnd that must not run would take the place of a good one, and so would one without the channels that are being brought back.
        if content is not None and self.verdict.confirmed and not self.config.recovering.exists():
            self.of_backup(content, now)
        if due:
            self.write()

    def of_fence(self) -> None:
        # From before the question: while one of them is slow to answer, another may be told of the next number.
        asked = self.clock()
        said = self.ask_all(self.config)
        self.verdict = fence.confirm(self.config, said, asked)
        self.copier.heard(said)
        self.enforce()

    def enforce(self) -> None:
        """The entry point tells an lnd to stop that must not run any more. One that hangs in that would run on beside its successor."""
        now = self.clock()
        if not fence.over(self.config, now):
            self.over = None
            return
        self.over = now if self.over is None else self.over
        if now - self.over >= fence.STOP:
            self.end(self.config)

    def of_lnd(self) -> None:
        self.state, self.trouble, self.info, self.waits = "", "", None, None
        try:
            self.state = self.lnd.state()
            if self.state == "SERVER_ACTIVE":
                self.info = self.lnd.ask("GET", "/v1/getinfo")
                self.of_block(self.info)
                self.wanted = self.channels()
                self.have_towers()
            self.of_return()
        except TroubleError as error:
            self.trouble, self.waits = str(error), self.held(self.config)

    def of_return(self) -> None:
        """A seed that is being brought back: lnd forgets about that with each start, and lets nobody in until it is done."""
        self.missing = ""
        if not self.config.recovering.exists() or not self.config.wallet.exists() or not self.verdict.confirmed:
            return
        if self.state == "LOCKED":
            self.missing = "lnd opens its wallet"
            seed.unlock(self.config, self.lnd)
        elif self.state in ("RPC_ACTIVE", "SERVER_ACTIVE"):
            self.missing = seed.returned(self.config, self.lnd)
            if not self.missing and self.state == "SERVER_ACTIVE":
                self.say("the seed is brought back: lnd begins anew")
                self.restart(self.config)

    def of_block(self, info: Object) -> None:
        """lnd asks bitcoind for the tip each time, and its wallet is at it only when the block itself has come by ZMQ."""
        tip, now = str(info.get("block_hash")), self.clock()
        if tip != self.tip:
            self.awaiting = bool(self.tip)
            self.tip, self.tip_since = tip, now
        if self.awaiting and info.get("synced_to_chain"):
            self.proven, self.awaiting = self.proven + 1, False

    def channels(self) -> int:
        """How many there are that a backup has to hold: those that are open, and those that wait for their first block."""
        there = self.lnd.ask("GET", "/v1/channels").get("channels") or []
        pending = self.lnd.ask("GET", "/v1/channels/pending").get("pending_open_channels") or []
        return len(there) + len(pending)

    def have_towers(self) -> None:
        if not self.config.towers:
            return
        known = {one["pubkey"] for one in self.lnd.ask("GET", "/v2/watchtower/client").get("towers") or []}
        for tower in self.config.towers:
            key, _at, address = tower.partition("@")
            packed = base64.b64encode(bytes.fromhex(key)).decode()
            if packed not in known:
                self.lnd.ask("POST", "/v2/watchtower/client", {"pubkey": packed, "address": address})

    def of_backup(self, content: bytes, now: float) -> None:
        if self.state == "SERVER_ACTIVE" and self.copier.channels is None:
            try:
                self.copier.count(self.lnd, content)
            except TroubleError as error:
                # It may just have stopped, or begun anew, and what it says then says nothing of the backup: another time.
                if isinstance(error, AnswerError) and self.still_active():
                    self.refused(
                        f"lnd does not take its own channel backup for one, and no copy of it is sent: {error}"
                    )
                    return
        self.copier.send(content)
        if self.state == "SERVER_ACTIVE" and now - self.looked >= LOOK:
            self.looked = now
            self.copier.check(self.lnd)

    def refused(self, words: str) -> None:
        """It is looked at each second, and said once."""
        if self.copier.current != self.damaged:
            self.damaged = self.copier.current
            self.say(words)

    def still_active(self) -> bool:
        try:
            return self.lnd.state() == "SERVER_ACTIVE"
        except TroubleError:
            return False

    # -- what is said

    def parts(self) -> list[Object]:
        config, now = self.config, self.clock()
        # While a seed is brought back it is the guard who opens the wallet.
        state = "" if self.state == "LOCKED" and config.recovering.exists() else self.state
        return [
            status.of_lnd(state, self.trouble, self.waits),
            status.of_fence(self.verdict),
            *(
                [status.of_chain(self.info, self.tip_since, now, config.block_lag, self.proven)]
                if self.state == "SERVER_ACTIVE"
                else []
            ),
            status.of_seed(config),
            *([status.of_return(self.missing)] if config.recovering.exists() else []),
            *status.of_copies(config, self.copier, now, self.wanted),
            *([status.of_certificate(self.lnd.expires, now)] if self.lnd.expires is not None else []),
        ]

    def report(self) -> Object:
        """What bcm-lnd status shows, and what others read before they spend."""
        now = self.clock()
        closed = status.why_closed(self.config, self.copier, self.verdict, self.wanted)
        return {
            "node": self.config.node,
            "network": self.config.network,
            "time": int(now),
            "state": self.state or None,
            "pubkey": (self.info or {}).get("identity_pubkey"),
            "block": (self.info or {}).get("block_height"),
            "synced": bool((self.info or {}).get("synced_to_chain")),
            "blocks_seen": self.proven,
            "fence": {
                "own": self.config.own_number(),
                "current": self.verdict.number,
                "confirmed": self.verdict.confirmed,
            },
            "channels": self.wanted,
            "backup": {
                "channels": self.copier.channels,
                "age": None if self.copier.changed is None else int(now - self.copier.changed),
                "copies": [copy.shown(self.copier.current, now) for copy in self.copier.copies.values()],
            },
            # With play money nobody is held up.
            "may_open": not closed or not self.config.real_money,
            "why_not": closed,
            "parts": self.parts(),
        }

    def write(self) -> None:
        told = self.report()
        # First what forbids, last what allows.
        if told["why_not"]:
            self.config.may_open.unlink(missing_ok=True)
        write(self.config.gate, json.dumps(told, sort_keys=True) + "\n", 0o644)
        if not told["why_not"] and not self.config.may_open.exists():
            write(self.config.may_open, "", 0o644)
        broken = "; ".join(f"{one['part']}: {one['cause']}" for one in told["parts"] if not one["works"])
        # Ages change with each look: only which parts are broken is news.
        names = "; ".join(sorted(one["part"].partition(" (")[0] for one in told["parts"] if not one["works"]))
        if names != self.told:
            self.told = names
            self.say(broken or "all is well")

    def say(self, words: str) -> None:
        print(words, file=sys.stderr, flush=True)


def main() -> int:
    config = load()
    guard = Guard(config, Lnd(config))
    while True:
        guard.turn()
        time.sleep(TICK)
