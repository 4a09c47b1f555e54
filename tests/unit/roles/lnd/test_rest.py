# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How others are asked: Tor by name and with a circuit of its own, lnd where its container is."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bcm_lnd import rest
from bcm_lnd.config import Config
from bcm_lnd.rest import SilentError

ONION = "a" * 56 + ".onion"


class Socks:
    """A SOCKS port that writes down what it is told, and answers as it is bid."""

    def __init__(self, *answers: bytes) -> None:
        self.answers, self.heard = list(answers), list[bytes]()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    @property
    def address(self) -> tuple[str, int]:
        address: tuple[str, int] = self.server.getsockname()
        return address

    def serve(self) -> None:
        connection, _address = self.server.accept()
        with connection:
            for answer in self.answers:
                self.heard.append(connection.recv(1024))
                connection.sendall(answer)
            with contextlib.suppress(ConnectionResetError):
                connection.recv(1024)


@pytest.fixture
def socks() -> Iterator[Callable[..., Socks]]:
    made: list[Socks] = []

    def begin(*answers: bytes) -> Socks:
        made.append(Socks(*answers))
        return made[-1]

    yield begin
    for one in made:
        one.server.close()


GOOD = (b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")


def test_tor_is_told_the_name_and_whose_circuit_it_is(socks: Callable[..., Socks]) -> None:
    port = socks(*GOOD)
    rest.socks(port.address, ONION, 443, 5).close()
    hello, who, where = port.heard
    assert hello == b"\x05\x01\x02"
    # Its password is where it goes to, so that each place has a circuit of its own.
    assert who == b"\x01\x0ebcm-lnd-backup" + bytes([len(ONION)]) + ONION.encode()
    assert where == b"\x05\x01\x00\x03" + bytes([len(ONION)]) + ONION.encode() + b"\x01\xbb"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ((b"\x05\xff",), "does not take a name and password"),
        ((b"\x05\x02", b"\x01\x01"), "refused the name and password"),
        ((*GOOD[:2], b"\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00"), f"Tor does not reach {ONION}: SOCKS says 4"),
        ((b"\x05",), "closed the connection|timed out"),
    ],
)
def test_what_tor_does_not_do(socks: Callable[..., Socks], answers: tuple[bytes, ...], words: str) -> None:
    port = socks(*answers)
    with pytest.raises((SilentError, TimeoutError), match=words):
        rest.socks(port.address, ONION, 443, 1)


def test_lnd_is_where_its_container_is() -> None:
    def run(argv: list[str], **_further: Any) -> Any:
        assert all("\n" not in word for word in argv)
        return subprocess.CompletedProcess(argv, 0, "abc\n" if argv[1] == "ps" else "4711\n", "")

    assert rest.task_of("lightning-1", run) == 4711


@pytest.mark.parametrize(
    ("ps", "inspect", "words"), [("", "1", "no container of it that runs"), ("abc\n", "0\n", "has just stopped")]
)
def test_without_a_container_that_is_said(ps: str, inspect: str, words: str) -> None:
    def run(argv: list[str], **_further: Any) -> Any:
        return subprocess.CompletedProcess(argv, 0, ps if argv[1] == "ps" else inspect, "")

    with pytest.raises(SilentError, match=words):
        rest.task_of("lightning-1", run)


def test_without_an_authority_nobody_is_asked(config: Config) -> None:
    with pytest.raises(SilentError, match="lnd's authority cannot be read"):
        rest.Lnd(config).state()


def test_without_a_wallet_there_is_no_macaroon(config: Config) -> None:
    with pytest.raises(SilentError, match="it has written no macaroon"):
        rest.Lnd(config)._macaroon()
