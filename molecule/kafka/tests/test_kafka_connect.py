# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kafka Connect beside the three brokers that the other tests have left: the audit log as files, and nothing that was written is missing there."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from standing import Run, wait_for
from testinfra.host import Host

BUS = (Path(__file__).parents[1] / "files/bus.py").read_text()
PYTHON = "/opt/bcm/kafka-client/bin/python"
FILES = "/srv/connect/files"
SECRETS = "/var/lib/bcm/sites/molkafka/secrets"
CONFIG = "/etc/bcm/kafka-connect/config.json"


@pytest.fixture(scope="module")
def host(instance: Callable[[str], Host]) -> Host:
    return instance("kafka-1")


@pytest.fixture(scope="module", autouse=True)
def made(converge: Callable[..., Run]) -> None:
    rehearsed = converge("connect.yml", "--check")
    assert rehearsed.status == 0, rehearsed.text[-3000:]
    run = converge("connect.yml")
    assert run.status == 0, run.text[-3000:]
    again = converge("connect.yml")
    assert (again.status, again.changed) == (0, set())


def log(host: Host, first: int, last: int) -> None:
    """Lines that the shipper brings into the audit log."""
    words = ["log", "log-shipper", "audit", str(first), str(last)]
    host.check_output(f"{PYTHON} -c %s %s %s %s %s %s", BUS, *words)


def numbers(text: str) -> list[int]:
    """Of the records that are whole. A worker that was killed may have left the beginning of one, behind which the next one writes."""
    found = []
    for line in text.splitlines():
        begin = line.rfind('{"v":')
        with contextlib.suppress(ValueError):
            found.append(json.loads(line[max(0, begin) :])["number"])
    return found


def filed(host: Host) -> list[int]:
    """What stands in the files, oldest first."""
    script = f"cd {FILES} && {{ zcat audit-*.jsonl.gz; cat audit-*.jsonl audit.jsonl; }} 2>/dev/null || :"
    return numbers(host.check_output("sh -c %s", script))


def closed(host: Host) -> list[int]:
    """What stands in those that are finished, each line of which is to be whole."""
    lines = host.check_output("sh -c %s", f"zcat {FILES}/audit-*.jsonl.gz").splitlines()
    return [json.loads(line)["number"] for line in lines]


def turn_over(host: Host) -> None:
    """Begin another file, as on another day."""
    host.check_output("touch -d yesterday %s", f"{FILES}/.audit.begun")
    # The names of two of the same second would be the same.
    host.check_output("sh -c %s", "sleep 1; kafka-connect archive")


def has(host: Host, last: int) -> None:
    wait_for(f"line {last} in the files", lambda: set(filed(host)) >= set(range(1, last + 1)), 60, every=2)


def status(host: Host) -> dict[str, object]:
    found: dict[str, object] = json.loads(host.check_output("kafka-connect status"))
    return found


def container(host: Host, name: str = "kafka-1") -> str:
    return host.check_output("docker ps --quiet --filter %s", f"label=bcm.kafka-connect={name}").split()[0]


def test_what_is_in_the_audit_log_is_in_a_file(host: Host) -> None:
    log(host, 1, 500)
    has(host, 500)
    assert filed(host) == list(range(1, 501))
    assert status(host)["ready"], status(host)
    assert host.file(FILES).mode == 0o700
    assert host.check_output("stat --format %%u %s", f"{FILES}/audit.jsonl") == "10002"


def test_its_own_topics_are_kept_three_times(host: Host) -> None:
    for topic in ("connect-configs", "connect-offsets", "connect-status"):
        said = host.check_output("kafka topics --describe --topic %s", topic)
        assert "ReplicationFactor: 3" in said
        assert "min.insync.replicas=2" in said
        assert "cleanup.policy=compact" in said


