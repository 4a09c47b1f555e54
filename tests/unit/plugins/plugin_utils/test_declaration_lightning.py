# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a declaration may say of Lightning, what follows from it, and what it cannot be."""

from __future__ import annotations

import pytest

from ansible_collections.bcm.datacenter.plugins.filter.volume_specs import volume_specs
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _lnd_versions

AGE = "age1" + "q" * 58


def lightning(bitcoin=None, tiers=None, **settings):
    return {
        "tiers": {"bitcoin": {}, "lightning": {}, **(tiers or {})},
        "stacks": {"bitcoin": bitcoin or {}, "lightning": {"owner_key": AGE, **settings}},
    }


def test_a_site_has_none_by_itself(site):
    found = site({})
    assert "lightning" not in found.variables["bcm_stacks"]
    assert found.groups["lightning_nodes"] == []
    assert "lnd" not in found.variables["bcm_mirrors"]["downloads"]


def test_one_on_each_instance_of_its_tier(site):
    found = site(lightning(tiers={"lightning": {"count": 2}}))
    assert found.groups["lightning_nodes"] == ["lightning-1", "lightning-2"]
    stack = found.variables["bcm_stacks"]["lightning"]
    assert (stack["version"], stack["volume"]["path"]) == (_lnd_versions.DEFAULT, "/srv/lnd")
    assert found.variables["bcm_mirrors"]["downloads"]["lnd"].startswith("https://github.com/")
    assert "github.com" in found.variables["bcm_egress_allowed_domains"]


def test_its_volume_is_never_copied(site):
    found = site(lightning())
    (volume,) = found.hosts["lightning-1"]["bcm_volumes"]
    assert (volume["name"], volume["size"]) == ("lnd", "10GiB")
    hostvars = {"lightning-1": {**found.variables, **found.hosts["lightning-1"]}}
    (spec,) = volume_specs(["lightning-1"], hostvars)
    assert "loses the money" in spec["config"]["user.bcm.never-copied"]
    assert spec["config"]["size"] == "10GiB"


def test_a_node_on_the_same_instances_leaves_it_memory(site):
    apart = site(lightning()).variables["bcm_stacks"]
    whole = site(lightning()).hosts["bitcoin-1"]["bcm_size"]["memory"]
    assert apart["bitcoin"]["nodes"][0]["memory"] == whole
    assert apart["lightning"]["memory_reserve"] == "512MiB"
    beside = site(lightning(tier="bitcoin", tiers={"bitcoin": {"size": {"memory": "4GiB"}}})).variables["bcm_stacks"]
    assert [(one["memory"], one["memory_reserve"]) for one in beside["bitcoin"]["nodes"]] == [("3GiB", "512MiB")]
    assert (beside["lightning"]["memory"], beside["lightning"]["memory_reserve"]) == ("1GiB", "0B")


def test_its_hosts_go_out_by_tor(site):
    found = site(lightning())
    assert found.variables["bcm_tor"]["tiers"] == ["bitcoin", "lightning"]
    assert "gateway" in found.hosts["lightning-1"]["bcm_addresses"]
    # The node being none of Tor's does not make lnd one of the clear.
    found = site({"chain": "regtest", **lightning(bitcoin={"network": "clear"})})
    assert found.variables["bcm_tor"]["tiers"] == ["lightning"]


def test_its_user_may_call_what_this_lnd_calls(site):
    for version in _lnd_versions.RELEASES:
        found = site(lightning(version=version, bitcoin={"rpc_users": [{"name": "mine"}]}))
        users = {one["name"]: one["methods"] for one in found.variables["bcm_stacks"]["bitcoin"]["rpc_users"]}
        assert users == {"mine": None, "lnd": list(_lnd_versions.RELEASES[version].methods)}
    found = site({**lightning(), "versions": {"lnd": "0.21.2-beta"}})
    assert found.variables["bcm_stacks"]["lightning"]["version"] == "0.21.2-beta"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"version": "0.19.0-beta"}, "stacks.lightning.version = 0.19.0-beta: nobody has looked yet"),
        ({"owner_key": "AGE-SECRET-KEY-1"}, "stacks.lightning.owner_key"),
        ({"tier": "proxyhost"}, "stacks.lightning.tier = proxyhost: is not for apps"),
        ({"bitcoin": {"zmq": ["hashblock"]}}, "lnd hears of blocks by rawblock and rawtx"),
        ({"bitcoin": {"rpc_users": [{"name": "lnd"}]}}, "is lnd's own user"),
        ({"signatures": 17}, "stacks.lightning.signatures = 17"),
        ({"fence_lease": 5}, "stacks.lightning.fence_lease"),
        ({"consumers": {"a": {"root_key_id": 2, "permissions": []}}}, "may do nothing"),
        (
            {"consumers": {name: {"root_key_id": 2, "permissions": ["info:read"]} for name in "ab"}},
            "stacks.lightning.consumers.b.root_key_id = 2: is that of a",
        ),
        ({"watchtowers": {"towers": ["02ab@tower.example:9911"]}}, "stacks.lightning.watchtowers.towers[0]"),
        ({"backup_places": [{"name": "x", "url": "ftp://x"}]}, "stacks.lightning.backup_places[0].url"),
        ({"alias": "x" * 33}, "stacks.lightning.alias"),
        (
            {"tier": "bitcoin", "bitcoin": {"memory": "4GiB"}, "tiers": {"bitcoin": {"size": {"memory": "4GiB"}}}},
            "stacks.bitcoin.memory = 4GiB: an instance of its tier has 4096 MiB of memory for regtest and lnd",
        ),
        (
            {"tiers": {"lightning": {"volumes": [{"name": "mine", "size": "1GiB", "path": "/srv/lnd"}]}}},
            "belongs to the stack lightning",
        ),
    ],
)
def test_what_it_cannot_be(wrong, settings, words):
    assert any(words in one for one in wrong(lightning(**settings))), wrong(lightning(**settings))


def test_without_a_bitcoind_there_is_no_lnd(wrong):
    declared = lightning()
    del declared["stacks"]["bitcoin"]
    assert any("lnd needs a bitcoind of the site's own" in one for one in wrong(declared))
    assert any(
        "owner_key" in one for one in wrong({"tiers": {"lightning": {}}, "stacks": {"bitcoin": {}, "lightning": {}}})
    )
