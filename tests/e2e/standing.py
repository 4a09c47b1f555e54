# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to look at a whole site, for its tests."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

CHECKOUT = Path(__file__).resolve().parents[2]
LAB_DIR = Path(os.environ.get("BCM_LAB_DIR", "/var/lib/bcm-lab"))
LXD_ENV = {"LXD_DIR": str(LAB_DIR / "lxd")}
LAB = CHECKOUT / "lab" / "lab"
WORLD = "198.18.0.10"
# What a command of `lxc exec` begins with. On a busy machine LXD 5.0 loses what a program says that ends at once, with status 0
# (seen once in a hundred times; canonical/lxd#11890): one that lasts a moment longer is heard.
HEARD = ("sh", "-c", '"$@"; status=$?; sleep 0.1; exit "$status"', "sh")


@dataclass
class Run:
    """What a playbook did, from its own events."""

    status: int
    text: str
    # What would be (check mode) or was changed: host and task.
    changed: set[tuple[str, str]] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, done: subprocess.CompletedProcess[str]) -> Run:
        run = cls(done.returncode, done.stdout + done.stderr)
        for line in done.stdout.splitlines():
            if not line.startswith("{"):
                continue
            event = json.loads(line)
            run.stats = event.get("stats", run.stats)
            name = event.get("task", {}).get("name", "")
            for host, result in event.get("hosts", {}).items():
                if result.get("changed"):
                    run.changed.add((host, name))
                if event["_event"] in ("v2_runner_on_failed", "v2_runner_on_unreachable"):
                    run.failures.append(f"{host}: {name}: {result.get('msg', result)}")
        return run


def play_env() -> dict[str, str]:
    """The environment in which a playbook tells what it does, an event a line."""
    return {
        **os.environ,
        **LXD_ENV,
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.jsonl",
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_FORCE_COLOR": "0",
    }


def play(
    playbook: str, *arguments: str, inventory: Path, env: dict[str, str] | None = None, timeout: int = 1500
) -> Run:
    """Run a playbook of the checkout."""
    whole = {**play_env(), **(env or {})}
    argv = ["ansible-playbook", "-i", str(inventory), playbook, *arguments]
    return Run.read(
        subprocess.run(
            argv, cwd=CHECKOUT, env=whole, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
        )
    )


