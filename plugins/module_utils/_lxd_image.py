# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""Images: which one an alias should stand for, and how it comes to be.

An image cannot be changed, only replaced. What it was made of is told by properties (a recipe's hash, say): an image
whose alias is missing, because a run was killed before it was set, is found again by them and not made twice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import time
import typing as t
from pathlib import Path
from urllib.parse import urlencode

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDNotFound,
    LXDTimeout,
    Multipart,
    api_path,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, PlanError, update

WRITABLE = ("auto_update", "properties", "public", "expires_at", "profiles")


@dataclasses.dataclass
class Plan:
    """What is to be done so that the aliases stand for the right image."""

    desired: Object
    actions: list[str]
    before: Object | None
    after: Object | None
    # The image that is there already, the one that it replaces, and the aliases that have to be set or moved.
    image: Object | None = None
    old: Object | None = None
    move: list[str] = dataclasses.field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.actions)


def aliases_of(image: Object | None) -> set[str]:
    return {alias["name"] for alias in (image or {}).get("aliases") or []}


def all_aliases(desired: Object) -> list[str]:
    return list(dict.fromkeys([desired["name"], *(desired.get("aliases") or [])]))


def identity_of(desired: Object) -> dict[str, str]:
    """The properties that tell what an image was made of, as far as they are desired."""
    properties = resource.merge_config(None, desired.get("properties"))
    return {key: properties[key] for key in desired.get("identity") or [] if key in properties}


def _fields(image: Object, aliases: t.Iterable[str]) -> Object:
    return {
        "fingerprint": image.get("fingerprint") or "(not known before it is made)",
        "aliases": sorted(aliases),
        "properties": dict(sorted((image.get("properties") or {}).items())),
        "public": bool(image.get("public")),
        "auto_update": bool(image.get("auto_update")),
    }


def merged(desired: Object, image: Object) -> Object:
    result = {**image, "properties": resource.merge_config(image.get("properties"), desired.get("properties"))}
    for key in ("public", "auto_update"):
        if desired.get(key) is not None:
            result[key] = desired[key]
    return result


def plan(desired: Object, images: t.Sequence[Object], fingerprint: str | None = None) -> Plan:
    """Compare. fingerprint is that of the files to import, where there are files and nothing else tells them apart."""
    errors = resource.config_errors(desired.get("properties"), f"image {desired['name']}, properties")
    if errors:
        raise PlanError(errors)
    names = all_aliases(desired)
    current = next((image for image in images if desired["name"] in aliases_of(image)), None)
    if current is None and desired["state"] == "absent" and re.fullmatch(r"[0-9a-f]{12,64}", desired["name"]):
        current = next((image for image in images if image["fingerprint"].startswith(desired["name"])), None)
    if current is not None:
        # A project may share its images with others: what is removed has to be ours as much as what is changed.
        owner = resource.owner_error(f"image {desired['name']}", current.get("properties"), desired.get("properties"))
        if owner:
            raise PlanError([owner])
    if desired["state"] == "absent":
        return _plan_absent(desired, current, names)
    identity = identity_of(desired)

    def fits(image: Object) -> bool:
        if identity:
            return all((image.get("properties") or {}).get(key) == value for key, value in identity.items())
        return fingerprint is not None and image["fingerprint"] == fingerprint

    # One from a server is what the server says it is: what we call it can be changed in place.
    remote = (desired.get("source") or {}).get("type") in ("image", "url")
    if current is not None and (remote or fits(current) or not (identity or fingerprint)):
        return _plan_keep(desired, current, None, names)
    found = [image for image in images if fits(image)]
    if found:
        # Made by a run that did not get to the alias.
        newest = max(found, key=lambda image: str(image.get("uploaded_at")))
        return _plan_keep(desired, newest, current, names)
    return _plan_new(desired, current, names)


def _before(current: Object | None) -> Object | None:
    return _fields(current, aliases_of(current)) if current is not None else None


