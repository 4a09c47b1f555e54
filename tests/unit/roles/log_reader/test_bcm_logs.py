# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that shows what hosts have logged."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import types
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

NOW = datetime(2026, 11, 29, 18, 30, tzinfo=UTC).timestamp()


def record(number: int = 1, **others: Any) -> dict[str, Any]:
    at = datetime.fromtimestamp(NOW + number, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    told = {"host": "manager-1", "class": "system", "source": "app", "number": number, "time": at, "priority": 6}
    return {**told, "message": f"line {number}", "entry": f"a:{number}", "identifier": "app", "pid": "7", **others}


def found(program: ModuleType, records: list[dict[str, Any]], **wanted: Any) -> list[Any]:
    values = [json.dumps(one).encode() for one in records]
    return [one["message"] for _at, one in program.chosen(values, program.Wanted(**wanted), program.Once())]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-29 18:30:00"),
        ("90s", "2026-11-29 18:28:30"),
        ("-10m", "2026-11-29 18:20:00"),
        ("2h", "2026-11-29 16:30:00"),
        ("3d", "2026-11-26 18:30:00"),
        ("18:05", "2026-11-29 18:05:00"),
        ("23:59:30", "2026-11-28 23:59:30"),
        ("2026-11-28", "2026-11-28 00:00:00"),
        ("2026-11-28 12:00", "2026-11-28 12:00:00"),
        ("2026-11-28T12:00:01Z", "2026-11-28 12:00:01"),
    ],
)
def test_times(program: ModuleType, text: str, expected: str) -> None:
    assert datetime.fromtimestamp(program.moment(text, NOW), UTC).strftime("%Y-%m-%d %H:%M:%S") == expected


