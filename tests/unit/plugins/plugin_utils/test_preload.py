# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory has loaded, a task does not compile again."""

from __future__ import annotations

import builtins
import sys
import typing as t

import pytest
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader, filter_loader, test_loader

from ansible_collections.bcm.datacenter.plugins.plugin_utils._preload import (
    preload_connection,
    preload_filters,
    preload_way,
)

PLUGINS = "ansible_collections.bcm.datacenter.plugins"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are compiled from there on."""
    names: list[str] = []
    compile_ = builtins.compile

    def watched(source: t.Any, filename: t.Any, *args: t.Any, **kwargs: t.Any) -> t.Any:
        names.append(str(filename))
        return compile_(source, filename, *args, **kwargs)

    monkeypatch.setattr(builtins, "compile", watched)
    return names


def test_connection(compiled: list[str]) -> None:
    preload_connection("bcm.datacenter.lxd")
    del compiled[:]
    connection_loader.get("bcm.datacenter.lxd", PlayContext())
    assert compiled == []


def test_what_leads_through_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = [f"{PLUGINS}.module_utils._lxd_ssh", f"{PLUGINS}.plugin_utils._lxd_relay"]
    for name in ways:
        monkeypatch.delitem(sys.modules, name, raising=False)
    for url in (None, "unix:///run/lxd", "https://host:8443"):
        preload_way(url)
    assert not sys.modules.keys() & set(ways)
    preload_way("ssh://host")
    assert sys.modules.keys() >= set(ways)


def test_filters_and_tests(compiled: list[str]) -> None:
    preload_filters("bcm.datacenter.host_entries")
    del compiled[:]
    assert filter_loader.get("bcm.datacenter.ssha") is not None
    assert filter_loader.get("ansible.builtin.combine") is not None
    assert test_loader.get("ansible.builtin.match") is not None
    assert compiled == []
