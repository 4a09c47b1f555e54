# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is tried from each instance, and what the declaration expects of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _leaks

DOCUMENTATION = r"""
name: leak_plan
short_description: What is tried to get out of a site, and what is expected
version_added: 0.1.0
description:
  - Follows from the declaration. What the machines have told of themselves (C(leak_proof_watch))
    adds addresses and ports to try, and changes nothing that is expected.
positional: _input, hostvars, endpoints, public, closed, token
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
  public:
    description: What stands for the world - C(ipv4), C(ipv6) and C(name).
    type: dict
    required: true
  closed:
    description: Tiers that may have nothing of the world but mirrors, even through the proxy.
    type: list
    elements: str
    required: true
  token:
    description: The begin of all marks of this run.
    type: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: What is to be tried
  ansible.builtin.set_fact:
    plan: "{{ groups['instances'] | bcm.datacenter.leak_plan(hostvars, groups['endpoints'], world, ['bitcoin'], 'example') }}"
"""

RETURN = r"""
_value:
  description:
    - C(cells), by instance what is tried and expected, C(probes), the same as M(bcm.datacenter.leak_probe) takes it,
      and C(names) and C(ports) of the world that are
      declared.
  type: dict
"""


def leak_plan(
    hosts: Sequence[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    endpoints: Sequence[str],
    public: Mapping[str, Any],
    closed: Sequence[str],
    token: str,
) -> dict[str, Any]:
    """Return the plan for HOSTS."""
    cells = _leaks.plan(hosts, hostvars, endpoints, public, closed, token)
    any_host = hostvars[[*hosts, *endpoints][0]]
    return {
        "cells": cells,
        "probes": {host: [_leaks.as_probe(cell) for cell in of if _leaks.tried(cell)] for host, of in cells.items()},
        "names": _leaks.names_outside(any_host),
        "ports": _leaks.ports_outside(any_host),
    }


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"leak_plan": leak_plan}
