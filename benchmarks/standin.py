# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for an LXD with many instances: standin.py SOCKET FILE COUNT

It speaks as much of the API as inventories ask for. FILE holds what a real LXD has answered for one instance; that one is
told COUNT times under other names. It answers at once, where a real one has to look at each instance: in favour of whoever
asks often. At the end (SIGTERM) it prints how many requests there were.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any


def answer(metadata: Any) -> bytes:
    return json.dumps(
        {"type": "sync", "status": "Success", "status_code": 200, "operation": "", "error_code": 0, "error": ""}
        | {"metadata": metadata}
    ).encode()


class Api:
    """The answers, made before anybody asks."""

    def __init__(self, real: dict[str, Any], count: int) -> None:
        """
        Args:
            real: `server`, `instance` (as in a list with recursion=2), `networks` (path -> answer) of a real LXD.
            count: How many instances there shall be.
        """
        one = real["instance"]
        names = [f"{one['name']}-{number:04d}" for number in range(count)]
        self.plain = {key: value for key, value in one.items() if key not in ("state", "snapshots", "backups")}
        self.state = one["state"]
        self.names = set(names)
        self.fixed = {"/1.0": answer(real["server"])}
        self.fixed |= {path: answer(found) for path, found in real["networks"].items()}
        self.fixed["/1.0/instances"] = answer([f"/1.0/instances/{name}" for name in names])
        self.full = answer([{**one, "name": name} for name in names])
        self.count = 0
        self.lock = threading.Lock()

    def get(self, target: str) -> tuple[int, bytes]:
        with self.lock:
            self.count += 1
        path, _, query = target.partition("?")
        if path == "/1.0/instances" and "recursion=2" in query:
            return 200, self.full
        if path in self.fixed:
            return 200, self.fixed[path]
        parts = path.split("/")
        if path.startswith("/1.0/instances/") and parts[3] in self.names:
            if len(parts) == 4:
                return 200, answer({**self.plain, "name": parts[3]})
            if parts[4:] == ["state"]:
                return 200, answer(self.state)
        return 404, json.dumps({"type": "error", "error": "not found", "error_code": 404}).encode()


class Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    api: Api


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        # Some send one with a question, too.
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, body = self.server.api.get(self.path)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "client"

    def log_message(self, *_args: Any) -> None:
        """Nothing is written down but the number."""


def main() -> None:
    socket, file, count = sys.argv[1:]
    server = Server(socket, Handler)
    server.api = Api(json.loads(Path(file).read_text()), int(count))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print("ready", flush=True)
    server.serve_forever()
    print(server.api.count, flush=True)


if __name__ == "__main__":
    main()
