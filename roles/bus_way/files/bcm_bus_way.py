#!/usr/bin/env python3
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A way from this machine to Kafka, whose brokers are in networks that the machine has no leg in.

    bcm-bus-way CONFIG

It listens on addresses of the loopback, one for each broker. A connection goes on from within an instance of the site that runs
on this machine and is in that network: only the socket is made there, nothing runs in it. Another instance that is there takes
over when one is gone. What passes is TLS between the two ends.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import http.client
import json
import os
import socket
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SOCKETS = ("/var/lib/lxd/unix.socket", "/var/snap/lxd/common/lxd/unix.socket", "/var/lib/incus/unix.socket")
CLONE_NEWNET = 0x40000000
# Seconds for an answer of LXD's, for a connection, and for which it is remembered who is there.
ASK, CONNECT, REMEMBER = 10.0, 5.0, 30.0
CHUNK = 1 << 16

Object = dict[str, Any]


class NoWayError(Exception):
    """Nobody is there who could lend a way."""


class LXDConnection(http.client.HTTPConnection):
    """HTTP over LXD's socket."""

    def __init__(self, path: str) -> None:
        super().__init__("lxd", timeout=ASK)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ASK)
        self.sock.connect(self.path)


def ask(path: str, question: str) -> Any:
    """What LXD answers. Nothing is changed."""
    connection = LXDConnection(path)
    try:
        connection.request("GET", question)
        answer = connection.getresponse()
        said = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != 200:
        raise NoWayError(f"LXD answers {question} with {said.get('error', answer.status)}")
    return said["metadata"]


class Lenders:
    """Instances of the site on this machine, in the order in which they are wanted, and the process of each."""

    def __init__(
        self, config: Object, ask: Callable[[str, str], Any] = ask, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.config, self.ask, self.clock = config, ask, clock
        self.known: tuple[float, int] | None = None

    def socket(self) -> str:
        for path in filter(None, (self.config.get("socket"), *SOCKETS)):
            if Path(path).is_socket():
                return str(path)
        raise NoWayError("there is no LXD on this machine")

    def running(self) -> Iterator[str]:
        """Those that run here."""
        path, project = self.socket(), urllib.parse.quote(self.config["project"])
        here = self.ask(path, "/1.0")["environment"]["server_name"]
        there = {one["name"]: one for one in self.ask(path, f"/1.0/instances?recursion=1&project={project}")}
        for name in self.config["instances"]:
            one = there.get(name, {})
            # Without a cluster there is no other place.
            if one.get("status") == "Running" and one.get("location", here) in (here, "none", ""):
                yield name

    def process(self) -> int:
        """The first process of one of them. Its number is asked for anew when it has not been for a while."""
        if self.known is not None and self.clock() - self.known[0] < REMEMBER:
            return self.known[1]
        path, project = self.socket(), urllib.parse.quote(self.config["project"])
        for name in self.running():
            state = self.ask(path, f"/1.0/instances/{urllib.parse.quote(name)}/state?project={project}")
            if int(state.get("pid", 0)) > 0:
                self.known = (self.clock(), int(state["pid"]))
                return self.known[1]
        raise NoWayError(f"none of {', '.join(self.config['instances'])} runs on this machine")

    def forget(self) -> None:
        self.known = None


def connect_within(process: int, address: str, port: int) -> socket.socket:
    """A connection from the network of PROCESS. It is the thread that goes there, and it does nothing else afterwards."""
    libc = ctypes.CDLL(None, use_errno=True)
    namespace = os.open(f"/proc/{process}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(namespace, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"process {process}: {os.strerror(ctypes.get_errno())}")
        try:
            connection = socket.create_connection((address, port), CONNECT)
        finally:
            if libc.setns(own, CLONE_NEWNET) != 0:
                # A thread in the wrong network would mislead whoever gets it next.
                os._exit(1)
    finally:
        os.close(namespace)
        os.close(own)
    connection.setblocking(False)
    return connection


class Way:
    """All connections of this machine."""

    def __init__(
        self, config: Object, lenders: Lenders, connect: Callable[..., socket.socket] = connect_within
    ) -> None:
        self.config, self.lenders, self.connect = config, lenders, connect
        self.threads = ThreadPoolExecutor(4)
        self.said = ""

    def begin(self, broker: Object) -> socket.socket:
        """A connection to a broker. One whose lender is gone gets a second try, with whoever is there now."""
        for last in (False, True):
            try:
                return self.connect(self.lenders.process(), broker["address"], broker["port"])
            except OSError as exc:
                self.lenders.forget()
                if last:
                    raise NoWayError(f"{broker['name']} at {broker['address']}: {exc}") from exc
        raise AssertionError

    def say(self, words: str) -> None:
        """What is in the way, once: who ships logs tries again every few seconds, and what is said here is shipped, too."""
        if words != self.said:
            self.said = words
            if words:
                print(words, file=sys.stderr, flush=True)

    async def pass_on(self, broker: Object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        try:
            there = await loop.run_in_executor(self.threads, self.begin, broker)
            far_reader, far_writer = await asyncio.open_connection(sock=there)
        except (NoWayError, OSError) as exc:
            self.say(f"No way to Kafka: {exc}")
            writer.close()
            return
        self.say("")
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    async def listen(self) -> None:
        servers = []
        for broker in self.config["brokers"]:
            client = functools.partial(self.pass_on, broker)
            servers.append(await asyncio.start_server(client, broker["listen"], broker["port"]))
        await asyncio.gather(*(server.serve_forever() for server in servers))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """From one end to the other, until one of them is closed. Then both are."""
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


def main(argv: list[str]) -> int:
    if len(argv) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    config = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    asyncio.run(Way(config, Lenders(config)).listen())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
