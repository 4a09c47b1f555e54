# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of all scenarios share: ways into their instances, and their playbook with other variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

MOLECULE = Path(__file__).parent
SHARED = MOLECULE / "shared/inventory"
sys.path.insert(0, str(MOLECULE.parent / "tests/e2e"))

from standing import LAB_DIR, LXD_ENV, Run, play  # noqa: E402

PROJECT = "molecule"
# Seconds that one command in an instance may take: one that never ends fails instead of holding up all that comes after it.
LONGEST = 900


class LXDBackend(BaseBackend):
    """Testinfra's way into an instance. Its backend "ansible" would start Ansible for every single command."""

    NAME = "lxd"

    def run(self, command: str, *args: str, **_kwargs: Any) -> CommandResult:
        inner = self.get_command(command, *args)
        return self.run_local(
            f"timeout --foreground --kill-after=10 {LONGEST} lxc --project {PROJECT} exec --mode=non-interactive %s -- sh -c %s",
            self.hostname,
            inner,
        )


@pytest.fixture(scope="session")
def instance() -> Callable[[str], Host]:
    """The instance of a name, as a host of testinfra's."""
    os.environ.update(LXD_ENV)
    return cache(lambda name: Host(LXDBackend(name)))


@pytest.fixture(scope="session")
def lab() -> dict[str, Any]:
    """What the lab says of this machine and of itself."""
    facts: dict[str, Any] = yaml.safe_load((LAB_DIR / "site-vars.yml").read_text())
    return facts


def arguments_of(playbook: str, *arguments: str, **variables: Any) -> list[str]:
    """How the scenario's playbook is run with other variables."""
    scenario = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
    own = ["-i", str(scenario / "inventory.yml"), *arguments, "-e", json.dumps(variables)]
    return [str(scenario / playbook), *own]


@pytest.fixture(scope="session")
def converge() -> Callable[..., Run]:
    """The scenario's playbook once more, or another one of it, with other variables."""

    def run(playbook: str = "converge.yml", *arguments: str, **variables: Any) -> Run:
        return play(*arguments_of(playbook, *arguments, **variables), inventory=SHARED, timeout=600)

    return run


@pytest.fixture(scope="session")
def begin() -> Callable[..., subprocess.Popen[bytes]]:
    """The same, not waited for, in a process group of its own."""

    def start(playbook: str, **variables: Any) -> subprocess.Popen[bytes]:
        argv = ["ansible-playbook", "-i", str(SHARED), *arguments_of(playbook, **variables)]
        env = {**os.environ, **LXD_ENV, "ANSIBLE_CONFIG": str(MOLECULE.parent / "ansible.cfg")}
        return subprocess.Popen(
            argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )

    return start


@pytest.fixture(scope="session")
def refusal(converge: Callable[..., Run]) -> Callable[..., str]:
    """What the role says of variables that it cannot do: one thing, before it changes anything."""

    def refuse(*arguments: str, **variables: Any) -> str:
        run = converge("converge.yml", *arguments, **variables)
        assert run.status != 0, "it was taken"
        assert not run.changed
        assert len(run.failures) == 1, run.failures
        return run.failures[0]

    return refuse
