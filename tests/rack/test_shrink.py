# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server leaves the site that stands on three, with nothing left behind, and comes back as one that was installed anew."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from standing import CHECKOUT, Run, lab, node_answers, wait_for
from test_site import HEADERS, SERVERS, RackSite

# Where data is of which there is no other copy.
DATA = {"bitcoin-1": ("/srv/bitcoin", "bitcoin-1-bitcoin"), "manager-1": ("/srv/registry", "manager-1-registry")}
KEPT = "kept-through-a-move"
STORE = "/var/lib/bcm/sites/rack/secrets/site-ca"


@pytest.fixture(scope="module")
def site() -> Iterator[RackSite]:
    """The site. Its servers are switched on afterwards."""
    yield RackSite.read(CHECKOUT / "inventories/lab-rack")
    lab("rack", "on", *SERVERS)


@pytest.fixture(scope="module")
def leaving(site: RackSite) -> str:
    """A server with data on it. All of them are asked through another one."""
    found = site.places()[next(iter(DATA))]
    site.through = next(server for server in SERVERS if server != found)
    return found


@pytest.fixture(scope="module")
def others(leaving: str) -> list[str]:
    return [server for server in SERVERS if server != leaving]


def volumes(site: RackSite) -> dict[str, list[str]]:
    """Where each volume lies."""
    found: dict[str, list[str]] = {}
    for item in site.query(f"/1.0/storage-pools/{site.project}/volumes/custom?recursion=1&project={site.project}"):
        assert "user.bcm.copy" not in item["config"]
        found.setdefault(item["name"], []).append(item["location"])
    return found


def nodes(site: RackSite, speaker: str = "manager-1") -> dict[str, str]:
    """All nodes of the Swarm with their states, as a manager names them."""
    words = site.ask(speaker, "docker", "node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}")
    lines = [line.split(maxsplit=1) for line in words.splitlines()]
    assert len({host for host, _state in lines}) == len(lines), words
    return dict(lines)


def peers(site: RackSite, server: str) -> str:
    """To whom a server sends what is for all."""
    return "\n".join(line for line in site.on(server, "bridge", "fdb", "show").stdout.splitlines() if " dst " in line)


def running(site: RackSite) -> dict[str, int]:
    """The first process of each instance: another one after each start."""
    return {name: site.query(f"/1.0/instances/{name}/state?project={site.project}")["pid"] for name in site.instances}


def evacuate(site: RackSite, server: str, *arguments: str) -> Run:
    return site.play("playbooks/evacuate.yml", "-e", f"endpoint={server}", *arguments)


def test_what_is_not_meant_is_refused(site: RackSite, leaving: str) -> None:
    refusals = {
        ("evacuate",): "Say which server: -e endpoint=NAME, one of rack-1, rack-2, rack-3",
        ("evacuate", "endpoint=rack-9"): "the cluster has no member rack-9",
        ("remove", f"endpoint={leaving}"): f"Say -e confirm={leaving} to have it done",
        ("remove", "endpoint=rack-1", "confirm=rack-1"): "which have no majority",
        ("remove", f"endpoint={leaving}", f"confirm={leaving}"): "which have no majority",
        ("remove", f"endpoint={leaving}", f"confirm={leaving}", "without_majority=true"): "there is something on it: instance",
        ("replace", f"endpoint={leaving}", f"confirm={leaving}", "lost_data=accept"): f"{leaving} is not lost",
    }  # fmt: skip
    for (playbook, *values), words in refusals.items():
        arguments = [part for value in values for part in ("-e", value)]
        run = site.play(f"playbooks/{playbook}.yml", *arguments)
        assert run.status != 0
        assert words in "\n".join(run.failures), run.text[-3000:]
        assert run.changed == set()
    assert site.members() == dict.fromkeys(SERVERS, "Online")


def test_a_rehearsal_names_what_would_move(site: RackSite, leaving: str) -> None:
    before = site.places()
    on_it = {name for name, place in before.items() if place == leaving}
    run = evacuate(site, leaving, "--check")
    assert run.status == 0, run.text[-3000:]
    for name in on_it:
        assert f"{name} would be moved from {leaving} to " in run.text
    assert not [name for name in before if name not in on_it and f"{name} would be moved" in run.text]
    assert site.places() == before


