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
    with LXDClient(lxd.url, timeout=10) as found:
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
        ("started", "Ready", []),
        ("stopped", "Ready", ["stop"]),
        ("absent", "Error", ["stop", "delete"]),
        ("present", "Error", []),
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
    assert "LXD cannot tell whether it runs" in instance.plan({"name": "a"}, actual("Error")).errors[0]
    foreign = instance.plan({"name": "a", "state": "absent", "config": {"user.bcm.site": "s"}}, actual())
    assert foreign.actions == []
    assert "carries no user.bcm.site" in foreign.errors[0]


@pytest.mark.parametrize("wanted", ["started", "stopped", "present", "absent"])
def test_one_whose_member_is_away_is_not_taken_for_a_strangers(wanted: str) -> None:
    """LXD lists it without its configuration."""
    desired = {"name": "a", "state": wanted, "config": {"user.bcm.site": "s"}}
    plan = instance.plan(
        desired, {"name": "a", "status": "Error", "location": "two", "type": "container", "config": None}
    )
    assert (plan.actions, len(plan.errors)) == ([], 1)
    assert "perhaps because its cluster member is away" in plan.errors[0]
    # One that is there is known by its configuration, in whatever state it is.
    theirs = instance.plan(desired, actual("Error", config={"user.bcm.site": "other"}))
    assert "belongs to 'other'" in theirs.errors[0]
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
    with pytest.raises(LXDUnreachable, match=r"Could not create instance a from image f: .*not known whether"):
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