def _plan_keep(desired: Object, image: Object, old: Object | None, names: list[str]) -> Plan:
    actions = []
    wanted = merged(desired, image)
    if _fields(wanted, ()) != _fields(image, ()):
        actions.append("update")
    move = [name for name in names if name not in aliases_of(image)]
    if move:
        actions.append("alias")
    before = _before(old if old is not None else image)
    result = Plan(desired, actions, before, _fields(wanted, aliases_of(image) | set(names)), image, old, move)
    return _with_pruning(result)


def _plan_new(desired: Object, old: Object | None, names: list[str]) -> Plan:
    source = desired.get("source")
    if not source:
        reason = "carries other properties" if old is not None else "does not exist"
        raise PlanError([f"image {desired['name']} {reason}, and no source is given to make it from"])
    after = _fields(merged(desired, {}), names)
    return _with_pruning(Plan(desired, ["create", "alias"], _before(old), after, None, old, names))


def _with_pruning(result: Plan) -> Plan:
    old = result.old
    if old is not None and result.desired.get("prune", True) and aliases_of(old) <= set(result.move):
        result.actions.append("prune")
    return result


def _plan_absent(desired: Object, current: Object | None, names: list[str]) -> Plan:
    if current is None:
        return Plan(desired, [], None, None)
    before = _fields(current, aliases_of(current))
    left = aliases_of(current) - set(names)
    if left and not current["fingerprint"].startswith(desired["name"]):
        # Others know it by another name.
        gone = [name for name in names if name in aliases_of(current)]
        return Plan(desired, ["unalias"], before, _fields(current, left), current, None, gone)
    return Plan(desired, ["delete"], before, None, current)


# -- files ---------------------------------------------------------------------------------------------------------


def files_of(source: t.Mapping[str, t.Any]) -> list[tuple[str, str]]:
    """The files of an import as parts of a form: one unified tarball, or metadata and root file system."""
    path = source["path"]
    if not source.get("metadata_path"):
        return [("image", path)]
    field = "rootfs.img" if path.endswith((".img", ".qcow2")) else "rootfs"
    return [("metadata", source["metadata_path"]), (field, path)]


def fingerprint_of(files: t.Sequence[tuple[str, str]]) -> str:
    """LXD's fingerprint of an image that is made of these files."""
    digest = hashlib.sha256()
    for _field, path in files:
        with Path(path).open("rb") as handle:
            while chunk := handle.read(1024 * 1024):
                digest.update(chunk)
    return digest.hexdigest()


# -- doing ---------------------------------------------------------------------------------------------------------


def check_source(client: LXDClient, source: t.Mapping[str, t.Any]) -> list[str]:
    """What keeps an image from being made, as sentences."""
    if source["type"] == "file":
        paths = [source[key] for key in ("path", "metadata_path") if source.get(key)]
        return [f"there is no file {path}" for path in paths if not Path(path).is_file()]
    if source["type"] == "instance":
        found = client.find(api_path("instances", source["instance"]))
        if found is None:
            return [f"there is no instance {source['instance']!r} to make it from"]
        if found["status"] != "Stopped":
            return [f"instance {source['instance']} has to be stopped before an image is made of it: {found['status']}"]
    return []


def settle(client: LXDClient, timeout: float) -> bool:
    """Wait for images that LXD is still making, for a run that was killed, say. Tells whether there were any."""
    deadline = time.monotonic() + timeout
    waited = False
    for operation in (client.get("/1.0/operations", recursion=1) or {}).get("running") or []:
        if "image" not in (operation.get("description") or "").lower():
            continue
        waited = True
        try:
            client.wait("/1.0/operations/" + operation["id"], max(1.0, deadline - time.monotonic()))
        except LXDTimeout:
            raise
        except LXDError:
            continue  # How it ended shows in the images that are read next.
    return waited


