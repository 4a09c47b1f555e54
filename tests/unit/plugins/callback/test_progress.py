# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the progress of a run looks like."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.bcm.datacenter.plugins.callback.progress import CallbackModule, Stage, clock, table


class Shown:
    def __init__(self) -> None:
        self.text = ""

    def display(self, text: str) -> None:
        self.text += f"{text}\n"


@pytest.fixture
def progress() -> CallbackModule:
    plugin = CallbackModule()
    plugin._display = Shown()
    plugin.get_option = {"long_task": 1}.__getitem__
    return plugin


def play(**variables: str) -> Any:
    return SimpleNamespace(get_vars=lambda: variables)


def named(name: str) -> Any:
    return SimpleNamespace(get_name=lambda: name)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (83.4, "1:23"), (3725, "62:05")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_stage_that_came_twice_stands_once() -> None:
    stages = [Stage("image", 0, 10, 2), Stage("swarm", 10, 60, 0), Stage("image", 70, 5, 1)]
    assert table(stages) == [
        "image     0:15     3 changed",
        "swarm     1:00     0 changed",
        "in all    1:15     3 changed",
    ]


def test_stages_are_named_by_the_plays_or_the_playbook(progress: CallbackModule) -> None:
    progress.v2_playbook_on_start(SimpleNamespace(_file_name="playbooks/verify.yml"))
    for variables in ({"bcm_stage": "image"}, {"bcm_stage": "image"}, {}):
        progress.v2_playbook_on_play_start(play(**variables))
        progress.v2_runner_on_ok(SimpleNamespace(host=named("one"), result={"changed": True}))
    progress.v2_playbook_on_stats(None)
    shown = progress._display.text
    assert shown.count("STAGE image") == shown.count("STAGE verify") == 1
    assert "image     0:00     2 changed" in shown
    assert "verify    0:00     1 changed" in shown


def test_a_long_task_is_named_with_the_hosts_that_it_waits_for(progress: CallbackModule) -> None:
    progress.v2_playbook_on_start(SimpleNamespace(_file_name="site.yml"))
    progress.v2_playbook_on_play_start(play())
    task = named("Publish the image")
    progress.v2_playbook_on_task_start(task, False)
    for host in ("one", "two"):
        progress.v2_runner_on_start(named(host), task)
    progress.v2_runner_on_failed(SimpleNamespace(host=named("one"), result={}))
    deadline = time.monotonic() + 10
    while "so far" not in progress._display.text and time.monotonic() < deadline:
        time.sleep(0.05)
    progress.v2_playbook_on_stats(None)
    assert "so far: Publish the image (two)" in progress._display.text
