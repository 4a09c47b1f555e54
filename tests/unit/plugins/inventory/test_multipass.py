# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader

from ansible_collections.bcm.datacenter.plugins.inventory import multipass as plugin
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_multipass import FakeMultipass

RUNNING = {"name": "one", "state": "Running", "ipv4": ["192.0.2.7", "198.51.100.1"], "release": "Ubuntu 24.04 LTS"}


def parse(tmp_path: Path, text: str) -> InventoryData:
    config = tmp_path / "test.multipass.yml"
    config.write_text(f"plugin: bcm.datacenter.multipass\n{text}")
    inventory = InventoryData()
    one = inventory_loader.get("bcm.datacenter.multipass")
    assert one.verify_file(str(config))
    one.parse(inventory, DataLoader(), str(config), cache=True)
    return inventory


def test_ssh_where_there_is_a_key_and_an_address() -> None:
    variables = plugin.host_variables(RUNNING, "multipass", "ubuntu", "/key", "/known hosts")
    assert variables["ansible_connection"] == "ansible.builtin.ssh"
    assert variables["ansible_host"] == "192.0.2.7"
    assert variables["ansible_ssh_common_args"] == "-o HostKeyAlias=multipass.one -o 'UserKnownHostsFile=/known hosts'"
    assert variables["bcm_multipass_name"] == "one"


@pytest.mark.parametrize(
    ("changes", "key"),
    [({}, None), ({"ipv4": []}, "/key"), ({"state": "Stopped"}, "/key"), ({"state": "Deleted", "ipv4": []}, "/key")],
)
def test_the_connection_plugin_where_there_is_not(changes: dict[str, t.Any], key: str | None) -> None:
    variables = plugin.host_variables({**RUNNING, **changes}, "multipass", "ubuntu", key, None)
    assert variables["ansible_connection"] == "bcm.datacenter.multipass"
    assert "ansible_host" not in variables


def test_one_call_and_no_more(tmp_path: Path) -> None:
    fake = FakeMultipass(tmp_path)
    fake.lists(*[(f"vm-{number}", "Running") for number in range(100)])
    inventory = parse(tmp_path, f"program: {fake.path}\nnames: [vm-1*]\n")
    assert len(inventory.hosts) == 11
    assert fake.calls == ["list --format json"]


def test_states(tmp_path: Path) -> None:
    fake = FakeMultipass(tmp_path)
    fake.lists(("one", "Running"), ("two", "Delayed Shutdown"), ("three", "Deleted"))
    inventory = parse(tmp_path, f"program: {fake.path}\n")
    assert set(inventory.groups) >= {"state_running", "state_delayed_shutdown", "state_deleted"}
    assert set(parse(tmp_path, f"program: {fake.path}\nstates: [Deleted]\n").hosts) == {"three"}


def test_no_multipass(tmp_path: Path) -> None:
    with pytest.raises(AnsibleParserError, match="could not be listed: There is no program '/nowhere/multipass'"):
        parse(tmp_path, "program: /nowhere/multipass\n")
