# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules for connectors against a Kafka Connect in memory."""

from __future__ import annotations

import importlib
import json
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.bcm.datacenter.plugins.module_utils import _kafka_connect

PREFIX = "ansible_collections.bcm.datacenter.plugins.modules."
CONFIG = {"connector.class": "Sink", "topics": "audit"}


class FakeConnect:
    """What stands behind the program that leads to the REST."""

    def __init__(self) -> None:
        self.connectors: dict[str, dict[str, str]] = {}
        self.states: dict[str, str] = {}
        self.failed: set[str] = set()
        self.faults: list[str] = []
        self.calls: list[str] = []
        self.rebalances = 0
        self.silent = ""

    def tool(self, argv: list[str], data: str = "") -> tuple[int, str, str]:
        assert argv[:2] == ["connect", "api"]
        if self.silent:
            return 1, "", self.silent
        method, path = argv[2:]
        if method != "GET" and self.rebalances:
            self.rebalances -= 1
            return self.answer(409, {"message": "Cannot complete request momentarily"})
        return self.answer(*self.answered(method, path, json.loads(data) if data else None))

    def answer(self, status: int, body: t.Any) -> tuple[int, str, str]:
        return 0, json.dumps({"status": status, "body": body}), ""

    def answered(self, method: str, path: str, body: t.Any) -> tuple[int, t.Any]:
        if path.endswith("/config/validate"):
            found = [{"value": {"name": "tasks.max", "errors": self.faults}}, {"value": {"name": "x", "errors": []}}]
            return 200, {"error_count": len(self.faults), "configs": found}
        if method != "GET":
            self.calls.append(f"{method} {path}")
        if path == "/connectors":
            return 200, list(self.connectors)
        name, _slash, what = path.removeprefix("/connectors/").partition("/")
        if method == "PUT" and what == "config":
            self.connectors[name] = body
            self.states.setdefault(name, "RUNNING")
            return 201, body
        if name not in self.connectors:
            return 404, {"error_code": 404, "message": f"Connector {name} not found"}
        if method == "DELETE":
            del self.connectors[name]
            return 204, None
        if method == "PUT":
            self.states[name] = {"pause": "PAUSED", "resume": "RUNNING", "stop": "STOPPED"}[what]
            return 202, None
        if method == "POST":
            assert what == "restart?includeTasks=true&onlyFailed=true"
            self.failed.discard(name)
            return 202, None
        return 200, self.connectors[name] if what == "config" else self.status(name)

    def status(self, name: str) -> dict[str, t.Any]:
        state = self.states[name]
        task = {"id": 0, "state": "FAILED", "trace": "boom\n\tat"} if name in self.failed else {"id": 0, "state": state}
        return {"name": name, "connector": {"state": state}, "tasks": [] if state == "STOPPED" else [task]}


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> FakeConnect:
    fake = FakeConnect()

    def run_command(_module: t.Any, argv: list[str], data: str = "") -> tuple[int, str, str]:
        return fake.tool(argv, data)

    module = importlib.import_module("ansible.module_utils.basic").AnsibleModule
    monkeypatch.setattr(module, "run_command", run_command)
    return fake


Run = t.Callable[..., dict[str, t.Any]]


