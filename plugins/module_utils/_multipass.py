# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""The C(multipass) program: one run, its answer, its errors. Nothing of Ansible.

What is relied on stands in the program's own documentation (canonical.com/multipass/docs, "Command-line interface",
"Instance name format", "Instance states", "Settings") and, for exit codes and for what JSON holds, in its sources
(include/multipass/cli/return_codes.h, src/client/cli/formatter/json_formatter.cpp).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
import typing as t
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

# Where packages put it: not all of these are on the PATH of a task.
PLACES = ("/snap/bin", "/usr/local/bin", "/opt/homebrew/bin")
# ReturnCode of the program: what was asked is wrong, it could not be done, the daemon does not answer.
COMMAND_LINE_ERROR, COMMAND_FAIL, DAEMON_FAIL = 1, 2, 3
# A daemon that is busy closes a connection now and then (canonical/multipass#3252).
TRANSIENT = re.compile(r"Socket error: disconnected|Socket closed|Connection reset by peer")
MISSING = re.compile(r"""(?i)instance ["'][^"']*["'] does not exist|No such instance""")
NO_DAEMON = re.compile(r"cannot connect to the multipass socket|not authenticated with the Multipass service")
READS = 4
PAUSE = 0.5
# Seconds that a program has which was told to end.
GRACE = 5

NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
SIZE = re.compile(r"\s*(\d+)(?:\.(\d+)(?=[KMG]))?(?:([KMG])(?:i?B)?|B)?\s*", re.IGNORECASE)
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
# The least that any version takes. Newer ones ask for more memory and say so themselves.
LEAST = {"memory": 128 << 20, "disk": 1 << 30}
SIZES = ("cpus", "memory", "disk")

RUNNING, STOPPED, SUSPENDED, DELETED = "Running", "Stopped", "Suspended", "Deleted"
# Commands can be run in these.
ANSWERS = frozenset({RUNNING, "Delayed Shutdown"})
# On the way to something else.
PASSING = frozenset({"Starting", "Restarting", "Suspending", "Delayed Shutdown"})


class MultipassError(Exception):
    """Something that the program could not do; the text says what was tried and what it said."""

    def __init__(self, text: str, argv: t.Sequence[str] = (), rc: int | None = None, stderr: str = "") -> None:
        super().__init__(text)
        self.argv = list(argv)
        self.rc = rc
        self.stderr = stderr


class MultipassUnavailableError(MultipassError):
    """There is no such program, or its daemon does not answer."""


class MultipassNotFoundError(MultipassError):
    """There is no such instance."""


class MultipassTimeoutError(MultipassError):
    """It was not done in time."""


def name_error(name: str) -> str:
    """What is wrong with the name of an instance; empty if nothing is.

    A name with a dot would be a snapshot's, and none at all the primary instance's.
    """
    if NAME.fullmatch(name):
        return ""
    return (
        f"{name!r} cannot be the name of an instance: it has to begin with a letter, end with a letter or a digit, and have "
        "nothing but letters, digits and hyphens in between, 63 characters at most."
    )


def size_bytes(text: str) -> int:
    """A size in bytes, read as multipass does: K, M and G are powers of 1024, fractions are cut off."""
    match = SIZE.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a size. Give bytes, or a number with K, M or G, such as 4G or 1.5G.")
    unit = UNITS[(match[3] or "").upper()]
    return int(Decimal(f"{match[1]}.{match[2] or 0}") * unit)


def same_size(wanted: int, told: str) -> bool:
    """Whether a size is the one that C(multipass get) tells, which is rounded to a tenth of its unit."""
    match = SIZE.fullmatch(told)
    if not match:
        return False
    unit = UNITS[(match[3] or "").upper()]
    return abs(wanted - size_bytes(told)) <= (unit * 0.051 if unit > 1 else 0)


