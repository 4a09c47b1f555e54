# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What onion_clients does, on the controller: keys are made here and go to the store of secrets, and nowhere else."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.bcm.datacenter.plugins.module_utils._onion_specs import CLIENTS_SPEC
from ansible_collections.bcm.datacenter.plugins.plugin_utils._onion_clients import (
    ClientsError,
    Register,
    change,
    differences,
    parse,
    register_of,
    root_key_of,
    wrong,
)
from ansible_collections.bcm.datacenter.plugins.plugin_utils._secrets_from import ask_store


class ActionModule(ActionBase):
    """Reads who may find an onion, changes it, and writes it if nobody else has meanwhile."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        try:
            return self._work(task_vars or {})
        except AnsibleActionFail as exc:
            # As a module fails, so that failed_when has a result to look at.
            return {"failed": True, "msg": exc.message}

    def _work(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        options: dict[str, t.Any]
        _result, options = self.validate_argument_spec(argument_spec=CLIENTS_SPEC)
        site, service = options["site"], options["service"]
        if found := wrong(service, options):
            raise AnsibleActionFail("\n".join(found))
        name = register_of(service)
        stored = ask_store(self, task_vars, site, "found", [{"name": name}])["secrets"]
        try:
            before = parse(stored.get(name), service)
            after = before if options["state"] == "read" else change(before, service, options)
        except ClientsError as exc:
            raise AnsibleActionFail(str(exc)) from None
        except ImportError as exc:
            raise AnsibleActionFail(
                f"Making keys needs the Python library cryptography on the controller: {exc}"
            ) from None
        if after != before:
            update = {
                "name": name,
                "kind": "text",
                "value": after.to_text(),
                "update": True,
                "replaces": stored.get(name, ""),
            }
            ask_store(self, task_vars, site, "present", [update])
        return self._told(before, after)

    def _told(self, before: Register, after: Register) -> dict[str, t.Any]:
        new, lost = differences(before, after)
        result: dict[str, t.Any] = {
            "changed": after != before,
            "clients": after.publics(),
            "own_keys": sorted(name for name, client in after.clients.items() if client.private is None),
            "added": new,
            "lost": lost,
            "root_keys": {name: root_key_of(key) for name, key in after.publics().items()},
            "revoked": [
                {
                    "name": one.name,
                    "public_key": one.public,
                    "root_key": root_key_of(one.public),
                    "readmitted": one.readmitted,
                }
                for one in after.revoked
            ],
        }
        if self._task.diff:
            result["diff"] = {
                "before": "".join(f"{name} {key}\n" for name, key in before.publics().items()),
                "after": "".join(f"{name} {key}\n" for name, key in after.publics().items()),
            }
        return result
