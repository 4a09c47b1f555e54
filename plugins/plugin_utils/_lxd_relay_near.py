# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is PRIVATE to the collection: it may change without notice.
"""The near end of a relay: a process on the controller that takes the commands of all workers to the far one.

It listens on a socket in the directory of the tunnel, and has one session of that tunnel's ssh, in which the far end runs.
Whoever connects is greeted by one byte before anything is taken: who hears nothing has had nothing done.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import queue
import shlex
import socket
import subprocess
import threading
import time
import typing as t
from pathlib import Path

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _frames as frames
from ansible_collections.bcm.datacenter.plugins.plugin_utils._lxd_relay_far import GREETING

# After so long without a command it ends, and with it what keeps the ssh in the background from ending.
IDLE = 120.0
# How often it looks whether anybody has gone.
LOOK = 1.0
# The longest line that a login may say before the far end greets.
NOISE = 1 << 16

# Python on the server reads the packed code from its input, and leaves no file behind.
_UNPACK = """
import os, sys, tempfile
source = sys.stdin.buffer
handle, path = tempfile.mkstemp(suffix=".zip")
try:
    with os.fdopen(handle, "wb") as target:
        target.write(source.read(int(source.readline())))
    sys.path.insert(0, path)
    from ansible_collections.bcm.datacenter.plugins.plugin_utils._lxd_relay_far import main
finally:
    os.unlink(path)
sys.exit(main())
"""


def far_command() -> str:
    """What is run on the server, in whichever shell its user has."""
    code = base64.b64encode(_UNPACK.encode()).decode()
    start = f'exec(__import__("base64").b64decode("{code}").decode())'
    return shlex.join(["python3", "-I", "-c", start])


class Near:
    """The workers' commands on their way to the server, and the answers on their way back."""

    def __init__(self, path: Path, argv: list[str], code: bytes, timeout: float, idle: float = IDLE) -> None:
        self._path = path
        self._argv = argv
        self._code = code
        self._timeout = timeout
        self._idle = idle
        self._numbers = itertools.count(1)
        self._waiting: dict[int, queue.SimpleQueue[bytes | None]] = {}
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._busy = 0
        self._last = time.monotonic()
        self._over = False
        self._inode = 0

    def run(self) -> int:
        """Serve until nobody has come for a while, or until the way is gone. 1: there is no far end."""
        with subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            self._to, self._from = t.cast(t.BinaryIO, process.stdin), t.cast(t.BinaryIO, process.stdout)
            if not self._meet(process):
                process.kill()
                return 1
            with self._listening() as listener:
                threading.Thread(target=self._read, args=(listener,), daemon=True).start()
                self._accept(listener)
            self._finish()
            # The far end hears that nobody is left.
            with contextlib.suppress(OSError):
                self._to.close()
            try:
                process.wait(self._timeout)
            except subprocess.TimeoutExpired:
                process.kill()
        return 0

    # -- the far end --------------------------------------------------------------------------------------------

    def _meet(self, process: subprocess.Popen[bytes]) -> bool:
        late = threading.Timer(self._timeout, process.kill)
        late.start()
        try:
            self._to.write(b"%d\n" % len(self._code) + self._code)
            self._to.flush()
            while line := self._from.readline(NOISE):
                if line.endswith(GREETING):
                    return True
        except OSError:
            pass
        finally:
            late.cancel()
        return False

    def _send(self, number: int, kind: bytes, data: bytes = b"") -> None:
        # That it is gone, the end of what comes from there tells everybody.
        with self._sending, contextlib.suppress(OSError, ValueError):
            self._to.write(frames.frame(number, kind, data))
            self._to.flush()

    def _read(self, listener: socket.socket) -> None:
        while (message := frames.read(self._from)) is not None:
            with self._lock:
                waiting = self._waiting.pop(message.number, None)
            if waiting is not None:
                waiting.put(message.data)
        self._retire(listener)
        with self._lock:
            for waiting in self._waiting.values():
                waiting.put(None)

    # -- the workers --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _listening(self) -> t.Iterator[socket.socket]:
        """Under its own name only when it listens: whoever finds it may come."""
        made = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(made))
            listener.listen(64)
            listener.settimeout(LOOK)
            made.rename(self._path)
            self._inode = self._path.stat().st_ino
            try:
                yield listener
            finally:
                self._retire(listener)

    def _retire(self, listener: socket.socket) -> None:
        """Nobody new: those who wait for a greeting get none."""
        with self._lock:
            if self._over:
                return
            self._over = True
        # Somebody who took this one for dead may have started another.
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while not self._over:
            try:
                client = listener.accept()[0]
            except TimeoutError:
                if not self._busy and time.monotonic() - self._last > self._idle:
                    return
                continue
            except OSError:
                return
            client.settimeout(None)
            with self._lock:
                self._busy += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        number = next(self._numbers)
        try:
            with client, client.makefile("rb") as stream, contextlib.suppress(OSError):
                self._attend(client, stream, number)
        finally:
            with self._lock:
                self._waiting.pop(number, None)
                self._busy -= 1
                self._last = time.monotonic()

    def _attend(self, client: socket.socket, stream: t.BinaryIO, number: int) -> None:
        answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        with self._lock:
            if self._over:
                return
            self._waiting[number] = answers
        client.sendall(frames.HELLO)
        message = frames.read(stream)
        if message is None:
            return
        self._send(number, frames.EXECUTE, message.data)
        while True:
            try:
                answer = answers.get(timeout=LOOK)
                break
            except queue.Empty:
                if _gone(client):
                    self._send(number, frames.CANCEL)
                    return
        if answer is not None:
            client.sendall(frames.frame(0, frames.ANSWER, answer))

    def _finish(self) -> None:
        """Whoever has been greeted is served."""
        while self._busy:
            time.sleep(0.05)


def _gone(client: socket.socket) -> bool:
    """Whether a worker has hung up. It has nothing more to say while it waits."""
    try:
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def main(archive: str, path: str, argv: str, timeout: str) -> int:
    return Near(Path(path), json.loads(argv), Path(archive).read_bytes(), float(timeout)).run()