def find_program(program: str) -> str:
    """The path of the program."""
    found = shutil.which(program) or next(
        (path for place in PLACES if "/" not in program and (path := shutil.which(program, path=place))), None
    )
    if found is None:
        raise MultipassUnavailableError(
            f"There is no program {program!r}. Install multipass on this machine (snap install multipass), or say where "
            "it is."
        )
    return found


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """End a program that runs in a session of its own, and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        try:
            process.wait(GRACE)
            return
        except subprocess.TimeoutExpired:
            continue


class Multipass:
    """The program, run with a list of arguments, never by a shell, always with an input of its own and a time limit."""

    def __init__(self, program: str = "multipass", timeout: float = 60) -> None:
        self.program = program
        self.timeout = timeout
        self._path = ""

    @property
    def path(self) -> str:
        if not self._path:
            self._path = find_program(self.program)
        return self._path

    def run(self, args: t.Sequence[str], *, data: str | None = None, timeout: float | None = None) -> str:
        """What the program prints. An end with anything but 0 is an exception."""
        limit = self.timeout if timeout is None else timeout
        argv = [self.path, *args]
        try:
            process = subprocess.Popen(  # pylint: disable=ansible-bad-function # with a time limit
                argv,
                stdin=subprocess.DEVNULL if data is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                # The program looks for the working directory in what is mounted in instances, and need not be able to see it.
                cwd="/",
            )
        except OSError as exc:
            raise MultipassUnavailableError(f"{argv[0]} cannot be run: {exc.strerror}.", argv) from exc
        try:
            stdout, stderr = process.communicate(None if data is None else data.encode(), timeout=limit)
        except subprocess.TimeoutExpired:
            stop_process(process)
            raise MultipassTimeoutError(
                f"`multipass {args[0]}` has not ended within {limit:g} s. Look with `multipass list` what it has come to.",
                argv,
            ) from None
        except BaseException:
            stop_process(process)
            raise
        if process.returncode:
            raise _failure(argv, process.returncode, stderr.decode(errors="replace"))
        return stdout.decode(errors="replace")

    def read(self, args: t.Sequence[str], *, timeout: float | None = None) -> str:
        """As run(), for what changes nothing: a connection that broke is tried again."""
        for attempt in range(1, READS + 1):
            try:
                return self.run(args, timeout=timeout)
            except MultipassTimeoutError:
                raise
            except MultipassError as exc:
                if attempt == READS or not TRANSIENT.search(exc.stderr):
                    raise
                time.sleep(PAUSE * attempt)
        raise AssertionError("never reached")

    def read_json(self, args: t.Sequence[str], *, timeout: float | None = None) -> dict[str, t.Any]:
        text = self.read([*args, "--format", "json"], timeout=timeout)
        try:
            answer = json.loads(text)
        except ValueError as exc:
            raise MultipassError(f"`multipass {args[0]}` printed what is not JSON: {text[:200]!r}.", args) from exc
        if not isinstance(answer, dict):
            raise MultipassError(f"`multipass {args[0]}` printed something unexpected: {text[:200]!r}.", args)
        return answer

    def instances(self, addresses: bool = True) -> list[dict[str, t.Any]]:
        """All instances, deleted ones too. Without addresses no instance is asked, which is faster."""
        if not addresses:
            try:
                return _listed(self.read_json(["list", "--no-ipv4"]))
            except MultipassError as exc:
                # An option that help does not mention may go away again.
                if exc.rc != COMMAND_LINE_ERROR:
                    raise
        return _listed(self.read_json(["list"]))

    def find(self, name: str, addresses: bool = True) -> dict[str, t.Any] | None:
        """The one of exactly this name, as it is listed."""
        return next((one for one in self.instances(addresses) if one["name"] == name), None)

    def state(self, name: str) -> str:
        """The state of an instance, empty if there is none."""
        found = self.find(name, addresses=False)
        return found["state"] if found else ""

    def info(self, name: str | None = None) -> dict[str, dict[str, t.Any]]:
        """What is known of one instance or of all, by name."""
        answer = self.read_json(["info", name] if name else ["info"]).get("info", {})
        return {one: details for one, details in answer.items() if name in (None, one)}

    def sizes(self, name: str) -> dict[str, str]:
        """What an instance was given, as multipass tells it. (What info tells is what the running system sees of it.)"""
        return {key: self.read(["get", f"local.{name}.{key}"]).strip() for key in SIZES}

    def resize(self, name: str, key: str, value: str, timeout: float) -> None:
        self.run(["set", f"local.{name}.{key}={value}"], timeout=timeout)


def _listed(answer: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    found = answer.get("list")
    if not isinstance(found, list):
        raise MultipassError("`multipass list` printed no list of instances.")
    # Versions differ: an address that there is not yet may be an empty text.
    return [{**one, "ipv4": [address for address in one.get("ipv4") or [] if address]} for one in found]


def _failure(argv: list[str], rc: int, stderr: str) -> MultipassError:
    reason = " ".join(stderr.split()) or f"it ended with {rc} and said nothing."
    text = f"`{Path(argv[0]).name} {argv[1] if len(argv) > 1 else ''}`: {reason}"
    kind = MultipassError
    if rc == DAEMON_FAIL or NO_DAEMON.search(stderr):
        kind = MultipassUnavailableError
    elif MISSING.search(stderr):
        kind = MultipassNotFoundError
    return kind(text, argv, rc, stderr)
