# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with what a tor was asked to be."""

from __future__ import annotations

from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _tor_plan

DOCUMENTATION = r"""
name: tor_findings
short_description: What is wrong with what the role tor was told
version_added: 0.1.0
description:
  - Looks at addresses, bridges and further configuration of the P(bcm.datacenter.tor#role) role and returns all that cannot be, in
    sentences. Bridges are not repeated in them.
options:
  _input:
    description: C(addresses), C(clients), C(port), C(further_ports), C(bridges) and C(config).
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Refuse what cannot be
  ansible.builtin.assert:
    that: asked | bcm.datacenter.tor_findings | length == 0
  vars:
    asked: {addresses: [192.0.2.1], clients: [10.1.2.3], port: 9050, bridges: [], config: []}
"""

RETURN = r"""
_value:
  description: Sentences, none if all is well.
  type: list
  elements: str
"""


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"tor_findings": _tor_plan.findings}
