# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The onions by which peers come to nodes."""

from __future__ import annotations

from typing import Any

from ansible_collections.bcm.datacenter.plugins.filter.bitcoin_onions import bitcoin_onions
from ansible_collections.bcm.datacenter.plugins.filter.onion_findings import onion_findings
from ansible_collections.bcm.datacenter.plugins.plugin_utils._chains import chain_ports

GROUPS = {"tier_proxyhost": ["proxyhost-1", "proxyhost-2"], "tier_bitcoin": ["bitcoin-1"]}
HOSTVARS: dict[str, dict[str, Any]] = {
    "proxyhost-1": {"bcm_addresses": {"outside": "10.64.0.1", "gateway": "10.64.16.1"}},
    "proxyhost-2": {"bcm_addresses": {"outside": "10.64.0.2", "gateway": "10.64.16.2"}},
    "bitcoin-1": {"bcm_addresses": {"gateway": "10.64.18.1", "cluster": "10.64.34.1"}},
}


def node(chain: str = "mainnet", instance: str = "", **changed: Any) -> dict[str, Any]:
    found = {"chain": chain, "instance": instance, "tier": "bitcoin", "network": "onion", "inbound": True}
    return {**found, "ports": chain_ports(chain), **changed}


def test_each_node_has_one_of_its_own_and_nobody_but_the_proxyhosts_comes_to_its_port() -> None:
    found = bitcoin_onions([node(), node("signet", "signet")], GROUPS, HOSTVARS)
    assert [(one["name"], one["ports"]) for one in found["services"]] == [
        ("bitcoin-bitcoin-1", [{"virtual": 8333, "target_host": "10.64.18.1", "target_port": 8334}]),
        ("bitcoin-bitcoin-1-signet", [{"virtual": 38333, "target_host": "10.64.18.1", "target_port": 38334}]),
    ]
    assert not any(one["client_authorisation"] for one in found["services"])
    # As the role that serves them wants them, without a warning.
    assert all(one["public"] for one in found["services"])
    assert onion_findings(found["services"]) == []
    sources = ["10.64.16.1", "10.64.16.2"]
    assert found["published"] == {
        "bitcoin-1": [{"port": 8334, "sources": sources}, {"port": 38334, "sources": sources}]
    }


def test_none_where_nobody_shall_come_or_no_tor_is_needed() -> None:
    found = bitcoin_onions([node(inbound=False), node("regtest", "regtest", network="clear")], GROUPS, HOSTVARS)
    assert found == {"services": [], "published": {}}


def test_none_where_no_way_leads() -> None:
    apart = {**HOSTVARS, "bitcoin-1": {"bcm_addresses": {"cluster": "10.64.34.1"}}}
    assert bitcoin_onions([node()], GROUPS, apart) == {"services": [], "published": {}}
    assert bitcoin_onions([node()], {"tier_bitcoin": ["bitcoin-1"]}, HOSTVARS) == {"services": [], "published": {}}
