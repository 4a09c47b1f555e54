#!/usr/bin/python3
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mends two faults of Swarm: nodes that are down although they are connected, and tasks without their published ports.

A node whose dockerd was restarted registers anew. If the time limit for the heartbeat of its previous session runs out
just then, the leader writes "ready" first and "down" after it. From there on it answers the node's heartbeats and never
looks at its state again: the node has no tasks until its dockerd is restarted, or its session ends in another way.

So every manager looks whether a node that is down has had a connection to it all that time, and ends that connection.
The node makes a new session within a second, and is ready. A node's dockerd that hangs has such a connection too; it
loses nothing by it.

A task that has just been made when the Swarm loses its leader waits for the next one to give it the ports of its service.
If it is on none of Swarm's networks, the next leader passes it on as it is: it runs, it is healthy, and nobody reaches it,
until it is replaced. Swarm itself sees no difference between it and what was declared.

So the leader looks for tasks that run and show none of the ports which their service publishes on hosts. Where each of
these is refused by the task's host besides, look after look, it updates the service without a change, by which Swarm
replaces the task in the way that the service declares. Whatever else may be meant by it is left alone: a connection that
is dropped, or taken by something else, or a service that is being updated.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import socket
import subprocess
import time
import urllib.parse
from dataclasses import dataclass, field
from typing import Any, NamedTuple

DOCKER = "/var/run/docker.sock"
PORT = 2377
EVERY = 10.0
# Seconds for which a node is down and connected, or a task's ports are refused, before anything is done. A node that
# registers is so for a moment.
PATIENCE = 30.0
# They double each time that it was of no use, up to this.
LONGEST = 3600.0
# Of one request, program or connection.
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


class Bare(NamedTuple):
    """A task that runs and shows no port, though its service publishes some on hosts."""

    task: str
    name: str
    service: str
    host: str
    address: str
    ports: list[int]

    def __str__(self) -> str:
        return f"{self.name} on {self.host} (task {self.task})"


@dataclass(frozen=True)
class Refusals:
    """What was seen and done, of tasks without their ports."""

    # since when all ports of a task have been refused
    since: dict[str, float] = field(default_factory=dict)
    # how long to wait the next time, of services for which it was done before
    patience: dict[str, float] = field(default_factory=dict)


def host_ports(service: dict[str, Any]) -> list[int]:
    """The TCP ports that a service publishes on hosts; none if it may not be replaced, or not all of them are known."""
    spec = service["Spec"]
    # One that is being updated has tasks of what it was before. A job would do its work once more.
    if (service.get("UpdateStatus") or {}).get("State", "completed") not in ("", "completed"):
        return []
    if not {"Replicated", "Global"} & set(spec["Mode"]):
        return []
    published = (spec.get("EndpointSpec") or {}).get("Ports") or []
    on_hosts = [port for port in published if port.get("PublishMode") == "host"]
    # That nobody answers at one of another protocol proves nothing.
    ports = [port.get("PublishedPort", 0) for port in on_hosts if port.get("Protocol", "tcp") == "tcp"]
    return ports if all(ports) else []


def runs(task: dict[str, Any]) -> bool:
    return bool(task.get("DesiredState") == "running" and task["Status"]["State"] == "running")


def shows_ports(task: dict[str, Any]) -> bool:
    return bool((task["Status"].get("PortStatus") or {}).get("Ports"))


def is_one_host(address: str) -> bool:
    """Whether that is where others reach a host, and not whoever asks."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (parsed.is_unspecified or parsed.is_loopback)


def find_bare(services: list[dict[str, Any]], tasks: list[dict[str, Any]], nodes: list[dict[str, Any]]) -> list[Bare]:
    """The tasks that run, on nodes that are ready, and show none of the ports which they should have."""
    by_id = {service["ID"]: service for service in services}
    ready = {node["ID"]: node for node in nodes if node["Status"]["State"] == "ready"}
    bare = []
    for task in tasks:
        service, node = by_id.get(task.get("ServiceID", "")), ready.get(task.get("NodeID", ""))
        if service is None or node is None or not runs(task) or shows_ports(task):
            continue
        ports = host_ports(service)
        address = node["Status"].get("Addr", "")
        if ports and is_one_host(address):
            name = f"{service['Spec']['Name']}.{task['Slot']}" if task.get("Slot") else service["Spec"]["Name"]
            bare.append(Bare(task["ID"], name, service["ID"], node["Description"]["Hostname"], address, ports))
    return bare


def are_well(services: list[dict[str, Any]], tasks: list[dict[str, Any]]) -> set[str]:
    """The services that are at rest, and of which all that runs shows ports."""
    running: dict[str, list[bool]] = {}
    for task in filter(runs, tasks):
        running.setdefault(task.get("ServiceID", ""), []).append(shows_ports(task))
    return {service["ID"] for service in services if host_ports(service) and all(running.get(service["ID"], [False]))}


def decide_ports(
    refused: list[Bare], kept: set[str], memory: Refusals, now: float
) -> tuple[dict[str, list[Bare]], Refusals]:
    """Which services are to be updated because of which tasks, and what to remember of it.

    All ports of these tasks are refused at this moment. What was done for the services that are kept is remembered.
    """
    patience = {service: limit for service, limit in memory.patience.items() if service in kept}
    since = {bare.task: memory.since.get(bare.task, now) for bare in refused}
    due: dict[str, list[Bare]] = {}
    for bare in refused:
        if now - since[bare.task] >= patience.get(bare.service, PATIENCE):
            due.setdefault(bare.service, []).append(bare)
            # Should it still be there afterwards, it counts from now on.
            since[bare.task] = now
    patience |= {service: min(patience.get(service, PATIENCE) * 2, LONGEST) for service in due}
    return due, Refusals(since, patience)


def request(method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """One request to Docker: the status and what it says."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(TIMEOUT)
        connection = http.client.HTTPConnection("docker", timeout=TIMEOUT)
        connection.sock = stream
        stream.connect(DOCKER)
        # Without a version in its path, a request means the newest one: no field of a service is left out, nor lost.
        if body is None:
            connection.request(method, path)
        else:
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def ask(path: str) -> Any:
    """What Docker says; None where this engine cannot tell: it is locked, no manager, without a majority, busy."""
    try:
        status, said = request("GET", path)
    except (OSError, http.client.HTTPException, ValueError):
        return None
    return said if status == 200 else None


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


