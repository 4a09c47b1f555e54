# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""Projects, storage pools, volumes, networks and profiles: planning a change, and carrying it out.

They are alike: a name, a description, a configuration, perhaps devices. plan() is pure; apply() speaks to LXD.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t
from urllib.parse import parse_qs, urlsplit

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_attempt import delete_network
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDNotFound,
    LXDPreconditionFailed,
    api_path,
)

Object = dict[str, t.Any]


class PlanError(Exception):
    """What is desired cannot be had. Nothing was touched. result: what the module returns beside the errors."""

    def __init__(self, errors: list[str], **result: t.Any) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors
        self.result = result


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of LXD's objects."""

    name: str
    collection: str
    in_project: bool = False
    # Fields besides the configuration that can be changed, and those that are given at creation only.
    devices: bool = False
    fixed: t.Mapping[str, str] = dataclasses.field(default_factory=dict)

    def label(self, desired: Object) -> str:
        if self.name == "volume":
            return f"volume {desired['pool']}/{desired['name']}"
        return f"{self.name} {desired['name']}"

    def list_path(self, desired: Object) -> str:
        if self.name == "volume":
            return api_path("storage-pools", desired["pool"], "volumes", "custom")
        return api_path(self.collection)

    def path(self, desired: Object) -> str:
        return self.list_path(desired) + api_path(desired["name"]).removeprefix("/1.0")

    def query(self, project: str | None) -> dict[str, str | None]:
        # Pools and networks live outside of projects; asking for them within one is refused or answers something else.
        if self.in_project:
            return {"project": project or "default"}
        return {"project": "default"} if self.name in ("network", "storage pool") else {"project": None}


PROJECT = Kind("project", "projects")
POOL = Kind("storage pool", "storage-pools", fixed={"driver": "btrfs"})
NETWORK = Kind("network", "networks", fixed={"type": "bridge"})
PROFILE = Kind("profile", "profiles", in_project=True, devices=True)
VOLUME = Kind("volume", "", in_project=True, fixed={"content_type": "filesystem"})
KINDS = {kind.name: kind for kind in (PROJECT, POOL, NETWORK, PROFILE, VOLUME)}


@dataclasses.dataclass
class Change:
    """What is to be done with one object."""

    kind: Kind
    desired: Object
    project: str | None
    action: str  # none, create, update, delete
    before: Object | None
    after: Object | None
    errors: list[str]

    @property
    def label(self) -> str:
        return self.kind.label(self.desired)

    @property
    def changed(self) -> bool:
        return self.action != "none"

    @property
    def query(self) -> dict[str, str | None]:
        query = self.kind.query(self.project)
        if self.kind is VOLUME and self.desired.get("target"):
            # In a cluster each member may have a volume of this name.
            query["target"] = self.desired["target"]
        return query

    def summary(self) -> dict[str, str]:
        return {"kind": self.kind.name, "name": self.desired["name"], "action": self.action}


def _same_source(desired: str, actual: t.Mapping[str, str]) -> bool:
    # LXD rewrites a device's path to one by UUID, and keeps what it was given.
    known = {actual.get("source"), actual.get("volatile.initial_source")}
    return desired in known or os.path.realpath(desired) in {os.path.realpath(path) for path in known if path}


def settle_pool(config: Object, actual: Object, errors: list[str], what: str, can_grow: bool) -> None:
    """Take out of a pool's desired keys what it has already in other words, and say what it cannot get any more."""
    current = actual.get("config") or {}
    if resource.to_lxd(config.get("size")) is not None:
        if resource.same_size(config["size"], current.get("size", "")) or "size" not in current:
            # A pool on a device or a path has no size of its own.
            del config["size"]
        elif not can_grow:
            errors.append(
                f"{what}: it has size {current['size']}, {config['size']} is asked for, and this version of LXD cannot "
                "change the size of a pool. Declare the size that it has, or make another pool."
            )
    source = resource.to_lxd(config.get("source"))
    if source is not None:
        if _same_source(source, current):
            del config["source"]
        else:
            errors.append(
                f"{what}: it lies on {current.get('volatile.initial_source', current.get('source'))}, not on {source}, "
                "and a pool cannot be moved. Declare the source that it has, or make another pool."
            )


def _settle_network(config: Object, actual: Object) -> None:
    current = actual.get("config") or {}
    for key in ("ipv4.address", "ipv6.address"):
        # "auto" is replaced by what LXD chose.
        if config.get(key) == "auto" and current.get(key, "none") != "none":
            del config[key]


