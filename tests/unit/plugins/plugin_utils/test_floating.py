# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy

import pytest

from ansible_collections.bcm.datacenter.plugins.filter.floating_findings import floating_findings
from ansible_collections.bcm.datacenter.plugins.filter.floating_networks import floating_networks
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _addresses, _floating
from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration_rules import PROXYHOST_LIMIT
from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration_schema import COUNT_LIMIT

WAY_OUT = {
    "gateway": {"address": "10.0.16.254", "first": ["10.0.16.1", "10.0.16.2", "10.0.16.3"], "router_id": 7},
}
PROXY = {"name": "HTTP proxy", "port": 3128, "target": "/", "status": 403}
SERVICES = {"gateway": [PROXY], "other": []}
HOSTVARS = {
    f"proxyhost-{n}": {"bcm_tier": "proxyhost", "bcm_addresses": {"gateway": f"10.0.16.{n}", "outside": f"10.0.0.1{n}"}}
    for n in range(1, 13)
}
HOSTS = [f"proxyhost-{n}" for n in range(1, 13)]
NETWORK = {
    "name": "gateway",
    "interface": "gateway",
    "address": "10.0.16.254",
    "own": "10.0.16.1",
    "peers": [{"name": "proxyhost-2", "address": "10.0.16.2"}, {"name": "proxyhost-3", "address": "10.0.16.3"}],
    "router_id": 7,
    "services": [PROXY],
}


def test_a_number_follows_from_site_and_network_alone():
    # Written down: machines that hold an address together must find each other after an update.
    assert _floating.router_id("home", "gateway") == 106
    assert _floating.router_id("home2", "gateway") != _floating.router_id("home", "gateway")
    numbers = {_floating.router_id(f"site{index}", "gateway") for index in range(3000)}
    assert (min(numbers), max(numbers)) == (1, 255)


def test_no_index_reaches_the_address():
    assert PROXYHOST_LIMIT <= COUNT_LIMIT < _addresses.FLOATING < 255


def test_one_of_several():
    (found,) = floating_networks(WAY_OUT, "proxyhost-2", HOSTS, HOSTVARS, SERVICES)
    assert [peer["name"] for peer in found["peers"]] == [host for host in HOSTS if host != "proxyhost-2"]
    assert [peer["address"] for peer in found["peers"]][-1] == "10.0.16.12"
    assert {key: found[key] for key in ("name", "interface", "address", "own", "router_id")} == {
        "name": "gateway",
        "interface": "gateway",
        "address": "10.0.16.254",
        "own": "10.0.16.2",
        "router_id": 7,
    }
    assert found["services"] == [PROXY]


def test_one_that_is_alone_is_no_different_from_one_of_three():
    for count in (1, 2, 3):
        assert floating_networks(WAY_OUT, "proxyhost-1", HOSTS[:count], HOSTVARS, SERVICES) == [NETWORK]


def test_what_the_site_asks_for_is_right():
    for count in (1, 2, 3, 4, 12):
        for host in HOSTS[:count]:
            assert floating_findings(floating_networks(WAY_OUT, host, HOSTS[:count], HOSTVARS, SERVICES)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"address": "10.0.16"}, "address is 10.0.16, which is no IPv4 address"),
        ({"address": "224.0.0.18"}, "address is 224.0.0.18, which is no address of one machine among others"),
        ({"own": "fd00::1"}, "own is fd00::1, which is no IPv4 address"),
        ({"own": "10.0.16.254"}, "own is 10.0.16.254, which is address too"),
        ({"peers": []}, "peers is empty; where there is no other machine yet, name the address that the next one will have"),
        (
            {"peers": [{"name": "me", "address": "10.0.16.1"}]},
            "peers, me is 10.0.16.1, which is own too",
        ),
        ({"services": []}, "services is empty, so that nothing tells which machine is able"),
        ({"router_id": 0}, "router_id is 0; allowed is 1 to 255"),
        ({"router_id": 256}, "router_id is 256; allowed is 1 to 255"),
        ({"interface": "eth0 }"}, "interface is 'eth0 }', which is the name of none"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(changes, said):
    assert _floating.findings([{**NETWORK, **changes}]) == [f"floating_address_networks, gateway: {said}"]


def test_a_name_that_keepalived_could_not_read():
    (said,) = _floating.findings([{**NETWORK, "name": "gate way"}])
    assert "the name is not one; allowed is a small letter" in said


def test_two_that_are_the_same():
    other = copy.deepcopy(NETWORK)
    assert _floating.findings([NETWORK, other]) == [
        "floating_address_networks has two with the name gateway",
        "floating_address_networks has two with the address 10.0.16.254",
        "floating_address_networks has two with the router_id 7 on gateway",
    ]
    other |= {"name": "cluster", "interface": "cluster", "address": "10.0.32.254"}
    assert _floating.findings([NETWORK, other]) == []
