# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kernel is told to let through, what is read of a packet, and what is kept of it."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import struct
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _leak_watch as watch

INSIDE = "10.81.32.0/20"
HOST, OUTGOING = 0, 4


def ipv4(source: str, destination: str, protocol: int, payload: bytes, offset: int = 0, options: bytes = b"") -> bytes:
    head = struct.pack(
        ">BBHHHBBH", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), 1, offset, 64, protocol, 0
    )
    return head + socket.inet_aton(source) + socket.inet_aton(destination) + options + payload


def ipv6(source: str, destination: str, following: int, payload: bytes) -> bytes:
    addresses = ipaddress.IPv6Address(source).packed + ipaddress.IPv6Address(destination).packed
    return struct.pack(">IHBB", 6 << 28, len(payload), following, 64) + addresses + payload


def udp(source: int, destination: int, payload: bytes = b"") -> bytes:
    return struct.pack(">4H", source, destination, 8 + len(payload), 0) + payload


def tcp(source: int, destination: int, payload: bytes = b"") -> bytes:
    return struct.pack(">2H2I2B3H", source, destination, 1, 0, 5 << 4, 2, 0, 0, 0) + payload


def runs(program: list[watch.Instruction], data: bytes, ethertype: int, kind: int) -> int:
    """What a program of classic BPF makes of a packet, as the kernel would run it."""
    accumulator = index = place = 0
    while True:
        code, true, false, value = program[place]
        place += 1
        if code == watch.RET:
            return value
        if code in (watch.LD_W, watch.LD_H, watch.LD_B):
            if value == watch.AD_PROTOCOL:
                accumulator = ethertype
            elif value == watch.AD_PKTTYPE:
                accumulator = kind
            else:
                size = {watch.LD_W: 4, watch.LD_H: 2, watch.LD_B: 1}[code]
                part = data[value : value + size]
                if len(part) < size:
                    return 0
                accumulator = int.from_bytes(part, "big")
        elif code == watch.LDX_MSH:
            index = (data[value] & 15) * 4
        elif code == watch.LD_H_IND:
            accumulator = int.from_bytes(data[index + value : index + value + 2], "big")
        elif code == watch.AND:
            accumulator &= value
        else:
            assert code == watch.JEQ
            place += true if accumulator == value else false


@pytest.mark.parametrize(
    ("kind", "ethertype", "direction", "data", "through"),
    [
        ("foreign", 0x0800, HOST, ipv4("10.81.34.1", "10.81.33.2", 6, tcp(1, 2)), False),
        ("foreign", 0x0800, HOST, ipv4("10.81.34.1", "1.1.1.1", 6, tcp(1, 2)), True),
        ("foreign", 0x0800, HOST, ipv4("10.81.34.1", "10.81.48.1", 6, tcp(1, 2)), True),
        ("foreign", 0x0800, HOST, ipv4("1.1.1.1", "10.81.34.1", 6, tcp(1, 2)), True),
        ("foreign", 0x0806, HOST, b"arp", False),
        ("foreign", 0x86DD, HOST, ipv6("fe80::1", "ff02::1", 58, b"\x85"), True),
        ("foreign", 0x88CC, HOST, b"lldp", True),
        ("enters", 0x0800, HOST, ipv4("10.81.0.11", "1.1.1.1", 6, tcp(1, 2)), True),
        ("enters", 0x0800, OUTGOING, ipv4("1.1.1.1", "10.81.0.11", 6, tcp(1, 2)), False),
        ("enters", 0x0806, HOST, b"arp", False),
        ("leaves", 0x0800, OUTGOING, ipv4("192.0.2.2", "1.1.1.1", 6, tcp(1, 2)), True),
        ("leaves", 0x86DD, OUTGOING, ipv6("2001:db8::1", "2001:db8::2", 6, tcp(1, 2)), True),
        ("leaves", 0x0800, HOST, ipv4("1.1.1.1", "192.0.2.2", 6, tcp(443, 2)), False),
        ("leaves", 0x0800, HOST, ipv4("1.1.1.1", "192.0.2.2", 17, udp(443, 2)), False),
        ("leaves", 0x0800, HOST, ipv4("1.1.1.1", "192.0.2.2", 17, udp(53, 2)), True),
        ("leaves", 0x0800, HOST, ipv4("1.1.1.1", "192.0.2.2", 17, udp(53, 2), options=b"\x01" * 4), True),
        ("leaves", 0x86DD, HOST, ipv6("2001:db8::1", "2001:db8::2", 17, udp(53, 2)), False),
        ("leaves", 0x0806, OUTGOING, b"arp", False),
    ],
)
def test_the_kernel_lets_through_what_matters(
    kind: str, ethertype: int, direction: int, data: bytes, through: bool
) -> None:
    program = watch.kernel_filter(kind, INSIDE)
    assert all(0 <= jump < 256 for _code, true, false, _value in program for jump in (true, false))
    assert bool(runs(program, data, ethertype, direction)) == through


