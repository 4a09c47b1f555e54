# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a server that joins a cluster has of its own in the cluster's pools and networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

DOCUMENTATION = r"""
name: member_config
short_description: What a server that joins a cluster has of its own in pools and networks
version_added: 0.1.0
description:
  - Takes over from a member what is the same on each server, such as the size of a pool and the directory that it lies in, and names
    what has to be said, such as a disk. LXD would make a loop file of a size of its own instead, or not let the server join.
  - A pool in a loop file of LXD's gets one on the server that joins, too.
options:
  _input:
    description: The pools, as M(bcm.datacenter.lxd_storage_pool_info) gives them.
    type: list
    elements: dict
    required: true
  networks:
    description: The networks, as M(bcm.datacenter.lxd_network_info) gives them.
    type: list
    elements: dict
    required: true
  member:
    description: The member that they were read from. A server that is in no cluster yet is named too.
    type: str
    required: true
  given:
    description: What is said of the server that joins, each with C(entity), C(name), C(key) and C(value).
    type: list
    elements: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: What rack-2 needs to join rack-1
  ansible.builtin.set_fact:
    own: "{{ pools | bcm.datacenter.member_config(networks, 'rack-1', [{'entity': 'storage-pool', 'name': 'fast', 'key': 'source', 'value': '/dev/sdb'}]) }}"
"""

RETURN = r"""
_value:
  description:
    - C(config), as M(bcm.datacenter.lxd_cluster_member) takes it for O(bcm.datacenter.lxd_cluster_member#module:member_config), and
      C(missing), what has to be said, in words.
  type: dict
"""

POOL = "storage-pool"
NETWORK = "network"
# What LXD names after the pool, or what belongs to one way of making it only, follows by itself.
_NAMES_IN_POOL = ("zfs.pool_name", "lvm.vg_name", "lvm.thinpool_name")


def _own(thing: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    config: Mapping[str, Any] = {**(thing.get("config") or {}), **((thing.get("members") or {}).get(member) or {})}
    return config


def _of_lxd(name: str, source: str) -> bool:
    """Whether a place is one that LXD chose by itself, and chooses on each server."""
    return not source or source.endswith((f"/disks/{name}.img", f"/storage-pools/{name}"))


def _pool(
    pool: Mapping[str, Any], member: str, said: Mapping[str, str], missing: list[str]
) -> Iterator[tuple[str, str]]:
    name, own = pool["name"], _own(pool, member)
    source = str(own.get("source") or "")
    yield from said.items()
    if "source" not in said and not _of_lxd(name, source):
        if source.startswith("/") and not source.startswith("/dev/"):
            yield "source", source
        elif not any(said.get(key) for key in _NAMES_IN_POOL):
            missing.append(f"the source of storage pool {name}, which is {source} on {member}")
    # Of a directory or a disk LXD takes all, and refuses a size.
    if own.get("size") and "size" not in said and _of_lxd(name, str(said.get("source", source))):
        yield "size", str(own["size"])


def _network(
    network: Mapping[str, Any], member: str, said: Mapping[str, str], missing: list[str]
) -> Iterator[tuple[str, str]]:
    yield from said.items()
    parent = _own(network, member).get("parent")
    if parent and "parent" not in said:
        missing.append(f"the parent of network {network['name']}, which is {parent} on {member}")


def member_config(
    pools: Sequence[Mapping[str, Any]],
    networks: Sequence[Mapping[str, Any]],
    member: str,
    given: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return what a server that joins is told of itself, with what is missing."""
    said: dict[tuple[str, str], dict[str, str]] = {}
    for item in given:
        said.setdefault((item["entity"], item["name"]), {})[item["key"]] = str(item.get("value") or "")
    missing: list[str] = []
    config = []
    managed = [network for network in networks if network.get("managed", True)]
    for entity, things, values in ((POOL, pools, _pool), (NETWORK, managed, _network)):
        for thing in things:
            pairs = values(thing, member, said.pop((entity, thing["name"]), {}), missing)
            config += [{"entity": entity, "name": thing["name"], "key": key, "value": value} for key, value in pairs]
    # Where nothing could be read, the member that makes the token is not in the play. Otherwise what is said of something that is not
    # there is for later: whoever makes it says it then.
    if not pools and not networks:
        config += [{**item, "value": str(item.get("value") or "")} for item in given]
    return {"config": config, "missing": missing}


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"member_config": member_config}
