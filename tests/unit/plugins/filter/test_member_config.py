# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bcm.datacenter.plugins.filter.member_config import member_config


def pool(source: str, **config: str) -> dict[str, Any]:
    return {"name": "fast", "driver": "btrfs", "config": {}, "members": {"one": {"source": source, **config}}}


def given(key: str, value: str, *, entity: str = "storage-pool", name: str = "fast") -> dict[str, str]:
    return {"entity": entity, "name": name, "key": key, "value": value}


@pytest.mark.parametrize(
    ("there", "said", "expected"),
    [
        # A directory is the same everywhere, and takes no size.
        (pool("/srv/fast"), [], {"source": "/srv/fast"}),
        (pool("/srv/fast"), [given("source", "/mnt/fast")], {"source": "/mnt/fast"}),
        (pool("/srv/fast"), [given("source", "/dev/sdb")], {"source": "/dev/sdb"}),
        # A loop file is LXD's own, of the same size.
        (pool("/var/lib/lxd/disks/fast.img", size="20GiB"), [], {"size": "20GiB"}),
        (pool("/var/snap/lxd/common/lxd/disks/fast.img", size="20GiB"), [given("size", "9GiB")], {"size": "9GiB"}),
        (pool("/var/lib/lxd/storage-pools/fast"), [], {}),
        (pool(""), [], {}),
        # Here a disk, there a loop file.
        (pool("/dev/sdb"), [given("source", ""), given("size", "9GiB")], {"source": "", "size": "9GiB"}),
        (pool("tank/lxd"), [given("zfs.pool_name", "tank/lxd")], {"zfs.pool_name": "tank/lxd"}),
    ],
)
def test_pools(there: dict[str, Any], said: list[dict[str, str]], expected: dict[str, str]) -> None:
    found = member_config([there], [], "one", said)
    assert found["missing"] == []
    assert {item["key"]: item["value"] for item in found["config"]} == expected
    assert all((item["entity"], item["name"]) == ("storage-pool", "fast") for item in found["config"])


@pytest.mark.parametrize("source", ["/dev/sdb", "tank/lxd"])
def test_a_disk_is_not_guessed(source: str) -> None:
    found = member_config([pool(source)], [], "one", [])
    assert found == {"config": [], "missing": [f"the source of storage pool fast, which is {source} on one"]}


def test_a_server_that_stands_by_itself_has_all_in_one_place() -> None:
    alone = {"name": "fast", "config": {"source": "/srv/fast", "user.bcm.site": "home"}}
    assert member_config([alone], [], "one", [])["config"] == [given("source", "/srv/fast")]


def test_networks() -> None:
    lan = {"name": "lan", "type": "macvlan", "managed": True, "config": {}, "members": {"one": {"parent": "enp3s0"}}}
    bridge = {
        "name": "br0",
        "type": "bridge",
        "managed": True,
        "config": {"ipv4.address": "none"},
        "members": {"one": {}},
    }
    card = {"name": "enp3s0", "type": "physical", "managed": False, "config": {}}
    assert member_config([], [lan, bridge, card], "one", []) == {
        "config": [],
        "missing": ["the parent of network lan, which is enp3s0 on one"],
    }
    said = [
        given("parent", "eno1", entity="network", name="lan"),
        given("bridge.external_interfaces", "vx0", entity="network", name="br0"),
    ]
    assert member_config([], [lan, bridge, card], "one", said) == {"config": said, "missing": []}


def test_what_is_made_later_is_not_for_those_who_join() -> None:
    found = member_config([pool("")], [], "one", [given("source", "/dev/sdb", name="slow")])
    assert found["missing"] == []
    assert "slow" not in {item["name"] for item in found["config"]}
    assert member_config([], [], "one", [given("source", "/dev/sdb")]) == {
        "config": [given("source", "/dev/sdb")],
        "missing": [],
    }
