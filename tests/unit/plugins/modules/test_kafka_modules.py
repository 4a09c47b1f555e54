# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules against a Kafka in memory."""

from __future__ import annotations

import importlib
import json
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.bcm.datacenter.plugins.module_utils import _kafka_client
from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_acl import Grant
from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_client import KafkaError
from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_topic import Partition, Topic

PREFIX = "ansible_collections.bcm.datacenter.plugins.modules."
QUORUM = """
NodeId DirectoryId LogEndOffset Lag LastFetchTimestamp LastCaughtUpTimestamp Status
1 aaa 10 0 1000 1000 Leader
2 bbb 10 0 1000 1000 Follower
3 ccc 10 0 1000 1000 Follower
"""


class FakeKafka:
    """What stands for Cluster, and for the tool."""

    def __init__(self) -> None:
        self.brokers = {1: "a:9092", 2: "b:9092", 3: "c:9092"}
        self.topics: dict[str, Topic] = {}
        self.defaults = {one: {"min.insync.replicas": "1"} for one in (1, 2, 3)}
        self.rights: dict[str, set[Grant]] = {}
        self.full: set[str] = set()
        self.calls: list[str] = []
        self.silent = False
        self.quorum = (0, QUORUM, "")
        # Why the tool cannot be run.
        self.missing: OSError | None = None
        self.untold = ""
        self.read_by: dict[str, dict[str, dict[int, int]]] = {}

    # As the class is called.
    def __call__(self, _params: t.Any) -> FakeKafka:
        return self

    def read(self) -> tuple[dict[int, str], list[Topic]]:
        if self.silent:
            raise KafkaError("the brokers and topics could not be read at a:9092: no route")
        return self.brokers, [Topic(one.name, list(one.partitions)) for one in self.topics.values()]

    def topic_settings(self, names: list[str]) -> dict[str, dict[str, str]]:
        return {name: dict(self.topics[name].settings) for name in names}

    def topics_in_force(self, names: list[str]) -> dict[str, dict[str, str]]:
        if self.untold:
            raise KafkaError(self.untold)
        inherited = {"retention.ms": "604800000", **self.defaults[1]}
        return {name: {**inherited, **self.topics[name].settings} for name in names}

    def broker_settings(self, ids: list[int], keys: list[str]) -> dict[int, dict[str, str]]:
        return {one: {key: self.defaults[one][key] for key in keys} for one in ids}

    def create(self, name: str, partitions: int, replicas: int, settings: dict[str, str]) -> None:
        self.calls.append(f"create {name}")
        self.put(name, partitions, tuple(range(1, replicas + 1)), **settings)

    def delete(self, name: str) -> None:
        self.calls.append(f"delete {name}")
        del self.topics[name]

    def add_partitions(self, name: str, count: int) -> None:
        self.calls.append(f"partitions {name} {count}")

    def alter(self, name: str, settings: dict[str, str | None]) -> None:
        self.calls.append(f"alter {name} {json.dumps(settings, sort_keys=True)}")

    def holds_anything(self, topic: Topic) -> bool:
        return topic.name in self.full

    def ends(self, topic: Topic) -> tuple[dict[int, int], dict[int, int]]:
        return {one.number: 10 for one in topic.partitions}, {one.number: 100 for one in topic.partitions}

    def committed(self, group: str) -> dict[str, dict[int, int]]:
        return self.read_by.get(group, {})

    def grants(self, principal: str | None = None) -> list[tuple[str, Grant]]:
        return [
            (one, grant)
            for one, some in sorted(self.rights.items())
            for grant in sorted(some)
            if principal in (None, one)
        ]

    def grant(self, principal: str, grants: list[Grant]) -> None:
        self.calls.append(f"grant {len(grants)}")
        self.rights.setdefault(principal, set()).update(grants)

    def take(self, principal: str, grants: list[Grant]) -> None:
        self.calls.append(f"take {len(grants)}")
        self.rights[principal] -= set(grants)

    def put(self, name: str, partitions: int = 1, replicas: tuple[int, ...] = (1, 2, 3), **settings: str) -> None:
        parts = [Partition(number, replicas[0], replicas, replicas) for number in range(partitions)]
        self.topics[name] = Topic(name, parts, {key.replace("_", "."): value for key, value in settings.items()})

    def ask_quorum(self) -> tuple[int, str, str]:
        if self.missing is not None:
            raise self.missing
        return self.quorum

    def tool(self, _module: t.Any, argv: list[str], data: str | None = None, **_other: t.Any) -> tuple[int, str, str]:
        """Kafka's own tools, as run_command of a module."""
        self.calls.append(" ".join(argv[1:]))
        if argv[1] == "quorum":
            return self.ask_quorum()
        if argv[1] == "configs":
            key, _equals, value = argv[-1].partition("=")
            for settings in self.defaults.values():
                settings[key] = value
            return 0, "", ""
        for one in json.loads(data or "")["partitions"]:
            parts = self.topics[one["topic"]].partitions
            replicas = tuple(one["replicas"])
            parts[one["partition"]] = Partition(one["partition"], replicas[0], replicas, replicas)
        return 0, "", ""


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> FakeKafka:
    fake = FakeKafka()

    def run_command(module: t.Any, argv: list[str], **kwargs: t.Any) -> tuple[int, str, str]:
        return fake.tool(module, argv, **kwargs)

    for name in (
        "kafka_topic",
        "kafka_topic_info",
        "kafka_acl",
        "kafka_acl_info",
        "kafka_cluster_info",
        "kafka_defaults",
        "kafka_group_info",
    ):
        module = importlib.import_module(PREFIX + name)
        monkeypatch.setattr(module, "Cluster", fake)
        monkeypatch.setattr(module, "require_library", lambda _module: None)
        monkeypatch.setattr(module.AnsibleModule, "run_command", run_command)
    return fake


