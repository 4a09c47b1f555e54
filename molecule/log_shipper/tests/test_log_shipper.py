# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether every line that entered a journal comes out of Kafka, whoever is killed, paused or full."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standing import Run, restart, wait_for
from testinfra.host import Host

HERE = Path(__file__).parent
CONSUME, WRITE = ((HERE / name).read_text() for name in ("consume.py", "write.py"))
IMAGE = "debian:13-slim"
LINES = 5000
SOURCES = ("first", "second", "third", "fourth")


@pytest.fixture(scope="module")
def one(instance: Callable[[str], Host]) -> Host:
    """It has Docker, and the command that reads."""
    return instance("log-shipper-1")


@pytest.fixture(scope="module")
def machine(instance: Callable[[str], Host]) -> Host:
    """It has a small journal, and no way of its own to the broker."""
    return instance("log-shipper-2")


@pytest.fixture(scope="module")
def broker(instance: Callable[[str], Host]) -> Host:
    return instance("log-shipper-broker")


@pytest.fixture
def paused(broker: Host) -> Iterator[Callable[[], None]]:
    """Kafka stands still, until it is told to go on or the test is over."""
    broker.check_output("systemctl kill --signal=SIGSTOP kafka.service")
    yield lambda: broker.check_output("systemctl kill --signal=SIGCONT kafka.service")
    broker.check_output("systemctl kill --signal=SIGCONT kafka.service")


def logs(one: Host, *options: str) -> list[dict[str, Any]]:
    said = one.check_output("bcm-logs --json --since 1h " + " ".join(["%s"] * len(options)), *options)
    return [json.loads(line) for line in said.splitlines()]


def consumed(one: Host) -> list[dict[str, Any]]:
    return [json.loads(line) for line in one.check_output("python3 -c %s", CONSUME).splitlines()]


def status(host: Host) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(host.run("bcm-shipper status --json").stdout)
    return told


def caught_up(host: Host, seconds: int = 120) -> None:
    wait_for("all of the journal in Kafka", lambda: status(host)["running"] and status(host)["backlog"] == 0, seconds)


def write(host: Host, first: int, last: int, *names: str, length: int = 0) -> None:
    arguments = [WRITE, str(first), str(last), str(length), *names]
    host.check_output("python3 -c " + " ".join(["%s"] * len(arguments)), *arguments)


def check_sources(one: Host, names: tuple[str, ...], last: int) -> int:
    """Every number of every source came, each for the first time after all before it. Returns how many came once more."""
    again = 0
    records = consumed(one)
    for name in names:
        seen: dict[str, int] = {}
        numbers = []
        for record in records:
            if record["host"] != "log-shipper-1" or record["source"] != name or "event" in record:
                continue
            if record["entry"] in seen:
                again += 1
                assert seen[record["entry"]] == record["number"]
                continue
            seen[record["entry"]] = record["number"]
            numbers.append(int(record["message"].split()[0]))
        # Where a file is full as it writes, journald may have a line twice, in that one and in the next: then it is a line of its own.
        kept = one.check_output("journalctl --quiet --output=cat --identifier=%s", name).splitlines()
        assert numbers == [int(line.split()[0]) for line in kept], f"{name}: {len(numbers)} of {len(kept)}"
        assert sorted(set(numbers)) == list(range(1, last + 1)), f"{name}: {len(set(numbers))} of {last}"
        assert list(seen.values()) == list(range(1, len(seen) + 1)), name
    return again


@pytest.mark.parametrize("name", ["log-shipper-1", "log-shipper-2"])
def test_a_line_arrives_within_ten_seconds(one: Host, instance: Callable[[str], Host], name: str) -> None:
    word = f"hello-{time.monotonic_ns()}"
    instance(name).check_output("logger --tag greeter --priority user.warning %s", word)
    wait_for("the line", lambda: bool(logs(one, "--grep", word)), 10)
    (record,) = logs(one, "--grep", word)
    assert (record["site"], record["host"], record["class"]) == ("home", name, "system")
    assert record["tier"] == ("endpoint" if name == "log-shipper-2" else "app")
    assert (record["source"], record["identifier"], record["priority"]) == ("greeter", "greeter", 4)
    assert record["boot"] == instance(name).check_output("cat /proc/sys/kernel/random/boot_id").replace("-", "")


