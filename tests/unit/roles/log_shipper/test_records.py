# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Kafka gets of an entry, and the numbers, limits and hidden lines of its source."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from bcm_shipper import ledger as ledgers
from bcm_shipper.journal import Entry, Lost, entry_of
from bcm_shipper.ledger import Ledger, Source
from bcm_shipper.records import LONGEST_RECORD, LeftOut, Record, Records

TASK = "4cn2ys7oy8k5yhvqtn2mnf2vd"
SWARM = {"_SYSTEMD_UNIT": "docker.service", "CONTAINER_NAME": f"bitcoin-1.1.{TASK}", "CONTAINER_ID": "0123456789ab"}


@pytest.fixture
def make(journal: Any, settings: Callable[..., Any]) -> Callable[..., Any]:
    """Records of the entry that a message and fields are, made with one ledger."""
    said = settings(limits=[{"source": "noisy*", "lines": 2, "seconds": 10}])
    records = Records(said, Ledger({}, said.limits))

    def made(message: str = "hello", seconds: float = 0, **fields: Any) -> list[Record | LeftOut]:
        entry = entry_of({k: v for k, v in journal.entry(message, **fields).items() if k not in ("number", "order")})
        return list(records.of(Entry(entry.position, entry.fields, entry.microseconds + int(seconds * 1_000_000))))

    made.records = records  # type: ignore[attr-defined]
    return made


def value(record: Record | LeftOut) -> dict[str, Any]:
    assert isinstance(record, Record)
    told: dict[str, Any] = json.loads(record.value)
    return told


def test_a_line_of_a_unit(make: Callable[..., Any]) -> None:
    (record,) = make("hello", _SYSTEMD_UNIT="cron.service", SYSLOG_IDENTIFIER="CRON", PRIORITY="4")
    assert record.key == "manager-1/cron.service"
    assert record.milliseconds == 1_795_000_000_001
    assert value(record) == {
        "v": 1,
        "site": "home",
        "host": "manager-1",
        "tier": "manager",
        "class": "system",
        "source": "cron.service",
        "number": 1,
        "time": "2026-11-18T11:06:40.001000Z",
        "priority": 4,
        "message": "hello",
        "boot": "b" * 32,
        "entry": f"{'a' * 32}:1",
        "identifier": "CRON",
        "pid": "7",
        "unit": "cron.service",
    }


def test_a_line_of_a_task(make: Callable[..., Any]) -> None:
    (record,) = make("hello", **SWARM, IMAGE_NAME="registry/bitcoin@sha256:1", CONTAINER_TAG="bitcoin-1")
    told = value(record)
    assert (told["class"], told["source"], record.key) == ("service", "bitcoin-1", "manager-1/bitcoin-1")
    assert (told["service"], told["slot"], told["task"]) == ("bitcoin-1", "1", TASK)
    assert (told["container"], told["image"]) == ("0123456789ab", "registry/bitcoin@sha256:1")
    assert "unit" not in told


