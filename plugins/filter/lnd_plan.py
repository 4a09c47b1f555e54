# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the settings of an lnd to its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.plugin_utils._bitcoin_plan import PlanError
from ansible_collections.bcm.datacenter.plugins.plugin_utils._lnd_plan import plan

DOCUMENTATION = r"""
name: lnd_plan
short_description: Configuration of an lnd
version_added: 0.1.0
description:
  - Turns settings into C(lnd.conf) and refuses what cannot go together, or would put money or privacy at risk. All that is wrong is said at
    once, each with its key, its value and what is allowed.
  - A release is taken only if it is known which RPC methods of bitcoind it calls, and if it can read the database of the release that the
    volume was last used by.
options:
  _input:
    description:
      - The settings. C(version), C(chain), C(owner_key), C(memory), C(bitcoind) (C(host), C(rpc), C(zmq_rawblock), C(zmq_rawtx)) and C(health) are
        needed. The others are C(stands), C(onion), C(tor) (C(host), C(port)), C(alias), C(color), C(watchtowers) (C(enabled), C(towers),
        C(sweep_fee_rate)), C(min_channel_size), C(estimate_mode), C(log_level), C(memory_reserve), C(volume_size), C(free_space_min), C(options).
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show which RPC methods its user may call
  ansible.builtin.debug:
    msg: "{{ (my_lnd | bcm.datacenter.lnd_plan).methods }}"
"""

RETURN = r"""
_value:
  description: C(conf), the text of the file; C(network), lnd's name of the chain; C(real_money); C(key_kind), what the seed is sealed with; C(methods), what
    the user of bitcoind's RPC may call; C(memory_limit) in bytes; C(free_space_kib) and C(volume_kib).
  type: dict
"""


def lnd_plan(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan for SETTINGS."""
    try:
        return plan(settings)
    except PlanError as exc:
        raise AnsibleFilterError("lnd cannot be set up like this:\n" + "\n".join(exc.errors)) from exc
    except (KeyError, ValueError) as exc:
        raise AnsibleFilterError(f"The settings of lnd: {exc}") from exc


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"lnd_plan": lnd_plan}
