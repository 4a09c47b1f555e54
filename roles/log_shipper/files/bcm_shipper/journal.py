# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the journal, one entry after the other, and noticing when one is missing."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from bcm_shipper.position import Position, position_of

# Numbers that may be missing between two entries without a loss: where a file is full, journald tries again in the next one, with another.
SKIPPED = 1
# Longer fields are cut by libsystemd. What is sent of a message is less.
LONGEST_FIELD = 1 << 20

Fields = Mapping[str, Any]


class Reader(Protocol):
    """What is used of systemd.journal.Reader."""

    data_threshold: int

    def get_next(self) -> dict[str, Any]: ...
    def get_previous(self) -> dict[str, Any]: ...
    def seek_head(self) -> None: ...
    def seek_tail(self) -> None: ...
    def seek_cursor(self, cursor: str) -> None: ...
    def test_cursor(self, cursor: str) -> bool: ...
    def process(self) -> int: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...


def open_reader(path: str | None = None) -> Reader:
    """All journals of this machine, or those of a directory."""
    from systemd import journal

    class Plain(journal.Reader):  # type: ignore[misc]
        """Leaves values as they are: to convert all fields of each entry takes five times as long as to read it."""

        def _convert_entry(self, entry: dict[str, Any]) -> dict[str, Any]:
            return entry

    reader: Reader = Plain(path=path) if path else Plain()
    reader.data_threshold = LONGEST_FIELD
    return reader


def text(value: Any) -> str:
    """A field as text. What is no UTF-8 stays readable; of a field that is there twice the first counts."""
    if isinstance(value, list):
        value = value[0]
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


class Entry(NamedTuple):
    """What journald has kept of one line."""

    position: Position
    fields: Fields
    # Since 1970, when journald took it.
    microseconds: int


class Lost(NamedTuple):
    """Entries that were removed before they were read: what journald's bound is for, and what must not stay unnoticed."""

    entries: int
    # Over a restart of the machine the numbers begin anew: then they are this many at least.
    exact: bool = True
    # They are there and cannot be read.
    damaged: bool = False


class DamagedError(Exception):
    """An entry cannot be read, or not all of it: of a file that journald removes it makes zeros first."""


def entry_of(fields: dict[str, Any]) -> Entry:
    moment = fields["__REALTIME_TIMESTAMP"]
    # python3-systemd gives microseconds as they are to those who do not have them converted.
    microseconds = moment if isinstance(moment, int) else int(moment.timestamp() * 1_000_000)
    return Entry(position_of(text(fields["__CURSOR"])), fields, microseconds)


def removed(last: Position, first: Position, tail: Position | None) -> Lost:
    """How many there were after LAST and before FIRST, with which the journal begins now. TAIL was its end once."""
    if first.series == last.series:
        return Lost(first.number - last.number - 1, exact=True)
    known = tail.number - last.number if tail is not None and tail.series == last.series else 0
    # Nobody can say that there were none.
    return Lost(max(1, known), exact=False)


def missing(last: Position, first: Position) -> int:
    """How many entries were between LAST and FIRST, which follows it for libsystemd: that says nothing of what it could not read. All files
    that journald writes at a time have one series, or each its own: then an entry of one comes between those of the other, and nothing is
    said of either."""
    between = first.number - last.number - 1
    return between if first.series == last.series and between > SKIPPED else 0


def is_later(before: Position, found: Position | None, last: Position) -> bool:
    """Whether BEFORE, which stands before FOUND, was written after LAST, which is not there any more: when the power failed it was not on the
    disk. What the next start has written may have its number and those before it, and earlier times, if the clock is behind since. Where
    nothing was FOUND, the journal ends with what that start has written, for this program is part of it."""
    return before.reuses(last) or (before.boot != last.boot and (found is None or found.boot == before.boot))


