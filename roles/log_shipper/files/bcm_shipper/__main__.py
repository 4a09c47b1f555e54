# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings what journald keeps to Kafka.

    bcm-shipper run             what the unit does
    bcm-shipper status          whether all of the journal is in Kafka
    bcm-shipper status --json   the same for programs

Its exit code says whether all is well.
"""

from __future__ import annotations

import json
import select
import signal
import socket
import sys
from collections.abc import Callable

from bcm_shipper import settings as configuration
from bcm_shipper.journal import open_reader
from bcm_shipper.sender import Sender, SetbackError, Trouble, connect
from bcm_shipper.session import Session, tell
from bcm_shipper.settings import Settings
from bcm_shipper.status import report, words

# Seconds between two tries.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


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
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        poll.poll(seconds * 1000)


def say(words: str) -> None:
    """To the journal, as a change of what it does: never for each line that it sends, which would be sent, too."""
    print(words, file=sys.stderr, flush=True)


def notifier() -> Callable[[str], object]:
    from systemd.daemon import notify

    told: Callable[[str], object] = notify
    return told


def run(settings: Settings, stop: Stop) -> None:
    notify = notifier()
    pause = FIRST_PAUSE
    trouble = Trouble()
    while not stop.asked:
        acknowledged = 0.0
        try:
            sender = Sender(settings, connect, trouble)
            try:
                session = Session(settings, sender, lambda: open_reader(settings.journal), lambda: notify("WATCHDOG=1"))
                notify("READY=1")
                session.run(lambda: stop.asked, stop.wake.fileno())
            finally:
                acknowledged = sender.acknowledged
                sender.give_up()
        except (SetbackError, OSError) as exc:
            # The same again and again is said once.
            if str(exc) != trouble.words or acknowledged:
                say(f"Begins again with what is not acknowledged: {exc}")
            trouble.seen(str(exc))
            tell(settings, trouble)
            # It runs, and says what is in the way: to be begun anew by systemd would help nobody.
            notify("READY=1\nWATCHDOG=1")
            pause = FIRST_PAUSE if acknowledged else min(pause * 2, LONGEST_PAUSE)
            stop.wait(pause)
    notify("STOPPING=1")


def main(argv: list[str]) -> int:
    if argv == ["run"]:
        run(configuration.load(), Stop())
        return 0
    if argv in (["status"], ["status", "--json"]):
        settings = configuration.load()
        said = report(settings, lambda: open_reader(settings.journal))
        print(json.dumps(said) if "--json" in argv else words(said))
        return 0 if said["ready"] else 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
