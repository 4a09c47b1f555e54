# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bcm.datacenter.plugins.filter.leader import leader

HAS: dict[str, Any] = {"projects": [{"name": "bcm-home"}]}
NOT: dict[str, Any] = {"projects": []}
OFF: dict[str, Any] = {"unreachable": True, "msg": "Task failed: no route to host."}
NO_LXD: dict[str, Any] = {"failed": False, "msg": "the socket does not exist."}
LEFT_OUT = None


def find(*answers: dict[str, Any] | None, **options: Any) -> dict[str, Any]:
    names = [f"rack-{number}" for number in range(1, len(answers) + 1)]
    hostvars = {
        name: {} if answer is None else {"leader_answer": answer} for name, answer in zip(names, answers, strict=True)
    }
    return leader(names, hostvars, "home", **options)


def test_the_first_leads_when_all_are_there() -> None:
    assert find(HAS, HAS, HAS) == {"leader": "rack-1", "silent": [], "words": ""}
    # Also where the site stands nowhere yet.
    assert find(NOT, NOT, NOT) == {"leader": "rack-1", "silent": [], "words": ""}


def test_the_next_one_takes_over() -> None:
    found = find(OFF, HAS, HAS)
    assert (found["leader"], found["silent"]) == ("rack-2", ["rack-1"])
    assert found["words"] == "rack-1 does not answer (no route to host). rack-2 leads this run."
    assert find(OFF, OFF, HAS)["leader"] == "rack-3"


def test_others_that_are_away_are_named() -> None:
    found = find(HAS, HAS, OFF)
    assert (found["leader"], found["silent"]) == ("rack-1", ["rack-3"])
    assert found["words"] == "rack-3 does not answer (no route to host)."


@pytest.mark.parametrize(
    ("first", "words"),
    [
        # Installed anew, or of a cluster of its own.
        (NOT, "LXD on rack-1 does not have the site. rack-2 leads this run."),
        (NO_LXD, "LXD on rack-1 does not answer (the socket does not exist). rack-2 leads this run."),
        (LEFT_OUT, "rack-1 was not asked. rack-2 leads this run."),
    ],
)
def test_who_has_not_the_site_does_not_lead(first: dict[str, Any] | None, words: str) -> None:
    found = find(first, HAS, HAS)
    assert (found["leader"], found["silent"], found["words"]) == ("rack-2", [], words)


@pytest.mark.parametrize("missing", [OFF, NO_LXD, LEFT_OUT])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_site_is_not_begun_where_it_may_stand_elsewhere(missing: dict[str, Any] | None, place: int) -> None:
    answers: list[dict[str, Any] | None] = [NOT, NOT, NOT]
    answers[place] = missing
    found = find(*answers)
    assert found["leader"] == ""
    assert "none that was asked has site home in its LXD" in found["words"]
    assert f"may stand in the LXD of rack-{place + 1}, and is not begun" in found["words"]


def test_a_rehearsal_on_machines_without_lxd() -> None:
    assert find(NO_LXD, NO_LXD, NO_LXD, rehearsal=True)["leader"] == "rack-1"
    assert find(NO_LXD, HAS, NO_LXD, rehearsal=True)["leader"] == "rack-2"
    assert find(OFF, NO_LXD, NO_LXD, rehearsal=True)["leader"] == ""


def test_who_leaves_does_not_lead() -> None:
    assert find(HAS, HAS, HAS, without="rack-1") == {"leader": "rack-2", "silent": [], "words": ""}
    assert find(HAS, HAS, HAS, without="rack-2")["leader"] == "rack-1"
    assert find(NOT, NOT, NOT, without="rack-1")["leader"] == "rack-2"
    # Lost for good.
    assert find(OFF, HAS, HAS, without="rack-1")["leader"] == "rack-2"


def test_who_leaves_is_the_only_one() -> None:
    found = find(HAS, NOT, NOT, without="rack-1")
    assert found["leader"] == ""
    assert found["words"] == (
        "No endpoint can lead, and nothing was touched: none that was asked has site home in its LXD, but for rack-1, which "
        "is to leave. LXD on rack-2 does not have the site. LXD on rack-3 does not have the site."
    )
