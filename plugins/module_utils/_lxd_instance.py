# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""Instances: planning what is to be done with one (pure), and doing it."""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import re
import time
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_flavour as flavours
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_wait as waiting
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_attempt import post_with_image, when_free
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDNotFound,
    LXDOperationFailed,
    LXDTimeout,
    api_path,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, PlanError, update

RUNNING, STOPPED, FROZEN = "Running", "Stopped", "Frozen"

# What the instance has to do to get from where it is to where it should be.
_POWER: dict[str, dict[str, list[str]]] = {
    "present": {},
    "started": {STOPPED: ["start"], FROZEN: ["unfreeze"]},
    "stopped": {RUNNING: ["stop"], FROZEN: ["unfreeze", "stop"]},
    "restarted": {RUNNING: ["restart"], FROZEN: ["unfreeze", "restart"], STOPPED: ["start"]},
    "frozen": {RUNNING: ["freeze"], STOPPED: ["start", "freeze"]},
}
_STATUS = {"started": RUNNING, "restarted": RUNNING, "stopped": STOPPED, "frozen": FROZEN}

# A clean stop is asked for again after so many seconds, then after twice as many, up to half a minute.
STOP_SLICE = 5

WRITABLE = ("architecture", "config", "devices", "ephemeral", "profiles", "description")

# What cloud-init is told, by our option and by LXD's key.
CLOUD_INIT = {
    "user_data": "cloud-init.user-data",
    "vendor_data": "cloud-init.vendor-data",
    "network_config": "cloud-init.network-config",
}


@dataclasses.dataclass
class Plan:
    """What is to be done with one instance."""

    desired: Object
    actions: list[str]
    before: Object | None
    after: Object | None
    errors: list[str] = dataclasses.field(default_factory=list)
    source: Object = dataclasses.field(default_factory=dict)
    base: Object | None = None
    state: Object | None = None
    location: str | None = None

    @property
    def name(self) -> str:
        return self.desired["name"]

    @property
    def label(self) -> str:
        return f"instance {self.name}"

    @property
    def changed(self) -> bool:
        return bool(self.actions)


def _fields(source: Object, status: str) -> Object:
    return {
        "name": source["name"],
        "status": status,
        "type": source.get("type") or "container",
        "description": source.get("description") or "",
        "ephemeral": bool(source.get("ephemeral")),
        "profiles": source.get("profiles"),
        "config": resource.visible_config(source.get("config")),
        "devices": source.get("devices") or {},
    }


def merged(desired: Object, actual: Object) -> Object:
    """The instance that results when what is desired is laid over what there is."""
    result = {
        **actual,
        "config": resource.merge_config(actual.get("config"), desired.get("config")),
        "devices": resource.merge_devices(actual.get("devices"), desired.get("devices")),
    }
    for field in ("description", "ephemeral", "profiles"):
        if desired.get(field) is not None:
            result[field] = desired[field]
    return result


def with_cloud_init(desired: Object) -> Object:
    """What cloud-init is to be told, as the keys of the configuration that LXD has for it.

    A dictionary becomes JSON, which is YAML too, so that nothing but the standard library is needed.
    """
    told = {key: value for key, value in (desired.get("cloud_init") or {}).items() if value is not None}
    if not told:
        return desired
    config = dict(desired.get("config") or {})
    errors = []
    for option, value in told.items():
        key = CLOUD_INIT[option]
        if key in config:
            errors.append(f"instance {desired['name']}: {key} is given twice, in config and in cloud_init.{option}")
        text = value
        if isinstance(value, (dict, list)):
            head = "" if option == "network_config" else "#cloud-config\n"
            text = head + json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        elif not isinstance(value, str):
            errors.append(f"instance {desired['name']}: cloud_init.{option} is to be a text or a dictionary")
        config[key] = text
    if errors:
        raise PlanError(errors)
    return {**desired, "config": config}


