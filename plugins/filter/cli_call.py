# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody wants of bitcoin-cli or lncli, as words."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.plugin_utils._cli_call import REFUSED_OPTIONS, CallError, call

DOCUMENTATION = r"""
name: cli_call
short_description: What somebody wants of bitcoin-cli or lncli, as words
version_added: 0.1.0
description:
  - Splits a command into words as a shell would, without a shell, and says whether it changes something.
  - Refuses what would carry a secret in an argument or in what comes back, and options by which the program would ask another node.
options:
  _input:
    description: The command without the name of the program, as a text or as a list of words.
    type: raw
    required: true
  program:
    description: Which program it is for.
    type: str
    choices: [bitcoin-cli, lncli]
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Ask a node
  ansible.builtin.command:
    argv: "{{ ['/usr/local/bin/bitcoin-cli'] + ('getblockhash 5' | bcm.datacenter.cli_call('bitcoin-cli')).argv }}"
  changed_when: false
"""

RETURN = r"""
_value:
  description: The words (C(argv)), the command among them (C(method)), and whether it changes something (C(changes)).
  type: dict
"""


def cli_call(command: Any, program: str) -> dict[str, Any]:
    """The words of COMMAND and what is known of it."""
    if program not in REFUSED_OPTIONS:
        raise AnsibleFilterError(f"program: {program!r} is not known; allowed: {', '.join(REFUSED_OPTIONS)}")
    try:
        found = call(command, program)
    except CallError as exc:
        raise AnsibleFilterError(f"{exc}. Nothing was asked.") from exc
    return {"argv": found.argv, "method": found.method, "changes": found.changes}


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"cli_call": cli_call}
