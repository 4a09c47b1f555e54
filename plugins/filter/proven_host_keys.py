# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Host keys that have the fingerprints they should have."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

DOCUMENTATION = r"""
name: proven_host_keys
short_description: Host keys that have the fingerprints they should have
version_added: 0.1.0
description:
  - Takes the keys of a C(known_hosts) whose fingerprints are among those that came by another way, such as in a bundle.
options:
  _input:
    description: Text of a C(known_hosts).
    type: str
    required: true
  fingerprints:
    description: Fingerprints as C(ssh-keygen) shows them, C(SHA256:…), each with or without the kind of the key before it.
    type: list
    elements: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Whoever answered has a key that was told to us
  ansible.builtin.assert:
    that: seen | bcm.datacenter.proven_host_keys(bundle.fingerprints) | length > 0
"""

RETURN = r"""
_value:
  description: The keys, each with its kind before it and without the names of hosts.
  type: list
  elements: str
"""


def proven_host_keys(known_hosts: str, fingerprints: list[str]) -> list[str]:
    """Return the keys of KNOWN_HOSTS that FINGERPRINTS name."""
    told = {str(fingerprint).split()[-1] for fingerprint in fingerprints if str(fingerprint).strip()}
    found = []
    for line in str(known_hosts).splitlines():
        words = line.split()
        # With a marker before it, a key is none of a host, or a revoked one.
        if len(words) < 3 or words[0].startswith(("#", "@")):
            continue
        try:
            blob = base64.b64decode(words[2], validate=True)
        except binascii.Error:
            continue
        shown = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
        if f"SHA256:{shown}" in told:
            found.append(f"{words[1]} {words[2]}")
    return found


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"proven_host_keys": proven_host_keys}
