# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances and volumes with the members of the cluster that they go to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: placed
short_description: Instances and volumes, each with its place in a cluster
version_added: 0.1.0
description:
  - Gives items of M(bcm.datacenter.lxd_instances), or volumes of M(bcm.datacenter.lxd_fabric) that say by
    C(user.bcm.instance) whose they are, the C(target) that M(bcm.datacenter.lxd_placement_info) has chosen.
  - Without a place for it, an item has no target - in a daemon of its own there is nothing to choose.
options:
  _input:
    description: Instances, or volumes.
    type: list
    elements: dict
    required: true
  placement:
    description: The member of each instance, by the instance's name.
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Make instances where they were placed
  bcm.datacenter.lxd_instances:
    project: "{{ bcm_project }}"
    instances: "{{ instances_list | bcm.datacenter.placed(result.placement) }}"
"""

RETURN = r"""
_value:
  description: The same items with C(target), or without.
  type: list
  elements: dict
"""


def placed_item(item: Mapping[str, Any], placement: Mapping[str, str]) -> dict[str, Any]:
    """Return ITEM with its target."""
    owner = (item.get("config") or {}).get("user.bcm.instance", item["name"])
    rest = {key: value for key, value in item.items() if key != "target"}
    return {**rest, "target": placement[owner]} if owner in placement else rest


def placed(items: list[Mapping[str, Any]], placement: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return ITEMS with their targets."""
    return [placed_item(item, placement) for item in items]


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"placed": placed}
