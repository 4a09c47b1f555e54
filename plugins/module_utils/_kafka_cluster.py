# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: it may change in any release.

"""How a Kafka is as a whole, put into words: who is there, who has a vote, and which lines have fewer copies than they should."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_topic import Topic

# A controller that has not asked the leader for so long is not there. It asks at least twice a second.
SILENT_MS = 10_000
# So many records behind it is on its way, and no more: some are written every second.
BEHIND = 200
# The setting that says how many replicas must have what is acknowledged. A topic may have a value of its own.
IN_SYNC = "min.insync.replicas"


class Vote(t.NamedTuple):
    """One line of what Kafka's own tool says of its quorum."""

    id: int
    directory: str
    lag: int
    last_fetch: int
    status: str


@dataclass(frozen=True)
class Expected:
    """What a cluster shall be."""

    brokers: tuple[int, ...] = ()
    controllers: tuple[int, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    # Of each topic: as many replicas, and of those so many that must have what is acknowledged.
    replicas: int = 0
    in_sync: int = 0
    # Who may be away: what follows from that is no finding.
    apart_from: tuple[int, ...] = ()


def read_votes(table: str) -> list[Vote]:
    """What the tool prints, C(quorum describe --replication).

    :raises ValueError: it is not that.
    """
    rows = [line.split() for line in table.splitlines() if line.strip()]
    heads = [row for row in rows if row[0] == "NodeId"]
    if not heads:
        raise ValueError(f"no table of controllers in: {table.strip()[-300:]}")
    columns = {name: position for position, name in enumerate(heads[0])}
    votes = []
    for row in rows[rows.index(heads[0]) + 1 :]:
        value = {name: row[position] for name, position in columns.items()}
        votes.append(
            Vote(
                int(value["NodeId"]),
                value["DirectoryId"],
                int(value["Lag"]),
                int(value["LastFetchTimestamp"]),
                value["Status"],
            )
        )
    return votes


def _listed(numbers: t.Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def broker_findings(brokers: t.Collection[int], topics: t.Sequence[Topic], expected: Expected) -> list[str]:
    """What is wrong with brokers and with what they hold."""
    findings = []
    apart = set(expected.apart_from)
    missing = set(expected.brokers) - set(brokers) - apart
    if missing:
        findings.append(f"broker {_listed(missing)} is not there")
    offline, behind = [], []
    for topic in topics:
        for one in topic.partitions:
            if one.leader not in brokers:
                if set(one.replicas) - apart:
                    offline.append(f"{topic.name}-{one.number}")
            elif set(one.replicas) - set(one.in_sync) - apart:
                behind.append(f"{topic.name}-{one.number}")
    if offline:
        findings.append(f"{_some(offline)} cannot be read or written: no replica that is in sync is there")
    if behind:
        findings.append(f"{_some(behind)} has fewer replicas in sync than it should")
    return findings


def _some(names: t.Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def vote_findings(votes: t.Sequence[Vote], expected: Expected) -> list[str]:
    """What is wrong with the quorum of controllers."""
    findings = []
    voters = [one for one in votes if one.status in ("Leader", "Follower")]
    leaders = [one for one in voters if one.status == "Leader"]
    if not leaders:
        return ["no controller leads"]
    now = leaders[0].last_fetch
    apart = set(expected.apart_from)
    known = {one.id for one in voters}
    # Who began anew may still have the vote of the volume that it had.
    joining = {one.id for one in votes if one.status == "Observer"} & set(expected.controllers) - apart
    if joining:
        findings.append(f"controller {_listed(joining)} has no vote yet")
    gone = set(expected.controllers) - known - joining - apart
    if gone:
        findings.append(f"controller {_listed(gone)} has no vote, and is not there")
    strangers = known - set(expected.controllers)
    if expected.controllers and strangers:
        findings.append(f"controller {_listed(strangers)} has a vote and is not declared")
    twice = {one.id for one in voters if [other.id for other in voters].count(one.id) > 1}
    if twice:
        findings.append(f"controller {_listed(twice)} has a vote for a volume that it has no more")
    for one in voters:
        if one.id in apart or one.status == "Leader":
            continue
        if 0 <= one.last_fetch < now - SILENT_MS:
            findings.append(f"controller {one.id} has been silent for {(now - one.last_fetch) // 1000} s")
        elif one.last_fetch < 0 or one.lag > BEHIND:
            findings.append(f"controller {one.id} is {one.lag} records behind")
    return findings


def setting_findings(found: t.Mapping[int, t.Mapping[str, str]], expected: Expected) -> list[str]:
    """Which settings are in force with another value than they should."""
    findings = []
    for key, value in expected.settings:
        others = {number: settings.get(key) for number, settings in found.items() if settings.get(key) != value}
        if others:
            said = ", ".join(f"{has} on broker {number}" for number, has in sorted(others.items()))
            findings.append(f"{key} is {said}, and should be {value}")
    return findings


def topic_findings(topics: t.Sequence[Topic], in_force: t.Mapping[str, str], expected: Expected) -> list[str]:
    """Which topics would lose what others would not. IN_FORCE says of each how many replicas must have what is acknowledged there."""
    findings = []
    few = [f"{one.name} ({one.replicas})" for one in topics if one.replicas < expected.replicas]
    if few:
        findings.append(f"{_some(few)} has fewer replicas than {expected.replicas}")
    low = [f"{name} ({value})" for name, value in sorted(in_force.items()) if int(value) < expected.in_sync]
    if low:
        findings.append(f"{IN_SYNC} of {_some(low)} is lower than {expected.in_sync}")
    return findings


def holdings(brokers: t.Mapping[int, str], topics: t.Sequence[Topic]) -> list[dict[str, t.Any]]:
    """Each broker that is there or that a partition names, with how much it holds."""
    counts: dict[int, dict[str, int]] = {}
    for one in (partition for topic in topics for partition in topic.partitions):
        for kind, numbers in (("leads", [one.leader]), ("replicas", one.replicas), ("in_sync", one.in_sync)):
            for number in numbers:
                counts.setdefault(number, {"leads": 0, "replicas": 0, "in_sync": 0})[kind] += 1
    counts.pop(-1, None)
    none = {"leads": 0, "replicas": 0, "in_sync": 0}
    return [
        {"id": number, "address": brokers.get(number), "there": number in brokers, **counts.get(number, none)}
        for number in sorted({*brokers, *counts})
    ]


def note(brokers: t.Collection[int], votes: t.Sequence[Vote]) -> str:
    """What is to be known of a cluster in which nothing is wrong."""
    voters = [one for one in votes if one.status in ("Leader", "Follower")]
    said = f"{len(brokers)} broker{'s' if len(brokers) != 1 else ''}"
    if voters:
        leader = next((one.id for one in voters if one.status == "Leader"), None)
        said += f", {len(voters)} controller{'s' if len(voters) != 1 else ''}, {leader} leads"
    # Of two brokers one is the only controller, and without it nothing goes on.
    return f"{said}; without redundancy" if len(brokers) < 2 or len(voters) == 1 else said
