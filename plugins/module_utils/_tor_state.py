# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""How far a tor is, and what stands in its way: from what it says of itself, in words for people."""

from __future__ import annotations

import calendar
import re
import socket
import time
import typing as t
from pathlib import Path

from ansible_collections.bcm.datacenter.plugins.module_utils._tor import Control, TorError, unquoted

WORD = re.compile(r'([A-Z]+)=("(?:[^"\\]|\\.)*"|\S*)')
SKEW = re.compile(r"[Cc]lock skew (-?\d+)")
# What tor calls a relay or bridge that cannot be reached, and what a person would.
REASONS = {
    "NOROUTE": "there is no way to the network",
    "CONNECTREFUSED": "it refuses connections",
    "TIMEOUT": "it does not answer in time",
    "CONNECTRESET": "the connection is cut",
    "IDENTITY": "somebody else answers there than was told",
    "TLS_ERROR": "no TLS comes about",
    "DONE": "it closes the connection at once",
    "IOERROR": "the connection breaks",
    "RESOURCELIMIT": "this machine has come to a limit of its own",
    "PT_MISSING": "the program of its transport does not run",
}
# Until here it is about reaching anybody at all, and from here on about what these say.
REACHED = 14
# What tor and the authorities allow each other (src/feature/nodelist/networkstatus.c, and a consensus is good for three hours).
TOLERANCE = 3600


class Cause(t.NamedTuple):
    """What stands in the way, and what a person can do."""

    words: str
    hint: str


CLOCK = "Set the clock of the machine underneath, and have it kept right (systemd-timesyncd, chrony)."
NETWORK = "Look at the leg outside of this host, at its firewall, and at the network of the machine underneath."
BRIDGE = "Ask for other bridges (https://bridges.torproject.org), and name them in tor.bridges."

# By lines of tor's log, the first that fits: what its control connection does not tell.
LOGGED: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"Our clock is (?P<a>.+?) (?P<b>behind|ahead of) the time published in the consensus"),
        "the clock of this host is {a} {b} that of the Tor network",
        CLOCK,
    ),
    (
        re.compile(r"It seems that our clock is (?P<b>behind|ahead) by (?P<a>.+?), or that"),
        "the clock of this host is {a} {b}, or that of whom it asked is wrong",
        CLOCK,
    ),
    (
        # By a clock that is ahead, relays show certificates of the past.
        re.compile(r"At least one certificate expired"),
        "the certificates of relays are out of date by the clock of this host: it is ahead, or theirs is wrong",
        CLOCK,
    ),
    (
        re.compile(r"(?:Could not launch managed proxy executable at|Managed proxy at) '?(?P<a>[^' ]+)'?"),
        "the program of a transport, {a}, does not run",
        "journalctl -u tor@default says why. Its package has to be installed.",
    ),
    (
        re.compile(r"Failed to find node for hop #1|All current guards excluded"),
        "none of the relays that it may begin with can be used",
        "Look at what tor.config says of nodes (EntryNodes, ExcludeNodes).",
    ),
)


def fields(line: str) -> dict[str, str]:
    """The words of a line such as C(NOTICE BOOTSTRAP PROGRESS=5 SUMMARY="Connecting")."""
    return {name: unquoted(value.strip('"')) for name, value in WORD.findall(line)}


def seconds_apart(valid_until: str, now: float) -> int:
    """How long ago the last of what the network has agreed on went out of date; 0 if it is in date, or there is none."""
    try:
        until = calendar.timegm(time.strptime(valid_until, "%Y-%m-%d %H:%M:%S"))
    except ValueError:
        return 0
    return max(0, int(now - until))


def log_cause(lines: t.Sequence[str]) -> Cause | None:
    """What the latest line of a log says that says anything."""
    for line in reversed(lines):
        for pattern, words, hint in LOGGED:
            if found := pattern.search(line):
                return Cause(words.format(**found.groupdict()), hint)
    return None


