# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server is called, where it is, and what is said of it."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from bcmlab.config import LabError
from bcmlab.rack import Server, check_name, choose_address, hardware_address, summary

SUBNET = ipaddress.IPv4Network("198.18.0.0/24")


def instance(name: str, status: str = "Running", **config: str) -> dict[str, Any]:
    """An instance as LXD shows it; keys of the lab are named by their last word."""
    keys = {f"user.bcm.lab.{key.replace('_', '-')}": value for key, value in config.items()}
    return {"name": name, "status": status, "config": {"volatile.eth0.host_name": "veth1", **keys}}


@pytest.mark.parametrize("name", ["a", "node-1", "node-10", "nuc", "a" * 63])
def test_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "1node", "-a", "a-", "Node", "a_b", "a.b", "nöde", "a" * 64, "a\n", "--json"])
def test_no_names(name: str) -> None:
    with pytest.raises(LabError, match="cannot be a server's name: that has"):
        check_name(name)


@pytest.mark.parametrize("name", ["world", "incus", "builder", "builder-1a2b3c", "server-image"])
def test_names_of_the_lab_itself(name: str) -> None:
    with pytest.raises(LabError, match="the lab uses it itself"):
        check_name(name)


def test_an_address_follows_from_the_name() -> None:
    addresses = {name: choose_address(name, SUBNET, ()) for name in ("node-1", "node-10", "node-12")}
    assert len(set(addresses.values())) == 3
    assert addresses["node-1"] == choose_address("node-1", SUBNET, {addresses["node-10"]})


def test_nobody_gets_the_address_of_another() -> None:
    taken: set[str] = set()
    while len(taken) < 223:
        address = choose_address("node-1", SUBNET, taken)
        assert address not in taken
        assert 32 <= int(ipaddress.IPv4Address(address)) - int(SUBNET[0]) < 255
        taken.add(address)
    with pytest.raises(LabError, match="no address is left"):
        choose_address("node-1", SUBNET, taken)


def test_the_smallest_lab_has_room() -> None:
    assert choose_address("a", ipaddress.IPv4Network("198.18.0.0/27"), ()) > "198.18.0.15"


def test_a_network_card_is_its_servers_own() -> None:
    cards = {hardware_address(name, bridge) for name in ("node-1", "node-10") for bridge in ("bcmlab0", "bcmlab1")}
    assert len(cards) == 4
    assert all(len(card) == 17 and card.startswith("00:16:3e:") for card in cards)


@pytest.mark.parametrize(
    ("status", "config", "state"),
    [
        ("Running", {"host_key": "ssh-ed25519 AAAA"}, "on"),
        ("Running", {"host_key": "ssh-ed25519 AAAA", "cable": "cut"}, "cut"),
        ("Running", {}, "unfinished"),
        ("Stopped", {"host_key": "ssh-ed25519 AAAA", "cable": "cut"}, "off"),
    ],
)
def test_states(status: str, config: dict[str, str], state: str) -> None:
    server = Server.known(instance("nuc", status, address="198.18.0.40", **config))
    assert server is not None
    assert server.state == state


def test_what_is_no_server_is_not_taken_for_one() -> None:
    found = summary([instance("world"), instance("nuc", address="198.18.0.40", host_key="ssh-ed25519 AAAA")])
    assert found == {"nuc": {"state": "on", "address": "198.18.0.40"}}


def test_line_of_known_hosts() -> None:
    server = Server.known(instance("nuc", address="198.18.0.40", host_key="ssh-ed25519 AAAA"))
    assert server is not None
    assert server.known_host == "nuc,198.18.0.40 ssh-ed25519 AAAA"
    unfinished = Server.known(instance("nuc", address="198.18.0.40"))
    assert unfinished is not None
    assert unfinished.known_host == ""
