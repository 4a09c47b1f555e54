# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""The modules that only read."""

from __future__ import annotations

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_image as images
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_members as parts
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_wait as waiting
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDError, api_path
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_module import LXDModule
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import NETWORK, POOL, VOLUME, Kind, Object

Reader = t.Callable[[LXDClient, t.Mapping[str, t.Any]], list[Object]]


def _list(client: LXDClient, path: str, **query: t.Any) -> list[Object]:
    return client.get(path, recursion=1, **query) or []


def read_kind(kind: Kind, client: LXDClient, params: t.Mapping[str, t.Any]) -> list[Object]:
    query = kind.query(params.get("project"))
    if kind is VOLUME:
        return read_volumes(client, params)
    items = _list(client, api_path(kind.collection), **query)
    if params.get("name"):
        items = [item for item in items if item["name"] == params["name"]]
    if kind is POOL:
        for item in items:
            found = client.find(api_path("storage-pools", item["name"], "resources"), **query) or {}
            item["space"] = found.get("space") or {}
    cluster = parts.read_cluster(client) if kind in (POOL, NETWORK) else None
    if cluster is not None:
        for item in items:
            item["members"] = parts.read_parts(client, kind, item, item, cluster).own_parts(kind)
    return items


def read_volumes(client: LXDClient, params: t.Mapping[str, t.Any]) -> list[Object]:
    pools = [params["pool"]] if params.get("pool") else _pool_names(client)
    found = []
    for pool in pools:
        path = api_path("storage-pools", pool, "volumes", "custom")
        for item in _list(client, path):
            # Some versions list snapshots too, as VOLUME/SNAPSHOT.
            if "/" not in item["name"] and params.get("name") in (None, item["name"]):
                used = _usage(client, f"{path}{_tail(item['name'])}", item.get("location"))
                found.append({**item, "pool": pool, "used": used})
    return found


def _tail(name: str) -> str:
    return api_path(name).removeprefix("/1.0")


def _pool_names(client: LXDClient) -> list[str]:
    return [item["name"] for item in _list(client, "/1.0/storage-pools", project="default")]


def _usage(client: LXDClient, path: str, location: str | None) -> int | None:
    try:
        # A server that is in no cluster gives "none" for where it is.
        state = client.get(path + "/state", target=None if location in (None, "", "none") else location)
    except LXDError:
        return None  # Not every driver, and not every state of a pool, can tell.
    return ((state or {}).get("usage") or {}).get("used")


def read_images(client: LXDClient, params: t.Mapping[str, t.Any]) -> list[Object]:
    if params.get("settle_timeout"):
        images.settle(client, params["settle_timeout"])
    found = []
    for item in _list(client, "/1.0/images"):
        item["aliases"] = sorted(alias["name"] for alias in item.get("aliases") or [])
        name = params.get("name")
        if name is None or name in item["aliases"] or item["fingerprint"].startswith(name):
            found.append({**item, "name": item["fingerprint"]})
    return found


def read_instances(client: LXDClient, params: t.Mapping[str, t.Any]) -> list[Object]:
    found = []
    for item in client.get("/1.0/instances", recursion=2):
        if params.get("name") in (None, item["name"]):
            found.append({**item, "addresses": waiting.addresses(item.get("state") or {})})
    return found


def info_module(key: str, reader: Reader, spec: dict[str, t.Any] | None = None, *, project: bool = True) -> None:
    """The whole of a module that reads."""

    def run(lxd: LXDModule) -> dict[str, t.Any]:
        items = sorted(reader(lxd.client, lxd.params), key=lambda item: item["name"])
        return {"changed": False, key: items}

    LXDModule({"name": {"type": "str"}, **(spec or {})}, project=project).run(run)


def info_of_kind(kind: Kind, key: str) -> None:
    spec = {"pool": {"type": "str"}} if kind is VOLUME else {}
    info_module(key, lambda client, params: read_kind(kind, client, params), spec, project=kind.in_project)
