# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second proxyhost comes and goes: it is the way out when the first one is not, and those inside do not notice either."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from standing import Run, Site, declaration, lxc, play, wait_for

FIRST, SECOND = "proxyhost-1", "proxyhost-2"
MANAGER = "manager-1"
# Every instance knows the names of its neighbours.
NAMES = "bcm.datacenter.guest : Names, authorities and package sources"
# What is promised where a proxy does not work.
SECONDS = 20


@pytest.fixture
def two(site: Site, tmp_path: Path) -> Iterator[Site]:
    """The same site with two of them declared. Afterwards there is one again, which works."""
    inventory = declaration(tmp_path, **{"  proxyhost": "  proxyhost: {count: 2, size: {memory: 1GiB, disk: 10GiB}}"})
    yield Site.read(inventory)
    site.run(FIRST, "systemctl", "start", "squid")
    lxc("delete", "--force", SECOND, project=site.project, check=False)
    assert site.play("playbooks/gateway.yml").status == 0
    wait_for("the whole site", lambda: site.verify(tmp_path)["works"], 120, every=5)


def gets_out(site: Site) -> bool:
    release = f"{site.hostvars[MANAGER]['bcm_mirrors']['apt']['debian']}/dists/trixie/InRelease"
    proxy = f"http://{site.hostvars[MANAGER]['bcm_way_out']['gateway']['address']}:3128"
    curl = ["curl", "--silent", "--fail", "--output", "/dev/null", "--max-time", "5", "--proxy", proxy, release]
    return site.run(MANAGER, *curl).returncode == 0


def note(site: Site, proxyhost: str) -> str:
    argv = ["/usr/local/lib/bcm/bcm-floating-address", "status", "/etc/bcm/floating-address.json", "gateway"]
    said = json.loads(site.ask(proxyhost, *argv))
    return f"{said['note']}, well" if said["ready"] else str(said["reason"])


def of(run: Run, host: str) -> set[str]:
    """What was changed on a host."""
    return {task for changed, task in run.changed if changed == host}


def test_a_second_one_comes_and_goes(site: Site, two: Site) -> None:
    for stage in ("gateway", "image"):
        run = play(f"playbooks/{stage}.yml", inventory=two.inventory)
        assert run.status == 0, run.text[-3000:]
        assert of(run, FIRST) <= {NAMES}
        assert of(run, SECOND)
    address = site.hostvars[FIRST]["bcm_way_out"]["gateway"]["address"]
    assert note(two, FIRST) == f"{address}, held here, well"
    assert note(two, SECOND) == f"{address}, held by {FIRST}, well"

    # Nobody inside was told of it.
    two.ask(FIRST, "systemctl", "stop", "squid")
    wait_for("the other way out", lambda: gets_out(site), SECONDS)
    assert note(two, SECOND) == f"{address}, held here, well"
    assert f"{address} is held by {SECOND}" in note(two, FIRST)
    two.ask(FIRST, "systemctl", "start", "squid")

    refused = site.play("playbooks/gateway.yml")
    assert f"{SECOND} stands and is not declared any more" in "\n".join(refused.failures)
    assert refused.changed == set()
    lxc("delete", "--force", SECOND, project=site.project)
    wait_for("the first way out", lambda: gets_out(site), SECONDS)
    assert note(site, FIRST) == f"{address}, held here, well"
    run = site.play("playbooks/gateway.yml")
    assert run.status == 0, run.text[-3000:]
    assert run.changed == {(FIRST, NAMES)}
