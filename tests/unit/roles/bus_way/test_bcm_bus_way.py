# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that lends a machine the way of an instance: whom it asks, and what passes. That a socket is made in another network, molecule shows."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

CONFIG: dict[str, Any] = {
    "project": "bcm-home",
    "instances": ["manager-1", "bitcoin-1"],
    "brokers": [{"name": "manager-1.home", "address": "10.7.33.1", "listen": "127.7.33.1", "port": 9092}],
}


class LXD:
    def __init__(self, **places: str) -> None:
        self.places = {name.replace("_", "-"): place for name, place in places.items()}
        self.asked: list[str] = []

    def __call__(self, _path: str, question: str) -> Any:
        self.asked.append(question)
        if question == "/1.0":
            return {"environment": {"server_name": "rack-1"}}
        if question.startswith("/1.0/instances?"):
            return [{"name": name, "status": "Running", "location": place} for name, place in self.places.items()]
        return {"pid": 4711 if "manager-1" in question else 4712}


@pytest.fixture
def lenders(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def made(lxd: LXD, clock: Callable[[], float] = lambda: 0.0) -> Any:
        one = program.Lenders(CONFIG, lxd, clock)
        monkeypatch.setattr(one, "socket", lambda: "/unix.socket")
        return one

    return made


def test_the_first_that_runs_here_is_asked(lenders: Callable[..., Any]) -> None:
    assert lenders(LXD(manager_1="rack-1", bitcoin_1="rack-1")).process() == 4711
    assert lenders(LXD(manager_1="rack-2", bitcoin_1="rack-1")).process() == 4712
    # Without a cluster.
    assert lenders(LXD(manager_1="none")).process() == 4711


def test_without_any_there_is_no_way(lenders: Callable[..., Any], program: ModuleType) -> None:
    with pytest.raises(program.NoWayError, match="none of manager-1, bitcoin-1 runs on this machine"):
        lenders(LXD(manager_1="rack-2", other="rack-1")).process()


def test_who_is_there_is_remembered_for_a_while(lenders: Callable[..., Any], program: ModuleType) -> None:
    lxd, now = LXD(manager_1="rack-1"), [0.0]
    one = lenders(lxd, lambda: now[0])
    one.process()
    one.process()
    assert len(lxd.asked) == 3
    one.forget()
    one.process()
    now[0] = program.REMEMBER
    one.process()
    assert len(lxd.asked) == 9


def test_a_machine_without_lxd(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "SOCKETS", ())
    with pytest.raises(program.NoWayError, match="there is no LXD on this machine"):
        program.Lenders(CONFIG).process()


def test_a_lender_that_is_gone_is_replaced(
    program: ModuleType, lenders: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    tried = []
    ours, theirs = socket.socketpair()

    def connect(process: int, address: str, port: int) -> socket.socket:
        tried.append((process, address, port))
        if len(tried) == 1:
            raise OSError("No such file or directory")
        return ours

    way = program.Way(CONFIG, lenders(LXD(manager_1="rack-1")), connect)
    assert way.begin(CONFIG["brokers"][0]) is ours
    assert tried == [(4711, "10.7.33.1", 9092)] * 2
    theirs.close()
    ours.close()


def test_what_is_in_the_way_is_said_once(
    program: ModuleType, lenders: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    way = program.Way(CONFIG, lenders(LXD()))
    for words in ("no way", "no way", "", "no way"):
        way.say(words)
    assert capfd.readouterr().err == "no way\nno way\n"


def test_what_comes_in_goes_out_and_back(program: ModuleType, lenders: Callable[..., Any]) -> None:
    """Over real sockets, on ports that are free."""

    async def passes() -> tuple[bytes, bytes]:
        async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readexactly(5)).upper())
            await writer.drain()
            writer.close()

        broker = await asyncio.start_server(shout, "127.0.0.1", 0)
        port = broker.sockets[0].getsockname()[1]

        def connect(_process: int, _address: str, _port: int) -> socket.socket:
            there = socket.create_connection(("127.0.0.1", port), 5)
            there.setblocking(False)
            return there

        way = program.Way(CONFIG, lenders(LXD(manager_1="rack-1")), connect)
        entrance = await asyncio.start_server(
            lambda reader, writer: way.pass_on(CONFIG["brokers"][0], reader, writer), "127.0.0.1", 0
        )
        reader, writer = await asyncio.open_connection(*entrance.sockets[0].getsockname())
        writer.write(b"hello")
        said = await reader.readexactly(5)
        end = await reader.read()
        writer.close()
        for server in (broker, entrance):
            server.close()
        return said, end

    assert asyncio.run(asyncio.wait_for(passes(), 10)) == (b"HELLO", b"")


def test_without_a_way_a_connection_is_closed(program: ModuleType, lenders: Callable[..., Any]) -> None:
    async def refused() -> bytes:
        way = program.Way(CONFIG, lenders(LXD()))
        entrance = await asyncio.start_server(
            lambda reader, writer: way.pass_on(CONFIG["brokers"][0], reader, writer), "127.0.0.1", 0
        )
        reader, writer = await asyncio.open_connection(*entrance.sockets[0].getsockname())
        said = await reader.read()
        writer.close()
        entrance.close()
        return said

    assert asyncio.run(asyncio.wait_for(refused(), 10)) == b""
