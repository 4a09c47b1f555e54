# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of all topics, from where the book says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bcm_alerts.book import Place, partitions
from bcm_alerts.kafka import PATIENCE, SetbackError, Trouble, at_the_end, client, reading, said
from bcm_alerts.settings import Settings

AT_ONCE = 500
# Seconds that a partition may not have been at its end for: where lines come all the time there is always one more.
RECENT = 30.0


class Stream:
    """Reads them, and knows whether there are more."""

    def __init__(self, settings: Settings, trouble: Trouble) -> None:
        self.settings = settings
        self.trouble = trouble
        self.consumer: Any = None
        # When each partition was read to its end last, since whenever; those that are at it still.
        self.ends: dict[Place, float] = {}
        self.ended: set[Place] = set()

    def open(self, places: Mapping[Place, int], now: float) -> dict[Place, int]:
        """Go to what was not read yet; of a topic that nobody has read before to what it had a while ago. Returns where that is."""
        from confluent_kafka import TopicPartition

        options = {**reading(self.settings, "lines", f"{self.settings.group}.lines"), "auto.offset.reset": "earliest"}
        self.consumer = client("Consumer", options, self.trouble.on_error)
        found = partitions(self.consumer, self.settings.topics, self.trouble)
        begin = {place: places[place] for place in found if place in places}
        new = [place for place in found if place not in places]
        # A partition that has come beside others has nothing that is older than the others' lines.
        since = 0 if places else int(max(0.0, now - self.settings.look_back) * 1000)
        try:
            asked = [TopicPartition(topic, number, since) for topic, number in new]
            for answer in self.consumer.offsets_for_times(asked, timeout=PATIENCE) if asked else []:
                place = (answer.topic, answer.partition)
                # A negative one says that there is nothing after that time.
                begin[place] = (
                    answer.offset
                    if answer.offset >= 0
                    else self.consumer.get_watermark_offsets(TopicPartition(*place), timeout=PATIENCE)[1]
                )
        except Exception as exc:
            raise SetbackError(f"Kafka does not answer: {self.trouble.words or said(exc)}") from exc
        self.consumer.assign([TopicPartition(topic, number, offset) for (topic, number), offset in begin.items()])
        self.ends, self.ended = {}, set()
        return begin

    def read(self, seconds: float, now: float) -> Iterator[tuple[Place, int, bytes]]:
        """What has come: its partition, its number there, and the line."""
        for message in self.consumer.consume(AT_ONCE, seconds):
            place = (message.topic(), message.partition())
            if at_the_end(message):
                self.ends[place] = now
                self.ended.add(place)
                continue
            self.ended.discard(place)
            if message.value() is not None:
                yield place, message.offset(), message.value()

    def live(self, places: Mapping[Place, int], now: float) -> bool:
        """Whether all that there is was read: only then is it known who was silent."""
        return all(place in self.ended or now - self.ends.get(place, 0.0) < RECENT for place in places)

    def grown(self, places: Mapping[Place, int]) -> bool:
        """Whether there are other partitions than those that are read."""
        return set(partitions(self.consumer, self.settings.topics, self.trouble)) != set(places)

    def close(self) -> None:
        if self.consumer is not None:
            self.consumer.close()