def plan(
    desired: Object,
    actual: Object | None,
    *,
    base: Object | None = None,
    members: t.Sequence[str] | None = None,
) -> Plan:
    """Compare. None in desired is: not mentioned.

    base is what a new one is a copy of. members are those of the cluster that fit the target, as far as they are known.
    """
    label = f"instance {desired['name']}"
    errors = resource.config_errors(desired.get("config"), label)
    for name, device in (desired.get("devices") or {}).items():
        if device is not None:
            errors += resource.config_errors(device, f"{label}, device {name}")
    if errors:
        return Plan(desired, [], None, None, errors)
    state = desired.get("state") or "started"
    if actual is None:
        return _plan_new(desired, state, base)
    owner = resource.owner_error(label, actual.get("config"), desired.get("config"))
    status = actual.get("status") or STOPPED
    if status in flavours.RUNNING:
        status = RUNNING
    # Of an instance whose member is away LXD's list has no configuration: not whose it is, either.
    unknown = status == "Error" and not actual.get("config")
    if owner and not unknown:
        return Plan(desired, [], None, None, [owner])
    if status == "Error" and (owner or state in _STATUS):
        reason = "LXD cannot tell whether it runs (its status is Error), perhaps because its cluster member is away"
        return Plan(desired, [], None, None, [f"{label}: {reason}. See: lxc info {desired['name']} --show-log"])
    before = _fields(actual, status)
    if state == "absent":
        actions = ["delete"] if status == STOPPED else ["stop", "delete"]
        if status == FROZEN:
            actions.insert(0, "unfreeze")
        return Plan(desired, actions, before, None)
    kind = desired.get("type")
    if kind and kind != before["type"]:
        errors.append(f"{label}: it is a {before['type']} and cannot become a {kind}")
    after = _fields(merged(desired, actual), status)
    if desired.get("move") and members is not None and actual.get("location") not in members:
        actions = _moving(state, status, changing=after != before)
        before["location"] = actual.get("location")
        after["location"] = desired["target"]
    else:
        actions = list(_POWER[state].get(status, []))
        if after != before:
            # Not every change can be made to a running instance; before a restart it is made, after a stop it may be.
            actions.insert(len(actions) if state == "stopped" else 0, "update")
    after["status"] = _STATUS.get(state, status)
    return Plan(desired, actions, before, after, errors)


def _moving(state: str, status: str, *, changing: bool) -> list[str]:
    """To another member it goes stopped; there it gets to where it should be, or to where it was."""
    power = _POWER["stopped"].get(status, [])
    wanted = {RUNNING: "started", FROZEN: "frozen"}.get(status, "stopped") if state == "present" else state
    return [*power, *(["update"] if changing else []), "move", *_POWER[wanted].get(STOPPED, [])]


def _plan_new(desired: Object, state: str, base: Object | None) -> Plan:
    if state == "absent":
        return Plan(desired, [], None, None)
    errors = []
    label = f"instance {desired['name']}"
    if not desired.get("image") and not desired.get("source"):
        errors.append(f"{label} does not exist, and no image is given to make it from")
    kind = desired.get("type")
    if base is not None and kind and base.get("type") and kind != base["type"]:
        errors.append(f"{label}: what it is to be a copy of is a {base['type']}, and a copy cannot be a {kind}")
    there = {**(base or {}), "name": desired["name"]}
    after = _fields(merged(desired, there), _STATUS.get(state, STOPPED))
    after["type"] = (base or {}).get("type") or kind or "container"
    actions = ["create", *_POWER[state].get(STOPPED, [])]
    return Plan(desired, actions, None, after, errors)


# -- images --------------------------------------------------------------------------------------------------------


