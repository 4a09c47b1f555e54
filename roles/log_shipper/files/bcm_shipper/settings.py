# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role says."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcm_shipper.ledger import Limit

CONFIG = "config.json"


def directory() -> Path:
    """Configuration, key and certificates are root's. systemd hands a copy of them over to the program that ships."""
    return Path(os.environ.get("CREDENTIALS_DIRECTORY") or os.environ.get("BCM_SHIPPER", "/etc/bcm/shipper"))


@dataclass(frozen=True)
class Settings:
    """Where this host is, where its lines go, and what is special of them."""

    site: str
    host: str
    tier: str
    brokers: tuple[str, ...]
    topics: dict[str, str]
    bus_services: tuple[str, ...] = ()
    bus_units: tuple[str, ...] = ("bcm-shipper.service",)
    audit: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    redact: tuple[str, ...] = ()
    from_now: bool = False
    # Seconds after which a line that is not sent is late, and in which a loss is something to look at.
    late: int = 60
    lost_for: int = 86400
    state: str = "/var/lib/bcm-shipper/state.json"
    runtime: str = "/run/bcm-shipper/status.json"
    # A directory of journals instead of those of this machine.
    journal: str | None = None
    # Further options of librdkafka.
    client: dict[str, Any] | None = None


def settings_from(said: dict[str, Any]) -> Settings:
    lists = {name: tuple(value) for name, value in said.items() if isinstance(value, list) and name != "limits"}
    limits = tuple(Limit(limit["source"], limit["lines"], limit["seconds"]) for limit in said.get("limits", []))
    return Settings(**{**said, **lists, "limits": limits})


def load() -> Settings:
    return settings_from(json.loads((directory() / CONFIG).read_text(encoding="utf-8")))
