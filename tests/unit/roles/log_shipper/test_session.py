# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What arrives, and what is remembered, while Kafka comes and goes and the program is killed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from bcm_shipper import __main__ as command
from bcm_shipper import ledger, progress, sender, session, status
from bcm_shipper.records import Records
from bcm_shipper.sender import Sender, SetbackError, Trouble
from bcm_shipper.session import Session


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def begin(journal: Any, kafka: Any, settings: Callable[..., Any], clock: Clock) -> Callable[..., Session]:
    """A program that starts, as after a kill: whatever another one had in mind is gone."""

    def started(**others: Any) -> Session:
        said = settings(**others)
        return Session(said, Sender(said, kafka.connect), journal.open, clock=clock)

    return started


def work(one: Session, clock: Clock, seconds: float = 2.0) -> None:
    """So long that it reads all, and keeps what it knows."""
    while one.advance():
        pass
    clock.now += seconds
    one.advance()


def arrived(kafka: Any) -> list[str]:
    return [json.loads(value)["message"] for _topic, _key, value, _time in kafka.arrived]


def numbers(kafka: Any) -> list[int]:
    return [json.loads(value)["number"] for _topic, _key, value, _time in kafka.arrived]


def test_lines_arrive_in_their_topics(begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock) -> None:
    journal.write("one")
    journal.write("two", SYSLOG_FACILITY="10")
    journal.write("three", _SYSTEMD_UNIT="docker.service", CONTAINER_NAME="web")
    work(begin(), clock)
    assert [(topic, key) for topic, key, _value, _time in kafka.arrived] == [
        ("logs.system", "manager-1/app"),
        ("audit", "manager-1/app"),
        ("logs.service", "manager-1/web"),
    ]


def test_another_run_goes_on_where_the_first_was(
    begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock
) -> None:
    journal.write("one", "two")
    work(begin(), clock)
    journal.write("three")
    work(begin(), clock)
    assert (arrived(kafka), numbers(kafka)) == (["one", "two", "three"], [1, 2, 3])


def test_what_is_not_acknowledged_is_sent_again_with_the_same_numbers(
    begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock
) -> None:
    journal.write("one", "two")
    work(begin(), clock)
    kafka.there = False
    journal.write("three", "four")
    killed = begin()
    work(killed, clock, 60)
    assert killed.sender.trouble.words == "3/3 brokers are down"
    kafka.there = True
    again = begin()
    work(again, clock)
    # What the first one had under way arrives all the same, late.
    killed.sender.poll(0)
    assert arrived(kafka) == ["one", "two", "three", "four", "three", "four"]
    assert numbers(kafka) == [1, 2, 3, 4, 3, 4]
    assert again.sender.trouble.words == ""


