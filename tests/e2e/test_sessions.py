# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that Swarm holds to be down although it is connected is taken back, without Ansible.

Nothing is emulated. The node's Docker is restarted so that it registers anew shortly before the time limit of its last
heartbeat (13.5 to 16.5 s, which Swarm draws by lot), and the leader cannot write the registration down until that has
passed: it takes a majority, and the Docker of the other managers is stopped (SIGSTOP) meanwhile. That is for less than
the 5 s which the node waits for the answer, and the 10 s after which the leader would give up.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from standing import Site, wait_for

NODE = "bitcoin-1"
STATE = "/var/lib/docker/swarm/state.json"
# After the last heartbeat: when the node shall register.
REGISTERS = 12.7
# After it has registered: until when nothing can be written.
WRITTEN = 4.3
ATTEMPTS = 6
# What the service may take: 30 s of patience, 10 s to the next look, the node's way back.
TAKEN_BACK = 60
FREEZE = "kill -STOP $(cat /run/docker.pid); timeout 9 head -n 1 >/dev/null; kill -CONT $(cat /run/docker.pid)"


@dataclass
class Swarm:
    """The Swarm as its leader sees it."""

    site: Site
    leader: str
    leader_address: str
    node_address: str

    @classmethod
    def read(cls, site: Site) -> Swarm:
        managers = site.tier("manager")
        listed = site.ask(managers[0], "docker", "node", "ls", "--format", "{{json .}}").splitlines()
        leader = next(node["Hostname"] for node in map(json.loads, listed) if node["ManagerStatus"] == "Leader")
        return cls(site, leader, f"{site.address(leader, 'cluster')}:2377", site.address(NODE, "cluster"))

    @property
    def followers(self) -> list[str]:
        return [name for name in self.site.tier("manager") if name != self.leader]

    def state(self) -> str:
        return self.site.ask(self.leader, "docker", "node", "inspect", "--format", "{{.Status.State}}", NODE).strip()

    def connected(self) -> bool:
        """Whether the node is, to the leader."""
        argv = ["ss", "-H", "-n", "-t", "state", "established", "( sport = :2377 )", "dst", self.node_address]
        return bool(self.site.ask(self.leader, *argv))

    def heartbeat(self) -> float:
        """Wait for the node's next one, and return when it came."""
        before: dict[str, int] = {}

        def fresh() -> float | None:
            nonlocal before
            listed = self.site.ask(
                NODE, "ss", "-H", "-n", "-t", "-i", "-O", "state", "established", "( dport = :2377 )"
            )
            now = time.monotonic()
            # By the node's end of each connection to a manager: milliseconds since it sent something.
            sent = re.findall(r"^\S+\s+\S+\s+(\S+).* lastsnd:(\d+)", listed, re.MULTILINE)
            ages = {end: int(age) for end, age in sent}
            beaten = [age for end, age in ages.items() if age < before.get(end, 0) and before[end] > 3000]
            before = ages
            return now - beaten[0] / 1000 if beaten else None

        return float(wait_for(f"heartbeat of {NODE}", fresh, 20, every=0.02))

    def only_the_leader(self) -> None:
        """Let the node, whose Docker is stopped, know no other manager. It learns of them as soon as it has registered."""
        known = json.loads(self.site.ask(NODE, "cat", STATE))
        leader = json.dumps([manager for manager in known if manager["addr"] == self.leader_address])
        assert leader != "[]", known
        self.site.ask(NODE, "sh", "-c", f"printf %s '{leader}' > {STATE}")


@contextmanager
def frozen(site: Site, hosts: Sequence[str]) -> Iterator[None]:
    """Their Docker stands still. It goes on after 9 s at the latest, whatever becomes of this test."""
    shells = [
        subprocess.Popen(
            ["lxc", "--project", site.project, "exec", host, "--", "sh", "-c", FREEZE], stdin=subprocess.PIPE
        )
        for host in hosts
    ]
    try:
        yield
    finally:
        for shell in shells:
            shell.communicate(b"\n", timeout=30)
    assert [shell.returncode for shell in shells] == [0] * len(shells)


@contextmanager
def drained(site: Site) -> Iterator[None]:
    """The node has no tasks, so that its Docker stops within a heartbeat."""
    update = ("docker", "node", "update", "--availability")
    manager = site.tier("manager")[0]
    site.ask(manager, *update, "drain", NODE)
    try:
        wait_for(f"end of what runs on {NODE}", lambda: not site.ask(NODE, "docker", "ps", "--quiet"), 60)
        yield
    finally:
        site.ask(manager, *update, "active", NODE)


def sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def connects(swarm: Swarm, seconds: float) -> float | None:
    """When the node was connected; None if it was not within that time."""
    deadline = time.monotonic() + seconds
    while not swarm.connected():
        if time.monotonic() > deadline:
            return None
        time.sleep(0.02)
    return time.monotonic()


def lose(site: Site, starting: float) -> tuple[bool, float]:
    """Restart the node's Docker in that way; return whether it is lost now, and how long its Docker took to register."""
    swarm = Swarm.read(site)
    beaten = swarm.heartbeat()
    site.ask(NODE, "systemctl", "stop", "docker.socket", "docker")
    swarm.only_the_leader()
    sleep_until(beaten + REGISTERS - starting)
    began = time.monotonic()
    with frozen(site, swarm.followers):
        site.ask(NODE, "systemctl", "start", "--no-block", "docker")
        registered = connects(swarm, 8)
        if registered:
            sleep_until(registered + WRITTEN)
    if not registered:
        # Its Docker took too long to start. The next attempt begins with a node that beats again.
        wait_for(f"connection of {NODE}", swarm.connected, 60)
        return False, starting
    # What is still to be written.
    time.sleep(2)
    return swarm.state() == "down" and swarm.connected(), registered - began


def said(site: Site, since: float) -> list[str]:
    """What the service says on all managers."""
    argv = ["journalctl", "--unit=bcm-swarm-sessions", "--output=cat", f"--since=@{since:.0f}", "_TRANSPORT=stdout"]
    return [line for host in site.tier("manager") for line in site.ask(host, *argv).splitlines()]


@pytest.mark.usefixtures("whole")
def test_a_node_that_is_down_and_connected_is_taken_back(site: Site) -> None:
    began = time.time()
    starting = 2.0
    with drained(site):
        for _ in range(ATTEMPTS):
            lost, starting = lose(site, starting)
            if lost:
                break
        assert lost, f"{NODE} was not lost in {ATTEMPTS} attempts"
        try:
            wait_for(f"{NODE} in the Swarm again", lambda: Swarm.read(site).state() == "ready", TAKEN_BACK)
        finally:
            if Swarm.read(site).state() == "down":
                site.ask(NODE, "systemctl", "restart", "docker")
    # One line each time that it is lost, which a slow machine may do once more.
    lines = said(site, began)
    taken_back = f"{NODE} was down while connected from {site.address(NODE, 'cluster')}:"
    assert lines
    assert [line for line in lines if not line.startswith(taken_back)] == []
