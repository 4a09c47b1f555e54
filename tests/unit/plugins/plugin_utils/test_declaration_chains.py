# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains side by side, peers of choice, and who uses a node: what follows from a declaration, and what is refused."""

from __future__ import annotations

import itertools

import pytest

ONION = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion"


def two(first=None, chains=None, **other):
    bitcoin = {**(first or {}), "chains": {"signet": {}} if chains is None else chains}
    tiers = {"bitcoin": {"size": {"memory": "4GiB"}}, "apps": {}}
    return {"chain": "mainnet", "tiers": tiers, "stacks": {"bitcoin": bitcoin}, **other}


def test_two_chains_share_nothing(site):
    found = site(two())
    mainnet, signet = found.variables["bcm_stacks"]["bitcoin"]["nodes"]
    assert [node["chain"] for node in (mainnet, signet)] == ["mainnet", "signet"]
    assert (mainnet["instance"], signet["instance"]) == ("", "signet")
    assert mainnet["volume"] == {"name": "bitcoin", "path": "/srv/bitcoin"}
    assert signet["volume"] == {"name": "bitcoin-signet", "path": "/srv/bitcoin-signet"}
    every = [port for node in (mainnet, signet) for key in ("ports", "way_ports") for port in node[key].values()]
    assert len(every) == len(set(every))
    volumes = {volume["name"]: volume["size"] for volume in found.hosts["bitcoin-1"]["bcm_volumes"]}
    assert volumes == {"bitcoin": "1200GiB", "bitcoin-signet": "80GiB"}
    assert found.variables["bcm_chain"] == "mainnet"


def test_ports_of_all_chains_are_different(site):
    nodes = site(
        two(chains={"signet": {}, "testnet4": {}, "regtest": {}}, tiers={"bitcoin": {"size": {"memory": "16GiB"}}})
    )
    every = [
        port
        for node in nodes.variables["bcm_stacks"]["bitcoin"]["nodes"]
        for key in ("ports", "way_ports")
        for port in node[key].values()
    ]
    assert len(every) == len(set(every)) == 4 * 14


def test_memory_is_shared_out(site):
    nodes = site(two()).variables["bcm_stacks"]["bitcoin"]["nodes"]
    assert [(node["memory"], node["memory_reserve"]) for node in nodes] == [("3GiB", "512MiB"), ("1GiB", "0B")]
    told = site(two({"memory": "2GiB"}, {"signet": {"memory": "1536MiB"}})).variables["bcm_stacks"]["bitcoin"]["nodes"]
    assert [(node["memory"], node["memory_reserve"]) for node in told] == [("2GiB", "0B"), ("1536MiB", "0B")]


def test_a_chain_on_a_tier_of_its_own(site):
    declared = two(chains={"signet": {"tier": "tests"}})
    declared["tiers"]["tests"] = {"size": {"memory": "2GiB"}}
    found = site(declared)
    nodes = found.variables["bcm_stacks"]["bitcoin"]["nodes"]
    assert [node["memory"] for node in nodes] == ["4GiB", "2GiB"]
    assert [volume["name"] for volume in found.hosts["tests-1"]["bcm_volumes"]] == ["bitcoin-signet"]
    assert [volume["name"] for volume in found.hosts["bitcoin-1"]["bcm_volumes"]] == ["bitcoin"]


def test_each_node_says_for_itself(site):
    chains = {
        "signet": {
            "network": "onion_and_clear_through_tor",
            "addnode": ["a.example.org"],
            "prune": "1GiB",
            "wallet": True,
        }
    }
    mainnet, signet = site(two({"connect": [f"{ONION}:8333"]}, chains)).variables["bcm_stacks"]["bitcoin"]["nodes"]
    assert (mainnet["network"], mainnet["connect"], mainnet["wallet"], mainnet["prune"]) == (
        "onion",
        [f"{ONION}:8333"],
        False,
        None,
    )
    assert (signet["network"], signet["addnode"], signet["wallet"], signet["prune"]) == (
        "onion_and_clear_through_tor",
        ["a.example.org"],
        True,
        1024,
    )


def test_the_site_is_on_its_own_chain_alone_by_default(site):
    (node,) = site({"tiers": {"bitcoin": {}}, "stacks": {"bitcoin": {}}}).variables["bcm_stacks"]["bitcoin"]["nodes"]
    assert (node["chain"], node["network"], node["inbound"], node["backs_lightning"]) == (
        "regtest",
        "onion",
        True,
        False,
    )


