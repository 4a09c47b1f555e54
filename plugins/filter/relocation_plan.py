# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in the way of moving the instances of a site, and what they wish of their new places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.filter.move_plan import MOVE, copy_mark
from ansible_collections.bcm.datacenter.plugins.filter.placement_wishes import wish

DOCUMENTATION = r"""
name: relocation_plan
short_description: What stands in the way of moving a site's instances, and what they wish of their places
version_added: 0.1.0
description:
  - Looks at the instances and volumes of a site's project before any of them is moved.
options:
  _input:
    description: Instances of the project, as M(bcm.datacenter.lxd_instance_info) gives them.
    type: list
    elements: dict
    required: true
  volumes:
    description: Its volumes, as M(bcm.datacenter.lxd_storage_volume_info) gives them.
    type: list
    elements: dict
    required: true
  members:
    description: Members of the cluster, as M(bcm.datacenter.lxd_cluster_member_info) gives them.
    type: list
    elements: dict
    required: true
  targets:
    description: Of each instance that is declared the member that the declaration names for it, or nothing.
    type: dict
    required: true
  leaving:
    description: Members that are to have no instance of the site any more. Without any, all instances are looked at.
    type: list
    elements: str
    default: []
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show what is in the way
  ansible.builtin.debug:
    msg: "{{ (instances | bcm.datacenter.relocation_plan(volumes, members, targets, ['rack-3'])).findings }}"
"""

RETURN = r"""
_value:
  description:
    - C(findings) (sentences), C(wishes) (items of the O(bcm.datacenter.lxd_placement_info#module:instances) option, in the order of
      the declaration), C(unfinished) (items with C(name) and C(to), for instances that an interrupted run has moved without having seen that
      they work, or was about to move).
  type: dict
"""


def member_findings(members: Mapping[str, str], leaving: Sequence[str]) -> list[str]:
    """Return what is wrong with the members."""
    names = ", ".join(members) or "none, for LXD is in no cluster"
    found = [f"the cluster has no member {name}. Its members: {names}" for name in leaving if name not in members]
    found += [
        f"member {name} does not answer, so that nothing can be moved away from it. Start it; if it is lost for good, see replace.yml"
        for name in leaving
        if members.get(name) == "Offline"
    ]
    if not leaving:
        silent = [name for name, status in members.items() if status == "Offline"]
        found += [
            f"member {name} does not answer, and what is on it cannot be moved. Start it first" for name in silent
        ]
    if len(members) < 2:
        found.append("there is no other member that anything could be moved to")
    return found


def tier_of(instance: Mapping[str, Any]) -> str:
    """Return the tier of INSTANCE."""
    return str((instance.get("config") or {}).get("user.bcm.tier") or "NAME")


def begun_at(name: str, location: str, volumes: Sequence[Mapping[str, Any]], able: Sequence[str]) -> str | None:
    """Return the member to which an interrupted run has begun to copy the volumes of instance NAME."""
    places = {
        volume["location"]
        for volume in volumes
        if (volume.get("config") or {}).get("user.bcm.instance") == name
        and copy_mark(volume)
        and volume["location"] in able
        and volume["location"] != location
    }
    return sorted(places)[0] if len(places) == 1 else None


def moved_from(instance: Mapping[str, Any]) -> str:
    """Return the member that INSTANCE was about to leave, or has left, when a run was interrupted."""
    return str((instance.get("config") or {}).get(MOVE) or "").partition(" ")[0]


def orphans(
    instances: Mapping[str, Mapping[str, Any]], volumes: Sequence[Mapping[str, Any]], leaving: Sequence[str]
) -> list[str]:
    """Return what keeps data on a member that is to be left, and is taken along by no instance."""
    found = []
    for volume in volumes:
        if volume["location"] not in leaving:
            continue
        words = f"volume {volume['pool']}/{volume['name']} is on {volume['location']}"
        owner = str((volume.get("config") or {}).get("user.bcm.instance") or "")
        instance = instances.get(owner)
        if instance is None:
            if not any(url.startswith("/1.0/instances/") for url in volume.get("used_by") or []):
                found.append(
                    f"{words}, and there is no instance that would take it along. Have site.yml make its instance, or move or remove the "
                    "volume"
                )
        elif instance["location"] not in leaving and moved_from(instance) not in leaving:
            found.append(
                f"{words}, and its instance {owner} on {instance['location']}. "
                + (
                    "It is a copy, left by a rebalance.yml that was interrupted: run that"
                    if copy_mark(volume)
                    else "Remove one of the two"
                )
            )
    return found


def relocation_plan(
    instances: Sequence[Mapping[str, Any]],
    volumes: Sequence[Mapping[str, Any]],
    members: Sequence[Mapping[str, Any]],
    targets: Mapping[str, str | None],
    leaving: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what has to be known before anything is moved."""
    status = {member["server_name"]: member["status"] for member in members}
    by_name = {instance["name"]: instance for instance in instances}
    able = [name for name in status if status[name] == "Online" and name not in leaving]
    findings = member_findings(status, leaving)
    for name, instance in by_name.items():
        if name not in targets and (not leaving or instance["location"] in leaving):
            findings.append(
                f"instance {name} on {instance['location']} is in the site's project and not in its declaration. "
                "Declare it, or delete it"
            )
    wishes, unfinished = [], []
    for name, pinned in targets.items():
        if name not in by_name:
            continue
        instance, location = by_name[name], by_name[name]["location"]
        if pinned in leaving and location in leaving:
            findings.append(
                f"instance {name}: the declaration names {pinned} as its target (tiers.{tier_of(instance)}.target). Name another "
                "endpoint there, or none"
            )
        origin = moved_from(instance)
        if origin and (not leaving or (origin in leaving and location not in leaving)):
            unfinished.append({"name": name, "to": location})
        wishes.append(wish({**instance, "target": pinned or begun_at(name, location, volumes, able)}))
    findings += orphans(by_name, volumes, leaving)
    return {"findings": findings, "wishes": wishes, "unfinished": unfinished}


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"relocation_plan": relocation_plan}
