# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of the bus over time: certificates that come to their end, what stands beside it and does not any more, and a site that is
to have it no more, and again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from bus import Bus, Unit
from standing import Site, declaration, lxc, play, wait_for

LINES = 20_000
A_SECOND = 80


def serial(site: Site, host: str) -> str:
    """Of the certificate that a broker shows to those who come."""
    name = f"{host}.{site.hostvars[host]['bcm_domain']}:9092"
    show = f"openssl s_client -connect {name} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    return site.ask("manager-2", "sh", "-c", show).strip()


def test_a_certificate_is_told_of_in_time_and_issued_anew_without_loss(site: Site, bus: Bus, tmp_path: Path) -> None:
    """One of a broker and that of the shippers, of whoever administrates and of who reads logs, with few days left, beside those of the others."""
    renewed = (
        "tls-kafka-manager-1",
        *(f"tls-kafka-{name}" for name in ("admin", "client-log-shipper", "client-log-reader")),
    )
    since = bus.now()
    unit = Unit(site, "bitcoin-1", "e2e-renewal")
    unit.begin(1, LINES, LINES / A_SECOND)
    first = serial(site, "manager-1")
    # As if they had never been issued: now it is for ten days.
    made = site.store / ".made"
    made.write_text("".join(f"{name}\n" for name in made.read_text().split() if name not in renewed))
    for name in renewed:
        (site.store / name).unlink()
    short = ("-e", json.dumps({"site_ca_certificate_days": 10, "site_ca_renew_days": 5}))
    for playbook in ("playbooks/bus.yml", "playbooks/shipping.yml"):
        run = site.play(playbook, *short)
        assert run.status == 0, run.text[-3000:]
    second = serial(site, "manager-1")
    assert second != first
    wrong = {
        (part["host"], part["part"]): part["cause"] for part in site.verify(tmp_path)["parts"] if not part["works"]
    }
    assert "ends in" in wrong.pop(("manager-1", "Certificate of manager-1 of Kafka"))
    for host in site.tier("manager"):
        assert "certificate.pem ends in" in wrong.pop((host, "Certificate of who reads logs"))
    for host in bus.hosts:
        assert "admin.pem ends in" in wrong.pop((host, "Certificate of Kafka's administrator"))
    assert wrong.keys() == {(host, "Logs on their way to Kafka") for host in site.instances}
    assert all("its certificate ends in" in cause for cause in wrong.values())

    # The usual run, before they have come to their end.
    for playbook in ("playbooks/bus.yml", "playbooks/shipping.yml"):
        run = site.play(playbook)
        assert run.status == 0, run.text[-3000:]
    assert serial(site, "manager-1") not in (first, second)
    assert site.verify(tmp_path)["works"]
    wait_for(f"end of {unit.key}", unit.ended, 600, every=2)
    bus.caught_up("bitcoin-1")
    again = bus.check(since, LINES, unit)
    print(f"{LINES} lines, {again} of them more than once")


CONNECT = "kafka-connect-manager-1"
FILES = "/srv/connect/files"


def services(site: Site) -> list[str]:
    return site.ask("manager-1", "docker", "service", "ls", "--format", "{{.Name}}").split()


def filed(site: Site, words: str) -> list[str]:
    """The lines of the audit log's files that have these words in them."""
    script = 'zcat --force "$1"/audit*.jsonl* | grep --fixed-strings "$2"'
    return site.run("manager-1", "sh", "-c", script, "sh", FILES, words).stdout.splitlines()


@pytest.fixture
def without_connect(site: Site) -> Iterator[None]:
    """Afterwards nothing is left of what a run leaves that takes it away: volume, topics and secrets."""
    secrets = site.secrets()
    yield
    lxc("config", "device", "remove", "manager-1", "connect", project=site.project, check=False)
    pool = site.hostvars["manager-1"]["bcm_pool"]["name"]
    lxc("storage", "volume", "delete", pool, "manager-1-connect", project=site.project, check=False)
    for topic in ("connect-configs", "connect-offsets", "connect-status"):
        site.run("manager-1", "kafka", "topics", "--delete", "--topic", topic)
    for name in site.secrets().keys() - secrets.keys():
        (site.store / name).unlink()


