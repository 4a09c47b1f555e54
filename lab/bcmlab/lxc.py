# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's use of LXD, through its own command line client."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .config import PROJECT, Config, LabError
from .proc import run

# How often an instance is asked for something before its silence is believed.
READS = 5
# What a command begins with whose words must not be lost: one that lasts a moment longer is heard.
HEARD = ("sh", "-c", '"$@"; status=$?; sleep 0.1; exit "$status"', "sh")


class Lxc:
    """Commands against the lab's own daemon, in the lab's own project."""

    def __init__(self, config: Config) -> None:
        # LXD_CONF: neither reads nor writes the settings of the person who runs this.
        self.env = {"LXD_DIR": str(config.lxd_dir), "LXD_CONF": str(config.directory / "lxc")}
        self.config = config

    def __call__(self, *argv: str, stdin: str | bytes | None = None, timeout: float = 300, check: bool = True) -> str:
        """`lxc …` in the lab's project; gives what it printed."""
        words = ["lxc", "--project", PROJECT, *argv]
        return run(words, env=self.env, stdin=stdin, timeout=timeout, check=check).stdout

    def query(self, path: str) -> Any:
        """A GET of the API; None if there is no such thing."""
        done = run(["lxc", "query", path], env=self.env, check=False, timeout=60)
        if done.returncode == 0:
            return json.loads(done.stdout)
        if "not found" in done.stderr.lower():
            return None
        raise LabError(f"GET {path}: {done.stderr.strip()}")

    def instance(self, name: str) -> dict[str, Any] | None:
        """An instance of the lab's project with its state."""
        found: dict[str, Any] | None = self.query(f"/1.0/instances/{name}?project={PROJECT}&recursion=1")
        return found

    def exec(self, name: str, *argv: str, stdin: str | bytes | None = None, timeout: float = 600) -> str:
        """Run a program in an instance as root."""
        return self("exec", "-T", name, "--", *argv, stdin=stdin, timeout=timeout)

    def read(self, name: str, *argv: str, timeout: float = 600) -> str:
        """The output of a program that only tells something, and always something.

        On a busy machine LXD 5.0 may lose what a program that ends at once has printed (seen, with status 0): it is asked again.
        """
        for _ in range(READS):
            told = self.exec(name, *argv, timeout=timeout)
            if told.strip():
                return told
            time.sleep(0.5)
        raise LabError(f"`{' '.join(argv)}` in {name} has printed nothing, {READS} times.")

    def hear(self, name: str, *argv: str, timeout: float = 600) -> str:
        """What a program says that may say nothing, too: see `read` of what gets lost."""
        return self.exec(name, *HEARD, *argv, timeout=timeout)

    def launch(self, name: str, image: str, config: Mapping[str, str], devices: Mapping[str, Any]) -> None:
        """Create and start a container."""
        body = json.dumps({"config": dict(config), "devices": dict(devices)})
        self("launch", image, name, stdin=body)

    def push_tree(self, name: str, files: Mapping[str, tuple[bytes, int]]) -> None:
        """Write many files in one go: path -> (content, mode)."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path, (content, mode) in files.items():
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.size = len(content)
                entry.mode = mode
                entry.mtime = int(time.time())
                archive.addfile(entry, io.BytesIO(content))
        self.exec(name, "tar", "-x", "-f", "-", "-C", "/", "--no-overwrite-dir", stdin=buffer.getvalue())

    def wait_booted(self, name: str, seconds: int = 120) -> None:
        """Until cloud-init is through: only then has a fresh container its network and its packages' locks free."""
        deadline = time.monotonic() + seconds
        last = ""
        while time.monotonic() < deadline:
            try:
                # 2 says: done, with something to complain about, such as a module without a use here.
                script = "cloud-init status --wait >/dev/null; test $? -ne 1"
                self.exec(name, "sh", "-c", script, timeout=seconds)
            except LabError as error:
                last = str(error)
                time.sleep(0.5)
            else:
                return
        raise LabError(f"{name} has not booted within {seconds} s: {last}")

    def pull(self, name: str, source: str, target: Path) -> None:
        """Copy a file out of an instance."""
        self("file", "pull", f"{name}{source}", str(target))


def projects_beside(lxc: Lxc) -> Sequence[str]:
    """Other projects on the lab's daemon: the sites."""
    names = lxc.query("/1.0/projects") or []
    return sorted(name for name in (url.rpartition("/")[2] for url in names) if name not in {"default", PROJECT})


def overlay(root: Path) -> dict[str, tuple[bytes, int]]:
    """The files below a folder, as they shall lie in an instance: path -> (content, mode)."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        f"/{path.relative_to(root)}": (path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)
        for path in files
    }
