# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door by which peers come to bitcoind: all of them from the loopback, each with what it says and hears, whole."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DOOR = Path(__file__).parents[4] / "roles/bitcoin_node/files/bitcoin-door"
MOST = 4


def free_pair() -> int:
    """A port of which the next one is free, too."""
    for _try in range(50):
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            try:
                other.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two ports in a row are free")


@pytest.fixture
def port() -> Iterator[int]:
    number = free_pair()
    with subprocess.Popen(["perl", str(DOOR), str(number), str(number + 1), str(MOST)]) as door:
        deadline = time.monotonic() + 20
        # Without knocking: it would take that for somebody.
        while f":{number:04X} 00000000:0000 0A" not in Path("/proc/net/tcp").read_text():
            assert time.monotonic() < deadline, "it does not listen"
            time.sleep(0.05)
        yield number
        door.kill()


@pytest.fixture
def within(port: int) -> Iterator[Callable[[], socket.socket]]:
    """Whom the door leads to. Returns those who have come, one after the other."""
    with socket.create_server(("127.0.0.1", port + 1)) as server:
        server.settimeout(10)

        def accept() -> socket.socket:
            connection, _address = server.accept()
            connection.settimeout(10)
            return connection

        yield accept


def come(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def test_much_goes_both_ways_at_once_and_arrives_whole(port: int, within: Callable[[], socket.socket]) -> None:
    outer = come(port)
    inner = within()
    much = hashlib.sha512(b"seed").digest() * 100_000
    heard: dict[str, bytes] = {}

    def listen(name: str, end: socket.socket) -> None:
        found = bytearray()
        while len(found) < len(much):
            part = end.recv(1 << 16)
            if not part:
                break
            found += part
        heard[name] = bytes(found)

    threads = [threading.Thread(target=listen, args=pair) for pair in (("outer", outer), ("inner", inner))]
    threads += [threading.Thread(target=end.sendall, args=(much,)) for end in (outer, inner)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert heard == {"outer": much, "inner": much}


def test_whoever_comes_in_has_the_address_of_the_loopback(port: int, within: Callable[[], socket.socket]) -> None:
    with come(port):
        assert within().getpeername()[0] == "127.0.0.1"


@pytest.mark.parametrize("who", ["outer", "inner"])
def test_when_one_end_goes_the_other_is_told_what_was_said_and_goes(
    port: int, within: Callable[[], socket.socket], who: str
) -> None:
    outer = come(port)
    inner = within()
    leaving, staying = (outer, inner) if who == "outer" else (inner, outer)
    leaving.sendall(b"farewell")
    leaving.close()
    said = b""
    while part := staying.recv(100):
        said += part
    assert said == b"farewell"


def test_no_more_than_so_many_come_in_and_when_one_goes_another_may(
    port: int, within: Callable[[], socket.socket]
) -> None:
    there = [(come(port), within()) for _number in range(MOST)]
    assert come(port).recv(1) == b""
    there[0][0].close()
    assert there[0][1].recv(1) == b""
    with come(port) as next_one:
        next_one.sendall(b"x")
        assert within().recv(1) == b"x"


def test_with_nobody_within_it_hangs_up_and_goes_on(port: int) -> None:
    for _try in range(3):
        assert come(port).recv(1) == b""


def test_without_a_place_to_lead_to_it_says_so() -> None:
    done = subprocess.run(["perl", str(DOOR), "1", "x"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "usage: bitcoin-door PORT INNER MOST" in done.stderr
