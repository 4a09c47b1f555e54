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

from ansible_collections.bcm.datacenter.plugins.inventory import lxd as plugin
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDUnreachable


def instance(name: str, project: str = "bcm-home", status: str = "Running", **config: str) -> dict[str, t.Any]:
    addresses = [
        {"family": "inet", "address": "10.64.34.1", "scope": "global"},
        {"family": "inet6", "address": "fe80::1", "scope": "link"},
    ]
    return {
        "name": name,
        "project": project,
        "status": status,
        "type": "container",
        "location": "none",
        "architecture": "x86_64",
        "description": "",
        "profiles": ["default"],
        "expanded_config": {
            "volatile.uuid": "x",
            "cloud-init.user-data": "password: secret",
            "user.user-data": "secret",
            "limits.memory": "1GiB",
            **{key.replace("__", "."): value for key, value in config.items()},
        },
        "expanded_devices": {"root": {"type": "disk", "path": "/"}},
        "state": {
            "network": {"cluster": {"type": "broadcast", "addresses": addresses}, "lo": {"type": "loopback"}}
            if status == "Running"
            else None
        },
    }


BITCOIN = instance("bitcoin-1", user__bcm__site="home", user__bcm__tier="bitcoin", user__bcm__index="1")
STOPPED = instance("manager-1", status="Stopped", user__bcm__tier="manager")
FOREIGN = instance("bitcoin-1", project="default")


class FakeClient:
    """Counts what is asked."""

    requests: t.ClassVar[list[dict[str, t.Any]]] = []
    instances: t.ClassVar[list[dict[str, t.Any]]] = []

    def __init__(self, _option: t.Any, url: str | None, _timeout: int) -> None:
        if url == "unix:///gone":
            raise LXDUnreachable("Cannot connect to LXD at unix:///gone: nothing listens there.")

    def __enter__(self) -> FakeClient:
        return self

    def __exit__(self, *_args: object) -> None:
        pass

    def get(self, path: str, **query: t.Any) -> list[dict[str, t.Any]]:
        return self.request("GET", path, query=query)

    def request(self, _method: str, path: str, query: dict[str, t.Any]) -> list[dict[str, t.Any]]:
        assert path == "/1.0/instances"
        self.requests.append(query)
        return [one for one in self.instances if query.get("project") in (None, one["project"])]


@pytest.fixture(autouse=True)
def client(monkeypatch: pytest.MonkeyPatch) -> type[FakeClient]:
    FakeClient.requests = []
    FakeClient.instances = [BITCOIN, STOPPED, FOREIGN]
    monkeypatch.setattr(plugin, "lxd_client", FakeClient)
    return FakeClient


def parse(tmp_path: Path, text: str, name: str = "lxd.yml", cache: bool = True) -> InventoryData:
    path = tmp_path / name
    path.write_text(f"plugin: bcm.datacenter.lxd\n{text}")
    inventory = InventoryData()
    source = inventory_loader.get("bcm.datacenter.lxd")
    assert source.verify_file(str(path))
    source.parse(inventory, DataLoader(), str(path), cache=cache)
    if source.get_option("cache"):
        # As Ansible's inventory manager does.
        source.update_cache_if_changed()
    return inventory


def groups_of(inventory: InventoryData, host: str) -> set[str]:
    return {group.name for group in inventory.get_host(host).get_groups()} - {"all"}


def test_hosts_and_groups(tmp_path: Path, client: type[FakeClient]) -> None:
    inventory = parse(tmp_path, "projects: [bcm-home]\n")
    assert client.requests == [{"recursion": 2, "project": "bcm-home"}]
    assert set(inventory.hosts) == {"bitcoin-1", "manager-1"}
    assert groups_of(inventory, "bitcoin-1") == {
        "project_bcm_home",
        "status_running",
        "type_container",
        "tier_bitcoin",
    }
    variables = inventory.get_host("bitcoin-1").get_vars()
    assert {key: value for key, value in variables.items() if not key.startswith(("inventory_", "group_"))} == {
        "ansible_connection": "bcm.datacenter.lxd",
        "ansible_host": "bitcoin-1",
        "bcm_index": 1,
        "bcm_lxd_project": "bcm-home",
        "bcm_site": "home",
        "bcm_tier": "bitcoin",
        "lxd_addresses": {"cluster": ["10.64.34.1"]},
        "lxd_architecture": "x86_64",
        "lxd_config": {
            "limits.memory": "1GiB",
            "user.bcm.index": "1",
            "user.bcm.site": "home",
            "user.bcm.tier": "bitcoin",
        },
        "lxd_description": "",
        "lxd_devices": {"root": {"type": "disk", "path": "/"}},
        "lxd_location": "none",
        "lxd_name": "bitcoin-1",
        "lxd_profiles": ["default"],
        "lxd_project": "bcm-home",
        "lxd_status": "Running",
        "lxd_type": "container",
    }


