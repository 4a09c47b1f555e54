#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_cluster
short_description: Make an LXD server the first member of a cluster
version_added: 0.1.0
description:
  - Turns an LXD server into a cluster of one, with all that is in it. Others join it with M(bcm.datacenter.lxd_cluster_member).
  - The module is run against the server that becomes the first member.
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
  state:
    description:
      - V(present) makes the server the first member. A server that is in a cluster as O(server_name) already is what is
        asked for; how many members that has does not matter. One that is in a cluster under another name is refused.
      - V(absent) makes the last member of a cluster a server by itself. LXD forgets everything that it knew when it leaves its
        cluster, and keeps only its addresses. So it is refused while there are other members, and while the server has
        anything in it, such as a pool, a network, a project, an image, a volume or an instance. Clients have to be trusted
        anew, and the rest of the configuration has to be set anew.
    type: str
    choices: [present, absent]
    default: present
  server_name:
    description: The name of the server as a member. Necessary with O(state=present).
    type: str
  server_address:
    description:
      - The address, V(HOST) or V(HOST:PORT), at which other members reach this server. The port is 8443 if none is given.
      - By default it is the server's C(cluster.https_address), or else its C(core.https_address), which must not be one that
        stands for all addresses, such as V([::]).
      - It becomes C(cluster.https_address), and C(core.https_address) too if that is not set. LXD cannot change it later.
    type: str
  timeout:
    description: How many seconds to wait until the server answers as what it has become.
    type: int
    default: 120
seealso:
  - module: bcm.datacenter.lxd_cluster_info
  - module: bcm.datacenter.lxd_cluster_member
"""

EXAMPLES = r"""
- name: The first member of a cluster
  bcm.datacenter.lxd_cluster:
    server_name: rack-1
    server_address: 203.0.113.11
"""

RETURN = r"""
action:
  description: What was done, or would be in check mode. One of V(none), V(create), V(delete).
  returned: success
  type: str
  sample: create
lxd_cluster:
  description: The cluster as the server describes it now, or as it would be.
  returned: success
  type: dict
  sample: {enabled: true, server_name: rack-1, server_address: '203.0.113.11:8443'}
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_cluster as clusters
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, PlanError


def shown(cluster: Object, config: t.Mapping[str, t.Any]) -> Object:
    enabled = bool(cluster.get("enabled"))
    return {
        "enabled": enabled,
        "server_name": cluster.get("server_name") or "" if enabled else "",
        "server_address": config.get("cluster.https_address", "") if enabled else "",
    }


def run(lxd: LXDModule) -> Object:
    name, timeout = lxd.params["server_name"], lxd.params["timeout"]
    client = lxd.client
    cluster = clusters.cluster_of(client)
    config = client.get("/1.0").get("config") or {}
    before = shown(cluster, config)
    after, action = before, "none"
    errors: list[str] = []
    if lxd.params["state"] == "present":
        if before["enabled"]:
            errors = clusters.bootstrapped_errors(cluster, config, name, lxd.params["server_address"])
        else:
            where = clusters.place(config, lxd.params["server_address"], errors)
            after, action = {"enabled": True, "server_name": name, "server_address": where.address}, "create"
    elif before["enabled"]:
        others = [member["server_name"] for member in clusters.members_of(client)]
        others.remove(before["server_name"])
        if others:
            errors.append(f"the cluster has other members: {', '.join(others)}. Remove them first")
        else:
            errors += [
                f"there is something in the server that LXD would forget: {what}" for what in clusters.contents(client)
            ]
        after, action = {"enabled": False, "server_name": "", "server_address": ""}, "delete"
    if errors:
        raise PlanError(errors)
    if action != "none" and not lxd.check_mode:
        if action == "create":
            clusters.bootstrap(client, name, where, timeout)
        else:
            clusters.disband(client, timeout)
        after = shown(clusters.cluster_of(client), client.get("/1.0").get("config") or {})
    diff = resource.diff(before, after, "cluster")
    return {"changed": action != "none", "action": action, "lxd_cluster": after, "diff": diff}


def main() -> None:
    LXDModule(
        {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "server_name": {"type": "str"},
            "server_address": {"type": "str"},
            "timeout": {"type": "int", "default": 120},
        },
        required_if=[("state", "present", ["server_name"])],
    ).run(run)


if __name__ == "__main__":
    main()
