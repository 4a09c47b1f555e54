# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""The modules lxd_instance and lxd_instances: one plan of all, then each instance in a thread of its own."""

from __future__ import annotations

import concurrent.futures
import json
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_instance as instance
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDError, LXDNotFound
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, PlanError

SOURCE_SPEC: dict[str, t.Any] = {
    "instance": {"type": "str", "required": True},
    "snapshot": {"type": "str"},
    "project": {"type": "str"},
    "instance_only": {"type": "bool", "default": False},
}
INSTANCE_SPEC: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "state": {
        "type": "str",
        "choices": ["started", "stopped", "restarted", "frozen", "present", "absent"],
        "default": "started",
    },
    "image": {"type": "raw"},
    "source": {"type": "dict", "options": SOURCE_SPEC},
    "type": {"type": "str", "choices": ["container", "virtual-machine"]},
    "description": {"type": "str"},
    "profiles": {"type": "list", "elements": "str"},
    "config": {"type": "dict"},
    "cloud_init": {"type": "dict", "options": {option: {"type": "raw"} for option in instance.CLOUD_INIT}},
    "devices": {"type": "dict"},
    "ephemeral": {"type": "bool"},
    "target": {"type": "str"},
    "move": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "wait_for": {"type": "str", "choices": ["none", "address", "cloud-init", "agent"], "default": "none"},
    "wait_interface": {"type": "str"},
    "wait_family": {"type": "str", "choices": ["inet", "inet6"]},
}


def plan_all(
    client: LXDClient, desired: t.Sequence[Object], existing: t.Mapping[str, Object], *, check_mode: bool
) -> tuple[list[instance.Plan], list[str]]:
    """A plan for each instance, and every reason why it cannot be done."""
    plans: list[instance.Plan] = []
    errors: list[str] = []
    sources: dict[str, Object] = {}
    seen: set[str] = set()
    places: dict[str, list[str]] = {}
    for raw in desired:
        if raw["name"] in seen:
            errors.append(f"instance {raw['name']} is declared twice")
        seen.add(raw["name"])
        actual = existing.get(raw["name"])
        try:
            item = instance.with_cloud_init(raw)
            errors += _useless(item)
            members = _members(client, item, actual, places, check_mode=check_mode)
            source, base = _copied(client, item, actual, check_mode=check_mode)
        except PlanError as exc:
            errors += _named(raw["name"], exc)
            continue
        plan = instance.plan(item, actual, base=base, members=members)
        plan.state = (actual or {}).get("state")
        plan.location = (actual or {}).get("location")
        plan.source, plan.base = source, base
        errors += plan.errors
        if "create" in plan.actions and item.get("image") and not check_mode:
            # In check mode the image may be one that would have been made a moment ago.
            try:
                key = json.dumps(item["image"], sort_keys=True)
                if key not in sources:
                    sources[key] = instance.resolve_image(client, item["image"])
                plan.source = sources[key]
            except PlanError as exc:
                errors += _named(item["name"], exc)
        plans.append(plan)
    if not check_mode:
        errors += missing_profiles(client, plans)
    return plans, errors


def _named(name: str, exc: PlanError) -> list[str]:
    label = f"instance {name}"
    return [error if error.startswith(label) else f"{label}: {error}" for error in exc.errors]


def _useless(item: Object) -> list[str]:
    """Options that say nothing without another one."""
    errors = []
    if item.get("image") and item.get("source"):
        errors.append(f"instance {item['name']}: it is made from an image or from another instance, not from both")
    if item.get("move") and not item.get("target"):
        errors.append(f"instance {item['name']}: move says nothing without a target")
    if (item.get("wait_interface") or item.get("wait_family")) and item.get("wait_for") != "address":
        errors.append(f"instance {item['name']}: wait_interface and wait_family go with wait_for=address only")
    return errors


def _members(
    client: LXDClient, item: Object, actual: Object | None, places: dict[str, list[str]], *, check_mode: bool
) -> list[str] | None:
    """The members that fit a target, where that is of interest."""
    target = item.get("target")
    if not target or item.get("state") == "absent" or (actual is not None and not item.get("move")):
        return None
    if target not in places:
        try:
            places[target] = instance.resolve_target(client, target)
        except PlanError:
            # In check mode it may be one that would have been made a moment ago.
            if not check_mode:
                raise
            places[target] = []
    return places[target]


