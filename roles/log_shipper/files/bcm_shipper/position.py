# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in the journal an entry is."""

from __future__ import annotations

import re
from typing import NamedTuple

# libsystemd tells an entry's number by a function that python3-systemd does not have. The cursor begins with the same.
CURSOR = re.compile(r"s=([0-9a-f]{32});i=([0-9a-f]+);(?:b=([0-9a-f]{32});m=[0-9a-f]+;t=([0-9a-f]+);)?")


class Position(NamedTuple):
    """Journald numbers what it writes: in one series, over all its files, there is no gap unless something is missing."""

    cursor: str
    series: str
    number: int

    @property
    def entry(self) -> str:
        """What identifies the entry wherever it is read."""
        return f"{self.series}:{self.number:x}"

    @property
    def boot(self) -> str:
        """The machine's start during which it was written."""
        found = CURSOR.match(self.cursor)
        return (found[3] or "") if found is not None else ""

    def reuses(self, other: Position) -> bool:
        """Whether it has a number that OTHER has used up: when the power failed, what had it was not on the disk yet, and journald
        has gone on, in the same series, after what was."""
        mine, others = CURSOR.match(self.cursor), CURSOR.match(other.cursor)
        return (
            self.series == other.series
            and self.number <= other.number
            and mine is not None
            and others is not None
            and mine[3] != others[3]
            and int(mine[4] or "0", 16) > int(others[4] or "0", 16)
        )

    def follows(self, other: Position) -> bool:
        return self.series == other.series and self.number == other.number + 1


def position_of(cursor: str) -> Position:
    found = CURSOR.match(cursor)
    if found is None:
        raise ValueError(f"a cursor of journald's of a kind that this program does not know: {cursor}")
    return Position(cursor, found[1], int(found[2], 16))