def resolve_image(client: LXDClient, image: t.Any) -> Object:
    """The source of an instance, from what the user calls an image. Raises a PlanError where there is none."""
    if isinstance(image, dict):
        wanted = {key: value for key, value in image.items() if value is not None}
        unknown = set(wanted) - {"server", "protocol", "alias", "fingerprint", "certificate", "secret"}
        if unknown or not wanted.keys() & {"alias", "fingerprint"}:
            raise PlanError(
                [
                    f"image {image}: a dictionary names alias or fingerprint, and may have server, protocol, certificate"
                    f" and secret{'; not: ' + ', '.join(sorted(unknown)) if unknown else ''}"
                ]
            )
        if "server" in wanted:
            return {"type": "image", "mode": "pull", "protocol": "simplestreams", **wanted}
        image = wanted.get("alias") or wanted["fingerprint"]
    alias = client.find(api_path("images", "aliases", image))
    if alias is not None:
        return {"type": "image", "fingerprint": alias["target"]}
    if re.fullmatch(r"[0-9a-f]{12,64}", image):
        found = client.find(api_path("images", image))
        if found is not None:
            return {"type": "image", "fingerprint": found["fingerprint"]}
    raise PlanError([f"project {client.project or 'default'} has no image with alias or fingerprint {image!r}"])


# -- copies and places ----------------------------------------------------------------------------------------------


def resolve_source(client: LXDClient, source: Object) -> tuple[Object, Object]:
    """LXD's source of a copy, and what it is a copy of. Raises a PlanError where there is none."""
    name, snapshot, project = source["instance"], source.get("snapshot"), source.get("project") or client.project
    place = f"project {project or 'default'}"
    if project and not client.project_exists(project):
        raise PlanError([f"there is no {place} to copy from"])
    base = client.find(_path(name), project=project)
    if base is None:
        raise PlanError([f"{place} has no instance {name!r} to copy"])
    if snapshot:
        found = client.find(api_path("instances", name, "snapshots", snapshot), project=project)
        if found is None:
            raise PlanError([f"instance {name} of {place} has no snapshot {snapshot!r} to copy"])
        base = {**found, "type": base.get("type")}
    errors = never_copied(client, base, name, project)
    if errors:
        raise PlanError(errors)
    body = {"type": "copy", "source": f"{name}/{snapshot}" if snapshot else name, "project": project or "default"}
    return {**body, "instance_only": bool(snapshot or source.get("instance_only"))}, base


def never_copied(client: LXDClient, base: Object, name: str, project: str | None) -> list[str]:
    """Why there must be no second instance with the volumes of this one: one of them must not be used by two."""
    errors = []
    devices = {**(base.get("devices") or {}), **(base.get("expanded_devices") or {})}
    for device in devices.values():
        pool, volume = device.get("pool"), device.get("source")
        if device.get("type") != "disk" or not pool or not volume:
            continue
        found = client.find(api_path("storage-pools", pool, "volumes", "custom", volume), project=project) or {}
        reason = (found.get("config") or {}).get(resource.NEVER_COPIED)
        if reason:
            errors.append(f"instance {name} is never copied, it uses volume {pool}/{volume}: {reason}")
    return errors


def resolve_target(client: LXDClient, target: str) -> list[str]:
    """The members of the cluster that a target stands for. Raises a PlanError where there are none."""
    if not (client.server().get("environment") or {}).get("server_clustered"):
        raise PlanError([f"target {target!r}: this LXD is not part of a cluster"])
    if not target.startswith("@"):
        if client.find(api_path("cluster", "members", target), project=None) is None:
            raise PlanError([f"target {target!r}: the cluster has no such member"])
        return [target]
    group = client.find(api_path("cluster", "groups", target[1:]), project=None)
    if group is None:
        raise PlanError([f"target {target!r}: the cluster has no such group"])
    members = [str(url).rstrip("/").rpartition("/")[2] for url in group.get("members") or []]
    if not members:
        raise PlanError([f"target {target!r}: there is no member in that group"])
    return members


def least_busy(client: LXDClient, members: t.Collection[str]) -> str:
    """The member that answers and has the fewest instances, of all projects."""
    online = {
        item["server_name"]
        for item in client.get("/1.0/cluster/members", recursion=1, project=None)
        if item.get("status") == "Online"
    }
    able = sorted(online & set(members))
    if not able:
        raise LXDError(f"none of {', '.join(sorted(members))} is online")
    everything = client.get("/1.0/instances", **{"recursion": 1, "all-projects": "true", "project": None})
    count = collections.Counter(item.get("location") for item in everything)
    return min(able, key=lambda member: (count[member], member))


