# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site is taken away: beside it nothing is touched, and from what it leaves it stands again as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from neighbour import all_but, differences
from standing import LAB_DIR, Site, lxc, node_answers, wait_for

WALLET = "savings"
# As destroy.yml names it; of a volume it says the size too.
HOLDS_DATA = [
    "project {site.project}",
    "storage pool {site.project}",
    "{site.store.parent}",
    "volume bitcoin-1-bitcoin (",
    "volume manager-1-registry (",
]


@pytest.fixture(scope="module")
def standing(second: Site) -> Site:
    """The second site, whoever has brought it up."""
    names = [item["name"] for item in json.loads(lxc("project", "list", "--format", "json"))]
    if second.project not in names or not all(second.running().get(name) for name in second.instances):
        run = second.play("playbooks/site.yml")
        assert run.status == 0, run.text[-3000:]
    return second


def bitcoin(site: Site, *words: str) -> str:
    """Ask the site's node."""
    node = site.tier("bitcoin")[0]
    wait_for("the node's container", lambda: node_answers(site, node), 60)
    return site.ask(node, "bitcoin-cli", *words).strip()


@pytest.fixture(scope="module")
def chain(standing: Site) -> dict[str, Any]:
    """What the node has that nobody could give it again: a chain of its own, and the key to its coins."""
    bitcoin(standing, "-named", "createwallet", f"wallet_name={WALLET}", "load_on_startup=true")
    address = bitcoin(standing, f"-rpcwallet={WALLET}", "getnewaddress")
    bitcoin(standing, "generatetoaddress", "101", address)
    return holdings(standing)


def holdings(site: Site) -> dict[str, Any]:
    addresses = json.loads(bitcoin(site, f"-rpcwallet={WALLET}", "listreceivedbyaddress", "0", "true"))
    return {
        "tip": bitcoin(site, "getbestblockhash"),
        "balance": bitcoin(site, f"-rpcwallet={WALLET}", "getbalance"),
        "addresses": [entry["address"] for entry in addresses],
    }


@pytest.fixture(scope="module")
def images(standing: Site) -> list[str]:
    """What the site has built and keeps in its registry."""
    return built(standing)


def built(site: Site) -> list[str]:
    """The blobs of the registry, each with the time at which it was pushed."""
    listing = ["find", "/srv/registry/docker", "-name", "data", "-printf", r"%P %T@\n"]
    return sorted(site.ask(site.tier("manager")[0], *listing).splitlines())


def names(kind: str, site: Site) -> list[str]:
    """What of a kind of global object carries the site's name."""
    entries = json.loads(lxc("query", f"/1.0/{kind}?recursion=1"))
    return [entry["name"] for entry in entries if entry.get("config", {}).get("user.bcm.site") == site.name]


@pytest.mark.parametrize("given", [(), ("-e", "confirm=lab")], ids=["no-name", "another-name"])
def test_refused_without_the_sites_name(standing: Site, given: tuple[str, ...]) -> None:
    running = standing.running()
    run = standing.play("playbooks/destroy.yml", *given)
    assert run.status != 0
    assert not run.changed
    assert f"-e confirm={standing.name}" in " ".join(run.failures)
    assert standing.running() == running


def test_what_runs_goes_and_what_holds_data_stays(
    site: Site, standing: Site, machine: dict[str, Any], chain: dict[str, Any], images: list[str]
) -> None:
    assert float(chain["balance"]) == 50
    assert images
    secrets = standing.secrets()
    run = standing.play("playbooks/destroy.yml", "-e", f"confirm={standing.name}")
    assert run.status == 0, run.text[-3000:]
    assert "This stays" in run.text
    for kept in HOLDS_DATA:
        assert kept.format(site=standing) in run.text, "it does not say what stays"

    assert standing.running() == {}
    assert lxc("image", "list", "--format", "csv", project=standing.project) == ""
    assert names("networks", standing) == []
    assert names("projects", standing) == [standing.project]
    assert names("storage-pools", standing) == [standing.project]
    assert standing.secrets() == secrets
    assert differences(machine, all_but(standing, "somebody", busy=site.project)) == []


def test_secrets_that_are_gone_are_not_made_anew_where_data_waits(standing: Site) -> None:
    aside = standing.store.parent.with_name(f"{standing.name}-aside")
    standing.store.parent.rename(aside)
    try:
        run = standing.play("playbooks/swarm.yml")
        made = standing.secrets()
    finally:
        shutil.rmtree(standing.store.parent, ignore_errors=True)
        aside.rename(standing.store.parent)
    assert run.status != 0
    assert "its secrets do not" in " ".join(run.failures)
    assert made == {}


def test_it_stands_again_with_its_chain_its_wallet_and_its_images(
    standing: Site, chain: dict[str, Any], images: list[str]
) -> None:
    secrets = standing.secrets()
    run = standing.play("playbooks/site.yml")
    assert run.status == 0, run.text[-3000:]
    assert holdings(standing) == chain
    assert built(standing) == images
    assert standing.secrets() == secrets


def test_with_data_nothing_of_it_is_left(site: Site, standing: Site, machine: dict[str, Any]) -> None:
    run = standing.play("playbooks/destroy.yml", "-e", f"confirm={standing.name}", "-e", "data=true")
    assert run.status == 0, run.text[-3000:]
    assert f"With site {standing.name} this is lost for good" in run.text
    for lost in HOLDS_DATA:
        assert lost.format(site=standing) in run.text, "it does not say what is lost"

    for kind in ("networks", "projects", "storage-pools"):
        assert names(kind, standing) == []
    assert not standing.store.parent.exists()
    assert not list((LAB_DIR / "lxd/disks").glob(f"*{standing.project}*"))
    assert not list(Path("/sys/class/net").glob(f"bcm{standing.hostvars['manager-1']['bcm_site_id']}*"))
    assert differences(machine, all_but(standing, "somebody", busy=site.project)) == []
