# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks of the Swarm on different servers send each other packets as large as they may, unsplit: VXLAN of Swarm's in ours."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from standing import CHECKOUT, wait_for
from test_site import HEADERS, RackSite

SERVICE = "test-sizes"
# The one that the node and its users share.
NETWORK = "bitcoin"
# What VXLAN lays around a packet.
OVERHEAD = 50
# By host: a task's first process, and its address.
Tasks = dict[str, tuple[str, str]]


@pytest.fixture(scope="module")
def site() -> RackSite:
    return RackSite.read(CHECKOUT / "inventories/lab-rack")


@pytest.fixture(scope="module")
def tasks(site: RackSite) -> Iterator[Tasks]:
    """One on each host of the Swarm."""
    options = ["--quiet", "--detach", "--no-resolve-image", "--mode=global", "--endpoint-mode=dnsrr"]
    ours = [f"--name={SERVICE}", f"--network={NETWORK}", "--stop-grace-period=1s"]
    site.ask("manager-1", "docker", "service", "create", *options, *ours, "debian:13-slim", "sleep", "infinity")
    shown = f"{{{{.State.Pid}}}} {{{{.NetworkSettings.Networks.{NETWORK}.IPAddress}}}}"

    def all_of_them() -> Tasks:
        found: Tasks = {}
        for host in site.engines:
            label = f"--filter=label=com.docker.swarm.service.name={SERVICE}"
            containers = site.run(host, "docker", "ps", "--quiet", label).stdout.split()
            if len(containers) != 1:
                return {}
            words = site.run(host, "docker", "inspect", "--format", shown, containers[0]).stdout.split()
            if len(words) != 2:
                return {}
            found[host] = (words[0], words[1])
        return found

    try:
        yield wait_for("a task on each host", all_of_them, 240)
    finally:
        site.ask("manager-1", "docker", "service", "rm", SERVICE)


def test_packets_of_full_size_arrive_and_larger_ones_do_not(site: RackSite, tasks: Tasks) -> None:
    option = '{{index .Options "com.docker.network.driver.mtu"}}'
    mtu = int(site.ask("manager-1", "docker", "network", "inspect", "--format", option, NETWORK)) - OVERHEAD
    assert mtu + OVERHEAD <= site.network("cluster")["mtu"]
    places = site.places()
    apart = [(one, other) for one, other in itertools.permutations(tasks, 2) if places[one] != places[other]]
    assert {places[host] for pair in apart for host in pair} == set(places.values())

    def arrives(one: str, other: str, size: int) -> bool:
        whole = ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-M", "do", "-s", str(size - HEADERS)]
        return site.run(one, "nsenter", "--net", "--target", tasks[one][0], *whole, tasks[other][1]).returncode == 0

    for one, other in apart:
        # The engines tell each other of new tasks a moment after these run.
        wait_for(f"what {one} sends to {other}", lambda one=one, other=other: arrives(one, other, mtu), 30)  # type: ignore[misc]
        assert not arrives(one, other, mtu + 1)
