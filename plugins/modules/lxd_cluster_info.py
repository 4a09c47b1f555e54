#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_cluster_info
short_description: Read what an LXD server says of its cluster
version_added: 0.1.0
description:
  - Says whether the server is in a cluster, as which member, who leads it, and what a server that joins has to tell of itself.
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
  - bcm.datacenter.attributes.actiongroup_lxd
seealso:
  - module: bcm.datacenter.lxd_cluster
  - module: bcm.datacenter.lxd_cluster_member_info
"""

EXAMPLES = r"""
- name: Read the cluster
  bcm.datacenter.lxd_cluster_info:
  register: result

- name: Show what a server that joins has to tell
  ansible.builtin.debug:
    msg: "{{ result.member_config }}"
"""

RETURN = r"""
enabled:
  description: Whether the server is a member of a cluster.
  returned: success
  type: bool
server_name:
  description: Its name as a member. V(null) where it is none.
  returned: success
  type: str
  sample: rack-1
server_address:
  description: The address at which the other members reach it. V(null) where it is no member.
  returned: success
  type: str
  sample: 203.0.113.11:8443
leader:
  description: The member that leads the database now. V(null) where there is none.
  returned: success
  type: str
  sample: rack-1
members:
  description: The names of all members, sorted.
  returned: success
  type: list
  elements: str
  sample: [rack-1, rack-2]
certificate:
  description: The certificate (PEM) that the server shows to clients. All members of a cluster show the same.
  returned: success
  type: str
certificate_fingerprint:
  description: Its fingerprint.
  returned: success
  type: str
member_config:
  description: The keys of pools and networks that every member has values of its own for, with those of this member.
  returned: success
  type: list
  elements: dict
  sample: [{entity: storage-pool, name: local, key: source, value: '', description: '"source" property for storage pool "local"'}]
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_cluster as clusters
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule


def run(lxd: LXDModule) -> dict[str, t.Any]:
    cluster = clusters.cluster_of(lxd.client)
    server = lxd.client.server()
    environment = server.get("environment") or {}
    members = clusters.members_of(lxd.client)
    enabled = bool(cluster.get("enabled"))
    leaders = [member["server_name"] for member in members if "database-leader" in (member.get("roles") or [])]
    return {
        "changed": False,
        "enabled": enabled,
        "server_name": cluster.get("server_name") if enabled else None,
        "server_address": (server.get("config") or {}).get("cluster.https_address") if enabled else None,
        "leader": leaders[0] if leaders else None,
        "members": [member["server_name"] for member in members],
        "certificate": environment.get("certificate"),
        "certificate_fingerprint": environment.get("certificate_fingerprint"),
        "member_config": cluster.get("member_config") or [],
    }


def main() -> None:
    LXDModule({}).run(run)


if __name__ == "__main__":
    main()
