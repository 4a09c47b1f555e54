# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with the options of the proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _leaks

DOCUMENTATION = r"""
name: leak_findings
short_description: Say what is wrong with the options of the proof of leaks
version_added: 0.1.0
description:
  - What the P(bcm.datacenter.leak_proof#role) role checks before it begins.
positional: _input, allowed
options:
  _input:
    description: What stands for the world - C(ipv4), C(ipv6) and C(name).
    type: dict
    required: true
  allowed:
    description: Destinations that are allowed beside the declared ones, each with C(to), C(port) and C(why).
    type: list
    elements: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Refuse what cannot be
  ansible.builtin.assert:
    that: leak_proof_public | bcm.datacenter.leak_findings(leak_proof_allowed) | length == 0
"""

RETURN = r"""
_value:
  description: One sentence for each thing that is wrong.
  type: list
  elements: str
"""


def leak_findings(public: Mapping[str, Any], allowed: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong."""
    return _leaks.findings_of_options(public, allowed)


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"leak_findings": leak_findings}