Run = t.Callable[..., dict[str, t.Any]]


@pytest.fixture
def run(kafka: FakeKafka, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_module(name: str, /, *, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        args = {"bootstrap_servers": ["a:9092"], "_ansible_check_mode": check, "_ansible_diff": True, **params}
        with patch_module_args(args), pytest.raises(SystemExit):
            importlib.import_module(PREFIX + name).main()
        return json.loads(capsys.readouterr().out)

    return run_module


def test_a_topic_is_made_once(run: Run, kafka: FakeKafka) -> None:
    wish = {
        "name": "audit",
        "partitions": 2,
        "replication_factor": 3,
        "config": {"retention.ms": 5, "preallocate": False},
    }
    planned = run("kafka_topic", check=True, **wish)
    assert planned["changed"]
    assert kafka.calls == []
    made = run("kafka_topic", **wish)
    assert made["topic"] == planned["topic"]
    assert made["topic"] == {
        "partitions": 2,
        "replication_factor": 3,
        "config": {"preallocate": "false", "retention.ms": "5"},
    }
    assert made["diff"]["before"] == {}
    again = run("kafka_topic", **wish)
    assert not again["changed"]
    assert again["diff"]["before"] == again["diff"]["after"] == made["topic"]
    assert kafka.calls == ["create audit"]


def test_more_replicas_go_through_the_tool_and_come_before_what_counts_on_them(run: Run, kafka: FakeKafka) -> None:
    kafka.put("t", 2, (1,))
    result = run("kafka_topic", name="t", replication_factor=3, config={"min.insync.replicas": 2}, tool=["kafka"])
    assert result["topic"] == {"partitions": 2, "replication_factor": 3, "config": {"min.insync.replicas": "2"}}
    assert kafka.calls == [
        "reassign --reassignment-json-file @stdin --execute",
        'alter t {"min.insync.replicas": "2"}',
    ]
    assert [one.replicas for one in kafka.topics["t"].partitions] == [(1, 2, 3), (1, 2, 3)]


def test_what_cannot_be_is_refused_before_anything_is_done(run: Run, kafka: FakeKafka) -> None:
    kafka.put("t", 2, retention_ms="9")
    result = run("kafka_topic", name="t", partitions=1, replication_factor=4, config={"retention.ms": 1})
    assert result["failed"]
    for words in ("cannot take any away", "4 replicas take as many brokers", "allow_loss"):
        assert words in result["msg"]
    assert kafka.calls == []
    result = run("kafka_topic", name="new", replication_factor=4)
    assert "new was not made: 4 replicas take as many brokers, and there are 3" in result["msg"]


def test_what_a_topic_keeps_by_the_clusters_settings_is_kept(run: Run, kafka: FakeKafka) -> None:
    kafka.put("t")
    refused = run("kafka_topic", name="t", config={"retention.ms": 1000})
    assert "retention.ms 1000 instead of 604800000" in refused["msg"]
    assert kafka.calls == []
    assert run("kafka_topic", name="t", config={"retention.ms": 1000}, allow_loss=True)["changed"]
    assert kafka.calls == ['alter t {"retention.ms": "1000"}']


def test_a_topic_that_holds_lines_is_removed_only_if_they_may_go(run: Run, kafka: FakeKafka) -> None:
    kafka.put("t")
    kafka.full.add("t")
    assert "it holds lines" in run("kafka_topic", name="t", state="absent")["msg"]
    assert run("kafka_topic", name="t", state="absent", allow_loss=True, check=True)["changed"]
    assert kafka.calls == []
    assert run("kafka_topic", name="t", state="absent", allow_loss=True)["topic"] is None
    assert not run("kafka_topic", name="t", state="absent")["changed"]
    assert kafka.calls == ["delete t"]


def test_topics_are_read(run: Run, kafka: FakeKafka) -> None:
    kafka.put("b", retention_ms="5")
    kafka.put("__own")
    found = run("kafka_topic_info")["topics"]
    assert [(one["name"], one["internal"], one["config"]) for one in found] == [
        ("b", False, {"retention.ms": "5"}),
        ("__own", True, {}),
    ]
    assert found[0]["places"] == [{"partition": 0, "leader": 1, "replicas": [1, 2, 3], "in_sync": [1, 2, 3]}]
    assert run("kafka_topic_info", name="none")["topics"] == []


RULES = [{"resource": "topic", "name": "logs.", "pattern": "prefixed", "operations": ["read", "describe"]}]


def test_rights_are_granted_once_and_others_taken(run: Run, kafka: FakeKafka) -> None:
    assert run("kafka_acl", principal="User:a", rules=RULES, check=True)["changed"]
    assert kafka.calls == []
    first = run("kafka_acl", principal="User:a", rules=RULES)
    assert first["diff"] == {"before": "", "after": "allow describe on topic logs.*\nallow read on topic logs.*\n"}
    assert len(first["grants"]) == 2
    assert not run("kafka_acl", principal="User:a", rules=RULES)["changed"]
    more = [*RULES, {"resource": "group", "name": "a", "operations": ["read"], "permission": "deny"}]
    assert run("kafka_acl", principal="User:a", rules=more)["changed"]
    assert not run("kafka_acl", principal="User:a", rules=RULES, exclusive=False)["changed"]
    assert run("kafka_acl", principal="User:a", rules=RULES)["changed"]
    assert kafka.calls == ["grant 2", "grant 1", "take 1"]
    assert list(run("kafka_acl_info")["principals"]) == ["User:a"]
    assert run("kafka_acl_info", principal="User:b")["principals"] == {}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"principal": "a", "rules": []}, "a principal is a kind and a name"),
        (
            {"principal": "User:a", "rules": [{"resource": "topic", "operations": ["read"]}]},
            "a rule about a topic needs a name",
        ),
    ],
)
def test_rights_that_are_none(run: Run, params: dict[str, t.Any], words: str) -> None:
    assert words in run("kafka_acl", **params)["msg"]


