# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is PRIVATE to the collection: it may change without notice.
"""A websocket client (RFC 6455) over a socket that is already connected.

Only what LXD's operations need: no extensions, no subprotocols. The caller may block, or poll: `queue` and
`flush` never wait on a socket that was made non-blocking, and neither does `receive`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
import ssl
import struct
import typing as t

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
CONTROL_FRAMES = (CLOSE, PING, PONG)
CHUNK = 1 << 16
MAX_HANDSHAKE = 1 << 16
MAX_MESSAGE = 1 << 30
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class WebSocketError(Exception):
    """The peer broke the protocol or the connection broke."""


class HandshakeError(WebSocketError):
    """The peer answered the handshake with something else than an upgrade."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"the websocket handshake was answered with HTTP {status}: {text}")
        self.status = status
        self.text = text


class Message(t.NamedTuple):
    opcode: int
    data: bytes


def apply_mask(data: bytes, key: bytes) -> bytes:
    """XOR with the repeated key. As one big integer, because a loop over bytes is a hundred times slower."""
    if not data:
        return b""
    length = len(data)
    mask = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")).to_bytes(length, "big")


def encode_frame(opcode: int, data: bytes, *, final: bool = True, key: bytes | None = None) -> bytes:
    """One frame. A client's frames are masked (RFC 6455, 5.3); pass a key of four zero bytes to see the payload."""
    key = os.urandom(4) if key is None else key
    head = bytes([(0x80 if final else 0) | opcode])
    length = len(data)
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 1 << 16:
        head += struct.pack("!BH", 0x80 | 126, length)
    else:
        head += struct.pack("!BQ", 0x80 | 127, length)
    return head + key + apply_mask(data, key)


