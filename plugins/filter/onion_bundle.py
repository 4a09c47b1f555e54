# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a bundle says of a server's onion."""

from __future__ import annotations

import re
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: onion_bundle
short_description: What a bundle says of a server's onion
version_added: 0.1.0
description:
  - Reads the text that the P(bcm.datacenter.ssh_onion#role) role writes for a client, or that C(scripts/bootstrap) prints.
  - Refuses a text that lacks something, or where something is mistyped.
options:
  _input:
    description: The text.
    type: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Where is it
  ansible.builtin.debug:
    msg: "{{ (lookup('ansible.builtin.file', 'server-1.txt') | bcm.datacenter.onion_bundle).address }}"
"""

RETURN = r"""
_value:
  description:
    - C(server), C(address), C(port), C(user), C(client), and C(fingerprints), a list such as C(ED25519 SHA256:…).
    - C(private_key) is the client's key in Base32, or V(none) where the client has it already.
  type: dict
"""

_FORMS = {
    "address": r"[a-z2-7]{56}\.onion",
    "port": r"[1-9][0-9]{0,4}",
    "user": r"[a-z_][a-z0-9_-]*",
    "client": r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}",
}
_FINGERPRINT = re.compile(r"[A-Z0-9-]+ SHA256:[A-Za-z0-9+/]{43}")
_KEY = re.compile(r"([a-z2-7]{56}):descriptor:x25519:([A-Z2-7]{52})")


def onion_bundle(text: str) -> dict[str, Any]:
    """Return what TEXT says.

    :raises AnsibleFilterError: it is no bundle.
    """
    lines = [" ".join(line.split()) for line in str(text).splitlines()]
    said = dict(reversed([line.split(": ", 1) for line in lines if ": " in line]))
    found: dict[str, Any] = {"server": said.get("server", "").partition(" ")[0]}
    for name, form in _FORMS.items():
        if not re.fullmatch(form, said.get(name, "")):
            raise AnsibleFilterError(
                f"The bundle has no {name}, or it is mistyped: {said.get(name, 'there is no such line')}"
            )
        found[name] = said[name]
    found["port"] = int(found["port"])
    found["fingerprints"] = [line for line in lines if _FINGERPRINT.fullmatch(line)]
    if not found["fingerprints"]:
        raise AnsibleFilterError(
            "The bundle has no fingerprint of a host key, such as ED25519 SHA256:…: nobody could tell who answers."
        )
    # What is wrong with a key is not said with the key.
    keys = [line for line in lines if "descriptor" in line]
    match = _KEY.fullmatch(keys[0]) if keys else None
    if keys and (match is None or f"{match[1]}.onion" != found["address"]):
        raise AnsibleFilterError("The client key of the bundle is mistyped, or belongs to another address.")
    found["private_key"] = match[2] if match else None
    return found


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"onion_bundle": onion_bundle}
