# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""From the settings of a Kafka Connect to the configuration of its workers, its connectors and its archive, and what must not be set."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.module_utils import _sizes
from ansible_collections.bcm.datacenter.plugins.module_utils._sizes import KIB, MIB
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _kafka, _kafka_stacks
from ansible_collections.bcm.datacenter.plugins.plugin_utils._kafka_plan import Checker, PlanError

# Where things are in the container.
ETC, DATA = "/etc/kafka-connect", _kafka_stacks.CONNECT_FILES
PORT = 8083
# Of a worker's memory this part is Java's heap.
HEAP_SHARE = 1, 2
# Of the volume, less what must be free, this part is the archive's: a file is there twice while it is compressed.
ARCHIVE_SHARE = 4, 5

# All that TLS 1.3 has. Said, for where one of its REST's settings is given Connect has no default for the others.
CIPHERS = "TLS_AES_256_GCM_SHA384,TLS_CHACHA20_POLY1305_SHA256,TLS_AES_128_GCM_SHA256"
SINK = "org.apache.kafka.connect.file.FileStreamSinkConnector"
TEXT = "org.apache.kafka.connect.storage.StringConverter"
RETENTION = re.compile(rf"^{_kafka.RETENTION}$")


def _storage(replicas: int) -> list[tuple[str, str]]:
    """Which topics it has for itself. They were made before, for it may make none; this says what it would be content with."""
    lines = []
    for topic, partitions in _kafka_stacks.CONNECT_TOPICS.items():
        kind = {"connect-configs": "config", "connect-offsets": "offset", "connect-status": "status"}[topic]
        lines += [(f"{kind}.storage.topic", topic), (f"{kind}.storage.replication.factor", str(replicas))]
        # Of settings there is one, and no word for it.
        if kind != "config":
            lines.append((f"{kind}.storage.partitions", str(partitions)))
    return lines


def _clients() -> list[tuple[str, str]]:
    """Who it is to brokers: itself, and in the name of connectors."""
    return [
        (f"{client}{key}", value)
        for client in ("", "producer.", "consumer.", "admin.")
        for key, value in (
            ("security.protocol", "SSL"),
            ("ssl.enabled.protocols", "TLSv1.3"),
            ("ssl.keystore.type", "PEM"),
            ("ssl.keystore.location", f"{ETC}/client.pem"),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", f"{ETC}/ca.pem"),
        )
    ]


def _rest(name: str, password: str) -> list[tuple[str, str]]:
    """How it is asked. Only those are listened to whom an authority of its own has signed."""
    tls = {
        "client.auth": "required",
        "protocol": "TLSv1.3",
        "enabled.protocols": "TLSv1.3",
        "cipher.suites": CIPHERS,
        "endpoint.identification.algorithm": "https",
        "keystore.type": "JKS",
        "keystore.location": f"{ETC}/rest.jks",
        "keystore.password": password,
        "key.password": password,
        "truststore.type": "JKS",
        "truststore.location": f"{ETC}/trusted.jks",
        "truststore.password": password,
    }
    return [
        ("listeners", f"https://0.0.0.0:{PORT}"),
        ("rest.advertised.listener", "https"),
        ("rest.advertised.host.name", name),
        ("rest.advertised.port", str(PORT)),
        *((f"listeners.https.ssl.{key}", value) for key, value in tls.items()),
    ]


def properties(name: str, brokers: Sequence[str], replicas: int, password: str) -> str:
    """The configuration of the worker that others reach by NAME."""
    lines = [
        ("bootstrap.servers", ",".join(brokers)),
        ("group.id", _kafka_stacks.CONNECT),
        *_storage(replicas),
        # A line is what it is. A connector that knows of more says so.
        ("key.converter", TEXT),
        ("value.converter", TEXT),
        # How far it has read is kept so often: after a crash it writes these seconds once more.
        ("offset.flush.interval.ms", "10000"),
        # What a lost worker did is left for this long, for one that is started anew.
        ("scheduled.rebalance.max.delay.ms", "60000"),
        ("task.shutdown.graceful.timeout.ms", "20000"),
        # A connector is who the worker is, and nobody else.
        ("connector.client.config.override.policy", "None"),
        ("plugin.discovery", "service_load"),
        ("producer.acks", "all"),
        *_clients(),
        *_rest(name, password),
    ]
    return "".join(f"{key}={value}\n" for key, value in lines)


