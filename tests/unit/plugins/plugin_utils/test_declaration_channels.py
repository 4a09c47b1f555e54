# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which channels may be declared, which lnd has them, and what they cannot be: money hangs on each of them."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.bcm.datacenter.plugins.modules import lnd_channel
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _lightning_channels
from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration_kinds import default_of

AGE = "age1" + "q" * 58
KEY = "02" + "bb" * 32
ONION = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion"
PEER = f"{KEY}@{ONION}:9735"
FRIEND = {"name": "friend", "peer": PEER, "amount": 500_000}
OPTIONS = yaml.safe_load(lnd_channel.DOCUMENTATION)["options"]


def declared(*channels, bitcoin=None, count=1, limits=None, **more):
    return {
        "tiers": {"bitcoin": {}, "lightning": {"count": count}},
        "stacks": {
            "bitcoin": bitcoin or {},
            "lightning": {"owner_key": AGE, "channels": list(channels), "channel_limits": limits or {}},
        },
        **more,
    }


def stack(found):
    return found.variables["bcm_stacks"]["lightning"]


def test_a_site_has_none_by_itself_and_spends_nothing(site):
    found = stack(site(declared()))
    assert found["channels"] == []
    assert found["channel_limits"] == {"max_spend": None, "max_fee_rate": 25, "reserve": 100_000}


def test_the_only_lnd_has_them(site):
    (channel,) = stack(site(declared(FRIEND)))["channels"]
    assert (channel["node"], channel["private"], channel["state"]) == ("lightning-1", True, "open")
    assert (channel["peer"], channel["amount"]) == (PEER, 500_000)


def test_of_several_each_has_its_own(site):
    channels = [{**FRIEND, "node": "lightning-2"}, {**FRIEND, "name": "shop", "node": "lightning-1"}]
    found = stack(site(declared(*channels, count=2)))["channels"]
    assert {one["name"]: one["node"] for one in found} == {"friend": "lightning-2", "shop": "lightning-1"}


def test_the_peer_has_one_form(site):
    (channel,) = stack(site(declared({**FRIEND, "peer": f"{KEY.upper()}@{ONION.upper()}"})))["channels"]
    assert channel["peer"] == PEER


def test_one_that_is_to_be_closed_needs_no_more_than_its_name(site):
    channels = [{"name": "a", "state": "closed"}, {**FRIEND, "state": "closed", "force": True}]
    assert [one["state"] for one in stack(site(declared(*channels)))["channels"]] == ["closed", "closed"]


