# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A way to look whether a site leaks, for its tests."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from standing import Site

PLAYBOOK = "playbooks/verify_leaks.yml"
# The machine under the lab does a lot beside the site: what nobody has a socket for any more is often its own.
BUSY = ("-e", "leak_proof_unknown_fails=false")


def leaks(site: Site, directory: Path, *arguments: str, **options: Any) -> dict[str, Any]:
    """The report of verify_leaks.yml."""
    file = directory / f"leaks-{time.monotonic_ns()}.json"
    run = site.play(
        PLAYBOOK, "-e", f"leak_proof_json={file}", "-e", "leak_proof_seconds=20", *BUSY, *arguments, **options
    )
    assert file.exists(), run.text[-3000:]
    report: dict[str, Any] = json.loads(file.read_text())
    assert report["works"] == (run.status == 0), "verify_leaks.yml says one thing and its exit code another"
    assert not run.changed
    return report
