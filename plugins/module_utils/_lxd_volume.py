# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""Custom volumes: what comes from another volume, what lies on a member of a cluster, and what would lose data."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_members as parts
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_objects as objects
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDNotFound,
    api_path,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import VOLUME, Change, Object, PlanError


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a volume is: its name (of a snapshot: VOLUME/SNAPSHOT), pool, project, and its member of a cluster."""

    name: str
    pool: str
    project: str
    target: str | None = None

    def __str__(self) -> str:
        words = f"volume {self.pool}/{self.name}"
        if self.project != "default":
            words += f" of project {self.project}"
        return words + (f" on member {self.target}" if self.target else "")

    @property
    def collection(self) -> str:
        return api_path("storage-pools", self.pool, "volumes", "custom")

    @property
    def path(self) -> str:
        volume, _slash, snapshot = self.name.partition("/")
        if snapshot:
            return api_path("storage-pools", self.pool, "volumes", "custom", volume, "snapshots", snapshot)
        return api_path("storage-pools", self.pool, "volumes", "custom", volume)

    @property
    def query(self) -> dict[str, str | None]:
        return {"project": self.project, "target": self.target}


def place_of(params: t.Mapping[str, t.Any]) -> Place:
    return Place(params["name"], params["pool"], params.get("project") or "default", params.get("target"))


def other_place(own: Place, given: t.Mapping[str, t.Any]) -> Place:
    """Where another volume is. What is not said is as with one's own."""
    return Place(
        given.get("name") or own.name,
        given.get("pool") or own.pool,
        given.get("project") or own.project,
        given.get("target") or own.target,
    )


def settle_target(client: LXDClient, place: Place) -> Place:
    """A place whose member exists."""
    return dataclasses.replace(place, target=parts.settled_target(client, place.target, str(place)))


def located(place: Place, volume: Object) -> Place:
    """A place with the member that the volume was found on. LXD 5.0 lists the snapshots of its own volumes only."""
    location = volume.get("location")
    # A server that is in no cluster gives "none".
    return place if location in (None, "", "none") else dataclasses.replace(place, target=location)


def never_copied(client: LXDClient, place: Place, volume: Object | None) -> list[str]:
    """Why what is in a volume, or in a snapshot of one, must not be there a second time nor as it once was. Nothing: it may."""
    # A snapshot may be from before the volume was marked.
    owner = dataclasses.replace(place, name=place.name.partition("/")[0])
    found = [volume, client.find(owner.path, **owner.query) if owner != place else None]
    for one in found:
        reason = ((one or {}).get("config") or {}).get(resource.NEVER_COPIED)
        if reason:
            return [
                f"{owner} is never copied, and never goes back to what it was: {reason}. Its instance can be moved with it"
            ]
    return []


def running_users(client: LXDClient, volume: Object) -> list[str]:
    """The instances that run and use a volume: it can be neither moved nor restored under them."""
    found = []
    for url in volume.get("used_by") or []:
        path, _question, query = url.partition("?")
        if not path.startswith("/1.0/instances/") or "/snapshots/" in path:
            continue
        project = next((pair.removeprefix("project=") for pair in query.split("&") if "project=" in pair), "default")
        instance = client.find(path, project=project)
        if instance and instance.get("status") != "Stopped":
            name = path.removeprefix("/1.0/instances/")
            found.append(name if project == "default" else f"{name} of project {project}")
    return found


def shrink_errors(client: LXDClient, place: Place, wanted: t.Any, actual: Object) -> list[str]:
    """Why a volume cannot become as small as it should. What LXD itself cannot shrink, it refuses."""
    size = resource.parse_size(wanted) if resource.to_lxd(wanted) is not None else None
    if size is None:
        return []
    current = resource.parse_size((actual.get("config") or {}).get("size", ""))
    if actual.get("content_type") == "block" and current is not None and size < current:
        return [
            f"{place}: it is a block volume of {actual['config']['size']}, and LXD cannot make such a volume smaller. "
            "Make another one of the size that you want, and copy what is on it."
        ]
    if current is not None and size >= current:
        return []
    try:
        used = ((client.get(place.path + "/state", **place.query) or {}).get("usage") or {}).get("used")
    except LXDError:
        used = None  # Not every driver can tell: there LXD decides alone.
    if used is not None and size < used:
        return [f"{place}: {used} bytes are on it, so that it cannot become as small as {wanted}. Remove some first."]
    return []


