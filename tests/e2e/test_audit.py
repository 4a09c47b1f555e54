# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has run what stands in the journal of a manager, whatever came of it."""

from __future__ import annotations

import json
from typing import Any

from standing import CHECKOUT, Site, play

INVENTORY = CHECKOUT / "inventories/lab"


def told(site: Site) -> list[dict[str, Any]]:
    """All that the first manager's journal has of runs, in their order."""
    said = site.ask("manager-1", "journalctl", "-t", "bcm-ansible", "-o", "json", "--no-pager")
    entries = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert {entry["SYSLOG_FACILITY"] for entry in entries} <= {"10"}
    return [json.loads(entry["MESSAGE"]) for entry in entries]


def test_a_run_is_told_with_who_and_on_which_hosts_and_without_values(site: Site) -> None:
    before = len(told(site))
    run = play(
        "playbooks/logs.yml",
        "--limit",
        "manager-1,manager-2",
        "-e",
        "grep=nothing-like-this",
        inventory=INVENTORY,
        env={"BCM_AUDIT_WHO": "the night watch"},
    )
    assert run.status == 0, run.text[-3000:]
    (record,) = told(site)[before:]
    assert (record["who"], record["playbook"], record["result"]) == ("the night watch", "logs.yml", "ok")
    assert record["hosts"] == ["manager-1", "manager-2"]
    assert record["limit"] == "manager-1,manager-2"
    assert record["extra_vars"] == ["grep"]
    assert "nothing-like-this" not in json.dumps(record)
    assert record["changed"] == record["failed"] == {}
