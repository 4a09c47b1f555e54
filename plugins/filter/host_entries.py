# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who an instance can name: its neighbours on the networks it is on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: host_entries
short_description: Entries of /etc/hosts for the instances that one instance shares a network with
version_added: 0.1.0
description:
  - Inner networks of a site have no DNS, so every instance knows its neighbours by C(/etc/hosts).
  - Where two instances share several networks, the first one in O(_input) of the reader decides.
options:
  _input:
    description: Networks of the reading instance, in order of preference.
    type: list
    elements: str
    required: true
  hosts:
    description: Names of all instances.
    type: list
    elements: str
    required: true
  hostvars:
    description: Variables of all hosts; C(bcm_addresses) and C(bcm_networks_joined) are read.
    type: dict
    required: true
  aliases:
    description: Further names of an instance, by instance.
    type: dict
    default: {}
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show whom this instance can name
  ansible.builtin.debug:
    msg: "{{ bcm_networks_joined | bcm.datacenter.host_entries(groups['instances'], hostvars) }}"
"""

RETURN = r"""
_value:
  description: Entries with C(address) and C(names).
  type: list
  elements: dict
"""


def host_entries(
    networks: list[str],
    hosts: list[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    aliases: Mapping[str, list[str]] | None = None,
) -> list[dict[str, Any]]:
    """Return an entry for each of HOSTS that has an address on one of NETWORKS."""
    entries = []
    for host in hosts:
        addresses = hostvars[host].get("bcm_addresses", {})
        # A leg that somebody has beside those counts where there is nothing else in common.
        joined = hostvars[host].get("bcm_networks_joined", addresses)
        shared = [network for network in networks if network in joined and network in addresses]
        shared += [network for network in networks if network in addresses]
        if shared:
            entries.append({"address": addresses[shared[0]], "names": [host, *(aliases or {}).get(host, [])]})
    return entries


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"host_entries": host_entries}
