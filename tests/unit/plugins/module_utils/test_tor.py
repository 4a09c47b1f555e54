# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils._tor import (
    Control,
    TorError,
    Visitor,
    check_socket_path,
    open_control,
    start,
    through_socks,
    words_of,
)


class FakeTor:
    """A socket that answers each connection with what it was told to."""

    def __init__(self, path: Path, talk: t.Callable[[socket.socket], None]) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.talk = talk
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            with connection:
                self.talk(connection)


@pytest.fixture
def directory() -> t.Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fake-tor-") as path:
        yield Path(path)


def socks(reply: int, banner: bytes = b"") -> t.Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.recv(3)
        connection.sendall(b"\x05\x00")
        connection.recv(300)
        connection.sendall(bytes([5, reply, 0, 1]) + b"\0" * 6 + banner)

    return talk


def test_the_first_line_of_the_service(directory: Path) -> None:
    FakeTor(directory / "socks", socks(0, b"SSH-2.0-test\r\nmore"))
    assert through_socks(directory / "socks", "x.onion", 22, 5) == (0, "SSH-2.0-test")


def test_a_refusal_has_words(directory: Path) -> None:
    FakeTor(directory / "socks", socks(0xF4))
    reply, banner = through_socks(directory / "socks", "x.onion", 22, 5)
    assert banner == ""
    assert "client key" in words_of(reply)
    assert words_of(0xEE) == "tor answers 0xEE"


def test_control(directory: Path) -> None:
    answers = {
        b"PROTOCOLINFO 1": b"250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250 OK\r\n",
        b"AUTHENTICATE": b"250 OK\r\n",
        b"GETINFO status/bootstrap-phase": b'250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=14 TAG=x SUMMARY="Handshaking"\r\n250 OK\r\n',
    }

    def talk(connection: socket.socket) -> None:
        with connection.makefile("rwb") as stream:
            for line in stream:
                stream.write(answers.get(line.strip(), b"510 Unrecognized command\r\n"))
                stream.flush()

    FakeTor(directory / "control", talk)
    control = Control(directory / "control")
    assert control.bootstrap() == (14, "Handshaking")
    with pytest.raises(TorError, match=r"14 % .*Handshaking"):
        control.wait_bootstrapped(time.monotonic() - 1)
    with pytest.raises(TorError, match="refuses NONSENSE: 510"):
        control.ask("NONSENSE")
    control.close()


def talking(answers: dict[bytes, bytes]) -> t.Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        with connection.makefile("rwb") as stream:
            for line in stream:
                stream.write(answers.get(line.strip(), b"515 Authentication failed\r\n"))
                stream.flush()

    return talk


def test_the_cookie_is_shown_and_not_told(directory: Path) -> None:
    (directory / "a cookie").write_bytes(bytes(range(32)))
    ways = f'250-PROTOCOLINFO 1\r\n250-AUTH METHODS=COOKIE,SAFECOOKIE COOKIEFILE="{directory}/a cookie"\r\n250 OK\r\n'
    shown = b"AUTHENTICATE " + bytes(range(32)).hex().encode()
    text = b"250+x=\r\none\r\n..two\r\n.\r\n250 OK\r\n"
    answers = {b"PROTOCOLINFO 1": ways.encode(), shown: b"250 OK\r\n", b"GETINFO x": text}
    FakeTor(directory / "control", talking(answers))
    control = Control(directory / "control")
    assert control.info("x") == "one\n.two"
    assert control.info("unknown") == ""
    control.close()
    (directory / "a cookie").write_bytes(bytes(32))
    with pytest.raises(TorError, match="refuses AUTHENTICATE: 515") as told:
        Control(directory / "control")
    assert "00" not in str(told.value)
    (directory / "a cookie").unlink()
    with pytest.raises(TorError, match="cookie, which cannot be read"):
        Control(directory / "control")


def test_no_tor_is_there(directory: Path) -> None:
    assert open_control(directory / "control") is None


def test_a_path_that_is_too_long() -> None:
    with pytest.raises(TorError, match="shorter"):
        check_socket_path(Path("/" + "x" * 120))


def test_a_visit_waits_for_what_is_expected(directory: Path) -> None:
    replies = iter([0xF0, 0xF4, 0])

    def talk(connection: socket.socket) -> None:
        socks(next(replies))(connection)

    FakeTor(directory / "socks", talk)
    visitor = Visitor("tor", directory, [], None)
    found = visitor.visit("x.onion", 22, "any", time.monotonic() + 20)
    assert found["outcome"] == "refused"
    assert visitor.visit("x.onion", 22, "reached", time.monotonic() + 20)["outcome"] == "reached"


def test_a_mistyped_address_is_not_waited_for(directory: Path) -> None:
    FakeTor(directory / "socks", socks(0xF6))
    began = time.monotonic()
    found = Visitor("tor", directory, [], None).visit("x.onion", 22, "reached", began + 60)
    assert found["outcome"] == "failed"
    assert "mistyped" in found["reason"]
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("checked", "told"),
    [
        ("exit 0", "its configuration is valid, so a port may be taken"),
        ("echo 'x [warn] No such option'; exit 1", "No such option"),
    ],
)
def test_why_it_does_not_start(directory: Path, checked: str, told: str) -> None:
    program = directory / "tor"
    program.write_text(f'#!/bin/sh\ncase "$*" in *--verify-config*) {checked} ;; esac\nexit 1\n')
    program.chmod(0o755)
    with pytest.raises(TorError, match=told):
        start(str(program), directory / "torrc", directory / "control", time.monotonic() + 5)
