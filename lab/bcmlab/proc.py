# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running programs, and telling whether one that an earlier run started still runs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .config import LabError


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    stdin: str | bytes | None = None,
    timeout: float = 600,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. A failure carries the program's own last words."""
    words = [str(part) for part in argv]
    try:
        raw = subprocess.run(
            words,
            env={**os.environ, **(env or {})},
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout,
        )
    except FileNotFoundError as error:
        raise LabError(f"{words[0]} is not installed.") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(words)} did not end within {timeout:.0f} s.") from error
    done = subprocess.CompletedProcess(
        words, raw.returncode, raw.stdout.decode(errors="replace"), raw.stderr.decode(errors="replace")
    )
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(words)} ended with {done.returncode}: {last_words(done.stderr or done.stdout)}")
    return done


def last_words(text: str, lines: int = 12) -> str:
    """The end of a program's output: that is where it says what went wrong."""
    return "\n".join(text.strip().splitlines()[-lines:]) or "(it said nothing)"


def start_time(pid: int, proc: Path = Path("/proc")) -> str | None:
    """When a process started, in ticks since the boot; None if it does not run. With the boot it makes a pid unique."""
    try:
        text = (proc / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in parentheses and may hold anything, also parentheses and blanks.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def boot_id(proc: Path = Path("/proc")) -> str:
    """Changes at each boot."""
    return (proc / "sys/kernel/random/boot_id").read_text().strip()


class PidFile:
    """Which process we started. A pid alone is not enough: it may be another program's by now."""

    def __init__(self, path: Path, proc: Path = Path("/proc")) -> None:
        self.path = path
        self.proc = proc

    def write(self, pid: int) -> None:
        """Remember a process that has just been started."""
        record = {"pid": pid, "started": start_time(pid, self.proc), "boot": boot_id(self.proc)}
        write_atomic(self.path, json.dumps(record) + "\n")

    def pid(self) -> int | None:
        """The process, if it is still the one that we started."""
        try:
            record: dict[str, Any] = json.loads(self.path.read_text())
            pid = int(record["pid"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        if record.get("boot") != boot_id(self.proc):
            return None
        started = start_time(pid, self.proc)
        return pid if started is not None and started == record.get("started") else None

    def forget(self) -> None:
        """The process is gone."""
        self.path.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """A reader sees the old file or the new one, whatever happens in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    temporary.chmod(mode)
    temporary.rename(path)


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """One at a time; the second one waits and says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{what} is busy in another process: waiting for it", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
