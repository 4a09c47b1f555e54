# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of site_secret that is done on the controller: defaults from the declaration, and Ansible vaults."""

from __future__ import annotations

import typing as t

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.parsing.vault import VaultSecretsContext
from ansible.plugins.action import ActionBase

from ansible_collections.bcm.datacenter.plugins.module_utils._secret_store import Store, StoreError
from ansible_collections.bcm.datacenter.plugins.module_utils._site_secrets import ARGUMENT_SPEC, REQUIRED_IF, work
from ansible_collections.bcm.datacenter.plugins.plugin_utils._vault_store import VaultStore

OF_THE_SITE = ("backend", "directory", "prefix", "vault", "vault_id")


class ActionModule(ActionBase):
    """Opens the store where it lies."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        of_the_site = self._templar.template(task_vars.get("bcm_secrets")) or {}
        given = {key: value for key, value in self._task.args.items() if value is not None}
        self._task.args = {
            **{key: of_the_site[key] for key in OF_THE_SITE if of_the_site.get(key) is not None},
            **given,
        }
        if self._task.args.get("backend") == "vault":
            return self._work_here()
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        result: dict[str, t.Any] = self._execute_module(task_vars=task_vars, wrap_async=wrap_async)
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _work_here(self) -> dict[str, t.Any]:
        if self._task.async_val:
            raise AnsibleActionFail("A vault is opened on the controller, where nothing runs in the background.")
        _result, options = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC, required_if=REQUIRED_IF)
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
