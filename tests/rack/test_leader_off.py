# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first of three servers is off, comes back, and is lost for good: another one leads meanwhile, and has the site's secrets."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from standing import CHECKOUT, Run, lab, node_answers, wait_for
from test_shrink import nodes, running
from test_site import SERVERS, RackSite

FIRST, *OTHERS = SERVERS
STORE = "/var/lib/bcm/sites/rack/secrets"
COPY = "Copy the site's secrets to where they are missing"
# Of no part of the site.
EXTRA = "test-leader-off"


@pytest.fixture(scope="module")
def site() -> Iterator[RackSite]:
    """The site. Its servers are switched on afterwards."""
    found = RackSite.read(CHECKOUT / "inventories/lab-rack")
    yield found
    lab("rack", "on", *SERVERS)


@pytest.fixture(scope="module")
def places(site: RackSite) -> dict[str, str]:
    return site.places()


@pytest.fixture(scope="module")
def off(site: RackSite, places: dict[str, str]) -> Iterator[list[str]]:
    """The first server is off. What was on it."""
    lab("rack", "off", FIRST)
    site.through = OTHERS[0]
    wait_for("word of the loss", lambda: site.takes_for(FIRST) == {"Offline"}, 90)
    yield sorted(name for name, place in places.items() if place == FIRST)
    lab("rack", "on", FIRST)
    site.through = FIRST
    wait_for("word of its return", lambda: site.takes_for(*SERVERS) == {"Online"}, 120)


