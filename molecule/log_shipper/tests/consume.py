# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that Kafka has, raw and as often as it has it: consume.py, on a host with bcm-logs. Prints a JSON object a line."""

from __future__ import annotations

import json
import time
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

HERE = Path("/etc/bcm/logs")
config = json.loads((HERE / "config.json").read_text())
consumer = Consumer(
    {
        "bootstrap.servers": ",".join(config["brokers"]),
        "group.id": "log-reader.test",
        "enable.auto.commit": False,
        "security.protocol": "ssl",
        "ssl.ca.location": str(HERE / "authority.pem"),
        "ssl.certificate.location": str(HERE / "certificate.pem"),
        "ssl.key.location": str(HERE / "key.pem"),
    }
)
known = consumer.list_topics(timeout=20).topics
ends = {}
for topic in config["topics"]:
    for number in known[topic].partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20)
        if high > low:
            ends[topic, number] = high
consumer.assign([TopicPartition(topic, number, 0) for topic, number in ends])
patience = time.monotonic() + 120
while ends and time.monotonic() < patience:
    for message in consumer.consume(1000, 1.0):
        if message.error():
            raise SystemExit(message.error().str())
        place = (message.topic(), message.partition())
        if place in ends:
            print(json.dumps({"topic": message.topic(), "key": message.key().decode(), **json.loads(message.value())}))
            if message.offset() + 1 >= ends[place]:
                del ends[place]