def _settle_volume(config: Object, actual: Object) -> None:
    if resource.same_size(config.get("size"), (actual.get("config") or {}).get("size", "")):
        del config["size"]


def in_use_by(kind: Kind, desired: Object, actual: Object, leaving: t.Collection[str] = ()) -> list[str]:
    """What uses an object, without what LXD puts there by itself and without what is leaving too."""
    users = []
    for url in actual.get("used_by") or []:
        parts = urlsplit(url)
        project = parse_qs(parts.query).get("project", ["default"])[0]
        if kind.name == "project" and parts.path == "/1.0/profiles/default":
            continue
        if kind.name == "storage pool" and parts.path.startswith("/1.0/images/"):
            # A copy that LXD keeps to make instances faster, and removes with the pool. The image itself stays.
            continue
        # Snapshots go with what they are of.
        if f"{parts.path.partition('/snapshots/')[0]}?project={project}" in leaving:
            continue
        what = parts.path.removeprefix("/1.0/")
        own = project == "default" or (kind.name == "project" and project == desired["name"])
        users.append(what if own else f"{what} of project {project}")
    return users


def plan(
    kind: Kind,
    desired: Object,
    actual: Object | None,
    *,
    project: str | None = None,
    can_grow_pools: bool = False,
    leaving: t.Collection[str] = (),
) -> Change:
    """Compare. desired: name, state, description, config, and what the kind has; None is: not mentioned."""
    what = kind.label(desired)
    config = dict(desired.get("config") or {})
    errors = resource.config_errors(config, what)
    devices = desired.get("devices") if kind.devices else None
    for name, device in (devices or {}).items():
        if device is not None:
            errors += resource.config_errors(device, f"{what}, device {name}")
    wanted = {**desired, "config": config}

    def change(action: str, before: Object | None, after: Object | None) -> Change:
        return Change(kind, wanted, project, action, before, after, errors)

    if errors:
        return change("none", None, None)

    if actual is not None:
        owner = _owner_error(kind, desired, actual, project)
        if owner:
            errors.append(owner)
            return change("none", None, None)

    if desired.get("state", "present") == "absent":
        if actual is None:
            return change("none", None, None)
        users = in_use_by(kind, desired, actual, leaving)
        if users:
            errors.append(f"{what} cannot be removed, it is in use by: {', '.join(users)}")
        return change("delete", _fields(kind, actual), None)

    if actual is None:
        if kind is NETWORK and (desired.get("type") or "bridge") == "bridge" and len(desired["name"]) > 15:
            errors.append(f"{what}: the name of a bridge has at most 15 characters")
        return change("create", None, _new_fields(kind, wanted))

    if kind is NETWORK and not actual.get("managed", True):
        errors.append(f"{what}: the machine has an interface of this name that is not LXD's. Choose another name.")
        return change("none", None, None)
    for field in kind.fixed:
        if desired.get(field) and desired[field] != actual.get(field):
            errors.append(f"{what}: its {field} is {actual.get(field)} and cannot become {desired[field]}")
    if kind is POOL:
        settle_pool(config, actual, errors, what, can_grow_pools)
    elif kind is NETWORK:
        _settle_network(config, actual)
    elif kind is VOLUME:
        _settle_volume(config, actual)
    before = _fields(kind, actual)
    after = _fields(kind, _merged(kind, wanted, actual))
    return change("none" if before == after else "update", before, after)


def _owner_error(kind: Kind, desired: Object, actual: Object, project: str | None) -> str | None:
    config = actual.get("config")
    made_by_lxd = kind is PROFILE and desired["name"] == "default" and (project or "default") != "default"
    if made_by_lxd and resource.OWNER_KEY not in (config or {}):
        # It comes with the project, without any keys: it is whose the project is.
        return None
    return resource.owner_error(kind.label(desired), config, desired.get("config"))


def _merged(kind: Kind, desired: Object, actual: Object) -> Object:
    merged = {**actual, "config": resource.merge_config(actual.get("config"), desired.get("config"))}
    if desired.get("description") is not None:
        merged["description"] = desired["description"]
    if kind.devices:
        merged["devices"] = resource.merge_devices(actual.get("devices"), desired.get("devices"))
    return merged


