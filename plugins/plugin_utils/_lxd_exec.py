# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is PRIVATE to the collection: it may change without notice.
"""A command in an LXD instance, run through the API: one operation and four websockets, nothing of Ansible.

LXD starts the command only when the websockets of stdin, stdout and stderr are connected, so an attempt that failed
before the last of them may be made again without running anything twice. It waits for them for a few seconds only: over
a slow link, four connections made one after the other come too late ("Only running operations can be connected"). So
the four handshakes are under way together, and where there is TLS, it is spoken before the command is sent.
An empty text message ends a stream in either direction. The exit status is the operation's: streams that end without it are a lost connection, never a result.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDError, LXDOperationFailed
from ansible_collections.bcm.datacenter.plugins.module_utils._websocket import (
    CLOSE,
    TEXT,
    HandshakeError,
    WebSocket,
    WebSocketError,
)

STDIN, STDOUT, STDERR, CONTROL = "0", "1", "2", "control"
# The control channel last: a command that waits for no signal may be over before it is connected.
STREAMS = (STDIN, STDOUT, STDERR, CONTROL)
STDIN_CHUNK = 1 << 17
START_ATTEMPTS = 3
FIRST_WAIT = 1
WAIT_SLICE = 10
FINAL_STATUS_CODE = 200


class ConnectionLostError(Exception):
    """The command's fate is unknown: what was received must not be taken for its result."""