@pytest.mark.parametrize("name", ["log-shipper-1", "log-shipper-2"])
def test_each_says_that_it_is_there_and_how_full(one: Host, name: str) -> None:
    wait_for("its pulse", lambda: bool(logs(one, "--host", name, "-u", "bcm-pulse")), 10)
    assert " % used, " in logs(one, "--host", name, "-u", "bcm-pulse", "--grep", "room / ")[0]["message"]


def test_a_machine_without_a_way_of_its_own(machine: Host) -> None:
    assert machine.run("timeout 2 bash -c 'exec 3<>/dev/tcp/198.18.70.90/9092'").rc != 0
    assert "127.18.70.90 log-shipper-broker.home.bcm.internal" in machine.check_output("cat /etc/hosts")


def test_the_way_is_found_again(one: Host, machine: Host) -> None:
    machine.check_output("systemctl restart inside.service")
    word = f"again-{time.monotonic_ns()}"
    machine.check_output("logger %s", word)
    wait_for("the line", lambda: bool(logs(one, "--grep", word)), 60)


def test_who_came_in_is_in_another_topic(one: Host) -> None:
    word = f"login-{time.monotonic_ns()}"
    one.check_output("logger --tag sshd --priority authpriv.info %s", word)
    wait_for("the line", lambda: bool(logs(one, "--class", "audit", "--grep", word)), 10)
    assert {record["topic"] for record in consumed(one) if word in record["message"]} == {"audit"}


def test_a_container_is_known_by_its_name(one: Host) -> None:
    one.check_output("docker pull --quiet %s", IMAGE)
    one.check_output("docker run --rm --name talker %s sh -c 'echo out; echo err >&2'", IMAGE)
    wait_for("both lines", lambda: len(logs(one, "--service", "talker")) == 2, 10)
    told = {record["message"]: record for record in logs(one, "--service", "talker")}
    assert (told["out"]["priority"], told["err"]["priority"]) == (6, 3)
    assert told["out"]["class"] == "service"
    assert told["out"]["image"].startswith(IMAGE)


def test_a_noisy_container_takes_nothing_from_a_quiet_one(one: Host) -> None:
    """journald would drop what is more than 10000 lines of all containers in half a minute."""
    one.check_output("docker run --rm --detach --name loud %s seq 1 30000", IMAGE)
    one.check_output("docker run --rm --name quiet %s seq 1 2000", IMAGE)
    caught_up(one)

    def came(name: str) -> list[int]:
        return [int(record["message"]) for record in logs(one, "-u", name, "-n", "40000")]

    wait_for("all of the loud one", lambda: len(came("loud")) >= 30000, 60)
    assert came("loud") == list(range(1, 30001))
    assert came("quiet") == list(range(1, 2001))
    assert "Suppressed" not in one.check_output("journalctl --unit systemd-journald --output cat")


def test_a_source_above_its_limit_says_how_much_was_left_out(one: Host) -> None:
    write(one, 1, 1000, "noisy")

    def told() -> list[dict[str, Any]]:
        # The next line of anybody tells it.
        one.check_output("logger tick")
        return logs(one, "-u", "noisy")

    wait_for("all lines, or what is said of them", lambda: sum(one.get("lines", 1) for one in told()) == 1000, 30)
    records = told()
    left_out = sum(record["lines"] for record in records if record.get("event") == "left_out")
    assert left_out >= 700
    assert [record["number"] for record in records] == list(range(1, len(records) + 1))
    assert status(one)["left_out"] == left_out


def test_a_secret_stays_on_its_host(one: Host) -> None:
    mark = f"mark-{time.monotonic_ns()}"
    one.check_output("logger %s", f"{mark} bitcoind -rpcpassword=hunter2 SWMTKN-1-abc-def")
    wait_for("the line", lambda: bool(logs(one, "--grep", mark)), 10)
    (record,) = logs(one, "--grep", mark)
    assert record["message"] == f"{mark} bitcoind -rpcpassword=[redacted] SWMTKN-1-[redacted]"
    assert record["redacted"] == 2


def test_the_shipper_does_not_bring_forth_lines(one: Host) -> None:
    caught_up(one)
    before = status(one)["sent"]
    time.sleep(20)
    assert status(one)["sent"] - before < 20
    caught_up(one)


