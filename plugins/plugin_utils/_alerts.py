# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""Rules by which lines become alerts: those that are always there, what a rule may not be, and how the program is told of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NAME = r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?"
NAME_ALLOWS = "a small letter, then at most 39 small letters, digits or dashes"

KINDS = ("lines", "distinct", "value", "silent")
SEVERITIES = ("warning", "critical")
CLASSES = ("system", "service", "kernel", "audit", "bus")
PRIORITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
PER = ("host", "source", "site")
# Fields of a line whose values can be told apart.
FIELDS = ("boot", "container", "image", "pid", "task", "unit")

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SPAN = r"[1-9][0-9]{0,4}[smhd]"
SPAN_ALLOWS = "seconds, minutes, hours or days, such as 90s, 10m, 2h or 1d"
COUNT_MOST = 100
SILENCE_LEAST, WITHIN_MOST = 60, 7 * 86400


@dataclass(frozen=True)
class RuleFacts:
    """What a rule says where nothing else is said of it."""

    text: str | None = None
    kind: str = "lines"
    severity: str = "warning"
    classes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    pattern: str | None = None
    per: str = "host"
    count: int = 1
    within: str = "10m"
    quiet: str = "15m"
    resolved_by: str | None = None
    of: str | None = None
    above: int | None = None
    until: int | None = None


OWN_RULE = RuleFacts()
RULES = {
    "bitcoin-corrupt": RuleFacts(
        "bitcoind says that its data is damaged",
        severity="critical",
        classes=("service",),
        sources=("bitcoin*",),
        pattern=r"Corrupted block database|LevelDB (read|write) failure|Corruption:|(Error|Failed to) (opening|loading|open|load) (the )?"
        r"(block|coins|chainstate) ?(database|index|tree)|Verification error: |Corrupt block found",
        per="source",
        quiet="1h",
    ),
    "bitcoin-gives-up": RuleFacts(
        "bitcoind cannot go on",
        classes=("service",),
        sources=("bitcoin*",),
        pattern=r"A fatal internal error occurred|System error while (flushing|loading|saving)",
        per="source",
    ),
    "bitcoin-log-limit": RuleFacts(
        "bitcoind holds back lines of its log file, for one place in it says too much",
        classes=("service",),
        sources=("bitcoin*",),
        pattern=r"^(\S+Z )?\[\*\] |Excessive logging detected from ",
        per="source",
    ),
    "bitcoin-rpc-refused": RuleFacts(
        "bitcoind refuses a program that asks it",
        classes=("service",),
        sources=("bitcoin*",),
        # A user who may not call what it calls (HTTP 403), and one whose password is wrong.
        pattern=r"RPC User \S+ not allowed to call |ThreadRPCServer incorrect password attempt",
        per="source",
        quiet="30m",
    ),
    "disk-full": RuleFacts(
        "there is no room left",
        pattern=r"No space left on device|Disk quota exceeded|Disk space is too low|[Ll]ess than \d+ KiB of free space",
        per="source",
    ),
    "disk-nearly-full": RuleFacts(
        "its disk is nearly full, per cent used",
        kind="value",
        sources=("bcm-pulse",),
        pattern=r"^room (?P<about>/\S*) (?P<value>\d+(\.\d+)?) % used",
        above=90,
        until=85,
        quiet="1d",
    ),
    "host-restarts": RuleFacts(
        "it has started again and again", kind="distinct", of="boot", count=4, within="30m", quiet="30m"
    ),
    "lines-lost": RuleFacts(
        "lines were lost before Kafka had them",
        sources=("bcm-shipper",),
        pattern=r"of this host's journal (were removed|cannot be read)",
        quiet="1d",
    ),
    "lightning-fence": RuleFacts(
        "lnd is held or stopped by its fence",
        severity="critical",
        classes=("service",),
        sources=("lnd-*",),
        pattern=r"stays down for ever|^(held|stopping lnd): (nobody outside|for -?\d+ seconds nobody outside|this volume has no number)",
        per="source",
        quiet="30m",
    ),
    "lightning-trouble": RuleFacts(
        "something around lnd does not work",
        sources=("bcm-lnd-guard*",),
        pattern=r"^(lnd|Blocks reach lnd|Copy of lnd's channel backup at \S+|lnd's (channel backup|seed|fence|certificate))\b.*: \S",
        resolved_by=r"^all is well$",
        quiet="1h",
    ),
    "login-refused": RuleFacts(
        "somebody was refused",
        classes=("audit",),
        pattern=r"(?i)failed (password|publickey|keyboard-interactive/pam|none) for|invalid user |authentication failure"
        r"|maximum authentication attempts|connection (closed|reset) by (authenticating|invalid) user|not in sudoers"
        r"|incorrect password attempt|failed (login|su) ",
        count=10,
        quiet="30m",
    ),
    "service-restarts": RuleFacts(
        "its container was made anew again and again",
        kind="distinct",
        classes=("service", "bus"),
        of="container",
        per="source",
        count=4,
    ),
    "silent-host": RuleFacts("it has gone silent", kind="silent", severity="critical", within="15m"),
    "tor-trouble": RuleFacts(
        "Tor does not get through",
        sources=("tor", "tor@*", "tor-*", "*-tor", "Tor"),
        pattern=r"Problem bootstrapping|has not observed any network activity|system clock just jumped"
        r"|clock is (probably )?(wrong|\d+ \w+ (behind|ahead))|Failed to (open|bind|listen)|Could not bind|not enough directory information",
        resolved_by=r"Bootstrapped 100%|now sees network activity",
        quiet="1h",
    ),
    "unit-restarts": RuleFacts(
        "it starts again and again",
        sources=("systemd",),
        pattern=r"^(?P<about>\S+): Scheduled restart job, restart counter is at \d+",
        count=5,
    ),
}


