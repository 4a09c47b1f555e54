#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lnd_macaroon
short_description: Have a macaroon of lnd's with certain rights
version_added: 0.1.0
description:
  - Bakes a macaroon with the stated rights and a root key of its own, and keeps it in a file. One that is there, has just these rights, and that lnd
    takes, is kept.
  - A root key is what makes a macaroon revocable. So give each consumer a O(root_key_id) that no other has. With O(state=absent), the root key goes,
    and with it all macaroons that were made with it, wherever they have been copied.
  - Where a macaroon gets other rights than it had, its root key is made anew, so that the one with the old rights is worth nothing any more.
  - What the macaroon says appears in no log and no diff, and in no result unless O(return_macaroon) asks for it.
extends_documentation_fragment:
  - bcm.datacenter.lnd
  - bcm.datacenter.lnd.macaroon
  - bcm.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows rights and root keys, never the macaroon.
  idempotent:
    support: partial
    details:
      - Not with O(regenerate).
options:
  path:
    description:
      - The file that holds the macaroon, in lnd's own binary format. Its directory has to exist.
      - A file that holds something else is an error, and is left as it is.
    type: path
    required: true
  state:
    description:
      - Whether it shall be there. With V(absent), lnd forgets the root key, and the file is removed.
    type: str
    choices: [present, absent]
    default: present
  permissions:
    description:
      - All that may be done with it, as C(ENTITY:ACTION), such as V(info:read), V(offchain:read) or V(invoices:write), or for one method
        C(uri:/PACKAGE.SERVICE/METHOD), such as V(uri:/lnrpc.Lightning/GetInfo). C(lncli listpermissions) has all of them.
      - Needed for O(state=present).
    type: list
    elements: str
  root_key_id:
    description:
      - Number of its root key, from 1 to 18446744073709551615. 0 is the root key of lnd's own macaroons, and not to be had.
    type: int
    required: true
  regenerate:
    description: Make the root key and the macaroon anew. All copies of the old one are worth nothing from then on.
    type: bool
    default: false
  owner:
    description: Name or number of the file's owner. Left out, a file that is there keeps its owner.
    type: str
  group:
    description: Name or number of the file's group. Left out, a file that is there keeps its group.
    type: str
  mode:
    description: Mode of the file.
    type: str
    choices: ["0400", "0440", "0600", "0640"]
    default: "0600"
  return_macaroon:
    description: Return the macaroon as RV(macaroon). Set C(no_log) on the task that asks for it.
    type: bool
    default: false
seealso:
  - module: bcm.datacenter.lnd_macaroon_info
"""

EXAMPLES = r"""
- name: A macaroon for who makes invoices, and sees nothing else
  bcm.datacenter.lnd_macaroon:
    ca_path: /etc/bcm/lnd/ca.pem
    macaroon_path: /srv/lnd/data/data/chain/bitcoin/mainnet/admin.macaroon
    path: /etc/shop/invoices.macaroon
    owner: shop
    root_key_id: 101
    permissions:
      - invoices:read
      - invoices:write
      - address:read
      - address:write

- name: The shop is closed
  bcm.datacenter.lnd_macaroon:
    ca_path: /etc/bcm/lnd/ca.pem
    macaroon_path: /srv/lnd/data/data/chain/bitcoin/mainnet/admin.macaroon
    path: /etc/shop/invoices.macaroon
    root_key_id: 101
    state: absent
"""

RETURN = r"""
permissions:
  description: What may be done with it. Empty with O(state=absent).
  returned: success
  type: list
  elements: str
  sample: [info:read]
root_key_id:
  description: Number of its root key.
  returned: success
  type: int
  sample: 101
reason:
  description: Why something had to be done. Empty where nothing had.
  returned: success
  type: str
  sample: there is no such file
macaroon:
  description: The macaroon in hexadecimal. A secret. Not there in check mode, where it would have to be baked.
  returned: when O(return_macaroon) is set
  type: str
