# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done about a topic, and what is not done unless somebody says so."""

from __future__ import annotations

import json

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_topic import (
    Partition,
    Topic,
    Wish,
    assign,
    compare,
    reassigned,
    reassignment,
)

BROKERS = (1, 2, 3)


# What is in force where a topic says nothing.
CLUSTER = {
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "retention.bytes": "-1",
    "segment.bytes": "1073741824",
}


def topic(partitions=2, replicas=(1, 2, 3), in_sync=None, **settings):
    parts = [Partition(n, replicas[0], tuple(replicas), tuple(in_sync or replicas)) for n in range(partitions)]
    own = {key.replace("_", "."): value for key, value in settings.items()}
    return Topic("t", parts, own, {**CLUSTER, **own})


def test_a_topic_as_it_shall_be_is_left_alone():
    plan = compare(topic(retention_ms="5"), Wish(2, 3, {"retention.ms": "5"}), BROKERS)
    assert not plan.changes
    assert plan.problems == []
    assert not compare(topic(), Wish(), BROKERS).changes


def test_settings_that_are_not_named_stay():
    plan = compare(topic(retention_ms="5", segment_bytes="9"), Wish(settings={"retention.ms": "7"}), BROKERS)
    assert plan.settings == {"retention.ms": "7"}


def test_a_setting_becomes_the_clusters():
    assert compare(topic(segment_bytes="9"), Wish(settings={"segment.bytes": None}), BROKERS).settings == {
        "segment.bytes": None
    }
    assert not compare(topic(), Wish(settings={"segment.bytes": None}), BROKERS).changes


@pytest.mark.parametrize(
    ("have", "want"),
    [
        ({"retention_ms": "100"}, {"retention.ms": "99"}),
        ({"retention_ms": "-1"}, {"retention.ms": "99"}),
        ({"retention_bytes": "-1"}, {"retention.bytes": "1000"}),
        ({"cleanup_policy": "delete"}, {"cleanup.policy": "compact"}),
        ({"cleanup_policy": "compact"}, {"cleanup.policy": "compact,delete"}),
        # It has none of its own, and keeps by the cluster's.
        ({}, {"retention.ms": "1"}),
        ({}, {"retention.bytes": "1000"}),
        ({}, {"cleanup.policy": "compact"}),
        # Of this one nothing was told.
        ({}, {"delete.retention.ms": "1"}),
        # What the cluster will have may be less.
        ({"retention_ms": "100"}, {"retention.ms": None}),
        ({"cleanup_policy": "compact"}, {"cleanup.policy": None}),
    ],
)
def test_nothing_that_is_kept_goes_unless_it_may(have, want):
    refused = compare(topic(**have), Wish(settings=want), BROKERS)
    assert len(refused.problems) == 1
    assert "allow_loss" in refused.problems[0]
    assert compare(topic(**have), Wish(settings=want, allow_loss=True), BROKERS).settings == want


@pytest.mark.parametrize(
    ("have", "want"),
    [
        ({"retention_ms": "100"}, {"retention.ms": "101"}),
        ({"retention_ms": "100"}, {"retention.ms": "-1"}),
        ({}, {"retention.ms": "604800000"}),
        ({}, {"retention.ms": "-1"}),
        ({}, {"cleanup.policy": "delete"}),
        ({"cleanup_policy": "compact,delete"}, {"cleanup.policy": "delete"}),
        ({"segment_bytes": "100"}, {"segment.bytes": "50"}),
    ],
)
def test_what_keeps_more_or_the_same_is_done(have, want):
    assert compare(topic(**have), Wish(settings=want), BROKERS).settings == want


def test_it_is_said_what_is_kept_now_and_by_what():
    assert compare(topic(), Wish(settings={"retention.ms": "1"}), BROKERS).problems == [
        "retention.ms 1 instead of 604800000: lines that are kept now would go at once; allow_loss says that this will do"
    ]
    assert compare(topic(retention_ms="5"), Wish(settings={"retention.ms": None}), BROKERS).problems == [
        "retention.ms the cluster's instead of 5: nobody knows whether lines that are kept now would go; allow_loss says that this will do"
    ]


def test_partitions_are_added_only_where_order_does_not_matter_or_somebody_says_so():
    refused = compare(topic(2), Wish(4), BROKERS)
    assert "allow_reorder" in refused.problems[0]
    assert not refused.changes
    assert compare(topic(2), Wish(4, allow_reorder=True), BROKERS).partitions == 4
    assert compare(topic(2), Wish(4, ordered=False), BROKERS).partitions == 4


def test_partitions_are_never_taken_away():
    for wish in (Wish(1), Wish(1, allow_loss=True, allow_reorder=True, ordered=False)):
        assert "Kafka cannot take any away" in compare(topic(2), wish, BROKERS).problems[0]


def test_more_replicas_take_more_brokers():
    assert compare(topic(1, (1,)), Wish(replicas=3), (1,)).problems == [
        "3 replicas take as many brokers, and there are 1"
    ]
    assert compare(topic(2, (1,)), Wish(replicas=3), BROKERS).assignment == {0: [1, 2, 3], 1: [1, 2, 3]}


def test_fewer_replicas_only_if_they_may_go_and_never_the_leader_or_who_is_in_sync():
    there = topic(1, (2, 1, 3), in_sync=(2, 3))
    assert "allow_loss" in compare(there, Wish(replicas=2), BROKERS).problems[0]
    assert compare(there, Wish(replicas=2, allow_loss=True), BROKERS).assignment == {0: [2, 3]}


def test_new_replicas_go_to_those_who_have_the_fewest():
    parts = [Partition(n, 1, (1,), (1,)) for n in range(4)]
    found = assign(parts, 2, (1, 2, 3))
    assert [sorted(replicas) for replicas in found.values()] == [[1, 2], [1, 3], [1, 2], [1, 3]]
    assert all(replicas[0] == 1 for replicas in found.values())


def test_all_that_is_wrong_is_said_at_once():
    plan = compare(topic(2, retention_ms="9"), Wish(1, 5, {"retention.ms": "1"}), BROKERS)
    assert len(plan.problems) == 3


def test_the_tools_own_form():
    assert json.loads(reassignment("t", {1: [1, 2], 0: [2, 1]})) == {
        "version": 1,
        "partitions": [
            {"topic": "t", "partition": 0, "replicas": [2, 1]},
            {"topic": "t", "partition": 1, "replicas": [1, 2]},
        ],
    }


def test_it_is_through_when_all_have_caught_up_and_nobody_else_is_there():
    assert not reassigned(topic(1, (1, 2, 3), in_sync=(1, 2)), {0: [1, 2, 3]})
    assert not reassigned(topic(1, (1, 2, 3)), {0: [1, 2]})
    assert not reassigned(topic(1, (1, 2, 3)), {5: [1, 2, 3]})
    assert reassigned(topic(1, (1, 2, 3)), {0: [3, 2, 1]})
