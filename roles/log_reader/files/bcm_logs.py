#!/usr/bin/env python3
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines that all hosts have logged, from Kafka: those of a window of time, or those that come.

    bcm-logs --since 10m --host manager-1 --service sshd
    bcm-logs --since "2026-11-29 18:00" --until "2026-11-29 18:05" --priority warning
    bcm-logs --follow --service bitcoin-1
    bcm-logs --latest

A time is one of UTC (2026-11-29 18:00:00, 18:00), so long ago (90s, 10m, 2h, 3d), or now.
"""

from __future__ import annotations

import argparse
import heapq
import io
import json
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

CONFIG = "/etc/bcm/logs"
PRIORITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
TEXTS = ("host", "class", "source", "unit", "service", "slot", "identifier", "pid", "time", "message")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ")
# Seconds without an answer after which something is wrong.
PATIENCE = 15.0
# Entries that are remembered to know those that come twice.
REMEMBERED = 200_000
# How far behind the end of each partition the last line of a host is looked for: the next where the one before was not enough.
DEPTHS = (500, 4_000, 32_000)

Object = dict[str, Any]


class LogsError(Exception):
    """Why there is nothing to show, in words for people."""


def moment(text: str, now: float) -> float:
    """Seconds since 1970 of what somebody has written."""
    if text == "now":
        return now
    if found := re.fullmatch(r"-?(\d+)([smhd])", text):
        return now - int(found[1]) * UNITS[found[2]]
    today = datetime.fromtimestamp(now, UTC)
    if found := re.fullmatch(r"(\d\d):(\d\d)(?::(\d\d))?", text):
        hour, minute, second = (int(part or 0) for part in found.groups())
        try:
            at = today.replace(hour=hour, minute=minute, second=second, microsecond=0)
        except ValueError as exc:
            raise argparse.ArgumentTypeError(f"{text} is no time of a day") from exc
        # What is still to come today was meant to be of yesterday.
        return (at if at <= today else at - timedelta(days=1)).timestamp()
    for form in FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    raise argparse.ArgumentTypeError(f"{text} is no time; one is 2026-11-29 18:00:00, 18:00, 10m or now")


def priority(text: str) -> int:
    if text in PRIORITIES:
        return PRIORITIES.index(text)
    if text in tuple("01234567"):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is no priority; they are {', '.join(PRIORITIES)}, or 0 to 7")


@dataclass(frozen=True)
class Wanted:
    """Which lines somebody wants to see."""

    since: float = 0.0
    until: float = float("inf")
    hosts: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    priority: int = 7
    pattern: re.Pattern[str] | None = None

    def fits(self, record: Object, seconds: float) -> bool:
        return (
            self.since <= seconds < self.until
            and record.get("priority", 6) <= self.priority
            and (not self.hosts or any(fnmatchcase(record.get("host", ""), host) for host in self.hosts))
            and (not self.classes or record.get("class") in self.classes)
            and (not self.services or any(named(record, service) for service in self.services))
            and (self.pattern is None or self.pattern.search(record.get("message", "")) is not None)
        )


def named(record: Object, pattern: str) -> bool:
    """Whether somebody who says PATTERN means this line's source: a service, a unit with or without its ending, or a name."""
    unit = record.get("unit", "")
    names = (
        record.get("service", ""),
        unit,
        unit.rpartition(".")[0],
        record.get("identifier", ""),
        record.get("source", ""),
    )
    return any(name and fnmatchcase(name, pattern) for name in names)


def line_of(record: Object) -> str:
    """A line as a person reads it."""
    who = record.get("service") or record.get("unit") or record.get("identifier") or record.get("source", "")
    if record.get("slot", "1") not in ("", "1"):
        who = f"{who}.{record['slot']}"
    if record.get("pid"):
        who = f"{who}[{record['pid']}]"
    level = record.get("priority", 6)
    mark = f" {PRIORITIES[level]}:" if level < PRIORITIES.index("notice") else ""
    return f"{record.get('time', '')[:23]}Z {record.get('host', '')} {who}:{mark} {record.get('message', '')}"


def age_of(host: str, seconds: float, now: float, as_json: bool) -> str:
    """How old the last line of a host is."""
    at = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    age = max(0, round(now - seconds))
    return json.dumps({"host": host, "time": at, "age": age}) if as_json else f"{at} {host} {age} s ago"


