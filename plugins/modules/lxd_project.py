#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_project
short_description: Look after an LXD project
version_added: 0.1.0
description:
  - Makes, changes and removes a project.
  - LXD makes a profile V(default) with each project, with nothing in it. M(bcm.datacenter.lxd_profile) fills it.
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
    description:
      - V(absent) is refused as long as the project holds anything but its default profile, also where LXD itself would
        not mind, such as a volume.
    type: str
    choices: [present, absent]
    default: present
  description:
    description: A description.
    type: str
  config:
    description:
      - Its configuration, in LXD's own keys.
      - LXD turns C(features.images), C(features.profiles) and C(features.storage.volumes) on for a new project, and lets
        C(features.*) be changed only while it is empty.
    type: dict
seealso:
  - module: bcm.datacenter.lxd_project_info
  - module: bcm.datacenter.lxd_fabric
"""

EXAMPLES = r"""
- name: A project for a site
  bcm.datacenter.lxd_project:
    name: bcm-home
    description: The site "home"
    config:
      user.bcm.site: home

- name: Remove it
  bcm.datacenter.lxd_project:
    name: bcm-home
    state: absent
"""

RETURN = r"""
action:
  description: What was done, or would be in check mode. One of V(none), V(create), V(update), V(delete).
  returned: always
  type: str
  sample: create
lxd_project:
  description: What there is now, or would be, as LXD describes it. V(null) if it is absent.
  returned: success
  type: dict
  sample: {name: bcm-home, description: The site, config: {user.bcm.site: home}}
"""

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule, object_spec, run_object
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import PROJECT


def main() -> None:
    LXDModule(object_spec(PROJECT)).run(lambda lxd: run_object(lxd, PROJECT, "lxd_project"))


if __name__ == "__main__":
    main()
