#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_profile
short_description: Look after an LXD profile
version_added: 0.1.0
description:
  - Makes, changes and removes a profile of a project.
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
    description: V(absent) is refused as long as an instance uses the profile.
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
    description: Its devices by name. Those not mentioned stay, V(null) removes one, or one key of one.
    type: dict
seealso:
  - module: bcm.datacenter.lxd_profile_info
  - module: bcm.datacenter.lxd_fabric
"""

EXAMPLES = r"""
- name: A profile for instances that run Docker
  bcm.datacenter.lxd_profile:
    name: docker
    project: bcm-home
    config:
      security.nesting: true

- name: Fill the profile that LXD makes with a project
  bcm.datacenter.lxd_profile:
    name: default
    project: bcm-home
    devices:
      root:
        type: disk
        path: /
        pool: bcm-home
      eth0: null
"""

RETURN = r"""
action:
  description: What was done, or would be in check mode. One of V(none), V(create), V(update), V(delete).
  returned: always
  type: str
  sample: create
lxd_profile:
  description: What there is now, or would be, as LXD describes it. V(null) if it is absent.
  returned: success
  type: dict
  sample: {name: docker, config: {security.nesting: 'true'}, devices: {}}
"""

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule, object_spec, run_object
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import PROFILE


def main() -> None:
    LXDModule(object_spec(PROFILE), project=True).run(lambda lxd: run_object(lxd, PROFILE, "lxd_profile"))


if __name__ == "__main__":
    main()
