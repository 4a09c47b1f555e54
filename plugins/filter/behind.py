# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Caches behind another cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: behind
short_description: Upstreams of a cache that stands behind another
version_added: 0.1.0
description:
  - Takes the upstreams of the first level of P(bcm.datacenter.registry_cache#role) and returns those of the second, which
    have the first level's address for an upstream and keep name and port.
options:
  _input:
    description: Upstreams with C(name), C(url) and C(port).
    type: list
    elements: dict
    required: true
  address:
    description: Address of the host with the first level.
    type: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: What a manager's cache asks
  ansible.builtin.debug:
    msg: "{{ registry_cache_upstreams | bcm.datacenter.behind('10.0.16.1') }}"
"""

RETURN = r"""
_value:
  description: Upstreams with C(name), C(url) and C(port).
  type: list
  elements: dict
"""


def behind(upstreams: list[Mapping[str, Any]], address: str) -> list[dict[str, Any]]:
    """Return UPSTREAMS as a cache sees them that asks ADDRESS instead of the world."""
    return [
        {"name": upstream["name"], "url": f"http://{address}:{upstream['port']}", "port": upstream["port"]}
        for upstream in upstreams
    ]


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"behind": behind}
