# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is PRIVATE to the collection: it may change without notice.
"""An action plugin that runs a module on other hosts than its task's, by the ways that tasks delegated to these would take."""

from __future__ import annotations

import os
import typing as t

from ansible import constants
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.loader import become_loader

if t.TYPE_CHECKING:
    from ansible.plugins.action import ActionBase

# What says how Python is found on a host. What the connection, its shell and become are told they say themselves.
_INTERPRETER = ("ansible_python_interpreter", "ansible_facts")


def run_module(
    action: ActionBase, host: str, variables: t.Mapping[str, t.Any], name: str, args: dict[str, t.Any]
) -> dict[str, t.Any]:
    """Run a module on HOST, whose VARIABLES are templated already. What it is told and says is not logged.

    :raises AnsibleConnectionFailure: the host cannot be reached.
    """
    task = action._task
    before = action._connection, action._play_context, task.delegate_to, task.no_log
    action._connection, action._play_context = _way(action, host, variables)
    task.delegate_to, task.no_log = host, True
    own = {key: variables[key] for key in _INTERPRETER if key in variables}
    own["ansible_facts"] = dict(own.get("ansible_facts") or {})
    try:
        result: dict[str, t.Any] = action._execute_module(
            module_name=name, module_args=args, task_vars={**own, "ansible_delegated_vars": {host: own}}
        )
        action._remove_tmp_path(action._connection._shell.tmpdir)
    finally:
        action._connection.close()
        action._connection, action._play_context, task.delegate_to, task.no_log = before
    if result.get("unreachable"):
        raise AnsibleConnectionFailure(str(result.get("msg") or "no reason was given"))
    return result


def _way(action: ActionBase, host: str, variables: t.Mapping[str, t.Any]) -> tuple[t.Any, t.Any]:
    """The connection to HOST with its become, and the play's settings for it. Ansible's own executor has these steps."""
    task = action._task
    context = action._play_context.copy()
    context.connection = variables.get("ansible_connection") or task.connection
    context.remote_addr = variables.get("ansible_host") or host
    context.port = variables.get("ansible_port")
    context.remote_user = variables.get("ansible_user") or task.remote_user
    connection = action._shared_loader_obj.connection_loader.get(
        context.connection, context, task_uuid=task._uuid, ansible_playbook_pid=str(os.getppid())
    )
    if connection is None:
        raise AnsibleError(f"There is no connection plugin {context.connection}, which {host} is to be reached by.")
    keys = task.dump_attrs()
    # That of a task is not that of a connection, and neither are its retries.
    keys["timeout"] = context.timeout
    del keys["retries"]
    if context.password:
        keys["password"] = context.password
    connection.set_options(task_keys=keys, var_options=_told("connection", connection, variables))
    connection._shell.set_options(task_keys=keys, var_options=_told("shell", connection._shell, variables))
    become = variables.get("ansible_become")
    if boolean(task.become if become is None else become):
        plugin = become_loader.get(variables.get("ansible_become_method") or task.become_method)
        if plugin is None:
            raise AnsibleError(
                f"There is no become plugin {variables.get('ansible_become_method') or task.become_method}."
            )
        if context.become_pass:
            keys["become_pass"] = context.become_pass
        plugin.set_options(task_keys=keys, var_options=_told("become", plugin, variables))
        connection.set_become_plugin(plugin)
    return connection, context


def _told(kind: str, plugin: t.Any, variables: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The variables of a host that a plugin reads its options from."""
    names = constants.config.get_plugin_vars(kind, plugin._load_name)
    return {name: variables[name] for name in names if name in variables}
