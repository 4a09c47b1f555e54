# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that is run, and what it says of itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
LAB_DIR = Path(os.environ.get("BCM_LAB_DIR", "/var/lib/bcm-lab"))
ENV = {**os.environ, "LXD_DIR": str(LAB_DIR / "lxd"), "ANSIBLE_FORCE_COLOR": "0"}
STAGE = re.compile(r"^  (\S+(?: all)?) +(\d+):(\d\d) +(\d+) changed$", re.MULTILINE)
# A stage begins, a task begins, a host is through with a task (or with one item of its loop).
LINE = re.compile(r"^STAGE (\S+)|^((?:TASK|RUNNING HANDLER) \[)|^(?:ok|changed): \[([^\] ]+)", re.MULTILINE)
ALL = "in all"


@dataclass(frozen=True)
class Played:
    """What a run said of itself: the seconds of its stages, how many tasks hosts had to do in each, how many results were changes."""

    stages: dict[str, int]
    tasks: dict[str, int]
    changed: int

    @property
    def in_all(self) -> int:
        return self.stages[ALL]

    @classmethod
    def read(cls, output: str) -> Played | None:
        """None where the stages are not told, as after a run that did not come to its end."""
        told = STAGE.findall(output)
        if not told or told[-1][0] != ALL:
            return None
        stages = {name: 60 * int(minutes) + int(rest) for name, minutes, rest, _changed in told}
        tasks = dict.fromkeys(stages, 0)
        stage, through = "", set[str]()
        for begun, task, host in LINE.findall(output):
            if begun:
                stage = begun
            elif task:
                through.clear()
            elif host not in through and stage in tasks:
                through.add(host)
                tasks[stage] += 1
                tasks[ALL] += 1
        return cls(stages, tasks, int(told[-1][3]))


def play(inventory: Path, playbook: str, *arguments: str, env: Mapping[str, str] | None = None) -> Played:
    """Run a playbook to its end, which has to be a good one."""
    argv = [str(CHECKOUT / "scripts/play"), str(inventory), playbook, *arguments]
    done = subprocess.run(
        argv,
        cwd=CHECKOUT,
        env={**ENV, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{playbook} failed:\n{done.stdout[-4000:]}{done.stderr[-1000:]}")
    played = Played.read(done.stdout)
    if played is None:
        sys.exit(f"{playbook} did not say what its stages took:\n{done.stdout[-4000:]}")
    return played
