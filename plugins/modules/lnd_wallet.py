#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lnd_wallet
short_description: Have lnd's wallet unlocked
version_added: 0.1.0
description:
  - Unlocks the wallet of an lnd with the password in a file on the host where the module runs, and waits until lnd can be worked with.
  - It makes no wallet and changes no password. A seed that a machine has read is no longer its owner's alone, so a wallet is made by its owner, on a
    terminal. Where there is none, the module says so and fails.
  - An lnd that is given C(wallet-unlock-password-file) unlocks itself. This module is for those that are not.
extends_documentation_fragment:
  - bcm.datacenter.lnd
  - bcm.datacenter.attributes
attributes:
  check_mode:
    support: full
    details:
      - It cannot be known whether the password is the right one, for to try it is to unlock the wallet.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  password_path:
    description:
      - File with the password, which nobody but its owner and its group may read. An end of line at its end does not belong to it.
      - Not needed where the wallet is unlocked already.
    type: path
    required: true
  wait:
    description:
      - V(active) waits until lnd takes all that can be asked of it.
      - V(unlocked) waits for nothing beyond the unlocking.
    type: str
    choices: [active, unlocked]
    default: active
  wait_timeout:
    description: Seconds until it has to be so. After a long time off, lnd reads many blocks before it is.
    type: int
    default: 600
seealso:
  - module: bcm.datacenter.lnd_wallet_info
"""

EXAMPLES = r"""
- name: Unlock the wallet
  bcm.datacenter.lnd_wallet:
    url: https://lnd-1.home.bcm.internal:8080
    ca_path: /etc/bcm/lnd/ca.pem
    password_path: /etc/bcm/lnd/wallet-password
"""

RETURN = r"""
state:
  description:
    - What the wallet is in afterwards, or would be in check mode.
    - V(unlocked) and V(starting) are unlocked, and not yet to be worked with.
  returned: success
  type: str
  sample: active
"""

import base64
import stat
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._lnd_rest import (
    REST_SPEC,
    Lnd,
    LndError,
    RefusedError,
    awaited,
)

# lnd takes no shorter one.
SHORTEST = 8
# The wallet is open, and lnd is on its way.
OPEN = ("unlocked", "starting", "active")


def password_of(path: Path) -> bytes:
    """The password in a file that is fit to hold one."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise LndError(f"password_path: {path} is no regular file")
        if mode & stat.S_IRWXO:
            raise LndError(
                f"password_path: {path} has mode {stat.S_IMODE(mode):04o}, so that others may read it; allowed: 0600 or 0640"
            )
        raw = path.read_bytes()
    except OSError as exc:
        raise LndError(f"password_path: {path} could not be read: {exc.strerror}") from exc
    password = raw.removesuffix(b"\n").removesuffix(b"\r")
    if len(password) < SHORTEST:
        raise LndError(f"password_path: {path} holds less than the {SHORTEST} characters that lnd asks for")
    if b"\n" in password:
        raise LndError(f"password_path: {path} holds several lines; allowed: one, the password")
    return password


def refused_state(state: str) -> str:
    """Why a wallet in this state cannot be unlocked."""
    if state == "absent":
        return (
            "it has no wallet. Its owner makes one on a terminal, with the seed before nobody else's eyes; this module never does. "
            "If there was one, do not make another: its data directory is not where it was"
        )
    return "it waits for another lnd of its cluster to stop, and has not started"


class Unlocker:
    """One wallet, and what is to be done about it."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module, self.params = module, module.params
        self.lnd = Lnd(module.params)

    def run(self) -> dict[str, t.Any]:
        before = self.lnd.state()
        if before in ("absent", "waiting"):
            raise LndError(f"{self.lnd.url}: {refused_state(before)}.")
        changed = before == "locked"
        after = before
        if changed:
            password = password_of(Path(self.params["password_path"]))
            if self.module.check_mode:
                after = "active" if self.params["wait"] == "active" else "unlocked"
            else:
                self.unlock(password)
        if not self.module.check_mode:
            after = self.wait()
        return {"changed": changed, "state": after, "diff": {"before": {"state": before}, "after": {"state": after}}}

    def unlock(self, password: bytes) -> None:
        body = {"wallet_password": base64.b64encode(password).decode()}
        try:
            self.lnd.post("/v1/unlockwallet", body, self.params["wait_timeout"])
        except RefusedError as exc:
            # Somebody else, or lnd itself, has been quicker.
            if self.lnd.state() not in OPEN:
                raise LndError(f"{self.lnd.url} does not unlock its wallet: {exc.said}") from exc

    def wait(self) -> str:
        wanted = ("active",) if self.params["wait"] == "active" else OPEN
        seen = ""

        def look() -> str:
            nonlocal seen
            try:
                seen = self.lnd.state()
            except LndError as exc:
                # Between unlocking and serving, its port may be closed for a moment.
                return str(exc)
            return "" if seen in wanted else f"it is {seen}"

        awaited(f"{self.lnd.url} is not {self.params['wait']}", self.params["wait_timeout"], look)
        return seen


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REST_SPEC,
            "password_path": {"type": "path", "required": True, "no_log": False},
            "wait": {"type": "str", "choices": ["active", "unlocked"], "default": "active"},
            "wait_timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    try:
        result = Unlocker(module).run()
    except LndError as exc:
        module.fail_json(msg=f"Wallet: {exc}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
