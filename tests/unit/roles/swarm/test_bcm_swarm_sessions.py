# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that takes back nodes which Swarm holds to be down although they are connected."""

from __future__ import annotations

import http.server
import itertools
import json
import socketserver
import subprocess
import threading
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
    """A Docker that gives one answer."""

    answer: tuple[int, bytes] = (200, b"[]")


class Answer(http.server.BaseHTTPRequestHandler):
    server: Engine

    def do_GET(self) -> None:
        status, body = self.server.answer if self.path == "/nodes" else (404, b"")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        return "engine"


@pytest.fixture(name="engine")
def fixture_engine(program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    path = str(tmp_path / "docker.sock")
    monkeypatch.setattr(program, "DOCKER", path)
    with Engine(path, Answer) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server
        server.shutdown()


def test_docker_tells_of_its_nodes(program: ModuleType, engine: Engine) -> None:
    engine.answer = (200, json.dumps([M1, DOWN]).encode())
    assert program.ask_nodes() == [M1, DOWN]


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
    engine.answer = answer
    assert program.ask_nodes() is None


def test_docker_does_not_answer(program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "DOCKER", str(tmp_path / "nobody"))
    assert program.ask_nodes() is None


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
    monkeypatch.setattr(program, "ask_nodes", lambda: nodes)
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
