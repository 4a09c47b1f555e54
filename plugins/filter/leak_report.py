# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who reaches what, expected and seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _leak_report

DOCUMENTATION = r"""
name: leak_report
short_description: Who of a site reaches what, expected and seen
version_added: 0.1.0
description:
  - Holds what was tried (C(leak_proof_tried)), what was watched (C(leak_proof_watch), C(leak_proof_collected)) and what proxyhosts say of their packets
    (C(leak_proof_explained)) against what the declaration expects.
positional: _input, hostvars, endpoints, cells, site, allowed, unknown_fails
options:
  _input:
    description: Names of the instances.
    type: list
    elements: str
    required: true
  hostvars:
    description: Variables of all hosts.
    type: dict
    required: true
  endpoints:
    description: Names of the endpoints.
    type: list
    elements: str
    required: true
  cells:
    description: What was tried by whom, as P(bcm.datacenter.leak_plan#filter) returns it.
    type: dict
    required: true
  site:
    description: Name of the site.
    type: str
    required: true
  allowed:
    description: Destinations that are allowed beside the declared ones, each with C(to), C(port) and C(why).
    type: list
    elements: dict
    default: []
  unknown_fails:
    description: Whether it is a finding that nobody knows who has sent what left by an uplink.
    type: bool
    default: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Who reaches what
  ansible.builtin.set_fact:
    report: "{{ groups['instances'] | bcm.datacenter.leak_report(hostvars, groups['endpoints'], plan.cells, 'home') }}"
"""

RETURN = r"""
_value:
  description:
    - C(works), C(broken) (a sentence with its cause for each thing that differs), C(table) (a row for each who tried each
      thing, with C(asker), C(target), C(expected),
      C(seen), C(said), C(works) and C(cause)), C(packets) (where packets went, with C(verdict) and C(why)), C(watched) (seconds, by host) and C(notes).
  type: dict
"""


def leak_report(
    hosts: Sequence[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    endpoints: Sequence[str],
    cells: Mapping[str, Sequence[Mapping[str, Any]]],
    site: str,
    allowed: Sequence[Mapping[str, Any]] = (),
    unknown_fails: bool = True,
) -> dict[str, Any]:
    """Return the report."""
    return _leak_report.report(hosts, hostvars, endpoints, cells, site, allowed, unknown_fails)


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"leak_report": leak_report}