def secrets(site: RackSite, server: str) -> dict[str, str]:
    """The secrets on a server, each as a hash with how it lies."""
    done = site.on(
        server, "sh", "-c", f"cd {STORE} && for f in *; do echo $(stat -c '%n %a %U' $f) $(sha256sum < $f); done"
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert all(words[1:3] == ["600", "root"] for words in lines), done.stdout
    return {words[0]: words[3] for words in lines}


def wrong(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {(part["host"], part["part"]) for part in report["parts"] if not part["works"]}


def use_secret(site: RackSite, folder: Path, state: str) -> Run:
    """A secret that is asked for, or removed, by a play of its own."""
    task = {
        "name": "Use it",
        "bcm.datacenter.site_secret": {"site": "rack", "state": state, "confirm": "rack", "secrets": [{"name": EXTRA}]},
        "no_log": True,
    }
    file = folder / "use.yml"
    file.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    return site.play(str(file))


def test_every_server_has_the_secrets(site: RackSite) -> None:
    first, *others = (secrets(site, server) for server in SERVERS)
    assert {"site-ca", "tls-registry", "registry-builder"} <= first.keys()
    assert others == [first, first]


def test_another_one_leads_and_says_who_is_off(site: RackSite, off: list[str], tmp_path: Path) -> None:
    run = site.play("playbooks/verify.yml", "-e", f"verify_json={tmp_path / 'report.json'}")
    assert run.changed == set()
    assert f"{FIRST} does not answer" in run.text
    assert f"{OTHERS[0]} leads this run" in run.text
    broken = wrong(json.loads((tmp_path / "report.json").read_text()))
    assert {host for host, part in broken if part == "the machine itself"} == {FIRST}
    # All others were looked at.
    assert sorted(host for host, part in broken if part == "the instance itself") == off


def test_what_needs_every_server_is_refused(site: RackSite, off: list[str]) -> None:
    run = site.play("playbooks/site.yml")
    assert run.status != 0
    assert f"Nothing was touched. {FIRST} cannot be reached" in "\n".join(run.failures), run.text[-3000:]
    assert run.changed == set()
    # So is a network of all of them, by LXD's module; and none of what stands already is.
    run = site.play("playbooks/fabric.yml")
    assert (run.status, run.changed) == (0, set()) or f"member {FIRST} is offline" in "\n".join(run.failures)


def test_a_change_is_applied_through_another_one(site: RackSite, off: list[str]) -> None:
    """To instances that are all there, and of one that is not it is said."""
    proxyhosts = site.tier("proxyhost")
    allowed = site.hostvars["proxyhost-1"]["bcm_egress_allowed_domains"]
    change = json.dumps({"bcm_egress_allowed_domains": [*allowed, "leader-off.example"]})
    run = site.play("playbooks/gateway.yml", "-e", change)
    if set(proxyhosts) & set(off):
        assert run.status != 0
        assert "perhaps because its cluster member is away" in "\n".join(run.failures), run.text[-3000:]
        return
    assert run.status == 0, run.text[-5000:]
    assert {host for host, _task in run.changed} == set(proxyhosts)
    assert "leader-off.example" in site.ask("proxyhost-1", "cat", "/etc/squid/squid.conf")
    back = site.play("playbooks/gateway.yml")
    assert back.status == 0, back.text[-5000:]
    assert "leader-off.example" not in site.ask("proxyhost-1", "cat", "/etc/squid/squid.conf")


def test_secrets_are_made_and_read_without_it(site: RackSite, off: list[str], tmp_path: Path) -> None:
    made = use_secret(site, tmp_path, "present")
    assert made.status == 0, made.text[-3000:]
    second, third = (secrets(site, server) for server in OTHERS)
    assert EXTRA in second
    assert second == third
    again = use_secret(site, tmp_path, "present")
    assert (again.status, again.changed) == (0, set()), again.text[-3000:]
    # What lies on it, too, would come back.
    removed = use_secret(site, tmp_path, "absent")
    assert removed.status != 0
    assert EXTRA in secrets(site, OTHERS[0])


def test_when_it_is_back_it_gets_its_copies_and_nothing_else_changes(site: RackSite, tmp_path: Path) -> None:
    # Whether or not the tests before were run.
    wait_for("a site that works", lambda: site.verify(tmp_path)["works"], 300, every=5)
    lacking = EXTRA in secrets(site, OTHERS[0]) and EXTRA not in secrets(site, FIRST)
    for arguments in (("--check",), (), ("--check",)):
        run = site.play("playbooks/site.yml", *arguments)
        assert run.status == 0, run.text[-5000:]
        assert {task for _host, task in run.changed} == ({COPY} if lacking else set())
        lacking = lacking and bool(arguments)
    assert secrets(site, FIRST) == secrets(site, OTHERS[0]) == secrets(site, OTHERS[1])
    assert use_secret(site, tmp_path, "absent").status == 0
    assert EXTRA not in {name for server in SERVERS for name in secrets(site, server)}


def test_the_first_one_is_lost_and_replaced(site: RackSite, tmp_path: Path) -> None:
    places = site.places()
    gone = sorted(name for name, place in places.items() if place == FIRST)
    others = {name: pid for name, pid in running(site).items() if name not in gone}
    speaker = next(manager for manager in site.tier("manager") if manager not in gone)
    before = secrets(site, FIRST)
    replace = ("playbooks/replace.yml", "-e", f"endpoint={FIRST}", "-e", f"confirm={FIRST}", "-e", "lost_data=accept")
    alive = site.play(*replace)
    assert f"{FIRST} is not lost" in "\n".join(alive.failures), alive.text[-3000:]
    assert alive.changed == set()

    lab("rack", "off", FIRST)
    site.through = OTHERS[0]
    try:
        wait_for("word of the loss", lambda: site.takes_for(FIRST) == {"Offline"}, 90)
        down = [name for name in gone if name in site.engines]
        wait_for("word of the Swarm", lambda: {nodes(site, speaker)[name].split()[0] for name in down} <= {"Down"}, 90)
        given_up = site.play(*replace)
        assert given_up.status == 0, given_up.text[-5000:]
        assert site.members() == dict.fromkeys(OTHERS, "Online")
        assert nodes(site, speaker).keys() == set(site.engines) - set(gone)
    finally:
        # As it was it must not come back.
        lab("rack", "wipe", FIRST)
    with tempfile.TemporaryDirectory(prefix="bcm-") as sockets:
        # Connections that are kept open lead to a server that is no more.
        run = site.play("playbooks/site.yml", env={"ANSIBLE_SSH_CONTROL_PATH_DIR": sockets}, timeout=1400)
    assert run.status == 0, run.text[-5000:]
    site.through = FIRST
    assert site.members() == dict.fromkeys(SERVERS, "Online")
    assert [secrets(site, server) for server in SERVERS] == [before] * 3
    assert {name: pid for name, pid in running(site).items() if name not in gone} == others
    assert nodes(site, speaker).keys() == set(site.engines)
    wait_for("the node", lambda: node_answers(site), 180)
    wait_for("a site that works", lambda: site.verify(tmp_path)["works"], 180, every=5)
