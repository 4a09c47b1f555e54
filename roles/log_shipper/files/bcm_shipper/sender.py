# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kafka's client: one that acknowledges only what all in-sync replicas have, in order, or says that it cannot."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from bcm_shipper.ledger import MOST_UNDER_WAY
from bcm_shipper.progress import Ticket
from bcm_shipper.records import Record
from bcm_shipper.settings import Settings, directory

# Seconds without an acknowledgement that are worth to be told: another broker has taken over by then what one has left.
PATIENCE = 20.0


class SetbackError(Exception):
    """It does not go on like this. All that is not acknowledged has to be sent again, by another client."""


class Trouble:
    """What is in the way at the moment, and since when. It may pass by itself."""

    def __init__(self) -> None:
        self.words = ""
        self.since = 0.0

    def seen(self, words: str) -> None:
        if not self.words:
            self.since = time.time()
        self.words = words

    def passed(self) -> None:
        self.words, self.since = "", 0.0


class Producer(Protocol):
    """What is used of confluent_kafka.Producer."""

    def produce(self, topic: str, **options: Any) -> None: ...
    def poll(self, timeout: float) -> int: ...
    def flush(self, timeout: float) -> int: ...
    def purge(self) -> None: ...


def options(settings: Settings) -> dict[str, Any]:
    """How librdkafka is told all this."""
    return {
        "bootstrap.servers": ",".join(settings.brokers),
        "client.id": f"bcm-shipper-{settings.host}",
        "security.protocol": "ssl",
        "ssl.ca.location": str(directory() / "authority.pem"),
        "ssl.certificate.location": str(directory() / "certificate.pem"),
        "ssl.key.location": str(directory() / "key.pem"),
        "ssl.endpoint.identification.algorithm": "https",
        "acks": "all",
        "enable.idempotence": True,
        # A record that failed for good stops all after it: there is no gap that the next one would hide.
        "enable.gapless.guarantee": True,
        # The journal waits, however long it takes.
        "message.timeout.ms": 0,
        # A broker that stands still must not hold up for long what another one has taken over.
        "request.timeout.ms": 10_000,
        "socket.timeout.ms": 15_000,
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 5_000,
        "allow.auto.create.topics": False,
        # As Kafka's own clients do it, so that a key has the same partition whoever writes it.
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": 50,
        "queue.buffering.max.messages": MOST_UNDER_WAY * 2,
        **(settings.client or {}),
    }


def connect(settings: Settings, on_error: Callable[[Any], None]) -> Producer:
    from confluent_kafka import Producer as Client

    # What librdkafka has to say of its connections, again and again, is in the errors that it reports.
    silent = logging.getLogger("librdkafka")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False
    try:
        client: Producer = Client({**options(settings), "error_cb": on_error}, logger=silent)
    except Exception as exc:
        raise SetbackError(f"the client does not begin: {exc}") from exc
    return client


class Sender:
    """Sends records and marks their tickets."""

    def __init__(
        self,
        settings: Settings,
        connect: Callable[[Settings, Callable[[Any], None]], Producer],
        trouble: Trouble | None = None,
    ) -> None:
        self.topics = settings.topics
        self.failure = ""
        self.trouble = trouble or Trouble()
        # When something arrived last, since 1970.
        self.acknowledged = 0.0
        # How many records wait to be acknowledged, and since when none of them was.
        self.under_way, self.waiting_since = 0, 0.0
        self.producer = connect(settings, self.on_error)

    def on_error(self, error: Any) -> None:
        if error.fatal():
            self.failure = error.str()
        self.trouble.seen(error.str())

    def send(self, record: Record, ticket: Ticket) -> None:
        def delivered(error: Any, _message: Any) -> None:
            self.under_way, self.waiting_since = self.under_way - 1, time.monotonic()
            if error is not None:
                self.failure = self.failure or f"topic {self.topics[record.kind]}: {error.str()}"
                return
            ticket.done = True
            self.trouble.passed()
            self.acknowledged = time.time()

        # Kafka refuses what is from the future; a clock that was set back makes such entries.
        milliseconds = min(record.milliseconds, int(time.time() * 1000))
        try:
            self.producer.produce(
                self.topics[record.kind],
                key=record.key,
                value=record.value,
                timestamp=milliseconds,
                on_delivery=delivered,
            )
        except Exception as exc:
            # BufferError, or KafkaException after something fatal: neither is expected with so much room.
            raise SetbackError(f"the client does not take any more: {exc}") from exc
        if not self.under_way:
            self.waiting_since = time.monotonic()
        self.under_way += 1

    def poll(self, seconds: float) -> None:
        self.producer.poll(seconds)
        # A broker that answers and has too few others tries it again and again, which librdkafka takes for no error.
        if self.under_way and not self.trouble.words and time.monotonic() - self.waiting_since > PATIENCE:
            self.trouble.seen("Kafka acknowledges nothing, too few of its brokers have the lines")
        if self.failure:
            raise SetbackError(self.failure)

    def give_up(self) -> None:
        """Nothing of this client's is to arrive after what the next one sends."""
        # It says that what was purged is missing now, which is what was meant.
        with suppress(Exception):
            self.producer.purge()
            self.producer.flush(1)
