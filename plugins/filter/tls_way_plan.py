# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the ends of ways by mutual TLS to the configuration of the program that carries them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.plugin_utils._tls_way import PlanError, plan

DOCUMENTATION = r"""
name: tls_way_plan
short_description: Configuration of ways by mutual TLS
version_added: 0.1.0
description:
  - Turns the exits and entries of a host into the configuration of stunnel and the rules of the firewall before it.
  - All that is wrong is said at once, each with its key, its value and what is allowed.
options:
  _input:
    description:
      - C(directory), where certificates lie, C(authority) (PEM), C(identities) (by name, with C(certificate) and C(key)), C(exits) and C(entries), as the role
        tls_way has them.
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show where it would listen
  ansible.builtin.debug:
    msg: "{{ (my_ways | bcm.datacenter.tls_way_plan).listens }}"
"""

RETURN = r"""
_value:
  description: C(conf) and C(firewall), the texts of two files; C(listens), a list of C(address) and C(port); C(identities), the names that are used.
  type: dict
"""


def tls_way_plan(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan for SETTINGS."""
    try:
        return plan(settings)
    except PlanError as exc:
        raise AnsibleFilterError("The ways cannot be set up like this:\n" + "\n".join(exc.errors)) from exc


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"tls_way_plan": tls_way_plan}
