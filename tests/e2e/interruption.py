# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of ansible-playbook that is killed when a certain task has begun."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from standing import CHECKOUT, Site, play_env, wait_for

MARK = "BCM_E2E_RUN"
# What the log calls the begin of a task; the last of them where the strategy is free.
BEGINNINGS = ("v2_playbook_on_task_start", "v2_playbook_on_handler_task_start", "v2_runner_on_start")


@dataclass(frozen=True)
class Point:
    """A task of a play, and for how many seconds at most it is left alone."""

    name: str
    # None where the strategy is free: of such a play the log names the tasks alone.
    play: str | None
    task: str
    within: float
    # By what is seen that somebody else, LXD for one, has begun to do what the task asks for; without it the task's begin counts.
    sign: Callable[[Site], bool] | None = None

    def is_at(self, play: str, task: str) -> bool:
        return self.play in (None, play) and task.rpartition(" : ")[2] == self.task


@dataclass
class Killed:
    """What a run had come to when it was killed: results of the task that it was killed in, by host."""

    reached: bool = False
    over: bool = False
    results: dict[str, str] = field(default_factory=dict)
    processes: int = 0
    text: str = ""

    @property
    def hit(self) -> bool:
        """The task had begun, and was not one that had nothing to do."""
        return self.reached and (not self.over or any(kind != "skipped" for kind in self.results.values()))


def processes_with(mark: str) -> list[int]:
    """All that a run has started, on this machine: it hands its environment down, also to what leaves its session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"{MARK}={mark}".encode() in environment.split(b"\0"):
                found.append(int(entry.name))
    return found


def kill_all(process: subprocess.Popen[bytes], mark: str) -> int:
    """Kill a run and every process of it; how many there were."""
    killed: set[int] = set()

    def none_left() -> bool:
        process.poll()
        for pid in (pids := processes_with(mark)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        return not pids

    wait_for("the end of all processes of the run", none_left, 30, every=0.01)
    return len(killed)


def events(log: Path, process: subprocess.Popen[bytes], offset: int, until: float) -> Iterator[dict[str, Any]]:
    """What the run says from there on, as it says it, to its end or until that time."""
    with log.open(encoding="utf-8") as stream:
        stream.seek(offset)
        line = ""
        while time.monotonic() < until:
            over = process.poll() is not None
            line += stream.readline()
            if line.endswith("\n"):
                if line.startswith("{"):
                    yield {**json.loads(line), "_offset": stream.tell()}
                line = ""
            elif over:
                return
            else:
                time.sleep(0.02)


def play_and_kill(
    site: Site, playbook: str, *arguments: str, point: Point, delay: float, directory: Path, timeout: int = 1500
) -> Killed:
    """Run a playbook, and kill it that many seconds after the task has begun."""
    mark = uuid.uuid4().hex
    log = directory / f"killed-at-{point.name}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["ansible-playbook", playbook, "-i", str(site.inventory), *arguments],
            cwd=CHECKOUT,
            env={**play_env(), MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    killed = Killed()
    offset, play = 0, ""
    try:
        for event in events(log, process, 0, time.monotonic() + timeout):
            play = event["play"]["name"] if event["_event"] == "v2_playbook_on_play_start" else play
            begins = event["_event"] in BEGINNINGS
            if begins and point.is_at(play, event["task"]["name"]):
                killed.reached, offset = True, event["_offset"]
                if point.sign:
                    wait_for(f"the work of {point.task}", partial(point.sign, site), 120, every=0.05)
                time.sleep(delay)  # The moment that the seed has chosen: there is nothing to wait for.
                break
    finally:
        killed.processes = kill_all(process, mark)
    begun = 1
    for event in events(log, process, offset, time.monotonic() + 30) if killed.reached else ():
        ours = point.is_at(play, event.get("task", {}).get("name", ""))
        if event["_event"] in BEGINNINGS and ours:
            begun += 1
        elif event["_event"].endswith("_start") and point.play:
            killed.over = True
            break
        elif ours:
            for host in event["hosts"]:
                killed.results.setdefault(host, event["_event"].removeprefix("v2_runner_on_"))
    if not point.play:
        # Other hosts are at other tasks. It is over when all that have begun it are through.
        killed.over = len(killed.results) >= begun
    killed.text = log.read_text()
    return killed
