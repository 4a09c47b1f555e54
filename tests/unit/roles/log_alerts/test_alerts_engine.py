# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From lines and the passing of time to alerts."""

from __future__ import annotations

import pytest
from bcm_alerts.cases import MOST, Case, Name, case_from
from bcm_alerts.engine import FORGET

from ansible_collections.bcm.datacenter.tests.unit.roles.log_alerts.telling import NOW, Teller, engine, line, rule


def test_an_alert_is_raised_once_and_resolved_once():
    teller = Teller(rule(pattern="fail", quiet=60))
    assert teller.say("all is well") == []
    assert teller.say("it failed", 1) == ["raised mine/manager-1"]
    assert teller.say("it failed", 2) == teller.say("it failed", 30) == []
    assert teller.wait(89) == []
    assert teller.wait(90) == ["resolved mine/manager-1"]
    assert teller.wait(200) == []
    assert teller.say("it failed", 300) == ["raised mine/manager-1"]


def test_what_it_says():
    teller = Teller(rule(pattern="fail", quiet=60, count=2, within=600))
    teller.say("it failed", 0)
    (raised,) = teller.engine.take(line(7, "it failed again", 120), NOW + 120)
    assert raised == {
        "v": 1,
        "site": "home",
        "alert": "mine/manager-1",
        "state": "raised",
        "rule": "mine",
        "severity": "warning",
        "host": "manager-1",
        "time": "2026-11-29T18:32:00.000000Z",
        "since": "2026-11-29T18:32:00.000000Z",
        "lines": 2,
        "text": "manager-1: it fails: 2 times within 10 minutes",
        "message": "it failed again",
    }
    assert teller.engine.open() == [raised]
    (resolved,) = teller.engine.tick(NOW + 180, NOW)
    assert resolved["reason"] == "nothing like it for 1 minute"
    assert (resolved["since"], resolved["time"]) == (raised["since"], "2026-11-29T18:33:00.000000Z")
    assert teller.engine.open() == []


def test_so_many_within_a_time():
    teller = Teller(rule(pattern="x", count=3, within=10))
    assert [teller.say("x", at) for at in (0, 6, 12)] == [[], [], []]
    assert teller.say("x", 15) == ["raised mine/manager-1"]


def test_a_line_that_comes_twice_counts_once():
    teller = Teller(rule(pattern="x", count=2, quiet=5))
    assert teller.say("x", 0, number=1) == teller.say("x", 0, number=1) == []
    assert teller.say("x", 1, number=2) == ["raised mine/manager-1"]
    assert teller.wait(10) == ["resolved mine/manager-1"]
    # Also when it is over: the shipper began again with what was not acknowledged.
    assert teller.say("x", 0, number=1) == teller.say("x", 1, number=2) == []
    assert teller.open() == []


def test_lines_before_an_alert_was_over_are_not_counted_for_the_next():
    teller = Teller(rule(pattern="x", count=3, within=600, quiet=5))
    for at in (0, 1, 2):
        teller.say("x", at)
    assert teller.wait(10) == ["resolved mine/manager-1"]
    assert teller.say("x", 20) == teller.say("x", 21) == []
    assert teller.say("x", 22) == ["raised mine/manager-1"]


def test_what_a_host_tells_late_is_open_as_long_as_what_it_tells_at_once():
    """An alert that is over within a second nobody sees."""
    teller = Teller(rule(pattern="x", quiet=60))
    assert teller.say("x", -7200) == ["raised mine/manager-1"]
    assert teller.wait(59) == []
    assert teller.wait(60) == ["resolved mine/manager-1"]


def test_a_clock_that_is_behind_makes_no_alert_that_comes_and_goes():
    teller = Teller(rule(pattern="x", count=2, within=600, quiet=60))
    told = []
    for number in range(1, 10):
        now = NOW + number * 30
        told += teller.engine.take(line(number, "x", number * 30 - 7200), now) + teller.engine.tick(now + 1, NOW)
    assert teller.words(told) == ["raised mine/manager-1"]
    assert teller.wait(9 * 30 + 60) == ["resolved mine/manager-1"]


