#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_instance_snapshot_info
short_description: Read the snapshots of an LXD instance
version_added: 0.1.0
description:
  - Gives the snapshots of an instance as LXD describes them.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.lxd.project
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
  - bcm.datacenter.attributes.actiongroup_lxd
options:
  instance:
    description: The instance. That it does not exist is an error.
    type: str
    required: true
  name:
    description: Only the one of this name. That it does not exist is no error.
    type: str
  pattern:
    description: Only those that it fits. C(*) is any text, C(?) any character.
    type: str
seealso:
  - module: bcm.datacenter.lxd_instance_snapshot
"""

EXAMPLES = r"""
- name: Read what could be restored
  bcm.datacenter.lxd_instance_snapshot_info:
    project: bcm-home
    instance: lnd-1
    pattern: daily-*
  register: result

- name: Show the newest
  ansible.builtin.debug:
    var: result.snapshots[-1].name
"""

RETURN = r"""
snapshots:
  description: What there is, one item each, the oldest first. The C(size) is in bytes, where the storage can tell.
  returned: success
  type: list
  elements: dict
  sample: [{name: daily-2027-01-01, created_at: '2027-01-01T12:00:00Z', expires_at: null, stateful: false, size: 16384}]
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_snapshot as snapshots
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDNotFound
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule


def run(lxd: LXDModule) -> dict[str, t.Any]:
    params = lxd.params
    found = snapshots.read(lxd.client, params["instance"])
    if found is None:
        raise LXDNotFound(f"project {params['project']} has no instance {params['instance']!r}", code=404)
    by_name = {item["name"].rpartition("/")[2]: item for item in found}
    items = [{**by_name[item["name"]], **item} for item in snapshots.in_order(found)]
    if params["name"] is not None:
        items = [item for item in items if item["name"] == params["name"]]
    if params["pattern"] is not None:
        items = snapshots.matching(items, params["pattern"])
    return {"changed": False, "snapshots": items}


def main() -> None:
    spec: dict[str, t.Any] = {
        "instance": {"type": "str", "required": True},
        "name": {"type": "str"},
        "pattern": {"type": "str"},
    }
    LXDModule(spec, project=True).run(run)


if __name__ == "__main__":
    main()
