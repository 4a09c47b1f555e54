# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run leaves in the audit log, by a run of Ansible's own on this machine with a logger that keeps what it is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.bcm.datacenter.plugins.callback import audit
from ansible_collections.bcm.datacenter.plugins.callback.audit import NAMED, person, record_of, takers

# Where Ansible finds it by its name, too.
COLLECTIONS = Path(audit.__file__).parents[5]

PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - name: A change of {{ secret }}
      ansible.builtin.set_fact: {one: "{{ secret }}"}
      changed_when: inventory_hostname != 'proxyhost-1'
    - name: It goes wrong on one
      ansible.builtin.fail: {msg: "{{ secret }}"}
      when: inventory_hostname == 'bitcoin-1'
- name: The last play is not for those who take the line
  hosts: proxyhost-1
  gather_facts: false
  tasks:
    - name: Nothing changes
      ansible.builtin.set_fact: {two: 2}
"""
INVENTORY = {
    "all": {
        "vars": {"ansible_connection": "local", "ansible_become": True},
        "children": {
            "tier_manager": {"hosts": {f"manager-{number}": {} for number in (1, 2, 3)}},
            "instances": {
                "hosts": {key: {} for key in ["proxyhost-1", "manager-1", "manager-2", "manager-3", "bitcoin-1"]}
            },
        },
    }
}
# Once for each line, so that a second one would be seen.
LOGGER = """#!/bin/sh
[ "$*" = --journald ] || exit 1
{ cat; echo END; } >> "$KEPT"
"""


def stats(**counts: dict[str, int]) -> Any:
    hosts = {host for found in counts.values() for host in found}
    none: dict[str, int] = {}
    return SimpleNamespace(
        processed=dict.fromkeys(hosts, 1),
        changed=counts.get("changed", none),
        failures=counts.get("failures", none),
        dark=counts.get("dark", none),
    )


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[str, list[dict[str, str]]]]:
    """Run a playbook on an inventory: what was shown, and the fields of each line that a logger has got."""
    for name, text in (("play.yml", PLAYBOOK), ("logger", LOGGER), ("ansible.cfg", "[defaults]\n")):
        (tmp_path / name).write_text(text)
    (tmp_path / "logger").chmod(0o755)
    kept = tmp_path / "kept"

    def begin(*arguments: str, inventory: Any = None, **environment: str) -> tuple[str, list[dict[str, str]]]:
        (tmp_path / "hosts.yml").write_text(json.dumps(inventory or INVENTORY))
        argv = [sys.executable, "-m", "ansible.cli.playbook", "-i", "hosts.yml", "play.yml", *arguments]
        said = subprocess.run(
            argv,
            cwd=tmp_path,
            env={
                **os.environ,
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
                "ANSIBLE_CALLBACKS_ENABLED": "bcm.datacenter.audit",
                "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
                "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote"),
                "KEPT": str(kept),
                "USER": "satoshi",
                "LOGNAME": "satoshi",
                "SUDO_USER": "",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        lines = kept.read_text().split("END\n")[:-1] if kept.exists() else []
        kept.unlink(missing_ok=True)
        entries = [dict(line.split("=", 1) for line in entry.splitlines()) for entry in lines]
        return said.stdout + said.stderr, entries

    return begin


def test_a_run_leaves_one_line_that_says_who_and_what_and_no_value(run: Callable[..., Any]) -> None:
    said, entries = run("-e", "secret=Chancellor", "--limit", "bitcoin-1,proxyhost-1")
    assert len(entries) == 1, said
    entry = entries[0]
    assert (entry["SYSLOG_IDENTIFIER"], entry["SYSLOG_FACILITY"]) == ("bcm-ansible", "10")
    assert "Chancellor" not in entry["MESSAGE"]
    record = json.loads(entry["MESSAGE"])
    assert record["who"].startswith("satoshi@")
    assert record.pop("began").endswith("Z")
    assert {name: record[name] for name in record if name not in ("who", "seconds")} == {
        "event": "ansible-run",
        "playbook": "play.yml",
        "check": False,
        "limit": "bitcoin-1,proxyhost-1",
        "tags": [],
        "skip_tags": [],
        "extra_vars": ["secret"],
        "result": "failed",
        "hosts": ["bitcoin-1", "proxyhost-1"],
        "changed": {"bitcoin-1": 1},
        "failed": {"bitcoin-1": 1},
        "unreachable": {},
    }
    # The run's own end is as it would be without it.
    assert said.count("PLAY RECAP") == 1
    assert "Who has run what" not in said
    assert "WARNING" not in said


def test_a_rehearsal_with_tags_is_told_as_one(run: Callable[..., Any]) -> None:
    said, entries = run("-e", "secret=s", "--check", "--tags", "never_there", BCM_AUDIT_WHO="the night watch")
    # None of its tasks has this tag, so that nobody did anything.
    assert entries == [], said
    said, entries = run("-e", "secret=s", "--check", "--skip-tags", "never_there", BCM_AUDIT_WHO="the night watch")
    assert len(entries) == 1, said
    record = json.loads(entries[0]["MESSAGE"])
    assert (record["who"], record["check"], record["skip_tags"]) == ("the night watch", True, ["never_there"])


def test_an_inventory_that_is_no_site_is_left_alone(run: Callable[..., Any]) -> None:
    said, entries = run("-e", "secret=s", inventory={"all": {"hosts": {"one": {"ansible_connection": "local"}}}})
    assert entries == []
    assert "audit" not in said


def test_a_line_that_nobody_takes_is_a_warning(run: Callable[..., Any], tmp_path: Path) -> None:
    said, entries = run("-e", "secret=s", KEPT=str(tmp_path / "nowhere/at/all"))
    assert entries == []
    assert "This run is not in the audit log: manager-1: " in " ".join(said.split())


@pytest.mark.parametrize(
    ("extra", "environment", "who"),
    [
        ({}, {}, "hal@desk"),
        ({}, {"SUDO_USER": "satoshi"}, "satoshi@desk"),
        ({"awx_user_name": "nick"}, {"SUDO_USER": "satoshi"}, "nick (AWX)"),
        ({"tower_user_name": "nick"}, {}, "nick (AWX)"),
    ],
)
def test_who(extra: dict[str, str], environment: dict[str, str], who: str) -> None:
    assert person(extra, environment, "hal", "desk") == who


def test_managers_that_were_reached_come_first() -> None:
    groups = {"tier_manager": ["m1", "m2"], "instances": ["p1", "m1", "m2", "b1"], "endpoints": ["e1", "e2"]}
    assert takers(groups, ["m2", "b1", "e2"]) == ["m2", "b1", "m1", "e2"]
    assert takers(groups, ["e1"]) == ["m1", "e1"]
    assert takers({"all": ["x"]}, ["x"]) == []


def test_of_very_many_hosts_there_are_numbers_only() -> None:
    many = {f"h{number}": 2 for number in range(NAMED + 1)}
    record = record_of(stats(changed=many, failures={"h1": 1}, dark={"h2": 0}), {"who": "hal"})
    assert (record["hosts"], record["changed"], record["failed"]) == (NAMED + 1, 2 * (NAMED + 1), 1)
    assert record["result"] == "failed"
    assert record_of(stats(dark={"h2": 1}), {})["result"] == "unreachable"
