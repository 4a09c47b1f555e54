# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules by which lines become alerts, as a declaration says them."""

from __future__ import annotations

import re

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.filter.alert_rules import alert_rules
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _alerts

RULES = "stacks.kafka.alerts.rules"


def alerts(**rules):
    return {"stacks": {"kafka": {"alerts": {"rules": rules}}}}


def test_rules_that_are_always_there(site):
    found = site({}).variables["bcm_stacks"]["kafka"]["alerts"]
    assert found["enabled"]
    assert set(found["rules"]) == set(_alerts.RULES)
    assert {name for name, rule in found["rules"].items() if rule["severity"] == "critical"} == {
        "bitcoin-corrupt",
        "lightning-fence",
        "silent-host",
    }


def test_a_rule_is_tuned_another_one_added_and_one_switched_off(site):
    found = site(
        alerts(
            **{
                "login-refused": {"count": 3, "severity": "critical"},
                "tor-trouble": {"enabled": False},
                "mine": {"text": "it fails", "sources": ["app"], "within": "1h"},
            }
        )
    ).variables["bcm_stacks"]["kafka"]["alerts"]["rules"]
    assert (found["login-refused"]["count"], found["login-refused"]["within"]) == (3, "10m")
    assert found["login-refused"]["pattern"] == _alerts.RULES["login-refused"].pattern
    told = {rule["name"]: rule for rule in alert_rules(found)}
    assert set(told) == {*_alerts.RULES, "mine"} - {"tor-trouble"}
    assert told["mine"] == {
        "name": "mine",
        "kind": "lines",
        "severity": "warning",
        "text": "it fails",
        "sources": ["app"],
        "per": "host",
        "count": 1,
        "within": 3600,
        "quiet": 900,
    }


def test_all_of_them_can_be_switched_off(site):
    found = site({"stacks": {"kafka": {"alerts": {"enabled": False}}}}).variables
    assert not found["bcm_stacks"]["kafka"]["alerts"]["enabled"]


def test_what_a_role_is_told_alone_is_laid_over_the_same_rules():
    assert {rule["name"] for rule in alert_rules({})} == set(_alerts.RULES)
    (found,) = [
        rule for rule in alert_rules({"disk-nearly-full": {"above": 80, "until": None}}) if rule["kind"] == "value"
    ]
    assert (found["above"], found["until"]) == (80, 80)
    (found,) = [rule for rule in alert_rules({"mine": {"text": "x", "priority": "err"}}) if rule["name"] == "mine"]
    assert found["priority"] == 3


def test_every_pattern_is_one_and_means_no_empty_line():
    for rule in _alerts.RULES.values():
        for pattern in filter(None, (rule.pattern, rule.resolved_by)):
            assert not re.search(pattern, "")


WRONG = [
    ({"mine": {"pattern": "x"}}, "mine.text: is missing; allowed: what such an alert says, in one line"),
    ({"mine": {"text": "x"}}, "mine.pattern: is missing, and all lines would do: nothing says which are meant"),
    ({"mine": {"text": "x", "pattern": "("}}, "mine.pattern = (: cannot be read: missing ), unterminated subpattern"),
    (
        {"mine": {"text": "x", "pattern": "a*"}},
        "mine.pattern = a*: fits every line; allowed: a pattern that needs some text",
    ),
    ({"mine": {"text": "x", "pattern": "x", "resolved_by": "b?"}}, "mine.resolved_by = b?: fits every line"),
    (
        {"mine": {"text": "x", "kind": "loud"}},
        "mine.kind = loud: is not known; allowed: lines, distinct, value, silent",
    ),
    (
        {"mine": {"text": "x", "pattern": "x", "above": 3}},
        "mine.above = 3: has no meaning for the kind lines; allowed: null, or the kind value",
    ),
    (
        {"mine": {"text": "x", "kind": "value", "pattern": "x", "above": 3}},
        "mine.pattern = x: does not say where the number is",
    ),
    (
        {"mine": {"text": "x", "kind": "value", "pattern": "(?P<value>x)"}},
        "mine.above: is missing, and the kind value needs it",
    ),
    (
        {"mine": {"text": "x", "kind": "distinct", "count": 3}},
        "mine.of: is missing, and the kind distinct needs it; allowed: boot, container",
    ),
    ({"mine": {"text": "x", "kind": "distinct", "of": "boot"}}, "mine.count = 1: is there as soon as anything is"),
    (
        {"disk-nearly-full": {"until": 95}},
        "disk-nearly-full.until = 95: is above 90, so that the alert would end as soon as it begins",
    ),
    ({"silent-host": {"pattern": "x"}}, "silent-host.pattern = x: has no meaning for the kind silent"),
    ({"silent-host": {"priority": "err"}}, "silent-host.priority = err: has no meaning for the kind silent"),
    ({"silent-host": {"within": "30s"}}, "silent-host.within = 30s: is too short for a silence; allowed: at least 60s"),
    ({"silent-host": {"count": 2}}, "silent-host.count = 2: has no meaning for the kind silent; allowed: 1"),
    (
        {"login-refused": {"within": "8d"}},
        "login-refused.within = 8d: is longer than anything is remembered; allowed: at most 7d",
    ),
    (
        {"login-refused": {"within": "soon"}},
        "login-refused.within = soon: has the wrong form; allowed: seconds, minutes, hours or days",
    ),
    (
        {"login-refused": {"count": 1000}},
        "login-refused.count = 1000: is too large; allowed: a whole number from 1 to 100",
    ),
    ({"login-refused": {"limit": 3}}, "login-refused.limit: is not a key that is known here"),
    ({"login-refused": {"severity": "bad"}}, "login-refused.severity = bad: is not known; allowed: warning, critical"),
    ({"login-refused": {"hosts": ["a b"]}}, "login-refused.hosts[0] = a b: has the wrong form"),
    ({"Mine": {"text": "x", "pattern": "x"}}, "Mine: the name has the wrong form"),
]


@pytest.mark.parametrize(("rules", "words"), WRONG)
def test_wrong_rules_are_refused_before_anything_is_touched(wrong, rules, words):
    found = wrong(alerts(**rules))
    assert len(found) == 1
    assert f"{RULES}.{words}" in found[0]


@pytest.mark.parametrize(("rules", "words"), WRONG)
def test_a_role_that_is_told_wrong_ones_says_the_same(rules, words):
    with pytest.raises(AnsibleFilterError) as caught:
        alert_rules(rules)
    assert f"rules.{words}" in str(caught.value)


class Tagged(str):
    """As Ansible marks what it has read."""

    __slots__ = ()


def test_what_ansible_has_marked_is_read_too():
    with pytest.raises(AnsibleFilterError, match=r"rules.mine.pattern = \(: cannot be read"):
        alert_rules({Tagged("mine"): {"text": Tagged("x"), "pattern": Tagged("(")}})


def test_tiers_are_those_of_the_site(wrong, site):
    (found,) = wrong(alerts(**{"silent-host": {"tiers": ["managr"]}}))
    assert "silent-host.tiers[0] = managr: is no tier of this site (did you mean manager?); allowed: " in found
    site(alerts(**{"silent-host": {"tiers": ["man*", "endpoint"]}}))
