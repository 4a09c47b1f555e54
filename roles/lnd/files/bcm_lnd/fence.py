# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fence: is this volume the one whose lnd may run? Asked of those who are elsewhere, of whom more than half must say so."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .config import Config, Keeper, write
from .rest import SilentError, context_of_keepers, send

Object = dict[str, Any]

# Seconds between clocks, and from the end of a confirmation to the end of the lnd that had it.
MARGIN = 120
# Seconds of these in which an lnd that was told to stop has to have stopped.
STOP = 45


@dataclasses.dataclass(frozen=True)
class Said:
    """What one keeper says, or why it says nothing."""

    keeper: Keeper
    number: int | None = None
    # Seconds since it was told this number.
    age: float = 0.0
    backup: Object | None = None
    trouble: str = ""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether this volume is the current one, and if not, why nobody knows or who is."""

    confirmed: bool
    number: int | None
    reason: str


def ask(config: Config, keeper: Keeper) -> Said:
    try:
        status, _headers, content = send(f"{keeper.url}/v1/{config.node}", "GET", context_of_keepers(config))
    except (SilentError, OSError) as error:
        return Said(keeper, trouble=str(error))
    try:
        told = json.loads(content)
        if status != 200:
            return Said(keeper, trouble=f"{keeper.name} answers: {told.get('error', status)}")
        number = told["number"]
        return Said(keeper, None if number is None else int(number), float(told["age"]), told.get("backup"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Said(keeper, trouble=f"{keeper.name} answers in a way that is not understood")


def ask_all(config: Config) -> list[Said]:
    with ThreadPoolExecutor(max_workers=max(1, len(config.keepers))) as threads:
        return list(threads.map(lambda keeper: ask(config, keeper), config.keepers))


def judge(own: int | None, said: list[Said], lease: int) -> Verdict:
    """Whether the volume with the number OWN may be used, after what keepers have SAID.

    A restore gives the next number to more than half of them before it is used, so that no two majorities know different ones.
    """
    if own is None:
        return Verdict(False, None, "this volume has no number")
    numbers = [one.number for one in said if one.number is not None]
    newer = [number for number in numbers if number > own]
    if newer:
        words = f"this volume has number {own} and {max(newer)} is the current one: its lnd was restored elsewhere, and this one stays down for ever"
        return Verdict(False, max(newer), words)
    agree = [one for one in said if one.number == own]
    most = len(said) // 2 + 1
    if len(agree) < most:
        silent = [f"{one.keeper.name}: {one.trouble}" for one in said if one.trouble]
        behind = [
            f"{one.keeper.name} knows number {one.number or 'none'}"
            for one in said
            if not one.trouble and one.number != own
        ]
        words = f"{len(agree)} of {len(said)} who keep the fence say that number {own} is the current one, and {most} must: {'; '.join(silent + behind)}"
        return Verdict(False, own, words)
    # The lnd that had the number before may run on for as long as it has been confirmed for, where nobody reaches it.
    youngest = sorted((one.age for one in agree), reverse=True)[most - 1]
    if own > 1 and youngest < lease + MARGIN:
        rest = int(lease + MARGIN - youngest)
        return Verdict(
            False,
            own,
            f"the lnd that was here before may still run where nobody reaches it, for {rest} s at most; then this one starts",
        )
    return Verdict(True, own, "")


def confirm(config: Config, said: list[Said], asked: float) -> Verdict:
    """Tell the entry point what was heard when it was ASKED, if there is something to tell. What is not confirmed anew grows old."""
    verdict = judge(config.own_number(), said, config.lease)
    if verdict.number is not None and (verdict.confirmed or verdict.number != config.own_number()):
        write(config.confirmation, f"{verdict.number} {int(asked)}\n", 0o644)
    return verdict


def over(config: Config, now: float) -> bool:
    """Whether this volume's lnd must not run any more, as the entry point sees it."""
    try:
        number, stamp = config.confirmation.read_text().split()[:2]
        return int(number) != config.own_number() or not 0 <= now - int(stamp) <= config.lease
    except (FileNotFoundError, ValueError):
        return True
