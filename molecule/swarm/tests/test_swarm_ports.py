# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task that Swarm left without its published ports is replaced, without Ansible.

Nothing is emulated. Services are updated, and the only manager's Docker is killed when some of the new tasks have been made
and have not been given the ports of their service yet. When it is back, it passes them on as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from standing import Run, lxc, wait_for
from testinfra.host import Host

WATCH = "bcm-swarm-sessions"
SERVICES = 20
ATTEMPTS = 10
# What that may take: 30 s of patience, 10 s to the next look, the update, and as much again on a slow machine.
REPLACED = 120
KILL = "kill_amid_updates.py"
# An image of links alone: its services are given the host's /usr.
IMAGE = """set -e
mkdir -p /tmp/image/usr /tmp/image/tmp && cd /tmp/image
for link in bin lib lib64; do ln -sfn "usr/$link" "$link"; done
tar -c . | docker import - molecule/usr:1"""
LISTED = "docker service ps --quiet --no-trunc --filter desired-state=running $(docker service ls --quiet)"
TASKS = f"docker inspect --type=task $({LISTED})"
KEY = "/var/lib/bcm/sites/molswarm/secrets/swarm-unlock-key"
OCCUPIES = "molecule-occupies"


class Task(NamedTuple):
    """One that runs."""

    id: str
    service: str
    host: str
    bare: bool

    @property
    def port(self) -> int:
        return 9000 + int(self.service.rpartition("-")[2])


class Seen(NamedTuple):
    """The services, and the task of each."""

    specs: dict[str, dict[str, Any]]
    tasks: dict[str, Task]

    def bare(self, host: str) -> list[str]:
        return [name for name, task in self.tasks.items() if task.bare and task.host == host]


def look(manager: Host) -> Seen | None:
    """What there is, if the update of no service is under way and each has its task."""
    done = manager.run("docker service inspect $(docker service ls --quiet)")
    listed = manager.run(TASKS)
    nodes = manager.run("docker node inspect $(docker node ls --quiet)")
    if (done.rc, listed.rc, nodes.rc) != (0, 0, 0):
        return None
    services = {service["ID"]: service for service in json.loads(done.stdout)}
    hosts = {node["ID"]: node["Description"]["Hostname"] for node in json.loads(nodes.stdout)}
    tasks = {}
    for task in json.loads(listed.stdout):
        if task["Status"]["State"] == "running":
            name = services[task["ServiceID"]]["Spec"]["Name"]
            bare = not task["Status"]["PortStatus"].get("Ports")
            tasks[name] = Task(task["ID"], name, hosts[task["NodeID"]], bare)
    moving = [one for one in services.values() if one.get("UpdateStatus", {}).get("State") not in (None, "completed")]
    if moving or len(tasks) < SERVICES:
        return None
    return Seen({service["Spec"]["Name"]: service["Spec"] for service in services.values()}, tasks)


@pytest.fixture(scope="module")
def manager(instance: Callable[[str], Host]) -> Host:
    return instance("swarm-1")


@pytest.fixture(scope="module")
def declared(instance: Callable[[str], Host], manager: Host, converge: Callable[..., Run]) -> Iterator[None]:
    """The services stand, and what watches over them stands still."""
    for name in ("swarm-1", "swarm-2"):
        instance(name).check_output(IMAGE)
    run = converge("published.yml")
    assert run.status == 0, run.text[-3000:]
    wait_for("the services", lambda: look(manager), 120)
    lxc("file", "push", str(Path(__file__).with_name(KILL)), f"swarm-1/root/{KILL}", project="molecule")
    manager.check_output("systemctl disable --now %s", WATCH)
    yield
    manager.run("systemctl stop %s", OCCUPIES)
    manager.check_output("systemctl enable --now %s", WATCH)
    manager.check_output("docker service rm $(docker service ls --quiet)")


def lose(manager: Host) -> Seen:
    """Kill the manager's Docker amid updates of all services, and return what there is afterwards."""
    manager.check_output("python3 /root/%s", KILL)
    state = "docker info --format '{{.Swarm.LocalNodeState}}'"
    wait_for("its Docker", lambda: manager.run(state).stdout.strip() == "locked", 60)
    manager.check_output("docker swarm unlock <%s", KEY)
    seen: Seen = wait_for("the services", lambda: look(manager), 180)
    return seen


def answers(host: Host, task: Task, address: str) -> bool:
    """Whether what the service serves is had at its host, by that host: the rules for published ports keep out all others."""
    get = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)"
    return bool(host.run("python3 -c %s %s", get, f"http://{address}:{task.port}/").rc == 0)


def raised(spec: dict[str, Any]) -> dict[str, Any]:
    """A service as it is after it was updated by force, and by nothing else."""
    template = {**spec["TaskTemplate"], "ForceUpdate": spec["TaskTemplate"]["ForceUpdate"] + 1}
    return {**spec, "TaskTemplate": template}


@pytest.mark.usefixtures("declared")
def test_tasks_without_their_ports_are_replaced_and_no_others(
    manager: Host, instance: Callable[[str], Host], converge: Callable[..., Run]
) -> None:
    for _ in range(ATTEMPTS):
        before = lose(manager)
        here, there = before.bare("swarm-1"), before.bare("swarm-2")
        if len(here) > 1 and there:
            break
    else:
        pytest.fail(f"in {ATTEMPTS} attempts no tasks lost their ports")
    # Where something else answers, nothing is proved.
    occupied = before.tasks[here.pop()]
    serve = f"python3 -m http.server --directory=/var/empty {occupied.port}"
    manager.check_output(f"mkdir -p /var/empty && systemd-run --unit={OCCUPIES} {serve}")
    wait_for("what occupies a port", lambda: answers(manager, occupied, "198.18.70.51"), 10)
    began = manager.check_output("date +%s", "%s")
    manager.check_output("systemctl enable --now %s", WATCH)

    lost = {*here, *there}

    def mended() -> Seen | None:
        seen = look(manager)
        return seen if seen and {name for name, task in seen.tasks.items() if task.bare} == {occupied.service} else None

    after: Seen = wait_for("the tasks with their ports", mended, REPLACED)
    assert {name for name, task in after.tasks.items() if task.id != before.tasks[name].id} == lost
    assert after.specs == {name: raised(spec) if name in lost else spec for name, spec in before.specs.items()}
    for name, address in (("swarm-1", "198.18.70.51"), ("swarm-2", "198.18.70.52")):
        those = [after.tasks[service] for service in lost if after.tasks[service].host == name]
        assert [task for task in those if not answers(instance(name), task, address)] == []

    said = manager.check_output("journalctl --quiet --unit=%s --output=cat --since=@%s _TRANSPORT=stdout", WATCH, began)
    tasks = [before.tasks[name] for name in lost]
    # On a slow machine the worker may have been lost for a moment.
    assert sorted(line for line in said.splitlines() if not line.startswith("swarm-2 was down while ")) == sorted(
        f"{task.service}.1 on {task.host} (task {task.id}): ran without the published ports ({task.port}), and is replaced"
        for task in tasks
    )
    # Whoever declared them sees no difference.
    again = converge("published.yml")
    assert (again.status, again.changed) == (0, set())
