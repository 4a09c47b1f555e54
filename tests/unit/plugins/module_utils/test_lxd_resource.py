# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource

KEYS = st.sampled_from(["limits.cpu", "user.a", "user.b", "security.nesting"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(0, 99), st.text("ab ", max_size=3))
ACTUAL = st.dictionaries(KEYS, st.text("ab", min_size=1, max_size=3))
DESIRED = st.dictionaries(KEYS, SCALARS)


@pytest.mark.parametrize(
    ("value", "stored"),
    [(True, "true"), (False, "false"), (1, "1"), ("1GiB", "1GiB"), (None, None), ("", None), (0, "0"), (1.5, "1.5")],
)
def test_scalars_are_stored_as_texts(value: t.Any, stored: str | None) -> None:
    assert resource.to_lxd(value) == stored


def test_what_is_no_configuration() -> None:
    config = {"a": [1], "b": {"c": 1}, "volatile.uuid": "x", "image.os": "y", "fine": 1}
    errors = resource.config_errors(config, "profile p")
    assert len(errors) == 4
    assert errors[0] == "profile p, key a: a text, a number or a yes/no is expected, not list"
    assert resource.config_errors("text", "profile p") == ["profile p: a dictionary is expected, not str"]
    assert resource.config_errors(None, "profile p") == []


def test_merge_keeps_what_is_not_mentioned_and_removes_nulls() -> None:
    actual = {"a": "1", "b": "2", "volatile.uuid": "x"}
    assert resource.merge_config(actual, {"a": None, "c": True}) == {"b": "2", "c": "true", "volatile.uuid": "x"}
    assert actual == {"a": "1", "b": "2", "volatile.uuid": "x"}


@given(ACTUAL, DESIRED)
def test_merging_twice_is_merging_once(actual: dict[str, str], desired: dict[str, t.Any]) -> None:
    once = resource.merge_config(actual, desired)
    assert resource.merge_config(once, desired) == once
    assert {key: value for key, value in actual.items() if key not in desired}.items() <= once.items()
    assert all(isinstance(value, str) and value for value in once.values())


def test_merge_devices() -> None:
    actual = {"root": {"type": "disk", "size": "1GiB"}, "eth0": {"type": "nic"}, "old": {"type": "none"}}
    desired = {"root": {"size": "2GiB"}, "old": None, "new": {"type": "nic", "mtu": 1400}, "eth0": {"mtu": None}}
    assert resource.merge_devices(actual, desired) == {
        "root": {"type": "disk", "size": "2GiB"},
        "eth0": {"type": "nic"},
        "new": {"type": "nic", "mtu": "1400"},
    }


def test_a_diff_shows_nothing_of_lxds_own() -> None:
    before = {"name": "a", "config": {"z": "1", "a": "2", "volatile.x": "y", "image.os": "Debian"}}
    shown = resource.diff(before, None, "instance a")
    assert shown["before"] == {"name": "a", "config": {"a": "2", "z": "1"}}
    assert list(shown["before"]["config"]) == ["a", "z"]
    assert shown["after"] == {}
    assert shown["after_header"] == "instance a (absent)"


def test_owner() -> None:
    key = resource.OWNER_KEY
    assert resource.owner_error("x", {key: "a"}, {key: "a"}) is None
    assert resource.owner_error("x", {}, {}) is None
    assert resource.owner_error("x", {key: "b"}, None) is None
    assert "belongs to 'b'" in str(resource.owner_error("x", {key: "b"}, {key: "a"}))
    assert "carries no user.bcm.site" in str(resource.owner_error("x", None, {key: "a"}))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GiB", 2**30),
        ("1GB", 10**9),
        (" 10 MiB ", 10 * 2**20),
        ("512", 512),
        ("50%", None),
        ("1.5GiB", None),
        ("x", None),
    ],
)
def test_sizes(text: str, size: int | None) -> None:
    assert resource.parse_size(text) == size


def test_sizes_are_the_same_in_other_words() -> None:
    assert resource.same_size("1024MiB", "1GiB")
    assert not resource.same_size("1GB", "1GiB")
    assert not resource.same_size("50%", "50%")


def test_subnets_of_a_network() -> None:
    assert resource.subnet_of({"ipv4.address": "10.0.0.1/24", "ipv6.address": "none"}) == ["10.0.0.1/24"]
    assert resource.subnet_of({"ipv4.address": "none", "user.bcm.subnet": "10.0.0.0/20"}) == ["10.0.0.0/20"]
    assert resource.subnet_of({"ipv4.address": "auto"}) == []
    assert resource.subnet_of(None, "10.0.0.0/8") == ["10.0.0.0/8"]


def test_subnets_in_each_others_way() -> None:
    planned = [("a", "10.0.0.1/24"), ("b", "10.0.0.128/25"), ("c", "fd00::1/64"), ("d", "10.1.0.0/16"), ("e", "10/x")]
    taken = [("eth0", "10.1.2.3/24"), ("broken", "?"), ("eth1", "fe80::/10")]
    errors = resource.subnet_errors(planned, taken)
    assert errors[0].startswith("e: '10/x' is not a subnet")
    assert errors[1:] == [
        "b: its subnet 10.0.0.128/25 overlaps 10.0.0.1/24 of a",
        "d: its subnet 10.1.0.0/16 overlaps 10.1.2.3/24 of eth0",
    ]


def test_a_network_that_exists_is_not_held_against_the_machine_it_is_on() -> None:
    assert resource.subnet_errors([("a", "10.0.0.0/24")], [("eth0", "10.0.0.9/24")], known=["a"]) == []
    assert resource.subnet_errors([("a", "10.0.0.0/24"), ("a", "10.0.0.0/24")], []) == []
