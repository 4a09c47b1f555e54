# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""Storage pools and networks of a cluster: what is each member's own, and how an object comes to be on all members.

In a cluster an object is first noted down for each member, with the keys that are that member's own, and then made on
all of them with the keys that are common. A run that was cut off leaves it pending, one that failed on a member leaves
it errored: both are finished from where they stand.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_objects as objects
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDError
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import (
    NETWORK,
    POOL,
    Change,
    Kind,
    Object,
    PlanError,
)

# Where the servers themselves have it: LXD in NodeSpecificStorageConfig (lxd/db/storage_pools.go) and
# NodeSpecificNetworkConfig (lxd/db/networks.go), all that 5.0, 5.21 and 6 know; Incus in internal/server/db.
_OF_MEMBERS: dict[str, frozenset[str]] = {
    POOL.name: frozenset(
        {
            "size",
            "source",
            "source.wipe",
            "source.recover",
            "volatile.initial_source",
            "zfs.pool_name",
            "lvm.thinpool_name",
            "lvm.vg_name",
        }
    ),
    NETWORK.name: frozenset(
        {"bgp.ipv4.nexthop", "bgp.ipv6.nexthop", "bridge.external_interfaces", "parent", "acceleration.parent"}
    ),
}
_OF_MEMBERS_IN_INCUS = {POOL.name: frozenset({"lvm.vg.force_reuse"}), NETWORK.name: frozenset()}
# Said when a pool is made, and not kept.
_FOR_CREATION = frozenset({"source.wipe", "source.recover", "lvm.vg.force_reuse"})
# Networks of these types are made on all members at once: no member has keys of its own.
_WITHOUT_PARTS = frozenset({"ovn"})
_UNFINISHED = ("Pending", "Errored")


@dataclasses.dataclass
class Cluster:
    """The members by name with their status, and what a pool or network is on each of them."""

    members: dict[str, str]
    incus: bool = False
    parts: dict[str, Object] = dataclasses.field(default_factory=dict)

    def keys(self, kind: Kind) -> frozenset[str]:
        return _OF_MEMBERS[kind.name] | (_OF_MEMBERS_IN_INCUS[kind.name] if self.incus else frozenset())

    def own(self, kind: Kind, config: t.Mapping[str, t.Any] | None) -> Object:
        """Of a configuration, what is a member's own."""
        keys = self.keys(kind)
        return {key: value for key, value in (config or {}).items() if key in keys}

    def own_parts(self, kind: Kind) -> dict[str, Object]:
        """What is each member's own of an object that was read."""
        return {name: resource.visible_config(self.own(kind, part.get("config"))) for name, part in self.parts.items()}

    @property
    def offline(self) -> list[str]:
        return [name for name, status in self.members.items() if status == "Offline"]


@dataclasses.dataclass
class ClusterChange(Change):
    """A change of an object that has a part on every member."""

    # What is to be noted down for members that know nothing of it, and what is to be written over others' parts.
    define: dict[str, Object] = dataclasses.field(default_factory=dict)
    write: dict[str, Object] = dataclasses.field(default_factory=dict)
    # An earlier run has handed over the common keys already: LXD refuses them a second time.
    common_given: bool = False


def read_cluster(client: LXDClient) -> Cluster | None:
    """The cluster that the server belongs to, or None."""
    environment = client.server().get("environment") or {}
    if not environment.get("server_clustered"):
        return None
    members = client.get("/1.0/cluster/members", recursion=1, project=None)
    return Cluster(
        {item["server_name"]: item["status"] for item in sorted(members, key=lambda item: item["server_name"])},
        client.flavour.incus,
    )


def read_parts(client: LXDClient, kind: Kind, desired: Object, actual: Object | None, cluster: Cluster) -> Cluster:
    """The cluster, with the parts of one object. Members that are offline cannot be asked."""
    parts = {}
    for name in (actual or {}).get("locations") or []:
        if name in cluster.members and name not in cluster.offline:
            parts[name] = client.get(kind.path(desired), target=name, **kind.query(None))
    return dataclasses.replace(cluster, parts=parts)