"""

import grp
import pwd
import stat
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils import _lnd_macaroon as macaroons
from ansible_collections.bcm.datacenter.plugins.module_utils import _whole_file as whole_file
from ansible_collections.bcm.datacenter.plugins.module_utils._lnd_rest import (
    MACAROON_RULES,
    MACAROON_SPEC,
    REST_SPEC,
    Lnd,
    LndError,
    macaroon_of,
    objection,
)

LARGEST_ID = 2**64 - 1


def number_of(kind: str, name: str | None) -> int:
    """The number of an owner or a group; -1 where it is not to be changed."""
    if name is None:
        return -1
    if name.isdigit():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid if kind == "owner" else grp.getgrnam(name).gr_gid
    except KeyError as exc:
        raise LndError(f"{kind}: {name!r} is not known on this host") from exc


def read(path: Path) -> bytes | None:
    """What is in a file, None if there is none."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise LndError(f"path: {path} is no regular file. Remove it first, or name another")
        return path.read_bytes()
    except FileNotFoundError:
        return None


class Keeper:
    """One macaroon, and what is to be done about it."""

    def __init__(self, module: AnsibleModule) -> None:
        params = module.params
        self.module, self.params, self.check = module, params, module.check_mode
        self.path, self.root_key_id = Path(params["path"]), params["root_key_id"]
        if not 0 < self.root_key_id <= LARGEST_ID:
            raise LndError(f"root_key_id: {self.root_key_id} is not to be had; allowed: 1 to {LARGEST_ID}")
        self.wanted = self.permissions()
        self.uid, self.gid = number_of("owner", params["owner"]), number_of("group", params["group"])
        self.mode = int(params["mode"], 8)
        own = macaroon_of(params)
        self.lnd = Lnd(params, own)
        self.own_root_key = macaroons.parse(own).root_key_id if own else None
        if params["state"] == "present" and not self.path.parent.is_dir():
            raise LndError(f"path: {self.path.parent} is no directory that is there")
        self.raw = read(self.path)
        try:
            self.found = macaroons.parse(self.raw) if self.raw is not None else None
        except macaroons.MacaroonError as exc:
            raise LndError(
                f"path: {self.path} is no macaroon of lnd's: {exc}. It was left as it is; remove it, or name another path"
            ) from exc

    def permissions(self) -> frozenset[macaroons.Permission]:
        if self.params["state"] == "absent":
            return frozenset()
        try:
            wanted = [macaroons.permission(word) for word in self.params["permissions"]]
        except macaroons.MacaroonError as exc:
            raise LndError(f"permissions: {exc}") from exc
        if not wanted:
            raise LndError("permissions: [] would permit nothing; allowed: at least one ENTITY:ACTION")
        return frozenset(wanted)

    def run(self) -> dict[str, t.Any]:
        return self.absent() if self.params["state"] == "absent" else self.present()

    def absent(self) -> dict[str, t.Any]:
        reasons = []
        if self.root_key_there():
            reasons.append("lnd has its root key")
            self.forget()
        if self.found is not None and self.found.root_key_id == self.root_key_id:
            reasons.append("the file is there")
            if not self.check:
                self.path.unlink()
        elif self.found is not None:
            self.module.warn(
                f"{self.path} has root key {self.found.root_key_id}, not {self.root_key_id}: it was left as it is."
            )
        return self.result("; ".join(reasons), None, None)

    def present(self) -> dict[str, t.Any]:
        reason, revoke = self.amiss()
        if not reason:
            return self.result(self.attributes(), self.found, self.raw)
        if revoke:
            self.forget()
        if self.check:
            return self.result(reason, None, None)
        raw = self.bake()
        uid, gid = self.uid, self.gid
        if self.raw is not None:
            # What is not said stays as it is.
            there = self.path.stat()
            uid, gid = (there.st_uid if uid < 0 else uid), (there.st_gid if gid < 0 else gid)
        whole_file.write_bytes(self.path, raw, self.mode, uid, gid)
        return self.result(reason, macaroons.parse(raw), raw)

    def amiss(self) -> tuple[str, bool]:
        """(why it has to be baked, empty if it has not; whether the root key has to go before)."""
        found, raw = self.found, self.raw
        if found is None or raw is None:
            return "there is no such file", self.params["regenerate"]
        if self.params["regenerate"]:
            return "it is to be made anew", True
        if found.root_key_id != self.root_key_id:
            if not objection(self.lnd, raw, found):
                self.module.warn(
                    f"The macaroon that was in {self.path} had root key {found.root_key_id}. Copies of it stay good until that root key is "
                    "removed with state absent."
                )
            return f"it has root key {found.root_key_id}", False
        if objection(self.lnd, raw, found):
            return "lnd does not take it", False
        if found.permissions != self.wanted or found.caveats:
            return "it permits something else", True
        return "", False

    def attributes(self) -> str:
        """What of its file is not as it should be, after that was put right."""
        there = self.path.stat()
        wrong = []
        if stat.S_IMODE(there.st_mode) != self.mode:
            wrong.append(f"its mode is {stat.S_IMODE(there.st_mode):04o}")
        if self.uid not in (-1, there.st_uid):
            wrong.append(f"its owner is {there.st_uid}")
        if self.gid not in (-1, there.st_gid):
            wrong.append(f"its group is {there.st_gid}")
        if wrong and self.raw is not None and not self.check:
            uid, gid = (there.st_uid if self.uid < 0 else self.uid), (there.st_gid if self.gid < 0 else self.gid)
            whole_file.write_bytes(self.path, self.raw, self.mode, uid, gid)
        return ", ".join(wrong)

    def root_key_there(self) -> bool:
        return str(self.root_key_id) in [str(one) for one in self.lnd.get("/v1/macaroon/ids").get("root_key_ids") or []]

    def forget(self) -> None:
        if self.own_root_key == self.root_key_id:
            raise LndError(
                f"root_key_id: {self.root_key_id} is that of the macaroon that is shown to lnd, which would be worth nothing without it; "
                "allowed: any other, or to show lnd another macaroon"
            )
        if not self.check and self.root_key_there():
            self.lnd.delete(f"/v1/macaroon/{self.root_key_id}")

    def bake(self) -> bytes:
        body = {
            "permissions": [{"entity": entity, "action": action} for entity, action in sorted(self.wanted)],
            "root_key_id": str(self.root_key_id),
        }
        try:
            raw = bytes.fromhex(self.lnd.post("/v1/macaroon", body).get("macaroon", ""))
            baked = macaroons.parse(raw)
        except (ValueError, macaroons.MacaroonError) as exc:
            raise LndError("lnd has baked something that is no macaroon; it was not kept") from exc
        if baked.permissions != self.wanted or baked.root_key_id != self.root_key_id:
            raise LndError("lnd has baked a macaroon with other rights than it was asked for; it was not kept")
        return raw

    def result(self, reason: str, after: macaroons.Macaroon | None, raw: bytes | None) -> dict[str, t.Any]:
        words = after.words() if after else sorted(f"{entity}:{action}" for entity, action in self.wanted)
        result: dict[str, t.Any] = {
            "changed": bool(reason),
            "reason": reason,
            "permissions": words,
            "root_key_id": self.root_key_id,
            "diff": {"before": described(self.found), "after": {}},
        }
        if self.params["state"] == "present":
            result["diff"]["after"] = {"permissions": words, "root_key_id": self.root_key_id}
            if raw is not None and self.params["return_macaroon"]:
                result["macaroon"] = raw.hex()
        elif not reason:
            result["diff"]["after"] = result["diff"]["before"]
        return result


def described(found: macaroons.Macaroon | None) -> dict[str, t.Any]:
    return {"permissions": found.words(), "root_key_id": found.root_key_id} if found else {}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REST_SPEC,
            **MACAROON_SPEC,
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "permissions": {"type": "list", "elements": "str"},
            "root_key_id": {"type": "int", "required": True, "no_log": False},
            "regenerate": {"type": "bool", "default": False},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "str", "choices": ["0400", "0440", "0600", "0640"], "default": "0600"},
            "return_macaroon": {"type": "bool", "default": False, "no_log": False},
        },
        required_if=[("state", "present", ["permissions"])],
        supports_check_mode=True,
        **MACAROON_RULES,
    )
    try:
        result = Keeper(module).run()
    except LndError as exc:
        module.fail_json(msg=f"Macaroon {module.params['path']}: {exc}")
    except OSError as exc:
        module.fail_json(msg=f"Macaroon {module.params['path']}: the file could not be written: {exc}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
