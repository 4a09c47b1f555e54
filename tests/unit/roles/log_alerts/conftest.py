# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program's package, and the rules that are always there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bcm.datacenter.plugins.filter.alert_rules import alert_rules

sys.path.insert(0, str(Path(__file__).parents[4] / "roles/log_alerts/files"))


@pytest.fixture
def known_rules() -> list[dict[str, Any]]:
    """As the role writes them."""
    return alert_rules({})
