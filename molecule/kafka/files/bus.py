# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client of Kafka does, as whoever its certificate says.

    bus.py write|log|read|commit|committed IDENTITY TOPIC FIRST LAST [SECONDS]

write sends the numbers from FIRST to LAST, spread over SECONDS, and prints those that were acknowledged. log does so with records as a shipper's.
read prints all that it finds. commit says for the identity's group that of the topic's first partition all before FIRST was read, committed prints
what it has said. What is refused is said on the standard error, and ends it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

SERVERS = ",".join(f"kafka-{n}.molkafka.bcm.internal:9092" for n in (1, 2, 3))
STORE = "/var/lib/bcm/sites/molkafka/secrets"


def settings(identity: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "bootstrap.servers": SERVERS,
        "security.protocol": "SSL",
        "ssl.ca.location": "/etc/bcm/kafka/admin/ca.pem",
        "log_level": 0,
    }
    if identity != "nobody":
        found["ssl.certificate.location"] = found["ssl.key.location"] = f"{STORE}/tls-{identity}"
    return found


def record(number: int) -> str:
    said = {
        "v": 1,
        "host": "source",
        "number": number,
        "message": f"line {number}",
        "boot": "b",
        "entry": f"s:{number:x}",
    }
    return json.dumps(said, separators=(",", ":"))


def write(identity: str, topic: str, numbers: range, seconds: float, form: Callable[[int], str] = str) -> None:
    refused: list[str] = []

    def delivered(error: Any, message: Any) -> None:
        if error is None:
            said = json.loads(message.value())
            print(said["number"] if isinstance(said, dict) else said)
        else:
            refused.append(str(error))

    options = {"acks": "all", "enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 120_000}
    if identity in ("nobody", "stranger"):
        options["message.timeout.ms"] = 10_000
    producer = Producer({**settings(identity), **options})
    began = time.monotonic()
    for position, number in enumerate(numbers):
        # The key is the source: its lines stay in order.
        producer.produce(topic, form(number), key="source", on_delivery=delivered)
        producer.poll(0)
        left = began + seconds * (position + 1) / len(numbers) - time.monotonic()
        if left > 0:
            producer.poll(left)
    producer.flush(150)
    if refused:
        sys.exit(refused[0])


def read(identity: str, topic: str) -> None:
    options = {"group.id": identity, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer({**settings(identity), **options})
    try:
        parts = consumer.list_topics(topic, timeout=10).topics[topic]
        if parts.error:
            raise KafkaException(parts.error)
        ends = {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            for number in parts.partitions
        }
        consumer.assign([TopicPartition(topic, number, low) for number, (low, _high) in ends.items()])
        left = {number for number, (low, high) in ends.items() if high > low}
        while left:
            message = consumer.poll(20)
            if message is None:
                sys.exit("nothing more came")
            if message.error():
                raise KafkaException(message.error())
            print(int(message.value()))
            if message.offset() + 1 >= ends[message.partition()][1]:
                left.discard(message.partition())
    except KafkaException as exc:
        error = exc.args[0]
        sys.exit(f"{error.name() if isinstance(error, KafkaError) else error}: {error}")
    finally:
        consumer.close()


def group(identity: str, place: TopicPartition) -> None:
    """Say how far the group is, where PLACE does, or be told."""
    consumer = Consumer({**settings(identity), "group.id": identity, "enable.auto.commit": False})
    try:
        if place.offset >= 0:
            consumer.commit(offsets=[place], asynchronous=False)
        else:
            print(consumer.committed([place], timeout=30)[0].offset)
    finally:
        consumer.close()


verb, identity, topic, *rest = sys.argv[1:]
if verb in ("write", "log"):
    numbers, seconds = range(int(rest[0]), int(rest[1]) + 1), float(rest[2]) if len(rest) > 2 else 0
    write(identity, topic, numbers, seconds, record if verb == "log" else str)
elif verb in ("commit", "committed"):
    group(identity, TopicPartition(topic, 0, int(rest[0])) if verb == "commit" else TopicPartition(topic, 0))
else:
    read(identity, topic)
