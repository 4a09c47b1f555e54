# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""What site_secret does with a store, wherever the store lies: on the host of the module, or on the controller."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils._secret_store import (
    NAME,
    Store,
    StoreError,
    generate,
    rpcauth_line,
)

BACKENDS = ["directory", "pass", "vault"]
ARGUMENT_SPEC: dict[str, t.Any] = {
    "site": {"type": "str", "required": True},
    "secrets": {
        "type": "list",
        "elements": "dict",
        "no_log": False,
        "options": {
            "name": {"type": "str", "required": True},
            "kind": {
                "type": "str",
                "choices": ["hex", "base64", "password", "text", "rpcauth"],
                "default": "password",
            },
            "length": {"type": "int", "default": 32},
            # Not no_log: the result is the secret itself, and the task as a whole must have no_log.
            "value": {"type": "str", "no_log": False},
            "update": {"type": "bool", "default": False},
            "replaces": {"type": "str", "no_log": False},
            "user": {"type": "str"},
            "password": {"type": "str", "no_log": False},
        },
    },
    "state": {"type": "str", "choices": ["present", "read", "found", "copied", "absent"], "default": "present"},
    "may_create": {"type": "bool", "default": True},
    "confirm": {"type": "str"},
    "backend": {"type": "str", "choices": BACKENDS, "default": "directory"},
    "directory": {"type": "path", "default": "/var/lib/bcm/sites"},
    "endpoints": {"type": "list", "elements": "str"},
    "leaving": {"type": "str"},
    # What the action plugin asks of one endpoint.
    "_copy": {"type": "dict"},
    "prefix": {"type": "str", "default": "bcm"},
    "vault": {"type": "path"},
    "vault_id": {"type": "str"},
}
REQUIRED_IF = [
    ("state", "present", ["secrets"]),
    ("state", "read", ["secrets"]),
    ("state", "found", ["secrets"]),
    ("backend", "vault", ["vault"]),
]
SITE = re.compile(r"[a-z][a-z0-9-]{0,19}")
PLACEHOLDER = "(would be made)"


def check_request(site: str, wanted: list[dict[str, t.Any]], state: str, confirm: str | None) -> None:
    """Refuse what makes no sense, all of it at once, before the store is looked at."""
    errors = []
    if not SITE.fullmatch(site):
        errors.append(f"site: {site!r} is not a name of a site (a small letter, then small letters, digits, dashes).")
    if state == "absent" and confirm != site:
        errors.append(
            f"confirm: to remove secrets of site {site!r}, set confirm to {site!r}. They cannot be made again."
        )
    names = [item["name"] for item in wanted]
    for name in sorted(set(names)):
        if not NAME.fullmatch(name):
            errors.append(f"{name!r} is not a name of a secret (small letters, digits, dots, dashes, underscores).")
        if names.count(name) > 1:
            errors.append(f"{name}: stands in the list twice.")
    for item in wanted if state != "absent" else []:
        name, kind = item["name"], item["kind"]
        if item.get("value") is not None and kind != "text":
            errors.append(f"{name}: a value goes with kind text, not {kind}.")
        if item.get("update") and item.get("value") is None:
            errors.append(f"{name}: update needs a value.")
        if item.get("replaces") is not None and not item.get("update"):
            errors.append(f"{name}: replaces goes with update.")
        if item.get("value") == "":
            errors.append(f"{name}: the value is empty.")
        if kind == "rpcauth" and not (item.get("user") and item.get("password")):
            errors.append(f"{name}: kind rpcauth needs user and password.")
        if not 8 <= item["length"] <= 4096:
            errors.append(f"{name}: length {item['length']} is not between 8 and 4096.")
    if errors:
        raise StoreError("\n".join(errors))


