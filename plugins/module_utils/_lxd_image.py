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
import http.client
import re
import time
import typing as t
from pathlib import Path
from urllib.parse import urlencode

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_time as times
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_attempt import post_with_image
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDNotFound,
    LXDTimeout,
    Multipart,
    api_path,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, PlanError, update

# LXD ignores an empty time; this one it takes, and shows as "never".
NEVER = "1970-01-01T00:00:00Z"

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
    expires = times.when(image.get("expires_at"))
    return {
        "fingerprint": image.get("fingerprint") or "(not known before it is made)",
        "aliases": sorted(aliases),
        "properties": dict(sorted((image.get("properties") or {}).items())),
        "public": bool(image.get("public")),
        "auto_update": bool(image.get("auto_update")),
        "expires_at": times.text(expires) if expires is not None else None,
    }


def merged(desired: Object, image: Object) -> Object:
    result = {**image, "properties": resource.merge_config(image.get("properties"), desired.get("properties"))}
    for key in ("public", "auto_update"):
        if desired.get(key) is not None:
            result[key] = desired[key]
    if desired.get("expires_at") is not None:
        result["expires_at"] = times.expiry(desired["expires_at"], never=NEVER)
    return result


def plan(desired: Object, images: t.Sequence[Object], fingerprint: str | None = None) -> Plan:
    """Compare. fingerprint is that of what is to be imported or copied, where nothing else tells that apart."""
    errors = resource.config_errors(desired.get("properties"), f"image {desired['name']}, properties")
    try:
        merged({"expires_at": desired.get("expires_at")}, {})
    except ValueError as exc:
        errors.append(f"image {desired['name']}: {exc}")
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
        if source.get("snapshot"):
            # What a snapshot holds does not change, whatever the instance does.
            path = api_path("instances", source["instance"], "snapshots", source["snapshot"])
            missing = client.find(path) is None
            return [f"instance {source['instance']} has no snapshot {source['snapshot']!r}"] if missing else []
        if found["status"] != "Stopped":
            return [f"instance {source['instance']} has to be stopped before an image is made of it: {found['status']}"]
    return []


def origin(client: LXDClient, source: t.Mapping[str, t.Any]) -> LXDClient:
    """A client of the LXD, and of its project, that an image is to be copied from."""
    project = source.get("project") or "default"
    if not source.get("server"):
        return client.clone(project=project)
    return LXDClient(
        source["server"],
        project=project,
        client_cert=source.get("client_cert"),
        client_key=source.get("client_key"),
        server_cert=source.get("certificate"),
        timeout=client.timeout,
    )


def original(source_client: LXDClient, source: t.Mapping[str, t.Any]) -> Object:
    """The image that is to be copied. Raises a PlanError where there is none."""
    wanted = source.get("fingerprint")
    if not wanted:
        alias = source_client.find(api_path("images", "aliases", source["alias"]))
        wanted = alias["target"] if alias else None
    found = source_client.find(api_path("images", wanted)) if wanted else None
    if found is None:
        called = source.get("alias") or source.get("fingerprint")
        raise PlanError([f"LXD at {source_client.url} has no image {called!r} in project {source_client.project}"])
    return found


def _chunks(response: http.client.HTTPResponse, what: str) -> t.Iterator[bytes]:
    try:
        while chunk := response.read(Multipart.CHUNK):
            yield chunk
        if response.length:
            # Python takes a connection that ends too early for the end of the content.
            raise ConnectionError(f"{response.length} bytes are missing")
    except (http.client.HTTPException, OSError) as exc:
        raise LXDError(f"the download of {what} broke off: {str(exc) or type(exc).__name__}") from exc


def _copy(client: LXDClient, desired: Object, timeout: float) -> str:
    """What one LXD exports goes to the other as it comes, in memory a piece at a time.

    The one need not be able to reach the other, and what is private stays that way.
    """
    source = desired["source"]
    with origin(client, source) as there, client.clone() as here:
        image = original(there, source)
        path = api_path("images", image["fingerprint"], "export")
        status, headers, response = there.raw("GET", path, stream=True, timeout=timeout)
        try:
            if status != 200:
                raise LXDError(
                    f"LXD at {there.url} answered {status} to GET {path}", url=path, method="GET", code=status
                )
            properties = resource.merge_config(image.get("properties"), desired.get("properties"))
            fields = {"properties": urlencode(properties), "public": "1" if desired.get("public") else "0"}
            # The parts of a split image have the same names in an export as in an import.
            kind = headers.get("content-type", "application/octet-stream")
            if not kind.startswith("multipart/"):
                fields["filename"] = image.get("filename") or image["fingerprint"]
            sent = {**here.flavour.headers(fields), "Content-Type": kind}
            if "content-length" in headers:
                sent["Content-Length"] = headers["content-length"]
            data = _chunks(response, f"image {image['fingerprint'][:12]} from {there.url}")
            made = here.post("/1.0/images", data=data, headers=sent, timeout=timeout)["fingerprint"]
        finally:
            response.close()
    if made != image["fingerprint"]:
        raise LXDError(f"what arrived is {made[:12]}, not {image['fingerprint'][:12]}")
    return made


def settle(client: LXDClient, timeout: float) -> bool:
    """Wait for images that LXD is still making, for a run that was killed, say. Tells whether there were any."""
    deadline = time.monotonic() + timeout
    waited = False
    for operation in (client.get("/1.0/operations", recursion=1) or {}).get("running") or []:
        # A token is an operation too. It runs until somebody uses it: a cluster leaves such behind.
        if operation.get("class") == "token" or "image" not in (operation.get("description") or "").lower():
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
        fields = {"properties": urlencode(properties), "public": "1" if desired.get("public") else "0"}
        if len(files) == 1:
            fields["filename"] = Path(files[0][1]).name
        headers = client.flavour.headers(fields)
        if len(files) > 1:
            return client.post("/1.0/images", data=Multipart(files), headers=headers, timeout=timeout)["fingerprint"]
        with Path(files[0][1]).open("rb") as handle:
            return client.post("/1.0/images", data=handle, headers=headers, timeout=timeout)["fingerprint"]
    if source["type"] == "copy":
        return _copy(client, desired, timeout)
    body: Object = {"public": bool(desired.get("public")), "auto_update": bool(desired.get("auto_update"))}
    if source["type"] == "instance":
        body["source"] = {"type": "instance", "name": source["instance"]}
        if source.get("snapshot"):
            body["source"] = {"type": "snapshot", "name": f"{source['instance']}/{source['snapshot']}"}
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
    return post_with_image(client, "/1.0/images", body, timeout=timeout)["fingerprint"]


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