@pytest.fixture
def run(connect: FakeConnect, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_module(name: str, /, *, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        args = {"tool": ["connect"], "_ansible_check_mode": check, "_ansible_diff": True, **params}
        with patch_module_args(args), pytest.raises(SystemExit):
            importlib.import_module(PREFIX + name).main()
        return json.loads(capsys.readouterr().out)

    return run_module


def test_a_connector_is_made_once(run: Run, connect: FakeConnect) -> None:
    wish = {"name": "a", "config": {**CONFIG, "tasks.max": 1, "errors.log.enable": True}}
    planned = run("kafka_connector", check=True, **wish)
    assert planned["changed"]
    assert connect.calls == []
    made = run("kafka_connector", **wish)
    assert made["changed"]
    assert made["connector"] == planned["connector"]
    assert made["diff"]["before"] == {}
    expected = {**CONFIG, "name": "a", "tasks.max": "1", "errors.log.enable": "true"}
    assert connect.connectors["a"] == expected
    assert not run("kafka_connector", **wish)["changed"]
    assert not run("kafka_connector", check=True, **wish)["changed"]
    assert connect.calls == ["PUT /connectors/a/config"]


def test_other_settings_are_taken_and_what_is_not_named_goes(run: Run, connect: FakeConnect) -> None:
    run("kafka_connector", name="a", config={**CONFIG, "old": "1"})
    changed = run("kafka_connector", name="a", config={**CONFIG, "topics": "alerts"})
    assert changed["changed"]
    assert changed["diff"]["before"]["config"]["old"] == "1"
    assert connect.connectors["a"] == {**CONFIG, "name": "a", "topics": "alerts"}


def test_what_connect_has_against_it_is_said_before_anything_is_done(run: Run, connect: FakeConnect) -> None:
    connect.faults = ["Invalid value no"]
    for check in (True, False):
        said = run("kafka_connector", check=check, name="a", config=CONFIG)
        assert "Connector a: Connect does not take it: tasks.max: Invalid value no" in said["msg"]
    assert connect.calls == []
    assert "no connector.class" in run("kafka_connector", name="a", config={"topics": "audit"})["msg"]
    assert "without config" in run("kafka_connector", name="a")["msg"]


def test_it_pauses_stops_and_goes_on(run: Run, connect: FakeConnect) -> None:
    run("kafka_connector", name="a", config=CONFIG)
    for state, verb in (("paused", "pause"), ("stopped", "stop"), ("running", "resume")):
        assert run("kafka_connector", check=True, name="a", state=state)["changed"]
        assert run("kafka_connector", name="a", state=state)["changed"]
        assert connect.calls[-1] == f"PUT /connectors/a/{verb}"
        assert not run("kafka_connector", name="a", state=state)["changed"]


def test_a_task_that_has_given_up_is_begun_anew(run: Run, connect: FakeConnect) -> None:
    run("kafka_connector", name="a", config=CONFIG)
    connect.failed.add("a")
    assert run("kafka_connector", name="a", config=CONFIG)["changed"]
    assert connect.calls[-1].startswith("POST /connectors/a/restart")
    assert not run("kafka_connector", name="a", config=CONFIG)["changed"]


def test_one_that_fails_again_is_a_failure_with_the_cause(
    run: Run, connect: FakeConnect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeConnect, "status", lambda _self, _name: {"connector": {"state": "RUNNING"}, "tasks": []})
    said = run("kafka_connector", name="a", config=CONFIG, timeout=0)
    assert said["msg"] == "Connector a: after 0 s: it has no task"


def test_it_waits_while_workers_agree(run: Run, connect: FakeConnect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kafka_connect.time, "sleep", lambda _seconds: None)
    connect.rebalances = 3
    assert run("kafka_connector", name="a", config=CONFIG)["changed"]
    connect.rebalances = 1
    assert "answers" in run("kafka_connector", name="a", config={**CONFIG, "more": 1}, timeout=-1)["msg"]


def test_one_is_removed_once(run: Run, connect: FakeConnect) -> None:
    run("kafka_connector", name="a", config=CONFIG)
    assert run("kafka_connector", check=True, name="a", state="absent")["changed"]
    assert "a" in connect.connectors
    gone = run("kafka_connector", name="a", state="absent")
    assert (gone["changed"], gone["connector"]) == (True, None)
    assert not run("kafka_connector", name="a", state="absent")["changed"]


def test_secrets_are_not_shown(run: Run, connect: FakeConnect) -> None:
    config = {**CONFIG, "connection.password": "hidden", "ssl.key.password": "${file:/a:b}", "aws.secret": "hidden"}
    jaas = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="a" password="hidden";'
    config |= {"sasl.jaas.config": jaas, "source.cluster.sasl.jaas.config": jaas}
    for said in (run("kafka_connector", name="a", config=config), run("kafka_connector_info")):
        shown = json.dumps({key: value for key, value in said.items() if key != "invocation"})
        assert "hidden" not in shown
        assert "${file:/a:b}" in shown
    assert connect.connectors["a"]["connection.password"] == "hidden"


def test_all_are_read(run: Run, connect: FakeConnect) -> None:
    for name in ("b", "a"):
        run("kafka_connector", name=name, config=CONFIG)
    connect.failed.add("b")
    found = run("kafka_connector_info")["connectors"]
    assert [(one["name"], one["ready"], one["reason"]) for one in found] == [
        ("a", True, ""),
        ("b", False, "task 0 is FAILED: boom"),
    ]
    assert [one["name"] for one in run("kafka_connector_info", name="b")["connectors"]] == ["b"]
    assert run("kafka_connector_info", name="c")["connectors"] == []


def test_a_connect_that_does_not_answer_is_told(run: Run, connect: FakeConnect) -> None:
    connect.silent = "kafka-connect: no container of it runs on this host"
    for module, params in (("kafka_connector", {"name": "a", "config": CONFIG}), ("kafka_connector_info", {})):
        assert "no container of it runs on this host" in run(module, **params)["msg"]
