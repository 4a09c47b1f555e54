# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a journal that files come to and go from."""

from __future__ import annotations

from typing import Any

import pytest
from bcm_shipper.journal import Entry, Journal, Lost, end_of, text
from bcm_shipper.position import position_of


def messages(reading: Journal) -> list[str | Lost]:
    found: list[str | Lost] = []
    while (item := reading.read()) is not None:
        found.append(text(item.fields["MESSAGE"]) if isinstance(item, Entry) else item)
    return found


def test_an_entry_is_known_by_its_series_and_number() -> None:
    position = position_of("s=0123456789abcdef0123456789abcdef;i=2af;b=1;m=2;t=3;x=4")
    assert (position.number, position.entry) == (687, "0123456789abcdef0123456789abcdef:2af")
    with pytest.raises(ValueError, match="of a kind that this program does not know"):
        position_of("something else")


def test_all_is_read_and_what_comes_later_too(journal: Any) -> None:
    journal.write("one", "two")
    reading = Journal(journal.open, None)
    assert messages(reading) == ["one", "two"]
    journal.write("three")
    assert messages(reading) == ["three"]
    assert journal.opened == 1


def test_it_goes_on_after_a_position(journal: Any) -> None:
    journal.write("one", "two", "three")
    first = Journal(journal.open, None)
    first.read()
    assert messages(Journal(journal.open, first.last)) == ["two", "three"]


def test_removed_entries_are_counted(journal: Any) -> None:
    journal.write("one", "two", "three", "four", "five")
    first = Journal(journal.open, None)
    first.read()
    journal.remove(3)
    assert messages(Journal(journal.open, first.last)) == [Lost(2), "four", "five"]


def test_entries_that_are_removed_while_it_reads_are_counted(journal: Any) -> None:
    journal.write("one", "two", "three", "four", "five")
    reading = Journal(journal.open, None)
    reading.read()
    journal.remove(4)
    assert messages(reading) == [Lost(3), "five"]


def test_removed_entries_of_an_earlier_start_are_counted_as_far_as_they_were_known(journal: Any) -> None:
    journal.write("one", "two", "three", "four")
    first = Journal(journal.open, None)
    first.read()
    end = end_of(journal.open)
    assert end is not None
    journal.restart()
    journal.write("after")
    journal.remove(4)
    assert messages(Journal(journal.open, first.last, end.position)) == [Lost(3, exact=False), "after"]
    assert messages(Journal(journal.open, first.last)) == [Lost(1, exact=False), "after"]


def test_a_start_of_the_machine_is_no_loss(journal: Any) -> None:
    journal.write("one", "two")
    reading = Journal(journal.open, None)
    assert messages(reading) == ["one", "two"]
    journal.restart()
    journal.write("three")
    assert messages(reading) == ["three"]


def test_a_number_that_journald_skipped_is_no_loss(journal: Any) -> None:
    journal.write("one")
    journal.number += 1
    journal.write("two")
    assert messages(Journal(journal.open, None)) == ["one", "two"]
    first = Journal(journal.open, None)
    first.read()
    assert messages(Journal(journal.open, first.last)) == ["two"]


def test_numbers_of_another_series_between_are_no_loss(journal: Any) -> None:
    """Where users have journals of their own, older ones of journald's number over all of them, and each has its own series."""
    journal.write("one", "two")
    own, journal.series = journal.series, "e" * 32
    journal.write("three", "four", "five")
    journal.series = own
    journal.write("six", "seven")
    assert messages(Journal(journal.open, None)) == ["one", "two", "three", "four", "five", "six", "seven"]


def test_an_end_that_a_power_cut_took_is_no_loss(journal: Any) -> None:
    journal.write("one", "two", "three")
    first = Journal(journal.open, None)
    messages(first)
    del journal.entries[1:]
    journal.restart()
    reading = Journal(journal.open, first.last)
    assert messages(reading) == []
    journal.write("four")
    assert messages(reading) == ["four"]


def test_numbers_that_are_used_again_after_a_power_cut_are_read(journal: Any) -> None:
    """journald goes on after what was on the disk, in the same series: with numbers that were sent already."""
    journal.write("one", "two", "three")
    first = Journal(journal.open, None)
    messages(first)
    del journal.entries[1:]
    journal.restart(journal.series, 1)
    journal.boot, journal.late = "d" * 32, 100
    journal.write("four")
    reading = Journal(journal.open, first.last)
    assert messages(reading) == ["four"]
    journal.write("five", "six", "seven")
    assert messages(reading) == ["five", "six", "seven"]
    assert messages(Journal(journal.open, first.last)) == ["four", "five", "six", "seven"]