def leads(nodes: list[dict[str, Any]]) -> bool:
    """Whether this engine is the leader, so that one alone acts."""
    leader = next((node["ID"] for node in nodes if (node.get("ManagerStatus") or {}).get("Leader")), None)
    said = ask("/info")
    return bool(leader and said and said.get("Swarm", {}).get("NodeID") == leader)


def is_refused(address: str, port: int) -> bool:
    """Whether that host says that nothing is there. Silence is no answer: a firewall may drop what comes from here."""
    try:
        socket.create_connection((address, port), TIMEOUT).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def replace(service: dict[str, Any], tasks: list[Bare]) -> str:
    """Update the service without a change, so that Swarm replaces its tasks; return in words what came of it."""
    template = service["Spec"]["TaskTemplate"]
    spec = {**service["Spec"], "TaskTemplate": {**template, "ForceUpdate": template.get("ForceUpdate", 0) + 1}}
    names = ", ".join(map(str, tasks))
    ports = f"published ports ({', '.join(map(str, tasks[0].ports))})"
    # What was changed since it was read is not overwritten: Swarm takes no update of a version that was.
    path = f"/services/{service['ID']}/update?version={service['Version']['Index']}"
    try:
        status, said = request("POST", path, spec)
        problem = "" if status == 200 else str(said.get("message", status))
    except (OSError, http.client.HTTPException, ValueError) as error:
        problem = str(error)
    if problem:
        name = service["Spec"]["Name"]
        return f"{names}: without the {ports}, and not replaced ({problem}): docker service update --force {name}"
    return f"{names}: ran without the {ports}, and is replaced"


def look_at_ports(nodes: list[dict[str, Any]], memory: Refusals) -> tuple[list[tuple[str, str]], Refusals]:
    """Replace the tasks that have long been without their ports; return what came of it by service, and what to remember."""
    # What a look does not show was not so all that time.
    nothing = Refusals(patience=memory.patience)
    services = ask("/services") if nodes else None
    if services is None:
        return [], nothing
    by_id = {service["ID"]: service for service in services}
    asked = [service["ID"] for service in services if host_ports(service)]
    tasks = []
    if asked:
        filters = json.dumps({"service": asked, "desired-state": ["running"]})
        tasks = ask(f"/tasks?filters={urllib.parse.quote(filters)}")
    if tasks is None:
        return [], nothing
    bare = find_bare(services, tasks, nodes)
    if bare and not leads(nodes):
        return [], nothing
    refused = [one for one in bare if all(is_refused(one.address, port) for port in one.ports)]
    due, memory = decide_ports(refused, set(by_id) - are_well(services, tasks), memory, time.monotonic())
    return [(service, replace(by_id[service], found)) for service, found in due.items()], memory


def look_at_nodes(nodes: list[dict[str, Any]], memory: Memory) -> tuple[list[tuple[str, str]], Memory]:
    """Take back the nodes that are lost; return what came of it by node, and what to remember."""
    try:
        connections = established() if any(map(is_down, nodes)) else []
        lost, memory = decide(nodes, connections, memory, time.monotonic())
        return [(one.node, end(one)) for one in lost], memory
    except (OSError, subprocess.TimeoutExpired) as error:
        return [("", f"ss of iproute2 does not run, and nodes that were lost cannot be taken back: {error}")], memory


def main() -> None:
    memory, refusals = Memory(), Refusals()
    told: set[tuple[str, str]] = set()
    while True:
        nodes = ask("/nodes") or []
        said, memory = look_at_nodes(nodes, memory)
        more, refusals = look_at_ports(nodes, refusals)
        known = {"", *memory.patience, *refusals.patience}
        told = {(about, words) for about, words in told if about in known}
        for about, words in said + more:
            # The same may come to nothing again and again, and is said once.
            if words and (about, words) not in told:
                print(words, flush=True)
                told.add((about, words))
        time.sleep(EVERY)


if __name__ == "__main__":
    main()
