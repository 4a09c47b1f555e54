#!/usr/bin/env python3
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what must be known of an lnd when its own machine is gone: the number of its fence, and its channel backup.

    bcm-lightning-keeper CONFIG

Each lnd asks by HTTPS with its certificate, and for what is its own alone:

    GET /v1/NODE            the number, how long it has been told, and what is known of the backup
    GET /v1/NODE/backup     the backup that was stored last
    PUT /v1/NODE/backup     takes another one, of whoever has the current number (X-Fence)

The number is a file that Ansible writes here; nobody can change it from elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LARGEST = 16 << 20
PATH = re.compile(r"^/v1/([a-z][a-z0-9-]{0,62})(/backup)?$")
# Older ones are kept for a while: lnd's own are encrypted, and a wrong one must not be the only one.
KEPT = 20
SECONDS = 30.0

Object = dict[str, Any]


class Store:
    """What is kept, a folder for each node."""

    def __init__(self, folder: str, clock: Any = time.time) -> None:
        self.folder, self.clock = Path(folder), clock

    def number(self, node: str) -> tuple[int, int] | None:
        """The number, and since when it is told here, in seconds since 1970.

        Until this machine had it, it told the one before, and the lnd of that one may run on for its lease from then. When the number was made says
        nothing of that: a restore may have been broken off in between, and gone on much later.
        """
        file = self.folder / node / "number"
        try:
            number, since = file.read_text().split()
            return int(number), max(int(since), int(file.stat().st_mtime))
        except (FileNotFoundError, ValueError):
            return None

    def backup(self, node: str) -> Path:
        return self.folder / node / "channel.backup"

    def told(self, node: str) -> Object:
        number, since = self.number(node) or (None, self.clock())
        result: Object = {"node": node, "number": number, "age": max(0.0, self.clock() - since), "backup": None}
        try:
            content, changed = self.backup(node).read_bytes(), self.backup(node).stat().st_mtime
        except FileNotFoundError:
            return result
        stored = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "age": max(0.0, self.clock() - changed),
        }
        return {**result, "backup": stored}

    def put(self, node: str, content: bytes) -> None:
        """Store it so that it is on the disk, and keep the ones before it for a while."""
        folder = self.folder / node
        history = folder / "before"
        history.mkdir(mode=0o700, exist_ok=True)
        target = self.backup(node)
        if target.exists() and target.read_bytes() != content:
            os.link(target, history / f"{time.time_ns()}.backup")
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".backup.")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
        for old in sorted(history.glob("*.backup"))[:-KEPT]:
            old.unlink()


class Handler(BaseHTTPRequestHandler):
    """One question."""

    protocol_version = "HTTP/1.1"
    timeout = SECONDS
    store: Store

    def who(self) -> str:
        """The name in the certificate that the other end has shown."""
        shown: Any = self.connection.getpeercert()
        names = [value for part in (shown or {}).get("subject", ()) for name, value in part if name == "commonName"]
        return names[0] if len(names) == 1 else ""

    def answer(self, status: int, content: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    def refuse(self, status: int, words: str) -> None:
        self.answer(status, json.dumps({"error": words}).encode())

    def asked(self) -> tuple[str, bool] | None:
        """For which node, and whether for its backup. Nothing: it has been refused."""
        found = PATH.match(self.path)
        if found is None:
            self.refuse(404, "there is nothing of that name")
            return None
        if found[1] != self.who():
            self.refuse(403, f"{self.who() or 'somebody without a name'} asks for what is {found[1]}'s")
            return None
        if not (self.store.folder / found[1]).is_dir():
            self.refuse(404, f"{found[1]} is not known here")
            return None
        return found[1], bool(found[2])

    def do_GET(self) -> None:
        asked = self.asked()
        if asked is None:
            return
        node, backup = asked
        if not backup:
            self.answer(200, json.dumps(self.store.told(node)).encode())
            return
        try:
            self.answer(200, self.store.backup(node).read_bytes(), "application/octet-stream")
        except FileNotFoundError:
            self.refuse(404, f"there is no backup of {node} yet")

    def do_PUT(self) -> None:
        length, fence = self.headers.get("Content-Length", ""), self.headers.get("X-Fence", "")
        if not length.isdigit() or not 0 < int(length) <= LARGEST:
            self.refuse(413, f"a channel backup has 1 to {LARGEST} bytes")
            return
        # Before anything is said: whoever is refused while it still sends does not hear why.
        content = self.rfile.read(int(length))
        asked = self.asked()
        if asked is None:
            return
        node, backup = asked
        number = self.store.number(node)
        if not backup:
            self.refuse(405, "this cannot be changed from elsewhere")
        elif number is None or str(number[0]) != fence:
            self.refuse(
                409, f"number {fence or 'none'} is not the current one: the lnd that has it must not run any more"
            )
        elif len(content) != int(length):
            self.refuse(400, "it broke off")
        else:
            self.store.put(node, content)
            self.answer(200, b"{}")

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - its name in the library
        """Each lnd asks every few seconds: only what is refused is worth a line."""
        if len(arguments) > 1 and str(arguments[1]).startswith("2"):
            return
        sys.stderr.write(f"{self.who()}: {format % arguments}\n")


class Server(ThreadingHTTPServer):
    """TLS is begun in the thread of each connection, so that one that says nothing holds up nobody."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], handler: type[Handler], tls: ssl.SSLContext) -> None:
        super().__init__(address, handler)
        self.tls = tls

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(SECONDS)
        try:
            wrapped = self.tls.wrap_socket(request, server_side=True)
        except (OSError, ValueError) as error:
            sys.stderr.write(f"{client_address[0]}: {error}\n")
            return
        try:
            super().finish_request(wrapped, client_address)
        finally:
            wrapped.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        sys.stderr.write(f"{client_address[0]}: {sys.exc_info()[1]}\n")


def serve(config: Object) -> Server:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(config["ca"])
    context.load_cert_chain(config["certificate"])
    handler = type("Bound", (Handler,), {"store": Store(config["folder"])})
    return Server((config["address"], int(config["port"])), handler, context)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write(__doc__ or "")
        return 2
    serve(json.loads(Path(arguments[0]).read_text())).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
