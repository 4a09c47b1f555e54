# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: multipass
short_description: Instances of multipass, as hosts
description:
  - Lists the virtual machines of multipass on this machine, as they are now, with a single C(multipass list).
  - The configuration is a YAML file whose name ends with C(multipass.yml) or C(multipass.yaml).
  - An instance that runs, has an address and has the key that O(ssh_private_key_file) names is reached by SSH. Every other one has the
    connection P(bcm.datacenter.multipass#connection).
  - An instance that is stopped, suspended or deleted is listed too, and is unreachable. No instance is ever mapped to the controller.
  - Each host is in the group C(state_STATE), such as C(state_running).
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: Name of this plugin.
    type: str
    required: true
    choices: [bcm.datacenter.multipass]
  program:
    description: The C(multipass) program, as a path or as a name that is looked for on the PATH and where packages put it.
    type: str
    default: multipass
    env:
      - name: BCM_MULTIPASS_PROGRAM
  names:
    description: Shell patterns, one of which the name of an instance has to match. Without them, all are listed.
    type: list
    elements: str
    default: []
  states:
    description: States, such as V(running) or V(stopped), one of which an instance has to be in. Without them, all are listed.
    type: list
    elements: str
    default: []
  ssh_private_key_file:
    description:
      - The private half of the key that cloud-init has put into the instances. Instances that have an address are then reached by SSH.
        A file that does not exist is as none.
    type: path
    env:
      - name: BCM_MULTIPASS_SSH_KEY
  ssh_user:
    description: User that SSH logs in as.
    type: str
    default: ubuntu
  ssh_known_hosts_file:
    description:
      - File with the host keys of the instances by the names C(multipass.NAME), which is read instead of the user's own. Addresses are
        given to other instances later, names are not mixed up.
      - Without it, SSH looks at addresses in the user's own file, as it always does.
    type: path
    env:
      - name: BCM_MULTIPASS_KNOWN_HOSTS
  timeout:
    description: Seconds that multipass may take for its answer. It asks every instance that runs.
    type: int
    default: 60
"""

EXAMPLES = r"""
# All instances, whatever their state
plugin: bcm.datacenter.multipass

---
# Those of one cluster, by SSH where that can be, remembered for five minutes
plugin: bcm.datacenter.multipass
names: [lab-0*]
ssh_private_key_file: ~/.ssh/id_ed25519
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/ansible
cache_timeout: 300
keyed_groups:
  - key: multipass_release | regex_search('[0-9.]+')
    prefix: release
"""

import fnmatch
import shlex
import typing as t
from pathlib import Path

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ansible_collections.bcm.datacenter.plugins.module_utils._multipass import RUNNING, Multipass, MultipassError


def trim(instance: dict[str, t.Any]) -> dict[str, t.Any]:
    """The part of the answer that becomes variables, which is also what is cached."""
    zone = instance.get("zone") or {}
    return {
        "name": instance["name"],
        "state": instance.get("state") or "Unknown",
        "ipv4": instance["ipv4"],
        "release": instance.get("release") or "",
        **({"zone": zone["name"]} if zone.get("name") else {}),
    }


def matches(instance: dict[str, t.Any], names: list[str], states: list[str]) -> bool:
    return (not names or any(fnmatch.fnmatchcase(instance["name"], one) for one in names)) and (
        not states or instance["state"].lower() in [str(one).lower() for one in states]
    )


def host_variables(
    instance: dict[str, t.Any], program: str, user: str, key: str | None, known_hosts: str | None
) -> dict[str, t.Any]:
    variables = {f"multipass_{name}": value for name, value in instance.items()}
    # Whatever the host is reached by: the connection plugin has to find it when somebody chooses that.
    variables["bcm_multipass_name"] = instance["name"]
    if program != "multipass":
        variables["bcm_multipass_program"] = program
    if not (key and instance["state"] == RUNNING and instance["ipv4"]):
        return {**variables, "ansible_connection": "bcm.datacenter.multipass"}
    variables.update(
        ansible_connection="ansible.builtin.ssh",
        ansible_host=instance["ipv4"][0],
        ansible_user=user,
        ansible_ssh_private_key_file=key,
    )
    if known_hosts:
        options = [f"HostKeyAlias=multipass.{instance['name']}", f"UserKnownHostsFile={known_hosts}"]
        variables["ansible_ssh_common_args"] = shlex.join(arg for option in options for arg in ("-o", option))
    return variables


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """The actual state of multipass."""

    NAME = "bcm.datacenter.multipass"

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and path.endswith(("multipass.yml", "multipass.yaml"))

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        names, states = self.get_option("names"), self.get_option("states")
        self._add([one for one in self._instances(path, cache) if matches(one, names, states)])

    def _instances(self, path: str, cache: bool) -> list[dict[str, t.Any]]:
        key = self.get_cache_key(path)
        usable = self.get_option("cache")
        if usable and cache:
            try:
                return t.cast("list[dict[str, t.Any]]", self._cache[key])
            except KeyError:
                pass
        try:
            multipass = Multipass(self.get_option("program"), self.get_option("timeout"))
            instances = [trim(instance) for instance in multipass.instances()]
        except MultipassError as exc:
            raise AnsibleParserError(f"The instances of multipass could not be listed: {exc}") from None
        if usable:
            self._cache[key] = instances
        return instances

    def _add(self, instances: list[dict[str, t.Any]]) -> None:
        strict = self.get_option("strict")
        key = self.get_option("ssh_private_key_file")
        # Without the key the instances are reached all the same, if more slowly.
        key = key if key and Path(key).is_file() else None
        for instance in sorted(instances, key=lambda one: str(one["name"])):
            host = self.inventory.add_host(instance["name"])
            variables = host_variables(
                instance,
                self.get_option("program"),
                self.get_option("ssh_user"),
                key,
                self.get_option("ssh_known_hosts_file"),
            )
            for name, value in variables.items():
                self.inventory.set_variable(host, name, value)
            group = self.inventory.add_group(self._sanitize_group_name(f"state_{instance['state'].lower()}"))
            self.inventory.add_child(group, host)
            variables = self.inventory.get_host(host).get_vars()
            self._set_composite_vars(self.get_option("compose"), variables, host, strict)
            variables = self.inventory.get_host(host).get_vars()
            self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict)
            self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict)
