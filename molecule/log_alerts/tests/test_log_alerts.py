# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what goes wrong is told once, whoever is killed meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standing import Run, wait_for
from testinfra.host import Host

WRITE_AS = (Path(__file__).parent / "write_as.py").read_text()
IMAGE = "debian:13-slim"
WATCHERS = ("log-alerts-1", "log-alerts-2")


@pytest.fixture(scope="module")
def one(instance: Callable[[str], Host]) -> Host:
    return instance("log-alerts-1")


@pytest.fixture(scope="module")
def two(instance: Callable[[str], Host]) -> Host:
    return instance("log-alerts-2")


@pytest.fixture(scope="module")
def broker(instance: Callable[[str], Host]) -> Host:
    return instance("log-alerts-broker")


@pytest.fixture
def paused(broker: Host) -> Iterator[Callable[[], None]]:
    """Kafka stands still, until it is told to go on or the test is over."""
    broker.check_output("systemctl kill --signal=SIGSTOP kafka.service")
    yield lambda: broker.check_output("systemctl kill --signal=SIGCONT kafka.service")
    broker.check_output("systemctl kill --signal=SIGCONT kafka.service")


def told(host: Host, command: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in host.check_output(f"bcm-alerts {command} --json").splitlines()]


def open_alerts(host: Host) -> list[str]:
    return [one["alert"] for one in told(host, "open")]


def history(host: Host, alert: str) -> list[str]:
    return [one["state"] for one in told(host, "history 1") if one["alert"] == alert]


def status(host: Host) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(host.run("bcm-alerts status --json").stdout)
    return said


def working(instance: Callable[[str], Host]) -> tuple[Host, Host]:
    """Who works, and who waits."""
    found: list[str] = []

    def known() -> bool:
        roles = {name: status(instance(name))["role"] for name in WATCHERS}
        found[:] = sorted(roles, key=lambda name: roles[name] != "works")
        return sorted(roles.values()) == ["waits", "works"]

    wait_for("one that works and one that waits", known, 90)
    return instance(found[0]), instance(found[1])


def say(host: Host, message: str, *options: str) -> None:
    host.check_output("logger " + " ".join(["%s"] * len(options)) + " %s", *options, message)


def raised(host: Host, alert: str, seconds: int = 10) -> None:
    wait_for(f"the alert {alert}", lambda: alert in open_alerts(host), seconds)


def resolved(host: Host, alert: str, seconds: int = 60) -> None:
    wait_for(f"the end of {alert}", lambda: alert not in open_alerts(host), seconds)


def test_one_works_and_the_other_one_waits(instance: Callable[[str], Host]) -> None:
    works, waits = working(instance)
    assert status(works)["ready"], status(works)["reason"]
    assert status(waits)["note"] == "waits, another manager looks for them"


def test_a_line_becomes_an_alert_once(one: Host) -> None:
    say(one, "wrong apple")
    raised(one, "mine/log-alerts-1/apple")
    for _again in range(3):
        say(one, "wrong apple")
    say(one, "wrong pear")
    raised(one, "mine/log-alerts-1/pear")
    assert history(one, "mine/log-alerts-1/apple") == ["raised"]
    found = {alert["alert"]: alert for alert in told(one, "open")}
    assert found["mine/log-alerts-1/apple"]["text"] == "log-alerts-1, apple: it went wrong"
    say(one, "all is right")
    resolved(one, "mine/log-alerts-1/apple", 10)
    resolved(one, "mine/log-alerts-1/pear", 10)
    assert history(one, "mine/log-alerts-1/apple") == ["raised", "resolved"]


def test_verify_is_told_in_plain_words(instance: Callable[[str], Host], one: Host) -> None:
    works, _waits = working(instance)
    say(one, "wrong plum")
    raised(one, "mine/log-alerts-1/plum")
    wait_for("what is said of it", lambda: not status(works)["ready"], 10)
    assert status(works)["reason"].startswith("log-alerts-1, plum: it went wrong (since ")
    say(one, "all is right")
    wait_for("what is said of it", lambda: status(works)["ready"], 10)


def test_a_unit_that_starts_again_and_again(two: Host) -> None:
    two.check_output(
        "systemd-run --unit=restless --property=Restart=always --property=RestartSec=200ms --property=StartLimitIntervalSec=0 sleep 0.2"
    )
    raised(two, "unit-restarts/log-alerts-2/restless.service", 30)
    two.check_output("systemctl stop restless.service")
    resolved(two, "unit-restarts/log-alerts-2/restless.service")


