# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases of lnd that may run."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.plugin_utils._lnd_versions import UnknownReleaseError, release

DOCUMENTATION = r"""
name: lnd_version
short_description: A release of lnd, unless it is not known
version_added: 0.1.0
description:
  - Returns the release as it is. One of which it is not known which RPC methods of bitcoind it calls is refused.
options:
  _input:
    description: A release of lnd.
    type: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Say what would be installed
  ansible.builtin.debug:
    msg: "{{ my_version | bcm.datacenter.lnd_version }}"
"""

RETURN = r"""
_value:
  description: The release.
  type: str
"""


def lnd_version(version: str) -> str:
    """Return VERSION if it may run."""
    try:
        release(version)
    except UnknownReleaseError as exc:
        raise AnsibleFilterError(str(exc)) from exc
    return version


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"lnd_version": lnd_version}
