# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who of several works, while the others wait: a seat that Kafka gives to one of them, and to another one when that is gone. It is the first
partition of the topic that is the memory, in a group of consumers."""

from __future__ import annotations

from typing import Any

from bcm_alerts.kafka import SetbackError, Trouble, client, reading, said
from bcm_alerts.settings import Settings


class Seat:
    """Whether it is this one's."""

    def __init__(self, settings: Settings, trouble: Trouble) -> None:
        self.settings = settings
        self.trouble = trouble
        self.held = False
        # Whether Kafka knows that it waits.
        self.joined = False
        self.consumer: Any = None

    def open(self) -> None:
        options = {
            **reading(self.settings, "seat", self.settings.group),
            "enable.partition.eof": False,
            # What is in it is read by the book, from its beginning.
            "auto.offset.reset": "latest",
            # Who has it keeps it when another one comes to wait.
            "partition.assignment.strategy": "cooperative-sticky",
            # Who is killed has lost it after so long, and so has who stands still.
            "session.timeout.ms": 10_000,
            "max.poll.interval.ms": 120_000,
        }
        self.consumer = client("Consumer", options, self.trouble.on_error)
        self.consumer.subscribe([self.settings.state], on_assign=self.given, on_revoke=self.taken)

    def given(self, _consumer: Any, places: list[Any]) -> None:
        self.joined = True
        self.held = self.held or is_among(places)

    def taken(self, _consumer: Any, places: list[Any]) -> None:
        self.held = self.held and not is_among(places)

    def poll(self, seconds: float) -> bool:
        """Whether it is held. Who does not ask has lost it after a while."""
        message = self.consumer.poll(seconds)
        while message is not None:
            # What is written there is of no interest here.
            if message.error() is not None:
                raise SetbackError(f"group {self.settings.group}: {said(message.error())}")
            message = self.consumer.poll(0)
        return self.held

    def close(self) -> None:
        """Another one has it at once."""
        self.held = False
        if self.consumer is not None:
            self.consumer.close()


def is_among(places: list[Any]) -> bool:
    return any(place.partition == 0 for place in places)
