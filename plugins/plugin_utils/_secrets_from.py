# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is PRIVATE to the collection: it may change without notice.
"""An action plugin that asks the site's store of secrets, wherever that is, without a secret in a variable of the play."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail

if t.TYPE_CHECKING:
    from ansible.plugins.action import ActionBase

STORE = "bcm.datacenter.site_secret"


def ask_store(
    action: ActionBase,
    task_vars: dict[str, t.Any],
    site: str,
    state: str,
    secrets: list[dict[str, t.Any]],
    **more: t.Any,
) -> dict[str, t.Any]:
    """What site_secret returns, as a task beside this one would have asked it.

    :raises AnsibleActionFail: it failed; with its words, in which no secret is.
    """
    task = action._task.copy()
    task.args = {"site": site, "state": state, "secrets": secrets, **more}
    task.no_log = True
    plugin = action._shared_loader_obj.action_loader.get(
        STORE,
        task=task,
        connection=action._connection,
        play_context=action._play_context,
        loader=action._loader,
        templar=action._templar,
        shared_loader_obj=action._shared_loader_obj,
    )
    if plugin is None:
        raise AnsibleActionFail(f"{STORE} is not to be found.")
    result: dict[str, t.Any] = plugin.run(task_vars=task_vars)
    if result.get("failed"):
        raise AnsibleActionFail(str(result.get("msg") or "The store of secrets gave no reason."))
    return result
