# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import time
import typing as t

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_instance as instance
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_wait as waiting
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDTimeout,
    LXDUnreachable,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import PlanError
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import (
    Answer,
    FakeLXD,
    error,
    operation,
    state,
    sync,
)

FILES = "/1.0/instances/a/files"
RESULT = waiting.CLOUD_INIT_RESULT


@pytest.fixture
def client(lxd: FakeLXD) -> t.Iterator[LXDClient]:
    with LXDClient(lxd.url, timeout=2) as found:
        yield found


def actual(status: str = "Running", **fields: t.Any) -> dict[str, t.Any]:
    return {"name": "a", "type": "container", "status": status, "config": {}, "devices": {}, "profiles": [], **fields}


# -- planning -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "status", "actions"),
    [
        ("present", None, ["create"]),
        ("started", None, ["create", "start"]),
        ("restarted", None, ["create", "start"]),
        ("stopped", None, ["create"]),
        ("frozen", None, ["create", "start", "freeze"]),
        ("absent", None, []),
        ("present", "Running", []),
        ("present", "Stopped", []),
        ("started", "Running", []),
        ("started", "Stopped", ["start"]),
        ("started", "Frozen", ["unfreeze"]),
        ("stopped", "Running", ["stop"]),
        ("stopped", "Stopped", []),
        ("stopped", "Frozen", ["unfreeze", "stop"]),
        ("restarted", "Running", ["restart"]),
        ("restarted", "Stopped", ["start"]),
        ("restarted", "Frozen", ["unfreeze", "restart"]),
        ("frozen", "Running", ["freeze"]),
        ("frozen", "Frozen", []),
        ("frozen", "Stopped", ["start", "freeze"]),
        ("absent", "Running", ["stop", "delete"]),
        ("absent", "Stopped", ["delete"]),
        ("absent", "Frozen", ["unfreeze", "stop", "delete"]),
    ],
)
def test_from_where_it_is_to_where_it_should_be(wanted: str, status: str | None, actions: list[str]) -> None:
    plan = instance.plan({"name": "a", "state": wanted, "image": "x"}, actual(status) if status else None)
    assert (plan.errors, plan.actions) == ([], actions)


@pytest.mark.parametrize(
    ("wanted", "status", "actions"),
    [
        ("started", "Stopped", ["update", "start"]),
        ("restarted", "Running", ["update", "restart"]),
        ("stopped", "Running", ["stop", "update"]),
        ("present", "Running", ["update"]),
    ],
)
def test_when_a_change_is_made(wanted: str, status: str, actions: list[str]) -> None:
    plan = instance.plan({"name": "a", "state": wanted, "config": {"limits.cpu": 2}}, actual(status))
    assert plan.actions == actions


def test_what_is_lxds_own_is_no_change() -> None:
    there = actual(config={"volatile.uuid": "x", "image.os": "Debian", "limits.cpu": "2", "user.theirs": "1"})
    plan = instance.plan({"name": "a", "config": {"limits.cpu": 2, "user.none": None}, "devices": {"x": None}}, there)
    assert plan.actions == []
    assert plan.before == plan.after


def test_what_cannot_be() -> None:
    assert "no image is given" in instance.plan({"name": "a"}, None).errors[0]
    assert "cannot become" in instance.plan({"name": "a", "type": "virtual-machine"}, actual()).errors[0]
    foreign = instance.plan({"name": "a", "state": "absent", "config": {"user.bcm.site": "s"}}, actual())
    assert foreign.actions == []
    assert "carries no user.bcm.site" in foreign.errors[0]
    assert len(instance.plan({"name": "a", "config": {"b": []}, "devices": {"d": {"e": {}}}}, None).errors) == 2


# -- images ---------------------------------------------------------------------------------------------------------


