# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_members as members
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDError
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_members import Cluster, plan_in_cluster
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import NETWORK, POOL, Object, PlanError
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import FakeLXD, error, sync

POOLS = "/1.0/storage-pools"


@pytest.fixture
def client(lxd: FakeLXD) -> t.Iterator[LXDClient]:
    with LXDClient(lxd.url, timeout=10) as found:
        yield found


def cluster(**parts: Object) -> Cluster:
    return Cluster({"a": "Online", "b": "Online"}, parts=parts)


def part(status: str = "Created", **config: str) -> Object:
    return {"name": "p", "driver": "btrfs", "status": status, "config": config}


def whole(status: str = "Created", **config: str) -> Object:
    return {**part(status, **config), "locations": ["a", "b"], "description": ""}


# -- planning -------------------------------------------------------------------------------------------------------


def test_a_key_of_members_is_for_all_that_do_not_say_otherwise() -> None:
    desired = {"name": "p", "config": {"size": "1GiB", "user.a": 1}, "members": {"b": {"size": "2GiB"}}}
    change = plan_in_cluster(POOL, desired, None, cluster())
    assert (change.action, change.errors) == ("create", [])
    assert change.define == {"a": {"size": "1GiB"}, "b": {"size": "2GiB"}}
    assert change.after is not None
    assert change.after["config"] == {"user.a": "1"}
    assert change.after["members"] == change.define


def test_what_is_there_is_left_alone() -> None:
    there = cluster(a=part(source="/x", **{"volatile.initial_source": "/dev/a"}), b=part(size="1GiB"))
    desired = {"name": "p", "members": {"a": {"source": "/dev/a"}, "b": {"size": "1024MiB", "source.wipe": True}}}
    change = plan_in_cluster(POOL, desired, whole(), there)
    assert (change.action, change.errors, change.write) == ("none", [], {})
    assert plan_in_cluster(POOL, {"name": "p"}, whole(), there).action == "none"


def test_a_key_of_one_member_changes() -> None:
    there = cluster(a=part(**{"bgp.ipv4.nexthop": "192.0.2.1"}), b=part())
    actual = {
        "name": "n",
        "type": "bridge",
        "managed": True,
        "status": "Created",
        "config": {},
        "locations": ["a", "b"],
    }
    desired = {"name": "n", "members": {"a": {"bgp.ipv4.nexthop": None}, "b": {"parent": "eth1"}}}
    change = plan_in_cluster(NETWORK, desired, actual, there)
    assert change.action == "update"
    assert change.write == {"a": {"bgp.ipv4.nexthop": None}, "b": {"parent": "eth1"}}
    assert change.before is not None
    assert change.after is not None
    assert change.before["members"] == {"a": {"bgp.ipv4.nexthop": "192.0.2.1"}, "b": {}}
    assert change.after["members"] == {"a": {}, "b": {"parent": "eth1"}}


def test_what_was_cut_off_is_finished() -> None:
    there = cluster(a=part("Pending", source="/old"))
    desired = {"name": "p", "config": {"user.a": "1"}, "members": {"a": {"source": "/new"}, "b": {"source": "/b"}}}
    change = plan_in_cluster(POOL, desired, {**whole("Pending"), "locations": ["a"]}, there)
    assert (change.action, change.errors) == ("create", [])
    assert change.write == {"a": {"source": "/new"}}
    assert change.define == {"b": {"source": "/b"}}
    assert change.common_given is False
    assert change.before is not None
    assert change.after is not None
    assert (change.before["status"], change.after["status"]) == ("Pending", "Created")


def test_what_failed_on_a_member_is_finished() -> None:
    there = cluster(a=part(source="/a"), b=part("Pending", source="/wrong"))
    desired = {"name": "p", "config": {"user.a": "2"}, "members": {"b": {"source": "/right"}}}
    change = plan_in_cluster(POOL, desired, whole("Errored", **{"user.a": "1"}), there)
    assert (change.action, change.errors) == ("create", [])
    assert change.write == {"b": {"source": "/right"}}
    assert change.common_given is True
    # What a member has made already stays where it is.
    moved = plan_in_cluster(POOL, {"name": "p", "members": {"a": {"source": "/c"}}}, whole("Errored"), there)
    assert "storage pool p on member a: it lies on /a, not on /c" in moved.errors[0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"c": {}}, "storage pool p, members: the cluster has no member 'c'. Its members: a, b"),
        ({"a": {"user.x": 1}}, "storage pool p, members, a: user.x is not a key of one member"),
        ({"a": "text"}, "storage pool p, members, a: a dictionary is expected, not str"),
        ({"a": {"size": [1]}}, "storage pool p, members, a, key size: "),
        ({"a": {"volatile.initial_source": "/x"}}, "belongs to LXD itself"),
    ],
)
def test_what_cannot_be_is_refused(given: Object, message: str) -> None:
    for actual in (None, whole()):
        change = plan_in_cluster(POOL, {"name": "p", "members": given}, actual, cluster(a=part(), b=part()))
        assert message in change.errors[0]
        assert not change.define
        assert not change.write


def test_which_keys_are_a_members_own_depends_on_the_server() -> None:
    desired = {"name": "p", "members": {"a": {"lvm.vg.force_reuse": True}}}
    assert plan_in_cluster(POOL, desired, None, cluster()).errors
    incus = Cluster({"a": "Online"}, incus=True)
    assert plan_in_cluster(POOL, desired, None, incus).define == {"a": {"lvm.vg.force_reuse": "true"}}


