# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""What may stand beside Kafka in a site: Kafka Connect, and doors for people and programs that do not speak Kafka. All of it is off by default.

Each has a name of its own in Kafka, topics of its own there if it needs any, and the rights that it cannot do without.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.bcm.datacenter.plugins.module_utils._sizes import MIB

Declared = Mapping[str, Any]
Stacks = Mapping[str, Declared | None]

# Whom Kafka knows the workers of Connect as. Their group has the same name.
CONNECT = "kafka-connect"
CONNECT_VOLUME = {"name": "connect", "path": "/srv/connect"}
# Beside its heap a worker holds what it has just read.
CONNECT_MEMORY_LEAST = 384 * MIB
# Where that is in its container, and what stays free on it, as the role has it by default.
CONNECT_FILES = "/data/files"
CONNECT_FREE = 256 * MIB
# What Connect keeps in Kafka, with as many partitions. Of connectors' settings there is one by its design.
CONNECT_TOPICS = {"connect-configs": 1, "connect-offsets": 5, "connect-status": 3}
# The connector that every Connect has unless it is told not to: the audit log as files.
ARCHIVE, ARCHIVE_TOPIC = "audit-files", "audit"

CONNECTOR = r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?"
# Settings that must not be literal, for the declaration is no place for secrets. A key alone is none: key.converter.
SECRET = re.compile(
    r"(^|[._-])(password|passphrase|secret|token|credentials?|jaas|keystore[._-]key)($|[._-])", re.IGNORECASE
)
# Set by the role.
OWN_SETTINGS = ("name", "topics", "topics.regex")

DIGEST = r"sha256:[0-9a-f]{64}"


@dataclass(frozen=True)
class DoorFacts:
    """A service that speaks HTTP to those who do not speak Kafka."""

    # Whom Kafka knows it as, and what its service is called.
    name: str
    # The image that it is, and where it is published.
    registry: str
    repository: str
    # Where it answers.
    port: int
    memory: str
    memory_minimum: int
    # Topics of its own, with as many partitions.
    topics: Mapping[str, int]


DOORS = {
    "schema_registry": DoorFacts(
        "schema-registry", "ghcr.io", "aiven-open/karapace", 8081, "256MiB", 128 * MIB, {"_schemas": 1}
    ),
    "rest_proxy": DoorFacts("kafka-rest", "ghcr.io", "aiven-open/karapace", 8082, "256MiB", 128 * MIB, {}),
    "kafka_ui": DoorFacts("kafka-ui", "ghcr.io", "kafbat/kafka-ui", 8443, "512MiB", 384 * MIB, {}),
}
# As whom a door is tried.
TRIES = "verify"
# Who is somebody in Kafka because of what stands here.
PRINCIPALS = (CONNECT, *(facts.name for facts in DOORS.values()))


def worker_indexes(stacks: Stacks, tier: str) -> range:
    """The indexes of those of TIER that have a worker."""
    connect = stacks.get("connect")
    # A number that was refused is none.
    return range(1, (connect["workers"] or 1) + 1) if connect and connect["tier"] == tier else range(0)


def archives(connect: Declared) -> bool:
    """Whether it writes the audit log into files."""
    return bool(connect["archive"]["enabled"])


def archive_volume(file_size: int, free: int) -> int:
    """Return how large the volume of an archive with files of FILE_SIZE must be, of which so much stays FREE: a file is there twice for a while."""
    return 2 * (file_size + free)


def is_archive_file(path: str) -> bool:
    """Return whether a worker's file at PATH would be one of the archive's, which renames and removes what is called so."""
    folder, name = posixpath.split(posixpath.normpath(path))
    return folder == CONNECT_FILES and name.startswith(
        (f"{ARCHIVE_TOPIC}.jsonl", f"{ARCHIVE_TOPIC}-", f".{ARCHIVE_TOPIC}.")
    )


def topics(stacks: Stacks) -> dict[str, dict[str, Any]]:
    """Topics that what is declared needs for itself. All of them keep the last line of each key for ever."""
    found: dict[str, int] = dict(CONNECT_TOPICS) if stacks.get("connect") else {}
    for stack, facts in DOORS.items():
        if stacks.get(stack):
            found.update(facts.topics)
    return {name: {"partitions": partitions, "compact": True, "ordered": True} for name, partitions in found.items()}


def _rule(resource: str, name: str, *operations: str) -> dict[str, Any]:
    # A star alone is Kafka's own word for all.
    return {"resource": resource, "name": name, "pattern": "literal", "operations": list(operations)}


def _own(names: Mapping[str, int]) -> list[dict[str, Any]]:
    # Whether what it keeps is kept as it must be, it looks at by itself.
    return [_rule("topic", name, "read", "write", "describe_configs") for name in names]


def _connect_rights(connect: Declared) -> dict[str, Any]:
    connectors = connect["connectors"]
    reads = {topic for settings in connectors.values() for topic in settings["reads"]}
    groups = [f"connect-{name}" for name in sorted(connectors)]
    if archives(connect):
        reads.add(ARCHIVE_TOPIC)
        groups.append(f"connect-{ARCHIVE}")
    writes = {topic for settings in connectors.values() for topic in settings["writes"]}
    rules = [*_own(CONNECT_TOPICS), *(_rule("group", group, "read") for group in groups)]
    # Of its own group nothing follows from what it reads: it may read nothing at all.
    rules.append(_rule("group", CONNECT, "read"))
    return {"writes": sorted(writes), "reads": sorted(reads), "rules": rules}


def _door_rights(stack: str, declared: Declared) -> dict[str, Any]:
    facts = DOORS[stack]
    rules = _own(facts.topics)
    if stack == "schema_registry":
        # Several of them would agree on who writes.
        rules.append(_rule("group", facts.name, "read"))
    elif stack == "kafka_ui":
        # It shows, and changes nothing. Of messages it shows those of the topics that it may read.
        rules += [
            _rule("topic", "*", "describe", "describe_configs"),
            _rule("group", "*", "describe"),
            _rule("cluster", "kafka-cluster", "describe", "describe_configs"),
        ]
    return {"writes": list(declared.get("writes") or []), "reads": list(declared.get("reads") or []), "rules": rules}


def rights(stacks: Stacks) -> dict[str, dict[str, Any]]:
    """What those may do in Kafka who are there because of STACKS, as clients with further rules."""
    connect = stacks.get("connect")
    found = {CONNECT: _connect_rights(connect)} if connect else {}
    for stack, facts in DOORS.items():
        declared = stacks.get(stack)
        if declared:
            found[facts.name] = _door_rights(stack, declared)
    return found


def connectors(connect: Declared) -> list[dict[str, Any]]:
    """The connectors of a Connect by name, each with all of its settings but those that follow from where it is."""
    return [
        {"name": name, "config": {**settings["config"], **_topics_of(settings)}}
        for name, settings in sorted(connect["connectors"].items())
    ]


def _topics_of(settings: Declared) -> dict[str, str]:
    """What a sink reads. A source says by settings of its own where it writes to."""
    names = [name for name in settings["reads"] if not name.endswith("*")]
    begins = [f"{re.escape(name.removesuffix('*'))}.*" for name in settings["reads"] if name.endswith("*")]
    if begins:
        return {"topics.regex": "|".join([*map(re.escape, names), *begins])}
    return {"topics": ",".join(names)} if names else {}