class Journal:
    """What follows a position, without leaving anything out unnoticed."""

    def __init__(self, opener: Callable[[], Reader], last: Position | None, tail: Position | None = None) -> None:
        self.opener = opener
        self.last = last
        # The latest position that is known of.
        self.tail = tail
        self.reader = self.open()
        self.waiting: list[Entry | Lost] = []
        # Whether an entry that lacks what each one has is taken for what it is.
        self.strange = False
        if last is not None:
            self.waiting = self.twice(self.resume)
        else:
            self.reader.seek_head()

    def open(self) -> Reader:
        reader = self.opener()
        # From now on it is told of what changes.
        reader.fileno()
        return reader

    def reopen(self) -> None:
        self.reader.close()
        self.reader = self.open()

    def twice(self, find: Callable[[], list[Entry | Lost]]) -> list[Entry | Lost]:
        """What FIND finds. A loss is one if it is found with another look at all files, too: journald may have renamed one during the first."""
        last, found = self.last, find()
        if last is not None and found and isinstance(found[0], Lost):
            self.last = last
            self.reopen()
            found = find()
        return found

    def resume(self) -> list[Entry | Lost]:
        """Go to what follows the last entry, and say what is missing before it."""
        last = self.last
        assert last is not None  # noqa: S101 - for the type checker
        reader = self.reader
        reader.seek_cursor(last.cursor)
        found = reader.get_next()
        if found and reader.test_cursor(last.cursor):
            return []
        # Where the bound removes, it removes what is oldest: then there is nothing before what is found.
        fields = reader.get_previous()
        first = entry_of(found) if found else None
        while fields and is_later((entry := entry_of(fields)).position, first.position if first else None, last):
            first = entry
            fields = reader.get_previous()
        if first is None:
            return []
        reader.seek_cursor(first.position.cursor)
        reader.get_next()
        self.last = first.position
        again = first.position.series == last.series and first.position.number <= last.number
        if fields or again or first.position.follows(last):
            entries = missing(last, first.position)
            return [Lost(entries, damaged=True), first] if entries else [first]
        return [removed(last, first.position, self.tail), first]

    def read(self) -> Entry | Lost | None:
        """The next entry, how many are missing before it, or nothing, if there are no more for now."""
        if self.waiting:
            return self.waiting.pop(0)
        try:
            entry = self.step()
        except DamagedError:
            return self.read_anew()
        if entry is None:
            self.tail = self.last or self.tail
            return None
        if self.last is not None and not entry.position.follows(self.last):
            return self.read_anew()
        self.last = entry.position
        return entry

    def step(self) -> Entry | None:
        try:
            # Where one file ends there may be another, of which the reader knows when it has looked.
            fields = self.reader.get_next() or (self.reader.process() and self.reader.get_next())
        except OSError as exc:
            if exc.errno == errno.EBADMSG:
                raise DamagedError from exc
            raise
        if not fields:
            return None
        # Python's library is silent about fields that it could not read. These each entry has that journald takes.
        if "MESSAGE" not in fields or "_TRANSPORT" not in fields:
            if self.strange:
                return entry_of(fields)
            raise DamagedError
        return entry_of(fields)

    def read_anew(self) -> Entry | Lost | None:
        """What comes next is not what was expected: it came with a file that this reader has not seen yet, it is gone, or it
        is damaged. With a look at all files it is known which."""
        if self.last is not None:
            self.reopen()
        self.waiting = self.twice(self.find)
        return self.waiting.pop(0) if self.waiting else None

    def find(self) -> list[Entry | Lost]:
        if self.last is not None and (found := self.resume()):
            return found
        damaged = 0
        self.strange = True
        while True:
            try:
                entry = self.step()
                break
            except DamagedError:
                damaged += 1
        self.strange = False
        if entry is None:
            return []
        # What came before is there: it is not the bound that has removed what is missing.
        entries = max(damaged, missing(self.last, entry.position) if self.last is not None else 0)
        self.last = entry.position
        return [Lost(entries, damaged=True), entry] if entries else [entry]


def end_of(opener: Callable[[], Reader]) -> Entry | None:
    """The last entry of the journal."""
    reader = opener()
    try:
        reader.seek_tail()
        fields = reader.get_previous()
    finally:
        reader.close()
    return entry_of(fields) if fields else None