@pytest.mark.parametrize("network", ["onion_and_clear_through_tor", "clear"])
@pytest.mark.parametrize("place", ["8.8.8.8:9735", "node.example.org:9735", "[2001:4860:4860::8888]:9735"])
def test_a_peer_in_clear_is_one_for_who_allows_it(site, wrong, network, place):
    channel = {**FRIEND, "peer": f"{KEY}@{place}"}
    found = site(declared(channel, bitcoin={"network": network}, chain="regtest"))
    assert stack(found)["channels"][0]["peer"].endswith(place)
    (words,) = wrong(declared(channel, chain="regtest"))
    assert "stacks.lightning.channels[0].peer" in words
    assert "is not an onion" in words
    assert "stacks.bitcoin.network: onion_and_clear_through_tor" in words


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        ({"name": "-x"}, "channels[0].name = -x: has the wrong form; allowed: a letter or digit"),
        ({"name": "x" * 65}, "channels[0].name"),
        ({"name": None}, "channels[0].name"),
        ({"peer": None}, "channels[0].peer: is missing"),
        ({"peer": KEY}, "channels[0].peer = "),
        ({"peer": f"{KEY[:-1]}@{ONION}:9735"}, "allowed: PUBKEY@ADDRESS.onion:PORT"),
        ({"peer": f"{KEY}@{ONION.replace('p', 'q', 1)}:9735"}, "is no address of a version 3 onion"),
        ({"peer": f"{KEY}@{ONION}:99999"}, "is no place where a node can be; allowed: HOST:PORT"),
        ({"peer": f"{KEY}@8.8.8.8:9735"}, "is not an onion"),
        ({"amount": None}, "channels[0].amount: is missing"),
        ({"amount": 19_999}, "channels[0].amount = 19999: is too small; allowed: a whole number from 20000"),
        ({"amount": "0.01 BTC"}, "channels[0].amount = 0.01 BTC: is text, not a whole number"),
        ({"amount": 0.5}, "channels[0].amount = 0.5: is a number, not a whole number"),
        ({"private": "no"}, "channels[0].private"),
        ({"fee_rate": 0}, "channels[0].fee_rate = 0: is too small"),
        ({"fee_rate": 26}, "channels[0].fee_rate = 26: is more than max_fee_rate, 25; allowed: at most 25"),
        ({"target_blocks": 1}, "channels[0].target_blocks = 1"),
        ({"state": "opened"}, "channels[0].state = opened: is not known (did you mean open?)"),
        ({"force": True}, "channels[0].force = true: is about closing"),
        ({"state": "closed", "reopen": True}, "channels[0].reopen = true: is about opening"),
        (
            {"node": "lightning-2"},
            "channels[0].node = lightning-2: is no instance with an lnd (did you mean lightning-1?)",
        ),
        ({"node": "manager-1"}, "channels[0].node = manager-1: is no instance with an lnd; allowed: lightning-1"),
        # Never what a declaration says: it is said by each run.
        ({"spend": True}, "channels[0].spend: is not a key that is known here"),
    ],
)
def test_what_a_channel_cannot_be(wrong, channel, words):
    (found,) = wrong(declared({**FRIEND, **channel}))
    assert "stacks.lightning.channels[0]." in found
    assert words in found


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"max_spend": -1}, "channel_limits.max_spend = -1: is too small"),
        ({"max_spend": "much"}, "channel_limits.max_spend = much: is text"),
        ({"max_fee_rate": 0}, "channel_limits.max_fee_rate = 0: is too small"),
        ({"max_fee_rate": None}, "channel_limits.max_fee_rate"),
        ({"reserve": -1}, "channel_limits.reserve = -1: is too small"),
        ({"spend": True}, "channel_limits.spend: is not a key that is known here"),
        ({"max_spent": 1}, "channel_limits.max_spent: is not a key that is known here (did you mean max_spend?)"),
    ],
)
def test_what_a_limit_cannot_be(wrong, limits, words):
    (found,) = wrong(declared(FRIEND, limits=limits))
    assert f"stacks.lightning.{words}" in found


def test_a_name_is_one_channel(wrong):
    (found,) = wrong(declared(FRIEND, {**FRIEND, "amount": 300_000}))
    assert "stacks.lightning.channels[1].name = friend: stands in the list twice" in found


def test_among_several_lnd_it_is_said_which(wrong):
    """Each of them would open it otherwise, and the money be spent twice."""
    (found,) = wrong(declared(FRIEND, count=2))
    assert "channels[0].node: is missing, and there are several lnd" in found
    assert "one of lightning-1, lightning-2" in found


def test_all_that_is_wrong_is_said_at_once(wrong):
    found = wrong(declared({"name": "a", "node": "lightning-7"}, {**FRIEND, "force": True, "fee_rate": 90}))
    keys = [one.partition("stacks.lightning.")[2].partition(":")[0].partition(" ")[0] for one in found]
    expected = {
        "channels[0].node",
        "channels[0].peer",
        "channels[0].amount",
        "channels[1].force",
        "channels[1].fee_rate",
    }
    assert set(keys) == expected
    assert len(keys) == len(expected)


def test_a_channel_has_what_the_module_takes():
    fields, taken = _lightning_channels.CHANNEL.fields, OPTIONS["channels"]["suboptions"]
    assert set(fields) - {"node"} == set(taken)
    for name, option in taken.items():
        assert default_of(fields[name]) == option.get("default"), name
        assert fields[name].required is option.get("required", False), name
    assert list(fields["state"].choices) == taken["state"]["choices"]


def test_a_limit_is_what_the_module_has_it_to_be():
    for name, kind in _lightning_channels.LIMITS.fields.items():
        assert default_of(kind) == OPTIONS[name].get("default"), name
