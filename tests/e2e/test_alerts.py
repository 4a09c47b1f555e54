# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody has to look at is told once, whichever manager looks for it."""

from __future__ import annotations

import json
import time
from typing import Any

from standing import Site, wait_for


def alerts(site: Site, command: str = "open") -> list[dict[str, Any]]:
    said = site.ask(site.tier("manager")[-1], "bcm-alerts", *command.split(), "--json")
    return [json.loads(line) for line in said.splitlines()]


def roles(site: Site) -> dict[str, str]:
    """What each manager does."""
    said = {name: site.run(name, "bcm-alerts", "status", "--json").stdout for name in site.tier("manager")}
    return {name: json.loads(told)["role"] for name, told in said.items()}


def whoever_works(site: Site) -> str:
    def known() -> str:
        found = roles(site)
        others = [role for role in found.values() if role != "works"]
        works = [name for name, role in found.items() if role == "works"]
        return works[0] if len(works) == 1 and set(others) <= {"waits"} else ""

    name: str = wait_for("one manager that looks for alerts, and others that wait", known, 120)
    return name


def trouble(site: Site, host: str) -> dict[str, Any]:
    """Tor does not get through, it says; and what is known of it within ten seconds."""
    site.ask(host, "logger", "--tag=Tor", "Problem bootstrapping. Stuck at 5% (conn): Connecting to a relay.")

    def seen() -> list[dict[str, Any]]:
        return [one for one in alerts(site) if one["alert"] == f"tor-trouble/{host}"]

    (found,) = wait_for("the alert", seen, 10)
    return dict(found)


def over(site: Site, host: str) -> None:
    site.ask(host, "logger", "--tag=Tor", "Bootstrapped 100% (done): Done")
    name = f"tor-trouble/{host}"
    wait_for("its end", lambda: name not in [one["alert"] for one in alerts(site)], 10)


def test_verify_tells_of_alerts_in_plain_words(site: Site, tmp_path: Any) -> None:
    works = whoever_works(site)
    found = trouble(site, "bitcoin-1")
    assert found["text"] == "bitcoin-1: Tor does not get through"
    wait_for("what is said of it", lambda: found["text"] in site.run(works, "bcm-alerts", "status").stdout, 10)
    parts = {part["host"]: part["part"] for part in site.verify(tmp_path)["parts"] if part["part"].startswith("Alerts")}
    assert sorted(parts) == site.tier("manager")
    assert found["text"] in parts[works]
    assert {part for host, part in parts.items() if host != works} <= {"Alerts (waits, another manager looks for them)"}
    over(site, "bitcoin-1")


def test_another_manager_goes_on(site: Site) -> None:
    works = whoever_works(site)
    trouble(site, "bitcoin-1")
    before = len(alerts(site, "history 1"))
    site.ask(works, "systemctl", "kill", "--signal=SIGKILL", "bcm-alerts.service")
    began = time.monotonic()
    site.ask("bitcoin-1", "logger", "--tag=Tor", "Problem bootstrapping. Stuck at 5% (conn): Connecting to a relay.")
    whoever_works(site)
    print(f"{time.monotonic() - began:.0f} s until somebody looks again")
    told = [one for one in alerts(site, "history 1")[before:] if one["alert"] == "tor-trouble/bitcoin-1"]
    assert told == []
    over(site, "bitcoin-1")
