# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: it may change in any release.

"""A topic as it is and as it shall be: what there is to do, and what is not done unless somebody says so."""

from __future__ import annotations

import json
import typing as t
from collections import Counter
from dataclasses import dataclass, field

# Settings by which lines go earlier when their value is lowered. Less than nothing means: never.
_KEEPS = ("retention.ms", "retention.bytes", "delete.retention.ms")


class Partition(t.NamedTuple):
    """One part of a topic. Without a leader, that is -1."""

    number: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


@dataclass
class Topic:
    """A topic as it is."""

    name: str
    partitions: list[Partition]
    # Those of its own, and all that are in force, which it has from the cluster where it has none.
    settings: dict[str, str] = field(default_factory=dict)
    in_force: dict[str, str] = field(default_factory=dict)

    @property
    def replicas(self) -> int:
        """As many as each of its partitions has at least."""
        return min((len(one.replicas) for one in self.partitions), default=0)

    def described(self) -> dict[str, t.Any]:
        return {
            "partitions": len(self.partitions),
            "replication_factor": self.replicas,
            "config": dict(sorted(self.settings.items())),
        }


@dataclass
class Wish:
    """A topic as it shall be. What is None stays as it is; a setting that is None becomes the cluster's."""

    partitions: int | None = None
    replicas: int | None = None
    settings: dict[str, str | None] = field(default_factory=dict)
    ordered: bool = True
    allow_loss: bool = False
    allow_reorder: bool = False


@dataclass
class Plan:
    """What there is to do about a topic that is there."""

    problems: list[str] = field(default_factory=list)
    partitions: int | None = None
    assignment: dict[int, list[int]] = field(default_factory=dict)
    settings: dict[str, str | None] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        return bool(self.partitions or self.assignment or self.settings)


def compare(topic: Topic, wish: Wish, brokers: t.Sequence[int]) -> Plan:
    """What there is to do so that TOPIC becomes WISH, on BROKERS."""
    plan = Plan()
    _compare_partitions(topic, wish, plan)
    _compare_replicas(topic, wish, brokers, plan)
    _compare_settings(topic, wish, plan)
    return plan


def _compare_partitions(topic: Topic, wish: Wish, plan: Plan) -> None:
    have, want = len(topic.partitions), wish.partitions
    if want is None or want == have:
        return
    if want < have:
        plan.problems.append(f"it has {have} partitions, and Kafka cannot take any away: {want} takes a new topic")
    elif wish.ordered and not wish.allow_reorder:
        plan.problems.append(
            f"{want} partitions instead of {have} would send the lines of a source elsewhere, before and behind those that are there: "
            "allow_reorder says that this will do, ordered=false that it never matters"
        )
    else:
        plan.partitions = want


def _compare_replicas(topic: Topic, wish: Wish, brokers: t.Sequence[int], plan: Plan) -> None:
    if wish.replicas is None:
        return
    if wish.replicas > len(brokers):
        plan.problems.append(f"{wish.replicas} replicas take as many brokers, and there are {len(brokers)}")
        return
    fewer = [one.number for one in topic.partitions if len(one.replicas) > wish.replicas]
    if fewer and not wish.allow_loss:
        plan.problems.append(f"{wish.replicas} replicas are fewer than it has: allow_loss says that this will do")
        return
    plan.assignment = assign(topic.partitions, wish.replicas, brokers)


def assign(partitions: t.Sequence[Partition], replicas: int, brokers: t.Sequence[int]) -> dict[int, list[int]]:
    """New replicas for those PARTITIONS that have more or fewer than REPLICAS. Those that are there stay, as far as there is room for them.

    The first of a partition leads it as a rule, so it stays the first.
    """
    load = Counter(dict.fromkeys(sorted(brokers), 0))
    load.update(broker for one in partitions for broker in one.replicas)
    result = {}
    for one in partitions:
        if len(one.replicas) == replicas:
            continue
        # Where some have to go: rather those that lag behind, and never the one that leads.
        kept = sorted(one.replicas, key=lambda broker, one=one: (broker != one.leader, broker not in one.in_sync))  # type: ignore[misc]
        chosen = [broker for broker in one.replicas if broker in kept[:replicas]]
        free = [broker for broker in brokers if broker not in chosen]
        while len(chosen) < replicas:
            least = min(free, key=lambda broker: (load[broker], broker))
            free.remove(least)
            chosen.append(least)
            load[least] += 1
        result[one.number] = chosen
    return result


def _compare_settings(topic: Topic, wish: Wish, plan: Plan) -> None:
    for key, value in sorted(wish.settings.items()):
        have = topic.settings.get(key)
        if value == have:
            continue
        before = topic.in_force.get(key) if have is None else have
        loss = _loses(key, before, value)
        if loss and not wish.allow_loss:
            wanted = "the cluster's" if value is None else value
            plan.problems.append(f"{key} {wanted} instead of {before}: {loss}; allow_loss says that this will do")
        else:
            plan.settings[key] = value


def _loses(key: str, have: str | None, want: str | None) -> str:
    """Why lines would be lost by another value than that which is in force, empty if none would."""
    if key != "cleanup.policy" and key not in _KEEPS:
        return ""
    if have is None or want is None:
        return "nobody knows whether lines that are kept now would go"
    if key == "cleanup.policy":
        return "" if set(have.split(",")) >= set(want.split(",")) else "lines that are kept now would go"
    try:
        before, after = int(have), int(want)
    except ValueError:
        return ""
    if after >= 0 and (before < 0 or after < before):
        return "lines that are kept now would go at once"
    return ""


def reassignment(topic: str, assignment: t.Mapping[int, t.Sequence[int]]) -> str:
    """ASSIGNMENT as Kafka's own tool reads it."""
    partitions = [
        {"topic": topic, "partition": number, "replicas": list(replicas)}
        for number, replicas in sorted(assignment.items())
    ]
    return json.dumps({"version": 1, "partitions": partitions})


def reassigned(topic: Topic, assignment: t.Mapping[int, t.Sequence[int]]) -> bool:
    """Whether each partition has its new replicas, and no others, and all of them have what the leader has."""
    there = {one.number: one for one in topic.partitions}
    return all(
        number in there and set(there[number].replicas) == set(replicas) and set(there[number].in_sync) == set(replicas)
        for number, replicas in assignment.items()
    )
