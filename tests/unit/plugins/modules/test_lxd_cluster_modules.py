# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules of servers, clusters and trust stores as Ansible runs them, against an LXD that misbehaves."""

from __future__ import annotations

import base64
import importlib
import json
import ssl
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import (
    Answer,
    FakeLXD,
    Request,
    error,
    operation,
    state,
    sync,
)

PREFIX = "ansible_collections.bcm.datacenter.plugins.modules."
RunModule = t.Callable[..., dict[str, t.Any]]
MEMBER = {
    "server_name": "two",
    "status": "Online",
    "roles": ["database"],
    "failure_domain": "default",
    "description": "",
    "config": {},
    "groups": ["default"],
}
TOKEN = base64.b64encode(
    json.dumps({"server_name": "two", "fingerprint": "ab" * 32, "addresses": ["127.0.0.1:1"], "secret": "s"}).encode()
).decode()


@pytest.fixture
def run(lxd: FakeLXD, capsys: pytest.CaptureFixture[str]) -> RunModule:
    def run_module(module_name: str, /, *, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        module = importlib.import_module(PREFIX + module_name)
        args = {"url": lxd.url, "_ansible_check_mode": check, "_ansible_diff": True, **params}
        with patch_module_args(args), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return run_module


@pytest.fixture
def cluster(lxd: FakeLXD) -> FakeLXD:
    """A cluster of one and two, asked through one."""
    lxd.route("GET", "/1.0", sync({"config": {}, "api_extensions": [], "environment": {"server_clustered": True}}))
    lxd.route("GET", "/1.0/cluster", sync({"enabled": True, "server_name": "one"}))
    lxd.route("GET", "/1.0/cluster/members", sync([{**MEMBER, "server_name": "one"}, MEMBER]))
    lxd.route("GET", "/1.0/cluster/members/two", sync(MEMBER))
    lxd.route("GET", "/1.0/cluster/groups", sync([{"name": "default", "members": ["one", "two"]}]))
    for path in ("operations", "instances", "projects", "storage-pools"):
        lxd.route("GET", f"/1.0/{path}", sync({} if path == "operations" else []))
    return lxd


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("lxd_server", {"config": {"user.a": 1}}),
        ("lxd_certificate", {"name": "x", "state": "absent"}),
        ("lxd_certificate_info", {}),
        ("lxd_cluster", {"server_name": "x"}),
        ("lxd_cluster_info", {}),
        ("lxd_capacity_info", {}),
        ("lxd_cluster_member", {"name": "x"}),
        ("lxd_cluster_member_info", {}),
        ("lxd_cluster_group", {"name": "x"}),
        ("lxd_cluster_group_info", {}),
    ],
)
def test_no_lxd_is_said_in_words(run: RunModule, name: str, params: dict[str, t.Any]) -> None:
    result = run(name, url="unix:///no/such/socket", **params)
    assert result["failed"]
    assert result["msg"].startswith("Cannot connect to LXD at unix:///no/such/socket: the socket does not exist.")


@pytest.mark.parametrize("answer", [Answer(b"garbage"), error(500, "database is locked"), Answer(drop=True)])
def test_lxd_that_is_broken_is_an_error_and_never_absence(run: RunModule, cluster: FakeLXD, answer: Answer) -> None:
    cluster.route("GET", "/1.0/cluster/members/two", answer)
    cluster.route("GET", "/1.0/certificates", answer)
    assert run("lxd_cluster_member", name="two", state="absent")["failed"]
    assert run("lxd_cluster_member", name="two", state="token")["failed"]
    assert run("lxd_certificate", name="x", state="absent")["failed"]
    assert cluster.sent("POST", "PUT", "DELETE") == []


