#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: onion_client_key
short_description: Key pairs with which clients may find an onion
version_added: 0.1.0
description:
  - Makes an x25519 key pair for the client authorisation of version 3 onions, in the files that tor reads. The service gets the
    public part as C(authorized_clients/NAME.auth), the client keeps the private one as C(NAME.auth_private) in its
    C(ClientOnionAuthDir).
  - A key that exists is kept. A file that holds something else is an error, and is not overwritten.
  - The private key appears in no result, log or diff unless O(return_private) asks for it.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
requirements:
  - cryptography >= 2.0, where the module runs. Usually that is the controller, where ansible-core needs it anyway.
attributes:
  check_mode:
    support: full
    description: Says what would change. A key that does not exist is not made, so RV(public_key) is empty then.
  diff_mode:
    support: full
    description: Shows public keys and addresses, never a private key.
  idempotent:
    support: partial
    description: A second run changes nothing, unless O(regenerate) is set.
options:
  path:
    description:
      - The file with the private key, C(NAME.auth_private). Its mode is V(0600), and its directory has to exist.
    type: path
    required: true
  public_path:
    description: A file for the public part, C(NAME.auth), as the service needs it. Left out, none is written.
    type: path
  address:
    description:
      - Address of the onion, with or without C(.onion).
      - Before it is known, leave it out. The file then holds the key without an address, and tor passes over it. A later run with
        the address completes it.
    type: str
  state:
    description: Whether the key pair shall be there. V(absent) removes both files.
    type: str
    choices: [present, absent]
    default: present
  regenerate:
    description: Make a new key in place of one that exists. The old one is lost.
    type: bool
    default: false
  return_private:
    description: Return the content of the private file as RV(private_line). Set C(no_log) on the task that asks for it.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: A key for Alice
  bcm.datacenter.onion_client_key:
    path: /root/onion/alice.auth_private
    public_path: /root/onion/alice.auth
  delegate_to: localhost
  register: key

- name: Let her in
  ansible.builtin.copy:
    dest: /var/lib/tor/ssh/authorized_clients/alice.auth
    content: "{{ key.authorized_client }}\n"
    owner: debian-tor
    mode: "0600"

- name: Once the onion has an address
  bcm.datacenter.onion_client_key:
    path: /root/onion/alice.auth_private
    address: "{{ onion_address }}"
  delegate_to: localhost
"""

RETURN = r"""
public_key:
  description: The public key in Base32, empty where there is none.
  returned: success
  type: str
  sample: N2NU7BSRL6YODZCYPN4CREB54TYLKGIE2KYOQWLFYC23ZJVCE5DQ
authorized_client:
  description: The line for the service, empty where there is no key.
  returned: success
  type: str
  sample: descriptor:x25519:N2NU7BSRL6YODZCYPN4CREB54TYLKGIE2KYOQWLFYC23ZJVCE5DQ
private_line:
  description: The content of the private file. A secret.
  returned: when O(return_private) is set and there is a key
  type: str
