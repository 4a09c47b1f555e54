# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""All that lies under a site's instances, as one plan: read once, check everything, then apply side by side."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_members as parts
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDError, api_path
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import (
    NETWORK,
    POOL,
    PROFILE,
    PROJECT,
    VOLUME,
    Change,
    Kind,
    Object,
    apply,
    conflicts,
    plan,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_project import with_contents

# Objects of one group do not depend on each other.
CREATE_ORDER: tuple[tuple[Kind, ...], ...] = ((PROJECT,), (POOL, NETWORK), (PROFILE, VOLUME))
# A project takes its default profile along, which may refer to pools and networks.
REMOVE_ORDER: tuple[tuple[Kind, ...], ...] = ((PROFILE, VOLUME), (PROJECT,), (POOL, NETWORK))


@dataclasses.dataclass
class Declaration:
    """What is desired, by kind."""

    project: str
    objects: dict[str, list[Object]]

    def of(self, kind: Kind) -> list[Object]:
        return self.objects.get(kind.name) or []


@dataclasses.dataclass
class Snapshot:
    """What there is, by kind and label."""

    objects: dict[str, dict[str, Object]]
    networks: list[Object]
    pools: list[Object]
    can_grow_pools: bool
    # On a server that is in no cluster: its name. In a cluster: the members, and what is there on them, by label.
    server_name: str = ""
    clusters: dict[str, parts.Cluster] | None = None

    def find(self, kind: Kind, desired: Object) -> Object | None:
        return self.objects.get(kind.name, {}).get(kind.label(desired))


def read(client: LXDClient, declaration: Declaration) -> Snapshot:
    """The state of everything that the declaration can touch, in a handful of requests."""
    found: dict[str, dict[str, Object]] = {}
    project = declaration.project
    actual = client.find(api_path("projects", project), project=None)
    if actual is not None and any(item.get("state") == "absent" for item in declaration.of(PROJECT)):
        actual = with_contents(client, actual)
    found[PROJECT.name] = {PROJECT.label(actual): actual} if actual else {}
    networks = client.get("/1.0/networks", recursion=1, project="default")
    found[NETWORK.name] = {NETWORK.label(item): item for item in networks}
    pools = client.get("/1.0/storage-pools", recursion=1, project="default")
    found[POOL.name] = {POOL.label(item): item for item in pools}
    found[PROFILE.name] = found[VOLUME.name] = {}
    if declaration.of(PROFILE):
        profiles = _profiles(client, declaration, actual)
        found[PROFILE.name] = {PROFILE.label(item): item for item in profiles}
    if actual is not None and declaration.of(VOLUME):
        found[VOLUME.name] = _volumes(client, declaration, {item["name"] for item in pools})
    can_grow = bool(declaration.of(POOL)) and client.has_extension("storage_pool_loop_resize")
    snapshot = Snapshot(found, networks, pools, can_grow)
    if declaration.of(POOL) or declaration.of(NETWORK):
        _read_parts(client, declaration, snapshot)
    return snapshot


def _volumes(client: LXDClient, declaration: Declaration, pools: set[str]) -> dict[str, Object]:
    """The volumes that are there. In a cluster one of them may be on another member than the one that it is wanted on."""
    found: dict[str, list[Object]] = {}
    for pool in sorted({item["pool"] for item in declaration.of(VOLUME)} & pools):
        path = api_path("storage-pools", pool, "volumes", "custom")
        for item in client.get(path, recursion=1, project=declaration.project):
            found.setdefault(VOLUME.label({**item, "pool": pool}), []).append(item)
    volumes = {}
    for desired in declaration.of(VOLUME):
        label = VOLUME.label(desired)
        same = found.get(label, [])
        there = [item for item in same if desired.get("target") in (None, item.get("location"))] or same
        if there:
            volumes[label] = there[0]
            if desired.get("target"):
                desired["target"] = there[0]["location"]
        elif desired.get("target"):
            desired["target"] = parts.settled_target(client, desired["target"], label)
    return volumes


def _read_parts(client: LXDClient, declaration: Declaration, snapshot: Snapshot) -> None:
    cluster = parts.read_cluster(client)
    if cluster is None:
        snapshot.server_name = (client.server().get("environment") or {}).get("server_name") or ""
        return
    snapshot.clusters = {
        kind.label(desired): parts.read_parts(client, kind, desired, snapshot.find(kind, desired), cluster)
        for kind in (POOL, NETWORK)
        for desired in declaration.of(kind)
    }


def _profiles(client: LXDClient, declaration: Declaration, actual: Object | None) -> list[Object]:
    if actual is not None:
        return client.get("/1.0/profiles", recursion=1, project=declaration.project)
    config = next((project.get("config") or {} for project in declaration.of(PROJECT)), {})
    if resource.to_lxd(config.get("features.profiles")) == "false":
        return client.get("/1.0/profiles", recursion=1, project="default")
    # The server makes this one with the project.
    description = client.flavour.profile_description(declaration.project)
    return [{"name": "default", "description": description, "config": {}, "devices": {}, "used_by": []}]


def plan_all(
    client: LXDClient, declaration: Declaration, snapshot: Snapshot, *, check_mode: bool = False
) -> tuple[list[Change], list[str]]:
    """Every change that is needed, and every reason why it cannot be done."""
    changes: list[Change] = []
    errors: list[str] = []
    # What uses others is planned before them: it may let go of what is to be removed.
    for kind in (PROFILE, VOLUME, PROJECT, NETWORK, POOL):
        seen: set[str] = set()
        for desired in declaration.of(kind):
            label = kind.label(desired)
            if label in seen:
                errors.append(f"{label} is declared twice")
            seen.add(label)
            leaving = _leaving(kind, desired["name"], changes)
            change = _plan_one(kind, desired, declaration.project, snapshot, leaving, check_mode)
            changes.append(change)
            errors += change.errors
    errors += _missing(declaration, snapshot, check_mode)
    errors += conflicts(client, [change for change in changes if change.kind is NETWORK], snapshot.networks)
    return changes, errors


def _plan_one(
    kind: Kind, desired: Object, project: str, snapshot: Snapshot, leaving: set[str], check_mode: bool
) -> Change:
    actual = snapshot.find(kind, desired)
    can_grow = snapshot.can_grow_pools
    if kind not in (POOL, NETWORK):
        return plan(kind, desired, actual, project=project, leaving=leaving)
    if snapshot.clusters is not None:
        cluster = snapshot.clusters[kind.label(desired)]
        return parts.plan_in_cluster(kind, desired, actual, cluster, can_grow_pools=can_grow, leaving=leaving)
    alone, errors = parts.without_cluster(desired, snapshot.server_name, rehearsal=check_mode)
    change = plan(kind, alone, actual, project=project, can_grow_pools=can_grow, leaving=leaving)
    change.errors += errors
    return change


def _leaving(kind: Kind, name: str, changes: t.Sequence[Change]) -> set[str]:
    """Users of an object that will have been removed, or will no longer refer to it, when its turn comes."""
    reference = {NETWORK.name: "network", POOL.name: "pool"}.get(kind.name)
    leaving = set()
    for change in changes:
        path = f"{change.kind.path(change.desired)}?project={change.project if change.kind.in_project else 'default'}"
        if change.action == "delete":
            leaving.add(path)
            if change.kind is PROJECT:
                leaving.add(f"/1.0/profiles/default?project={change.desired['name']}")
        elif change.kind is PROFILE and change.after is not None and reference:
            devices = change.after["devices"].values()
            if all(device.get(reference) != name for device in devices):
                leaving.add(path)
    return leaving


def _missing(declaration: Declaration, snapshot: Snapshot, check_mode: bool) -> list[str]:
    """References to what neither exists nor is declared."""

    def names(kind: Kind, existing: t.Iterable[Object]) -> set[str]:
        declared = declaration.of(kind)
        gone = {item["name"] for item in declared if item.get("state") == "absent"}
        return ({item["name"] for item in existing} | {item["name"] for item in declared}) - gone

    pools = names(POOL, snapshot.pools)
    networks = names(NETWORK, snapshot.networks)
    errors = []
    for profile in declaration.of(PROFILE):
        if profile.get("state") == "absent":
            continue
        for name, device in (profile.get("devices") or {}).items():
            if not isinstance(device, dict):
                continue
            where = f"{PROFILE.label(profile)}, device {name}"
            if device.get("type") == "disk" and device.get("pool") and device["pool"] not in pools:
                errors.append(f"{where}: there is no storage pool {device['pool']!r}, and none is declared")
            if device.get("type") == "nic" and device.get("network") and device["network"] not in networks:
                errors.append(f"{where}: there is no network {device['network']!r}, and none is declared")
    for volume in declaration.of(VOLUME):
        # In check mode the pool may be one that would have been made a moment ago.
        if volume.get("state") != "absent" and volume["pool"] not in pools and not check_mode:
            errors.append(f"{VOLUME.label(volume)}: there is no storage pool {volume['pool']!r}, and none is declared")
    if any(project.get("state") == "absent" for project in declaration.of(PROJECT)):
        errors += [
            f"{kind.label(item)} is declared in project {declaration.project}, which is to be removed"
            for kind in (PROFILE, VOLUME)
            for item in declaration.of(kind)
            if item.get("state") != "absent"
        ]
    return errors


def apply_all(client: LXDClient, changes: t.Sequence[Change], threads: int = 8) -> tuple[list[Change], list[str]]:
    """Carry out the changes, independent ones side by side. Gives what was done, and the errors.

    Removals come last: by then nothing refers to what is removed any more.
    """
    phases = [
        [change for change in changes if change.kind in group and change.action in ("create", "update")]
        for group in CREATE_ORDER
    ] + [[change for change in changes if change.kind in group and change.action == "delete"] for group in REMOVE_ORDER]
    done: list[Change] = []
    for phase in phases:
        errors = []
        for change, error in _side_by_side(client, phase, threads):
            if error is None:
                done.append(change)
            else:
                errors.append(str(error))
        if errors:
            return done, errors
    return done, []


def _side_by_side(client: LXDClient, changes: t.Sequence[Change], threads: int) -> list[tuple[Change, LXDError | None]]:
    def one(change: Change) -> LXDError | None:
        with client.clone() as own:
            try:
                if isinstance(change, parts.ClusterChange):
                    parts.apply_in_cluster(own, change)
                else:
                    apply(own, change)
            except LXDError as exc:
                return exc
        return None

    if not changes:
        return []
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(threads, len(changes))) as pool:
        return list(zip(changes, pool.map(one, changes), strict=True))


def diff_of(changes: t.Sequence[Change]) -> dict[str, t.Any]:
    """One diff of all that changes."""
    changed = sorted((change for change in changes if change.changed), key=lambda change: change.label)
    return {
        "before": {c.label: resource.visible(c.before) if c.before is not None else "absent" for c in changed},
        "after": {c.label: resource.visible(c.after) if c.after is not None else "absent" for c in changed},
    }
