#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lnd_macaroon_info
short_description: See which root keys lnd's macaroons have, and what a macaroon permits
version_added: 0.1.0
description:
  - Lists the root keys that lnd knows. Each of them stands for macaroons that somebody may hold.
  - Says of macaroons in files what they permit, and whether lnd takes them. What they say beyond that is not returned.
extends_documentation_fragment:
  - bcm.datacenter.lnd
  - bcm.datacenter.lnd.macaroon
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  paths:
    description: Files with macaroons to look at, on the host where the module runs.
    type: list
    elements: path
    default: []
seealso:
  - module: bcm.datacenter.lnd_macaroon
"""

EXAMPLES = r"""
- name: See what the shop may do
  bcm.datacenter.lnd_macaroon_info:
    ca_path: /etc/bcm/lnd/ca.pem
    macaroon_path: /srv/lnd/data/data/chain/bitcoin/mainnet/admin.macaroon
    paths:
      - /etc/shop/invoices.macaroon
  register: macaroons
"""

RETURN = r"""
root_key_ids:
  description: Numbers of the root keys that lnd has. 0 is that of lnd's own macaroons.
  returned: success
  type: list
  elements: int
  sample: [0, 101]
macaroons:
  description: The macaroons that were asked for, in their order.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
      returned: always
    exists:
      description: Whether there is such a file.
      type: bool
      returned: always
    valid:
      description: Whether lnd takes it. One that is bound to an address or a time that is not now is not taken.
      type: bool
      returned: always
    reason:
      description: What is wrong with it. Empty if nothing is.
      type: str
      returned: always
    root_key_id:
      description: Number of its root key. Null where it is no macaroon.
      type: int
      returned: always
    permissions:
      description: What may be done with it.
      type: list
      elements: str
      returned: always
    conditions:
      description: What it is bound to beyond that, in lnd's words.
      type: list
      elements: str
      returned: always
  sample:
    - path: /etc/shop/invoices.macaroon
      exists: true
      valid: true
      reason: ""
      root_key_id: 101
      permissions: [invoices:read, invoices:write]
      conditions: []
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils import _lnd_macaroon as macaroons
from ansible_collections.bcm.datacenter.plugins.module_utils._lnd_rest import (
    MACAROON_RULES,
    MACAROON_SPEC,
    REST_SPEC,
    Lnd,
    LndError,
    macaroon_of,
    number,
    objection,
)


def look(lnd: Lnd, path: str) -> dict[str, t.Any]:
    """What can be said of one file."""
    found: dict[str, t.Any] = {
        "path": path,
        "exists": True,
        "valid": False,
        "reason": "",
        "root_key_id": None,
        "permissions": [],
        "conditions": [],
    }
    try:
        raw = Path(path).read_bytes()
        macaroon = macaroons.parse(raw)
    except FileNotFoundError:
        return {**found, "exists": False, "reason": "there is no such file"}
    except OSError as exc:
        return {**found, "reason": f"it could not be read: {exc.strerror}"}
    except macaroons.MacaroonError as exc:
        return {**found, "reason": f"it is no macaroon of lnd's: {exc}"}
    found.update(root_key_id=macaroon.root_key_id, permissions=macaroon.words(), conditions=macaroon.conditions())
    reason = objection(lnd, raw, macaroon)
    found.update(valid=not reason, reason=f"lnd does not take it: {reason}" if reason else "")
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REST_SPEC,
            **MACAROON_SPEC,
            "paths": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
        **MACAROON_RULES,
    )
    try:
        lnd = Lnd(module.params, macaroon_of(module.params))
        ids = sorted(number(one) for one in lnd.get("/v1/macaroon/ids").get("root_key_ids") or [])
        found = [look(lnd, path) for path in module.params["paths"]]
    except LndError as exc:
        module.fail_json(msg=f"Macaroons: {exc}")
    module.exit_json(changed=False, root_key_ids=ids, macaroons=found)


if __name__ == "__main__":
    main()
