# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The desired state of a site, out of its declaration."""

from __future__ import annotations

DOCUMENTATION = r"""
name: site
short_description: A data centre, from the file that declares it
version_added: 0.1.0
description:
  - Reads a declaration, C(site.bcm.yml), checks it strictly, and expands it to named hosts with stable addresses,
    groups, and variables that begin with C(bcm_).
  - Everything that is wrong is reported at once, each with file and line, key, value, and what is allowed there.
  - Values are data. A template in a declaration stays the text it is; for templates there is C(group_vars) beside it.
  - Adding a tier, raising a count or adding an endpoint changes no variable of a host that was there before.
  - C(docs/declaration.md) in the repository describes each key below the ones named here.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
requirements:
  - netaddr (on the controller)
options:
  plugin:
    description: Says to Ansible whose file this is.
    type: str
    required: true
    choices: [bcm.datacenter.site]
  name:
    description:
      - Name of the site, a small letter, then at most 19 small letters, digits or dashes.
      - Names and addresses of all that belongs to the site follow from it.
    type: str
    required: true
  overrides:
    description:
      - Further files with the same keys, laid over the declaration in this order.
      - What is true of one machine only can stand there.
      - Mappings are merged key by key, lists of things with a name by name, all else is replaced.
    type: list
    elements: dict
    suboptions:
      path:
        description:
          - Path of the file, from the folder of the declaration.
          - C(${NAME}) and C(${NAME:-default}) are read from the environment.
        type: str
        required: true
      optional:
        description: Whether it may be missing.
        type: bool
        default: false
  chain:
    description: Which chain of Bitcoin the site is on.
    type: str
    choices: [mainnet, testnet4, signet, regtest, simnet]
    default: regtest
  endpoints:
    description:
      - Machines that run LXD. What belongs to the whole site is applied through the first, of several through the first that answers. By
        default one, the machine that Ansible runs on.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the machine in the inventory.
        type: str
        required: true
      ssh:
        description: How to reach it by SSH, C(user@host) or C(user@host:port).
        type: str
      connection:
        description: V(local) for the machine that Ansible runs on.
        type: str
        choices: [local]
      lxd_url:
        description:
          - LXD's API as the controller reaches it, C(https://HOST:PORT) or C(unix:///PATH). Instances are reached through that of the
            endpoint that leads.
          - By default its socket on the machine, through C(ssh) if that is how it is reached. The user has to be one who may use
            the socket.
        type: str
      lxd_socket:
        description: LXD's socket on the machine, if it is not where its packages put it.
        type: path
      address:
        description:
          - Its IP address for the other endpoints, where there are several. By default the one in C(ssh).
        type: str
      failure_domain:
        description:
          - What fails with it, such as a room or a fuse, a name that those have in common which fail together.
          - Instances of a tier are spread over these names first.
        type: str
      pool_source:
        description: C(pool.source) on this machine, where it is another one here.
        type: path
      lan_parent:
        description: C(networks.lan.parent) on this machine, where it is another one here.
        type: str
      prepare:
        description:
          - Whether the machine itself is made ready by the P(bcm.datacenter.host_prep#role) role. By default if it is reached by SSH.
        type: bool
      python_interpreter:
        description: Python on the machine.
        type: path
      onion:
        description: Whether its sshd gets an onion. By default as C(onions) says, and always with C(via=onion).
        type: bool
      via:
        description: How it is reached. By default as O(via) says.
        type: str
        choices: [direct, onion]
  via:
    description:
      - How servers are reached, at the address in C(ssh) or through the onion of their sshd.
      - V(onion) takes what the P(bcm.datacenter.onion_client#role) role has written on the controller, and refuses a server that is
        not among it. All plays go that way, and so does LXD's API.
    type: str
    choices: [direct, onion]
    default: direct
  onions:
    description:
      - C(ssh) says whether each server that is reached by SSH gets an onion for its sshd, by the P(bcm.datacenter.ssh_onion#role)
        role.
    type: dict
  tor:
    description:
      - Tor on the proxyhosts, which the P(bcm.datacenter.tor#role) role sets up where a stack goes through it, or C(egress.through_tor).
      - C(tiers) may use it beside those of such stacks, C(bridges) are where it begins, C(config) is further configuration, such as of a
        private network.
    type: dict
  cluster:
    description:
      - Several endpoints are one cluster of LXD, which goes on while more than half of them are there.
      - Two are refused unless C(without_majority) says that they will do, although the loss of either stops the cluster.
      - With C(encryption) what the inner networks carry between them goes through WireGuard, C(tunnel) says where that is.
    type: dict
  network:
    description: The addresses of the site, a private C(/16). By default one that follows from O(name).
    type: str
  networks:
    description:
      - C(subnet), C(bridge) and C(mtu) of the networks V(outside), V(gateway), V(cluster), where they are to differ.
      - V(lan) is the one that the endpoints themselves are in, where tiers have a leg there.
    type: dict
  tiers:
    description:
      - Instances, by what they are for, each with C(count), C(size), C(volumes), C(labels), C(block), C(target), C(lan).
      - The tiers V(proxyhost) and V(manager) are always there.
    type: dict
  stacks:
    description:
      - What runs on the instances. V(bitcoin) and V(kafka) are known.
      - V(kafka) is there unless it is said not to be, C(kafka.enabled=false), on the managers unless another tier is named. C(kafka.alerts)
        has the rules by which lines of logs become alerts.
    type: dict
  versions:
    description: Releases by program, where a stack does not say.
    type: dict
  mirrors:
    description: Where packages, images, container images and releases come from.
    type: dict
  extra_ca_certificates:
    description: Certificates (PEM) of authorities to trust beside the usual, as paths on the controller.
    type: list
    elements: str
  swarm:
    description: C(autolock) of the Swarm.
    type: dict
  registry:
    description: C(volume_size) of the registry for what the site builds.
    type: dict
  secrets:
    description:
      - Where the secrets of the site are kept. C(backend) is V(directory), V(pass) or V(vault), as
        M(bcm.datacenter.site_secret) explains them.
      - C(vault) is the file of V(vault), from the folder of the declaration, and C(vault_id) the identity that encrypts.
    type: dict
  pool:
    description: C(driver), C(source) and C(size) of the storage pool.
    type: dict
  egress:
    description: What may be reached from inside beside what the mirrors need, and what of it goes through Tor.
    type: dict
"""