def archive_connector(topic: str) -> dict[str, Any]:
    """The connector that writes TOPIC into a file, a line for each record. It keeps the file open as long as its task runs."""
    config = {
        "connector.class": SINK,
        # Several would write into one another's lines.
        "tasks.max": "1",
        "topics": topic,
        "file": f"{DATA}/{topic}.jsonl",
        "value.converter": TEXT,
    }
    return {"name": _kafka_stacks.ARCHIVE, "config": config}


def _seconds(keep: str | None) -> int | None:
    return _kafka.milliseconds(keep) // 1000 if keep else None


def archive(declared: Mapping[str, Any], volume: int, free: int) -> dict[str, Any]:
    """What the program on the host is told of the files."""
    size = _sizes.to_bytes(declared["file_size"])
    share, parts = ARCHIVE_SHARE
    return {
        "name": declared["topic"],
        "connector": _kafka_stacks.ARCHIVE,
        "file_size": size,
        "keep": _seconds(declared.get("keep")),
        # Of a file system nothing is known here.
        "room": (volume - free) * share // parts if volume else 10 * size,
    }


def _check_archive(declared: Mapping[str, Any], volume: int, free: int, check: Checker) -> None:
    if not re.match(rf"^{_kafka.TOPIC}$", str(declared["topic"])):
        check.refuse("archive.topic", declared["topic"], "is not the name of a topic", "small letters, digits, dots")
    if declared.get("keep") and not RETENTION.match(str(declared["keep"])):
        check.refuse("archive.keep", declared["keep"], "is not a time", "hours or days, such as 36h or 90d")
    least = _kafka_stacks.archive_volume(_sizes.to_bytes(declared["file_size"]), free)
    if volume and volume < least:
        check.refuse(
            "volume_size",
            _sizes.to_text(volume),
            "leaves no room for two files of the archive beside what must be free",
            f"at least {_sizes.to_text(least)}, or a smaller archive.file_size",
        )


def plan(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of the worker and its archive, and the figures that follow from the settings.

    :raises PlanError: with all that is wrong.
    """
    check = Checker()
    memory = _sizes.to_bytes(settings["memory"])
    volume, free = (
        _sizes.to_bytes(settings.get("volume_size") or 0),
        _sizes.to_bytes(settings.get("free_space_min") or 0),
    )
    if memory < _kafka_stacks.CONNECT_MEMORY_LEAST:
        least = _sizes.to_text(_kafka_stacks.CONNECT_MEMORY_LEAST)
        check.refuse("memory", settings["memory"], "is too little for a worker", f"at least {least}")
    declared = settings.get("archive") or {}
    if declared:
        _check_archive(declared, volume, free, check)
    others = list(settings.get("connectors") or [])
    if _kafka_stacks.ARCHIVE in [one["name"] for one in others]:
        check.refuse("connectors.name", _kafka_stacks.ARCHIVE, "is the archive", "another name")
    if check.errors:
        raise PlanError(check.errors)
    return {
        "conf": properties(settings["name"], settings["brokers"], settings["replication"], settings["password"]),
        "connectors": [*([archive_connector(declared["topic"])] if declared else []), *others],
        "archive": archive(declared, volume, free) if declared else None,
        "heap_mib": memory * HEAP_SHARE[0] // HEAP_SHARE[1] // MIB,
        "memory_limit": memory,
        "free_space_kib": free // KIB,
        "volume_kib": volume // KIB,
    }
