# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory as Ansible sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.bcm.datacenter.plugins.inventory import site

DECLARATION = """\
plugin: bcm.datacenter.site
name: test
tiers:
  bitcoin: {count: 2, labels: {note: "{{ 1 + 1 }}"}}
"""


@pytest.fixture
def parsed(tmp_path: Path):
    def parsed(text: str) -> InventoryData:
        file = tmp_path / "site.bcm.yml"
        file.write_text(text)
        inventory = InventoryData()
        plugin = site.InventoryModule()
        assert plugin.verify_file(str(file))
        plugin.parse(inventory, DataLoader(), str(file), cache=False)
        inventory.reconcile_inventory()
        return inventory

    return parsed


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("site.bcm.yml", True),
        ("other.bcm.yaml", True),
        ("site.yml", False),
        ("bcm.yml", False),
        ("site.bcm.json", False),
    ],
)
def test_files_of_its_own(tmp_path, name, expected):
    (tmp_path / name).write_text(DECLARATION)
    assert site.InventoryModule().verify_file(str(tmp_path / name)) is expected


def test_a_file_that_is_not_there(tmp_path):
    assert site.InventoryModule().verify_file(str(tmp_path / "site.bcm.yml")) is False


def test_hosts_groups_and_variables(parsed):
    inventory = parsed(DECLARATION)
    assert [host.name for host in inventory.groups["tier_bitcoin"].get_hosts()] == ["bitcoin-1", "bitcoin-2"]
    assert inventory.groups["tier_manager"].get_hosts()[0].vars["bcm_index"] == 1
    assert inventory.groups["all"].vars["bcm_site"] == "test"
    assert {"endpoints", "lxd_leader", "instances", "app_hosts", "swarm_nodes"} <= set(inventory.groups)
    # Whoever leads a run is a leader, and who is silent is none.
    assert inventory.groups["lxd_leading"] in inventory.groups["lxd_leader"].child_groups
    assert inventory.groups["lxd_silent"] in inventory.groups["lxd_led"].child_groups


def test_values_are_data_and_templates_over_them_work(parsed):
    inventory = parsed(DECLARATION)
    variables = {**inventory.groups["all"].vars, **inventory.hosts["bitcoin-1"].vars}
    templar = Templar(loader=DataLoader(), variables=variables)
    assert templar.template(trust_as_template("{{ bcm_engine_labels.note }}")) == "{{ 1 + 1 }}"
    assert templar.template(trust_as_template("{{ bcm_project }}/{{ bcm_index }}")) == "bcm-test/1"


def test_all_that_is_wrong_is_said_and_nothing_is_added(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("site.bcm.yml").write_text("plugin: bcm.datacenter.site\nname: test\nchain: x\ntiers: {manager: {count: 2}}\n")
    inventory = InventoryData()
    before = set(inventory.groups), set(inventory.hosts)
    with pytest.raises(AnsibleParserError) as caught:
        site.InventoryModule().parse(inventory, DataLoader(), str(tmp_path / "site.bcm.yml"))
    lines = str(caught.value).splitlines()
    assert lines[0] == "site.bcm.yml cannot be used, and nothing was touched. 2 things are wrong:"
    assert [line.strip().split(" = ")[0] for line in lines[1:]] == [
        "site.bcm.yml:3: chain",
        "site.bcm.yml:4: tiers.manager.count",
    ]
    assert (set(inventory.groups), set(inventory.hosts)) == before


def test_without_netaddr_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(site, "NETADDR_ERROR", ImportError("no netaddr"))
    with pytest.raises(AnsibleParserError, match="pip install netaddr"):
        site.InventoryModule().parse(InventoryData(), DataLoader(), str(tmp_path / "site.bcm.yml"))
