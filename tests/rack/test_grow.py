# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site that stands on one server grows to three while its node works, and spreads over them when it is told to, not before."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from standing import CHECKOUT, lab, node_answers, wait_for
from test_shrink import DATA, running, volumes
from test_site import HEADERS, SERVERS, RackSite

FIRST, *ADDED = SERVERS
WALLET = "savings"
# How long nobody may have had an answer, beside plays that leave little of two processors.
SILENCE = 20
# Tasks that keep a secret of an instance on every server.
COPIED = [
    ("bitcoin-1", "bcm.datacenter.bitcoin_node : Have the passwords of the RPC users"),
    ("manager-1", "bcm.datacenter.private_registry : Password for pushing"),
]


@dataclass
class Watcher:
    """Asks something in an instance every second, and writes down whether there was an answer. Nothing leads there but the instance itself."""

    site: RackSite
    instance: str
    question: str
    unit: str = "bcm-test-watcher"
    # Seconds, as the instance counts them: from when to when, and when there was an answer and when none.
    begun: int = 0
    ended: int = 0
    answered: list[int] = field(default_factory=list)
    unanswered: list[int] = field(default_factory=list)

    @property
    def file(self) -> str:
        return f"/run/{self.unit}"

    def start(self) -> None:
        self.begun = self._now()
        loop = (
            f"if {self.question}; then answer=yes; else answer=no; fi; echo $(date +%s) $answer >>{self.file}; sleep 1"
        )
        script = f"exec >/dev/null 2>&1; while :; do {loop}; done"
        self.site.ask(self.instance, "systemd-run", "--quiet", "--collect", f"--unit={self.unit}", "sh", "-c", script)

    def stop(self) -> None:
        self.ended = self._now()
        self.site.run(self.instance, "systemctl", "stop", self.unit)
        for line in self.site.ask(self.instance, "cat", self.file).splitlines():
            when, answer = line.split()
            (self.answered if answer == "yes" else self.unanswered).append(int(when))

    def _now(self) -> int:
        return int(self.site.ask(self.instance, "date", "+%s"))

    @property
    def longest_silence(self) -> int:
        """From one answer to the next."""
        times = [self.begun, *self.answered, self.ended]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


