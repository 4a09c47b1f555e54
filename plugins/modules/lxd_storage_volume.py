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
  - Makes, changes and removes a custom volume, which lives on when the instances that it is attached to are removed.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.lxd.project
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
    description: V(absent) destroys what is on it, and is refused as long as an instance or a profile uses it.
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
    description: Its size, such as V(10GiB). Compared in bytes.
    type: str
seealso:
  - module: bcm.datacenter.lxd_storage_volume_info
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
"""

RETURN = r"""
action:
  description: What was done, or would be in check mode. One of V(none), V(create), V(update), V(delete).
  returned: always
  type: str
  sample: create
lxd_storage_volume:
  description: What there is now, or would be, as LXD describes it. V(null) if it is absent.
  returned: success
  type: dict
  sample: {name: bitcoin-1-chain, content_type: filesystem, config: {size: 800GiB}}
"""

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule, object_spec, run_object
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import VOLUME


def main() -> None:
    LXDModule(object_spec(VOLUME), project=True).run(lambda lxd: run_object(lxd, VOLUME, "lxd_storage_volume"))


if __name__ == "__main__":
    main()
