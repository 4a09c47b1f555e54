# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a node meets its peers, and which peers are none for it."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _bitcoin_network as sut
from ansible_collections.bcm.datacenter.plugins.plugin_utils._bitcoin_plan import PlanError, plan
from ansible_collections.bcm.datacenter.plugins.plugin_utils._chains import chain_ports


def onion(key: bytes = b"k" * 32, version: int = 3) -> str:
    end = bytes([version])
    checksum = hashlib.sha3_256(b".onion checksum" + key + end).digest()[:2]
    return base64.b32encode(key + checksum + end).decode().lower() + ".onion"


# The address of the Tor Project's own site, as anybody can read it there.
GENUINE = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion"
SOCKS = {"host": "10.64.16.254", "port": 9050}


def settings(**changed):
    return {
        "version": "31.1",
        "chain": "mainnet",
        "ports": chain_ports("mainnet"),
        "memory": "4GiB",
        "cookie_file": "/tmp/cookie",
        "users_file": "/etc/bitcoin/users.conf",
        "shutdown_notify": "touch /tmp/stopping",
        "socks": SOCKS,
        **changed,
    }


def written(**changed) -> list[str]:
    return plan(settings(**changed))["conf"].splitlines()


def refused(**changed) -> list[str]:
    with pytest.raises(PlanError) as caught:
        plan(settings(**changed))
    return caught.value.errors


def test_by_default_a_node_knows_nothing_but_tor():
    lines = written()
    for line in (
        "proxy=10.64.16.254:9050",
        "onion=10.64.16.254:9050",
        "onlynet=onion",
        "proxyrandomize=1",
        "dns=0",
        "dnsseed=0",
        "discover=0",
        "natpmp=0",
        "listenonion=0",
        "privatebroadcast=0",
        # Without an onion of its own there is nothing to come by.
        "listen=0",
    ):
        assert line in lines
    assert not [line for line in lines if line.startswith(("bind=", "externalip=", "fixedseeds="))]


def test_peers_come_by_its_own_onion_and_by_nothing_else():
    lines = written(onion_address=GENUINE)
    assert "listen=1" in lines
    assert f"externalip={GENUINE}:8333" in lines
    assert [line for line in lines if line.startswith(("bind=", "whitebind="))] == ["bind=127.0.0.1:8335=onion"]


def test_nobody_comes_where_nobody_shall():
    lines = written(onion_address=GENUINE, listen=False)
    assert "listen=0" in lines
    assert not [line for line in lines if line.startswith(("bind=", "externalip="))]


def test_a_door_stands_where_peers_come_by_an_onion():
    assert plan(settings(onion_address=GENUINE))["door"]
    assert not plan(settings())["door"]
    assert not plan(settings(network="clear", socks=None))["door"]


def test_clear_peers_through_tor():
    lines = written(network="onion_and_clear_through_tor", addnode=["node.example.org", "93.184.215.14:8333"])
    assert "proxy=10.64.16.254:9050" in lines
    assert "dnsseed=0" in lines
    assert not [line for line in lines if line.startswith("onlynet=")]


def test_in_clear_there_is_no_tor():
    lines = written(network="clear", socks=None)
    assert "bind=0.0.0.0:8333" in lines
    assert not [line for line in lines if line.startswith(("proxy", "onion=", "onlynet="))]


def test_options_of_the_network_stand_in_the_section_of_the_chain():
    lines = written(onion_address=GENUINE, addnode=[onion()])
    section = lines.index("[main]")
    for line in (f"addnode={onion()}", "onlynet=onion", "bind=127.0.0.1:8335=onion"):
        assert lines.index(line) > section


@pytest.mark.parametrize("network", ["onion", "onion_and_clear_through_tor"])
@pytest.mark.parametrize("key", ["connect", "addnode", "seednode"])
def test_onions_are_peers(network, key):
    assert f"{key}={GENUINE}:8333" in written(network=network, **{key: [f"{GENUINE}:8333"]})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"network": "tor"}, "allowed: onion, onion_and_clear_through_tor, clear"),
        ({"socks": None}, "no way to peers but Tor's"),
        ({"socks": {"host": "proxyhost-1", "port": 9050}}, "is not a way to Tor"),
        ({"socks": {"host": "10.0.0.1", "port": 0}}, "is not a way to Tor"),
        ({"addnode": ["node.example.org"]}, "exit of Tor's"),
        ({"connect": ["93.184.215.14"]}, "exit of Tor's"),
        ({"seednode": ["[2001:db8::1]:8333"]}, "exit of Tor's"),
        ({"addnode": ["expyuzz4wqqyqhjn.onion"]}, "version 2"),
        ({"addnode": ["a" * 56 + ".onion"]}, "is an onion of version 0"),
        ({"addnode": ["z" * 55 + "1.onion"]}, "is no address of an onion"),
        ({"addnode": [onion(version=4)]}, "version 4"),
        ({"addnode": [GENUINE + ":99999"]}, "is no port"),
        ({"addnode": [GENUINE, GENUINE]}, "is there twice"),
        ({"connect": [GENUINE], "seednode": [onion()]}, "one of the two"),
        ({"network": "onion_and_clear_through_tor", "addnode": ["192.168.1.3"]}, "private address"),
        ({"network": "onion_and_clear_through_tor", "addnode": ["a b"]}, "neither an address nor a name"),
        ({"network": "clear", "socks": None, "addnode": [GENUINE]}, "without Tor"),
        ({"network": "clear"}, "goes out in clear"),
        ({"network": "clear", "socks": None, "onion_address": GENUINE}, "met in clear"),
        ({"onion_address": "node.example.org"}, "is not an onion"),
        ({"onion_address": GENUINE, "ports": {**chain_ports("mainnet"), "onion": None}}, "a port called onion"),
        ({"private_broadcast": True, "version": "29.4"}, "is unknown to release 29.4"),
        ({"private_broadcast": True, "version": "31.0"}, "tells in release 31.0 who sends"),
        ({"private_broadcast": True, "backs_lightning": True}, "lnd"),
        ({"private_broadcast": True, "network": "clear", "socks": None}, "needs Tor"),
        ({"options": {"onlynet": "ipv4"}}, "variable of its own"),
        ({"options": {"whitebind": "0.0.0.0:1"}}, "variable of its own"),
        ({"options": {"forcednsseed": 1}}, "variable of its own"),
        ({"options": {"i2psam": "127.0.0.1:7656"}}, "leads past"),
    ],
)
def test_refused(changed, words):
    (error,) = refused(**changed)
    assert words in error


def test_private_broadcast_where_it_is_sound():
    assert "privatebroadcast=1" in written(private_broadcast=True)


def test_an_address_with_one_letter_wrong_is_known_by_its_checksum():
    assert sut.onion_problem(GENUINE) is None
    wrong = GENUINE.replace("a5ihm", "a5ihn")
    assert "mistyped" in sut.onion_problem(wrong)


@given(st.binary(min_size=32, max_size=32))
def test_every_key_has_an_address(key):
    assert sut.onion_problem(onion(key)) is None


@given(st.text())
def test_any_text_is_judged(text):
    for network in sut.NETWORKS:
        found = sut.peer_problem(text, network)
        assert found is None or all(found)