def test_an_evacuated_server_has_nothing_of_the_site(
    site: RackSite, leaving: str, others: list[str], tmp_path: Path
) -> None:
    before, block = site.places(), site.ask("bitcoin-1", "bitcoin-cli", "getbestblockhash")
    for name, (path, _volume) in DATA.items():
        site.ask(name, "sh", "-c", f"echo of {name} > {path}/{KEPT}")
    run = evacuate(site, leaving)
    assert run.status == 0, run.text[-5000:]

    after = site.places()
    assert after.keys() == before.keys()
    assert set(after.values()) <= set(others)
    assert {name: place for name, place in before.items() if place != leaving}.items() <= after.items()
    assert volumes(site) == {volume: [after[name]] for name, (_path, volume) in DATA.items()}
    for name, (path, _volume) in DATA.items():
        assert site.ask(name, "cat", f"{path}/{KEPT}") == f"of {name}\n"
        assert site.run(name, "test", "-e", f"{path}/.bcm-move").returncode != 0
    assert {state.split()[0] for state in nodes(site).values()} == {"Ready"}
    wait_for("the node", lambda: node_answers(site), 120)
    assert site.ask("bitcoin-1", "bitcoin-cli", "getbestblockhash") == block
    assert site.members()[leaving] == "Evacuated"
    wait_for("a site that works", lambda: site.verify(tmp_path)["works"], 180, every=5)

    again = evacuate(site, leaving)
    assert (again.status, again.changed) == (0, set()), again.text[-3000:]


def test_a_removed_server_is_nowhere(site: RackSite, leaving: str, others: list[str]) -> None:
    address = site.hostvars[leaving]["bcm_cluster_address"]
    assert address in peers(site, others[0])
    remove = ("-e", f"endpoint={leaving}", "-e", f"confirm={leaving}", "-e", "without_majority=true")
    run = site.play("playbooks/remove.yml", *remove)
    assert run.status == 0, run.text[-5000:]

    assert site.members() == dict.fromkeys(others, "Online")
    assert nodes(site).keys() == set(site.engines)
    for server in others:
        assert address not in peers(site, server)
    assert not site.query("/1.0/cluster", leaving)["enabled"]
    assert site.query("/1.0/storage-pools", leaving) == []
    links = json.loads(site.on(leaving, "ip", "-j", "link", "show").stdout)
    assert [link["ifname"] for link in links if link["ifname"].startswith("bcm")] == []
    assert site.on(leaving, "test", "-e", "/etc/bcm/vxlan").returncode != 0
    assert [site.on(server, "test", "-e", STORE).returncode for server in (leaving, *others)] == [1, 0, 0]
    assert node_answers(site)

    again = site.play("playbooks/remove.yml", *remove)
    assert (again.status, again.changed) == (0, set()), again.text[-3000:]


def test_a_fresh_server_in_its_place_comes_back(site: RackSite, leaving: str, tmp_path: Path) -> None:
    places, processes = site.places(), running(site)
    lab("rack", "wipe", leaving)
    with tempfile.TemporaryDirectory(prefix="bcm-") as sockets:
        # A connection that is kept open leads to a server that is no more.
        run = site.play("playbooks/site.yml", env={"ANSIBLE_SSH_CONTROL_PATH_DIR": sockets}, timeout=1100)
    assert run.status == 0, run.text[-5000:]
    assert site.members() == dict.fromkeys(SERVERS, "Online")
    # What runs stays where it is, and has not been restarted.
    assert (site.places(), running(site)) == (places, processes)
    assert site.verify(tmp_path)["works"]


def test_rebalance_alone_brings_instances_to_it(site: RackSite, leaving: str, tmp_path: Path) -> None:
    rehearsed = site.play("playbooks/rebalance.yml", "--check")
    assert rehearsed.status == 0, rehearsed.text[-3000:]
    assert f" to {leaving}" in rehearsed.text
    run = site.play("playbooks/rebalance.yml")
    assert run.status == 0, run.text[-5000:]
    places = site.places()
    assert {places[manager] for manager in site.tier("manager")} == set(SERVERS)
    assert volumes(site) == {volume: [places[name]] for name, (_path, volume) in DATA.items()}
    for name, (path, _volume) in DATA.items():
        assert site.ask(name, "cat", f"{path}/{KEPT}") == f"of {name}\n"
    again = site.play("playbooks/rebalance.yml", "--check")
    assert (again.status, again.changed) == (0, set()), again.text[-3000:]

    # Its bridges are those of the others.
    mtu = site.network("cluster")["mtu"]
    first, *rest = site.tier("manager")
    for manager in rest:
        ping = ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-M", "do", site.address(manager, "cluster")]
        assert site.run(first, *ping, "-s", str(mtu - HEADERS)).returncode == 0
    wait_for("a site that works", lambda: site.verify(tmp_path)["works"], 180, every=5)
