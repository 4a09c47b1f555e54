# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts in the words of a person, and as the records that Kafka gets."""

from __future__ import annotations

import time
from typing import Any

from bcm_alerts.cases import Case, Name
from bcm_alerts.rules import Rule

VERSION = 1
# Of the line that is shown with an alert.
LONGEST_LINE = 500


def moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e6):06d}Z"


def span(seconds: float) -> str:
    for length, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= length:
            number = int(seconds // length)
            return f"{number} {word}{'' if number == 1 else 's'}"
    return f"{int(seconds)} seconds"


def place(name: Name) -> str:
    return ", ".join(part for part in (name.base.replace("/", ": ", 1), name.about) if part)


def raised_words(rule: Rule, name: Name, figure: float) -> str:
    """FIGURE is the value that is too high, or how many there were."""
    where = f"{place(name)}: " if place(name) else ""
    if rule.kind == "silent":
        return f"{where}{rule.text}: nothing for {span(rule.within)}"
    if rule.kind == "value":
        return f"{where}{rule.text}: {figure:g}, and {rule.above:g} is the most"
    if rule.count == 1:
        return f"{where}{rule.text}"
    return f"{where}{rule.text}: {figure:g} times within {span(rule.within)}"


def record(site: str, name: Name, case: Case, severity: str, at: float, reason: str = "") -> dict[str, Any]:
    """What the topic of alerts gets: with a REASON that it is resolved, else that it is raised."""
    told: dict[str, Any] = {
        "v": VERSION,
        "site": site,
        "alert": name.alert,
        "state": "resolved" if reason else "raised",
        "rule": name.rule,
        "severity": severity,
        "host": case.host,
        "time": moment(at),
        "since": moment(case.since),
        "lines": case.count,
        "text": case.text,
    }
    if name.about:
        told["about"] = name.about
    if case.message:
        told["message"] = case.message
    if reason:
        told["reason"] = reason
    return told


def line(told: dict[str, Any]) -> str:
    """An alert as a person reads it."""
    when = told.get("time", "")[:19].replace("T", " ")
    if told.get("state") == "resolved":
        return f"{when}Z resolved  {told.get('text', '')} ({told.get('reason', '')})"
    return f"{when}Z {told.get('severity', ''):9} {told.get('text', '')}"
