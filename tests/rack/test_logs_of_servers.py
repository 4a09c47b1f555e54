# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site on three servers that stood without Kafka gets it, servers ship their logs too, and is without it again."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from bus import Bus
from standing import CHECKOUT, lab, play, wait_for
from test_site import SERVERS, RackSite

WITHOUT = "kafka: {enabled: false}"


@pytest.fixture(scope="module")
def site() -> Iterator[RackSite]:
    """As it stands, and again afterwards."""
    found = RackSite.read(CHECKOUT / "inventories/lab-rack")
    yield found
    lab("rack", "on", *SERVERS)
    assert found.play("playbooks/site.yml", timeout=2400).status == 0


@pytest.fixture(scope="module")
def shipping(site: RackSite, tmp_path_factory: pytest.TempPathFactory) -> RackSite:
    folder = tmp_path_factory.mktemp("shipping") / "inventory"
    shutil.copytree(CHECKOUT / "inventories/lab-rack", folder)
    file = folder / "site.bcm.yml"
    text = file.read_text()
    assert WITHOUT in text
    file.write_text(text.replace(WITHOUT, "kafka: {volume_size: 8GiB}"))
    run = play("playbooks/site.yml", inventory=folder, timeout=2400)
    assert run.status == 0, run.text[-3000:]
    return RackSite.read(folder)


def test_all_of_it_works_and_stays(shipping: RackSite, tmp_path: Path) -> None:
    assert shipping.verify(tmp_path)["works"]
    again = shipping.play("playbooks/site.yml")
    assert (again.status, again.changed) == (0, set())


def test_a_line_of_each_server(shipping: RackSite) -> None:
    bus = Bus(shipping)
    since, mark = bus.now(), f"rack-{time.monotonic_ns()}"
    for server in SERVERS:
        assert shipping.on(server, "logger", "--tag", "greeter", "--priority", "user.warning", mark).returncode == 0

    def lines() -> list[dict[str, Any]]:
        # Who began logger on a server is told of by sudo: that is a line of its own, which quotes this one.
        return [record for record in bus.find(since, mark) if record["message"] == mark]

    wait_for("a line of each", lambda: len({record["host"] for record in lines()}) == len(SERVERS), 10)
    for record in lines():
        assert (record["topic"], record["class"], record["tier"]) == ("logs.system", "system", "endpoint")
        # Of a session that somebody has by SSH.
        assert (record["site"], record["source"], record["priority"]) == ("rack", "session.scope", 4)
        assert record["identifier"] == "greeter"


def test_the_way_goes_on_when_the_instance_is_gone_that_it_went_by(shipping: RackSite) -> None:
    """The manager on the first server stops; its line waits, and arrives when there is a way again."""
    bus = Bus(shipping)
    places = shipping.places()
    (manager,) = [name for name in shipping.tier("manager") if places[name] == "rack-1"]
    since, mark = bus.now(), f"rack-{time.monotonic_ns()}"
    lxc = ("lxc", "--project", shipping.project)
    assert shipping.on("rack-1", *lxc, "stop", manager, timeout=300).returncode == 0
    assert shipping.on("rack-1", "logger", mark).returncode == 0
    assert shipping.on("rack-1", *lxc, "start", manager).returncode == 0
    bus.whole()
    wait_for("the line", lambda: bool(bus.find(since, mark)), 120, every=3)


def test_nothing_of_it_is_left_on_servers_where_there_is_none_any_more(site: RackSite, shipping: RackSite) -> None:
    off = site.play("playbooks/site.yml", timeout=2400)
    assert off.status == 0, off.text[-3000:]
    for server in SERVERS:
        for path in ("/etc/bcm/shipper", "/etc/bcm/bus-way/rack.json", "/usr/local/sbin/bcm-shipper"):
            assert site.on(server, "test", "-e", path).returncode == 1, f"{server}: {path}"
        assert not re.search(r"Kafka of site", site.on(server, "cat", "/etc/hosts").stdout)
        assert site.on(server, "systemctl", "is-active", "bcm-bus-way-rack").returncode != 0
    assert site.ask("manager-1", "docker", "service", "ls", "--quiet", "--filter", "label=bcm.stack=kafka") == ""
    again = site.play("playbooks/site.yml")
    assert (again.status, again.changed) == (0, set())


def test_its_data_goes_as_the_documentation_says(site: RackSite, shipping: RackSite) -> None:
    lxc = ("lxc", "--project", site.project)
    for manager in site.tier("manager"):
        assert f"{manager}-kafka" in site.play("playbooks/swarm.yml", "--check").text
        for argv in (
            ("config", "device", "remove", manager, "kafka"),
            ("storage", "volume", "delete", site.project, f"{manager}-kafka"),
        ):
            done = site.on("rack-1", *lxc, *argv)
            assert done.returncode == 0, done.stderr
    assert "has no Kafka any more" not in site.play("playbooks/swarm.yml", "--check").text
