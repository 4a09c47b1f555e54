# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in a tor's way, in words. The lines are tor's own."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _tor_state as state

BEHIND = (
    "[warn] Received NETINFO cell with skewed time (OR:198.18.0.11:5001): It seems that our clock is behind by 2 hours, 0 minutes, "
    "or that theirs is ahead. Tor requires an accurate clock to work: please check your time, timezone, and date settings."
)
# Of a tor whose clock is three days ahead.
EXPIRED = "[warn] Received a bad CERTS cell: At least one certificate expired."
EARLY = (
    "[warn] Our clock is 3 hours, 1 minutes behind the time published in the consensus network status document (2026-11-30 19:00:00 UTC).  "
    "Tor needs an accurate clock to work correctly. Please check your time and date settings!"
)
PHASE = (
    'WARN BOOTSTRAP PROGRESS=5 TAG=conn SUMMARY="Connecting to a relay" WARNING="No route to host" REASON=NOROUTE COUNT=7 '
    'RECOMMENDATION=warn HOSTID="9A3BB" HOSTADDR="192.0.2.1:9001"'
)


def test_words_of_a_phase() -> None:
    found = state.fields(PHASE)
    assert found["PROGRESS"] == "5"
    assert found["SUMMARY"] == "Connecting to a relay"
    assert found["HOSTADDR"] == "192.0.2.1:9001"


@pytest.mark.parametrize(
    ("phase", "lines", "bridges", "told", "hint"),
    [
        ({}, [BEHIND], False, "the clock of this host is 2 hours, 0 minutes behind", "clock"),
        ({}, [EARLY], False, "the clock of this host is 3 hours, 1 minutes behind that of the Tor network", "clock"),
        ({"REASON": "DONE"}, [EXPIRED], False, "out of date by the clock of this host: it is ahead", "clock"),
        (
            {"WARNING": "Clock skew -7200 in NETINFO cell from OR", "REASON": "CLOCK_SKEW"},
            [],
            False,
            "7200 s behind",
            "clock",
        ),
        ({"WARNING": "Clock skew 7200 in NETINFO cell from OR"}, [], False, "7200 s ahead", "clock"),
        (
            state.fields(PHASE),
            ["nothing of interest"],
            False,
            "there is no way to the network (tried 192.0.2.1:9001)",
            "leg outside",
        ),
        (
            {"REASON": "CONNECTREFUSED", "HOSTADDR": "192.0.2.1:443"},
            [],
            True,
            "a bridge at 192.0.2.1:443: it refuses",
            "tor.bridges",
        ),
        ({"REASON": "IDENTITY"}, [], True, "somebody else answers", "other bridges"),
        ({"REASON": "PT_MISSING"}, [], True, "program of its transport", "obfs4proxy"),
        ({"PROGRESS": "0"}, [], False, "it has reached nobody of the Tor network", "leg outside"),
        ({"PROGRESS": "10"}, [], True, "none of its bridges", "tor.bridges"),
        ({"PROGRESS": "75"}, [], False, "still on its way", "journalctl"),
        (
            {},
            ["[warn] Could not launch managed proxy executable at '/usr/bin/obfs4proxy' ('No such file')."],
            True,
            "obfs4proxy",
            "package",
        ),
    ],
)
def test_causes(phase: dict[str, str], lines: list[str], bridges: bool, told: str, hint: str) -> None:
    cause = state.cause_of(phase, lines, bridges)
    assert told in cause.words
    assert hint in cause.hint


def test_the_latest_line_counts() -> None:
    found = state.log_cause([EARLY, BEHIND])
    assert found is not None
    assert "2 hours" in found.words


class Said:
    """A control connection whose answers are known."""

    def __init__(self, phase: str, **info: str) -> None:
        self.answers = {
            "status/bootstrap-phase": phase,
            **{key.replace("__", "/").replace("_", "-"): text for key, text in info.items()},
        }
        self.bridges = "UseBridges=0"

    def ask(self, command: str) -> list[str]:
        if command.startswith("GETCONF"):
            return [self.bridges]
        key = command.removeprefix("GETINFO ")
        return [f"{key}={self.answers[key]}", "OK"]

    def info(self, key: str) -> str:
        return self.answers.get(key, "")


DONE = 'NOTICE BOOTSTRAP PROGRESS=100 TAG=done SUMMARY="Done"'


def test_it_is_there() -> None:
    control = Said(DONE, version="0.4.9.11 (git-x)", status__circuit_established="1", network_liveness="up")
    found = state.look(control, lambda: [EARLY])  # type: ignore[arg-type]
    assert found["cause"] == ""
    assert (found["version"], found["bootstrapped"], found["circuits"], found["live"]) == ("0.4.9.11", 100, True, True)


def test_it_was_there() -> None:
    control = Said(DONE, status__circuit_established="0")
    assert "no circuit stands" in state.look(control, list)["cause"]  # type: ignore[arg-type]
    assert "2 hours" in state.look(control, lambda: [BEHIND])["cause"]  # type: ignore[arg-type]


def test_a_clock_that_ran_away() -> None:
    control = Said(DONE, status__circuit_established="1", consensus__valid_until="2026-11-30 12:00:00")
    now = 1796040000.0  # 2026-11-30 12:00:00
    assert state.look(control, list, now + 1800)["cause"] == ""  # type: ignore[arg-type]
    assert "out of date for 120 min" in state.look(control, list, now + 7200)["cause"]  # type: ignore[arg-type]


def test_no_tor_is_there(tmp_path: Path) -> None:
    began = time.monotonic()
    found = state.await_tor(tmp_path / "control", 0.3, list, pause=0.1)
    assert not found["running"]
    assert "tor does not answer on" in found["cause"]
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("answer", "told"), [(b"\x05\x00", ""), (b"", "refuses this host"), (b"HT", "something else answers")]
)
def test_socks(answer: bytes, told: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.recv(3)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        found = state.greets("127.0.0.1", server.getsockname()[1])
        thread.join()
    assert told in found
    assert bool(found) == bool(told)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "does not answer" in state.greets("127.0.0.1", port)
