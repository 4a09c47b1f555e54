# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is lost with a member of a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DOCUMENTATION = r"""
name: losses
short_description: What is lost with a member of a cluster that never comes back
version_added: 0.1.0
description:
  - Tells from what M(bcm.datacenter.lxd_capacity_info) knows of a member what was on it, of a site and of others.
options:
  _input:
    description: The member, an item of RV(bcm.datacenter.lxd_capacity_info#module:members).
    type: dict
    required: true
  project:
    description: The LXD project of the site.
    type: str
    required: true
  declared:
    description: The instances that the site declares, which can be made anew.
    type: list
    elements: str
    required: true
  way_out:
    description: Those of them that are the way out, of which one is enough. Empty if nothing is to be said of it.
    type: list
    elements: str
    default: []
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show it
  ansible.builtin.debug:
    msg: "{{ (member | bcm.datacenter.losses('bcm-home', groups['instances'], groups['tier_proxyhost'])).words }}"
"""

RETURN = r"""
_value:
  description:
    - C(member), C(instances) (names of the site's instances, which are made anew without what was on their root disks), C(volumes) and
      C(others) (what is lost for good - volumes, and instances that the site does not declare - in words, with their projects),
      C(data) (whether there are any of those), C(words) (all of it as lines).
  type: dict
"""


def left_of(way_out: Sequence[str], lost: Sequence[str]) -> list[str]:
    """Return in words what is left of WAY_OUT without those that are LOST, if any of it is."""
    if not set(way_out) & set(lost):
        return []
    left = [name for name in way_out if name not in lost]
    if not left:
        return ["  the way out: nothing goes out until site.yml has made it anew"]
    return [f"  what goes out goes by {' or '.join(left)}"]


def losses(
    member: Mapping[str, Any], project: str, declared: Sequence[str], way_out: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what is lost with MEMBER."""
    own = [item["name"] for item in member["instances"] if item["project"] == project and item["name"] in declared]
    others = [
        f"instance {item['name']} of project {item['project']}"
        for item in member["instances"]
        if not (item["project"] == project and item["name"] in declared)
    ]
    volumes = [f"volume {item['pool']}/{item['name']} of project {item['project']}" for item in member["volumes"]]
    lines = [f"Lost with {member['name']}:"]
    lines += [f"  {line}, with all that was on it" for line in volumes]
    lines += [f"  {line}, which this site does not make anew" for line in others]
    lines += [f"  instance {name}, which site.yml makes anew; what was on its root disk is lost" for name in own]
    lines += left_of(way_out, own)
    return {
        "member": member["name"],
        "instances": own,
        "volumes": volumes,
        "others": others,
        "data": bool(volumes or others),
        "words": lines if len(lines) > 1 else [f"Nothing was on {member['name']}."],
    }


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"losses": losses}
