# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.bcm.datacenter.plugins.filter.swarm_votes import swarm_votes


def said(**states: str) -> str:
    """What a manager says: m1="Ready Leader", w1="Down"."""
    lines = []
    for host, state in states.items():
        status, _space, manager = state.partition(" ")
        lines.append(json.dumps({"ID": f"id-{host}", "Hostname": host, "Status": status, "ManagerStatus": manager}))
    return "\n".join(lines)


THREE = {"m1": "Ready Leader", "m2": "Ready Reachable", "m3": "Ready Reachable", "w1": "Ready"}


def asked(*answers: Any) -> list[dict[str, Any]]:
    return [
        {"item": f"m{n}", **({"rc": 0, "stdout": answer} if isinstance(answer, str) else answer)}
        for n, answer in enumerate(answers, 1)
    ]


@pytest.mark.parametrize(
    ("states", "without", "majority"),
    [
        (THREE, ["m3"], True),
        (THREE, ["w1"], True),
        (THREE, ["m2", "m3"], False),
        ({**THREE, "m2": "Down Unreachable"}, ["m3"], False),
        # The one that is down anyway is not missed.
        ({**THREE, "m2": "Down Unreachable"}, ["m2"], True),
        ({"m1": "Ready Leader"}, ["m1"], False),
    ],
)
def test_majority(states: dict[str, str], without: list[str], majority: bool) -> None:
    assert swarm_votes(asked(said(**states)), without)["majority"] is majority


def test_who_is_asked() -> None:
    gone = {"unreachable": True, "msg": "no route"}
    votes = swarm_votes(asked(gone, {"rc": 1, "stdout": ""}, said(**THREE)), ["w1"])
    assert (votes["speaker"], votes["ready"]) == ("m3", True)
    # Rather another one than one that is about to stop.
    assert swarm_votes(asked(said(**THREE), said(**THREE)), ["m1"])["speaker"] == "m2"
    assert swarm_votes(asked(said(**THREE)), ["m1"])["speaker"] == "m1"
    nobody = swarm_votes(asked(gone, {"rc": 1, "stdout": "", "stderr": "the swarm does not have a leader"}), ["m1"])
    assert (nobody["speaker"], nobody["majority"], nobody["ready"], nobody["nodes"]) == ("", False, False, [])


def test_nodes_that_are_lost() -> None:
    votes = swarm_votes(asked(said(**{**THREE, "m3": "Down Unreachable", "w1": "Down"})), ["m3", "w1"])
    assert votes["nodes"] == [
        {"id": "id-m3", "host": "m3", "manager": True, "ready": False},
        {"id": "id-w1", "host": "w1", "manager": False, "ready": False},
    ]
    assert (votes["left"], votes["ready"]) == (["m1", "m2"], False)


def test_a_manager_is_ready_when_it_votes() -> None:
    assert not swarm_votes(asked(said(**{**THREE, "m3": "Ready Unreachable"})), ["m3"])["ready"]
    assert swarm_votes(asked(said(**THREE)), ["m3"])["ready"]
    assert not swarm_votes(asked(said(**THREE)), ["m4"])["ready"]
