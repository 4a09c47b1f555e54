#!/usr/bin/python3
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes from pull-through registries what was not asked for the longest, while they run.

A blob that is gone is fetched from the upstream again when somebody asks for it: the registry looks for the file, not into
an index. Whoever reads a blob at that moment keeps it open until the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

# Removal goes on to this share of the bound, so that it does not run for every further blob.
TARGET = 0.9
# Seconds in which what has arrived is linked and read.
YOUNGEST = 15 * 60
MIB = 2**20


class Blob(NamedTuple):
    used: float  # when it was last read or written
    size: int
    path: Path  # directory of the blob


def find_blobs(root: Path) -> list[Blob]:
    """All complete blobs of a registry."""
    blobs = []
    for data in root.glob("docker/registry/v2/blobs/*/*/*/data"):
        try:
            status = data.stat()
        except FileNotFoundError:
            continue
        blobs.append(Blob(max(status.st_atime, status.st_mtime), status.st_blocks * 512, data.parent))
    return blobs


def choose(blobs: list[Blob], max_bytes: int, missing_bytes: int, now: float) -> list[Blob]:
    """Which to remove: the least recently used, until both bounds hold.

    What has just arrived stays, except in a cache that has grown to twice its bound.
    """
    total = sum(blob.size for blob in blobs)
    excess = total - int(max_bytes * TARGET) if total > max_bytes else 0
    excess = max(excess, missing_bytes)
    chosen = []
    for blob in sorted(blobs):
        if excess <= 0:
            break
        if now - blob.used < YOUNGEST and total <= max_bytes * 2:
            continue
        chosen.append(blob)
        excess -= blob.size
    return chosen


def remove_dangling_links(root: Path) -> int:
    """Repositories name their blobs by link files; those that lead nowhere are of no use."""
    registry = root / "docker/registry/v2"
    removed = 0
    for link in registry.glob("repositories/**/link"):
        try:
            algorithm, _sep, digest = link.read_text(encoding="ascii").strip().partition(":")
        except (OSError, UnicodeDecodeError):
            continue
        if digest and not (registry / "blobs" / algorithm / digest[:2] / digest / "data").exists():
            link.unlink(missing_ok=True)
            removed += 1
    return removed


def free_bytes(root: Path) -> int:
    status = os.statvfs(root)
    return status.f_bavail * status.f_frsize


def trim(root: Path, max_bytes: int, min_free_bytes: int, now: float) -> tuple[int, int]:
    """Bring one registry within its bounds; number of blobs and bytes that went."""
    chosen = choose(find_blobs(root), max_bytes, max(0, min_free_bytes - free_bytes(root)), now)
    for blob in chosen:
        shutil.rmtree(blob.path, ignore_errors=True)
    if chosen:
        remove_dangling_links(root)
    return len(chosen), sum(blob.size for blob in chosen)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description="Remove from pull-through registries what was not asked for the longest."
    )
    parser.add_argument("--max-mib", type=int, required=True, help="bound of each registry")
    parser.add_argument("--min-free-mib", type=int, default=0, help="what stays free on the file system")
    parser.add_argument("root", type=Path, nargs="+", help="root directories of registries")
    arguments = parser.parse_args(argv)
    for root in filter(Path.is_dir, arguments.root):
        blobs, size = trim(root, arguments.max_mib * MIB, arguments.min_free_mib * MIB, time.time())
        if blobs:
            print(f"{root}: {blobs} blobs removed, {size // MIB} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
