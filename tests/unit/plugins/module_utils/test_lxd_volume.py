# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_volume as volumes
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_volume_snapshot as snapshots
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDError
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, PlanError
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import (
    FakeLXD,
    error,
    operation,
    state,
    sync,
)

CUSTOM = "/1.0/storage-pools/p/volumes/custom"


@pytest.fixture
def client(lxd: FakeLXD) -> t.Iterator[LXDClient]:
    lxd.route("GET", "/1.0/storage-pools/p", sync({"name": "p"}))
    members = [{"server_name": name, "status": "Online"} for name in "ab"]
    environment = {"server_clustered": True, "server_name": "a", "certificate": "PEM"}
    lxd.route("GET", "/1.0", sync({"environment": environment}))
    lxd.route("GET", "/1.0/cluster/members", sync(members))
    lxd.route("GET", "/1.0/cluster/members/a", sync({"server_name": "a", "url": "https://192.0.2.1:8443"}))
    with LXDClient(lxd.url, timeout=10) as found:
        yield found


def volume(name: str, used_by: t.Sequence[str] = (), **config: str) -> Object:
    return {
        "name": name,
        "type": "custom",
        "content_type": "filesystem",
        "description": "",
        "config": config,
        "used_by": list(used_by),
    }


def plan(client: LXDClient, *, check: bool = False, **params: t.Any) -> volumes.VolumeChange:
    given = {"name": "v", "pool": "p", "state": "present", **params}
    desired = {key: given.get(key) for key in ("name", "pool", "state", "description", "content_type")}
    return volumes.plan_volume(client, given, {**desired, "config": given.get("config") or {}}, check)


# -- volumes --------------------------------------------------------------------------------------------------------


def test_nothing_is_made_where_something_should_have_been_moved(lxd: FakeLXD, client: LXDClient) -> None:
    for check in (True, False):
        with pytest.raises(PlanError, match="volume p/v is not there, and neither is volume p/old"):
            plan(client, check=check, move_from={"name": "old"})
    assert lxd.sent("POST", "PUT", "DELETE") == []


def test_nobody_chooses_between_two(lxd: FakeLXD, client: LXDClient) -> None:
    for name in ("v", "old"):
        lxd.route("GET", f"{CUSTOM}/{name}", sync(volume(name)))
    with pytest.raises(PlanError, match="Only you can know"):
        plan(client, move_from={"name": "old"})


