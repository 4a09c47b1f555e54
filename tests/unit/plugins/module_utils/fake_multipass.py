# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program in multipass's place that does what a test tells it, to provoke what no real one can be made to do."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

HEAD = "#!/bin/sh\n"


class FakeMultipass:
    """A shell script; each call is remembered, one line of JSON-free words."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "multipass"
        self.log = directory / "calls"
        self.directory = directory
        self.does("exit 0")

    def does(self, script: str) -> None:
        self.path.write_text(f"{HEAD}echo \"$*\" >> '{self.log}'\n{script}\n")
        self.path.chmod(0o755)

    def lists(self, *states: tuple[str, str], then: str = "") -> None:
        """`list` tells these names and states; everything else does what `then` says."""
        found = [{"name": name, "state": state, "ipv4": [], "release": "Ubuntu 24.04 LTS"} for name, state in states]
        (self.directory / "list").write_text(json.dumps({"list": found}))
        self.does(f"if [ \"$1\" = list ]; then cat '{self.directory / 'list'}'; exit; fi\n{then}")

    def fails_first(self, times: int, error: str, code: int, then: str) -> None:
        counter = self.directory / "count"
        counter.write_text("")
        self.does(
            f"printf x >> '{counter}'\n"
            f"if [ $(wc -c < '{counter}') -le {times} ]; then echo '{error}' >&2; exit {code}; fi\n{then}"
        )

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def client(self, **options: t.Any) -> t.Any:
        from ansible_collections.bcm.datacenter.plugins.module_utils._multipass import Multipass

        return Multipass(str(self.path), **options)
