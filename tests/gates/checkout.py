# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checkout holds: the files that git knows or would take."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def cache_dir() -> Path:
    """Where scripts/venv keeps its environments too."""
    if chosen := os.environ.get("BCM_CACHE_DIR"):
        return Path(chosen)
    return Path("/var/cache/bcm") if os.geteuid() == 0 else Path.home() / ".cache" / "bcm"


def files() -> list[Path]:
    """In one place only: nothing is listed a second time through the collection's link to itself."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    paths = (CHECKOUT / name for name in sorted(set(listed.split("\0"))) if name)
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def first_line(path: Path) -> str:
    with path.open("rb") as file:
        return file.readline(200).decode(errors="replace").strip()


def is_python(path: Path) -> bool:
    if path.suffix:
        return path.suffix == ".py"
    return first_line(path).startswith("#!") and "python" in first_line(path)


def is_shell(path: Path) -> bool:
    if path.suffix:
        return path.suffix in {".sh", ".bash"}
    return first_line(path).startswith("#!") and first_line(path).endswith("sh")


def copy_to(target: Path, without: tuple[str, ...] = ()) -> None:
    """Copy the files, links as links, to a new folder."""
    for path in files():
        name = path.relative_to(CHECKOUT)
        if not any(name.is_relative_to(top) for top in without):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target / name)
