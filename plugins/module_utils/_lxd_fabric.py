# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""All that lies under a site's instances, as one plan: read once, check everything, then apply side by side."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import typing as t

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

    def find(self, kind: Kind, desired: Object) -> Object | None:
        return self.objects.get(kind.name, {}).get(kind.label(desired))


def read(client: LXDClient, declaration: Declaration) -> Snapshot:
    """The state of everything that the declaration can touch, in a handful of requests."""
    found: dict[str, dict[str, Object]] = {}
    project = declaration.project
    actual = client.find(api_path("projects", project), project=None)
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
        existing = {item["name"] for item in pools}
        volumes: dict[str, Object] = {}
        for pool in sorted({item["pool"] for item in declaration.of(VOLUME)} & existing):
            for item in client.get(api_path("storage-pools", pool, "volumes", "custom"), recursion=1, project=project):
                volumes[VOLUME.label({**item, "pool": pool})] = item
        found[VOLUME.name] = volumes
    return Snapshot(
        found, networks, pools, bool(declaration.of(POOL)) and client.has_extension("storage_pool_loop_resize")
    )


def _profiles(client: LXDClient, declaration: Declaration, actual: Object | None) -> list[Object]:
    if actual is not None:
        return client.get("/1.0/profiles", recursion=1, project=declaration.project)
    config = next((project.get("config") or {} for project in declaration.of(PROJECT)), {})
    if resource.to_lxd(config.get("features.profiles")) == "false":
        return client.get("/1.0/profiles", recursion=1, project="default")
    # LXD makes this one with the project.
    description = f"Default LXD profile for project {declaration.project}"
    return [{"name": "default", "description": description, "config": {}, "devices": {}, "used_by": []}]


def plan_all(client: LXDClient, declaration: Declaration, snapshot: Snapshot) -> tuple[list[Change], list[str]]:
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
            change = plan(
                kind,
                desired,
                snapshot.find(kind, desired),
                project=declaration.project,
                can_grow_pools=snapshot.can_grow_pools,
                leaving=_leaving(kind, desired["name"], changes),
            )
            changes.append(change)
            errors += change.errors
    errors += _missing(declaration, snapshot)
    errors += conflicts(client, [change for change in changes if change.kind is NETWORK], snapshot.networks)
    return changes, errors


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


def _missing(declaration: Declaration, snapshot: Snapshot) -> list[str]:
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
        if volume.get("state") != "absent" and volume["pool"] not in pools:
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
