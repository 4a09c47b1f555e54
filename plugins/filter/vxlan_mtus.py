# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: vxlan_mtus
short_description: The largest packets inside a VXLAN, and inside Swarm's VXLAN within it
version_added: 0.1.0
description:
  - VXLAN lays 50 bytes around each packet on an underlay of IPv4, and 70 on one of IPv6 (RFC 7348, section 5 - 14 of the inner
    Ethernet header, 8 of VXLAN, 8 of UDP, 20 or 40 of IP).
  - Docker Swarm's overlay networks are VXLAN over IPv4 once more, among the instances.
positional: _input, address
options:
  _input:
    description: The largest packet that the underlay carries, in bytes.
    type: int
    required: true
  address:
    description: An address of the underlay, which tells whether that is IPv4 or IPv6.
    type: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: How large a packet of a task may be
  ansible.builtin.debug:
    msg: "{{ (1500 | bcm.datacenter.vxlan_mtus('192.0.2.1')).overlay }}"
"""

RETURN = r"""
_value:
  description:
    - C(overhead) is what VXLAN takes of each packet, and C(underlay) what was given. C(inner) is what bridges and network cards
      of instances take, C(overlay) what Swarm's overlays take.
  type: dict
  sample: {overhead: 50, underlay: 1500, inner: 1450, overlay: 1400}
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _vxlan


def vxlan_mtus(underlay: int, address: str) -> dict[str, int]:
    if _vxlan.no_address(address):
        raise AnsibleFilterError(f"vxlan_mtus: {address!r} {_vxlan.no_address(address)}")
    return _vxlan.mtus(int(underlay), _vxlan.version_of(address))


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"vxlan_mtus": vxlan_mtus}
