#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_storage_pool
short_description: Look after an LXD storage pool
version_added: 0.1.0
description:
  - Makes, changes and removes a storage pool. Pools do not belong to a project.
  - In a cluster it is made on all members, with what is each member's own.
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
    description: V(absent) is refused as long as anything uses the pool.
    type: str
    choices: [present, absent]
    default: present
  description:
    description: A description.
    type: str
  config:
    description: Its configuration, in LXD's own keys.
    type: dict
  driver:
    description: The storage driver. Used when the pool is made (V(btrfs) by default), and checked afterwards.
    type: str
  source:
    description:
      - What it lies on, a block device or a path. Without it LXD makes a loop file of its own.
      - Used when the pool is made, and checked afterwards, against what LXD was given at that time too, because LXD
        rewrites a device to one by UUID.
    type: str
  size:
    description:
      - Size of the loop file, such as V(40GiB).
      - A change is refused where LXD cannot resize a pool (before 5.10), because LXD would only note it down.
    type: str
  members:
    description:
      - In a cluster, what is a member's own, by the names of members; each as a dictionary in LXD's own keys. These are
        C(size), C(source), C(source.wipe), C(source.recover), C(zfs.pool_name), C(lvm.thinpool_name) and C(lvm.vg_name)
        (LXD's C(lxd/db/storage_pools.go), C(NodeSpecificStorageConfig)), and with Incus C(lvm.vg.force_reuse), as far as
        the version of the server knows them. Every other key belongs into O(config).
      - One of these keys in O(config), O(source) or O(size) holds for every member that does not say otherwise here.
      - The pool is made on all members. Those that are not named, or without keys, get what LXD chooses.
      - One that an interrupted run left pending, or that could not be made on a member, is finished, and may be given other
        keys on members that have not made it yet. What it was, is in the diff as C(status).
      - A member that joins later brings its part along (C(member_config) when it joins). Its keys can be named here then.
      - On a server that is in no cluster there may be one entry, which has to have the server's own name.
    type: dict
seealso:
  - module: bcm.datacenter.lxd_storage_pool_info
  - module: bcm.datacenter.lxd_fabric
"""

EXAMPLES = r"""
- name: A pool on a loop file
  bcm.datacenter.lxd_storage_pool:
    name: bcm-home
    driver: btrfs
    size: 40GiB

- name: A pool on a disk
  bcm.datacenter.lxd_storage_pool:
    name: data
    driver: btrfs
    source: /dev/disk/by-id/nvme-eui.0025388b01b2c3d4

- name: A pool in a cluster, on a disk of each member
  bcm.datacenter.lxd_storage_pool:
    name: data
    driver: btrfs
    members:
      rack-1:
        source: /dev/disk/by-id/nvme-eui.0025388b01b2c3d4
      rack-2:
        source: /dev/disk/by-id/nvme-eui.0025388b01b2c3d5
"""

RETURN = r"""
action:
  description: What was done, or would be in check mode. One of V(none), V(create), V(update), V(delete).
  returned: always
  type: str
  sample: create
lxd_storage_pool:
  description:
    - What there is now, or would be, as LXD describes it. V(null) if it is absent.
    - In a cluster with C(members), what is each member's own.
  returned: success
  type: dict
  sample: {name: bcm-home, driver: btrfs, config: {size: 40GiB}}
"""

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule, object_spec, run_object
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import POOL


def main() -> None:
    LXDModule(object_spec(POOL)).run(lambda lxd: run_object(lxd, POOL, "lxd_storage_pool"))


if __name__ == "__main__":
    main()
