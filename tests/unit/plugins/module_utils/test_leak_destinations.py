# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a gateway's Tor, Squid and package sources say of a destination."""

from __future__ import annotations

import contextlib
import socket
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _leak_destinations as known

CONSENSUS = """\
r alpha AAAAAAAAAAAAAAAAAAAAAAAAAAA BBBBBBBBBBBBBBBBBBBBBBBBBBB 2026-05-01 10:00:00 203.0.113.7 9001 0
a [2001:db8::7]:9001
s Fast Guard Running Stable Valid
r beta AAAAAAAAAAAAAAAAAAAAAAAAAAA 2026-05-01 10:00:00 203.0.113.8 443 9030
s Running Valid
""".splitlines()


def test_relays_have_all_their_addresses_and_ports() -> None:
    assert known.relays(CONSENSUS) == {
        ("203.0.113.7", 9001): "alpha",
        ("2001:db8::7", 9001): "alpha",
        ("203.0.113.8", 443): "beta",
        ("203.0.113.8", 9030): "beta",
    }


def test_bridges_and_authorities_are_known_by_their_lines() -> None:
    assert known.named_places(["obfs4 203.0.113.9:8443 0123ABCD cert=x iat-mode=0", "[2001:db8::9]:443 0123"]) == [
        ("203.0.113.9", 8443),
        ("2001:db8::9", 443),
    ]
    line = "a1 orport=5000 no-v2 v3ident=0123 198.18.0.20:7000 0123 4567"
    assert known.named_places([line]) == [("198.18.0.20", 7000), ("198.18.0.20", 5000)]
    assert known.named_places(["", "snowflake 999.0.2.3:80 x"]) == []


