# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""Snapshots of instances: planning what is to be done with one and with those before it (pure), and doing it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import fnmatch
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_time as times
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDNotFound,
    LXDPreconditionFailed,
    api_path,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, PlanError


@dataclasses.dataclass
class Plan:
    """What is to be done with a snapshot, and which others are to go."""

    desired: Object
    actions: list[str]
    before: list[Object]
    after: list[Object]
    expires_at: str | None = None
    old: list[str] = dataclasses.field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.actions)


def _expiry(desired: Object, now: dt.datetime) -> str | None:
    """When the snapshot is to expire, as LXD wants it; None where the task does not say."""
    if desired.get("expires_at") is not None:
        return times.expiry(desired["expires_at"], never="0001-01-01T00:00:00Z")
    if desired.get("expiry") is not None:
        return times.text(times.after_span(desired["expiry"], now))
    return None


def fields(snapshot: Object) -> Object:
    """A snapshot as the module tells of it."""
    expires = times.when(snapshot.get("expires_at"))
    return {
        "name": snapshot["name"].rpartition("/")[2],
        "stateful": bool(snapshot.get("stateful")),
        "created_at": snapshot.get("created_at"),
        "expires_at": snapshot.get("expires_at") if expires is not None else None,
    }


def in_order(snapshots: t.Iterable[Object]) -> list[Object]:
    """The oldest first."""
    first = dt.datetime.min.replace(tzinfo=dt.timezone.utc)  # noqa: UP017 - Python 3.9 on targets
    return sorted(map(fields, snapshots), key=lambda item: (times.when(item["created_at"]) or first, item["name"]))


def matching(snapshots: t.Iterable[Object], pattern: str) -> list[Object]:
    return [item for item in snapshots if fnmatch.fnmatchcase(item["name"], pattern)]


def plan(desired: Object, snapshots: t.Sequence[Object], now: dt.datetime) -> Plan:
    """Compare. snapshots are all that the instance has."""
    there = in_order(snapshots)
    name, state = desired.get("name"), desired.get("state") or "present"
    label = f"snapshot {desired['instance']}/{name}"
    try:
        expires = _expiry(desired, now)
    except ValueError as exc:
        raise PlanError([f"{label}: {exc}"]) from exc
    current = next((item for item in there if item["name"] == name), None)
    actions: list[str] = []
    after = list(there)
    if state == "absent":
        gone = [current] if current else []
        if name is None:
            gone = matching(there, desired["pattern"])
        old = [item["name"] for item in gone]
        after = [item for item in there if item["name"] not in old]
        return Plan(desired, ["delete"] if old else [], there, after, None, old)
    if state == "restored":
        if current is None:
            raise PlanError([f"instance {desired['instance']} has no snapshot {name!r} to be restored to"])
        return Plan(desired, ["restore"], there, after)
    if name is not None and current is None:
        actions.append("create")
        after.append(
            {"name": name, "stateful": bool(desired.get("stateful")), "created_at": None, "expires_at": expires}
        )
    elif current is not None:
        if desired.get("stateful") and not current["stateful"]:
            raise PlanError(
                [f"{label}: it is there without the state of what ran, and cannot be given that afterwards"]
            )
        # A span counts from the making of the snapshot, so it says nothing of one that is there.
        if desired.get("expires_at") is not None and times.when(expires) != times.when(current["expires_at"]):
            actions.append("update")
            after = [{**item, "expires_at": expires} if item is current else item for item in after]
    return _pruned(Plan(desired, actions, there, after, expires))


def _pruned(result: Plan) -> Plan:
    """With the oldest of a pattern gone, so that as many are left as are to be kept."""
    keep = result.desired.get("keep")
    if keep is None:
        return result
    known = matching(result.after, result.desired["pattern"])
    excess = known[: max(0, len(known) - keep)]
    result.old = [item["name"] for item in excess if item["name"] != result.desired.get("name")]
    if result.old:
        result.actions.append("prune")
        result.after = [item for item in result.after if item["name"] not in result.old]
    return result


# -- doing ---------------------------------------------------------------------------------------------------------


def path_of(instance: str, *snapshot: str) -> str:
    return api_path("instances", instance, "snapshots", *snapshot)


def read(client: LXDClient, instance: str) -> list[Object] | None:
    """All snapshots of an instance, or None if there is no such instance."""
    if client.find(api_path("instances", instance)) is None:
        return None
    return client.get(path_of(instance), recursion=1) or []


def _set_expiry(client: LXDClient, path: str, expires_at: str | None) -> None:
    for attempt in (1, 2):
        _actual, etag = client.get_with_etag(path)
        try:
            client.put(path, {"expires_at": expires_at}, etag=etag)
        except LXDPreconditionFailed:
            if attempt == 2:
                raise
        else:
            return


def _step(client: LXDClient, plan_: Plan, step: str, timeout: float) -> None:
    desired = plan_.desired
    instance, name = desired["instance"], desired.get("name")
    if step == "create":
        body: Object = {"name": name, "stateful": bool(desired.get("stateful"))}
        if plan_.expires_at is not None:
            body["expires_at"] = plan_.expires_at
        client.post(path_of(instance), body, timeout=timeout)
    elif step == "update":
        _set_expiry(client, path_of(instance, str(name)), plan_.expires_at)
    elif step == "restore":
        body = {"restore": name, "stateful": bool(desired.get("stateful"))}
        client.put(api_path("instances", instance), body, timeout=timeout)
    else:
        for old in plan_.old:
            try:
                client.delete(path_of(instance, old), timeout=timeout)
            except LXDNotFound:
                continue  # It expired in the meantime.


def apply(client: LXDClient, plan_: Plan, timeout: float) -> None:
    """Carry out a plan, the new snapshot before the old ones go."""
    for step in plan_.actions:
        try:
            _step(client, plan_, step, timeout)
        except LXDError as exc:
            what = f"snapshot {plan_.desired['name']}" if plan_.desired.get("name") else "snapshots"
            raise type(exc)(
                f"Instance {plan_.desired['instance']}: could not {step} {what}: {exc}",
                url=exc.url,
                method=exc.method,
                code=exc.code,
            ) from exc