def test_a_member_that_is_away() -> None:
    away = Cluster({"a": "Online", "b": "Offline"}, parts={"a": part()})
    assert "member b is offline" in plan_in_cluster(POOL, {"name": "p"}, None, away).errors[0]
    assert "member b is offline" in plan_in_cluster(POOL, {"name": "p", "members": {"b": {}}}, whole(), away).errors[0]
    # It is not in the way of what does not concern it.
    assert plan_in_cluster(POOL, {"name": "p"}, whole(), away).action == "none"


def test_a_member_without_a_part() -> None:
    there = cluster(a=part())
    asked = plan_in_cluster(POOL, {"name": "p", "members": {"b": {}}}, {**whole(), "locations": ["a"]}, there)
    assert "member b has no part of it" in asked.errors[0]


def test_networks_without_parts() -> None:
    change = plan_in_cluster(NETWORK, {"name": "n", "type": "ovn"}, None, cluster())
    assert (change.action, change.errors, change.define) == ("create", [], {})
    wrong = {"name": "n", "type": "ovn", "members": {"a": {"parent": "eth0"}}}
    assert "have no keys of a member" in plan_in_cluster(NETWORK, wrong, None, cluster()).errors[0]


def test_what_is_used_stays() -> None:
    used = {**whole(), "used_by": ["/1.0/instances/c"]}
    change = plan_in_cluster(POOL, {"name": "p", "state": "absent"}, used, cluster(a=part(), b=part()))
    assert change.errors == ["storage pool p cannot be removed, it is in use by: instances/c"]


def test_a_server_alone() -> None:
    desired = {"name": "p", "config": {"user.a": 1}, "members": {"me": {"source": "/x"}}}
    assert members.without_cluster(desired, "me") == ({"name": "p", "config": {"user.a": 1, "source": "/x"}}, [])
    assert "is in no cluster" in members.without_cluster(desired, "other")[1][0]
    two = {"name": "p", "members": {"me": {}, "you": {}}}
    assert "it has me, you" in members.without_cluster(two, "me")[1][0]
    assert members.without_cluster({"name": "p", "members": None}, "me") == ({"name": "p"}, [])
    assert members.without_cluster({"name": "p", "members": {"me": "x"}}, "me")[1]


def test_a_server_alone_that_would_have_become_a_cluster() -> None:
    desired = {"name": "p", "members": {"first": {"source": "/x"}, "me": {"source": "/y"}, "third": {}}}
    for name, source in (("host", "/x"), ("me", "/y")):
        wanted = {"name": "p", "config": {"source": source}}
        assert members.without_cluster(desired, name, rehearsal=True) == (wanted, [])
    # Of one that is to stand alone it is asked what it is called.
    assert members.without_cluster({"name": "p", "members": {"other": {}}}, "me", rehearsal=True)[1]


# -- against a server -----------------------------------------------------------------------------------------------


def clustered(lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0", sync({"environment": {"server_clustered": True, "server": "lxd", "server_name": "a"}}))
    found = [{"server_name": "b", "status": "Offline"}, {"server_name": "a", "status": "Online"}]
    lxd.route("GET", "/1.0/cluster/members", sync(found))


def test_reading(lxd: FakeLXD, client: LXDClient) -> None:
    clustered(lxd)
    found = members.read_cluster(client)
    assert found == Cluster({"a": "Online", "b": "Offline"})
    lxd.route("GET", f"{POOLS}/p", sync(part(source="/a")))
    read = members.read_parts(client, POOL, {"name": "p"}, whole(), found)
    assert list(read.parts) == ["a"]
    assert [r.query.get("target") for r in lxd.requests if r.path == f"{POOLS}/p"] == ["a"]


def test_a_target(lxd: FakeLXD, client: LXDClient) -> None:
    clustered(lxd)
    assert members.settled_target(client, None, "x") is None
    assert members.settled_target(client, "a", "x") == "a"
    with pytest.raises(PlanError, match="x: member b is offline"):
        members.settled_target(client, "b", "x")
    with pytest.raises(PlanError, match="x: the cluster has no member 'c'"):
        members.settled_target(client, "c", "x")


def test_a_target_on_a_server_alone(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0", sync({"environment": {"server_name": "a"}}))
    assert members.settled_target(client, "a", "x") is None
    with pytest.raises(PlanError, match="LXD on a is in no cluster"):
        members.settled_target(client, "b", "x")


def test_a_pool_is_noted_down_for_each_member_and_then_made(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("POST", POOLS, sync())
    made = {"name": "p", "driver": "btrfs", "description": "", "config": {"user.a": "1"}}
    lxd.route("GET", f"{POOLS}/p", sync(made, ETag="e"))
    lxd.route("PUT", f"{POOLS}/p", sync())
    desired = {"name": "p", "description": "d", "config": {"user.a": 1}, "members": {"b": {"source": "/b"}}}
    members.apply_in_cluster(client, plan_in_cluster(POOL, desired, None, cluster()))
    posted = [(r.query.get("target"), r.json["config"]) for r in lxd.requests if r.method == "POST"]
    assert posted == [("a", {}), ("b", {"source": "/b"}), (None, {"user.a": "1"})]
    # A server that drops the description is told it once more.
    assert [r.json for r in lxd.requests if r.method == "PUT"] == [{"description": "d", "config": {"user.a": "1"}}]


def test_a_failure_says_what_to_do(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("POST", POOLS, [sync(), sync(), error(500, "no space on b")])
    with pytest.raises(LXDError, match=r"Could not create storage pool p: .*no space on b\. .*another run finishes it"):
        members.apply_in_cluster(client, plan_in_cluster(POOL, {"name": "p"}, None, cluster()))
