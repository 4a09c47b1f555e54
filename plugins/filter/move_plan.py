# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What there is to do so that an instance and its volumes come to be on another member of a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DOCUMENTATION = r"""
name: move_plan
short_description: What is left to do of an instance's move to another member of a cluster
version_added: 0.1.0
description:
  - Reads from an instance and from the volumes of its project how far a move has come, and what is to be done next.
  - That a move has begun is written down in the instance's C(user.bcm.move), as the member that it leaves and the time of its last
    start. What lies on its volumes where it is counts; a volume on another member that has C(user.bcm.copy) is a copy, which is whole
    if that is the same time, and not current any more if the instance was started since.
options:
  _input:
    description: The instance, as M(bcm.datacenter.lxd_instance_info) gives it.
    type: dict
    required: true
  volumes:
    description: Volumes of its project, as M(bcm.datacenter.lxd_storage_volume_info) gives them.
    type: list
    elements: dict
    required: true
  target:
    description: The member that it is to be on.
    type: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show what is to be copied
  ansible.builtin.debug:
    msg: "{{ (instance | bcm.datacenter.move_plan(volumes, 'rack-2')).copies }}"
"""

RETURN = r"""
_value:
  description:
    - C(findings) (sentences, why it cannot be moved), C(location), C(moves) (whether it is elsewhere than on the target),
      C(unfinished) (whether an earlier run has left it here, and not looked whether it works), C(resumes) (whether it was stopped to
      be moved), C(token) (what is written on its volumes meanwhile), C(disks) (its volumes with C(name), C(pool), C(path)),
      C(copies) (those that are still to be copied), C(outdated) and C(leftovers) (volumes, each with its C(location), that go before the
      copying, and after the move), C(marked) (volumes here that are still called a copy), C(smaller) (sentences about copies on which
      there is less than on the original).
  type: dict
"""

MOVE = "user.bcm.move"
COPY = "user.bcm.copy"
# Other trees and other quotas may make up so much of a difference.
TOLERANCE = 0.9
SLACK = 16 * 2**20


def disks_of(instance: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the custom volumes that INSTANCE has attached."""
    return [
        {"name": device["source"], "pool": device["pool"], "path": device.get("path") or ""}
        for _name, device in sorted((instance.get("devices") or {}).items())
        if device.get("type") == "disk" and device.get("pool") and device.get("source")
    ]


def copy_mark(volume: Mapping[str, Any]) -> str:
    """Return what VOLUME says of being a copy."""
    return str((volume.get("config") or {}).get(COPY) or "")


def other_users(volume: Mapping[str, Any], name: str) -> list[str]:
    """Return the instances beside NAME that use VOLUME."""
    paths = [url.partition("?")[0].split("/") for url in volume.get("used_by") or []]
    return sorted({path[3] for path in paths if len(path) > 3 and path[2] == "instances" and path[3] != name})


def place(volume: Mapping[str, Any]) -> dict[str, str]:
    """Return what names VOLUME on its member."""
    return {key: volume[key] for key in ("name", "pool", "location")}


def is_smaller(copy: Mapping[str, Any], original: Mapping[str, Any]) -> str:
    """Return a sentence if there is less on COPY than on ORIGINAL. Not every pool can tell."""
    have, wanted = copy.get("used"), original.get("used")
    if have is None or wanted is None or int(have) + SLACK >= int(wanted) * TOLERANCE:
        return ""
    return (
        f"{have} bytes are on the copy of volume {copy['pool']}/{copy['name']} on {copy['location']}, and {wanted} on the "
        f"original on {original['location']}"
    )


def why_not(instance: Mapping[str, Any], resumes: bool, moves: bool, unfinished: bool) -> list[str]:
    """Return what of the instance itself is in the way."""
    name, status = instance["name"], instance.get("status")
    if status == "Error":
        return [f"instance {name}: LXD cannot tell whether it runs, for {instance.get('location')} does not answer"]
    if moves and not unfinished and not resumes and status != "Running":
        return [
            f"instance {name} is {status}. It has to run before it is moved, so that it can be told afterwards whether it "
            "works there: start it, or delete it"
        ]
    return []


def move_plan(instance: Mapping[str, Any], volumes: Sequence[Mapping[str, Any]], target: str) -> dict[str, Any]:
    """Return what is left to do until INSTANCE is on TARGET."""
    name, here = instance["name"], instance["location"]
    begun, _space, token = str((instance.get("config") or {}).get(MOVE) or "").partition(" ")
    arrived = bool(begun) and begun != here
    moves = here != target
    last_start = str(instance.get("last_used_at") or "")
    resumes = bool(begun) and not arrived and instance.get("status") == "Stopped" and token == last_start
    unfinished = arrived or (bool(begun) and not moves)
    plan: dict[str, Any] = {
        "findings": why_not(instance, resumes, moves, unfinished),
        "location": here,
        "moves": moves,
        "unfinished": unfinished,
        "resumes": resumes,
        "token": token if unfinished or resumes else last_start,
        "disks": disks_of(instance),
        "copies": [],
        "outdated": [],
        "leftovers": [],
        "marked": [],
        "smaller": [],
    }
    for disk in plan["disks"]:
        same = [item for item in volumes if (item["pool"], item["name"]) == (disk["pool"], disk["name"])]
        own = next((item for item in same if item["location"] == here), None)
        if own is None:
            plan["findings"].append(
                f"instance {name}: its volume {disk['pool']}/{disk['name']} is not on {here}, where the instance is"
            )
            continue
        _sort(plan, disk, own, [item for item in same if item is not own], target, arrived, name)
    return plan


def _sort(
    plan: dict[str, Any],
    disk: Mapping[str, str],
    own: Mapping[str, Any],
    others: Sequence[Mapping[str, Any]],
    target: str,
    arrived: bool,
    name: str,
) -> None:
    """Say what becomes of each volume of one name."""
    words = f"volume {disk['pool']}/{disk['name']}"
    users = other_users(own, name)
    if users:
        plan["findings"].append(f"{words} of instance {name} is used by {', '.join(users)} too, and cannot be moved")
    if copy_mark(own):
        plan["marked"].append(place(own))
    kept = False
    for other in others:
        if copy_mark(other):
            current = plan["resumes"] and other["location"] == target and copy_mark(other) == plan["token"]
            kept = kept or current
            if not current:
                plan["outdated"].append(place(other))
            if other["location"] == target:
                plan["smaller"] += filter(None, [is_smaller(other, own)])
        elif arrived and copy_mark(own) == plan["token"]:
            plan["leftovers"].append(place(other))
        else:
            plan["findings"].append(
                f"{words} is on {own['location']} and on {other['location']}, and neither is known to be a copy of the other. "
                "Only you can know which of them is to stay: remove or rename the other"
            )
    if plan["moves"] and not kept:
        plan["copies"].append(dict(disk))


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"move_plan": move_plan}
