#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_storage_volume
short_description: Look after a custom LXD storage volume
version_added: 0.1.0
description:
  - Makes, copies, changes, renames, moves and removes a custom volume, which lives on when the instances that it is
    attached to are removed.
  - What is on a volume is never lost by the way. A volume that should become smaller than what is on it, a block volume
    that should become smaller at all, and one that should be moved over another one are refused before anything is
    touched.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.lxd.project
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.actiongroup_lxd
attributes:
  check_mode:
    support: full
    details:
      - That the pool or the volume of O(source) does not exist is no error in check mode; an earlier task would have made
        them.
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
    description:
      - V(absent) destroys what is on it, and its snapshots. It is refused as long as an instance or a profile uses the
        volume, and names them.
    type: str
    choices: [present, absent]
    default: present
  description:
    description: A description.
    type: str
  config:
    description:
      - Its configuration, in LXD's own keys.
      - Snapshots at set times are LXD's own work, by C(snapshots.schedule) (a cron expression, or V(@daily) and the
        like), C(snapshots.expiry) (how long they are kept, such as V(7d)) and C(snapshots.pattern) (how they are named).
        Those made by M(bcm.datacenter.lxd_storage_volume_snapshot) expire by the same key.
    type: dict
  pool:
    description: The storage pool that it lies in.
    type: str
    required: true
  content_type:
    description: Used when the volume is made (V(filesystem) by default), and checked afterwards.
    type: str
    choices: [filesystem, block]
  size:
    description:
      - Its size, such as V(10GiB). Compared in bytes.
      - A volume can always become larger. Whether it can become smaller depends on its driver, and on what is on it.
    type: str
  target:
    description:
      - The member of a cluster that it lies on. Without it a volume is made on the member that the module speaks to, and
        found on whichever member it is.
      - In a pool that is each member's own, every member may have a volume of the same name. Naming another member
        therefore moves nothing; see O(move_from).
    type: str
  source:
    description:
      - Another volume, or a snapshot of one, that the volume is made a copy of. Once the volume exists, this is left alone.
      - Its configuration and description come along, but not C(user.bcm.site); O(config), O(size) and O(description) are
        laid over them.
    type: dict
    suboptions:
      name:
        description: Its name, or of a snapshot C(VOLUME/SNAPSHOT). As O(name) by default.
        type: str
      pool:
        description: Its pool. As O(pool) by default.
        type: str
      project:
        description: Its project. As O(project) by default.
        type: str
      target:
        description: The member of the cluster that it lies on. As O(target) by default.
        type: str
      volume_only:
        description: Whether its snapshots stay behind.
        type: bool
        default: false
  move_from:
    description:
      - What the volume was until now. If that is there, and the volume is not, it is renamed, or moved to another pool,
        project or member of the cluster, with its snapshots.
      - If neither is there, the module fails rather than make an empty volume. If both are there, it fails rather than
        choose.
      - Refused while an instance that runs uses it. When the volume moves within a member, LXD renames it in the devices of
        instances and profiles too. To another member it moves only while nothing uses it.
    type: dict
    suboptions:
      name:
        description: Its name until now. As O(name) by default.
        type: str
      pool:
        description: Its pool until now. As O(pool) by default.
        type: str
      project:
        description: Its project until now. As O(project) by default.
        type: str
      target:
        description: The member of the cluster that it has been on. As O(target) by default.
        type: str
  timeout:
    description: How long copying or moving may take, in seconds.
    type: int
    default: 3600
seealso:
  - module: bcm.datacenter.lxd_storage_volume_info
  - module: bcm.datacenter.lxd_storage_volume_snapshot
  - module: bcm.datacenter.lxd_fabric
"""

EXAMPLES = r"""
- name: A volume for a chain
  bcm.datacenter.lxd_storage_volume:
    name: bitcoin-1-chain
    pool: bcm-home
    project: bcm-home
    size: 800GiB
    config:
      user.bcm.site: home

- name: Let LXD make a snapshot every night, and keep each for a week
  bcm.datacenter.lxd_storage_volume:
    name: lightning-1-data
    pool: bcm-home
    project: bcm-home
    config:
      snapshots.schedule: "@daily"
      snapshots.expiry: 7d
      snapshots.pattern: daily-%d

- name: Start a second node with the chain of the first
  bcm.datacenter.lxd_storage_volume:
    name: bitcoin-2-chain
    pool: bcm-home
    project: bcm-home
    source:
      name: bitcoin-1-chain/checked
      volume_only: true

- name: Move a volume to a faster pool
  bcm.datacenter.lxd_storage_volume:
    name: bitcoin-1-chain
    pool: nvme
    project: bcm-home
    move_from:
      pool: bcm-home

- name: Move a volume to another member of the cluster
  bcm.datacenter.lxd_storage_volume:
    name: bitcoin-1-chain
    pool: nvme
    project: bcm-home
    target: rack-2
    move_from:
      target: rack-1
"""

RETURN = r"""
action:
  description:
    - What was done, or would be in check mode. One of V(none), V(create), V(copy), V(move), V(update), V(delete).
  returned: always
  type: str
  sample: create
lxd_storage_volume:
  description: What there is now, or would be, as LXD describes it. V(null) if it is absent.
  returned: success
  type: dict
  sample: {name: bitcoin-1-chain, content_type: filesystem, config: {size: 800GiB}}
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_volume as volumes
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule, desired_of, object_spec
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import VOLUME, PlanError

PLACE_SPEC: dict[str, t.Any] = {
    "name": {"type": "str"},
    "pool": {"type": "str"},
    "project": {"type": "str"},
    "target": {"type": "str"},
}
SPEC: dict[str, t.Any] = {
    **object_spec(VOLUME),
    "source": {"type": "dict", "options": {**PLACE_SPEC, "volume_only": {"type": "bool", "default": False}}},
    "move_from": {"type": "dict", "options": PLACE_SPEC},
    "timeout": {"type": "int", "default": 3600},
}


def run(lxd: LXDModule) -> dict[str, t.Any]:
    desired = desired_of(VOLUME, {**lxd.params})
    planned = volumes.plan_volume(lxd.client, lxd.params, desired, lxd.check_mode)
    if planned.change.errors:
        raise PlanError(planned.change.errors)
    change, place = planned.change, planned.place
    after = change.after
    if planned.action != "none" and not lxd.check_mode:
        volumes.apply_volume(lxd.client, planned, lxd.params["timeout"])
    if after is not None and not (lxd.check_mode and planned.action != "none"):
        after = lxd.client.get(place.path, **place.query)
    return {
        "changed": planned.action != "none",
        "action": planned.action,
        "diff": resource.diff(change.before, change.after, change.label),
        "lxd_storage_volume": resource.visible(after) if after is not None else None,
    }


def main() -> None:
    LXDModule(SPEC, project=True, mutually_exclusive=[("source", "move_from")]).run(run)


if __name__ == "__main__":
    main()