# -- doing ---------------------------------------------------------------------------------------------------------


def _path(name: str) -> str:
    return api_path("instances", name)


def _create(client: LXDClient, plan_: Plan, timeout: float) -> None:
    desired = plan_.desired
    copying = plan_.source.get("type") == "copy"
    body: Object = {"name": plan_.name, "source": plan_.source}
    if plan_.base is not None:
        # To another member of a cluster LXD copies only what it is told the architecture of.
        body["architecture"] = plan_.base.get("architecture") or ""
    if plan_.after is not None:
        body["type"] = plan_.after["type"]
        body["config"] = plan_.after["config"]
        body["devices"] = plan_.after["devices"]
    for field in ("description", "ephemeral", "profiles"):
        value = plan_.after.get(field) if copying and plan_.after is not None else desired.get(field)
        if value is not None:
            body[field] = value
    post_with_image(client, "/1.0/instances", body, query={"target": desired.get("target")}, timeout=timeout)
    if copying:
        # LXD adds to a copy what the original has, also what was to be left out.
        _change(client, plan_)


def _move(client: LXDClient, plan_: Plan, timeout: float) -> None:
    target = plan_.desired["target"]
    if target.startswith("@"):
        # LXD 5.0 places new instances in a group, and moves to a member only.
        target = least_busy(client, resolve_target(client, target))
    body = {"name": plan_.name, "migration": True, "live": False}
    client.post(_path(plan_.name), body, query={"target": target}, timeout=timeout)


def _change(client: LXDClient, plan_: Plan) -> None:
    def compute(actual: Object) -> Object | None:
        result = merged(plan_.desired, actual)
        if _fields(result, "") == _fields(actual, ""):
            return None
        return {key: result[key] for key in WRITABLE if key in result}

    update(client, _path(plan_.name), compute, {})


def _power(client: LXDClient, name: str, action: str, timeout: float, force: bool) -> None:
    """Start, stop, restart, freeze or unfreeze. A stop is clean first; with force it is a kill after the timeout."""
    path = _path(name) + "/state"
    if action not in ("stop", "restart"):
        client.put(path, {"action": action, "force": False}, timeout=timeout + 30)
        return
    deadline = time.monotonic() + timeout
    slice_ = STOP_SLICE
    while True:
        # An instance that is only just starting does not hear the first request to stop. Asking again does no harm.
        patience = max(1, min(slice_, int(deadline - time.monotonic())))
        slice_ = min(slice_ * 2, 30)
        try:
            client.put(path, {"action": action, "force": False, "timeout": patience}, timeout=patience + 30)
        except (LXDOperationFailed, LXDTimeout) as exc:
            now = client.find(_path(name))
            if now is None or (action == "stop" and now["status"] == STOPPED):
                return
            if action == "restart" and now["status"] == STOPPED:
                # The stop has come after all, and LXD no longer waited for it to start the instance.
                _power(client, name, "start", timeout, force)
                return
            if now["status"] not in flavours.RUNNING:
                raise
            if time.monotonic() + 1 < deadline:
                continue
            if force:
                client.put(path, {"action": action, "force": True}, timeout=timeout + 30)
                return
            raise LXDTimeout(
                f"it did not stop within {timeout:g} s and was left running ({exc}). "
                "Give it more time (timeout), or let it be killed (force)"
            ) from exc
        return


def _log_of(client: LXDClient, name: str) -> str:
    """The last errors in an instance's own log, for a start that failed."""
    try:
        status, _headers, content = client.raw("GET", _path(name) + "/logs/lxc.log")
    except LXDError:
        return ""
    if status != 200:
        return ""
    lines = [line for line in content.decode(errors="replace").splitlines() if " ERROR " in line]
    return " Its log ends: " + " | ".join(lines[-3:]) if lines else ""


