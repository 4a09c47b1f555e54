#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kafka_connector
short_description: Have a connector of Kafka Connect
version_added: 0.1.0
description:
  - Brings a connector into the state that is asked for, and waits until it and its tasks are in it.
  - Settings are looked at by Connect before it takes them, in check mode too. What it has against them is a failure, and nothing is changed.
  - A task that has given up is begun anew, for Connect does not do so by itself.
  - A connector that is removed leaves in Kafka how far it had read. One of the same name goes on from there.
extends_documentation_fragment:
  - bcm.datacenter.kafka_connect
  - bcm.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Of settings whose names tell of passwords, keys or tokens the values are not shown.
  idempotent:
    support: full
options:
  name:
    description: Name of the connector.
    type: str
    required: true
  state:
    description:
      - V(running) does what it is for, V(paused) keeps what it has and does nothing, V(stopped) gives up what it has, too.
      - With V(absent) there is none of this name.
    type: str
    choices: [running, paused, stopped, absent]
    default: running
  config:
    description:
      - All of its settings, C(connector.class) among them. What stands there beside them is removed.
      - They are no place for secrets, which Connect gives back to whoever asks. It can read them from elsewhere, C(${PROVIDER:PLACE}).
    type: dict
"""

EXAMPLES = r"""
- name: Have the audit log as a file
  bcm.datacenter.kafka_connector:
    name: audit-files
    config:
      connector.class: org.apache.kafka.connect.file.FileStreamSinkConnector
      tasks.max: 1
      topics: audit
      file: /data/files/audit.jsonl

- name: Let it pause
  bcm.datacenter.kafka_connector:
    name: audit-files
    state: paused

- name: Remove another
  bcm.datacenter.kafka_connector:
    name: gone
    state: absent
"""

RETURN = r"""
connector:
  description: The connector as it is afterwards, or would be in check mode. None if there is none.
  returned: success
  type: dict
  sample:
    name: audit-files
    config: {name: audit-files, topics: audit}
    state: running
"""

import time
import typing as t
from urllib.parse import quote

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_connect import (
    TOOL_SPEC,
    Connect,
    ConnectError,
    failed,
    findings,
    shown,
    wanted,
)

# What a connector is told, and what it says when it has done so.
VERBS = {"running": ("resume", "RUNNING"), "paused": ("pause", "PAUSED"), "stopped": ("stop", "STOPPED")}


class Connector:
    """One connector, and what is to be done about it."""

    def __init__(self, module: AnsibleModule) -> None:
        params = module.params
        self.check, self.timeout = module.check_mode, params["timeout"]
        self.name, self.state = params["name"], params["state"]
        self.connect = Connect(module.run_command, params["tool"], params["timeout"])
        self.path = f"/connectors/{quote(self.name)}"
        self.before = self.connect.config(self.name)
        self.was = self.connect.status(self.name) if self.before is not None else None
        config = params["config"]
        self.after = self.before if config is None else wanted(self.name, config)
        self.changed = False

    def state_now(self) -> str | None:
        """In which state it is kept, whatever became of its tasks."""
        if self.before is None:
            return None
        said = ((self.was or {}).get("connector") or {}).get("state")
        return next((state for state, (_verb, word) in VERBS.items() if word == said), "running")

    def remove(self) -> None:
        self.after = None
        self.changed = self.before is not None
        if self.changed and not self.check:
            self.connect.must("DELETE", self.path)
            self.wait(lambda: [] if self.connect.config(self.name) is None else ["it is still there"])

    def have(self) -> None:
        if self.after is None:
            raise ConnectError("there is none, and without config none can be made")
        if "connector.class" not in self.after:
            raise ConnectError("config has no connector.class, which says what it is")
        verb, word = VERBS[self.state]
        if self.after != self.before:
            # Whatever is wrong is found before anything that runs is disturbed.
            faults = self.connect.faults(self.after)
            if faults:
                raise ConnectError(f"Connect does not take it: {'; '.join(faults)}")
            self.do("PUT", f"{self.path}/config", self.after)
        if self.state != self.state_now() and not (self.before is None and self.state == "running"):
            self.do("PUT", f"{self.path}/{verb}")
        if self.state == "running" and failed(self.was):
            self.do("POST", f"{self.path}/restart?includeTasks=true&onlyFailed=true")
        if not self.check:
            self.wait(lambda: findings(self.connect.status(self.name), word))

    def do(self, method: str, path: str, body: t.Any = None) -> None:
        self.changed = True
        if not self.check:
            self.connect.must(method, path, body)

    def wait(self, look: t.Callable[[], list[str]]) -> None:
        deadline = time.monotonic() + self.timeout
        while left := look():
            if time.monotonic() > deadline:
                raise ConnectError(f"after {self.timeout} s: {'; '.join(left)}")
            time.sleep(1)

    def described(self, config: dict[str, str] | None, state: str | None) -> dict[str, t.Any] | None:
        return None if config is None else {"name": self.name, "config": shown(config), "state": state}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **TOOL_SPEC,
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": [*VERBS, "absent"], "default": "running"},
            "config": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    try:
        connector = Connector(module)
        if module.params["state"] == "absent":
            connector.remove()
        else:
            connector.have()
    except ConnectError as exc:
        module.fail_json(msg=f"Connector {module.params['name']}: {exc}")
    before = connector.described(connector.before, connector.state_now())
    after = connector.described(connector.after, connector.state)
    module.exit_json(changed=connector.changed, connector=after, diff={"before": before or {}, "after": after or {}})


if __name__ == "__main__":
    main()