WHOLE = {"brokers": [1, 2, 3], "controllers": [1, 2, 3], "config": {"min.insync.replicas": 1}}


def test_a_cluster_in_which_nothing_is_wrong(run: Run, kafka: FakeKafka) -> None:
    kafka.put("t")
    found = run("kafka_cluster_info", **WHOLE)
    assert (found["ready"], found["reachable"], found["reason"]) == (True, True, "")
    assert found["note"] == "3 brokers, 3 controllers, 1 leads"
    assert [one["in_sync"] for one in found["brokers"]] == [1, 1, 1]
    assert found["config"]["1"] == {"min.insync.replicas": "1"}
    assert [vote["status"] for vote in found["votes"]] == ["Leader", "Follower", "Follower"]


def test_controllers_are_asked_whatever_is_wrong_with_brokers(run: Run, kafka: FakeKafka) -> None:
    del kafka.brokers[3]
    kafka.quorum = (0, QUORUM.replace("2 bbb 10 0", "2 bbb 10 5000"), "")
    found = run("kafka_cluster_info", **WHOLE)
    assert (found["ready"], found["reason"]) == (False, "broker 3 is not there; controller 2 is 5000 records behind")
    assert len(found["votes"]) == 3
    assert kafka.calls == ["quorum describe --replication"]


