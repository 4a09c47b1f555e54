# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the variables of a site's hosts to the LXD instances that they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: instance_specs
short_description: LXD instances for hosts of a site
version_added: 0.1.0
description:
  - Turns hosts, as the P(bcm.datacenter.site#inventory) inventory describes them, into items of
    M(bcm.datacenter.lxd_instances) - networks with their static addresses by cloud-init, limits, volumes,
    order of start, and the keys by which the site knows its own.
  - P(bcm.datacenter.volume_specs#filter) gives the volumes that these instances expect.
options:
  _input:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: Variables of all hosts; those beginning with C(bcm_) are read.
    type: dict
    required: true
  images:
    description: Which LXD image stands for which C(bcm_image).
    type: dict
    required: true
  stop_timeout:
    description: Seconds that LXD gives an instance to stop when its machine goes down.
    type: int
    default: 2460
  sized:
    description: Whether the root disk gets its size. LXD that runs in an unprivileged container cannot limit disks on btrfs.
    type: bool
    default: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: The managers of the site
  bcm.datacenter.lxd_instances:
    project: "{{ bcm_project }}"
    instances: "{{ groups['tier_manager'] | bcm.datacenter.instance_specs(hostvars, {'golden': 'bcm-golden'}) }}"
"""

RETURN = r"""
_value:
  description: Items of the O(bcm.datacenter.lxd_instances#module:instances) option.
  type: list
  elements: dict
"""

# The way out first, then those who decide, then those who work: the higher starts earlier and stops later.
AUTOSTART_PRIORITY = {"proxyhost": 90, "manager": 50}
AUTOSTART_PRIORITY_OF_APPS = 10

# A card that takes no address and no way from anybody, in cloud-init's words.
QUIET: dict[str, Any] = {"dhcp4": False, "dhcp6": False, "accept-ra": False, "link-local": []}

# An sshd that nobody uses is one that nobody can attack: instances are reached through LXD.
USER_DATA = """#cloud-config
preserve_hostname: false
manage_etc_hosts: false
package_update: false
bootcmd:
  - [sh, -c, "systemctl disable --now ssh.service ssh.socket || true"]
"""


def volume_name(host: str, volume: Mapping[str, Any]) -> str:
    """Return the name of a host's volume in the pool."""
    return f"{host}-{volume['name']}"


def has_leg_beside(variables: Mapping[str, Any]) -> bool:
    """Whether a host has a leg in the LAN beside its networks."""
    return bool(variables.get("bcm_lan_leg")) and "outside" not in variables["bcm_addresses"]


def network_config(variables: Mapping[str, Any]) -> str:
    """Return cloud-init's network configuration (version 2): static addresses, a way out only where there is one.

    JSON is YAML, and keeps the same order on each run.
    """
    ethernets: dict[str, Any] = {}
    for network in variables["bcm_networks"]:
        address = variables["bcm_addresses"].get(network["name"])
        if address is None:
            continue
        prefix = network["subnet"].rsplit("/", 1)[1]
        settings: dict[str, Any] = {**QUIET, "addresses": [f"{address}/{prefix}"]}
        if network["nat"]:
            settings["routes"] = [{"to": "default", "via": network["host_address"]}]
            settings["nameservers"] = {"addresses": [network.get("nameserver") or network["host_address"]]}
        ethernets[network["name"]] = settings
    if has_leg_beside(variables):
        # LXD starts an instance with all of its cards up. Until the guest role says more, it listens to no router of the LAN's.
        ethernets["lan"] = {**QUIET, "optional": True}
    return json.dumps({"version": 2, "ethernets": ethernets}, sort_keys=True)


def devices(host: str, variables: Mapping[str, Any], sized: bool) -> dict[str, dict[str, str] | None]:
    """Return LXD's devices of a host: root disk, a leg on each of its networks, its volumes."""
    pool = variables["bcm_pool"]["name"]
    root = {"type": "disk", "path": "/", "pool": pool}
    disk = variables["bcm_size"].get("disk")
    if disk and sized:
        root["size"] = str(disk)
    result: dict[str, dict[str, str] | None] = {"root": root}
    for network in variables["bcm_networks"]:
        if network["name"] in variables["bcm_addresses"]:
            result[network["name"]] = {"type": "nic", "network": network["bridge"], "name": network["name"]}
        elif network["name"] == "gateway":
            # Who goes out by Tor no more has no way to the proxyhosts any more.
            result["gateway"] = None
    # That of a proxyhost is its leg outside. Null takes away one that an instance had before.
    beside = {"type": "nic", "name": "lan"}
    result["lan"] = {**beside, "network": variables["bcm_lan"]["network"]} if has_leg_beside(variables) else None
    for volume in variables.get("bcm_volumes", []):
        result[volume["name"]] = {
            "type": "disk",
            "pool": pool,
            "source": volume_name(host, volume),
            "path": volume["path"],
        }
    return result


def instance_spec(
    host: str, variables: Mapping[str, Any], images: Mapping[str, Any], stop_timeout: int, sized: bool
) -> dict[str, Any]:
    """Return one item of M(bcm.datacenter.lxd_instances)."""
    tier = variables["bcm_tier"]
    config = {
        "boot.autostart": "true",
        "boot.autostart.priority": str(AUTOSTART_PRIORITY.get(tier, AUTOSTART_PRIORITY_OF_APPS)),
        "boot.stop.priority": str(AUTOSTART_PRIORITY.get(tier, AUTOSTART_PRIORITY_OF_APPS)),
        "boot.host_shutdown_timeout": str(stop_timeout),
        "cloud-init.network-config": network_config(variables),
        "cloud-init.user-data": USER_DATA,
        "user.bcm.site": variables["bcm_site"],
        "user.bcm.tier": tier,
        "user.bcm.index": str(variables["bcm_index"]),
    }
    for limit in ("cpu", "memory"):
        if variables["bcm_size"].get(limit):
            config[f"limits.{limit}"] = str(variables["bcm_size"][limit])
    return {
        "name": host,
        "state": "started",
        "image": images[variables["bcm_image"]],
        "profiles": ["default", "docker"] if variables["bcm_image"] == "golden" else ["default"],
        "config": config,
        "devices": devices(host, variables, sized),
        "wait_for": "cloud-init",
        **({"target": variables["bcm_endpoint"]} if variables.get("bcm_endpoint") else {}),
    }


def instance_specs(
    hosts: list[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    images: Mapping[str, Any],
    stop_timeout: int = 2460,
    sized: bool = True,
) -> list[dict[str, Any]]:
    """Return one item of M(bcm.datacenter.lxd_instances) for each of HOSTS."""
    return [instance_spec(host, hostvars[host], images, stop_timeout, sized) for host in hosts]


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"instance_specs": instance_specs}
