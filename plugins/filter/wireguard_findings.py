# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: wireguard_findings
short_description: Say what is wrong with a mesh of WireGuard that is asked for
version_added: 0.1.0
description:
  - What the P(bcm.datacenter.wireguard#role) role checks before it touches anything, as far as it can be told from its variables.
positional: _input, site, interface, address, numbers
options:
  _input:
    description: Peers, each with C(name), C(endpoint) and C(address), and perhaps C(public_key).
    type: list
    elements: dict
    required: true
  site:
    description: Name of the site that the mesh belongs to.
    type: str
    required: true
  interface:
    description: Name of the interface.
    type: str
    required: true
  address:
    description: The endpoint's own address in the mesh, with the length of its prefix.
    type: str
    required: true
  numbers:
    description: The numbers C(port), C(mtu), C(underlay_mtu), C(keepalive), C(key_serial) and C(wait).
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Refuse what cannot be
  ansible.builtin.assert:
    that: peers | bcm.datacenter.wireguard_findings('home', 'wg0', '10.77.48.1/20', numbers) | length == 0
  vars:
    peers: [{name: other, endpoint: 192.0.2.2, address: 10.77.48.2}]
    numbers: {port: 51820, mtu: 0, underlay_mtu: 0, keepalive: 25, key_serial: 1, wait: 60}
"""

RETURN = r"""
_value:
  description: One sentence for each thing that is wrong.
  type: list
  elements: str
  sample: ["wireguard_peers, other: address is 10.77.48.1, which is wireguard_address itself"]
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _wireguard


def wireguard_findings(
    peers: Sequence[Mapping[str, Any]], site: str, interface: str, address: str, numbers: Mapping[str, Any]
) -> list[str]:
    whole = {name: int(number) for name, number in numbers.items()}
    return _wireguard.findings(site, interface, address, peers, whole)


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"wireguard_findings": wireguard_findings}