def copy(client: LXDClient, source: Place, place: Place, body: Object, volume_only: bool, timeout: float) -> None:
    """Make a volume of another one, or of a snapshot of one."""
    target = {**body, "name": place.name, "type": "custom"}
    if source.target == place.target:
        target["source"] = {
            "type": "copy",
            "name": source.name,
            "pool": source.pool,
            "project": source.project,
            "volume_only": volume_only,
        }
        client.post(place.collection, target, query=place.query, timeout=timeout)
        return
    # From member to member: one offers it, the other fetches it. This is how it is done between two servers as well, and
    # all versions know it.
    offer = client.post(
        source.path,
        {"name": source.name, "pool": source.pool, "migration": True, "volume_only": volume_only},
        query=source.query,
        wait=False,
    )
    member = client.get(api_path("cluster", "members", source.target or ""), project=None)
    target["source"] = {
        "type": "migration",
        "mode": "pull",
        "operation": member["url"] + offer["path"].partition("?")[0],
        "secrets": offer["metadata"],
        "certificate": client.server()["environment"]["certificate"],
        "volume_only": volume_only,
    }
    try:
        client.post(place.collection, target, query=place.query, timeout=timeout)
    except LXDError:
        withdraw(client, offer["path"])
        raise


def withdraw(client: LXDClient, operation: str) -> None:
    """End an offer that nobody takes up."""
    try:
        client.delete(operation, query={"project": None})
    except LXDError:
        return  # It has ended by itself, or will: LXD ends it when nobody comes.


def move(client: LXDClient, source: Place, place: Place, body: Object, timeout: float) -> None:
    """Rename a volume, or move it, with its snapshots, to another pool, project or member."""
    if source.target == place.target:
        wanted: Object = {"name": place.name}
        if place.pool != source.pool:
            wanted["pool"] = place.pool
        if place.project != source.project:
            # LXD compares pools only if one is named.
            wanted.update({"pool": place.pool, "project": place.project})
        client.post(source.path, wanted, query=source.query, timeout=timeout)
        return
    copy(client, source, place, body, False, timeout)
    client.delete(source.path, query=source.query, timeout=timeout)


@dataclasses.dataclass
class VolumeChange:
    """A change of a volume: what it comes from, if it does, and what is to be changed on it."""

    change: Change
    place: Place
    action: str
    # None unless it is copied or moved.
    source: Place | None = None
    body: Object = dataclasses.field(default_factory=dict)
    volume_only: bool = False


def plan_volume(client: LXDClient, params: t.Mapping[str, t.Any], desired: Object, check_mode: bool) -> VolumeChange:
    """Read what there is, and say what is to be done. Nothing is touched."""
    place = settle_target(client, place_of(params))
    desired = {**desired, "target": place.target}
    try:
        actual = client.find(place.path, **place.query)
    except LXDNotFound:
        # What it belongs to is not there. Before a first run that is as it should be.
        if not check_mode:
            raise
        actual = None
    given = params.get("move_from") or params.get("source")
    if desired.get("state") == "absent" or given is None:
        return _plain(client, place, desired, actual)
    source = settle_target(client, other_place(place, given))
    if source == place:
        raise PlanError([f"{place} cannot come from itself"])
    if params.get("move_from"):
        if "/" in source.name:
            raise PlanError([f"{source}: a snapshot cannot be moved, only copied"])
        old = client.find(source.path, **source.query)
        if actual is not None:
            if old is not None:
                raise PlanError(
                    [
                        f"{place} is there, and so is {source}, which should have been moved there. Only you can know "
                        "which of them is to stay: remove or rename the other, or leave move_from away."
                    ]
                )
            return _plain(client, place, desired, actual)
        return _plan_move(client, place, desired, source, old)
    if actual is not None:
        return _plain(client, place, desired, actual)
    try:
        found = client.find(source.path, **source.query)
    except LXDNotFound:
        if not check_mode:
            raise
        found = None
    if found is None and not check_mode:
        raise PlanError([f"{place} cannot be copied: there is no {source}"])
    if found is not None and not _moves(client, place, desired, source, found):
        never = never_copied(client, source, found)
        if never:
            raise PlanError(never)
    return _plan_copy(client, place, desired, source, found, bool(given.get("volume_only")))


