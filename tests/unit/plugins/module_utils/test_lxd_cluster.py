# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_cluster as clusters
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_attempt import until
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDForbidden,
    LXDTimeout,
    LXDUnreachable,
)
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import (
    Answer,
    FakeLXD,
    Request,
    error,
    sync,
)

MEMBER: dict[str, t.Any] = {
    "server_name": "two",
    "status": "Online",
    "roles": ["event-hub", "database"],
    "failure_domain": "default",
    "description": "",
    "config": {"user.a": "1"},
    "groups": ["default"],
}


@pytest.fixture
def client(lxd: FakeLXD) -> t.Iterator[LXDClient]:
    with LXDClient(lxd.url, timeout=10) as found:
        yield found


@pytest.mark.parametrize(
    ("config", "wanted", "address", "written"),
    [
        ({}, "10.0.0.1", "10.0.0.1:8443", ["cluster.https_address", "core.https_address"]),
        ({"core.https_address": "[::]:8443"}, "10.0.0.1", "10.0.0.1:8443", ["cluster.https_address"]),
        ({"core.https_address": "10.0.0.1:8443"}, None, "10.0.0.1:8443", ["cluster.https_address"]),
        (
            {"core.https_address": ":8443", "cluster.https_address": "10.0.0.2:8443"},
            None,
            "10.0.0.2:8443",
            [],
        ),
    ],
)
def test_where_a_member_is_reached(
    config: dict[str, str], wanted: str | None, address: str, written: list[str]
) -> None:
    errors: list[str] = []
    found = clusters.place(config, wanted, errors)
    assert (found.address, sorted(found.config), errors) == (address, written, [])


@pytest.mark.parametrize("config", [{}, {"core.https_address": "[::]:8443"}, {"core.https_address": ":1"}])
def test_nobody_is_reached_at_all_addresses(config: dict[str, str]) -> None:
    errors: list[str] = []
    clusters.place(config, None, errors)
    assert "server_address is needed" in errors[0]


def test_settings_that_are_not_mentioned_stay() -> None:
    assert clusters.merged(MEMBER, {"name": "two"}) == clusters.settings(MEMBER)
    result = clusters.merged(MEMBER, {"roles": [], "groups": ["b", "a"], "config": {"user.a": None, "user.b": 2}})
    assert result["roles"] == []
    assert result["groups"] == ["a", "b"]
    assert result["config"] == {"user.b": "2"}
    assert result["failure_domain"] == "default"


