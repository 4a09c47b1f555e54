# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules by which lines become alerts, as the program takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _alerts, _declaration_rules
from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration_file import Document
from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration_kinds import Check
from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration_schema import ALERT_RULES

DOCUMENTATION = r"""
name: alert_rules
short_description: Rules by which lines become alerts
version_added: 0.1.0
description:
  - Lays rules over those that are always there, checks them, and returns those that count as the program of the
    P(bcm.datacenter.log_alerts#role) role takes them. All that is wrong is said at once, each with its key, its value and what is allowed.
options:
  _input:
    description: Rules by name, with the keys that C(stacks.kafka.alerts.rules) of a declaration has. What is left away is as it always is.
    type: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Show by which rules alerts would be raised
  ansible.builtin.debug:
    msg: "{{ {'login-refused': {'count': 3}, 'tor-trouble': {'enabled': false}} | bcm.datacenter.alert_rules | map(attribute='name') }}"
"""

RETURN = r"""
_value:
  description: Rules that are not switched off, by their names, with times in seconds.
  type: list
  elements: dict
"""


def alert_rules(rules: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rules that count where RULES are given."""
    walk = Check(Document({}), {})
    # Plain values: Ansible's own are not those that a check can show.
    given = json.loads(json.dumps(rules, default=str))
    found = ALERT_RULES.check({name: {} for name in _alerts.RULES} | given, ("rules",), walk)
    _declaration_rules.refuse_rules(found, ("rules",), walk)
    if walk.findings:
        raise AnsibleFilterError(
            "Alerts cannot be looked for like this:\n" + "\n".join(str(finding) for finding in walk.findings)
        )
    return [_alerts.told(name, rule) for name, rule in sorted(found.items()) if rule["enabled"]]


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"alert_rules": alert_rules}