def test_what_is_not_acknowledged_for_long_is_told_though_no_error_is_seen(
    begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.alone = True
    journal.write("one")
    one = begin()
    work(one, clock)
    assert one.sender.trouble.words == ""
    monkeypatch.setattr(sender, "PATIENCE", -1.0)
    work(one, clock)
    assert one.sender.trouble.words.startswith("Kafka acknowledges nothing")
    kafka.alone = False
    work(one, clock)
    assert (arrived(kafka), one.sender.trouble.words) == (["one"], "")
    # Where nothing waits, nothing is missing.
    work(one, clock)
    assert one.sender.trouble.words == ""


def test_who_cannot_remember_what_has_arrived_sends_nothing(
    begin: Callable[..., Session], journal: Any, kafka: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.write("one")
    one = begin()
    monkeypatch.setattr(progress, "keep", Mock(side_effect=OSError("No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        one.run(lambda: bool(kafka.arrived), 0)
    assert kafka.arrived == []


def test_the_position_stays_before_the_first_that_is_not_done(
    begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock
) -> None:
    """Two topics, one of which takes nothing: what comes after is done, and is read again nevertheless."""
    journal.write("one")
    journal.write("two", SYSLOG_FACILITY="10")
    journal.write("three")
    kafka.refuses = lambda topic, value: "not authorized" if topic == "audit" else ""
    one = begin()
    with pytest.raises(SetbackError, match="topic audit: not authorized"):
        work(one, clock)
    one.progress.settle()
    one.keep()
    assert (one.state.sent, one.state.position.number) == (1, 1)  # type: ignore[union-attr]
    kafka.refuses = lambda topic, value: ""
    work(begin(), clock)
    assert arrived(kafka) == ["one", "three", "two", "three"]


def test_nothing_is_lost_however_often_it_is_killed(
    begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock
) -> None:
    chance = random.Random(7)  # noqa: S311 - the same each time
    written = 0
    one = begin()
    for _round in range(200):
        for _line in range(chance.randrange(4)):
            written += 1
            journal.write(str(written), SYSLOG_IDENTIFIER=chance.choice("ab"))
        kafka.there = chance.random() < 0.7
        clock.now += chance.random()
        one.advance()
        if chance.random() < 0.3:
            one = begin()
    kafka.there = True
    work(one, clock)
    assert {int(message) for message in arrived(kafka)} == set(range(1, written + 1))
    for source in "ab":
        values = [json.loads(value) for _topic, key, value, _time in kafka.arrived if key.endswith(source)]
        first: dict[str, int] = {}
        for told in values:
            # Each entry has one number, and comes for the first time after all before it.
            assert first.setdefault(told["entry"], told["number"]) == told["number"]
        assert list(first.values()) == list(range(1, len(first) + 1))


def test_the_state_is_whole_when_writing_it_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    progress.keep(str(path), progress.State(sent=1))
    monkeypatch.setattr(progress.os, "fsync", Mock(side_effect=OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        progress.keep(str(path), progress.State(sent=2))
    assert progress.load(str(path)).sent == 1


def test_a_state_of_another_version_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"version": 2}))
    with pytest.raises(progress.UnreadableError, match="of version 2, and this program knows 1"):
        progress.load(str(path))


@pytest.mark.parametrize(
    "kept", [b"", b"\0" * 4096, b"[]", b"null", b'{"version":1}', b'{"version":1,"position":7}', b"\xff"]
)
def test_a_state_that_cannot_be_read_is_said_and_tried_again(
    begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock, kept: bytes
) -> None:
    journal.write("one")
    one = begin()
    work(one, clock)
    path = Path(one.settings.state)
    whole = path.read_bytes()
    path.write_bytes(kept)
    with pytest.raises(SetbackError, match=r"state.json cannot be read: .* remove it if"):
        begin()
    told = status.report(one.settings, journal.open)
    assert not told["ready"]
    assert f"{path} cannot be read: " in told["reason"]
    assert path.read_bytes() == kept
    path.write_bytes(whole)
    work(begin(), clock)
    assert arrived(kafka) == ["one"]


def test_what_is_in_the_way_is_tried_again_and_said_once(
    settings: Callable[..., Any], journal: Any, kafka: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    said = settings()
    Path(said.state).write_text("{")
    notified: list[str] = []
    waited: list[float] = []
    stop = Mock(wait=waited.append)
    type(stop).asked = property(lambda _self: len(waited) >= 3)
    monkeypatch.setattr(command, "notifier", lambda: notified.append)
    monkeypatch.setattr(command, "connect", kafka.connect)
    monkeypatch.setattr(command, "open_reader", lambda _path: journal.open())
    command.run(said, stop)
    assert waited == [2.0, 4.0, 8.0]
    assert notified == [*["READY=1\nWATCHDOG=1"] * 3, "STOPPING=1"]
    assert capsys.readouterr().err.count("cannot be read") == 1
    assert "cannot be read" in json.loads(Path(said.runtime).read_text())["error"]


def test_who_begins_now_does_so_once(begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock) -> None:
    journal.write("before")
    begin(from_now=True)
    journal.write("after")
    work(begin(from_now=True), clock)
    assert arrived(kafka) == ["after"]


def test_lines_of_the_bus_wait_for_others(
    begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock
) -> None:
    bus = {"_SYSTEMD_UNIT": "docker.service", "CONTAINER_NAME": "kafka-manager-1"}
    one = begin()
    journal.write("of kafka", **bus)
    work(one, clock, 1)
    assert arrived(kafka) == []
    journal.write("of somebody")
    work(one, clock, 1)
    assert arrived(kafka) == ["of kafka", "of somebody"]
    journal.write("of kafka again", **bus)
    work(one, clock, session.HOLD)
    assert arrived(kafka)[2:] == ["of kafka again"]


def test_what_shipping_makes_kafka_write_does_not_grow(
    begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock
) -> None:
    """A broker that writes ten lines for each request."""
    bus = {"_SYSTEMD_UNIT": "docker.service", "CONTAINER_NAME": "kafka-manager-1"}
    one = begin()
    journal.write("begin")
    for _tenth in range(600):
        before = len(kafka.arrived)
        one.advance()
        if len(kafka.arrived) > before:
            journal.write(*["request"] * 10, **bus)
        clock.now += 0.1
    assert len(kafka.arrived) <= 1 + 10 * 60 / session.HOLD


def test_it_reads_no_more_than_may_be_under_way(
    begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MOST_UNDER_WAY", 5)
    kafka.there = False
    journal.write(*map(str, range(20)))
    one = begin()
    work(one, clock)
    assert len(one.progress.tickets) == 5
    kafka.there = True
    for _time in range(5):
        work(one, clock)
    assert arrived(kafka) == list(map(str, range(20)))


def test_it_says_that_it_lives_between_entries_that_take_long(
    begin: Callable[..., Session], journal: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.write(*map(str, range(4)))
    one = begin()
    lived: list[float] = []
    monkeypatch.setattr(one, "alive", lambda: lived.append(clock.now))
    monkeypatch.setattr(one.records, "line", lambda entry: setattr(clock, "now", clock.now + 100) or line(entry))
    line = Records(one.settings, one.ledger).line
    one.advance()
    assert lived[:4] == [200, 300, 400, 500]


def test_lost_entries_are_counted_once(begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock) -> None:
    journal.write("one", "two")
    work(begin(), clock)
    journal.write("three", "four", "five")
    journal.remove(4)
    kafka.there = False
    killed = begin()
    work(killed, clock)
    assert killed.state.lost == 0
    kafka.there = True
    one = begin()
    work(one, clock)
    work(begin(), clock)
    assert one.state.lost == 2
    assert one.state.lost_at > 0
    assert [message.split(" ")[0] for message in arrived(kafka)] == ["one", "two", "2", "five"]


def test_a_loss_of_which_nobody_knows_how_much_it_was_is_one(
    begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock
) -> None:
    """It was switched off in the middle of it, and comes back when all of that is gone."""
    journal.write("one")
    work(begin(), clock)
    journal.remove(1)
    journal.restart()
    journal.write("two")
    one = begin()
    work(one, clock)
    assert (arrived(kafka)[-1], one.state.lost) == ("two", 1)
    assert "1 entries were lost before they were sent" in status.report(one.settings, journal.open)["reason"]


def test_a_limit_holds_over_a_kill(begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock) -> None:
    limited = {"limits": [{"source": "app", "lines": 3, "seconds": 3600}]}
    journal.write("one", "two")
    work(begin(**limited), clock)
    journal.write("three", "four", "five")
    one = begin(**limited)
    work(one, clock)
    assert arrived(kafka) == ["one", "two", "three"]
    assert one.state.left_out == 2
    assert one.state.position.number == 5  # type: ignore[union-attr]


def test_an_orderly_stop_brings_to_its_end_what_is_under_way(
    begin: Callable[..., Session], journal: Any, kafka: Any
) -> None:
    journal.write("one")
    journal.write("of the shipper", _SYSTEMD_UNIT="bcm-shipper.service")
    one = begin()
    stops = iter([False, True])
    one.run(lambda: next(stops), 0)
    assert arrived(kafka) == ["one", "of the shipper"]
    assert progress.load(one.settings.state).sent == 2


def test_a_stop_without_kafka_ends_and_keeps_nothing_back(
    begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.there = False
    journal.write("one")
    one = begin()
    monkeypatch.setattr(one.sender.producer, "poll", lambda _seconds: setattr(clock, "now", clock.now + 1))
    stops = iter([False, True])
    one.run(lambda: next(stops), 0)
    kafka.there = True
    work(begin(), clock)
    assert arrived(kafka) == ["one"]


def test_a_time_that_is_still_to_come_is_not_kafkas(
    begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bcm_shipper.sender.time.time", lambda: 1000.0)
    journal.write("one")
    work(begin(), clock)
    assert [time for _topic, _key, _value, time in kafka.arrived] == [1_000_000]


def test_trouble_is_known_since_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([1.0, 2.0])
    monkeypatch.setattr("bcm_shipper.sender.time.time", lambda: next(moments))
    trouble = Trouble()
    trouble.seen("one")
    trouble.seen("another")
    assert (trouble.words, trouble.since) == ("another", 1.0)
    trouble.passed()
    trouble.seen("again")
    assert trouble.since == 2.0


def test_who_made_room_is_forgotten_by_the_next_one_too(
    begin: Callable[..., Session], journal: Any, kafka: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MOST_SOURCES", 2)
    journal.write("1", SYSLOG_IDENTIFIER="a")
    journal.write("2", SYSLOG_IDENTIFIER="b")
    one = begin()
    work(one, clock)
    # A hundred days.
    journal.late += 100 * 24 * 3600 * 1000
    journal.write("3", SYSLOG_IDENTIFIER="c")
    kafka.there = False
    one.advance()
    # Killed before it was acknowledged: it comes again, with the same number.
    kafka.there = True
    two = begin()
    assert set(two.state.sources) == {"system/a", "system/b"}
    work(two, clock)
    assert set(two.state.sources) == {"system/c"}
    journal.write("4", SYSLOG_IDENTIFIER="c")
    journal.write("5", SYSLOG_IDENTIFIER="a")
    three = begin()
    work(three, clock)
    assert set(three.state.sources) == {"system/a", "system/c"} == set(three.ledger.sources)
    assert list(zip(arrived(kafka), numbers(kafka), strict=True)) == [("1", 1), ("2", 1), ("3", 1), ("4", 2), ("5", 1)]