@pytest.mark.parametrize("more", [[], ["five", "six", "seven"]])
@pytest.mark.parametrize("left", [0, 1])
def test_numbers_that_are_used_again_with_a_clock_that_is_behind_are_read(
    journal: Any, left: int, more: list[str]
) -> None:
    """A machine whose clock has no battery: after the power cut it is earlier than before."""
    journal.write("one", "two", "three")
    first = Journal(journal.open, None)
    messages(first)
    del journal.entries[left:]
    journal.restart(journal.series, left)
    journal.boot, journal.late = "d" * 32, -1_000_000
    journal.write("four", *more)
    reading = Journal(journal.open, first.last)
    assert messages(reading) == ["four", *more]
    journal.write("later")
    assert messages(reading) == ["later"]
    assert messages(Journal(journal.open, first.last)) == ["four", *more, "later"]


def test_an_earlier_start_is_not_read_again(journal: Any) -> None:
    """Only what comes after the last one that is missing was written by another start."""
    journal.write("one")
    journal.boot = "d" * 32
    journal.write("two", "three", "four")
    first = Journal(journal.open, None)
    for _entry in range(3):
        first.read()
    del journal.entries[2]
    assert messages(Journal(journal.open, first.last)) == ["four"]


def test_what_came_with_a_file_that_was_not_seen_is_read_in_its_place(journal: Any) -> None:
    journal.write("one")
    reading = Journal(journal.open, None)
    reading.read()
    journal.unseen.append(journal.entry("two"))
    journal.write("three")
    assert messages(reading) == ["two", "three"]


def test_an_entry_that_cannot_be_read_is_counted_and_left_behind(journal: Any) -> None:
    journal.write("one", "two", "three", "four")
    journal.damaged = {2, 3}
    assert messages(Journal(journal.open, None)) == ["one", Lost(2, damaged=True), "four"]


def test_entries_that_are_passed_over_in_silence_are_counted(journal: Any) -> None:
    """libsystemd does so with what it cannot read, be it one entry or the rest of a file."""
    journal.silent = True
    journal.write("one", "two", "three", "four", "five")
    journal.damaged = {2, 3}
    assert messages(Journal(journal.open, None)) == ["one", Lost(2, damaged=True), "four", "five"]
    first = Journal(journal.open, None)
    first.read()
    assert messages(Journal(journal.open, first.last)) == [Lost(2, damaged=True), "four", "five"]


def test_entries_that_are_missing_behind_what_is_older_are_counted(journal: Any) -> None:
    """The one that was sent last cannot be read either."""
    journal.write("one", "two", "three", "four", "five")
    first = Journal(journal.open, None)
    first.read()
    first.read()
    del journal.entries[1:4]
    assert messages(Journal(journal.open, first.last)) == [Lost(2, damaged=True), "five"]


def test_what_is_there_with_a_second_look_is_no_loss(journal: Any) -> None:
    """journald renames a file while the directory is read."""
    journal.write("one", "two", "three", "four")
    first = Journal(journal.open, None)
    first.read()
    renamed, journal.entries[1:3] = journal.entries[1:3], []
    opened, looks = journal.open, []

    def look() -> Any:
        looks.append(1)
        if len(looks) == 3:
            journal.unseen = renamed
        return opened()

    reading = Journal(look, first.last)
    assert messages(reading) == ["two", "three", "four"]


def test_an_entry_of_a_file_that_is_being_removed_is_a_lost_one(journal: Any) -> None:
    """journald fills it with zeros before it goes, under the eyes of those who read."""
    journal.write("one", "two", "three")
    reading = Journal(journal.open, None)
    reading.read()
    journal.damaged = {2}
    opened = journal.open

    def gone() -> Any:
        if len(journal.entries) > 1:
            journal.remove(2)
        return opened()

    reading.opener = gone
    assert messages(reading) == [Lost(1), "three"]


def test_an_entry_without_a_message_is_one_all_the_same(journal: Any) -> None:
    journal.write("one")
    strange = journal.entry("none")
    del strange["MESSAGE"]
    journal.entries.append(strange)
    journal.write("three")
    reading = Journal(journal.open, None)
    reading.read()
    entry = reading.read()
    assert isinstance(entry, Entry)
    assert "MESSAGE" not in entry.fields
    assert messages(reading) == ["three"]


def test_a_journal_that_was_emptied_is_said(journal: Any) -> None:
    journal.write("one")
    first = Journal(journal.open, None)
    first.read()
    journal.remove(1)
    assert end_of(journal.open) is None
    reading = Journal(journal.open, first.last)
    assert messages(reading) == []
    journal.restart()
    journal.write("two")
    assert messages(reading) == [Lost(1, exact=False), "two"]


def test_what_is_no_text_stays_readable() -> None:
    assert text(b"caf\xc3\xa9 \xff") == "café \\xff"
    assert text([b"first", b"second"]) == "first"
