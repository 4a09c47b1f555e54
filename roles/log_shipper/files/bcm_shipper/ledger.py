# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers, limits and secrets of each source. All of it is one state that follows from the entries alone, so that what is
read a second time gets the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

# Who logs under ever new names does not make the state grow without end. Where there are as many, those that have said nothing for so
# many days make room.
MOST_SOURCES = 1000
KEPT_DAYS = 30
OTHERS = "other"
DAY = 86_400_000_000
# Records that may be under way at once.
MOST_UNDER_WAY = 20_000


class Source(NamedTuple):
    """What is known of one source after one of its lines."""

    # How many of its lines were sent.
    number: int = 0
    # The time of its limit that it is in, in whole intervals since 1970, its lines in it, and how many of them were left out.
    window: int = 0
    lines: int = 0
    left_out: int = 0
    # Lines of a secret that are still to come.
    hidden: int = 0
    # When it logged last, in whole days since 1970.
    day: int = 0


class Limit(NamedTuple):
    """How many lines a source may have sent in an interval."""

    source: str
    lines: int
    seconds: int


class Ledger:
    """The sources by their names, CLASS/SOURCE."""

    def __init__(
        self, sources: Mapping[str, Source] | None = None, limits: tuple[Limit, ...] = (), skipped: int = 0
    ) -> None:
        self.sources = dict(sources or {})
        self.limits = limits
        self.skipped = skipped
        self.found: dict[str, Limit | None] = {}
        # Those that have made room, until somebody takes note of it.
        self.gone: list[str] = []
        # The day on which there was nobody any more who could.
        self.crowded = -1
        # Of which lines were left out that nobody was told of yet.
        self.behind = {name for name, source in self.sources.items() if source.left_out}

    def name(self, kind: str, source: str, microseconds: int) -> tuple[str, str]:
        """The name under which a source that logs now is kept, and the source: those that are too many are one."""
        name, day = f"{kind}/{source}", microseconds // DAY
        if name not in self.sources and len(self.sources) >= MOST_SOURCES:
            self.make_room(day)
            if len(self.sources) >= MOST_SOURCES:
                name, source = f"{kind}/{OTHERS}", OTHERS
        self.seen(name, day)
        return name, source

    def seen(self, name: str, day: int) -> None:
        known = self.sources.get(name, Source())
        if day > known.day:
            self.sources[name] = known._replace(day=day)

    def make_room(self, day: int) -> None:
        """Forget who has been silent for long. If they come back they begin with the number 1 again."""
        if day == self.crowded:
            return
        silent = [
            name for name, source in self.sources.items() if source.day < day - KEPT_DAYS and name not in self.behind
        ]
        for name in silent:
            del self.sources[name]
            self.found.pop(name, None)
        self.gone += silent
        self.crowded = -1 if silent else day

    def take_gone(self) -> tuple[str, ...]:
        gone, self.gone = tuple(self.gone), []
        return gone

    def limit(self, name: str) -> Limit | None:
        if name not in self.found:
            source = name.partition("/")[2]
            fits = (limit for limit in self.limits if fnmatchcase(source, limit.source))
            self.found[name] = next(fits, None)
        return self.found[name]

    def count(self, name: str, microseconds: int) -> bool:
        """Count a line of a source; whether it is within its limit."""
        limit = self.limit(name)
        if limit is None:
            return True
        source = self.sources.get(name, Source())
        window = microseconds // (limit.seconds * 1_000_000)
        # What was left out before is told first, see overdue().
        lines = source.lines + 1 if window == source.window else 1
        within = lines <= limit.lines
        left_out = source.left_out + (0 if within else 1)
        self.sources[name] = source._replace(window=window, lines=lines, left_out=left_out)
        if not within:
            self.behind.add(name)
        return within

    def overdue(self, microseconds: int) -> list[tuple[str, int, Limit | None]]:
        """Sources of which lines were left out in an interval that is over: the name, how many, and the limit."""
        if not self.behind:
            return []
        overdue = []
        for name in sorted(self.behind):
            source, limit = self.sources[name], self.limit(name)
            # One that has no limit any more is over, too.
            if limit is None or microseconds // (limit.seconds * 1_000_000) != source.window:
                overdue.append((name, source.left_out, limit))
                self.sources[name] = source._replace(left_out=0)
        self.behind.difference_update(name for name, _lines, _limit in overdue)
        return overdue

    def hidden(self, name: str) -> int:
        source = self.sources.get(name)
        return source.hidden if source is not None else 0

    def hide(self, name: str, lines: int) -> None:
        if lines != self.hidden(name):
            self.sources[name] = self.sources.get(name, Source())._replace(hidden=lines)

    def next_number(self, name: str) -> int:
        source = self.sources.get(name, Source())
        self.sources[name] = source._replace(number=source.number + 1)
        return source.number + 1 + self.skipped

    def skip(self, entries: int) -> None:
        """Entries are missing: numbers go on further up. Some of the missing ones may have been under way with the next numbers,
        and may even have arrived; no other line gets these."""
        self.skipped += entries + MOST_UNDER_WAY


def sources_from(kept: Mapping[str, Any]) -> dict[str, Source]:
    return {name: Source(*values) for name, values in kept.items()}