def test_roles_that_lxd_gives_are_sent_along(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/cluster/members/two", sync(MEMBER, ETag="1"))
    lxd.route("PUT", "/1.0/cluster/members/two", sync())
    clusters.set_member(client, {"name": "two", "roles": ["ovn-chassis"]})
    sent = lxd.requests[-1]
    assert sent.json["roles"] == ["database", "ovn-chassis"]
    assert sent.headers["if-match"] == "1"
    clusters.set_member(client, {"name": "two", "roles": ["event-hub"]})
    assert len(lxd.sent("PUT")) == 1


def test_all_that_is_wrong_with_a_member_at_once() -> None:
    desired = {"name": "two", "roles": ["database"], "groups": ["a", "b"], "config": {"x": {}}}
    assert len(clusters.member_errors(desired, ["a"])) == 3
    assert "one group at least" in clusters.member_errors({"name": "two", "groups": []}, None)[0]


def test_a_group_is_left_only_by_who_is_in_another_one() -> None:
    members = [{"server_name": "one", "groups": ["fast"]}, {"server_name": "two", "groups": ["default", "fast"]}]
    actual = {"members": ["one", "two"]}

    def errors(state: str, *wanted: str) -> list[str]:
        return clusters.group_errors({"name": "fast", "state": state, "members": list(wanted)}, actual, members)

    assert errors("present", "one") == []
    assert "member one is in no other group" in errors("present", "two")[0]
    assert "no member 'three'" in errors("present", "one", "three")[0]
    assert "there are members in it: one, two" in errors("absent")[0]


def test_what_a_fresh_server_has_is_nothing(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/storage-pools", sync([]))
    fresh = {"name": "default", "used_by": ["/1.0/profiles/default"]}
    lxd.route("GET", "/1.0/projects", sync([fresh]))
    assert clusters.contents(client) == []
    lxd.route("GET", "/1.0/storage-pools", sync([{"name": "p"}]))
    own = {"name": "x", "used_by": ["/1.0/profiles/default?project=x", "/1.0/instances/c?project=x"]}
    lxd.route("GET", "/1.0/projects", sync([{"name": "default", "used_by": ["/1.0/networks/n"]}, own]))
    assert clusters.contents(client) == ["storage pool p", "networks/n", "project x", "instances/c"]


def test_what_stands_on_a_member(lxd: FakeLXD, client: LXDClient) -> None:
    on = [{"name": "a", "project": "x", "location": "two"}, {"name": "b", "project": "default", "location": "one"}]
    lxd.route("GET", "/1.0/instances", sync(on))
    lxd.route("GET", "/1.0/storage-pools", sync([{"name": "p"}]))
    shared = {"name": "y", "config": {"features.storage.volumes": "false"}}
    lxd.route("GET", "/1.0/projects", sync([{"name": "default", "config": {}}, {"name": "x", "config": {}}, shared]))

    def volumes(request: Request) -> Answer:
        return sync([{"name": f"v-{request.query['project']}", "location": "two"}, {"name": "w", "location": "one"}])

    lxd.route("GET", "/1.0/storage-pools/p/volumes/custom", volumes)
    found = clusters.stands_on(client, "two")
    assert found == ["instance a of project x", "volume p/v-default", "volume p/v-x of project x"]


def test_a_daemon_that_starts_anew_is_waited_for(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/cluster", [Answer(drop=True), error(500, "not yet"), sync({"enabled": False})])
    clusters.wait_alone(client, 5)


# LXD 5.0 starts anew when it has left its cluster, and its answer may have a beginning only.
CUT = Answer({"type": "sync"}, headers={"Content-Length": "108"}, close=True)


@pytest.mark.parametrize("answer", [sync(), CUT, Answer(drop=True)])
def test_a_cluster_ends_whatever_becomes_of_the_answer(lxd: FakeLXD, client: LXDClient, answer: Answer) -> None:
    lxd.route("PUT", "/1.0/cluster", answer)
    lxd.route("DELETE", "/1.0/cluster/members/two", answer)
    alone = [Answer(drop=True), sync({"enabled": True}), sync({"enabled": False})]
    lxd.route("GET", "/1.0/cluster", alone)
    clusters.disband(client, 5)
    clusters.remove_member(client, "two", own=True, force=False, timeout=5)
    assert lxd.sent("PUT", "DELETE") == [("PUT", "/1.0/cluster"), ("DELETE", "/1.0/cluster/members/two")]


def test_a_cluster_that_has_not_ended_is_named(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/cluster", sync({"enabled": True}))
    lxd.route("PUT", "/1.0/cluster", CUT)
    with pytest.raises(LXDTimeout, match="outside of any cluster was awaited in vain"):
        clusters.disband(client, 0.2)
    lxd.route("PUT", "/1.0/cluster", error(500, "no"))
    with pytest.raises(LXDError, match="Could not end the cluster: .*no"):
        clusters.disband(client, 5)
    # Another member answers, and stays: what it did not say is not known.
    lxd.route("DELETE", "/1.0/cluster/members/two", CUT)
    with pytest.raises(LXDUnreachable, match="Could not remove member two"):
        clusters.remove_member(client, "two", own=False, force=False, timeout=5)


def test_waiting_has_an_end_and_says_what_was_answered_last(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/cluster", error(500, "database is locked"))
    with pytest.raises(LXDTimeout, match=r"That LXD answers as a server outside .* in vain for 0\.2 s\..*is locked"):
        clusters.wait_alone(client, 0.2)
    lxd.route("GET", "/1.0/cluster/members/two", sync({**MEMBER, "status": "Blocked"}))
    with pytest.raises(LXDTimeout, match="That member two of the cluster is online was awaited in vain"):
        clusters.wait_online(client, "two", 0.2)


def test_who_is_not_trusted_does_not_wait() -> None:
    def refused() -> bool:
        raise LXDForbidden("no")

    with pytest.raises(LXDForbidden):
        until(refused, "It", 60)


def test_a_server_that_listens_everywhere_joins_at_one_address(
    lxd: FakeLXD, client: LXDClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters.tokens, "decode", lambda *_args: {"addresses": [], "fingerprint": ""})
    monkeypatch.setattr(clusters.tokens, "first_at", lambda *_args: ("10.0.0.1:8443", "PEM"))
    lxd.route("GET", "/1.0", sync({"config": {"core.https_address": "[::]:8443"}}))
    lxd.route("GET", "/1.0/cluster/members/two", sync(MEMBER))
    lxd.route("PATCH", "/1.0", sync())
    refusal = error(500, "Wildcard addresses aren't allowed")
    place = clusters.Place("10.0.0.2:8443", {})
    lxd.route("PUT", "/1.0/cluster", [refusal, sync()])
    clusters.join(client, "two", "token", place, [], 5)
    wrong = error(500, "no")
    lxd.route("PUT", "/1.0/cluster", wrong)
    with pytest.raises(LXDError, match="Could not join the cluster as 'two'"):
        clusters.join(client, "two", "token", place, [], 5)
    listened = [request.json["config"] for request in lxd.requests if request.method == "PATCH"]
    assert listened == [{"core.https_address": "10.0.0.2:8443"}, {"core.https_address": "[::]:8443"}]
