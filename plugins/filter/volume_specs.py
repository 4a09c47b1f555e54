# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the variables of a site's hosts to the volumes that keep their data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bcm.datacenter.plugins.filter.instance_specs import volume_name

DOCUMENTATION = r"""
name: volume_specs
short_description: LXD volumes for hosts of a site
version_added: 0.1.0
description:
  - Turns the C(bcm_volumes) of hosts into items of the O(bcm.datacenter.lxd_fabric#module:volumes) option.
options:
  _input:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: Variables of all hosts; C(bcm_volumes), C(bcm_pool), C(bcm_site) are read.
    type: dict
    required: true
  sized:
    description: Whether they get their sizes. LXD that runs in an unprivileged container cannot limit disks on btrfs.
    type: bool
    default: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: The volumes of the managers
  bcm.datacenter.lxd_fabric:
    project:
      name: "{{ bcm_project }}"
    volumes: "{{ groups['tier_manager'] | bcm.datacenter.volume_specs(hostvars) }}"
"""

RETURN = r"""
_value:
  description: Volumes with C(name), C(pool) and C(config).
  type: list
  elements: dict
"""


def volume_specs(
    hosts: list[str], hostvars: Mapping[str, Mapping[str, Any]], sized: bool = True
) -> list[dict[str, Any]]:
    """Return the volumes of HOSTS."""
    specs = []
    for host in hosts:
        variables = hostvars[host]
        for volume in variables.get("bcm_volumes", []):
            config = {"user.bcm.site": variables["bcm_site"], "user.bcm.instance": host}
            config |= volume.get("marks") or {}
            if volume.get("size") and sized:
                config["size"] = str(volume["size"])
            specs.append({"name": volume_name(host, volume), "pool": variables["bcm_pool"]["name"], "config": config})
    return specs


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"volume_specs": volume_specs}
