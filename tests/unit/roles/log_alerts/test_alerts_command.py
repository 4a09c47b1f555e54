# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command, and the program between its sessions."""

from __future__ import annotations

import json

import pytest
from bcm_alerts import __main__ as command
from bcm_alerts.book import Memory
from bcm_alerts.cases import Case, Name
from bcm_alerts.kafka import SetbackError, Trouble
from bcm_alerts.settings import load

from ansible_collections.bcm.datacenter.tests.unit.roles.log_alerts.telling import HOSTS, NOW


class Stop:
    """Somebody says stop after so many waits."""

    def __init__(self, rounds):
        self.rounds, self.waited = rounds, []

    @property
    def asked(self):
        return len(self.waited) >= self.rounds

    def wait(self, seconds):
        self.waited.append(seconds)


@pytest.fixture(autouse=True)
def configured(tmp_path, monkeypatch, known_rules):
    """What the role writes."""
    said = {"site": "home", "host": "m", "brokers": ["b:1"], "rules": known_rules, "hosts": HOSTS, "topics": ["audit"]}
    (tmp_path / "config.json").write_text(json.dumps({**said, "runtime": str(tmp_path / "status.json")}))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("BCM_ALERTS", str(tmp_path))
    return tmp_path


def test_alerts_that_are_open(monkeypatch, capsys):
    cases = {
        Name("login-refused", "manager-1"): Case(host="manager-1", since=NOW, text="manager-1: somebody was refused"),
        Name("login-refused", "bitcoin-1"): Case(host="bitcoin-1"),
        Name("no-such-rule", "bitcoin-1"): Case(host="bitcoin-1", since=NOW),
    }
    monkeypatch.setattr(command.book, "read", lambda _settings, _trouble: Memory(cases=cases))
    assert command.main(["open"]) == 0
    assert capsys.readouterr().out == "2026-11-29 18:30:00Z warning   manager-1: somebody was refused\n"
    assert command.main(["open", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["alert"] == "login-refused/manager-1"
    monkeypatch.setattr(command.book, "read", lambda _settings, _trouble: Memory())
    assert command.main(["open"]) == 0
    assert capsys.readouterr().out == "No alert is open.\n"


def test_what_was_raised_and_resolved(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(command.book, "history", lambda _settings, _trouble, seconds: asked.append(seconds) or [])
    assert command.main(["history"]) == command.main(["history", "2"]) == 0
    assert asked == [7 * 86400, 2 * 86400]
    assert capsys.readouterr().out == "There was no alert.\n" * 2


@pytest.mark.parametrize("argv", [[], ["history", "much"], ["help"], ["open", "now"]])
def test_what_it_does_not_understand(argv, capsys):
    assert command.main(argv) == 2
    assert "bcm-alerts open" in capsys.readouterr().err


def test_what_is_in_the_way_is_said(monkeypatch, capsys, configured):
    def read(_settings, _trouble):
        raise SetbackError("Kafka does not answer: nobody is there")

    monkeypatch.setattr(command.book, "read", read)
    assert command.main(["open"]) == 1
    assert capsys.readouterr().err == "bcm-alerts: Kafka does not answer: nobody is there\n"
    (configured / "config.json").unlink()
    assert command.main(["status"]) == 1


def test_it_tries_again_and_says_the_same_once(monkeypatch, capsys, configured):
    def work(_settings, _trouble, _stop):
        raise SetbackError("Kafka is away")

    monkeypatch.setattr(command, "work", work)
    stop = Stop(8)
    command.run(load(), stop)
    assert stop.waited == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert capsys.readouterr().err == "Begins again with what Kafka remembers: Kafka is away\n"
    told = json.loads((configured / "status.json").read_text())
    assert (told["role"], told["error"]) == ("tries", "Kafka is away")


class Seat:
    """Given to this one, or not, at each look."""

    def __init__(self, *looks, joined=True):
        self.looks, self.joined = list(looks), joined

    def poll(self, _seconds):
        return self.looks.pop(0)


@pytest.mark.parametrize(
    ("joined", "words", "alone", "role"),
    [
        (True, "", 0.0, "waits"),
        (False, "", 0.0, "begins"),
        (False, "refused", 0.0, "tries"),
        (True, "gone", 1e12, "tries"),
    ],
)
def test_who_waits_says_so_and_who_cannot_says_that(configured, joined, words, alone, role):
    trouble = Trouble()
    if words:
        trouble.seen(words)
    trouble.alone = alone
    command.wait(load(), trouble, Seat(False, True, joined=joined), Stop(1))
    assert json.loads((configured / "status.json").read_text())["role"] == role
