# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person or verify.yml is told: whether all that is in the journal is in Kafka, and if not, why."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from bcm_shipper import progress
from bcm_shipper.journal import Entry, Journal, Lost, Reader, end_of
from bcm_shipper.progress import State, UnreadableError
from bcm_shipper.settings import Settings, directory

# What is behind is counted so far.
MOST = 100_000
# Seconds after which a program that has told nothing does not run any more: longer than it waits between two tries.
SILENT = 60
# Of the certificate, before it is worth a word.
DAYS = 14

Object = dict[str, Any]


def backlog(state: State, opener: Callable[[], Reader]) -> Object:
    """What of the journal is not acknowledged: how many entries, how old the first is, and what of it is gone already."""
    end = end_of(opener)
    if end is None or (state.position is not None and end.position.cursor == state.position.cursor):
        return {"backlog": 0, "oldest": 0.0, "losing": 0}
    journal = Journal(opener, state.position, state.tail)
    losing, first, counted = 0, None, 0
    while (item := journal.read()) is not None:
        if isinstance(item, Lost):
            losing = item.entries
            continue
        counted += 1
        first = first or item
        if item.position.series == end.position.series:
            counted += end.position.number - item.position.number
            break
        if counted >= MOST:
            break
    journal.reader.close()
    return {"backlog": counted, "oldest": age(first), "losing": losing}


def age(entry: Entry | None) -> float:
    return round(max(0.0, time.time() - entry.microseconds / 1_000_000), 1) if entry is not None else 0.0


def running(settings: Settings) -> Object | None:
    """What the program that ships has told lately."""
    try:
        said: Object = json.loads(Path(settings.runtime).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return said if time.time() - said["at"] < SILENT else None


def days_left(certificate: str) -> float | None:
    """Days that a certificate is valid. Python's own means read certificates of connections only."""
    argv = ["openssl", "x509", "-noout", "-enddate", "-in", certificate]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=10)
        month, day, clock, year, _zone = done.stdout.strip().partition("=")[2].split()
        end = parsedate_to_datetime(f"{day} {month} {year} {clock} GMT")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return round((end.timestamp() - time.time()) / 86400, 1)


def reasons(said: Object, settings: Settings) -> list[str]:
    """What is wrong, in plain words."""
    wrong = []
    late = said["oldest"] > settings.late
    if not said["running"]:
        wrong.append(f"bcm-shipper does not run, {said['backlog']} entries wait; journalctl -u bcm-shipper says why")
    elif late:
        cause = said["error"] or "it is not done yet"
        wrong.append(f"{said['backlog']} entries are not in Kafka, the first since {said['oldest']:.0f} s: {cause}")
    if said["losing"]:
        wrong.append(
            f"{said['losing']} entries at least are not in the journal any more, or cannot be read, and were not sent"
        )
    if said["lost"] and time.time() - said["lost_at"] < settings.lost_for:
        when = day_of(said["lost_at"])
        wrong.append(f"{said['lost']} entries were lost before they were sent, the last ones on {when}")
    if said["certificate_days"] is not None and said["certificate_days"] < DAYS:
        wrong.append(f"its certificate ends in {said['certificate_days']:.0f} days; site.yml issues it anew")
    return wrong


def notes(said: Object) -> str:
    told = []
    if said["lost"]:
        told.append(f"{said['lost']} entries were lost until {day_of(said['lost_at'])}")
    if said["left_out"]:
        told.append(f"{said['left_out']} lines were above the limits of their sources and are in the journal only")
    return "; ".join(told)


def day_of(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))


def report(settings: Settings, opener: Callable[[], Reader]) -> Object:
    unreadable = ""
    try:
        state = progress.load(settings.state)
        waiting = backlog(state, opener)
    except UnreadableError as exc:
        # How much waits nobody knows.
        state, waiting, unreadable = State(), {"backlog": 0, "oldest": 0.0, "losing": 0}, str(exc)
    told = running(settings)
    said: Object = {
        "running": told is not None,
        **waiting,
        "sent": state.sent,
        "redacted": state.redacted,
        "left_out": state.left_out,
        "lost": state.lost,
        "lost_at": state.lost_at,
        "sources": len(state.sources),
        "position": state.position.cursor if state.position else None,
        "error": (told or {}).get("error", ""),
        "error_since": (told or {}).get("error_since", 0),
        "acknowledged": (told or {}).get("acknowledged", 0),
        "under_way": (told or {}).get("under_way", 0),
        "certificate_days": days_left(str(directory() / "certificate.pem")),
    }
    wrong = ([unreadable] if unreadable else []) + reasons(said, settings)
    return {"ready": not wrong, "reason": "; ".join(wrong), "note": notes(said), **said}


def words(said: Object) -> str:
    """The same for a person."""
    lines = ["all that is in the journal is in Kafka" if said["ready"] and not said["backlog"] else ""]
    lines.append(f"{said['backlog']} entries wait, the first for {said['oldest']:.0f} s" if said["backlog"] else "")
    lines.append(f"{said['sent']} lines of {said['sources']} sources were sent, without {said['redacted']} secrets")
    lines += [said["note"], said["reason"]]
    return "\n".join(line for line in lines if line)
