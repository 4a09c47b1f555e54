# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is raised, and what is remembered, while the program is killed, Kafka is away, and another one takes over."""

from __future__ import annotations

import json
import random
import types

import pytest
from bcm_alerts import session
from bcm_alerts.book import Memory, memory_from, values_of
from bcm_alerts.cases import Name
from bcm_alerts.kafka import SetbackError, Trouble
from bcm_alerts.session import Session
from bcm_alerts.settings import Settings

from ansible_collections.bcm.datacenter.tests.unit.roles.log_alerts.telling import HOSTS, NOW, line, rule

RULES = (
    rule(pattern="fail", count=3, within=600, quiet=300),
    rule(name="quiet", kind="silent", within=120),
)


class Kafka:
    """Two partitions of lines, what was remembered, and the alerts: all that outlives the program."""

    def __init__(self):
        self.lines = {("logs.system", 0): [], ("logs.system", 1): []}
        self.values = {}
        self.alerts = []
        self.writer = 0
        self.there = True

    def write(self, partition, told):
        self.lines["logs.system", partition].append(told if isinstance(told, bytes) else json.dumps(told).encode())


class Book:
    def __init__(self, kafka):
        self.kafka = kafka
        self.kept = 0

    def open(self):
        self.kafka.writer += 1
        self.me = self.kafka.writer
        return memory_from(self.kafka.values)

    def keep(self, places, cases, alerts, at, listened):
        if not self.kafka.there:
            raise SetbackError("Kafka is away")
        if self.me != self.kafka.writer:
            raise SetbackError("another one writes")
        self.kept += 1
        for key, value in values_of(places, cases, at, listened).items():
            if value is None:
                self.kafka.values.pop(key, None)
            else:
                self.kafka.values[key] = value
        self.kafka.alerts += alerts

    def close(self):
        pass


class Stream:
    def __init__(self, kafka, most=5):
        self.kafka, self.most = kafka, most
        self.places = {}
        self.other = False

    def open(self, places, now):
        self.places = {place: places.get(place, 0) for place in self.kafka.lines}
        return dict(self.places)

    def read(self, seconds, now):
        for place, lines in self.kafka.lines.items():
            for _one in range(self.most):
                if self.places[place] < len(lines):
                    self.places[place] += 1
                    yield place, self.places[place] - 1, lines[self.places[place] - 1]

    def live(self, places, now):
        return all(self.places[place] == len(lines) for place, lines in self.kafka.lines.items())

    def grown(self, places):
        return self.other

    def close(self):
        pass


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def kafka():
    return Kafka()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def begin(kafka, clock, tmp_path):
    """Another program, which knows nothing but what Kafka tells it."""
    settings = Settings("home", "manager-1", ("b:1",), RULES, HOSTS, runtime=str(tmp_path / "status.json"))

    def begin(**options):
        return Session(settings, Book(kafka), Stream(kafka, **options), Trouble(), clock)

    return begin


def told(kafka):
    return [f"{one['state']} {one['alert']}" for one in kafka.alerts]


def go_on(one, clock, seconds=2.0, step=1.0):
    end = clock.now + seconds
    while clock.now < end:
        clock.now += step
        one.advance()


def test_alerts_and_what_is_remembered_are_written_together(kafka, clock, begin):
    one = begin()
    for number in range(3):
        kafka.write(0, line(number, "it failed"))
    go_on(one, clock)
    assert told(kafka) == ["raised mine/manager-1"]
    memory = memory_from(kafka.values)
    assert memory.places == {("logs.system", 0): 3, ("logs.system", 1): 0}
    assert [(name.rule, case.open) for name, case in memory.cases.items() if case.since] == [("mine", True)]


