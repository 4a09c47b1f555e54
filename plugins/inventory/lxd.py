# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: lxd
short_description: Instances that an LXD or Incus server has, as hosts
description:
  - Lists the instances of one or more LXD projects as they are now, with one request for each project, or one for all.
  - The configuration is a YAML file whose name ends with C(lxd.yml) or C(lxd.yaml).
  - An instance that is stopped is listed too. It has the same connection as one that runs, and is unreachable for
    as long as it is stopped. No instance is ever mapped to the controller.
  - What the configuration says of the way to the server becomes variables of the hosts, so that their connection takes the
    same way. Certificates and keys do only where they are files. Those that are PEM text never become variables. Give
    them to the connection by the environment, or in a vault.
  - An inventory has no variables of hosts yet, so those of the options below that name variables come from the
    configuration, the environment or C(ansible.cfg) here.
  - Each host is in the group C(project_NAME), C(status_STATUS), C(type_TYPE), in a cluster C(location_MEMBER), and
    C(tier_TIER) if its configuration has V(user.bcm.tier).
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
  - bcm.datacenter.lxd.plugin
options:
  plugin:
    description: Name of this plugin.
    type: str
    required: true
    choices: [bcm.datacenter.lxd]
  url:
    description:
      - Where the server answers, for example V(unix:///var/lib/lxd/unix.socket), V(https://host:8443) or
        V(ssh://[user@]host[:port][/path/of/the/socket]).
      - When not set, the socket is looked for where E(LXD_SOCKET), E(LXD_DIR), E(INCUS_SOCKET) or E(INCUS_DIR) say and in
        the usual places of LXD and Incus.
      - With V(ssh) and no path, the usual ones of LXD and of Incus are tried in turn on the server.
    type: str
    env:
      - name: BCM_LXD_URL
  projects:
    description: Projects whose instances are listed.
    type: list
    elements: str
    default: [default]
    env:
      - name: BCM_LXD_PROJECT
  all_projects:
    description: List the instances of all projects, whatever O(projects) says.
    type: bool
    default: false
  hostnames:
    description:
      - With V(name), a host has the name of its instance. Instances of two projects that have the same name are then
        an error.
      - With V(qualified), it is the name of the instance, a dot and the name of its project.
    type: str
    choices: [name, qualified]
    default: name
  filters:
    description: List only the instances that fulfil all of these.
    type: dict
    default: {}
    suboptions:
      names:
        description: Shell patterns, one of which the instance's name has to match.
        type: list
        elements: str
      statuses:
        description: Statuses, such as V(running) or V(stopped).
        type: list
        elements: str
      types:
        description: V(container) or V(virtual-machine).
        type: list
        elements: str
      tiers:
        description: Values of V(user.bcm.tier).
        type: list
        elements: str
      config:
        description: Keys of the expanded configuration with the values that they must have.
        type: dict
  timeout:
    description: Seconds that the server may take for its answer.
    type: int
    default: 30
"""

EXAMPLES = r"""
# The instances of a site, whatever their state
plugin: bcm.datacenter.lxd
projects: [bcm-home]

---
# Those of a server that is reached by SSH
plugin: bcm.datacenter.lxd
url: ssh://operator@server.example
private_key_file: ~/.ssh/operator

---
# All that runs on a server, grouped by image
plugin: bcm.datacenter.lxd
all_projects: true
hostnames: qualified
filters:
  statuses: [running]
keyed_groups:
  - key: lxd_config['image.release']
    prefix: release
"""

import fnmatch
import typing as t

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDError, LXDNotFound
from ansible_collections.bcm.datacenter.plugins.plugin_utils._lxd_way import client as lxd_client
from ansible_collections.bcm.datacenter.plugins.plugin_utils._lxd_way import is_pem
from ansible_collections.bcm.datacenter.plugins.plugin_utils._preload import preload_connection, preload_way

FILTERS = ("names", "statuses", "types", "tiers", "config")
# What may hold secrets, and what is LXD's own bookkeeping.
PRIVATE = ("volatile.", "cloud-init.", "user.user-data", "user.vendor-data", "user.network-config", "user.meta-data")


def trim(instance: dict[str, t.Any]) -> dict[str, t.Any]:
    """The part of LXD's answer that becomes variables, which is also what is cached."""
    config = {
        key: value for key, value in (instance.get("expanded_config") or {}).items() if not key.startswith(PRIVATE)
    }
    network = ((instance.get("state") or {}).get("network")) or {}
    addresses = {
        name: [entry["address"] for entry in device.get("addresses") or [] if entry.get("scope") == "global"]
        for name, device in network.items()
        if device.get("type") != "loopback"
    }
    return {
        "name": instance["name"],
        "project": instance.get("project") or "default",
        "status": instance.get("status") or "Unknown",
        "type": instance.get("type") or "container",
        "location": instance.get("location") or "none",
        "architecture": instance.get("architecture") or "",
        "description": instance.get("description") or "",
        "profiles": instance.get("profiles") or [],
        "config": config,
        "devices": instance.get("expanded_devices") or {},
        "addresses": addresses,
    }


def matches(instance: dict[str, t.Any], filters: dict[str, t.Any]) -> bool:
    config = instance["config"]
    return (
        (not filters.get("names") or any(fnmatch.fnmatchcase(instance["name"], one) for one in filters["names"]))
        and (not filters.get("statuses") or instance["status"].lower() in [str(s).lower() for s in filters["statuses"]])
        and (not filters.get("types") or instance["type"] in filters["types"])
        and (not filters.get("tiers") or config.get("user.bcm.tier") in filters["tiers"])
        and all(config.get(key) == _as_lxd(value) for key, value in (filters.get("config") or {}).items())
    )


def _as_lxd(value: t.Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def group_names(instance: dict[str, t.Any]) -> list[str]:
    names = [f"project_{instance['project']}", f"status_{instance['status'].lower()}", f"type_{instance['type']}"]
    if instance["location"] != "none":
        names.append(f"location_{instance['location']}")
    if tier := instance["config"].get("user.bcm.tier"):
        names.append(f"tier_{tier}")
    return names


# Options of this plugin, and the variables by which the connection takes the same way.
WAY = {
    "client_cert": "bcm_lxd_client_cert",
    "client_key": "bcm_lxd_client_key",
    "server_cert": "bcm_lxd_server_cert",
    "ssh_user": "bcm_lxd_ssh_user",
    "ssh_port": "bcm_lxd_ssh_port",
    "private_key_file": "bcm_lxd_ssh_private_key_file",
    "ssh_args": "bcm_lxd_ssh_args",
    "ssh_common_args": "ansible_ssh_common_args",
    "ssh_extra_args": "ansible_ssh_extra_args",
    "ssh_executable": "ansible_ssh_executable",
    "host_key_checking": "ansible_ssh_host_key_checking",
    "control_path_dir": "ansible_control_path_dir",
}


def way_variables(configuration: dict[str, t.Any]) -> dict[str, t.Any]:
    """What the configuration itself says of the way. What comes from elsewhere the connection finds there, too."""
    given = {variable: configuration[key] for key, variable in WAY.items() if configuration.get(key) is not None}
    return {key: value for key, value in given.items() if not is_pem(value)}


def host_variables(instance: dict[str, t.Any], url: str | None) -> dict[str, t.Any]:
    config = instance["config"]
    variables = {f"lxd_{key}": value for key, value in instance.items()}
    variables["ansible_connection"] = "bcm.datacenter.lxd"
    variables["ansible_host"] = instance["name"]
    variables["bcm_lxd_project"] = instance["project"]
    if url:
        variables["bcm_lxd_url"] = url
    for key in ("site", "tier"):
        if value := config.get(f"user.bcm.{key}"):
            variables[f"bcm_{key}"] = value
    if (index := config.get("user.bcm.index", "")).isdigit():
        variables["bcm_index"] = int(index)
    return variables


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """The actual state of an LXD server."""

    NAME = "bcm.datacenter.lxd"

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and path.endswith(("lxd.yml", "lxd.yaml"))

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._way = way_variables(self._read_config_data(path))
        filters = self.get_option("filters") or {}
        if unknown := sorted(set(filters) - set(FILTERS)):
            raise AnsibleParserError(
                f"{path}: filters has unknown keys {', '.join(unknown)}; it knows {', '.join(FILTERS)}."
            )
        self._add([one for one in self._instances(path, cache) if matches(one, filters)])
        preload_connection("bcm.datacenter.lxd")
        preload_way(self.get_option("url"))

    def _instances(self, path: str, cache: bool) -> list[dict[str, t.Any]]:
        key = self.get_cache_key(path)
        usable = self.get_option("cache")
        if usable and cache:
            try:
                return t.cast("list[dict[str, t.Any]]", self._cache[key])
            except KeyError:
                pass
        instances = [trim(instance) for instance in self._ask()]
        if usable:
            self._cache[key] = instances
        return instances

    def _ask(self) -> list[dict[str, t.Any]]:
        try:
            with lxd_client(self.get_option, self.get_option("url"), self.get_option("timeout")) as client:
                if self.get_option("all_projects"):
                    return t.cast(
                        "list[dict[str, t.Any]]",
                        client.request("GET", "/1.0/instances", query={"recursion": 2, "all-projects": "true"}),
                    )
                found = []
                for project in self.get_option("projects"):
                    found += self._ask_project(client, project)
                return found
        except LXDError as exc:
            raise AnsibleParserError(f"The instances of LXD could not be listed: {exc}") from None

    @staticmethod
    def _ask_project(client: LXDClient, project: str) -> list[dict[str, t.Any]]:
        try:
            found = client.get("/1.0/instances", recursion=2, project=project)
        except LXDNotFound:
            return []
        return t.cast("list[dict[str, t.Any]]", found)

    def _add(self, instances: list[dict[str, t.Any]]) -> None:
        qualified = self.get_option("hostnames") == "qualified"
        strict = self.get_option("strict")
        url = self.get_option("url")
        seen: dict[str, str] = {}
        for instance in sorted(instances, key=lambda one: (one["project"], one["name"])):
            host = f"{instance['name']}.{instance['project']}" if qualified else instance["name"]
            if host in seen:
                raise AnsibleParserError(
                    f"The projects {seen[host]} and {instance['project']} both have an instance {host}. "
                    "Set hostnames to qualified to tell them apart."
                )
            seen[host] = instance["project"]
            self.inventory.add_host(host)
            for name, value in {**host_variables(instance, url), **self._way}.items():
                self.inventory.set_variable(host, name, value)
            for name in group_names(instance):
                group = self.inventory.add_group(self._sanitize_group_name(name))
                self.inventory.add_child(group, host)
            variables = self.inventory.get_host(host).get_vars()
            self._set_composite_vars(self.get_option("compose"), variables, host, strict)
            variables = self.inventory.get_host(host).get_vars()
            self._add_host_to_composed_groups(self.get_option("groups"), variables, host, strict)
            self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, strict)
