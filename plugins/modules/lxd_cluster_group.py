#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_cluster_group
short_description: Look after a group of members of an LXD cluster
version_added: 0.1.0
description:
  - Makes, changes and removes a group. An instance can be placed on a group, which leaves the choice of the member to LXD.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.actiongroup_lxd
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Its name.
    type: str
    required: true
  state:
    description: V(absent) is refused as long as there are members in it, and for the group V(default).
    type: str
    choices: [present, absent]
    default: present
  description:
    description: A description.
    type: str
  members:
    description:
      - The members that are in it, all of them. If it is not mentioned, those that are in it stay.
      - Every member has to be in one group at least, so that none can be taken out of its only one.
    type: list
    elements: str
seealso:
  - module: bcm.datacenter.lxd_cluster_group_info
  - module: bcm.datacenter.lxd_cluster_member
"""

EXAMPLES = r"""
- name: The members with fast disks
  bcm.datacenter.lxd_cluster_group:
    name: fast
    description: NVMe
    members: [rack-1, rack-3]
"""

RETURN = r"""
action:
  description: What was done, or would be in check mode. One of V(none), V(create), V(update), V(delete).
  returned: success
  type: str
  sample: create
lxd_cluster_group:
  description: What there is now, or would be. V(null) if it is absent.
  returned: success
  type: dict
  sample: {name: fast, description: NVMe, members: [rack-1, rack-3]}
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_cluster as clusters
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_attempt import attempt
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, api_path
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, PlanError, update


def apply(client: LXDClient, action: str, desired: Object, after: Object | None) -> None:
    path = api_path("cluster", "groups", desired["name"])

    def compute(actual: Object) -> Object | None:
        # What is mentioned is sent, and all else of the group as it is.
        wanted = clusters.merged_group(actual, desired)
        return None if wanted == clusters.group_fields(actual) else {**actual, **wanted}

    with attempt(f"{action} cluster group {desired['name']}"):
        if action == "create":
            client.post("/1.0/cluster/groups", {"name": desired["name"], **(after or {})})
        elif action == "update":
            update(client, path, compute, {})
        else:
            client.delete(path)


def run(lxd: LXDModule) -> Object:
    params, client = lxd.params, lxd.client
    name, present = params["name"], params["state"] == "present"
    if not clusters.cluster_of(client).get("enabled"):
        if present and not lxd.check_mode:  # Before a first run an earlier task would have made it one.
            raise PlanError([f"cluster group {name}: the server is in no cluster. Use lxd_cluster first"])
        actual, members = None, []
    else:
        actual, members = client.find(api_path("cluster", "groups", name)), clusters.members_of(client)
    if not lxd.check_mode or not present:
        errors = clusters.group_errors(params, actual, members)
        if errors:
            raise PlanError(errors)
    before = clusters.group_fields(actual) if actual else None
    after = clusters.merged_group(actual or {}, params) if present else None
    action = "none" if before == after else "create" if before is None else "update" if after else "delete"
    if action != "none" and not lxd.check_mode:
        apply(client, action, params, after)
    result: t.Any = {"name": name, **after} if after else None
    diff = resource.diff(before, after, f"cluster group {name}")
    return {"changed": action != "none", "action": action, "lxd_cluster_group": result, "diff": diff}


def main() -> None:
    LXDModule(
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "description": {"type": "str"},
            "members": {"type": "list", "elements": "str"},
        }
    ).run(run)


if __name__ == "__main__":
    main()