def inventory(directory: Path, servers: tuple[str, ...]) -> Path:
    """The lab's rack with so many of its servers, and with a wallet in its node."""
    copy = directory / f"on-{len(servers)}"
    shutil.copytree(CHECKOUT / "inventories/lab-rack", copy)
    file = copy / "site.bcm.yml"
    text = file.read_text()
    for server in set(SERVERS) - set(servers):
        text, count = re.subn(rf"(?m)^ +- path: .*/{server}\.yml\n", "", text)
        assert count == 1, f"the declaration has no server {server}"
    text, count = re.subn(r"(?m)^( +)implementation: .*\n", r"\g<0>\1wallet: true\n", text)
    assert count == 1
    file.write_text(text)
    return copy


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    # A short name, for sockets lie below it: connections that were kept open lead to servers that are no more.
    made = Path(tempfile.mkdtemp(prefix="grow", dir="/tmp"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def env(directory: Path) -> dict[str, str]:
    return {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(directory / "s")}


@pytest.fixture(scope="module")
def small(directory: Path, env: dict[str, str]) -> RackSite:
    """The site on one server, which is fresh."""
    lab("rack", "remove", *SERVERS)
    lab("rack", "up", FIRST)
    site = RackSite.read(inventory(directory, (FIRST,)))
    run = site.play("playbooks/site.yml", env=env, timeout=1800)
    assert run.status == 0, run.failures or run.text[-5000:]
    return site


@pytest.fixture(scope="module")
def large(small: RackSite, directory: Path) -> RackSite:
    """The same declaration with two servers more. They are fresh, and nothing has been done with them yet."""
    lab("rack", "up", *ADDED)
    return RackSite.read(inventory(directory, SERVERS))


def bitcoin(site: RackSite, *words: str) -> str:
    wait_for("the node", lambda: node_answers(site), 120)
    return site.ask("bitcoin-1", "bitcoin-cli", *words).strip()


def holdings(site: RackSite) -> dict[str, str]:
    """What nobody could give the node again: a chain of its own, and the key to its coins."""
    return {
        "tip": bitcoin(site, "getbestblockhash"),
        "blocks": bitcoin(site, "getblockcount"),
        "balance": bitcoin(site, f"-rpcwallet={WALLET}", "getbalance"),
    }


@pytest.fixture(scope="module")
def chain(small: RackSite) -> dict[str, str]:
    bitcoin(small, "-named", "createwallet", f"wallet_name={WALLET}", "load_on_startup=true")
    address = bitcoin(small, f"-rpcwallet={WALLET}", "getnewaddress")
    bitcoin(small, "generatetoaddress", "101", address)
    found = holdings(small)
    assert float(found["balance"]) == 50
    return found


def containers(site: RackSite) -> dict[str, list[str]]:
    """What runs in each engine, with the time at which it was started."""
    shown = {}
    for host in site.engines:
        ids = site.ask(host, "docker", "ps", "--quiet", "--no-trunc").split()
        lines = site.ask(host, "docker", "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", *ids) if ids else ""
        shown[host] = sorted(lines.splitlines())
    return shown


def state(site: RackSite) -> dict[str, Any]:
    """What would be another one if it had been started anew or had moved."""
    return {
        "instances": running(site),
        "containers": containers(site),
        "Swarm": site.managers(),
        "LXD": site.on(FIRST, "systemctl", "show", "--property=MainPID", "lxd.service").stdout,
        "data": {
            name: site.ask(name, "stat", "-c", "%d %i %W", path) for name, (path, _volume) in sorted(DATA.items())
        },
    }


def test_on_one_server_there_is_no_cluster(
    small: RackSite, chain: dict[str, str], env: dict[str, str], tmp_path: Path
) -> None:
    assert not small.query("/1.0/cluster")["enabled"]
    links = json.loads(small.on(FIRST, "ip", "-j", "-d", "link", "show").stdout)
    assert [link["ifname"] for link in links if link.get("linkinfo", {}).get("info_kind") == "vxlan"] == []
    assert small.verify(tmp_path, env=env)["works"]


def test_a_rehearsal_says_what_growing_does_and_touches_nothing(
    large: RackSite, chain: dict[str, str], env: dict[str, str]
) -> None:
    before = state(large)
    run = large.play("playbooks/site.yml", "--check", env=env)
    assert run.status == 0, run.failures or run.text[-5000:]
    for server in ADDED:
        assert f"{server} would join the cluster" in run.text
        assert large.on(server, "sh", "-c", "command -v lxc").returncode != 0
    assert set(SERVERS) <= {host for host, _task in run.changed}
    # A rehearsal has not copied the site's secrets to the new servers: whoever needs one says that a copy is missing.
    assert sorted((host, task) for host, task in run.changed if host in large.instances) == COPIED
    assert not large.query("/1.0/cluster")["enabled"]
    assert state(large) == before


def test_it_grows_while_its_node_works(
    large: RackSite, chain: dict[str, str], env: dict[str, str], tmp_path: Path
) -> None:
    before = state(large)
    node = Watcher(large, "bitcoin-1", "bitcoin-cli getbestblockhash")
    # The bridge that both are on is joined to those of the other servers meanwhile.
    bridge = Watcher(large, "manager-1", f"ping -n -q -c 1 -W 2 {large.address('bitcoin-1', 'cluster')}")
    # LXD gives this one another MAC in the moment in which its server becomes a member.
    outside = large.ask("proxyhost-3", "ip", "-4", "route", "show", "default").split()[2]
    gateway = Watcher(large, "proxyhost-3", f"timeout 2 bash -c '</dev/tcp/{outside}/53'")
    for watcher in (node, bridge, gateway):
        watcher.start()
    try:
        run = large.play("playbooks/site.yml", env=env, timeout=1800)
    finally:
        for watcher in (node, bridge, gateway):
            watcher.stop()
    assert run.status == 0, run.failures or run.text[-5000:]
    assert large.members() == dict.fromkeys(SERVERS, "Online")

    # Nobody has noticed.
    assert state(large) == before
    assert holdings(large) == chain
    for watcher in (node, bridge):
        assert watcher.unanswered == [], watcher.question
        assert watcher.longest_silence <= SILENCE, watcher.question
    # Whoever has to find out by themselves take longer than 10 seconds, which would be four questions or more.
    assert len(gateway.unanswered) <= 3
    assert sorted((host, task) for host, task in run.changed if host in large.instances) == []
    # What exists stays where it is: the managers too, of which new ones would each be on a server of their own.
    assert large.places() == dict.fromkeys(large.instances, FIRST)
    assert volumes(large) == {volume: [FIRST] for _path, volume in DATA.values()}
    assert large.verify(tmp_path, env=env)["works"]


def test_again_nothing_changes(large: RackSite, env: dict[str, str]) -> None:
    run = large.play("playbooks/site.yml", env=env)
    assert (run.status, run.changed) == (0, set()), run.failures or run.text[-3000:]


def test_rebalance_spreads_it(large: RackSite, chain: dict[str, str], env: dict[str, str], tmp_path: Path) -> None:
    rehearsed = large.play("playbooks/rebalance.yml", "--check", env=env)
    assert rehearsed.status == 0, rehearsed.text[-3000:]
    assert large.places() == dict.fromkeys(large.instances, FIRST)
    run = large.play("playbooks/rebalance.yml", env=env, timeout=1800)
    assert run.status == 0, run.failures or run.text[-5000:]

    places = large.places()
    assert {places[manager] for manager in large.tier("manager")} == set(SERVERS)
    for name, place in places.items():
        assert (place == FIRST) == (f"{name} would be moved from {FIRST} to " not in rehearsed.text), name
    assert volumes(large) == {volume: [places[name]] for name, (_path, volume) in DATA.items()}
    assert holdings(large) == chain
    mtu = large.network("cluster")["mtu"]
    first, *rest = large.tier("manager")
    for manager in rest:
        ping = ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-M", "do", large.address(manager, "cluster")]
        assert large.run(first, *ping, "-s", str(mtu - HEADERS)).returncode == 0
    wait_for("a site that works", lambda: large.verify(tmp_path, env=env)["works"], 180, every=5)

    again = large.play("playbooks/site.yml", env=env)
    assert (again.status, again.changed) == (0, set()), again.failures or again.text[-3000:]
    assert large.places() == places