@pytest.mark.parametrize(
    ("fields", "kind", "source"),
    [
        ({"_TRANSPORT": "kernel", "SYSLOG_IDENTIFIER": "kernel"}, "kernel", "kernel"),
        ({"_TRANSPORT": "audit"}, "audit", "app"),
        (
            {"SYSLOG_FACILITY": "10", "SYSLOG_IDENTIFIER": "cron", "_SYSTEMD_UNIT": "cron.service"},
            "audit",
            "cron.service",
        ),
        ({"SYSLOG_IDENTIFIER": "sudo", "_SYSTEMD_UNIT": "session-12.scope"}, "audit", "session.scope"),
        ({"SYSLOG_IDENTIFIER": "ansible-ansible.builtin.apt"}, "audit", "ansible-ansible.builtin.apt"),
        # What the callback of this collection writes, by way of a shell in the instance or of SSH.
        (
            {"SYSLOG_FACILITY": "10", "SYSLOG_IDENTIFIER": "bcm-ansible", "_SYSTEMD_UNIT": "init.scope", "_PID": "99"},
            "audit",
            "bcm-ansible",
        ),
        (
            {"SYSLOG_FACILITY": "10", "SYSLOG_IDENTIFIER": "bcm-ansible", "_SYSTEMD_UNIT": "session-3.scope"},
            "audit",
            "session.scope",
        ),
        ({"_SYSTEMD_UNIT": "registry-cache@5000.service"}, "system", "registry-cache@.service"),
        ({"_SYSTEMD_UNIT": "run-u17.service"}, "system", "run.service"),
        ({"_SYSTEMD_UNIT": "docker-0123.scope"}, "system", "docker.scope"),
        ({"_SYSTEMD_UNIT": "systemd-journald.service"}, "system", "systemd-journald.service"),
        ({"_SYSTEMD_UNIT": "init.scope", "_PID": "1", "UNIT": "tor.service"}, "system", "tor.service"),
        ({"_SYSTEMD_UNIT": "init.scope", "UNIT": "tor.service"}, "system", "app"),
        ({"_SYSTEMD_UNIT": "init.scope", "_PID": "1"}, "system", "init.scope"),
        ({"_SYSTEMD_UNIT": "bcm-shipper.service"}, "bus", "bcm-shipper.service"),
        ({"_SYSTEMD_UNIT": "docker.service", "CONTAINER_NAME": f"kafka-manager-1.1.{TASK}"}, "bus", "kafka-manager-1"),
        ({"_SYSTEMD_UNIT": "docker.service", "CONTAINER_NAME": "by-hand"}, "service", "by-hand"),
        ({"_SYSTEMD_UNIT": "dbus.service", "_UID": "0", "OBJECT_SYSTEMD_UNIT": "tor.service"}, "system", "tor.service"),
        ({"_SYSTEMD_UNIT": "e.service", "_UID": "1000", "OBJECT_SYSTEMD_UNIT": "tor.service"}, "system", "e.service"),
        # Who says of itself that it is a container is not believed.
        ({"_SYSTEMD_UNIT": "evil.service", "CONTAINER_NAME": f"bitcoin-1.1.{TASK}"}, "system", "evil.service"),
    ],
)
def test_class_and_source(make: Callable[..., Any], fields: dict[str, Any], kind: str, source: str) -> None:
    (record,) = make("hello", **fields)
    assert (record.kind, value(record)["class"], value(record)["source"]) == (kind, kind, source)


def test_numbers_have_no_gaps_within_a_source(make: Callable[..., Any]) -> None:
    told = [value(make(SYSLOG_IDENTIFIER=name)[0]) for name in "aabab"]
    assert [(one["source"], one["number"]) for one in told] == [("a", 1), ("a", 2), ("b", 1), ("a", 3), ("b", 2)]


def test_parts_of_a_long_line_say_so(make: Callable[..., Any]) -> None:
    part = {"CONTAINER_PARTIAL_MESSAGE": "true", "CONTAINER_PARTIAL_ID": "9f", "CONTAINER_PARTIAL_ORDINAL": "2"}
    told = value(make(**SWARM, **part, CONTAINER_PARTIAL_LAST="false")[0])
    assert told["partial"] == {"id": "9f", "ordinal": "2", "last": False}


def test_what_is_too_long_is_cut(make: Callable[..., Any]) -> None:
    for message in ("x" * 800_000, "\x01" * 400_000):
        (record,) = make(message)
        told = value(record)
        assert len(record.value) <= LONGEST_RECORD
        assert len(told["message"]) + told["cut"] == len(message)


def test_a_name_that_is_too_long_is_cut(make: Callable[..., Any]) -> None:
    long = "x" * 1_000_000
    (record,) = make("hello", SYSLOG_IDENTIFIER=long, SYSLOG_PID=long, _PID="", CONTAINER_PARTIAL_MESSAGE="true")
    told = value(record)
    assert (told["message"], told["identifier"], told["pid"]) == ("hello", long[:512], long[:512])
    assert len(record.key) < 600
    assert "partial" not in told


def test_a_priority_that_is_none(make: Callable[..., Any]) -> None:
    assert value(make(PRIORITY="none")[0])["priority"] == 6


def test_secrets_are_marked(make: Callable[..., Any]) -> None:
    (record,) = make("rpcpassword=hunter2")
    assert value(record)["redacted"] == record.redacted == 1


def test_a_key_over_several_lines_is_hidden_for_its_source_only(make: Callable[..., Any]) -> None:
    told = [
        value(make(message, SYSLOG_IDENTIFIER=name)[0])["message"]
        for name, message in (
            ("a", "-----BEGIN PRIVATE KEY-----"),
            ("b", "hello"),
            ("a", "MIGH"),
            ("a", "-----END PRIVATE KEY-----"),
        )
    ]
    assert told == ["[redacted]", "hello", "[redacted]", "[redacted]"]