def cause_of(phase: t.Mapping[str, str], lines: t.Sequence[str], bridges: bool) -> Cause:
    """Why a tor that runs is not in its network, as far as can be said."""
    percent = int(phase.get("PROGRESS") or 0)
    if told := log_cause(lines):
        return told
    reason, warning, where = phase.get("REASON", ""), phase.get("WARNING", ""), phase.get("HOSTADDR", "")
    if skew := SKEW.search(warning):
        seconds = int(skew[1])
        words = f"the clock of this host is {abs(seconds)} s {'ahead' if seconds > 0 else 'behind'}, by what the Tor network says"
        return Cause(words, CLOCK)
    if reason:
        words = REASONS.get(reason, warning or reason)
        if reason == "NOROUTE":
            return Cause(f"{words} (tried {where})" if where else words, NETWORK)
        whom = "a bridge" if bridges else "a relay"
        at = f" at {where}" if where else ""
        hint = BRIDGE if bridges else NETWORK
        if reason == "PT_MISSING":
            hint = "Its package has to be installed: obfs4proxy or snowflake-client."
        return Cause(f"{whom}{at}: {words}", hint)
    if percent < REACHED:
        what = "none of its bridges" if bridges else "nobody of the Tor network"
        return Cause(f"it has reached {what} so far", BRIDGE if bridges else NETWORK)
    return Cause("it is still on its way", "Give it some minutes; journalctl -u tor@default says how it goes on.")


def greets(host: str, port: int, timeout: float = 5) -> str:
    """Why there is no SOCKS of a tor, or nothing."""
    where = f"{host}:{port}"
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            connection.settimeout(timeout)
            connection.sendall(b"\x05\x01\x00")
            answer = connection.recv(2)
    except OSError as error:
        return f"SOCKS does not answer on {where}: {error}"
    if answer == b"\x05\x00":
        return ""
    return f"SOCKS on {where} refuses this host" if not answer else f"on {where} something else answers than SOCKS"


def look(control: Control, read_log: t.Callable[[], t.Sequence[str]], now: float | None = None) -> dict[str, t.Any]:
    """What a tor that runs says of itself; its log is read where that does not tell enough."""
    phase = fields(control.ask("GETINFO status/bootstrap-phase")[0])
    percent = int(phase.get("PROGRESS") or 0)
    bridges = "UseBridges=1" in control.ask("GETCONF UseBridges")
    result: dict[str, t.Any] = {
        "version": control.info("version").split(" ")[0],
        "bootstrapped": percent,
        "phase": phase.get("SUMMARY", ""),
        "circuits": control.info("status/circuit-established") == "1",
        "live": control.info("network-liveness") == "up",
        "cause": "",
        "hint": "",
    }
    late = seconds_apart(control.info("consensus/valid-until"), time.time() if now is None else now)
    if percent < 100:
        result["cause"], result["hint"] = cause_of(phase, read_log(), bridges)
    elif late > TOLERANCE:
        words = f"what it knows of the network has been out of date for {late // 60} min, or the clock of this host is ahead"
        result["cause"], result["hint"] = words, CLOCK
    elif not result["circuits"]:
        told = log_cause(read_log())
        result["cause"], result["hint"] = told or Cause(
            "it has been in the network, and no circuit stands any more", NETWORK
        )
    return result


NOTHING = {"running": False, "bootstrapped": 0, "phase": "", "version": "", "circuits": False, "live": False}
STATUS = "systemctl status tor@default and journalctl -u tor@default on this host say why."


def await_tor(
    path: Path, seconds: float, read_log: t.Callable[[], t.Sequence[str]], pause: float = 0.5
) -> dict[str, t.Any]:
    """Ask the tor behind a control socket until it is in its network, or the time is over. What was seen last.

    One connection does for all questions as long as it stands: tor notes each in its log.
    """
    deadline = time.monotonic() + seconds
    control: Control | None = None
    try:
        while True:
            last = time.monotonic() >= deadline
            try:
                control = control or Control(path)
                # Reading a log takes its time; until the end nobody asks for a cause.
                found = {"running": True, **look(control, read_log if last else list)}
            except (OSError, TorError) as error:
                found = {**NOTHING, "cause": f"tor does not answer on {path}: {error}", "hint": STATUS}
                if control:
                    control.close()
                    control = None
            if last or not found["cause"]:
                return found
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
    finally:
        if control:
            control.close()
