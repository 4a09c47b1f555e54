# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From rules to grants, and what of them is given and taken."""

from __future__ import annotations

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_acl import Grant, described, difference, wanted

READ = Grant("topic", "logs.", "prefixed", "read", "allow", "*")
WRITE = READ._replace(operation="write")


def rule(**other):
    base = {
        "resource": "topic",
        "name": "logs.",
        "pattern": "prefixed",
        "operations": ["read"],
        "permission": "allow",
        "host": "*",
    }
    return {**base, **other}


def test_a_rule_is_a_grant_for_each_operation():
    assert wanted([rule(operations=["read", "write"]), rule()]) == {READ, WRITE}
    assert wanted([]) == set()


def test_a_cluster_has_one_name():
    found = wanted([rule(resource="cluster", name=None, pattern="literal", operations=["create"])])
    assert {(one.resource, one.name, one.pattern) for one in found} == {("cluster", "kafka-cluster", "literal")}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"name": None}, "a rule about a topic needs a name"),
        ({"resource": "cluster"}, "a cluster has no other name than kafka-cluster"),
        ({"resource": "cluster", "name": "kafka-cluster"}, "no beginning of one"),
    ],
)
def test_refused(other, words):
    with pytest.raises(ValueError, match=words):
        wanted([rule(**other)])


def test_what_is_not_wanted_any_more_is_taken_only_where_rules_are_all():
    assert difference({READ}, {WRITE}, True) == ([WRITE], [READ])
    assert difference({READ}, {WRITE}, False) == ([WRITE], [])
    assert difference({READ}, {READ}, True) == ([], [])


def test_in_words_and_in_values():
    assert READ.sentence() == "allow read on topic logs.*"
    assert WRITE._replace(permission="deny", host="10.0.0.1").sentence() == "deny write on topic logs.* from 10.0.0.1"
    assert described([WRITE, READ]) == [READ._asdict(), WRITE._asdict()]
