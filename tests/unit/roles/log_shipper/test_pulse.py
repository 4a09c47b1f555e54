# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How full a host says that its file systems are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

PULSE = Path(__file__).parents[4] / "roles/log_shipper/files/bcm-pulse"
GIB = 1 << 20


def program(place: Path, name: str, *lines: str) -> None:
    file = place / name
    file.write_text("\n".join(["#!/bin/sh", *lines]) + "\n", encoding="utf-8")
    file.chmod(0o755)


@pytest.mark.parametrize(
    ("used", "free", "within", "place", "said"),
    [
        (3 * GIB, GIB, 0, "/", ["room / 75 % used, 1024 MiB left"]),
        # What is reserved for root is nobody's.
        (GIB, 0, 0, "/", ["room / 100 % used, 0 MiB left"]),
        # The pool has room, the volume has not.
        (GIB, 99 * GIB, 9 * GIB, f"/srv/kafka={10 * GIB}", ["room /srv/kafka 90 % used, 1024 MiB left"]),
        (GIB, 99 * GIB, 11 * GIB, f"/srv/kafka={10 * GIB}", ["room /srv/kafka 100 % used, 0 MiB left"]),
        # The volume has room, the pool has not.
        (99 * GIB, GIB, GIB, f"/srv/kafka={10 * GIB}", ["room /srv/kafka 99 % used, 1024 MiB left"]),
        ("", "", 0, "/gone", []),
    ],
)
def test_how_full_it_is(
    tmp_path: Path, used: int | str, free: int | str, within: int, place: str, said: list[str]
) -> None:
    program(tmp_path, "df", *([f"echo ' Used Avail'; echo '{used} {free}'"] if used else ["exit 1"]))
    program(tmp_path, "du", f"printf '{within}\\t/srv/kafka\\n'")
    # It would go on for ever.
    program(tmp_path, "sleep", '[ "$1" = 300 ] && kill $PPID')
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", str(PULSE), "300", place], env=env, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stdout.splitlines() == said
    assert done.stderr == ""