def test_a_loss_that_is_told_late_is_one_of_now():
    """The time of what tells it is that of the first line that was not lost."""
    teller = Teller(rule(pattern="were removed", quiet=86400))
    (raised,) = teller.engine.take(line(1, "5 entries were removed", -7 * 86400, event="lost"), NOW)
    assert raised["since"] == "2026-11-29T18:30:00.000000Z"
    assert teller.wait(86399) == []
    assert teller.wait(86400) == ["resolved mine/manager-1"]


def test_what_was_remembered_before_it_was_known_when_it_came_is_over_too():
    cases = {Name("mine", "manager-1"): case_from({"since": NOW, "last": NOW, "host": "manager-1"})}
    assert Teller(rule(pattern="x", quiet=60), cases=cases).wait(60) == ["resolved mine/manager-1"]


def test_a_clock_that_is_ahead_holds_nothing_open():
    teller = Teller(rule(pattern="x", quiet=60))
    told = line(1, "x", 86400)
    assert teller.engine.take(told, NOW)[0]["time"] == "2026-11-29T18:30:00.000000Z"
    assert teller.wait(60) == ["resolved mine/manager-1"]


@pytest.mark.parametrize(
    ("per", "expected"),
    [
        ("host", ["mine/bitcoin-1", "mine/manager-1"]),
        ("source", ["mine/bitcoin-1/web.1", "mine/bitcoin-1/web.2", "mine/manager-1/app.service"]),
        ("site", ["mine"]),
    ],
)
def test_what_is_counted_by_itself(per, expected):
    teller = Teller(rule(pattern="x", per=per))
    teller.say("x")
    for slot in ("1", "2"):
        teller.say("x", host="bitcoin-1", tier="bitcoin", source="web", service="web", slot=slot)
    assert sorted(teller.open()) == expected


def test_what_a_line_is_about_is_counted_by_itself():
    teller = Teller(rule(pattern=r"^(?P<about>\S+) failed", count=2))
    assert teller.say("one failed") == teller.say("two failed") == []
    assert teller.say("one failed") == ["raised mine/manager-1/one"]
    (found,) = teller.engine.open()
    assert (found["about"], found["text"]) == ("one", "manager-1, one: it fails: 2 times within 10 minutes")


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ({"hosts": ["manager-*"]}, True),
        ({"hosts": ["bitcoin-*"]}, False),
        ({"tiers": ["manager"]}, True),
        ({"tiers": ["endpoint"]}, False),
        ({"classes": ["system", "audit"]}, True),
        ({"classes": ["service"]}, False),
        ({"sources": ["app"]}, True),
        ({"sources": ["app.service"]}, True),
        ({"sources": ["ap?"]}, True),
        ({"sources": ["other"]}, False),
        ({"priority": 4}, False),
        ({"priority": 6}, True),
        ({"pattern": "thing"}, True),
        ({"pattern": "^thing"}, False),
    ],
)
def test_whom_a_rule_is_about(said, fits):
    assert bool(Teller(rule(**said)).say("some thing")) is fits


def test_its_own_lines_make_no_alerts():
    teller = Teller(rule(pattern="x"))
    assert teller.say("x", unit="bcm-alerts.service", source="bcm-alerts.service") == []


def test_a_line_says_that_it_is_over():
    teller = Teller(rule(pattern=r"(?P<about>\w+) is down", resolved_by="all is up", quiet=9999))
    teller.say("one is down", 1)
    teller.say("two is down", 2)
    teller.say("two is down", 2, host="bitcoin-1", number=2)
    assert sorted(teller.say("all is up", 3)) == ["resolved mine/manager-1/one", "resolved mine/manager-1/two"]
    assert teller.open() == ["mine/bitcoin-1/two"]
    # What was said before does not count any more, although it comes late.
    assert teller.say("one is down", 2.5) == []
    assert teller.say("one is down", 4) == ["raised mine/manager-1/one"]


def test_a_line_of_before_does_not_say_that_it_is_over():
    teller = Teller(rule(pattern="down", resolved_by="up"))
    teller.say("down", 10)
    assert teller.say("up", 5) == []
    assert teller.say("up", 15) == ["resolved mine/manager-1"]


