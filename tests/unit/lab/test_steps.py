# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps wait for each other, and a failure stops what has not begun."""

from __future__ import annotations

import threading

import pytest
from bcmlab.config import LabError
from bcmlab.steps import Step, run_steps


def quiet(text: str) -> None:
    """Say nothing."""


def test_order_and_what_was_done() -> None:
    seen: list[str] = []

    def does(name: str) -> str:
        seen.append(name)
        return f"did {name}"

    steps = [
        Step("c", lambda: does("c"), ["a", "b"]),
        Step("a", lambda: does("a")),
        Step("b", lambda: does("b"), ["a"]),
    ]
    assert run_steps(steps, quiet) == {"a": "did a", "b": "did b", "c": "did c"}
    assert seen == ["a", "b", "c"]


def test_independent_steps_run_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def meets() -> str:
        meeting.wait()
        return ""

    assert set(run_steps([Step("a", meets), Step("b", meets)], quiet)) == {"a", "b"}


def test_a_failure_names_its_step_and_stops_the_rest() -> None:
    ran: list[str] = []

    def fails() -> str:
        raise LabError("no room")

    def never() -> str:
        ran.append("never")
        return ""

    with pytest.raises(LabError, match=r"^first: no room$"):
        run_steps([Step("first", fails), Step("second", never, ["first"])], quiet)
    assert not ran


def test_a_step_that_waits_for_nobody() -> None:
    with pytest.raises(LabError, match="wait for each other or for a step that does not exist: a"):
        run_steps([Step("a", str, ["missing"])], quiet)
