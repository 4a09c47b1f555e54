# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: aggregate
short_description: Say which stage runs, what a long task waits for, and what each stage took
description:
  - Names each stage of a site as it begins, with the time since the start.
  - While a task takes long, says every so often which task that is and which hosts have not answered yet.
  - At the end lists the stages with the time that each took and how many of its results were changes.
  - A stage is what a play's variable C(bcm_stage) says, as C(playbooks/site.yml) sets it for each of its parts; a play
    without that variable belongs to a stage with the name of the playbook's file.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
requirements:
  - Named in C(callbacks_enabled), in the section C(defaults) of C(ansible.cfg).
options:
  long_task:
    description:
      - After how many seconds a task that still runs is named, and named again.
      - V(0) never names one.
    type: int
    default: 30
    env:
      - name: BCM_PROGRESS_LONG_TASK
    ini:
      - section: callback_progress
        key: long_task
"""

EXAMPLES = r"""
ansible.cfg: |
  [defaults]
  callbacks_enabled = bcm.datacenter.progress

  [callback_progress]
  long_task = 60
"""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase


@dataclass
class Stage:
    """What one stage took: its seconds on the clock and how many results were changes."""

    name: str
    begun: float
    seconds: float = 0.0
    changes: int = 0


@dataclass
class Task:
    """The task that runs now, and the hosts that it still runs on."""

    name: str
    begun: float
    named: float
    hosts: set[str] = field(default_factory=set)


def clock(seconds: float) -> str:
    """Minutes and seconds, as a stop-watch shows them.

    >>> clock(83.4)
    '1:23'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def table(stages: list[Stage]) -> list[str]:
    """The stages as lines of text, the sum last. A stage that came twice stands once."""
    rows: dict[str, tuple[float, int]] = {}
    for stage in stages:
        seconds, changes = rows.get(stage.name, (0.0, 0))
        rows[stage.name] = (seconds + stage.seconds, changes + stage.changes)
    whole = (sum(stage.seconds for stage in stages), sum(stage.changes for stage in stages))
    width = max(len("in all"), *(len(name) for name in rows))
    return [
        f"{name:<{width}}  {clock(seconds):>6}  {changes:>4} changed"
        for name, (seconds, changes) in {**rows, "in all": whole}.items()
    ]


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "bcm.datacenter.progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._playbook = ""
        self._stages: list[Stage] = []
        self._task: Task | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._playbook = Path(playbook._file_name).stem
        every = self.get_option("long_task")
        if every > 0:
            threading.Thread(target=self._watch, args=(every,), daemon=True).start()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        name = str(play.get_vars().get("bcm_stage", self._playbook))
        self._set_task(None)
        if self._stages and self._stages[-1].name == name:
            return
        self._end_stage()
        now = time.monotonic()
        self._stages.append(Stage(name, now))
        since = now - self._stages[0].begun
        self._display.display(f"\nSTAGE {name}" + (f" (after {clock(since)})" if since else ""))

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        now = time.monotonic()
        self._set_task(Task(task.get_name(), now, now))

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        with self._lock:
            if self._task:
                self._task.hosts.add(host.get_name())

    def _ended(self, result: Any) -> None:
        with self._lock:
            if self._task:
                self._task.hosts.discard(result.host.get_name())

    def v2_runner_on_ok(self, result: Any) -> None:
        self._ended(result)
        if self._stages and result.result.get("changed"):
            self._stages[-1].changes += 1

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._ended(result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._ended(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._ended(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._over.set()
        self._end_stage()
        if self._stages:
            self._display.display("\nSTAGES\n" + "\n".join(f"  {line}" for line in table(self._stages)))

    def _end_stage(self) -> None:
        if self._stages and not self._stages[-1].seconds:
            self._stages[-1].seconds = time.monotonic() - self._stages[-1].begun

    def _set_task(self, task: Task | None) -> None:
        with self._lock:
            self._task = task

    def _watch(self, every: int) -> None:
        while not self._over.wait(1):
            with self._lock:
                task, now = self._task, time.monotonic()
                if not task or not task.hosts or now - task.named < every:
                    continue
                task.named = now
                line = f"  … {clock(now - task.begun)} so far: {task.name} ({', '.join(sorted(task.hosts))})"
            self._display.display(line)
