# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers that are reached by their onions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ONIONS = {name: letter * 56 + ".onion" for name, letter in (("server-1", "a"), ("server-2", "b"), ("server-3", "c"))}
SERVERS = [{"name": name, "ssh": f"ops@192.0.2.{name[-1]}"} for name in ONIONS]


class Ways:
    """What onion_client leaves on a controller."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {"HOME": str(home)}
        self.directory = home / ".config/bcm/test/onion/way"

    def args(self, name: str) -> str:
        known = self.directory / f"hosts/{name}.known_hosts"
        return f'-o ProxyCommand="sh {self.directory}/connect %h %p" -o UserKnownHostsFile={known}'

    def write(self, name: str, **other: object) -> None:
        way = {
            "ansible_connection": "ansible.builtin.ssh",
            "ansible_host": ONIONS[name],
            "ansible_port": 22,
            "ansible_user": "debian",
            "ansible_ssh_common_args": self.args(name),
            **other,
        }
        for folder in ("hosts", "auth"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        (self.directory / f"hosts/{name}.json").write_text(json.dumps(way))
        (self.directory / f"hosts/{name}.known_hosts").write_text(f"{ONIONS[name]} ssh-ed25519 AAAA\n")
        (self.directory / f"auth/{name}.auth_private").write_text("key\n")


@pytest.fixture
def ways(tmp_path: Path) -> Ways:
    return Ways(tmp_path / "home")


def rack(*endpoints, **more):
    return {"endpoints": [dict(one) for one in endpoints or SERVERS], **more}


def test_a_site_that_says_nothing_of_onions_has_no_variable_of_them(site, ways):
    ways.write("server-1")
    found = site(rack(), ways.environment)
    hosts = [{**host, **host.get("bcm_lxd_way", {})} for host in found.hosts.values()]
    names = {*found.variables, *(name for host in hosts for name in host)}
    assert {name for name in names if "onion" in name or "via" in name or name.startswith("bcm_lxd_ssh")} == set()


def test_onions_are_for_servers(site):
    found = site(rack({**SERVERS[0], "onion": False}, SERVERS[1], SERVERS[2], onions={"ssh": True}))
    assert [found.hosts[name].get("bcm_ssh_onion") for name in ONIONS] == [None, True, True]
    # That it has one changes nothing of how it is reached.
    assert found.hosts["server-2"]["ansible_host"] == "192.0.2.2"
    assert "bcm_ssh_onion" not in site({"onions": {"ssh": True}}).hosts["standalone"]


def test_a_site_goes_by_onions(site, ways):
    for name in ONIONS:
        ways.write(name)
    direct, found = (site(rack(via=via), ways.environment) for via in ("direct", "onion"))
    host = found.hosts["server-2"]
    assert host["bcm_ssh_onion"] is True
    assert host["bcm_via"] == "onion"
    assert (host["ansible_connection"], host["ansible_host"], host["ansible_port"]) == ("ssh", ONIONS["server-2"], 22)
    # Whom to log in as the declaration says first.
    assert (host["ansible_user"], host["ansible_become"]) == ("ops", True)
    assert host["ansible_ssh_common_args"] == ways.args("server-2")
    assert (host["ansible_ssh_timeout"], host["ansible_host_key_checking"]) == (120, True)
    assert found.variables["bcm_lxd_url"] == f"ssh://ops@{ONIONS['server-1']}:22"
    assert found.variables["bcm_lxd_ssh_args"] == ways.args("server-1")
    # All else is as it was: addresses among the servers, LXD on the server itself, instances.
    assert [found.hosts[name]["bcm_cluster_address"] for name in ONIONS] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert {name: found.hosts[name] for name in found.groups["instances"]} == {
        name: direct.hosts[name] for name in direct.groups["instances"]
    }
    assert found.hosts["server-1"]["bcm_own_lxd_url"] == direct.hosts["server-1"]["bcm_own_lxd_url"]


def test_one_endpoint_goes_by_its_onion(site, ways):
    ways.write("server-2")
    found = site(rack(SERVERS[0], {**SERVERS[1], "via": "onion"}, SERVERS[2]), ways.environment)
    assert [found.hosts[name].get("bcm_via") for name in ONIONS] == [None, "onion", None]
    # Instances are reached through the leader.
    assert found.variables["bcm_lxd_url"] == "ssh://ops@192.0.2.1"
    assert "bcm_lxd_ssh_args" not in found.variables
    # Where another one leads, by its way.
    assert found.hosts["server-2"]["bcm_lxd_way"] == {
        "bcm_lxd_url": f"ssh://ops@{ONIONS['server-2']}:22",
        "bcm_lxd_ssh_args": ways.args("server-2"),
        "bcm_lxd_timeout": 120,
    }
    assert found.hosts["server-3"]["bcm_lxd_way"] == {"bcm_lxd_url": "ssh://ops@192.0.2.3"}


def test_one_endpoint_does_not(site, ways):
    ways.write("server-1")
    ways.write("server-2")
    found = site(rack(SERVERS[0], SERVERS[1], {**SERVERS[2], "via": "direct"}, via="onion"), ways.environment)
    assert [found.hosts[name].get("bcm_via") for name in ONIONS] == ["onion", "onion", None]
    assert found.hosts["server-3"]["ansible_host"] == "192.0.2.3"


def test_the_onion_is_the_only_way(site, ways):
    ways.write("server-1", ansible_port=2222)
    found = site(rack({"name": "server-1", "via": "onion", "lxd_socket": "/srv/lxd.sock"}), ways.environment)
    host = found.hosts["server-1"]
    assert (host["ansible_user"], host["ansible_become"], host["bcm_prepare"]) == ("debian", True, True)
    assert (host["bcm_own_lxd_url"], host["bcm_cluster_address"]) == ("unix:///srv/lxd.sock", None)
    assert found.variables["bcm_lxd_url"] == f"ssh://debian@{ONIONS['server-1']}:2222/srv/lxd.sock"


def test_onions_alone_are_a_cluster_by_addresses(site, wrong, ways):
    for name in ONIONS:
        ways.write(name)
    servers = [{"name": name} for name in ONIONS]
    assert [finding.partition(": ")[2] for finding in wrong(rack(*servers, via="onion"), ways.environment)] == [
        f"endpoints[{n}].address: is missing; allowed: an IP address that the other endpoints reach it at"
        for n in range(3)
    ]
    addressed = [{**server, "address": f"192.0.2.{n}"} for n, server in enumerate(servers)]
    assert site(rack(*addressed, via="onion"), ways.environment).hosts["server-3"]["bcm_cluster_address"] == "192.0.2.2"


LOCAL = {"name": "here", "connection": "local"}
OF_NO_USE = "is of no use: no SSH leads to the machine that Ansible runs on; allowed: "


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (rack({**LOCAL, "via": "onion"}), f"endpoints[0].via = onion: {OF_NO_USE}direct, for this endpoint"),
        (rack(LOCAL, via="onion"), f"endpoints[0].via = onion: {OF_NO_USE}direct, for this endpoint"),
        ({"via": "onion"}, f"endpoints[0].via = onion: {OF_NO_USE}direct, for this endpoint"),
        (rack({**LOCAL, "onion": True}), f"endpoints[0].onion = true: {OF_NO_USE}false, or a machine that is reached"),
        (
            rack({**SERVERS[0], "via": "onion", "onion": False}),
            "endpoints[0].onion = false: takes away the way that via names; allowed: true, or via: direct",
        ),
        (
            rack({**SERVERS[0], "via": "onion", "lxd_url": "https://192.0.2.1:8443"}),
            "endpoints[0].lxd_url = https://192.0.2.1:8443: leads past the onion; allowed: null, for LXD's socket through SSH",
        ),
        (rack(SERVERS[0], via="tor"), "via = tor: is not known; allowed: direct, onion"),
        (
            rack({"name": "a"}),
            "endpoints[0] = a: has no way to be reached; allowed: either ssh: user@host or connection: local; or via: onion",
        ),
    ],
)
def test_what_cannot_be(wrong, ways, content, words):
    ways.write("server-1")
    (finding,) = wrong(content, ways.environment)
    assert finding.partition(": ")[2].startswith(words)


@pytest.mark.parametrize("missing", ["hosts/server-1.json", "hosts/server-1.known_hosts", "auth/server-1.auth_private"])
def test_a_controller_that_knows_no_way(wrong, ways, missing):
    ways.write("server-1")
    (ways.directory / missing).unlink()
    (finding,) = wrong(rack(SERVERS[0], via="onion"), ways.environment)
    assert "endpoints[0].via = onion: this controller knows no way to server-1: there is no file " in finding
    assert missing in finding
    assert finding.endswith(
        "allowed: via: direct for a run of endpoints.yml, which writes it, or endpoint_adopt.yml with a bundle"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"ansible_host": "192.0.2.1"},
        {"ansible_port": "22"},
        {"ansible_user": "-oProxyCommand=x"},
        {"ansible_ssh_common_args": "-o ProxyCommand=x"},
        {"ansible_ssh_common_args": None},
    ],
)
def test_a_way_that_is_none(wrong, ways, other):
    ways.write("server-1", **other)
    (finding,) = wrong(rack(SERVERS[0], via="onion"), ways.environment)
    assert "the way to server-1 cannot be read from " in finding


def test_a_way_that_is_half_written(wrong, ways):
    ways.write("server-1")
    (ways.directory / "hosts/server-1.json").write_text('{"ansible_host": ')
    assert "cannot be read from" in wrong(rack(SERVERS[0], via="onion"), ways.environment)[0]


def test_two_names_for_one_machine(wrong, ways):
    ways.write("server-1")
    ways.write("server-2", ansible_host=ONIONS["server-1"])
    one, two = ({**server, "via": "onion"} for server in SERVERS[:2])
    (finding,) = wrong(rack(one, two, cluster={"without_majority": True}), ways.environment)
    assert "endpoints[1].via = onion: leads to the machine of endpoints[0]; allowed: each machine once" in finding
