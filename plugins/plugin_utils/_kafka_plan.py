# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""From the settings of a Kafka to the configuration of each of its members, and what must not be set together."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.module_utils import _sizes
from ansible_collections.bcm.datacenter.plugins.module_utils._sizes import GIB, KIB, MIB
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _kafka

# Of a member's memory this part is Java's heap. The rest is for Java itself and for what was just written and is read next.
HEAP_SHARE = 1, 2
HEAP_MAXIMUM = 6 * GIB
MEMORY_LEAST = 512 * MIB

OPTION = re.compile(r"^[a-z][a-z0-9.]*[a-z0-9]$")
NAME = re.compile(r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")

# Where things are in the container.
ETC, DATA = "/etc/kafka", "/data/log"

# Kafka's own topics: what consumer groups have read, transactions, share groups. Their number of partitions is fixed when they
# are made. By it a broker finds who keeps what of whom; one that starts goes by the topic, if it is there, and else by its
# configuration: the two must never differ, or it looks for what was kept where it is not.
OWN_PARTITIONS = 12
# How far a group has read is remembered for as long, however long none of it is there. Kafka's own are seven days (OFFSETS_RETENTION_MINUTES_DEFAULT
# of org.apache.kafka.coordinator.group.GroupCoordinatorConfig): who is away for longer would read, and write, all that is there once more.
REMEMBERED = "400d"


class PlanError(ValueError):
    """Settings that cannot be meant. `errors` holds all of them."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class Checker:
    """Collects what is wrong: key, value, and what is allowed."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def refuse(self, key: str, value: object, why: str, allowed: str) -> None:
        self.errors.append(f"{key}: {value!r}: {why}; allowed: {allowed}")


Member = Mapping[str, Any]


def of_role(members: Sequence[Member], role: str) -> list[Member]:
    """Those of MEMBERS that are brokers, or controllers."""
    return [member for member in members if role in member["roles"]]


def _check_members(members: Sequence[Member], check: Checker) -> None:
    for role in ("broker", "controller"):
        if not of_role(members, role):
            check.refuse("members", [member["name"] for member in members], f"none is a {role}", f"at least one {role}")
    if len(of_role(members, "controller")) % 2 == 0 and of_role(members, "controller"):
        names = [member["name"] for member in of_role(members, "controller")]
        check.refuse(
            "members",
            names,
            "are an even number of controllers, which bears no more losses than one fewer",
            "an odd number",
        )
    for key in ("name", "id"):
        values = [member[key] for member in members]
        for value in sorted({value for value in values if values.count(value) > 1}, key=str):
            check.refuse(f"members.{key}", value, "is there twice", "each once")
    for member in members:
        if not NAME.match(str(member["name"])):
            check.refuse("members.name", member["name"], "is no name", "small letters, digits and dashes, at most 63")


def _check_storage(settings: Mapping[str, Any], check: Checker) -> None:
    volume, free = (
        _sizes.to_bytes(settings.get("volume_size") or 0),
        _sizes.to_bytes(settings.get("free_space_min") or 0),
    )
    if volume and free * 2 > volume:
        check.refuse(
            "free_space_min", settings["free_space_min"], "leaves no room on the volume", "less than half of it"
        )


def _check_version(version: str, check: Checker) -> None:
    try:
        found = _kafka.release(version)
    except ValueError:
        check.refuse("version", version, "is not a version", "a version, such as 4.3.0")
        return
    if found < _kafka.OLDEST:
        check.refuse("version", version, "is too old: its controllers do not join by themselves", "4.2 or later")


def _check_options(options: Mapping[str, Any], managed: set[str], check: Checker) -> None:
    for option, value in options.items():
        if not OPTION.match(str(option)):
            check.refuse("options", option, "is no name of an option", "small letters, digits and dots")
        elif option in managed:
            check.refuse("options", option, "is set by the role itself", "options that it leaves alone")
        elif "\n" in str(value):
            check.refuse(f"options.{option}", value, "has several lines", "text of one line")


def _listeners(member: Member, ports: Mapping[str, int]) -> list[tuple[str, str]]:
    names = [
        name
        for name, role in (("CONTROLLER", "controller"), ("BROKER", "broker"), ("CLIENT", "broker"))
        if role in member["roles"]
    ]
    lines = [
        ("listeners", ",".join(f"{name}://0.0.0.0:{ports[name.lower()]}" for name in names)),
        ("advertised.listeners", ",".join(f"{name}://{member['dns']}:{ports[name.lower()]}" for name in names)),
        ("listener.security.protocol.map", "CONTROLLER:SSL,BROKER:SSL,CLIENT:SSL"),
        ("controller.listener.names", "CONTROLLER"),
    ]
    if "broker" in member["roles"]:
        lines.append(("inter.broker.listener.name", "BROKER"))
    return lines


def _identity() -> list[tuple[str, str]]:
    """Who one is, and what who may do."""
    return [
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.location", f"{ETC}/node.pem"),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", f"{ETC}/ca.pem"),
        ("ssl.client.auth", "required"),
        ("ssl.protocol", "TLSv1.3"),
        ("ssl.enabled.protocols", "TLSv1.3"),
        # A certificate that says more than a name is none of ours, and whoever shows it is nobody.
        ("ssl.principal.mapping.rules", "RULE:^CN=([a-z0-9][a-z0-9.-]*)$/$1/"),
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("allow.everyone.if.no.acl.found", "false"),
        # All members are one, so that one that is added has its rights with those that are there.
        ("super.users", f"User:{_kafka.NODE};User:{_kafka.ADMIN}"),
    ]