def test_packets_of_both_kinds_are_read() -> None:
    found = watch.packet(0x0800, ipv4("10.0.0.1", "1.1.1.1", 17, udp(4000, 53, b"hello"), options=b"\x01" * 8))
    assert found == watch.Packet("udp", "10.0.0.1", 4000, "1.1.1.1", 53, b"hello")
    found = watch.packet(0x0800, ipv4("10.0.0.1", "1.1.1.1", 6, tcp(4000, 443, b"hello")))
    assert found == watch.Packet("tcp", "10.0.0.1", 4000, "1.1.1.1", 443, b"hello")
    found = watch.packet(0x0800, ipv4("10.0.0.1", "1.1.1.1", 1, b"\x08\x00\x00\x00\x00\x00\x00\x00hello"))
    assert found == watch.Packet("icmp", "10.0.0.1", 0, "1.1.1.1", 8, b"hello")
    found = watch.packet(0x86DD, ipv6("fd00::1", "2606::1", 0, bytes([17, 0, 0, 0, 0, 0, 0, 0]) + udp(1, 53, b"x")))
    assert found == watch.Packet("udp", "fd00::1", 1, "2606::1", 53, b"x")
    found = watch.packet(0x0800, ipv4("10.0.0.1", "1.1.1.1", 112, b"vrrp"))
    assert found is not None
    assert found.protocol == "vrrp"


def test_a_later_part_of_a_packet_has_no_ports() -> None:
    found = watch.packet(0x0800, ipv4("10.0.0.1", "1.1.1.1", 17, udp(4000, 53, b"hello"), offset=100))
    assert found == watch.Packet("udp", "10.0.0.1", 0, "1.1.1.1", 0, b"")


@pytest.mark.parametrize("data", [b"", b"\x45", b"\x60" * 10, b"\x00" * 60, b"\x45" + b"\x00" * 18])
def test_what_is_no_packet_is_none(data: bytes) -> None:
    assert watch.packet(0x0800, data) is None
    assert watch.packet(0x86DD, data) is None
    assert watch.packet(0x88CC, data) is None


def dns_answer(name: bytes, *values: bytes) -> bytes:
    labels = b"".join(bytes([len(part)]) + part for part in name.split(b".")) + b"\0"
    records = b"".join(
        b"\xc0\x0c" + struct.pack(">HHIH", 1 if len(value) == 4 else 28 if len(value) == 16 else 5, 1, 60, len(value))
        + value for value in values
    )  # fmt: skip
    return struct.pack(">6H", 7, 0x8180, 1, len(values), 0, 0) + labels + struct.pack(">2H", 1, 1) + records


def test_answers_of_name_servers_are_read() -> None:
    answer = dns_answer(b"Deb.Example.org", b"\x03cdn\xc0\x0c", bytes([203, 0, 113, 7]), b"\xfd" + b"\0" * 14 + b"\1")
    assert watch.answers_of_names(answer) == {"203.0.113.7": "deb.example.org", "fd00::1": "deb.example.org"}


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 12, dns_answer(b"a.b", b"\1\2\3\4")[:-2], struct.pack(">6H", 7, 0x8180, 1, 1, 0, 0) + b"\xc0\x0c"],
)
def test_an_answer_that_makes_no_sense_says_nothing(data: bytes) -> None:
    assert watch.answers_of_names(data) == {}


PROC_TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 0 100 0 0 10 0
   1: 020000C0:9C40 01010101:01BB 01 00000000:00000000 00:00000000 00000000     0        0 101 1 0 100 0 0 10 0
