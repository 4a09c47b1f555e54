# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bus of a whole site: what is in it, ways to disturb it, and sources whose lines are numbered."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from standing import Site, wait_for

HERE = Path(__file__).parent
CONSUME, WRITE = ((HERE / name).read_text() for name in ("consume.py", "write.py"))
IMAGE = "debian:13-slim"
# Each second some lines, as quickly as they come.
TALK = 'n=0; while [ "$n" -lt "$1" ]; do seq "$((n + 1))" "$((n + $2))"; n=$((n + $2)); sleep 1; done'


@dataclass(frozen=True)
class Unit:
    """A unit of systemd that writes lines. Its own journal has them whatever else happens."""

    site: Site
    host: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.host}/{self.name}.service"

    def begin(self, first: int, last: int, seconds: float) -> None:
        argv = ["systemd-run", "--quiet", "--collect", f"--unit={self.name}", "python3", "-c", WRITE]
        self.site.ask(self.host, *argv, str(first), str(last), str(seconds))

    def ended(self) -> bool:
        return self.site.run(self.host, "systemctl", "is-active", f"{self.name}.service").stdout.strip() == "inactive"


@dataclass(frozen=True)
class Container:
    """A container that does the same on its standard output, to a multiple of what it writes in a second."""

    site: Site
    host: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.host}/{self.name}"

    def begin(self, last: int, a_second: int) -> None:
        argv = ["docker", "run", "--rm", "--detach", "--name", self.name, IMAGE, "sh", "-c", TALK, "sh"]
        self.site.ask(self.host, *argv, str(last), str(a_second), timeout=300)

    def ended(self) -> bool:
        return self.site.ask(self.host, "docker", "ps", "--quiet", "--filter", f"name=^{self.name}$") == ""


@dataclass(frozen=True)
class Bus:
    """Kafka on its hosts, and those who ship to it."""

    site: Site

    @property
    def hosts(self) -> list[str]:
        return sorted(self.site.groups["kafka_nodes"])

    # -- members -------------------------------------------------------------------------------------------------------

    def container(self, host: str) -> str:
        (found,) = self.site.ask(host, "docker", "ps", "--quiet", "--filter", f"label=bcm.kafka={host}").split()
        return found

    def kill(self, host: str) -> None:
        self.site.ask(host, "docker", "kill", "--signal", "KILL", self.container(host))

    def signal(self, host: str, name: str) -> None:
        pid = self.site.ask(host, "docker", "inspect", "--format", "{{.State.Pid}}", self.container(host)).strip()
        self.site.ask(host, "kill", f"-{name}", pid)

    def pause(self, *hosts: str) -> None:
        for host in hosts:
            self.site.ask(host, "docker", "pause", self.container(host))

    def resume(self, *hosts: str) -> None:
        for host in hosts:
            self.site.ask(host, "docker", "unpause", self.container(host))

    def mend(self) -> None:
        """Whatever a test has left behind: nobody stands still, and all have caught up."""
        for host in self.hosts:
            for container in self.site.run(
                host, "docker", "ps", "--quiet", "--filter", "label=bcm.kafka"
            ).stdout.split():
                self.site.run(host, "docker", "unpause", container)
                pid = self.site.run(host, "docker", "inspect", "--format", "{{.State.Pid}}", container).stdout.strip()
                self.site.run(host, "kill", "-CONT", pid)
        self.whole()

    def serves(self, host: str) -> bool:
        done = self.site.run(host, "kafka", "status")
        return done.returncode == 0 and bool(json.loads(done.stdout)["ready"])

    def whole(self, seconds: float = 240) -> None:
        wait_for("all members of Kafka", lambda: all(self.serves(host) for host in self.hosts), seconds, every=2)
        behind = ["kafka", "topics", "--describe", "--under-replicated-partitions"]

        def all_in_sync() -> bool:
            done = self.site.run(self.hosts[0], *behind)
            return done.returncode == 0 and done.stdout.strip() == ""

        wait_for("all replicas in sync", all_in_sync, seconds, every=3)

    # -- shippers ------------------------------------------------------------------------------------------------------

    def status(self, host: str) -> dict[str, Any]:
        said = self.site.run(host, "bcm-shipper", "status", "--json").stdout
        # An instance that has just been started may not even have its file systems yet.
        found: dict[str, Any] = json.loads(said) if said else {"running": False}
        return found

    def caught_up(self, *hosts: str, seconds: float = 180) -> None:
        """All that these journals have is in Kafka, but for what has come within the last seconds."""

        def up_to_date(host: str) -> bool:
            said = self.status(host)
            return bool(said["running"]) and said["oldest"] < 5

        for host in hosts:
            wait_for(f"all of the journal of {host} in Kafka", lambda host=host: up_to_date(host), seconds)  # type: ignore[misc]

    # -- what is in it -------------------------------------------------------------------------------------------------

    def now(self) -> int:
        """Milliseconds since 1970, as the instances see it."""
        return int(time.time() * 1000) - 1000

    def consume(self, since: int, verb: str, *words: str) -> list[str]:
        said = self.site.ask(self.hosts[0], "python3", "-c", CONSUME, str(since), verb, *words, timeout=300)
        return said.splitlines()

    def find(self, since: int, word: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.consume(since, "find", word)]

    def check(self, since: int, last: int, *sources: Unit | Container) -> int:
        """Every number of every source came, each for the first time after all before it. Returns how many came once more."""
        said = json.loads(self.consume(since, "count", *(source.key for source in sources))[-1])
        for source in sources:
            print(source.key, said[source.key])
        assert {key: (one["last"], one["wrong"]) for key, one in said.items()} == {
            source.key: (last, "") for source in sources
        }
        return sum(one["again"] for one in said.values())
