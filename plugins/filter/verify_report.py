# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results of all probes of a site as one report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

DOCUMENTATION = r"""
name: verify_report
short_description: One report of what the probes of all hosts found
version_added: 0.1.0
description:
  - Reads C(verify_result), the registered result of M(bcm.datacenter.probe), C(verify_node_result), that of
    M(bcm.datacenter.bitcoin_node_info), C(verify_lnd_result), that of C(bcm-lnd status), C(verify_kafka_result) and C(verify_kafka_other_result), those of
    M(bcm.datacenter.kafka_cluster_info), C(verify_kafka_groups_result), that of M(bcm.datacenter.kafka_group_info), and C(verify_logs_result), that of
    the command that reads logs, of each host, with C(verify_kafka_groups_asked) and C(verify_logs_asked). A host that could not be
    reached, or on which the module failed, is a part that does not work.
options:
  _input:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: Variables of all hosts.
    type: dict
    required: true
  site:
    description: Name of the site.
    type: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Put the results together
  ansible.builtin.set_fact:
    report: "{{ ansible_play_hosts_all | bcm.datacenter.verify_report(hostvars, 'home') }}"
"""

RETURN = r"""
_value:
  description:
    - C(site), C(works), C(parts) (each with C(host), C(addresses), C(part), C(works), C(cause), C(hint)) and C(broken),
      which names what does not work in a sentence each.
  type: dict
"""


