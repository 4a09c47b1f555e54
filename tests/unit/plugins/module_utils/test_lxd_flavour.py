# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What LXD and Incus do differently. The answers are those of LXD 5.0.2 and Incus 6.0.4, shortened."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_flavour as flavours

LXD = {
    "environment": {"server": "lxd", "server_version": "5.0.2"},
    "api_extensions": ["etag", "restrict_devlxd", "devlxd_events", "maas_network"],
}
INCUS = {
    "environment": {"server": "incus", "server_version": "6.0.4"},
    "api_extensions": ["etag", "restrict_dev_incus", "dev_incus_events", "instance_create_start"],
}


def stranger(server: dict[str, t.Any]) -> dict[str, t.Any]:
    """What the server says to those whom it does not trust."""
    return {key: value for key, value in server.items() if key != "environment"}


lxd = flavours.of(LXD)
incus = flavours.of(INCUS)


@pytest.mark.parametrize(("server", "name"), [(LXD, "lxd"), (INCUS, "incus")])
def test_a_server_is_recognised_by_friends_and_strangers(server: dict[str, t.Any], name: str) -> None:
    assert flavours.of(server).name == name
    assert flavours.of(stranger(server)).name == name


@pytest.mark.parametrize("server", [{}, {"api_extensions": None}, {"environment": {"server": "other"}}])
def test_what_does_not_say_what_it_is_passes_for_lxd(server: dict[str, t.Any]) -> None:
    assert flavours.of(server).title == "LXD"


def test_headers() -> None:
    assert lxd.headers({"type": "file", "mode": "0640"}) == {"X-LXD-type": "file", "X-LXD-mode": "0640"}
    assert incus.headers({"type": "file", "mode": "0640"}) == {"X-Incus-type": "file", "X-Incus-mode": "0640"}


@pytest.mark.parametrize("received", [{"x-lxd-type": "symlink"}, {"x-incus-type": "symlink"}])
def test_headers_of_answers(received: dict[str, str]) -> None:
    assert flavours.header(received, "type") == "symlink"
    assert flavours.header({}, "type", "file") == "file"


def test_an_extension_goes_by_lxds_name_on_both() -> None:
    for server in (lxd, incus):
        assert server.has("etag")
        assert server.has("restrict_devlxd")
        assert not server.has("clustering")
    assert incus.has("instance_create_start")
    assert not lxd.has("instance_create_start")
    assert not incus.has("maas_network")


def test_incus_takes_tokens_by_their_own_name_without_saying_so() -> None:
    assert incus.has("explicit_trust_token")
    assert not lxd.has("explicit_trust_token")
    assert flavours.of({**LXD, "api_extensions": ["explicit_trust_token"]}).has("explicit_trust_token")


@pytest.mark.parametrize(
    ("lxd_key", "incus_key"),
    [
        ("security.devlxd", "security.guestapi"),
        ("security.devlxd.images", "security.guestapi.images"),
        ("security.nesting", "security.nesting"),
        ("cloud-init.user-data", "cloud-init.user-data"),
        ("user.security.devlxd", "user.security.devlxd"),
    ],
)
def test_a_key_of_either_is_the_servers_own(lxd_key: str, incus_key: str) -> None:
    assert {lxd.key(lxd_key), lxd.key(incus_key)} == {lxd_key}
    assert {incus.key(lxd_key), incus.key(incus_key)} == {incus_key}


def test_options_are_translated_wherever_a_configuration_is() -> None:
    options = {
        "name": "security.devlxd",
        "config": {"security.devlxd": True, "limits.cpu": 2},
        "instances": [{"name": "a", "config": {"security.devlxd.images": None}}, {"name": "b", "config": None}],
        "devices": {"eth0": {"type": "nic"}},
    }
    assert incus.options(options) == {
        "name": "security.devlxd",
        "config": {"security.guestapi": True, "limits.cpu": 2},
        "instances": [{"name": "a", "config": {"security.guestapi.images": None}}, {"name": "b", "config": None}],
        "devices": {"eth0": {"type": "nic"}},
    }
    assert lxd.options(options) == options


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"config": {"security.devlxd": True}}, True),
        ({"instances": [{"config": {"security.guestapi.images": True}}]}, True),
        ({"config": {"limits.cpu": 2}, "name": "security.devlxd"}, False),
        ({"config": None, "instances": []}, False),
    ],
)
def test_only_what_depends_on_the_server_asks_it(options: dict[str, t.Any], expected: bool) -> None:
    assert flavours.depends(options) is expected


def test_a_list_that_is_asked_for_is_a_list() -> None:
    assert flavours.listed(None, {"recursion": 1}) == []
    assert flavours.listed(None, {"project": "p"}) is None
    assert flavours.listed(None, None) is None
    assert flavours.listed([{"name": "a"}], {"recursion": 1}) == [{"name": "a"}]


def test_the_profile_of_a_new_project() -> None:
    assert lxd.profile_description("p") == "Default LXD profile for project p"
    assert incus.profile_description("p") == "Default Incus profile for project p"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"LXD_DIR": "/srv/lxd"}, "/srv/lxd/unix.socket"),
        ({"LXD_DIR": "/srv/lxd", "LXD_SOCKET": "/run/x"}, "/run/x"),
        ({"INCUS_DIR": "/srv/incus"}, "/srv/incus/unix.socket"),
        ({"INCUS_DIR": "/srv/incus", "INCUS_SOCKET": "/run/x"}, "/run/x"),
        ({"LXD_DIR": "/srv/lxd", "INCUS_SOCKET": "/run/x"}, "/srv/lxd/unix.socket"),
        ({"LXD_DIR": "", "INCUS_DIR": "/srv/incus"}, "/srv/incus/unix.socket"),
    ],
)
def test_the_environment_says_where_the_server_is(environ: dict[str, str], expected: str) -> None:
    assert flavours.socket(environ) == expected


def test_the_usual_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "lxd.socket", tmp_path / "incus.socket"
    monkeypatch.setattr(flavours, "SOCKETS", (str(first), str(second)))
    assert flavours.socket({}) is None
    second.touch()
    assert flavours.socket({}) == str(second)
    first.touch()
    assert flavours.socket({}) == str(first)