def test_logins_that_are_refused(one: Host) -> None:
    for number in range(3):
        say(
            one,
            f"Failed password for root from 192.0.2.7 port {number} ssh2",
            "--tag=sshd-session",
            "--priority=authpriv.info",
        )
    raised(one, "login-refused/log-alerts-1")
    resolved(one, "login-refused/log-alerts-1")


def test_a_disk_that_is_nearly_full(one: Host) -> None:
    """How full it is says the pulse, which is there; here somebody else says more."""
    assert " % used, " in one.check_output("journalctl --unit bcm-pulse --output cat --lines 1")
    say(one, "room /srv 97 % used, 3 MiB left", "--tag=bcm-pulse")
    raised(one, "disk-nearly-full/log-alerts-1//srv")
    say(one, "room /srv 50 % used, 30 MiB left", "--tag=bcm-pulse")
    resolved(one, "disk-nearly-full/log-alerts-1//srv", 10)


def test_tor_does_not_get_through(one: Host) -> None:
    say(one, "Problem bootstrapping. Stuck at 5% (conn): Connecting to a relay.", "--tag=Tor")
    raised(one, "tor-trouble/log-alerts-1")
    say(one, "Bootstrapped 100% (done): Done", "--tag=Tor")
    resolved(one, "tor-trouble/log-alerts-1", 10)


def test_what_containers_say(one: Host) -> None:
    one.check_output("docker pull --quiet %s", IMAGE)
    talk = "docker run --rm --name bitcoin-1 %s echo %s"
    one.check_output(talk, IMAGE, "2026-11-29T18:30:00Z [*] UpdateTip: new best")
    raised(one, "bitcoin-log-limit/log-alerts-1/bitcoin-1")
    one.check_output(talk, IMAGE, ": Corrupted block database detected.")
    raised(one, "bitcoin-corrupt/log-alerts-1/bitcoin-1")
    # That was the second of them.
    for _again in range(2):
        one.check_output(talk, IMAGE, "hello")
    raised(one, "service-restarts/log-alerts-1/bitcoin-1")


def test_who_is_killed_is_replaced_and_nothing_is_told_twice(
    instance: Callable[[str], Host], one: Host, record_property: Callable[[str, object], None]
) -> None:
    works, waits = working(instance)
    say(one, "wrong first")
    raised(one, "mine/log-alerts-1/first")
    works.check_output("systemctl kill --signal=SIGKILL bcm-alerts.service; systemctl stop bcm-alerts.service")
    say(one, "wrong first")
    say(one, "wrong second")
    began = time.monotonic()
    raised(waits, "mine/log-alerts-1/second", 90)
    record_property("seconds", round(time.monotonic() - began, 1))
    works.check_output("systemctl start bcm-alerts.service")
    say(one, "wrong third")
    raised(waits, "mine/log-alerts-1/third")
    for word in ("first", "second", "third"):
        assert history(one, f"mine/log-alerts-1/{word}") == ["raised"]
    working(instance)
    assert status(waits)["role"] == "works"


def test_both_are_killed_again_and_again(instance: Callable[[str], Host], one: Host) -> None:
    words = [f"word{number}" for number in range(12)]
    for number, word in enumerate(words):
        say(one, f"wrong {word}")
        for name in WATCHERS if number % 2 else WATCHERS[:1]:
            instance(name).check_output("systemctl kill --signal=SIGKILL bcm-alerts.service")
        time.sleep(number % 3)
    for word in words:
        raised(one, f"mine/log-alerts-1/{word}", 120)
        assert history(one, f"mine/log-alerts-1/{word}") == ["raised"]
    say(one, "all is right")
    for word in words:
        resolved(one, f"mine/log-alerts-1/{word}", 60)
        assert history(one, f"mine/log-alerts-1/{word}") == ["raised", "resolved"]


def test_while_kafka_stands_still(instance: Callable[[str], Host], one: Host, paused: Callable[[], None]) -> None:
    """It is said, nothing is lost, and nobody is taken for silent."""
    say(one, "wrong pause")
    wait_for("what is said of it", lambda: not any(status(instance(name))["ready"] for name in WATCHERS), 150)
    paused()
    raised(one, "mine/log-alerts-1/pause", 120)
    working(instance)
    assert not [alert for alert in open_alerts(one) if alert.startswith("silent-host")]
    assert history(one, "silent-host/log-alerts-1") == history(one, "silent-host/log-alerts-2") == []


