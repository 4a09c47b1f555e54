# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of several endpoints leads a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DOCUMENTATION = r"""
name: leader
short_description: Which of several endpoints leads a run
version_added: 0.1.0
description:
  - Reads C(leader_answer), the registered result of M(bcm.datacenter.lxd_project_info) for the site's project, of each endpoint.
  - The first one in whose LXD the site stands leads. All members of a cluster show the same projects, so that this is the first one
    that is in the cluster of the site and answers.
  - Where the site stands nowhere yet, it is the first one of all, as long as all have answered. The site may stand in the LXD of one
    that has not, and then must not be begun once more.
options:
  _input:
    description: Names of the endpoints, in the order of the declaration.
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
  without:
    description: An endpoint that does not lead, because it is about to leave.
    type: str
    default: ""
  rehearsal:
    description: Whether it is no matter that an endpoint has no LXD, because the run would have installed it before.
    type: bool
    default: false
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Know who leads
  ansible.builtin.debug:
    msg: "{{ (groups['lxd_candidates'] | bcm.datacenter.leader(hostvars, 'home')).leader }}"
"""

RETURN = r"""
_value:
  description:
    - C(leader), empty where none can, C(silent), those that cannot be reached, and C(words), which says what is not as it is when all
      are there.
  type: dict
"""


def _reason(answer: Mapping[str, Any]) -> str:
    return str(answer.get("msg") or "no reason was given").removeprefix("Task failed: ").strip().rstrip(".")


def _aside(name: str, answer: Mapping[str, Any] | None) -> str:
    """Return why an endpoint does not lead."""
    if answer is None:
        return f"{name} was not asked"
    if answer.get("unreachable"):
        return f"{name} does not answer ({_reason(answer)})"
    if "projects" not in answer:
        return f"LXD on {name} does not answer ({_reason(answer)})"
    return f"LXD on {name} does not have the site"


def leader(
    candidates: Sequence[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    site: str,
    without: str = "",
    rehearsal: bool = False,
) -> dict[str, Any]:
    """Return which of CANDIDATES leads, and what is to be said of the others."""
    answers = {name: hostvars[name].get("leader_answer") for name in candidates}
    silent = [name for name, answer in answers.items() if answer and answer.get("unreachable")]
    standing = [name for name in candidates if (answers[name] or {}).get("projects")]
    able = [name for name in standing if name != without]
    asides = [_aside(name, answers[name]) for name in candidates if name not in standing]
    if able:
        first = next(name for name in candidates if name != without)
        lines = [*asides, *([f"{able[0]} leads this run"] if able[0] != first else [])]
        return {"leader": able[0], "silent": silent, "words": "".join(f"{line}. " for line in lines).strip()}
    unknown = [
        name
        for name, answer in answers.items()
        if answer is None or answer.get("unreachable") or ("projects" not in answer and not rehearsal)
    ]
    if not unknown and not standing:
        left = [name for name in candidates if name != without]
        return {"leader": left[0], "silent": silent, "words": ""}
    words = (
        f"No endpoint can lead, and nothing was touched: none that was asked has site {site} in its LXD"
        f"{f', but for {without}, which is to leave' if standing else ''}. {'. '.join(asides)}."
    )
    if unknown:
        words += f" The site may stand in the LXD of {' and '.join(unknown)}, and is not begun once more without knowing that."
    return {"leader": "", "silent": silent, "words": words}


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"leader": leader}