def _origin(source: Object) -> str:
    """Which image an instance is to be made from: what LXD says of one that is not there does not name it."""
    if source.get("type") == "copy":
        return f" from {source['source']} of project {source['project']}"
    image = source.get("alias") or source.get("fingerprint")
    server = f" of {source['server']}" if source.get("server") else ""
    return f" from image {image}{server}" if image else ""


def _step(client: LXDClient, plan_: Plan, action: str, timeout: float) -> None:
    if action == "create":
        _create(client, plan_, timeout)
    elif action == "update":
        _change(client, plan_)
    elif action == "move":
        _move(client, plan_, timeout)
    elif action == "delete":
        try:
            client.delete(_path(plan_.name), timeout=timeout)
        except LXDNotFound:
            return  # An ephemeral instance goes when it stops.
    else:
        _power(client, plan_.name, action, timeout, bool(plan_.desired.get("force")))


def apply(client: LXDClient, plan_: Plan, timeout: float, progress: list[str]) -> Object:
    """Carry out a plan and wait for what is to be waited for. progress receives each action once it is done."""
    wait_for = plan_.desired.get("wait_for") or "none"
    for action in plan_.actions:
        try:
            when_free(functools.partial(_step, client, plan_, action, timeout), timeout)
        except LXDError as exc:
            log = _log_of(client, plan_.name) if action in ("start", "restart") else ""
            origin = _origin(plan_.source) if action == "create" else ""
            raise type(exc)(
                f"Could not {action} instance {plan_.name}{origin}: {exc}{log}",
                url=exc.url,
                method=exc.method,
                code=exc.code,
            ) from exc
        progress.append(action)
    running = plan_.after is not None and plan_.after["status"] == RUNNING
    if running and wait_for != "none":
        card = waiting.Card(plan_.desired.get("wait_interface"), plan_.desired.get("wait_family"))
        waiting.wait_for(client, plan_.name, wait_for, timeout, card)
    if plan_.after is None:
        return outcome(None, None)
    if plan_.desired.get("target") and {"create", "move"} & set(plan_.actions):
        plan_.location = (client.find(_path(plan_.name)) or {}).get("location")
    if plan_.state is not None and not plan_.actions and (wait_for == "none" or waiting.addresses(plan_.state)):
        return outcome(plan_.after, plan_.state, plan_.location)
    return outcome(plan_.after, client.find(_path(plan_.name) + "/state"), plan_.location)


def outcome(fields: Object | None, state: Object | None, location: str | None = None) -> Object:
    """What a module tells of one instance."""
    status = ((state or {}).get("status") or fields["status"]) if fields is not None else "absent"
    return {
        "exists": fields is not None,
        "status": RUNNING if status in flavours.RUNNING else status,
        "addresses": waiting.addresses(state) if state else {},
        # LXD says "none" where there is no cluster.
        "location": None if location == "none" else location,
    }


# -- reading -------------------------------------------------------------------------------------------------------


def settle(client: LXDClient, names: t.Collection[str], timeout: float) -> None:
    """Wait for what an earlier run, or somebody else, has begun with these instances and LXD is still at."""
    wanted = set(names)
    deadline = time.monotonic() + timeout
    running = (client.get("/1.0/operations", recursion=1) or {}).get("running") or []
    for operation in running:
        if operation.get("class") == "token" or operation.get("description") in (
            "Executing command",
            "Showing console",
        ):
            continue
        touched = {
            path.partition("?")[0].rpartition("/")[2]
            for key in ("instances", "containers")
            for path in (operation.get("resources") or {}).get(key) or []
        }
        if touched & wanted:
            try:
                client.wait("/1.0/operations/" + operation["id"], max(1.0, deadline - time.monotonic()))
            except LXDTimeout:
                raise
            except LXDError:
                continue  # How it ended shows in the state that is read next.


def read_all(client: LXDClient) -> dict[str, Object]:
    """All instances of the project with their state, in one request."""
    return {item["name"]: item for item in client.get("/1.0/instances", recursion=2)}


def read_one(client: LXDClient, name: str) -> Object | None:
    actual = client.find(_path(name))
    if actual is not None:
        actual["state"] = client.find(_path(name) + "/state")
    return actual
