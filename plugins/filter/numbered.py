# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give each item of a list a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: numbered
short_description: Give each dictionary of a list a number
version_added: 0.1.0
description:
  - Adds a key with a number that grows by one from item to item, such as a port.
options:
  _input:
    description: The dictionaries.
    type: list
    elements: dict
    required: true
  key:
    description: The key that gets the number.
    type: str
    required: true
  start:
    description: The number of the first item.
    type: int
    default: 0
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Ports 5000 and 5001
  ansible.builtin.debug:
    msg: "{{ [{'name': 'docker.io'}, {'name': 'ghcr.io'}] | bcm.datacenter.numbered('port', 5000) }}"
"""

RETURN = r"""
_value:
  description: The dictionaries with their numbers.
  type: list
  elements: dict
"""


def numbered(items: list[Mapping[str, Any]], key: str, start: int = 0) -> list[dict[str, Any]]:
    """Return ITEMS, each with its number under KEY."""
    return [{**item, key: number} for number, item in enumerate(items, start)]


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"numbered": numbered}
