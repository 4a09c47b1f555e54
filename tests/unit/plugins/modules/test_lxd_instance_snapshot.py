# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the options of lxd_instance_snapshot cannot say, and what it does as Ansible runs it."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.bcm.datacenter.plugins.modules import lxd_instance_snapshot, lxd_instance_snapshot_info
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import (
    FakeLXD,
    operation,
    state,
    sync,
)

ALL = "/1.0/instances/a/snapshots"
Run = t.Callable[..., dict[str, t.Any]]


@pytest.fixture
def run(lxd: FakeLXD, capsys: pytest.CaptureFixture[str]) -> Run:
    lxd.route("GET", "/1.0/operations", sync({}))
    lxd.route("GET", "/1.0/instances/a", sync({"name": "a"}))
    lxd.route("GET", ALL, sync([{"name": "d-1", "created_at": "2027-01-01T00:00:00Z"}]))

    def run_module(*, module: t.Any = lxd_instance_snapshot, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        args = {"url": lxd.url, "instance": "a", "_ansible_check_mode": check, "_ansible_diff": True, **params}
        with patch_module_args(args), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return run_module


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "a name is needed, or keep and a pattern"),
        ({"keep": 3}, "missing parameter(s) required by 'keep': pattern"),
        ({"keep": -1, "pattern": "*"}, "keep is a number of snapshots, not -1"),
        ({"name": "a/b"}, "'a/b' is not a name of a snapshot"),
        ({"name": " "}, "' ' is not a name of a snapshot"),
        ({"state": "absent"}, "state is absent but any of the following are missing: name, pattern"),
        ({"state": "absent", "name": "x", "pattern": "*"}, "a name or a pattern says what is to be removed, not both"),
        ({"state": "absent", "pattern": "*", "keep": 1}, "keep goes with state=present"),
        ({"state": "restored", "pattern": "*"}, "state is restored but all of the following are missing: name"),
        ({"name": "x", "expiry": "1d", "expires_at": "never"}, "mutually exclusive: expires_at|expiry"),
        ({"name": "x", "expiry": "a week"}, "'a week' is not a span of time"),
    ],
)
def test_what_it_cannot_be_asked(run: Run, lxd: FakeLXD, params: dict[str, t.Any], message: str) -> None:
    result = run(**params)
    assert result["failed"]
    assert message in result["msg"]
    assert lxd.sent("POST", "PUT", "DELETE") == []


def test_check_mode_tells_what_would_be_and_does_nothing(run: Run, lxd: FakeLXD) -> None:
    result = run(check=True, name="d-2", pattern="d-*", keep=1)
    assert (result["actions"], result["removed"]) == (["create", "prune"], ["d-1"])
    assert [item["name"] for item in result["snapshots"]] == ["d-2"]
    assert run(check=True, name="d-1", state="restored")["diff"]["after"]["restored to"] == "d-1"
    assert lxd.sent("POST", "PUT", "DELETE") == []


def test_of_an_instance_that_is_not_there(run: Run) -> None:
    assert run(check=True, instance="b", name="x")["actions"] == ["create"]
    assert run(check=True, instance="b", name="x", state="restored")["actions"] == ["restore"]
    assert "project default has no instance 'b'" in run(instance="b", name="x")["msg"]
    assert run(instance="b", name="x", state="absent")["changed"] is False
    assert "has no instance 'b'" in run(module=lxd_instance_snapshot_info, instance="b")["msg"]


def test_one_that_a_killed_run_began_is_waited_for(run: Run, lxd: FakeLXD) -> None:
    making = {"id": "theirs", "description": "Snapshotting instance", "resources": {"instances": ["/1.0/instances/a"]}}
    lxd.route("GET", "/1.0/operations", sync({"running": [making]}))
    lxd.route("GET", "/1.0/operations/theirs/wait", state(200))
    assert run(name="d-1")["changed"] is False
    assert ("GET", "/1.0/operations/theirs/wait") in lxd.sent("GET")


def test_a_restore_says_what_it_did(run: Run, lxd: FakeLXD) -> None:
    lxd.route("PUT", "/1.0/instances/a", operation())
    lxd.route("GET", "/1.0/operations/op/wait", state(200))
    result = run(name="d-1", state="restored")
    assert result["changed"]
    assert [r.json for r in lxd.requests if r.method == "PUT"] == [{"restore": "d-1", "stateful": False}]
    assert result["diff"]["after"]["restored to"] == "d-1"


def test_reading_some_of_them(run: Run) -> None:
    read = [
        run(module=lxd_instance_snapshot_info, **params)["snapshots"]
        for params in ({}, {"pattern": "x*"}, {"name": "d-1"})
    ]
    assert [[item["name"] for item in items] for items in read] == [["d-1"], [], ["d-1"]]
