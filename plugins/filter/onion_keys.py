# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The key files of an onion, from a seed that is kept as any other secret."""

from __future__ import annotations

import base64
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import KEY_BYTES, onion_keys

DOCUMENTATION = r"""
name: onion_keys
short_description: The key files of an onion, from a seed
version_added: 0.1.0
description:
  - Makes what tor keeps of an onion's key, and the onion's address, from 32 random bytes, such as a secret of the kind V(hex) that
    M(bcm.datacenter.site_secret) makes once. The same seed is the same address, wherever and whenever the onion is served.
  - The result holds a secret. Give tasks that use it C(no_log).
options:
  _input:
    description:
      - The seed, 64 hexadecimal digits.
      - What M(bcm.datacenter.site_secret) returns in check mode for a secret that would be made gives empty values.
    type: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Where will it be
  ansible.builtin.debug:
    msg: "{{ (secrets.secrets['onion_web'] | bcm.datacenter.onion_keys).address }}"
"""

RETURN = r"""
_value:
  description:
    - C(address), with C(.onion), C(secret_key) and C(public_key), the files C(hs_ed25519_secret_key) and C(hs_ed25519_public_key)
      in Base64. This is what M(bcm.datacenter.onion_service) takes.
  type: dict
"""

_WOULD_BE_MADE = "(would be made)"


def keys(seed: Any) -> dict[str, str]:
    """Return the files of the onion whose key comes from SEED.

    :raises AnsibleFilterError: it is no seed; the text does not repeat it.
    """
    if str(seed) == _WOULD_BE_MADE:
        return {"address": "", "secret_key": "", "public_key": ""}
    try:
        raw = bytes.fromhex(str(seed))
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise AnsibleFilterError("The seed of an onion is not 64 hexadecimal digits. Restore it from a backup.")
    try:
        made = onion_keys(raw)
    except ImportError as exc:
        raise AnsibleFilterError(f"onion_keys needs the Python library cryptography: {exc}") from exc
    return {
        "address": made.address,
        "secret_key": base64.b64encode(made.secret_file).decode(),
        "public_key": base64.b64encode(made.public_file).decode(),
    }


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"onion_keys": keys}
