# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An LXD that misbehaves on demand: a server on a unix socket whose answers a test writes down."""

from __future__ import annotations

import dataclasses
import json
import socket
import socketserver
import threading
import typing as t
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit


@dataclasses.dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> t.Any:
        return json.loads(self.body)


@dataclasses.dataclass
class Answer:
    """What goes back. drop: nothing, the connection ends. close: the connection ends after the answer."""

    body: t.Any = None
    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    drop: bool = False
    close: bool = False
    hang: bool = False
    unread: bool = False


def sync(metadata: t.Any = None, **headers: str) -> Answer:
    return Answer({"type": "sync", "status_code": 200, "metadata": metadata}, headers=headers)


def error(code: int, text: str) -> Answer:
    return Answer({"type": "error", "error_code": code, "error": text}, status=code)


def operation(name: str = "op", **fields: t.Any) -> Answer:
    metadata = {"id": name, "description": "Doing something", "status": "Running", "status_code": 103, **fields}
    return Answer({"type": "async", "operation": f"/1.0/operations/{name}", "metadata": metadata}, status=202)


def state(code: int, **fields: t.Any) -> Answer:
    status = {103: "Running", 200: "Success", 400: "Failure", 401: "Cancelled"}[code]
    return sync({"id": "op", "description": "Doing something", "status": status, "status_code": code, **fields})


Script = t.Union[Answer, t.Callable[[Request], Answer], t.Sequence[Answer]]  # noqa: UP007 - pylint of ansible-test reads no other


class FakeLXD:
    """Answers by (method, path): one answer for ever, several in turn (the last for ever), or a function."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "unix.socket")
        self.url = f"unix://{self.path}"
        self.requests: list[Request] = []
        self.routes: dict[tuple[str, str], Script] = {
            ("GET", "/1.0"): sync({"api_extensions": [], "environment": {}}),
            ("GET", "/1.0/projects/default"): sync({"name": "default"}),
        }
        self.released = threading.Event()
        self._lock = threading.Lock()
        self._turn: dict[tuple[str, str], int] = {}
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def address_string(self) -> str:
                return "unix"

            def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002 - the name is the base class's
                return

            def _serve(self) -> None:
                fake.serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - http.server asks for these names

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: t.Any, client_address: t.Any) -> None:
                return

        self.server = Server(self.path, Handler)
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def route(self, method: str, path: str, script: Script) -> None:
        self.routes[method, path] = script

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(5)

    def sent(self, *methods: str) -> list[tuple[str, str]]:
        """Which requests came, those of some methods only."""
        return [(r.method, r.path) for r in self.requests if not methods or r.method in methods]

    def _answer(self, request: Request) -> Answer:
        key = request.method, request.path
        with self._lock:
            script = self.routes.get(key)
            turn = self._turn.get(key, 0)
            self._turn[key] = turn + 1
        if script is None:
            return error(404, "Not Found")
        if isinstance(script, Answer):
            return script
        if callable(script):
            return script(request)
        return script[min(turn, len(script) - 1)]

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        peek = self.routes.get((handler.command, parts.path))
        body = b""
        if not (isinstance(peek, Answer) and peek.unread):
            body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {key.lower(): value for key, value in handler.headers.items()}
        request = Request(handler.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
        self.requests.append(request)
        answer = self._answer(request)
        if answer.hang:
            self.released.wait(30)
        if answer.drop or answer.hang:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        handler.send_response(answer.status)
        length = answer.headers.get("Content-Length", str(len(content)))
        for key, value in {**answer.headers, "Content-Length": length}.items():
            handler.send_header(key, value)
        handler.end_headers()
        handler.wfile.write(content)
        if answer.close:
            handler.close_connection = True