"""

import stat
import typing as t
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.bcm.datacenter.plugins.module_utils import _whole_file as whole_file
from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import (
    ADDRESS,
    decode,
    encode,
    new_key,
    public_of,
)


class KeyFileError(Exception):
    """A file that cannot be used as it is."""


def plain_address(text: str | None) -> str | None:
    """Without its ending; None if there is none."""
    if not text:
        return None
    address = text.strip().lower().removesuffix(".onion")
    if not ADDRESS.fullmatch(address):
        raise KeyFileError(f"address: {text!r} is not the address of a version 3 onion (56 letters and digits 2-7).")
    return address


@dataclass
class Stored:
    """What the private file holds."""

    address: str | None
    private: bytes

    def line(self) -> str:
        return ":".join([*([self.address] if self.address else []), "descriptor", "x25519", encode(self.private)])


def parse(text: str, path: Path) -> Stored:
    """The key in a private file. The error does not repeat what it says."""
    parts = text.strip().split(":")
    address = parts.pop(0) if len(parts) == 4 else None
    private = decode(parts[2]) if len(parts) == 3 and parts[:2] == ["descriptor", "x25519"] else None
    if private is None or (address is not None and not ADDRESS.fullmatch(address)):
        raise KeyFileError(
            f"{path} is not a client key of tor's (ADDRESS:descriptor:x25519:KEY). It was left as it is: restore it, or remove it to have "
            "a new key made, which the service then has to be told."
        )
    return Stored(address, private)


def read(path: Path) -> str | None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise KeyFileError(f"{path} is not a regular file. Remove it first, or name another path.")
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


class KeyPair:
    """Brings the files of one client into the stated form."""

    def __init__(self, path: Path, public_path: Path | None, check_mode: bool) -> None:
        self.path, self.public_path, self.check_mode = path, public_path, check_mode
        self.changed = False
        self.before: dict[str, t.Any] = {}
        self.after: dict[str, t.Any] = {}

    def remove(self) -> None:
        for path in (self.path, self.public_path):
            if path is not None and read(path) is not None:
                self.changed = True
                self.before[str(path)] = "there"
                self.after[str(path)] = "absent"
                if not self.check_mode:
                    path.unlink()

    def ensure(self, address: str | None, regenerate: bool) -> Stored | None:
        """The key pair as it is now; None where check mode has made none."""
        text = read(self.path)
        # Also where it will be replaced: what is no key is somebody's something else.
        found = parse(text, self.path) if text is not None else None
        if found and not regenerate:
            wanted = Stored(address or found.address, found.private)
        elif self.check_mode:
            self.changed = True
            self._tell(found, None)
            return None
        else:
            wanted = Stored(address or (found.address if found else None), new_key())
        if found is None or wanted != found:
            self._private(wanted.line() + "\n")
            self._tell(found, wanted)
        elif stat.S_IMODE(self.path.stat().st_mode) != 0o600:
            self.changed = True
            self.before["mode"], self.after["mode"] = f"{stat.S_IMODE(self.path.stat().st_mode):04o}", "0600"
            if not self.check_mode:
                self.path.chmod(0o600)
        self._public(f"descriptor:x25519:{encode(public_of(wanted.private))}\n")
        return wanted

    def _private(self, text: str) -> None:
        self.changed = True
        if not self.check_mode:
            whole_file.write(self.path, text, 0o600)

    def _public(self, text: str) -> None:
        if self.public_path is not None and read(self.public_path) != text:
            self.changed = True
            if not self.check_mode:
                whole_file.write(self.public_path, text, 0o644)

    def _tell(self, before: Stored | None, after: Stored | None) -> None:
        for into, stored, other in ((self.before, before, "none"), (self.after, after, "a new one")):
            into["public_key"] = encode(public_of(stored.private)) if stored else other
            into["address"] = (stored.address if stored else None) or ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "public_path": {"type": "path"},
            "address": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "regenerate": {"type": "bool", "default": False, "no_log": False},
            "return_private": {"type": "bool", "default": False, "no_log": False},
        },
        supports_check_mode=True,
    )
    options = module.params
    pair = KeyPair(
        Path(options["path"]), Path(options["public_path"]) if options["public_path"] else None, module.check_mode
    )
    stored = None
    try:
        if options["state"] == "absent":
            pair.remove()
        else:
            stored = pair.ensure(plain_address(options["address"]), options["regenerate"])
    except ImportError as exc:
        module.fail_json(msg=f"{missing_required_lib('cryptography >= 2.0')} {exc}")
    except KeyFileError as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=f"{pair.path}: the key pair could not be written: {exc}")
    public = encode(public_of(stored.private)) if stored else ""
    result: dict[str, t.Any] = {
        "changed": pair.changed,
        "public_key": public,
        "authorized_client": f"descriptor:x25519:{public}" if public else "",
    }
    if stored and options["return_private"]:
        result["private_line"] = stored.line()
    if module._diff:
        result["diff"] = {"before": pair.before, "after": pair.after}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
