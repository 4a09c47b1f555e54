# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a Swarm keeps its majority without some of its nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

DOCUMENTATION = r"""
name: swarm_votes
short_description: What managers say of the nodes of their Swarm, and whether some can be done without
version_added: 0.1.0
description:
  - Takes what C(docker node ls) has said on managers, a JSON object a line, and tells who can be asked, and whether more than half of
    the managers are left without some hosts.
options:
  _input:
    description: Results of a loop over the managers, each with C(item), the manager, and C(rc) and C(stdout).
    type: list
    elements: dict
    required: true
  without:
    description: Hosts that are about to stop, or are lost.
    type: list
    elements: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Stop if the Swarm would not decide any more
  ansible.builtin.assert:
    that: (asked.results | bcm.datacenter.swarm_votes(['manager-3'])).majority
"""

RETURN = r"""
_value:
  description:
    - C(speaker) (the first manager that answered for the Swarm, if possible none of the hosts; empty without any), C(managers) (how many there
      are), C(answering) (those that vote), C(left) (those of them that are none of the hosts), C(majority) (whether they are enough).
    - C(nodes) are the hosts' nodes, each with C(id), C(host), C(manager), C(ready); C(ready) tells whether each host has one
      that is ready and, if it is a manager, votes.
  type: dict
"""


def nodes_said(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes that one manager has named, none if it could not."""
    if result.get("unreachable") or result.get("rc") != 0:
        return []
    return [json.loads(line) for line in str(result.get("stdout") or "").splitlines() if line.startswith("{")]


def swarm_votes(results: Sequence[Mapping[str, Any]], without: Sequence[str]) -> dict[str, Any]:
    """Return what can be known of a Swarm that is to do WITHOUT hosts."""
    said = {result["item"]: nodes for result in results if (nodes := nodes_said(result))}
    speakers = [host for host in said if host not in without] + [host for host in said if host in without]
    listed = said[speakers[0]] if speakers else []
    voters = [node for node in listed if node.get("ManagerStatus")]
    answering = [node["Hostname"] for node in voters if node["ManagerStatus"] in ("Leader", "Reachable")]
    left = [host for host in answering if host not in without]
    own = [node for node in listed if node["Hostname"] in without]
    ready = {
        node["Hostname"]
        for node in own
        if node["Status"] == "Ready" and node.get("ManagerStatus", "") in ("", "Leader", "Reachable")
    }
    return {
        "speaker": speakers[0] if speakers else "",
        "managers": len(voters),
        "answering": answering,
        "left": left,
        "majority": bool(voters) and len(left) > len(voters) // 2,
        "nodes": [
            {
                "id": node["ID"],
                "host": node["Hostname"],
                "manager": bool(node.get("ManagerStatus")),
                "ready": node["Status"] == "Ready",
            }
            for node in own
        ],
        "ready": bool(without) and ready >= set(without),
    }


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"swarm_votes": swarm_votes}
