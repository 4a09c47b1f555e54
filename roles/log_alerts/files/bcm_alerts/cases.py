# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of one thing that a rule looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

# Lines, or values, that are remembered at least: who sends again what was not acknowledged may send it twice.
REMEMBERED = 32
# Things of one rule that are remembered by themselves. The others are one.
MOST = 500
OTHERS = "other"


class Name(NamedTuple):
    """By which a case is known: the rule, what is counted by itself, and what the line was about, if the rule looks at that."""

    rule: str
    base: str
    about: str = ""

    @property
    def alert(self) -> str:
        return "/".join(part for part in self if part)


@dataclass
class Case:
    """All times are in seconds since 1970."""

    host: str = ""
    # Time and mark of the last lines that fitted, or the values and when each was seen first.
    seen: list[list[Any]] = field(default_factory=list)
    # When such a line came last; of a silent one without the time in which nobody listened. Those up to FLOOR were of an alert that is over.
    last: float = 0.0
    floor: float = 0.0
    # When such a line was read last: long after its own time, where a host was away, or where its clock is behind.
    arrived: float = 0.0
    # Since when there is an alert, 0 if there is none, and how many lines it has.
    since: float = 0.0
    count: int = 0
    # What was said when it was raised.
    text: str = ""
    message: str = ""

    @property
    def open(self) -> bool:
        return self.since > 0

    @property
    def latest(self) -> float:
        """Since when there was nothing, as somebody knows who only reads."""
        return max(self.last, self.arrived)

    def known(self, mark: str) -> bool:
        return any(one[1] == mark for one in self.seen)

    def remember(self, at: float, mark: str, most: int) -> None:
        self.seen.append([at, mark])
        self.seen.sort(key=lambda one: one[0])
        del self.seen[: -max(most, REMEMBERED)]
        self.last = max(self.last, at)

    def recent(self, within: float) -> int:
        """How many there are in the last so many seconds before the last one, without those of an alert that is over."""
        return sum(1 for at, _mark in self.seen if at > self.floor and at > self.last - within)

    def begin(self, since: float, count: int) -> None:
        self.since, self.count = since, count

    def end(self) -> None:
        self.since, self.count, self.text, self.message = 0.0, 0, "", ""
        self.floor = self.last

    def said(self) -> dict[str, Any]:
        """As it is kept: without what is as it was at the beginning."""
        return {name: value for name, value in asdict(self).items() if value}


def case_from(said: Mapping[str, Any]) -> Case:
    known = {one.name for one in fields(Case)}
    return Case(**{name: value for name, value in said.items() if name in known})
