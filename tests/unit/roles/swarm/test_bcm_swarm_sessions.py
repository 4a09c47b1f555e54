# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that takes back nodes which Swarm holds to be down although they are connected, and replaces tasks without their ports."""

from __future__ import annotations

import copy
import http.server
import itertools
import json
import socket
import socketserver
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

LEADER = "10.0.0.1:2377"
OTHER = "10.0.0.2:2377"


def node(name: str, address: str, state: str = "ready", manager: str = "", leader: bool = False) -> dict[str, Any]:
    """A node as Docker's API tells of it."""
    said: dict[str, Any] = {
        "ID": f"id-{name}-{state}",
        "Description": {"Hostname": name},
        "Status": {"State": state, "Addr": address},
    }
    if manager:
        said["ManagerStatus"] = {"Addr": manager, **({"Leader": True} if leader else {})}
    return said


M1 = node("m1", "10.0.0.1", manager=LEADER, leader=True)
M2 = node("m2", "10.0.0.2", manager=OTHER)
DOWN = node("w", "10.0.1.1", "down")


def looks(
    program: ModuleType, *seen: tuple[float, list[dict[str, Any]], list[tuple[str, str]]]
) -> list[tuple[float, str, list[str]]]:
    """What is ended in a number of looks: when, for which node, from where."""
    memory = program.Memory()
    ended = []
    for now, nodes, connections in seen:
        lost, memory = program.decide(nodes, [program.Connection(*ends) for ends in connections], memory, now)
        ended += [(now, one.name, [connection.peer for connection in one.connections]) for one in lost]
    return ended


def test_a_node_that_is_down_and_stays_connected_is_taken_back(program: ModuleType) -> None:
    seen = [M1, M2, DOWN], [(LEADER, "10.0.1.1:4000")]
    assert looks(program, *((float(now), *seen) for now in (0, 10, 20, 30))) == [(30.0, "w", ["10.0.1.1:4000"])]


def test_so_it_is_by_whichever_manager_its_session_goes(program: ModuleType) -> None:
    seen = [M1, M2, DOWN], [(OTHER, "10.0.1.1:4000")]
    assert looks(program, (0.0, *seen), (30.0, *seen)) == [(30.0, "w", ["10.0.1.1:4000"])]


@pytest.mark.parametrize(
    ("nodes", "connections"),
    [
        pytest.param([M1, M2, node("w", "10.0.1.1")], [(LEADER, "10.0.1.1:4000")], id="ready"),
        pytest.param([M1, M2, node("w", "10.0.1.1", "unknown")], [(LEADER, "10.0.1.1:4000")], id="not known yet"),
        pytest.param([M1, M2, DOWN], [], id="down and not connected"),
        pytest.param([M1, M2, DOWN], [(LEADER, "10.0.1.11:4000")], id="somebody else's connection"),
        pytest.param([M1, M2, DOWN, node("w", "10.0.1.1")], [(LEADER, "10.0.1.1:4000")], id="host made anew"),
        pytest.param([M1, node("m2", "10.0.0.2", "down", OTHER)], [("10.0.0.3:2377", "10.0.0.2:4000")], id="raft"),
        pytest.param([M1, node("w", "", "down")], [(LEADER, "10.0.1.1:4000")], id="never seen"),
    ],
)
def test_others_are_left_alone(
    program: ModuleType, nodes: list[dict[str, Any]], connections: list[tuple[str, str]]
) -> None:
    assert looks(program, *((float(now), nodes, connections) for now in range(0, 200, 10))) == []


def test_a_manager_is_taken_back_by_the_leader(program: ModuleType) -> None:
    seen = [M1, node("m2", "10.0.0.2", "down", OTHER)], [(LEADER, "10.0.0.2:4000"), (LEADER, "10.0.0.2:4002")]
    assert looks(program, (0.0, *seen), (30.0, *seen)) == [(30.0, "m2", ["10.0.0.2:4000", "10.0.0.2:4002"])]


def test_who_registers_is_given_time(program: ModuleType) -> None:
    """Down for long; then it connects, and is ready a look later."""
    ends = [(LEADER, "10.0.1.1:4000")]
    seen = [(float(now), [M1, DOWN], []) for now in range(0, 100, 10)]
    assert looks(program, *seen, (100.0, [M1, DOWN], ends), (110.0, [M1, node("w", "10.0.1.1")], ends)) == []