def test_nothing_is_lost_while_kafka_stands_still_and_the_shipper_is_killed(
    one: Host, paused: Callable[[], None], record_property: Callable[[str, object], None]
) -> None:
    write(one, 1, LINES // 2, *SOURCES)
    one.check_output("systemctl kill --signal=SIGKILL bcm-shipper.service")
    write(one, LINES // 2 + 1, LINES, *SOURCES)
    wait_for("another shipper", lambda: status(one)["running"], 30)
    time.sleep(6)
    told = status(one)
    assert not told["ready"]
    assert "entries are not in Kafka" in told["reason"]
    one.check_output("systemctl kill --signal=SIGKILL bcm-shipper.service")
    paused()
    caught_up(one)
    # Once more, in the midst of it.
    for _time in range(3):
        write(one, 1, 1, "kills")
        one.check_output("systemctl kill --signal=SIGKILL bcm-shipper.service")
        wait_for("another shipper", lambda: status(one)["running"], 30)
    caught_up(one)
    again = check_sources(one, SOURCES, LINES)
    record_property("twice", again)
    print(f"{len(SOURCES) * LINES} lines, {again} of them more than once")
    assert status(one)["lost"] == 0


def test_nothing_is_lost_while_the_broker_is_killed(one: Host, broker: Host) -> None:
    names = tuple(f"{name}-kill" for name in SOURCES)
    write(one, 1, LINES // 2, *names)
    broker.check_output("systemctl kill --signal=SIGKILL kafka.service")
    write(one, LINES // 2 + 1, LINES, *names)
    caught_up(one)
    check_sources(one, names, LINES)


def test_an_orderly_stop_sends_nothing_twice(one: Host) -> None:
    write(one, 1, 500, "orderly")
    one.check_output("systemctl restart bcm-shipper.service")
    write(one, 501, 1000, "orderly")
    caught_up(one)
    assert check_sources(one, ("orderly",), 1000) == 0


def test_what_the_bound_removed_unread_is_counted(one: Host, machine: Host) -> None:
    caught_up(machine)
    machine.check_output("systemctl stop bcm-shipper.service")
    write(machine, 1, 60_000, "flood", length=600)
    told = status(machine)
    assert told["losing"] > 0
    assert "are not in the journal any more" in told["reason"]
    machine.check_output("systemctl start bcm-shipper.service")
    caught_up(machine, 300)
    lost = [
        record
        for record in logs(one, "-H", "log-shipper-2", "-p", "crit", "-n", "100000")
        if record.get("event") == "lost"
    ]
    came = len(logs(one, "-H", "log-shipper-2", "-u", "flood", "-n", "100000"))
    told = status(machine)
    assert told["lost"] == sum(record["lines"] for record in lost)
    # Beside those of the flood, a few of what the machine said of itself.
    assert 0 <= told["lost"] + came - 60_000 < 50
    assert {record["priority"] for record in lost} == {2}
    assert not told["ready"]
    assert "were lost before they were sent" in told["reason"]


def test_a_window_is_found_by_host_service_time_and_priority(one: Host) -> None:
    mark = f"window-{time.monotonic_ns()}"
    one.check_output("logger --tag windows --priority user.err %s", f"{mark} early")
    caught_up(one)
    time.sleep(2)
    between = one.check_output("date --utc '+%Y-%m-%d %H:%M:%S'")
    one.check_output("logger --tag windows --priority user.info %s", f"{mark} late")
    wait_for("both lines", lambda: len(logs(one, "--grep", mark)) == 2, 10)

    def plain(*options: str) -> str:
        asked = " ".join(["%s"] * len(options))
        return one.check_output(f"bcm-logs --grep %s {asked}", mark, *options)

    assert [line.rpartition(" ")[2] for line in plain().splitlines()] == ["early", "late"]
    assert plain("--since", between).rpartition(" ")[2] == "late"
    assert plain("--until", between).rpartition(" ")[2] == "early"
    assert plain("--priority", "warning").rpartition(" ")[2] == "early"
    assert plain("--host", "log-shipper-2") == ""
    assert plain("--service", "window?", "--host", "log-shipper-*").count("\n") == 1


def test_lines_are_followed(one: Host) -> None:
    mark = f"follow-{time.monotonic_ns()}"
    one.check_output(
        "systemd-run --unit=following --property=StandardOutput=truncate:/run/following bcm-logs --follow --grep %s",
        mark,
    )
    wait_for(
        "the line",
        lambda: mark in one.check_output("logger %s; sleep 1; cat /run/following", mark),
        30,
    )
    one.check_output("systemctl stop following.service")


def test_who_ships_may_not_read(one: Host) -> None:
    one.check_output(
        "mkdir -p /root/wrong && cp /etc/bcm/shipper/*.pem /root/wrong && cp /etc/bcm/logs/config.json /root/wrong"
    )
    said = one.run("BCM_LOGS=/root/wrong bcm-logs --since 1h")
    assert said.rc == 1
    assert "uthoriz" in said.stderr


def test_without_a_certificate_nobody_is_heard(one: Host) -> None:
    broker = "log-shipper-broker.home.bcm.internal:9092"
    said = one.run(
        f"timeout 20 openssl s_client -ign_eof -connect {broker} -CAfile /etc/bcm/shipper/authority.pem </dev/null"
    )
    # The authority is known, and the broker ends it.
    assert "Verify return code: 0 (ok)" in said.stdout
    assert "alert" in said.stdout + said.stderr


def test_the_program_may_do_little(one: Host) -> None:
    shown = one.check_output("systemctl show --property=MainPID,User,DynamicUser,NoNewPrivileges bcm-shipper.service")
    facts = dict(line.split("=", 1) for line in shown.splitlines())
    assert (facts["DynamicUser"], facts["NoNewPrivileges"]) == ("yes", "yes")
    assert one.check_output("stat --format %%u /proc/%s", facts["MainPID"]) != "0"
    assert one.check_output("stat --format %a /etc/bcm/shipper/key.pem") == "600"
    assert one.check_output("grep CapEff /proc/%s/status", facts["MainPID"]).split()[1] == "0" * 16


def test_a_host_that_restarts_goes_on_by_itself(one: Host, instance: Callable[[str], Host]) -> None:
    write(one, 1, 1000, "restarted")
    restart("log-shipper-1", "molecule")
    wait_for("the journal", lambda: one.run("test -S /run/systemd/journal/dev-log").rc == 0, 60)
    write(one, 1001, 2000, "restarted")
    caught_up(one)
    check_sources(one, ("restarted",), 2000)
    assert status(one)["lost"] == 0


def test_wrong_input(refusal: Callable[..., str]) -> None:
    said = refusal(
        "--limit=log-shipper-broker:log-shipper-1",
        log_shipper_brokers=["broker"],
        log_shipper_limits=[{"source": "web", "lines": 1, "seconds": 0}],
        log_shipper_journal_size="much",
        log_shipper_pulse=3,
    )
    for words in (
        "log_shipper_brokers has broker, which is not NAME:PORT",
        "log_shipper_limits has an interval of less than a second for web",
        "log_shipper_journal_size is much, and not a number with K, M, G or T behind it",
        "log_shipper_pulse is 3, and neither 0 nor at least 10",
    ):
        assert words in said


def test_a_new_certificate_loses_nothing(one: Host, converge: Callable[..., Run]) -> None:
    write(one, 1, 500, "renewed")
    again = converge("converge.yml", site_ca_certificate_days=800, site_ca_renew_days=500)
    assert again.status == 0, again.text[-3000:]
    assert ("log-shipper-1", "bcm.datacenter.log_shipper : It runs now and at each boot") in again.changed
    write(one, 501, 1000, "renewed")
    caught_up(one)
    check_sources(one, ("renewed",), 1000)


def test_what_is_taken_away_goes_on_from_there(one: Host, machine: Host, converge: Callable[..., Run]) -> None:
    write(one, 1, 500, "away")
    caught_up(one)
    # Another site's is left alone.
    other = converge("remove.yml", "--limit=log-shipper-1", scenario_site="other")
    assert other.status == 0, other.text[-3000:]
    assert one.run("systemctl is-active bcm-shipper.service").rc == 0
    gone = converge("remove.yml")
    assert gone.status == 0, gone.text[-3000:]
    for host in (one, machine):
        assert not host.file("/etc/bcm/shipper").exists
        for unit in ("bcm-shipper.service", "bcm-pulse.service"):
            assert host.run(f"systemctl is-active {unit}").rc != 0
    assert not one.file("/etc/bcm/logs").exists
    assert "Kafka of site home" not in machine.check_output("cat /etc/hosts")
    again = converge("remove.yml")
    assert (again.status, again.changed) == (0, set())

    write(one, 501, 1000, "away")
    back = converge("converge.yml")
    assert back.status == 0, back.text[-3000:]
    caught_up(one)
    assert check_sources(one, ("away",), 1000) == 0
