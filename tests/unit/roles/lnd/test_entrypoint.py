# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry point of the container, with its folders elsewhere: it starts lnd only when it may, and stops it when it may no more."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import FILES


class Container:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("data", "fence", "run/bcm", "etc/lnd", "tmp", "opt/lnd/bin"):
            (folder / name).mkdir(parents=True)
        text = (FILES / "lnd-entrypoint").read_text()
        text = re.sub(
            r"(?<![\w.])/(data|fence|run/bcm|etc/lnd|tmp|opt/lnd/bin)\b", lambda found: f"{folder}{found[0]}", text
        )
        # It is process 1 of its container, and looks again sooner here.
        text = (
            text.replace("kill -TERM 1\n", "kill -TERM $$\n")
            .replace("sleep 15", "sleep 0.2")
            .replace("sleep 2 ", "sleep 0.1 ")
        )
        (folder / "entrypoint").write_text(text)
        lnd = folder / "opt/lnd/bin/lnd"
        lnd.write_text(f'#!/bin/sh\necho "$@" > {folder}/began\nexec sleep 60\n')
        lnd.chmod(0o755)
        self.process: subprocess.Popen[bytes] | None = None

    def number(self, own: str, said: str | None = None, age: int = 0) -> None:
        (self.folder / "fence/number").write_text(own)
        if said is not None:
            self.confirm(said, age)

    def confirm(self, said: str, age: int = 0) -> None:
        fresh = self.folder / "run/new"
        fresh.write_text(f"{said} {int(time.time()) - age}\n")
        fresh.rename(self.folder / "run/bcm/lnd-fence")

    def start(self, **environment: str) -> None:
        env = {**os.environ, "BCM_NETWORK": "regtest", **environment}
        self.process = subprocess.Popen(["bash", str(self.folder / "entrypoint")], env=env, start_new_session=True)

    def began(self, seconds: float = 5) -> str:
        return self.reads("began", seconds)

    def held(self, seconds: float = 5) -> str:
        return self.reads("tmp/held", seconds)

    def reads(self, name: str, seconds: float) -> str:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            path = self.folder / name
            if path.exists() and path.read_text():
                return path.read_text()
            time.sleep(0.05)
        return ""

    def stop(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(5)


@pytest.fixture
def container(tmp_path: Path) -> Container:
    made = Container(tmp_path)
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("own", "said", "age", "reason"),
    [
        ("", None, 0, "this volume has no number"),
        ("x", "1", 0, "this volume has no number"),
        ("1", None, 0, "nobody outside of this machine has confirmed yet"),
        ("1", "2", 0, "this volume has number 1 and 2 is the current one"),
        # After a restore: said of the volume that was there before.
        ("2", "1", 0, "nobody outside of this machine has confirmed yet that this volume, with its number 2"),
        # From before the machine was started, or by a clock that has jumped.
        ("1", "1", 3600, "for 36"),
        ("1", "1", -3600, "for -3"),
        ("1", "junk", 0, "nobody outside of this machine has confirmed yet"),
    ],
)
def test_it_waits(container: Container, own: str, said: str | None, age: int, reason: str) -> None:
    container.number(own, said, age)
    container.start()
    assert reason in container.held()
    assert container.began(0.5) == ""
    # And begins by itself when it may.
    container.number("1", "1")
    assert container.began()
    assert not (container.folder / "tmp/held").exists()


def test_it_waits_for_room(container: Container) -> None:
    container.number("1", "1")
    container.start(BCM_FREE_SPACE_KIB=str(1 << 50))
    assert "KiB of free space" in container.held()


def test_before_there_is_a_wallet_nobody_outside_gets_in(container: Container) -> None:
    container.number("1", "1")
    container.start()
    words = container.began().split()
    assert "--restlisten=127.0.0.1:8080" in words
    assert "--rpclisten=127.0.0.1:10009" in words
    assert not any("password" in word for word in words)
    assert len(words) == 3


def test_with_a_wallet_it_opens_it(container: Container) -> None:
    wallet = container.folder / "data/data/chain/bitcoin/regtest/wallet.db"
    wallet.parent.mkdir(parents=True)
    wallet.touch()
    container.number("1", "1")
    container.start()
    words = container.began().split()
    assert f"--wallet-unlock-password-file={container.folder}/etc/lnd/wallet-password" in words
    assert "--restlisten=0.0.0.0:8080" in words


def test_while_a_seed_is_brought_back_nobody_gets_in(container: Container) -> None:
    wallet = container.folder / "data/data/chain/bitcoin/regtest/wallet.db"
    wallet.parent.mkdir(parents=True)
    wallet.touch()
    (container.folder / "fence/recovering").touch()
    container.number("1", "1")
    container.start()
    words = container.began().split()
    assert "--restlisten=127.0.0.1:8080" in words
    assert not any("password" in word for word in words)


@pytest.mark.parametrize(("said", "age"), [("2", 0), ("1", 901)])
def test_it_is_stopped_when_it_may_run_no_more(container: Container, said: str, age: int) -> None:
    """By another number at once, and when nobody has confirmed it for as long as the lease."""
    container.number("1", "1")
    container.start(BCM_FENCE_LEASE="900")
    assert container.began()
    container.confirm("1", 800)
    time.sleep(0.5)
    assert container.process is not None
    assert container.process.poll() is None
    container.confirm(said, age)
    assert container.process.wait(5) == -signal.SIGTERM
    assert (container.folder / "tmp/stopping").exists()


def test_it_is_stopped_before_its_disk_is_full(container: Container) -> None:
    container.number("1", "1")
    free = os.statvfs(container.folder)
    kib = free.f_bavail * free.f_frsize // 1024
    # As much is left as it needs to begin, and with what is written then, less than it needs to go on.
    container.start(BCM_FREE_SPACE_KIB="4096", BCM_VOLUME_KIB="16384")
    assert container.began()
    assert kib > 16384
    (container.folder / "data/large").write_bytes(os.urandom(14 << 20))
    assert container.process is not None
    assert container.process.wait(5) == -signal.SIGTERM


def test_it_is_stopped_when_nobody_can_watch_it_any_more(container: Container) -> None:
    """Where no process can be begun, sleep fails: a watch that ended then would leave lnd to itself for ever."""
    text = (container.folder / "entrypoint").read_text()
    (container.folder / "entrypoint").write_text(text.replace("while sleep 0.2;", "while sleep 0.5 && false;"))
    container.number("1", "1")
    container.start()
    assert container.began()
    assert container.process is not None
    assert container.process.wait(5) == -signal.SIGTERM