def test_who_is_killed_raises_nothing_twice_and_leaves_nothing_out(kafka, clock, begin):
    """At every moment: what is not written was not said, and is said by the next one."""
    generator = random.Random(7)  # noqa: S311
    number = 0
    one = begin(most=1)
    for _round in range(400):
        if generator.random() < 0.3:
            number += 1
            kafka.write(number % 2, line(number, "it failed", clock.now - NOW, host=generator.choice(sorted(HOSTS))))
        if generator.random() < 0.2:
            one = begin(most=1)
        clock.now += generator.choice([0.1, 0.5, 1.5])
        one.advance()
    go_on(one, clock, 30)
    go_on(one, clock, 600, 10)
    of_mine = [one for one in told(kafka) if "mine/" in one]
    for host in HOSTS:
        states = [one.split()[0] for one in of_mine if one.endswith(f"mine/{host}")]
        assert len(states) >= 2
        assert states == ["raised", "resolved"] * (len(states) // 2)
    assert memory_from(kafka.values).places == {place: len(lines) for place, lines in kafka.lines.items()}


def test_while_kafka_is_away_nothing_is_forgotten(kafka, clock, begin):
    one = begin()
    for number in range(3):
        kafka.write(0, line(number, "it failed"))
    kafka.there = False
    with pytest.raises(SetbackError, match="Kafka is away"):
        go_on(one, clock)
    assert kafka.alerts == []
    kafka.there = True
    go_on(begin(), clock)
    assert told(kafka) == ["raised mine/manager-1"]


def test_who_was_replaced_writes_nothing_any_more(kafka, clock, begin):
    first = begin()
    second = begin()
    for number in range(3):
        kafka.write(0, line(number, "it failed"))
    with pytest.raises(SetbackError, match="another one writes"):
        go_on(first, clock)
    go_on(second, clock)
    assert told(kafka) == ["raised mine/manager-1"]


def test_who_was_not_looked_at_is_not_silent(kafka, clock, begin):
    """Nobody has looked for an hour: that says nothing of hosts."""
    go_on(begin(), clock)
    clock.now += 3600
    one = begin()
    go_on(one, clock, 110)
    assert kafka.alerts == []
    go_on(one, clock, 15)
    assert sorted(told(kafka)) == [f"raised quiet/{host}" for host in sorted(HOSTS)]


def test_who_is_silent_is_so_however_often_another_one_listens(kafka, clock, begin):
    """Each listens for less time than somebody may be silent, and an hour in which nobody does is not counted."""
    for number in range(4):
        if number == 2:
            clock.now += 3600
        one = begin()
        kafka.write(0, line(number, "hello", clock.now - NOW, host="manager-1"))
        go_on(one, clock, 20)
        assert kafka.alerts == []
        go_on(one, clock, 15)
    assert told(kafka) == ["raised quiet/bitcoin-1", "raised quiet/server-1"]
    kafka.write(0, line(9, "hello", clock.now - NOW, host="bitcoin-1"))
    go_on(begin(), clock, 20)
    assert told(kafka)[2:] == ["resolved quiet/bitcoin-1"]


def test_who_is_behind_says_nothing_of_silence(kafka, clock, begin):
    one = begin(most=1)
    for number in range(200):
        kafka.write(1, line(number, "well", clock.now - NOW, host="bitcoin-1"))
    go_on(one, clock, 199)
    assert told(kafka) == []
    assert not one.listening


def test_what_is_no_line_is_passed_over(kafka, clock, begin):
    one = begin()
    for value in (
        b"{",
        b"[]",
        b"{}",
        b'{"time": 7}',
        b'{"host": "manager-1", "time": "today", "message": "fail"}',
        b"\xff",
        b"[" * 100_000,
        json.dumps(line(1, "it failed", priority=float("inf"))).encode(),
        json.dumps(line(1, "it failed", host=["manager-1"])).encode(),
    ):
        kafka.write(0, value)
    go_on(one, clock, 5)
    assert one.places["logs.system", 0] == 9
    assert kafka.alerts == []


def test_half_a_letter_can_be_remembered(kafka, clock, begin):
    one = begin()
    for number in range(2):
        kafka.write(0, line(number, "it failed", host="manager-1\udc00"))
    kafka.write(0, line(2, "it failed \ud800 \U0001f642", host="manager-1\udc00"))
    kafka.write(0, json.dumps(line(3, "it failed \ud800"), ensure_ascii=False).encode("utf-8", "surrogatepass"))
    go_on(one, clock)
    assert [(one["alert"], one["message"]) for one in kafka.alerts] == [("mine/manager-1?", "it failed ? \U0001f642")]
    kept = memory_from(kafka.values).cases
    assert set(kept) == set(one.engine.cases)
    assert {name for name in kept if name.rule == "mine"} == {Name("mine", "manager-1?"), Name("mine", "manager-1")}


def test_it_writes_also_if_there_is_nothing_new(kafka, clock, begin, tmp_path):
    one = begin()
    before = one.book.kept
    go_on(one, clock, session.BEAT * 3)
    assert 2 <= one.book.kept - before <= 4
    said = json.loads((tmp_path / "status.json").read_text())
    assert (said["role"], said["live"], said["open"]) == ("works", True, [])
    assert clock.now - said["kept"] <= session.BEAT


def test_other_partitions_are_noticed(clock, begin):
    one = begin()
    one.stream.other = True
    with pytest.raises(SetbackError, match="other partitions"):
        go_on(one, clock, session.LOOK + 2)


@pytest.mark.parametrize("stopping", [True, False])
def test_an_orderly_stop_remembers_and_a_lost_seat_does_not(kafka, clock, begin, stopping):
    one = begin()
    kafka.write(0, line(1, "it failed"))
    rounds = iter([True, True, stopping])
    seat = types.SimpleNamespace(poll=lambda _seconds: next(rounds))
    asked = []

    def stop():
        asked.append(len(asked))
        return stopping and len(asked) > 2

    clock.now += 0.1
    one.run(seat, stop)
    assert memory_from(kafka.values).places["logs.system", 0] == (1 if stopping else 0)


def test_a_memory_is_what_was_remembered(kafka, clock, begin):
    assert memory_from({}) == Memory()
    with pytest.raises(SetbackError, match="of version 9, and this program knows 1"):
        memory_from({"position": b'{"v": 9}'})