def test_check_mode_writes_nothing(run: RunModule, cluster: FakeLXD) -> None:
    cluster.route("GET", "/1.0/certificates", sync([]))
    tried: list[tuple[str, dict[str, t.Any]]] = [
        ("lxd_server", {"config": {"user.a": 1}, "secrets": {"core.trust_password": "x"}}),
        ("lxd_certificate", {"name": "x", "state": "token"}),
        ("lxd_cluster_member", {"name": "two", "state": "absent"}),
        ("lxd_cluster_member", {"name": "two", "state": "evacuated", "description": "x"}),
        ("lxd_cluster_member", {"name": "three", "state": "token"}),
        ("lxd_cluster_member", {"name": "three", "roles": ["event-hub"], "groups": ["later"]}),
        ("lxd_cluster_group", {"name": "new", "members": ["three"]}),
    ]
    for name, params in tried:
        result = run(name, check=True, **params)
        assert result.get("changed"), (name, result)
    assert {method for method, _path in cluster.sent()} == {"GET"}


def test_a_server_before_its_cluster_is_made(run: RunModule, lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0", sync({"config": {}, "api_extensions": []}))
    lxd.route("GET", "/1.0/cluster", sync({"enabled": False, "server_name": ""}))
    for path in ("projects", "storage-pools"):
        lxd.route("GET", f"/1.0/{path}", sync([]))
    result = run("lxd_cluster_member", check=True, name="two", server_address="10.0.0.2", failure_domain="a")
    assert result["actions"] == ["join", "update"]
    assert run("lxd_cluster_group", check=True, name="fast", members=["two"])["changed"]
    assert run("lxd_cluster_group", name="fast")["failed"]
    assert not run("lxd_cluster_group", name="fast", state="absent")["changed"]
    assert not run("lxd_cluster_member", name="two", state="absent")["changed"]
    lxd.route("GET", "/1.0/operations", sync({}))
    assert run("lxd_cluster_member_info")["members"] == []
    assert run("lxd_cluster_group_info")["groups"] == []
    assert lxd.sent("POST", "PUT", "DELETE") == []


def test_a_token_that_is_out_of_date_is_refused_before_anything_is_touched(run: RunModule, lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0", sync({"config": {}, "api_extensions": []}))
    lxd.route("GET", "/1.0/cluster", sync({"enabled": False, "server_name": ""}))
    for path in ("projects", "storage-pools"):
        lxd.route("GET", f"/1.0/{path}", sync([]))
    fields = {**json.loads(base64.b64decode(TOKEN)), "expires_at": "2001-01-01T00:00:00Z"}
    late = base64.b64encode(json.dumps(fields).encode()).decode()
    result = run("lxd_cluster_member", name="two", server_address="10.0.0.2", token=late)
    assert result["token_refused"]
    assert "it was valid until 2001-01-01T00:00:00Z" in result["msg"]
    # Another reason is none of the token's.
    assert "token_refused" not in run("lxd_cluster_member", name="three", server_address="10.0.0.2", token=TOKEN)
    assert lxd.sent("POST", "PUT", "PATCH", "DELETE") == []


def test_a_member_that_does_not_answer_is_named_with_what_is_on_it(run: RunModule, cluster: FakeLXD) -> None:
    gone = {**MEMBER, "status": "Offline", "message": "No heartbeat for 25s"}
    away = {**MEMBER, "server_name": "three"}
    cluster.route("GET", "/1.0/cluster/members", sync([{**MEMBER, "server_name": "one"}, gone, away]))
    cluster.route("GET", "/1.0/storage-pools", sync([{"name": "fast"}]))
    cluster.route("GET", "/1.0/storage-pools/fast/resources", sync({"space": {"used": 1, "total": 4}}))
    cluster.route("GET", "/1.0/instances", sync([{"name": "a", "location": "two", "status": "Error", "project": "x"}]))
    cluster.route(
        "GET", "/1.0/projects", sync([{"name": "x"}, {"name": "y", "config": {"features.storage.volumes": "false"}}])
    )
    volumes = [
        {"name": name, "location": place} for name, place in (("a-data", "two"), ("a-data/old", "two"), ("b", "one"))
    ]
    cluster.route("GET", "/1.0/storage-pools/fast/volumes/custom", sync(volumes))

    def resources(request: Request) -> Answer:
        if request.query.get("target") == "three":
            return error(503, "no route to host")
        return sync({"cpu": {"total": 4}, "memory": {"total": 8, "used": 2}})

    cluster.route("GET", "/1.0/resources", resources)
    result = run("lxd_capacity_info")
    one, three, two = result["members"]
    assert (one["answers"], one["cpus"], one["memory"], one["pools"]) == (
        True,
        4,
        {"total": 8, "used": 2},
        {"fast": {"used": 1, "total": 4}},
    )
    assert (two["answers"], two["status"], two["message"]) == (False, "Offline", "No heartbeat for 25s")
    assert two["instances"] == [{"project": "x", "name": "a", "status": "Error"}]
    assert two["volumes"] == [{"project": "x", "pool": "fast", "name": "a-data"}]
    assert [item["name"] for item in one["volumes"]] == ["b"]
    # The others have not noticed yet.
    assert (three["answers"], three["status"]) == (False, "Online")
    assert "no route to host" in three["message"]
    assert result["contents"] == ["storage pool fast", "project x", "project y"]


def test_what_leaves_a_member_is_placed_anew(run: RunModule, cluster: FakeLXD) -> None:
    server = {"config": {}, "api_extensions": [], "environment": {"server_clustered": True}}
    cluster.route("GET", "/1.0", sync(server))
    there = [
        {"name": name, "location": place, "project": "x"} for name, place in (("a", "one"), ("b", "two"), ("c", "two"))
    ]
    cluster.route("GET", "/1.0/instances", sync(there))
    cluster.route("GET", "/1.0/storage-pools/fast/volumes/custom", sync([{"name": "c-data", "location": "two"}]))
    asked = [
        {"name": "a", "apart": "a"},
        {"name": "b", "apart": "b"},
        {"name": "c", "apart": "c", "volumes": [{"name": "c-data", "pool": "fast"}]},
    ]
    stays = run("lxd_placement_info", project="x", instances=asked)
    assert (stays["placement"], stays["moves"]) == ({"a": "one", "b": "two", "c": "two"}, [])
    leaves = run("lxd_placement_info", project="x", instances=asked, leaving=["two"])
    assert leaves["placement"] == {"a": "one", "b": "one", "c": "one"}
    assert leaves["moves"] == [{"name": "b", "from": "two", "to": "one"}, {"name": "c", "from": "two", "to": "one"}]
    anew = run("lxd_placement_info", project="x", instances=[{**asked[0], "target": "two"}, *asked[1:]], anew=True)
    assert [move["name"] for move in anew["moves"]] == ["a", "b"]
    unknown = run("lxd_placement_info", project="x", instances=asked, leaving=["three"])
    assert "leaving: the cluster has no member 'three'" in unknown["msg"]


def test_a_join_that_reaches_nobody_touches_nothing(run: RunModule, lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0", sync({"config": {}, "api_extensions": []}))
    lxd.route("GET", "/1.0/cluster", sync({"enabled": False, "server_name": ""}))
    for path in ("projects", "storage-pools"):
        lxd.route("GET", f"/1.0/{path}", sync([]))
    result = run("lxd_cluster_member", name="two", server_address="10.0.0.2", token=TOKEN)
    assert result["msg"].startswith("Could not join the cluster as 'two': None of the addresses in the token")
    assert lxd.sent("POST", "PUT", "PATCH", "DELETE") == []


def test_an_evacuation_that_lxd_gives_up(run: RunModule, cluster: FakeLXD) -> None:
    cluster.route("POST", "/1.0/cluster/members/two/state", operation())
    cluster.route("GET", "/1.0/operations/op/wait", state(400, err="Failed to migrate instance"))
    result = run("lxd_cluster_member", name="two", state="evacuated")
    assert result["msg"].startswith("Could not evacuate member two of the cluster: ")
    assert "Failed to migrate instance" in result["msg"]


def test_a_member_that_does_not_answer(run: RunModule, cluster: FakeLXD) -> None:
    cluster.route("GET", "/1.0/cluster/members/two", sync({**MEMBER, "status": "Offline", "message": "No heartbeat"}))
    for wanted in ("evacuated", "absent"):
        result = run("lxd_cluster_member", name="two", state=wanted)
        assert "member two does not answer (No heartbeat)" in result["msg"]
    # It is not evacuated, which is all that restoring is about.
    assert not run("lxd_cluster_member", name="two", state="restored")["changed"]
    assert cluster.sent("POST", "PUT", "DELETE") == []


def test_only_who_does_not_answer_is_removed_by_force(run: RunModule, cluster: FakeLXD) -> None:
    cluster.route("DELETE", "/1.0/cluster/members/two", sync())
    gone = error(404, "Cluster member not found")
    for status, forced in (("Online", {}), ("Offline", {"force": "1"})):
        cluster.route("GET", "/1.0/cluster/members/two", [sync({**MEMBER, "status": status}), gone])
        cluster._turn.clear()
        assert run("lxd_cluster_member", name="two", state="absent", force=True)["changed"]
        assert [r.query for r in cluster.requests if r.method == "DELETE"][-1] == forced


def test_the_mode_of_an_evacuation_needs_a_newer_server(run: RunModule, cluster: FakeLXD) -> None:
    result = run("lxd_cluster_member", name="two", state="evacuated", mode="stop")
    assert "this version of LXD does not know it" in result["msg"]
    assert cluster.sent("POST") == []
    newer = {"config": {}, "api_extensions": ["clustering_evacuation_mode"], "environment": {"server_clustered": True}}
    cluster.route("GET", "/1.0", sync(newer))
    cluster.route("POST", "/1.0/cluster/members/two/state", operation())
    cluster.route("GET", "/1.0/operations/op/wait", state(200))
    assert run("lxd_cluster_member", name="two", state="evacuated", mode="stop")["actions"] == ["evacuate"]
    assert next(r.json for r in cluster.requests if r.method == "POST") == {"action": "evacuate", "mode": "stop"}


@pytest.mark.parametrize(("extensions", "key"), [([], "cluster_password"), (["explicit_trust_token"], "cluster_token")])
def test_a_token_has_another_name_for_newer_servers(
    run: RunModule, lxd: FakeLXD, monkeypatch: pytest.MonkeyPatch, extensions: list[str], key: str
) -> None:
    from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_token

    monkeypatch.setattr(_lxd_token, "certificate_at", lambda *_args: "PEM")
    lxd.route("GET", "/1.0", sync({"config": {}, "api_extensions": extensions}))
    lxd.route("GET", "/1.0/cluster", sync({"enabled": False, "server_name": ""}))
    lxd.route("GET", "/1.0/cluster/members/two", sync(MEMBER))
    for path in ("projects", "storage-pools"):
        lxd.route("GET", f"/1.0/{path}", sync([]))
    lxd.route("PUT", "/1.0/cluster", operation())
    lxd.route("GET", "/1.0/operations/op/wait", state(200))
    source = {"entity": "storage-pool", "name": "local", "key": "source", "value": "/dev/sdb"}
    result = run("lxd_cluster_member", name="two", server_address="10.0.0.2", token=TOKEN, member_config=[source])
    assert result["actions"] == ["join"]
    sent = next(request.json for request in lxd.requests if request.method == "PUT")
    assert sent[key] == TOKEN
    assert sent["cluster_address"] == "127.0.0.1:1"
    assert sent["cluster_certificate"] == "PEM"
    assert sent["server_address"] == "10.0.0.2:8443"
    assert sent["member_config"] == [{**source, "description": ""}]


def test_certificates_of_members_are_left_alone(run: RunModule, lxd: FakeLXD) -> None:
    own = {"name": "two", "type": "server", "fingerprint": "ab" * 32, "restricted": False, "projects": []}
    lxd.route("GET", "/1.0/certificates", sync([own]))
    lxd.route("GET", "/1.0/operations", sync({}))
    assert "goes when that does" in run("lxd_certificate", name="two", state="absent")["msg"]
    assert "LXD's own affair" in run("lxd_certificate", fingerprint="ab" * 32, name="x")["msg"]
    assert lxd.sent("POST", "PUT", "DELETE") == []


def test_a_change_of_a_certificate_keeps_what_only_incus_has(run: RunModule, lxd: FakeLXD) -> None:
    has = {"name": "a", "type": "client", "fingerprint": "ab" * 32, "restricted": False, "projects": []}
    has |= {"certificate": "PEM", "description": "Of the workshop"}
    lxd.route("GET", "/1.0/certificates", sync([has]))
    lxd.route("GET", f"/1.0/certificates/{has['fingerprint']}", sync(has))
    lxd.route("PUT", f"/1.0/certificates/{has['fingerprint']}", sync())
    assert run("lxd_certificate", fingerprint="ab" * 32, name="b")["action"] == "update"
    sent = next(request.json for request in lxd.requests if request.method == "PUT")
    assert (sent["name"], sent["certificate"], sent["description"]) == ("b", "PEM", "Of the workshop")


@pytest.mark.parametrize("check", [True, False])
def test_incus_is_sent_no_password(
    run: RunModule, lxd: FakeLXD, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, check: bool
) -> None:
    client = tmp_path / "client.crt"
    client.write_text(ssl.DER_cert_to_PEM_cert(b"any"))
    monkeypatch.setattr(importlib.import_module(PREFIX + "lxd_certificate"), "find_server", lambda _lxd: None)
    # To those whom it does not trust it tells its extensions only.
    lxd.route("GET", "/1.0", sync({"auth": "untrusted", "api_extensions": ["dev_incus_events"]}))
    asked = {"trust_password": "sesame-open", "client_cert": str(client), "client_key": "/k"}
    result = run("lxd_certificate", check=check, **asked)
    assert "trust_password: Incus has no passwords. Make a token" in result["msg"]
    assert lxd.sent("POST", "PUT", "PATCH") == []


def test_having_oneself_trusted_needs_a_client_and_a_server(run: RunModule, lxd: FakeLXD) -> None:
    result = run("lxd_certificate", trust_password="x", url="unix:///x", client_cert="/c", client_key="/k")
    assert "for https:// only" in result["msg"]
    assert "url is needed" in run("lxd_certificate", trust_password="x", url=None)["msg"]
    assert "client_cert and client_key are needed" in run("lxd_certificate", trust_token="x")["msg"]
    assert lxd.requests == []


def test_secrets_are_in_no_result(run: RunModule, lxd: FakeLXD) -> None:
    have = {"maas.api.key": "very-old-key", "core.trust_password": True, "user.a": "1"}
    lxd.route("GET", "/1.0", sync({"config": have, "api_extensions": []}))
    lxd.route("PATCH", "/1.0", sync())
    secrets = {"maas.api.key": "very-new-key", "core.trust_password": "sesame-open"}
    for result in (run("lxd_server", secrets=secrets, update_secrets="always"), run("lxd_server_info")):
        assert not result.get("failed")
        for secret in ("very-old-key", "very-new-key", "sesame-open"):
            assert secret not in json.dumps(result)
    assert lxd.requests[1].json["config"] == secrets


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"name": "nobody", "state": "evacuated"}, "the server's cluster has no such member"),
        ({"name": "two", "groups": []}, "it has to be in one group at least"),
        ({"name": "two", "roles": ["database"]}, "LXD gives and takes the role database by itself"),
        ({"name": "two", "token": "nonsense"}, "token: it is not one of LXD's"),
        ({"name": "three", "token": TOKEN}, "the server is in a cluster already, as 'one'"),
    ],
)
def test_members_that_cannot_be(run: RunModule, cluster: FakeLXD, params: dict[str, t.Any], message: str) -> None:
    assert message in run("lxd_cluster_member", **params)["msg"]
    assert cluster.sent("POST", "PUT", "PATCH", "DELETE") == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"name": "fast", "members": ["nobody"]}, "the cluster has no member 'nobody'"),
        ({"name": "default", "state": "absent"}, "it cannot be removed"),
    ],
)
def test_groups_that_cannot_be(run: RunModule, cluster: FakeLXD, params: dict[str, t.Any], message: str) -> None:
    assert message in run("lxd_cluster_group", **params)["msg"]
    assert cluster.sent("POST", "PUT", "PATCH", "DELETE") == []
