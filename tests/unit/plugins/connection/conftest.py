# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An LXD that can be made to misbehave, behind a real unix socket."""

from __future__ import annotations

import base64
import hashlib
import json
import socketserver
import threading
import typing as t
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _websocket as websocket

OPERATION = "/1.0/operations/0b9f"
FDS = ("0", "1", "2", "control")


class Stream:
    """The server's end of one websocket."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.handler = handler

    def send(self, data: bytes, opcode: int = websocket.BINARY) -> None:
        frame = websocket.encode_frame(opcode, data, key=b"\0\0\0\0")
        head = len(frame) - len(data) - 4
        self.handler.wfile.write(frame[:1] + bytes([frame[1] & 0x7F]) + frame[2:head] + data)
        self.handler.wfile.flush()

    def end(self) -> None:
        self.send(b"", websocket.TEXT)

    def messages(self) -> t.Iterator[tuple[int, bytes]]:
        read = self.handler.rfile.read
        while head := read(2):
            length = head[1] & 0x7F
            if length > 125:
                length = int.from_bytes(read(2 if length == 126 else 8), "big")
            key = read(4)
            yield head[0] & 0x0F, websocket.apply_mask(read(length), key)

    def read_to_end(self) -> bytes:
        data = b""
        for opcode, payload in self.messages():
            if opcode in (websocket.TEXT, websocket.CLOSE):
                break
            data += payload
        return data

    def tear(self) -> None:
        self.handler.connection.shutdown(2)


class Exec:
    """A command that was asked for. Streams of one that was given up arrive late, and belong to it alone."""

    def __init__(self, number: int) -> None:
        self.secrets = {name: f"{number}-{name}" for name in FDS}
        self.streams: dict[str, Stream] = {}
        self.finished = threading.Event()
        self._lock = threading.Lock()

    def connected(self, name: str, stream: Stream) -> bool:
        """True for the stream that is the last of the three."""
        with self._lock:
            self.streams[name] = stream
            return {"0", "1", "2"} <= set(self.streams) and name != "control"


class FakeLXD(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Handler)
        self.url = f"unix://{path}"
        self.requests: list[tuple[str, str, dict[str, list[str]], dict[str, str], bytes]] = []
        # What the command does once its streams are connected.
        self.command: t.Callable[[dict[str, Stream]], None] = lambda streams: (
            streams["1"].end(),
            streams["2"].end(),
            None,
        )[2]
        self.operation: dict[str, t.Any] = {"status_code": 200, "metadata": {"return": 0}}
        # (method, path) -> answers that are given first: (status, body, headers) or a function of the handler.
        self.answers: dict[tuple[str, str], list[t.Any]] = {}
        # The streams whose connection is refused as too late.
        self.refused: set[str] = set()
        self.commands: list[Exec] = []
        # Set by whoever has seen enough: nothing waits on.
        self.finished = threading.Event()
        self._lock = threading.Lock()

    def begin(self) -> Exec:
        with self._lock:
            self.commands.append(Exec(len(self.commands)))
            return self.commands[-1]

    def close(self) -> None:
        self.finished.set()
        for command in self.commands:
            command.finished.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, _request: t.Any, _address: t.Any) -> None:
        """Connections that break are what this server is for."""

    def answer(self, method: str, path: str, status: int, body: t.Any, headers: dict[str, str] | None = None) -> None:
        self.answers.setdefault((method, path), []).append((status, body, headers or {}))

    def error(self, method: str, path: str, code: int, text: str) -> None:
        self.answer(method, path, code, {"type": "error", "error_code": code, "error": text})

    def state(self, status: str) -> None:
        self.answer("GET", "/1.0/instances/one/state", 200, {"type": "sync", "metadata": {"status": status}})

    def count(self, method: str, path: str) -> int:
        return sum(1 for request in self.requests if request[:2] == (method, path))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeLXD

    def log_message(self, *_args: t.Any) -> None:
        pass

    def address_string(self) -> str:
        return "unix"

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = parse_qs(parts.query)
        self.server.requests.append((self.command, parts.path, query, dict(self.headers), body))
        prepared = self.server.answers.get((self.command, parts.path))
        if prepared:
            answer = prepared.pop(0)
            if callable(answer):
                answer(self)
            else:
                self.reply(*answer)
        elif parts.path.endswith("/exec"):
            fds = self.server.begin().secrets
            metadata = {"id": "0b9f", "created_at": "2026-01-01T10:00:00.123456789+01:00", "metadata": {"fds": fds}}
            self.reply(202, {"type": "async", "operation": OPERATION, "metadata": metadata}, {})
        elif parts.path == f"{OPERATION}/websocket":
            self.upgrade(query["secret"][0])
        elif parts.path == f"{OPERATION}/wait":
            self.reply(200, {"type": "sync", "metadata": self.server.operation}, {})
        elif parts.path == "/1.0/instances/one/state":
            self.reply(200, {"type": "sync", "metadata": {"status": "Running"}}, {})
        elif parts.path == "/1.0/instances/one":
            self.reply(200, {"type": "sync", "metadata": {"last_used_at": "2026-01-01T08:00:00Z"}}, {})
        else:
            self.reply(404, {"type": "error", "error_code": 404, "error": "Not Found"}, {})

    do_GET = do_POST = handle_any  # noqa: N815 - names that http.server looks for

    def reply(self, status: int, body: t.Any, headers: dict[str, str]) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def upgrade(self, secret: str) -> None:
        number, _dash, name = secret.partition("-")
        command = self.server.commands[int(number)]
        if name in self.server.refused:
            text = "Only running operations can be connected"
            self.reply(400, {"type": "error", "error_code": 400, "error": text}, {})
            return
        digest = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + websocket.GUID).encode()).digest()  # noqa: S324
        self.send_response(101)
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()
        self.close_connection = True
        if command.connected(name, Stream(self)):
            try:
                self.server.command(command.streams)
            finally:
                command.finished.set()
        else:
            command.finished.wait(10)


@pytest.fixture
def lxd(tmp_path: Path) -> t.Iterator[FakeLXD]:
    server = FakeLXD(tmp_path / "lxd.socket")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.close()
    thread.join()
