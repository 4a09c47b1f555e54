# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One broker becomes three while lines come in, and nothing that was acknowledged is lost by what happens to them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from standing import LXD_ENV, Run, wait_for
from testinfra.backend.base import CommandResult
from testinfra.host import Host

BUS = (Path(__file__).parents[1] / "files/bus.py").read_text()
PYTHON = "/opt/bcm/kafka-client/bin/python"
THREE = ["kafka-1", "kafka-2", "kafka-3"]
SECRETS = "/var/lib/bcm/sites/molkafka/secrets"


@pytest.fixture(scope="module")
def host(instance: Callable[[str], Host]) -> Host:
    return instance("kafka-1")


def bus(host: Host, verb: str, identity: str, topic: str, *rest: object) -> CommandResult:
    """What comes of a client that reads or writes."""
    words = [verb, identity, topic, *map(str, rest)]
    return host.run(f"{PYTHON} -c %s " + " ".join(["%s"] * len(words)), BUS, *words)


def numbers(said: CommandResult) -> list[int]:
    assert said.rc == 0, said.stderr
    return [int(line) for line in said.stdout.split()]


def begin_writing(first: int, last: int, seconds: float) -> subprocess.Popen[str]:
    """A shipper that goes on while something else happens."""
    client = [PYTHON, "-c", BUS, "write", "log-shipper", "logs.system", str(first), str(last), str(seconds)]
    argv = ["lxc", "--project", "molecule", "exec", "--mode=non-interactive", "kafka-1", "--", *client]
    return subprocess.Popen(
        argv, env=LXD_ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def acknowledged(writing: subprocess.Popen[str]) -> list[int]:
    out, err = writing.communicate(timeout=300)
    assert writing.returncode == 0, err
    return [int(line) for line in out.split()]


def votes(host: Host) -> dict[int, str]:
    rows = [row.split() for row in host.check_output("kafka quorum describe --replication").splitlines()]
    return {int(row[0]): row[-1] for row in rows if row and row[0].isdigit()}


def serves(host: Host) -> bool:
    # Nothing, where its container is just being replaced.
    told = host.run("kafka status")
    return told.rc == 0 and bool(json.loads(told.stdout)["ready"])


def container(host: Host, name: str) -> str:
    return host.check_output("docker ps --quiet --filter %s", f"label=bcm.kafka={name}").split()[0]


def replicas(host: Host) -> set[tuple[int, int]]:
    """(replicas, those in sync) of all partitions of all topics, Kafka's own too."""
    found = set()
    for line in host.check_output("kafka topics --describe").splitlines():
        words = line.split()
        if "Partition:" in words:
            counts = [len(words[words.index(f"{word}:") + 1].split(",")) for word in ("Replicas", "Isr")]
            found.add((counts[0], counts[1]))
    return found


def test_one_broker_takes_lines_of_a_shipper_and_gives_them_to_a_reader(host: Host) -> None:
    assert votes(host) == {1001: "Leader"}
    assert numbers(bus(host, "write", "log-shipper", "logs.system", 1, 1000)) == list(range(1, 1001))
    assert numbers(bus(host, "read", "log-reader", "logs.system")) == list(range(1, 1001))


@pytest.mark.parametrize(
    ("verb", "identity", "topic"),
    [
        ("read", "log-shipper", "logs.system"),
        ("write", "log-shipper", "alerts"),
        ("write", "log-reader", "logs.system"),
        ("write", "log-reader", "alerts"),
        ("write", "log-alerts", "logs.system"),
        ("read", "stranger", "logs.system"),
        ("write", "stranger", "logs.system"),
    ],
)
def test_nobody_does_what_was_not_granted(host: Host, verb: str, identity: str, topic: str) -> None:
    said = bus(host, verb, identity, topic, 1, 1)
    assert said.rc != 0
    assert said.stdout == ""
    assert "authorization" in said.stderr.lower() or "unknown topic" in said.stderr.lower(), said.stderr


def test_who_looks_for_alerts_writes_them_and_what_it_remembers(host: Host) -> None:
    assert numbers(bus(host, "write", "log-alerts", "alerts.state", 1, 10)) == list(range(1, 11))
    assert numbers(bus(host, "read", "log-alerts", "logs.system"))
    assert "cleanup.policy=compact" in host.check_output("kafka topics --describe --topic alerts.state")


def test_without_a_certificate_nobody_is_listened_to(host: Host) -> None:
    said = bus(host, "read", "nobody", "logs.system")
    assert said.rc != 0
    assert said.stdout == ""


def test_it_is_kafka_and_may_do_nothing_else(host: Host) -> None:
    look = "cat /proc/1/comm; id -u; grep CapEff /proc/1/status; touch /anywhere 2>&1 || :"
    name, user, rights, written = host.check_output(
        f"docker exec {container(host, 'kafka-1')} sh -c %s", look
    ).splitlines()
    assert (name, user) == ("java", "10002")
    assert int(rights.split()[1], 16) == 0
    assert "Read-only file system" in written
    assert host.file("/etc/bcm/kafka/kafka-1/node.pem").mode == 0o440
    assert host.file("/etc/bcm/kafka/admin/admin.pem").mode == 0o600


def test_one_becomes_two(host: Host, converge: Callable[..., Run]) -> None:
    # So that Kafka's own topics are there, with one replica. What a group has read is found again by brokers that start later, too.
    assert numbers(bus(host, "read", "log-reader", "logs.system"))
    assert numbers(bus(host, "commit", "log-reader", "logs.system", 7)) == []
    run = converge(scenario_brokers=THREE[:2])
    assert run.status == 0, run.text[-3000:]
    assert votes(host) == {1001: "Leader", 1002: "Observer"}
    assert replicas(host) == {(2, 2)}
    assert numbers(bus(host, "committed", "log-reader", "logs.system")) == [7]


def test_two_become_three_while_lines_come_in(
    host: Host, instance: Callable[[str], Host], converge: Callable[..., Run]
) -> None:
    """The second, which was a broker alone, gets its vote with the third."""
    writing = begin_writing(1001, 4000, 90)
    run = converge(scenario_brokers=THREE)
    assert run.status == 0, run.text[-3000:]
    assert sorted(acknowledged(writing)) == list(range(1001, 4001))

    assert set(votes(host)) == {1001, 1002, 1003}
    assert "Observer" not in votes(host).values()
    assert replicas(host) == {(3, 3)}
    for name in THREE:
        said = instance(name).check_output(
            "kafka configs --entity-type brokers --entity-name %s --describe --all", f"100{name[-1]}"
        )
        assert " min.insync.replicas=2 " in said

    # All of them, and in order, each once.
    assert numbers(bus(host, "read", "log-reader", "logs.system")) == list(range(1, 4001))
    assert numbers(bus(host, "committed", "log-reader", "logs.system")) == [7]
    again = converge(scenario_brokers=THREE)
    assert (again.status, again.changed) == (0, set())


def test_a_member_that_stands_is_not_left_out(host: Host, refusal: Callable[..., str]) -> None:
    words = refusal(scenario_brokers=THREE[:2])
    assert "kafka-kafka-3 stands and is not declared any more" in words
    assert "kafka-kafka-3 stands and is not declared any more" in refusal("--check", scenario_brokers=THREE[:2])
    assert replicas(host) == {(3, 3)}


def test_a_broker_that_is_killed_costs_nothing(host: Host, instance: Callable[[str], Host]) -> None:
    third = instance("kafka-3")
    writing = begin_writing(4001, 6000, 20)
    third.check_output("docker kill --signal KILL %s", container(third, "kafka-3"))
    assert sorted(acknowledged(writing)) == list(range(4001, 6001))
    wait_for("the third broker", lambda: serves(third), 120)
    wait_for("all replicas in sync", lambda: replicas(host) == {(3, 3)}, 120, every=5)
    assert sorted(set(numbers(bus(host, "read", "log-reader", "logs.system")))) == list(range(1, 6001))


def test_with_two_of_three_away_nothing_is_acknowledged(host: Host, instance: Callable[[str], Host]) -> None:
    others = [instance(name) for name in THREE[1:]]
    for other, name in zip(others, THREE[1:], strict=True):
        other.check_output("docker pause %s", container(other, name))
    try:
        writing = begin_writing(6001, 6100, 1)
        with pytest.raises(subprocess.TimeoutExpired):
            writing.wait(timeout=30)
    finally:
        for other, name in zip(others, THREE[1:], strict=True):
            other.check_output("docker unpause %s", container(other, name))
    # What was not acknowledged meanwhile goes on by itself.
    assert sorted(acknowledged(writing)) == list(range(6001, 6101))
    wait_for("all replicas in sync", lambda: replicas(host) == {(3, 3)}, 120, every=5)
    assert sorted(set(numbers(bus(host, "read", "log-reader", "logs.system")))) == list(range(1, 6101))


def test_a_volume_that_was_emptied_is_refused_and_rejoins_when_it_is_named(
    host: Host, instance: Callable[[str], Host], converge: Callable[..., Run], refusal: Callable[..., str]
) -> None:
    second = instance("kafka-2")
    known = host.file(f"{SECRETS}/kafka-member-kafka-2").content_string
    second.check_output("docker kill --signal KILL %s", container(second, "kafka-2"))
    second.check_output("rm -rf /srv/kafka/kafka-2/log")

    def held() -> bool:
        return "not formatted" in second.run("kafka status").stdout

    wait_for("the member that waits for its data", held, 60)
    said = refusal(scenario_brokers=THREE)
    assert "kafka-2 had data, and its volume is empty" in said
    assert "kafka_rejoin=kafka-2" in said
    assert held()

    run = converge(scenario_brokers=THREE, kafka_rejoin="kafka-2")
    assert run.status == 0, run.text[-3000:]
    assert host.file(f"{SECRETS}/kafka-member-kafka-2").content_string != known
    assert sorted(votes(host)) == [1001, 1002, 1003]
    assert "Observer" not in votes(host).values()
    wait_for("all replicas in sync", lambda: replicas(host) == {(3, 3)}, 120, every=5)
    again = converge(scenario_brokers=THREE)
    assert (again.status, again.changed) == (0, set())


def test_a_full_volume_holds_its_broker_until_there_is_room(host: Host, instance: Callable[[str], Host]) -> None:
    third = instance("kafka-3")
    third.check_output("fallocate --length 4G /srv/kafka/kafka-3/filler")

    def held() -> bool:
        return "free space" in third.run("kafka status").stdout

    wait_for("stop of the third broker", held, 120)
    assert numbers(bus(host, "write", "log-shipper", "logs.system", 6101, 6200)) == list(range(6101, 6201))
    third.check_output("rm /srv/kafka/kafka-3/filler")
    wait_for("the third broker", lambda: serves(third), 120)
    wait_for("all replicas in sync", lambda: replicas(host) == {(3, 3)}, 120, every=5)


def test_rights_go_though_a_topic_is_refused(host: Host, converge: Callable[..., Run]) -> None:
    host.check_output("kafka acls --add --allow-principal User:stranger --operation Read --topic audit")
    assert "User:stranger" in host.check_output("kafka acls --list")
    shorter = {"audit": {"partitions": 1, "retention": "1h", "size": "64MiB", "ordered": True}}
    run = converge(scenario_brokers=THREE, kafka_topics=shorter)
    assert run.status != 0
    assert "retention.ms 3600000 instead of 2592000000" in run.text
    assert "User:stranger" not in host.check_output("kafka acls --list")


def test_what_cannot_be_is_refused_before_anything_is_made(host: Host, refusal: Callable[..., str]) -> None:
    words = refusal(kafka_site="another", kafka_memory="64MiB", kafka_free_space_min="3GiB")
    for wrong in ("memory", "free_space_min"):
        assert wrong in words
    # What is on the volumes is not given another cluster's name, either.
    known = json.loads(host.check_output(f"cat {SECRETS}/kafka-cluster"))["id"]
    missing = f"volumes hold cluster {known}, and the secret kafka-cluster of site molkafka is missing"
    host.check_output(f"mv {SECRETS}/kafka-cluster /root/kafka-cluster")
    try:
        for arguments in ([], ["--check"]):
            assert missing in refusal(*arguments, scenario_brokers=THREE)
        assert not host.file(f"{SECRETS}/kafka-cluster").exists
    finally:
        host.check_output(f"mv /root/kafka-cluster {SECRETS}/kafka-cluster")
    assert not host.file("/var/lib/bcm/sites/another").exists


def test_what_one_broker_holds_alone_is_held_by_others_before_it_is_restarted(
    host: Host, converge: Callable[..., Run]
) -> None:
    """As a run leaves it that was killed after the second and third broker had come."""
    alone = {"version": 1, "partitions": [{"topic": "alerts", "partition": 0, "replicas": [1001]}]}
    host.check_output("echo %s | kafka reassign --reassignment-json-file @stdin --execute", json.dumps(alone))
    wait_for("one replica", lambda: (1, 1) in replicas(host), 60)
    host.check_output(
        "kafka configs --entity-type topics --entity-name alerts --alter --add-config min.insync.replicas=1"
    )
    (said,) = converge("look.yml").failures
    assert "alerts (1) has fewer replicas than 3; min.insync.replicas of alerts (1) is lower than 2" in said
    assert numbers(bus(host, "commit", "log-reader", "logs.system", 9)) == []
    run = converge(scenario_brokers=THREE, kafka_options={"num.replica.fetchers": "2"})
    assert run.status == 0, run.text[-3000:]
    assert "bcm.datacenter.kafka : Give them more replicas" in {task for _host, task in run.changed}
    assert replicas(host) == {(3, 3)}
    assert numbers(bus(host, "committed", "log-reader", "logs.system")) == [9]
    looked = converge("look.yml")
    assert looked.status == 0, looked.failures


def test_a_configuration_that_kafka_does_not_start_with_is_on_the_first_alone(
    host: Host, instance: Callable[[str], Host], converge: Callable[..., Run]
) -> None:
    def told(name: str) -> bool:
        return "num.partitions=none" in instance(name).file(f"/etc/bcm/kafka/{name}/server.properties").content_string

    others = {name: container(instance(name), name) for name in THREE[1:]}
    # What they have from the test before.
    options = {"num.replica.fetchers": "2"}
    failed = converge(scenario_brokers=THREE, kafka_options={**options, "num.partitions": "none"}, kafka_wait=60)
    assert failed.status != 0
    assert [name for name in THREE if told(name)] == ["kafka-1"]

    mended = converge(scenario_brokers=THREE, kafka_options=options)
    assert mended.status == 0, mended.text[-3000:]
    assert {name: container(instance(name), name) for name in others} == others
    assert replicas(host) == {(3, 3)}
    assert not [name for name in THREE if told(name)]


def test_what_is_taken_away_keeps_its_data(
    host: Host, instance: Callable[[str], Host], converge: Callable[..., Run]
) -> None:
    before = sorted(set(numbers(bus(host, "read", "log-reader", "logs.system"))))
    known = host.check_output(f"cat {SECRETS}/kafka-cluster {SECRETS}/kafka-member-*")
    gone = converge("remove.yml", scenario_brokers=THREE)
    assert gone.status == 0, gone.text[-3000:]
    for name in THREE:
        member = instance(name)
        assert member.check_output("docker ps --all --quiet --filter label=bcm.kafka") == ""
        for path in ("/etc/bcm/kafka", "/usr/local/sbin/kafka", "/opt/bcm/kafka-client"):
            assert not member.file(path).exists, path
        # But for the last one, which has no quorum any more that it could tell, it was closed in good order.
        if name != THREE[-1]:
            assert member.file(f"/srv/kafka/{name}/log/.kafka_cleanshutdown").exists
    again = converge("remove.yml", scenario_brokers=THREE)
    assert (again.status, again.changed) == (0, set())

    back = converge(scenario_brokers=THREE)
    assert back.status == 0, back.text[-3000:]
    assert host.check_output(f"cat {SECRETS}/kafka-cluster {SECRETS}/kafka-member-*") == known
    assert sorted(set(numbers(bus(host, "read", "log-reader", "logs.system")))) == before
