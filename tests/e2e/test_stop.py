# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data service whose stop takes a minute has stopped cleanly, whatever it is that stops it.

One manager at a time goes down, so that the Swarm keeps its majority.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from data_service import BACK, GRACE, SECONDS, DataService
from standing import Site, lxc, restart, start, wait_for

# Longer than Swarm waits in an update before it starts the new task beside the old one.
UPDATE_SECONDS = 75


def by_systemd(site: Site, host: str) -> None:
    site.ask(host, "systemctl", "stop", "docker.socket", "docker", timeout=GRACE * 2)
    site.ask(host, "systemctl", "start", "docker", timeout=GRACE)


def instance(site: Site, host: str) -> Any:
    """What LXD says of it."""
    return json.loads(lxc("query", f"/1.0/instances/{host}?project={site.project}"))


def by_lxc(site: Site, host: str) -> None:
    restart(host, site.project, timeout=GRACE * 2)


def by_shutdown_of_lxd(site: Site, host: str) -> None:
    """What LXD does to each instance before it leaves in an orderly shutdown: a stop with the instance's own time limit.

    The lab's LXD itself is not shut down, since everything stands on it. What is seen here is the same call of its API with
    the same limit, and that this limit leaves every data service of the host its grace.
    """
    config = instance(site, host)["expanded_config"]
    limit = int(config["boot.host_shutdown_timeout"])
    graces = site.ask(
        host, "docker", "ps", "--filter=label=bcm.stop-grace", '--format={{.Label "bcm.stop-grace"}}'
    ).split()
    declared = site.ask(host, "systemctl", "show", "--property=TimeoutStopUSec", "--value", "bcm-data-services").strip()
    assert declared == "31min"
    assert limit > 31 * 60 > max(map(int, graces))
    # As in a restart, what the client says of it does not count.
    lxc("stop", host, "--timeout", str(limit), project=site.project, check=False, timeout=GRACE * 2)
    wait_for(f"end of {host}", lambda: not site.running()[host], GRACE * 2)
    start(host, site.project)


def by_update(site: Site, host: str) -> None:
    argv = ["docker", "service", "update", "--quiet", "--detach", "--no-resolve-image", "--force", f"e2e-stop-{host}"]
    site.ask("manager-1", *argv)
    log = f"/srv/e2e-stop-{host}/log"
    wait_for("clean stop", lambda: "stopped" in site.ask(host, "cat", log), UPDATE_SECONDS + 30)


ROUNDS = {
    "systemd-and-lxc": {"manager-3": (by_systemd, SECONDS), "bitcoin-1": (by_lxc, SECONDS)},
    "lxd-and-update": {"manager-2": (by_shutdown_of_lxd, SECONDS), "bitcoin-1": (by_update, UPDATE_SECONDS)},
}


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("ways", ROUNDS.values(), ids=ROUNDS)
def test_it_has_stopped_cleanly(site: Site, ways: dict[str, tuple[Callable[[Site, str], None], int]]) -> None:
    services = {host: DataService(site, host, seconds) for host, (_, seconds) in ways.items()}
    try:
        for service in services.values():
            service.deploy()
        with ThreadPoolExecutor(len(ways)) as pool:
            stops = [
                pool.submit(services[host].is_stopped_cleanly_by, functools.partial(way, site, host))
                for host, (way, _) in ways.items()
            ]
        for stop in stops:
            stop.result()
    finally:
        for host, service in services.items():
            # A way that failed may have left its host stopped. That it did is to be read, and not that this found it so.
            if not site.running()[host]:
                start(host, site.project)
            site.run(host, "systemctl", "start", "docker")
            wait_for(f"Docker on {host}", lambda host=host: site.run(host, "docker", "info").returncode == 0, BACK)  # type: ignore[misc]
            # What removes it stops it too; by now that need not take its time.
            for container in service.containers():
                site.run(host, "docker", "kill", container)
            service.remove()
