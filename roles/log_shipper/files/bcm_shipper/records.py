# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An entry of the journal as what Kafka gets."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple

from bcm_shipper.journal import Entry, Fields, Lost, text
from bcm_shipper.ledger import DAY, Ledger, Source
from bcm_shipper.position import Position
from bcm_shipper.redaction import Redaction
from bcm_shipper.settings import Settings

VERSION = 1
OWN_SOURCE = "bcm-shipper"
# Kafka takes records up to a megabyte.
LONGEST_RECORD = 900_000
LONGEST_MESSAGE = 600_000
# Of a name, which anybody may give himself, at any length.
LONGEST_NAME = 512

# SERVICE.SLOT.TASK; of a service that runs on each node, SERVICE.NODE.TASK.
TASK = re.compile(r"(?P<service>.+)\.(?P<slot>\d+|[a-z0-9]{25})\.(?P<task>[a-z0-9]{25})")
# What systemd makes for a moment has another number each time: session-7.scope, run-u12.service, docker-0123….scope.
PASSING = re.compile(r"(?P<name>[a-z]+)-.*(?P<kind>\.scope)|(?P<run>run)-.*(?P<what>\.\w+)")
INSTANCE = re.compile(r"(?P<name>[^@]+@).*(?P<kind>\.\w+)")
# Anybody may say that a line is a container's. It is if Docker says it.
DOCKER = b"docker.service"
# auth and authpriv
AUDIT_FACILITIES = ("4", "10")
CRITICAL, WARNING, INFO = 2, 4, 6
ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Record(NamedTuple):
    """What is sent, and what is known of its source when it has arrived."""

    kind: str
    key: str
    value: bytes
    milliseconds: int
    name: str
    source: Source
    redacted: int = 0


class LeftOut(NamedTuple):
    """A line above its source's limit: it is not sent, and counts as done."""

    name: str
    source: Source


def name_of(value: Any) -> str:
    """A field that says who or what, as long as a name may be."""
    return text(value)[:LONGEST_NAME]


def source_of(fields: Fields) -> tuple[str, dict[str, str]]:
    """Who wrote a line: the name of its source, and the fields that say it."""
    told: dict[str, str] = {}
    if "CONTAINER_NAME" in fields and fields.get("_SYSTEMD_UNIT") == DOCKER:
        name = name_of(fields["CONTAINER_NAME"])
        told["container"] = name_of(fields.get("CONTAINER_ID", b""))
        if "IMAGE_NAME" in fields:
            told["image"] = name_of(fields["IMAGE_NAME"])
        task = TASK.fullmatch(name)
        if task is None:
            told["service"] = name
        else:
            told.update(service=task["service"], slot=task["slot"], task=task["task"])
        return told["service"], told
    if "SYSLOG_IDENTIFIER" in fields:
        told["identifier"] = name_of(fields["SYSLOG_IDENTIFIER"])
    pid = fields.get("_PID") or fields.get("SYSLOG_PID")
    if pid is not None:
        told["pid"] = name_of(pid)
    if fields.get("_TRANSPORT") == b"kernel":
        return "kernel", told
    # What systemd says of a unit is said by init.scope.
    unit = fields.get("UNIT") if fields.get("_PID") == b"1" else None
    if fields.get("_UID") == b"0":
        # Of whom root speaks. Whoever else says so is not believed.
        unit = unit or fields.get("OBJECT_SYSTEMD_UNIT")
    unit = unit or fields.get("_SYSTEMD_UNIT")
    if unit is None:
        return told.get("identifier") or "unknown", told
    told["unit"] = name_of(unit)
    if found := PASSING.fullmatch(told["unit"]) or INSTANCE.fullmatch(told["unit"]):
        return "".join(part for part in found.groups() if part), told
    # A shell in an instance has no unit of its own, and what runs in it names itself.
    if told["unit"] == "init.scope" and "identifier" in told and fields.get("_PID") != b"1":
        return told["identifier"], told
    return told["unit"], told


def kind_of(fields: Fields, told: Mapping[str, str], settings: Settings) -> str:
    """The class of a line, which has a topic of its own."""
    if "service" in told:
        return "bus" if any(fnmatchcase(told["service"], name) for name in settings.bus_services) else "service"
    if told.get("unit") in settings.bus_units:
        return "bus"
    transport = fields.get("_TRANSPORT")
    if transport == b"kernel":
        return "kernel"
    if transport == b"audit" or text(fields.get("SYSLOG_FACILITY", b"")) in AUDIT_FACILITIES:
        return "audit"
    identifier = told.get("identifier", "")
    return "audit" if any(fnmatchcase(identifier, name) for name in settings.audit) else "system"