def _remembered(topics: Mapping[str, Mapping[str, Any]]) -> int:
    """Milliseconds for which it is remembered how far a group has read: as long as there is anything that it has read, at least."""
    kept = [topic["retention"] for topic in topics.values() if topic.get("retention") and not topic.get("compact")]
    return max(map(_kafka.milliseconds, [REMEMBERED, *kept]))


def _durability(brokers: int, topics: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    replicas, in_sync = str(_kafka.replicas(brokers)), str(_kafka.in_sync(brokers))
    lines = [
        ("default.replication.factor", replicas),
        ("min.insync.replicas", in_sync),
        ("unclean.leader.election.enable", "false"),
        # A topic that was misspelled is an error, not a topic.
        ("auto.create.topics.enable", "false"),
        ("offsets.retention.minutes", str(_remembered(topics) // 60_000)),
    ]
    for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        lines += [(f"{topic}.replication.factor", replicas), (f"{topic}.num.partitions", str(OWN_PARTITIONS))]
    lines += [(f"{topic}.min.isr", in_sync) for topic in ("transaction.state.log", "share.coordinator.state.topic")]
    return lines


# For a small heap: its makers' own figures are for machines that do nothing else.
_MODEST = [
    ("num.network.threads", "2"),
    ("num.io.threads", "4"),
    ("log.cleaner.dedupe.buffer.size", str(16 * MIB)),
    # What is over the size of a topic goes within a minute.
    ("log.retention.check.interval.ms", "60000"),
]


def properties(member: Member, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The configuration of MEMBER, without further options."""
    members, ports = settings["members"], settings["ports"]
    controllers = of_role(members, "controller")
    lines = [
        ("process.roles", ",".join(member["roles"])),
        ("node.id", str(member["id"])),
        ("log.dirs", DATA),
        *_listeners(member, ports),
        ("controller.quorum.bootstrap.servers", ",".join(f"{one['dns']}:{ports['controller']}" for one in controllers)),
    ]
    if "controller" in member["roles"]:
        lines.append(("controller.quorum.auto.join.enable", "true"))
    durability = _durability(len(of_role(members, "broker")), settings.get("topics") or {})
    return [*lines, *_identity(), *durability, *_MODEST]


def names(member: Member, members: Sequence[Member]) -> str:
    """The names that MEMBER knows, for Java's own resolver: no DNS tells of them, and none is asked.

    A member talks to itself within its container, where it is alone on its host: out of it and back would lead through the rules.
    """
    alone = len([other for other in members if other["host"] == member["host"]]) == 1
    found = {}
    for other in members:
        found[other["dns"]] = "127.0.0.1" if alone and other["host"] == member["host"] else other["address"]
    lines = "".join(f"{address} {name}\n" for name, address in sorted(found.items()))
    # Its container's own name, which Java asks for.
    return f"127.0.0.1 localhost {member['name']}\n{lines}"


def heap(memory: int) -> int:
    """Bytes of Java's heap for a member that may use MEMORY."""
    return min(memory * HEAP_SHARE[0] // HEAP_SHARE[1], HEAP_MAXIMUM) // MIB * MIB


def plan(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of each member, and the figures that follow from the settings.

    :raises PlanError: with all that is wrong.
    """
    check = Checker()
    members, ports = settings["members"], settings["ports"]
    options = settings.get("options") or {}
    _check_version(settings["version"], check)
    _check_members(members, check)
    _check_storage(settings, check)
    memory = _sizes.to_bytes(settings["memory"])
    if memory < MEMORY_LEAST:
        check.refuse(
            "memory", settings["memory"], "is too little for Kafka", f"at least {_sizes.to_text(MEMORY_LEAST)}"
        )
    if len(set(ports.values())) < len(ports):
        check.refuse("ports", dict(ports), "two are the same", "different ones")
    if check.errors:
        raise PlanError(check.errors)
    lines = {member["name"]: properties(member, settings) for member in members}
    _check_options(options, {name for found in lines.values() for name, _value in found}, check)
    if check.errors:
        raise PlanError(check.errors)
    brokers, controllers = of_role(members, "broker"), of_role(members, "controller")
    extra = [(name, str(value)) for name, value in sorted(options.items())]
    return {
        "conf": {name: "".join(f"{key}={value}\n" for key, value in found + extra) for name, found in lines.items()},
        "names": {member["name"]: names(member, members) for member in members},
        "bootstrap_servers": [f"{one['dns']}:{ports['client']}" for one in brokers],
        "brokers": [one["id"] for one in brokers],
        "controllers": [one["id"] for one in controllers],
        "replication_factor": _kafka.replicas(len(brokers)),
        "min_insync_replicas": _kafka.in_sync(len(brokers)),
        "own_partitions": OWN_PARTITIONS,
        "topics": topics(settings.get("topics") or {}, len(brokers)),
        "rights": rights(settings.get("clients") or {}),
        "heap_mib": heap(memory) // MIB,
        "memory_limit": memory,
        "free_space_kib": _sizes.to_bytes(settings.get("free_space_min") or 0) // KIB,
        "volume_kib": _sizes.to_bytes(settings.get("volume_size") or 0) // KIB,
    }


def new_id() -> str:
    """An ID as Kafka writes it. One that begins with a dash would be an option to its tools."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def birth(members: Sequence[Member]) -> str:
    """What a cluster that begins with MEMBERS is known by for ever: its ID, its brokers, and the directory of each of its controllers."""
    controllers = {
        member["name"]: {"id": member["id"], "dns": member["dns"], "directory": new_id()}
        for member in of_role(members, "controller")
    }
    brokers = [member["name"] for member in of_role(members, "broker")]
    return json.dumps({"id": new_id(), "brokers": brokers, "controllers": controllers}, sort_keys=True)


def read_meta(text: str) -> dict[str, str]:
    """What meta.properties says."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, value in pairs}


def _first_controllers(cluster: Mapping[str, Any], port: int) -> str:
    voters = sorted(cluster["controllers"].values(), key=lambda one: one["id"])
    return ",".join(f"{one['id']}@{one['dns']}:{port}:{one['directory']}" for one in voters)


def _stranger(member: Member, meta: Mapping[str, str], cluster: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    """Why a formatted volume is not this member's, empty if it is."""
    if meta.get("cluster.id") != cluster["id"]:
        return f"its volume belongs to another cluster ({meta.get('cluster.id')}, this is {cluster['id']})"
    if meta.get("node.id") != str(member["id"]):
        return f"its volume is that of node {meta.get('node.id')}, and it is node {member['id']}"
    if stored and stored["directory"] != meta.get("directory.id"):
        return f"its volume was formatted by somebody else: it has directory {meta.get('directory.id')}, known is {stored['directory']}"
    return ""


def _moved(members: Sequence[Member], cluster: Mapping[str, Any]) -> str:
    """Why MEMBERS cannot be those of CLUSTER, empty if they can: of its first controllers, or brokers, not one is there any more.

    What has a vote is asked by those that come, and what holds lines hands them over: nobody would.
    """
    names = {member["name"] for member in members}
    began = [
        first for role in ("brokers", "controllers") if (first := list(cluster.get(role, ()))) and not names & {*first}
    ]
    if not began:
        return ""
    return (
        f"the cluster began on {', '.join(dict.fromkeys(name for first in began for name in first))}, none of which is declared any more. "
        "Kafka cannot be moved: declare it as it was, or make the cluster anew"
    )


def formatting(
    members: Sequence[Member],
    cluster: Mapping[str, Any],
    stored: Mapping[str, Mapping[str, Any]],
    found: Mapping[str, Mapping[str, Any]],
    port: int,
    rejoin: str = "",
) -> dict[str, Any]:
    """What is to be done about the volume of each of MEMBERS, by what is known of it (STORED) and what is there (FOUND).

    FOUND has the text of ``meta`` and whether the volume is ``empty``. REJOIN names the one member that may begin with nothing although
    it had data.
    """
    moved = _moved(members, cluster)
    if moved:
        # Of each member by itself nothing is worth saying then.
        return {"problems": [moved], "format": {}, "note": []}
    problems, format_, note = [], {}, []
    if rejoin and rejoin not in {member["name"] for member in members}:
        problems.append(
            f"kafka_rejoin names {rejoin}, which is no member: {', '.join(member['name'] for member in members)}"
        )
    for member in members:
        name, known = member["name"], stored.get(member["name"]) or {}
        if name not in found:
            # It has no part in this run.
            continue
        meta, empty = read_meta(found[name]["meta"]), found[name]["empty"]
        gone = [role for role in known.get("roles") or [] if role not in member["roles"]]
        if gone:
            problems.append(
                f"{name} was a {' and a '.join(gone)} and shall be none any more: its data, or its vote, would be lost. "
                "Declare it as it was, or make the cluster anew"
            )
        elif meta:
            # Of one that begins anew it is remembered beforehand that it will have another directory.
            anew = bool(known.get("rejoining"))
            stranger = _stranger(member, meta, cluster, {} if anew else known)
            if stranger:
                problems.append(f"{name}: {stranger}. Nothing was touched")
            elif not known or anew or known["roles"] != member["roles"]:
                # A run was killed after it had formatted it, or it was given another role.
                note.append(name)
        elif not empty:
            problems.append(f"{name}: its volume holds files and no meta.properties, so it is neither new nor whole")
        elif known and (alone := _alone(member, members)):
            problems.append(
                f"{name} had data, its volume is empty, and nobody else is a {alone}, so there is nobody to catch up from. Bring its data back, "
                "or make the cluster anew"
            )
        elif known and name != rejoin:
            problems.append(
                f"{name} had data, and its volume is empty. If that is lost, and the others have it all, -e kafka_rejoin={name} lets it "
                "begin with nothing and catch up from them"
            )
        else:
            format_[name] = _how(member, cluster, known, port)
    return {"problems": problems, "format": format_, "note": note}


def _alone(member: Member, members: Sequence[Member]) -> str:
    """What only MEMBER is of MEMBERS, empty if it is nothing alone."""
    return " and a ".join(role for role in member["roles"] if len(of_role(members, role)) == 1)


def _how(member: Member, cluster: Mapping[str, Any], known: Mapping[str, Any], port: int) -> list[str]:
    if "controller" not in member["roles"]:
        return []
    first = cluster["controllers"].get(member["name"])
    if first and not known and first["id"] == member["id"]:
        return ["--initial-controllers", _first_controllers(cluster, port)]
    return ["--no-initial-controllers"]


def topics(declared: Mapping[str, Mapping[str, Any]], brokers: int) -> list[dict[str, Any]]:
    """DECLARED topics as the module kafka_topic takes them."""
    result = []
    for name, topic in sorted(declared.items()):
        result.append(
            {
                "name": name,
                "partitions": topic["partitions"],
                "replication_factor": _kafka.replicas(brokers),
                "ordered": topic["ordered"],
                "config": {
                    **_kept(topic),
                    "min.insync.replicas": str(_kafka.in_sync(brokers)),
                    "unclean.leader.election.enable": "false",
                },
            }
        )
    return result


# The last line of each key is kept for ever, and nothing else.
_COMPACT = {"cleanup.policy": "compact", "segment.bytes": str(16 * MIB)}

# So it is here, and what came before it goes within an hour or so, that there is room and reading it takes no time.
_STATE = {
    "cleanup.policy": "compact",
    "max.compaction.lag.ms": str(_kafka.milliseconds("1h")),
    "min.cleanable.dirty.ratio": "0.1",
    "segment.ms": str(_kafka.milliseconds("1h")),
}


def _kept(topic: Mapping[str, Any]) -> dict[str, str]:
    """What becomes of the records of TOPIC: the last of each key stays, or all that are young enough and have room."""
    if topic.get("compact"):
        return _COMPACT
    size = _sizes.to_bytes(topic["size"])
    lasting = _STATE if topic.get("class") == "state" else _until(topic, size)
    return {**lasting, "segment.bytes": str(_kafka.segment(size))}


def _until(topic: Mapping[str, Any], size: int) -> dict[str, str]:
    """How long records are kept, and how many of them."""
    return {
        "cleanup.policy": "delete",
        "retention.bytes": str(size),
        "retention.ms": str(_kafka.milliseconds(topic["retention"])),
    }


def rights(declared: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What each client may do, the site's own too, as the module kafka_acl takes it."""
    own = {name: dataclasses.asdict(facts) for name, facts in _kafka.CLIENTS.items()}
    result = []
    for name, may in sorted({**own, **declared}.items()):
        # Who may read or write it may ask about it, too.
        rules = [_rule("topic", topic, "write") for topic in may["writes"]]
        rules += [_rule("topic", topic, "read") for topic in may["reads"]]
        if may["reads"]:
            rules += [_rule("group", name, "read"), _rule("group", f"{name}.*", "read")]
        if may.get("transactions"):
            rules += [_rule("transactional_id", name, "write")]
        rules += may.get("rules") or []
        result.append({"principal": f"User:{name}", "rules": rules})
    return result


def _rule(kind: str, name: str, operation: str) -> dict[str, Any]:
    pattern = "prefixed" if name.endswith("*") else "literal"
    return {"resource": kind, "name": name.removesuffix("*"), "pattern": pattern, "operations": [operation]}
