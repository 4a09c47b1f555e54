#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_storage_volume_snapshot
short_description: Look after a snapshot of a custom LXD storage volume
version_added: 0.1.0
description:
  - Makes and removes a snapshot of a custom volume, says when it expires, restores the volume from it, and keeps the number
    of snapshots within bounds.
  - Snapshots at set times are LXD's own work. They are set up on the volume, with C(snapshots.schedule),
    C(snapshots.expiry) and C(snapshots.pattern) in the C(config) of M(bcm.datacenter.lxd_storage_volume).
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.lxd.project
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.actiongroup_lxd
attributes:
  check_mode:
    support: full
    details:
      - That the volume does not exist is an error in check mode only for O(state=restored); an earlier task would have
        made it.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - O(state=restored) restores each time, because nobody can tell what has been written since.
options:
  name:
    description: Its name.
    type: str
    required: true
  volume:
    description: The name of the custom volume.
    type: str
    required: true
  pool:
    description: The storage pool that the volume lies in.
    type: str
    required: true
  target:
    description:
      - The member of a cluster that the volume lies on. Needed only where several members have a volume of its name.
    type: str
  state:
    description:
      - V(present) makes it, if there is none of that name. One that is there is not made anew.
      - V(restored) takes the volume back to it. What has been written to the volume since then is lost. It is refused while
        an instance that runs uses the volume. On ZFS, LXD refuses it while there are later snapshots, unless the volume has
        C(zfs.remove_snapshots).
    type: str
    choices: [present, absent, restored]
    default: present
  description:
    description: A description.
    type: str
  expires_at:
    description:
      - When LXD removes it, as V(2030-12-31T23:59:59Z), or V(never). Without a time zone it is UTC.
      - When it is made without this, C(snapshots.expiry) of the volume says it.
    type: str
  keep:
    description:
      - How many snapshots of O(pattern) there may be, this one counted. The oldest ones beyond that number are
        removed once this one is there.
      - Refused where LXD does not say which are the oldest. LXD 5.0 does not for a volume of another member of a cluster than
        the one that the module speaks to.
    type: int
  pattern:
    description:
      - Which snapshots are counted by O(keep), as a pattern of the shell such as V(before-update-*). It has to match
        O(name). All others stay, whatever their age.
    type: str
  timeout:
    description: How long each step may take, in seconds.
    type: int
    default: 600
seealso:
  - module: bcm.datacenter.lxd_storage_volume_snapshot_info
  - module: bcm.datacenter.lxd_storage_volume
"""

EXAMPLES = r"""
- name: A snapshot before each update, of which the last three are kept
  bcm.datacenter.lxd_storage_volume_snapshot:
    name: before-update-27.1
    volume: bitcoin-1-chain
    pool: bcm-home
    project: bcm-home
    keep: 3
    pattern: before-update-*

- name: Take the volume back to it
  bcm.datacenter.lxd_storage_volume_snapshot:
    name: before-update-27.1
    volume: bitcoin-1-chain
    pool: bcm-home
    project: bcm-home
    state: restored
"""

RETURN = r"""
action:
  description: What was done, or would be in check mode. One of V(none), V(create), V(update), V(delete), V(restore).
  returned: success
  type: str
  sample: create
removed:
  description: The older snapshots that gave way, or would, in the order in which they were made.
  returned: success
  type: list
  elements: str
  sample: [before-update-26.0]
lxd_storage_volume_snapshot:
  description:
    - What there is now, or would be. V(null) if it is absent.
    - That it never expires is shown as V(0001-01-01T00:00:00Z), which is how LXD writes it.
  returned: success
  type: dict
  sample: {name: before-update-27.1, description: '', expires_at: '0001-01-01T00:00:00Z'}
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_volume_snapshot as snapshots
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule

SPEC: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "volume": {"type": "str", "required": True},
    "pool": {"type": "str", "required": True},
    "target": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent", "restored"], "default": "present"},
    "description": {"type": "str"},
    "expires_at": {"type": "str"},
    "keep": {"type": "int"},
    "pattern": {"type": "str"},
    "timeout": {"type": "int", "default": 600},
}


def run(lxd: LXDModule) -> dict[str, t.Any]:
    change = snapshots.plan_snapshot(lxd.client, lxd.params, lxd.check_mode)
    after = change.after
    if change.changed and not lxd.check_mode:
        snapshots.apply_snapshot(lxd.client, change, lxd.params["timeout"])
        if after is not None:
            after = lxd.client.get(change.path, **change.place.query)
    if after is not None:
        after = {**after, "name": change.name}
    diff = resource.diff(change.before, change.after, change.label)
    for name in change.remove:
        diff["before"][f"snapshot {name}"] = "present"
        diff["after"][f"snapshot {name}"] = "absent"
    if change.action == "restore":
        diff["before"]["volume"], diff["after"]["volume"] = "as it is", f"as it was at {change.name}"
    return {
        "changed": change.changed,
        "action": change.action,
        "removed": change.remove,
        "diff": diff,
        "lxd_storage_volume_snapshot": resource.visible(after) if after is not None else None,
    }


def main() -> None:
    LXDModule(SPEC, project=True, required_together=[("keep", "pattern")]).run(run)


if __name__ == "__main__":
    main()
