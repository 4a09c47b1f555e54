#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kafka_connector_info
short_description: Read connectors of Kafka Connect
version_added: 0.1.0
description:
  - Gives the connectors of a Kafka Connect with their settings, and whether they and their tasks run. It changes nothing.
extends_documentation_fragment:
  - bcm.datacenter.kafka_connect
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  name:
    description: Only the one of this name. That it does not exist is no error.
    type: str
"""

EXAMPLES = r"""
- name: Read all connectors
  bcm.datacenter.kafka_connector_info:
  register: found

- name: Show which do not do what they are for
  ansible.builtin.debug:
    msg: "{{ found.connectors | rejectattr('ready') | items2dict(key_name='name', value_name='reason') }}"
"""

RETURN = r"""
connectors:
  description: The connectors, sorted by name. Values of settings whose names tell of secrets are not shown.
  returned: success
  type: list
  elements: dict
  sample:
    - name: audit-files
      config: {name: audit-files, topics: audit}
      ready: true
      reason: ''
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_connect import (
    TOOL_SPEC,
    Connect,
    ConnectError,
    findings,
    shown,
)


def described(connect: Connect, only: str | None) -> list[dict[str, t.Any]]:
    result = []
    for name in sorted(connect.must("GET", "/connectors")):
        if only not in (None, name):
            continue
        config = connect.config(name)
        # Somebody may have removed it just now.
        if config is None:
            continue
        left = findings(connect.status(name))
        result.append({"name": name, "config": shown(config), "ready": not left, "reason": "; ".join(left)})
    return result


def main() -> None:
    module = AnsibleModule(argument_spec={**TOOL_SPEC, "name": {"type": "str"}}, supports_check_mode=True)
    try:
        connectors = described(
            Connect(module.run_command, module.params["tool"], module.params["timeout"]), module.params["name"]
        )
    except ConnectError as exc:
        module.fail_json(msg=f"Connectors: {exc}")
    module.exit_json(changed=False, connectors=connectors)


if __name__ == "__main__":
    main()