def test_a_volume_in_use_is_not_moved(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", f"{CUSTOM}/v", [error(404, "Not Found"), sync(volume("v", ["/1.0/instances/i?project=x"]))])
    lxd.route("GET", "/1.0/instances/i", sync({"status": "Running"}))
    planned = plan(client, target="b", move_from={"target": "a"})
    assert planned.change.errors == ["volume p/v on member a cannot be moved: i of project x uses it and runs"]
    # One that is stopped would not find it on the other member.
    lxd.route("GET", f"{CUSTOM}/w", [error(404, "Not Found"), sync(volume("w", ["/1.0/instances/i"]))])
    lxd.route("GET", "/1.0/instances/i", sync({"status": "Stopped"}))
    planned = plan(client, name="w", target="b", move_from={"target": "a"})
    assert "cannot be moved to another member, it is in use by: instances/i" in planned.change.errors[0]


def test_the_original_stays_until_the_copy_is_there(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", f"{CUSTOM}/v", [error(404, "Not Found"), sync(volume("v"))])
    lxd.route("POST", f"{CUSTOM}/v", operation("offer", metadata={"fs": "secret"}))
    lxd.route("POST", CUSTOM, operation("fetch"))
    lxd.route("GET", "/1.0/operations/fetch/wait", state(400, err="the line is cut"))
    lxd.route("DELETE", "/1.0/operations/offer", sync())
    planned = plan(client, target="b", move_from={"target": "a"})
    with pytest.raises(
        LXDError, match="Could not move volume p/v on member a to volume p/v on member b: .*line is cut"
    ):
        volumes.apply_volume(client, planned, 5)
    assert lxd.sent("DELETE") == [("DELETE", "/1.0/operations/offer")]
    fetched = next(r for r in lxd.requests if (r.method, r.path) == ("POST", CUSTOM))
    assert fetched.query["target"] == "b"
    assert fetched.json["source"] == {
        "type": "migration",
        "mode": "pull",
        "operation": "https://192.0.2.1:8443/1.0/operations/offer",
        "secrets": {"fs": "secret"},
        "certificate": "PEM",
        "volume_only": False,
    }


def test_a_copy_is_whose_the_play_says(lxd: FakeLXD, client: LXDClient) -> None:
    source = volume(
        "old", **{"user.bcm.site": "other", "size": "1GiB", "volatile.uuid": "1", "volatile.idmap.next": "[]"}
    )
    lxd.route("GET", f"{CUSTOM}/old", sync(source))
    planned = plan(client, source={"name": "old"})
    assert planned.body["config"] == {"size": "1GiB", "volatile.idmap.next": "[]"}
    planned = plan(client, source={"name": "old"}, config={"user.bcm.site": "mine", "size": "2GiB"})
    assert planned.change.errors == []
    assert planned.body["config"] == {"user.bcm.site": "mine", "size": "2GiB", "volatile.idmap.next": "[]"}


def test_in_a_rehearsal_what_is_to_be_copied_may_be_missing(client: LXDClient) -> None:
    assert plan(client, check=True, source={"name": "old"}).action == "copy"
    with pytest.raises(PlanError, match="there is no volume p/old"):
        plan(client, source={"name": "old"})


@pytest.mark.parametrize(
    ("used", "size", "refused"), [(500, "400B", True), (500, "600B", False), (None, "1B", False), (500, "2000B", False)]
)
def test_shrinking(lxd: FakeLXD, client: LXDClient, used: int | None, size: str, refused: bool) -> None:
    lxd.route("GET", f"{CUSTOM}/v", sync(volume("v", size="1000B")))
    lxd.route("GET", f"{CUSTOM}/v/state", sync({"usage": {"used": used}}) if used else error(500, "cannot tell"))
    planned = plan(client, config={"size": size})
    assert bool(planned.change.errors) is refused


def test_a_block_volume_does_not_shrink(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", f"{CUSTOM}/v", sync({**volume("v", size="2GiB"), "content_type": "block"}))
    assert "block volume of 2GiB" in plan(client, config={"size": "1GiB"}).change.errors[0]
    assert plan(client, config={"size": "3GiB"}).action == "update"
    assert plan(client, config={"size": "2048MiB"}).action == "none"


# -- snapshots ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2030-01-02T03:04:05Z", "2030-01-02T03:04:05Z"),
        ("2030-01-02T03:04:05.123456789+01:00", "2030-01-02T02:04:05Z"),
        (snapshots.NEVER, snapshots.NEVER),
        ("", snapshots.NEVER),
    ],
)
def test_what_lxd_says_of_the_end(text: str, written: str) -> None:
    assert snapshots.expiry_of({"expires_at": text}) == written


@pytest.mark.parametrize(
    ("keep", "gone"), [(1, ["v/a-1", "v/a-2", "v/a-3"]), (2, ["v/a-1", "v/a-2"]), (4, []), (9, [])]
)
def test_the_oldest_give_way(keep: int, gone: list[str]) -> None:
    there = [{"name": f"v/{name}"} for name in ("a-1", "b-1", "a-2", "a-3", "b-2")]
    assert snapshots.outdated(there, "a-4", keep, "a-*") == [name.removeprefix("v/") for name in gone]


def test_the_one_that_is_asked_for_stays() -> None:
    there = [{"name": name} for name in ("a-1", "a-2", "a-3")]
    assert snapshots.outdated(there, "a-1", 1, "a-*") == ["a-2", "a-3"]


def plan_snapshot(client: LXDClient, *, check: bool = False, **params: t.Any) -> snapshots.SnapshotChange:
    given = {"name": "s", "volume": "v", "pool": "p", "state": "present", **params}
    return snapshots.plan_snapshot(client, given, check)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"name": "a/b"}, "cannot be the name"),
        ({"name": ".."}, "cannot be the name"),
        ({"expires_at": "7d"}, "neither a time"),
        ({"keep": 0, "pattern": "*"}, "has to be 1 or more"),
        ({"keep": 1, "pattern": "x-*"}, "does not match the snapshot's own name"),
        ({}, "volume p/v does not exist"),
    ],
)
def test_snapshots_that_cannot_be(lxd: FakeLXD, client: LXDClient, params: Object, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        plan_snapshot(client, **params)
    assert lxd.sent("POST", "PUT", "DELETE") == []


def test_a_volume_is_not_taken_back_under_an_instance(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", f"{CUSTOM}/v", sync(volume("v", ["/1.0/profiles/default", "/1.0/instances/i"])))
    lxd.route("GET", f"{CUSTOM}/v/snapshots", sync([{"name": "v/s"}]))
    for status, allowed in (("Running", False), ("Frozen", False), ("Stopped", True)):
        lxd.route("GET", "/1.0/instances/i", sync({"status": status}))
        if allowed:
            assert plan_snapshot(client, state="restored").action == "restore"
        else:
            with pytest.raises(PlanError, match="i uses it and runs"):
                plan_snapshot(client, state="restored")
    with pytest.raises(PlanError, match="has no snapshot x that it could be restored from. It has: s"):
        plan_snapshot(client, name="x", state="restored")


def test_a_description_does_not_take_the_expiry_away(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", f"{CUSTOM}/v", sync(volume("v", **{"snapshots.expiry": "7d"})))
    lxd.route("GET", f"{CUSTOM}/v/snapshots", sync([]))
    lxd.route("POST", f"{CUSTOM}/v/snapshots", sync())
    made = {"name": "s", "description": "", "expires_at": "2030-01-01T00:00:00Z"}
    lxd.route("GET", f"{CUSTOM}/v/snapshots/s", sync(made))
    lxd.route("PUT", f"{CUSTOM}/v/snapshots/s", sync())
    snapshots.apply_snapshot(client, plan_snapshot(client, description="d"), 5)
    written = next(r for r in lxd.requests if r.method == "PUT")
    assert written.json == {"description": "d", "expires_at": "2030-01-01T00:00:00Z"}


def elsewhere(lxd: FakeLXD, *names: str, **more: str) -> None:
    """A volume of b with its snapshots, and one of the same name of a."""
    lxd.route("GET", f"{CUSTOM}/v", sync({**volume("v"), "location": "b"}))
    listed = [{"name": "v", "location": "b"}, {"name": "v/other", "location": "a"}, {"name": "vv/x", "location": "b"}]
    lxd.route("GET", CUSTOM, sync([*listed, *({"name": f"v/{name}", "location": "b"} for name in names)]))
    lxd.route("GET", f"{CUSTOM}/v/snapshots", sync([{"name": "v/other"}]))
    for name in names:
        created = {"created_at": more[name]} if name in more else {}
        lxd.route("GET", f"{CUSTOM}/v/snapshots/{name}", sync({"name": name, **created}))


def test_snapshots_of_another_member_are_found(lxd: FakeLXD, client: LXDClient) -> None:
    elsewhere(lxd, "s")
    assert plan_snapshot(client).action == "none"
    assert plan_snapshot(client, name="other").action == "create"
    asked = [r.query.get("target") for r in lxd.requests if r.path.endswith("/snapshots/s")]
    assert set(asked) == {"b"}


def test_no_snapshot_gives_way_whose_age_is_not_known(lxd: FakeLXD, client: LXDClient) -> None:
    elsewhere(lxd, "s1", "s2")
    assert plan_snapshot(client, name="s3", keep=3, pattern="s*").remove == []
    with pytest.raises(PlanError, match=r"volume p/v on member b: .*Speak to b itself"):
        plan_snapshot(client, name="s3", keep=2, pattern="s*")
    elsewhere(lxd, "s1", "s2", s1="2026-02-02T00:00:00Z", s2="2026-01-01T00:00:00Z")
    assert plan_snapshot(client, name="s3", keep=2, pattern="s*").remove == ["s2"]


# -- what must be there once ------------------------------------------------------------------------------------------

ONCE = {"user.bcm.never-copied": "money is lost"}


def test_what_must_be_there_once_is_not_copied(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", f"{CUSTOM}/lnd", sync(volume("lnd", **ONCE)))
    # Of a snapshot from before it was marked, either.
    lxd.route("GET", f"{CUSTOM}/lnd/snapshots/s", sync(volume("lnd/s")))
    for source in ({"name": "lnd"}, {"name": "lnd", "target": "a"}, {"name": "lnd/s"}):
        for check in (True, False):
            with pytest.raises(PlanError, match="volume p/lnd.* is never copied, and never goes back.*money is lost"):
                plan(client, check=check, source=source)
    assert lxd.sent("POST", "PUT", "DELETE") == []


def test_it_moves_with_its_instance(lxd: FakeLXD, client: LXDClient) -> None:
    def there(name: str) -> Object:
        lxd.route(
            "GET", f"{CUSTOM}/{name}", [error(404, "Not Found"), sync(volume(name, ["/1.0/instances/i"], **ONCE))]
        )
        return {"name": name, "target": "b", "source": {"target": "a"}}

    begun = {"user.bcm.copy": "begun"}
    lxd.route("GET", "/1.0/instances/i", sync({"status": "Stopped"}))
    planned = plan(client, **there("stopped"), config=begun)
    assert (planned.action, planned.change.errors) == ("copy", [])
    # The one that it moves to is marked as well.
    assert planned.body["config"]["user.bcm.never-copied"] == "money is lost"
    with pytest.raises(PlanError, match="is never copied"):
        plan(client, **there("no-move"))
    lxd.route("GET", "/1.0/instances/i", sync({"status": "Running"}))
    with pytest.raises(PlanError, match="is never copied"):
        plan(client, **there("running"), config=begun)
    # To move it as a whole leaves one.
    lxd.route("GET", f"{CUSTOM}/lnd", sync(volume("lnd", **ONCE)))
    assert plan(client, name="new", move_from={"name": "lnd"}).change.errors == []


def test_it_does_not_go_back(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", f"{CUSTOM}/v", sync(volume("v", **ONCE)))
    lxd.route("GET", f"{CUSTOM}/v/snapshots", sync([{"name": "v/s"}]))
    with pytest.raises(
        PlanError, match="volume p/v is never copied, and never goes back to what it was: money is lost"
    ):
        plan_snapshot(client, state="restored")
    # To take one away does no harm.
    assert plan_snapshot(client, state="absent").action == "delete"