class Secrets:
    """Has the wanted secrets, making what may be made."""

    def __init__(self, store: Store, site: str, may_create: bool, check_mode: bool) -> None:
        self.store = store
        self.site = site
        self.may_create = may_create
        self.check_mode = check_mode
        self.made: list[str] = []

    def have(self, wanted: list[dict[str, t.Any]], create: bool) -> dict[str, str]:
        # Before the secrets are looked at: another run may be making some right now.
        recorded = self.store.made()
        values = {item["name"]: self.store.read(item["name"]) for item in wanted}
        missing = [name for name, value in values.items() if value is None]
        stale = [
            item["name"] for item in wanted if item.get("update") and values[item["name"]] not in (None, item["value"])
        ]
        # A run that was killed at the right moment has made a secret without having noted that.
        unrecorded = set(values) - set(missing) - recorded
        if missing or ((stale or unrecorded) and create):
            if not create:
                raise StoreError(
                    f"{self.store.where} lacks these secrets of site {self.site}: {', '.join(missing)}.{self._away()}"
                )
            self._refuse(missing, recorded)
            if (missing or stale) and self.store.closed:
                raise StoreError(self.store.closed)
            if self.check_mode:
                self.made = missing + stale
                values.update(
                    {item["name"]: item.get("value") or PLACEHOLDER for item in wanted if item["name"] in self.made}
                )
            else:
                with self.store.lock():
                    self._make(wanted, values)
        return {item["name"]: self._present(item, values) for item in wanted}

    def _refuse(self, missing: list[str], recorded: set[str]) -> None:
        lost = sorted(set(missing) & recorded)
        if lost:
            raise StoreError(
                f"These secrets of site {self.site} were made once and are gone from {self.store.where}: "
                f"{', '.join(lost)}.{self._away()} Restore them from a backup: new ones would not fit the site's data."
            )
        if missing and self.store.doubtful:
            raise StoreError(
                f"These secrets of site {self.site} are not in {self.store.where}: {', '.join(missing)}.{self._away()} "
                "They may lie there, so no new ones were made."
            )
        if missing and not self.may_create and not self.store.names():
            raise StoreError(
                f"The site {self.site} exists and its secrets do not: {self.store.where} is empty or missing."
                f"{self._away()} Restore it from a backup, or correct where it is looked for. No new secrets were made, "
                "because they would not fit the site's data."
            )

    def _refuse_overtaken(self, item: dict[str, t.Any], value: str | None) -> None:
        """What a new value was made from has to be what lies there still."""
        if item.get("replaces") is not None and (value or "") not in (item["replaces"], item["value"]):
            raise StoreError(
                f"{item['name']} in {self.store.where} was changed by another run since it was read. Nothing was "
                "written. Run this again."
            )

    def _away(self) -> str:
        return f" {self.store.away}" if self.store.away else ""

    def _make(self, wanted: list[dict[str, t.Any]], values: dict[str, str | None]) -> None:
        """Under the lock: what another run has made meanwhile counts."""
        for item in wanted:
            self._refuse_overtaken(item, self.store.read(item["name"]))
        for item in wanted:
            name = item["name"]
            value = self.store.read(name)
            if value is None:
                if item["kind"] == "text" and item.get("value") is None:
                    raise StoreError(f"{name}: is not in {self.store.where} yet, and no value was given.")
                value = item["value"] if item["kind"] == "text" else generate(item["kind"], item["length"])
                self.store.create(name, value)
                self.made.append(name)
            elif item.get("update") and value != item["value"]:
                value = item["value"]
                self.store.replace(name, value)
                self.made.append(name)
            values[name] = value
        if unrecorded := set(values) - self.store.made():
            self.store.record(self.store.made() | unrecorded)

    def _present(self, item: dict[str, t.Any], values: dict[str, str | None]) -> str:
        value = t.cast(str, values[item["name"]])
        if item["kind"] == "hex" and value != PLACEHOLDER and not re.fullmatch(r"([0-9a-f]{2})+", value):
            raise StoreError(f"{item['name']} in {self.store.where} is not hexadecimal. Restore it from a backup.")
        if item["kind"] != "rpcauth" or value == PLACEHOLDER:
            return value
        password = values.get(item["password"]) or self.store.read(item["password"])
        if password == PLACEHOLDER:
            return PLACEHOLDER
        if password is None:
            raise StoreError(f"{item['name']}: the secret {item['password']!r}, its password, does not exist.")
        return rpcauth_line(item["user"], password, value)


def remove(store: Store, names: list[str] | None, check_mode: bool) -> list[str]:
    present = [name for name in store.names() if names is None or name in names]
    recorded = [name for name in store.made() if names is None or name in names]
    if (present or recorded) and not check_mode:
        with store.lock():
            for name in sorted({*present, *recorded}):
                store.remove(name)
    return present


def work(
    options: t.Mapping[str, t.Any], open_store: t.Callable[[], Store], check_mode: bool, no_log: bool
) -> dict[str, t.Any]:
    """Do what the options ask for, and return the result of the task; StoreError says why not."""
    site, state = options["site"], options["state"]
    if state == "copied":
        raise StoreError("State copied is for a site on several endpoints, which all have its secrets (endpoints).")
    if state != "absent" and not no_log:
        raise StoreError("The result would show the secrets: give the task no_log, set to true.")
    check_request(site, options["secrets"] or [], state, options["confirm"])
    store = open_store()
    if state == "absent":
        names = [item["name"] for item in options["secrets"]] if options["secrets"] is not None else None
        removed = remove(store, names, check_mode)
        return {"changed": bool(removed), "made": [], "removed": removed, "store": store.where}
    keeper = Secrets(store, site, options["may_create"], check_mode)
    wanted = options["secrets"]
    if state == "found":
        wanted = [item for item in wanted if store.read(item["name"]) is not None]
    values = keeper.have(wanted, create=state == "present")
    return {
        "changed": bool(keeper.made),
        "secrets": values,
        "made": keeper.made,
        "removed": [],
        "store": store.where,
    }