def test_a_number_that_is_too_high():
    teller = Teller(rule(kind="value", pattern=r"(?P<about>/\S*) (?P<value>\d+) %", above=90, until=85, quiet=9999))
    assert teller.say("/ 90 %", 1) == []
    assert teller.say("/ 91 %", 2) == ["raised mine/manager-1//"]
    assert teller.say("/srv 95 %", 3) == ["raised mine/manager-1//srv"]
    assert teller.engine.open()[0]["text"] == "manager-1, /: it fails: 91, and 90 is the most"
    assert teller.say("/ 99 %", 4) == teller.say("/ 86 %", 5) == []
    assert teller.say("/ 85 %", 6) == ["resolved mine/manager-1//"]
    # What comes once more, or late.
    assert teller.say("/ 99 %", 4) == []
    assert teller.say("/ 92 %", 7) == ["raised mine/manager-1//"]


def test_many_different_values():
    teller = Teller(rule(kind="distinct", of="container", per="source", count=3, within=600, quiet=600))
    # It runs for a long time, and says much.
    for at in range(0, 3000, 100):
        assert teller.say("hello", at, container="first", source="web") == []
    assert teller.say("hello", 3000, container="second", source="web") == []
    assert teller.say("hello", 3001, container="first", source="web") == []
    assert teller.say("hello", 3100, container="third", source="web") == []
    assert teller.say("hello", 3200, container="fourth", source="web") == ["raised mine/manager-1/web"]
    assert teller.say("hello", 3300, source="web") == []
    assert teller.wait(3800) == ["resolved mine/manager-1/web"]


def test_only_what_is_new_is_remembered_of_many_values():
    teller = Teller(rule(kind="distinct", of="container", count=3))
    teller.say("x", container="first")
    assert set(teller.engine.changes()) == {Name("mine", "manager-1")}
    teller.say("y", 1, container="first")
    assert teller.engine.changes() == {}


def test_a_host_that_is_silent():
    teller = Teller(rule(kind="silent", within=60, tiers=["manager", "bitcoin"]))
    teller.say("hello", 10)
    assert teller.wait(59) == []
    assert teller.wait(60) == ["raised mine/bitcoin-1"]
    assert teller.wait(69) == []
    assert teller.wait(70) == ["raised mine/manager-1"]
    assert teller.wait(500) == []
    assert teller.engine.open()[0]["text"] == "bitcoin-1: it fails: nothing for 1 minute"
    # A line that was written long ago is one that comes.
    assert teller.engine.take(line(9, "hello", -9999), NOW + 600)[0]["state"] == "resolved"
    assert teller.wait(659) == []
    assert teller.wait(660) == ["raised mine/manager-1"]


def test_nobody_is_silent_while_nobody_listens():
    teller = Teller(rule(kind="silent", within=60))
    assert teller.wait(1000, listening=950) == []
    assert len(teller.wait(1010, listening=950)) == 3


def test_who_does_not_belong_to_the_site_is_not_missed():
    teller = Teller(rule(kind="silent", within=60), hosts={})
    teller.say("hello")
    assert teller.wait(1000) == []


def test_a_source_that_is_silent():
    teller = Teller(rule(kind="silent", per="source", sources=["app"], within=60))
    assert teller.wait(1000) == []
    teller.say("hello", 1000)
    teller.say("hello", 1000, source="other", unit="other.service", identifier="other")
    assert teller.wait(1060) == ["raised mine/manager-1/app.service"]
    assert teller.wait(1060 + FORGET) == ["resolved mine/manager-1/app.service"]
    assert teller.engine.cases == {}


def test_the_site_is_silent():
    teller = Teller(rule(kind="silent", per="site", sources=["backup"], within=60))
    assert teller.wait(60) == ["raised mine"]
    assert teller.say("done", 61, identifier="backup") == ["resolved mine"]


