# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be compiled or packed is made in a container of its own, and kept in the cache."""

from __future__ import annotations

import uuid
from pathlib import Path

from .cache import Cache, content_key
from .config import IMAGE_ALIAS, RECIPES
from .host import Mirrors, architecture
from .image import SUITE
from .lxc import Lxc

CACHE_KIND = "bitcoin"


def bitcoin(cache: Cache, lxc: Lxc, mirrors: Mirrors) -> tuple[Path, bool]:
    """A folder with Bitcoin Knots' tarball and a file that names its version."""
    script = RECIPES / "builder" / "bitcoin.sh"
    key = content_key("bitcoin 1", SUITE, architecture(), script, mirrors.debian)

    def make(folder: Path) -> None:
        build(lxc, script, folder)

    return cache.get_or_make(CACHE_KIND, key, make)


def build(lxc: Lxc, script: Path, folder: Path) -> None:
    """Run a script in a fresh container, with the folder for its results as its argument, and bring them here."""
    for left in lxc("list", "builder-", "--format", "csv", "--columns", "n").split():
        # Of a run that was killed: the lab is locked, so nobody else builds in it.
        lxc("delete", "--force", left)
    name = f"builder-{uuid.uuid4().hex[:6]}"
    try:
        # Ephemeral: gone when it stops, also when the lab is stopped in the middle.
        lxc("launch", IMAGE_ALIAS, name, "--ephemeral")
        lxc.wait_booted(name)
        lxc.push_tree(name, {"/root/build.sh": (script.read_bytes(), 0o755)})
        lxc.exec(name, "/root/build.sh", "/root/out", timeout=900)
        for entry in lxc.read(name, "ls", "/root/out").split():
            lxc.pull(name, f"/root/out/{entry}", folder / entry)
    finally:
        lxc("delete", "--force", name, check=False)