def moment(microseconds: int) -> str:
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{second(seconds)}.{rest:06d}Z"


@lru_cache(maxsize=8)
def second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def partial_of(fields: Fields) -> dict[str, Any] | None:
    """Docker cuts a line of more than 16 KiB into several; this says which part it is."""
    if fields.get("CONTAINER_PARTIAL_MESSAGE") != b"true":
        return None
    return {
        "id": name_of(fields.get("CONTAINER_PARTIAL_ID", b"")),
        "ordinal": name_of(fields.get("CONTAINER_PARTIAL_ORDINAL", b"")),
        "last": fields.get("CONTAINER_PARTIAL_LAST") == b"true",
    }


def priority_of(fields: Fields) -> int:
    priority = text(fields.get("PRIORITY", b""))
    return int(priority) if priority in tuple("01234567") else INFO


class Records:
    """Makes records of entries. What it remembers from one to the next is in the ledger."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self.settings = settings
        self.ledger = ledger
        self.redaction = Redaction(settings.redact)
        self.place = {"v": VERSION, "site": settings.site, "host": settings.host, "tier": settings.tier}

    def of(self, entry: Entry) -> Iterator[Record | LeftOut]:
        """The records of an entry: its line, and before it what has to be said of others."""
        for name, lines, limit in self.ledger.overdue(entry.microseconds):
            allowed = f": it may have {limit.lines} in {limit.seconds} s" if limit else ""
            words = f"{lines} lines of {name.partition('/')[2]} were not sent{allowed}. They are in the journal of this host."
            yield self.own(name, "left_out", words, WARNING, lines, entry.position, entry.microseconds)
        yield self.line(entry)

    def line(self, entry: Entry) -> Record | LeftOut:
        fields = entry.fields
        source, told = source_of(fields)
        kind = kind_of(fields, told, self.settings)
        name, source = self.ledger.name(kind, source, entry.microseconds)
        within = self.ledger.count(name, entry.microseconds)
        whole = text(fields.get("MESSAGE", b""))
        message, redacted, hidden = self.redaction.message(whole, self.ledger.hidden(name))
        self.ledger.hide(name, hidden)
        if not within:
            return LeftOut(name, self.ledger.sources[name])
        more: dict[str, Any] = dict(told)
        if "container" in told and (partial := partial_of(fields)):
            more["partial"] = partial
        if redacted:
            more["redacted"] = redacted
        boot = text(fields.get("_BOOT_ID", b""))
        content = {"priority": priority_of(fields), "message": message, "boot": boot, "entry": entry.position.entry}
        content.update(more)
        return self.record(kind, source, name, content, entry.microseconds, redacted)

    def lost(self, lost: Lost, before: Entry) -> Record:
        """What there is to say where entries were removed before they were read."""
        count = f"{lost.entries} entries" if lost.exact else f"Entries, {lost.entries} of them at least,"
        cause = (
            "cannot be read" if lost.damaged else "were removed, because it had reached its size, before Kafka had them"
        )
        words = f"{count} of this host's journal {cause}."
        self.ledger.skip(lost.entries)
        name = f"system/{OWN_SOURCE}"
        return self.own(name, "lost", words, CRITICAL, lost.entries, before.position, before.microseconds)

    def own(
        self, name: str, event: str, words: str, priority: int, lines: int, before: Position, microseconds: int
    ) -> Record:
        """Something that the shipper has to say itself, in the stream of the source that it is about."""
        kind, _slash, source = name.partition("/")
        self.ledger.seen(name, microseconds // DAY)
        content = {"priority": priority, "message": words, "boot": "", "entry": f"{before.entry}/{event}/{source}"}
        return self.record(kind, source, name, {**content, "event": event, "lines": lines}, microseconds)

    def record(
        self, kind: str, source: str, name: str, content: dict[str, Any], microseconds: int, redacted: int = 0
    ) -> Record:
        number = self.ledger.next_number(name)
        head = {**self.place, "class": kind, "source": source, "number": number, "time": moment(microseconds)}
        value = encoded({**head, **content})
        key = f"{self.settings.host}/{source}"
        return Record(kind, key, value, microseconds // 1000, name, self.ledger.sources[name], redacted)


def encoded(record: dict[str, Any]) -> bytes:
    """A record as JSON, no longer than Kafka takes it: of a message that is too long the end is cut off."""
    longest = LONGEST_MESSAGE
    message = record["message"]
    while True:
        if len(message) > longest:
            record = {**record, "message": message[:longest], "cut": len(message) - longest}
        value = ENCODER.encode(record).encode()
        if len(value) <= LONGEST_RECORD:
            return value
        longest = min(longest, len(message)) // 2
