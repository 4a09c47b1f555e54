#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_instance_snapshot
short_description: Look after the snapshots of an LXD instance
version_added: 0.1.0
description:
  - Makes a snapshot of an instance, puts the instance back to one, and removes snapshots.
  - With O(keep) and O(pattern) the oldest ones go, the newest stay.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.lxd.project
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.actiongroup_lxd
attributes:
  check_mode:
    support: full
    details:
      - Of an instance that does not exist yet, the snapshot is reported as to be made.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - Not with O(state=restored).
options:
  instance:
    description: The instance.
    type: str
    required: true
  name:
    description:
      - Name of the snapshot.
      - Without it, O(keep) or O(state=absent) take care of those that O(pattern) fits, and none is made.
    type: str
  state:
    description:
      - V(present) makes the snapshot if there is none of this name. One that is there is not made anew.
      - V(restored) puts the instance back to the snapshot each time that the task runs. What was written since is lost, and its
        configuration, devices and profiles become those of the snapshot too. LXD stops one that runs, and starts it again.
      - V(absent) removes the snapshot, or without O(name) all that O(pattern) fits. That the instance does not exist is fine.
    type: str
    choices: [present, restored, absent]
    default: present
  stateful:
    description:
      - Whether the snapshot holds the memory of what runs too, and a restore puts it back. Of a virtual machine this needs
        C(migration.stateful), of a container CRIU where LXD runs.
    type: bool
    default: false
  expires_at:
    description:
      - When LXD removes the snapshot by itself, as a time such as V(2027-01-31T12:00:00Z), or V(never). Changed where the
        snapshot has another one.
      - Without this and O(expiry), a new snapshot expires as the C(snapshots.expiry) of the instance says.
    type: str
  expiry:
    description:
      - How long after it was made LXD removes the snapshot by itself, in LXD's own notation, such as V(12H), V(7d) or V(1w 2d).
        C(M) is minutes, C(H) hours, C(d) days, C(w) weeks, C(m) months, C(y) years. Looked at only when it is made.
    type: str
  keep:
    description:
      - How many of the snapshots that O(pattern) fits are kept. The oldest of the others go, after the new one was made. The one
        called O(name) is never among them.
    type: int
  pattern:
    description:
      - Which snapshots O(keep) is about, or with O(state=absent) and without O(name) which ones are removed. C(*) is any text,
        C(?) any character.
    type: str
  timeout:
    description: Seconds that each thing may take.
    type: int
    default: 600
seealso:
  - module: bcm.datacenter.lxd_instance_snapshot_info
  - module: bcm.datacenter.lxd_instance
"""

EXAMPLES = r"""
- name: Before something that may go wrong
  bcm.datacenter.lxd_instance_snapshot:
    project: bcm-home
    instance: lnd-1
    name: before-update
    expiry: 2w

- name: One a day, of which the last seven are kept
  bcm.datacenter.lxd_instance_snapshot:
    project: bcm-home
    instance: lnd-1
    name: "daily-{{ now(utc=true, fmt='%Y-%m-%d') }}"
    pattern: daily-*
    keep: 7

- name: Back to how it was
  bcm.datacenter.lxd_instance_snapshot:
    project: bcm-home
    instance: lnd-1
    name: before-update
    state: restored

- name: Remove all that were made daily
  bcm.datacenter.lxd_instance_snapshot:
    project: bcm-home
    instance: lnd-1
    pattern: daily-*
    state: absent
"""

RETURN = r"""
actions:
  description:
    - What was done, or would be in check mode, in this order. C(create), C(update) of when it expires, C(prune) of old ones,
      C(restore), C(delete).
  returned: always
  type: list
  elements: str
  sample: [create, prune]
removed:
  description: The names of the snapshots that were removed, or would be, the oldest first.
  returned: success
  type: list
  elements: str
  sample: [daily-2027-01-01]
