#!/usr/bin/python3
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes back nodes that Swarm holds to be down although they are connected.

A node whose dockerd was restarted registers anew. If the time limit for the heartbeat of its previous session runs out
just then, the leader writes "ready" first and "down" after it. From there on it answers the node's heartbeats and never
looks at its state again: the node has no tasks until its dockerd is restarted, or its session ends in another way.

So every manager looks whether a node that is down has had a connection to it all that time, and ends that connection.
The node makes a new session within a second, and is ready. A node's dockerd that hangs has such a connection too; it
loses nothing by it.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

DOCKER = "/var/run/docker.sock"
PORT = 2377
EVERY = 10.0
# Seconds for which a node is down and connected before anything is done. A node that registers is so for a moment.
PATIENCE = 30.0
# They double each time that it was of no use, up to this.
LONGEST = 3600.0
# Of one request or program.
TIMEOUT = 5.0


class Connection(NamedTuple):
    """One that a node has made to this host, each end as ss writes it."""

    local: str
    peer: str


class Lost(NamedTuple):
    """A node to be taken back, and the connections to be ended for it."""

    node: str
    name: str
    connections: list[Connection]


@dataclass(frozen=True)
class Memory:
    """What was seen and done, of nodes that are down."""

    # since when a connection has been there with its node down
    since: dict[tuple[str, Connection], float] = field(default_factory=dict)
    # how long to wait the next time, of nodes for which it was done before
    patience: dict[str, float] = field(default_factory=dict)


def address(end: str) -> str:
    """The address of one end: 10.0.0.1 of 10.0.0.1:2377 and of [::ffff:10.0.0.1]:2377."""
    return end.rpartition(":")[0].strip("[]").removeprefix("::ffff:")


def read_connections(listed: str) -> list[Connection]:
    """What ss lists: queue, queue, local end, other end."""
    rows = [line.split() for line in listed.splitlines()]
    return [Connection(row[2], row[3]) for row in rows if len(row) >= 4]


def is_down(node: dict[str, Any]) -> bool:
    return bool(node["Status"]["State"] == "down")


def decide(
    nodes: list[dict[str, Any]], connections: list[Connection], memory: Memory, now: float
) -> tuple[list[Lost], Memory]:
    """Which nodes are to be taken back by which connections, and what to remember of it."""
    managers = [node["ManagerStatus"] for node in nodes if node.get("ManagerStatus")]
    leader = next((manager["Addr"] for manager in managers if manager.get("Leader")), None)
    down = [node for node in nodes if is_down(node)]
    # A host that was made anew has the address of its old node, and is well.
    others = {node["Status"].get("Addr") for node in nodes if not is_down(node)}
    since: dict[tuple[str, Connection], float] = {}
    patience = {node["ID"]: memory.patience[node["ID"]] for node in down if node["ID"] in memory.patience}
    lost = []
    for node in down:
        limit = patience.get(node["ID"], PATIENCE)
        due = []
        for connection in connections:
            if address(connection.peer) != node["Status"].get("Addr") or address(connection.peer) in others:
                continue
            # A worker's session goes to any manager. A manager's goes to the leader; to the others it talks for Raft alone.
            if node.get("ManagerStatus") and connection.local != leader:
                continue
            since[node["ID"], connection] = memory.since.get((node["ID"], connection), now)
            if now - since[node["ID"], connection] >= limit:
                due.append(connection)
                # Should it still be there afterwards, it counts from now on.
                since[node["ID"], connection] = now
        if due:
            lost.append(Lost(node["ID"], node["Description"]["Hostname"], due))
            patience[node["ID"]] = min(limit * 2, LONGEST)
    return lost, Memory(since, patience)


def ask_nodes() -> list[dict[str, Any]] | None:
    """The nodes of the Swarm; None where this engine cannot tell: it is locked, no manager, without a majority, busy."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(TIMEOUT)
        connection = http.client.HTTPConnection("docker", timeout=TIMEOUT)
        connection.sock = stream
        try:
            stream.connect(DOCKER)
            connection.request("GET", "/nodes")
            response = connection.getresponse()
            nodes: list[dict[str, Any]] = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            return None
    return nodes if response.status == 200 else None


def ss(*argv: str) -> subprocess.CompletedProcess[str]:
    whole = ["ss", "-H", "-n", "-t", *argv]
    return subprocess.run(whole, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=TIMEOUT)


def established() -> list[Connection]:
    done = ss("state", "established", f"( sport = :{PORT} )")
    if done.returncode != 0:
        raise OSError(done.stderr.strip())
    return read_connections(done.stdout)


def end(lost: Lost) -> str:
    """End the connections; return in words what came of it, nothing where they had gone by themselves."""
    ended = []
    problem = ""
    for connection in lost.connections:
        done = ss("-K", "state", "established", f"( sport = :{PORT} )", "dst", connection.peer)
        problem = done.stderr.strip() or problem
        ended += [connection.peer for gone in read_connections(done.stdout) if gone == connection]
    if ended:
        return f"{lost.name} was down while connected from {', '.join(ended)}: ended the connection, so that it registers anew"
    if not set(lost.connections) & set(established()):
        return ""
    why = problem or "a kernel without INET_DIAG_DESTROY cannot"
    return f"{lost.name} is down while connected, and ss -K could not end the connection ({why}): restart Docker on {lost.name}"


def main() -> None:
    memory = Memory()
    told: set[tuple[str, str]] = set()
    while True:
        nodes = ask_nodes() or []
        try:
            connections = established() if any(map(is_down, nodes)) else []
            lost, memory = decide(nodes, connections, memory, time.monotonic())
            said = [(one.node, end(one)) for one in lost]
        except (OSError, subprocess.TimeoutExpired) as error:
            said = [("", f"ss of iproute2 does not run, and nodes that were lost cannot be taken back: {error}")]
        told = {(node, words) for node, words in told if not node or node in memory.patience}
        for node, words in said:
            # The same may come to nothing again and again, and is said once.
            if words and (node, words) not in told:
                print(words, flush=True)
                told.add((node, words))
        time.sleep(EVERY)


if __name__ == "__main__":
    main()
