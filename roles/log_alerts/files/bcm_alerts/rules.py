# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lines a rule is about, and how it counts them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

# Of a message, what patterns are held against: anybody may write lines, of any length.
LONGEST = 4096
# What this program says itself is no reason for an alert, which might make it say more.
OWN_UNIT = "bcm-alerts.service"

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """Times are in seconds. Lists of names are empty where everybody is meant; * and ? fit in them."""

    name: str
    # lines: so many of them; distinct: so many different values of a field; value: a number that is too high; silent: none at all.
    kind: str
    severity: str
    text: str
    hosts: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    # As urgent as this at least.
    priority: int = 7
    pattern: re.Pattern[str] | None = None
    # What is counted by itself: each host, each source of a host, or the site as a whole.
    per: str = "host"
    count: int = 1
    within: int = 600
    # After so long without such a line it is over.
    quiet: int = 900
    # A line that says that it is over.
    resolved_by: re.Pattern[str] | None = None
    of: str = ""
    above: float = 0.0
    until: float = 0.0

    def concerns_host(self, host: str, tier: str) -> bool:
        return fits(host, self.hosts) and fits(tier, self.tiers)

    def concerns(self, record: Record) -> bool:
        """Whether it looks at lines of this source at all."""
        return (
            self.concerns_host(record.get("host", ""), record.get("tier", ""))
            and fits(record.get("class", ""), self.classes)
            and (not self.sources or any(name and fits(name, self.sources) for name in names(record)))
            and (self.kind == "silent" or record.get("unit") != OWN_UNIT)
        )

    def base(self, record: Record) -> str:
        """What is counted by itself."""
        host, source = record.get("host", ""), record.get("source", "")
        if self.per == "site":
            return ""
        if self.per == "host":
            return str(host)
        # Of a service with several tasks each is looked at by itself.
        slot = f".{record['slot']}" if record.get("slot") else ""
        return f"{host}/{source}{slot}"


def fits(name: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def names(record: Record) -> tuple[str, ...]:
    """All that a person may call the source of a line: a service, a unit with or without its ending, a program."""
    unit = record.get("unit", "")
    return (
        record.get("service", ""),
        unit,
        unit.rpartition(".")[0],
        record.get("identifier", ""),
        record.get("source", ""),
    )


def rule_from(said: Mapping[str, Any]) -> Rule:
    """A rule as the role writes it: what is not said is left away."""
    known = {one.name for one in fields(Rule)}
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in said.items()
        if name in known and value is not None
    }
    for name in ("pattern", "resolved_by"):
        if name in given:
            given[name] = re.compile(given[name])
    return Rule(**given)