"""
PROC_UDP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:007B 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 102 1 0 0
"""
PROC_TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 0000000000000000FFFF0000020000C0:9C41 0000000000000000FFFF000001010101:01BB 01 00000000:00000000 00:00000000 00000000 0 0 103 1
"""
CONNTRACK = (
    # Between two of its bridges nothing was put in the place of an address.
    "ipv4     2 udp      17 11 src=10.81.33.1 dst=1.1.1.1 sport=6000 dport=53 src=1.1.1.1 dst=10.81.33.1 sport=53 dport=6000 mark=0 zone=0 use=2\n"
    "ipv4     2 udp      17 11 src=10.81.0.11 dst=1.1.1.1 sport=5000 dport=53 src=1.1.1.1 dst=192.0.0.2 sport=53 dport=5000 mark=0 zone=0 use=2\n"
    "ipv4     2 icmp     1 29 src=10.81.34.1 dst=1.1.1.1 type=8 code=0 id=1 src=1.1.1.1 dst=192.0.0.2 type=0 code=0 id=1 mark=0 use=1\n"
)


@pytest.fixture
def sockets(tmp_path: Path) -> watch.Sockets:
    """A machine whose sockets and programs are known."""
    net = tmp_path / "self/net"
    net.mkdir(parents=True)
    for name, text in (("tcp", PROC_TCP), ("udp", PROC_UDP), ("tcp6", PROC_TCP6), ("nf_conntrack", CONNTRACK)):
        (net / name).write_text(text)
    for number, name, inode in ((200, "curl", 101), (201, "chronyd", 102), (202, "wget", 103)):
        (tmp_path / str(number) / "fd").mkdir(parents=True)
        (tmp_path / str(number) / "comm").write_text(f"{name}\n")
        (tmp_path / str(number) / "fd/3").symlink_to(f"socket:[{inode}]")
    return watch.Sockets(tmp_path)


def seen(protocol: str, source_port: int, destination: str, port: int, source: str = "192.0.0.2") -> watch.Packet:
    return watch.Packet(protocol, source, source_port, destination, port, b"")


def test_the_program_behind_a_packet_is_known(sockets: watch.Sockets) -> None:
    me = watch.user_name(os.getuid())
    assert sockets.owner(seen("tcp", 40000, "1.1.1.1", 443)) == f"curl of {me}"
    assert sockets.owner(seen("tcp", 40001, "1.1.1.1", 443)) == f"wget of {me}"
    assert sockets.owner(seen("udp", 123, "9.9.9.9", 123)) == f"chronyd of {me}"
    # The same port, and another place: that is somebody else, whom the machine hands on.
    assert sockets.owner(seen("tcp", 40000, "1.1.1.2", 443)) is None
    assert sockets.owner(seen("icmp", 0, "1.1.1.1", 8)) is None


def test_whose_address_a_packet_had_before_is_known(sockets: watch.Sockets) -> None:
    assert sockets.origin(seen("udp", 5000, "1.1.1.1", 53)) == "10.81.0.11"
    assert sockets.origin(seen("icmp", 0, "1.1.1.1", 8)) == "10.81.34.1"
    assert sockets.origin(seen("udp", 5000, "1.1.1.1", 123)) is None
    assert sockets.origin(seen("tcp", 5000, "1.1.1.1", 53)) is None


def test_what_listens_is_known(sockets: watch.Sockets) -> None:
    assert sockets.listening() == [
        {"protocol": "tcp", "address": "0.0.0.0", "port": 22},  # noqa: S104
        {"protocol": "udp", "address": "0.0.0.0", "port": 123},  # noqa: S104
    ]


LEAVES = watch.Point("uplink", "leaves")


@pytest.fixture
def watching(sockets: watch.Sockets) -> watch.Watch:
    found = watch.Watch([LEAVES], "bcmleak4711", sockets)
    found.own = {"192.0.0.2"}
    return found


def test_of_a_packet_no_more_is_kept_than_where_it_went(watching: watch.Watch) -> None:
    data = ipv4("192.0.0.2", "1.1.1.1", 6, tcp(40000, 443, b"a secret that nobody may read"))
    for _number in range(3):
        watching.take(LEAVES, 0x0800, True, data)
    [flow] = watching.told()["flows"]
    assert (flow["destination"], flow["port"], flow["packets"]) == ("1.1.1.1", 443, 3)
    assert flow["owner"].startswith("curl of ")
    assert "secret" not in json.dumps(watching.told())


def test_a_mark_is_found_in_whatever_carries_it(watching: watch.Watch) -> None:
    question = b"\0\x01\1\0\0\1\0\0\0\0\0\0\x12BCMLEAK4711-0a-01f\x07example\x03com\0\0\1\0\1"
    watching.take(LEAVES, 0x0800, True, ipv4("192.0.0.2", "8.8.8.8", 17, udp(9, 53, question)))
    watching.take(LEAVES, 0x0800, True, ipv4("192.0.0.2", "1.1.1.1", 17, udp(9, 443, b"bcmleak4711-00-002")))
    assert [flow["mark"] for flow in watching.told()["flows"]] == ["bcmleak4711-0a-01f", "bcmleak4711-00-002"]


def test_what_answers_is_one_flow_whatever_its_port(watching: watch.Watch) -> None:
    for port in (50000, 50001):
        watching.take(LEAVES, 0x0800, True, ipv4("192.0.0.2", "198.51.100.7", 6, tcp(22, port)))
    [flow] = watching.told()["flows"]
    assert (flow["answers"], flow["port"], flow["packets"]) == (22, 0, 2)
    # From an address that is not the machine's own it is no answer of the machine.
    watching.take(LEAVES, 0x0800, True, ipv4("10.81.0.11", "198.51.100.7", 6, tcp(22, 50002)))
    assert watching.told()["flows"][1]["port"] == 50002


def test_names_are_learned_from_what_comes_back(watching: watch.Watch) -> None:
    answer = dns_answer(b"deb.example.org", bytes([203, 0, 113, 7]))
    watching.take(LEAVES, 0x0800, False, ipv4("8.8.8.8", "192.0.0.2", 17, udp(53, 9, answer)))
    assert watching.told()["names"] == {"203.0.113.7": "deb.example.org"}
    assert watching.told()["flows"] == []


def test_there_is_a_bound_and_it_is_told(watching: watch.Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST", 2)
    for port in range(5):
        watching.take(LEAVES, 0x0800, True, ipv4("192.0.0.2", "1.1.1.1", 17, udp(9, port)))
    assert len(watching.flows) == 2
    assert watching.told()["beyond"] == 3


def serving(watching: watch.Watch, seconds: float) -> threading.Thread:
    watching.points = []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(watch.door(watching.token.decode()))
    listener.listen(1)

    def serve() -> None:
        with listener:
            watch.serve(watching, listener, seconds)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_it_tells_and_ends_when_it_is_asked(watching: watch.Watch) -> None:
    watching.token = f"test-{os.getpid()}-a".encode()
    begun = time.monotonic()
    thread = serving(watching, 60)
    assert watch.collect(watching.token.decode(), 0.5, 10)["seconds"] >= 0.5
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - begun < 5
    with pytest.raises(ConnectionRefusedError):
        watch.collect(watching.token.decode(), 0, 1)


def test_it_ends_by_itself(watching: watch.Watch) -> None:
    watching.token = f"test-{os.getpid()}-b".encode()
    thread = serving(watching, 0.2)
    thread.join(5)
    assert not thread.is_alive()


def test_somebody_who_talks_nonsense_does_not_end_it(watching: watch.Watch) -> None:
    watching.token = f"test-{os.getpid()}-c".encode()
    thread = serving(watching, 60)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(watch.door(watching.token.decode()))
        sock.sendall(b"give me all\n")
        assert sock.recv(10) == b""
    assert watch.collect(watching.token.decode(), 0, 10)["flows"] == []
    thread.join(5)


def test_addresses_of_this_machine_are_known() -> None:
    """Those that the kernel tells are those of its interfaces, and the loopback's are not among them."""
    found: list[dict[str, t.Any]] = watch.addresses()
    names = {name for _index, name in socket.if_nameindex()}
    assert {one["interface"] for one in found} <= names - {"lo"}
    assert all(ipaddress.ip_address(one["address"]) for one in found)
