# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody is told who asks whether all is in Kafka."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bcm_shipper import progress, status
from bcm_shipper.journal import entry_of
from bcm_shipper.sender import Trouble
from bcm_shipper.session import tell

NOW = 1_795_000_100.0


@pytest.fixture
def asked(journal: Any, settings: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """The report after so many entries were acknowledged; NOW is 100 seconds after the first one."""
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setattr(status, "days_left", lambda _file: 300.0)
    said = settings()

    def ask(acknowledged: int | None, runs: bool = True, trouble: str = "", **others: Any) -> dict[str, Any]:
        position = entry_of(journal.entries[acknowledged - 1]).position if acknowledged else None
        state = progress.State(position=position, **others)
        progress.keep(said.state, state)
        Path(said.runtime).unlink(missing_ok=True)
        if runs:
            problem = Trouble()
            if trouble:
                problem.seen(trouble)
            tell(said, problem, NOW, 3)
        return status.report(said, journal.open)

    return ask


def test_all_is_there(asked: Callable[..., Any], journal: Any) -> None:
    journal.write("one", "two")
    told = asked(2, sent=2)
    assert (told["ready"], told["reason"], told["note"], told["backlog"]) == (True, "", "", 0)
    assert status.words(told).startswith("all that is in the journal is in Kafka\n2 lines of 0 sources were sent")


def test_a_backlog_says_how_much_since_when_and_why(asked: Callable[..., Any], journal: Any) -> None:
    journal.write("one", "two", "three")
    told = asked(1, trouble="3/3 brokers are down")
    assert (told["ready"], told["backlog"], told["oldest"], told["under_way"]) == (False, 2, 100.0, 3)
    assert told["reason"] == "2 entries are not in Kafka, the first since 100 s: 3/3 brokers are down"


def test_what_waits_for_a_moment_only_is_fine(asked: Callable[..., Any], journal: Any) -> None:
    journal.number = 50_000
    journal.write("one", "two")
    told = asked(1)
    assert (told["ready"], told["backlog"], told["oldest"]) == (True, 1, 50.0)


def test_a_backlog_over_a_start_of_the_machine(asked: Callable[..., Any], journal: Any) -> None:
    journal.write("one", "two", "three")
    journal.restart()
    journal.write("four", "five", "six")
    assert asked(1)["backlog"] == 5


def test_a_program_that_does_not_run(asked: Callable[..., Any], journal: Any) -> None:
    journal.write("one", "two")
    told = asked(1, runs=False)
    assert told["reason"] == "bcm-shipper does not run, 1 entries wait; journalctl -u bcm-shipper says why"


def test_a_program_that_has_said_nothing_for_long(
    asked: Callable[..., Any], journal: Any, monkeypatch: pytest.MonkeyPatch, settings: Callable[..., Any]
) -> None:
    journal.write("one")
    asked(1)
    monkeypatch.setattr(time, "time", lambda: NOW + status.SILENT + 1)
    assert status.report(settings(), journal.open)["running"] is False


def test_a_host_that_has_sent_nothing(asked: Callable[..., Any], journal: Any) -> None:
    journal.write("one", "two")
    assert asked(None)["backlog"] == 2


def test_entries_that_are_being_lost(
    asked: Callable[..., Any], journal: Any, settings: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.write("one", "two", "three", "four")
    asked(1)
    journal.remove(3)
    told = status.report(settings(), journal.open)
    assert (told["backlog"], told["losing"]) == (1, 2)
    words = "2 entries at least are not in the journal any more, or cannot be read, and were not sent"
    assert words in told["reason"]


def test_entries_that_were_lost_are_said_for_a_day_and_noted_afterwards(
    asked: Callable[..., Any], journal: Any
) -> None:
    journal.write("one")
    told = asked(1, lost=5, lost_at=NOW - 3600)
    assert (told["ready"], told["reason"]) == (
        False,
        "5 entries were lost before they were sent, the last ones on 2026-11-18 10:08 UTC",
    )
    told = asked(1, lost=5, lost_at=NOW - 90_000)
    assert (told["ready"], told["note"]) == (True, "5 entries were lost until 2026-11-17 10:08 UTC")


def test_lines_above_limits_are_noted(asked: Callable[..., Any], journal: Any) -> None:
    journal.write("one")
    told = asked(1, left_out=7)
    assert told["note"] == "7 lines were above the limits of their sources and are in the journal only"


def test_a_certificate_that_ends(asked: Callable[..., Any], journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.write("one")
    monkeypatch.setattr(status, "days_left", lambda _file: 3.2)
    assert asked(1)["reason"] == "its certificate ends in 3 days; site.yml issues it anew"


def test_days_of_a_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    said = subprocess.CompletedProcess([], 0, "notAfter=Nov 20 11:06:40 2026 GMT\n", "")
    monkeypatch.setattr(status.subprocess, "run", lambda *_argv, **_options: said)
    monkeypatch.setattr(time, "time", lambda: 1_795_000_000.0)
    assert status.days_left("certificate.pem") == 2.0
    said.stdout = "unable to load certificate\n"
    assert status.days_left("certificate.pem") is None


def test_an_empty_journal(asked: Callable[..., Any]) -> None:
    assert asked(None)["backlog"] == 0


def test_the_report_is_json(asked: Callable[..., Any], journal: Any) -> None:
    journal.write("one")
    assert json.loads(json.dumps(asked(1)))["ready"] is True
