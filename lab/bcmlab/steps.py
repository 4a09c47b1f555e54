# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps that wait for each other, run side by side where they can, and say what they do and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from .config import LabError

# A step returns what it did in a few words, or an empty text if all was there already.
Action = Callable[[], str]


@dataclass(frozen=True)
class Step:
    """One thing to bring about."""

    name: str
    action: Action
    after: Sequence[str] = ()


def run_steps(steps: Sequence[Step], say: Callable[[str], None], threads: int = 4) -> dict[str, str]:
    """Run all steps. The first failure stops what has not begun; what runs is waited for."""
    done: dict[str, str] = {}
    failed: dict[str, BaseException] = {}
    waiting = list(steps)
    running: dict[Future[tuple[str, float]], Step] = {}

    def timed(step: Step) -> tuple[str, float]:
        began = time.monotonic()
        return step.action(), time.monotonic() - began

    with ThreadPoolExecutor(max_workers=threads) as pool:
        while waiting or running:
            ready = [step for step in waiting if all(name in done for name in step.after)]
            if failed or (not ready and not running):
                waiting = []
            for step in [] if failed else ready:
                waiting.remove(step)
                running[pool.submit(timed, step)] = step
            if not running:
                break
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                step = running.pop(future)
                error = future.exception()
                if error is not None:
                    failed[step.name] = error
                    say(f"  {step.name:<22} failed: {error}")
                    continue
                what, seconds = future.result()
                done[step.name] = what
                say(f"  {step.name:<22} {what or 'is there':<58} {seconds:6.1f} s")
    for name, error in failed.items():
        if isinstance(error, LabError):
            raise LabError(f"{name}: {error}") from error
        raise error
    missing = [step.name for step in steps if step.name not in done]
    if missing:
        raise LabError(f"steps wait for each other or for a step that does not exist: {', '.join(missing)}")
    return done
