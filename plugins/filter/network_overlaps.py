# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_overlaps
short_description: Name the networks of two lists that overlap
description:
  - Compares each network of one list with each of another.
author:
  - the Bitcoin Cache Machine authors (@bitcoin-cache-machine)
positional: _input, others
options:
  _input:
    description: Networks with their prefix length.
    type: list
    elements: str
    required: true
  others:
    description: Networks that the first ones must not overlap.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse a pool in the site's network
  ansible.builtin.assert:
    that: pools | bcm.datacenter.network_overlaps(['10.64.0.0/16']) | length == 0
"""

RETURN = r"""
_value:
  description: One sentence for each pair that overlaps.
  type: list
  elements: str
"""

import ipaddress

from ansible.errors import AnsibleFilterError


def network_overlaps(networks: list[str], others: list[str]) -> list[str]:
    try:
        pairs = [(ipaddress.ip_network(one), ipaddress.ip_network(other)) for one in networks for other in others]
    except ValueError as error:
        raise AnsibleFilterError(f"network_overlaps: {error}") from error
    return [f"{one} and {other}" for one, other in pairs if one.version == other.version and one.overlaps(other)]


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"network_overlaps": network_overlaps}
