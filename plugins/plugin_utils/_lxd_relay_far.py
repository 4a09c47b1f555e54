# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is PRIVATE to the collection: it may change without notice.
"""The far end of a relay: runs beside LXD, has it execute the commands that come in, and sends back what became of each.

It is sent to the server and run there by Python; nothing of it stays. Its input and output are frames. Where its input ends,
nobody is left who would want to know: what still runs is told to end, as if the controller had hung up on LXD itself.
"""

from __future__ import annotations

import json
import sys
import threading
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDError
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _frames as frames
from ansible_collections.bcm.datacenter.plugins.plugin_utils._lxd_exec import ConnectionLostError, Process

# What comes before the first frame, on a line of its own: a login may have said something, too.
GREETING = b"bcm.datacenter relay 1\n"
# How often a command that is quiet is asked whether it has been given up meanwhile.
LOOK = 1.0
# For those that are told to end when nobody is left.
FAREWELL = 10.0

Answer = tuple[dict[str, t.Any], bytes, bytes]


def execute(request: dict[str, t.Any], given: bytes, cancelled: threading.Event) -> Answer:
    """Have one command run to its end."""
    options = {name: request[name] for name in ("instance", "argv", "environment", "timeout")}
    client = LXDClient(request["url"], project=request["project"], timeout=request["timeout"])
    with client, Process(client, **options) as process:
        if given:
            process.write(given)
        process.close_stdin()
        while not process.finished:
            if cancelled.is_set():
                raise ConnectionLostError("it was given up.")
            process.poll(LOOK)
        status = process.wait()
        said = {"status": status, "created_at": process.created_at, "stdout": len(process.stdout)}
        return said, bytes(process.stdout), bytes(process.stderr)


class Far:
    """One command after the other is taken, and all of them run at once."""

    def __init__(self, source: t.BinaryIO, target: t.BinaryIO) -> None:
        self._source = source
        self._target = target
        self._lock = threading.Lock()
        self._running: dict[int, threading.Event] = {}

    def run(self) -> None:
        self._say(GREETING)
        threads: list[threading.Thread] = []
        while (message := frames.read(self._source)) is not None:
            if message.kind == frames.EXECUTE:
                cancelled = threading.Event()
                self._running[message.number] = cancelled
                worker = threading.Thread(target=self._work, args=(message, cancelled), daemon=True)
                worker.start()
                threads = [thread for thread in threads if thread.is_alive()] + [worker]
            elif message.number in self._running:
                self._running[message.number].set()
        for cancelled in list(self._running.values()):
            cancelled.set()
        for thread in threads:
            thread.join(FAREWELL)

    def _work(self, message: frames.Frame, cancelled: threading.Event) -> None:
        head, _line, given = message.data.partition(b"\n")
        answer: Answer
        try:
            answer = execute(json.loads(head), given, cancelled)
        except (ConnectionLostError, LXDError) as exc:
            answer = {"failed": type(exc).__name__, "text": str(exc)}, b"", b""
        except Exception as exc:  # Whatever it is, somebody waits for an answer.
            answer = {"failed": ConnectionLostError.__name__, "text": f"{type(exc).__name__}: {exc}"}, b"", b""
        said, stdout, stderr = answer
        self._running.pop(message.number, None)
        self._say(frames.frame(message.number, frames.ANSWER, json.dumps(said).encode() + b"\n", stdout, stderr))

    def _say(self, data: bytes) -> None:
        with self._lock:
            try:
                self._target.write(data)
                self._target.flush()
            except OSError:
                # Nobody listens any more; the end of the input is about to tell the same.
                self._target = t.cast(t.BinaryIO, _Nowhere())


class _Nowhere:
    """Takes what nobody hears."""

    def write(self, _data: bytes) -> None: ...

    def flush(self) -> None: ...


def main() -> int:
    Far(sys.stdin.buffer, sys.stdout.buffer).run()
    return 0
