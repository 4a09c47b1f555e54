# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines as the shipper sends them, rules as the program takes them, and somebody who tells an engine of both."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 11, 29, 18, 30, tzinfo=UTC).timestamp()
HOSTS = {"manager-1": "manager", "bitcoin-1": "bitcoin", "server-1": "endpoint"}


def line(number: int, message: str, at: float = 0.0, **others: Any) -> dict[str, Any]:
    """A line that came so many seconds after NOW."""
    told = {"v": 1, "site": "home", "host": "manager-1", "tier": "manager", "class": "system", "source": "app.service"}
    told |= {"unit": "app.service", "identifier": "app", "boot": "b", "entry": f"a:{number:x}", "priority": 6}
    time = datetime.fromtimestamp(NOW + at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {**told, "number": number, "time": time, "message": message, **others}


def rule(**said: Any) -> Any:
    """A rule."""
    from bcm_alerts.rules import rule_from

    return rule_from({"name": "mine", "kind": "lines", "severity": "warning", "text": "it fails", **said})


def engine(*rules: Any, hosts: dict[str, str] | None = None, cases: Any = None, listened: float = 0.0) -> Any:
    from bcm_alerts.engine import Engine

    return Engine("home", rules, HOSTS if hosts is None else hosts, cases, listened)


class Teller:
    """Tells an engine lines, one after the other, and what time it is; says what came of it in few words."""

    def __init__(self, *rules: Any, **options: Any) -> None:
        self.engine = engine(*rules, **options)
        self.number = 0

    def say(self, message: str, at: float = 0.0, **others: Any) -> list[str]:
        self.number += 1
        told = line(others.pop("number", self.number), message, at, **others)
        return self.words(self.engine.take(told, NOW + max(at, 0.0)))

    def wait(self, until: float, listening: float = 0.0) -> list[str]:
        return self.words(self.engine.tick(NOW + until, NOW + listening))

    def open(self) -> list[str]:
        return [one["alert"] for one in self.engine.open()]

    @staticmethod
    def words(alerts: list[dict[str, Any]]) -> list[str]:
        return [f"{one['state']} {one['alert']}" for one in alerts]
