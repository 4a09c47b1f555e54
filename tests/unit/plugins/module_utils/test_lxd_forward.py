# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_forward as forwards
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object

NETWORK = {"name": "n", "config": {"ipv4.address": "10.0.0.1/24", "ipv6.address": "none"}}


def port(listen: str, target: str = "", to: str = "10.0.0.2", **more: str) -> Object:
    return {"listen_port": listen, "target_port": target, "target_address": to, **more}


def desired(**params: object) -> Object:
    return forwards.desired_of({"network": "n", "listen_address": "192.0.2.1", "state": "present", **params})


def test_ports_in_other_words_are_the_same() -> None:
    assert forwards.same_rules([port("80-82")], [port("80, 81,82", "80-82", protocol="tcp", description=" ")])
    assert forwards.same_rules([port("80,443", "8080,8443")], [port("443,80", "8443,8080")])
    assert forwards.same_rules([port("1-3", "9")], [port("1-3", "9,9,9")])
    assert forwards.same_rules([port("1"), port("2")], [port("2"), port("1")])
    assert forwards.same_rules([port("1", to="2001:db8::1")], [port("1", to="2001:0db8:0:0::1")])


@pytest.mark.parametrize(
    "other",
    [
        [port("80")],
        [port("80,443", "8443,8080")],
        [port("80,443", "8080,8443", protocol="udp")],
        [port("80,443", "8080,8443", to="10.0.0.3")],
        [port("80,443", "8080,8443", description="x")],
        [port("80,443", "8080,8443"), port("1")],
        [],
    ],
)
def test_ports_that_lead_elsewhere_differ(other: list[Object]) -> None:
    assert not forwards.same_rules([port("80,443", "8080,8443")], other)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"listen_address": "here"}, "the listen address is no address"),
        ({"target_address": "there"}, "'there' is no address"),
        ({"target_address": "10.0.1.2"}, "10.0.1.2 is not within the network's subnet, 10.0.0.0/24"),
        ({"target_address": "2001:db8::1"}, "of another IP version"),
        ({"ports": [port("80", to="10.0.1.2")]}, "tcp port 80: 10.0.1.2 is not within"),
        ({"ports": [port("80")], "target_address": "10.0.0.2"}, "leads to the default target address"),
        ({"ports": [port("80-90"), port("85")]}, "port 85 is there twice"),
        ({"ports": [port("0")]}, "'0' is not within 1-65535"),
        ({"ports": [port("90-80")]}, "is not within"),
        ({"ports": [port("http")]}, "'http' is neither a port nor a range"),
        ({"ports": [port("1-3", "1-2")]}, "as many are needed, or one"),
        ({"config": {"user.a": [1]}}, "key user.a"),
    ],
)
def test_what_cannot_be_is_refused(params: Object, message: str) -> None:
    found = forwards.errors_of(desired(**params), NETWORK)
    assert any(message in text for text in found), found


def test_what_can_be() -> None:
    same_port_of_both = [port("53"), port("53", protocol="udp")]
    assert forwards.errors_of(desired(ports=same_port_of_both, target_address="10.0.0.9"), NETWORK) == []
    # A network without an address of its own says nothing about those of its instances.
    assert forwards.errors_of(desired(target_address="10.9.9.9"), {"config": {"ipv4.address": "none"}}) == []