def test_another_one_goes_on_with_what_was_remembered():
    rules = [rule(pattern="x", count=2), rule(name="quiet", kind="silent", within=60)]
    first = Teller(*rules)
    first.say("x", 0)
    first.wait(60)
    kept = {name: case_from(case.said()) for name, case in first.engine.changes().items() if case is not None}
    second = Teller(*rules, cases=kept)
    assert second.open() == ["quiet/bitcoin-1", "quiet/manager-1", "quiet/server-1"]
    # It has listened for a moment only, and raises none of them again.
    assert second.wait(61, listening=60) == []
    assert sorted(second.say("x", 5, number=2)) == ["raised mine/manager-1", "resolved quiet/manager-1"]
    assert second.open() == ["mine/manager-1", "quiet/bitcoin-1", "quiet/server-1"]


def test_what_was_heard_is_remembered_now_and_then():
    teller = Teller(rule(kind="silent", within=2000), hosts={"manager-1": "manager"})
    remembered = []
    for at in range(0, 200, 10):
        teller.say("hello", at)
        teller.wait(at)
        remembered += [case.last - NOW for case in teller.engine.changes().values()]
    assert remembered == [0, 60, 120, 180]
    # Whoever goes on knows of none of it that it was later, by a twentieth of the time at most.
    kept = {Name("mine", "manager-1"): case_from({"last": NOW + 180})}
    second = Teller(rule(kind="silent", within=2000), hosts={"manager-1": "manager"}, cases=kept, listened=NOW + 190)
    assert second.wait(2000, listening=1000) == second.wait(2989, listening=1000) == []
    assert second.wait(2990, listening=1000) == ["raised mine/manager-1"]


def test_what_is_heard_before_all_was_read_is_not_of_the_future():
    kept = {Name("mine", "manager-1"): case_from({"last": NOW})}
    teller = Teller(rule(kind="silent", within=60), hosts={"manager-1": "manager"}, cases=kept, listened=NOW + 10)
    teller.say("hello", 3600)
    assert teller.wait(3669, listening=3610) == []
    assert teller.wait(3670, listening=3610) == ["raised mine/manager-1"]


def test_a_memory_that_does_not_know_of_silence_says_nothing_of_it():
    kept = {Name("mine", "manager-1/app"): case_from({"last": NOW - 9999})}
    teller = Teller(rule(kind="silent", per="source", within=60), cases=kept)
    assert teller.wait(59) == []
    assert teller.wait(60) == ["raised mine/manager-1/app"]


def test_what_is_declared_no_more_is_over():
    cases = {
        Name("gone", "manager-1"): Case(since=NOW, last=NOW, text="gone"),
        Name("mine", "old-1"): Case(since=NOW, last=NOW, text="old"),
        Name("mine", "manager-1"): Case(since=NOW, last=NOW, text="here"),
        Name("mine", "old-2"): Case(last=NOW),
    }
    found = engine(rule(pattern="x"), cases=cases)
    told = {one["alert"]: one["reason"] for one in found.begin(NOW)}
    assert told == {
        "gone/manager-1": "there is no such rule any more",
        "mine/old-1": "old-1 does not belong to the site any more",
    }
    assert set(found.cases) == {Name("mine", "manager-1")}
    assert len(found.changes()) == 3


def test_what_is_over_is_forgotten_after_a_while():
    teller = Teller(rule(pattern="x", quiet=60))
    teller.say("x")
    teller.wait(60)
    teller.engine.changes()
    teller.wait(3599)
    assert teller.engine.changes() == {}
    teller.wait(3600)
    assert teller.engine.changes() == {Name("mine", "manager-1"): None}


def test_what_is_too_much_is_one():
    teller = Teller(rule(pattern=r"(?P<about>\d+)"))
    for number in range(MOST + 50):
        teller.say(str(number))
    assert len(teller.engine.cases) == MOST + 1
    assert "mine/other" in teller.open()


@pytest.mark.parametrize("message", ["no number", "- %"])
def test_numbers_that_are_none(message):
    teller = Teller(rule(kind="value", pattern=r"(?P<value>\S+) (number|%)", above=1, until=1))
    assert teller.say(message) == []


def test_the_passing_of_time_costs_nothing_where_nothing_is():
    teller = Teller(rule(pattern="x"))
    teller.wait(1000)
    assert teller.engine.changes() == {}
