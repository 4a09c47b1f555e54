# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site on three servers, as it stands after site.yml: one LXD, one Swarm, one network, whichever server an instance is on."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from standing import CHECKOUT, LAB_DIR, Site, lab, node_answers, wait_for

SERVERS = ("rack-1", "rack-2", "rack-3")
# What is around a packet that ping fills: headers of IPv4 and of ICMP.
HEADERS = 28


class RackSite(Site):
    """The site, looked at through whichever server one asks."""

    # The one that is asked if none is named.
    through = SERVERS[0]

    def on(self, server: str, *argv: str, timeout: int = 120) -> subprocess.CompletedProcess[str]:
        """Run one command on a server as root."""
        options = ["-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-i", str(LAB_DIR / "rack-key")]
        known = ["-o", f"UserKnownHostsFile={LAB_DIR / 'rack-known_hosts'}"]
        login = f"debian@{self.hostvars[server]['ansible_host']}"
        return subprocess.run(
            ["ssh", *options, *known, login, f"sudo {shlex.join(argv)}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def query(self, path: str, server: str = "") -> Any:
        done = self.on(server or self.through, "lxc", "query", path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def run(self, instance: str, *argv: str, timeout: int = 120) -> subprocess.CompletedProcess[str]:
        return self.on(self.through, "lxc", "--project", self.project, "exec", instance, "--", *argv, timeout=timeout)

    def members(self) -> dict[str, str]:
        return {item["server_name"]: item["status"] for item in self.query("/1.0/cluster/members?recursion=1")}

    def takes_for(self, *servers: str) -> set[str]:
        """How LXD takes each of them to be. Where one has just gone or come back, its database may not answer for a moment: nothing."""
        try:
            members = self.members()
        except AssertionError:
            return set()
        return {members.get(server, "") for server in servers}

    def places(self) -> dict[str, str]:
        """The server that each instance is on."""
        listed = self.query(f"/1.0/instances?recursion=1&project={self.project}")
        return {item["name"]: item["location"] for item in listed}

    def managers(self, manager: str = "manager-1") -> dict[str, str]:
        """What a manager says of the others."""
        words = self.ask(manager, "docker", "node", "ls", "--format", "{{.Hostname}} {{.Status}}")
        return dict(line.split() for line in words.splitlines())

    @property
    def way_out(self) -> str:
        """The address of the way out, whoever has it."""
        return str(next(iter(self.hostvars.values()))["bcm_way_out"]["gateway"]["address"])

    def holders(self) -> list[str]:
        """The proxyhosts that have that address. One whose server is off has nothing."""
        look = ["ip", "-4", "-oneline", "address", "show", "dev", "gateway", "to", self.way_out]
        return [name for name in self.tier("proxyhost") if self.run(name, *look).stdout.strip()]

    def gets_out(self, manager: str) -> bool:
        """Whether a manager gets something from the world, and from the caches of what the Hub has."""
        release = f"{self.hostvars[manager]['bcm_mirrors']['apt']['debian']}/dists/trixie/InRelease"
        image = f"http://{self.way_out}:5000/v2/library/debian/manifests/13-slim"
        accept = "Accept: application/vnd.docker.distribution.manifest.list.v2+json"
        curl = ["curl", "--silent", "--fail", "--output", "/dev/null", "--max-time", "5"]
        proxied = self.run(manager, *curl, "--proxy", f"http://{self.way_out}:3128", release)
        cached = self.run(manager, *curl, "--header", accept, image)
        return proxied.returncode == cached.returncode == 0


@pytest.fixture(scope="session")
def site() -> Iterator[RackSite]:
    """The site. Whoever runs these tests has run site.yml before (`make rack` does). Its servers are switched on afterwards."""
    yield RackSite.read(CHECKOUT / "inventories/lab-rack")
    lab("rack", "on", *SERVERS)


def test_three_servers_are_one_cluster_with_a_manager_on_each(site: RackSite) -> None:
    assert site.members() == dict.fromkeys(SERVERS, "Online")
    places = site.places()
    assert set(places) == set(site.instances)
    for tier in ("manager", "proxyhost"):
        assert {places[name] for name in site.tier(tier)} == set(SERVERS)
    volumes = site.query(f"/1.0/storage-pools/{site.project}/volumes/custom?recursion=1&project={site.project}")
    assert {volume["name"]: volume["location"] for volume in volumes} == {
        "bitcoin-1-bitcoin": places["bitcoin-1"],
        "manager-1-registry": places["manager-1"],
    }


def test_all_of_it_works(site: RackSite, tmp_path: Path) -> None:
    assert site.verify(tmp_path)["works"]
    assert json.loads(site.ask("bitcoin-1", "bitcoin-cli", "getblockchaininfo"))["chain"] == "regtest"


def test_one_proxyhost_is_the_way_out_and_each_says_which(site: RackSite, tmp_path: Path) -> None:
    (holder,) = site.holders()
    said = {
        part["host"]: part["part"]
        for part in site.verify(tmp_path)["parts"]
        if "Address of the way out" in part["part"]
    }
    held = f"Address of the way out on gateway ({site.way_out}, held"
    assert said == {name: f"{held} {'here' if name == holder else f'by {holder}'})" for name in site.tier("proxyhost")}
    assert all(site.gets_out(manager) for manager in site.tier("manager"))


def test_it_is_said_that_the_networks_between_the_servers_are_in_clear(site: RackSite, tmp_path: Path) -> None:
    said = {
        part["host"]: part for part in site.verify(tmp_path)["parts"] if "Networks between the machines" in part["part"]
    }
    assert set(said) == set(SERVERS)
    assert all("not encrypted on eth0" in part["part"] for part in said.values()), said


def test_full_size_packets_between_servers(site: RackSite) -> None:
    mtu = site.network("cluster")["mtu"]
    for manager in ("manager-2", "manager-3"):
        ping = ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-M", "do", site.address(manager, "cluster")]
        assert site.run("manager-1", *ping, "-s", str(mtu - HEADERS)).returncode == 0
        assert site.run("manager-1", *ping, "-s", str(mtu - HEADERS + 1)).returncode != 0


def test_the_inner_networks_end_at_the_servers(site: RackSite) -> None:
    for server in SERVERS:
        for network in ("gateway", "cluster"):
            bridge = site.network(network)["bridge"]
            (link,) = json.loads(site.on(server, "ip", "-j", "address", "show", "dev", bridge).stdout)
            assert [item for item in link["addr_info"] if item["scope"] != "link"] == []


def test_a_server_without_power(site: RackSite, tmp_path: Path) -> None:
    """One with a manager and a proxyhost, and nothing that there is once only."""
    places = site.places()
    needed = {"rack-1", places["bitcoin-1"], places["manager-1"]}
    spare = [server for server in SERVERS if server not in needed]
    assert spare, f"of three servers each has something that there is once: {places}"
    gone = {name for name, place in places.items() if place == spare[0]}
    lost = next(name for name in gone if name in site.engines)
    block = site.ask("bitcoin-1", "bitcoin-cli", "getbestblockhash")
    lab("rack", "off", spare[0])
    try:
        wait_for("way out", lambda: site.gets_out("manager-1"), 15)
        wait_for("word of the loss", lambda: site.takes_for(spare[0]) == {"Offline"}, 90)
        wait_for("word of the manager", lambda: site.managers()[lost] == "Down", 90)
        assert node_answers(site)
        report = site.verify(tmp_path)
        assert not report["works"]
        wrong = {(part["host"], part["part"]) for part in report["parts"] if not part["works"]}
        assert (spare[0], "the machine itself") in wrong
        assert {(name, "the instance itself") for name in gone} <= wrong
        # The others miss what was on it, and nothing else.
        assert ("bitcoin-1", f"Mirror of Docker Hub on {lost}") in wrong
        assert {host for host, part in wrong if lost not in part} <= {spare[0], *gone, *site.tier("manager")}, wrong
        assert {part for host, part in wrong if host in site.tier("manager") and host not in gone} == {"Swarm"}
    finally:
        lab("rack", "on", spare[0])
    wait_for("a site that works again", lambda: site.verify(tmp_path)["works"], 240, every=5)
    wait_for("word of its return", lambda: site.takes_for(*SERVERS) == {"Online"}, 60)
    assert site.ask("bitcoin-1", "bitcoin-cli", "getbestblockhash") == block
