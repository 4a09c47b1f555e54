# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""What is known of Kafka: its topics, its sizes, who is a member of it and by which number."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bcm.datacenter.plugins.module_utils import _sizes
from ansible_collections.bcm.datacenter.plugins.module_utils._sizes import GIB, MIB

# Where its makers publish all of their releases.
DOWNLOADS = "https://archive.apache.org/dist/kafka"
# The volume that the stack brings with it.
VOLUME = {"name": "kafka", "path": "/srv/kafka"}

# The first release in which a new controller joins the quorum by itself.
OLDEST = (4, 2)
# Of so many of its makers the role knows the keys, and of these releases it is known that another one has signed, by this key.
SIGNERS = 2
STRANGERS = {"4.2.0": "3F66597F0116FD68"}
# As many replicas as a topic has where there are brokers enough, and as many controllers.
REPLICAS = 3
CONTROLLERS = 3

# Which lines of the site a topic is for. What a person declares beyond them is for the person's own use.
# Of "state" the last record of each key is kept, for ever: it is what a program remembers.
CLASSES = ("system", "service", "audit", "alert", "state", "other")

TOPIC = r"[a-z0-9]([a-z0-9._-]{0,98}[a-z0-9])?"
CLIENT = r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?"
# Who has rights without being granted any: the brokers and controllers themselves, and who administrates them.
NODE, ADMIN = "kafka-node", "kafka-admin"


@dataclass(frozen=True)
class TopicFacts:
    """A topic that is always there."""

    kind: str
    partitions: int
    retention: str
    size: str


OWN_TOPIC = TopicFacts("other", 3, "7d", "64MiB")
TOPICS = {
    "logs.system": TopicFacts("system", 6, "14d", "256MiB"),
    "logs.service": TopicFacts("service", 6, "14d", "256MiB"),
    "audit": TopicFacts("audit", 3, "400d", "256MiB"),
    "alerts": TopicFacts("alert", 1, "90d", "64MiB"),
    # One partition: who reads it works, and nobody else.
    "alerts.state": TopicFacts("state", 1, "90d", "32MiB"),
}


@dataclass(frozen=True)
class Rights:
    """What a client may do: a name that ends with a star is the beginning of names."""

    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    # Whether it may write several things as one, under its own name.
    transactions: bool = False


CLIENTS = {
    "log-shipper": Rights(writes=("logs.*", "audit")),
    "log-reader": Rights(reads=("logs.*", "audit", "alerts")),
    "log-alerts": Rights(
        writes=("alerts", "alerts.state"), reads=("logs.*", "audit", "alerts", "alerts.state"), transactions=True
    ),
}

# Of the volume, what is left free: a topic is cut only every five minutes, and a database that grows is seen in time.
FREE_SHARE = 1, 5
# Metadata, and the topics that Kafka has for itself: what consumer groups have read, transactions.
OVERHEAD = 1 * GIB

_HOURS = {"h": 1, "d": 24}
RETENTION = r"[1-9][0-9]{0,4}[hd]"


def milliseconds(retention: str) -> int:
    """Return how long RETENTION is, such as 36h or 90d."""
    return int(retention[:-1]) * _HOURS[retention[-1]] * 3600 * 1000


def segment(size: int) -> int:
    """Return the size of a file of a partition that may hold SIZE: what is deleted is always a whole file, and never the last."""
    return max(1 * MIB, min(size // 4, 64 * MIB))


def replicas(brokers: int) -> int:
    """Return how many replicas a topic has."""
    return min(REPLICAS, brokers)


def plain(topic: str) -> str:
    """Return what the name of TOPIC is where dots and underscores are one: Kafka makes no second topic of which that is the same."""
    return topic.replace(".", "_")


def in_sync(brokers: int) -> int:
    """Return how many replicas must have a line before it is acknowledged: of three, one may be lost, and nothing stops."""
    return max(1, replicas(brokers) - 1)


def controllers(hosts: int) -> int:
    """Return how many of so many hosts are controllers: an odd number, for an even one bears no more losses."""
    return min(CONTROLLERS, hosts - 1 + hosts % 2)


def partitions_held(partitions: int, brokers: int) -> int:
    """Return how many of so many partitions of a topic one of so many brokers holds at the most.

    A partition is whole on each broker that has a replica of it. Kafka gives each partition of a new topic to the next brokers in turn, one
    further each time (StripedReplicaPlacer): of as many as there are brokers each holds equally many, of the rest one may hold all that
    it can.
    """
    rounds, rest = divmod(partitions, brokers)
    return rounds * replicas(brokers) + min(rest, replicas(brokers))


def topics_size(topics: Mapping[str, Mapping[str, Any]], brokers: int) -> int:
    """Return how many bytes of TOPICS lie on one of so many brokers at the most, where they were made on so many.

    Topics that were made when there were fewer brokers stay where they are: each of these holds what it held then.
    """
    total = 0
    for topic in topics.values():
        size = _sizes.to_bytes(topic["size"])
        total += (size + segment(size)) * partitions_held(topic["partitions"], brokers)
    return total


def volume_minimum(topics: Mapping[str, Mapping[str, Any]], brokers: int) -> int:
    """Return how large the volume of each broker must be."""
    used, parts = topics_size(topics, brokers) + OVERHEAD, FREE_SHARE[1] - FREE_SHARE[0]
    return -(-used * FREE_SHARE[1] // parts)


def release(version: str) -> tuple[int, int]:
    """Return the first two numbers of VERSION.

    :raises ValueError: it has none.
    """
    match = re.match(r"^(\d+)\.(\d+)(\.|$)", str(version))
    if not match:
        raise ValueError(f"{version!r} is not a version, such as 4.3.0")
    return int(match.group(1)), int(match.group(2))


# What a separate controller's number has on top of that of its host. Indexes of a tier go to 250.
CONTROLLER_OFFSET = 500


def members(
    brokers: Sequence[str], separate: Sequence[str] | None, hostvars: Mapping[str, Mapping[str, Any]], domain: str
) -> list[dict[str, Any]]:
    """Return all processes of Kafka: those on BROKERS, and where SEPARATE names hosts, controllers of their own on these.

    HOSTVARS says the number and the addresses of each host.
    """
    result = []
    combined = [] if separate is not None else list(brokers[: controllers(len(brokers))])
    for host in brokers:
        roles = ["broker", "controller"] if host in combined else ["broker"]
        result.append(_member(host, host, roles, hostvars[host], domain, 0))
    for host in (separate or [])[: controllers(len(separate or []))]:
        result.append(_member(f"{host}-controller", host, ["controller"], hostvars[host], domain, CONTROLLER_OFFSET))
    return result


def _member(
    name: str, host: str, roles: list[str], variables: Mapping[str, Any], domain: str, offset: int
) -> dict[str, Any]:
    return {
        "name": name,
        "host": host,
        "id": variables["bcm_number"] + offset,
        "roles": roles,
        "dns": f"{host}.{domain}",
        "address": variables["bcm_addresses"]["cluster"],
    }