def _fields(kind: Kind, source: Object) -> Object:
    fields = {"name": source["name"], "description": source.get("description") or ""}
    fields.update({field: source.get(field) for field in kind.fixed})
    fields["config"] = resource.visible_config(source.get("config"))
    if kind.devices:
        fields["devices"] = source.get("devices") or {}
    return fields


def _new_fields(kind: Kind, desired: Object) -> Object:
    fields: Object = {"name": desired["name"], "description": desired.get("description") or ""}
    fields.update({field: desired.get(field) or default for field, default in kind.fixed.items()})
    fields["config"] = resource.merge_config(None, desired.get("config"))
    if kind.devices:
        fields["devices"] = resource.merge_devices(None, desired.get("devices"))
    return fields


def update(
    client: LXDClient, path: str, compute: t.Callable[[Object], Object | None], query: t.Mapping[str, t.Any]
) -> bool:
    """Change an object as it is now: read, compute, write if nobody wrote in between, else once more."""
    for attempt in (1, 2):
        actual, etag = client.get_with_etag(path, **query)
        body = compute(actual)
        if body is None:
            return False
        try:
            client.put(path, body, etag=etag, query=query)
        except LXDPreconditionFailed:
            if attempt == 2:
                raise
        else:
            return True
    return False


@contextlib.contextmanager
def naming(change: Change) -> t.Iterator[None]:
    """Errors name the object and what was tried. What is gone already needs no removal."""
    try:
        yield
    except LXDNotFound as exc:
        if change.action != "delete":
            raise LXDError(f"Could not {change.action} {change.label}: {exc}") from exc
    except LXDError as exc:
        raise type(exc)(
            f"Could not {change.action} {change.label}: {exc}", url=exc.url, method=exc.method, code=exc.code
        ) from exc


def apply(client: LXDClient, change: Change) -> None:
    """Carry out one change. Errors name the object and what was tried."""
    kind, desired = change.kind, change.desired
    query = change.query
    with naming(change):
        if change.action == "create" and change.after is not None:
            body = dict(change.after)
            if kind is VOLUME:
                body["type"] = "custom"
            client.post(kind.list_path(desired), body, query=query)
        elif change.action == "update":

            def compute(actual: Object) -> Object | None:
                merged = _merged(kind, desired, actual)
                keys = ("description", "config", "devices") if kind.devices else ("description", "config")
                if _fields(kind, merged) == _fields(kind, actual):
                    return None
                return {key: merged[key] for key in keys if key in merged}

            update(client, kind.path(desired), compute, query)
        elif change.action == "delete" and kind is NETWORK:
            delete_network(client, kind.path(desired), query)
        elif change.action == "delete":
            client.delete(kind.path(desired), query=query)


def taken_subnets(client: LXDClient, networks: t.Iterable[Object]) -> list[tuple[str, str]]:
    """The subnets in use on the machine: LXD's own networks, and the addresses of its other interfaces."""
    taken = []
    for network in networks:
        name = network["name"]
        if network.get("managed"):
            taken += [(f"network {name}", subnet) for subnet in resource.subnet_of(network.get("config"))]
        elif network.get("type") != "loopback":
            state = client.find(api_path("networks", name, "state"), project="default") or {}
            taken += [
                (f"interface {name} of the machine", f"{address['address']}/{address['netmask']}")
                for address in state.get("addresses") or []
                if address.get("scope") == "global"
            ]
    return taken


def with_subnet(desired: Object) -> Object:
    """A network's declared subnet as the key under which others can see it."""
    subnet = desired.get("subnet")
    if not subnet:
        return desired
    return {**desired, "config": {**(desired.get("config") or {}), resource.SUBNET_KEY: subnet}}


def conflicts(client: LXDClient, changes: t.Sequence[Change], networks: t.Sequence[Object]) -> list[str]:
    """Where subnets of networks that are to be made or moved get in the way of what is there, or of each other."""
    planned, known = [], []
    for change in changes:
        if change.errors or change.after is None:
            continue
        subnets = resource.subnet_of(change.after["config"])
        planned += [(change.label, subnet) for subnet in subnets]
        if change.before is not None and resource.subnet_of(change.before["config"]) == subnets:
            known.append(change.label)
    own = {change.desired["name"] for change in changes}
    if all(what in known for what, _subnet in planned):
        return resource.subnet_errors(planned, [], known)
    others = [network for network in networks if network["name"] not in own]
    return resource.subnet_errors(planned, taken_subnets(client, others), known)
