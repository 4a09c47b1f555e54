# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
import typing as t

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_token as tokens
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDUnreachable
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import FakeLXD, error, sync

FIELDS = {"fingerprint": "ab" * 32, "addresses": ["10.0.0.1:8443"], "secret": "s"}


@pytest.fixture
def client(lxd: FakeLXD) -> t.Iterator[LXDClient]:
    with LXDClient(lxd.url, timeout=10) as found:
        yield found


def encoded(fields: t.Any) -> str:
    return base64.b64encode(json.dumps(fields).encode()).decode()


@pytest.mark.parametrize(
    ("text", "full", "wild"),
    [
        ("10.0.0.1", "10.0.0.1:8443", False),
        ("10.0.0.1:1", "10.0.0.1:1", False),
        ("host.example", "host.example:8443", False),
        ("fd00::1", "[fd00::1]:8443", False),
        ("[fd00::1]", "[fd00::1]:8443", False),
        ("[fd00::1]:99", "[fd00::1]:99", False),
        (":8443", ":8443", True),
        ("[::]:8443", "[::]:8443", True),
        ("0.0.0.0", "0.0.0.0:8443", True),  # noqa: S104 - what is refused
    ],
)
def test_addresses(text: str, full: str, wild: bool) -> None:
    assert tokens.full_address(text) == full
    assert tokens.is_wildcard(text) is wild


def test_what_is_no_address() -> None:
    with pytest.raises(ValueError, match="HOST:PORT is expected"):
        tokens.full_address("here:there")


@pytest.mark.parametrize(
    ("text", "over"),
    [
        ("2001-01-01T00:00:00.123456789Z", True),
        ("2001-01-01T00:00:00+01:00", True),
        ("2999-01-01T00:00:00.1-04:00", False),
        ("0001-01-01T00:00:00Z", False),
        ("", False),
        (None, False),
    ],
)
def test_until_when_a_token_is_valid(text: str | None, over: bool) -> None:
    assert tokens.expired(text) is over


@pytest.mark.parametrize(
    "token",
    [
        "",
        "äöü",
        "not base64!",
        encoded([]),
        encoded("x"),
        encoded({"server_name": "two"}),
        encoded({**FIELDS, "server_name": ""}),
    ],
)
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(ValueError, match="base64 of JSON with server_name, fingerprint, addresses and secret"):
        tokens.decode(token, "server_name")


def test_a_token_is_found_again_as_long_as_it_can_be_used(lxd: FakeLXD, client: LXDClient) -> None:
    def operation(name: str, expires: str = "2999-01-01T00:00:00Z", kind: str = "token") -> dict[str, t.Any]:
        return {"id": name, "class": kind, "metadata": {**FIELDS, "serverName": name, "expiresAt": expires}}

    trust = {"id": "t", "class": "token", "metadata": {**FIELDS, "request": {"name": "alice"}}}
    running = [operation("two"), operation("old", "2001-01-01T00:00:00Z"), operation("task", kind="task"), trust]
    lxd.route("GET", "/1.0/operations", sync({"running": running, "success": [operation("used")]}))
    assert [found["id"] for found in tokens.join_tokens(client)] == ["two"]
    assert tokens.join_tokens(client, "three") == []
    assert tokens.decode(tokens.join_token(tokens.join_tokens(client, "two")[0]), "server_name")["secret"] == "s"
    fields = tokens.decode(tokens.trust_token(tokens.trust_tokens(client, "alice")[0]), "client_name")
    assert fields["client_name"] == "alice"
    # Go reads a moment here, also for a token that has no end.
    assert fields["expires_at"] == "0001-01-01T00:00:00Z"


def test_a_token_that_was_used_in_between_is_void_too(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("DELETE", "/1.0/operations/x", error(404, "Not Found"))
    tokens.revoke(client, {"id": "x"})


def test_nobody_at_the_addresses_of_a_token() -> None:
    with pytest.raises(LXDUnreachable, match=r"None of the addresses in the token.*127\.0\.0\.1:1 does not answer"):
        tokens.first_at(["127.0.0.1:1", "[::1]:1"], "ab" * 32)
