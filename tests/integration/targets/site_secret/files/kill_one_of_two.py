# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let two plays make the same secrets at once, kill the one that has begun, and look what the other makes of it.

kill_one_of_two.py DIRECTORY
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# So many that there is time to kill the one that makes them, on a machine that does much else.
COUNT = 400
SECONDS = 90


def until(what: str, true: Callable[[], int], pause: float = 0.01) -> int:
    deadline = time.monotonic() + SECONDS
    while not (seen := true()):
        if time.monotonic() > deadline:
            sys.exit(f"not within {SECONDS} s: {what}")
        time.sleep(pause)
    return seen


def opened_by(path: Path) -> set[int]:
    """The other processes that have a file open."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink() == path:
                found.add(int(link.parts[2]))
        except OSError:
            # It is gone already.
            continue
    return found - {os.getpid()}


def holder(path: Path) -> int:
    """The process that has the lock on a file."""
    inode = str(path.stat().st_ino)
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if "->" not in words and words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
            return int(words[4])
    return 0


def main() -> str | None:
    directory = Path(sys.argv[1])
    lock, secrets = directory / "bcmit" / ".secrets.lock", directory / "bcmit" / "secrets"
    lock.parent.mkdir(parents=True)
    play = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        *("-i", "localhost,", "-e", f"directory={directory} count={COUNT}"),
        str(Path(__file__).with_name("many.yml")),
    ]
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        runs = [subprocess.Popen(play, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _i in range(2)]
        until("both runs wait for the lock", lambda: len(opened_by(lock)) == 2, 0.2)
    begun = "one of them has made some secrets, and makes more"
    maker = until(begun, lambda: holder(lock) if secrets.is_dir() and len(list(secrets.glob("s*"))) > 20 else 0)
    os.kill(maker, signal.SIGKILL)
    # The other has the lock now, and may have gone on already: what lies here is of the first, or will stay, too.
    made = {path.name: path.read_text() for path in secrets.glob("s*")}
    outputs = [run.communicate(timeout=SECONDS)[0] for run in runs]
    if sorted(run.returncode for run in runs) != [0, 2]:
        return "one should have failed, the other not:\n" + "\n".join(outputs)
    if len(made) >= COUNT:
        return "the first had made all secrets before it was killed"
    now = {path.name: path.read_text() for path in secrets.iterdir() if path.name != ".made"}
    if sorted(now) != sorted(f"s{number}" for number in range(COUNT)):
        return f"there are {len(now)} files, not {COUNT} secrets: {sorted(now)}"
    if changed := [name for name, value in made.items() if now[name] != value]:
        return f"made twice: {changed}"
    if torn := [name for name, value in now.items() if len(value) != 32]:
        return f"not whole: {torn}"
    if set((secrets / ".made").read_text().split()) != set(now):
        return "not all are noted as made"
    return None


sys.exit(main())
