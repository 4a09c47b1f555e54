#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_placement_info
short_description: Choose the members of an LXD cluster that instances go to
version_added: 0.1.0
description:
  - Says for each instance which member of the cluster it is on, or should be made on.
  - What exists stays where it is. An instance that does not exist yet goes where its volumes are; then where it is told to;
    and otherwise to the failure domain, and in it to the member, with the fewest of those that it is to be kept apart from.
    Among equals the member with the fewest instances is taken, and then the first by name.
  - Members that are offline or evacuated take nothing new.
  - With O(leaving) or O(anew), instances that exist choose again. RV(moves) tells which of them are elsewhere than they would be then.
  - Nothing is made or moved. What comes out is meant for C(target) of M(bcm.datacenter.lxd_instances) and of the volumes of
    M(bcm.datacenter.lxd_fabric).
  - Of a server that is in no cluster nothing is said.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.lxd.project
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
  - bcm.datacenter.attributes.actiongroup_lxd
options:
  instances:
    description: The instances, in the order in which they choose.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      target:
        description: The member that a new one has to be on.
        type: str
      apart:
        description: Instances with the same word are put on different members as far as there are enough of them.
        type: str
      volumes:
        description: Custom volumes that it uses. Those that do not exist yet do not matter.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: The name of the volume.
            type: str
            required: true
          pool:
            description: The storage pool that it lies in.
            type: str
            required: true
  leaving:
    description:
      - Members that take nothing new, and whose instances choose another one. Their volumes would come along.
    type: list
    elements: str
    default: []
  anew:
    description:
      - Whether all instances choose as if they were new. Their volumes would come along. Before one goes to a member that is no
        better for it, it stays where it is.
    type: bool
    default: false
seealso:
  - module: bcm.datacenter.lxd_instances
  - module: bcm.datacenter.lxd_cluster_member
"""

EXAMPLES = r"""
- name: Choose members for three managers
  bcm.datacenter.lxd_placement_info:
    project: bcm-rack
    instances:
      - {name: manager-1, apart: manager}
      - {name: manager-2, apart: manager}
      - {name: manager-3, apart: manager}
  register: result

- name: Show where the first one goes
  ansible.builtin.debug:
    msg: "{{ result.placement['manager-1'] }}"

- name: Ask where the instances of one member would go
  bcm.datacenter.lxd_placement_info:
    project: bcm-rack
    leaving: [rack-3]
    instances:
      - {name: manager-1, apart: manager}
      - {name: manager-2, apart: manager}
      - {name: manager-3, apart: manager}
  register: result
"""

RETURN = r"""
clustered:
  description: Whether the server is in a cluster.
  returned: success
  type: bool
placement:
  description: The member of each instance, by the instance's name. Empty where there is no cluster.
  returned: success
  type: dict
  sample: {manager-1: rack-1, manager-2: rack-2, manager-3: rack-3}
moves:
  description: The instances that exist elsewhere than where they were placed, in the order in which they were given.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The instance.
      type: str
    from:
      description: The member that it is on.
      type: str
    to:
      description: The member that was chosen for it.
      type: str
  sample: [{name: manager-3, from: rack-3, to: rack-1}]
"""

import collections
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDNotFound, api_path
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_cluster import ONLINE, members_of
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, PlanError
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_placement import Member, Wanted, place

INSTANCE_SPEC = {
    "name": {"type": "str", "required": True},
    "target": {"type": "str"},
    "apart": {"type": "str"},
    "volumes": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"name": {"type": "str", "required": True}, "pool": {"type": "str", "required": True}},
    },
}


def read_members(client: LXDClient, everything: t.Iterable[Object], leaving: t.Collection[str]) -> list[Member]:
    load = collections.Counter(item.get("location") for item in everything)
    return [
        Member(
            item["server_name"],
            item.get("status") == ONLINE and item["server_name"] not in leaving,
            item.get("failure_domain") or "default",
            load[item["server_name"]],
        )
        for item in members_of(client)
    ]


def read_volumes(client: LXDClient, pools: t.Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """Where the project's volumes lie, by pool and name."""
    found: dict[tuple[str, str], list[str]] = {}
    for pool in pools:
        try:
            volumes = client.get(api_path("storage-pools", pool, "volumes", "custom"), recursion=1)
        except LXDNotFound:
            continue  # The pool or the project is still to be made.
        for volume in volumes:
            found.setdefault((pool, volume["name"]), []).append(volume.get("location") or "")
    return found


def run(lxd: LXDModule) -> dict[str, t.Any]:
    client, instances = lxd.client, lxd.params["instances"]
    if not (client.server().get("environment") or {}).get("server_clustered"):
        return {"changed": False, "clustered": False, "placement": {}, "moves": []}
    everything = client.get("/1.0/instances", **{"recursion": 1, "all-projects": "true", "project": None})
    locations = {
        item["name"]: item.get("location")
        for item in everything
        if item.get("project") == (client.project or "default")
    }
    volumes = read_volumes(client, sorted({volume["pool"] for item in instances for volume in item["volumes"]}))
    leaving, anew = lxd.params["leaving"], lxd.params["anew"]
    wanted = [
        Wanted(
            item["name"],
            item["target"],
            item["apart"],
            locations.get(item["name"]),
            tuple(place for volume in item["volumes"] for place in volumes.get((volume["pool"], volume["name"]), [])),
            anew or locations.get(item["name"]) in leaving,
        )
        for item in instances
    ]
    members = read_members(client, everything, leaving)
    unknown = sorted(set(leaving) - {member.name for member in members})
    placement, errors = place(members, wanted)
    errors = [f"leaving: the cluster has no member {name!r}" for name in unknown] + errors
    if errors:
        raise PlanError(errors)
    moves = [
        {"name": one.name, "from": one.location, "to": placement[one.name]}
        for one in wanted
        if one.location and placement[one.name] != one.location
    ]
    return {"changed": False, "clustered": True, "placement": placement, "moves": moves}


def main() -> None:
    spec: dict[str, t.Any] = {
        "instances": {"type": "list", "elements": "dict", "required": True, "options": INSTANCE_SPEC},
        "leaving": {"type": "list", "elements": "str", "default": []},
        "anew": {"type": "bool", "default": False},
    }
    LXDModule(spec, project=True).run(run)


if __name__ == "__main__":
    main()