def lxc(*arguments: str, project: str | None = None, check: bool = True, timeout: int = 300) -> str:
    """Ask the lab's LXD."""
    done = subprocess.run(
        ["lxc", *(["--project", project] if project else []), *arguments],
        env={**os.environ, **LXD_ENV},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done.stdout


def start(instance: str, project: str) -> None:
    """Start an instance as soon as LXD lets go of it: one that was seen stopped may be held by its stop for a moment."""

    def runs() -> bool:
        lxc("start", instance, project=project, check=False)
        return bool(json.loads(lxc("query", f"/1.0/instances/{instance}?project={project}"))["status"] == "Running")

    wait_for(f"start of {instance}", runs, 60)


def restart(instance: str, project: str, timeout: int = 300) -> None:
    """What counts is what the instance does, and not what the client says.

    Of an instance that goes down in good order, and has stopped a moment later, liblxc may say that it failed to.
    """

    def seen() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(lxc("query", f"/1.0/instances/{instance}?project={project}"))
        return found

    started = seen()["last_used_at"]
    lxc("restart", instance, project=project, check=False, timeout=timeout)
    if seen()["last_used_at"] == started:
        wait_for(f"end of {instance}", lambda: seen()["status"] == "Stopped", timeout)
        start(instance, project)


def lab(*arguments: str, check: bool = True, timeout: int = 600) -> str:
    """Run the lab's command."""
    done = subprocess.run([LAB, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def lxd_state() -> dict[str, Any]:
    """All that LXD knows and that does not move by itself."""
    moving = {"used_by", "last_used_at", "uploaded_at"}
    kinds = ["projects", "networks", "storage-pools"]
    paths = [f"/1.0/{kind}?recursion=1" for kind in kinds]
    for project in json.loads(lxc("query", "/1.0/projects?recursion=1")):
        if project["name"].startswith("bcm-"):
            within = f"recursion=1&project={project['name']}"
            paths += [f"/1.0/{kind}?{within}" for kind in ("instances", "profiles", "images")]
    return {
        path: sorted(
            ({key: value for key, value in entry.items() if key not in moving} for entry in json.loads(lxc("query", path))),
            key=lambda entry: str(entry.get("name", entry.get("fingerprint"))),
        )
        for path in paths
    }  # fmt: skip


@dataclass
class Site:
    """A site that stands."""

    name: str
    inventory: Path
    hostvars: dict[str, dict[str, Any]]
    groups: dict[str, list[str]]

    @classmethod
    def read(cls, inventory: Path) -> Self:
        done = subprocess.run(
            ["ansible-inventory", "-i", str(inventory), "--list"],
            cwd=CHECKOUT,
            env={**os.environ, **LXD_ENV, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        # What the plugin marks as data and not a template comes wrapped.
        listing = json.loads(done.stdout, object_hook=lambda found: found.get("__ansible_unsafe", found))
        hostvars = listing.pop("_meta")["hostvars"]
        name = next(iter(hostvars.values()))["bcm_site"]
        return cls(name, inventory, hostvars, {key: value.get("hosts", []) for key, value in listing.items()})

    @property
    def project(self) -> str:
        return f"bcm-{self.name}"

    @property
    def instances(self) -> list[str]:
        return sorted(name for name, variables in self.hostvars.items() if "bcm_tier" in variables)

    def tier(self, name: str) -> list[str]:
        return sorted(self.groups.get(f"tier_{name}", []))

    @property
    def engines(self) -> list[str]:
        """The instances that run Docker."""
        return [name for name in self.instances if self.hostvars[name]["bcm_tier"] != "proxyhost"]

    def network(self, name: str) -> dict[str, Any]:
        networks = next(iter(self.hostvars.values()))["bcm_networks"]
        found: dict[str, Any] = next(network for network in networks if network["name"] == name)
        return found

    def address(self, instance: str, network: str) -> str:
        return str(self.hostvars[instance]["bcm_addresses"][network])

    def run(self, instance: str, *argv: str, timeout: int = 120) -> subprocess.CompletedProcess[str]:
        """Run one command in an instance, whatever comes of it."""
        return subprocess.run(
            ["lxc", "--project", self.project, "exec", instance, "--", *HEARD, *argv],
            env={**os.environ, **LXD_ENV},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def ask(self, instance: str, *argv: str, timeout: int = 120) -> str:
        """Run one command that must succeed, and return what it says."""
        done = self.run(instance, *argv, timeout=timeout)
        assert done.returncode == 0, f"{instance}: {' '.join(argv)[:200]}: {done.stderr or done.stdout}"
        return done.stdout

    def running(self) -> dict[str, bool]:
        listing = json.loads(lxc("list", "--format", "json", project=self.project))
        return {item["name"]: item["status"] == "Running" for item in listing}

    @property
    def store(self) -> Path:
        """Where its secrets lie."""
        return Path("/var/lib/bcm/sites") / self.name / "secrets"

    def secrets(self) -> dict[str, str]:
        """Its secrets, each as a hash."""
        if not self.store.exists():
            return {}
        whole = [path for path in self.store.iterdir() if not path.name.startswith(".")]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in whole}

    def play(self, playbook: str, *arguments: str, **options: Any) -> Run:
        return play(playbook, *arguments, **{"inventory": self.inventory, **options})

    def verify(self, directory: Path, **options: Any) -> dict[str, Any]:
        """The report of verify.yml."""
        file = directory / f"verify-{time.monotonic_ns()}.json"
        run = self.play("playbooks/verify.yml", "-e", f"verify_json={file}", **options)
        assert file.exists(), run.text[-3000:]
        report: dict[str, Any] = json.loads(file.read_text())
        assert report["works"] == (run.status == 0), "verify.yml says one thing and its exit code another"
        return report


def bitcoin_container(site: Site, node: str = "bitcoin-1") -> str:
    """The container that runs the node's bitcoind."""
    listed = site.ask(node, "docker", "ps", "--no-trunc", "--quiet", "--filter", f"label=bcm.node={node}").split()
    assert len(listed) == 1, f"{node} has {len(listed)} containers of its node"
    return listed[0]


def node_answers(site: Site, node: str = "bitcoin-1") -> bool:
    """Whether the node's bitcoind runs as a service and answers."""
    return site.run(node, "bitcoin-cli", "getbestblockhash").returncode == 0


def wait_for(what: str, looks: Callable[[], Any], seconds: float, every: float = 1.0) -> Any:
    """Look until there is something to see, and return it."""
    deadline = time.monotonic() + seconds
    while not (seen := looks()):
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:.0f} s"
        time.sleep(every)
    return seen


def declaration(directory: Path, **replaced: str) -> Path:
    """An inventory like the lab's, with some of its text replaced: `name: lab` by `name: other`, and so on."""
    copy = directory / "inventory"
    shutil.copytree(CHECKOUT / "inventories/lab", copy)
    file = copy / "site.bcm.yml"
    text = file.read_text()
    for line, new in replaced.items():
        pattern = rf"(?m)^{line}:.*$"
        assert re.search(pattern, text), f"the lab's declaration has no line {line}:"
        text = re.sub(pattern, lambda _match, new=new: new, text)  # type: ignore[misc]
    file.write_text(text)
    return copy


def without_lnd(inventory: Path) -> Path:
    """The same without the lab's lnd, and the tier that it is on."""
    file = inventory / "site.bcm.yml"
    text, found = re.subn(r"(?m)^  - path: \S*/lnd-vars\.yml\n    optional: true\n", "", file.read_text())
    assert found == 1, "the lab's declaration names its lnd in another way"
    file.write_text(text)
    return inventory
