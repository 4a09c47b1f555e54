# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When the action plugin asks the endpoints, and what it makes of what they say."""

from __future__ import annotations

import typing as t
from pathlib import Path
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.bcm.datacenter.plugins.action import site_secret
from ansible_collections.bcm.datacenter.plugins.module_utils._secret_copy import CopyStore, serve
from ansible_collections.bcm.datacenter.plugins.module_utils._secret_store import StoreError

THREE = ["rack-1", "rack-2", "rack-3"]
DIRECTORY = {"backend": "directory"}


class Site:
    """A site whose endpoints are directories."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.off: set[str] = set()
        self.asked: list[str] = []
        self.warnings: list[str] = []
        monkeypatch.setattr(site_secret, "run_module", self._run_module)
        monkeypatch.setattr(site_secret.Display, "warning", lambda _display, text: self.warnings.append(text))

    def _run_module(
        self, _action: t.Any, host: str, variables: t.Mapping[str, t.Any], name: str, args: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        assert (variables, name) == ({"of": host}, "bcm.datacenter.site_secret")
        if host in self.off:
            raise AnsibleConnectionFailure("No route to host.")
        self.asked.append(host)
        try:
            return serve(CopyStore(str(self.folder / host / args["directory"]), args["site"]), args["_copy"])
        except StoreError as exc:
            return {"failed": True, "msg": str(exc)}

    def run(
        self, args: dict[str, t.Any], candidates: list[str] | None = None, **options: t.Any
    ) -> tuple[dict[str, t.Any], mock.Mock]:
        """The result of a task, and whether the module ran on the host of the task instead."""
        secrets = options.pop("secrets", DIRECTORY)
        groups = {
            "lxd_candidates": THREE if candidates is None else candidates,
            "lxd_silent": options.pop("silent", []),
        }
        task_vars = {"groups": groups, "hostvars": {host: {"of": host} for host in THREE}}
        task_vars |= {} if secrets is None else {"bcm_secrets": secrets}
        task = mock.Mock(
            args={"site": "home", "directory": "sites", **args},
            **{"async_val": 0, "check_mode": False, "no_log": True, "diff": False, "delegate_to": None, **options},
        )
        action = site_secret.ActionModule(
            task=task,
            connection=mock.Mock(has_native_async=False),
            play_context=mock.Mock(),
            loader=DataLoader(),
            templar=Templar(loader=DataLoader(), variables={}),
            shared_loader_obj=None,
        )
        own = mock.Mock(return_value={"changed": False})
        with mock.patch.object(action, "_execute_module", own), mock.patch.object(action, "_remove_tmp_path"):
            return action.run(task_vars=task_vars), own


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


WORD = {"secrets": [{"name": "word"}]}


def test_all_endpoints_of_a_site_are_asked(home: Site) -> None:
    made, own = home.run(WORD)
    assert (made["made"], made["changed"]) == (["word"], True)
    assert {store.read_text() for store in home.folder.glob("*/sites/home/secrets/word")} == {made["secrets"]["word"]}
    assert home.asked == [*THREE, *THREE]
    own.assert_not_called()
    again, _own = home.run({**WORD, "state": "read"})
    assert (again["secrets"], again["changed"]) == (made["secrets"], False)


@pytest.mark.parametrize(
    ("candidates", "secrets"),
    [
        ([], DIRECTORY),
        (THREE, {"backend": "pass"}),
        # No site of ours.
        (THREE, None),
    ],
)
def test_where_there_are_no_copies_the_host_of_the_task_is_asked(
    home: Site, candidates: list[str], secrets: t.Any
) -> None:
    _result, own = home.run(WORD, candidates, secrets=secrets)
    own.assert_called_once()
    assert home.asked == []


def test_a_task_that_has_them_elsewhere(home: Site) -> None:
    _result, own = home.run({**WORD, "backend": "pass"})
    own.assert_called_once()
    with pytest.raises(AnsibleActionFail, match="not in backend pass"):
        home.run({**WORD, "backend": "pass", "endpoints": THREE})


def test_endpoints_that_are_named(home: Site) -> None:
    made, _own = home.run({**WORD, "endpoints": ["rack-2"]}, secrets=None)
    assert (made["made"], set(home.asked)) == (["word"], {"rack-2"})
    failed, _own = home.run({**WORD, "endpoints": ["rack-9"]})
    assert failed["failed"]
    assert "rack-9 is no host of the inventory" in failed["msg"]


def test_who_does_not_answer_is_named(home: Site) -> None:
    home.run({"state": "copied"})
    home.off = {"rack-1"}
    made, _own = home.run(WORD)
    assert (made["silent"], made["made"]) == ({"rack-1": "No route to host"}, ["word"])
    assert home.warnings == []
    # Of a task with no_log nobody sees the result.
    home.off = {"rack-1", "rack-3"}
    failed, _own = home.run({"secrets": [{"name": "other"}]})
    assert failed["failed"]
    assert "rack-1 does not answer (No route to host). rack-3 does not answer" in failed["msg"]
    assert home.warnings == [f"site_secret: {failed['msg']}"]


def test_who_was_found_silent_is_not_asked_again(home: Site) -> None:
    home.run({"state": "copied"})
    home.asked.clear()
    made, _own = home.run(WORD, silent=["rack-1"])
    assert (made["silent"], set(home.asked)) == ({"rack-1": "as was found before"}, {"rack-2", "rack-3"})


def test_what_is_wrong_on_one_is_told_with_its_name(home: Site) -> None:
    home.run(WORD)
    (home.folder / "rack-2/sites/home/secrets/word").chmod(0o644)
    failed, _own = home.run(WORD)
    assert failed["msg"].startswith("On rack-2: ")
    assert "may be read by others" in failed["msg"]


def test_nothing_runs_in_the_background(home: Site) -> None:
    with pytest.raises(AnsibleActionFail, match="where nothing runs in the background"):
        home.run(WORD, async_val=60)


def test_a_result_that_would_be_shown(home: Site) -> None:
    failed, _own = home.run(WORD, no_log=False)
    assert "give the task no_log" in failed["msg"]
    copied, _own = home.run({"state": "copied"}, no_log=False)
    assert (copied["changed"], copied["copied"]) == (True, {})
