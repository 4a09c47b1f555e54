# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who reaches what, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _leak_report

DOCUMENTATION = r"""
name: leak_words
short_description: Who of a site reaches what, as a table in text
version_added: 0.1.0
description:
  - Renders what P(bcm.datacenter.leak_report#filter) returns.
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
    msg: "{{ report | bcm.datacenter.leak_words }}"
"""

RETURN = r"""
_value:
  description: Lines of text.
  type: str
"""


def leak_words(report: Mapping[str, Any]) -> str:
    """Return REPORT as text."""
    return _leak_report.words(report)


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"leak_words": leak_words}
