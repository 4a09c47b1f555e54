# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each kind of try against something real on the loopback interface: what answers, what refuses, and what is silent."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _leak_probe as probe

HERE = "127.0.0.1"
Handler = t.Callable[[socket.socket], None]


@pytest.fixture
def asker(tmp_path: Path) -> probe.Asker:
    """Somebody whose own addresses do not count as such: all of it is tried on the loopback interface."""
    (tmp_path / "resolv.conf").write_text("# none\n")
    found = probe.Asker(tmp_path / "resolv.conf")
    found.own = set()
    return found


@contextlib.contextmanager
def listener(handle: Handler) -> t.Iterator[int]:
    """A TCP service, and its port."""
    with socket.create_server((HERE, 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _address = server.accept()
                    with connection, contextlib.suppress(OSError):
                        handle(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        # Wakes the thread that waits.
        server.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def answering(answer: t.Callable[[bytes], bytes | None]) -> t.Iterator[tuple[int, list[bytes]]]:
    """A UDP service, its port, and what came."""
    came: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((HERE, 0))

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    data, sender = server.recvfrom(4096)
                    if not sender:
                        return
                    came.append(data)
                    back = answer(data)
                    if back is not None:
                        server.sendto(back, sender)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1], came
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def free_port() -> int:
    with socket.create_server((HERE, 0)) as server:
        return int(server.getsockname()[1])


def says(text: bytes) -> Handler:
    def handle(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(text)

    return handle


def tried(kind: str, asker: probe.Asker, **cell: t.Any) -> probe.Result:
    return probe.ask({"kind": kind, "host": HERE, "timeout": 0.3, **cell}, asker)


def test_tcp_is_accepted_or_refused_and_both_are_answers(asker: probe.Asker) -> None:
    with listener(says(b"")) as port:
        assert tried("tcp", asker, port=port) == ("yes", "the connection was accepted")
    assert tried("tcp", asker, port=free_port()) == ("yes", "it answers: nothing listens on this port")


def test_the_own_address_teaches_nothing(asker: probe.Asker) -> None:
    asker.own = {HERE}
    assert tried("tcp", asker, port=1)[0] == "own"
    assert HERE in probe.own_addresses()


def test_udp_counts_what_comes_back_and_sends_its_mark(asker: probe.Asker) -> None:
    with answering(lambda data: data) as (port, came):
        assert tried("udp", asker, port=port, mark="mark-01") == ("yes", "7 bytes came back")
    assert came == [b"mark-01"]
    with answering(lambda data: None) as (port, came):
        assert tried("udp", asker, port=port) == ("no", "nothing answered")


def test_a_closed_udp_port_of_somebody_else_is_an_answer(asker: probe.Asker) -> None:
    seen, said = tried("udp", asker, port=free_port())
    assert (seen, "nothing listens" in said) == ("yes", True)


def test_a_refusal_by_the_own_firewall_is_none(asker: probe.Asker) -> None:
    """What ICMP says from one of the asker's own addresses is not the word of somebody outside."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        probe._errors_wanted(sock, socket.AF_INET)
        sock.connect((HERE, free_port()))
        sock.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            sock.recv(1)
        asker.own = {HERE}
        assert probe._refused(sock, asker, "192.0.2.1") == ("no", "its own firewall refuses it")


def reply_to(data: bytes, code: int = 0, answers: int = 1) -> bytes:
    return data[:2] + struct.pack(">5H", 0x8000 | code, 1, answers, 0, 0) + data[12:]


def test_any_answer_of_a_name_server_counts(asker: probe.Asker) -> None:
    with answering(lambda data: reply_to(data, 5, 0)) as (port, came):
        found = tried("dns", asker, port=port, name="example.com", mark="mark-02")
    assert found == ("yes", "a name server answers, with code 5")
    assert b"\x07mark-02\x07example\x03com\x00" in came[0]


def test_what_is_no_answer_of_a_name_server_does_not_count(asker: probe.Asker) -> None:
    with answering(lambda data: b"hello, who is there?") as (port, _came):
        assert tried("dns", asker, port=port, name="example.com") == ("no", "nothing answered")


def test_dns_by_tcp(asker: probe.Asker) -> None:
    def handle(connection: socket.socket) -> None:
        data = connection.recv(1000)[2:]
        back = reply_to(data, 0)
        connection.sendall(struct.pack(">H", len(back)) + back)

    with listener(handle) as port:
        found = tried("dns_tcp", asker, port=port, name="example.com")
        assert found == ("yes", "a name server answers, with code 0")
    with listener(lambda connection: None) as port:
        found = tried("dns_tcp", asker, port=port, name="example.com")
        assert found == ("yes", "the connection was accepted")
    assert tried("dns_tcp", asker, port=free_port(), name="example.com")[0] == "yes"


@pytest.mark.parametrize(
    ("code", "answers", "seen"), [(0, 1, "yes"), (0, 0, "no"), (2, 0, "no"), (3, 0, "no"), (5, 0, "no")]
)
def test_a_name_is_resolved_only_by_an_answer_with_an_address(
    asker: probe.Asker, code: int, answers: int, seen: str
) -> None:
    with answering(lambda data: reply_to(data, code, answers)) as (port, came):
        asker.resolvers = [HERE]
        found = probe.ask(
            {"kind": "resolve", "name": "example.com", "timeout": 0.3, "port": port, "mark": "m-1"}, asker
        )
    assert found[0] == seen
    # One that is looked for outside, and one that is known to exist.
    assert sorted(b"\x03m-1" in data for data in came) == [False, True]


def test_without_a_name_server_no_name_is_resolved(asker: probe.Asker) -> None:
    assert probe.ask({"kind": "resolve", "name": "example.com"}, asker) == ("no", "it has no name server")


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (b"HTTP/1.1 200 Connection established\r\n\r\n", "yes"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "yes"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "no"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no"),
        (b"", "no"),
        (b"SSH-2.0-x\r\n", "no"),
    ],
)
def test_a_proxy_lets_through_or_refuses(asker: probe.Asker, answer: bytes, seen: str) -> None:
    asked: list[bytes] = []

    def handle(connection: socket.socket) -> None:
        asked.append(connection.recv(1000))
        connection.sendall(answer)

    with listener(handle) as port:
        assert tried("connect", asker, port=port, name="example.com", mark="m", to_port=443)[0] == seen
        assert tried("get", asker, port=port, to="::1", to_port=80)[0] == seen
    assert asked[0].startswith(b"CONNECT m.example.com:443 HTTP/1.1\r\n")
    assert asked[1].startswith(b"GET http://[::1]:80/ HTTP/1.1\r\n")


def test_a_proxy_that_says_nothing_tries(asker: probe.Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that refuses says so at once. Of what is not known to be a proxy silence says nothing."""
    monkeypatch.setattr(probe, "PATIENCE_WITH_PROXIES", 0.3)
    with listener(lambda connection: time.sleep(1)) as port:
        assert tried("connect", asker, port=port, name="example.com", to_port=443)[0] == "yes"
    with listener(lambda connection: time.sleep(1)) as port:
        assert probe._through({"host": HERE, "port": port, "timeout": 0.3}, "x", sure=False)[0] == "no"


def socks_server(greeting: bytes, reply: bytes = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00") -> Handler:
    def handle(connection: socket.socket) -> None:
        connection.recv(3)
        connection.sendall(greeting)
        connection.recv(300)
        connection.sendall(reply)

    return handle


def test_a_socks_proxy_takes_the_asker_or_not(asker: probe.Asker) -> None:
    with listener(socks_server(b"\x05\x00")) as port:
        assert tried("socks", asker, port=port)[0] == "yes"
        assert tried("open_proxy", asker, port=port, to=HERE, to_port=443)[0] == "yes"
        assert tried("socks_connect", asker, port=port, to="10.0.0.1", to_port=22)[0] == "yes"
    with listener(socks_server(b"\x05\xff")) as port:
        assert tried("socks", asker, port=port)[0] == "no"
    # As tor ends the connection of somebody whom its policy does not know.
    with listener(lambda connection: None) as port:
        assert tried("socks", asker, port=port) == ("no", "it takes the connection, and ends it")
    assert tried("socks", asker, port=free_port()) == ("no", "nothing listens there")


def test_a_socks_proxy_refuses_a_destination(asker: probe.Asker) -> None:
    with listener(socks_server(b"\x05\x00", b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00")) as port:
        found = tried("socks_connect", asker, port=port, to="10.0.0.1", to_port=22)
    assert found == ("no", "refused: its rules forbid it")


def test_what_cannot_be_tried_is_not_taken_for_closed(asker: probe.Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_right(*_arguments: t.Any, **_more: t.Any) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    assert tried("tcp", asker, host="nobody.invalid", port=1)[0] == "untried"
    assert tried("smoke", asker, port=1)[0] == "untried"
    monkeypatch.setattr(probe.socket, "socket", no_right)
    assert tried("icmp", asker) == ("untried", "it may not send ICMP")


def test_the_checksum_is_that_of_the_internet() -> None:
    """The example of RFC 1071."""
    assert probe.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D


def test_name_servers_are_read_and_those_behind_the_stub(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("search x\nnameserver 127.0.0.11\nnameserver\noptions ndots:0\n")
    assert probe.name_servers(file) == ["127.0.0.11"]
    assert probe.name_servers(tmp_path / "missing") == []


def test_work_elsewhere_comes_back_or_says_why_not() -> None:
    child, reader = probe.begin_in_network_of(os.getpid(), lambda: {"routes": 1}) if os.geteuid() == 0 else (0, -1)
    if child:
        assert probe.end_in_network(child, reader, time.monotonic() + 10) == {"routes": 1}
    child, reader = probe.begin_in_network_of(2**22, lambda: 1)
    with pytest.raises(probe.ElsewhereError, match="FileNotFoundError"):
        probe.end_in_network(child, reader, time.monotonic() + 10)
    with pytest.raises(ChildProcessError):
        os.waitpid(child, 0)


def test_work_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "enter_network_of", lambda pid: None)
    child, reader = probe.begin_in_network_of(1, lambda: time.sleep(60))
    with pytest.raises(probe.ElsewhereError, match="in time"):
        probe.end_in_network(child, reader, time.monotonic() + 0.2)
    assert not Path(f"/proc/{child}").exists()