def test_who_waits_does_not_ask_controllers_before_all_else_is_well(run: Run, kafka: FakeKafka) -> None:
    assert run("kafka_cluster_info", **WHOLE, waiting=True)["ready"]
    assert kafka.calls == ["quorum describe --replication"]
    del kafka.brokers[3]
    assert run("kafka_cluster_info", **WHOLE, waiting=True)["reason"] == "broker 3 is not there"
    assert run("kafka_cluster_info", brokers=[1], quorum=False)["ready"]
    assert kafka.calls == ["quorum describe --replication"]


@pytest.mark.parametrize(
    ("quorum", "words"),
    [
        ((1, "", "TimeoutException: no node"), "the controllers could not be asked: TimeoutException: no node"),
        ((0, "nothing", ""), "no table of controllers in: nothing"),
        (FileNotFoundError(2, "No such file"), "the controllers could not be asked: [Errno 2] No such file"),
    ],
)
def test_what_cannot_be_told_hides_nothing_else(run: Run, kafka: FakeKafka, quorum: t.Any, words: str) -> None:
    kafka.put("t")
    del kafka.brokers[3]
    if isinstance(quorum, OSError):
        kafka.missing = quorum
    else:
        kafka.quorum = quorum
    kafka.untold = "settings could not be read"
    found = run("kafka_cluster_info", **WHOLE, min_insync_replicas=1)
    assert "failed" not in found
    assert found["reachable"]
    first, *others = found["reason"].split("; ")
    assert first == "broker 3 is not there"
    assert others[-2:] == ["settings could not be read", words]


def test_topics_count_by_what_is_in_force_for_them(run: Run, kafka: FakeKafka) -> None:
    wish = {"replication_factor": 3, "min_insync_replicas": 2, "quorum": False}
    kafka.put("__consumer_offsets", replicas=(1, 2))
    kafka.put("audit", min_insync_replicas="2")
    kafka.put("mine")
    found = run("kafka_cluster_info", **wish)
    assert found["reason"] == (
        "__consumer_offsets (2) has fewer replicas than 3; min.insync.replicas of __consumer_offsets (1), mine (1) is lower than 2"
    )
    # What the brokers have counts where a topic says nothing.
    for settings in kafka.defaults.values():
        settings["min.insync.replicas"] = "2"
    kafka.put("__consumer_offsets")
    assert run("kafka_cluster_info", **wish)["ready"]
    kafka.put("audit", min_insync_replicas="1")
    assert run("kafka_cluster_info", **wish)["reason"] == "min.insync.replicas of audit (1) is lower than 2"


