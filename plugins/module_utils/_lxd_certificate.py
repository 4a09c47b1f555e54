# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""The trust store of an LXD server: who may use its API over the network."""

from __future__ import annotations

import base64
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_token as tokens
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_attempt import attempt
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, api_path, certificate_der
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_objects import Object, update

_FIELDS = ("name", "type", "restricted", "projects")


def listed(client: LXDClient) -> list[Object]:
    """All certificates of the trust store, sorted by name."""
    found = client.get("/1.0/certificates", recursion=1) or []
    return sorted(found, key=lambda item: (item["name"], item["fingerprint"]))


def chosen(found: t.Sequence[Object], fingerprint: str | None, name: str | None) -> list[Object]:
    """Those of a fingerprint (its beginning is enough), or else of a name."""
    if fingerprint:
        return [item for item in found if item["fingerprint"].startswith(fingerprint.lower())]
    return [item for item in found if item["name"] == name]


def fields(item: Object) -> Object:
    shown = {key: item.get(key) for key in _FIELDS}
    shown["restricted"] = bool(item.get("restricted"))
    shown["projects"] = sorted(item.get("projects") or [])
    return shown


def merged(item: Object, desired: Object) -> Object:
    """The entry that results: what is not mentioned stays, the list of projects is taken as a whole."""
    result = fields(item)
    for key in ("name", "type", "restricted"):
        if desired.get(key) is not None:
            result[key] = desired[key]
    if desired.get("projects") is not None:
        result["projects"] = sorted(set(desired["projects"]))
    return result


def new(desired: Object) -> Object:
    return merged({"name": desired.get("name") or "", "type": "client"}, desired)


def errors_of(what: str, desired: Object, after: Object) -> list[str]:
    errors = []
    if after["projects"] and not after["restricted"]:
        errors.append(
            f"{what}: projects only count for a certificate that is restricted to them. Give restricted: true"
        )
    if desired.get("type") not in (None, "client", "metrics"):
        errors.append(f"{what}: type {desired['type']} cannot be given")
    return errors


def add(client: LXDClient, certificate: str, entry: Object) -> None:
    der = base64.b64encode(certificate_der(certificate)).decode()
    with attempt(f"trust certificate {entry.get('name') or tokens.fingerprint_of(certificate)[:12]}"):
        client.post("/1.0/certificates", {**entry, "certificate": der})


def change(client: LXDClient, fingerprint: str, desired: Object) -> None:
    def compute(item: Object) -> Object | None:
        # What is mentioned is sent, and all else of the entry as it is: Incus has a description, too.
        wanted = merged(item, desired)
        return None if wanted == fields(item) else {**item, **wanted}

    with attempt(f"change certificate {desired.get('name') or fingerprint[:12]}"):
        update(client, api_path("certificates", fingerprint), compute, {})


def remove(client: LXDClient, item: Object) -> None:
    with attempt(f"remove certificate {item['name']} ({item['fingerprint'][:12]})"):
        client.delete(api_path("certificates", item["fingerprint"]))


def fits(operation: Object, desired: Object) -> bool:
    """Whether a token that can still be used gives what is asked for."""
    request = operation["metadata"]["request"]
    have = fields({**request, "type": request.get("type") or "client"})
    return have == merged(have, desired)


def make_token(client: LXDClient, desired: Object) -> Object:
    with attempt(f"make a token for {desired['name']!r}"):
        body = {key: value for key, value in new(desired).items() if value is not None}
        operation: Object = client.post("/1.0/certificates", {**body, "token": True}, wait=False)
        return operation


def introduce(client: LXDClient, body: Object, token: str | None, password: str | None) -> None:
    """Have the server trust the certificate that the client itself shows."""
    sent = dict(body)
    if token:
        sent["trust_token" if client.has_extension("explicit_trust_token") else "password"] = token
    else:
        sent["password"] = password
    with attempt("be trusted by the server"):
        client.post("/1.0/certificates", sent)
