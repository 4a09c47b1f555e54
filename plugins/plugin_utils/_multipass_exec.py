# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is PRIVATE to the collection: it may change without notice.
"""The C(multipass) program as a stream: commands in an instance, and files into and out of it. Nothing of Ansible.

The program reads and writes pipes of ours alone, because the one that comes as a snap may not touch files that it was handed.
Its exit code is the command's as well as its own, so a command says by itself when it begins and how it ends (Command).
"""

from __future__ import annotations

import os
import secrets
import selectors
import subprocess
import time
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils._multipass import stop_process

CHUNK = 1 << 17
# $0 is a word that nobody else knows, $1 the shell and $2 what it runs.
SCRIPT = 'printf "%s(" "$0" >&2; "$1" -c "$2"; status=$?; printf "%s)%s;" "$0" "$status" >&2; exit "$status"'


class Program:
    """A program that runs, its input and both of its outputs moved at once."""

    def __init__(self, argv: list[str], *, source: t.BinaryIO | None = None, target: t.BinaryIO | None = None) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._source = source
        self._target = target
        self._pending: list[memoryview] = []
        self._input_ends = source is not None
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            # multipass looks for the working directory in what is mounted in the instance.
            cwd="/",
        )
        self._selector = selectors.DefaultSelector()
        self._open: set[str] = set()
        for name in ("stdin", "stdout", "stderr"):
            os.set_blocking(self._pipe(name).fileno(), False)
            self._open.add(name)
            if name != "stdin":
                self._selector.register(self._pipe(name), selectors.EVENT_READ, name)

    def _pipe(self, name: str) -> t.IO[bytes]:
        return t.cast("t.IO[bytes]", getattr(self._process, name))

    @property
    def finished(self) -> bool:
        """Both outputs have come to their end."""
        return not self._open & {"stdout", "stderr"}

    def write(self, data: bytes) -> None:
        self._pending.append(memoryview(data))

    def close_stdin(self) -> None:
        self._input_ends = True

    def poll(self, timeout: float | None) -> bool:
        """Move what can be moved, waiting at most `timeout` seconds for the first of it. False: nothing moved."""
        self._attend_stdin()
        events = self._selector.select(timeout)
        for key, _mask in events:
            if key.data == "stdin":
                self._feed()
            else:
                self._read(key.data)
        return bool(events)

    def _attend_stdin(self) -> None:
        if "stdin" not in self._open:
            return
        if self._source is not None and not self._pending:
            if chunk := self._source.read(CHUNK):
                self._pending.append(memoryview(chunk))
            else:
                self._source = None
        watched = any(key.data == "stdin" for key in self._selector.get_map().values())
        if self._pending and not watched:
            self._selector.register(self._pipe("stdin"), selectors.EVENT_WRITE, "stdin")
        elif not self._pending:
            if watched:
                self._selector.unregister(self._pipe("stdin"))
            if self._input_ends and self._source is None:
                self._drop("stdin", registered=False)

    def _feed(self) -> None:
        try:
            written = os.write(self._pipe("stdin").fileno(), self._pending[0][:CHUNK])
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            # Nobody is obliged to read all of it: how the program ends tells what that means.
            self._pending.clear()
            self._source = None
            self._drop("stdin")
            return
        self._pending[0] = self._pending[0][written:]
        if not self._pending[0]:
            self._pending.pop(0)

    def _read(self, name: str) -> None:
        try:
            data = os.read(self._pipe(name).fileno(), CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._drop(name)
        elif name == "stdout" and self._target is not None:
            self._target.write(data)
        else:
            (self.stdout if name == "stdout" else self.stderr).extend(data)

    def _drop(self, name: str, registered: bool = True) -> None:
        if registered:
            self._selector.unregister(self._pipe(name))
        self._open.discard(name)
        self._pipe(name).close()

    def run(self, stall: float) -> bool:
        """Move everything to its end. False: nothing has moved for `stall` seconds."""
        while not self.finished:
            if not self.poll(stall):
                return False
        return self.wait(stall) is not None

    def wait(self, timeout: float) -> int | None:
        """The exit code, None if there is none in time."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        for name in list(self._open):
            self._pipe(name).close()
        self._open.clear()
        self._selector.close()
        if self._process.poll() is None:
            stop_process(self._process)

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


Self = t.TypeVar("Self", bound=Program)


class Command(Program):
    """A command of an instance's shell. What it says of its begin and its end is no part of its output."""

    def __init__(self, program: str, instance: str, shell: str, command: str) -> None:
        self._word = f"bcm-{secrets.token_hex(16)}"
        script = ["/bin/sh", "-c", SCRIPT, self._word, shell, command]
        super().__init__([program, "exec", "--no-map-working-directory", instance, "--", *script])

    @property
    def begun(self) -> bool:
        return f"{self._word}(".encode() in self.stderr

    @property
    def status(self) -> int | None:
        """The command's exit status, None as long as it has not said it."""
        _before, mark, rest = bytes(self.stderr).partition(f"{self._word})".encode())
        digits, end, _after = rest.partition(b";")
        return int(digits) if mark and end else None

    @property
    def over(self) -> bool:
        return self.finished or self.status is not None

    @property
    def errors(self) -> bytes:
        """What the command itself, or multipass, has printed as errors."""
        text = bytes(self.stderr).replace(f"{self._word}(".encode(), b"", 1)
        before, mark, rest = text.partition(f"{self._word})".encode())
        return before + rest.partition(b";")[2] if mark else before

    def await_begin(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while not self.begun and not self.finished:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            self.poll(left)
        return self.begun
