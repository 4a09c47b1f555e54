# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the instances of a site to what has to be known of them to choose their places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: placement_wishes
short_description: What instances wish of their places in a cluster
version_added: 0.1.0
description:
  - Turns items of M(bcm.datacenter.lxd_instances) into those of M(bcm.datacenter.lxd_placement_info).
  - Instances of the same tier (C(user.bcm.tier)) are kept apart.
options:
  _input:
    description: Items of the O(bcm.datacenter.lxd_instances#module:instances) option.
    type: list
    elements: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Choose members for the instances
  bcm.datacenter.lxd_placement_info:
    project: "{{ bcm_project }}"
    instances: "{{ instances_list | bcm.datacenter.placement_wishes }}"
"""

RETURN = r"""
_value:
  description: Items of the O(bcm.datacenter.lxd_placement_info#module:instances) option.
  type: list
  elements: dict
"""


def wish(instance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what INSTANCE wishes."""
    volumes = [
        {"name": device["source"], "pool": device["pool"]}
        for device in (instance.get("devices") or {}).values()
        if device and device.get("type") == "disk" and device.get("pool") and device.get("source")
    ]
    return {
        "name": instance["name"],
        "target": instance.get("target"),
        "apart": (instance.get("config") or {}).get("user.bcm.tier"),
        "volumes": volumes,
    }


def placement_wishes(instances: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what INSTANCES wish."""
    return [wish(instance) for instance in instances if instance.get("state") != "absent"]


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"placement_wishes": placement_wishes}
