# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""Snapshots of custom volumes: one at a time, how long it is kept, and which older ones give way to it."""

from __future__ import annotations

import dataclasses
import fnmatch
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_time as times
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_volume as volumes
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDNotFound,
    api_path,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, PlanError
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_volume import Place

# How LXD writes that a snapshot does not expire.
NEVER = "0001-01-01T00:00:00Z"


def expiry_of(snapshot: Object) -> str:
    """When LXD removes it, to the second, as LXD writes it."""
    found = times.when(snapshot.get("expires_at"))
    return NEVER if found is None else times.text(found)


def name_errors(name: str) -> list[str]:
    if not name or "/" in name or name in (".", ".."):
        return [f"{name!r} cannot be the name of a snapshot"]
    return []


def outdated(snapshots: t.Sequence[Object], name: str, keep: int, pattern: str) -> list[str]:
    """The oldest of those that match, beyond the number that is kept. The one that is asked for always stays.

    LXD lists snapshots in the order in which they were made.
    """
    names = [item["name"].rpartition("/")[2] for item in snapshots]
    older = [other for other in names if other != name and fnmatch.fnmatchcase(other, pattern)]
    return older[: max(0, len(older) - (keep - 1))]


@dataclasses.dataclass
class SnapshotChange:
    place: Place
    name: str
    # none, create, update, delete, restore
    action: str
    before: Object | None
    after: Object | None
    remove: list[str]
    expires_given: bool = False

    @property
    def path(self) -> str:
        return Place(f"{self.place.name}/{self.name}", self.place.pool, self.place.project, self.place.target).path

    @property
    def label(self) -> str:
        return f"snapshot {self.name} of {self.place}"

    @property
    def changed(self) -> bool:
        return self.action != "none" or bool(self.remove)


def plan_snapshot(client: LXDClient, params: t.Mapping[str, t.Any], check_mode: bool) -> SnapshotChange:
    """Read what there is, and say what is to be done. Nothing is touched."""
    name, state = params["name"], params["state"]
    errors = name_errors(name)
    expires_at = None
    if params.get("expires_at") is not None:
        try:
            expires_at = times.expiry(params["expires_at"], never=NEVER)
        except ValueError as exc:
            errors.append(str(exc))
    keep, pattern = params.get("keep"), params.get("pattern")
    if keep is not None and pattern is not None:
        if keep < 1:
            errors.append(f"keep: {keep} would remove the snapshot that is asked for. It has to be 1 or more")
        if not fnmatch.fnmatchcase(name, pattern):
            errors.append(f"pattern: {pattern!r} does not match the snapshot's own name, {name!r}")
    if errors:
        raise PlanError(errors)
    place = volumes.settle_target(client, volumes.place_of({**params, "name": params["volume"]}))
    try:
        volume = client.find(place.path, **place.query)
    except LXDNotFound:
        if not check_mode and state != "absent":
            raise
        volume = None
    if volume is None:
        if state == "absent":
            return SnapshotChange(place, name, "none", None, None, [])
        if state == "restored" or not check_mode:
            raise PlanError([f"{place} does not exist"])
    present = []
    if volume is not None:
        place = volumes.located(place, volume)
        present = list_snapshots(client, place)
    actual = next((item for item in present if item["name"].rpartition("/")[2] == name), None)
    before = _fields(name, actual) if actual is not None else None
    if state == "absent":
        return SnapshotChange(place, name, "none" if actual is None else "delete", before, None, [])
    if state == "restored":
        if actual is None:
            known = ", ".join(item["name"].rpartition("/")[2] for item in present) or "none"
            raise PlanError([f"{place} has no snapshot {name} that it could be restored from. It has: {known}"])
        never = volumes.never_copied(client, place, volume)
        if never:
            raise PlanError(never)
        users = volumes.running_users(client, volume)
        if users:
            raise PlanError([f"{place} cannot be restored: {', '.join(users)} uses it and runs. Stop it first."])
        return SnapshotChange(place, name, "restore", before, before, [])
    after = dict(before or {"name": name, "description": "", "expires_at": None})
    if params.get("description") is not None:
        after["description"] = params["description"]
    if params.get("expires_at") is not None:
        after["expires_at"] = expires_at
    if before is None:
        if after["expires_at"] is None:
            del after["expires_at"]  # The volume's snapshots.expiry says it.
        action = "create"
    else:
        action = "none" if after == before else "update"
    remove = []
    if keep is not None and pattern is not None:
        remove = outdated(present, name, keep, pattern)
        if remove:
            _check_order(present, place, (client.server().get("environment") or {}).get("server_name") or "")
    return SnapshotChange(place, name, action, before, after, remove, params.get("expires_at") is not None)


