# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three servers that are one cluster, that cluster taken apart, and one server that grows into another while it works."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standing import LXD_ENV, Run, lxc, play, wait_for
from testinfra.host import Host

NODES = ["node-1", "node-10", "node-12"]
ADDRESSES = {"node-1": "198.18.79.1", "node-10": "198.18.79.10", "node-12": "198.18.79.12"}
PLAYBOOKS = "../../playbooks"
Converge = Callable[..., Run]
Instance = Callable[[str], Host]


def ask(host: Host, path: str) -> Any:
    """What an LXD says."""
    return json.loads(host.check_output("lxc query %s", path))


def members(host: Host) -> dict[str, dict[str, Any]]:
    return {member["server_name"]: member for member in ask(host, "/1.0/cluster/members?recursion=1")}


def status(host: Host, name: str) -> str:
    """What a member says of another one; while the database moves it may say nothing."""
    done = host.run("lxc query %s", f"/1.0/cluster/members/{name}")
    return str(json.loads(done.stdout)["status"]) if done.rc == 0 else done.stderr


def clustered(host: Host) -> bool:
    return bool(ask(host, "/1.0/cluster")["enabled"])


@pytest.fixture
def report(converge: Converge, tmp_path: Path) -> Callable[[], dict[str, Any]]:
    def read() -> dict[str, Any]:
        run = converge(f"{PLAYBOOKS}/cluster_info.yml", format="json", output=str(tmp_path / "info.json"))
        assert run.status == 0, run.text[-3000:]
        assert not run.changed
        found: dict[str, Any] = json.loads((tmp_path / "info.json").read_text())
        return found

    return read


def test_three_servers_are_one_cluster_each_under_its_own_name(instance: Instance) -> None:
    found = members(instance("node-1"))
    assert sorted(found) == NODES
    assert {name: member["url"] for name, member in found.items()} == {
        name: f"https://{address}:8443" for name, address in ADDRESSES.items()
    }
    assert {member["status"] for member in found.values()} == {"Online"}
    # In the order of their joining.
    heard = instance("node-1").check_output("lxd sql global 'SELECT name FROM nodes ORDER BY id'")
    assert re.findall(r"node-\d+", heard) == NODES


def test_lxd_is_reached_at_the_address_of_the_cluster_only(instance: Instance) -> None:
    for name in NODES:
        listening = instance(name).check_output("ss --no-header --listening --tcp --numeric 'sport = 8443'").split("\n")
        assert [line.split()[3] for line in listening] == [f"{ADDRESSES[name]}:8443"]


def test_failure_domains_are_those_that_were_declared(instance: Instance) -> None:
    assert {name: member["failure_domain"] for name, member in members(instance("node-1")).items()} == {
        "node-1": "shelf-1",
        "node-10": "shelf-2",
        "node-12": "shelf-3",
    }


def test_what_cannot_be_a_cluster_is_refused(refusal: Callable[..., str]) -> None:
    everywhere = "0.0.0.0"  # noqa: S104 - it is what is refused
    told = refusal("--limit", "node-1", lxd_cluster_members=["node-10", "node-12"], lxd_cluster_address=everywhere)
    assert "two members have no majority" in told
    assert "node-1 is not among node-10, node-12" in told
    assert "lxd_cluster_address: 0.0.0.0 is no address" in told
    assert "LXD cannot change that to 198.18.79.99" in refusal("--limit", "node-1", lxd_cluster_address="198.18.79.99")


def test_bad_tokens_are_told_and_a_good_one_joins(converge: Converge, instance: Instance) -> None:
    bad = converge("tokens.yml")
    assert bad.status == 0, bad.text[-5000:]
    assert sorted(members(instance("node-1"))) == ["node-1", "node-10"]
    assert not clustered(instance("node-12"))


