# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From lines, and from the passing of time, to alerts. It knows no files, no network and no clock: all of that is told."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from bcm_alerts import words
from bcm_alerts.cases import MOST, OTHERS, Case, Name
from bcm_alerts.rules import LONGEST, Record, Rule

# Seconds for which something that is over is remembered, and after which nobody waits any more for a source that is silent.
KEEP, KEEP_VALUES, FORGET = 3600.0, 86400.0, 7 * 86400.0
# By how many seconds, or which part of its time, it may be remembered earlier than it was that something came of a silent one: of each line
# to remember it would be much to write.
HEARD, PART = 60.0, 20
# Sources of which it is remembered which rules look at them.
MOST_SOURCES = 20_000

Alert = dict[str, Any]


def seconds_of(text: str) -> float:
    return datetime.strptime(text[:26], "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=UTC).timestamp()


def mark_of(record: Record) -> str:
    """What identifies a line wherever it is read, in few letters."""
    told = f"{record.get('host')} {record.get('boot')} {record.get('entry')}"
    return hashlib.blake2s(told.encode(), digest_size=8).hexdigest()


class Engine:
    """Rules, and what is remembered for them."""

    def __init__(
        self,
        site: str,
        rules: Iterable[Rule],
        hosts: Mapping[str, str],
        cases: Mapping[Name, Case] | None = None,
        listened: float = 0.0,
    ) -> None:
        self.site = site
        self.rules = {rule.name: rule for rule in rules}
        self.hosts = dict(hosts)
        self.cases: dict[Name, Case] = dict(cases or {})
        # Up to when it was listened, and when something came last of silent ones, as if it had been listened all the time.
        self.listened = listened
        self.heard = {name: case.last for name, case in self.cases.items() if listened and self.is_silent(name)}
        # Cases that are other than they were when somebody has asked last.
        self.touched: set[Name] = set()
        self.found: dict[tuple[Any, ...], list[Rule]] = {}
        self.numbers: dict[str, int] = {}
        for name in self.cases:
            self.numbers[name.rule] = self.numbers.get(name.rule, 0) + 1

    def is_silent(self, name: Name) -> bool:
        """Whether it is known by its silence."""
        return name.rule in self.rules and self.rules[name.rule].kind == "silent"

    def begin(self, now: float) -> list[Alert]:
        """What was left of rules and hosts that are not declared any more."""
        told = []
        for name, case in list(self.cases.items()):
            rule = self.rules.get(name.rule)
            host = name.base.partition("/")[0]
            if rule is None:
                reason = "there is no such rule any more"
            elif self.hosts and name.base not in ("", OTHERS) and host not in self.hosts:
                reason = f"{host} does not belong to the site any more"
            else:
                continue
            told += self.resolve(name, case, now, reason)
            self.drop(name)
        return told

    def take(self, value: Record, arrived: float) -> list[Alert]:
        """One line, and when it has arrived."""
        told: list[Alert] = []
        rules = self.rules_for(value)
        if not rules:
            return told
        # A clock that is ahead must not make others wait for it. That lines were lost is told with the time of the first that was not.
        at = arrived if value.get("event") == "lost" else min(seconds_of(value["time"]), arrived)
        message = str(value.get("message", ""))[:LONGEST]
        for rule in rules:
            if rule.kind == "silent":
                told += self.hear(rule, value, arrived)
            elif int(value.get("priority", 6)) <= rule.priority or rule.resolved_by is not None:
                told += self.look(rule, value, message, at, arrived)
        return told

    def rules_for(self, value: Record) -> list[Rule]:
        key = tuple(value.get(name) for name in ("host", "tier", "class", "source", "service", "unit", "identifier"))
        if key not in self.found:
            if len(self.found) >= MOST_SOURCES:
                self.found.clear()
            self.found[key] = [rule for rule in self.rules.values() if rule.concerns(value)]
        return self.found[key]

    def look(self, rule: Rule, value: Record, message: str, at: float, arrived: float) -> list[Alert]:
        if rule.resolved_by is not None and rule.resolved_by.search(message):
            return self.over(rule, rule.base(value), at, message)
        if int(value.get("priority", 6)) > rule.priority:
            return []
        match = rule.pattern.search(message) if rule.pattern is not None else None
        if rule.pattern is not None and match is None:
            return []
        groups = match.groupdict() if match is not None else {}
        if rule.kind == "distinct" and not value.get(rule.of):
            return []
        name = self.name_for(Name(rule.name, rule.base(value), (groups.get("about") or "")[:100]))
        case = self.cases.get(name) or Case(host=self.host_of(rule, value, name))
        if rule.kind == "value":
            return self.weigh(rule, name, case, groups.get("value") or "", message, at, arrived)
        mark = str(value[rule.of])[:100] if rule.kind == "distinct" else mark_of(value)
        if case.known(mark):
            return []
        case.remember(at, mark, rule.count)
        case.arrived = arrived
        if case.open:
            case.count += 1
        self.put(name, case)
        recent = case.recent(rule.within)
        return self.raise_(rule, name, case, at, recent, message) if not case.open and recent >= rule.count else []

    def weigh(
        self, rule: Rule, name: Name, case: Case, text: str, message: str, at: float, arrived: float
    ) -> list[Alert]:
        """A number that may be too high."""
        try:
            figure = float(text)
        except ValueError:
            return []
        # Of what comes late, or twice, nothing follows any more.
        if at <= case.last:
            return []
        if figure <= rule.above and name not in self.cases:
            return []
        case.last, case.arrived = at, arrived
        self.put(name, case)
        if case.open:
            return self.resolve(name, case, at, f"it is {figure:g}") if figure <= rule.until else []
        if figure <= rule.above:
            return []
        return self.raise_(rule, name, case, at, figure, message)

    def hear(self, rule: Rule, value: Record, arrived: float) -> list[Alert]:
        """Something came of somebody who must not be silent."""
        name = Name(rule.name, rule.base(value))
        if rule.per == "host" and name.base not in self.hosts:
            return []
        if rule.per == "source" and name not in self.cases:
            # Who has said something once is expected to say more.
            if self.numbers.get(rule.name, 0) >= MOST:
                return []
            self.put(name, Case(host=str(value.get("host", "")), last=arrived))
        self.heard[name] = arrived
        case = self.cases.get(name)
        if case is None or not case.open:
            return []
        case.last = arrived
        self.put(name, case)
        return self.resolve(name, case, arrived, "it says something again")

    def tick(self, now: float, listening: float) -> list[Alert]:
        """Time has passed. LISTENING is since when nothing was missed: who was not heard before may have said something."""
        told = []
        if self.listened < listening:
            self.pass_over(listening)
        self.listened = now
        for rule in self.rules.values():
            if rule.kind == "silent":
                told += self.listen(rule, now, listening)
        for name, case in list(self.cases.items()):
            rule_ = self.rules.get(name.rule)
            if rule_ is None or rule_.kind == "silent":
                continue
            if case.open and now - case.latest >= rule_.quiet:
                told += self.resolve(name, case, now, f"nothing like it for {words.span(rule_.quiet)}")
            keep = max(rule_.within, KEEP_VALUES if rule_.kind == "distinct" else KEEP)
            if not case.open and now - case.latest >= keep:
                self.drop(name)
        return told

    def pass_over(self, listening: float) -> None:
        """Nobody has listened for a while, until LISTENING: that is no silence."""
        for name, at in self.heard.items():
            if at < listening:
                self.heard[name] = min(at + listening - self.listened, listening)

    def listen(self, rule: Rule, now: float, listening: float) -> list[Alert]:
        told = []
        for name in self.expected(rule):
            case = self.cases.get(name)
            # Who was silent before stays so, whoever listens.
            if case is not None and case.open:
                if rule.per == "source" and now - case.since >= FORGET:
                    told += self.resolve(name, case, now, "nobody waits for it any more")
                    self.drop(name)
                continue
            if now - self.heard.setdefault(name, listening) >= rule.within:
                case = case or Case(host=name.base.partition("/")[0])
                self.put(name, case)
                told += self.raise_(rule, name, case, now, 0, "")
        return told

    def expected(self, rule: Rule) -> list[Name]:
        if rule.per == "site":
            return [Name(rule.name, "")]
        if rule.per == "host":
            return [Name(rule.name, host) for host, tier in self.hosts.items() if rule.concerns_host(host, tier)]
        return [name for name in self.cases if name.rule == rule.name]

    def over(self, rule: Rule, base: str, at: float, message: str) -> list[Alert]:
        """A line says that it is over, for all that such lines were about."""
        told = []
        for name, case in list(self.cases.items()):
            if (name.rule, name.base) == (rule.name, base) and at >= case.last:
                case.last = at
                self.put(name, case)
                reason = message[: words.LONGEST_LINE]
                told += self.resolve(name, case, at, reason)
                case.floor = at
        return told

    def raise_(self, rule: Rule, name: Name, case: Case, at: float, figure: float, message: str) -> list[Alert]:
        case.begin(at, 0 if rule.kind == "silent" else int(figure) if rule.kind != "value" else 1)
        case.text = words.raised_words(rule, name, figure)
        case.message = message[: words.LONGEST_LINE]
        self.touched.add(name)
        return [words.record(self.site, name, case, rule.severity, at)]

    def resolve(self, name: Name, case: Case, at: float, reason: str) -> list[Alert]:
        if not case.open:
            return []
        rule = self.rules.get(name.rule)
        told = words.record(self.site, name, case, rule.severity if rule else "warning", at, reason)
        case.end()
        self.touched.add(name)
        return [told]

    def name_for(self, name: Name) -> Name:
        """The name under which a thing is remembered: those that are too many are one."""
        if name in self.cases or self.numbers.get(name.rule, 0) < MOST:
            return name
        return Name(name.rule, OTHERS)

    def host_of(self, rule: Rule, value: Record, name: Name) -> str:
        return "" if rule.per == "site" or name.base == OTHERS else str(value.get("host", ""))

    def put(self, name: Name, case: Case) -> None:
        if name not in self.cases:
            self.numbers[name.rule] = self.numbers.get(name.rule, 0) + 1
        self.cases[name] = case
        self.touched.add(name)

    def drop(self, name: Name) -> None:
        self.heard.pop(name, None)
        if self.cases.pop(name, None) is not None:
            self.numbers[name.rule] -= 1
        self.touched.add(name)

    def changes(self) -> dict[Name, Case | None]:
        """What is other than it was when this was asked last; nothing for what is forgotten."""
        for name, at in self.heard.items():
            case = self.cases.get(name) or Case(host=name.base.partition("/")[0])
            if at - case.last >= min(HEARD, self.rules[name.rule].within / PART) and not case.open:
                case.last = at
                self.put(name, case)
        changed = {name: self.cases.get(name) for name in self.touched}
        self.touched = set()
        return changed

    def open(self) -> list[Alert]:
        """All alerts that are not resolved, the oldest first."""
        told = [
            words.record(self.site, name, case, self.rules[name.rule].severity, case.since)
            for name, case in self.cases.items()
            if case.open and name.rule in self.rules
        ]
        return sorted(told, key=lambda one: (one["since"], one["alert"]))
