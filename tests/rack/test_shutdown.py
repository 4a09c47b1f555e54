# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that is shut down gives a data service in one of its instances the minute that it takes to stop."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from data_service import BACK, GRACE, SECONDS, DataService
from standing import CHECKOUT, lab, lxc, wait_for
from test_site import SERVERS, RackSite


@pytest.fixture
def site() -> Iterator[RackSite]:
    yield RackSite.read(CHECKOUT / "inventories/lab-rack")
    lab("rack", "on", *SERVERS)


def has_stopped(server: str) -> bool:
    return bool(json.loads(lxc("query", f"/1.0/instances/{server}?project=lab"))["status"] == "Stopped")


def by_shutdown_of_its_server(site: RackSite, host: str, server: str) -> None:
    # It is gone before it can say so.
    site.on(server, "systemctl", "poweroff")
    wait_for(f"end of {server}", lambda: has_stopped(server), GRACE * 2)
    lab("rack", "on", server)
    wait_for(f"{host} again", lambda: site.run(host, "true").returncode == 0, BACK)


def test_a_server_that_is_shut_down_waits_for_it(site: RackSite) -> None:
    places = site.places()
    # Through these two the others are asked.
    needed = {SERVERS[0], places["manager-1"]}
    host = next(name for name in site.engines if places[name] not in needed)
    service = DataService(site, host, SECONDS)
    service.deploy()
    service.is_stopped_cleanly_by(functools.partial(by_shutdown_of_its_server, site, host, places[host]))
    for container in service.containers():
        site.run(host, "docker", "kill", container)
    service.remove()
