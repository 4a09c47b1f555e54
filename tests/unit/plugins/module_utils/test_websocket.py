# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bcm.datacenter.plugins.module_utils import _websocket as websocket
from ansible_collections.bcm.datacenter.plugins.module_utils._websocket import FrameParser, Message, WebSocket

NO_MASK = b"\0\0\0\0"


def server_frame(opcode: int, data: bytes, final: bool = True) -> bytes:
    """A frame as a server sends it: as ours, without the mask."""
    frame = websocket.encode_frame(opcode, data, final=final, key=NO_MASK)
    head = len(frame) - len(data) - 4
    return frame[:1] + bytes([frame[1] & 0x7F]) + frame[2:head] + data


def unmask(frame: bytes) -> bytes:
    start = {126: 4, 127: 10}.get(frame[1] & 0x7F, 2)
    return websocket.apply_mask(frame[start + 4 :], frame[start : start + 4])


def test_mask_is_the_one_of_the_standard() -> None:
    # RFC 6455, 5.7: a single-frame masked text message, "Hello"
    frame = websocket.encode_frame(websocket.TEXT, b"Hello", key=bytes.fromhex("37fa213d"))
    assert frame == bytes.fromhex("818537fa213d7f9f4d5158")


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_mask_twice_is_nothing(data: bytes, key: bytes) -> None:
    masked = websocket.apply_mask(data, key)
    assert masked == bytes(byte ^ key[i % 4] for i, byte in enumerate(data))
    assert websocket.apply_mask(masked, key) == data


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200_000])
def test_frames_of_every_size_class(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    assert FrameParser().feed(server_frame(websocket.BINARY, data)) == [Message(websocket.BINARY, data)]
    assert unmask(websocket.encode_frame(websocket.BINARY, data)) == data


@given(
    st.lists(st.lists(st.binary(max_size=200), min_size=1, max_size=4), max_size=6),
    st.lists(st.integers(min_value=1, max_value=50), min_size=1, max_size=20),
)
def test_messages_survive_any_fragments_and_any_cuts(messages: list[list[bytes]], cuts: list[int]) -> None:
    wire = b""
    for fragments in messages:
        for i, fragment in enumerate(fragments):
            wire += server_frame(websocket.PING, b"in between")
            opcode = websocket.BINARY if i == 0 else websocket.CONTINUATION
            wire += server_frame(opcode, fragment, final=i == len(fragments) - 1)
    parser, received, position, turn = FrameParser(), [], 0, 0
    while position < len(wire):
        step = cuts[turn % len(cuts)]
        received += parser.feed(wire[position : position + step])
        position, turn = position + step, turn + 1
    data = [message.data for message in received if message.opcode == websocket.BINARY]
    assert data == [b"".join(fragments) for fragments in messages]


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"\x82\x81\0\0\0\0a", "masked"),
        (b"\xc2\x01a", "reserved"),
        (server_frame(websocket.CONTINUATION, b"a"), "continues nothing"),
        (server_frame(websocket.BINARY, b"a", final=False) + server_frame(websocket.TEXT, b"b"), "before the last"),
        (server_frame(websocket.PING, b"a", final=False), "control frame"),
        (b"\x89\x7e\x00\xff", "control frame"),
        (b"\x83\x01a", "unknown opcode"),
        (b"\x82\x7f" + b"\x7f" * 8, "announces"),
    ],
)
def test_broken_frames_are_refused(wire: bytes, reason: str) -> None:
    with pytest.raises(websocket.WebSocketError, match=reason):
        FrameParser().feed(wire)


class Peer:
    """The other end of a socket pair, for a script that runs in a thread."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.settimeout(5)
        self.theirs.settimeout(5)

    def read_head(self) -> str:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.theirs.recv(4096)
        return data.decode()

    def accept(self, surplus: bytes = b"") -> None:
        head = self.read_head()
        nonce = next(line.split(": ")[1] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
        digest = hashlib.sha1((nonce + websocket.GUID).encode()).digest()  # noqa: S324 - what the protocol asks for
        answer = (
            f"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n"
        )
        self.theirs.sendall(answer.encode() + surplus)


@pytest.fixture
def peer() -> Peer:
    return Peer()


def connected(peer: Peer, surplus: bytes = b"") -> WebSocket:
    thread = threading.Thread(target=peer.accept, args=(surplus,))
    thread.start()
    ws = WebSocket.connect(peer.ours, "/1.0/x?secret=s")
    thread.join()
    return ws


def test_what_comes_with_the_handshake_is_not_lost(peer: Peer) -> None:
    ws = connected(peer, server_frame(websocket.BINARY, b"early"))
    assert ws.recv() == Message(websocket.BINARY, b"early")


def test_ping_is_answered_and_close_ends(peer: Peer) -> None:
    ws = connected(peer)
    peer.theirs.sendall(
        server_frame(websocket.PING, b"hey")
        + server_frame(websocket.TEXT, b"last")
        + server_frame(websocket.CLOSE, b"\x03\xe8")
    )
    assert ws.recv() == Message(websocket.TEXT, b"last")
    assert ws.recv() is None
    answer = peer.theirs.recv(4096)
    assert answer[0] == 0x80 | websocket.PONG
    assert unmask(answer[:9]) == b"hey"
    assert answer[9] == 0x80 | websocket.CLOSE
    ws.close()


def test_an_end_without_goodbye_is_an_error(peer: Peer) -> None:
    ws = connected(peer)
    peer.theirs.sendall(server_frame(websocket.BINARY, b"whole", final=False))
    peer.theirs.close()
    with pytest.raises(websocket.WebSocketError, match="without the closing handshake"):
        ws.recv()
    assert ws.closed


def test_queue_and_flush_do_not_wait(peer: Peer) -> None:
    ws = connected(peer)
    ws.sock.setblocking(False)
    data = b"x" * 4_000_000
    ws.queue(data)
    assert not ws.flush()
    assert ws.wants_write
    received = bytearray()
    while not ws.flush() or len(received) < len(data):
        received += peer.theirs.recv(1 << 20)
    assert unmask(bytes(received)) == data
    assert ws.receive() == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\nno such operation", "HTTP 404: no such operation"),
        (b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: other\r\n\r\n", "does not belong"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"),
        (b"", "hung up"),
    ],
)
def test_handshakes_that_fail(peer: Peer, answer: bytes, reason: str) -> None:
    def refuse() -> None:
        peer.read_head()
        peer.theirs.sendall(answer)
        peer.theirs.close()

    thread = threading.Thread(target=refuse)
    thread.start()
    with pytest.raises(websocket.WebSocketError, match=reason):
        WebSocket.connect(peer.ours, "/x")
    thread.join()