def _plain(client: LXDClient, place: Place, desired: Object, actual: Object | None) -> VolumeChange:
    change = objects.plan(VOLUME, desired, actual, project=place.project)
    if change.action == "update" and actual is not None and not change.errors:
        change.errors += shrink_errors(client, place, change.desired["config"].get("size"), actual)
    return VolumeChange(change, place, change.action)


def _plan_move(client: LXDClient, place: Place, desired: Object, source: Place, old: Object | None) -> VolumeChange:
    if old is None:
        raise PlanError([f"{place} is not there, and neither is {source}, which it is to be made of by moving it"])
    renamed = {**old, "name": place.name}
    change = objects.plan(VOLUME, desired, renamed, project=place.project)
    errors = change.errors
    errors += [f"{source} cannot be moved: {name} uses it and runs" for name in running_users(client, old)]
    if source.target != place.target:
        users = objects.in_use_by(VOLUME, {"name": source.name}, old)
        if users and not errors:
            errors.append(f"{source} cannot be moved to another member, it is in use by: {', '.join(users)}")
    errors += shrink_errors(client, source, change.desired["config"].get("size"), old)
    body = {"content_type": old["content_type"], "description": old.get("description") or "", "config": _kept(old)}
    before = dict(change.before or {})
    after = dict(change.after or {})
    for field in ("name", "pool", "project", "target"):
        was, becomes = getattr(source, field), getattr(place, field)
        if was != becomes or field == "name":
            before[field], after[field] = was, becomes
    return VolumeChange(dataclasses.replace(change, before=before, after=after), place, "move", source, body)


def _moves(client: LXDClient, place: Place, desired: Object, source: Place, found: Object) -> bool:
    """Whether a copy is a step of its instance's move to another member: the same volume there, while nobody uses it here."""
    marked = resource.to_lxd((desired.get("config") or {}).get(resource.MOVING_COPY)) is not None
    same = dataclasses.replace(place, target=None) == dataclasses.replace(source, target=None)
    return marked and same and place.target != source.target and not running_users(client, found)


def _plan_copy(
    client: LXDClient, place: Place, desired: Object, source: Place, found: Object | None, volume_only: bool
) -> VolumeChange:
    found = found or {"config": {}}
    made = {
        **found,
        "name": place.name,
        "content_type": found.get("content_type") or desired.get("content_type") or "filesystem",
        "config": {key: value for key, value in found["config"].items() if key != resource.OWNER_KEY},
        "used_by": [],
    }
    owner = (desired.get("config") or {}).get(resource.OWNER_KEY)
    if owner is not None:
        # Whose the copy is, is not said by what it is copied from.
        made["config"][resource.OWNER_KEY] = resource.to_lxd(owner)
    change = objects.plan(VOLUME, desired, made, project=place.project)
    change.errors += shrink_errors(client, source, change.desired["config"].get("size"), found)
    if source.target != place.target and "/" in source.name:
        change.errors.append(f"{source}: a snapshot cannot be copied to another member. Copy its volume.")
    config = resource.merge_config(_kept(made), change.desired["config"])
    description = desired.get("description")
    if description is None:
        description = found.get("description") or ""
    body = {"content_type": made["content_type"], "description": description, "config": config}
    change = dataclasses.replace(change, before=None)
    return VolumeChange(change, place, "copy", source, body, volume_only or "/" in source.name)


def _kept(volume: Object) -> Object:
    """The configuration that goes along: with what LXD knows of the owners of files, without the volume's identity."""
    return {key: value for key, value in (volume.get("config") or {}).items() if key != "volatile.uuid"}


def apply_volume(client: LXDClient, planned: VolumeChange, timeout: float) -> None:
    place, source = planned.place, planned.source
    if source is None:
        objects.apply(client, planned.change)
        return
    try:
        if planned.action == "copy":
            copy(client, source, place, planned.body, planned.volume_only, timeout)
        else:
            move(client, source, place, planned.body, timeout)
    except LXDError as exc:
        raise LXDError(
            f"Could not {planned.action} {source} to {place}: {exc}", url=exc.url, method=exc.method, code=exc.code
        ) from exc
    # What is asked for beyond what came along.
    objects.apply(client, dataclasses.replace(planned.change, action="update"))
