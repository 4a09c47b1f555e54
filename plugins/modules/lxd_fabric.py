#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_fabric
short_description: Look after all that lies under the instances of a site
version_added: 0.1.0
description:
  - Takes a project, storage pools, networks, profiles and volumes in one go.
  - The state is read once and everything is checked before anything is touched. All errors are reported at once, among
    them objects that belong to somebody else, names that do not exist, and subnets that overlap with those of other
    networks or with addresses of the machine's other interfaces.
  - Objects that do not depend on each other are applied side by side.
  - For one object at a time there are M(bcm.datacenter.lxd_project), M(bcm.datacenter.lxd_storage_pool),
    M(bcm.datacenter.lxd_network), M(bcm.datacenter.lxd_profile) and M(bcm.datacenter.lxd_storage_volume), with the same
    rules.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.actiongroup_lxd
attributes:
  check_mode:
    support: full
    details:
      - A pool that does not exist is no error for a volume; an earlier task would have made it.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  project:
    description:
      - The project. O(profiles) and O(volumes) belong to it.
      - With nothing but a C(name) it is made if it does not exist, and otherwise left as it is.
    type: dict
    required: true
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      state:
        description:
          - V(absent) removes it, which is refused while it holds more than the profiles and volumes that go with it.
        type: str
        choices: [present, absent]
        default: present
      description:
        description: A description.
        type: str
      config:
        description: Its configuration, in LXD's own keys.
        type: dict
  pools:
    description: Storage pools. They do not belong to the project.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      state:
        description: Whether it should be there.
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
        description: A block device or a path. Without it LXD makes a loop file.
        type: str
      size:
        description: Size of the loop file, such as V(40GiB).
        type: str
      members:
        description:
          - In a cluster, what is a member's own, by the names of members, such as C(source) and C(size). See
            M(bcm.datacenter.lxd_storage_pool).
        type: dict
  networks:
    description: Networks. They do not belong to the project.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name, which is the bridge's name too and has at most 15 characters.
        type: str
        required: true
      state:
        description: Whether it should be there.
        type: str
        choices: [present, absent]
        default: present
      description:
        description: A description.
        type: str
      config:
        description: Its configuration, in LXD's own keys.
        type: dict
      type:
        description: The kind of network. Used when the network is made (V(bridge) by default), and checked afterwards.
        type: str
      subnet:
        description:
          - The subnet that is used on the network, where LXD does not know it because the network has no address of its
            own. It is kept as C(user.bcm.subnet), and counts in the search for overlaps.
        type: str
      members:
        description:
          - In a cluster, what is a member's own, by the names of members, such as C(bridge.external_interfaces). See
            M(bcm.datacenter.lxd_network).
        type: dict
  profiles:
    description: Profiles of the project.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name. V(default) is the one that LXD makes with the project.
        type: str
        required: true
      state:
        description: Whether it should be there.
        type: str
        choices: [present, absent]
        default: present
      description:
        description: A description.
        type: str
      config:
        description: Its configuration, in LXD's own keys.
        type: dict
      devices:
        description: Its devices by name. Those not mentioned stay, V(null) removes one.
        type: dict
  volumes:
    description: Custom volumes of the project.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      state:
        description: Whether it should be there. V(absent) destroys what is on it.
        type: str
        choices: [present, absent]
        default: present
      description:
        description: A description.
        type: str
      config:
        description: Its configuration, in LXD's own keys.
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
        description: Its size, such as V(10GiB).
        type: str
      target:
        description: In a cluster, the member that it is on, or is made on. Where it is on another one, it is not moved.
        type: str
  threads:
    description: How many objects are worked on at the same time.
    type: int
    default: 8
seealso:
  - module: bcm.datacenter.lxd_instances
"""

EXAMPLES = r"""
- name: Lay the ground of a site
  bcm.datacenter.lxd_fabric:
    project:
      name: bcm-home
      config:
        user.bcm.site: home
    pools:
      - name: bcm-home
        driver: btrfs
        size: 40GiB
        config:
          user.bcm.site: home
    networks:
      - name: bcm1a2b-outside
        config:
          ipv4.address: 10.80.0.1/24
          ipv4.nat: true
          ipv6.address: none
          user.bcm.site: home
      - name: bcm1a2b-cluster
        subnet: 10.80.32.0/20
        config:
          ipv4.address: none
          ipv6.address: none
          user.bcm.site: home
    profiles:
      - name: default
        devices:
          root:
            type: disk
            path: /
            pool: bcm-home
"""

RETURN = r"""
changes:
  description: What was done, or would be in check mode, one item an object.
  returned: always
  type: list
  elements: dict
  sample:
    - {kind: network, name: bcm1a2b-outside, action: create}
errors:
  description: All that was wrong, one sentence each.
  returned: on failure
  type: list
  elements: str
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_fabric as fabric
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule, desired_of, object_spec
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import (
    NETWORK,
    POOL,
    PROFILE,
    PROJECT,
    VOLUME,
    PlanError,
)

LISTS = {"pools": POOL, "networks": NETWORK, "profiles": PROFILE, "volumes": VOLUME}


def run(lxd: LXDModule) -> dict[str, t.Any]:
    params = lxd.params
    objects = {kind.name: [desired_of(kind, item) for item in params[key]] for key, kind in LISTS.items()}
    objects[PROJECT.name] = [desired_of(PROJECT, params["project"])]
    declaration = fabric.Declaration(params["project"]["name"], objects)
    snapshot = fabric.read(lxd.client, declaration)
    changes, errors = fabric.plan_all(lxd.client, declaration, snapshot, check_mode=lxd.check_mode)
    if errors:
        raise PlanError(errors)
    result: dict[str, t.Any] = {
        "changed": any(change.changed for change in changes),
        "changes": [change.summary() for change in changes if change.changed],
        "diff": fabric.diff_of(changes),
    }
    if not lxd.check_mode:
        done, errors = fabric.apply_all(lxd.client, changes, params["threads"])
        if errors:
            lxd.fail_list(
                "Not all of the fabric could be applied",
                errors,
                changed=bool(done),
                changes=[change.summary() for change in done],
            )
    return result


def main() -> None:
    spec: dict[str, t.Any] = {"threads": {"type": "int", "default": 8}}
    spec["project"] = {"type": "dict", "required": True, "options": object_spec(PROJECT)}
    for key, kind in LISTS.items():
        spec[key] = {"type": "list", "elements": "dict", "default": [], "options": object_spec(kind)}
    LXDModule(spec).run(run)


if __name__ == "__main__":
    main()
