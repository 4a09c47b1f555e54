# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What LXD itself says, as JSON by path; null for what is not there: ask_lxd.py PATH...

One task with all paths takes as long as one with a single one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def ask(path: str) -> Any:
    done = subprocess.run(["lxc", "query", path], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0 and "not found" not in done.stderr:
        sys.exit(f"{path}: {done.stderr.strip()}")
    return json.loads(done.stdout or "null")


print(json.dumps({path: ask(path) for path in sys.argv[1:]}))
