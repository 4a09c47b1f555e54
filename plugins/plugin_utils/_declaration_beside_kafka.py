# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""Rules for what a declaration has beside Kafka: Connect, and the doors for those who do not speak Kafka."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bcm.datacenter.plugins.module_utils import _sizes

from . import _bitcoin_nodes, _kafka_stacks
from ._declaration_file import KeyPath
from ._declaration_kinds import Check, suggestion

Data = dict[str, Any]

STACKS = ("connect", *_kafka_stacks.DOORS)
# What the engine, the mirrors and the system take beside Kafka.
SYSTEM = 512 * _sizes.MIB


def topics_exist(kafka: Data, rights: Mapping[str, Any], path: KeyPath, check: Check) -> None:
    """Refuse those of RIGHTS that are about a topic that nobody has declared."""
    for key in ("writes", "reads"):
        for position, topic in enumerate(rights.get(key) or []):
            if topic and not topic.endswith("*") and topic not in kafka["topics"]:
                problem = f"is no topic of this site{suggestion(topic, kafka['topics'])}"
                check.refuse((*path, key, position), topic, problem, ", ".join(kafka["topics"]))


def able_tiers(data: Data, check: Check) -> list[str]:
    """Return the tiers on whose instances Kafka and what stands beside it can be."""
    taken = {node.tier for node in _bitcoin_nodes.nodes(data)} if check.sound(("stacks", "bitcoin")) else set()
    return [name for name in data["tiers"] if name != "proxyhost" and name not in taken]


def unable(data: Data, tier: str, able: list[str]) -> str:
    """Return why TIER is none of those that are ABLE."""
    if tier == "proxyhost":
        return "runs no Docker"
    if tier in data["tiers"]:
        return "leaves all its memory to its node"
    return f"is no tier of this site{suggestion(tier, able)}"


def _beside(data: Mapping[str, Any]) -> dict[str, Data]:
    """The stacks beside Kafka that are declared."""
    return {stack: data["stacks"][stack] for stack in STACKS if data["stacks"][stack]}


def places(data: Data, check: Check) -> None:
    """Where they are, and whether there is room for them."""
    kafka, able = data["stacks"]["kafka"], able_tiers(data, check)
    for stack, settings in _beside(data).items():
        path: KeyPath = ("stacks", stack)
        if not kafka["enabled"]:
            problem, allowed = "there is no Kafka for it", "null, or stacks.kafka.enabled: true"
            check.refuse(path, None, problem, allowed, shows_value=False)
            continue
        if not check.sound((*path, "tier"), ("tiers",), ("stacks", "bitcoin", "tier")):
            continue
        tier, workers = settings["tier"], settings.get("workers", 1)
        if tier not in able:
            check.refuse((*path, "tier"), tier, unable(data, tier, able), ", ".join(able))
        elif workers and workers > data["tiers"][tier]["count"]:
            count = data["tiers"][tier]["count"]
            if stack == "connect" and count:
                check.refuse((*path, "workers"), workers, f"{tier} has {count} instances", f"at most {count}")
            else:
                check.refuse(("tiers", tier, "count"), count, f"the stack {stack} has nowhere to run", "at least 1")
    for tier in dict.fromkeys(settings["tier"] for settings in _beside(data).values() if settings["tier"] in able):
        _memory(data, tier, check)


