# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bcm.datacenter.plugins.filter.wireguard_findings import wireguard_findings
from ansible_collections.bcm.datacenter.plugins.filter.wireguard_peers import wireguard_peers
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _addresses, _vxlan, _wireguard

KEYS = [f"{letter * 42}A=" for letter in "abc"]
A = {"name": "rack-2", "endpoint": "192.0.2.2", "address": "10.77.48.2"}
B = {"name": "rack-3", "endpoint": "192.0.2.3", "address": "10.77.48.3", "public_key": KEYS[0]}
NUMBERS = {"port": 51820, "mtu": 0, "underlay_mtu": 0, "keepalive": 25, "key_serial": 1, "wait": 60}


def findings(peers=(A, B), site="home", interface="wg1a2b", address="10.77.48.1/20", **numbers):
    return wireguard_findings(peers, site, interface, address, {**NUMBERS, **numbers})


def test_what_follows_from_a_site_is_for_ever():
    # Written down: endpoints that were joined before must find each other after an update.
    assert _wireguard.wireguard_interface("home") == "wg4ea1"
    assert _wireguard.wireguard_port("home") == 51820 + 0x4EA1 % 1000
    assert _wireguard.tunnel_address("10.77.48.0/20", "rack-1") == "10.77.60.239"
    names = {_wireguard.wireguard_interface(f"site-{'x' * count}") for count in range(20)}
    assert all(_vxlan.NAME.fullmatch(name) for name in names)


def test_addresses_follow_from_names_and_are_hosts():
    subnet = _addresses.network_of("10.77.48.0/28")
    found = {_wireguard.tunnel_address(str(subnet), f"rack-{number}") for number in range(500)}
    assert found == {str(address) for address in subnet.iter_hosts()}


@pytest.mark.parametrize(
    ("underlay", "version", "tunnel", "inner", "overlay"),
    [(1500, 4, 1440, 1390, 1340), (1500, 6, 1420, 1370, 1320), (9000, 4, 8940, 8890, 8840)],
)
def test_sizes(underlay, version, tunnel, inner, overlay):
    assert underlay - _wireguard.overhead(version) == tunnel
    assert _wireguard.inner_mtu(underlay, version) == inner
    assert _vxlan.mtus(tunnel, 4) == {"overhead": 50, "underlay": tunnel, "inner": inner, "overlay": overlay}


def test_nothing_is_wrong():
    assert findings() == []
    assert findings(peers=(), interface="", address="") == []
    six = [{**A, "endpoint": "2001:db8::2"}, {**B, "endpoint": "2001:db8::3"}]
    assert findings(peers=six, mtu=1420, underlay_mtu=1500) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"site": "Home"}, "wireguard_site is 'Home'"),
        ({"interface": ""}, "wireguard_interface is ''; allowed is a small letter"),
        ({"interface": "wg0123456789abcd"}, "at most 15 in all"),
        ({"address": ""}, "wireguard_address is ''; allowed is an address with the length of its prefix"),
        ({"address": "10.77.48.1"}, "wireguard_address is 10.77.48.1, in whose network there is no room"),
        ({"address": "10.77.48.0/20"}, "wireguard_address is 10.77.48.0/20, which is no address of a host"),
        ({"peers": [{**A, "endpoint": "rack-2"}]}, "rack-2: endpoint is rack-2, which is no IP address"),
        ({"peers": [{**A, "endpoint": "127.0.0.1"}]}, "endpoint is 127.0.0.1, which is no address of one host"),
        ({"peers": [{**A, "address": "10.78.0.1"}]}, "address is 10.78.0.1, which is not in 10.77.48.0/20"),
        ({"peers": [{**A, "address": "10.77.48.1"}]}, "address is 10.77.48.1, which is wireguard_address itself"),
        ({"peers": [{**A, "public_key": "secret"}]}, "public_key is 'secret'; allowed is 44 characters"),
        ({"peers": [A, {**B, "name": "rack-2"}]}, "rack-2: name rack-2 is that of another one"),
        ({"peers": [A, {**B, "address": A["address"]}]}, "rack-3: address 10.77.48.2 is that of another one"),
        ({"peers": [A, {**B, "endpoint": A["endpoint"]}]}, "rack-3: endpoint 192.0.2.2 is that of another one"),
        ({"peers": [A, {**B, "endpoint": "2001:db8::3"}]}, "endpoints of IPv4 and of IPv6"),
        ({"port": 0}, "wireguard_port is 0; allowed is 1 to 65535"),
        ({"key_serial": 0}, "wireguard_key_serial is 0; allowed is 1 to 999999"),
        ({"mtu": 1000}, "wireguard_mtu is 1000; allowed is 1280 to 9216, or 0"),
        ({"wait": 3601}, "wireguard_wait is 3601; allowed is 0 to 3600"),
    ],
)
def test_what_is_wrong_is_named_once(given, words):
    found = findings(**given)
    assert len(found) == 1, found
    assert words in found[0]


def test_keys_come_from_where_they_are_known():
    hostvars = {"rack-2": {"wireguard_public_key": KEYS[1]}, "rack-3": {"wireguard_public_key": KEYS[2]}}
    found = wireguard_peers([B, A], hostvars, {"rack-2": "old"})
    # One that is given counts most, and what a host says of itself more than what was known of it.
    assert [(peer["name"], peer["public_key"]) for peer in found] == [("rack-2", KEYS[1]), ("rack-3", KEYS[0])]
    assert wireguard_peers([A], {"rack-2": {}}, {"rack-2": "old"})[0]["public_key"] == "old"
    assert wireguard_peers([A], {})[0] == {**A, "public_key": ""}
