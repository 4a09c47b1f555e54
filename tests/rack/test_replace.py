# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One of three servers is lost with all that was on it, is given up, and a fresh one takes its place."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from standing import CHECKOUT, lab, node_answers, wait_for
from test_shrink import KEPT, nodes, running
from test_site import SERVERS, RackSite


@pytest.fixture(scope="module")
def site() -> RackSite:
    return RackSite.read(CHECKOUT / "inventories/lab-rack")


def test_a_lost_server_is_replaced(site: RackSite, tmp_path: Path) -> None:
    places = site.places()
    lost = places["bitcoin-1"]
    site.through = next(server for server in SERVERS if server != lost)
    gone = sorted(name for name, place in places.items() if place == lost)
    data = [f"{name}-{volume['name']}" for name in gone for volume in site.hostvars[name]["bcm_volumes"]]
    for name in gone:
        for volume in site.hostvars[name]["bcm_volumes"]:
            site.ask(name, "touch", f"{volume['path']}/{KEPT}")
    others = {name: pid for name, pid in running(site).items() if name not in gone}
    speaker = next(manager for manager in site.tier("manager") if manager not in gone)
    down = [name for name in gone if name in site.engines]
    replace = ("playbooks/replace.yml", "-e", f"endpoint={lost}", "-e", f"confirm={lost}")

    lab("rack", "off", lost)
    wait_for("word of the loss", lambda: site.takes_for(lost) == {"Offline"}, 90)
    wait_for("word of the Swarm", lambda: {nodes(site, speaker)[name].split()[0] for name in down} == {"Down"}, 90)
    refused = site.play(*replace)
    assert "Say -e lost_data=accept" in "\n".join(refused.failures), refused.text[-3000:]
    assert refused.changed == set()
    assert site.members()[lost] == "Offline"

    given_up = site.play(*replace, "-e", "lost_data=accept", "-e", f"output={tmp_path / 'lost.json'}")
    assert given_up.status == 0, given_up.text[-5000:]
    listed = json.loads((tmp_path / "lost.json").read_text())
    assert sorted(listed["instances"]) == gone
    assert sorted(listed["volumes"]) == sorted(
        f"volume {site.project}/{name} of project {site.project}" for name in data
    )
    assert listed["others"] == []
    assert site.members() == {server: "Online" for server in SERVERS if server != lost}
    assert nodes(site, speaker).keys() == set(site.engines) - set(gone)

    lab("rack", "wipe", lost)
    with tempfile.TemporaryDirectory(prefix="bcm-") as sockets:
        run = site.play("playbooks/site.yml", env={"ANSIBLE_SSH_CONTROL_PATH_DIR": sockets}, timeout=1400)
    assert run.status == 0, run.text[-5000:]
    assert site.members() == dict.fromkeys(SERVERS, "Online")
    assert {name: pid for name, pid in running(site).items() if name not in gone} == others
    assert {state.split()[0] for state in nodes(site, speaker).values()} == {"Ready"}
    assert nodes(site, speaker).keys() == set(site.engines)
    # What was accepted as lost is there anew, with nothing of before on it.
    for name in gone:
        for volume in site.hostvars[name]["bcm_volumes"]:
            assert site.run(name, "test", "-e", f"{volume['path']}/{KEPT}").returncode != 0
    wait_for("the node", lambda: node_answers(site), 120)
    wait_for("a site that works", lambda: site.verify(tmp_path)["works"], 180, every=5)
