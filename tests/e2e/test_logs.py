# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What anything logs is in Kafka within ten seconds, in the right topic and with the right fields, and a person finds it there."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from bus import Bus
from standing import Site, wait_for

WITHIN = 10
# Of each entry of the journal, by what the shipper names it: series and number, which its cursor begins with.
ENTRIES = r"""
import json, re, subprocess, sys
argv = ["journalctl", "--quiet", "--output=json", "--output-fields=_TRANSPORT", f"--since=@{sys.argv[1]}", f"--until=@{sys.argv[2]}"]
for line in subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines():
    series, number = re.match("s=([0-9a-f]+);i=([0-9a-f]+);", json.loads(line)["__CURSOR"]).groups()
    print(f"{series}:{int(number, 16):x}")
"""


def arrived(bus: Bus, since: int, mark: str, count: int) -> list[dict[str, Any]]:
    """So many records with a mark, within the time that they may take."""
    found: list[dict[str, Any]] = []

    def all_there() -> bool:
        found[:] = bus.find(since, mark)
        return len({record["message"] for record in found}) >= count

    wait_for(f"{count} lines", all_there, WITHIN, every=0.2)
    return found


def test_a_line_of_each_instance(site: Site, bus: Bus) -> None:
    since, mark = bus.now(), f"e2e-{time.monotonic_ns()}"
    boots = {}
    for host in site.instances:
        boots[host] = site.ask(host, "cat", "/proc/sys/kernel/random/boot_id").strip().replace("-", "")
        site.ask(host, "logger", "--tag", "greeter", "--priority", "user.warning", f"{mark} of {host}")
    told = {record["host"]: record for record in arrived(bus, since, mark, len(site.instances))}
    assert sorted(told) == site.instances
    for host, record in told.items():
        assert record["message"] == f"{mark} of {host}"
        assert (record["v"], record["site"], record["tier"]) == (1, site.name, site.hostvars[host]["bcm_tier"])
        assert (record["topic"], record["class"], record["priority"]) == ("logs.system", "system", 4)
        assert (record["source"], record["identifier"], record["key"]) == ("greeter", "greeter", f"{host}/greeter")
        assert (record["boot"], record["number"] > 0) == (boots[host], True)


def test_a_login_is_in_the_topic_of_logins(site: Site, bus: Bus) -> None:
    since, mark = bus.now(), f"e2e-{time.monotonic_ns()}"
    site.ask("bitcoin-1", "logger", "--tag", "sshd", "--priority", "authpriv.info", mark)
    (record,) = arrived(bus, since, mark, 1)
    assert (record["topic"], record["class"], record["host"]) == ("audit", "audit", "bitcoin-1")


def test_the_standard_output_of_each_service(site: Site, bus: Bus) -> None:
    """Written by root where the service itself writes, whatever the service is."""
    since, mark = bus.now(), f"e2e-{time.monotonic_ns()}"
    services: dict[str, tuple[str, str]] = {}
    look = '{{.ID}} {{.Label "com.docker.swarm.service.name"}} {{.Label "com.docker.swarm.task.id"}}'
    for host in site.engines:
        for line in site.ask(host, "docker", "ps", "--no-trunc", "--format", look).splitlines():
            container, service, task = (*line.split(), "", "")[:3]
            if service:
                services[service] = (host, task)
                pid = site.ask(host, "docker", "inspect", "--format", "{{.State.Pid}}", container).strip()
                site.ask(host, "sh", "-c", f'echo "{mark} of {service}" > /proc/{pid}/fd/1')
    assert {"bitcoin-bitcoin-1", *(f"kafka-{host}" for host in bus.hosts)} <= set(services)
    told = {record["service"]: record for record in arrived(bus, since, mark, len(services))}
    for service, (host, task) in services.items():
        record = told[service]
        of_bus = service.startswith("kafka-")
        assert record["message"] == f"{mark} of {service}"
        assert (record["host"], record["task"], record["slot"], record["source"]) == (host, task, "1", service)
        assert record["class"] == ("bus" if of_bus else "service")
        assert record["topic"] == ("logs.system" if of_bus else "logs.service")
        assert record["image"]


def test_what_was_asked_of_the_world(site: Site, bus: Bus) -> None:
    since, mark = bus.now(), f"e2e-{time.monotonic_ns()}"
    proxy = f"http://{site.address('proxyhost-1', 'gateway')}:3128"
    site.run("manager-1", "curl", "--silent", "--max-time", "5", "--proxy", proxy, f"http://{mark}.example/")
    record = arrived(bus, since, mark, 1)[0]
    assert (record["host"], record["class"], record["tier"]) == ("proxyhost-1", "system", "proxyhost")
    assert "squid" in record["identifier"]


def test_every_entry_of_every_journal_is_there(site: Site, bus: Bus) -> None:
    """What units, sshd, Docker, registries and all else have logged of late, whatever it was."""
    bus.caught_up(*site.instances)
    until = int(time.time()) - 20
    since = until - 600
    # The clock of a line is journald's own, and it may be read a second later.
    said = [line.split() for line in bus.consume((since - 60) * 1000, "entries", *site.instances)]
    found = {host: {entry for name, entry in said if name == host} for host in site.instances}
    for host in site.instances:
        entered = set(site.ask(host, "python3", "-c", ENTRIES, str(since), str(until)).split())
        print(f"{host}: {len(entered)} entries")
        assert entered <= found[host], f"{len(entered - found[host])} of {len(entered)} of {host} are missing"


def test_a_person_finds_them(site: Site, bus: Bus) -> None:
    since, mark = bus.now(), f"e2e-{time.monotonic_ns()}"
    for host, urgency in (("bitcoin-1", "err"), ("proxyhost-1", "info")):
        site.ask(host, "logger", "--tag", "asker", "--priority", f"user.{urgency}", f"{mark} {urgency}")
    arrived(bus, since, mark, 2)

    def shown(**options: object) -> str:
        run = site.play("playbooks/logs.yml", "-e", json.dumps({"since": "10m", "grep": mark, **options}))
        assert run.status == 0, run.text[-3000:]
        assert run.changed == set()
        return run.text

    # Lines, as a person reads them.
    everything = shown()
    assert re.search(rf"Z bitcoin-1 \S+\[\d+\]: err: {mark} err", everything)
    assert f"{mark} info" in everything
    assert f"{mark} info" not in shown(priority="warning")
    assert f"{mark} err" not in shown(host="proxyhost-*")
    assert f"{mark} err" in shown(host=["bitcoin-1", "manager-1"], service="asker")
    assert "Nothing fits." in shown(host="manager-1")
    assert "Nothing fits." in shown(until="5m")


def test_how_old_the_last_line_of_each_host_is(site: Site) -> None:
    argv = ["bcm-logs", "--latest", "--json", *(f"--host={host}" for host in site.instances)]
    told = [json.loads(line) for line in site.ask("manager-2", *argv).splitlines()]
    assert sorted(one["host"] for one in told) == site.instances
    assert all(0 <= one["age"] < 3600 for one in told), told