def test_a_restart_whose_stop_came_late_is_finished(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("PUT", "/1.0/instances/a/state", [operation("one"), operation("two")])
    lxd.route("GET", "/1.0/operations/one/wait", state(400, err="Failed shutting down instance"))
    lxd.route("GET", "/1.0/operations/two/wait", state(200))
    lxd.route("GET", "/1.0/instances/a", sync(actual("Stopped")))
    lxd.route("GET", "/1.0/instances/a/state", sync({"status": "Running"}))
    assert apply(client, {"state": "restarted"}, actual(), timeout=10) == ["restart"]
    assert [request.json["action"] for request in lxd.requests if request.method == "PUT"] == ["restart", "start"]


HELD = (
    'Deleting instance failed: Failed to create instance delete operation: Instance is busy running a "stop" operation'
)


def test_an_instance_that_its_stop_still_holds_is_waited_for(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("DELETE", "/1.0/instances/a", [error(500, HELD), operation("one"), operation("two")])
    lxd.route("GET", "/1.0/operations/one/wait", state(400, err=HELD))
    lxd.route("GET", "/1.0/operations/two/wait", state(200))
    assert apply(client, {"state": "absent"}, actual("Stopped"), timeout=10) == ["delete"]
    assert len(lxd.sent("DELETE")) == 3


def test_an_instance_that_is_not_let_go_of_is_named(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("DELETE", "/1.0/instances/a", error(500, HELD))
    with pytest.raises(LXDError, match="Could not delete instance a: .*busy running"):
        apply(client, {"state": "absent"}, actual("Stopped"), timeout=0.3)
    assert len(lxd.sent("DELETE")) > 1


def test_what_is_told_is_what_came_of_it() -> None:
    fields = instance.plan({"name": "a"}, actual()).after
    assert instance.outcome(fields, None)["status"] == "Running"
    assert instance.outcome(fields, {"status": "Stopped"})["status"] == "Stopped"
    assert instance.outcome(fields, {"status": "Ready"})["status"] == "Running"
    assert instance.outcome(None, None)["status"] == "absent"


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
    assert time.monotonic() - begin < 15


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


# As LXD and Incus say it of a virtual machine: before its agent answers, and of one that is about to stop.
NOBODY_YET = [{"processes": -1}, {"processes": 0}, {}]


def test_an_agent_is_waited_for(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/instances/a/state", [*map(sync, NOBODY_YET), sync({"processes": 14})])
    waiting.wait_for(client, "a", "agent", 30)
    assert len(lxd.sent("GET")) == len(NOBODY_YET) + 1


@pytest.mark.parametrize("state_", NOBODY_YET)
def test_an_agent_that_does_not_come(lxd: FakeLXD, client: LXDClient, state_: dict[str, t.Any]) -> None:
    # It has an address, and nobody in it who answers.
    card = {"host_name": "veth1", "addresses": [{"address": "10.0.0.1", "scope": "global"}]}
    lxd.route("GET", "/1.0/instances/a/state", sync({**state_, "network": {"eth0": card}}))
    with pytest.raises(LXDTimeout, match=r"Instance a: an answer of .* the agent in it, was awaited in vain for 0.3 s"):
        waiting.wait_for(client, "a", "agent", 0.3)


def test_an_agent_of_one_that_stops(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/instances/a/state", sync({"processes": -1}))
    lxd.route("GET", "/1.0/instances/a", sync(actual("Stopped")))
    lxd.route("GET", "/1.0/instances/a/console", Answer(b"BdsDxe: failed to load Boot0001\r\n"))
    with pytest.raises(LXDUnreachable, match=r"is Stopped while .*the agent in it.* failed to load Boot0001"):
        waiting.wait_for(client, "a", "agent", 30)


def test_lxd_dies_while_it_is_waited(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/instances/a/state", Answer(drop=True))
    with pytest.raises(LXDUnreachable):
        waiting.wait_for(client, "a", "address", 5)


@pytest.mark.parametrize(
    ("interface", "family", "found"),
    [(None, None, True), ("eth0", None, True), ("eth1", None, False), ("eth0", "inet6", False), (None, "inet", True)],
)
def test_an_address_of_a_kind_on_a_card(
    lxd: FakeLXD, client: LXDClient, interface: str | None, family: str | None, found: bool
) -> None:
    card = {"host_name": "veth1", "addresses": [{"address": "10.0.0.1", "scope": "global", "family": "inet"}]}
    link = {"host_name": "veth2", "addresses": [{"address": "fe80::1", "scope": "link", "family": "inet6"}]}
    lxd.route("GET", "/1.0/instances/a/state", sync({"network": {"eth0": card, "eth1": link}}))
    awaited = waiting.Card(interface, family)
    if found:
        waiting.wait_for(client, "a", "address", 5, awaited)
    else:
        with pytest.raises(LXDTimeout, match=r"an (IPv6 )?address on eth\d was awaited in vain for 0.2 s"):
            waiting.wait_for(client, "a", "address", 0.2, awaited)


# -- cloud-init -----------------------------------------------------------------------------------------------------


def test_what_cloud_init_is_told_as_dictionaries() -> None:
    told = {"user_data": {"b": [1], "a": "ü"}, "vendor_data": "#!/bin/sh\n", "network_config": {"version": 2}}
    config = instance.with_cloud_init({"name": "a", "config": {"user.x": 1}, "cloud_init": told})["config"]
    assert config["cloud-init.user-data"] == '#cloud-config\n{\n "a": "ü",\n "b": [\n  1\n ]\n}\n'
    assert config["cloud-init.vendor-data"] == "#!/bin/sh\n"
    assert json.loads(config["cloud-init.network-config"]) == {"version": 2}
    assert config["user.x"] == 1
    again = instance.with_cloud_init({"name": "a", "cloud_init": {"user_data": {"a": "ü", "b": [1]}}})
    assert again["config"]["cloud-init.user-data"] == config["cloud-init.user-data"]


def test_what_cloud_init_cannot_be_told() -> None:
    with pytest.raises(PlanError, match=r"cloud-init.user-data is given twice"):
        instance.with_cloud_init(
            {"name": "a", "config": {"cloud-init.user-data": "x"}, "cloud_init": {"user_data": "y"}}
        )
    with pytest.raises(PlanError, match=r"cloud_init.user_data is to be a text or a dictionary"):
        instance.with_cloud_init({"name": "a", "cloud_init": {"user_data": 1}})


# -- copies ---------------------------------------------------------------------------------------------------------


def original(**fields: t.Any) -> dict[str, t.Any]:
    config = {"limits.cpu": "1", "user.gone": "x", "volatile.uuid": "u", "image.os": "Debian"}
    there = {
        "name": "b",
        "architecture": "x86_64",
        "config": config,
        "devices": {"root": {"path": "/"}},
        "profiles": ["p"],
    }
    return {**actual(), **there, **fields}


def test_a_copy_is_what_it_is_a_copy_of_but_for_what_is_asked_for(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/instances/b", sync(original(description="from b")))
    source, base = instance.resolve_source(client, {"instance": "b", "snapshot": None, "instance_only": False})
    assert source == {"type": "copy", "source": "b", "project": "default", "instance_only": False}
    wanted = {"name": "a", "state": "stopped", "config": {"limits.cpu": 2, "user.gone": None}, "source": source}
    plan = instance.plan(wanted, None, base=base)
    assert (plan.errors, plan.actions) == ([], ["create"])
    assert plan.after is not None
    assert plan.after["config"] == {"limits.cpu": "2"}
    plan.source, plan.base = source, base
    made = original(name="a")
    lxd.route("POST", "/1.0/instances", operation())
    lxd.route("GET", "/1.0/operations/op/wait", state(200))
    lxd.route("GET", "/1.0/instances/a", sync({**made, "config": {**made["config"], "limits.cpu": "2"}}))
    lxd.route("PUT", "/1.0/instances/a", operation())
    instance.apply(client, plan, 2, [])
    posted, put = (request.json for request in lxd.requests if request.method in ("POST", "PUT"))
    assert posted["source"] == source
    assert posted["architecture"] == "x86_64"
    assert posted["config"] == {"limits.cpu": "2"}
    assert (posted["profiles"], posted["devices"], posted["description"]) == (["p"], {"root": {"path": "/"}}, "from b")
    # LXD has put the key back that was to be left out; what is its own stays.
    assert put["config"] == {"limits.cpu": "2", "volatile.uuid": "u", "image.os": "Debian"}


def test_there_is_no_second_one_with_a_volume_that_must_be_there_once(lxd: FakeLXD, client: LXDClient) -> None:
    disk = {"type": "disk", "pool": "p", "source": "lnd", "path": "/srv/lnd"}
    lxd.route(
        "GET",
        "/1.0/instances/b",
        sync(original(devices={"root": {"type": "disk", "pool": "p", "path": "/"}, "lnd": disk})),
    )
    lxd.route(
        "GET", "/1.0/storage-pools/p/volumes/custom/lnd", sync({"config": {"user.bcm.never-copied": "money is lost"}})
    )
    with pytest.raises(PlanError, match="instance b is never copied, it uses volume p/lnd: money is lost"):
        instance.resolve_source(client, {"instance": "b", "snapshot": None, "instance_only": False})
    lxd.route("GET", "/1.0/storage-pools/p/volumes/custom/lnd", sync({"config": {}}))
    assert (
        instance.resolve_source(client, {"instance": "b", "snapshot": None, "instance_only": False})[0]["source"] == "b"
    )


def test_a_copy_of_what_is_not_there(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/instances/b", sync(original()))
    lxd.route("GET", "/1.0/projects/p", sync({"name": "p"}))
    for source, message in (
        ({"instance": "c"}, "project default has no instance 'c' to copy"),
        ({"instance": "b", "snapshot": "s"}, "instance b of project default has no snapshot 's' to copy"),
        ({"instance": "b", "project": "q"}, "there is no project q to copy from"),
    ):
        with pytest.raises(PlanError, match=message):
            instance.resolve_source(client, source)


def test_a_copy_is_of_the_same_kind() -> None:
    plan = instance.plan({"name": "a", "source": {"instance": "b"}, "type": "virtual-machine"}, None, base=original())
    assert "is a container, and a copy cannot be a virtual-machine" in plan.errors[0]


# -- places in a cluster ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "status", "actions"),
    [
        ("started", "Running", ["stop", "move", "start"]),
        ("started", "Stopped", ["move", "start"]),
        ("present", "Running", ["stop", "move", "start"]),
        ("present", "Stopped", ["move"]),
        ("present", "Frozen", ["unfreeze", "stop", "move", "start", "freeze"]),
        ("stopped", "Running", ["stop", "move"]),
        ("restarted", "Running", ["stop", "move", "start"]),
        ("frozen", "Running", ["stop", "move", "start", "freeze"]),
        ("absent", "Running", ["stop", "delete"]),
    ],
)
def test_from_member_to_member(wanted: str, status: str, actions: list[str]) -> None:
    desired = {"name": "a", "state": wanted, "target": "@g", "move": True}
    there = actual(status, location="one")
    plan = instance.plan(desired, there, members=["two", "three"])
    assert plan.actions == actions
    if wanted != "absent":
        assert (plan.before or {})["location"] == "one"
        assert (plan.after or {})["location"] == "@g"
    # Who is in the group stays, and so does everything that is not to be moved.
    stays = instance.plan(desired, there, members=["one", "two"]).actions
    assert stays == instance.plan({"name": "a", "state": wanted}, there).actions
    assert instance.plan({**desired, "move": False}, there, members=["two"]).actions == stays


def test_a_change_is_made_before_the_move() -> None:
    desired = {"name": "a", "target": "two", "move": True, "config": {"limits.cpu": 2}}
    assert instance.plan(desired, actual(location="one"), members=["two"]).actions == [
        "stop",
        "update",
        "move",
        "start",
    ]


def cluster(lxd: FakeLXD, **members: str) -> None:
    """A cluster of members with their status, as LXD's API describes it."""
    lxd.route("GET", "/1.0", sync({"environment": {"server_clustered": True}}))
    lxd.route("GET", "/1.0/cluster/groups", sync([]))
    listed = [{"server_name": name, "status": status} for name, status in members.items()]
    lxd.route("GET", "/1.0/cluster/members", sync(listed))
    for item in listed:
        lxd.route("GET", f"/1.0/cluster/members/{item['server_name']}", sync(item))


def test_targets(lxd: FakeLXD, client: LXDClient) -> None:
    cluster(lxd, one="Online", two="Online")
    lxd.route("GET", "/1.0/cluster/groups/g", sync({"name": "g", "members": ["one", "two"]}))
    lxd.route("GET", "/1.0/cluster/groups/none", sync({"name": "none", "members": []}))
    assert instance.resolve_target(client, "two") == ["two"]
    assert instance.resolve_target(client, "@g") == ["one", "two"]
    for target, message in (
        ("three", "target 'three': the cluster has no such member"),
        ("@h", "target '@h': the cluster has no such group"),
        ("@none", "target '@none': there is no member in that group"),
    ):
        with pytest.raises(PlanError, match=message):
            instance.resolve_target(client, target)


def test_there_is_no_place_where_there_is_no_cluster(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0", sync({"environment": {"server_clustered": False}}))
    with pytest.raises(PlanError, match="this LXD is not part of a cluster"):
        instance.resolve_target(client, "two")


def test_a_move_to_a_group_goes_to_the_member_that_has_least_to_do(lxd: FakeLXD, client: LXDClient) -> None:
    cluster(lxd, one="Online", two="Online", three="Online", four="Offline")
    lxd.route("GET", "/1.0/cluster/groups/g", sync({"name": "g", "members": ["two", "three", "four"]}))
    lxd.route("GET", "/1.0/instances", sync([{"location": "two"}, {"location": "one"}]))
    lxd.route("POST", "/1.0/instances/a", operation())
    lxd.route("GET", "/1.0/operations/op/wait", state(200))
    lxd.route("GET", "/1.0/instances/a", sync(actual("Stopped", location="three")))
    lxd.route("GET", "/1.0/instances/a/state", sync({"status": "Stopped"}))
    desired = {"name": "a", "state": "present", "target": "@g", "move": True}
    plan = instance.plan(desired, actual("Stopped", location="one"), members=["two", "three", "four"])
    assert instance.apply(client, plan, 5, [])["location"] == "three"
    (sent,) = [request for request in lxd.requests if request.method == "POST"]
    assert sent.query["target"] == "three"
    assert sent.json == {"name": "a", "migration": True, "live": False}


def test_a_move_to_where_nobody_answers(lxd: FakeLXD, client: LXDClient) -> None:
    cluster(lxd, one="Online", two="Offline")
    lxd.route("GET", "/1.0/cluster/groups/g", sync({"name": "g", "members": ["two"]}))
    desired = {"name": "a", "state": "present", "target": "@g", "move": True}
    with pytest.raises(LXDError, match="Could not move instance a: none of two is online"):
        instance.apply(client, instance.plan(desired, actual("Stopped", location="one"), members=["two"]), 5, [])


def test_a_new_one_is_placed_by_lxd_itself(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("POST", "/1.0/instances", operation())
    lxd.route("GET", "/1.0/operations/op/wait", state(200))
    lxd.route("GET", "/1.0/instances/a", sync(actual("Stopped", location="two")))
    lxd.route("GET", "/1.0/instances/a/state", sync({"status": "Stopped"}))
    plan = instance.plan({"name": "a", "state": "stopped", "image": "x", "target": "@g"}, None, members=["two"])
    assert instance.apply(client, plan, 5, [])["location"] == "two"
    assert lxd.requests[0].query["target"] == "@g"