def test_a_kafka_that_does_not_answer_is_a_result(run: Run, kafka: FakeKafka) -> None:
    kafka.silent = True
    found = run("kafka_cluster_info", **WHOLE)
    assert (found["ready"], found["reachable"]) == (False, False)
    assert "no route" in found["reason"]
    assert "failed" not in found


def test_a_default_is_set_where_it_is_not_in_force_and_read_back(run: Run, kafka: FakeKafka) -> None:
    wish = {"config": {"min.insync.replicas": 2}}
    assert run("kafka_defaults", check=True, **wish)["config"]["3"] == {"min.insync.replicas": "2"}
    assert kafka.calls == []
    result = run("kafka_defaults", **wish)
    assert result["changed"]
    assert result["diff"]["before"]["1"] == {"min.insync.replicas": "1"}
    assert not run("kafka_defaults", **wish)["changed"]
    assert kafka.calls == ["configs --entity-type brokers --entity-default --alter --add-config min.insync.replicas=2"]


def test_without_the_library_it_is_said_which_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_kafka_client, "LIBRARY_ERROR", "ImportError: none")
    with patch_module_args({"bootstrap_servers": ["a:1"], "name": "t"}), pytest.raises(SystemExit):
        importlib.import_module(f"{PREFIX}kafka_topic").main()
    assert "confluent-kafka" in json.loads(capsys.readouterr().out)["msg"]


def test_how_far_groups_are_behind(run: Run, kafka: FakeKafka) -> None:
    kafka.put("audit", 3)
    # Of the second partition it has not said anything, and of the third what it says is gone already.
    kafka.read_by["files"] = {"audit": {0: 97, 2: 5}, "other": {0: 1}}
    result = run("kafka_group_info", groups={"files": "audit"}, wait=0)
    parts = {"0": 3, "1": 90, "2": 90}
    assert result["groups"] == [{"name": "files", "topic": "audit", "behind": 183, "partitions": parts, "moved": False}]
    assert "there is no topic alerts" in run("kafka_group_info", groups={"files": "alerts"})["msg"]
    kafka.silent = True
    assert "no route" in run("kafka_group_info", groups={"files": "audit"})["msg"]


class Time:
    """One that passes only where somebody waits, and brings what is to come."""

    def __init__(self, events: dict[int, t.Callable[[], None]]) -> None:
        self.now, self.events = 0.0, events

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for moment in [one for one in self.events if one <= self.now]:
            self.events.pop(moment)()


def test_one_that_is_behind_for_a_moment_is_told_from_one_that_stands_still(
    run: Run, kafka: FakeKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.put("audit", 2)
    kafka.read_by = {name: {"audit": {0: 100, 1: 97}} for name in ("late", "still")}
    kafka.read_by["done"] = {"audit": {0: 100, 1: 100}}
    kafka.read_by["fresh"] = {}
    events = {
        9: lambda: kafka.read_by.update(late={"audit": {0: 100, 1: 98}}),
        11: lambda: kafka.read_by.update(fresh={"audit": {0: 50}}),
    }
    clock = Time(events)
    module = importlib.import_module(PREFIX + "kafka_group_info")
    monkeypatch.setattr(module, "time", clock)
    groups = dict.fromkeys(kafka.read_by, "audit")
    found = {one["name"]: one for one in run("kafka_group_info", groups=groups)["groups"]}
    assert {name: (one["behind"], one["moved"]) for name, one in found.items()} == {
        "done": (0, True),
        "fresh": (140, True),
        "late": (2, True),
        "still": (3, False),
    }
    assert clock.now == 30
    # Nobody waits where there is nothing to wait for, nor longer than it takes.
    run("kafka_group_info", groups={"done": "audit"})
    assert clock.now == 30
    events[35] = lambda: kafka.read_by.update(late={"audit": {0: 100, 1: 100}})
    assert run("kafka_group_info", groups={"late": "audit"})["groups"][0]["behind"] == 0
    assert clock.now < 40
