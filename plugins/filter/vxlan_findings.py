# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: vxlan_findings
short_description: Say what is wrong with networks that are to be joined across endpoints
version_added: 0.1.0
description:
  - What the P(bcm.datacenter.vxlan#role) role checks before it touches anything, as far as it can be told from its variables.
positional: _input, site, local, peers, port, underlay_mtu
options:
  _input:
    description: Networks, each with C(interface) and C(vni), and perhaps C(bridge) and C(mtu).
    type: list
    elements: dict
    required: true
  site:
    description: Name of the site that they belong to.
    type: str
    required: true
  local:
    description: The endpoint's own address in the underlay.
    type: str
    required: true
  peers:
    description: Those of the other endpoints.
    type: list
    elements: str
    required: true
  port:
    description: UDP port.
    type: int
    required: true
  underlay_mtu:
    description: The largest packet that the underlay carries. V(0) where that is not known yet.
    type: int
    default: 0
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Refuse what cannot be
  ansible.builtin.assert:
    that: networks | bcm.datacenter.vxlan_findings('home', '192.0.2.1', ['192.0.2.2'], 4789) | length == 0
"""

RETURN = r"""
_value:
  description: One sentence for each thing that is wrong.
  type: list
  elements: str
  sample: ["vxlan_peers has 192.0.2.1, which is vxlan_local itself; it takes the other endpoints alone"]
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _vxlan


def vxlan_findings(
    networks: Sequence[Mapping[str, Any]], site: str, local: str, peers: Sequence[str], port: int, underlay_mtu: int = 0
) -> list[str]:
    return _vxlan.findings(networks, site, local, peers, int(port), int(underlay_mtu))


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"vxlan_findings": vxlan_findings}
