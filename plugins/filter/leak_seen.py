# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the packets of a site went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _leak_report

DOCUMENTATION = r"""
name: leak_seen
short_description: Where packets went while they were watched
version_added: 0.1.0
description:
  - Puts together what M(bcm.datacenter.leak_watch) has seen on several hosts (C(leak_proof_collected)), each destination once.
positional: _input, hostvars
options:
  _input:
    description: Names of the hosts that have watched.
    type: list
    elements: str
    required: true
  hostvars:
    description: Variables of all hosts.
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: What is to be explained
  ansible.builtin.debug:
    msg: "{{ ansible_play_hosts_all | bcm.datacenter.leak_seen(hostvars) }}"
"""

RETURN = r"""
_value:
  description: C(destinations), as M(bcm.datacenter.leak_destinations) takes them, and C(addresses), the names that name servers gave them for.
  type: dict
"""


def leak_seen(hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what HOSTS have seen."""
    return {
        "destinations": _leak_report.destinations(hostvars, hosts),
        "addresses": _leak_report.names_of(hostvars, hosts),
    }


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"leak_seen": leak_seen}