def test_a_stopped_instance_is_a_host_and_never_the_controller(tmp_path: Path) -> None:
    inventory = parse(tmp_path, "projects: [bcm-home]\n")
    variables = inventory.get_host("manager-1").get_vars()
    assert variables["ansible_connection"] == "bcm.datacenter.lxd"
    assert variables["lxd_status"] == "Stopped"
    assert variables["lxd_addresses"] == {}
    assert "status_stopped" in groups_of(inventory, "manager-1")


def test_all_projects_with_one_request(tmp_path: Path, client: type[FakeClient]) -> None:
    inventory = parse(tmp_path, "all_projects: true\nhostnames: qualified\n")
    assert client.requests == [{"recursion": 2, "all-projects": "true"}]
    assert set(inventory.hosts) == {"bitcoin-1.bcm-home", "manager-1.bcm-home", "bitcoin-1.default"}
    assert inventory.get_host("bitcoin-1.default").get_vars()["ansible_host"] == "bitcoin-1"


def test_one_request_a_project(tmp_path: Path, client: type[FakeClient]) -> None:
    parse(tmp_path, "projects: [bcm-home, default, empty]\nhostnames: qualified\n")
    assert [query["project"] for query in client.requests] == ["bcm-home", "default", "empty"]


def test_the_same_name_twice(tmp_path: Path) -> None:
    with pytest.raises(AnsibleParserError, match="bcm-home and default both have an instance bitcoin-1"):
        parse(tmp_path, "all_projects: true\n")


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ("{names: ['bit*']}", {"bitcoin-1"}),
        ("{statuses: [RUNNING]}", {"bitcoin-1"}),
        ("{statuses: [stopped, frozen]}", {"manager-1"}),
        ("{types: [virtual-machine]}", set()),
        ("{tiers: [manager, kafka]}", {"manager-1"}),
        ("{config: {user.bcm.index: 1}}", {"bitcoin-1"}),
        ("{config: {no.such.key: 1}}", set()),
        ("{names: ['*'], statuses: [running], tiers: [manager]}", set()),
        ("{}", {"bitcoin-1", "manager-1"}),
    ],
)
def test_filters(tmp_path: Path, filters: str, names: set[str]) -> None:
    assert set(parse(tmp_path, f"projects: [bcm-home]\nfilters: {filters}\n").hosts) == names


def test_unknown_filter(tmp_path: Path) -> None:
    with pytest.raises(AnsibleParserError, match="unknown keys state; it knows names, statuses"):
        parse(tmp_path, "filters: {state: running}\n")


def test_constructed(tmp_path: Path) -> None:
    inventory = parse(
        tmp_path,
        "projects: [bcm-home]\n"
        "compose: {memory: \"lxd_config['limits.memory']\"}\n"
        "groups: {down: \"lxd_status != 'Running'\"}\n"
        "keyed_groups: [{key: lxd_architecture, prefix: arch}]\n",
    )
    assert inventory.get_host("bitcoin-1").get_vars()["memory"] == "1GiB"
    assert groups_of(inventory, "manager-1") >= {"down", "arch_x86_64"}
    assert "down" not in groups_of(inventory, "bitcoin-1")


def test_members_of_a_cluster(tmp_path: Path, client: type[FakeClient]) -> None:
    client.instances = [{**BITCOIN, "location": "rack-2"}]
    assert "location_rack_2" in groups_of(parse(tmp_path, "projects: [bcm-home]\n"), "bitcoin-1")


def test_the_url_goes_to_the_connection(tmp_path: Path) -> None:
    inventory = parse(tmp_path, "projects: [bcm-home]\nurl: unix:///some/socket\n")
    assert inventory.get_host("bitcoin-1").get_vars()["bcm_lxd_url"] == "unix:///some/socket"


def test_cache(tmp_path: Path, client: type[FakeClient]) -> None:
    text = (
        "projects: [bcm-home]\ncache: true\ncache_plugin: ansible.builtin.jsonfile\n"
        f"cache_connection: {tmp_path / 'cache'}\n"
    )
    first = parse(tmp_path, text)
    written = [path.read_text() for path in (tmp_path / "cache").glob("*")]
    client.instances = []
    second = parse(tmp_path, text)
    assert len(client.requests) == 1
    assert set(second.hosts) == set(first.hosts)
    assert len(written) == 1
    assert "secret" not in written[0]
    assert set(parse(tmp_path, text, cache=False).hosts) == set()


def test_no_lxd(tmp_path: Path) -> None:
    with pytest.raises(AnsibleParserError, match="could not be listed: Cannot connect to LXD at unix:///gone"):
        parse(tmp_path, "url: unix:///gone\n")


@pytest.mark.parametrize(("name", "ours"), [("lxd.yml", True), ("my.lxd.yaml", True), ("site.bcm.yml", False)])
def test_names_of_files(tmp_path: Path, name: str, ours: bool) -> None:
    (tmp_path / name).write_text("x")
    assert inventory_loader.get("bcm.datacenter.lxd").verify_file(str(tmp_path / name)) is ours
