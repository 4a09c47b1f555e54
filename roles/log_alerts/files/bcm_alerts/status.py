# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person or verify.yml is told: whether alerts are looked for, and which are open."""

from __future__ import annotations

import json
import subprocess
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from bcm_alerts import words
from bcm_alerts.settings import Settings, directory

# Seconds after which a program that has told nothing does not run any more, and after which one that has written nothing does not work.
SILENT, STALE = 90.0, 120.0
# Of the certificate, before it is worth a word.
DAYS = 14
# Alerts that are named in a sentence.
NAMED = 5

Object = dict[str, Any]


def running(settings: Settings) -> Object | None:
    """What the program that works, or waits, has told lately."""
    try:
        told: Object = json.loads(Path(settings.runtime).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return told if time.time() - told["at"] < SILENT else None


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


def sentence(alerts: list[Object]) -> str:
    """Alerts in one line."""
    named = [f"{one['text']} (since {one['since'][:16].replace('T', ' ')} UTC)" for one in alerts[:NAMED]]
    more = len(alerts) - len(named)
    return "; ".join(named) + (f"; and {more} more, see bcm-alerts open" if more else "")


def reasons(told: Object | None, days: float | None) -> list[str]:
    """What is wrong, in plain words."""
    wrong = []
    if told is None:
        wrong.append("bcm-alerts does not run; journalctl -u bcm-alerts says why")
    elif told["role"] == "tries":
        wrong.append(f"it does not get on since {ago(told['error_since'])}: {told['error']}")
    elif told["role"] == "works" and time.time() - told["kept"] > STALE:
        wrong.append(
            f"it has written nothing for {words.span(time.time() - told['kept'])}: {told['error'] or 'it is stuck'}"
        )
    if days is not None and days < DAYS:
        wrong.append(f"its certificate ends in {days:.0f} days; site.yml issues it anew")
    urgent = [one for one in (told or {}).get("open", []) if one["severity"] == "critical"]
    if urgent:
        wrong.append(sentence(urgent))
    return wrong


def notes(told: Object | None) -> str:
    if told is None or told["role"] == "tries":
        return ""
    if told["role"] == "begins":
        return "it has just begun"
    if told["role"] == "waits":
        return "waits, another manager looks for them"
    found = told.get("open", [])
    behind = "" if told["live"] else ", and lines that it has not read yet"
    return f"{len(found)} open{behind}: {sentence(found)}" if found else f"none open{behind}"


def ago(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))


def report(settings: Settings) -> Object:
    told = running(settings)
    days = days_left(str(directory() / "certificate.pem"))
    wrong = reasons(told, days)
    known = told or {"role": "", "error": "", "open": []}
    return {
        "ready": not wrong,
        "reason": "; ".join(wrong),
        "note": notes(told),
        "running": told is not None,
        "role": known["role"],
        "error": known["error"],
        "live": known.get("live", False),
        "kept": known.get("kept", 0),
        "open": known.get("open", []),
        "rules": len(settings.rules),
        "certificate_days": days,
    }


def said(told: Object) -> str:
    """The same for a person."""
    lines = [f"{told['role']}: {told['note']}" if told["note"] else told["role"], told["reason"]]
    return "\n".join(line for line in lines if line)
