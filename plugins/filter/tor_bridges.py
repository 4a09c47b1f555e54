# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows from bridge lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _tor_plan

DOCUMENTATION = r"""
name: tor_bridges
short_description: What a tor needs for its bridges
version_added: 0.1.0
description:
  - Tells from the lines of bridges which packages their transports need, what tor is told, and whether something goes out by UDP.
options:
  _input:
    description: Lines of bridges, as U(https://bridges.torproject.org) gives them.
    type: list
    elements: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: The programs
  ansible.builtin.apt:
    name: "{{ (tor_bridges | bcm.datacenter.tor_bridges).packages }}"
"""

RETURN = r"""
_value:
  description: C(packages), the C(lines) of torrc, and C(udp).
  type: dict
  sample: {packages: [obfs4proxy], lines: [UseBridges 1, ClientTransportPlugin obfs4 exec /usr/bin/obfs4proxy], udp: false}
"""


def tor_bridges(bridges: Sequence[str]) -> dict[str, Any]:
    """Return what BRIDGES need."""
    lines = ["UseBridges 1", *_tor_plan.plugin_lines(bridges), *(f"Bridge {line}" for line in bridges)]
    return {
        "packages": _tor_plan.packages(bridges),
        "lines": lines if bridges else [],
        "udp": _tor_plan.needs_udp(bridges),
    }


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"tor_bridges": tor_bridges}
