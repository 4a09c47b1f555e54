# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: floating_findings
short_description: Say what is wrong with addresses that several machines are to share
version_added: 0.1.0
description:
  - What the P(bcm.datacenter.floating_address#role) role checks before it touches anything.
options:
  _input:
    description: The role's C(floating_address_networks).
    type: list
    elements: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Refuse what cannot be
  ansible.builtin.assert:
    that: floating_address_networks | bcm.datacenter.floating_findings | length == 0
"""

RETURN = r"""
_value:
  description: One sentence for each thing that is wrong.
  type: list
  elements: str
  sample: ["floating_address_networks, gateway: address is 10.0.0, which is no IPv4 address"]
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _floating


def floating_findings(networks: Sequence[Mapping[str, Any]]) -> list[str]:
    return _floating.findings(networks)


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"floating_findings": floating_findings}
