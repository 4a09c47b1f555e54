# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _addresses, _vxlan

A, B = {"interface": "vxa", "vni": 9000001, "bridge": "bra"}, {"interface": "vxb", "vni": 9000002}


def findings(networks=(A, B), site="home", local="192.0.2.1", peers=("192.0.2.2",), port=4789, underlay_mtu=0):
    return _vxlan.findings(networks, site, local, peers, port, underlay_mtu)


def test_a_number_follows_from_site_and_network_alone():
    # Written down: endpoints that were joined before must find each other after an update.
    assert _vxlan.vni("home", "cluster") == 15074784
    assert _vxlan.vni("home", "gateway") == 12960030
    assert _vxlan.vni("home2", "cluster") != _vxlan.vni("home", "cluster")
    # The names do not run into each other.
    assert _vxlan.vni("a", "bc") != _vxlan.vni("ab", "c")


def test_numbers_have_24_bits_and_stay_clear_of_those_counted_by_hand():
    numbers = [_vxlan.vni(f"site{index}", "cluster") for index in range(2000)]
    assert min(numbers) >= 2**23
    assert max(numbers) < 2**24
    assert len(set(numbers)) > 1995


def test_an_interface_is_named_like_its_bridge_and_fits():
    for network in _addresses.NETWORKS:
        name = _vxlan.vxlan_interface(network, "a-site-with-the-longest-name-1")
        assert _vxlan.NAME.fullmatch(name)
        assert name[2:] == _addresses.bridge(network, "a-site-with-the-longest-name-1")[3:]


@pytest.mark.parametrize(
    ("underlay", "version", "inner", "overlay"),
    [
        (1500, 4, 1450, 1400),
        (1500, 6, 1430, 1380),
        (1550, 4, 1500, 1450),
        # WireGuard on an Ethernet
        (1420, 4, 1370, 1320),
        (9000, 6, 8930, 8880),
    ],
)
def test_sizes(underlay, version, inner, overlay):
    found = _vxlan.mtus(underlay, version)
    assert (found["underlay"], found["inner"], found["overlay"]) == (underlay, inner, overlay)
    assert found["overhead"] == underlay - inner


def test_nothing_is_wrong():
    assert findings() == []
    assert findings(peers=()) == []
    assert findings(local="fd00::1", peers=["fd00::2"], underlay_mtu=1500) == []
    assert findings([{**A, "mtu": 1450}], underlay_mtu=1500) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"site": "Home"}, "vxlan_site is 'Home'"),
        ({"local": "rack-1"}, "vxlan_local is rack-1, which is no IP address"),
        ({"local": "::"}, "vxlan_local is ::, which is no address of one host"),
        ({"local": "fe80::1"}, "of one link alone"),
        ({"peers": ["192.0.2.0/24"]}, "vxlan_peers has 192.0.2.0/24, which is no IP address"),
        ({"peers": ["239.1.1.1"]}, "vxlan_peers has 239.1.1.1, which is no address of one host"),
        ({"peers": ["192.0.2.1"]}, "vxlan_peers has 192.0.2.1, which is vxlan_local itself"),
        ({"peers": ["192.0.2.2", "192.0.2.2"]}, "vxlan_peers has 192.0.2.2 twice"),
        ({"peers": ["fd00::2"]}, "vxlan_peers has fd00::2, of IPv6"),
        ({"local": "fd00::1", "peers": ["fd00:0::1"]}, "fd00:0::1, which is vxlan_local itself"),
        ({"networks": [{**A, "vni": 0}]}, "vxa: vni is 0; allowed is 1 to 16777215"),
        ({"networks": [{**A, "vni": 2**24}]}, "vni is 16777216; allowed"),
        ({"networks": [A, {**B, "vni": A["vni"]}]}, "vxb: vni 9000001 is that of another one (vxlan_networks, vxa)"),
        ({"networks": [A, {**B, "bridge": "bra"}]}, "vxb: bridge bra is that of another one"),
        ({"networks": [A, {**B, "interface": "vxa"}]}, "vxa: interface vxa is that of another one"),
        ({"networks": [{**A, "interface": "vx0123456789abcd"}]}, "at most 15 in all"),
        ({"networks": [{**A, "bridge": "br0 up"}]}, "bridge is 'br0 up'; allowed is"),
        ({"networks": [{**A, "bridge": "vxa"}]}, "bridge has the name of the interface itself"),
        ({"networks": [{**A, "mtu": 1279}]}, "mtu is 1279; allowed is 1280 to 9216"),
        (
            {"networks": [{**A, "mtu": 1451}], "underlay_mtu": 1500},
            "mtu is 1451, and the underlay carries 1500 bytes, of which VXLAN takes 50; allowed is at most 1450",
        ),
        ({"underlay_mtu": 1329}, "the underlay carries packets of 1329 bytes, which leaves 1279 to instances"),
        ({"port": 65536}, "vxlan_port is 65536; allowed is 1 to 65535"),
    ],
)
def test_what_is_wrong_is_named_once(given, words):
    found = findings(**given)
    assert len(found) == 1, found
    assert words in found[0]


def test_all_of_it_is_named_at_once():
    assert len(findings([{**A, "vni": 0}], site="", peers=["x", "192.0.2.1"], port=0)) == 5
