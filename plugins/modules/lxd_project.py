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
      - V(absent) is refused as long as the project holds anything but its default profile, and names it. That is so also
        where LXD itself would not mind and would lose it, such as a volume, a bucket, a network ACL or a network zone.
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
        C(features.*) be changed only while it is empty. Those not mentioned stay as they are, as all keys do.
      - C(limits.*) bounds what is in the project together, C(restricted.*) what those who may use it can do with it.
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

- name: A project with limits, whose users get no more than they need
  bcm.datacenter.lxd_project:
    name: guests
    config:
      features.images: false
      limits.instances: 5
      limits.memory: 8GiB
      limits.disk: 100GiB
      restricted: true
      restricted.containers.nesting: allow

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

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_project as projects
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import api_path
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule, object_spec, run_object
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import PROJECT, PlanError, plan


def _errors(lxd: LXDModule) -> list[str]:
    """What keeps the change from being made, beyond what is alike for all kinds of objects."""
    desired = {key: lxd.params[key] for key in object_spec(PROJECT)}
    actual = lxd.client.find(api_path("projects", desired["name"]), project=None)
    if actual is None:
        return []
    if desired["state"] == "absent":
        return plan(PROJECT, desired, projects.with_contents(lxd.client, actual)).errors
    return plan(PROJECT, desired, actual).errors or projects.feature_errors(desired, actual)


def run(lxd: LXDModule) -> dict[str, t.Any]:
    errors = _errors(lxd)
    if errors:
        raise PlanError(errors)
    return run_object(lxd, PROJECT, "lxd_project")


def main() -> None:
    LXDModule(object_spec(PROJECT)).run(run)


if __name__ == "__main__":
    main()
