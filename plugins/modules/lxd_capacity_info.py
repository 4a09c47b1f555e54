#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_capacity_info
short_description: Read what each member of an LXD cluster has, and what runs where
version_added: 0.1.0
description:
  - Gives version, processors, memory, storage pools and instances of each member of the cluster that a server is in. A server that
    is in no cluster is its own only member.
  - A member that does not answer is no error. What LXD says of it by itself is given.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
  - bcm.datacenter.attributes.actiongroup_lxd
seealso:
  - module: bcm.datacenter.lxd_cluster_info
  - module: bcm.datacenter.lxd_server_info
"""

EXAMPLES = r"""
- name: Read the cluster
  bcm.datacenter.lxd_capacity_info:
  register: result

- name: Show which members do not answer
  ansible.builtin.debug:
    msg: "{{ result.members | rejectattr('answers') | map(attribute='name') }}"
"""

RETURN = r"""
clustered:
  description: Whether the server is in a cluster.
  returned: success
  type: bool
members:
  description: The members, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name. Of a server that is in no cluster, that of its machine.
      type: str
    url:
      description: Where the others reach it. V(null) for a server that is in no cluster.
      type: str
    status:
      description: What LXD says of it, such as V(Online), V(Offline) or V(Evacuated).
      type: str
    message:
      description: Why LXD says so.
      type: str
    answers:
      description: Whether it has told what it has.
      type: bool
    roles:
      description: Its roles.
      type: list
      elements: str
    failure_domain:
      description: Its failure domain. V(null) for a server that is in no cluster.
      type: str
    version:
      description: The version of its LXD. V(null) where it does not answer, as all that follows but the instances and volumes.
      type: str
    cpus:
      description: How many processors it has.
      type: int
    memory:
      description: Its memory in bytes, C(total) and C(used).
      type: dict
    pools:
      description: The space of its storage pools in bytes, C(total) and C(used), by the name of the pool.
      type: dict
    instances:
      description: The instances that are on it, in all projects, each with C(project), C(name) and C(status).
      type: list
      elements: dict
    volumes:
      description: The custom volumes that lie on it, in all projects, each with C(project), C(pool) and C(name).
      type: list
      elements: dict
  sample: [{name: rack-1, status: Online, answers: true, roles: [database-leader, database], version: 5.0.2, cpus: 4}]
contents:
  description: What is in LXD, apart from what one has that was just installed.
  returned: success
  type: list
  elements: str
  sample: [storage pool bcm-home, project bcm-home]
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_cluster as clusters
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule


def run(lxd: LXDModule) -> dict[str, t.Any]:
    members = clusters.capacity(lxd.client)
    return {
        "changed": False,
        "clustered": any(member["url"] for member in members),
        "members": members,
        "contents": clusters.contents(lxd.client),
    }


def main() -> None:
    LXDModule({}).run(run)


if __name__ == "__main__":
    main()
