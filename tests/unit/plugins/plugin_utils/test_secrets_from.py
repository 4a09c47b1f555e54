# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import typing as t
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.bcm.datacenter.plugins.plugin_utils._secrets_from import ask_store


class Task:
    """As much of a task as is looked at."""

    def __init__(self) -> None:
        self.args: dict[str, t.Any] = {"service": "web"}
        self.no_log = False
        self.check_mode = True

    def copy(self) -> Task:
        return copy.copy(self)


def action_that_asks(answer: dict[str, t.Any]) -> tuple[mock.Mock, list[tuple[str, Task]]]:
    """An action plugin, and what it has the store's be run with."""
    asked: list[tuple[str, Task]] = []

    def get(name: str, task: Task, **_more: t.Any) -> mock.Mock:
        asked.append((name, task))
        return mock.Mock(run=lambda task_vars: answer)

    action = mock.Mock(_task=Task())
    action._shared_loader_obj.action_loader.get = get
    return action, asked


def test_nobody_sees_what_is_asked_and_said() -> None:
    action, asked = action_that_asks({"secrets": {"a": "x"}})
    assert ask_store(action, {}, "home", "found", [{"name": "a"}]) == {"secrets": {"a": "x"}}
    ((name, task),) = asked
    assert (name, task.no_log, task.check_mode) == ("bcm.datacenter.site_secret", True, True)
    assert task.args == {"site": "home", "state": "found", "secrets": [{"name": "a"}]}
    # The task that asks is as it was.
    assert (action._task.no_log, action._task.args) == (False, {"service": "web"})


def test_why_it_fails_is_said() -> None:
    action, _asked = action_that_asks({"failed": True, "msg": "rack-2 does not answer"})
    with pytest.raises(AnsibleActionFail, match="rack-2 does not answer"):
        ask_store(action, {}, "home", "found", [{"name": "a"}])