def seconds(span: str) -> int:
    """Return how long SPAN is, such as 90s or 10m."""
    return int(span[:-1]) * _SECONDS[span[-1]]


@dataclass(frozen=True)
class Problem:
    """What is wrong with a key of a rule."""

    key: str
    value: Any
    words: str
    allowed: str


# What has a meaning for some kinds only, and what these cannot do without.
_MEANS = {
    "pattern": ("lines", "distinct", "value"),
    "priority": ("lines", "distinct", "value"),
    "resolved_by": ("lines", "distinct"),
    "of": ("distinct",),
    "above": ("value",),
    "until": ("value",),
}
_NEEDS = {"of": ("distinct",), "above": ("value",), "pattern": ("value",)}


def problems(rule: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what the keys of RULE, each of which is sound by itself, cannot be together."""
    kind = rule["kind"]
    if not rule["text"]:
        yield Problem("text", rule["text"], "is missing", "what such an alert says, in one line")
    for key, kinds in _MEANS.items():
        if rule[key] is not None and kind not in kinds:
            yield Problem(
                key, rule[key], f"has no meaning for the kind {kind}", f"null, or the kind {' or '.join(kinds)}"
            )
    for key, kinds in _NEEDS.items():
        if rule[key] is None and kind in kinds:
            allowed = {"of": ", ".join(FIELDS), "above": "a number"}.get(key, "a pattern with (?P<value>...)")
            yield Problem(key, None, f"is missing, and the kind {kind} needs it", allowed)
    yield from _patterns(rule)
    yield from _figures(rule)


def _patterns(rule: Mapping[str, Any]) -> Iterator[Problem]:
    for key in ("pattern", "resolved_by"):
        text = rule[key]
        if text is None:
            continue
        try:
            found = re.compile(text)
        except (re.error, OverflowError) as error:
            yield Problem(key, text, f"cannot be read: {error}", "a pattern of Python's re")
            continue
        if found.search(""):
            yield Problem(key, text, "fits every line", "a pattern that needs some text")
        elif key == "pattern" and rule["kind"] == "value" and "value" not in found.groupindex:
            yield Problem(key, text, "does not say where the number is", "a pattern with (?P<value>...)")
    chosen = rule["pattern"] or rule["sources"] or rule["priority"] not in (None, "info", "debug")
    if rule["kind"] == "lines" and not chosen:
        problem = "is missing, and all lines would do: nothing says which are meant"
        yield Problem("pattern", rule["pattern"], problem, "a pattern, or sources, or a priority")


def _figures(rule: Mapping[str, Any]) -> Iterator[Problem]:
    kind, count, within = rule["kind"], rule["count"], rule["within"]
    if kind == "distinct" and count < 2:
        yield Problem("count", count, "is there as soon as anything is", f"a whole number from 2 to {COUNT_MOST}")
    if kind in ("value", "silent") and count != 1:
        yield Problem("count", count, f"has no meaning for the kind {kind}", "1")
    if kind == "silent" and seconds(within) < SILENCE_LEAST:
        yield Problem("within", within, "is too short for a silence", "at least 60s")
    if seconds(within) > WITHIN_MOST:
        yield Problem("within", within, "is longer than anything is remembered", "at most 7d")
    if None not in (rule["above"], rule["until"]) and rule["until"] > rule["above"]:
        problem = f"is above {rule['above']}, so that the alert would end as soon as it begins"
        yield Problem("until", rule["until"], problem, f"at most {rule['above']}")


def told(name: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    """RULE as the program takes it."""
    result = {
        key: rule[key]
        for key in ("kind", "severity", "text", "hosts", "tiers", "classes", "sources", "pattern", "per", "count")
    }
    result |= {"name": name, "within": seconds(rule["within"]), "quiet": seconds(rule["quiet"])}
    result |= {"resolved_by": rule["resolved_by"], "of": rule["of"], "above": rule["above"]}
    result["priority"] = PRIORITIES.index(rule["priority"]) if rule["priority"] else None
    result["until"] = rule["above"] if rule["until"] is None else rule["until"]
    return {key: value for key, value in result.items() if value not in (None, [], ())}
