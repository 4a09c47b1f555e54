# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own LXD daemon: found, started, stopped. No other LXD of the machine is ever touched."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from .config import Config, LabError
from .host import needs_own_cgroups
from .proc import PidFile, boot_id, last_words, run, start_time, write_atomic

LXCFS_MOUNT = "/var/lib/lxcfs"

# Run once in the new mount namespace. With cgroup v1 on the machine an LXD inside a container fails, so the
# daemon and all that it starts see one pure cgroup2 tree; the machine's own mounts stay as they are.
PURE_CGROUP2 = "umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup"


class Daemon:
    """One LXD daemon with lxcfs in a mount namespace of its own, which outlives both of them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.pid_file = PidFile(config.directory / "lxd.pid.json")
        self.lxcfs_pid_file = PidFile(config.directory / "lxcfs.pid.json")
        self.namespace = config.directory / "ns" / "mnt"
        self.logs = config.directory / "logs"
        self.env = {"LXD_DIR": str(config.lxd_dir)}

    def pid(self) -> int | None:
        """The daemon that we started, if it still runs."""
        return self.pid_file.pid()

    def answers(self) -> bool:
        """Whether a daemon, ours or not, listens on the lab's socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(5)
            try:
                probe.connect(str(self.config.socket))
            except OSError:
                return False
        return True

    def ready(self, seconds: int) -> bool:
        """Whether it has finished starting, waiting for it that long."""
        done = run(["lxd", "waitready", f"--timeout={seconds}"], env=self.env, check=False, timeout=seconds + 30)
        return done.returncode == 0

    def up(self) -> str:
        """Have it run; a dead or hanging daemon of ours is replaced, a foreign one is used as it is."""
        did = []
        pid = self.pid()
        if pid is not None:
            if self.ready(60):
                return self._keep_lxcfs()
            did.append(f"ended our daemon {pid}, which did not answer;")
            self._kill(pid)
        elif self.answers():
            if self.ready(60):
                return "answers already, not started by the lab: used as it is"
            raise LabError(
                f"a daemon that the lab did not start listens on {self.config.socket} and does not become ready. "
                "Stop it, or give the lab another BCM_LAB_DIR."
            )
        elif self.pid_file.path.exists():
            did.append("the earlier daemon is dead;")
        self._enter()
        self._keep_lxcfs()
        self._clear_left_bridge()
        self._start()
        return " ".join([*did, f"LXD runs as process {self.pid()}"])

    def down(self, grace: int) -> str:
        """Stop all instances with grace, then the daemon. Only one that we started."""
        pid = self.pid()
        if pid is None:
            if self.answers():
                return "a daemon that the lab did not start runs there: left alone"
            self.pid_file.forget()
            self._stop_lxcfs()
            return ""
        done = run(["lxd", "shutdown", f"--timeout={grace}"], env=self.env, check=False, timeout=grace + 60)
        if not _gone(pid, 15):
            raise LabError(
                f"LXD has not stopped within {grace} s: {last_words(done.stderr)}\n"
                "An instance may need longer to stop. Give it more with --grace, or stop that instance first."
            )
        self.pid_file.forget()
        self._stop_lxcfs()
        return "stopped the instances and LXD"

    def leave_namespace(self) -> None:
        """Give back the mount namespace, and with it every mount in it."""
        for path in (self.namespace, self.namespace.parent):
            while _mounted(path):
                run(["umount", path])

    # The rest is how.

    def _in_namespace(self, argv: list[str]) -> list[str]:
        return ["nsenter", f"--mount={self.namespace}", "--", *argv]

    def _enter(self) -> None:
        """Make the namespace if it is not there. It is kept by a bind mount, so that a daemon started again has the
        mounts of its containers, which have gone on running."""
        folder = self.namespace.parent
        if _mounted(self.namespace):
            return
        folder.mkdir(parents=True, exist_ok=True)
        self.namespace.touch()
        if not _mounted(folder):
            run(["mount", "--bind", folder, folder])
            # The kernel refuses to keep a namespace on a mount that is shared.
            run(["mount", "--make-private", folder])
        inside = PURE_CGROUP2 if needs_own_cgroups() else "true"
        run(["unshare", f"--mount={self.namespace}", "--propagation", "private", "sh", "-ec", inside])

    def _spawn(self, name: str, argv: list[str], env: dict[str, str] | None = None) -> int:
        """Start a program that outlives us: its own session, its own log."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{name}.out").open("ab") as out:
            process = subprocess.Popen(
                self._in_namespace(argv),
                env={**os.environ, **(env or {})},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return process.pid

    def _keep_lxcfs(self) -> str:
        """Containers see their own /proc/meminfo and so on through it."""
        if self.lxcfs_pid_file.pid() is not None:
            return ""
        left = False
        listing = run(self._in_namespace(["cat", "/proc/self/mountinfo"])).stdout
        if f" {LXCFS_MOUNT} " in listing:
            alive = run(self._in_namespace(["test", "-e", f"{LXCFS_MOUNT}/proc"]), check=False).returncode == 0
            if alive:
                return ""  # the machine's own, taken over when the namespace was made
            run(self._in_namespace(["umount", "-l", LXCFS_MOUNT]))
            left = True
        Path(LXCFS_MOUNT).mkdir(parents=True, exist_ok=True)
        own_pid_file = f"--pidfile={self.config.directory / 'lxcfs.pid'}"
        self.lxcfs_pid_file.write(self._spawn("lxcfs", ["lxcfs", "-f", own_pid_file, LXCFS_MOUNT]))
        return "started lxcfs again: instances that run must be restarted to see it" if left else ""

    def _stop_lxcfs(self) -> None:
        pid = self.lxcfs_pid_file.pid()
        if pid is not None:
            self._kill(pid)
        self.lxcfs_pid_file.forget()

    def _start(self) -> None:
        self.config.lxd_dir.mkdir(parents=True, exist_ok=True)
        log = self.logs / "lxd.log"
        pid = self._spawn("lxd", ["lxd", "--group", "root", "--logfile", str(log)], self.env)
        self.pid_file.write(pid)
        write_atomic(self.config.directory / "boot", boot_id() + "\n")
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if start_time(pid) is None:
                break
            if self.ready(5):
                return
        tail = last_words((self.logs / "lxd.out").read_text(errors="replace"))
        raise LabError(f"LXD did not become ready within 120 s. The end of {self.logs / 'lxd.out'}:\n{tail}")

    def _clear_left_bridge(self) -> None:
        """A bridge whose LXD database is gone is in the way of a new one. Ours is known by its dnsmasq."""
        bridge = Path("/sys/class/net") / self.config.bridge
        if not bridge.exists() or (self.config.lxd_dir / "networks" / self.config.bridge).exists():
            return
        for pid, line in _processes("dnsmasq"):
            if f"--interface={self.config.bridge}" not in line.split("\0"):
                continue
            if str(self.config.lxd_dir) not in line:
                raise LabError(
                    f"the bridge {self.config.bridge} belongs to somebody else (process {pid}). "
                    "Give the lab another one with BCM_LAB_BRIDGE and BCM_LAB_SUBNET."
                )
            self._kill(pid)
            run(["ip", "link", "delete", self.config.bridge])
            return
        raise LabError(
            f"a bridge {self.config.bridge} is there that this lab does not know. Remove it with "
            f"`ip link delete {self.config.bridge}` if nobody needs it, or set BCM_LAB_BRIDGE and BCM_LAB_SUBNET."
        )

    @staticmethod
    def _kill(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        if not _gone(pid, 10):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            _gone(pid, 10)


def _gone(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while start_time(pid) is not None:
        if time.monotonic() > deadline:
            return False
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.1)
    return True


def _mounted(path: Path) -> bool:
    # Blanks in a path are written as \040 there.
    wanted = str(path).replace(" ", "\\040")
    return any(line.split()[4] == wanted for line in Path("/proc/self/mountinfo").read_text().splitlines())


def _processes(name: str) -> list[tuple[int, str]]:
    found = []
    for entry in Path("/proc").iterdir():
        if not re.fullmatch(r"\d+", entry.name):
            continue
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes().decode(errors="replace")
            if Path(line.split("\0")[0]).name == name:
                found.append((int(entry.name), line))
    return found
