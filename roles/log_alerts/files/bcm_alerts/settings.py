# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role says."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bcm_alerts.rules import Rule, rule_from

CONFIG = "config.json"


def directory() -> Path:
    """Configuration, key and certificates are root's. systemd hands a copy of them over to the program that works."""
    return Path(os.environ.get("CREDENTIALS_DIRECTORY") or os.environ.get("BCM_ALERTS", "/etc/bcm/alerts"))


@dataclass(frozen=True)
class Settings:
    """Where lines come from, where alerts go, and by which rules."""

    site: str
    host: str
    brokers: tuple[str, ...]
    rules: tuple[Rule, ...]
    # Who is expected to log, with the tier of each.
    hosts: dict[str, str]
    topics: tuple[str, ...] = ("logs.system", "logs.service", "audit")
    alerts: str = "alerts"
    state: str = "alerts.state"
    # By which Kafka knows those who may take each other's place.
    group: str = "log-alerts"
    # So many seconds back it begins where nobody has worked before.
    look_back: int = 3600
    runtime: str = "/run/bcm-alerts/status.json"
    # Further options of librdkafka.
    client: dict[str, Any] = field(default_factory=dict)


def settings_from(said: dict[str, Any]) -> Settings:
    lists = {name: tuple(value) for name, value in said.items() if isinstance(value, list) and name != "rules"}
    return Settings(**{**said, **lists, "rules": tuple(rule_from(rule) for rule in said["rules"])})


def load() -> Settings:
    return settings_from(json.loads((directory() / CONFIG).read_text(encoding="utf-8")))
