# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site whose making is killed again and again: each run goes on from what the one before it left."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest
from interruption import Point, play_and_kill
from standing import Site, lxc


def is_publishing(site: Site) -> bool:
    # It may be over between two looks.
    if json.loads(lxc("image", "list", "bcm-golden", "--format=json", project=site.project)):
        return True
    # Where there is none, nothing is said at all.
    operations = json.loads(lxc("query", f"/1.0/operations?recursion=1&project={site.project}") or "{}")
    return any("image" in operation["description"] for operation in operations.get("running", []))


def is_making_managers(site: Site) -> bool:
    return any(name in site.running() for name in site.tier("manager"))


# Another seed kills at other moments of the same tasks.
SEED = int(os.environ.get("BCM_E2E_SEED", "2009"))
POINTS = [
    Point("authority-kept", None, "Keep the authority", 0.6),
    Point("image-published", None, "Publish it", 2, sign=is_publishing),
    Point("instances-made", "The instances that run Docker", "Instances", 4, sign=is_making_managers),
    Point("docker-configured", None, "Configuration, stop of data services, rules for published ports", 1.5),
    Point("managers-joined", "The Swarm", "Managers join, one after the other", 5),
    Point("image-pushed", "The image of the node", "Put the image into the registry", 5),
    Point("passwords-made", "The nodes", "Have the passwords of the RPC users", 0.6),
    Point("service-made", "The nodes", "Have the node's service", 3),
]
# A run of all tests leaves them out, `tests/run soak kills` does not: by then the same is known of their neighbours.
if "BCM_BRIEF" in os.environ:
    POINTS = [point for point in POINTS if point.name in ("instances-made", "service-made")]
_chance = random.Random(SEED)  # noqa: S311 - no secret comes of it
KILLS = [(point, round(_chance.uniform(0, point.within), 2)) for point in POINTS]


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    """Every secret that any of the runs has left, as it was when it was seen first."""
    return {}


@pytest.mark.parametrize(("point", "delay"), KILLS, ids=[f"{point.name}+{delay}s" for point, delay in KILLS])
def test_killed(second: Site, secrets: dict[str, str], tmp_path: Path, point: Point, delay: float) -> None:
    killed = play_and_kill(second, "playbooks/site.yml", point=point, delay=delay, directory=tmp_path)
    state = "over" if killed.over else "under way"
    print(f"seed {SEED}: {killed.processes} processes killed after {delay} s, {state}, {killed.results}")
    assert killed.reached, f"the run did not come to {point.task}: {killed.text[-3000:]}"
    assert killed.hit, f"{point.task} had nothing to do on any host"
    for name, digest in second.secrets().items():
        assert secrets.setdefault(name, digest) == digest, f"secret {name} was made twice"


def test_the_next_run_finishes(second: Site, secrets: dict[str, str]) -> None:
    run = second.play("playbooks/site.yml")
    assert run.status == 0, run.text[-3000:]
    now = second.secrets()
    assert {name: now.get(name) for name in secrets} == secrets, "a secret was made twice"


def test_the_one_after_it_changes_nothing_and_all_works(second: Site) -> None:
    run = second.play("playbooks/site.yml")
    assert run.status == 0, run.text[-3000:]
    assert not run.changed


def test_nothing_is_there_twice(second: Site) -> None:
    assert sorted(second.running()) == second.instances
    assert all(second.running().values())

    images = json.loads(lxc("image", "list", "--format", "json", project=second.project))
    made = [image for image in images if not image["cached"]]
    assert [[alias["name"] for alias in image["aliases"]] for image in made] == [["bcm-golden"]]

    volumes = json.loads(lxc("storage", "volume", "list", second.project, "--format", "json", project=second.project))
    custom = sorted(volume["name"] for volume in volumes if volume["type"] == "custom")
    assert custom == ["bitcoin-1-bitcoin", "manager-1-registry"]

    manager = second.tier("manager")[0]
    nodes = [json.loads(line) for line in second.ask(manager, "docker", "node", "ls", "--format", "json").splitlines()]
    assert sorted(node["Hostname"] for node in nodes) == second.engines
    assert {node["Status"] for node in nodes} == {"Ready"}
    assert Counter(bool(node["ManagerStatus"]) for node in nodes) == {True: 3, False: 1}

    services = second.ask(manager, "docker", "service", "ls", "--format", "{{.Name}} {{.Replicas}}").splitlines()
    assert services == ["bitcoin-bitcoin-1 1/1"]
    networks = second.ask(
        manager, "docker", "network", "ls", "--filter", "scope=swarm", "--format", "{{.Name}}"
    ).split()
    assert sorted(networks) == ["bitcoin", "ingress"]


def test_nothing_is_left_half_written(second: Site) -> None:
    left = [path.name for path in second.store.iterdir() if path.name.startswith(".new-")]
    assert left == []
    for instance in second.instances:
        search = ["find", "/etc", "/usr/local", "/srv", "/var/lib/bcm", "/var/cache/bcm", "-xdev"]
        names = ["(", "-name", ".ansible-*", "-o", "-name", ".part-*", ")"]
        # A directory that an instance has no use for is no finding.
        assert second.run(instance, *search, *names).stdout.split() == [], instance