@pytest.mark.parametrize("text", ["yesterday", "25:00", "2026-13-01", "10x"])
def test_times_that_are_none(program: ModuleType, text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no time"):
        program.moment(text, NOW)


def test_priorities(program: ModuleType) -> None:
    assert (program.priority("err"), program.priority("7")) == (3, 7)
    with pytest.raises(argparse.ArgumentTypeError, match="they are emerg, alert, crit"):
        program.priority("loud")


def test_what_is_wanted(program: ModuleType) -> None:
    records = [
        record(1),
        record(2, host="bitcoin-1", unit="sshd.service", identifier="sshd-session"),
        record(3, **{"class": "service"}, service="web", source="web", priority=3),
    ]
    assert found(program, records) == ["line 1", "line 2", "line 3"]
    assert found(program, records, hosts=("bitcoin-*",)) == ["line 2"]
    assert found(program, records, services=("sshd",)) == ["line 2"]
    assert found(program, records, services=("sshd.service", "web")) == ["line 2", "line 3"]
    assert found(program, records, priority=4) == ["line 3"]
    assert found(program, records, classes=("service",)) == ["line 3"]
    assert found(program, records, pattern=program.re.compile("[12]$")) == ["line 1", "line 2"]
    assert found(program, records, since=NOW + 2, until=NOW + 3) == ["line 2"]


def test_what_comes_twice_is_shown_once(program: ModuleType) -> None:
    assert found(program, [record(1), record(2), record(1), record(1, host="manager-2")]) == [
        "line 1",
        "line 2",
        "line 1",
    ]


def test_what_is_none_of_the_shippers_is_passed_over(program: ModuleType) -> None:
    values = [b"no json", b"[]", b'{"time": 1}', b'{"time": "then"}', b"[" * 100_000, json.dumps(record(1)).encode()]
    strange = [
        {"priority": "loud"},
        {"priority": 2.5},
        {"priority": 8},
        {"host": ["manager-1"]},
        {"message": None},
        {"unit": 7},
    ]
    values += [json.dumps(record(2, **other)).encode() for other in strange]
    wanted = program.Wanted(hosts=("manager-*",), services=("app",), pattern=program.re.compile("line"))
    assert [one["number"] for _at, one in program.chosen(values, wanted, program.Once())] == [1]


def test_half_a_letter_is_shown(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setenv("BCM_LOGS", str(tmp_path))
    value = json.dumps(record(1, message="half \ud800")).encode()
    monkeypatch.setattr(program, "Bus", lambda *_about: types.SimpleNamespace(window=lambda *_times: iter([value])))
    assert program.main(["--since", "2026-11-29"]) == program.main(["--since", "2026-11-29", "--json"]) == 0
    plain, as_json = capsys.readouterr().out.splitlines()
    assert plain.endswith("half \\ud800")
    assert json.loads(as_json)["message"] == "half \ud800"


def test_lines_of_all_hosts_are_in_the_order_of_time(program: ModuleType) -> None:
    records = [record(2), record(1, host="manager-2"), record(3, host="manager-2")]
    told, more = program.in_order([(NOW + one["number"], one) for one in records], 10)
    assert ([one["number"] for one in told], more) == ([1, 2, 3], 0)
    told, more = program.in_order([(NOW + one["number"], one) for one in records], 2)
    assert ([one["number"] for one in told], more) == ([2, 3], 1)


def test_a_clock_that_was_set_back_turns_nothing_round(program: ModuleType) -> None:
    records = [record(number) for number in (1, 2, 3)]
    times = [NOW + 10, NOW + 5, NOW + 11]
    told, _more = program.in_order(list(zip(times, records, strict=True)), 10)
    assert [one["number"] for one in told] == [1, 2, 3]


def test_lines_for_people(program: ModuleType) -> None:
    assert program.line_of(record(1)) == "2026-11-29T18:30:01.000Z manager-1 app[7]: line 1"
    told = record(1, service="web", slot="2", priority=3, pid="")
    assert program.line_of(told) == "2026-11-29T18:30:01.000Z manager-1 web.2: err: line 1"


class Place:
    def __init__(self, topic: str, partition: int, offset: int = 0) -> None:
        self.topic, self.partition, self.offset = topic, partition, offset


class Message:
    def __init__(self, partition: int, offset: int, told: dict[str, Any], seconds: float) -> None:
        self.told = ("logs.system", partition, offset, json.dumps(told).encode(), (1, int(seconds * 1000)))

    def topic(self) -> str:
        return str(self.told[0])

    def partition(self) -> int:
        return int(self.told[1])

    def offset(self) -> int:
        return int(self.told[2])

    def value(self) -> bytes:
        return bytes(self.told[3])

    def timestamp(self) -> Any:
        return self.told[4]

    def error(self) -> None:
        return None


class FakeConsumer:
    """Two partitions of lines, of times that are not in order: a host that was away sends what is old."""

    times = ([1, 2, 3, 10, 4, 11, 100, 5], [1, 2])

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.assigned: list[Place] = []
        self.steps: Iterator[Message] = iter(())

    def list_topics(self, timeout: float) -> Any:
        topic = types.SimpleNamespace(error=None, partitions={0: None, 1: None})
        return types.SimpleNamespace(topics={"logs.system": topic})

    def offsets_for_times(self, places: list[Place], timeout: float) -> list[Place]:
        for place in places:
            seconds = place.offset / 1000 - NOW
            later = [offset for offset, at in enumerate(self.times[place.partition]) if at >= seconds]
            place.offset = later[0] if later else -1
        return places

    def get_watermark_offsets(self, place: Place, timeout: float) -> tuple[int, int]:
        return 0, len(self.times[place.partition])

    def assign(self, places: list[Place]) -> None:
        self.assigned = places
        self.steps = (
            Message(place.partition, offset, record(at, entry=f"{place.partition}:{offset}"), NOW + at)
            for place in places
            for offset, at in enumerate(self.times[place.partition])
            if offset >= place.offset
        )

    def consume(self, count: int, timeout: float) -> list[Message]:
        return list(itertools.islice(self.steps, 3))


@pytest.fixture
def bus(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    client = types.ModuleType("confluent_kafka")
    client.Consumer, client.TopicPartition, client.OFFSET_END = FakeConsumer, Place, -1  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "confluent_kafka", client)
    return program.Bus({"brokers": ["manager-1:9092"], "topics": ["logs.system"]}, Path("/etc/bcm/logs"))


def window(bus: Any, since: float, until: float, late: float) -> list[tuple[str, int]]:
    told = [json.loads(value) for value in bus.window(NOW + since, NOW + until, late)]
    return [(one["entry"], one["number"]) for one in told]


def test_a_window_has_what_came_late(bus: Any) -> None:
    assert [number for _entry, number in window(bus, 4, 6, late=1000)] == [10, 4, 11, 100, 5]
    # Nothing of a partition without anything after the beginning.
    assert [place.partition for place in bus.consumer.assigned] == [0]


def test_a_window_ends_where_all_is_too_young(bus: Any) -> None:
    assert [number for _entry, number in window(bus, 4, 6, late=20)] == [10, 4, 11, 100]


def test_a_window_of_the_future_is_empty(bus: Any) -> None:
    assert window(bus, 1000, 2000, late=0) == []


def test_the_last_line_of_each_host(bus: Any, program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program.latest(bus, program.Wanted()) == {"manager-1": NOW + 100}
    monkeypatch.setattr(program, "DEPTHS", (1, 2))
    # Of partition 0 the last one is of a host that sent late.
    assert program.latest(bus, program.Wanted()) == {"manager-1": NOW + 5}
    # One that nobody finds is looked for further back.
    assert program.latest(bus, program.Wanted(hosts=("manager-1", "bitcoin-1"))) == {"manager-1": NOW + 100}
    assert program.latest(bus, program.Wanted(hosts=("bitcoin-*",))) == {}


def test_how_old_a_line_is(program: ModuleType) -> None:
    assert program.age_of("manager-1", NOW, NOW + 61, False) == "2026-11-29T18:30:00Z manager-1 61 s ago"
    # A clock of another host may be ahead.
    assert json.loads(program.age_of("manager-1", NOW, NOW - 1, True)) == {
        "host": "manager-1",
        "time": "2026-11-29T18:30:00Z",
        "age": 0,
    }


def failing(code: int) -> Any:
    error = types.SimpleNamespace(code=lambda: code, str=lambda: f"error {code}")
    return types.SimpleNamespace(error=lambda: error, topic=lambda: "logs.system")


def test_who_follows_is_told_what_does_not_pass(
    bus: Any, program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    came = Message(0, 8, record(8), NOW + 8)
    steps = iter([[failing(-195)], [failing(-195), came], [failing(29)]])
    monkeypatch.setattr(bus.consumer, "consume", lambda _count, _timeout: next(steps))
    following = bus.tail(None)
    assert json.loads(next(following))["number"] == 8
    assert capsys.readouterr().err == "bcm-logs: error -195; what comes is shown when that is over\n"
    with pytest.raises(program.LogsError, match="topic logs.system: error 29"):
        next(following)


def test_topics_that_may_not_be_read_are_named(bus: Any, program: ModuleType) -> None:
    bus.topics = ["logs.system", "audit"]
    with pytest.raises(program.LogsError, match="Kafka has no topic audit, or does not let you read it"):
        bus.partitions(None)


def test_a_kafka_that_does_not_answer(bus: Any, program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_options: Any) -> None:
        raise RuntimeError("no broker")

    monkeypatch.setattr(bus.consumer, "list_topics", fail)
    with pytest.raises(program.LogsError, match="Kafka at manager-1:9092 does not answer: no broker"):
        bus.partitions(None)


def test_arguments(program: ModuleType) -> None:
    asked = program.arguments(["--since", "10m", "-u", "web", "-u", "sshd", "-p", "warning"], NOW)
    assert (asked.since, asked.service, asked.priority) == (NOW - 600, ["web", "sshd"], 4)
    with pytest.raises(SystemExit):
        program.arguments(["--since", "soon"], NOW)
