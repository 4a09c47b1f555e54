# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ssha
short_description: Hash of a password for nginx's and Apache's password files
description:
  - Returns the V({SSHA}) form of a password. The salt follows from the password, so that the hash is the same each time.
  - That, and the speed of SHA-1, is good enough for long random passwords only, like those of M(bcm.datacenter.site_secret).
author:
  - the Bitcoin Cache Machine authors (@bitcoin-cache-machine)
options:
  _input:
    description: Password of at least 20 characters.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Write a password file
  bcm.datacenter.files:
    files:
      - path: /etc/nginx/htpasswd
        content: "builder:{{ secret | bcm.datacenter.ssha }}\n"
        sensitive: true
"""

RETURN = r"""
_value:
  description: The hash.
  type: str
"""

import base64
import hashlib
import hmac

from ansible.errors import AnsibleFilterError

SHORTEST = 20


def ssha(password: str) -> str:
    # In check mode a password that is not made yet has a text in its place that may be shorter; it says so in brackets.
    if len(password) < SHORTEST and not password.startswith("("):
        raise AnsibleFilterError(f"ssha: the password has {len(password)} characters, at least {SHORTEST} are needed")
    secret = password.encode()
    salt = hmac.new(secret, b"ssha", hashlib.sha256).digest()[:8]
    digest = hashlib.sha1(secret + salt).digest()  # noqa: S324 - the form demands it
    return "{SSHA}" + base64.b64encode(digest + salt).decode()


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"ssha": ssha}
