# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances with a leg where the servers are: one that answers there, and the proxyhost that goes out there."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from standing import CHECKOUT, WORLD, lab, lxc, wait_for
from test_shrink import running
from test_site import SERVERS, RackSite

# The lab's network, in which its servers are, and the machine that the tests run on.
LAN = {"parent": "eth0", "subnet": "198.18.0.0/24", "gateway": "198.18.0.1"}
# Addresses there that nobody has.
TAKEN = {line.split(",")[2] for line in lxc("network", "list-leases", "bcmlab0", "--format=csv").splitlines()}
WEB, *PROXYHOSTS = [f"198.18.0.{n}" for n in range(254, 200, -1) if f"198.18.0.{n}" not in TAKEN][:4]
SERVE = "import http.server, sys; http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind='0.0.0.0')"


@pytest.fixture(scope="module")
def site() -> Iterator[RackSite]:
    yield RackSite.read(CHECKOUT / "inventories/lab-rack")
    lab("rack", "on", *SERVERS)


def declared(directory: Path, name: str, lan: dict[str, str], **tiers: object) -> RackSite:
    folder = directory / name
    shutil.copytree(CHECKOUT / "inventories/lab-rack", folder)
    file = folder / "site.bcm.yml"
    text = yaml.safe_load(file.read_text())
    text["networks"] = {"lan": lan}
    for tier, settings in tiers.items():
        text["tiers"][tier] = {**text["tiers"].get(tier, {}), **settings}  # type: ignore[dict-item]
    file.write_text(yaml.safe_dump(text, sort_keys=False))
    return RackSite.read(folder)


@pytest.fixture(scope="module")
def in_the_lan(tmp_path_factory: pytest.TempPathFactory) -> RackSite:
    size = {"cpu": 1, "memory": "1GiB", "disk": "10GiB"}
    web = {"count": 1, "size": size, "lan": {"addresses": [WEB], "ports": [8080]}}
    proxyhost = {"lan": {"addresses": PROXYHOSTS}}
    return declared(tmp_path_factory.mktemp("lan"), "both", LAN, web=web, proxyhost=proxyhost)


def answers(address: str, port: int) -> bool:
    """Whether somebody answers the machine that the tests run on, which is in the same network."""
    try:
        socket.create_connection((address, port), 3).close()
    except OSError:
        return False
    return True


def test_a_card_that_is_not_there_is_refused_before_anything_is_touched(site: RackSite, tmp_path: Path) -> None:
    wrong = declared(
        tmp_path, "wrong", {**LAN, "parent": "eno9"}, web={"count": 1, "lan": {"addresses": [WEB], "ports": [80]}}
    )
    run = wrong.play("playbooks/site.yml")
    assert run.status != 0
    assert run.changed == set()
    assert "Nothing was touched. rack-1: it has no interface eno9" in "\n".join(run.failures)


def test_an_ordinary_run_gives_legs(site: RackSite, in_the_lan: RackSite) -> None:
    before = running(site)
    run = in_the_lan.play("playbooks/site.yml")
    assert run.status == 0, run.text[-5000:]
    after = running(in_the_lan)
    assert {name: after[name] for name in before} == before
    again = in_the_lan.play("playbooks/site.yml")
    assert (again.status, again.changed) == (0, set()), again.text[-5000:]


def test_what_is_declared_answers_in_the_lan(in_the_lan: RackSite) -> None:
    for port in (8080, 8081):
        in_the_lan.ask("web-1", "systemd-run", f"--unit=serve-{port}", "python3", "-c", SERVE, str(port))
    wait_for("an answer", lambda: answers(WEB, 8080), 30)
    assert in_the_lan.run("web-1", "curl", "-sf", "http://127.0.0.1:8081/").returncode == 0
    assert not answers(WEB, 8081)
    # Docker's own ports, at an address that the LAN can be told a way to.
    assert not answers(WEB, 7946)


def test_it_is_no_way_out(in_the_lan: RackSite) -> None:
    assert in_the_lan.run("web-1", "curl", "-sf", "--max-time", "5", f"http://{WORLD}:5000/v2/").returncode != 0
    assert in_the_lan.ask("web-1", "ip", "-4", "route", "show", "default") == ""


def test_the_proxyhost_goes_out_in_the_lan(in_the_lan: RackSite, tmp_path: Path) -> None:
    for name, address in zip(in_the_lan.tier("proxyhost"), PROXYHOSTS, strict=True):
        assert in_the_lan.ask(name, "ip", "-4", "route", "show", "default").split()[2] == LAN["gateway"]
        assert address in in_the_lan.ask(name, "ip", "-4", "-brief", "address", "show", "dev", "outside")
        assert not answers(address, 3128)
    assert in_the_lan.verify(tmp_path)["works"]


def test_without_them_again(site: RackSite, in_the_lan: RackSite, tmp_path: Path) -> None:
    """The tier is still declared: it has no leg any more."""
    size = {"cpu": 1, "memory": "1GiB", "disk": "10GiB"}
    less = declared(tmp_path, "less", LAN, web={"count": 1, "size": size})
    run = less.play("playbooks/site.yml")
    assert run.status == 0, run.text[-5000:]
    assert less.run("web-1", "ip", "link", "show", "dev", "lan").returncode != 0
    assert not answers(WEB, 8080)
    assert less.ask("proxyhost-1", "ip", "-4", "route", "show", "default").split()[2] != LAN["gateway"]
    assert less.verify(tmp_path)["works"]
    # And without the tier, as the other tests know it.
    less.ask("manager-1", "docker", "node", "update", "--availability", "drain", "web-1")
    site.on("rack-1", "lxc", "--project", site.project, "delete", "--force", "web-1")
    node = "docker node rm --force web-1"
    wait_for("a Swarm without it", lambda: site.run("manager-1", "sh", "-c", node).returncode == 0, 60)
    network = in_the_lan.hostvars["rack-1"]["bcm_lan"]["network"]
    assert site.on("rack-1", "lxc", "network", "delete", network).returncode == 0
    assert site.play("playbooks/site.yml").status == 0
    assert site.verify(tmp_path)["works"]
