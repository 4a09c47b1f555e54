# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says, in words."""

from __future__ import annotations

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _bitcoin_status as sut
from ansible_collections.bcm.datacenter.plugins.modules.bitcoin_node_info import health

NOW = 1_800_000_000


def status(**changed):
    chain = {
        "chain": "main",
        "blocks": 900,
        "headers": 900,
        "bestblockhash": "00ff",
        "initialblockdownload": False,
        "verificationprogress": 0.99999,
        "pruned": False,
        "size_on_disk": 5,
        "time": NOW - 60,
        "mediantime": NOW - 600,
        "warnings": [],
    }
    network = {"connections": 8, "subversion": "/Satoshi:31.1.0/"}
    indexes = {}
    for name, value in changed.items():
        target = network if name in network else chain
        if name == "indexes":
            indexes = value
        else:
            target[name] = value
    return {"blockchain": chain, "network": network, "indexes": indexes}


def judge(answer):
    return sut.assess(answer, NOW, min_peers=1, max_tip_age=7200)


def test_ready():
    node = judge(status())
    assert (node["ready"], node["reason"], node["running"]) == (True, "", True)
    assert (node["chain"], node["version"], node["tip_age"]) == ("mainnet", "Satoshi:31.1.0", 60)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"initialblockdownload": True, "blocks": 1}, "initial download: block 1 of 900"),
        ({"blocks": 890}, "10 blocks behind"),
        ({"connections": 0}, "0 peers"),
        ({"time": NOW - 9000}, "no block for 150 minutes"),
        ({"indexes": {"txindex": {"synced": False}}}, "still builds txindex"),
    ],
)
def test_running_but_not_ready(changed, words):
    node = judge(status(**changed))
    assert node["running"]
    assert not node["ready"]
    assert words in node["reason"]


def test_a_chain_of_ones_own_needs_neither_peers_nor_new_blocks():
    assert judge(status(chain="regtest", connections=0, time=1, initialblockdownload=True))["ready"]


@pytest.mark.parametrize(
    ("answer", "running", "words"),
    [
        ({"held": "no space "}, False, "held before its start: no space"),
        ({"waiting": "the old one stops"}, False, "waits for its start: the old one stops"),
        ({"stopping": True}, True, "stopping"),
        ({"error": "error code: -28 error message: Verifying blocks…"}, True, "starting: Verifying blocks…"),
        ({"error": "Could not connect to the server"}, False, "does not answer: Could not connect"),
        ({}, False, "gave no answer"),
    ],
)
def test_without_an_answer(answer, running, words):
    node = judge(answer)
    assert node["running"] is running
    assert not node["ready"]
    assert words in node["reason"]


def test_warnings_of_old_releases_are_one_string():
    assert judge(status(warnings="careful"))["node_warnings"] == ["careful"]


@pytest.mark.parametrize(
    ("text", "word"),
    [("Up 3 minutes (healthy)", "healthy"), ("Up 2 seconds (health: starting)", "starting"), ("Up 1 hour", "none")],
)
def test_health_of_the_container(text, word):
    assert health(text) == word


PEERS = [
    {"network": "onion", "addr": "a.onion:8333", "inbound": False},
    {"network": "onion", "addr": "10.0.0.1:1", "inbound": True},
    {"network": "ipv4", "addr": "93.184.215.14:8333", "inbound": False},
]


def with_peers(peers, networks=()):
    return sut.assess({**status(), "peers": peers}, NOW, min_peers=1, max_tip_age=7200, networks=networks)


def test_peers_are_counted_by_network():
    node = with_peers(PEERS)
    assert (node["peer_networks"], node["strangers"], node["ready"]) == ({"ipv4": 1, "onion": 2}, [], True)


def test_a_peer_by_another_network_is_named():
    node = with_peers(PEERS, ["onion"])
    assert node["strangers"] == [{"address": "93.184.215.14:8333", "network": "ipv4", "direction": "out"}]
    assert not node["ready"]
    assert "93.184.215.14:8333 (ipv4, out)" in node["reason"]
    assert with_peers(PEERS[:2], ["onion"])["ready"]


def test_many_strangers_are_summed_up():
    assert with_peers([PEERS[2]] * 7, ["onion"])["reason"].endswith("and 2 more")


def test_what_it_tells_others_of_itself():
    answer = status()
    answer["network"]["localaddresses"] = [{"address": "a.onion", "port": 8333, "score": 4}]
    answer["network"].update(connections_in=3, connections_out=5)
    node = judge(answer)
    assert (node["local_addresses"], node["inbound"], node["outbound"]) == (["a.onion:8333"], 3, 5)
