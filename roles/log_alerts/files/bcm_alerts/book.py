# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of all this, in a topic of Kafka's: what is remembered of each case, and how far the lines were read. It is written in one
transaction with the alerts that follow from it, so that whoever goes on raises none twice and leaves none out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bcm_alerts.cases import Case, Name, case_from
from bcm_alerts.kafka import PATIENCE, SetbackError, Trouble, at_the_end, client, common, reading, said
from bcm_alerts.settings import Settings

VERSION = 1
POSITION = "position"
Place = tuple[str, int]


@dataclass
class Memory:
    """What was remembered."""

    # The next line of each partition; nothing if nobody has worked before.
    places: dict[Place, int] = field(default_factory=dict)
    cases: dict[Name, Case] = field(default_factory=dict)
    # When it was written last, and up to when it was listened for those who are silent.
    at: float = 0.0
    listened: float = 0.0


def key_of(name: Name) -> str:
    return encoded(["case", *name]).decode()


def memory_from(values: Mapping[str, bytes]) -> Memory:
    """What the last value of each key says."""
    memory = Memory()
    for key, value in values.items():
        told = json.loads(value)
        if key != POSITION:
            memory.cases[Name(*json.loads(key)[1:])] = case_from(told)
            continue
        if told["v"] != VERSION:
            raise SetbackError(f"the memory is of version {told['v']}, and this program knows {VERSION}")
        memory.at, memory.listened = told["at"], told.get("listened", 0.0)
        memory.places = {
            (topic, int(number)): place for topic, parts in told["places"].items() for number, place in parts.items()
        }
    return memory


def values_of(
    places: Mapping[Place, int], cases: Mapping[Name, Case | None], at: float, listened: float = 0.0
) -> dict[str, bytes | None]:
    """What has to be written; nothing for what is forgotten."""
    values: dict[str, bytes | None] = {
        key_of(name): encoded(case.said()) if case is not None else None for name, case in cases.items()
    }
    told: dict[str, dict[str, int]] = {}
    for (topic, number), place in sorted(places.items()):
        told.setdefault(topic, {})[str(number)] = place
    values[POSITION] = encoded({"v": VERSION, "at": round(at, 3), "listened": round(listened, 3), "places": told})
    return values


def encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


class Book:
    """Reads and writes it."""

    def __init__(self, settings: Settings, trouble: Trouble) -> None:
        self.settings = settings
        self.trouble = trouble
        self.producer: Any = None

    def open(self) -> Memory:
        """From now on nobody else writes: whoever did so before is refused, and what he has begun comes to nothing."""
        options = {
            **common(self.settings, "book"),
            # Of all who may work: it is by this name that Kafka lets the last who came write, and nobody else.
            "transactional.id": self.settings.group,
            "transaction.timeout.ms": 30_000,
            "acks": "all",
            "compression.type": "lz4",
            # As Kafka's own clients do it, so that a key has the same partition whoever writes it.
            "partitioner": "murmur2_random",
            **self.settings.client,
        }
        self.producer = client("Producer", options, self.trouble.on_error)
        try:
            self.producer.init_transactions(PATIENCE)
        except Exception as exc:
            raise SetbackError(f"Kafka does not let it write: {said(exc)}") from exc
        return read(self.settings, self.trouble)

    def keep(
        self,
        places: Mapping[Place, int],
        cases: Mapping[Name, Case | None],
        alerts: list[dict[str, Any]],
        at: float,
        listened: float = 0.0,
    ) -> None:
        """All of it, or nothing.

        :raises SetbackError: it is not written, or nobody knows; who begins again will see.
        """
        try:
            self.producer.begin_transaction()
            for alert in alerts:
                self.producer.produce(self.settings.alerts, key=alert["alert"], value=encoded(alert))
            for key, value in values_of(places, cases, at, listened).items():
                self.producer.produce(self.settings.state, key=key, value=value)
            self.producer.commit_transaction(PATIENCE)
        except Exception as exc:
            raise SetbackError(f"what there is to remember cannot be written: {said(exc)}") from exc
        self.trouble.passed()

    def close(self) -> None:
        # What is under way comes to nothing, and is not waited for.
        self.producer = None


def read(settings: Settings, trouble: Trouble) -> Memory:
    """All of it, as it was written last."""
    found = values(settings, trouble)
    try:
        return memory_from(found)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise SetbackError(f"topic {settings.state} holds what this program has not written: {exc!r}") from exc


def values(settings: Settings, trouble: Trouble) -> dict[str, bytes]:
    """The last value of each key."""
    found: dict[str, bytes] = {}
    for message in everything(settings, trouble, settings.state):
        key = message.key().decode()
        if message.value() is None:
            found.pop(key, None)
        else:
            found[key] = message.value()
    return found


def history(settings: Settings, trouble: Trouble, seconds: float) -> list[dict[str, Any]]:
    """The alerts of the last so many seconds, as they were raised and resolved."""
    since = (time.time() - seconds) * 1000
    found = everything(settings, trouble, settings.alerts)
    alerts = (alert_from(message.value()) for message in found if message.timestamp()[1] >= since)
    return [alert for alert in alerts if alert is not None]


def alert_from(value: bytes | None) -> dict[str, Any] | None:
    """An alert as this program has written it. What others have put into the topic is none."""
    try:
        told = json.loads(value or b"")
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and {"alert", "state"} <= told.keys() else None


def everything(settings: Settings, trouble: Trouble, topic: str) -> Iterator[Any]:
    """All that a topic holds, up to what is its end now."""
    from confluent_kafka import OFFSET_BEGINNING, TopicPartition

    consumer = client("Consumer", reading(settings, "book", f"{settings.group}.book"), trouble.on_error)
    try:
        waiting = {number for _topic, number in partitions(consumer, (topic,), trouble)}
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in sorted(waiting)])
        answered = time.monotonic()
        while waiting:
            for message in consumer.consume(1000, 1.0):
                answered = time.monotonic()
                if at_the_end(message):
                    waiting.discard(message.partition())
                else:
                    yield message
            if time.monotonic() - answered > PATIENCE:
                raise SetbackError(f"topic {topic} cannot be read: {trouble.words or 'nothing comes'}")
    finally:
        consumer.close()


def partitions(consumer: Any, topics: tuple[str, ...], trouble: Trouble) -> list[Place]:
    """Those that TOPICS have."""
    try:
        known = consumer.list_topics(timeout=PATIENCE).topics
    except Exception as exc:
        raise SetbackError(f"Kafka does not answer: {trouble.words or said(exc)}") from exc
    missing = [topic for topic in topics if topic not in known or known[topic].error is not None]
    if missing:
        raise SetbackError(f"Kafka has no topic {', '.join(missing)}, or does not let it be read")
    return [(topic, number) for topic in topics for number in sorted(known[topic].partitions)]