def _create(client: LXDClient, plan_: Plan, timeout: float) -> str:
    desired = plan_.desired
    source = desired["source"]
    properties = resource.merge_config(None, desired.get("properties"))
    if source["type"] == "file":
        files = files_of(source)
        headers = {"X-LXD-properties": urlencode(properties), "X-LXD-public": "1" if desired.get("public") else "0"}
        if len(files) > 1:
            return client.post("/1.0/images", data=Multipart(files), headers=headers, timeout=timeout)["fingerprint"]
        headers["X-LXD-filename"] = Path(files[0][1]).name
        with Path(files[0][1]).open("rb") as handle:
            return client.post("/1.0/images", data=handle, headers=headers, timeout=timeout)["fingerprint"]
    body: Object = {"public": bool(desired.get("public")), "auto_update": bool(desired.get("auto_update"))}
    if source["type"] == "instance":
        body["source"] = {"type": "instance", "name": source["instance"]}
        body["properties"] = properties
        if source.get("compression"):
            body["compression_algorithm"] = source["compression"]
        taken = aliases_of(plan_.old)
        # Aliases come into being with the image, where they are free.
        body["aliases"] = [{"name": name, "description": ""} for name in plan_.move if name not in taken]
    elif source["type"] == "url":
        body["source"] = {"type": "url", "mode": "pull", "url": source["url"]}
        body["properties"] = properties
    else:
        keys = ("server", "protocol", "alias", "fingerprint", "certificate", "secret", "image_type")
        body["source"] = {"type": "image", "mode": "pull"}
        body["source"].update({key: source[key] for key in keys if source.get(key)})
    return client.post("/1.0/images", body, timeout=timeout)["fingerprint"]


def _set_properties(client: LXDClient, desired: Object, fingerprint: str) -> None:
    def compute(actual: Object) -> Object | None:
        result = merged(desired, actual)
        if _fields(result, ()) == _fields(actual, ()):
            return None
        return {key: result[key] for key in WRITABLE if key in result}

    update(client, api_path("images", fingerprint), compute, {})


def _set_aliases(client: LXDClient, names: t.Iterable[str], fingerprint: str) -> None:
    for name in names:
        path = api_path("images", "aliases", name)
        alias = client.find(path)
        if alias is None:
            body = {"name": name, "target": fingerprint, "description": ""}
            client.post("/1.0/images/aliases", body)
        elif alias["target"] != fingerprint:
            client.put(path, {"target": fingerprint, "description": alias.get("description") or ""})


def _delete(client: LXDClient, fingerprint: str) -> None:
    try:
        client.delete(api_path("images", fingerprint))
    except LXDNotFound:
        return


def apply(client: LXDClient, plan_: Plan, timeout: float) -> str | None:
    """Carry out a plan. Gives the fingerprint of the image that the aliases stand for afterwards."""
    fingerprint = plan_.image["fingerprint"] if plan_.image is not None else None
    step = ""
    try:
        for step in plan_.actions:
            if step == "create":
                fingerprint = _create(client, plan_, timeout)
                # What a remote image brings along is kept, ours is laid over it, before anyone can find it by alias.
                _set_properties(client, plan_.desired, fingerprint)
            elif step == "unalias":
                for name in plan_.move:
                    client.delete(api_path("images", "aliases", name))
            elif step == "prune" and plan_.old is not None:
                _delete(client, plan_.old["fingerprint"])
            elif fingerprint is None:
                raise AssertionError(step)
            elif step == "delete":
                _delete(client, fingerprint)
                return None
            elif step == "update":
                _set_properties(client, plan_.desired, fingerprint)
            elif step == "alias":
                _set_aliases(client, plan_.move, fingerprint)
    except LXDError as exc:
        raise type(exc)(
            f"Image {plan_.desired['name']}: could not {step} it: {exc}", url=exc.url, method=exc.method, code=exc.code
        ) from exc
    return fingerprint
