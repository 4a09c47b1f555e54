# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Kafka has, raw and as often as it has it: consume.py SINCE count KEY... | entries HOST... | find WORD, on a host with bcm-logs.

count says of each source, by its key, whether all came in order, and how many came again. entries prints host and entry of each record of these
hosts. find prints the records whose message has a word in it, with their topics. SINCE is in milliseconds since 1970.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

HERE = Path("/etc/bcm/logs")
PATIENCE = 120


def records(since: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Topic, key and content of all that is there now."""
    config = json.loads((HERE / "config.json").read_text())
    consumer = Consumer(
        {
            "bootstrap.servers": ",".join(config["brokers"]),
            "group.id": "log-reader.e2e",
            "enable.auto.commit": False,
            "security.protocol": "ssl",
            "ssl.ca.location": str(HERE / "authority.pem"),
            "ssl.certificate.location": str(HERE / "certificate.pem"),
            "ssl.key.location": str(HERE / "key.pem"),
        }
    )
    known = consumer.list_topics(timeout=20).topics
    places = [TopicPartition(topic, one, since) for topic in config["topics"] for one in known[topic].partitions]
    places = consumer.offsets_for_times(places, timeout=20)
    ends = {}
    for place in places:
        _low, high = consumer.get_watermark_offsets(place, timeout=20)
        if 0 <= place.offset < high:
            ends[place.topic, place.partition] = high
    consumer.assign([place for place in places if (place.topic, place.partition) in ends])
    until = time.monotonic() + PATIENCE
    while ends:
        if time.monotonic() > until:
            raise SystemExit(f"nothing came of {sorted(ends)} within {PATIENCE} s")
        for message in consumer.consume(1000, 1.0):
            if message.error():
                raise SystemExit(message.error().str())
            place = (message.topic(), message.partition())
            if place in ends:
                yield message.topic(), message.key().decode(), json.loads(message.value())
                if message.offset() + 1 >= ends[place]:
                    del ends[place]
    consumer.close()


@dataclass
class Counted:
    """What came of one source."""

    seen: set[str] = field(default_factory=set)
    # Of its lines that begin with a number, the last one, and of all the last number that the shipper gave.
    last: int = 0
    number: int = 0
    again: int = 0
    wrong: str = ""

    def take(self, record: dict[str, Any]) -> None:
        entry = f"{record['boot']} {record['entry']}"
        if entry in self.seen:
            self.again += 1
            return
        self.seen.add(entry)
        if self.number and record["number"] != self.number + 1:
            self.wrong = self.wrong or f"the shipper's number {record['number']} follows {self.number}"
        self.number = record["number"]
        word = record["message"].partition(" ")[0]
        # systemd speaks of its units, too.
        if word.isdecimal():
            if int(word) != self.last + 1:
                self.wrong = self.wrong or f"line {word} follows {self.last}"
            self.last = int(word)


def main(since: int, verb: str, words: list[str]) -> None:
    counted = {key: Counted() for key in words}
    for topic, key, record in records(since):
        if verb == "count" and key in counted:
            counted[key].take(record)
        elif verb == "entries" and record["host"] in words and "event" not in record:
            print(record["host"], record["entry"])
        elif verb == "find" and words[0] in record["message"]:
            print(json.dumps({"topic": topic, "key": key, **record}))
    if verb == "count":
        said = {key: {"last": one.last, "again": one.again, "wrong": one.wrong} for key, one in counted.items()}
        print(json.dumps(said))


main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
