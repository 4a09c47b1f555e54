# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine goes down and comes up again: the site heals by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from standing import Site, lab, wait_for


def tip(site: Site) -> str:
    """The best block of the node, as its operator asks for it."""
    return site.ask(site.tier("bitcoin")[0], "bitcoin-cli", "getbestblockhash").strip()


def test_lxd_and_all_instances_stopped_and_started(site: Site, tmp_path: Path) -> None:
    before = tip(site)
    lab("down", timeout=900)
    lab("up", timeout=900)
    said: dict[str, Any] = {}

    def works() -> bool:
        said.update(site.verify(tmp_path))
        return bool(said["works"])

    try:
        wait_for("a site that works again", works, seconds=300, every=5)
    except AssertionError as error:
        raise AssertionError(f"{error}: {said['broken']}") from None
    assert tip(site) == before