def settled_target(client: LXDClient, target: str | None, what: str) -> str | None:
    """A member that something is to be on. A server that is in no cluster may be named as its own only member."""
    if target is None:
        return None
    cluster = read_cluster(client)
    if cluster is None:
        own = (client.server().get("environment") or {}).get("server_name")
        if target != own:
            raise PlanError([f"{what}: LXD on {own} is in no cluster, so that nothing can be on {target}"])
        return None
    if target not in cluster.members:
        raise PlanError([f"{what}: the cluster has no member {target!r}. Its members: {', '.join(cluster.members)}"])
    if target in cluster.offline:
        raise PlanError([f"{what}: member {target} is offline"])
    return target


def without_cluster(desired: Object, server_name: str, *, rehearsal: bool = False) -> tuple[Object, list[str]]:
    """On a server that is in no cluster, the part of the member of its name is its own configuration.

    In a rehearsal it may be one that a task before would have made the first member of a cluster, under another name perhaps.
    """
    wanted = dict(desired)
    members = wanted.pop("members", None)
    if not members:
        return wanted, []
    if rehearsal and len(members) > 1:
        members = {server_name: members.get(server_name, next(iter(members.values())))}
    if list(members) != [server_name]:
        return wanted, [
            f"members: LXD on {server_name} is in no cluster. There, members may have one entry, {server_name}; "
            f"it has {', '.join(sorted(map(str, members)))}"
        ]
    errors = resource.config_errors(members[server_name], f"members, {server_name}")
    if not errors:
        wanted["config"] = {**(wanted.get("config") or {}), **(members[server_name] or {})}
    return wanted, errors


def _wanted_parts(kind: Kind, desired: Object, cluster: Cluster, what: str) -> tuple[dict[str, Object], list[str]]:
    """What each member's part should say: what the configuration says for all, and what it says for one."""
    errors = []
    for_all = cluster.own(kind, desired.get("config"))
    parts = {name: dict(for_all) for name in cluster.members}
    for name, config in (desired.get("members") or {}).items():
        if name not in cluster.members:
            errors.append(
                f"{what}, members: the cluster has no member {name!r}. Its members: {', '.join(cluster.members)}"
            )
            continue
        found = resource.config_errors(config, f"{what}, members, {name}")
        errors += found
        if found:
            continue
        for key, value in (config or {}).items():
            if key in cluster.keys(kind):
                parts[name][key] = value
            else:
                known = sorted(key for key in cluster.keys(kind) if not key.startswith("volatile."))
                errors.append(
                    f"{what}, members, {name}: {key} is not a key of one member, it belongs into config. "
                    f"Those of a member: {', '.join(known)}"
                )
    return parts, errors


def plan_in_cluster(
    kind: Kind,
    desired: Object,
    actual: Object | None,
    cluster: Cluster,
    *,
    can_grow_pools: bool = False,
    leaving: t.Collection[str] = (),
) -> ClusterChange:
    """Compare the common keys and those of every member."""
    what = kind.label(desired)
    config = desired.get("config") or {}
    parts, errors = ({}, []) if not isinstance(config, dict) else _wanted_parts(kind, desired, cluster, what)
    own_of_members = cluster.own(kind, config) if isinstance(config, dict) else {}
    errors += resource.config_errors(own_of_members, what)
    common = {key: value for key, value in config.items() if key not in own_of_members} if not errors else config
    # What is common is compared as on a server alone. The members' own keys are not shown there, so none can differ.
    base = objects.plan(kind, {**desired, "config": common}, actual, leaving=leaving)
    fields = {field.name: getattr(base, field.name) for field in dataclasses.fields(Change)}
    change = ClusterChange(**{**fields, "errors": [*base.errors, *errors]})
    if change.errors or base.action == "delete" or base.after is None:
        return change
    return _with_parts(change, actual, cluster, parts, can_grow_pools)


