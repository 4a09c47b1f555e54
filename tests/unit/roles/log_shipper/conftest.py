# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipper's package, a journal that is a list, and a Kafka that acknowledges when it is told to."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[4] / "roles/log_shipper/files"))

BOOT = "b" * 32
START = 1_795_000_000_000_000


class FakeJournal:
    """What journald has kept: entries by their cursors, oldest first."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.series, self.number = "a" * 32, 0
        # Of the machine's start, and by how many milliseconds it is later than the number says.
        self.boot, self.late = BOOT, 0
        # Of files that came after a reader was opened, and that it finds by looking.
        self.unseen: list[dict[str, Any]] = []
        # Numbers of entries that cannot be read, and whether that is said: libsystemd goes on to what it can read, and says nothing.
        self.damaged: set[int] = set()
        self.silent = False
        self.opened = self.written = 0

    def entry(self, message: str, **fields: Any) -> dict[str, Any]:
        self.number += 1
        self.written += 1
        moment = START + (self.number + self.late) * 1000
        known = {
            "_TRANSPORT": "syslog",
            "PRIORITY": "6",
            "_BOOT_ID": self.boot,
            "SYSLOG_IDENTIFIER": "app",
            "_PID": "7",
        }
        told = {**known, "MESSAGE": message, **fields}
        return {
            **{name: value.encode() if isinstance(value, str) else value for name, value in told.items()},
            "__REALTIME_TIMESTAMP": moment,
            "__CURSOR": f"s={self.series};i={self.number:x};b={self.boot};m=1;t={moment:x};x=3",
            "number": self.number,
            # Where it is among the others, whatever its time says.
            "order": self.written,
        }

    def write(self, *messages: str, **fields: Any) -> None:
        self.entries += [self.entry(message, **fields) for message in messages]

    def restart(self, series: str = "c" * 32, first: int = 500) -> None:
        """The machine starts again: another series, whose first numbers were spent in memory."""
        self.series, self.number = series, first

    def remove(self, count: int) -> None:
        """The journal has reached its size."""
        del self.entries[:count]

    def open(self) -> FakeReader:
        self.opened += 1
        self.entries += self.unseen
        self.unseen = []
        self.entries.sort(key=lambda entry: entry["order"])
        return FakeReader(self)


class FakeReader:
    """As systemd.journal.Reader moves: between entries after a seek, on one after a step."""

    def __init__(self, journal: FakeJournal) -> None:
        self.journal = journal
        self.data_threshold = 0
        # The entry that it is on, or the place before which it is.
        self.on: dict[str, Any] | None = None
        self.before = 0

    def place(self) -> int:
        """Where it goes on: what it was on may have been removed."""
        if self.on is None:
            return self.before
        entries = self.journal.entries
        order = self.on["order"]
        return sum(1 for entry in entries if entry["order"] <= order)

    def step(self, index: int, onward: int) -> dict[str, Any]:
        entries = self.journal.entries
        while self.journal.silent and 0 <= index < len(entries) and entries[index]["number"] in self.journal.damaged:
            index += onward
        if not 0 <= index < len(self.journal.entries):
            return {}
        self.on = self.journal.entries[index]
        if self.on["number"] in self.journal.damaged:
            raise OSError(errno.EBADMSG, "Bad message")
        return {name: value for name, value in self.on.items() if name not in ("number", "order")}

    def get_next(self) -> dict[str, Any]:
        return self.step(self.place(), 1)

    def get_previous(self) -> dict[str, Any]:
        return self.step(self.place() - (2 if self.on is not None and self.on in self.journal.entries else 1), -1)

    def seek_head(self) -> None:
        self.on, self.before = None, 0

    def seek_tail(self) -> None:
        self.on, self.before = None, len(self.journal.entries)

    def seek_cursor(self, cursor: str) -> None:
        entries = self.journal.entries
        there = [index for index, entry in enumerate(entries) if entry["__CURSOR"] == cursor]
        series, number = cursor[2:34], int(cursor.split(";")[1][2:], 16)
        same = [i for i, e in enumerate(entries) if e["__CURSOR"][2:34] == series and e["number"] >= number]
        others = [i for i, e in enumerate(entries) if e["__CURSOR"][2:34] != series]
        self.on, self.before = None, (there or same or others or [len(entries)])[0]

    def test_cursor(self, cursor: str) -> bool:
        return self.on is not None and self.on["__CURSOR"] == cursor

    def process(self) -> int:
        return 0

    def fileno(self) -> int:
        return 0

    def close(self) -> None:
        self.journal = None  # type: ignore[assignment]


class FakeError:
    def __init__(self, words: str, fatal: bool = False) -> None:
        self.words, self.is_fatal = words, fatal

    def str(self) -> str:
        return self.words

    def fatal(self) -> bool:
        return self.is_fatal


class FakeKafka:
    """Everything that arrived, over all clients."""

    def __init__(self) -> None:
        self.arrived: list[tuple[str, str, bytes, int]] = []
        self.there = True
        # The broker answers, and has too few others.
        self.alone = False
        self.refuses: Callable[[str, bytes], str] = lambda topic, value: ""
        self.clients: list[FakeProducer] = []

    def connect(self, _settings: Any, on_error: Callable[[Any], None]) -> FakeProducer:
        self.clients.append(FakeProducer(self, on_error))
        return self.clients[-1]


class FakeProducer:
    def __init__(self, kafka: FakeKafka, on_error: Callable[[Any], None]) -> None:
        self.kafka, self.on_error = kafka, on_error
        self.under_way: list[tuple[str, str, bytes, int, Callable[[Any, Any], None]]] = []

    def produce(self, topic: str, **options: Any) -> None:
        self.under_way.append((topic, options["key"], options["value"], options["timestamp"], options["on_delivery"]))

    def poll(self, _timeout: float) -> int:
        if not self.kafka.there:
            self.on_error(FakeError("3/3 brokers are down"))
            return 0
        if self.kafka.alone:
            return 0
        sent, self.under_way = self.under_way, []
        for topic, key, value, timestamp, delivered in sent:
            reason = self.kafka.refuses(topic, value)
            if not reason:
                self.kafka.arrived.append((topic, key, value, timestamp))
            delivered(FakeError(reason) if reason else None, None)
        return len(sent)

    def flush(self, timeout: float) -> int:
        return self.poll(timeout)

    def purge(self) -> None:
        self.under_way = []


@pytest.fixture
def journal() -> FakeJournal:
    return FakeJournal()


@pytest.fixture
def kafka() -> FakeKafka:
    return FakeKafka()


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Any]:
    """What the role would write, and some of it otherwise."""
    from bcm_shipper.settings import settings_from

    said = {
        "site": "home",
        "host": "manager-1",
        "tier": "manager",
        "brokers": ["manager-1.home.bcm.internal:9092"],
        "topics": {
            "audit": "audit",
            "bus": "logs.system",
            "kernel": "logs.system",
            "service": "logs.service",
            "system": "logs.system",
        },
        "bus_services": ["kafka-*"],
        "audit": ["ansible-*", "sudo", "sshd"],
        "state": str(tmp_path / "state.json"),
        "runtime": str(tmp_path / "status.json"),
    }
    return lambda **others: settings_from({**said, **others})
