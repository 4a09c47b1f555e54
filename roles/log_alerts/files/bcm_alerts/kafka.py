# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kafka's clients: what they have in common."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from bcm_alerts.settings import Settings, directory

# Seconds that an answer of Kafka's may take.
PATIENCE = 30.0


class SetbackError(Exception):
    """It does not go on like this: it begins again with what Kafka remembers."""


class Trouble:
    """What is in the way at the moment, and since when. It may pass by itself."""

    def __init__(self) -> None:
        self.words = ""
        self.since = 0.0
        # When no broker could be reached last.
        self.alone = 0.0

    def seen(self, words: str) -> None:
        if not self.words:
            self.since = time.time()
        self.words = words

    def passed(self) -> None:
        self.words, self.since = "", 0.0

    def on_error(self, error: Any) -> None:
        if error.name() == "_ALL_BROKERS_DOWN":
            self.alone = time.time()
        self.seen(error.str())


def said(problem: Any) -> str:
    """What an error of Kafka's says."""
    if isinstance(problem, Exception):
        problem = problem.args[0] if problem.args else problem
    return str(problem.str() if hasattr(problem, "str") else problem)


def common(settings: Settings, what: str) -> dict[str, Any]:
    """How librdkafka is told where Kafka is, and who this is."""
    return {
        "bootstrap.servers": ",".join(settings.brokers),
        "client.id": f"bcm-alerts-{what}-{settings.host}",
        "security.protocol": "ssl",
        "ssl.ca.location": str(directory() / "authority.pem"),
        "ssl.certificate.location": str(directory() / "certificate.pem"),
        "ssl.key.location": str(directory() / "key.pem"),
        "ssl.endpoint.identification.algorithm": "https",
        "socket.timeout.ms": 15_000,
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 5_000,
        "allow.auto.create.topics": False,
    }


def reading(settings: Settings, what: str, group: str) -> dict[str, Any]:
    return {
        **common(settings, what),
        "group.id": group,
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        # What was not written as a whole is not read at all.
        "isolation.level": "read_committed",
        # What is fetched beforehand, of all lines together: memory is bounded.
        "queued.max.messages.kbytes": 8192,
        "fetch.message.max.bytes": 1 << 20,
        "fetch.max.bytes": 8 << 20,
        **settings.client,
    }


def client(kind: str, options: dict[str, Any], on_error: Callable[[Any], None]) -> Any:
    import confluent_kafka

    # What librdkafka has to say of its connections, again and again, is in the errors that it reports.
    silent = logging.getLogger("librdkafka")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False
    try:
        return getattr(confluent_kafka, kind)({**options, "error_cb": on_error}, logger=silent)
    except Exception as exc:
        raise SetbackError(f"the client does not begin: {said(exc)}") from exc


def at_the_end(message: Any) -> bool:
    """Whether a message is none, but says that there are no more for now.

    :raises SetbackError: it says that something is wrong.
    """
    error = message.error()
    if error is None:
        return False
    if error.name() == "_PARTITION_EOF":
        return True
    raise SetbackError(f"topic {message.topic()}: {said(error)}")
