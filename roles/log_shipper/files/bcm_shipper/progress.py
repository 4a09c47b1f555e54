# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is acknowledged, and the file that remembers it."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bcm_shipper.ledger import Source, sources_from
from bcm_shipper.position import Position, position_of

VERSION = 1


class UnreadableError(Exception):
    """What was remembered is none of this program's any more."""


@dataclass
class State:
    """What another run needs to go on, and what is counted since the first one."""

    position: Position | None = None
    # The end of the journal as it was known: how many entries are missing if it is gone.
    tail: Position | None = None
    sources: dict[str, Source] = field(default_factory=dict)
    sent: int = 0
    redacted: int = 0
    left_out: int = 0
    lost: int = 0
    # By which numbers are higher than what was counted, because entries were lost.
    skipped: int = 0
    # Since 1970; 0 is never.
    lost_at: float = 0

    def said(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "position": self.position.cursor if self.position else None,
            "tail": self.tail.cursor if self.tail else None,
            "sent": self.sent,
            "redacted": self.redacted,
            "left_out": self.left_out,
            "lost": self.lost,
            "skipped": self.skipped,
            "lost_at": self.lost_at,
            "sources": self.sources,
        }


def state_from(said: Mapping[str, Any]) -> State:
    if said["version"] != VERSION:
        raise ValueError(f"the state is of version {said['version']}, and this program knows {VERSION}")
    return State(
        position=position_of(said["position"]) if said["position"] else None,
        tail=position_of(said["tail"]) if said["tail"] else None,
        sources=sources_from(said["sources"]),
        **{name: said[name] for name in ("sent", "redacted", "left_out", "lost", "skipped", "lost_at")},
    )


def load(path: str) -> State:
    """The state as it was kept. One that cannot be read is an error: to begin anew would be to send all again, with other numbers.

    :raises UnreadableError: with all that there is to say.
    """
    try:
        return state_from(json.loads(Path(path).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return State()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        words = str(exc) if isinstance(exc, ValueError) else repr(exc)
        raise UnreadableError(
            f"{path} cannot be read: {words}. Without it this begins as if it had never run: remove it if that is what is wanted"
        ) from exc


def keep(path: str, state: State) -> None:
    """Whole or not at all, also when the power fails."""
    new = Path(f"{path}.new")
    with new.open("w", encoding="utf-8") as file:
        json.dump(state.said(), file, separators=(",", ":"))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


class Ticket:
    """Something that has to be done before the position may move beyond it."""

    __slots__ = ("changes", "done", "gone", "name", "position", "size", "source")

    def __init__(self, name: str, source: Source, **changes: float) -> None:
        self.done = False
        self.name = name
        self.source = source
        # What is counted when it is done, by its name in the state.
        self.changes = changes
        self.size = 0
        # Of an entry, with the last of its tickets: where it is, and which sources have made room for it.
        self.position: Position | None = None
        self.gone: tuple[str, ...] = ()


class Progress:
    """What is under way, in the journal's order, and the state up to the first of it that is not done."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.tickets: deque[Ticket] = deque()
        self.bytes = 0

    def add(self, ticket: Ticket, size: int = 0) -> Ticket:
        ticket.size = size
        self.bytes += size
        self.tickets.append(ticket)
        return ticket

    def settle(self) -> bool:
        """Go on to the first that is not done; whether there was anything to go on over."""
        moved = False
        state, tickets = self.state, self.tickets
        while tickets and tickets[0].done:
            ticket = tickets.popleft()
            moved = True
            self.bytes -= ticket.size
            for name in ticket.gone:
                state.sources.pop(name, None)
            state.sources[ticket.name] = ticket.source
            if ticket.position is not None:
                state.position = ticket.position
            for what, more in ticket.changes.items():
                setattr(state, what, getattr(state, what) + more)
        return moved
