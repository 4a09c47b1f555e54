# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two lnd with one seed lose money: who may run, as those say who keep the fence."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import pytest
from bcm_lnd import fence
from bcm_lnd.config import Config
from bcm_lnd.fence import MARGIN, Said, judge

LEASE = 900
OLD = LEASE + MARGIN


def said(config: Config, *numbers: int | str | None, age: float = OLD) -> list[Said]:
    """What keepers say: a number, None for none, a word for why they say nothing."""
    answers = []
    for keeper, number in zip(config.keepers, numbers, strict=False):
        silent = isinstance(number, str)
        answers.append(Said(keeper, None if silent else number, age, None, str(number) if silent else ""))
    return answers


@pytest.mark.parametrize(
    ("own", "numbers", "confirmed", "reason"),
    [
        (1, [1, 1, 1], True, ""),
        (1, [1, 1, "away"], True, ""),
        (
            1,
            [1, "away", "away"],
            False,
            "1 of 3 who keep the fence say that number 1 is the current one, and 2 must: .*manager-2: away",
        ),
        (1, ["away", "away", "away"], False, "0 of 3"),
        # One that knows of a restore is enough to stay down, whatever the others say.
        (1, [1, 1, 2], False, "this volume has number 1 and 2 is the current one.*stays down for ever"),
        (1, [2, "away", "away"], False, "stays down for ever"),
        # The new one needs more than half.
        (2, [2, 1, 1], False, "1 of 3.*manager-2 knows number 1"),
        (2, [2, 2, 1], True, ""),
        (2, [2, None, None], False, "manager-2 knows number none"),
        (None, [1, 1, 1], False, "has no number"),
        (1, [1], True, ""),
        (1, [1, "away"], False, "1 of 2"),
        (1, [], False, "0 of 0"),
    ],
)
def test_who_may_run(config: Config, own: int | None, numbers: list[Any], confirmed: bool, reason: str) -> None:
    verdict = judge(own, said(config, *numbers), LEASE)
    assert verdict.confirmed is confirmed
    assert re.search(reason, verdict.reason)


def test_never_are_two_confirmed_at_once(config: Config) -> None:
    """Whatever keepers know and whoever is away: an old and a new lnd are not both told that they may run."""
    for numbers in product([1, 2, "away"], repeat=3):
        for heard in product([True, False], repeat=3):
            # Each of the two hears of its own part of the keepers.
            one = [number if ear else "away" for number, ear in zip(numbers, heard, strict=True)]
            other = ["away" if ear else number for number, ear in zip(numbers, heard, strict=True)]
            for first, second in ((one, other), (numbers, numbers), (one, numbers), (numbers, other)):
                old, new = judge(1, said(config, *first), LEASE), judge(2, said(config, *second), LEASE)
                assert not (old.confirmed and new.confirmed), (first, second)


def test_a_new_one_waits_for_the_old_one_that_nobody_reaches(config: Config) -> None:
    verdict = judge(2, said(config, 2, 2, 2, age=60.0), LEASE)
    assert not verdict.confirmed
    assert "for 960 s at most" in verdict.reason
    assert judge(2, said(config, 2, 2, 2, age=LEASE + MARGIN), LEASE).confirmed
    # The very first has nobody before it.
    assert judge(1, said(config, 1, 1, 1, age=0.0), LEASE).confirmed
    # It is as old as more than half say, not as the oldest says.
    mixed = [*said(config, 2, age=OLD), *said(config, 2, 2, age=1.0)[1:], *said(config, 2, 2, 2, age=1.0)[2:]]
    assert not judge(2, mixed, LEASE).confirmed


def test_the_entry_point_is_told_what_was_heard_when_it_was_asked(config: Config) -> None:
    assert fence.confirm(config, said(config, 1, 1, 1), 1000.9).confirmed
    assert config.confirmation.read_text() == "1 1000\n"
    # Nobody answers: what it was told grows old.
    fence.confirm(config, said(config, "away", "away", "away"), 2000.0)
    assert config.confirmation.read_text() == "1 1000\n"
    # A restore: it is told at once.
    fence.confirm(config, said(config, 1, 1, 2), 3000.0)
    assert config.confirmation.read_text() == "2 3000\n"