def list_snapshots(client: LXDClient, place: Place) -> list[Object]:
    """The snapshots of a volume, in the order in which they were made, as far as LXD tells it."""
    environment = client.server().get("environment") or {}
    if place.target in (None, environment.get("server_name")) or client.flavour.incus:
        return client.get(place.path + "/snapshots", recursion=1, **place.query) or []
    # Whichever member is asked for, LXD (5.0, 5.21) lists the snapshots of the one that it is asked through. The list of
    # all volumes has them of all members, but not when they were made and when they expire.
    found = []
    for item in client.get(place.collection, recursion=1, project=place.project):
        if item.get("location") == place.target and item["name"].startswith(f"{place.name}/"):
            found.append(client.get(dataclasses.replace(place, name=item["name"]).path, **place.query))
    return sorted(found, key=lambda item: item.get("created_at") or NEVER)


def _check_order(snapshots: t.Sequence[Object], place: Place, own: str) -> None:
    """Which are the oldest has to be known before they give way."""
    if place.target in (None, own) or all((item.get("created_at") or NEVER) != NEVER for item in snapshots):
        return
    raise PlanError(
        [
            f"{place}: this version of LXD does not say through {own} in which order its snapshots were made. "
            f"Speak to {place.target} itself, or leave keep away."
        ]
    )


def _fields(name: str, snapshot: Object) -> Object:
    return {
        "name": name,
        "description": snapshot.get("description") or "",
        "expires_at": expiry_of(snapshot),
    }


def apply_snapshot(client: LXDClient, change: SnapshotChange, timeout: float) -> None:
    try:
        _apply(client, change, timeout)
    except LXDError as exc:
        what = change.action if change.action != "none" else "remove what is older than"
        raise LXDError(
            f"Could not {what} {change.label}: {exc}", url=exc.url, method=exc.method, code=exc.code
        ) from exc


def _apply(client: LXDClient, change: SnapshotChange, timeout: float) -> None:
    place = change.place
    query: dict[str, t.Any] = dict(place.query)
    after = change.after or {}
    if change.action == "create":
        body: Object = {"name": change.name}
        if change.expires_given:
            body["expires_at"] = after["expires_at"]
        client.post(place.path + "/snapshots", body, query=query, timeout=timeout)
        if after["description"]:
            # It cannot be said when the snapshot is made, and what is written later has to say the rest again.
            made = client.get(change.path, **query)
            wanted = {"description": after["description"], "expires_at": made.get("expires_at")}
            client.put(change.path, wanted, query=query)
    elif change.action == "update":
        client.put(change.path, {"description": after["description"], "expires_at": after["expires_at"]}, query=query)
    elif change.action == "delete":
        client.delete(change.path, query=query, timeout=timeout)
    elif change.action == "restore":
        client.put(place.path, {"restore": change.name}, query=query, timeout=timeout)
    for name in change.remove:
        try:
            client.delete(place.path + "/snapshots" + api_path(name).removeprefix("/1.0"), query=query, timeout=timeout)
        except LXDNotFound:
            continue  # It has expired meanwhile.