def test_images_by_alias_by_fingerprint_and_elsewhere(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/images/aliases/debian%2F13", sync({"target": "f" * 64}))
    lxd.route("GET", "/1.0/images/abcdef123456", sync({"fingerprint": "abcdef123456" + "0" * 52}))
    local = {"type": "image", "fingerprint": "f" * 64}
    assert instance.resolve_image(client, "debian/13") == local
    assert instance.resolve_image(client, {"alias": "debian/13", "server": None}) == local
    assert instance.resolve_image(client, "abcdef123456")["fingerprint"].startswith("abcdef")
    assert instance.resolve_image(client, {"server": "https://x", "alias": "y"}) == {
        "type": "image",
        "mode": "pull",
        "protocol": "simplestreams",
        "server": "https://x",
        "alias": "y",
    }


@pytest.mark.parametrize("image", ["nothing", "abcdef123456", {"server": "https://x"}, {"alias": "x", "bad": "y"}])
def test_images_that_are_none(client: LXDClient, image: t.Any) -> None:
    with pytest.raises(PlanError):
        instance.resolve_image(client, image)


# -- doing ----------------------------------------------------------------------------------------------------------


def apply(
    client: LXDClient, desired: dict[str, t.Any], there: dict[str, t.Any] | None, timeout: float = 2
) -> list[str]:
    plan = instance.plan({"name": "a", **desired}, there)
    plan.source = {"type": "image", "fingerprint": "f"}
    done: list[str] = []
    try:
        instance.apply(client, plan, timeout, done)
    except LXDError as exc:
        raise type(exc)(f"{exc} (done: {done})") from exc
    return done


def test_a_start_that_fails_leaves_an_instance_that_the_next_run_starts(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("POST", "/1.0/instances", operation())
    lxd.route("PUT", "/1.0/instances/a/state", operation("start"))
    lxd.route("GET", "/1.0/operations/op/wait", state(200))
    lxd.route("GET", "/1.0/operations/start/wait", state(400, err="Failed to run: forkstart"))
    lxd.route("GET", "/1.0/instances/a/logs/lxc.log", Answer(b"lxc a 1 INFO x\nlxc a 2 ERROR no such device\n"))
    with pytest.raises(LXDError, match=r"Could not start instance a: .*forkstart.*no such device.*done: \['create'\]"):
        apply(client, {"image": "x"}, None)
    assert instance.plan({"name": "a", "image": "x"}, actual("Stopped")).actions == ["start"]


def test_creation_is_asked_for_once(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("POST", "/1.0/instances", Answer(drop=True))
    with pytest.raises(LXDUnreachable, match=r"Could not create instance a.*not known whether"):
        apply(client, {"image": "x", "profiles": ["p"], "config": {"a": 1}}, None)
    assert lxd.sent() == [("POST", "/1.0/instances")]
    body = lxd.requests[0].json
    assert (body["profiles"], body["config"], body["type"]) == (["p"], {"a": "1"}, "container")
    assert "description" not in body


def test_a_stop_that_was_not_heard_is_asked_for_again(
    lxd: FakeLXD, client: LXDClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance, "STOP_SLICE", 1)
    lxd.route("PUT", "/1.0/instances/a/state", [operation("one"), operation("two")])
    lxd.route("GET", "/1.0/operations/one/wait", state(400, err="Failed shutting down instance"))
    lxd.route("GET", "/1.0/operations/two/wait", state(200))
    lxd.route("GET", "/1.0/instances/a", sync(actual()))
    assert apply(client, {"state": "stopped"}, actual(), timeout=10) == ["stop"]
    bodies = [request.json for request in lxd.requests if request.method == "PUT"]
    assert bodies == [{"action": "stop", "force": False, "timeout": patience} for patience in (1, 2)]


@pytest.mark.parametrize("force", [False, True])
def test_a_stop_that_does_not_come(lxd: FakeLXD, client: LXDClient, force: bool) -> None:
    lxd.route("PUT", "/1.0/instances/a/state", [operation("one"), operation("kill")])
    lxd.route("GET", "/1.0/operations/one/wait", state(400, err="Failed shutting down instance"))
    lxd.route("GET", "/1.0/operations/kill/wait", state(200))
    lxd.route("GET", "/1.0/instances/a", sync(actual()))
    if force:
        assert apply(client, {"state": "stopped", "force": True}, actual(), timeout=1) == ["stop"]
    else:
        with pytest.raises(LXDTimeout, match="Could not stop instance a: it did not stop within 1 s"):
            apply(client, {"state": "stopped"}, actual(), timeout=1)
    forced = [request.json["force"] for request in lxd.requests if request.method == "PUT"]
    assert forced == ([False, True] if force else [False])


def test_a_stop_that_ended_while_nobody_looked(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("PUT", "/1.0/instances/a/state", operation())
    lxd.route("GET", "/1.0/operations/op/wait", state(400, err="Failed shutting down instance"))
    lxd.route("GET", "/1.0/instances/a", sync(actual("Stopped")))
    assert apply(client, {"state": "stopped"}, actual()) == ["stop"]


def test_an_ephemeral_instance_goes_with_its_stop(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("PUT", "/1.0/instances/a/state", operation())
    lxd.route("GET", "/1.0/operations/op/wait", state(200))
    assert apply(client, {"state": "absent"}, actual()) == ["stop", "delete"]


def test_what_lxd_is_still_at_is_waited_for(lxd: FakeLXD, client: LXDClient) -> None:
    def running(name: str, description: str, *paths: str) -> dict[str, t.Any]:
        return {"id": name, "description": description, "resources": {"instances": list(paths)}}

    lxd.route(
        "GET",
        "/1.0/operations",
        sync(
            {
                "running": [
                    running("exec", "Executing command", "/1.0/instances/a"),
                    running("other", "Creating instance", "/1.0/instances/b"),
                    running("ours", "Creating instance", "/1.0/instances/a?project=p"),
                    {"id": "none", "description": "Cleaning up", "resources": None},
                ]
            }
        ),
    )
    lxd.route("GET", "/1.0/operations/ours/wait", state(400, err="it failed, which the next reading shows"))
    instance.settle(client, ["a"], 5)
    assert [path for _method, path in lxd.sent()][1:] == ["/1.0/operations/ours/wait"]


# -- waiting --------------------------------------------------------------------------------------------------------


def cloud_init(*errors: str) -> Answer:
    return Answer(json.dumps({"v1": {"datasource": "LXD", "errors": errors}}).encode(), headers={"X-LXD-type": "file"})


def files(lxd: FakeLXD, content: dict[str, t.Sequence[Answer]]) -> None:
    turn = dict.fromkeys(content, 0)

    def answer(request: t.Any) -> Answer:
        path = request.query["path"]
        if path not in content:
            return error(404, "Not Found")
        index = min(turn[path], len(content[path]) - 1)
        turn[path] += 1
        return content[path][index]

    lxd.route("GET", FILES, answer)


def test_cloud_init_behind_a_link_and_half_written(lxd: FakeLXD, client: LXDClient) -> None:
    link = Answer(b"../../var/lib/cloud/data/result.json", headers={"X-LXD-type": "symlink"})
    half = Answer(b'{"v1": {"dat', headers={"X-LXD-type": "file"})
    files(lxd, {RESULT: [error(404, "no"), link], "/var/lib/cloud/data/result.json": [half, cloud_init()]})
    waiting.wait_for(client, "a", "cloud-init", 5)


def test_cloud_init_that_ended_badly(lxd: FakeLXD, client: LXDClient) -> None:
    files(lxd, {RESULT: [cloud_init("runcmd failed", "and more")]})
    with pytest.raises(LXDError, match="Instance a: cloud-init ended with errors: runcmd failed; and more"):
        waiting.wait_for(client, "a", "cloud-init", 5)


def test_cloud_init_that_is_disabled(lxd: FakeLXD, client: LXDClient) -> None:
    files(lxd, {waiting.CLOUD_INIT_DISABLED: [Answer(b"")]})
    with pytest.raises(LXDError, match="cloud-init is disabled in it"):
        waiting.wait_for(client, "a", "cloud-init", 5)


def test_cloud_init_that_is_not_there(lxd: FakeLXD, client: LXDClient) -> None:
    begin = time.monotonic()
    with pytest.raises(LXDTimeout, match=r"was awaited in vain for 0.5 s .*is cloud-init in its image\?"):
        waiting.wait_for(client, "a", "cloud-init", 0.5)
    assert time.monotonic() - begin < 3


def test_an_instance_that_stops_is_not_waited_for(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/instances/a", sync(actual("Stopped")))
    lxd.route(
        "GET", "/1.0/instances/a/console", Answer(b"\x1b[0;31mToo many open files\x1b[0m\r\nExiting PID 1...\r\n")
    )
    with pytest.raises(LXDUnreachable, match=r"is Stopped while .* Too many open files \| Exiting PID 1"):
        waiting.wait_for(client, "a", "cloud-init", 30)


def test_addresses_are_those_of_its_own_cards() -> None:
    def card(host: str, *addresses: str, kind: str = "broadcast") -> dict[str, t.Any]:
        listed = [{"address": address, "scope": "global"} for address in addresses]
        return {"host_name": host, "type": kind, "addresses": [*listed, {"address": "fe80::1", "scope": "link"}]}

    network = {"lo": card("", "127.0.0.1", kind="loopback"), "eth0": card("veth1", "10.0.0.1"), "eth1": card("veth2")}
    assert waiting.addresses({"network": {**network, "docker0": card("", "172.17.0.1")}}) == {"eth0": ["10.0.0.1"]}
    assert waiting.addresses({"network": {"macvlan0": card("", "10.0.0.2")}}) == {"macvlan0": ["10.0.0.2"]}
    assert waiting.addresses({"network": None}) == {}


def test_an_address_is_waited_for(lxd: FakeLXD, client: LXDClient) -> None:
    card = {"host_name": "veth1", "addresses": [{"address": "10.0.0.1", "scope": "global"}]}
    lxd.route("GET", "/1.0/instances/a/state", [sync({"network": {}}), sync({"network": {"eth0": card}})])
    waiting.wait_for(client, "a", "address", 5)


def test_lxd_dies_while_it_is_waited(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/instances/a/state", Answer(drop=True))
    with pytest.raises(LXDUnreachable):
        waiting.wait_for(client, "a", "address", 5)
