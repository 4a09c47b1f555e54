# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lnd gets which channels, declared ones or those that a run is told."""

from __future__ import annotations

import pytest

from ansible_collections.bcm.datacenter.plugins.filter.lightning_channels import lightning_channels
from ansible_collections.bcm.datacenter.plugins.module_utils import _lnd_channel

ONE, TWO = "lightning-1", "lightning-2"
PEER = f"02{'bb' * 32}@pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion:9735"
FRIEND = {"name": "friend", "peer": PEER, "amount": 500_000}


def test_what_a_run_is_told_has_the_defaults_of_a_declaration():
    found = lightning_channels([FRIEND], {"max_spend": 600_000}, [ONE])
    assert found["errors"] == []
    assert found["limits"] == {"max_spend": 600_000, "max_fee_rate": 25, "reserve": 100_000}
    (channel,) = found["nodes"][ONE]
    assert channel == {**FRIEND, "state": "open", "private": True, "target_blocks": 6, "reopen": False, "force": False}
    # And the module takes it as it is.
    (wish,) = _lnd_channel.wishes([channel])
    assert (wish.name, wish.amount, wish.private) == ("friend", 500_000, True)


def test_what_was_declared_stays_as_it_is():
    once = lightning_channels([FRIEND], {}, [ONE])
    declared = [{**channel, "node": ONE, "fee_rate": None} for channel in once["nodes"][ONE]]
    assert lightning_channels(declared, once["limits"], [ONE, TWO])["nodes"] == once["nodes"]


def test_each_lnd_has_its_own():
    channels = [{**FRIEND, "name": name, "node": node} for name, node in (("a", TWO), ("b", ONE), ("c", TWO))]
    found = lightning_channels(channels, {}, [ONE, TWO])["nodes"]
    assert {node: [one["name"] for one in own] for node, own in found.items()} == {TWO: ["a", "c"], ONE: ["b"]}
    assert all("node" not in one for own in found.values() for one in own)


def test_none_are_none():
    assert lightning_channels([], {}, [ONE])["nodes"] == {}


@pytest.mark.parametrize(
    ("channels", "limits", "words"),
    [
        (
            [{**FRIEND, "node": "lightning-9"}],
            {},
            "lightning_channels[0].node = lightning-9: is no instance with an lnd",
        ),
        ([FRIEND], {}, "lightning_channels[0].node: is missing, and there are several lnd"),
        ([{**FRIEND, "privat": False}], {}, "lightning_channels[0].privat: is not a key that is known here"),
        ([{**FRIEND, "peer": PEER.split("@", maxsplit=1)[0] + "@8.8.8.8:9735"}], {}, "lightning_channels[0].peer"),
        ({"friend": FRIEND}, {}, "lightning_channels = "),
        ("friend", {}, "lightning_channels = friend: is text, not a list"),
        ([], {"max_spend": "600000"}, "lightning_channel_limits.max_spend = '600000': is text, not a whole number"),
        ([], [], "lightning_channel_limits = []: is a list, not a mapping"),
    ],
)
def test_nobody_has_any_where_something_is_wrong(channels, limits, words):
    found = lightning_channels(channels, limits, [ONE, TWO])
    assert any(words in error for error in found["errors"]), found["errors"]
    assert found["nodes"] == {}


def test_what_no_onion_is_takes_a_site_that_goes_to_such():
    channel = {**FRIEND, "peer": PEER.split("@", maxsplit=1)[0] + "@8.8.8.8:9735"}
    assert lightning_channels([channel], {}, [ONE], "onion_and_clear_through_tor")["errors"] == []
    (error,) = lightning_channels(
        [{**channel, "peer": channel["peer"].replace("8.8.8.8", "10.0.0.8")}], {}, [ONE], "clear"
    )["errors"]
    assert "is a private address, to which Tor does not lead" in error