snapshots:
  description: The snapshots that the instance has now, or would have, the oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    stateful:
      description: Whether it holds the memory of what ran.
      type: bool
    created_at:
      description: When it was made. V(null) if it is only to be made.
      type: str
    expires_at:
      description: When LXD removes it by itself. V(null) if it does not.
      type: str
  sample: [{name: before-update, stateful: false, created_at: '2027-01-01T12:00:00Z', expires_at: null}]
"""

import datetime as dt
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_instance as instances
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_snapshot as snapshots
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDNotFound
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, PlanError

ARGUMENT_SPEC: dict[str, t.Any] = {
    "instance": {"type": "str", "required": True},
    "name": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "restored", "absent"], "default": "present"},
    "stateful": {"type": "bool", "default": False},
    "expires_at": {"type": "str"},
    "expiry": {"type": "str"},
    "keep": {"type": "int"},
    "pattern": {"type": "str"},
    "timeout": {"type": "int", "default": 600},
}


def _errors(desired: Object) -> list[str]:
    label = f"snapshots of instance {desired['instance']}"
    state, keep = desired["state"], desired["keep"]
    errors = []
    if keep is not None and keep < 0:
        errors.append(f"{label}: keep is a number of snapshots, not {keep}")
    if state != "present" and keep is not None:
        errors.append(f"{label}: keep goes with state=present, not with {state}")
    if state == "present" and desired["name"] is None and keep is None:
        errors.append(f"{label}: a name is needed, or keep and a pattern")
    if state == "absent" and desired["name"] is not None and desired["pattern"] is not None:
        errors.append(f"{label}: a name or a pattern says what is to be removed, not both")
    if desired["name"] is not None and ("/" in desired["name"] or not desired["name"].strip()):
        errors.append(f"{label}: {desired['name']!r} is not a name of a snapshot")
    return errors


def _read(lxd: LXDModule) -> list[Object] | None:
    try:
        if not lxd.check_mode:
            # A snapshot that a run which was killed has begun is waited for, and not refused as one that is there.
            instances.settle(lxd.client, [lxd.params["instance"]], lxd.params["timeout"])
        return snapshots.read(lxd.client, lxd.params["instance"])
    except LXDNotFound:
        if lxd.check_mode and not lxd.client.project_exists():
            return None
        raise


def run(lxd: LXDModule) -> dict[str, t.Any]:
    desired = {key: lxd.params[key] for key in ARGUMENT_SPEC}
    errors = _errors(desired)
    if errors:
        raise PlanError(errors)
    there = _read(lxd)
    if there is None and desired["state"] != "absent" and not lxd.check_mode:
        project = lxd.params["project"]
        raise PlanError([f"project {project} has no instance {desired['instance']!r} to look after the snapshots of"])
    if there is None and desired["state"] == "restored":
        # In check mode the instance may be one that would have been made a moment ago, and its snapshot too.
        there = [{"name": desired["name"]}]
    now = dt.datetime.now(dt.timezone.utc)  # noqa: UP017 - Python 3.9 on targets
    plan = snapshots.plan(desired, there or [], now)
    after = plan.after
    if plan.changed and not lxd.check_mode:
        snapshots.apply(lxd.client, plan, desired["timeout"])
        after = snapshots.in_order(snapshots.read(lxd.client, desired["instance"]) or [])
    label = f"snapshots of instance {desired['instance']}"
    diff = {"before": {label: plan.before}, "after": {label: after}}
    if plan.actions == ["restore"]:
        diff["before"]["restored to"] = []
        diff["after"]["restored to"] = desired["name"]
    return {
        "changed": plan.changed,
        "actions": plan.actions,
        "removed": plan.old,
        "snapshots": after,
        "diff": diff,
    }


def main() -> None:
    LXDModule(
        ARGUMENT_SPEC,
        project=True,
        mutually_exclusive=[("expires_at", "expiry")],
        required_by={"keep": ("pattern",)},
        required_if=[("state", "restored", ("name",)), ("state", "absent", ("name", "pattern"), True)],
    ).run(run)


if __name__ == "__main__":
    main()
