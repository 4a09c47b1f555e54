# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One session: from the position that is kept, until it is told to stop or something fails."""

from __future__ import annotations

import json
import select
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from bcm_shipper import progress
from bcm_shipper.journal import Entry, Journal, Lost, Reader, end_of
from bcm_shipper.ledger import MOST_UNDER_WAY, Ledger
from bcm_shipper.progress import Progress, State, Ticket, UnreadableError
from bcm_shipper.records import LeftOut, Record, Records
from bcm_shipper.sender import Sender, SetbackError, Trouble
from bcm_shipper.settings import Settings

AT_ONCE = 500
# Bytes that may be under way.
MOST_BYTES = 32 << 20
# Seconds: how often the state is kept at most, how often somebody who asks is told something new at least, how long lines of
# the bus itself wait for others, how long what is under way may take to arrive when all of this stops, and how often the
# journal's end is looked at while it is far away.
KEEP, TELL, HOLD, FLUSH, LOOK = 1.0, 5.0, 5.0, 20.0, 10.0


class Session:
    """Reads, sends, and remembers what has arrived."""

    def __init__(
        self,
        settings: Settings,
        sender: Sender,
        opener: Callable[[], Reader],
        alive: Callable[[], object] = bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.sender = sender
        self.alive = alive
        self.clock = clock
        self.opener = opener
        self.state = self.begin()
        self.progress = Progress(self.state)
        self.ledger = Ledger(self.state.sources, settings.limits, self.state.skipped)
        self.records = Records(settings, self.ledger)
        self.journal = Journal(opener, self.state.position, self.state.tail)
        self.held: deque[tuple[Record, Ticket]] = deque()
        self.held_since = 0.0
        self.lost: Lost | None = None
        self.kept = self.told = self.looked = self.lived = clock()
        self.changed = False

    def begin(self) -> State:
        """The state that was kept. Who begins now remembers at once what comes before: a kill does not move it.

        :raises SetbackError: it cannot be read.
        """
        try:
            state = progress.load(self.settings.state)
        except UnreadableError as exc:
            raise SetbackError(str(exc)) from exc
        if state.position is None and self.settings.from_now:
            end = end_of(self.opener)
            state.position = state.tail = end.position if end else None
            progress.keep(self.settings.state, state)
        return state

    def run(self, stopping: Callable[[], bool], wake: int) -> None:
        """Until STOPPING says so. WAKE is a file descriptor that is readable then."""
        try:
            # Who cannot remember what has arrived, on a full disk, would send it again and again.
            progress.keep(self.settings.state, self.state)
            self.tell()
            while not stopping():
                read = self.advance()
                if read == AT_ONCE:
                    continue
                if len(self.progress.tickets) > len(self.held):
                    # What is under way is waited for; what comes meanwhile waits the twentieth of a second.
                    self.sender.poll(0.05)
                else:
                    self.wait(wake)
            self.finish()
        finally:
            # What has arrived has arrived, whatever else failed.
            self.progress.settle()
            self.keep()

    def advance(self) -> int:
        """Read what there is room for, send it, and see what has arrived; how many entries were read."""
        read = 0
        while read < AT_ONCE and len(self.progress.tickets) < MOST_UNDER_WAY and self.progress.bytes < MOST_BYTES:
            item = self.journal.read()
            if item is None:
                break
            self.take(item)
            read += 1
            self.live()
        if self.held and self.clock() - self.held_since >= HOLD:
            self.release()
        self.sender.poll(0)
        self.changed = self.progress.settle() or self.changed
        now = self.clock()
        # Nothing arrives, and the journal grows: where it ends is worth to be remembered.
        if now - self.kept >= (KEEP if self.changed else LOOK) and (self.changed or self.progress.tickets):
            self.keep()
        elif now - self.told >= TELL:
            self.tell()
        return read

    def take(self, item: Entry | Lost) -> None:
        if isinstance(item, Lost):
            # It is told with the entry that is next, whose time and number it gets.
            self.lost = item
            return
        if self.lost is not None:
            before = self.ledger.skipped
            record = self.records.lost(self.lost, item)
            self.state.lost_at = time.time()
            changes = {"lost": self.lost.entries, "skipped": self.ledger.skipped - before}
            self.submit(record, Ticket(record.name, record.source, **changes))
            self.lost = None
        for made in self.records.of(item):
            if isinstance(made, LeftOut):
                ticket = self.progress.add(Ticket(made.name, made.source, left_out=1))
                ticket.done = True
            else:
                ticket = self.submit(made, Ticket(made.name, made.source, sent=1, redacted=made.redacted))
        ticket.position = item.position
        ticket.gone = self.ledger.take_gone()

    def submit(self, record: Record, ticket: Ticket) -> Ticket:
        """Send a record. Lines of the bus itself wait for those of others: otherwise each that is sent might bring the next."""
        self.progress.add(ticket, len(record.value))
        if record.kind == "bus":
            if not self.held:
                self.held_since = self.clock()
            self.held.append((record, ticket))
        else:
            self.release()
            self.sender.send(record, ticket)
        return ticket

    def release(self) -> None:
        while self.held:
            self.sender.send(*self.held.popleft())

    def wait(self, wake: int) -> None:
        """Until the journal has something new, it is time for what waits, or somebody says stop."""
        poll = select.poll()
        poll.register(self.journal.reader.fileno(), select.POLLIN)
        poll.register(wake, select.POLLIN)
        seconds = TELL
        if self.held:
            seconds = max(0.0, self.held_since + HOLD - self.clock())
        poll.poll(seconds * 1000)

    def finish(self) -> None:
        """An orderly stop: what was read arrives, if Kafka is there. If not it is read again."""
        self.release()
        end = self.clock() + FLUSH
        while self.progress.tickets and self.clock() < end:
            self.sender.poll(0.1)
            self.progress.settle()

    def keep(self) -> None:
        now = self.clock()
        if now - self.looked >= LOOK and (end := end_of(self.opener)):
            self.journal.tail, self.looked = end.position, now
        # Should what is not read yet be removed, this tells how much is missing.
        self.state.tail = self.journal.tail
        progress.keep(self.settings.state, self.state)
        self.changed = False
        self.kept = now
        self.tell()

    def live(self) -> None:
        """So many entries, each as long as it likes, may take longer than one that does nothing is let live."""
        if self.clock() - self.lived >= TELL:
            self.alive()
            self.lived = self.clock()

    def tell(self) -> None:
        self.alive()
        self.lived = self.clock()
        tell(self.settings, self.sender.trouble, self.sender.acknowledged, len(self.progress.tickets))
        self.told = self.clock()


def tell(settings: Settings, trouble: Trouble, acknowledged: float = 0, under_way: int = 0) -> None:
    """What `status` cannot see from outside."""
    said = {"error": trouble.words, "error_since": trouble.since, "acknowledged": acknowledged, "under_way": under_way}
    new = Path(f"{settings.runtime}.new")
    new.write_text(json.dumps({"at": time.time(), **said}), encoding="utf-8")
    new.replace(settings.runtime)