@pytest.mark.parametrize(("verb", "topic"), [("read", "logs.system"), ("write", "audit"), ("write", "logs.system")])
def test_it_may_do_nothing_else(host: Host, verb: str, topic: str) -> None:
    said = host.run(f"{PYTHON} -c %s %s kafka-connect %s 1 1 20", BUS, verb, topic)
    assert said.rc != 0
    assert "authorization" in said.stderr.lower() or "unknown topic" in said.stderr.lower(), said.stderr


def test_its_rest_is_for_its_own_identity_alone(host: Host) -> None:
    assert json.loads(host.check_output("kafka-connect api GET /connectors </dev/null"))["body"] == ["audit-files"]
    # Nobody listens outside of its container.
    assert host.run("timeout 3 bash -c '</dev/tcp/198.18.70.81/8083'").rc != 0
    # Another one of the same site, by the site's own authority.
    host.check_output("mkdir -p /root/other && cp /etc/bcm/kafka-connect/admin/ca.pem /root/other")
    host.check_output("cp %s /root/other/admin.pem", f"{SECRETS}/tls-log-shipper")
    changed = {**json.loads(host.file(CONFIG).content_string), "admin": "/root/other"}
    host.check_output("sh -c %s", f"echo '{json.dumps(changed)}' > /root/other/config.json")
    said = host.run("BCM_CONNECT_CONFIG=/root/other/config.json kafka-connect api GET /connectors </dev/null")
    assert said.rc == 1
    assert said.stdout == ""


def test_another_day_is_another_file_and_nothing_is_missing_or_twice(host: Host) -> None:
    turn_over(host)
    assert host.run(f"ls {FILES}/audit-*.jsonl.gz").rc == 0
    assert host.run(f"ls {FILES}/audit-*.jsonl").rc != 0
    log(host, 501, 700)
    has(host, 700)
    assert filed(host) == list(range(1, 701))
    assert host.check_output("systemctl is-active bcm-connect-archive.timer") == "active"


def test_a_worker_that_is_killed_goes_on_where_it_was(host: Host) -> None:
    log(host, 701, 900)
    host.check_output("docker kill --signal KILL %s", container(host))
    log(host, 901, 1000)
    wait_for("the worker", lambda: bool(status(host)["ready"]), 180, every=3)
    has(host, 1000)
    twice = [line for line, count in Counter(filed(host)).items() if count > 1]
    # What it had written since it last said how far it was: of what was there a minute before, nothing.
    assert all(line > 500 for line in twice)
    # In a file that is finished each is there once.
    turn_over(host)
    assert sorted(closed(host)) == list(range(1, 1001))


def test_with_a_full_volume_it_waits_and_loses_nothing(host: Host) -> None:
    host.check_output("fallocate --length 900M /srv/connect/filler")
    wait_for("the worker to be held", lambda: "free space" in str(status(host).get("reason")), 120, every=3)
    log(host, 1001, 1200)
    host.check_output("rm /srv/connect/filler")
    wait_for("the worker", lambda: bool(status(host)["ready"]), 180, every=3)
    has(host, 1200)


def test_what_somebody_has_changed_by_hand_is_said_and_mended(host: Host, converge: Callable[..., Run]) -> None:
    host.check_output("kafka-connect api PUT /connectors/audit-files/pause </dev/null")
    wait_for("the pause", lambda: "PAUSED" in str(status(host).get("reason")), 30)
    run = converge("connect.yml")
    assert run.status == 0, run.text[-3000:]
    assert any("do what they are for" in name for _host, name in run.changed), run.changed
    assert status(host)["ready"]


def test_further_connectors_come_and_go(host: Host, converge: Callable[..., Run]) -> None:
    file = {"connector.class": "FileStreamSink", "topics": "audit", "file": "/data/files/other.txt", "tasks.max": "1"}
    # It is refused by Connect itself before anything is made, and in a rehearsal, too.
    wrong = converge(
        "connect.yml", "--check", kafka_connect_connectors=[{"name": "other", "config": {**file, "tasks.max": "no"}}]
    )
    assert wrong.status != 0
    assert "tasks.max" in wrong.text
    wished = json.dumps({**file, "name": "by-hand"})
    host.check_output("echo %s | kafka-connect api PUT /connectors/by-hand/config", wished)
    run = converge("connect.yml")
    assert run.status == 0, run.text[-3000:]
    assert json.loads(host.check_output("kafka-connect api GET /connectors </dev/null"))["body"] == ["audit-files"]


