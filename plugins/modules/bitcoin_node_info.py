#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bitcoin_node_info
short_description: Ask a bitcoind how it is
description:
  - Reads the state of the bitcoind whose container runs on the host, and judges whether it can be relied on. That is its
    readiness, as opposed to the health check of its container, which only asks whether it is alive.
  - Nothing is restarted or changed. The node is asked inside its container, with its cookie.
author:
  - the Bitcoin Cache Machine authors (@bitcoin-cache-machine)
extends_documentation_fragment:
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  name:
    description: Name of the node, which its container carries as the label C(bcm.node).
    type: str
    required: true
  min_peers:
    description: With fewer peers the node is not ready. Does not count on regtest.
    type: int
    default: 1
  max_tip_age:
    description: Seconds since the newest block after which the node is not ready. Does not count on regtest.
    type: int
    default: 7200
  networks:
    description:
      - The only networks by which it may have peers, as bitcoind calls them, such as C(onion).
      - With a peer by another one the node is not ready, and RV(strangers) names it. Without any, all will do.
    type: list
    elements: str
    default: []
  task:
    description:
      - ID of the Swarm task whose container is asked.
      - Without it, the newest container of the node is.
    type: str
  docker:
    description: The Docker client.
    type: str
    default: docker
  timeout:
    description: Seconds until an answer is given up.
    type: int
    default: 90
"""

EXAMPLES = r"""
- name: See that all peers are onions
  bcm.datacenter.bitcoin_node_info:
    name: bitcoin-1
    networks: [onion]
  register: node
  failed_when: node.strangers | length > 0

- name: Wait until the node can be relied on
  bcm.datacenter.bitcoin_node_info:
    name: bitcoin-1
  register: node
  until: node.ready
  retries: 60
  delay: 10
"""

RETURN = r"""
running:
  description: Whether bitcoind runs, be it that it is still starting.
  returned: always
  type: bool
  sample: true
waiting:
  description:
    - Whether its container waits until the one before it has stopped, which may take as long as that has been given for it.
    - Of two containers the newer is asked.
  returned: always
  type: bool
  sample: false
ready:
  description: Whether its answers are those of the chain's tip.
  returned: always
  type: bool
  sample: false
reason:
  description: Why it is not ready. Empty if it is.
  returned: always
  type: str
  sample: "initial download: block 1200 of 860000, 0.03 %"
container:
  description: ID of the container, null if there is none.
  returned: always
  type: str
  sample: 5f2a6b8c9d0e
health:
  description: What Docker's health check says of the container.
  returned: always
  type: str
  sample: healthy
chain:
  description: Name of the chain.
  returned: always
  type: str
  sample: mainnet
blocks:
  description: Height of the newest validated block.
  returned: always
  type: int
  sample: 1200
headers:
  description: Height of the newest header.
  returned: always
  type: int
  sample: 860000
best_block:
  description: Hash of the newest validated block.
  returned: always
  type: str
  sample: 0000000000000000000320283a032748cef8227873ff4872689bf23f1cda83a5
ibd:
  description: Whether it is in its initial download.
  returned: always
  type: bool
  sample: true
progress:
  description: How much of the chain is validated, from 0 to 1.
  returned: always
  type: float
  sample: 0.0003
peers:
  description: Number of peers.
  returned: always
  type: int
  sample: 8
inbound:
  description: How many of them have come to it.
  returned: always
  type: int
  sample: 3
outbound:
  description: How many of them it has gone to.
  returned: always
  type: int
  sample: 5
peer_networks:
  description: How many of them come by which network.
  returned: always
  type: dict
  sample: {onion: 8}
strangers:
  description: Those that come by another network than O(networks) has, with C(address), C(network) and C(direction), C(in) or C(out).
  returned: always
  type: list
  elements: dict
  sample: []
local_addresses:
  description: Addresses of its own that it tells others.
  returned: always
  type: list
  elements: str
  sample: ["2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion:8333"]
tip_age:
  description: Seconds since the time of the newest block.
  returned: always
  type: int
  sample: 420
version:
  description: What it calls itself.
  returned: always
  type: str
  sample: Satoshi:29.4.0
size_on_disk:
  description: Bytes of its blocks.
  returned: always
  type: int
  sample: 740000000000
pruned:
  description: Whether it keeps part of the blocks only.
  returned: always
  type: bool
  sample: false
indexes:
  description: Its indexes, and whether each is complete.
  returned: always
  type: dict
  sample: {txindex: true}
node_warnings:
  description: What it warns of itself.
  returned: always
  type: list
  elements: str
  sample: []
"""

import json
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._bitcoin_status import absent, assess

PS = '{"id": "{{.ID}}", "status": "{{.Status}}"}'


def health(status: str) -> str:
    """`healthy` of Docker's "Up 3 minutes (healthy)"."""
    return status.rpartition("(")[2].rstrip(")").replace("health: ", "") if status.endswith(")") else "none"


class Asker:
    """Runs the Docker client; there is no other way into the container."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.docker = module.get_bin_path(module.params["docker"], required=True)

    def _run(self, *args: str) -> tuple[int, str, str]:
        limit = ["timeout", str(self.module.params["timeout"])]
        code, out, err = self.module.run_command([*limit, self.docker, *args])
        return code, out, err.strip()

    def node(self) -> dict[str, t.Any]:
        labels = {"bcm.node": self.module.params["name"], "com.docker.swarm.task.id": self.module.params["task"]}
        filters = [f"--filter=label={label}={value}" for label, value in labels.items() if value]
        code, out, err = self._run("ps", *filters, "--format", PS)
        if code:
            return {**absent(f"Docker does not answer: {err}"), "container": None, "health": "none"}
        running = [json.loads(line) for line in out.splitlines() if line.strip()]
        if not running:
            return {**absent("no container of it runs on this host"), "container": None, "health": "none"}
        container = running[0]
        code, out, err = self._run("exec", container["id"], "/opt/bitcoin/bin/bitcoin-status")
        try:
            status = json.loads(out)
        except ValueError:
            status = {"error": f"bitcoin-status ended with {code}: {(err or out)[:500]}"}
        found = assess(
            status,
            time.time(),
            self.module.params["min_peers"],
            self.module.params["max_tip_age"],
            self.module.params["networks"],
        )
        return {**found, "container": container["id"], "health": health(container["status"])}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "min_peers": {"type": "int", "default": 1},
            "max_tip_age": {"type": "int", "default": 7200},
            "networks": {"type": "list", "elements": "str", "default": []},
            "task": {"type": "str"},
            "docker": {"type": "str", "default": "docker"},
            "timeout": {"type": "int", "default": 90},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, **Asker(module).node())


if __name__ == "__main__":
    main()
