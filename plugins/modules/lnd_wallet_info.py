#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lnd_wallet_info
short_description: Ask an lnd how its wallet is
version_added: 0.1.0
description:
  - Says whether there is a wallet, whether it is unlocked, and, where a macaroon is given, whether lnd has caught up with the chain and what the
    wallet holds.
extends_documentation_fragment:
  - bcm.datacenter.lnd
  - bcm.datacenter.lnd.macaroon
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  macaroon_path:
    description:
      - With the right to C(info:read), lnd is asked for more than its state, and with C(onchain:read) for what the wallet holds, too.
      - Left out, or where there is no such file yet, only the state is asked for.
    type: path
  macaroon:
    description: The macaroon itself, in hexadecimal or Base64, where there is no file.
    type: str
seealso:
  - module: bcm.datacenter.lnd_wallet
"""

EXAMPLES = r"""
- name: Wait until lnd can be relied on
  bcm.datacenter.lnd_wallet_info:
    ca_path: /etc/bcm/lnd/ca.pem
    macaroon_path: /etc/bcm/lnd/monitor.macaroon
  register: lnd
  until: lnd.ready
  retries: 60
  delay: 10
"""

RETURN = r"""
state:
  description:
    - V(absent), there is no wallet; V(locked); V(unlocked) and V(starting), it is open and lnd not ready yet; V(active), lnd takes all that can be
      asked of it; V(waiting), lnd waits for another of its cluster; V(unreachable), lnd does not answer.
  returned: always
  type: str
  sample: active
ready:
  description: Whether it is active and has caught up with the chain. Never without a macaroon.
  returned: always
  type: bool
  sample: true
reason:
  description: Why it is not ready. Empty if it is.
  returned: always
  type: str
  sample: "locked: unlock it with lnd_wallet"
synced:
  description: Whether it has caught up with the chain. Null where that is not known.
  returned: always
  type: bool
  sample: true
synced_to_graph:
  description: Whether it knows the public channels. Null where that is not known.
  returned: always
  type: bool
  sample: true
block_height:
  description: Height of the newest block that lnd has. Null where that is not known.
  returned: always
  type: int
  sample: 860000
network:
  description: The chain, in lnd's word. Null where that is not known.
  returned: always
  type: str
  sample: mainnet
pubkey:
  description: Public key of the node. Null where that is not known.
  returned: always
  type: str
  sample: 02eec7245d6b7d2ccb30380bfbe2a3648cd7a942653f5aa340edcea1f283686619
alias:
  description: What the node calls itself. Null where that is not known.
  returned: always
  type: str
  sample: lnd-1
uris:
  description: Where others reach it, as lnd announces it.
  returned: always
  type: list
  elements: str
  sample: []
version:
  description: Version of lnd. Null where that is not known.
  returned: always
  type: str
  sample: 0.20.1-beta
balance:
  description: Satoshis in the wallet, outside of channels. Null where that is not known.
  returned: always
  type: dict
  sample: {confirmed: 500000, unconfirmed: 0, locked: 0, reserved: 10000}
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._lnd_rest import (
    MACAROON_SPEC,
    REST_SPEC,
    Lnd,
    LndError,
    RefusedError,
    macaroon_of,
    number,
)

WORDS = {
    "absent": "absent: its owner has not made a wallet",
    "locked": "locked: unlock it with lnd_wallet",
    "unlocked": "unlocked, and still starting",
    "starting": "starting",
    "waiting": "waits for another lnd of its cluster to stop",
}


def unknown() -> dict[str, t.Any]:
    """What is said where nothing is known."""
    return {
        "state": "unreachable",
        "ready": False,
        "reason": "",
        "synced": None,
        "synced_to_graph": None,
        "block_height": None,
        "network": None,
        "pubkey": None,
        "alias": None,
        "uris": [],
        "version": None,
        "balance": None,
    }


def described(info: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What lnd says of itself, in our words."""
    chains = info.get("chains") or [{}]
    return {
        "synced": bool(info.get("synced_to_chain")),
        "synced_to_graph": bool(info.get("synced_to_graph")),
        "block_height": number(info.get("block_height")),
        "network": chains[0].get("network"),
        "pubkey": info.get("identity_pubkey"),
        "alias": info.get("alias"),
        "uris": list(info.get("uris") or []),
        "version": str(info.get("version", "")).split(" ", maxsplit=1)[0],
    }


def look(lnd: Lnd) -> dict[str, t.Any]:
    """Everything that can be known."""
    found = unknown()
    try:
        found["state"] = lnd.state()
    except LndError as exc:
        return {**found, "reason": str(exc)}
    if found["state"] != "active":
        return {**found, "reason": WORDS[found["state"]]}
    if lnd.macaroon is None:
        return {**found, "reason": "active; without a macaroon it is not known whether it has caught up with the chain"}
    try:
        found.update(described(lnd.get("/v1/getinfo")))
    except LndError as exc:
        return {**found, "reason": str(exc)}
    found["ready"] = found["synced"]
    if not found["ready"]:
        found["reason"] = f"has not caught up with the chain, block {found['block_height']}"
    try:
        said = lnd.get("/v1/balance/blockchain")
    except RefusedError as exc:
        # A macaroon that may not see it: that is no failure of lnd's.
        if "permission denied" not in exc.said:
            raise
        return found
    balances = {"confirmed": "confirmed_balance", "unconfirmed": "unconfirmed_balance", "locked": "locked_balance"}
    found["balance"] = {ours: number(said.get(theirs)) for ours, theirs in balances.items()}
    found["balance"]["reserved"] = number(said.get("reserved_balance_anchor_chan"))
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={**REST_SPEC, **MACAROON_SPEC},
        mutually_exclusive=[("macaroon_path", "macaroon")],
        supports_check_mode=True,
    )
    params = dict(module.params)
    # lnd makes its macaroons only after the wallet has been made.
    if params["macaroon_path"] and not Path(params["macaroon_path"]).exists():
        params["macaroon_path"] = None
    try:
        result = look(Lnd(params, macaroon_of(params)))
    except LndError as exc:
        module.fail_json(msg=f"Wallet: {exc}")
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
