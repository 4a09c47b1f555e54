# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""Instances: planning what is to be done with one (pure), and doing it."""

from __future__ import annotations

import dataclasses
import re
import time
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_wait as waiting
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


@dataclasses.dataclass
class Plan:
    """What is to be done with one instance."""

    desired: Object
    actions: list[str]
    before: Object | None
    after: Object | None
    errors: list[str] = dataclasses.field(default_factory=list)
    source: Object = dataclasses.field(default_factory=dict)
    state: Object | None = None

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


def plan(desired: Object, actual: Object | None) -> Plan:
    """Compare. None in desired is: not mentioned."""
    label = f"instance {desired['name']}"
    errors = resource.config_errors(desired.get("config"), label)
    for name, device in (desired.get("devices") or {}).items():
        if device is not None:
            errors += resource.config_errors(device, f"{label}, device {name}")
    if errors:
        return Plan(desired, [], None, None, errors)
    state = desired.get("state") or "started"
    if actual is None:
        return _plan_new(desired, state)
    owner = resource.owner_error(label, actual.get("config"), desired.get("config"))
    if owner:
        return Plan(desired, [], None, None, [owner])
    status = actual.get("status") or STOPPED
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
    actions = list(_POWER[state].get(status, []))
    if after != before:
        # Not every change can be made to a running instance; before a restart it is made, after a stop it may be.
        actions.insert(len(actions) if state == "stopped" else 0, "update")
    after["status"] = _STATUS.get(state, status)
    return Plan(desired, actions, before, after, errors)


def _plan_new(desired: Object, state: str) -> Plan:
    if state == "absent":
        return Plan(desired, [], None, None)
    errors = []
    if not desired.get("image"):
        errors.append(f"instance {desired['name']} does not exist, and no image is given to make it from")
    after = _fields(merged(desired, {"name": desired["name"]}), _STATUS.get(state, STOPPED))
    after["type"] = desired.get("type") or "container"
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


# -- doing ---------------------------------------------------------------------------------------------------------


def _path(name: str) -> str:
    return api_path("instances", name)


def _create(client: LXDClient, plan_: Plan, timeout: float) -> None:
    desired = plan_.desired
    body: Object = {"name": plan_.name, "source": plan_.source}
    if plan_.after is not None:
        body["type"] = plan_.after["type"]
        body["config"] = plan_.after["config"]
        body["devices"] = plan_.after["devices"]
    for field in ("description", "ephemeral", "profiles"):
        if desired.get(field) is not None:
            body[field] = desired[field]
    client.post("/1.0/instances", body, query={"target": desired.get("target")}, timeout=timeout)


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
            if now["status"] != RUNNING:
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


def _step(client: LXDClient, plan_: Plan, action: str, timeout: float) -> None:
    if action == "create":
        _create(client, plan_, timeout)
    elif action == "update":
        _change(client, plan_)
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
            _step(client, plan_, action, timeout)
        except LXDError as exc:
            log = _log_of(client, plan_.name) if action in ("start", "restart") else ""
            raise type(exc)(
                f"Could not {action} instance {plan_.name}: {exc}{log}", url=exc.url, method=exc.method, code=exc.code
            ) from exc
        progress.append(action)
    running = plan_.after is not None and plan_.after["status"] == RUNNING
    if running and wait_for != "none":
        waiting.wait_for(client, plan_.name, wait_for, timeout)
    if plan_.after is None:
        return outcome(None, None)
    if plan_.state is not None and not plan_.actions and (wait_for == "none" or waiting.addresses(plan_.state)):
        return outcome(plan_.after, plan_.state)
    return outcome(plan_.after, client.find(_path(plan_.name) + "/state"))


def outcome(fields: Object | None, state: Object | None) -> Object:
    """What a module tells of one instance."""
    return {
        "exists": fields is not None,
        "status": fields["status"] if fields is not None else "absent",
        "addresses": waiting.addresses(state) if state else {},
    }


# -- reading -------------------------------------------------------------------------------------------------------


def settle(client: LXDClient, names: t.Collection[str], timeout: float) -> None:
    """Wait for what an earlier run, or somebody else, has begun with these instances and LXD is still at."""
    wanted = set(names)
    deadline = time.monotonic() + timeout
    running = (client.get("/1.0/operations", recursion=1) or {}).get("running") or []
    for operation in running:
        if operation.get("description") in ("Executing command", "Showing console"):
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
