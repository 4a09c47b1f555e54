# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules as Ansible runs them, against an LXD that misbehaves."""

from __future__ import annotations

import importlib
import json
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import (
    Answer,
    FakeLXD,
    error,
    operation,
    state,
    sync,
)

PREFIX = "ansible_collections.bcm.datacenter.plugins.modules."
RunModule = t.Callable[..., dict[str, t.Any]]


@pytest.fixture
def run(lxd: FakeLXD, capsys: pytest.CaptureFixture[str]) -> RunModule:
    def run_module(module_name: str, /, *, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        module = importlib.import_module(PREFIX + module_name)
        args = {"url": lxd.url, "_ansible_check_mode": check, "_ansible_diff": True, **params}
        args = {key: value for key, value in args.items() if value != "omitted"}
        with patch_module_args(args), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def there(name: str, status: str = "Running", **config: str) -> dict[str, t.Any]:
    fields = {"type": "container", "profiles": ["default"], "devices": {}, "state": {"network": {}}}
    return {"name": name, "status": status, "config": config, **fields}


@pytest.mark.parametrize(
    "name", ["lxd_project", "lxd_storage_pool", "lxd_network", "lxd_profile", "lxd_instance", "lxd_image"]
)
def test_no_lxd_is_said_in_words(run: RunModule, name: str) -> None:
    result = run(name, url="unix:///no/such/socket", name="x")
    assert result["failed"]
    assert result["msg"].startswith("Cannot connect to LXD at unix:///no/such/socket: the socket does not exist.")


@pytest.mark.parametrize("answer", [Answer(b"garbage"), error(500, "database is locked"), Answer(drop=True)])
def test_lxd_that_is_broken_is_an_error_and_never_absence(run: RunModule, lxd: FakeLXD, answer: Answer) -> None:
    lxd.route("GET", "/1.0/networks/x", answer)
    result = run("lxd_network", name="x", state="absent")
    assert result["failed"]
    assert lxd.sent("POST", "PUT", "DELETE") == []


def test_check_mode_writes_nothing(run: RunModule, lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0/projects/old", sync({"name": "old", "config": {"a": "1"}, "used_by": []}))
    for params in ({"name": "new"}, {"name": "old", "config": {"a": 2}}, {"name": "old", "state": "absent"}):
        result = run("lxd_project", check=True, **params)
        assert result["changed"]
        assert result["diff"]["before"] != result["diff"]["after"]
    assert not run("lxd_project", check=True, name="old", config={"a": 1})["changed"]
    assert {method for method, _path in lxd.sent()} == {"GET"}


def test_the_fabric_touches_nothing_where_one_thing_is_wrong(run: RunModule, lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0/networks", sync([{"name": "n", "managed": True, "config": {"user.bcm.site": "other"}}]))
    lxd.route("GET", "/1.0/storage-pools", sync([]))
    result = run(
        "lxd_fabric",
        project={"name": "p"},
        networks=[{"name": "n", "config": {"user.bcm.site": "s"}}, {"name": "far-too-long-a-name"}],
        volumes=[{"name": "v", "pool": "nowhere"}],
    )
    assert result["failed"]
    assert not result.get("changed")
    assert len(result["errors"]) == 3
    assert result["msg"].count("\n- ") == 3
    assert lxd.sent("POST", "PUT", "DELETE") == []


def test_a_pool_is_missed_by_a_volume_but_not_in_a_rehearsal(run: RunModule, lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0/networks", sync([]))
    lxd.route("GET", "/1.0/storage-pools", sync([]))
    wanted = {"project": {"name": "p"}, "volumes": [{"name": "v", "pool": "later"}]}
    assert run("lxd_fabric", check=True, **wanted)["changed"]
    assert "no storage pool 'later'" in run("lxd_fabric", **wanted)["msg"]
    assert lxd.sent("POST", "PUT", "DELETE") == []


def test_all_errors_of_all_instances_at_once(run: RunModule, lxd: FakeLXD) -> None:
    standing = {"name": "c", "status": "Running", "config": {}, "devices": {}, "profiles": ["default"]}
    lxd.route("GET", "/1.0/operations", sync({}))
    lxd.route("GET", "/1.0/instances", sync([standing]))
    lxd.route("GET", "/1.0/profiles", sync([{"name": "default"}]))
    lxd.route("GET", "/1.0/images/aliases/x", sync({"name": "x", "target": "0" * 64}))
    items = [
        {"name": "a", "image": "x", "profiles": ["default", "gone"]},
        {"name": "b"},
        {"name": "c", "profiles": ["gone", "lost"]},
        {"name": "d", "image": "x", "profiles": ["default"]},
    ]
    result = run("lxd_instances", project="p", instances=items)
    assert sorted(result["errors"]) == [
        "instance a: project p has no profile 'gone'",
        "instance b does not exist, and no image is given to make it from",
        "instance c: project p has no profile 'gone'",
        "instance c: project p has no profile 'lost'",
    ]
    assert lxd.sent("POST", "PUT", "DELETE") == []
    # An earlier task would have made them.
    assert run("lxd_instances", check=True, project="p", instances=[items[0]])["changed"]


def test_instances_in_a_project_that_does_not_exist(run: RunModule, lxd: FakeLXD) -> None:
    items = [{"name": "a", "image": "x"}, {"name": "b", "image": "x", "state": "absent"}]
    result = run("lxd_instances", check=True, project="p", instances=items)
    assert result["changed"]
    assert result["instances"]["a"]["actions"] == ["create", "start"]
    assert result["instances"]["a"]["exists"] is False
    assert result["instances"]["b"]["changed"] is False
    lxd.route("GET", "/1.0/operations", sync({}))
    lxd.route("GET", "/1.0/instances", error(404, "Project not found"))
    assert run("lxd_instances", project="p", instances=items)["failed"]


def test_one_instance_that_fails_does_not_stop_the_others(run: RunModule, lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0/operations", sync({}))
    lxd.route("GET", "/1.0/instances", sync([there("a", "Stopped"), there("b", "Stopped"), there("c")]))
    for name, end in (("a", state(400, err="no such device")), ("b", state(200))):
        lxd.route("PUT", f"/1.0/instances/{name}/state", operation(name))
        lxd.route("GET", f"/1.0/operations/{name}/wait", end)
        lxd.route("GET", f"/1.0/instances/{name}/state", sync({"network": {}}))
    result = run("lxd_instances", instances=[{"name": name} for name in "abc"])
    assert result["failed"]
    assert result["msg"].startswith("1 of 3 instances failed: Could not start instance a: ")
    assert result["instances"]["a"]["error"]
    assert result["instances"]["b"]["actions"] == ["start"]
    assert result["instances"]["c"]["changed"] is False
    assert result["changed"]


def test_an_operation_that_hangs_has_an_end(run: RunModule, lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0/operations", sync({}))
    lxd.route("GET", "/1.0/instances/a", sync(there("a", "Stopped")))
    lxd.route("GET", "/1.0/instances/a/state", sync({"network": {}}))
    lxd.route("PUT", "/1.0/instances/a/state", operation())
    lxd.route("GET", "/1.0/operations/op/wait", state(103))
    result = run("lxd_instance", name="a", timeout=-29)
    assert result["failed"]
    assert "Could not start instance a" in result["msg"]
    assert "status Running" in result["msg"]


def test_an_instance_of_somebody_else(run: RunModule, lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0/operations", sync({}))
    lxd.route("GET", "/1.0/instances/a", sync(there("a")))
    lxd.route("GET", "/1.0/instances/a/state", sync({"network": {}}))
    result = run("lxd_instance", name="a", state="absent", config={"user.bcm.site": "s"})
    assert "instance a exists already and carries no user.bcm.site" in result["msg"]
    assert lxd.sent("PUT", "DELETE") == []


def test_an_image_that_appears_while_it_is_waited(run: RunModule, lxd: FakeLXD) -> None:
    ready = {"fingerprint": "a" * 64, "aliases": [{"name": "g"}], "properties": {"user.bcm.recipe": "1"}}
    lxd.route("GET", "/1.0/images", [sync([]), sync([ready])])
    lxd.route("GET", "/1.0/operations", sync({"running": [{"id": "op", "description": "Downloading image"}]}))
    lxd.route("GET", "/1.0/operations/op/wait", state(200))
    result = run(
        "lxd_image", name="g", source={"type": "instance", "instance": "b"}, properties={"user.bcm.recipe": "1"}
    )
    assert not result["changed"]
    assert result["fingerprint"] == "a" * 64
    assert lxd.sent("POST") == []


def test_reading_a_server_that_may_be_away(run: RunModule) -> None:
    result = run("lxd_server_info", url="unix:///no/such/socket", must_answer=False)
    assert result["reachable"] is False
    assert "does not exist" in result["reason"]


INCUS = {"environment": {"server": "incus", "server_version": "6.0.4"}, "api_extensions": ["dev_incus_events"]}


def test_reading_what_the_server_is(run: RunModule, lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0", sync(INCUS))
    result = run("lxd_server_info")
    assert (result["product"], result["version"]) == ("incus", "6.0.4")


@pytest.mark.parametrize("key", ["security.devlxd", "security.guestapi"])
def test_a_key_by_either_name_is_the_servers_own(run: RunModule, lxd: FakeLXD, key: str) -> None:
    profile = {"name": "p", "description": "", "config": {"security.guestapi": "false"}, "devices": {}, "used_by": []}
    lxd.route("GET", "/1.0", sync(INCUS))
    lxd.route("GET", "/1.0/profiles/p", sync(profile))
    assert not run("lxd_profile", name="p", config={key: False})["changed"]
    changed = run("lxd_profile", name="p", config={key: True}, check=True)
    assert changed["diff"]["after"]["config"] == {"security.guestapi": "true"}


def test_what_is_alike_on_both_does_not_ask_which_it_is(run: RunModule, lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0/profiles/p", sync({"name": "p", "config": {}, "devices": {}}))
    run("lxd_profile", name="p", config={"limits.cpu": 2}, check=True)
    assert ("GET", "/1.0") not in lxd.sent()


@pytest.mark.parametrize(
    ("name", "key", "path", "items"),
    [
        ("lxd_project_info", "projects", "/1.0/projects", [{"name": "b"}, {"name": "a"}]),
        ("lxd_network_info", "networks", "/1.0/networks", [{"name": "b"}, {"name": "a"}]),
        ("lxd_profile_info", "profiles", "/1.0/profiles", [{"name": "b"}, {"name": "a"}]),
        ("lxd_storage_pool_info", "pools", "/1.0/storage-pools", [{"name": "b"}, {"name": "a"}]),
        ("lxd_instance_info", "instances", "/1.0/instances", [{"name": "b"}, {"name": "a"}]),
    ],
)
def test_reading(run: RunModule, lxd: FakeLXD, name: str, key: str, path: str, items: list[t.Any]) -> None:
    lxd.route("GET", path, sync(items))
    lxd.route("GET", "/1.0/storage-pools/a", sync({}))
    lxd.route("GET", "/1.0/storage-pools/b", sync({}))
    assert [item["name"] for item in run(name)[key]] == ["a", "b"]
    assert [item["name"] for item in run(name, name="b")[key]] == ["b"]
    assert run(name, name="none")[key] == []


@pytest.mark.parametrize(("name", "key"), [("lxd_storage_pool", "pools"), ("lxd_network", "networks")])
def test_reading_what_is_each_members_own(run: RunModule, lxd: FakeLXD, name: str, key: str) -> None:
    lxd.route("GET", "/1.0", sync({"environment": {"server_clustered": True}}))
    lxd.route("GET", "/1.0/cluster/members", sync([{"server_name": "a", "status": "Online"}]))
    path = {"pools": "/1.0/storage-pools", "networks": "/1.0/networks"}[key]
    there = {"name": "x", "config": {}, "locations": ["a"]}
    lxd.route("GET", path, sync([there]))
    lxd.route("GET", f"{path}/x", sync({**there, "config": {"source": "/x", "parent": "eth0", "user.a": "1"}}))
    own = {"pools": {"source": "/x"}, "networks": {"parent": "eth0"}}[key]
    assert run(f"{name}_info")[key][0]["members"] == {"a": own}


def test_images_are_read_when_they_are_made(run: RunModule, lxd: FakeLXD) -> None:
    making = sync({"running": [{"id": "op", "description": "Downloading image"}]})
    lxd.route("GET", "/1.0/operations", making)
    lxd.route("GET", "/1.0/operations/op/wait", sync({"status_code": 200}))
    lxd.route("GET", "/1.0/images", sync([{"fingerprint": "a" * 64, "aliases": [{"name": "golden"}]}]))
    waited = "/1.0/operations/op/wait"
    assert len(run("lxd_image_info", name="golden")["images"]) == 1
    assert waited not in [request.path for request in lxd.requests]
    assert len(run("lxd_image_info", name="golden", settle_timeout=5)["images"]) == 1
    assert waited in [request.path for request in lxd.requests]


def test_options_are_checked(run: RunModule) -> None:
    assert "unsupported" in run("lxd_project", name="x", nmae="y")["msg"].lower()
    assert "server" in run("lxd_image", name="x", source={"type": "image", "alias": "y"})["msg"]
    assert "together" in run("lxd_project", name="x", client_cert="/x")["msg"]


def test_the_way_comes_from_the_environment(run: RunModule, lxd: FakeLXD, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BCM_LXD_URL", lxd.url)
    monkeypatch.setenv("BCM_LXD_PROJECT", "site")
    lxd.route("GET", "/1.0/profiles", sync([]))
    assert run("lxd_profile_info", url="omitted")["profiles"] == []
    asked = [request for request in lxd.requests if request.path == "/1.0/profiles"]
    assert [request.query["project"] for request in asked] == ["site"]
    # What the task says counts more.
    run("lxd_profile_info", url="omitted", project="other")
    asked = [request for request in lxd.requests if request.path == "/1.0/profiles"]
    assert asked[-1].query["project"] == "other"


def test_arguments_of_ssh_that_are_no_words(run: RunModule) -> None:
    assert "cannot be read" in run("lxd_profile_info", url="ssh://host", ssh_args="-o 'x")["msg"]