def _memory(data: Data, tier: str, check: Check) -> None:
    """All of them may come to be on the first instance of TIER."""
    kafka = data["stacks"]["kafka"]
    there = {stack: settings for stack, settings in _beside(data).items() if settings["tier"] == tier}
    paths: list[KeyPath] = [("stacks", stack, "memory") for stack in there]
    if not check.sound(("stacks", "kafka"), ("tiers",), *paths):
        return
    memory = _sizes.to_bytes(data["tiers"][tier]["size"]["memory"])
    hosts = [kafka["tier"], kafka["controllers"]].count(tier)
    of_kafka = _sizes.to_bytes(kafka["memory"]) * hosts if kafka["memory"] else (memory // 2 if hosts else 0)
    wanted = sum(_sizes.to_bytes(settings["memory"]) for settings in there.values())
    if of_kafka + wanted + SYSTEM <= memory:
        return
    # Kafka's share, if none is declared, grows with the instance.
    least = 2 * (wanted + SYSTEM) if hosts and not kafka["memory"] else of_kafka + wanted + SYSTEM
    share = f"{_sizes.to_text(of_kafka)} of it are Kafka's, and " if of_kafka else ""
    check.refuse(
        ("tiers", tier, "size", "memory"),
        data["tiers"][tier]["size"]["memory"],
        f"is too little: {share}{', '.join(there)} take {_sizes.to_text(wanted)} beside 512MiB for the system",
        f"at least {_sizes.to_text(least)}, or another tier for them",
    )


def _archive(connect: Data, check: Check) -> None:
    """Its volume has room for what is there while a file is compressed."""
    path: KeyPath = ("stacks", "connect")
    if not _kafka_stacks.archives(connect) or not check.sound((*path, "archive"), (*path, "volume_size")):
        return
    size, volume = connect["archive"]["file_size"], connect["volume_size"]
    least = _kafka_stacks.archive_volume(_sizes.to_bytes(size), _kafka_stacks.CONNECT_FREE)
    if _sizes.to_bytes(volume) < least:
        # Whoever turns it around finds the largest.
        most = _sizes.to_bytes(volume) // 2 - _kafka_stacks.CONNECT_FREE
        check.refuse(
            (*path, "archive", "file_size"),
            size,
            f"a volume of {volume} leaves no room for two such files beside what must be free",
            f"at most {_sizes.to_text(most)}, or stacks.connect.volume_size of at least {_sizes.to_text(least)}",
        )


def connectors(data: Data, check: Check) -> None:
    connect, kafka = data["stacks"]["connect"], data["stacks"]["kafka"]
    if not connect or not kafka["enabled"]:
        return
    _archive(connect, check)
    for name in _kafka_stacks.CONNECT_TOPICS:
        if name in kafka["topics"]:
            path: KeyPath = ("stacks", "kafka", "topics", name)
            check.refuse(path, None, "belongs to the stack connect", "another name", shows_value=False)
    for name, settings in connect["connectors"].items():
        path = ("stacks", "connect", "connectors", name)
        if not check.sound(path):
            continue
        if name == _kafka_stacks.ARCHIVE:
            check.refuse(path, None, "is the site's own", "another name", shows_value=False)
        topics_exist(kafka, settings, path, check)
        config = (*path, "config")
        kind = settings["config"].get("connector.class")
        if kind is None:
            check.refuse(
                (*config, "connector.class"), None, "is missing", "the name of a class, in full", shows_value=False
            )
        elif kind.endswith("SinkConnector") and not settings["reads"]:
            problem = "are none, and a sink has nothing to do without them"
            check.refuse((*path, "reads"), None, problem, ", ".join(kafka["topics"]), shows_value=False)
        file = settings["config"].get("file")
        if file and _kafka_stacks.archives(connect) and _kafka_stacks.is_archive_file(file):
            problem = "belongs to the archive of the topic audit, which gives such files other names and removes them"
            check.refuse(
                (*config, "file"), file, problem, f"another name, such as {_kafka_stacks.CONNECT_FILES}/{name}.txt"
            )
        for key, value in settings["config"].items():
            if key in _kafka_stacks.OWN_SETTINGS:
                check.refuse((*config, key), value, "follows from name and reads", "settings that do not")
            elif _kafka_stacks.SECRET.search(key):
                check.refuse(
                    (*config, key), value, "would be a secret in the declaration", "other settings", shows_value=False
                )


def doors(data: Data, check: Check) -> None:
    kafka = data["stacks"]["kafka"]
    for stack, facts in _kafka_stacks.DOORS.items():
        settings, path = data["stacks"][stack], ("stacks", stack)
        if not settings or not kafka["enabled"]:
            continue
        topics_exist(kafka, settings, path, check)
        for position, client in enumerate(settings["clients"]):
            if client == _kafka_stacks.TRIES:
                check.refuse((*path, "clients", position), client, "is who the site itself tries it as", "another name")
        if facts.registry not in data["mirrors"]["registries"] and check.sound(("mirrors", "registries")):
            check.refuse(
                ("mirrors", "registries"),
                ", ".join(data["mirrors"]["registries"]),
                f"has no {facts.registry}, where the image of the stack {stack} is",
                f"mirrors: {{registries: {{{facts.registry}: https://{facts.registry}}}}}, or a mirror of it",
            )
