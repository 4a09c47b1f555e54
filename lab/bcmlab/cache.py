# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is slow to make, kept outside the checkout under a hash of what went into it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .proc import locked


def content_key(*inputs: Any) -> str:
    """A short hash of values and files: another recipe or another input gives another key."""
    digest = hashlib.sha256()
    for item in inputs:
        part = item.read_bytes() if isinstance(item, Path) else json.dumps(item, sort_keys=True).encode()
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:20]


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file of any size."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


class Cache:
    """Folders that are either whole or not there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, kind: str, key: str) -> Path:
        """Where an entry stands, or will."""
        return self.directory / kind / key

    def get_or_make(self, kind: str, key: str, make: Callable[[Path], None]) -> tuple[Path, bool]:
        """The entry, and whether it had to be made. Two labs that want the same one make it once."""
        entry = self.path(kind, key)
        if entry.is_dir():
            return entry, False
        with locked(self.directory / kind / f".{key}.lock", f"the cache's {kind}"):
            if entry.is_dir():
                return entry, False
            for left in entry.parent.glob(f".{key}.new.*"):
                shutil.rmtree(left)
            fresh = entry.parent / f".{key}.new.{os.getpid()}"
            fresh.mkdir()
            try:
                make(fresh)
                fresh.rename(entry)
            except BaseException:
                shutil.rmtree(fresh, ignore_errors=True)
                raise
        return entry, True
