#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lnd_channel_info
short_description: See which channels an lnd has
version_added: 0.1.0
description:
  - Lists the channels of an lnd, those that are pending, open, being closed and closed, with their names and balances.
extends_documentation_fragment:
  - bcm.datacenter.lnd
  - bcm.datacenter.lnd.macaroon
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  macaroon_path:
    description: Needs the right C(offchain:read), and with O(closed) C(onchain:read).
    type: path
  macaroon:
    description: The macaroon itself, in hexadecimal or Base64, where there is no file.
    type: str
  name:
    description: Only channels of this name.
    type: str
  closed:
    description: Whether those that are closed are listed, too.
    type: bool
    default: true
seealso:
  - module: bcm.datacenter.lnd_channel
"""

EXAMPLES = r"""
- name: Wait until the channel can be paid over
  bcm.datacenter.lnd_channel_info:
    ca_path: /etc/bcm/lnd/ca.pem
    macaroon_path: /etc/bcm/lnd/monitor.macaroon
    name: friend
    closed: false
  register: found
  until: found.channels | selectattr('active') | length > 0
  retries: 60
  delay: 10
"""

RETURN = r"""
channels:
  description: The channels, by how far they are and their names.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name. Empty where it has none, or where that of a closed one is not known.
      type: str
      returned: always
    stage:
      description: How far it is - V(pending), V(open), V(closing), V(force_closing) or V(closed).
      type: str
      returned: always
    active:
      description: Whether it can be paid over now.
      type: bool
      returned: always
    channel_point:
      description: Transaction and output that funded it.
      type: str
      returned: always
    peer:
      description: Public key of the node at its other end.
      type: str
      returned: always
    capacity:
      description: Satoshis in it.
      type: int
      returned: always
    local_balance:
      description: Satoshis of it that are ours.
      type: int
      returned: always
    remote_balance:
      description: Satoshis of it that are the peer's. 0 where it is closed.
      type: int
      returned: always
    private:
      description: Whether it is kept from the public. Null where that is not known.
      type: bool
      returned: always
    initiated_here:
      description: Whether it was opened from here.
      type: bool
      returned: always
    closing_txid:
      description: Transaction that closes it. Empty where there is none.
      type: str
      returned: always
  sample:
    - name: friend
      stage: open
      active: true
      channel_point: 1c0a1a4b6ac4bd8d8c5e9a1d9d4a0b6a2b7b1f6d8f1d0c7c6f5a4b3c2d1e0f9a:0
      peer: 02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619
      capacity: 500000
      local_balance: 496530
      remote_balance: 0
      private: true
      initiated_here: true
      closing_txid: ""
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils import _lnd_channel as channels
from ansible_collections.bcm.datacenter.plugins.module_utils._lnd_rest import (
    MACAROON_RULES,
    MACAROON_SPEC,
    REST_SPEC,
    Lnd,
    LndError,
    RefusedError,
    macaroon_of,
)

ORDER = (channels.OPEN, channels.PENDING, channels.CLOSING_STAGE, channels.FORCE_CLOSING, channels.CLOSED)


def name_of(lnd: Lnd, known: channels.Known) -> str:
    """The name in lnd's memo, or else in the label of the transaction."""
    if known.name or known.stage != channels.CLOSED or not known.ours:
        return known.name
    try:
        return channels.name_in(str(lnd.get("/v2/wallet/tx", txid=known.txid).get("label") or ""))
    except RefusedError:
        # A transaction that the wallet does not know has no label.
        return ""


def look(lnd: Lnd, name: str | None, closed: bool) -> list[dict[str, t.Any]]:
    known = channels.known_channels(
        lnd.get("/v1/channels"), lnd.get("/v1/channels/pending"), lnd.get("/v1/channels/closed") if closed else {}
    )
    found = [
        {
            "name": name_of(lnd, one),
            "stage": one.stage,
            "active": one.active,
            "channel_point": one.point,
            "peer": one.peer,
            "capacity": one.capacity,
            "local_balance": one.local_balance,
            "remote_balance": one.remote_balance,
            "private": one.private,
            "initiated_here": one.ours,
            "closing_txid": one.closing_txid,
        }
        for one in known
    ]
    wanted = [one for one in found if name is None or one["name"] == name]
    return sorted(wanted, key=lambda one: (ORDER.index(one["stage"]), one["name"], one["channel_point"]))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REST_SPEC,
            **MACAROON_SPEC,
            "name": {"type": "str"},
            "closed": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
        **MACAROON_RULES,
    )
    try:
        lnd = Lnd(module.params, macaroon_of(module.params))
        found = look(lnd, module.params["name"], module.params["closed"])
    except LndError as exc:
        module.fail_json(msg=f"Channels: {exc}")
    module.exit_json(changed=False, channels=found)


if __name__ == "__main__":
    main()
