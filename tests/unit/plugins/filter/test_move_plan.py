# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.bcm.datacenter.plugins.filter.move_plan import move_plan

SINCE, LATER = "2026-05-01T10:00:00Z", "2026-05-01T11:00:00Z"
DISK = {"name": "bitcoin-1-bitcoin", "pool": "p", "path": "/srv/bitcoin"}


def instance(location: str = "rack-3", status: str = "Running", move: str = "", **more: Any) -> dict[str, Any]:
    devices = {
        "root": {"type": "disk", "path": "/", "pool": "p"},
        "bitcoin": {"type": "disk", "pool": "p", "source": DISK["name"], "path": DISK["path"]},
    }
    config = {"user.bcm.move": move} if move else {}
    return {
        "name": "bitcoin-1",
        "location": location,
        "status": status,
        "last_used_at": SINCE,
        "devices": devices,
        "config": config,
        **more,
    }


def volume(location: str, copy: str = "", **more: Any) -> dict[str, Any]:
    config = {"user.bcm.instance": "bitcoin-1", **({"user.bcm.copy": copy} if copy else {})}
    return {"name": DISK["name"], "pool": "p", "location": location, "config": config, "used_by": [], **more}


def at(location: str) -> dict[str, str]:
    return {"name": DISK["name"], "pool": "p", "location": location}


def test_one_that_runs_is_copied_and_moved() -> None:
    plan = move_plan(instance(), [volume("rack-3")], "rack-1")
    assert (plan["findings"], plan["moves"], plan["unfinished"], plan["resumes"]) == ([], True, False, False)
    assert (plan["token"], plan["copies"], plan["outdated"], plan["leftovers"]) == (SINCE, [DISK], [], [])


def test_one_that_is_there_is_left_alone() -> None:
    plan = move_plan(instance("rack-1", "Stopped"), [volume("rack-1")], "rack-1")
    assert (plan["findings"], plan["moves"], plan["unfinished"], plan["copies"]) == ([], False, False, [])


def test_one_that_does_not_run_cannot_be_told_to_work_afterwards() -> None:
    plan = move_plan(instance(status="Stopped"), [volume("rack-3")], "rack-1")
    assert plan["findings"] == [
        "instance bitcoin-1 is Stopped. It has to run before it is moved, so that it can be told afterwards whether it works there: "
        "start it, or delete it"
    ]
    assert "rack-3 does not answer" in move_plan(instance(status="Error"), [volume("rack-3")], "rack-1")["findings"][0]


def test_a_copy_that_was_interrupted_is_made_again() -> None:
    stopped = instance(status="Stopped", move=f"rack-3 {SINCE}")
    plan = move_plan(stopped, [volume("rack-3"), volume("rack-1", "begun")], "rack-1")
    assert plan["resumes"]
    assert (plan["findings"], plan["outdated"], plan["copies"]) == ([], [at("rack-1")], [DISK])


def test_a_whole_copy_is_kept_as_long_as_the_instance_has_not_run_since() -> None:
    volumes = [volume("rack-3"), volume("rack-1", SINCE)]
    plan = move_plan(instance(status="Stopped", move=f"rack-3 {SINCE}"), volumes, "rack-1")
    assert (plan["resumes"], plan["outdated"], plan["copies"]) == (True, [], [])
    # It runs again: the machine was restarted, or somebody did it.
    plan = move_plan(instance(move=f"rack-3 {SINCE}", last_used_at=LATER), volumes, "rack-1")
    assert (plan["resumes"], plan["token"]) == (False, LATER)
    assert (plan["outdated"], plan["copies"]) == ([at("rack-1")], [DISK])
    # It has run, and was stopped again.
    plan = move_plan(instance(status="Stopped", move=f"rack-3 {SINCE}", last_used_at=LATER), volumes, "rack-1")
    assert not plan["resumes"]
    assert len(plan["findings"]) == 1


def test_a_copy_on_a_member_that_was_chosen_before_goes() -> None:
    stopped = instance(status="Stopped", move=f"rack-3 {SINCE}")
    plan = move_plan(stopped, [volume("rack-3"), volume("rack-2", SINCE)], "rack-1")
    assert (plan["outdated"], plan["copies"]) == ([at("rack-2")], [DISK])


def test_one_that_has_arrived_keeps_what_it_had_until_it_is_known_to_work() -> None:
    moved = instance("rack-1", "Stopped", move=f"rack-3 {SINCE}")
    plan = move_plan(moved, [volume("rack-3"), volume("rack-1", SINCE)], "rack-1")
    assert (plan["findings"], plan["unfinished"], plan["moves"]) == ([], True, False)
    assert (plan["token"], plan["leftovers"], plan["marked"], plan["copies"]) == (
        SINCE,
        [at("rack-3")],
        [at("rack-1")],
        [],
    )
    # Started meanwhile, it is still what was written on its volumes that is looked for.
    assert move_plan({**moved, "status": "Running", "last_used_at": LATER}, [], "rack-1")["token"] == SINCE
    # Interrupted between the last steps.
    plan = move_plan(moved, [volume("rack-1")], "rack-1")
    assert (plan["findings"], plan["unfinished"], plan["leftovers"], plan["marked"]) == ([], True, [], [])


def test_a_move_that_was_given_up_is_tidied_up() -> None:
    here = instance(status="Stopped", move=f"rack-3 {SINCE}")
    plan = move_plan(here, [volume("rack-3"), volume("rack-1", "begun")], "rack-3")
    assert (plan["findings"], plan["unfinished"], plan["moves"]) == ([], True, False)
    assert (plan["outdated"], plan["leftovers"], plan["copies"]) == ([at("rack-1")], [], [])


def test_what_only_a_person_can_know_is_asked() -> None:
    both = [volume("rack-3"), volume("rack-1")]
    assert "Only you can know" in move_plan(instance(), both, "rack-1")["findings"][0]
    # It has arrived with something that was never said to be whole.
    moved = instance("rack-1", move=f"rack-3 {SINCE}")
    plan = move_plan(moved, [volume("rack-3"), volume("rack-1", "begun")], "rack-1")
    assert (len(plan["findings"]), plan["leftovers"]) == (1, [])
    assert "is not on rack-3" in move_plan(instance(), [volume("rack-1")], "rack-1")["findings"][0]
    used = ["/1.0/instances/bitcoin-1?project=x", "/1.0/instances/web-1?project=x"]
    assert "is used by web-1 too" in move_plan(instance(), [volume("rack-3", used_by=used)], "rack-1")["findings"][0]


def test_a_copy_with_less_on_it_is_told() -> None:
    stopped = instance(status="Stopped", move=f"rack-3 {SINCE}")
    for have, told in ((2**30, 1), (3 * 2**30, 0), (None, 0)):
        plan = move_plan(stopped, [volume("rack-3", used=3 * 2**30), volume("rack-1", "begun", used=have)], "rack-1")
        assert len(plan["smaller"]) == told
