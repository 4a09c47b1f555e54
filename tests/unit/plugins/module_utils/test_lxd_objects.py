# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_fabric as fabric
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_objects as objects
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDPreconditionFailed,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import (
    NETWORK,
    POOL,
    PROFILE,
    PROJECT,
    VOLUME,
    Kind,
    plan,
)
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import (
    Answer,
    FakeLXD,
    Request,
    error,
    sync,
)

SITE = "user.bcm.site"


@pytest.fixture
def client(lxd: FakeLXD) -> t.Iterator[LXDClient]:
    with LXDClient(lxd.url, timeout=10) as found:
        yield found


# -- planning -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "extra", "made"),
    [
        (PROJECT, {}, {}),
        (POOL, {}, {"driver": "btrfs"}),
        (NETWORK, {}, {"type": "bridge"}),
        (PROFILE, {}, {"devices": {}}),
        (VOLUME, {"pool": "p"}, {"content_type": "filesystem"}),
    ],
)
def test_what_is_not_there_is_made_once(kind: Kind, extra: dict[str, str], made: dict[str, t.Any]) -> None:
    desired = {"name": "x", "config": {"user.a": 1}, **extra}
    first = plan(kind, desired, None)
    assert (first.action, first.before) == ("create", None)
    assert first.after == {"name": "x", "description": "", "config": {"user.a": "1"}, **made}
    assert plan(kind, desired, first.after).action == "none"


def test_what_is_not_mentioned_stays() -> None:
    actual = {"name": "x", "description": "old", "config": {"user.a": "1", "volatile.b": "2"}, "devices": {"d": {}}}
    change = plan(PROFILE, {"name": "x", "config": {"user.c": "3"}}, actual)
    assert change.action == "update"
    assert change.after == {
        "name": "x",
        "description": "old",
        "config": {"user.a": "1", "user.c": "3"},
        "devices": {"d": {}},
    }


def test_what_belongs_to_somebody_else_is_not_touched() -> None:
    for action in ("present", "absent"):
        change = plan(NETWORK, {"name": "x", "state": action, "config": {SITE: "a"}}, {"name": "x", "config": {}})
        assert change.action == "none"
        assert "carries no user.bcm.site" in change.errors[0]


def test_the_default_profile_is_whose_the_project_is() -> None:
    desired = {"name": "default", "config": {SITE: "a"}}
    bare = {"name": "default", "config": {}, "devices": {}}
    assert plan(PROFILE, desired, bare, project="bcm-a").action == "update"
    assert plan(PROFILE, desired, bare, project="default").errors
    assert plan(PROFILE, desired, {**bare, "config": {SITE: "b"}}, project="bcm-a").errors


def test_pool_after_it_was_made() -> None:
    actual = {
        "name": "p",
        "driver": "btrfs",
        "config": {"source": "5f3c-uuid", "volatile.initial_source": "/dev/sdb", "size": "1GiB"},
    }
    same = {"name": "p", "driver": "btrfs", "config": {"source": "/dev/sdb", "size": "1024MiB"}}
    assert plan(POOL, same, actual).action == "none"
    moved = plan(POOL, {"name": "p", "config": {"source": "/dev/sdc"}}, actual)
    assert moved.errors == [
        "storage pool p: it lies on /dev/sdb, not on /dev/sdc, and a pool cannot be moved. "
        "Declare the source that it has, or make another pool."
    ]
    larger = {"name": "p", "config": {"size": "2GiB"}}
    assert "cannot change the size" in plan(POOL, larger, actual).errors[0]
    grown = plan(POOL, larger, actual, can_grow_pools=True)
    assert grown.action == "update"
    assert plan(POOL, {"name": "p", "driver": "zfs", "config": {}}, actual).errors


def test_a_pool_on_a_device_has_no_size() -> None:
    actual = {"name": "p", "driver": "btrfs", "config": {"source": "/dev/sdb"}}
    assert plan(POOL, {"name": "p", "config": {"size": "40GiB"}}, actual).action == "none"


def test_network_addresses_left_to_lxd() -> None:
    actual = {"name": "n", "type": "bridge", "managed": True, "config": {"ipv4.address": "10.0.0.1/24"}}
    assert plan(NETWORK, {"name": "n", "config": {"ipv4.address": "auto"}}, actual).action == "none"
    assert plan(NETWORK, {"name": "n", "config": {"ipv6.address": "auto"}}, actual).action == "update"