EXAMPLES = r"""
# inventories/mysite/site.bcm.yml: one machine, one node that validates a chain of its own
plugin: bcm.datacenter.site
name: mysite
chain: regtest
tiers:
  bitcoin: {count: 1}
stacks:
  bitcoin: {}

---
# three servers; settings of a closed network beside the declaration
plugin: bcm.datacenter.site
name: rack
overrides:
  - path: mirrors.yml
endpoints:
  - {name: server-1, ssh: root@192.0.2.11}
  - {name: server-2, ssh: root@192.0.2.12}
  - {name: server-3, ssh: ops@server-3.example.net, address: 192.0.2.13, pool_source: /dev/sdb}
pool: {source: /dev/nvme1n1}
tiers:
  bitcoin: {count: 2, target: [server-1, server-3], size: {cpu: 8, memory: 16GiB, disk: 20GiB}}
stacks:
  bitcoin: {indexes: {txindex: true}}
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

from ansible_collections.bcm.datacenter.plugins.plugin_utils._addresses import NETADDR_ERROR
from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration import DeclarationError, load_site
from ansible_collections.bcm.datacenter.plugins.plugin_utils._preload import (
    preload_connection,
    preload_filters,
    preload_way,
)

if TYPE_CHECKING:
    from ansible.inventory.data import InventoryData
    from ansible.parsing.dataloader import DataLoader


class InventoryModule(BaseInventoryPlugin):
    """Shows what a declaration says as an inventory."""

    NAME = "bcm.datacenter.site"

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and Path(path).name.endswith((".bcm.yml", ".bcm.yaml"))

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        if NETADDR_ERROR is not None:
            raise AnsibleParserError(
                "bcm.datacenter.site needs the Python library netaddr where Ansible runs: pip install netaddr"
            ) from NETADDR_ERROR
        try:
            site = load_site(_shown(path), os.environ, sys.executable)
        except DeclarationError as error:
            count = len(error.findings)
            raise AnsibleParserError(
                f"{_shown(path)} cannot be used, and nothing was touched. "
                f"{count} {'thing is' if count == 1 else 'things are'} wrong:\n"
                + "\n".join(f"  {finding}" for finding in error.findings)
            ) from None
        # Plain text is what Ansible takes for data: only text that it has read from a file itself is a template.
        for group, hosts in site.groups.items():
            inventory.add_group(group)
            for host in hosts:
                inventory.add_host(host, group=group)
        # Whoever leads a run has the variables of a leader; who is silent does not lead.
        inventory.add_child("lxd_leader", "lxd_leading")
        inventory.add_child("lxd_led", "lxd_silent")
        for host, variables in site.hosts.items():
            self._set_all(host, variables)
        self._set_all("all", site.variables)
        preload_connection("bcm.datacenter.lxd")
        preload_way(site.variables["bcm_lxd_url"])
        preload_filters("bcm.datacenter.host_entries")

    def _set_all(self, entity: str, variables: dict[str, Any]) -> None:
        for name, value in variables.items():
            self.inventory.set_variable(entity, name, value)


def _shown(path: str) -> str:
    """Return PATH as a person would write it from where they stand."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
