# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try to write to a topic as somebody: write_as.py DIRECTORY TOPIC. Says why not, if it is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

here, topic = Path(sys.argv[1]), sys.argv[2]
config = json.loads((here / "config.json").read_text())
producer = Producer(
    {
        "bootstrap.servers": ",".join(config["brokers"]),
        "security.protocol": "ssl",
        "ssl.ca.location": str(here / "authority.pem"),
        "ssl.certificate.location": str(here / "certificate.pem"),
        "ssl.key.location": str(here / "key.pem"),
        "message.timeout.ms": 15000,
    }
)


def delivered(error: Any, _message: Any) -> None:
    print(error.str() if error is not None else "written")


producer.produce(topic, "{}", on_delivery=delivered)
producer.flush(20)