def test_an_interface_of_the_machine_is_no_network() -> None:
    change = plan(NETWORK, {"name": "eth0", "config": {}}, {"name": "eth0", "type": "physical", "managed": False})
    assert "not LXD's" in change.errors[0]


@pytest.mark.parametrize(
    ("kind", "used_by", "blocked"),
    [
        (PROJECT, ["/1.0/profiles/default?project=x"], False),
        (PROJECT, ["/1.0/profiles/default?project=x", "/1.0/images/abc?project=x"], True),
        (PROJECT, ["/1.0/storage-pools/p/volumes/custom/v?project=x"], True),
        (POOL, ["/1.0/images/abc", "/1.0/images/abc?project=y"], False),
        (POOL, ["/1.0/instances/i?project=y"], True),
        (NETWORK, None, False),
        (NETWORK, ["/1.0/profiles/default?project=y"], True),
    ],
)
def test_what_is_in_use_stays(kind: Kind, used_by: list[str] | None, blocked: bool) -> None:
    change = plan(kind, {"name": "x", "state": "absent"}, {"name": "x", "config": {}, "used_by": used_by})
    assert bool(change.errors) is blocked
    if used_by and blocked and "y" in used_by[0]:
        assert "of project y" in change.errors[0]


# -- applying -------------------------------------------------------------------------------------------------------


