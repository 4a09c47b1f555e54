# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions of bitcoind that may run."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.plugin_utils._bitcoin_plan import Checker, check_version

DOCUMENTATION = r"""
name: bitcoin_version
short_description: A version of bitcoind, unless it must not run
version_added: 0.1.0
description:
  - Returns the version as it is. One that is known to do harm is refused with the reason, and so is one that is too old.
options:
  _input:
    description: A version of Bitcoin Core or Knots.
    type: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Say what would be installed
  ansible.builtin.debug:
    msg: "{{ my_version | bcm.datacenter.bitcoin_version }}"
"""

RETURN = r"""
_value:
  description: The version.
  type: str
"""


def bitcoin_version(version: str) -> str:
    """Return VERSION if it may run."""
    check = Checker()
    check_version(version, check)
    if check.errors:
        raise AnsibleFilterError("; ".join(check.errors))
    return version


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"bitcoin_version": bitcoin_version}
