# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads, thinks, remembers; until something fails, or the seat is another one's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from bcm_alerts.book import Memory, Place
from bcm_alerts.cases import Case, Name
from bcm_alerts.engine import Alert, Engine
from bcm_alerts.kafka import SetbackError, Trouble
from bcm_alerts.settings import Settings

# Seconds: how long lines are waited for, how often time passes for the rules, how soon what was found out is written, how often it is
# written although there is nothing new (who reads that knows that all of this works), and how often it is looked for new partitions.
WAIT, TICK, KEEP, BEAT, LOOK = 0.5, 1.0, 1.0, 30.0, 300.0
# Lines after which what follows from them is written, however fast they come.
MOST = 20_000


class AnyBook(Protocol):
    def open(self) -> Memory: ...

    def keep(
        self,
        places: Mapping[Place, int],
        cases: Mapping[Name, Case | None],
        alerts: list[Alert],
        at: float,
        listened: float = 0.0,
    ) -> None: ...

    def close(self) -> None: ...


class AnyStream(Protocol):
    def open(self, places: Mapping[Place, int], now: float) -> dict[Place, int]: ...
    def read(self, seconds: float, now: float) -> Iterator[tuple[Place, int, bytes]]: ...
    def live(self, places: Mapping[Place, int], now: float) -> bool: ...
    def grown(self, places: Mapping[Place, int]) -> bool: ...
    def close(self) -> None: ...


class AnySeat(Protocol):
    def poll(self, seconds: float) -> bool: ...


class Session:
    """From when the seat is given to this one."""

    def __init__(
        self,
        settings: Settings,
        book: AnyBook,
        stream: AnyStream,
        trouble: Trouble,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.book = book
        self.stream = stream
        self.trouble = trouble
        self.clock = clock
        memory = book.open()
        now = clock()
        self.places = stream.open(memory.places, now)
        self.engine = Engine(settings.site, settings.rules, settings.hosts, memory.cases, memory.listened)
        self.alerts = self.engine.begin(now)
        # Since when all that comes is seen at once.
        self.listening = 0.0
        self.lines = 0
        self.ticked = self.looked = now
        # At once: who cannot write would find that out when there is something to say.
        self.kept = 0.0
        self.keep(now)

    def run(self, seat: AnySeat, stopping: Callable[[], bool], alive: Callable[[], object] = bool) -> None:
        """Until STOPPING says so, or the seat is lost."""
        while seat.poll(0) and not stopping():
            self.advance()
            alive()
        if not stopping():
            return
        # An orderly stop: whoever comes next begins here.
        self.keep(self.clock())

    def advance(self) -> None:
        now = self.clock()
        for place, number, value in self.stream.read(WAIT, now):
            self.take(value, now)
            self.places[place] = number + 1
            self.lines += 1
        now = self.clock()
        if now - self.ticked >= TICK:
            self.ticked = now
            self.tick(now)
        if now - self.looked >= LOOK:
            self.looked = now
            if self.stream.grown(self.places):
                raise SetbackError("topics have other partitions than before")
        news = bool(self.alerts or self.engine.touched)
        if (news and now - self.kept >= KEEP) or self.lines >= MOST or now - self.kept >= BEAT:
            self.keep(now)

    def take(self, value: bytes, now: float) -> None:
        try:
            self.alerts += self.engine.take(record_of(value), now)
        except Exception:
            # Not of the shipper's. Whatever it is, nobody would read on if this one ended here, or the next one, which begins with it.
            return

    def tick(self, now: float) -> None:
        before = self.listening
        # What is over, and who is silent, is known when all that there is was read.
        self.listening = (before or now) if self.stream.live(self.places, now) else 0.0
        if self.listening:
            self.alerts += self.engine.tick(now, self.listening)
        if bool(before) != bool(self.listening):
            self.tell("works")

    def keep(self, now: float) -> None:
        self.book.keep(self.places, self.engine.changes(), self.alerts, now, self.engine.listened)
        self.alerts = []
        self.lines = 0
        self.kept = now
        self.tell("works")

    def tell(self, role: str) -> None:
        tell(
            self.settings,
            self.trouble,
            role,
            kept=self.kept,
            live=self.listening > 0,
            open=self.engine.open(),
        )


def record_of(value: bytes) -> Any:
    """A line as it was sent. JSON can say half a letter (\\ud800), which nobody could write again; it is one that is unknown."""
    # What Python makes of bytes by itself is half letters, too.
    record = json.loads(value.decode("utf-8", "replace"))
    if b"\\u" not in value:
        return record
    return json.loads(json.dumps(record, ensure_ascii=False).encode("utf-8", "replace"))


def tell(settings: Settings, trouble: Trouble, role: str, **more: Any) -> None:
    """What `status` says."""
    told = {"at": time.time(), "role": role, "error": trouble.words, "error_since": trouble.since, **more}
    new = Path(f"{settings.runtime}.new")
    new.write_text(json.dumps(told), encoding="utf-8")
    new.replace(settings.runtime)