class Process:
    """A command that runs in an instance."""

    def __init__(
        self,
        client: LXDClient,
        instance: str,
        argv: list[str],
        *,
        environment: dict[str, str] | None = None,
        timeout: float = 30,
    ) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._client = client
        self._timeout = timeout
        self._stdin: list[memoryview] = []
        self._stdin_end = False
        self._sockets: dict[str, WebSocket] = {}
        self._selector = selectors.DefaultSelector()
        self._operation = ""
        self.created_at = ""
        self._start(instance, argv, environment or {})

    def _start(self, instance: str, argv: list[str], environment: dict[str, str]) -> None:
        body = {
            "command": argv,
            "environment": environment,
            "interactive": False,
            "wait-for-websocket": True,
            "record-output": False,
        }
        for attempt in range(1, START_ATTEMPTS + 1):
            ahead = self._client.open_ahead(len(STREAMS))
            try:
                operation = self._client.post(
                    f"/1.0/instances/{instance}/exec", body, wait=False, timeout=self._timeout
                )
                self._operation = operation["path"]
                self.created_at = operation.get("created_at", "")
                self._connect(ahead, operation["metadata"]["fds"])
                break
            except HandshakeError as exc:
                # LXD gave the operation up before all were connected: nothing has run.
                self._hang_up(ahead)
                if attempt == START_ATTEMPTS:
                    raise ConnectionLostError(
                        f"LXD did not let the command's streams be connected, {attempt} times: {exc}"
                    ) from exc
            except (WebSocketError, OSError) as exc:
                self._hang_up(ahead)
                raise ConnectionLostError(f"the connection to LXD broke while a command was started: {exc}") from exc
            except BaseException:
                self._hang_up(ahead)
                raise
        for name, ws in self._sockets.items():
            ws.sock.setblocking(False)
            self._selector.register(ws, selectors.EVENT_READ, name)
        for name in (STDOUT, STDERR):
            # What came along with the answer to the handshake has left the socket: select() would not tell of it.
            self._read(name)

    def _connect(self, ahead: list[socket.socket], secrets: dict[str, str]) -> None:
        path, _mark, query = self._operation.partition("?")
        begun: list[tuple[str, socket.socket, str]] = []
        try:
            for number, name in enumerate(STREAMS):
                sock = ahead[number] if ahead else self._client.open_socket()
                sock.settimeout(self._timeout)
                begun.append((name, sock, ""))
                target = f"{path}/websocket?secret={secrets[name]}" + (f"&{query}" if query else "")
                begun[-1] = (name, sock, WebSocket.begin(sock, target))
            self._finish(begun)
        except BaseException:
            self._hang_up([sock for _name, sock, _nonce in begun])
            raise

    def _finish(self, begun: list[tuple[str, socket.socket, str]]) -> None:
        refused: HandshakeError | None = None
        for name, sock, nonce in begun:
            try:
                self._sockets[name] = WebSocket.finish(sock, nonce)
            except WebSocketError as exc:
                if name == CONTROL:
                    # A command may have ended before this one came through. It only carries signals.
                    sock.close()
                elif isinstance(exc, HandshakeError):
                    refused = exc
                else:
                    raise
        if refused is not None:
            raise refused

    def _hang_up(self, sockets: list[socket.socket]) -> None:
        self.close()
        for sock in sockets:
            sock.close()

    @property
    def finished(self) -> bool:
        """Both output streams have come to their ordinary end."""
        return STDOUT not in self._sockets and STDERR not in self._sockets

    @property
    def over(self) -> bool:
        return self.finished

    @property
    def errors(self) -> bytes:
        return bytes(self.stderr)

    def write(self, data: bytes) -> None:
        self._stdin.append(memoryview(data))

    def close_stdin(self) -> None:
        self._stdin_end = True

    def poll(self, timeout: float | None = None) -> bool:
        """Move what can be moved, waiting at most `timeout` seconds for the first of it. False: nothing moved."""
        self._pump_stdin()
        events = self._selector.select(timeout)
        for key, mask in events:
            if mask & selectors.EVENT_READ:
                self._read(key.data)
        return bool(events)

    def _pump_stdin(self) -> None:
        ws = self._sockets.get(STDIN)
        if ws is None:
            return
        try:
            while ws.flush():
                if self._stdin:
                    ws.queue(bytes(self._stdin[0][:STDIN_CHUNK]))
                    self._stdin[0] = self._stdin[0][STDIN_CHUNK:]
                    if not self._stdin[0]:
                        self._stdin.pop(0)
                elif self._stdin_end:
                    self._stdin_end = False
                    ws.queue(b"", TEXT)
                else:
                    break
        except WebSocketError:
            self._drop(STDIN)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if ws.wants_write else 0)
        self._selector.modify(ws, wanted, STDIN)

    def _read(self, name: str) -> None:
        ws = self._sockets.get(name)
        if ws is None:
            return
        try:
            messages = ws.receive()
        except WebSocketError as exc:
            if name in (STDOUT, STDERR):
                raise ConnectionLostError(f"the command's output ended in the middle: {exc}") from exc
            # A command need not read its input to the end, and the control channel goes with the command.
            self._drop(name)
            return
        for message in messages:
            if message.opcode in (CLOSE, TEXT):
                self._drop(name)
                break
            if name == STDOUT:
                self.stdout += message.data
            elif name == STDERR:
                self.stderr += message.data

    def _drop(self, name: str) -> None:
        ws = self._sockets.pop(name, None)
        if ws is not None:
            if name in self._registered():
                self._selector.unregister(ws)
            ws.close()

    def _registered(self) -> set[str]:
        return {key.data for key in (self._selector.get_map() or {}).values()}

    def signal(self, number: int) -> None:
        """Send a signal to the command (its shell, not what the shell started)."""
        ws = self._sockets.get(CONTROL)
        if ws is not None:
            try:
                ws.send(json.dumps({"command": "signal", "signal": number}).encode(), TEXT)
            except WebSocketError:
                self._drop(CONTROL)

    def communicate(self) -> None:
        while not self.finished:
            self.poll()

    def wait(self) -> int:
        """The exit status, after the streams have ended."""
        deadline = time.monotonic() + self._timeout
        patience = FIRST_WAIT
        try:
            while True:
                operation = self._client.operation_state(self._operation, patience)
                if operation["status_code"] >= FINAL_STATUS_CODE:
                    break
                # Where the control channel is connected in the moment in which the command ends, LXD 5.0 waits for its end.
                self._drop(CONTROL)
                patience = WAIT_SLICE
                if time.monotonic() > deadline:
                    raise ConnectionLostError(
                        f"its output ended, but LXD has not told the exit status within {self._timeout:g} s."
                    )
        except LXDOperationFailed:
            raise ConnectionLostError("LXD no longer knows the command: it was restarted meanwhile.") from None
        except LXDError as exc:
            raise ConnectionLostError(f"LXD did not tell the command's exit status: {exc}") from exc
        status = (operation.get("metadata") or {}).get("return")
        # LXD calls an operation failed, too, whose command ended with 126 or 127, as shells do in ordinary life.
        if not isinstance(status, int):
            reason = operation.get("err") or operation.get("status") or "no reason given"
            raise ConnectionLostError(f"it ended without an exit status: {reason}.")
        if operation.get("err") and not self.stderr:
            self.stderr += f"LXD: {operation['err']}\n".encode()
        return status

    def close(self) -> None:
        for name in list(self._sockets):
            self._drop(name)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, kind: t.Any, _value: t.Any, _traceback: t.Any) -> None:
        if kind is not None and self._sockets:
            self.signal(15)
        self.close()
