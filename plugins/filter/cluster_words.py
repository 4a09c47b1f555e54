# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The endpoints of a site, and what they have, as text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

DOCUMENTATION = r"""
name: cluster_words
short_description: The report of cluster_info.yml as text
version_added: 0.1.0
description:
  - Names each endpoint that does not answer, and each member with its roles, what it has, and what runs on it.
options:
  _input:
    description: The report.
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Say it
  ansible.builtin.debug:
    msg: "{{ report | bcm.datacenter.cluster_words }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""


def _size(space: Mapping[str, Any] | None) -> str:
    """How much is used of how much."""
    numbers = [(space or {}).get(key) for key in ("used", "total")]
    if any(number is None for number in numbers):
        return "unknown"
    used, total = (f"{int(number) / 2**30:.1f}" for number in numbers if number is not None)
    return f"{used} of {total} GiB"


def _where(member: Mapping[str, Any]) -> Iterator[str]:
    by_project: dict[str, list[str]] = defaultdict(list)
    for item in member["instances"]:
        running = item["status"] == "Running"
        by_project[item["project"]].append(item["name"] if running else f"{item['name']} ({item['status']})")
    for project, names in sorted(by_project.items()):
        yield f"    project {project}: {', '.join(names)}"


def _member(member: Mapping[str, Any]) -> Iterator[str]:
    leads = "database-leader" in member["roles"]
    roles = ["leader", *(role for role in member["roles"] if role != "database-leader")] if leads else member["roles"]
    parts = [member["status"], ", ".join(roles)]
    if member["failure_domain"]:
        parts.append(f"failure domain {member['failure_domain']}")
    if member["version"]:
        parts.append(f"LXD {member['version']}")
    yield f"  {member['name']}: {'; '.join(part for part in parts if part)}"
    if member["answers"]:
        pools = [f"pool {name} {_size(space)}" for name, space in sorted(member["pools"].items())]
        words = [f"{member['cpus']} processors", f"memory {_size(member['memory'])}", *pools]
        yield f"    {', '.join(words)}"
    else:
        yield f"    does not answer: {member['message'] or 'no reason was given'}"
    yield from _where(member)


def _others(endpoints: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for endpoint in endpoints:
        if not endpoint["answers"]:
            yield f"  {endpoint['name']} cannot be reached: {endpoint['reason']}"


def cluster_words(report: Mapping[str, Any]) -> str:
    """Return REPORT as text."""
    lines = []
    for part in report["clusters"]:
        count = len(part["members"])
        kind = f"a cluster of {count}, led by {part['leader']}" if part["clustered"] else "one server by itself"
        lines += [f"Site {report['site']}: {kind}", *(line for member in part["members"] for line in _member(member))]
    lines += _others(report["endpoints"])
    return "\n".join(lines) or f"Site {report['site']}: there are no endpoints"


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"cluster_words": cluster_words}