def test_a_connection_that_comes_anew_again_and_again_is_none(program: ModuleType) -> None:
    seen = [(float(now), [M1, DOWN], [(LEADER, f"10.0.1.1:{4000 + now}")]) for now in range(0, 200, 10)]
    assert looks(program, *seen) == []


def test_what_is_of_no_use_is_done_less_and_less_often(program: ModuleType) -> None:
    """Each time the node connects anew and stays down."""
    ports = iter(range(4000, 5000))
    connection = program.Connection(LEADER, f"10.0.1.1:{next(ports)}")
    memory = program.Memory()
    ended = []
    for now in range(0, 20000, 10):
        lost, memory = program.decide([M1, DOWN], [connection], memory, float(now))
        if lost:
            ended.append(now)
            connection = program.Connection(LEADER, f"10.0.1.1:{next(ports)}")
    assert ended[:4] == [30, 100, 230, 480]
    assert all(later - earlier <= program.LONGEST + 10 for earlier, later in itertools.pairwise(ended))
    assert len(ended) < 14


def test_neither_is_what_comes_to_nothing(program: ModuleType) -> None:
    """The connection is still there each time."""
    seen = [M1, DOWN], [(LEADER, "10.0.1.1:4000")]
    ended = [when for when, _name, _peers in looks(program, *((float(now), *seen) for now in range(0, 20000, 10)))]
    assert ended[:4] == [30, 90, 210, 450]
    assert len(ended) < 14


def test_after_it_was_ready_all_is_forgotten(program: ModuleType) -> None:
    ends = [(LEADER, "10.0.1.1:4000")]
    down, ready = ([M1, DOWN], ends), ([M1, node("w", "10.0.1.1")], ends)
    seen = [(0.0, *down), (30.0, *down), (40.0, *ready), (50.0, *down), (70.0, *down), (80.0, *down)]
    assert [when for when, _name, _peers in looks(program, *seen)] == [30.0, 80.0]


@pytest.mark.parametrize(
    ("end", "address"),
    [
        ("10.0.1.1:4000", "10.0.1.1"),
        ("[::ffff:10.0.1.1]:4000", "10.0.1.1"),
        ("[fd00::1]:4000", "fd00::1"),
    ],
)
def test_address_of_an_end(program: ModuleType, end: str, address: str) -> None:
    assert program.address(end) == address


def test_what_ss_lists(program: ModuleType) -> None:
    listed = "0      0      10.0.0.1:2377 10.0.1.1:4000\n0 39 [::ffff:10.0.0.1]:2377 [::ffff:10.0.1.2]:4001 \n\n"
    assert program.read_connections(listed) == [
        (LEADER, "10.0.1.1:4000"),
        ("[::ffff:10.0.0.1]:2377", "[::ffff:10.0.1.2]:4001"),
    ]


class Engine(socketserver.ThreadingUnixStreamServer):
    """A Docker that gives one answer to each question."""

    def __init__(self, path: str) -> None:
        super().__init__(path, Answer)
        self.answers: dict[str, tuple[int, bytes]] = {}
        # What it was asked to do: where, and with what.
        self.asked: list[tuple[str, bytes]] = []


class Answer(http.server.BaseHTTPRequestHandler):
    server: Engine

    def do_GET(self) -> None:
        status, body = self.server.answers.get(self.path.partition("?")[0], (404, b"{}"))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.server.asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.do_GET()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        return "engine"


@pytest.fixture(name="engine")
def fixture_engine(program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    path = str(tmp_path / "docker.sock")
    monkeypatch.setattr(program, "DOCKER", path)
    with Engine(path) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server
        server.shutdown()


def test_docker_tells_of_its_nodes(program: ModuleType, engine: Engine) -> None:
    engine.answers["/nodes"] = (200, json.dumps([M1, DOWN]).encode())
    assert program.ask("/nodes") == [M1, DOWN]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param((503, b'{"message":"This node is not a swarm manager."}'), id="no manager"),
        pytest.param((503, b'{"message":"Swarm is encrypted and needs to be unlocked"}'), id="locked"),
        pytest.param(
            (500, b'{"message":"rpc error: code = Unknown desc = The swarm does not have a leader."}'), id="no leader"
        ),
        pytest.param((200, b"[{"), id="cut off"),
    ],
)
def test_docker_cannot_tell(program: ModuleType, engine: Engine, answer: tuple[int, bytes]) -> None:
    engine.answers["/nodes"] = answer
    assert program.ask("/nodes") is None


