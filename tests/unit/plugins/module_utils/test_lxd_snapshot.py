# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt
import typing as t

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_snapshot as snapshots
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_time as times
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDError
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import PlanError
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import (
    FakeLXD,
    error,
    operation,
    state,
    sync,
)

NOW = dt.datetime(2027, 1, 31, 12, 0, tzinfo=times.UTC)
NEVER = "0001-01-01T00:00:00Z"
ALL = "/1.0/instances/a/snapshots"


@pytest.fixture
def client(lxd: FakeLXD) -> t.Iterator[LXDClient]:
    with LXDClient(lxd.url, timeout=10) as found:
        yield found


def snapshot(name: str, day: int, expires: str = NEVER, **fields: t.Any) -> dict[str, t.Any]:
    return {"name": name, "created_at": f"2027-01-{day:02}T10:00:00.123456789Z", "expires_at": expires, **fields}


def plan(there: t.Sequence[dict[str, t.Any]], **desired: t.Any) -> snapshots.Plan:
    return snapshots.plan({"instance": "a", "state": "present", **desired}, there, NOW)


# -- times ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-01-31T13:00:00+01:00", NOW),
        ("2027-01-31T12:00:00Z", NOW),
        ("2027-01-31 12:00:00", NOW),
        ("2027-01-31T07:00:00.000000000-05:00", NOW),
        (NEVER, None),
        ("1970-01-01T00:00:00Z", None),
        ("tomorrow", None),
        ("2027-02-31T12:00:00Z", None),
        (None, None),
    ],
)
def test_times_as_lxd_and_people_write_them(text: str | None, expected: dt.datetime | None) -> None:
    assert times.when(text) == expected


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ("30M", "2027-01-31T12:30:00Z"),
        ("12H", "2027-02-01T00:00:00Z"),
        ("1w 2d", "2027-02-09T12:00:00Z"),
        ("1m", "2027-02-28T12:00:00Z"),
        ("11m", "2027-12-31T12:00:00Z"),
        ("1y 1d", "2028-02-01T12:00:00Z"),
    ],
)
def test_spans_in_lxds_notation(span: str, expected: str) -> None:
    assert times.text(times.after_span(span, NOW)) == expected


@pytest.mark.parametrize("span", ["", "soon", "1", "d", "1d, 2w", "-1d"])
def test_spans_that_are_none(span: str) -> None:
    with pytest.raises(ValueError, match="is not a span of time"):
        times.after_span(span, NOW)


# -- planning -------------------------------------------------------------------------------------------------------


def test_made_once() -> None:
    assert plan([], name="x").actions == ["create"]
    assert plan([snapshot("x", 1)], name="x").actions == []
    # What LXD calls a snapshot in a list is its full name.
    assert plan([snapshot("a/x", 1)], name="x").actions == []


def test_an_expiry_is_set_and_changed_only_where_it_differs() -> None:
    assert plan([], name="x", expiry="1d").expires_at == "2027-02-01T12:00:00Z"
    assert plan([], name="x").expires_at is None
    there = [snapshot("x", 1, "2027-02-01T13:00:00+01:00")]
    assert plan(there, name="x", expiry="5d").actions == []
    assert plan(there, name="x", expires_at="2027-02-01T12:00:00Z").actions == []
    assert plan(there, name="x", expires_at="2027-02-01T12:00:01Z").actions == ["update"]
    assert plan(there, name="x", expires_at="never").actions == ["update"]
    assert plan([snapshot("x", 1)], name="x", expires_at="never").actions == []
    with pytest.raises(PlanError, match="snapshot a/x: expires_at 'later' is neither a time"):
        plan(there, name="x", expires_at="later")


def test_the_newest_are_kept_and_others_are_left_alone() -> None:
    # By when they were made, and not by what they are called.
    there = [snapshot("d-9", 1), snapshot("mine", 2), snapshot("d-1", 3), snapshot("d-5", 4)]
    kept = plan(there, name="d-new", pattern="d-*", keep=2)
    assert (kept.actions, kept.old) == (["create", "prune"], ["d-9", "d-1"])
    assert [item["name"] for item in kept.after] == ["mine", "d-5", "d-new"]
    assert plan(there, pattern="d-*", keep=3).actions == []
    assert plan(there, pattern="d-*", keep=0).old == ["d-9", "d-1", "d-5"]
    # The one that is asked for stays, however old it is.
    assert plan(there, name="d-9", pattern="d-*", keep=1).old == ["d-1"]


def test_a_restore_is_for_what_is_there() -> None:
    assert plan([snapshot("x", 1)], name="x", state="restored").actions == ["restore"]
    with pytest.raises(PlanError, match="instance a has no snapshot 'y' to be restored to"):
        plan([snapshot("x", 1)], name="y", state="restored")


def test_removed_by_name_and_by_pattern() -> None:
    there = [snapshot("x", 1), snapshot("xy", 2)]
    assert plan(there, name="x", state="absent").old == ["x"]
    assert plan(there, name="z", state="absent").actions == []
    assert plan(there, pattern="x*", state="absent").old == ["x", "xy"]


def test_the_state_of_what_ran_cannot_be_added() -> None:
    assert plan([snapshot("x", 1, stateful=True)], name="x", stateful=True).actions == []
    with pytest.raises(PlanError, match="without the state of what ran"):
        plan([snapshot("x", 1)], name="x", stateful=True)


# -- doing ----------------------------------------------------------------------------------------------------------


def test_the_new_one_is_made_before_the_old_ones_go(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("POST", ALL, operation())
    lxd.route("GET", "/1.0/operations/op/wait", state(200))
    lxd.route("DELETE", f"{ALL}/d-1", operation())
    snapshots.apply(client, plan([snapshot("d-1", 1)], name="d-2", pattern="d-*", keep=1, expiry="1d"), 5)
    assert lxd.sent("POST", "DELETE") == [("POST", ALL), ("DELETE", f"{ALL}/d-1")]
    assert lxd.requests[0].json == {"name": "d-2", "stateful": False, "expires_at": "2027-02-01T12:00:00Z"}


def test_where_the_new_one_fails_the_old_ones_stay(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("POST", ALL, error(400, "no space"))
    with pytest.raises(LXDError, match="Instance a: could not create snapshot d-2: .*no space"):
        snapshots.apply(client, plan([snapshot("d-1", 1)], name="d-2", pattern="d-*", keep=1), 5)
    assert lxd.sent("DELETE") == []


def test_one_that_expired_in_the_meantime_is_gone(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("DELETE", f"{ALL}/x", error(404, "Not Found"))
    snapshots.apply(client, plan([snapshot("x", 1)], name="x", state="absent"), 5)


def test_an_instance_that_is_not_there_is_not_one_without_snapshots(lxd: FakeLXD, client: LXDClient) -> None:
    assert snapshots.read(client, "none") is None
    lxd.route("GET", "/1.0/instances/a", sync({"name": "a"}))
    lxd.route("GET", ALL, sync([]))
    assert snapshots.read(client, "a") == []