def test_networks_and_pools_are_asked_for_outside_of_projects(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("POST", "/1.0/networks", sync())
    objects.apply(client.clone(project="site"), plan(NETWORK, {"name": "n"}, None, project="site"))
    assert lxd.requests[0].query == {"project": "default"}


def test_a_change_in_between_is_kept(lxd: FakeLXD, client: LXDClient) -> None:
    states = [{"name": "x", "config": {"a": "1"}}, {"name": "x", "config": {"a": "1", "theirs": "9"}}]
    lxd.route("GET", "/1.0/projects/x", [sync(states[0], ETag="one"), sync(states[1], ETag="two")])
    lxd.route("PUT", "/1.0/projects/x", [error(412, "ETag doesn't match"), sync()])
    change = plan(PROJECT, {"name": "x", "config": {"b": "2"}}, states[0])
    objects.apply(client, change)
    puts = [request for request in lxd.requests if request.method == "PUT"]
    assert [put.headers["if-match"] for put in puts] == ["one", "two"]
    assert puts[1].json["config"] == {"a": "1", "b": "2", "theirs": "9"}


def test_a_change_in_between_that_does_our_work(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/projects/x", sync({"name": "x", "config": {"b": "2"}}, ETag="two"))
    objects.apply(client, plan(PROJECT, {"name": "x", "config": {"b": "2"}}, {"name": "x", "config": {}}))
    assert lxd.sent("PUT") == []


def test_changes_in_between_do_not_go_on_for_ever(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/projects/x", sync({"name": "x", "config": {}}, ETag="one"))
    lxd.route("PUT", "/1.0/projects/x", error(412, "ETag doesn't match"))
    change = plan(PROJECT, {"name": "x", "config": {"b": "2"}}, {"name": "x", "config": {}})
    with pytest.raises(LXDPreconditionFailed, match="Could not update project x"):
        objects.apply(client, change)
    assert len(lxd.sent("PUT")) == 2


def test_what_is_gone_already_is_gone(lxd: FakeLXD, client: LXDClient) -> None:
    objects.apply(client, plan(PROJECT, {"name": "x", "state": "absent"}, {"name": "x", "config": {}}))
    assert lxd.sent() == [("DELETE", "/1.0/projects/x")]


# -- the fabric -----------------------------------------------------------------------------------------------------


class World:
    """A stateful fake of what lxd_fabric reads and writes."""

    def __init__(self, lxd: FakeLXD) -> None:
        self.lxd = lxd
        self.networks: list[dict[str, t.Any]] = [{"name": "eth0", "type": "physical", "managed": False}]
        self.pools: list[dict[str, t.Any]] = []
        lxd.route("GET", "/1.0", sync({"api_extensions": []}))
        lxd.route("GET", "/1.0/networks", lambda _request: sync(self.networks))
        lxd.route("GET", "/1.0/storage-pools", lambda _request: sync(self.pools))
        lxd.route(
            "GET",
            "/1.0/networks/eth0/state",
            sync({"addresses": [{"family": "inet", "address": "192.0.2.7", "netmask": "24", "scope": "global"}]}),
        )


def declaration(**lists: list[dict[str, t.Any]]) -> fabric.Declaration:
    kinds = {"pools": POOL, "networks": NETWORK, "profiles": PROFILE, "volumes": VOLUME, "projects": PROJECT}
    return fabric.Declaration("site", {kinds[key].name: value for key, value in lists.items()})


def planned(client: LXDClient, wanted: fabric.Declaration) -> tuple[list[objects.Change], list[str]]:
    return fabric.plan_all(client, wanted, fabric.read(client, wanted))


def test_a_subnet_of_the_machine_is_taken(lxd: FakeLXD, client: LXDClient) -> None:
    World(lxd)
    wanted = declaration(networks=[{"name": "n", "config": {"ipv4.address": "192.0.2.129/25"}}])
    _changes, errors = planned(client, wanted)
    assert errors == ["network n: its subnet 192.0.2.129/25 overlaps 192.0.2.7/24 of interface eth0 of the machine"]


def test_a_project_that_is_to_be_made_has_a_default_profile_already(lxd: FakeLXD, client: LXDClient) -> None:
    World(lxd)
    wanted = declaration(
        projects=[{"name": "site", "config": {}}],
        profiles=[{"name": "default", "devices": {"root": {"type": "disk"}}}],
    )
    changes, errors = planned(client, wanted)
    assert errors == []
    assert {change.label: change.action for change in changes} == {
        "project site": "create",
        "profile default": "update",
    }


def test_nothing_can_live_in_a_project_that_goes(lxd: FakeLXD, client: LXDClient) -> None:
    World(lxd)
    wanted = declaration(projects=[{"name": "site", "state": "absent"}], profiles=[{"name": "p"}])
    assert planned(client, wanted)[1] == ["profile p is declared in project site, which is to be removed"]


def test_order_of_things(lxd: FakeLXD, client: LXDClient) -> None:
    for kind in ("projects", "networks", "storage-pools", "profiles"):
        lxd.route("POST", f"/1.0/{kind}", sync())
        lxd.route("DELETE", f"/1.0/{kind}/old", sync())
    old = {"name": "old", "config": {}}
    changes = [plan(kind, {"name": "new"}, None, project="site") for kind in (PROFILE, NETWORK, POOL, PROJECT)]
    changes += [
        plan(kind, {"name": "old", "state": "absent"}, old, project="site")
        for kind in (NETWORK, POOL, PROJECT, PROFILE)
    ]
    done, errors = fabric.apply_all(client, changes)
    assert (len(done), errors) == (8, [])
    order = [path for _method, path in lxd.sent()]
    assert order[0] == "/1.0/projects"
    assert set(order[1:3]) == {"/1.0/networks", "/1.0/storage-pools"}
    assert order[3:6] == ["/1.0/profiles", "/1.0/profiles/old", "/1.0/projects/old"]
    assert set(order[6:]) == {"/1.0/networks/old", "/1.0/storage-pools/old"}


def test_what_fails_is_told_all_at_once_and_ends_the_rest(lxd: FakeLXD, client: LXDClient) -> None:
    def refuse(request: Request) -> Answer:
        return sync() if request.json["name"] == "good" else error(400, f"no {request.json['name']}")

    lxd.route("POST", "/1.0/networks", refuse)
    changes = [plan(NETWORK, {"name": name}, None) for name in ("bad", "good", "worse")]
    changes.append(plan(PROFILE, {"name": "after"}, None, project="site"))
    done, errors = fabric.apply_all(client, changes)
    assert [change.label for change in done] == ["network good"]
    assert len(errors) == 2
    assert errors[0].startswith("Could not create network bad: POST /1.0/networks?project=default: LXD answered 400")
    assert ("POST", "/1.0/profiles") not in lxd.sent()


def test_lxd_dies_while_the_fabric_is_read(lxd: FakeLXD, client: LXDClient) -> None:
    World(lxd)
    lxd.route("GET", "/1.0/storage-pools", Answer(drop=True))
    with pytest.raises(LXDError, match="was lost during GET"):
        planned(client, declaration(pools=[{"name": "p"}]))
