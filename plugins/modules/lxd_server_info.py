#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lxd_server_info
short_description: Read what an LXD server says of itself
version_added: 0.1.0
description:
  - Gives version, configuration, cluster membership, API extensions and, if asked for, the resources of the machine.
  - Of secrets in the configuration, such as C(core.trust_password) or C(maas.api.key), it is told only that they are set.
  - That no LXD answers is told by RV(reachable), and is no error where O(must_answer=false).
extends_documentation_fragment:
  - bcm.datacenter.lxd
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
  - bcm.datacenter.attributes.actiongroup_lxd
options:
  resources:
    description: Whether to read the resources of the machine (processors, memory, disks) too.
    type: bool
    default: false
  must_answer:
    description: Whether it is an error that no LXD answers.
    type: bool
    default: true
  target:
    description: The member of the cluster that is meant. By default it is the one that is asked.
    type: str
seealso:
  - module: bcm.datacenter.lxd_server
"""

EXAMPLES = r"""
- name: Is there an LXD, and which one
  bcm.datacenter.lxd_server_info:
    must_answer: false
  register: result

- name: Tell
  ansible.builtin.debug:
    msg: "{{ result.version if result.reachable else result.reason }}"
"""

RETURN = r"""
reachable:
  description: Whether LXD answers.
  returned: success
  type: bool
reason:
  description: Why it does not.
  returned: where it does not
  type: str
product:
  description: What it is, V(lxd) or V(incus).
  returned: where it answers
  type: str
  sample: lxd
version:
  description: Its version.
  returned: where it answers
  type: str
  sample: 5.0.2
trusted:
  description: Whether LXD lets the caller do more than read public things.
  returned: where it answers
  type: bool
clustered:
  description: Whether it is a member of a cluster.
  returned: where it answers
  type: bool
server_name:
  description: Its name as a member of the cluster, or else that of its machine.
  returned: where it answers
  type: str
config:
  description: Its configuration, without secrets. Keys that have their default are not in it.
  returned: where it answers, and trusts the caller
  type: dict
  sample: {core.https_address: '[::]:8443'}
extensions:
  description: Its API extensions.
  returned: where it answers
  type: list
  elements: str
server:
  description: Its configuration and its environment, as LXD describes them.
  returned: where it answers
  type: dict
resources:
  description: The resources of the machine, as LXD describes them.
  returned: where it answers and O(resources=true)
  type: dict
"""

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDUnreachable
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_server import shown


def run(lxd: LXDModule) -> dict[str, t.Any]:
    target = lxd.params["target"]
    try:
        server = dict(lxd.client.get("/1.0", target=target) if target else lxd.client.server())
    except LXDUnreachable as exc:
        if lxd.params["must_answer"]:
            raise
        return {"changed": False, "reachable": False, "reason": str(exc)}
    environment = server.get("environment") or {}
    if "config" in server:
        server["config"] = shown(server["config"])
    result: dict[str, t.Any] = {
        "changed": False,
        "reachable": True,
        "product": lxd.client.flavour.name,
        "version": environment.get("server_version"),
        "trusted": server.get("auth") == "trusted",
        "clustered": bool(environment.get("server_clustered")),
        "server_name": environment.get("server_name"),
        **({"config": server["config"]} if "config" in server else {}),
        "extensions": server.pop("api_extensions", []),
        "server": server,
    }
    if lxd.params["resources"]:
        result["resources"] = lxd.client.get("/1.0/resources", target=target)
    return result


def main() -> None:
    LXDModule(
        {
            "resources": {"type": "bool", "default": False},
            "must_answer": {"type": "bool", "default": True},
            "target": {"type": "str"},
        }
    ).run(run)


if __name__ == "__main__":
    main()
