# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each of three servers loses its power in turn, the one with the way out among them. The others go on, say what is missing, and
all is well again when it is back, without anybody's help."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from standing import CHECKOUT, lab, node_answers, wait_for
from test_site import SERVERS, RackSite

# Within so many seconds another proxyhost is the way out.
WAY_OUT = 15
NODE = "bitcoin-1"


@pytest.fixture
def site() -> Iterator[RackSite]:
    yield RackSite.read(CHECKOUT / "inventories/lab-rack")
    lab("rack", "on", *SERVERS)


def decides(site: RackSite, manager: str) -> None:
    """LXD and the Swarm take something down, which takes more than half of each."""
    for command in (["create"], ["delete"]):
        done = site.on(site.through, "lxc", "--project", site.project, "profile", *command, "bcm-test")
        assert done.returncode == 0, done.stderr
    site.ask(manager, "docker", "node", "update", "--label-add", "bcm.test=1", manager)
    site.ask(manager, "docker", "node", "update", "--label-rm", "bcm.test", manager)


def at_peace(site: RackSite) -> bool:
    return site.takes_for(*SERVERS) == {"Online"} and len(site.holders()) == 1


@pytest.mark.parametrize("lost", SERVERS)
def test_a_server_is_off(site: RackSite, lost: str, tmp_path: Path) -> None:
    wait_for("a site that works", lambda: site.verify(tmp_path)["works"], 240, every=5)
    places = site.places()
    gone = {name for name, place in places.items() if place == lost}
    left = [name for name in site.instances if name not in gone]
    manager, *_others = [name for name in site.tier("manager") if name in left]
    (before,) = site.holders()
    block = site.ask(NODE, "bitcoin-cli", "getbestblockhash")
    site.through = next(server for server in SERVERS if server != lost)
    try:
        lab("rack", "off", lost)
        wait_for("way out", lambda: site.gets_out(manager), WAY_OUT)
        (holder,) = site.holders()
        assert holder in left
        assert holder == before or before in gone
        wait_for("word of the loss", lambda: site.takes_for(lost) == {"Offline"}, 90)
        down = {name for name in gone if name in site.engines}
        wait_for("word of the Swarm", lambda: down <= {k for k, v in site.managers(manager).items() if v == "Down"}, 90)
        decides(site, manager)
        assert site.gets_out(manager)
        if NODE in left:
            assert node_answers(site)

        report = site.verify(tmp_path)
        assert not report["works"]
        wrong = {(part["host"], part["part"]): part["cause"] for part in report["parts"] if not part["works"]}
        assert {(lost, "the machine itself"), *((name, "the instance itself") for name in gone)} <= set(wrong)
        assert all(wrong.values()), "something is broken, and it is not said why"
        # Of the proxyhosts that are left each works, and knows which of them is the way out; and so it is for the managers.
        parts = {(part["host"], part["part"].split(" (")[0]): part for part in report["parts"]}
        for name in left:
            if name in site.tier("proxyhost"):
                assert not [part for host, part in wrong if host == name]
                said = parts[name, "Address of the way out on gateway"]["part"]
                assert f"held {'here' if name == holder else f'by {holder}'}" in said
            if name in site.tier("manager"):
                assert parts[name, "Proxy in reach"]["works"]
                assert parts[name, "Way out to the package mirror"]["works"]
    finally:
        lab("rack", "on", lost)
    wait_for("its return", lambda: at_peace(site), 120)
    # Whoever is the way out stays it.
    assert site.holders() == [holder]
    wait_for("a site that works again", lambda: site.verify(tmp_path)["works"], 240, every=5)
    wait_for("the node", lambda: node_answers(site), 120)
    assert site.ask(NODE, "bitcoin-cli", "getbestblockhash") == block
    assert site.places() == places
