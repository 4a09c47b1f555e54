# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data service whose stop takes its time, deployed as the README of the role docker_engine tells."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from standing import Site, wait_for

SECONDS = 60
GRACE = 120
PROGRAM = """
echo started >> /data/log
trap 'echo asked >> /data/log; sleep "$STOP"; echo stopped >> /data/log; sync; exit 0' TERM
while :; do sleep 1 & wait $!; done
"""
BACK = 240


@dataclass
class DataService:
    """A service on one host, which writes down what happens to it."""

    site: Site
    host: str
    seconds: int

    @property
    def name(self) -> str:
        return f"e2e-stop-{self.host}"

    @property
    def directory(self) -> str:
        return f"/srv/{self.name}"

    def manager(self, *argv: str) -> str:
        return self.site.ask("manager-1", "docker", "service", *argv)

    def deploy(self) -> None:
        self.site.ask(self.host, "mkdir", "--parents", self.directory)
        mounts = [f"type=bind,src={path},dst={path},ro" for path in ("/run/bcm", "/usr/local/lib/bcm")]
        mounts.append(f"type=bind,src={self.directory},dst=/data")
        self.manager(
            "create", "--quiet", "--detach", "--no-resolve-image", f"--name={self.name}", f"--hostname={self.host}",
            f"--constraint=node.hostname=={self.host}", "--endpoint-mode=dnsrr", f"--env=STOP={self.seconds}",
            f"--stop-grace-period={GRACE}s", f"--container-label=bcm.stop-grace={GRACE}", "--restart-condition=any",
            "--update-order=stop-first", *(f"--mount={mount}" for mount in mounts),
            "--entrypoint=/usr/local/lib/bcm/bcm-hold",
            "debian:13-slim", "--lock", "/data/lock", "sh", "-c", PROGRAM,
        )  # fmt: skip
        self.wait_for_log("started")

    def remove(self) -> None:
        self.manager("rm", self.name)
        wait_for(f"end of {self.name}", lambda: not self.containers("--all"), GRACE)
        self.site.ask(self.host, "rm", "--recursive", self.directory)

    def containers(self, *options: str) -> list[str]:
        argv = ["docker", "ps", "--quiet", "--no-trunc", f"--filter=label=com.docker.swarm.service.name={self.name}"]
        return self.site.ask(self.host, *argv, *options).split()

    def task(self) -> str:
        (task,) = self.manager("ps", "--quiet", "--no-trunc", "--filter=desired-state=running", self.name).split()
        return task

    def log(self) -> list[str]:
        return self.site.run(self.host, "cat", f"{self.directory}/log").stdout.split()

    def wait_for_log(self, *lines: str) -> None:
        """Exactly this has happened to it."""
        wait_for(f"{', '.join(lines)} of {self.name}", lambda: self.log() == list(lines), BACK)

    def ended(self, task: str) -> dict[str, Any] | None:
        """What the managers say of a task that is over."""
        said = self.site.ask("manager-1", "docker", "inspect", "--format", "{{json .Status}}", task)
        status: dict[str, Any] = json.loads(said)
        return None if status["State"] == "running" else status

    def is_stopped_cleanly_by(self, way: Callable[[], object]) -> None:
        task = self.task()
        way()
        assert self.log()[:3] == ["started", "asked", "stopped"]
        # It comes back by itself, once.
        self.wait_for_log("started", "asked", "stopped", "started")
        assert task != self.task()
        # How it ended the managers know a moment later, unless its host was away before it could tell them: of the container itself a
        # host that came back has nothing left.
        status = wait_for("word of its end", lambda: self.ended(task), 60)
        if status["State"] == "failed":
            assert status["Err"].startswith("No such container"), status
        else:
            assert status["State"] in ("complete", "shutdown"), status
            assert status["ContainerStatus"]["ExitCode"] == 0
