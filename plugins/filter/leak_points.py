# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Interfaces on which a host is watched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _leaks

DOCUMENTATION = r"""
name: leak_points
short_description: Interfaces on which leaks out of a site are looked for
version_added: 0.1.0
description:
  - Of an endpoint the bridges of the site, and the parent of legs in the LAN. Its uplinks M(bcm.datacenter.leak_watch) finds by itself.
  - Of a proxyhost, and of an instance with a leg in the LAN, that leg.
positional: _input, variables
options:
  _input:
    description: Name of the host.
    type: str
    required: true
  variables:
    description: Its variables.
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Watch
  bcm.datacenter.leak_watch:
    state: begun
    token: example
    points: "{{ inventory_hostname | bcm.datacenter.leak_points(hostvars[inventory_hostname]) }}"
"""

RETURN = r"""
_value:
  description: Points, as M(bcm.datacenter.leak_watch) takes them.
  type: list
  elements: dict
  sample: [{interface: bcm1234-cluster, kind: foreign, inside: 10.81.32.0/20}]
"""


def leak_points(host: str, variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the points of HOST."""
    return _leaks.watched(host, variables)


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"leak_points": leak_points}
