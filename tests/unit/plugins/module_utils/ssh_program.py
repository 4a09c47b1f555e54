# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program in the place of ssh, for those who have it run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_ssh import SSHOptions


class FakeSSH:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.program = home / "ssh"
        self.program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("fake_ssh.py")} "$@"\n')
        self.program.chmod(0o755)
        self.options = SSHOptions(executable=str(self.program), control_dir=str(home / "cp"))

    def behave(self, behaviour: str) -> None:
        (self.home / "behaviour").write_text(behaviour)

    @property
    def masters(self) -> list[list[str]]:
        calls = [json.loads(line) for line in (self.home / "calls").read_text().splitlines()]
        return [call for call in calls if "-N" in call]

    @property
    def sessions(self) -> list[str]:
        """Commands that were run on the server."""
        calls = [json.loads(line) for line in (self.home / "calls").read_text().splitlines()]
        return [call[-1] for call in calls if "--" in call and len(call) > call.index("--") + 2]

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            pid = int((self.home / "master").read_text())
            os.kill(pid, signal.SIGKILL)
            # It is nobody's child here: wait until nobody listens any more.
            for _i in range(200):
                os.kill(pid, 0)
                time.sleep(0.01)
