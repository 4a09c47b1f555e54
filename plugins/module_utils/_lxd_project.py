# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""What a project holds, and what that keeps from being done with it."""

from __future__ import annotations

import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_objects as objects
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_resource as resource
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDError, api_path
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import PROJECT, Object

# The one feature that LXD turns on in a project that holds something.
_CAN_BE_ENABLED = ("features.networks.zones",)


def _is_on(config: t.Mapping[str, str], *keys: str) -> bool:
    """Whether a project has its own of something. The first key that is there decides."""
    return next((config[key] == "true" for key in keys if key in config), False)


def _names(client: LXDClient, path: str, project: str) -> list[str]:
    try:
        items = client.get(path, recursion=1, project=project)
    except LXDError:
        return []  # Not every pool has such things.
    return [item["name"] for item in items or []]


def with_contents(client: LXDClient, actual: Object) -> Object:
    """A project with all that it holds in used_by.

    LXD itself forgets buckets and network zones in some versions, and then removes the project over them.
    """
    name, config = actual["name"], actual.get("config") or {}
    if name == "default":
        return actual
    found = list(actual.get("used_by") or [])
    missing = []
    if _is_on(config, "features.storage.buckets") and client.has_extension("storage_buckets"):
        for pool in _names(client, "/1.0/storage-pools", "default"):
            path = api_path("storage-pools", pool, "buckets")
            missing += [path + api_path(bucket).removeprefix("/1.0") for bucket in _names(client, path, name)]
    if _is_on(config, "features.networks.zones", "features.networks") and client.has_extension("network_dns"):
        missing += [api_path("network-zones", zone) for zone in _names(client, "/1.0/network-zones", name)]
    known = {url.partition("?")[0] for url in found}
    found += [f"{path}?project={name}" for path in missing if path not in known]
    return {**actual, "used_by": found}


def feature_errors(desired: Object, actual: Object) -> list[str]:
    """Features that LXD would refuse to change, as sentences that name what is in the way."""
    config = actual.get("config") or {}
    changed = {}
    for key, raw in (desired.get("config") or {}).items():
        value = resource.to_lxd(raw)
        if str(key).startswith("features.") and value != config.get(key):
            changed[str(key)] = value
    if not changed:
        return []
    if actual["name"] == "default":
        return [f"project default: its features cannot be changed: {', '.join(sorted(changed))}"]
    users = objects.in_use_by(PROJECT, desired, actual)
    errors = []
    for key, value in sorted(changed.items()):
        off = config.get(key) == "true"
        on = config.get(key) == "false" and value == "true" and key not in _CAN_BE_ENABLED
        if users and (off or on):
            errors.append(
                f"project {actual['name']}: {key} is {config[key]} and can become {value or 'unset'} only while the project "
                f"is empty. In it: {', '.join(users)}"
            )
    return errors
