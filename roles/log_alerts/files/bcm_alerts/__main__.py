# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns the lines that all hosts log into alerts.

    bcm-alerts run                          what the unit does
    bcm-alerts status [--json]              whether alerts are looked for, here or on another manager
    bcm-alerts open [--json]                alerts that are not resolved, from Kafka
    bcm-alerts history [DAYS] [--json]      what was raised and resolved in the last days (7)

The exit code of status says whether all is well.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from typing import Any

from bcm_alerts import book, words
from bcm_alerts import settings as configuration
from bcm_alerts.book import Book
from bcm_alerts.engine import Engine
from bcm_alerts.kafka import SetbackError, Trouble
from bcm_alerts.seat import Seat
from bcm_alerts.session import Session, tell
from bcm_alerts.settings import Settings
from bcm_alerts.status import report, said
from bcm_alerts.stream import Stream

# Seconds between two tries, in which a group is joined, after which somebody who asks is told something new, and for which it counts that
# no broker was reached.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
EARLY, TELL, ALONE = 60.0, 10.0, 60.0


class Stop:
    """SIGTERM as something that can be waited for."""

    def __init__(self) -> None:
        self.asked = False
        self.wake, self.signals = socket.socketpair()
        for end in (self.wake, self.signals):
            end.setblocking(False)
        signal.set_wakeup_fd(self.signals.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.ask)

    def ask(self, *_about: object) -> None:
        self.asked = True

    def wait(self, seconds: float) -> None:
        self.wake.setblocking(True)
        self.wake.settimeout(seconds)
        try:
            self.wake.recv(1)
        except TimeoutError:
            return


def say(told: str) -> None:
    """To the journal, as a change of what it does: never for each alert, whose words might make the next one."""
    print(told, file=sys.stderr, flush=True)


def notify(state: str) -> None:
    """Tell systemd, if it has started this."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as place:
        place.connect("\0" + address[1:] if address.startswith("@") else address)
        place.sendall(state.encode())


def work(settings: Settings, trouble: Trouble, stop: Stop) -> None:
    """Wait for the seat, work while it is held, and wait again.

    :raises SetbackError: something is in the way.
    """
    seat = Seat(settings, trouble)
    try:
        seat.open()
        while not stop.asked:
            wait(settings, trouble, seat, stop)
            if not stop.asked:
                hold(settings, trouble, seat, stop)
    finally:
        # Last: what this one has begun is over when the next one begins.
        seat.close()


def wait(settings: Settings, trouble: Trouble, seat: Seat, stop: Stop) -> None:
    """Until the seat is given to this one."""
    began = time.monotonic()
    told = began - TELL
    while not seat.poll(1.0) and not stop.asked:
        notify("WATCHDOG=1")
        now = time.monotonic()
        alone = time.time() - trouble.alone < ALONE
        if seat.joined and not alone:
            trouble.passed()
        elif now - began >= EARLY:
            trouble.seen(trouble.words or "Kafka has not let it in yet")
        if now - told >= TELL:
            told = now
            # Who cannot reach Kafka, or is not let in, is not waiting for somebody else.
            waits = seat.joined and not alone
            tell(settings, trouble, "waits" if waits else "tries" if trouble.words else "begins")


def hold(settings: Settings, trouble: Trouble, seat: Seat, stop: Stop) -> None:
    """Work, until the seat is another one's."""
    store, stream = Book(settings, trouble), Stream(settings, trouble)
    try:
        session = Session(settings, store, stream, trouble)
        say("Looks for alerts")
        session.run(seat, lambda: stop.asked, lambda: notify("WATCHDOG=1"))
    finally:
        stream.close()
        store.close()
    if not stop.asked:
        say("Leaves it to another one")


def run(settings: Settings, stop: Stop) -> None:
    pause, last = FIRST_PAUSE, ""
    trouble = Trouble()
    notify("READY=1")
    while not stop.asked:
        try:
            work(settings, trouble, stop)
            pause, last = FIRST_PAUSE, ""
        except (SetbackError, OSError) as exc:
            # The same again and again is said once.
            if str(exc) != last:
                say(f"Begins again with what Kafka remembers: {exc}")
            pause = FIRST_PAUSE if str(exc) != last else min(pause * 2, LONGEST_PAUSE)
            last = str(exc)
            trouble.seen(last)
            tell(settings, trouble, "tries")
            notify("WATCHDOG=1")
            stop.wait(pause)
    notify("STOPPING=1")


def open_alerts(settings: Settings) -> list[dict[str, Any]]:
    """Those of Kafka's memory: the same whoever works, and also if nobody does."""
    memory = book.read(settings, Trouble())
    return Engine(settings.site, settings.rules, settings.hosts, memory.cases).open()


def main(argv: list[str]) -> int:
    as_json = "--json" in argv
    rest = [one for one in argv if one != "--json"]
    if rest == ["run"]:
        run(configuration.load(), Stop())
        return 0
    try:
        if rest == ["status"]:
            told = report(configuration.load())
            print(json.dumps(told) if as_json else said(told))
            return 0 if told["ready"] else 1
        if rest == ["open"]:
            return show(open_alerts(configuration.load()), as_json, "No alert is open.")
        if rest[:1] == ["history"] and len(rest) <= 2 and (not rest[1:] or rest[1].isdigit()):
            days = int(rest[1]) if rest[1:] else 7
            return show(book.history(configuration.load(), Trouble(), days * 86400), as_json, "There was no alert.")
    except (SetbackError, OSError) as exc:
        print(f"bcm-alerts: {exc}", file=sys.stderr)
        return 1
    print(__doc__, file=sys.stderr)
    return 2


def show(alerts: list[dict[str, Any]], as_json: bool, none: str) -> int:
    for one in alerts:
        print(json.dumps(one, ensure_ascii=False) if as_json else words.line(one))
    if not alerts and not as_json:
        print(none)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
