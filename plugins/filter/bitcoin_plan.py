# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the settings of a bitcoind to its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.plugin_utils._bitcoin_plan import PlanError, plan

DOCUMENTATION = r"""
name: bitcoin_plan
short_description: Configuration of a bitcoind
version_added: 0.1.0
description:
  - Turns settings into C(bitcoin.conf), computes the cache from the memory, and refuses what cannot go together. All
    that is wrong is said at once, each with its key, its value and what is allowed.
  - "The cache: of the memory, 384 MiB are set aside for bitcoind itself and C(maxmempool) for the mempool (300 MiB, or an
    eighth of a smaller memory). Three quarters of the rest are C(dbcache), at most 16 GiB."
options:
  _input:
    description:
      - The settings. C(version), C(chain), C(ports), C(memory), C(cookie_file), C(users_file) and C(shutdown_notify) are
        needed. The others
        are C(memory_reserve), C(volume_size), C(free_space_min), C(dbcache), C(maxmempool), C(prune) in MiB, C(indexes),
        C(wallet), C(zmq), C(rpc_users), C(rpc_allowed), C(network) (V(onion), which holds without it,
        V(onion_and_clear_through_tor) or V(clear)), C(socks) (C(host) and C(port)), C(onion_address), C(private_broadcast), C(backs_lightning), C(connect),
        C(addnode), C(seednode), C(listen), C(max_connections), C(network_active), C(options).
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show the cache that a node would have
  ansible.builtin.debug:
    msg: "{{ (my_node | bcm.datacenter.bitcoin_plan).dbcache }} MiB"
"""

RETURN = r"""
_value:
  description: C(conf) and C(users), the texts of two files; C(dbcache) and C(maxmempool) in MiB; C(memory_limit) in bytes;
    C(free_space_kib) and C(volume_kib); C(door), whether peers come by an onion.
  type: dict
"""


def bitcoin_plan(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan for SETTINGS."""
    try:
        return plan(settings)
    except PlanError as exc:
        raise AnsibleFilterError("The node cannot be set up like this:\n" + "\n".join(exc.errors)) from exc
    except (KeyError, ValueError) as exc:
        raise AnsibleFilterError(f"The settings of the node: {exc}") from exc


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"bitcoin_plan": bitcoin_plan}
