# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the endpoints of a site have said as one report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: cluster_report
short_description: What the endpoints of a site have said, as one report
version_added: 0.1.0
description:
  - Reads C(cluster_answer), the registered result of M(bcm.datacenter.lxd_server_info), and C(cluster_capacity), that of
    M(bcm.datacenter.lxd_capacity_info), of each endpoint. An endpoint that could not be reached is named.
options:
  _input:
    description: Names of the endpoints.
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
- name: Put the answers together
  ansible.builtin.set_fact:
    report: "{{ groups['endpoints'] | bcm.datacenter.cluster_report(hostvars) }}"
"""

RETURN = r"""
_value:
  description:
    - C(site), C(endpoints) (each with C(name), C(answers), C(reason)), and C(clusters), each with C(clustered), C(leader), C(members) and
      C(contents) as M(bcm.datacenter.lxd_capacity_info) gives them. A server by itself counts as one that is not clustered.
  type: dict
"""


def _cluster(capacity: Mapping[str, Any]) -> dict[str, Any]:
    leaders = [member["name"] for member in capacity["members"] if "database-leader" in member["roles"]]
    return {
        "clustered": capacity["clustered"],
        "leader": leaders[0] if leaders else None,
        "members": capacity["members"],
        "contents": capacity["contents"],
    }


def cluster_report(endpoints: list[str], hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the report of ENDPOINTS."""
    report: dict[str, Any] = {"site": None, "endpoints": [], "clusters": []}
    for name in endpoints:
        variables = hostvars[name]
        report["site"] = variables.get("bcm_site")
        answer = variables.get("cluster_answer") or {}
        answers = bool(answer.get("reachable"))
        reason = "" if answers else str(answer.get("reason") or answer.get("msg") or "no reason was given")
        report["endpoints"].append({"name": name, "answers": answers, "reason": reason})
        capacity = variables.get("cluster_capacity") or {}
        if "members" in capacity:
            report["clusters"].append(_cluster(capacity))
    return report


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"cluster_report": cluster_report}
