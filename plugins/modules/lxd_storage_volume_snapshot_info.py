#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_storage_volume_snapshot_info
short_description: Read the snapshots of a custom LXD storage volume
version_added: 0.1.0
description:
  - Gives the snapshots of a custom volume as LXD describes them.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.lxd.project
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
  - bcm.datacenter.attributes.actiongroup_lxd
options:
  name:
    description: Only the one of this name. That it does not exist is no error.
    type: str
  volume:
    description: The name of the custom volume. That it does not exist is an error.
    type: str
    required: true
  pool:
    description: The storage pool that the volume lies in.
    type: str
    required: true
  target:
    description: The member of a cluster that the volume lies on. Needed only where several have a volume of its name.
    type: str
seealso:
  - module: bcm.datacenter.lxd_storage_volume_snapshot
"""

EXAMPLES = r"""
- name: Read the snapshots of a volume
  bcm.datacenter.lxd_storage_volume_snapshot_info:
    volume: bitcoin-1-chain
    pool: bcm-home
    project: bcm-home
"""

RETURN = r"""
snapshots:
  description:
    - What there is, one item each, in the order in which they were made.
    - That one never expires is shown as C(0001-01-01T00:00:00Z), which is how LXD writes it.
  returned: success
  type: list
  elements: dict
  sample: [{name: before-update-27.1, description: '', expires_at: '0001-01-01T00:00:00Z', config: {size: 800GiB}}]
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_volume as volumes
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_volume_snapshot as snapshots
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import PlanError

SPEC: dict[str, t.Any] = {
    "name": {"type": "str"},
    "volume": {"type": "str", "required": True},
    "pool": {"type": "str", "required": True},
    "target": {"type": "str"},
}


def run(lxd: LXDModule) -> dict[str, t.Any]:
    place = volumes.settle_target(lxd.client, volumes.place_of({**lxd.params, "name": lxd.params["volume"]}))
    volume = lxd.client.find(place.path, **place.query)
    if volume is None:
        raise PlanError([f"{place} does not exist"])
    present = snapshots.list_snapshots(lxd.client, volumes.located(place, volume))
    found = [{**item, "name": item["name"].rpartition("/")[2]} for item in present]
    return {
        "changed": False,
        "snapshots": [item for item in found if lxd.params["name"] in (None, item["name"])],
    }


def main() -> None:
    LXDModule(SPEC, project=True).run(run)


if __name__ == "__main__":
    main()