def seconds_of(text: str) -> float:
    return datetime.strptime(text[:26], "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=UTC).timestamp()


class Once:
    """Records without those that were seen before: who sends again what was not acknowledged may send it twice."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.order: deque[str] = deque()

    def new(self, record: Object) -> bool:
        # When the power fails, what was sent may not have been on the disk: its number is used again after the next start.
        entry = f"{record.get('host')} {record.get('boot')} {record.get('entry')}"
        if entry in self.seen:
            return False
        self.seen.add(entry)
        self.order.append(entry)
        if len(self.order) > REMEMBERED:
            self.seen.discard(self.order.popleft())
        return True


def record_of(value: bytes) -> Object:
    """A record, of which all that is looked at is what it has to be."""
    record: Object = json.loads(value)
    priority = record.get("priority", 6)
    if isinstance(priority, bool) or not isinstance(priority, int) or not 0 <= priority < len(PRIORITIES):
        raise ValueError("its priority is none")
    for name in TEXTS:
        if not isinstance(record.get(name, ""), str):
            raise TypeError(f"its {name} is no text")
    return record


def chosen(values: Iterable[bytes], wanted: Wanted, once: Once) -> Iterator[tuple[float, Object]]:
    """What is wanted of what Kafka has, with its time."""
    for value in values:
        try:
            record = record_of(value)
            seconds = seconds_of(record["time"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # Not of the shipper's.
            continue
        if wanted.fits(record, seconds) and once.new(record):
            yield seconds, record


def in_order(found: Iterable[tuple[float, Object]], most: int) -> tuple[list[Object], int]:
    """The last MOST of what was found by time, each source in its own order, and how many there are besides."""
    latest: dict[tuple[str, str, str], float] = {}
    last: list[tuple[float, int, Object]] = []
    number = 0
    for number, (seconds, record) in enumerate(found, 1):
        source = (record.get("host", ""), record.get("class", ""), record.get("source", ""))
        # A clock that was set back must not turn round what one source has said.
        latest[source] = max(seconds, latest.get(source, 0.0))
        heapq.heappush(last, (latest[source], number, record))
        if len(last) > most:
            heapq.heappop(last)
    return [record for _seconds, _number, record in sorted(last, key=lambda one: one[:2])], max(0, number - most)


def latest(bus: Bus, wanted: Wanted) -> dict[str, float]:
    """The time of the last line of each host. Hosts that are asked for by name, and of which there is none, are looked for further back."""
    named = {host for host in wanted.hosts if not set(host) & set("*?[")}
    found: dict[str, float] = {}
    for depth in DEPTHS:
        values, all_of_it = bus.last(depth)
        for seconds, record in chosen(values, wanted, Once()):
            host = str(record.get("host", ""))
            found[host] = max(seconds, found.get(host, 0.0))
        if named <= set(found) or all_of_it:
            break
    return found


class Bus:
    """Kafka's topics, read from wherever somebody wants to begin. It joins no group and leaves nothing behind."""

    def __init__(self, config: Object, directory: Path) -> None:
        from confluent_kafka import Consumer

        self.topics: list[str] = config["topics"]
        self.brokers = ", ".join(config["brokers"])
        self.problem = ""
        self.consumer = Consumer(
            {
                "bootstrap.servers": ",".join(config["brokers"]),
                "client.id": "bcm-logs",
                "group.id": "log-reader.bcm-logs",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "allow.auto.create.topics": False,
                "security.protocol": "ssl",
                "ssl.ca.location": str(directory / "authority.pem"),
                "ssl.certificate.location": str(directory / "certificate.pem"),
                "ssl.key.location": str(directory / "key.pem"),
                "ssl.endpoint.identification.algorithm": "https",
                "error_cb": self.on_error,
                "log_level": 0,
                **config.get("client", {}),
            }
        )

    def on_error(self, error: Any) -> None:
        self.problem = error.str()

    def ask(self, what: Callable[..., Any], *about: Any) -> Any:
        try:
            return what(*about, timeout=PATIENCE)
        except Exception as exc:
            said = exc.args[0].str() if exc.args and hasattr(exc.args[0], "str") else exc
            raise LogsError(f"Kafka at {self.brokers} does not answer: {self.problem or said}") from exc

    def partitions(self, since: float | None) -> list[Any]:
        """Each partition at its first line after SINCE, or behind its last one."""
        from confluent_kafka import OFFSET_END, TopicPartition

        known = self.ask(self.consumer.list_topics).topics
        missing = [topic for topic in self.topics if topic not in known or known[topic].error is not None]
        if missing:
            raise LogsError(f"Kafka has no topic {', '.join(missing)}, or does not let you read it")
        places = [TopicPartition(topic, number) for topic in self.topics for number in known[topic].partitions]
        if since is None:
            for place in places:
                place.offset = OFFSET_END
            return places
        for place in places:
            place.offset = int(max(0.0, since) * 1000)
        found: list[Any] = self.ask(self.consumer.offsets_for_times, places)
        return found

    def window(self, since: float, until: float, late: float) -> Iterator[bytes]:
        """All from SINCE up to what there is now. In a partition it ends where lines are LATE seconds younger than UNTIL."""
        places = self.partitions(since)
        ends = {}
        for place in places:
            low, high = self.ask(self.consumer.get_watermark_offsets, place)
            # A negative offset says that there is nothing after that time.
            if place.offset >= 0 and high > max(low, place.offset):
                ends[place.topic, place.partition] = high
        yield from self.up_to(ends, places, until + late)

    def last(self, depth: int) -> tuple[Iterator[bytes], bool]:
        """The last DEPTH records of each partition, and whether these are all that there are."""
        places, ends, whole = self.partitions(None), {}, True
        for place in places:
            low, high = self.ask(self.consumer.get_watermark_offsets, place)
            place.offset = max(low, high - depth)
            whole = whole and place.offset == low
            if high > low:
                ends[place.topic, place.partition] = high
        return self.up_to(ends, places, float("inf")), whole

    def up_to(self, ends: dict[tuple[str, int], int], places: list[Any], until: float) -> Iterator[bytes]:
        """What is in PLACES from their offsets on, up to ENDS, or to what is younger than UNTIL."""
        self.consumer.assign([place for place in places if (place.topic, place.partition) in ends])
        answered = time.monotonic()
        while ends:
            messages = self.consumer.consume(1000, 1.0)
            if messages:
                answered = time.monotonic()
            elif time.monotonic() - answered > PATIENCE:
                raise LogsError(f"Kafka at {self.brokers} has stopped to answer: {self.problem or 'nothing comes'}")
            for message in messages:
                where = (message.topic(), message.partition())
                if message.error() is not None:
                    raise LogsError(f"topic {where[0]}: {message.error().str()}")
                if where not in ends:
                    continue
                yield message.value()
                if message.offset() + 1 >= ends[where] or message.timestamp()[1] / 1000 > until:
                    del ends[where]

    def tail(self, since: float | None) -> Iterator[bytes]:
        """All from SINCE, or from now on, for ever."""
        self.consumer.assign(self.partitions(since))
        told = ""
        while True:
            for message in self.consumer.consume(1000, 0.2):
                error = message.error()
                if error is None:
                    self.problem = told = ""
                    yield message.value()
                elif error.code() > 0:
                    # A broker's verdict. What the library says itself passes.
                    raise LogsError(f"topic {message.topic()}: {error.str()}")
                else:
                    self.problem = error.str()
            if self.problem != told:
                told = self.problem
                print(f"bcm-logs: {told}; what comes is shown when that is over", file=sys.stderr, flush=True)


def arguments(argv: list[str], now: float) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bcm-logs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )

    def at(text: str) -> float:
        return moment(text, now)

    parser.add_argument("-S", "--since", type=at, help="from this time on (an hour ago, with --follow from now on)")
    parser.add_argument("-U", "--until", type=at, default=float("inf"), help="up to this time")
    parser.add_argument("-H", "--host", action="append", default=[], help="of this host; * and ? fit, also below")
    parser.add_argument("-u", "--service", action="append", default=[], help="of this service, unit or program")
    parser.add_argument("-p", "--priority", type=priority, default=7, help="as urgent as this at least")
    parser.add_argument("-c", "--class", action="append", default=[], dest="classes", help="of this class")
    parser.add_argument("-g", "--grep", type=re.compile, help="with this pattern in the message")
    parser.add_argument("-n", "--lines", type=int, default=10_000, help="the last so many (10000)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    parser.add_argument("--latest", action="store_true", help="only how old the last line of each host is")
    parser.add_argument(
        "--late", type=float, default=86_400, help="look for lines that came so many seconds late (a day)"
    )
    parser.add_argument("--json", action="store_true", help="records as they are, one in a line")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    now = time.time()
    asked = arguments(argv, now)
    since = asked.since if asked.since is not None or asked.follow or asked.latest else now - 3600
    wanted = Wanted(
        since or 0.0,
        asked.until,
        tuple(asked.host),
        tuple(asked.service),
        tuple(asked.classes),
        asked.priority,
        asked.grep,
    )
    say: Callable[[Object], str] = (lambda record: json.dumps(record, ensure_ascii=False)) if asked.json else line_of
    directory = Path(os.environ.get("BCM_LOGS", CONFIG))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # JSON can say half a letter, which is none that can be written otherwise.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        bus = Bus(json.loads((directory / "config.json").read_text(encoding="utf-8")), directory)
        if asked.latest:
            for host, seconds in sorted(latest(bus, wanted).items()):
                print(age_of(host, seconds, time.time(), asked.json))
            return 0
        if asked.follow:
            for _seconds, record in chosen(bus.tail(since), wanted, Once()):
                print(say(record), flush=True)
            return 0
        records, more = in_order(chosen(bus.window(since, asked.until, asked.late), wanted, Once()), asked.lines)
    except (LogsError, OSError) as exc:
        print(f"bcm-logs: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    for record in records:
        print(say(record))
    if more:
        print(f"bcm-logs: {more} lines before these are not shown; --lines shows more", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