def _copied(
    client: LXDClient, item: Object, actual: Object | None, *, check_mode: bool
) -> tuple[Object, Object | None]:
    """What a new instance is a copy of, if it is one."""
    if actual is not None or not item.get("source") or item.get("state") == "absent":
        return {}, None
    try:
        return instance.resolve_source(client, item["source"])
    except PlanError:
        if not check_mode:
            raise
        return {}, None


def missing_profiles(client: LXDClient, plans: t.Sequence[instance.Plan]) -> list[str]:
    """Profiles that instances are to get and that do not exist. In check mode they may be as an image may."""
    getting = [plan for plan in plans if {"create", "update"} & set(plan.actions) and _profiles(plan)]
    if not getting:
        return []
    existing = {item["name"] for item in client.get("/1.0/profiles", recursion=1)}
    return [
        f"{plan.label}: project {client.project or 'default'} has no profile {name!r}"
        for plan in getting
        for name in _profiles(plan)
        if name not in existing
    ]


def _profiles(plan: instance.Plan) -> list[str]:
    """Those that are asked for; of a copy also those that it brings along."""
    if plan.source.get("type") == "copy" and plan.after is not None:
        return plan.after["profiles"] or []
    return plan.desired.get("profiles") or []


def _results(plans: t.Sequence[instance.Plan]) -> dict[str, Object]:
    """What check mode tells: what would be done, and what there is now."""
    return {
        plan.name: {
            "changed": plan.changed,
            "actions": plan.actions,
            **instance.outcome(plan.before, plan.state, plan.location),
        }
        for plan in plans
    }


def _do(client: LXDClient, plan: instance.Plan, timeout: float) -> Object:
    done: list[str] = []
    with client.clone() as own:
        try:
            result = instance.apply(own, plan, plan.desired.get("timeout") or timeout, done)
        except LXDError as exc:
            # What the thread got to is told, also where it failed.
            result = {"exists": plan.before is not None or "create" in done, "status": "unknown", "addresses": {}}
            result["location"] = None
            result["error"] = str(exc)
    return {"changed": bool(done), "actions": done, **result}


def _existing(lxd: LXDModule, names: t.Collection[str]) -> dict[str, Object]:
    client = lxd.client
    try:
        if not lxd.check_mode:
            instance.settle(client, names, lxd.params["timeout"])
        if len(names) > 1:
            return instance.read_all(client)
        return {name: actual for name in names if (actual := instance.read_one(client, name)) is not None}
    except LXDNotFound:
        if lxd.check_mode and not client.project_exists():
            return {}
        raise


def _run(lxd: LXDModule, desired: t.Sequence[Object], threads: int) -> tuple[dict[str, t.Any], list[str]]:
    existing = _existing(lxd, {item["name"] for item in desired})
    plans, errors = plan_all(lxd.client, desired, existing, check_mode=lxd.check_mode)
    if errors:
        raise PlanError(errors)
    changed = sorted((plan for plan in plans if plan.changed), key=lambda plan: plan.name)
    result: dict[str, t.Any] = {
        "diff": {
            "before": {p.label: resource.visible(p.before) if p.before is not None else "absent" for p in changed},
            "after": {p.label: resource.visible(p.after) if p.after is not None else "absent" for p in changed},
        }
    }
    results = _results(plans)
    if not lxd.check_mode and plans:
        with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, min(threads, len(plans)))) as pool:
            futures = {plan.name: pool.submit(_do, lxd.client, plan, lxd.params["timeout"]) for plan in plans}
            results = {name: future.result() for name, future in futures.items()}
    result["instances"] = results
    result["changed"] = any(item["changed"] for item in results.values())
    return result, [f"{item['error']}" for item in results.values() if item.get("error")]


def run_many(lxd: LXDModule) -> dict[str, t.Any]:
    result, errors = _run(lxd, lxd.params["instances"], lxd.params["threads"])
    if errors:
        result.pop("diff")
        failed = [name for name, item in result["instances"].items() if item.get("error")]
        lxd.fail_list(f"{len(failed)} of {len(result['instances'])} instances failed", errors, **result)
    return result


def run_single(lxd: LXDModule) -> dict[str, t.Any]:
    desired = {key: lxd.params[key] for key in INSTANCE_SPEC}
    result, errors = _run(lxd, [desired], 1)
    only = result["instances"][desired["name"]]
    only.pop("error", None)
    if errors:
        lxd.module.fail_json(msg=errors[0], **only)
    return {**only, "diff": result["diff"]}