def test_what_cannot_be_is_refused_before_anything_is_made(converge: Callable[..., Run]) -> None:
    run = converge(
        "connect.yml", kafka_connect_memory="64MiB", kafka_connect_archive={"topic": "audit", "file_size": "9GiB"}
    )
    assert run.status != 0
    assert run.changed == set()
    for wrong in ("memory", "volume_size"):
        assert wrong in run.text


def test_what_one_worker_did_another_takes_over(
    host: Host, instance: Callable[[str], Host], converge: Callable[..., Run]
) -> None:
    other = instance("kafka-2")
    run = converge("connect.yml", scenario_workers=["kafka-1", "kafka-2"])
    assert run.status == 0, run.text[-3000:]
    both = [host, other]
    first = next(one for one in both if one.run(f"test -s {FILES}/audit.jsonl").rc == 0)
    second = next(one for one in both if one is not first)
    name = "kafka-1" if first is host else "kafka-2"
    host.check_output("docker service scale --detach %s", f"kafka-connect-{name}=0")
    log(host, 1201, 1300)

    def taken_over() -> bool:
        return set(filed(first) + filed(second)) >= set(range(1, 1301))

    wait_for("the other worker", taken_over, 240, every=5)
    host.check_output("docker service scale --detach %s", f"kafka-connect-{name}=1")
    wait_for("the first worker", lambda: bool(status(first)["ready"]), 180, every=5)


def test_where_fewer_are_declared_the_others_go(
    host: Host, instance: Callable[[str], Host], converge: Callable[..., Run]
) -> None:
    other = instance("kafka-2")
    before = filed(other)
    rehearsed = converge("connect.yml", "--check")
    assert rehearsed.status == 0, rehearsed.text[-3000:]
    assert other.file("/usr/local/sbin/kafka-connect").exists
    run = converge("connect.yml")
    assert run.status == 0, run.text[-3000:]
    for one in (rehearsed, run):
        assert any("Remove those that are declared no more" in name for _host, name in one.changed), one.changed
    assert host.check_output("docker service ls --quiet --filter name=kafka-connect-kafka-2") == ""
    for path in ("/etc/bcm/kafka-connect", "/usr/local/sbin/kafka-connect"):
        assert not other.file(path).exists, path
    assert other.run("systemctl is-active bcm-connect-archive.timer").rc != 0
    assert filed(other) == before
    log(host, 1301, 1400)
    wait_for("the one that is left", lambda: set(filed(host) + before) >= set(range(1, 1401)), 240, every=5)
    again = converge("connect.yml")
    assert (again.status, again.changed) == (0, set())


def test_what_is_taken_away_keeps_its_files(
    host: Host, instance: Callable[[str], Host], converge: Callable[..., Run]
) -> None:
    before = filed(host)
    gone = converge("remove_connect.yml")
    assert gone.status == 0, gone.text[-3000:]
    for name in ("kafka-1", "kafka-2"):
        member = instance(name)
        assert member.check_output("docker ps --all --quiet --filter label=bcm.kafka-connect") == ""
        for path in ("/etc/bcm/kafka-connect", "/usr/local/sbin/kafka-connect"):
            assert not member.file(path).exists, path
        assert member.run("systemctl is-active bcm-connect-archive.timer").rc != 0
    assert host.check_output("docker network ls --quiet --filter name=^kafka-connect$") == ""
    assert filed(host) == before
    again = converge("remove_connect.yml")
    assert (again.status, again.changed) == (0, set())
