#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: site_secret
short_description: Make the secrets of a site once, and read them ever after
description:
  - Keeps the secrets of a site in a store on the host that it runs on, which is the site's leader. Whoever operates
    the site gets the same ones, without a file on the controller.
  - A secret is made when it is asked for the first time. Two runs at once make one secret, and a run that is killed
    leaves a whole secret or none.
  - The store remembers which secrets were made in it. One that was made and is gone is an error, never made anew.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
attributes:
  check_mode:
    support: full
    description: Makes nothing. For a secret that would be made, a value is returned that says so.
  diff_mode:
    support: none
    description: Secrets are not shown.
  idempotent:
    support: full
    description: A secret that exists is returned as it is.
options:
  site:
    description: Name of the site.
    type: str
    required: true
  secrets:
    description:
      - The secrets that are wanted.
      - With O(state=absent) and without this, all secrets of the site are removed.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the secret, of small letters, digits, dots, dashes and underscores.
        type: str
        required: true
      kind:
        description:
          - V(hex) and V(base64) are random bytes in that form, V(password) is letters and digits.
          - V(text) is a secret that comes from elsewhere, given in O(secrets[].value).
          - V(rpcauth) is the line for bitcoind's C(rpcauth) option, with the hash of another secret. What is stored is
            its salt, so that the line stays the same.
        type: str
        choices: [hex, base64, password, text, rpcauth]
        default: password
      length:
        description: Number of random bytes, of a V(password) the number of its characters.
        type: int
        default: 32
      value:
        description: The value of a V(text), stored unless there is one already.
        type: str
      update:
        description: Replace a V(text) that is stored by the O(secrets[].value) given.
        type: bool
        default: false
      user:
        description: User of the V(rpcauth) line.
        type: str
      password:
        description: Name of the secret, in this list or in the store, that is the password of the V(rpcauth) line.
        type: str
  state:
    description:
      - V(present) makes what is missing and returns all. V(read) returns all and fails if one is missing.
      - V(absent) removes them, and needs O(confirm).
    type: str
    choices: [present, read, absent]
    default: present
  may_create:
    description:
      - Say V(false) when the site exists already. Then a store without any secret is an error, because it was lost or
        is looked for in the wrong place, and new secrets would not fit the site's data.
      - A secret that the store never had, of a part that was added to the site, is made all the same.
    type: bool
    default: true
  confirm:
    description: The name of the site once more, for O(state=absent).
    type: str
  backend:
    description: V(directory) is files of root on this host. V(pass) is the password manager of the user that runs this.
    type: str
    choices: [directory, pass]
    default: directory
  directory:
    description: Where V(directory) keeps the sites, each in a directory of its name with its C(secrets) in it.
    type: path
    default: /var/lib/bcm/sites
  prefix:
    description: Folder in the password store of V(pass).
    type: str
    default: bcm
notes:
  - The result holds the secrets. The task must have C(no_log), or the module refuses to return them.
"""

EXAMPLES = r"""
- name: Have the secrets of the node
  bcm.datacenter.site_secret:
    site: home
    may_create: "{{ not site_exists }}"
    secrets:
      - name: bitcoin-rpc-lnd
        kind: password
      - name: bitcoin-rpc-lnd-auth
        kind: rpcauth
        user: lnd
        password: bitcoin-rpc-lnd
  register: node_secrets
  delegate_to: "{{ groups['lxd_leader'] | first }}"
  no_log: true

- name: Keep the key that unlocks the Swarm
  bcm.datacenter.site_secret:
    site: home
    secrets:
      - name: swarm-unlock-key
        kind: text
        value: "{{ swarm.swarm_facts.UnlockKey }}"
        update: true
  no_log: true

- name: Forget all secrets of the site
  bcm.datacenter.site_secret:
    site: home
    state: absent
    confirm: home
"""

RETURN = r"""
secrets:
  description: The secrets by name. In check mode, one that would be made has a value that says so.
  returned: when O(state) is V(present) or V(read)
  type: dict
  sample: {}
made:
  description: Names of the secrets that were made or updated, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [bitcoin-rpc-lnd]
removed:
  description: Names of the secrets that were removed, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: []
store:
  description: Where the secrets lie.
  returned: always
  type: str
  sample: /var/lib/bcm/sites/home/secrets
"""

import re
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._secret_store import (
    NAME,
    DirectoryStore,
    PassStore,
    Store,
    StoreError,
    generate,
    rpcauth_line,
)

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
                raise StoreError(f"{self.store.where} lacks these secrets of site {self.site}: {', '.join(missing)}.")
            self._refuse(missing, recorded)
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
                f"{', '.join(lost)}. Restore them from a backup: new ones would not fit the site's data."
            )
        if missing and not self.may_create and not self.store.names():
            raise StoreError(
                f"The site {self.site} exists and its secrets do not: {self.store.where} is empty or missing "
                "on this host. Restore it from a backup, or correct where it is looked for. No new secrets "
                "were made, because they would not fit the site's data."
            )

    def _make(self, wanted: list[dict[str, t.Any]], values: dict[str, str | None]) -> None:
        """Under the lock: what another run has made meanwhile counts."""
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


def main() -> None:
    module = AnsibleModule(
        argument_spec={
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
                    "user": {"type": "str"},
                    "password": {"type": "str", "no_log": False},
                },
            },
            "state": {"type": "str", "choices": ["present", "read", "absent"], "default": "present"},
            "may_create": {"type": "bool", "default": True},
            "confirm": {"type": "str"},
            "backend": {"type": "str", "choices": ["directory", "pass"], "default": "directory"},
            "directory": {"type": "path", "default": "/var/lib/bcm/sites"},
            "prefix": {"type": "str", "default": "bcm"},
        },
        required_if=[("state", "present", ["secrets"]), ("state", "read", ["secrets"])],
        supports_check_mode=True,
    )
    options = module.params
    site, state = options["site"], options["state"]
    if state != "absent" and not module.no_log:
        module.fail_json(msg="The result would show the secrets: give the task no_log, set to true.")
    try:
        check_request(site, options["secrets"] or [], state, options["confirm"])
        store: Store = (
            DirectoryStore(options["directory"], site)
            if options["backend"] == "directory"
            else PassStore(options["prefix"], site)
        )
        if state == "absent":
            names = [item["name"] for item in options["secrets"]] if options["secrets"] is not None else None
            removed = remove(store, names, module.check_mode)
            module.exit_json(changed=bool(removed), made=[], removed=removed, store=store.where)
        keeper = Secrets(store, site, options["may_create"], module.check_mode)
        values = keeper.have(options["secrets"], create=state == "present")
    except (StoreError, OSError) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(changed=bool(keeper.made), secrets=values, made=keeper.made, removed=[], store=store.where)


if __name__ == "__main__":
    main()