def test_a_clock_that_is_off_is_told(converge: Converge) -> None:
    """The server's own Python takes its time from another source. The other members are not to be asked for anything."""
    ahead = {
        "ansible_python_interpreter": "{{ '/usr/local/bin/python-ahead' if inventory_hostname == 'node-12' else '/usr/bin/python3' }}"
    }
    run = converge("converge.yml", **ahead)
    assert run.status != 0
    assert not run.changed
    assert any("The clock of node-12 is 14" in failure and "ahead of" in failure for failure in run.failures), (
        run.failures
    )
    # Where that is allowed, each token that the cluster makes seems to be out of date, and it is given up.
    run = converge("converge.yml", lxd_cluster_clock_tolerance=86400, **ahead)
    assert run.status != 0
    assert any("it was valid until" in failure for failure in run.failures), run.failures
    begun = [
        line for line in run.text.splitlines() if '"v2_playbook_on_task_start"' in line and "lxd : Join with it" in line
    ]
    assert len(begun) == 3


def test_the_next_run_joins(converge: Converge, instance: Instance) -> None:
    run = converge("converge.yml")
    assert run.status == 0, run.text[-3000:]
    assert {host for host, _task in run.changed} == {"node-12"}
    assert sorted(members(instance("node-1"))) == NODES
    # What each task came to is in this text, and the token that was made is not: all tokens are base64 of {"server_name…
    assert base64.b64encode(b'{"server_nam').decode() not in run.text


def test_a_member_without_power_is_named(report: Callable[[], dict[str, Any]], instance: Instance) -> None:
    # By LXD's own threshold of 20 s: with one that is hardly longer than the time between two heartbeats, others would be taken
    # for lost where these come late.
    lxc("stop", "--force", "node-12", project="molecule")
    wait_for("node-12 offline", lambda: status(instance("node-1"), "node-12") == "Offline", 90)
    found = report()
    assert [endpoint["name"] for endpoint in found["endpoints"] if not endpoint["answers"]] == ["node-12"]
    (cluster,) = found["clusters"]
    states = {member["name"]: (member["status"], member["answers"]) for member in cluster["members"]}
    assert states == {"node-1": ("Online", True), "node-10": ("Online", True), "node-12": ("Offline", False)}
    assert all(member["cpus"] and member["memory"]["total"] for member in cluster["members"] if member["answers"])
    lxc("start", "node-12", project="molecule")
    wait_for("node-12 online", lambda: status(instance("node-1"), "node-12") == "Online", 180)


def test_sites_are_listed_each_by_itself(tmp_path: Path) -> None:
    """Both have an endpoint of the same name, and only one of these is there."""
    way = {
        "ansible_connection": "bcm.datacenter.lxd",
        "ansible_python_interpreter": "/usr/bin/python3",
        "bcm_lxd_url": f"unix://{LXD_ENV['LXD_DIR']}/unix.socket",
        "bcm_lxd_project": "molecule",
    }
    for site, host in (("rack-1", "node-1"), ("rack-10", "node-13")):
        endpoint = {**way, "bcm_site": site, "ansible_host": host}
        (tmp_path / f"{site}.yml").write_text(json.dumps({"endpoints": {"hosts": {"node-1": endpoint}}}))
    other, found = tmp_path / "rack-10.yml", tmp_path / "list.json"
    run = play(
        "playbooks/cluster_list.yml", "-i", str(other), "-e", f"output={found}", inventory=tmp_path / "rack-1.yml"
    )
    assert run.status == 0, run.text[-3000:]
    sites = json.loads(found.read_text())
    assert [(site["site"], site["endpoints"][0]["name"], site["endpoints"][0]["answers"]) for site in sites] == [
        ("rack-1", "node-1", True),
        ("rack-10", "node-1", False),
    ]


def test_a_cluster_is_taken_apart_under_its_own_name_only(converge: Converge, instance: Instance) -> None:
    other = converge(f"{PLAYBOOKS}/cluster_destroy.yml", confirm="rack-10")
    assert other.status != 0
    assert "Say -e confirm=rack-1 to have it done" in other.failures[0]
    assert sorted(members(instance("node-1"))) == NODES

    instance("node-10").check_output("lxc project create precious")
    used = converge(f"{PLAYBOOKS}/cluster_destroy.yml", confirm="rack-1")
    assert "There is something in it: project precious" in used.failures[0]
    instance("node-10").check_output("lxc project delete precious")

    apart = converge(f"{PLAYBOOKS}/cluster_destroy.yml", confirm="rack-1")
    assert apart.status == 0, apart.text[-3000:]
    assert not any(clustered(instance(name)) for name in NODES)
    again = converge(f"{PLAYBOOKS}/cluster_destroy.yml", confirm="rack-1")
    assert (again.status, again.changed) == (0, set())


