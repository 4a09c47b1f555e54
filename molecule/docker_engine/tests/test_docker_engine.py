# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine says of itself, who reaches its containers, and what becomes of them when it stops."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from standing import Run, wait_for
from testinfra.host import Host

IMAGE = "debian:13-slim"
ADDRESS = "198.18.70.30"
# Answers whoever connects.
SERVER = (
    "use IO::Socket::INET; $s = IO::Socket::INET->new(LocalPort => 80, Listen => 5, ReuseAddr => 1) or die;"
    "while ($c = $s->accept) { print $c qq(here\\n); close $c }"
)
# Takes longer to stop than the ten seconds that dockerd would give it.
SLOW = "trap 'sleep 12; echo clean >/data/stopped; exit 0' TERM; echo up >/data/started; while :; do sleep 1; done"


@pytest.fixture(scope="module")
def engine(instance: Callable[[str], Host]) -> Host:
    return instance("docker-engine-1")


@pytest.fixture(scope="module")
def neighbour(instance: Callable[[str], Host]) -> Host:
    return instance("docker-engine-neighbour")


@pytest.fixture(scope="module")
def server(engine: Host) -> str:
    """A container that publishes two ports, of which one was declared."""
    engine.check_output("docker pull --quiet %s", IMAGE)
    publish = "--publish 8080:80 --publish 8081:80"
    run = f"docker run --detach --restart always --name server {publish} %s perl -e %s"
    return engine.check_output(run, IMAGE, SERVER)


def info(engine: Host) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(engine.check_output("docker info --format '{{json .}}'"))
    return said


def hears(host: Host, port: int) -> bool:
    said = host.run("timeout 2 bash -c %s", f"exec 3<>/dev/tcp/{ADDRESS}/{port}; head -1 <&3")
    return said.stdout.strip() == "here"


def test_the_engines_first_start_had_its_configuration(engine: Host) -> None:
    """Debian's package starts it: with settings of its own it would have had to be started anew."""
    said = engine.check_output("journalctl --unit docker.service --output cat").splitlines()
    assert len([line for line in said if line.startswith("Started docker.service")]) == 1
    assert " inet 172.30." in engine.check_output("ip -4 -oneline address show docker0").replace("    ", " ")


def test_the_engine_runs_with_what_was_declared(engine: Host, lab: dict[str, Any]) -> None:
    said = info(engine)
    assert said["Driver"] == "overlay2"
    assert said["CgroupDriver"] == "systemd"
    assert said["LoggingDriver"] == "journald"
    assert "tier=bitcoin" in said["Labels"]
    assert said["HttpProxy"] == said["HttpsProxy"] == "http://198.18.70.39:3128"
    assert said["NoProxy"] == "localhost,127.0.0.0/8,198.18.0.0/24"
    assert [mirror.rstrip("/") for mirror in said["RegistryConfig"]["Mirrors"]] == [
        lab["mirrors"]["registries"]["docker.io"].rstrip("/")
    ]


def test_what_is_published_is_reached_by_whom_it_was_declared_for(engine: Host, neighbour: Host, server: str) -> None:
    wait_for("the server", lambda: hears(neighbour, 8080), 30)
    wait_for("it on its own host", lambda: hears(engine, 8081), 30)
    assert not hears(neighbour, 8081)


def test_what_containers_say_is_in_the_journal(engine: Host, server: str) -> None:
    engine.check_output("docker run --rm --name speaker %s echo told", IMAGE)
    assert engine.check_output("journalctl --output=cat CONTAINER_NAME=speaker") == "told"


def test_another_label_stops_nobody(engine: Host, server: str, converge: Callable[..., Run]) -> None:
    began = engine.check_output("docker inspect --format '{{.State.StartedAt}}' server")
    assert converge(docker_engine_labels={"tier": "kafka"}).failures == []
    labels = info(engine)["Labels"]
    assert "tier=kafka" in labels
    assert "tier=bitcoin" not in labels
    assert engine.check_output("docker inspect --format '{{.State.StartedAt}}' server") == began


def test_who_holds_data_has_the_time_to_stop_and_the_rules_outlive_the_engine(
    engine: Host, neighbour: Host, server: str
) -> None:
    run = "docker run --detach --name data --label bcm.stop-grace=30 --volume /srv/data:/data %s bash -c %s"
    engine.check_output(run, IMAGE, SLOW)
    wait_for("the data service", lambda: engine.file("/srv/data/started").exists, 30)
    # As a Docker leaves it behind that is stopped in the wrong moment, and as somebody else's.
    for name, number in (("vx-001001-abcde", 4097), ("vx-mine", 4098)):
        engine.check_output(f"ip link add {name} type vxlan id {number} dstport 4789")
    engine.check_output("systemctl restart docker.service")
    links = engine.check_output("ls /sys/class/net").split()
    assert "vx-001001-abcde" not in links
    assert "vx-mine" in links
    assert engine.file("/srv/data/stopped").content_string == "clean\n"
    wait_for("the server", lambda: hears(neighbour, 8080), 60)
    assert not hears(neighbour, 8081)


def test_pools_that_hide_the_site(refusal: Callable[..., str]) -> None:
    message = refusal(docker_engine_address_pools=[{"base": "198.18.0.0/16", "size": 24}])
    assert "198.18.0.0/16" in message
    assert "198.18.64.0/20" in message