def _with_parts(
    change: ClusterChange, actual: Object | None, cluster: Cluster, parts: dict[str, Object], can_grow_pools: bool
) -> ClusterChange:
    what = change.label
    unfinished = actual is not None and actual.get("status") in _UNFINISHED
    to_make = actual is None or unfinished
    asked = set(change.desired.get("members") or {})
    before: Object = {}
    after: Object = {}
    if (change.desired.get("type") or (actual or {}).get("type")) in _WITHOUT_PARTS:
        if any(parts.values()):
            change.errors.append(f"{what}: networks of this type have no keys of a member")
        parts = {}
    for name, wanted in parts.items():
        part = cluster.parts.get(name)
        if name in cluster.offline:
            if to_make or name in asked:
                change.errors.append(f"{what}: member {name} is offline, and its part cannot be made or compared")
        elif part is not None:
            before[name], after[name] = _compare(change, cluster, name, wanted, part, can_grow_pools)
        elif to_make:
            change.define[name] = after[name] = resource.merge_config(None, wanted)
        elif name in asked:
            change.errors.append(
                f"{what}: member {name} has no part of it, and LXD gives it one only when the member joins"
            )
    if change.before is not None:
        change.before = {**change.before, "members": before}
    if change.after is not None:
        change.after = {**change.after, "members": after}
    if to_make:
        change.action = "create"
        if unfinished and actual is not None and change.before is not None and change.after is not None:
            change.common_given = actual["status"] == "Errored" or bool(actual.get("config"))
            change.before["status"] = actual["status"]
            change.after["status"] = "Created"
    elif change.write:
        change.action = "update"
    return change


def _compare(
    change: ClusterChange, cluster: Cluster, name: str, wanted: Object, part: Object, can_grow_pools: bool
) -> tuple[Object, Object]:
    kind = change.kind
    there = cluster.own(kind, part.get("config"))
    if kind is POOL:
        if part.get("status") != "Pending":
            wanted = {key: value for key, value in wanted.items() if key not in _FOR_CREATION}
            objects.settle_pool(wanted, part, change.errors, f"{change.label} on member {name}", can_grow_pools)
        elif resource.same_size(wanted.get("size"), there.get("size", "")):
            del wanted["size"]
    result = resource.merge_config(there, wanted)
    if result != there:
        change.write[name] = wanted
    return resource.visible_config(there), resource.visible_config(result)


def apply_in_cluster(client: LXDClient, change: ClusterChange) -> None:
    """Carry out a change of an object that has a part on every member."""
    kind, desired = change.kind, change.desired
    query = kind.query(None)
    if change.action == "delete":
        objects.apply(client, change)
        return
    with objects.naming(change):
        fixed = {field: (change.after or {}).get(field) for field in kind.fixed}
        for name, config in change.define.items():
            body = {"name": desired["name"], **fixed, "config": config}
            client.post(kind.list_path(desired), body, query={**query, "target": name})
        for name, config in change.write.items():
            _write_part(client, kind, desired, name, config)
        if change.action == "create" and change.after is not None:
            body = {"name": desired["name"], **fixed, "description": change.after["description"], "config": {}}
            if not change.common_given:
                body["config"] = change.after["config"]
            try:
                client.post(kind.list_path(desired), body, query=query)
            except LXDError as exc:
                raise LXDError(
                    f"{str(exc).rstrip('.')}. It stays where it was made. With the cause out of the way, another run finishes it; state "
                    "absent takes it away again.",
                    url=exc.url,
                    method=exc.method,
                    code=exc.code,
                ) from exc
    # What is made anew has its keys. LXD drops the description then, and takes no keys for what it began before.
    objects.apply(client, dataclasses.replace(change, action="update"))


def _write_part(client: LXDClient, kind: Kind, desired: Object, member: str, config: Object) -> None:
    def compute(actual: Object) -> Object | None:
        merged = resource.merge_config(actual.get("config"), config)
        if merged == actual.get("config"):
            return None
        return {"description": actual.get("description") or "", "config": merged}

    objects.update(client, kind.path(desired), compute, {**kind.query(None), "target": member})