class FakeTor:
    """A control port that answers as tor does."""

    def __init__(self, path: Path, cookie: Path, answers: dict[str, str]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.cookie = cookie
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen(1)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            connection, _address = self.listener.accept()
            with connection, connection.makefile("rwb") as stream:
                for line in stream:
                    command = line.decode().strip()
                    self.asked.append(command)
                    stream.write(self.answer(command).replace("\n", "\r\n").encode())
                    stream.flush()

    def answer(self, command: str) -> str:
        if command.startswith("PROTOCOLINFO"):
            methods = f'250-AUTH METHODS=COOKIE,SAFECOOKIE COOKIEFILE="{self.cookie}"'
            return f'250-PROTOCOLINFO 1\n{methods}\n250-VERSION Tor="0.4.9"\n250 OK\n'
        if command.startswith("AUTHENTICATE"):
            good = command.split()[1:] == [self.cookie.read_bytes().hex()]
            return "250 OK\n" if good else "515 Authentication failed\n"
        return self.answers.get(command, '552 Unrecognized key "x"\n')


@pytest.fixture
def tor(tmp_path: Path) -> t.Iterator[t.Callable[[dict[str, str]], tuple[Path, FakeTor]]]:
    begun: list[FakeTor] = []

    def begin(answers: dict[str, str]) -> tuple[Path, FakeTor]:
        (tmp_path / "cookie").write_bytes(b"\x01" * 32)
        path = tmp_path / "control"
        begun.append(FakeTor(path, tmp_path / "cookie", answers))
        return path, begun[-1]

    yield begin
    for one in begun:
        one.listener.close()


ANSWERS = {
    "GETINFO ns/all": "250+ns/all=\n" + "\n".join(CONSENSUS) + "\n.\n250 OK\n",
    "GETCONF Bridge": "250 Bridge\n",
    "GETCONF DirAuthority": "250-DirAuthority=a1 orport=5000 v3ident=01 198.18.0.20:7000 01\n"
    "250 DirAuthority=a2 orport=5001 v3ident=02 198.18.0.20:7001 02\n",
}


def test_tor_tells_its_relays_to_whoever_may_control_it(
    tor: t.Callable[[dict[str, str]], tuple[Path, FakeTor]],
) -> None:
    path, fake = tor(ANSWERS)
    found = known.ask_tor(path)
    assert found.trouble == ""
    assert found.relays == 4
    assert found.places["203.0.113.7", 9001] == "a relay of Tor's consensus (alpha)"
    assert found.places["198.18.0.20", 7001] == "a declared authority of Tor"
    assert f"AUTHENTICATE {'01' * 32}" in fake.asked


def test_a_tor_without_a_consensus_is_told_of(tor: t.Callable[[dict[str, str]], tuple[Path, FakeTor]]) -> None:
    path, _fake = tor({**ANSWERS, "GETINFO ns/all": "250+ns/all=\n.\n250 OK\n"})
    found = known.ask_tor(path)
    assert "has no consensus" in found.trouble
    assert ("198.18.0.20", 7000) in found.places


def test_a_tor_that_refuses_or_is_not_there_is_told_of(
    tmp_path: Path, tor: t.Callable[[dict[str, str]], tuple[Path, FakeTor]]
) -> None:
    path, _fake = tor({})
    assert "does not tell its relays" in known.ask_tor(path).trouble
    assert "does not answer at" in known.ask_tor(tmp_path / "missing").trouble


LOG = """\
1700000000.123    45 10.81.17.1 TCP_MISS/200 4567 GET http://deb.example.org/debian/x.deb - HIER_DIRECT/203.0.113.20 application/x
1700000000.124 90000 10.81.17.1 TCP_TUNNEL/200 4567 CONNECT pypi.example.org:443 - HIER_DIRECT/203.0.113.21 -
1700000000.125     0 10.81.17.1 TCP_DENIED/403 4567 CONNECT evil.example.org:443 - HIER_NONE/- text/html
1700000000.126    45 10.81.17.1 TCP_MISS/200 4567 GET http://198.18.0.10:5000/v2/ - HIER_DIRECT/198.18.0.10 application/x
1700000000.127    45 10.81.17.1 TCP_MISS/200 4567 GET http://apt.example.org/x - FIRSTUP_PARENT/127.0.0.1 application/x
1700000000.128    45 10.81.17.1 TCP_TUNNEL/200 99 CONNECT [2001:db8::5]:443 - HIER_DIRECT/2001:db8::5 -
Started squid.service - HIER_DIRECT/nonsense
HIER_DIRECT/203.0.113.99
""".splitlines()


def test_squid_went_where_its_log_has_it_and_nowhere_else() -> None:
    assert known.squid_places(LOG) == {
        ("203.0.113.20", 80): "Squid let it through, for deb.example.org",
        ("203.0.113.21", 443): "Squid let it through, for pypi.example.org",
        ("198.18.0.10", 5000): "Squid let it through, for 198.18.0.10",
        ("127.0.0.1", 80): "Squid let it through, for apt.example.org",
        ("2001:db8::5", 443): "Squid let it through, for 2001:db8::5",
    }


def test_package_sources_of_both_kinds_are_read(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(
        "deb [signed-by=/x] http://a.example.org/debian trixie main\n# deb http://b.example.org x\n"
    )
    (tmp_path / "sources.list.d/debian.sources").write_text("Types: deb\nURIs: https://c.example.org/debian\n")
    assert known.package_hosts(tmp_path) == {"a.example.org", "c.example.org"}


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("deb.example.org", True),
        ("DEB.example.org.", True),
        ("x.deb.example.org", False),
        ("docker.io", True),
        ("auth.docker.io", True),
        ("notdocker.io", False),
    ],
)
def test_a_name_is_declared_or_not(name: str, allowed: bool) -> None:
    assert known.allows(["deb.example.org", ".docker.io"], name) == allowed


def test_only_what_is_accounted_for_is_explained() -> None:
    places = [
        ("203.0.113.7", 9001),
        ("203.0.113.20", 80),
        ("203.0.113.30", 443),
        ("203.0.113.30", 22),
        ("9.9.9.9", 443),
    ]
    asked = [{"protocol": "tcp", "address": address, "port": port} for address, port in places]
    asked.append({"protocol": "udp", "address": "203.0.113.7", "port": 9001})
    tor = {("203.0.113.7", 9001): "a relay"}
    found = known.explain(asked, tor, known.squid_places(LOG), {"203.0.113.30": "b.example.org"}, [80, 443])
    assert [(one["address"], one["port"], one["by"]) for one in found] == [
        ("203.0.113.7", 9001, "a relay"),
        ("203.0.113.20", 80, "Squid let it through, for deb.example.org"),
        ("203.0.113.30", 443, "b.example.org, which is declared"),
    ]
