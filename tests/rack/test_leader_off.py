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
WORDS = "made while the first one was off"


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
def off(site: RackSite, places: dict[str, str]) -> list[str]:
    """The first server is off, for all tests that ask for it. What was on it."""
    lab("rack", "off", FIRST)
    site.through = OTHERS[0]
    wait_for("word of the loss", lambda: site.takes_for(FIRST) == {"Offline"}, 90)
    return sorted(name for name, place in places.items() if place == FIRST)


@pytest.fixture
def all_on(site: RackSite) -> None:
    lab("rack", "on", *SERVERS)
    site.through = FIRST
    wait_for("word of their return", lambda: site.takes_for(*SERVERS) == {"Online"}, 120)


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


def change(site: RackSite, folder: Path, instance: str, state: str) -> Run:
    """A change by a playbook of one's own that goes through whoever leads."""
    profile = {
        "url": "{{ bcm_own_lxd_url | default(omit, true) }}",
        "project": "{{ bcm_project }}",
        "name": EXTRA,
        "state": state,
        "description": WORDS,
    }
    path = f"/root/{EXTRA}"
    inside: dict[str, Any] = {"ansible.builtin.copy": {"dest": path, "content": WORDS, "mode": "0600"}}
    if state == "absent":
        inside = {"ansible.builtin.file": {"path": path, "state": "absent"}}
    tasks: dict[str, dict[str, Any]] = {
        "lxd_leader:!lxd_led": {"name": "Change the project", "bcm.datacenter.lxd_profile": profile},
        instance: {"name": "Change the instance", **inside},
    }
    plays = [{"hosts": hosts, "gather_facts": False, "tasks": [task]} for hosts, task in tasks.items()]
    file = folder / "change.yml"
    file.write_text(yaml.safe_dump([{"import_playbook": "bcm.datacenter.leader"}, *plays]))
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
    # Each server has a part of the pool and of the networks.
    run = site.play("playbooks/fabric.yml")
    assert run.status != 0
    assert f"member {FIRST} is offline" in "\n".join(run.failures), run.text[-3000:]
    assert run.changed == set()


def test_a_stage_names_what_of_it_is_away(site: RackSite, off: list[str]) -> None:
    """Each server has a proxyhost, and so the first one has."""
    away = sorted(set(site.tier("proxyhost")) & set(off))
    assert away
    allowed = site.hostvars["proxyhost-1"]["bcm_egress_allowed_domains"]
    wider = json.dumps({"bcm_egress_allowed_domains": [*allowed, "leader-off.example"]})
    run = site.play("playbooks/gateway.yml", "-e", wider)
    assert run.status != 0
    said = "\n".join(run.failures)
    for name in away:
        assert f"instance {name}: LXD cannot tell whether it runs" in said, run.text[-3000:]
    assert "perhaps because its cluster member is away" in said
    # Those that are there are left as they are, too.
    assert run.changed == set()


def test_a_change_is_applied_through_another_one(site: RackSite, off: list[str], tmp_path: Path) -> None:
    """To what is not on the first one: an object of LXD's own, and an instance on another server, which is reached by the same way."""
    instance = next(name for name in site.instances if name not in off)
    made = change(site, tmp_path, instance, "present")
    assert made.status == 0, made.text[-5000:]
    assert f"{OTHERS[0]} leads this run" in made.text
    assert made.changed == {(OTHERS[0], "Change the project"), (instance, "Change the instance")}
    assert site.query(f"/1.0/profiles/{EXTRA}?project={site.project}")["description"] == WORDS
    assert site.ask(instance, "cat", f"/root/{EXTRA}") == WORDS
    again = change(site, tmp_path, instance, "present")
    assert (again.status, again.changed) == (0, set()), again.text[-3000:]
    taken = change(site, tmp_path, instance, "absent")
    assert (taken.status, taken.changed) == (0, made.changed), taken.text[-3000:]
    assert f"/1.0/profiles/{EXTRA}?project={site.project}" not in site.query(f"/1.0/profiles?project={site.project}")


def test_a_stage_is_applied_through_another_one(site: RackSite, off: list[str]) -> None:
    """Unless the node, or the manager that speaks for it, is on the first one: then it is named."""
    needed = {site.tier("manager")[0], *site.tier("bitcoin")}
    run = site.play("playbooks/bitcoin.yml")
    assert run.changed == set()
    if needed & set(off):
        assert run.status != 0
        assert {failure.split(": ")[0] for failure in run.failures} & needed & set(off), run.text[-3000:]
    else:
        assert run.status == 0, run.text[-5000:]


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


@pytest.mark.usefixtures("all_on")
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


@pytest.mark.usefixtures("all_on")
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