def parts_of(host: str, variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parts of one host with their results."""
    result = variables.get("verify_result")
    if result is None or result.get("unreachable") or "results" not in result:
        cause = "it was not looked at" if result is None else str(result.get("msg", "no reason was given"))
        itself = "the machine itself" if "endpoints" in variables.get("group_names", []) else "the instance itself"
        return [{"host": host, "part": itself, "works": False, "cause": cause, "hint": ""}]
    others = [*nodes_of(variables), *tor_of(variables), *lnd_of(variables), *groups_of(variables)]
    return [{"host": host, **part} for part in [*result["results"], *others]]


def nodes_of(variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a part for each of the host's Bitcoin nodes, if it has any."""
    said = variables.get("verify_node_result") or {}
    results = said.get("results", [said])
    return [part for result in results for part in node_of(result)]


def node_of(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parts that a Bitcoin node is.

    A node that runs and is not ready yet (it starts, downloads, indexes) works: there is nothing to mend. Peers by a network that it must
    not have them by are another matter.
    """
    if "running" not in node:
        return []
    asked = node.get("verify_node") or {}
    name = f"bitcoind of {asked['chain']}" if asked.get("chain") else "bitcoind"
    if not node["running"]:
        hint = "On a manager, docker service ps --no-trunc of the node's service says more; on the host, its journal."
        return [{"part": name, "works": False, "cause": node["reason"], "hint": hint}]
    if node.get("strangers"):
        hint = "bitcoin.yml writes its configuration anew. Until then it may be seen who it is: docs/bitcoin.md."
        return [{"part": f"Peers of {name}", "works": False, "cause": node["reason"], "hint": hint}]
    state = f"block {node['blocks']}" if node.get("ready") else f"not ready yet: {node['reason']}"
    networks = ", ".join(f"{count} by {network}" for network, count in (node.get("peer_networks") or {}).items())
    return [
        {
            "part": f"{name} ({state}{f'; peers: {networks}' if networks else ''})",
            "works": True,
            "cause": "",
            "hint": "",
        }
    ]


def tor_of(variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the part that is the host's tor, if it has one."""
    tor = variables.get("verify_tor_result") or {}
    if "bootstrapped" not in tor:
        return []
    if tor["ready"]:
        return [{"part": f"Tor ({tor['note']})", "works": True, "cause": "", "hint": ""}]
    far = f"{tor['bootstrapped']} %: " if tor["running"] and tor["bootstrapped"] < 100 else ""
    return [{"part": "Tor", "works": False, "cause": f"{far}{tor['cause']}", "hint": tor["hint"]}]


def lnd_of(variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the parts that are the host's lnd, its fence, its seed and its channel backup, as its own guard sees them."""
    found = variables.get("verify_lnd_result") or {}
    if "rc" not in found:
        return []
    try:
        told = json.loads(found.get("stdout") or "")
        return [{key: one[key] for key in ("part", "works", "cause", "hint")} for one in told["parts"]]
    except (ValueError, KeyError, TypeError):
        cause = str(found.get("stderr") or found.get("msg") or "bcm-lnd gave no reason").strip()
        hint = "lightning.yml sets it up; journalctl -u bcm-lnd-guard on this host says more."
        return [{"part": "lnd", "works": False, "cause": cause, "hint": hint}]


def kafka_of(hosts: list[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the part that is Kafka as a whole, as the first host says that was told something.

    Where one was told nothing and another something, that is the trouble of the one.
    """
    said = []
    for host in hosts:
        for name in ("verify_kafka_result", "verify_kafka_other_result"):
            found = hostvars[host].get(name) or {}
            # A host that cannot be reached is a part already.
            if found and not found.get("skipped") and not found.get("unreachable"):
                said.append((host, found))
    told = [(host, found) for host, found in said if found.get("reachable")]
    parts = []
    for host, found in told[:1] or said[:1]:
        part = {"host": host, "part": "Kafka as a whole", "works": bool(found.get("ready")), "cause": "", "hint": ""}
        if found.get("ready"):
            part["part"] = f"Kafka as a whole ({found['note']})"
        else:
            part["cause"] = reason_of(found)
            part["hint"] = "Look at its members first. bus.yml says more, and mends what can be mended."
        parts.append(part)
    for host, found in said if told else []:
        if not found.get("reachable"):
            hint = "It answers others. bus.yml mends what this host needs for it."
            parts.append(
                {"host": host, "part": "Kafka from here", "works": False, "cause": reason_of(found), "hint": hint}
            )
    return parts


def reason_of(found: Mapping[str, Any]) -> str:
    return str(found.get("reason") or found.get("msg") or "no reason was given")


def logs_of(hosts: list[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return how old the last line of each host is in Kafka, as the host says that has asked."""
    asked = [(host, hostvars[host].get("verify_logs_result") or {}) for host in hosts]
    asked = [(host, found) for host, found in asked if "rc" in found]
    if not asked:
        return []
    asker, found = asked[0]
    if found["rc"]:
        cause = str(found.get("stderr") or found.get("msg") or "bcm-logs gave no reason").strip()
        hint = "Look at Kafka first, and at bcm-logs on this host."
        return [{"host": asker, "part": "Last lines of all hosts", "works": False, "cause": cause, "hint": hint}]
    wanted = hostvars[asker]["verify_logs_asked"]
    last = {one["host"]: one for one in map(json.loads, found["stdout"].splitlines())}
    return [logs_part(host, last.get(host), wanted["late"]) for host in wanted["of"] if host in hosts]


def logs_part(host: str, last: Mapping[str, Any] | None, late: int) -> dict[str, Any]:
    hint = "bcm-shipper status on this host, and journalctl -u bcm-shipper, say more. Its clock may be wrong, too."
    part = {"host": host, "part": "Last line in Kafka", "works": False, "cause": "there is none of late", "hint": hint}
    if last is not None and last["age"] > late:
        part["cause"] = f"it is of {last['time']}, {last['age']} s ago"
    elif last is not None:
        part.update(part=f"Last line in Kafka ({last['age']} s old)", works=True, cause="", hint="")
    return part


def groups_of(variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a part for each who reads from Kafka and must keep up, if the host has asked for them."""
    found = variables.get("verify_kafka_groups_result") or {}
    if not found or found.get("skipped"):
        return []
    groups = {one["name"]: one for one in found.get("groups") or []}
    return [_group_of(one, groups.get(one["group"]), found) for one in variables.get("verify_kafka_groups_asked") or []]


def _group_of(asked: Mapping[str, Any], group: Mapping[str, Any] | None, found: Mapping[str, Any]) -> dict[str, Any]:
    what = f"{asked['what']}, from {asked['topic']}"
    if group is None:
        cause = str(found.get("msg") or "no reason was given")
        return {"part": what, "works": False, "cause": cause, "hint": "Look at Kafka first."}
    lines = group["behind"]
    if not group["moved"]:
        cause = f"it is {lines} lines behind, and has read none of them while it was looked at"
        hint = "What reads it stands still, whatever it says of itself. What is in Kafka is read when it goes on."
        return {"part": what, "works": False, "cause": cause, "hint": hint}
    if lines <= asked["most"]:
        return {"part": f"{what} ({lines} lines behind)", "works": True, "cause": "", "hint": ""}
    hint = "What reads it has begun of late, or is slower than lines come. What is in Kafka is read by and by."
    return {"part": what, "works": False, "cause": f"it is {lines} lines behind", "hint": hint}


def verify_report(hosts: list[str], hostvars: Mapping[str, Mapping[str, Any]], site: str) -> dict[str, Any]:
    """Return the report of HOSTS."""
    of_all = [*kafka_of(hosts, hostvars), *logs_of(hosts, hostvars)]
    parts = [
        part
        for host in hosts
        for part in [*parts_of(host, hostvars[host]), *(part for part in of_all if part["host"] == host)]
    ]
    broken = [f"{part['host']}: {part['part']}: {part['cause']}" for part in parts if not part["works"]]
    return {
        "site": site,
        "works": not broken,
        "parts": parts,
        "broken": broken,
        "addresses": {host: dict(hostvars[host].get("bcm_addresses", {})) for host in hosts},
    }


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"verify_report": verify_report}
