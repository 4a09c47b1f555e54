# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of a cluster by what it and its tool say of it."""

from __future__ import annotations

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_cluster import (
    Expected,
    Vote,
    broker_findings,
    holdings,
    note,
    read_votes,
    setting_findings,
    topic_findings,
    vote_findings,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_topic import Partition, Topic

NOW = 1_700_000_000_000
# As MetadataQuorumCommand of Kafka 4.3 prints it: columns of its own width.
TABLE = f"""\
NodeId\tDirectoryId           \tLogEndOffset\tLag\tLastFetchTimestamp\tLastCaughtUpTimestamp\tStatus  \t
1002  \tb-DwmhtOheTqZzPoh52kfA\t5000        \t0  \t{NOW}     \t{NOW}        \tLeader  \t
1001  \tILZ5MPTeRWakmJu99uBJCA\t4998        \t2  \t{NOW - 200}     \t{NOW - 200}        \tFollower\t
1003  \tg42deArWBTRM5A1yuVpMCg\t5000        \t0  \t{NOW - 100}     \t{NOW - 100}        \tFollower\t
"""
ALL = (1001, 1002, 1003)


def votes(**statuses):
    return [Vote(int(key[1:]), f"dir{key}", 0, NOW, status) for key, status in statuses.items()]


THREE = votes(n1001="Follower", n1002="Leader", n1003="Follower")


def part(number=0, leader=1001, replicas=ALL, in_sync=ALL):
    return Partition(number, leader, replicas, in_sync)


def test_the_tools_table():
    found = read_votes(TABLE)
    assert [(vote.id, vote.status, vote.lag) for vote in found] == [
        (1002, "Leader", 0),
        (1001, "Follower", 2),
        (1003, "Follower", 0),
    ]
    assert found[1].directory == "ILZ5MPTeRWakmJu99uBJCA"
    assert vote_findings(found, Expected(controllers=ALL)) == []


def test_what_is_no_table_is_said_to_be_none():
    with pytest.raises(ValueError, match="no table of controllers in: Connection refused"):
        read_votes("Connection refused\n")


def test_a_cluster_in_which_nothing_is_wrong():
    assert broker_findings(ALL, [Topic("t", [part()])], Expected(brokers=ALL)) == []
    assert note(ALL, THREE) == "3 brokers, 3 controllers, 1002 leads"
    assert note([1001], votes(n1001="Leader")) == "1 broker, 1 controller, 1001 leads; without redundancy"
    assert note([1001, 1002], votes(n1001="Leader")).endswith("2 brokers, 1 controller, 1001 leads; without redundancy")
    assert note([1001, 1002], []) == "2 brokers"


def test_brokers_and_what_they_hold():
    topics = [Topic("t", [part(0, 1001, in_sync=(1001, 1002)), part(1, -1, (1003,), (1003,))])]
    assert broker_findings((1001, 1002), topics, Expected(brokers=ALL)) == [
        "broker 1003 is not there",
        "t-1 cannot be read or written: no replica that is in sync is there",
        "t-0 has fewer replicas in sync than it should",
    ]


def test_who_may_be_away_is_not_missed():
    topics = [Topic("t", [part(0, 1001, in_sync=(1001, 1002)), part(1, -1, (1003,), (1003,))])]
    assert broker_findings((1001, 1002), topics, Expected(brokers=ALL, apart_from=(1003,))) == []
    # Another one that lags behind is.
    topics = [Topic("t", [part(0, 1001, in_sync=(1001,))])]
    assert broker_findings(ALL, topics, Expected(brokers=ALL, apart_from=(1003,))) != []


def test_many_partitions_are_not_all_named():
    topics = [Topic("t", [part(number, in_sync=(1001,)) for number in range(9)])]
    assert broker_findings(ALL, topics, Expected()) == [
        "t-0, t-1, t-2 and 6 more has fewer replicas in sync than it should"
    ]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (votes(n1001="Follower", n1002="Follower"), "no controller leads"),
        (votes(n1001="Leader", n1002="Follower"), "controller 1003 has no vote, and is not there"),
        (votes(n1001="Leader", n1002="Follower", n1003="Observer"), "controller 1003 has no vote yet"),
        # It began anew, and what it was before is not taken for silent yet.
        ([*THREE, Vote(1003, "new", 0, NOW, "Observer")], "controller 1003 has no vote yet"),
        ([*THREE, *votes(n1501="Follower")], "controller 1501 has a vote and is not declared"),
        (
            [*THREE, Vote(1001, "old", 900, 0, "Follower")],
            "controller 1001 has a vote for a volume that it has no more",
        ),
        ([*THREE[:2], THREE[2]._replace(last_fetch=NOW - 20_000)], "controller 1003 has been silent for 20 s"),
        ([*THREE[:2], THREE[2]._replace(lag=5000)], "controller 1003 is 5000 records behind"),
        ([*THREE[:2], THREE[2]._replace(last_fetch=-1)], "controller 1003 is 0 records behind"),
    ],
)
def test_votes(found, words):
    assert words in vote_findings(found, Expected(controllers=ALL))


def test_the_one_that_is_restarted_may_be_silent():
    found = [*THREE[:2], THREE[2]._replace(last_fetch=NOW - 20_000)]
    assert vote_findings(found, Expected(controllers=ALL, apart_from=(1003,))) == []
    assert vote_findings(THREE[:2], Expected(controllers=ALL, apart_from=(1003,))) == []


def test_settings_that_are_not_in_force():
    expected = Expected(settings=(("min.insync.replicas", "2"),))
    found = {1001: {"min.insync.replicas": "2"}, 1002: {"min.insync.replicas": "1"}}
    assert setting_findings(found, expected) == ["min.insync.replicas is 1 on broker 1002, and should be 2"]
    assert setting_findings({1001: found[1001]}, expected) == []


def test_topics_that_would_lose_what_others_would_not():
    expected = Expected(replicas=3, in_sync=2)
    topics = [Topic("audit", [part(), part(1)]), Topic("alerts", [part(), part(1, replicas=(1001,), in_sync=(1001,))])]
    in_force = {"audit": "1", "alerts": "2", "strict": "3"}
    assert topic_findings(topics, in_force, expected) == [
        "alerts (1) has fewer replicas than 3",
        "min.insync.replicas of audit (1) is lower than 2",
    ]
    assert topic_findings(topics, in_force, Expected()) == []
    many = [Topic(f"t{number}", [part(replicas=(1001, 1002))]) for number in range(5)]
    assert topic_findings(many, {}, expected) == ["t0 (2), t1 (2), t2 (2) and 2 more has fewer replicas than 3"]


def test_what_each_broker_holds():
    found = holdings({1001: "a:1"}, [Topic("t", [part(0, 1001, (1001, 1003), (1001,)), part(1, -1, (1003,), (1003,))])])
    assert found == [
        {"id": 1001, "address": "a:1", "there": True, "leads": 1, "replicas": 1, "in_sync": 1},
        {"id": 1003, "address": None, "there": False, "leads": 0, "replicas": 2, "in_sync": 1},
    ]