def test_lines_above_a_limit_are_left_out_and_counted(make: Callable[..., Any]) -> None:
    noisy = {"SYSLOG_IDENTIFIER": "noisy-1"}
    made = [make(f"line {number}", **noisy)[0] for number in range(5)]
    assert [isinstance(one, LeftOut) for one in made] == [False, False, True, True, True]
    assert value(make("quiet")[0])["message"] == "quiet"
    # The next line of anybody after the interval tells.
    told = [value(one) for one in make("later", seconds=10)]
    assert [one["message"] for one in told] == [
        "3 lines of noisy-1 were not sent: it may have 2 in 10 s. They are in the journal of this host.",
        "later",
    ]
    assert (told[0]["source"], told[0]["number"], told[0]["event"], told[0]["lines"]) == ("noisy-1", 3, "left_out", 3)
    assert value(make("again", seconds=10, **noisy)[0])["number"] == 4


def test_a_limit_that_was_taken_away_is_over(settings: Callable[..., Any]) -> None:
    kept = {"system/noisy-1": Source(number=2, window=1, lines=5, left_out=3)}
    assert Ledger(kept).overdue(0) == [("system/noisy-1", 3, None)]


def test_lost_entries_are_told_and_leave_a_gap(make: Callable[..., Any], journal: Any) -> None:
    make(SYSLOG_IDENTIFIER="a")
    entry = entry_of(journal.entry("next"))
    told = value(make.records.lost(Lost(5), entry))  # type: ignore[attr-defined]
    assert (told["priority"], told["event"], told["lines"], told["source"]) == (2, "lost", 5, "bcm-shipper")
    assert told["message"].startswith("5 entries of this host's journal were removed, because it had reached its size")
    # Some of them may have been sent with the next numbers, without anybody knowing it.
    assert value(make(SYSLOG_IDENTIFIER="a")[0])["number"] == 2 + 5 + ledgers.MOST_UNDER_WAY
    vague = value(make.records.lost(Lost(1, exact=False), entry))  # type: ignore[attr-defined]
    assert vague["message"].startswith("Entries, 1 of them at least, of this host's journal were removed")
    damaged = value(make.records.lost(Lost(1, damaged=True), entry))  # type: ignore[attr-defined]
    assert damaged["message"] == "1 entries of this host's journal cannot be read."


def test_sources_beyond_the_most_are_one(monkeypatch: pytest.MonkeyPatch, make: Callable[..., Any]) -> None:
    monkeypatch.setattr(ledgers, "MOST_SOURCES", 3)
    told = [value(make(SYSLOG_IDENTIFIER=name)[0]) for name in ("a", "b", "c", "d", "e", "a", "d")]
    assert [one["source"] for one in told] == ["a", "b", "c", "other", "other", "a", "other"]
    assert [one["number"] for one in told] == [1, 1, 1, 1, 2, 2, 3]
    assert told[3]["identifier"] == "d"


def test_sources_that_were_silent_for_long_make_room(
    monkeypatch: pytest.MonkeyPatch, settings: Callable[..., Any], journal: Any
) -> None:
    monkeypatch.setattr(ledgers, "MOST_SOURCES", 3)
    records = Records(settings(), Ledger())
    day = 24 * 3600

    def line(name: str, days: int) -> tuple[str, int]:
        entry = entry_of(journal.entry("line", SYSLOG_IDENTIFIER=name))
        (made,) = records.of(entry._replace(microseconds=days * day * 1_000_000))
        told = value(made)
        return told["source"], told["number"]

    assert [line("a", 100), line("b", 100), line("x", 100), line("a", 120)] == [("a", 1), ("b", 1), ("x", 1), ("a", 2)]
    assert line("c", 130) == ("other", 1)
    assert records.ledger.take_gone() == ()
    # Now they were.
    assert line("c", 131) == ("c", 1)
    assert records.ledger.take_gone() == ("system/b", "system/x")
    assert line("a", 131) == ("a", 3)
    # One begins anew where there is room, and a clock that was set back makes none.
    assert [line("b", 140), line("b", 99)] == [("other", 2), ("other", 3)]
    assert [line("b", 200), line("b", 200)] == [("b", 1), ("b", 2)]


def test_names_of_secrets_are_none(make: Callable[..., Any]) -> None:
    message = (
        '{"event":"ansible-run","who":"hal@desk","extra_vars":["api_token","rpc_password","site_secret"],"failed":{}}'
    )
    told = value(make(message, SYSLOG_IDENTIFIER="bcm-ansible")[0])
    assert told["message"] == message
    assert "redacted" not in told
