# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By which way a node is reached: on its own host at once, from others by mutual TLS alone."""

from __future__ import annotations

from typing import Any

from ansible_collections.bcm.datacenter.plugins.filter.bitcoin_ways import bitcoin_ways
from ansible_collections.bcm.datacenter.plugins.plugin_utils._chains import chain_ports, way_ports

POOLS = ["172.30.0.0/16"]
GROUPS = {
    "tier_bitcoin": ["bitcoin-1", "bitcoin-2"],
    "tier_lightning": ["lightning-1", "lightning-2"],
    "tier_manager": ["manager-1"],
}
HOSTVARS = {
    host: {"bcm_addresses": {"cluster": f"10.64.{block}.{index}"}}
    for block, tier in enumerate(("bitcoin", "lightning", "manager"), 34)
    for index, host in enumerate(GROUPS[f"tier_{tier}"], 1)
}


def node(chain: str = "mainnet", instance: str = "", **changed: Any) -> dict[str, Any]:
    return {
        "chain": chain,
        "instance": instance,
        "tier": "bitcoin",
        "zmq": ["rawblock", "rawtx"],
        "consumers": [{"name": "lnd", "tier": "lightning"}],
        "ports": chain_ports(chain),
        "way_ports": way_ports(chain),
        **changed,
    }


def found(*nodes: dict[str, Any]) -> dict[str, Any]:
    return bitcoin_ways(list(nodes), GROUPS, HOSTVARS, "home.bcm.internal", POOLS)


def test_nobody_uses_it() -> None:
    assert found(node(consumers=[])) == {"hosts": {}, "identities": [], "backends": {}}


def test_from_another_host_by_tls_alone() -> None:
    ways = found(node())
    server = ways["hosts"]["bitcoin-1"]
    # What is published in clear is for that host alone, where the exit takes it over.
    assert server["published"] == []
    assert server["publish"] == {"": ["rpc", "zmq_rawblock", "zmq_rawtx"]}
    assert [(one["port"], one["target"]) for one in server["exits"]] == [
        (9332, "127.0.0.1:8332"),
        (29332, "127.0.0.1:28332"),
        (29333, "127.0.0.1:28333"),
    ]
    for one in server["exits"]:
        assert one["address"] == "10.64.34.1"
        assert one["clients"] == ["lnd-lightning-1", "lnd-lightning-2"]
        assert one["sources"] == ["10.64.35.1", "10.64.35.2"]
        assert one["identity"] == "bitcoin-way-bitcoin-1"


def test_what_a_consumer_has_on_its_own_host() -> None:
    ways = found(node())
    entries = ways["hosts"]["lightning-2"]["entries"]
    assert [(one["address"], one["port"], one["target"]) for one in entries] == [
        ("10.64.35.2", 8332, "10.64.34.1:9332"),
        ("10.64.35.2", 28332, "10.64.34.1:29332"),
        ("10.64.35.2", 28333, "10.64.34.1:29333"),
    ]
    for one in entries:
        assert one["server"] == "bitcoin-1.home.bcm.internal"
        assert one["identity"] == "bitcoin-way-lnd-lightning-2"
        assert "lo" in one["interfaces"]
        assert "cluster" not in one["interfaces"]
    assert ways["backends"]["lightning-2"]["lnd_mainnet"] == {
        "consumer": "lnd",
        "chain": "mainnet",
        "node": "bitcoin-1",
        "node_host": "bitcoin-1",
        "direct": False,
        "address": "10.64.35.2",
        "ports": {"rpc": 8332, "zmq_rawblock": 28332, "zmq_rawtx": 28333},
    }


def test_each_host_of_a_consumer_has_a_certificate_of_its_own() -> None:
    assert found(node())["identities"] == [
        {"name": "bitcoin-way-bitcoin-1", "dns": ["bitcoin-1.home.bcm.internal"], "usage": ["server"]},
        {"name": "bitcoin-way-lnd-lightning-1", "usage": ["client"], "common_name": "lnd-lightning-1"},
        {"name": "bitcoin-way-lnd-lightning-2", "usage": ["client"], "common_name": "lnd-lightning-2"},
    ]


def test_on_the_same_host_it_needs_none() -> None:
    ways = found(node(consumers=[{"name": "lnd", "tier": "bitcoin"}]))
    assert ways["identities"] == []
    for host, address in (("bitcoin-1", "10.64.34.1"), ("bitcoin-2", "10.64.34.2")):
        assert ways["hosts"][host]["exits"] == ways["hosts"][host]["entries"] == []
        assert {tuple(one["sources"]) for one in ways["hosts"][host]["published"]} == {tuple(POOLS)}
        backend = ways["backends"][host]["lnd_mainnet"]
        assert (backend["direct"], backend["node"], backend["address"]) == (True, host, address)


def test_two_chains_have_ways_of_their_own() -> None:
    ways = found(node(), node("signet", "signet", consumers=[{"name": "web", "tier": "manager"}]))
    exits = ways["hosts"]["bitcoin-1"]["exits"]
    assert len({one["port"] for one in exits}) == len({one["name"] for one in exits}) == 6
    by_chain = {one["name"].split("-")[0]: one["clients"] for one in exits}
    assert by_chain == {"mainnet": ["lnd-lightning-1", "lnd-lightning-2"], "signet": ["web-manager-1"]}
    assert ways["backends"]["manager-1"]["web_signet"]["node"] == "bitcoin-1-signet"
    assert set(ways["backends"]["lightning-1"]) == {"lnd_mainnet"}


def test_consumers_of_one_host_share_its_entry() -> None:
    ways = found(node(consumers=[{"name": "lnd", "tier": "lightning"}, {"name": "web", "tier": "lightning"}]))
    assert len(ways["hosts"]["lightning-1"]["entries"]) == 3
    assert set(ways["backends"]["lightning-1"]) == {"lnd_mainnet", "web_mainnet"}
    assert [one["name"] for one in ways["identities"]] == [
        "bitcoin-way-bitcoin-1",
        "bitcoin-way-lnd-lightning-1",
        "bitcoin-way-lnd-lightning-2",
    ]


def test_more_nodes_move_nobody() -> None:
    fewer = {**GROUPS, "tier_bitcoin": ["bitcoin-1"]}
    assert bitcoin_ways([node()], fewer, HOSTVARS, "home.bcm.internal", POOLS) == found(node())
