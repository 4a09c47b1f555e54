# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is in the Swarm, who is kept out of it, and what heals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from standing import Run, lxc, wait_for
from testinfra.host import Host

STANDS = ["swarm-1 Ready Active Leader", "swarm-2 Ready Active"]
WATCH = "bcm-swarm-sessions"
WATCH_UNIT = f"/etc/systemd/system/{WATCH}.service"
WATCH_PROGRAM = f"/usr/local/lib/bcm/{WATCH}"
# How Docker's tokens for a Swarm and keys of one begin.
TOKEN = "SWM" + "TKN-"
KEY = "SWM" + "KEY-"


@pytest.fixture(scope="module")
def manager(instance: Callable[[str], Host]) -> Host:
    return instance("swarm-1")


@pytest.fixture(scope="module")
def nodes(manager: Host) -> Callable[[], list[str]]:
    """The nodes as the Swarm lists them: name, state, whether it takes work, whether it leads."""

    def listed() -> list[str]:
        form = "{{.Hostname}} {{.Status}} {{.Availability}} {{.ManagerStatus}}"
        return sorted(line.strip() for line in manager.check_output("docker node ls --format %s", form).splitlines())

    return listed


def swarm_says(host: Host, what: str) -> str:
    """What the engine of a host says of its Swarm."""
    return host.check_output("docker info --format %s", f"{{{{.Swarm.{what}}}}}")


def purpose(manager: Host) -> str:
    return manager.check_output("docker node inspect --format %s swarm-2", "{{.Spec.Labels.purpose}}")


def test_two_hosts_are_one_swarm(manager: Host, nodes: Callable[[], list[str]]) -> None:
    wait_for("the two of them", lambda: nodes() == STANDS, 90)
    assert purpose(manager) == "working"
    shared = manager.check_output("docker network inspect --format %s shared", "{{.Driver}} {{.Scope}} {{.Attachable}}")
    assert shared == "overlay swarm false"


def test_a_manager_watches_over_lost_nodes_and_a_worker_does_not(
    manager: Host, instance: Callable[[str], Host]
) -> None:
    assert (manager.service(WATCH).is_running, manager.service(WATCH).is_enabled) == (True, True)
    assert not instance("swarm-2").file(WATCH_UNIT).exists
    # Whoever is not lost is not spoken of. On a slow machine the worker may have been, for a moment.
    said = manager.check_output("journalctl --quiet --unit=%s --output=cat _TRANSPORT=stdout", WATCH)
    assert [line for line in said.splitlines() if not line.startswith("swarm-2 was down while connected from ")] == []


def test_a_worker_alone_is_looked_after_by_way_of_its_manager(
    manager: Host, instance: Callable[[str], Host], converge: Callable[..., Run], tmp_path: Path
) -> None:
    # It was a manager once.
    worker = instance("swarm-2")
    for path in (WATCH_UNIT, WATCH_PROGRAM):
        (tmp_path / "copy").write_bytes(manager.file(path).content)
        lxc("file", "push", "--mode=0755", str(tmp_path / "copy"), f"swarm-2{path}", project="molecule")
    worker.check_output("systemctl enable --now %s", WATCH)

    run = converge("converge.yml", "--limit=swarm-2", swarm_labels={"purpose": "resting"})
    assert run.status == 0, run.text[-3000:]
    assert {host for host, _task in run.changed} == {"swarm-2"}
    assert purpose(manager) == "resting"
    assert not worker.service(WATCH).is_running
    assert [path for path in (WATCH_UNIT, WATCH_PROGRAM) if worker.file(path).exists] == []


def test_who_is_in_another_swarm_is_left_there(
    refusal: Callable[..., str], instance: Callable[[str], Host], nodes: Callable[[], list[str]]
) -> None:
    stranger = instance("swarm-3")
    own = swarm_says(stranger, "Cluster.ID")
    words = refusal(scenario_all=True)
    assert f"swarm-3: belongs to another Swarm ({own})" in words
    assert "Nothing was changed" in words
    assert swarm_says(stranger, "Cluster.ID") == own
    wait_for("the two of them", lambda: nodes() == STANDS, 90)


def test_an_even_number_of_managers_is_refused(refusal: Callable[..., str]) -> None:
    assert "an odd number is needed" in refusal(swarm_managers=["swarm-1", "swarm-2"])


def test_a_locked_manager_and_a_host_made_anew(
    manager: Host, converge: Callable[..., Run], instance: Callable[[str], Host], nodes: Callable[[], list[str]]
) -> None:
    lxc("restore", "swarm-2", "bare", project="molecule")
    # Docker's socket starts it for whoever asks there: what watches over nodes stops with it.
    manager.check_output("systemctl stop docker")
    assert not manager.service(WATCH).is_running
    manager.check_output("systemctl start docker")
    assert manager.service(WATCH).is_running
    assert swarm_says(manager, "LocalNodeState") == "locked"
    worker = instance("swarm-2")
    wait_for("Docker on the host that was made anew", lambda: worker.run("docker info").rc == 0, 60)
    assert swarm_says(worker, "LocalNodeState") == "inactive"

    run = converge("converge.yml", "-vvv")
    assert run.status == 0, run.text[-3000:]
    wait_for("the two of them", lambda: nodes() == STANDS, 90)

    # Locked again, it could be unlocked with what was kept.
    kept = manager.file("/var/lib/bcm/sites/molswarm/secrets/swarm-unlock-key").content_string.strip()
    assert kept == manager.check_output("docker swarm unlock-key --quiet")
    assert kept.startswith(KEY)

    journals = [host.check_output("journalctl --quiet --no-pager --boot") for host in (manager, worker)]
    # There is something in them.
    assert all("Invoked with" in journal for journal in journals)
    for text in (run.text, *journals):
        assert TOKEN not in text
        assert KEY not in text

    again = converge()
    assert (again.status, again.changed) == (0, set())


def test_who_has_left_the_other_swarm_may_come(
    converge: Callable[..., Run], instance: Callable[[str], Host], nodes: Callable[[], list[str]]
) -> None:
    newcomer = instance("swarm-3")
    newcomer.check_output("docker swarm leave --force")
    run = converge(scenario_all=True)
    assert run.status == 0, run.text[-3000:]
    assert {host for host, _task in run.changed} == {"swarm-3"}
    wait_for("the third", lambda: nodes() == [*STANDS, "swarm-3 Ready Active"], 90)
    # As a worker.
    assert swarm_says(newcomer, "ControlAvailable") == "false"
