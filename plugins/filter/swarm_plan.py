# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be done so that hosts become the Swarm that was asked for."""

from __future__ import annotations

DOCUMENTATION = r"""
name: swarm_plan
short_description: Compare hosts with the Swarm that they shall form
description:
  - Takes what each engine says of itself and what one manager says of its nodes, and returns what each host still needs.
  - A host that belongs to another Swarm is a problem, never a reason to act.
author:
  - the Bitcoin Cache Machine authors (@bitcoin-cache-machine)
positional: _input, managers, nodes
options:
  _input:
    description: The C(Swarm) part of what each engine says of itself, by host.
    type: dict
    required: true
  managers:
    description: Hosts that shall be managers. The first is where a Swarm begins when there is none.
    type: list
    elements: str
    required: true
  nodes:
    description: Nodes of the Swarm, as its manager describes them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: See what is missing
  ansible.builtin.debug:
    msg: "{{ engines | bcm.datacenter.swarm_plan(['manager-1'], nodes) }}"
"""

RETURN = r"""
_value:
  description:
    - C(problems) is a list of sentences, C(unlock) the hosts that are locked, C(pending) those that are still connecting,
      C(init) the host where the Swarm begins or nothing.
    - C(join) says for each host that is in no Swarm C(manager) or C(worker), C(stale) lists nodes whose host was made
      anew, or whose join came to nothing.
  type: dict
"""

import typing as t


def role_of(host: str, managers: list[str]) -> str:
    return "manager" if host in managers else "worker"


def swarm_plan(
    engines: dict[str, dict[str, t.Any]],
    managers: list[str],
    nodes: list[dict[str, t.Any]],
) -> dict[str, t.Any]:
    plan: dict[str, t.Any] = {
        "problems": [],
        "unlock": [],
        "pending": [],
        "init": None,
        "join": {},
        "stale": [],
    }
    by_id = {node["ID"]: node for node in nodes}
    states = {host: engine.get("LocalNodeState", "inactive") for host, engine in engines.items()}
    for host, engine in engines.items():
        state = states[host]
        if state == "locked":
            plan["unlock"].append(host)
        elif state == "pending":
            plan["pending"].append(host)
        elif state == "error":
            cause = engine.get("Error") or "no cause given"
            plan["problems"].append(f"{host}: its engine is in a Swarm that it cannot reach: {cause}")
        elif state == "inactive":
            plan["join"][host] = role_of(host, managers)
            own = [node for node in nodes if node["Description"].get("Hostname") == host]
            plan["stale"] += [{"id": node["ID"], "host": host, "manager": "ManagerStatus" in node} for node in own]
        elif nodes and engine.get("NodeID") not in by_id:
            cluster = (engine.get("Cluster") or {}).get("ID")
            plan["problems"].append(
                f"{host}: belongs to another Swarm{f' ({cluster})' if cluster else ''} as node {engine.get('NodeID')}"
            )
    if plan["join"]:
        # Left behind by a join that came to nothing: a node that never said who it is.
        plan["stale"] += [
            {"id": node["ID"], "host": "(nameless)", "manager": "ManagerStatus" in node}
            for node in nodes
            if not node["Description"].get("Hostname") and node["Status"]["State"] != "ready"
        ]
    in_swarm = [host for host, state in states.items() if state in ("active", "pending", "locked")]
    if not nodes and not in_swarm and not plan["problems"] and managers[0] in plan["join"]:
        plan["init"] = managers[0]
        del plan["join"][managers[0]]
    elif not nodes and not plan["pending"] and not plan["unlock"] and not plan["problems"]:
        plan["problems"] += [f"{host}: is in a Swarm, and no manager of it answers" for host in in_swarm]
        if plan["join"] and not in_swarm:
            plan["problems"].append(
                f"{', '.join(plan['join'])}: cannot join, no manager is in a Swarm and {managers[0]}, where it begins, "
                "has no part in this run"
            )
    return plan


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"swarm_plan": swarm_plan}