def test_a_host_that_is_silent(one: Host, two: Host) -> None:
    two.check_output("systemctl stop bcm-shipper.service")
    raised(one, "silent-host/log-alerts-2", 100)
    assert "silent-host/log-alerts-1" not in open_alerts(one)
    two.check_output("systemctl start bcm-shipper.service")
    resolved(one, "silent-host/log-alerts-2", 30)
    assert history(one, "silent-host/log-alerts-2") == ["raised", "resolved"]


@pytest.mark.parametrize(
    ("directory", "topic", "said"),
    [
        ("/etc/bcm/alerts", "alerts", "written"),
        ("/etc/bcm/alerts", "logs.system", "uthoriz"),
        ("/etc/bcm/alerts", "audit", "uthoriz"),
        ("/etc/bcm/shipper", "alerts", "uthoriz"),
        ("/etc/bcm/shipper", "alerts.state", "uthoriz"),
    ],
)
def test_who_may_write_what(two: Host, directory: str, topic: str, said: str) -> None:
    assert said in two.check_output("python3 -c %s %s %s", WRITE_AS, directory, topic)


def test_what_it_may_use(instance: Callable[[str], Host]) -> None:
    works, _waits = working(instance)
    shown = works.check_output(
        "systemctl show --property=MainPID,DynamicUser,NoNewPrivileges,MemoryMax bcm-alerts.service"
    )
    facts = dict(line.split("=", 1) for line in shown.splitlines())
    assert (facts["DynamicUser"], facts["NoNewPrivileges"]) == ("yes", "yes")
    assert works.check_output("stat --format %%u /proc/%s", facts["MainPID"]) != "0"
    assert works.check_output("grep CapEff /proc/%s/status", facts["MainPID"]).split()[1] == "0" * 16
    assert works.check_output("stat --format %a /etc/bcm/alerts/key.pem") == "600"
    assert int(facts["MemoryMax"]) == 256 << 20
    assert int(works.check_output("awk '/VmRSS/ {print $2}' /proc/%s/status", facts["MainPID"])) < 150 << 10
    assert int(works.check_output("awk '/Threads/ {print $2}' /proc/%s/status", facts["MainPID"])) < 50


def test_wrong_input(refusal: Callable[..., str]) -> None:
    said = refusal(
        "--limit=log-alerts-broker:log-alerts-2",
        log_alerts_rules={"mine": {"text": "x", "pattern": "("}, "silent-host": {"within": "3s"}},
    )
    for words in (
        "rules.mine.pattern = (: cannot be read",
        "rules.silent-host.within = 3s: is too short for a silence",
    ):
        assert words in said
    said = refusal("--limit=log-alerts-broker:log-alerts-2", log_alerts_brokers=["broker"], log_alerts_memory="much")
    for words in (
        "log_alerts_brokers has broker, which is not NAME:PORT",
        "log_alerts_memory is much, and not a number",
    ):
        assert words in said


def test_a_rule_that_is_there_no_more(instance: Callable[[str], Host], one: Host, converge: Callable[..., Run]) -> None:
    say(one, "wrong grape")
    raised(one, "mine/log-alerts-1/grape")
    run = converge(
        "converge.yml", log_alerts_rules={"silent-host": {"within": "60s"}, "host-restarts": {"enabled": False}}
    )
    assert run.status == 0, run.text[-3000:]
    working(instance)
    wait_for("its end", lambda: history(one, "mine/log-alerts-1/grape")[-1:] == ["resolved"], 30)
    (last,) = [alert for alert in told(one, "history 1") if alert["alert"] == "mine/log-alerts-1/grape"][-1:]
    assert last["reason"] == "there is no such rule any more"


def test_nobody_wants_it(one: Host, two: Host, converge: Callable[..., Run]) -> None:
    run = converge("converge.yml", log_alerts_enabled=False)
    assert run.status == 0, run.text[-3000:]
    for host in (one, two):
        assert not host.service("bcm-alerts.service").is_running
        assert not host.service("bcm-alerts.service").is_enabled
    assert not converge("converge.yml", log_alerts_enabled=False).changed


def test_it_is_taken_away(one: Host, two: Host, instance: Callable[[str], Host], converge: Callable[..., Run]) -> None:
    """Of this site, with its key; its memory is in Kafka, and whoever looks again goes on."""
    back = converge("converge.yml")
    assert back.status == 0, back.text[-3000:]
    working(instance)
    other = converge("remove.yml", scenario_site="other")
    assert (other.status, other.changed) == (0, set()), other.text[-3000:]
    gone = converge("remove.yml")
    assert gone.status == 0, gone.text[-3000:]
    for host in (one, two):
        assert not host.file("/etc/bcm/alerts").exists
        assert host.run("systemctl is-active bcm-alerts.service").rc != 0
    assert not converge("remove.yml").changed
