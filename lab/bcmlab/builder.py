# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be compiled or packed is made in a container of its own, and kept in the cache."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

from .cache import Cache, content_key
from .config import IMAGE_ALIAS, RECIPES
from .host import Mirrors, architecture
from .image import SUITE
from .lxc import Lxc

CACHE_KIND = "bitcoin"
KAFKA_CACHE_KIND = "kafka"
# The release that the role was last tried with.
KAFKA_VERSION = "4.3.0"
LND_CACHE_KIND = "lnd"
# As its makers write it, and without the v that they put before it in names of files.
LND_VERSION = "0.20.1-beta"
# Containers are called by these. lnd is compiled while other steps of the lab may begin anew, and clear away what they find.
PREFIX = "builder-"
LND_PREFIX = "lnd-builder-"


def bitcoin(cache: Cache, lxc: Lxc, mirrors: Mirrors) -> tuple[Path, bool]:
    """A folder with Bitcoin Knots' tarball and a file that names its version."""
    script = RECIPES / "builder" / "bitcoin.sh"
    key = content_key("bitcoin 1", SUITE, architecture(), script, mirrors.debian)

    def make(folder: Path) -> None:
        build(lxc, script, folder)

    return cache.get_or_make(CACHE_KIND, key, make)


def kafka(cache: Cache, lxc: Lxc, certificates: Sequence[str]) -> tuple[Path, bool]:
    """A folder with Kafka's tarball, of the jars that its makers publish, and a file that names its version."""
    script = RECIPES / "builder" / "kafka.sh"
    # Jars are the same for all machines; which Maven brings them plays no part.
    key = content_key("kafka 1", script, KAFKA_VERSION)

    def make(folder: Path) -> None:
        build(lxc, script, folder, KAFKA_VERSION, certificates=certificates)

    return cache.get_or_make(KAFKA_CACHE_KIND, key, make)


def lnd(cache: Cache, lxc: Lxc, certificates: Sequence[str]) -> tuple[Path, bool]:
    """A folder with lnd's tarball, compiled from its makers' source, the hashes of its programs, and a file that names its version."""
    script = RECIPES / "builder" / "lnd.sh"
    key = content_key("lnd 1", SUITE, architecture(), script, LND_VERSION)

    def make(folder: Path) -> None:
        # Four minutes on two idle processors.
        build(lxc, script, folder, LND_VERSION, certificates=certificates, timeout=2700, prefix=LND_PREFIX)

    return cache.get_or_make(LND_CACHE_KIND, key, make)


def clear_away(lxc: Lxc, prefix: str = PREFIX) -> str:
    """Remove builders of a run that was killed: whoever calls this holds the lock, so nobody else builds."""
    left = lxc("list", f"^{prefix}", "--format", "csv", "--columns", "n").split()
    for name in left:
        lxc("delete", "--force", name)
    return f"removed {len(left)} that a killed run has left" if left else ""


def build(
    lxc: Lxc,
    script: Path,
    folder: Path,
    *arguments: str,
    certificates: Sequence[str] = (),
    timeout: float = 900,
    prefix: str = PREFIX,
) -> None:
    """Run a script in a fresh container, with the folder for its results as its first argument, and bring them here.

    It trusts the authorities that the machine's owner has added, as far as they are named.
    """
    name = f"{prefix}{uuid.uuid4().hex[:6]}"
    try:
        # Ephemeral: gone when it stops, also when the lab is stopped in the middle.
        lxc("launch", IMAGE_ALIAS, name, "--ephemeral")
        lxc.wait_booted(name)
        trusted = {
            f"/usr/local/share/ca-certificates/{Path(path).name}": (Path(path).read_bytes(), 0o644)
            for path in certificates
        }
        lxc.push_tree(name, {"/root/build.sh": (script.read_bytes(), 0o755), **trusted})
        lxc.exec(name, "/root/build.sh", "/root/out", *arguments, timeout=timeout)
        for entry in lxc.read(name, "ls", "/root/out").split():
            lxc.pull(name, f"/root/out/{entry}", folder / entry)
    finally:
        lxc("delete", "--force", name, check=False)
