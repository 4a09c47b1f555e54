# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of LXD's objects goes with a site, and what is in the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: removal_plan
short_description: What goes with a site, what stays, and what is in the way
version_added: 0.1.0
description:
  - Sorts what the C(_info) modules found into what carries the site's name and what does not.
options:
  _input:
    description: Name of the site.
    type: str
    required: true
  project:
    description: Name of its LXD project.
    type: str
    required: true
  instances:
    description: Instances of the project.
    type: list
    elements: dict
    required: true
  volumes:
    description: Custom volumes of the project.
    type: list
    elements: dict
    required: true
  networks:
    description: All networks of the server.
    type: list
    elements: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show what would go
  ansible.builtin.debug:
    msg: "{{ 'home' | bcm.datacenter.removal_plan('bcm-home', instances, volumes, networks) }}"
"""

RETURN = r"""
_value:
  description:
    - C(instances), C(networks) (names), C(volumes) (with C(name) and C(pool)) of the site, C(foreign) (what stands in
      its project or on its networks and is not its own), C(foreign_volumes) (in its project, and not its own),
      C(sizes) (a line a volume).
  type: dict
"""

OWNER = "user.bcm.site"


def is_of(site: str, thing: Mapping[str, Any]) -> bool:
    """Return whether THING carries the name of SITE."""
    return thing.get("config", {}).get(OWNER) == site


def user_of(path: str) -> tuple[str, str, str]:
    """Return kind, project and name of a C(used_by) entry such as C(/1.0/instances/a?project=b)."""
    location, _sep, query = path.partition("?")
    kind, name = location.strip("/").split("/")[1:3]
    project = dict(part.split("=", 1) for part in query.split("&") if "=" in part).get("project", "default")
    return kind, project, name


def size_of(volume: Mapping[str, Any]) -> str:
    """Return a line that names a volume and how much lies on it."""
    used = volume.get("used")
    amount = "size unknown" if used is None else f"{int(used) / 2**30:.2f} GiB"
    return f"volume {volume['name']} ({amount})"


def removal_plan(
    site: str,
    project: str,
    instances: list[Mapping[str, Any]],
    volumes: list[Mapping[str, Any]],
    networks: list[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return what goes with SITE and what is in the way."""
    own = [instance["name"] for instance in instances if is_of(site, instance)]
    foreign = {f"instance {project}/{instance['name']}" for instance in instances if not is_of(site, instance)}
    own_networks = [network for network in networks if is_of(site, network)]
    for network in own_networks:
        for kind, where, name in map(user_of, network.get("used_by") or []):
            if kind == "instances" and not (where == project and name in own):
                foreign.add(f"instance {where}/{name}")
    return {
        "instances": own,
        "foreign": sorted(foreign),
        "networks": [network["name"] for network in own_networks],
        "volumes": [{"name": volume["name"], "pool": volume["pool"]} for volume in volumes if is_of(site, volume)],
        "foreign_volumes": sorted(f"volume {vol['pool']}/{vol['name']}" for vol in volumes if not is_of(site, vol)),
        "sizes": [size_of(volume) for volume in volumes],
    }


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"removal_plan": removal_plan}