class FrameParser:
    """Bytes in, whole messages out. Control frames may stand between the fragments of a message."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._opcode: int | None = None
        self._fragments: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Message]:
        self._buffer += data
        messages = []
        while (frame := self._next_frame()) is not None:
            if (message := self._assemble(*frame)) is not None:
                messages.append(message)
        return messages

    def _next_frame(self) -> tuple[bool, int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        if buffer[0] & 0x70:
            raise WebSocketError("a frame has reserved bits set, though no extension was agreed")
        if buffer[1] & 0x80:
            raise WebSocketError("the server sent a masked frame")
        final, opcode, length, start = bool(buffer[0] & 0x80), buffer[0] & 0x0F, buffer[1] & 0x7F, 2
        if opcode in CONTROL_FRAMES and (length > 125 or not final):
            raise WebSocketError("a control frame is fragmented or too long")
        if length == 126:
            start = 4
        elif length == 127:
            start = 10
        if len(buffer) < start:
            return None
        if start > 2:
            length = int.from_bytes(buffer[2:start], "big")
        if length > MAX_MESSAGE:
            raise WebSocketError(f"a frame announces {length} bytes")
        if len(buffer) < start + length:
            return None
        payload = bytes(memoryview(buffer)[start : start + length])
        del buffer[: start + length]
        return final, opcode, payload

    def _assemble(self, final: bool, opcode: int, payload: bytes) -> Message | None:
        if opcode in CONTROL_FRAMES:
            return Message(opcode, payload)
        if opcode == CONTINUATION:
            if self._opcode is None:
                raise WebSocketError("a continuation frame continues nothing")
        elif opcode in (TEXT, BINARY):
            if self._opcode is not None:
                raise WebSocketError("a new message began before the last one was complete")
            self._opcode = opcode
        else:
            raise WebSocketError(f"a frame has the unknown opcode {opcode:#x}")
        self._fragments.append(payload)
        self._size += len(payload)
        if self._size > MAX_MESSAGE:
            raise WebSocketError(f"a message is longer than {MAX_MESSAGE} bytes")
        if not final:
            return None
        message = Message(self._opcode, b"".join(self._fragments))
        self._opcode, self._fragments, self._size = None, [], 0
        return message


class WebSocket:
    """A connected websocket. It answers pings and the closing handshake by itself."""

    def __init__(self, sock: socket.socket, surplus: bytes = b"") -> None:
        self.sock = sock
        self.closed = False
        self._parser = FrameParser()
        self._outgoing = bytearray()
        self._close_sent = False
        self._surplus = surplus
        self._inbox: list[Message] = []

    @classmethod
    def connect(
        cls, sock: socket.socket, path: str, host: str = "lxd", headers: t.Mapping[str, str] | None = None
    ) -> WebSocket:
        """Do the opening handshake on a connected, blocking socket."""
        return cls.finish(sock, cls.begin(sock, path, host, headers))

    @staticmethod
    def begin(sock: socket.socket, path: str, host: str = "lxd", headers: t.Mapping[str, str] | None = None) -> str:
        """Send the opening handshake, and do not wait. What comes back belongs to `finish`."""
        nonce = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {nonce}",
            "Sec-WebSocket-Version: 13",
        ]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        try:
            sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        except OSError as exc:
            raise WebSocketError(f"the connection broke during the websocket handshake: {exc}") from exc
        return nonce

    @classmethod
    def finish(cls, sock: socket.socket, nonce: str) -> WebSocket:
        """Read the server's answer to the opening handshake."""
        try:
            head, surplus = cls._read_head(sock)
            surplus = cls._read_refusal(sock, head, surplus)
        except OSError as exc:
            raise WebSocketError(f"the connection broke during the websocket handshake: {exc}") from exc
        cls._check_head(head, surplus, nonce)
        return cls(sock, surplus)

    @staticmethod
    def _read_head(sock: socket.socket) -> tuple[list[str], bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            if len(data) > MAX_HANDSHAKE:
                raise WebSocketError("the answer to the websocket handshake has no end")
            chunk = sock.recv(CHUNK)
            if not chunk:
                raise WebSocketError("the server hung up during the websocket handshake")
            data += chunk
        head, surplus = data.split(b"\r\n\r\n", 1)
        return head.decode("latin-1").split("\r\n"), surplus

    @staticmethod
    def _read_refusal(sock: socket.socket, head: list[str], surplus: bytes) -> bytes:
        """The rest of an answer that is not an upgrade: it tells why."""
        lengths = [line.partition(":")[2] for line in head if line.lower().startswith("content-length:")]
        if " 101" in head[0] or not lengths or not lengths[0].strip().isdigit():
            return surplus
        while len(surplus) < min(int(lengths[0]), CHUNK) and (chunk := sock.recv(CHUNK)):
            surplus += chunk
        return surplus

    @staticmethod
    def _check_head(head: list[str], surplus: bytes, nonce: str) -> None:
        words = head[0].split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
            raise WebSocketError(f"the server does not speak HTTP: {head[0][:80]!r}")
        if words[1] != "101":
            raise HandshakeError(int(words[1]), surplus.decode("utf-8", "replace").strip()[:500])
        pairs = (line.partition(":") for line in head[1:])
        fields = {name.strip().lower(): value.strip() for name, _colon, value in pairs}
        digest = hashlib.sha1((nonce + GUID).encode(), usedforsecurity=False).digest()  # what RFC 6455 asks for
        expected = base64.b64encode(digest).decode()
        if fields.get("sec-websocket-accept") != expected:
            raise WebSocketError("the server's handshake does not belong to ours")

    def fileno(self) -> int:
        return self.sock.fileno()

    @property
    def wants_write(self) -> bool:
        return bool(self._outgoing)

    def queue(self, data: bytes, opcode: int = BINARY) -> None:
        if opcode == CLOSE:
            self._close_sent = True
        self._outgoing += encode_frame(opcode, data)

    def flush(self) -> bool:
        """Send what is queued as far as the socket takes it. True when nothing is left."""
        while self._outgoing:
            try:
                sent = self.sock.send(memoryview(self._outgoing)[: CHUNK * 4].tobytes())
            except WOULD_BLOCK:
                return False
            except OSError as exc:
                self.closed = True
                raise WebSocketError(f"the connection broke while sending: {exc}") from exc
            del self._outgoing[:sent]
        return True

    def send(self, data: bytes, opcode: int = BINARY) -> None:
        self.queue(data, opcode)
        self.flush()

    def receive(self) -> list[Message]:
        """What has arrived: data messages, and a CLOSE message as the last one. Sets `closed` at the end.

        On a blocking socket it waits for the next bytes. An end without CLOSE raises, for it may be a torn message.
        """
        data, self._surplus = self._surplus, b""
        while not data:
            try:
                data = self.sock.recv(CHUNK * 4)
            except WOULD_BLOCK:
                return []
            except OSError as exc:
                self.closed = True
                raise WebSocketError(f"the connection broke while receiving: {exc}") from exc
            if not data:
                self.closed = True
                raise WebSocketError("the connection ended without the closing handshake")
            # A TLS socket may hold decrypted bytes that select() does not see.
            while isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
                data += self.sock.recv(CHUNK)
        return self._handle(self._parser.feed(data))

    def _handle(self, messages: list[Message]) -> list[Message]:
        kept = []
        for message in messages:
            if message.opcode == PING:
                self.queue(message.data, PONG)
            elif message.opcode == CLOSE:
                if not self._close_sent:
                    self.queue(message.data[:2], CLOSE)
                self.closed = True
                kept.append(message)
                break
            elif message.opcode != PONG:
                kept.append(message)
        if self._outgoing:
            # What came in is whole all the same; a broken way out shows at the next send.
            with contextlib.suppress(WebSocketError):
                self.flush()
        return kept

    def recv(self) -> Message | None:
        """The next data message of a blocking socket, None after the peer has closed."""
        while not self._inbox:
            if self.closed:
                return None
            self._inbox = self.receive()
        message = self._inbox.pop(0)
        return None if message.opcode == CLOSE else message

    def close(self, code: int = 1000) -> None:
        """Say goodbye as far as that is possible without waiting, and hang up."""
        try:
            if not self._close_sent and not self.closed:
                self.sock.settimeout(1)
                self.send(struct.pack("!H", code), CLOSE)
        except (OSError, WebSocketError):
            pass
        finally:
            self.closed = True
            self.sock.close()
