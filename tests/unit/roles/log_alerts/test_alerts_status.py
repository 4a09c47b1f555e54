# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person or verify.yml is told."""

from __future__ import annotations

import json
import time

import pytest
from bcm_alerts import status
from bcm_alerts.settings import settings_from
from bcm_alerts.words import line, span

from ansible_collections.bcm.datacenter.tests.unit.roles.log_alerts.telling import HOSTS


def alert(name="mine/manager-1", severity="warning", **others):
    told = {"alert": name, "severity": severity, "since": "2026-11-29T18:30:00.000000Z", "text": f"{name} fails"}
    return {**told, "time": told["since"], "state": "raised", **others}


@pytest.fixture
def report(tmp_path, monkeypatch):
    """What is said where the program has told this."""
    rules = [{"name": "mine", "kind": "lines", "severity": "warning", "text": "x", "pattern": "x", "within": 60}]
    said = {"site": "home", "host": "m", "brokers": ["b:1"], "rules": rules, "hosts": HOSTS, "topics": ["audit"]}
    settings = settings_from({**said, "runtime": str(tmp_path / "status.json")})
    monkeypatch.setattr(status, "days_left", lambda _file: 80.0)

    def report(role=None, **more):
        if role:
            known = {
                "at": time.time(),
                "role": role,
                "error": "",
                "error_since": 0,
                "kept": time.time(),
                "live": True,
                "open": [],
            }
            (tmp_path / "status.json").write_text(json.dumps({**known, **more}))
        return status.report(settings)

    return report


def test_all_is_well(report):
    told = report("works")
    assert (told["ready"], told["note"], told["rules"], told["reason"]) == (True, "none open", 1, "")
    assert status.said(told) == "works: none open"
    told = report("waits")
    assert (told["ready"], told["note"]) == (True, "waits, another manager looks for them")
    assert report("begins")["ready"]


def test_alerts_that_are_open(report):
    told = report("works", open=[alert()])
    assert told["ready"]
    assert told["note"] == "1 open: mine/manager-1 fails (since 2026-11-29 18:30 UTC)"
    told = report("works", open=[alert(), alert("bad", "critical")])
    assert not told["ready"]
    assert told["reason"] == "bad fails (since 2026-11-29 18:30 UTC)"
    told = report("works", open=[alert(f"a{number}") for number in range(8)], live=False)
    assert told["note"].startswith("8 open, and lines that it has not read yet: a0 fails")
    assert told["note"].endswith("; and 3 more, see bcm-alerts open")


def test_what_is_in_the_way(report, monkeypatch):
    assert report()["reason"] == "bcm-alerts does not run; journalctl -u bcm-alerts says why"
    assert report("works", at=time.time() - 100)["reason"].startswith("bcm-alerts does not run")
    told = report("tries", error="Kafka does not answer", error_since=1_795_977_000)
    assert told["reason"] == "it does not get on since 2026-11-29 18:30:00 UTC: Kafka does not answer"
    assert told["note"] == ""
    told = report("works", kept=time.time() - 300)
    assert told["reason"] == "it has written nothing for 5 minutes: it is stuck"
    monkeypatch.setattr(status, "days_left", lambda _file: 3.2)
    assert report("works")["reason"] == "its certificate ends in 3 days; site.yml issues it anew"


def test_lines_for_people():
    assert line(alert()) == "2026-11-29 18:30:00Z warning   mine/manager-1 fails"
    resolved = alert(state="resolved", reason="nothing like it for 15 minutes")
    assert line(resolved) == "2026-11-29 18:30:00Z resolved  mine/manager-1 fails (nothing like it for 15 minutes)"
    assert [span(seconds) for seconds in (59, 60, 150, 7200, 86400)] == [
        "59 seconds",
        "1 minute",
        "2 minutes",
        "2 hours",
        "1 day",
    ]
