# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of site_secret that is done on the controller: defaults from the declaration, Ansible vaults, and copies on endpoints."""

from __future__ import annotations

import typing as t

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.parsing.vault import VaultSecretsContext
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.bcm.datacenter.plugins.module_utils._secret_store import Store, StoreError
from ansible_collections.bcm.datacenter.plugins.module_utils._site_secrets import ARGUMENT_SPEC, REQUIRED_IF, work
from ansible_collections.bcm.datacenter.plugins.plugin_utils._elsewhere import run_module
from ansible_collections.bcm.datacenter.plugins.plugin_utils._secret_copies import Copies, SilentError
from ansible_collections.bcm.datacenter.plugins.plugin_utils._vault_store import VaultStore

OF_THE_SITE = ("backend", "directory", "endpoints", "prefix", "vault", "vault_id")
# Groups that the inventory site and playbooks/leader.yml make: who has copies, and who was found not to answer.
CANDIDATES, SILENT = "lxd_candidates", "lxd_silent"


class ActionModule(ActionBase):
    """Opens the store where it lies."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        of_the_site = dict(self._templar.template(task_vars.get("bcm_secrets")) or {})
        given = {key: value for key, value in self._task.args.items() if value is not None}
        if {**of_the_site, **given}.get("backend") == of_the_site.get("backend") == "directory":
            of_the_site.setdefault("endpoints", task_vars["groups"].get(CANDIDATES) or None)
        self._task.args = {
            **{key: of_the_site[key] for key in OF_THE_SITE if of_the_site.get(key) is not None},
            **given,
        }
        if self._task.args.get("backend") == "vault":
            return self._work_here()
        if self._task.args.get("endpoints"):
            return self._work_on_all(task_vars)
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        result: dict[str, t.Any] = self._execute_module(
            # By its name, for the task may be that of another action plugin.
            module_name="bcm.datacenter.site_secret",
            task_vars=task_vars,
            wrap_async=wrap_async,
        )
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _options(self) -> dict[str, t.Any]:
        options: dict[str, t.Any]
        _result, options = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC, required_if=REQUIRED_IF)
        return options

    def _work_here(self) -> dict[str, t.Any]:
        if self._task.async_val:
            raise AnsibleActionFail("A vault is opened on the controller, where nothing runs in the background.")
        options = self._options()
        context = VaultSecretsContext.current(optional=True)

        def open_store() -> Store:
            passwords = context.secrets if context else []
            vault_id = options["vault_id"] or constants.DEFAULT_VAULT_ENCRYPT_IDENTITY
            return VaultStore(options["vault"], options["site"], passwords, vault_id)

        try:
            return work(options, open_store, self._task.check_mode, self._task.no_log)
        except (StoreError, OSError) as exc:
            # As a module fails, so that failed_when has a result to look at.
            return {"failed": True, "msg": str(exc)}

    def _work_on_all(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        if self._task.async_val:
            raise AnsibleActionFail(
                "Copies of secrets are made from the controller, where nothing runs in the background."
            )
        options = self._options()
        if options["backend"] != "directory":
            raise AnsibleActionFail(f"Copies on endpoints are directories, and not in backend {options['backend']}.")
        # As it was given: whose home ~ is depends on the endpoint.
        options["directory"] = self._task.args.get("directory") or options["directory"]
        hostvars, silent = task_vars["hostvars"], task_vars["groups"].get(SILENT, [])

        def ask(endpoint: str, request: dict[str, t.Any]) -> dict[str, t.Any]:
            if endpoint not in hostvars:
                raise StoreError(f"endpoints: {endpoint} is no host of the inventory.")
            args = {"site": options["site"], "directory": options["directory"], "state": "copied", "_copy": request}
            try:
                answer = run_module(self, endpoint, hostvars[endpoint], "bcm.datacenter.site_secret", args)
            except AnsibleConnectionFailure as exc:
                raise SilentError(str(exc).strip().rstrip(".")) from None
            if answer.get("failed"):
                raise StoreError(f"On {endpoint}: {answer.get('msg', 'no reason was given')}")
            return answer

        copies = Copies(
            options,
            ask,
            options["endpoints"],
            dict.fromkeys(silent, "as was found before"),
            check_mode=self._task.check_mode,
            no_log=self._task.no_log,
        )
        try:
            result = copies.run()
        except (StoreError, OSError) as exc:
            # Of a task with no_log nobody would be told why it fails, and here are the names of endpoints.
            Display().warning(f"site_secret: {exc}")
            return {"failed": True, "msg": str(exc)}
        for trouble in copies.warnings:
            Display().warning(f"site_secret: {trouble}. The next run copies it.")
        return result
