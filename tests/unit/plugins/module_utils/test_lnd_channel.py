# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What channels cost, to the satoshi, and which coins they take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bcm.datacenter.plugins.module_utils import _lnd_channel as sut

KINDS = sorted(sut.INPUTS)


def coins(*amounts: int, kind: str = "TAPROOT_PUBKEY") -> list[sut.Coin]:
    return [sut.Coin(f"{index:064x}", 0, amount, kind) for index, amount in enumerate(amounts)]


@pytest.mark.parametrize(
    ("kind", "rate", "fee"),
    # What lnd 0.20.1 paid for channels on regtest, by the wallet's own word.
    [("TAPROOT_PUBKEY", 3, 462), ("TAPROOT_PUBKEY", 2, 308)],
)
def test_fees_are_those_that_lnd_pays(kind: str, rate: int, fee: int) -> None:
    found = sut.payment(coins(2_000_000, kind=kind), 500_000, rate)
    assert found is not None
    assert (found.fee, found.change) == (fee, 1_500_000 - fee)


def test_the_largest_are_taken_first_and_no_more_than_needed() -> None:
    found = sut.payment(coins(100_000, 300_000, 200_000), 400_000, 1)
    assert found is not None
    assert [coin.amount for coin in found.coins] == [300_000, 200_000]


def test_change_that_is_dust_goes_to_the_fee() -> None:
    without = sut.fee_of(sut.FRAME + sut.OUTPUT + sut.INPUTS["TAPROOT_PUBKEY"], 1)
    found = sut.payment(coins(100_000 + without + 300), 100_000, 1)
    assert found is not None
    assert (found.fee, found.change) == (without + 300, 0)
    assert sut.payment(coins(100_000 + without - 1), 100_000, 1) is None


@given(
    st.lists(st.tuples(st.integers(1, 10**9), st.sampled_from(KINDS)), max_size=12),
    st.integers(sut.SMALLEST, 10**9),
    st.integers(1, 1000),
)
def test_not_a_satoshi_is_lost_or_made(amounts: list[tuple[int, str]], amount: int, rate: int) -> None:
    all_coins = [sut.Coin(f"{index:064x}", 0, value, kind) for index, (value, kind) in enumerate(amounts)]
    found = sut.payment(all_coins, amount, rate)
    if found is None:
        weight = sut.FRAME + sut.OUTPUT + sum(sut.INPUTS[coin.kind] for coin in all_coins)
        # Fewer of them might do, where a small one costs more than it is worth; largest first, none of these did.
        assert not all_coins or sum(coin.amount for coin in all_coins) < amount + sut.fee_of(weight, rate)
        return
    assert sum(coin.amount for coin in found.coins) == amount + found.fee + found.change
    assert found.change == 0 or found.change >= sut.DUST
    assert found.fee >= sut.fee_of(sut.FRAME + sut.OUTPUT + min(sut.INPUTS.values()), rate)
    assert sum(coin.amount for coin in found.coins[:-1]) < amount + found.fee


@pytest.mark.parametrize(("sat_per_kw", "rate"), [(0, 1), (250, 1), (251, 2), (253, 2), (6250, 25), (6251, 26)])
def test_rates_are_rounded_up(sat_per_kw: int, rate: int) -> None:
    assert sut.rate_of(sat_per_kw) == rate


def test_onions_carry_a_checksum() -> None:
    good = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion"
    assert sut.onion_is_sound(good)
    assert not sut.onion_is_sound(good.replace("pg6", "pg7"))
    assert not sut.onion_is_sound("expyuzz4wqqyqhjn.onion")
    key = "02" + "bb" * 32
    assert sut.peer_of(f"{key.upper()}@{good.upper()}") == (key, f"{good}:9735")
    assert sut.peer_of(f"{key}@[::1]:9736") == (key, "[::1]:9736")
    assert sut.peer_of(key) == (key, None)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("0:openchannel:shortchanid-1:bcm-friend", "friend"),
        ("bcm-a.b_c-d", "a.b_c-d"),
        ("0:openchannel:shortchanid-1", ""),
        ("my own: bcm-x is not it", ""),
        ("", ""),
    ],
)
def test_names_in_labels(label: str, name: str) -> None:
    assert sut.name_in(label) == name


def test_a_label_is_completed_only_when_lnd_is_done_with_it() -> None:
    assert sut.label_with("0:openchannel", "a") == ""
    assert sut.label_with("0:openchannel:shortchanid-5", "a") == "0:openchannel:shortchanid-5:bcm-a"
    assert sut.label_with("0:openchannel:shortchanid-5:bcm-a", "a") == ""


def test_what_is_not_known_to_be_play_money_is_real() -> None:
    assert not sut.is_mainnet("regtest")
    for network in ("mainnet", "", "None", "signet2"):
        assert sut.is_mainnet(network)