@pytest.mark.usefixtures("whole", "without_connect")
def test_the_audit_log_becomes_files_where_that_is_declared(site: Site, bus: Bus, tmp_path: Path) -> None:
    inventory = declaration(
        tmp_path, **{"  kafka": "  kafka: {volume_size: 8GiB}\n  connect: {volume_size: 1GiB, archive: {keep: 30d}}"}
    )
    who = f"e2e connect {bus.now()}"
    rehearsed = play("playbooks/site.yml", "--check", inventory=inventory)
    assert rehearsed.status == 0, rehearsed.text[-3000:]
    assert CONNECT not in services(site)
    try:
        run = play("playbooks/site.yml", inventory=inventory, env={"BCM_AUDIT_WHO": who})
        assert run.status == 0, run.text[-3000:]
        declared = Site.read(inventory)
        assert declared.groups["connect_nodes"] == ["manager-1"]
        assert CONNECT in services(site)

        # What the run itself has left in the journal of a manager.
        line = wait_for("the run in the file", lambda: filed(site, who), 180, every=3)[0]
        record = json.loads(line)
        assert (record["class"], record["site"]) == ("audit", site.name)
        told = json.loads(record["message"])
        assert (told["event"], told["who"], told["playbook"]) == ("ansible-run", who, "site.yml")

        report = declared.verify(tmp_path)
        assert report["works"], report["broken"]
        parts = [part["part"] for part in report["parts"] if part["host"] == "manager-1"]
        for beginning in (
            "Kafka Connect (1 connector; ",
            "Certificate of Kafka Connect for Kafka",
            "Certificate of who asks Kafka Connect",
            "Files of the audit log",
        ):
            assert any(part.startswith(beginning) for part in parts), parts
        everywhere = [part["part"] for part in report["parts"]]
        assert any(part.startswith("Files of the audit log, from audit (") for part in everywhere), everywhere

        again = declared.play("playbooks/site.yml")
        assert (again.status, again.changed) == (0, set()), again.text[-2000:]
    finally:
        back = site.play("playbooks/site.yml")
    assert back.status == 0, back.text[-3000:]
    # It is named, and stays.
    assert "manager-1-connect" in back.text
    assert filed(site, who)
    assert CONNECT not in services(site)
    for path in ("/etc/bcm/kafka-connect", "/usr/local/sbin/kafka-connect"):
        assert site.run("manager-1", "test", "-e", path).returncode == 1
    assert site.run("manager-1", "systemctl", "is-active", "bcm-connect-archive.timer").returncode != 0
    bus.whole()
    assert site.verify(tmp_path)["works"]
    once_more = site.play("playbooks/site.yml")
    assert (once_more.status, once_more.changed) == (0, set()), once_more.text[-2000:]


@pytest.mark.usefixtures("whole")
def test_a_site_has_it_no_more_and_again(site: Site, bus: Bus, tmp_path: Path) -> None:
    since = bus.now()
    unit = Unit(site, "bitcoin-1", "e2e-off")
    unit.begin(1, 1000, 1)
    wait_for(f"end of {unit.key}", unit.ended, 60)
    bus.caught_up("bitcoin-1")
    secrets = site.secrets()

    inventory = declaration(tmp_path, **{"  kafka": "  kafka: {enabled: false}"})
    rehearsed = play("playbooks/site.yml", "--check", inventory=inventory)
    off = play("playbooks/site.yml", inventory=inventory)
    try:
        assert (rehearsed.status, off.status) == (0, 0), rehearsed.text[-2000:] + off.text[-2000:]
        for host in bus.hosts:
            assert f"{host}-kafka" in off.text
            assert site.ask(host, "docker", "ps", "--all", "--quiet", "--filter", "label=bcm.kafka") == ""
            assert site.run(host, "test", "-e", "/etc/bcm/kafka").returncode == 1
        # In good order, but for the last one, which nobody is left to say so to: it is ended when its time is over.
        for host in bus.hosts[:-1]:
            site.ask(host, "test", "-e", f"/srv/kafka/{host}/log/.kafka_cleanshutdown")
        for host in site.instances:
            for name in ("bcm-shipper", "bcm-pulse", "bcm-alerts"):
                assert site.run(host, "systemctl", "is-active", name).returncode != 0
            for folder in ("shipper", "alerts"):
                assert site.run(host, "test", "-e", f"/etc/bcm/{folder}").returncode == 1
        assert not [name for name in services(site) if name.startswith("kafka-")]
        again = play("playbooks/site.yml", inventory=inventory)
        assert (again.status, again.changed) == (0, set())
        unit.begin(1001, 2000, 1)
        wait_for(f"end of {unit.key}", unit.ended, 60)
    finally:
        back = site.play("playbooks/site.yml")
    assert back.status == 0, back.text[-3000:]
    assert site.secrets() == secrets
    bus.whole()
    bus.caught_up("bitcoin-1")
    assert bus.check(since, 2000, unit) == 0
    assert site.verify(tmp_path)["works"]
