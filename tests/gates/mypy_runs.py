# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run mypy over each tree of modules under the names by which they import each other."""

from __future__ import annotations

import os
import subprocess
import sys

from gates.checkout import CHECKOUT

# (where to find imports, what to check)
TREES = (
    ("collections", ["collections/ansible_collections/bcm/datacenter/plugins"]),
    ("lab", ["-p", "bcmlab"]),
    ("tests", ["-p", "gates"]),
    ("tests/e2e:tests/rack:tests:lab", ["tests/e2e", "molecule", "tests/rack"]),
    ("tests", ["tests/run"]),
    ("benchmarks", ["benchmarks/run"]),
    ("benchmarks", ["benchmarks/distance"]),
    ("benchmarks", ["benchmarks/delay"]),
    ("benchmarks:tests/e2e", ["benchmarks/bus"]),
    ("benchmarks", ["benchmarks/bus_inside.py"]),
    ("benchmarks:lab", ["benchmarks/lightning"]),
    ("benchmarks", ["benchmarks/lightning_inside.py"]),
    ("benchmarks:collections", ["benchmarks/plugins", "benchmarks/standin.py"]),
)


def main() -> int:
    status = 0
    for path, what in TREES:
        print(f"mypy {' '.join(what)}", flush=True)
        done = subprocess.run(["mypy", "--no-color-output", *what], cwd=CHECKOUT, env={**os.environ, "MYPYPATH": path})
        status = status or done.returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