def test_docker_does_not_answer(program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "DOCKER", str(tmp_path / "nobody"))
    assert program.ask("/nodes") is None


class Over(Exception):  # noqa: N818 - nothing is wrong: it ends what has no end
    """The last look."""


def run(
    program: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    nodes: list[dict[str, Any]] | None,
    killed: str | None,
    left: str,
    minutes: int,
) -> None:
    """The whole program with a time of its own: what ss says when asked to kill (None: it is the machine's own), and what it lists."""
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        if now > 60 * minutes:
            raise Over

    def ss(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(argv, 0, (killed or "") if "-K" in argv else left, "")

    monkeypatch.setattr(program.time, "monotonic", lambda: now)
    monkeypatch.setattr(program.time, "sleep", sleep)
    monkeypatch.setattr(program, "ask", {"/nodes": nodes, "/services": []}.get)
    if killed is not None:
        monkeypatch.setattr(program, "ss", ss)
    with pytest.raises(Over):
        program.main()


ROW = f"0 0 {LEADER} 10.0.1.1:4000\n"


def test_it_says_what_it_did(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(program, monkeypatch, [M1, DOWN], ROW, ROW, 1)
    assert capsys.readouterr().out == (
        "w was down while connected from 10.0.1.1:4000: ended the connection, so that it registers anew\n"
    )


def test_it_says_once_that_it_cannot(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(program, monkeypatch, [M1, DOWN], "", ROW, 600)
    (line,) = capsys.readouterr().out.splitlines()
    assert "INET_DIAG_DESTROY" in line
    assert line.endswith("restart Docker on w")


def test_it_says_once_that_ss_does_not_run(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with monkeypatch.context() as without:
        without.setenv("PATH", str(tmp_path))
        run(program, without, [M1, DOWN], None, ROW, 60)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("ss of iproute2 does not run")


@pytest.mark.parametrize("nodes", [None, [], [M1, M2]], ids=["Docker cannot tell", "none", "all well"])
def test_it_waits_in_silence(
    program: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    nodes: list[dict[str, Any]] | None,
) -> None:
    run(program, monkeypatch, nodes, ROW, ROW, 10)
    assert capsys.readouterr().out == ""


def test_a_connection_that_has_gone_by_itself_is_nothing_to_speak_of(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "ss", lambda *argv: subprocess.CompletedProcess(argv, 0, "", ""))
    assert program.end(program.Lost("id", "w", [program.Connection(LEADER, "10.0.1.1:4000")])) == ""
    assert capsys.readouterr().out == ""


PORT_A = {"Protocol": "tcp", "TargetPort": 9092, "PublishedPort": 9092, "PublishMode": "host"}
PORT_B = {"Protocol": "tcp", "TargetPort": 9093, "PublishedPort": 9093, "PublishMode": "host"}
PORT_UDP = {"Protocol": "udp", "TargetPort": 514, "PublishedPort": 514, "PublishMode": "host"}
PORT_MESH = {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}
PORT_DRAWN = {"Protocol": "tcp", "TargetPort": 80, "PublishMode": "host"}


def service(name: str, *ports: dict[str, Any], updated: str = "", mode: str = "Replicated") -> dict[str, Any]:
    """A service as Docker's API tells of it."""
    endpoint = {"Mode": "dnsrr", **({"Ports": list(ports)} if ports else {})}
    said: dict[str, Any] = {
        "ID": f"id-{name}",
        "Version": {"Index": 1234},
        "CreatedAt": "2026-11-30T19:55:28.263918506Z",
        "UpdatedAt": "2026-11-30T19:55:28.265280768Z",
        "Spec": {
            "Name": name,
            "Labels": {"bcm.stack": "kafka"},
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": "registry/kafka@sha256:00",
                    "Args": ["/usr/bin/é"],
                    "Init": False,
                    "StopGracePeriod": 300000000000,
                    "DNSConfig": {},
                    "Isolation": "default",
                },
                "Resources": {"Limits": {"MemoryBytes": 9007199254740993}, "Reservations": {}},
                "Placement": {"Constraints": ["node.hostname == m2"]},
                "ForceUpdate": 3,
                "Runtime": "container",
            },
            "Mode": {mode: {"Replicas": 1} if mode == "Replicated" else {}},
            "UpdateConfig": {"Parallelism": 1, "MaxFailureRatio": 0.1, "Order": "stop-first", "FailureAction": "pause"},
            "EndpointSpec": endpoint,
        },
        "Endpoint": {"Spec": endpoint, **({"Ports": list(ports)} if ports else {})},
    }
    if updated:
        said["UpdateStatus"] = {"State": updated, "StartedAt": "2026-11-30T19:55:30.1Z", "Message": "update"}
    return said


def task(
    of: str, on: dict[str, Any], *ports: dict[str, Any], state: str = "running", wanted: str = "running", slot: int = 1
) -> dict[str, Any]:
    """A task as Docker's API tells of it, with the ports that it shows."""
    said: dict[str, Any] = {
        "ID": f"task-{of}-{slot}",
        "Version": {"Index": 258},
        "Labels": {},
        "Spec": {"ContainerSpec": {"Image": "registry/kafka@sha256:00"}, "ForceUpdate": 3},
        "ServiceID": f"id-{of}",
        "NodeID": on["ID"],
        "Status": {
            "Timestamp": "2026-11-30T19:56:18.540364335Z",
            "State": state,
            "Message": "started",
            "ContainerStatus": {"ContainerID": "3e65", "PID": 4875, "ExitCode": 0},
            "PortStatus": {"Ports": list(ports)} if ports else {},
        },
        "DesiredState": wanted,
        "Volumes": None,
    }
    # A global service's task has none.
    if slot:
        said["Slot"] = slot
    return said


KAFKA = service("kafka", PORT_A, PORT_B)
BARE = task("kafka", M2)


@pytest.mark.parametrize(
    ("told", "ports"),
    [
        pytest.param(KAFKA, [9092, 9093], id="two"),
        pytest.param(service("s", PORT_A, mode="Global"), [9092], id="global"),
        pytest.param(service("s", PORT_A, updated="completed"), [9092], id="updated before"),
        pytest.param(service("s", PORT_UDP, PORT_A, PORT_MESH), [9092], id="those that prove something"),
        pytest.param(service("s"), [], id="none"),
        pytest.param(service("s", PORT_MESH), [], id="by the mesh alone"),
        pytest.param(service("s", PORT_UDP), [], id="UDP alone"),
        pytest.param(service("s", PORT_A, PORT_DRAWN), [], id="one that Docker draws"),
        pytest.param(service("s", PORT_A, mode="ReplicatedJob"), [], id="job"),
        pytest.param(service("s", PORT_A, mode="GlobalJob"), [], id="job on each node"),
        *(
            pytest.param(service("s", PORT_A, updated=state), [], id=state)
            for state in ("updating", "paused", "rollback_started", "rollback_paused", "rollback_completed", "new_word")
        ),
    ],
)
def test_ports_that_can_be_tried(program: ModuleType, told: dict[str, Any], ports: list[int]) -> None:
    assert program.host_ports(told) == ports


def test_a_service_without_an_endpoint_has_none(program: ModuleType) -> None:
    told = service("s", PORT_A) | {"UpdateStatus": None}
    assert program.host_ports(told) == [9092]
    for nothing in (None, {}, {"Ports": None}):
        told["Spec"]["EndpointSpec"] = nothing
        assert program.host_ports(told) == []
    del told["Spec"]["EndpointSpec"]
    assert program.host_ports(told) == []


def test_a_task_that_shows_no_port_is_found(program: ModuleType) -> None:
    assert program.find_bare([service("other"), KAFKA], [task("other", M1), BARE], [M1, M2]) == [
        program.Bare("task-kafka-1", "kafka.1", "id-kafka", "m2", "10.0.0.2", [9092, 9093])
    ]


def test_one_of_a_global_service_has_no_number(program: ModuleType) -> None:
    (found,) = program.find_bare([service("log", PORT_A, mode="Global")], [task("log", M2, slot=0)], [M1, M2])
    assert str(found) == "log on m2 (task task-log-0)"


@pytest.mark.parametrize(
    ("services", "tasks", "nodes"),
    [
        pytest.param([KAFKA], [task("kafka", M2, PORT_A, PORT_B)], [M1, M2], id="all shown"),
        pytest.param([KAFKA], [task("kafka", M2, PORT_A)], [M1, M2], id="some shown"),
        pytest.param([KAFKA], [task("kafka", M2, state="starting")], [M1, M2], id="not healthy yet"),
        pytest.param([KAFKA], [task("kafka", M2, state="new")], [M1, M2], id="new"),
        pytest.param([KAFKA], [task("kafka", M2, wanted="shutdown")], [M1, M2], id="being stopped"),
        pytest.param([service("kafka", PORT_A, updated="updating")], [BARE], [M1, M2], id="being updated"),
        pytest.param([service("kafka")], [BARE], [M1, M2], id="publishes nothing"),
        pytest.param([], [BARE], [M1, M2], id="service has gone"),
        pytest.param([KAFKA], [BARE], [M1], id="node has gone"),
        pytest.param([KAFKA], [task("kafka", DOWN)], [M1, DOWN], id="node is down"),
        *(
            pytest.param([KAFKA], [task("kafka", lost)], [M1, lost], id=f"address {lost['Status']['Addr'] or 'none'}")
            for lost in (node("m2", here) for here in ("", "0.0.0.0", "127.0.0.1", "::", "::1", "m2"))  # noqa: S104
        ),
    ],
)
def test_all_others_are_not(
    program: ModuleType, services: list[dict[str, Any]], tasks: list[dict[str, Any]], nodes: list[dict[str, Any]]
) -> None:
    assert program.find_bare(services, tasks, nodes) == []


def test_a_task_that_was_never_reported_on_shows_nothing(program: ModuleType) -> None:
    for nothing in ({}, {"PortStatus": None}, {"PortStatus": {"Ports": None}}, {"PortStatus": {"Ports": []}}):
        assert not program.shows_ports({"Status": {"State": "running", **nothing}})


@pytest.mark.parametrize(
    ("told", "tasks", "well"),
    [
        pytest.param(KAFKA, [task("kafka", M2, PORT_A, PORT_B)], True, id="shows its ports"),
        pytest.param(KAFKA, [task("kafka", M1, PORT_A, slot=1), task("kafka", M2, slot=2)], False, id="one does not"),
        pytest.param(KAFKA, [], False, id="nothing runs"),
        pytest.param(KAFKA, [task("kafka", M2, PORT_A, wanted="shutdown")], False, id="stops"),
        pytest.param(service("kafka", PORT_A, updated="updating"), [task("kafka", M2, PORT_A)], False, id="updated"),
    ],
)
def test_who_is_well(program: ModuleType, told: dict[str, Any], tasks: list[dict[str, Any]], well: bool) -> None:
    assert (program.are_well([told], tasks) == {"id-kafka"}) is well


def refusals(program: ModuleType, *seen: tuple[float, list[tuple[str, str]], set[str]]) -> list[tuple[float, str, int]]:
    """What is replaced in a number of looks, of which each refuses some tasks: when, of which service, because of how many."""
    memory = program.Refusals()
    replaced = []
    for now, tasks, kept in seen:
        bare = [program.Bare(name, name, of, "m2", "10.0.0.2", [9092]) for name, of in tasks]
        due, memory = program.decide_ports(bare, kept, memory, now)
        replaced += [(now, name, len(found)) for name, found in due.items()]
    return replaced


def test_it_has_to_be_refused_all_the_time(program: ModuleType) -> None:
    refused = [("t", "s")]
    assert refusals(program, *((float(now), refused, {"s"}) for now in (0, 10, 20, 30))) == [(30.0, "s", 1)]
    seen = [refused, refused, refused, [], refused, refused, refused, refused]
    assert refusals(program, *((10.0 * look, one, {"s"}) for look, one in enumerate(seen))) == [(70.0, "s", 1)]


def test_another_task_begins_anew(program: ModuleType) -> None:
    assert refusals(program, *((float(now), [(f"t{now}", "s")], {"s"}) for now in range(0, 200, 10))) == []


def test_a_service_is_updated_once_for_all_its_tasks(program: ModuleType) -> None:
    refused = [("t1", "s"), ("t2", "s"), ("t3", "other")]
    seen = ((float(now), refused, {"s", "other"}) for now in range(0, 40, 10))
    assert refusals(program, *seen) == [(30.0, "s", 2), (30.0, "other", 1)]


def test_updates_that_are_of_no_use_come_less_and_less_often(program: ModuleType) -> None:
    """Each time the new task is as the old one."""
    memory = program.Refusals()
    replaced: list[int] = []
    for now in range(0, 20000, 10):
        bare = [program.Bare(f"t{len(replaced)}", "s.1", "s", "m2", "10.0.0.2", [9092])]
        due, memory = program.decide_ports(bare, {"s"}, memory, float(now))
        replaced += [now] * len(due)
    assert replaced[:4] == [30, 100, 230, 480]
    assert len(replaced) < 14


def test_so_do_those_that_swarm_does_not_take(program: ModuleType) -> None:
    """The task is still there each time."""
    seen = ((float(now), [("t", "s")], {"s"}) for now in range(0, 20000, 10))
    replaced = [when for when, _name, _count in refusals(program, *seen)]
    assert replaced[:4] == [30, 90, 210, 450]
    assert len(replaced) < 14


def test_after_it_was_well_or_has_gone_all_is_forgotten(program: ModuleType) -> None:
    seen = [(0.0, [("a", "s")], {"s"}), (30.0, [("a", "s")], {"s"}), (40.0, [], set())]
    again = [(50.0, [("b", "s")], {"s"}), (80.0, [("b", "s")], {"s"})]
    assert [when for when, _name, _count in refusals(program, *seen, *again)] == [30.0, 80.0]


def test_a_port_is_refused_only_where_the_host_says_so(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert not program.is_refused("127.0.0.1", port)
    assert program.is_refused("127.0.0.1", port)

    for error in (TimeoutError("timed out"), OSError(113, "No route to host"), ConnectionResetError(104, "reset")):

        def fail(*_args: object, error: OSError = error) -> None:
            raise error

        monkeypatch.setattr(program.socket, "create_connection", fail)
        assert not program.is_refused("127.0.0.1", port)


FOUND = ("task-kafka-1", "kafka.1", "id-kafka", "m2", "10.0.0.2", [9092, 9093])
UPDATE = "/services/id-kafka/update"


def test_a_service_is_given_back_as_it_was_read(program: ModuleType, engine: Engine) -> None:
    engine.answers["/services"] = (200, json.dumps([KAFKA]).encode())
    engine.answers[UPDATE] = (200, b'{"Warnings":null}')
    (read,) = program.ask("/services")
    words = program.replace(read, [program.Bare(*FOUND)])
    assert words == "kafka.1 on m2 (task task-kafka-1): ran without the published ports (9092, 9093), and is replaced"
    ((path, body),) = engine.asked
    assert path == f"{UPDATE}?version=1234"
    wanted = copy.deepcopy(KAFKA["Spec"])
    wanted["TaskTemplate"]["ForceUpdate"] = 4
    assert json.loads(body) == wanted
    # To the letter: no number has become another one on the way.
    assert body == json.dumps(wanted).encode()


def test_one_that_was_never_updated_by_force_is_for_the_first_time(program: ModuleType, engine: Engine) -> None:
    engine.answers[UPDATE] = (200, b"{}")
    told = copy.deepcopy(KAFKA)
    del told["Spec"]["TaskTemplate"]["ForceUpdate"]
    program.replace(told, [program.Bare(*FOUND)])
    assert json.loads(engine.asked[0][1])["TaskTemplate"]["ForceUpdate"] == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param((500, b'{"message":"update out of sequence"}'), "update out of sequence", id="changed meanwhile"),
        pytest.param((200, b""), "Expecting value", id="cut off"),
    ],
)
def test_docker_takes_no_update(program: ModuleType, engine: Engine, answer: tuple[int, bytes], why: str) -> None:
    engine.answers[UPDATE] = answer
    words = program.replace(KAFKA, [program.Bare(*FOUND)])
    assert f"not replaced ({why}" in words
    assert words.endswith("docker service update --force kafka")


class Swarm:
    """A Swarm as one of its engines tells of it, with what is refused in it, and what it was asked to update."""

    def __init__(self, program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nodes: list[dict[str, Any]] | None = [M1, M2]
        self.services: list[dict[str, Any]] | None = [KAFKA]
        self.tasks: list[dict[str, Any]] | None = [BARE]
        self.engine = M1["ID"]
        self.refused = {("10.0.0.2", 9092), ("10.0.0.2", 9093)}
        self.tried: list[tuple[str, int]] = []
        self.updated: list[str] = []
        self.memory = program.Refusals()
        self.program = program
        self.now = 0.0
        monkeypatch.setattr(program, "ask", self.ask)
        monkeypatch.setattr(program, "is_refused", self.is_refused)
        monkeypatch.setattr(program, "replace", self.replace)
        monkeypatch.setattr(program.time, "monotonic", lambda: self.now)

    def ask(self, path: str) -> Any:
        split = urllib.parse.urlsplit(path)
        if split.path == "/tasks":
            filters = json.loads(urllib.parse.parse_qs(split.query)["filters"][0])
            assert filters == {"service": ["id-kafka"], "desired-state": ["running"]}
            return self.tasks
        return {"/services": self.services, "/info": {"Swarm": {"NodeID": self.engine}}}[split.path]

    def is_refused(self, address: str, port: int) -> bool:
        self.tried.append((address, port))
        return (address, port) in self.refused

    def replace(self, told: dict[str, Any], tasks: list[Any]) -> str:
        self.updated += [told["ID"]]
        return f"{len(tasks)} replaced"

    def looks(self, count: int = 4) -> list[str]:
        """Look every ten seconds; return what was updated in that time."""
        self.updated = []
        for _time in range(count):
            _said, self.memory = self.program.look_at_ports(self.nodes, self.memory)
            self.now += 10
        return self.updated


@pytest.fixture(name="swarm")
def fixture_swarm(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Swarm:
    return Swarm(program, monkeypatch)


def test_the_leader_replaces_it(swarm: Swarm) -> None:
    assert swarm.looks(3) == []
    assert swarm.looks(1) == ["id-kafka"]


def test_other_managers_do_not(swarm: Swarm) -> None:
    swarm.engine = M2["ID"]
    assert swarm.looks(20) == []
    assert swarm.tried == []
    # One that becomes the leader looks for as long as any other.
    swarm.engine = M1["ID"]
    assert swarm.looks(3) == []
    assert swarm.looks(1) == ["id-kafka"]


def test_without_a_leader_nobody_does(swarm: Swarm) -> None:
    swarm.nodes = [node("m1", "10.0.0.1", manager=LEADER), M2]
    assert swarm.looks(20) == []


@pytest.mark.parametrize("answering", [9092, 9093])
def test_one_port_that_is_not_refused_is_enough(swarm: Swarm, answering: int) -> None:
    swarm.refused -= {("10.0.0.2", answering)}
    assert swarm.looks(20) == []


def test_neither_where_all_is_well(swarm: Swarm) -> None:
    swarm.tasks = [task("kafka", M2, PORT_A, PORT_B)]
    assert swarm.looks(20) == []
    assert swarm.tried == []


@pytest.mark.parametrize("silent", ["nodes", "services", "tasks"])
def test_a_look_that_shows_nothing_proves_nothing(swarm: Swarm, silent: str) -> None:
    told = getattr(swarm, silent)
    assert swarm.looks(3) == []
    setattr(swarm, silent, [] if silent == "nodes" else None)
    assert swarm.looks(1) == []
    setattr(swarm, silent, told)
    assert swarm.looks(3) == []
    assert swarm.looks(1) == ["id-kafka"]


def test_what_was_of_no_use_is_remembered_through_an_update(swarm: Swarm) -> None:
    assert swarm.looks() == ["id-kafka"]
    swarm.services, swarm.tasks = [service("kafka", PORT_A, PORT_B, updated="updating")], []
    assert swarm.looks(6) == []
    swarm.services, swarm.tasks = [service("kafka", PORT_A, PORT_B, updated="completed")], [task("kafka", M2, slot=2)]
    assert swarm.looks(6) == []
    assert swarm.looks(1) == ["id-kafka"]
    swarm.tasks = [task("kafka", M2, PORT_A, PORT_B)]
    assert swarm.looks(2) == []
    assert swarm.memory.patience == {}


def test_where_no_service_has_ports_no_task_is_asked_for(swarm: Swarm) -> None:
    swarm.services, swarm.tasks = [service("kafka", PORT_UDP)], None
    swarm.looks(1)
    assert swarm.memory.since == {}
