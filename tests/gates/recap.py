# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the recap at the end of what ansible-playbook prints."""

from __future__ import annotations

import re

LINE = re.compile(
    r"^(?P<host>\S+)\s*: ok=(?P<ok>\d+)\s+changed=(?P<changed>\d+)\s+unreachable=(?P<unreachable>\d+)\s+failed=(?P<failed>\d+)",
    re.MULTILINE,
)


def hosts(output: str) -> dict[str, dict[str, int]]:
    return {
        m["host"]: {k: int(m[k]) for k in ("ok", "changed", "unreachable", "failed")} for m in LINE.finditer(output)
    }


def nothing_changed(output: str) -> str | None:
    """What is wrong with a run that should have found all as it is declared, or None."""
    found = hosts(output)
    if not found:
        return "ansible-playbook printed no recap"
    changed = [f"{host} changed={counts['changed']}" for host, counts in found.items() if counts["changed"]]
    return ", ".join(changed) or None