def test_a_server_that_works_grows_into_a_cluster(converge: Converge, instance: Instance) -> None:
    first, second, third = (instance(name) for name in NODES)
    made = converge("standalone.yml")
    assert made.status == 0, made.text[-3000:]
    tenant = "/1.0/instances/tenant/state?project=bcm-rack-1"
    pid = ask(first, tenant)["pid"]

    # What another server would lose is not lost, and no server is touched.
    third.check_output("lxc project create precious")
    run = converge("converge.yml")
    assert any("node-12" in failure and "project precious" in failure for failure in run.failures), run.failures
    assert not run.changed
    assert not any(map(clustered, (first, second, third)))
    third.check_output("lxc project delete precious")

    run = converge("converge.yml", bcm_failure_domain="shelf-9")
    assert run.status == 0, run.text[-3000:]
    assert {member["failure_domain"] for member in members(second).values()} == {"shelf-9"}
    assert ask(first, tenant)["pid"] == pid
    # Pool and network are on the others too, the pool where it is on the first.
    for name in NODES:
        assert ask(second, f"/1.0/storage-pools/bcm-rack-1?target={name}")["config"]["source"] == "/var/lib/bcm-rack-1"
        assert instance(name).file("/var/lib/bcm-rack-1/containers").is_directory
        assert instance(name).interface("bcmrack0").exists


def test_it_is_told_what_runs_where(converge: Converge, tmp_path: Path) -> None:
    run = converge(f"{PLAYBOOKS}/cluster_info.yml", output=str(tmp_path / "info.txt"))
    assert run.status == 0
    text = (tmp_path / "info.txt").read_text()
    assert "Site rack-1: a cluster of 3, led by node-1" in text
    assert "project bcm-rack-1: tenant" in text.split("  node-10: ")[0]


def test_an_instance_moves_with_what_is_on_its_volume(converge: Converge, instance: Instance) -> None:
    """From what a run leaves behind that was killed while it copied."""
    first, within = instance("node-1"), "project=bcm-rack-1"
    tenant = f"/1.0/instances/tenant?{within}"

    def in_tenant(command: str) -> str:
        return str(first.check_output("/usr/local/bin/in-tenant -c %s", command))

    def places() -> list[str]:
        volumes = ask(first, f"/1.0/storage-pools/bcm-rack-1/volumes/custom?recursion=1&{within}")
        return [volume["location"] for volume in volumes if volume["name"] == "tenant-data"]

    in_tenant("echo precious > /srv/data/file")
    lxc_in = "lxc --project bcm-rack-1"
    first.check_output(f"{lxc_in} config set tenant user.bcm.move=%s", f"node-1 {ask(first, tenant)['last_used_at']}")
    first.check_output(f"{lxc_in} storage volume create bcm-rack-1 tenant-data --target node-10 user.bcm.copy=begun")
    rehearsed = converge("move.yml", "--check", instance_move_target="node-10")
    assert rehearsed.status == 0, rehearsed.text[-3000:]
    assert "tenant would be moved from node-1 to node-10, with tenant-data" in rehearsed.text
    assert sorted(places()) == ["node-1", "node-10"]

    run = converge("move.yml", instance_move_target="node-10")
    assert run.status == 0, run.text[-5000:]
    found = ask(first, tenant)
    assert (found["location"], found["status"]) == ("node-10", "Running")
    assert "user.bcm.move" not in found["config"]
    assert places() == ["node-10"]
    assert in_tenant("ls -A /srv/data; cat /srv/data/file") == "file\nprecious"
    again = converge("move.yml", instance_move_target="node-10")
    assert (again.status, again.changed) == (0, set())

    # A volume of which nobody has said that it is a copy is not taken for one.
    first.check_output(f"{lxc_in} storage volume create bcm-rack-1 tenant-data --target node-12")
    refused = converge("move.yml", instance_move_target="node-12")
    assert "Only you can know" in refused.failures[0]
    assert not refused.changed
