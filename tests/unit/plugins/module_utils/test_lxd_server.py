# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_server as server
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDPreconditionFailed
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import FakeLXD, error, sync


@pytest.fixture
def client(lxd: FakeLXD) -> t.Iterator[LXDClient]:
    with LXDClient(lxd.url, timeout=10) as found:
        yield found


@pytest.mark.parametrize(
    ("key", "wanted", "actual"),
    [
        ("images.auto_update_interval", "24", "24"),
        ("images.auto_update_interval", "6", None),
        ("images.auto_update_interval", None, None),
        ("images.auto_update_cached", "yes", "true"),
        ("images.auto_update_cached", "1", None),
        ("core.https_allowed_credentials", "false", None),
        ("core.https_address", "10.0.0.1:8443", "10.0.0.1"),
        ("core.https_address", "[::]", "[::]:8443"),
        ("core.https_address", "::", "[::]:8443"),
        ("user.a", "1", "1"),
    ],
)
def test_the_same_in_other_words(key: str, wanted: str | None, actual: str | None) -> None:
    assert server.same(key, wanted, actual)
    assert server.plan({key: wanted}, None, {} if actual is None else {key: actual}).changes == {}


@pytest.mark.parametrize(
    ("key", "wanted", "actual"),
    [
        ("images.auto_update_interval", "1", "true"),
        ("images.auto_update_interval", None, "24"),
        ("images.auto_update_cached", "false", None),
        ("core.https_address", "10.0.0.1:8444", "10.0.0.1"),
        ("core.https_address", "here:there", "10.0.0.1"),
        ("core.https_address", "10.0.0.1", None),
        ("user.a", "yes", "true"),
        ("user.a", None, "x"),
        ("no.such.key", "1", None),
    ],
)
def test_not_the_same(key: str, wanted: str | None, actual: str | None) -> None:
    planned = server.plan({key: wanted}, None, {} if actual is None else {key: actual})
    assert planned.changes == {key: wanted or ""}
    assert planned.before != planned.after


@pytest.mark.parametrize(
    "key",
    ["core.trust_password", "loki.auth.password", "candid.api.key", "maas.api.key", "rbac.agent.private_key",
     "oidc.client.secret", "network.ovn.client_key"],
)  # fmt: skip
def test_secrets_are_known_by_their_names(key: str) -> None:
    assert server.is_secret(key)
    assert "it is a secret" in server.plan({key: "x"}, None, {}).errors[0]
    assert server.shown({key: "x"}) == {key: server.SET}


@pytest.mark.parametrize(
    "key", ["core.https_address", "loki.auth.username", "user.password", "images.auto_update_cached"]
)
def test_not_every_key_is_one(key: str) -> None:
    assert not server.is_secret(key)


def test_a_secret_that_lxd_shows_is_compared_and_never_shown() -> None:
    planned = server.plan(None, {"maas.api.key": "key-2"}, {"maas.api.key": "key-1"})
    assert planned.changes == {"maas.api.key": "key-2"}
    assert planned.before != planned.after
    assert "key-1" not in str(planned.before)
    assert "key-2" not in str(planned.after)
    assert server.plan(None, {"maas.api.key": "key-1"}, {"maas.api.key": "key-1"}).changes == {}


def test_a_secret_that_lxd_hides_is_written_once_or_always() -> None:
    secret = {"core.trust_password": "x"}
    assert server.plan(None, secret, {}).changes == secret
    assert server.plan(None, secret, {"core.trust_password": True}).changes == {}
    assert server.plan(None, secret, {"core.trust_password": True}, always=True).changes == secret
    none = {"core.trust_password": None}
    assert server.plan(None, none, {}).changes == {}
    assert server.plan(None, none, {"core.trust_password": True}).changes == {"core.trust_password": ""}


def test_all_that_is_wrong_at_once() -> None:
    errors = server.plan({"a": [1], "core.trust_password": "x", "b": 1}, {"b": 2}, {}).errors
    assert len(errors) == 3


def test_somebody_writes_at_the_same_time(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0", [sync({"config": {}}, ETag="1"), sync({"config": {"user.b": "2"}}, ETag="2")])
    lxd.route("PATCH", "/1.0", [error(412, "changed"), sync()])
    planned = server.write(client, None, lambda actual: server.plan({"user.a": 1}, None, actual))
    assert planned.before == {"user.b": "2"}
    assert [request.headers.get("if-match") for request in lxd.requests if request.method == "PATCH"] == ["1", "2"]
    lxd.route("PATCH", "/1.0", error(412, "changed"))
    with pytest.raises(LXDPreconditionFailed, match=r"change the configuration of member two \(user.a\)"):
        server.write(client, "two", lambda actual: server.plan({"user.a": 1}, None, actual))
    assert lxd.requests[-1].query == {"target": "two"}


def test_incus_is_sent_what_it_would_forget_where_it_refuses_a_change(lxd: FakeLXD, client: LXDClient) -> None:
    config = {
        "core.https_address": "[::]:8443",
        "loki.auth.password": "x",
        "user.a": "1",
        "core.metrics_address": "[::1]",
    }
    incus = {"environment": {"server": "incus"}, "config": config}
    lxd.route("GET", "/1.0", sync(incus, ETag="1"))
    lxd.route("PATCH", "/1.0", sync())
    planned = server.write(
        client, None, lambda actual: server.plan({"user.b": 1, "core.metrics_address": None}, None, actual)
    )
    assert planned.changes == {"user.b": "1", "core.metrics_address": ""}
    assert lxd.requests[-1].json == {
        "config": {"core.https_address": "[::]:8443", "core.metrics_address": "", "user.b": "1"}
    }
    # Also by those who do not compare.
    server.change(client, {"core.https_address": "10.0.0.1"})
    assert lxd.requests[-1].json == {"config": {"core.https_address": "10.0.0.1", "core.metrics_address": "[::1]"}}
    lxd.route("GET", "/1.0", sync({**incus, "environment": {"server": "lxd"}}, ETag="2"))
    server.change(client, {"core.https_address": "10.0.0.1"})
    assert lxd.requests[-1].json == {"config": {"core.https_address": "10.0.0.1"}}
