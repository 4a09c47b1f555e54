# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: floating_networks
short_description: What a proxyhost has to know of the addresses that it shares with the others
version_added: 0.1.0
description:
  - Turns C(bcm_way_out), as the P(bcm.datacenter.site#inventory) inventory gives it, into C(floating_address_networks) of the
    P(bcm.datacenter.floating_address#role) role, for one of the hosts that share the addresses.
  - A host looks out for the first three, whether they are there or not. So going from one to three and back changes nothing on those
    that stand. (Keepalived without any peer would speak to everybody, and lose the address for a moment on the day on which it gets one.)
positional: _input, host, hosts, hostvars, services
options:
  _input:
    description: By network, C(address), C(first) (the own addresses of the first hosts of the tier) and C(router_id).
    type: dict
    required: true
  host:
    description: The host.
    type: str
    required: true
  hosts:
    description: All that share the addresses, it among them.
    type: list
    elements: str
    required: true
  hostvars:
    description: Variables of all hosts.
    type: dict
    required: true
  services:
    description: By network, what is served behind the address, as the role takes it.
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Share the address of the way out
  ansible.builtin.include_role:
    name: bcm.datacenter.floating_address
  vars:
    floating_address_networks: >-
      {{ bcm_way_out | bcm.datacenter.floating_networks(inventory_hostname, groups['tier_proxyhost'], hostvars, {'gateway': services}) }}
"""

RETURN = r"""
_value:
  description: Items of C(floating_address_networks).
  type: list
  elements: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _floating


def floating_networks(
    way_out: Mapping[str, Mapping[str, Any]],
    host: str,
    hosts: Sequence[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    services: Mapping[str, Sequence[Mapping[str, Any]]],
) -> list[dict[str, Any]]:
    return _floating.networks(way_out, host, hosts, hostvars, services)


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"floating_networks": floating_networks}
