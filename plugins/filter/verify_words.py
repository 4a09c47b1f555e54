# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report of probes in the words of a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: verify_words
short_description: A report of probes in plain words
version_added: 0.1.0
description:
  - Renders what P(bcm.datacenter.verify_report#filter) returns, host by host.
options:
  _input:
    description: The report.
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Say it
  ansible.builtin.debug:
    msg: "{{ report | bcm.datacenter.verify_words }}"
"""

RETURN = r"""
_value:
  description: Lines of text.
  type: str
"""


def verify_words(report: Mapping[str, Any]) -> str:
    """Return REPORT as text, a line a part, with cause and hint below those that do not work."""
    lines = [f"Site {report['site']}"]
    host = None
    for part in report["parts"]:
        if part["host"] != host:
            host = part["host"]
            addresses = ", ".join(f"{name} {address}" for name, address in report["addresses"].get(host, {}).items())
            lines.append(f"  {host}" + (f" ({addresses})" if addresses else ""))
        if part["works"]:
            lines.append(f"    works      {part['part']}")
            continue
        lines.append(f"    BROKEN     {part['part']}")
        lines.append(f"               cause: {part['cause']}")
        if part["hint"]:
            lines.append(f"               try:   {part['hint']}")
    count = len(report["broken"])
    total = len(report["parts"])
    lines.append(f"All {total} parts work." if report["works"] else f"{count} of {total} parts do not work.")
    return "\n".join(lines)


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"verify_words": verify_words}
