# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of the channel backup: who gets them, when, and which one comes back."""

from __future__ import annotations

from typing import Any

import pytest
from bcm_lnd import scb
from bcm_lnd.config import Config, TroubleError
from bcm_lnd.fence import Said
from bcm_lnd.scb import Copier, digest

from .conftest import Clock, FakeLnd, FakePlaces

ALL = ["manager-1", "manager-2", "manager-3", "cloud"]


@pytest.fixture
def copier(config: Config, places: FakePlaces, clock: Clock) -> Copier:
    config.backup.write_bytes(b"one channel")
    return Copier(config, places, clock)


def current(copier: Copier) -> list[str]:
    return [name for name, copy in copier.copies.items() if copy.sha256 == copier.current]


def test_each_change_goes_to_all(copier: Copier, config: Config, places: FakePlaces) -> None:
    for content in (b"one channel", b"two channels"):
        config.backup.write_bytes(content)
        copier.send(copier.look() or b"")
        assert places.kept == dict.fromkeys(ALL, content)
        assert current(copier) == ALL
    copier.send(copier.look() or b"")
    assert places.puts == ALL * 2


def test_one_that_is_away_holds_up_no_other_and_gets_it_later(copier: Copier, places: FakePlaces, clock: Clock) -> None:
    places.away = {"manager-2"}
    copier.send(copier.look() or b"")
    assert current(copier) == ["manager-1", "manager-3", "cloud"]
    assert "it is away" in copier.copies["manager-2"].trouble
    places.away.clear()
    # Not at once, so that one that is gone is not asked every second.
    copier.send(copier.look() or b"")
    assert places.puts.count("manager-2") == 1
    clock.now += 31
    copier.send(copier.look() or b"")
    assert current(copier) == ALL
    assert copier.copies["manager-2"].trouble == ""


def test_what_keepers_have_is_known_without_sending_it_again(
    copier: Copier, config: Config, places: FakePlaces, clock: Clock
) -> None:
    content = copier.look() or b""
    there: dict[str, Any] = {"sha256": digest(content), "size": 11, "age": 7.0}
    copier.heard([Said(keeper, 1, 0.0, there) for keeper in config.keepers])
    copier.send(content)
    assert places.puts == ["cloud"]
    assert copier.copies["manager-1"].stored == clock.now - 7
    # One that was set up anew has none any more.
    copier.heard([Said(config.keepers[0], 1, 0.0, None)])
    copier.send(content)
    assert places.puts == ["cloud", "manager-1"]


def test_channels_are_counted_by_lnd(copier: Copier, lnd: FakeLnd, places: FakePlaces) -> None:
    content = copier.look() or b""
    lnd.channels = 3
    copier.count(lnd, content)
    copier.send(content)
    assert [copy.channels for copy in copier.copies.values()] == [3] * 4
    copier.count(lnd, content)
    assert len(lnd.asked) == 1
    # A copy of another time, and one that is none.
    places.kept["cloud"], lnd.channels = b"zero channels", 1
    copier.check(lnd)
    assert (copier.copies["cloud"].channels, copier.copies["cloud"].sha256) == (1, digest(b"zero channels"))
    lnd.refuses["/v1/channels/backup/verify"] = "not of this seed"
    copier.check(lnd)
    assert "not of this seed" in copier.copies["cloud"].trouble


def test_without_tor_nothing_goes_elsewhere(config: Config) -> None:
    import dataclasses

    lonely = dataclasses.replace(config, socks=None)
    with pytest.raises(TroubleError, match="cloud is to be reached through Tor, and this site has none"):
        scb.Places(lonely, lambda *_args: (200, {}, b"")).put(lonely.places[0], b"x")


def test_a_copy_says_whose_number_it_has(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(scb, "context_of_keepers", lambda _config: None)

    def send(*arguments: Any) -> tuple[int, dict[str, str], bytes]:
        sent.append(arguments)
        return 409, {}, b"number 1 is not the current one"

    with pytest.raises(TroubleError, match="manager-1 does not take the copy: number 1 is not the current one"):
        scb.Places(config, send).put(config.keepers[0], b"x")
    url, method, _context, content, headers, proxy = sent[0]
    assert (url, method, content, proxy) == ("https://10.0.0.1:8735/v1/lightning-1/backup", "PUT", b"x", None)
    assert headers["X-Fence"] == "1"


def test_the_one_that_was_stored_last_comes_back(
    config: Config, places: FakePlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = config.keepers

    def heard(*said: Said) -> None:
        monkeypatch.setattr(scb, "ask_all", lambda _config: list(said))

    places.kept = {"manager-1": b"old", "manager-2": b"new", "cloud": b"elsewhere"}
    heard(Said(one, 1, 0.0, {"age": 90.0}), Said(two, 1, 0.0, {"age": 5.0}), Said(three, trouble="away"))
    # Who is silent may have a newer one: only the owner can say that it never answers again.
    with pytest.raises(
        TroubleError, match="a newer copy .*: away. Have it answer.*bcm-lnd restore --without manager-3"
    ):
        scb.newest(config, places)
    with pytest.raises(TroubleError, match="There is no manager-4; there are: manager-1"):
        scb.newest(config, places, ["manager-4"])
    assert scb.newest(config, places, ["manager-3"]) == (b"new", "manager-2")
    # One that knows of its copy, and does not give it, is silent, too.
    heard(Said(one, 1, 0.0, {"age": 90.0}), Said(two, 1, 0.0, {"age": 5.0}), Said(three, 1))
    assert scb.newest(config, places) == (b"new", "manager-2")
    places.away = {"manager-2"}
    with pytest.raises(TroubleError, match="bcm-lnd restore --without manager-2"):
        scb.newest(config, places)
    places.away = set()
    # When it was stored elsewhere is not known: it comes last, and it comes.
    heard(Said(one, trouble="away"), Said(two, trouble="away"), Said(three, 1))
    assert scb.newest(config, places, ["manager-1", "manager-2"]) == (b"elsewhere", "cloud")
    places.away = {"cloud"}
    with pytest.raises(
        TroubleError, match="No copy of the channel backup was found. away; away; cloud does not answer"
    ):
        scb.newest(config, places)