REFUSED = {
    "own chain again": (two(chains={"mainnet": {}}), "stacks.bitcoin.chains.mainnet: is the site's own chain"),
    "chain without a node": (two(chains={"simnet": {}}), "stacks.bitcoin.chains.simnet: bitcoin-core does not have it"),
    "no chain": (two(chains={"signett": {}}), "stacks.bitcoin.chains.signett: is not known (did you mean signet?)"),
    "public in clear": (
        two(chains={"signet": {"network": "clear"}}),
        "stacks.bitcoin.chains.signet.network = clear: signet is shared with others",
    ),
    "no tier": (
        two(chains={"signet": {"tier": "bitcoinx"}}),
        "stacks.bitcoin.chains.signet.tier = bitcoinx: is no tier of this site",
    ),
    "on the managers": (
        two(chains={"signet": {"tier": "manager"}}),
        "stacks.bitcoin.chains.signet.tier = manager: is not for apps",
    ),
    "memory of the further one": (
        two(chains={"signet": {"memory": "3700MiB"}}),
        "stacks.bitcoin.memory: an instance of its tier has 4096 MiB of memory for mainnet and signet",
    ),
    "memory of both": (
        two({"memory": "3GiB"}, {"signet": {"memory": "1GiB"}}),
        "stacks.bitcoin.memory = 3GiB: an instance of its tier has 4096 MiB",
    ),
    "cache": (
        two(chains={"signet": {"dbcache": 900}}),
        "stacks.bitcoin.chains.signet.dbcache = 900: it has 1024 MiB of memory",
    ),
    "volume": (
        two(chains={"signet": {"volume_size": "10GiB"}}),
        "stacks.bitcoin.chains.signet.volume_size = 10GiB: signet in full with what is declared beside it needs about",
    ),
    "prune and index": (
        two(chains={"signet": {"prune": "1GiB", "indexes": {"txindex": True}}}),
        "stacks.bitcoin.chains.signet.prune = 1GiB: an index of all transactions needs all blocks",
    ),
    "clear peer": (
        two({"addnode": [ONION, "93.184.215.14:8333"]}),
        "stacks.bitcoin.addnode[1] = 93.184.215.14:8333: is not an onion: it would be reached through an exit of Tor's, in clear behind it; allowed: onions",
    ),
    "mistyped onion": (
        two({"connect": [ONION.replace("a5ihm", "a5ihn")]}),
        f"stacks.bitcoin.connect[0] = {ONION.replace('a5ihm', 'a5ihn')}: is mistyped",
    ),
    "peer twice": (two({"addnode": [ONION, ONION]}), f"stacks.bitcoin.addnode[1] = {ONION}: stands in the list twice"),
    "peer of another form": (
        two({"addnode": ["a b"]}),
        "stacks.bitcoin.addnode[0] = a b: has the wrong form; allowed: HOST or HOST:PORT",
    ),
    "connect and seeds": (
        two({"connect": [ONION], "seednode": [ONION]}),
        f"stacks.bitcoin.seednode = [{ONION}]: with connect, no others are looked for",
    ),
    "consumer nowhere": (
        two({"consumers": [{"name": "web", "tier": "webs"}]}),
        "stacks.bitcoin.consumers[0].tier = webs: is no tier of this site",
    ),
    "consumer on the way out": (
        two({"consumers": [{"name": "web", "tier": "proxyhost"}]}),
        "stacks.bitcoin.consumers[0].tier = proxyhost: leads out",
    ),
    "consumer twice": (
        two({"consumers": [{"name": "web", "tier": "apps"}] * 2}),
        "stacks.bitcoin.consumers[1].name = web: stands in the list twice",
    ),
    "volume that is taken": (
        two(
            tiers={
                "bitcoin": {
                    "size": {"memory": "4GiB"},
                    "volumes": [{"name": "bitcoin-signet", "path": "/srv/x", "size": "1GiB"}],
                }
            }
        ),
        "tiers.bitcoin.volumes[0].name = bitcoin-signet: belongs to the node of signet",
    ),
    "room in the pool": (two(pool={"size": "1210GiB"}), "pool.size = 1210GiB: all volumes hold"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(wrong, case):
    content, expected = REFUSED[case]
    said = [line.split(": ", 1)[1] for line in wrong(content)]
    assert any(what.startswith(expected) for what in said), said


def test_what_is_wrong_with_one_chain_is_said_beside_what_is_wrong_with_the_other(wrong):
    said = wrong(two({"addnode": ["a.example.org"]}, {"signet": {"addnode": ["b.example.org"]}}))
    assert [line.split(": ")[1].split(" = ")[0] for line in said] == [
        "stacks.bitcoin.addnode[0]",
        "stacks.bitcoin.chains.signet.addnode[0]",
    ]


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(["testnet4", "signet", "regtest"], 2)])
def test_any_two_chains(site, first, second):
    found = site({**two(chains={second: {}}), "chain": first})
    assert found.variables["bcm_stacks"]["bitcoin"]["chains"] == [first, second]
