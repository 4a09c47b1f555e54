# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows from a declaration."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import yaml

from ansible_collections.bcm.datacenter.plugins.filter.instance_specs import devices, network_config
from ansible_collections.bcm.datacenter.plugins.filter.network_specs import network_specs
from ansible_collections.bcm.datacenter.plugins.filter.pool_spec import pool_spec
from ansible_collections.bcm.datacenter.plugins.module_utils import _sizes
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _addresses, _chains, _declaration, _vxlan

FIXTURES = Path(__file__).parent / "fixtures"
ROLES = Path(__file__).resolve().parents[4] / "roles"
GOLDEN = sorted(file.name.removesuffix(".bcm.yml") for file in FIXTURES.glob("*.bcm.yml"))


class Plain(yaml.SafeDumper):
    """Writes the same list twice instead of pointing from one to the other, and lists indented."""

    def ignore_aliases(self, _data):
        return True

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


NO_KAFKA = {"kafka": {"enabled": False}}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name, monkeypatch):
    """Names, addresses and variables of a site never change by themselves.

    If they are meant to: BCM_UPDATE_GOLDEN=1 pytest, and read the difference.
    """
    monkeypatch.chdir(FIXTURES)
    site = _declaration.load_site(f"{name}.bcm.yml", {}, "/usr/bin/controller-python")
    golden = FIXTURES / f"{name}.golden.yml"
    found = {"all": site.variables, "groups": site.groups, "hosts": site.hosts}
    if os.environ.get("BCM_UPDATE_GOLDEN"):
        head = "".join(Path(f"{name}.bcm.yml").read_text().partition("---\n")[:2])
        golden.write_text(head + yaml.dump(found, Dumper=Plain, sort_keys=False))
    assert found == yaml.safe_load(golden.read_text())


def test_the_smallest_site(site):
    found = site({"stacks": NO_KAFKA})
    assert found.groups["instances"] == ["proxyhost-1", "manager-1", "manager-2", "manager-3"]
    assert found.groups["kafka_nodes"] == []
    assert found.groups["endpoints"] == found.groups["lxd_leader"] == ["standalone"]
    assert found.groups["lxd_candidates"] == []
    assert found.groups["app_hosts"] == []
    assert found.hosts["standalone"]["ansible_python_interpreter"] == "/usr/bin/controller-python"
    assert found.variables["bcm_stacks"] == {}


def test_names_that_follow_from_the_site(site):
    digits = hashlib.sha256(b"test").hexdigest()[:4]
    found = site({}).variables
    assert found["bcm_site_id"] == digits
    assert found["bcm_project"] == "bcm-test"
    assert found["bcm_pool"]["name"] == "bcm-test"
    assert [network["bridge"] for network in found["bcm_networks"]] == [
        f"bcm{digits}-outside",
        f"bcm{digits}-gateway",
        f"bcm{digits}-cluster",
    ]
    assert all(len(network["bridge"]) <= 15 for network in found["bcm_networks"])


def test_addresses(site):
    found = site({"network": "10.77.0.0/16", "tiers": {"bitcoin": {"count": 12}}})
    assert found.hosts["proxyhost-1"]["bcm_addresses"] == {"outside": "10.77.0.11", "gateway": "10.77.16.1"}
    assert found.hosts["manager-3"]["bcm_addresses"] == {"gateway": "10.77.17.3", "cluster": "10.77.33.3"}
    assert found.hosts["bitcoin-12"]["bcm_addresses"] == {"cluster": "10.77.34.12"}
    assert found.variables["bcm_image_builder"]["addresses"] == {"gateway": "10.77.31.1"}
    way_out = found.variables["bcm_way_out"]
    assert {name: facts["address"] for name, facts in way_out.items()} == {"gateway": "10.77.16.254"}
    outside = found.variables["bcm_networks"][0]
    assert (outside["subnet"], outside["host_address"], outside["nat"]) == ("10.77.0.0/24", "10.77.0.1", True)
    assert [network["host_address"] for network in found.variables["bcm_networks"][1:]] == [None, None]


def test_networks_of_their_own(site):
    found = site({"networks": {"cluster": {"subnet": "172.20.0.0/16", "bridge": "inner", "mtu": 1400}}})
    assert found.variables["bcm_networks"][2] == {
        "name": "cluster",
        "bridge": "inner",
        "subnet": "172.20.0.0/16",
        "nat": False,
        "host_address": None,
        "mtu": 1400,
        "interface": _vxlan.vxlan_interface("cluster", "test"),
        "vni": _vxlan.vni("test", "cluster"),
    }
    assert found.hosts["manager-1"]["bcm_addresses"]["cluster"] == "172.20.1.1"


def test_the_largest_site_has_no_address_twice(site):
    tiers = {name: {"count": 250} for name in ("bitcoin", "lightning", "kafka")}
    tiers |= {"manager": {"count": 249}, "proxyhost": {"count": 25}}
    tiers |= {f"tier{block}": {"count": 250, "block": block} for block in _addresses.FREE_BLOCKS}
    found = site({"tiers": tiers})
    subnets = {network["name"]: _addresses.network_of(network["subnet"]) for network in found.variables["bcm_networks"]}
    seen = {("outside", found.variables["bcm_networks"][0]["host_address"])}
    seen.add(("gateway", found.variables["bcm_image_builder"]["addresses"]["gateway"]))
    seen.add(("gateway", found.variables["bcm_way_out"]["gateway"]["address"]))
    for host in found.groups["instances"]:
        for network, address in found.hosts[host]["bcm_addresses"].items():
            assert (network, address) not in seen
            seen.add((network, address))
            assert _addresses.parse_address(address) in subnets[network]
            assert address not in (str(subnets[network].network), str(subnets[network].broadcast))


def test_several_proxyhosts_change_nothing_for_those_who_use_them(site):
    one, three = (site({"tiers": {"proxyhost": {"count": count}}}) for count in (1, 3))
    assert one.variables == three.variables
    assert one.hosts.items() <= three.hosts.items()
    assert three.groups["tier_proxyhost"] == ["proxyhost-1", "proxyhost-2", "proxyhost-3"]
    # Whom one that is alone looks out for are those that may come.
    own = [three.hosts[host]["bcm_addresses"]["gateway"] for host in three.groups["tier_proxyhost"]]
    assert one.variables["bcm_way_out"]["gateway"]["first"] == own
    assert three.hosts["proxyhost-3"]["bcm_addresses"]["outside"].endswith(".0.13")


def test_proxyhosts_where_they_are_pinned(site):
    endpoints = [{"name": f"e{n}", "ssh": f"root@192.0.2.{n}"} for n in (1, 2, 3)]
    found = site({"endpoints": endpoints, "tiers": {"proxyhost": {"count": 3, "target": ["e2", "e3", "e1"]}}})
    assert [found.hosts[host]["bcm_endpoint"] for host in found.groups["tier_proxyhost"]] == ["e2", "e3", "e1"]


def test_names_that_begin_alike(site):
    found = site({"tiers": {"bitcoin": {"count": 12}, "bitcoin1": {"count": 2, "block": 5}, "bit": {"block": 6}}})
    assert found.groups["tier_bitcoin1"] == ["bitcoin1-1", "bitcoin1-2"]
    assert found.groups["tier_bit"] == ["bit-1"]
    assert len(found.groups["tier_bitcoin"]) == 12
    assert len(set(found.groups["instances"])) == len(found.groups["instances"]) == 19


def test_sites_whose_names_begin_alike_share_nothing():
    sites = [f"site{'x' * count}" for count in range(8)]
    assert len({_addresses.bridge("cluster", name) for name in sites}) == len(sites)
    assert len({_addresses.site_network(name) for name in sites}) == len(sites)


def test_groups(site):
    found = site({"tiers": {"bitcoin": {}, "web": {"count": 0}}})
    assert found.groups["app_hosts"] == ["bitcoin-1"]
    assert found.groups["swarm_nodes"] == ["manager-1", "manager-2", "manager-3", "bitcoin-1"]
    assert found.groups["tier_web"] == []


def test_instances_are_reached_through_lxd(site):
    found = site({"endpoints": [{"name": "here", "connection": "local", "lxd_socket": "/run/lxd.sock"}]})
    host = found.hosts["manager-1"]
    assert (host["ansible_connection"], host["ansible_host"]) == ("bcm.datacenter.lxd", "manager-1")
    assert host["bcm_lxd_project"] == "bcm-test"
    assert found.variables["bcm_lxd_url"] == "unix:///run/lxd.sock"
    assert found.hosts["here"]["bcm_lxd_socket"] == "/run/lxd.sock"


@pytest.mark.parametrize(
    ("ssh", "expected"),
    [
        ("host", {"ansible_host": "host"}),
        ("root@10.0.0.1", {"ansible_host": "10.0.0.1", "ansible_user": "root", "ansible_become": False}),
        (
            "a@h.example:2222",
            {"ansible_host": "h.example", "ansible_user": "a", "ansible_port": 2222, "ansible_become": True},
        ),
    ],
)
def test_endpoints_by_ssh(site, ssh, expected):
    found = site({"endpoints": [{"name": "e", "ssh": ssh, "lxd_socket": "/s"}]})
    assert found.hosts["e"] == {
        "ansible_connection": "ssh",
        "bcm_lxd_socket": "/s",
        "bcm_own_lxd_url": "unix:///s",
        "bcm_lxd_way": {"bcm_lxd_url": f"ssh://{ssh}/s"},
        "bcm_cluster_address": expected["ansible_host"],
        "bcm_failure_domain": None,
        "bcm_pool_source": None,
        "bcm_prepare": True,
        **expected,
    }
    # Instances are reached from the controller, by the same way and through the leader's LXD.
    assert found.variables["bcm_lxd_url"] == f"ssh://{ssh}/s"


def test_ways_to_the_leaders_lxd(site):
    ways = [
        ({"ssh": "h"}, "ssh://h", None),
        ({"ssh": "h", "lxd_url": "https://h:8443"}, "https://h:8443", None),
        ({"connection": "local"}, None, None),
        ({"connection": "local", "lxd_socket": "/s"}, "unix:///s", "unix:///s"),
        ({"connection": "local", "lxd_url": "https://h:8443"}, "https://h:8443", "https://h:8443"),
    ]
    for way, controller, own in ways:
        found = site({"endpoints": [{"name": "e", **way}]})
        assert (found.variables["bcm_lxd_url"], found.hosts["e"]["bcm_own_lxd_url"]) == (controller, own)
        assert found.hosts["e"]["bcm_lxd_way"] == {"bcm_lxd_url": controller}


def test_several_endpoints_may_lead(site):
    servers = [{"name": f"server-{number}", "ssh": f"ops@192.0.2.{number}"} for number in (1, 2, 3)]
    found = site({"endpoints": servers})
    assert found.groups["lxd_leader"] == ["server-1"]
    assert found.groups["lxd_candidates"] == ["server-1", "server-2", "server-3"]
    # Which of them does, a run finds out.
    assert found.groups["lxd_leading"] == found.groups["lxd_led"] == found.groups["lxd_silent"] == []
    assert found.variables["bcm_lxd_url"] == "ssh://ops@192.0.2.1"
    assert found.hosts["server-3"]["bcm_lxd_way"] == {"bcm_lxd_url": "ssh://ops@192.0.2.3"}
    # One by itself is not asked.
    assert site({"endpoints": servers[:1]}).groups["lxd_candidates"] == []


def test_a_machine_is_made_ready_if_it_is_not_the_controller_itself(site):
    ways = [({"ssh": "h"}, True), ({"connection": "local"}, False), ({"ssh": "h", "prepare": False}, False)]
    ways.append(({"connection": "local", "prepare": True}, True))
    for way, expected in ways:
        assert site({"endpoints": [{"name": "e", **way}]}).hosts["e"]["bcm_prepare"] is expected


def test_a_cluster(site):
    endpoints = [
        {"name": "rack-1", "ssh": "ops@10.9.0.1", "failure_domain": "cellar"},
        {"name": "rack-10", "ssh": "rack-10.example", "address": "10.9.0.10", "pool_source": "/dev/sdb"},
        {"name": "rack-12", "connection": "local", "address": "2001:db8::12"},
    ]
    found = site({"endpoints": endpoints, "pool": {"source": "/dev/sda"}})
    assert found.groups["endpoints"] == ["rack-1", "rack-10", "rack-12"]
    assert [found.hosts[name]["bcm_cluster_address"] for name in found.groups["endpoints"]] == [
        "10.9.0.1",
        "10.9.0.10",
        "2001:db8::12",
    ]
    assert found.hosts["rack-1"]["bcm_failure_domain"] == "cellar"
    spec = pool_spec(found.variables["bcm_pool"], found.groups["endpoints"], found.hosts, "test")
    assert (spec["name"], spec["driver"], spec["config"]) == ("bcm-test", "btrfs", {"user.bcm.site": "test"})
    members = {"rack-1": {"source": "/dev/sda"}, "rack-10": {"source": "/dev/sdb"}, "rack-12": {"source": "/dev/sda"}}
    assert spec["members"] == members
    alone = site({"endpoints": endpoints[1:2], "pool": {"source": "/dev/sda"}})
    spec = pool_spec(alone.variables["bcm_pool"], ["rack-10"], alone.hosts, "test")
    assert (spec["source"], "members" in spec) == ("/dev/sdb", False)


def test_inner_networks_leave_room_for_vxlan(site):
    found = site({"networks": {"gateway": {"mtu": 8950}}}).variables["bcm_networks"]
    assert {network["name"]: network["mtu"] for network in found} == {"outside": None, "gateway": 8950, "cluster": 1450}


def test_a_target_is_for_new_instances(site):
    endpoints = [{"name": name, "ssh": f"10.9.0.{n}"} for n, name in enumerate("abc", 1)]
    found = site({"endpoints": endpoints, "tiers": {"manager": {"target": ["b", "a"]}, "bitcoin": {"target": "b"}}})
    places = {name: found.hosts[name]["bcm_endpoint"] for name in found.groups["instances"]}
    assert places == {"proxyhost-1": None, "manager-1": "b", "manager-2": "a", "manager-3": None, "bitcoin-1": "b"}


def test_images_labels_and_volumes(site):
    volume = {"name": "more", "size": "2048MiB", "path": "/srv/more"}
    found = site(
        {
            "tiers": {"bitcoin": {"labels": {"disk": "fast"}, "volumes": [volume]}},
            "stacks": {"bitcoin": {"volume_size": "7GiB"}},
        }
    )
    host = found.hosts["bitcoin-1"]
    assert host["bcm_engine_labels"] == {"bcm.tier": "bitcoin", "disk": "fast"}
    assert host["bcm_volumes"] == [
        {"name": "more", "size": "2GiB", "path": "/srv/more", "options": {}},
        {"name": "bitcoin", "size": "7GiB", "path": "/srv/bitcoin", "options": {}},
    ]
    assert (host["bcm_image"], found.hosts["proxyhost-1"]["bcm_image"]) == ("golden", "base")
    assert found.hosts["proxyhost-1"]["bcm_engine_labels"] == {}


def test_the_registry_has_a_volume_on_the_first_manager(site):
    own = {"name": "ca", "size": "1GiB", "path": "/srv/ca"}
    tiers = {"manager": {"volumes": [own]}, "bitcoin": {}}
    found = site({"registry": {"volume_size": "2048MiB"}, "tiers": tiers, "stacks": NO_KAFKA})
    volumes = {name: [one["name"] for one in found.hosts[name]["bcm_volumes"]] for name in found.groups["instances"]}
    others = {"manager-2": ["ca"], "manager-3": ["ca"], "proxyhost-1": [], "bitcoin-1": []}
    assert volumes == {"manager-1": ["ca", "registry"], **others}
    volume = {"name": "registry", "size": "2GiB", "path": "/srv/registry"}
    assert found.hosts["manager-1"]["bcm_volumes"][1] == {**volume, "options": {}}
    assert found.variables["bcm_registry_volume"] == volume
    assert site({}).variables["bcm_registry_volume"]["size"] == "5GiB"


def test_a_node_without_further_words(site):
    bitcoin = site({"tiers": {"bitcoin": {}}, "stacks": {"bitcoin": {}}}).variables["bcm_stacks"]["bitcoin"]
    assert bitcoin["implementation"] == "bitcoin-core"
    assert (bitcoin["wallet"], bitcoin["prune"], bitcoin["dbcache"], bitcoin["version"]) == (False, None, None, None)
    assert bitcoin["volume_size"] == "5GiB"


def test_pruning_is_said_in_mebibytes(site):
    found = site({"tiers": {"bitcoin": {}}, "stacks": {"bitcoin": {"prune": "2GiB"}}})
    assert found.variables["bcm_stacks"]["bitcoin"]["prune"] == 2048


def test_the_version_of_a_stack_comes_before_that_of_its_program(site):
    content = {"tiers": {"bitcoin": {}}, "versions": {"bitcoin-core": "30.2", "bitcoin-knots": "29.4"}}
    assert site({**content, "stacks": {"bitcoin": {}}}).variables["bcm_stacks"]["bitcoin"]["version"] == "30.2"
    found = site({**content, "stacks": {"bitcoin": {"version": "31.0"}}})
    assert found.variables["bcm_stacks"]["bitcoin"]["version"] == "31.0"


def test_mirrors_of_the_world(site):
    found = site({"tiers": {"bitcoin": {}}, "stacks": {"bitcoin": {}, **NO_KAFKA}}).variables
    assert found["bcm_mirrors"]["apt"] == {"debian": None, "security": None}
    assert (
        found["bcm_mirrors"]["docker_hub"]
        == found["bcm_mirrors"]["registries"]["docker.io"]
        == "https://registry-1.docker.io"
    )
    assert found["bcm_mirrors"]["downloads"] == {"bitcoin": "https://bitcoincore.org/bin"}
    assert found["bcm_egress_allowed_private"] == []
    assert {"registry-1.docker.io", "auth.docker.io", "bitcoincore.org"} <= set(found["bcm_egress_allowed_domains"])
    assert found["bcm_egress_allowed_ports"] == [80, 443]


@pytest.mark.parametrize("hub", [{}, {"docker.io": "http://198.18.0.10:5000"}], ids=["the world's", "a mirror of it"])
def test_the_hub_is_the_first_registry(site, hub):
    """Engines ask the first cache for its images."""
    found = site({"mirrors": {"registries": {"ghcr.io": "https://ghcr.io", **hub}}}).variables
    assert list(found["bcm_mirrors"]["registries"]) == ["docker.io", "ghcr.io"]
    assert found["bcm_mirrors"]["registries"]["docker.io"] == hub.get("docker.io", "https://registry-1.docker.io")


def test_mirrors_with_private_addresses_are_let_through(site):
    found = site(
        {
            "mirrors": {
                "apt": {"debian": "http://10.5.0.1/debian/"},
                "images": {"server": "http://127.0.0.1:8080"},
                "registries": {"docker.io": "http://198.18.0.10:5000", "ghcr.io": "https://mirror.example:8443"},
                "downloads": {"bitcoin": "https://[fd00::1]/bitcoin"},
            },
            "egress": {
                "allowed_private": [{"host": "192.168.1.0/24", "port": 22}],
                "allowed_domains": [".example.org"],
            },
            "stacks": NO_KAFKA,
        }
    ).variables
    assert found["bcm_egress_allowed_private"] == [
        {"host": "10.5.0.1", "port": 80},
        {"host": "192.168.1.0/24", "port": 22},
        {"host": "198.18.0.10", "port": 5000},
        {"host": "fd00::1", "port": 443},
    ]
    assert found["bcm_egress_allowed_domains"] == [".example.org", "mirror.example"]
    assert found["bcm_egress_allowed_ports"] == [80, 443, 8443]
    assert found["bcm_mirrors"]["apt"]["debian"] == "http://10.5.0.1/debian"


def test_what_lies_beside_comes_on_top(site):
    found = site(
        "plugin: bcm.datacenter.site\nname: lab\noverrides:\n"
        "  - {path: '${PLACE:-place}.yml'}\n  - {path: none.yml, optional: true}\n  - {path: last.yml}\n"
        "endpoints: [{name: here, connection: local}]\nmirrors: {apt: {debian: 'http://a.example'}}\n",
        {"LAB": "/lab"},
        place="endpoints: [{name: here, lxd_socket: '${LAB}/s'}]\nmirrors: {apt: {security: 'http://b.example'}}\npool: {size: 90GiB}\n",
        last="pool: {size: 100GiB}\n",
    )
    assert found.variables["bcm_lxd_socket"] == "/lab/s"
    assert found.hosts["here"]["ansible_connection"] == "local"
    assert found.variables["bcm_mirrors"]["apt"] == {"debian": "http://a.example", "security": "http://b.example"}
    assert found.variables["bcm_pool"]["size"] == "100GiB"


def test_a_fingerprint_may_have_spaces(site):
    signer = {"name": "a", "fingerprint": "0123 4567 89ab cdef 0123  4567 89ab cdef 0123 4567"}
    found = site({"tiers": {"bitcoin": {}}, "stacks": {"bitcoin": {"signers": [signer]}}})
    assert (
        found.variables["bcm_stacks"]["bitcoin"]["signers"][0]["fingerprint"]
        == "0123456789ABCDEF0123456789ABCDEF01234567"
    )


def test_ports_are_the_makers():
    """src/chainparamsbase.cpp (RPC, and onion as peers + 1) and src/kernel/chainparams.cpp (peers) of Bitcoin Core."""
    expected = {
        "mainnet": (8333, 8334, 8332),
        "testnet4": (48333, 48334, 48332),
        "signet": (38333, 38334, 38332),
        "regtest": (18444, 18445, 18443),
    }
    for chain, ports in expected.items():
        found = _chains.chain_ports(chain)
        assert (found["p2p"], found["onion"], found["rpc"]) == ports
    assert (_chains.chain_ports("simnet")["p2p"], _chains.chain_ports("simnet")["rpc"]) == (18555, 18556)


def test_no_port_stands_for_two_things():
    for kinds in (("p2p", "onion", "rpc"), tuple(f"zmq_{topic}" for topic in _chains.ZMQ_TOPICS)):
        ports = [ports[kind] for chain in _chains.CHAINS if (ports := _chains.chain_ports(chain)) for kind in kinds]
        known = [port for port in ports if port is not None]
        assert len(known) == len(set(known))


@pytest.mark.parametrize("chain", _chains.CHAINS)
def test_the_default_volume_holds_the_chain_with_all_indexes(chain):
    everything = dict.fromkeys(_chains.INDEXES, True)
    assert _sizes.to_bytes(_chains.CHAINS[chain].default_volume) >= _chains.volume_minimum(chain, None, everything)


def test_builders_that_are_known_to_the_role_are_counted():
    makers = yaml.safe_load((ROLES / "bitcoin_node/vars/main.yml").read_text())["bitcoin_node_makers"]
    assert {name: len(maker["builders"]) for name, maker in makers.items()} == {
        name: facts.signers for name, facts in _chains.IMPLEMENTATIONS.items() if facts.role
    }


def test_where_secrets_are_kept(site, tmp_path):
    assert site({}).variables["bcm_secrets"] == {"backend": "directory"}
    assert site({"secrets": {"backend": "pass"}}).variables["bcm_secrets"] == {"backend": "pass"}
    vault = site({"secrets": {"backend": "vault"}}).variables["bcm_secrets"]
    assert vault == {"backend": "vault", "vault": str(tmp_path / ".secrets.vault"), "vault_id": None}
    declared = {"backend": "vault", "vault": "${VAULTS}/home.vault", "vault_id": "prod"}
    vault = site({"secrets": declared}, {"VAULTS": "/vaults"}).variables["bcm_secrets"]
    assert vault == {**declared, "vault": "/vaults/home.vault"}


RACK = [{"name": f"rack-{n}", "ssh": f"ops@10.9.0.{n}"} for n in (1, 2, 3)]


def test_without_encryption_there_is_no_tunnel(site):
    found = site({"endpoints": RACK})
    assert found.variables["bcm_tunnel"] is None
    assert "bcm_tunnel_address" not in found.hosts["rack-1"]
    assert [network["mtu"] for network in found.variables["bcm_networks"]] == [None, 1450, 1450]


@pytest.mark.parametrize("encryption", ["wireguard", "wireguard-go"])
def test_a_tunnel_carries_the_networks_in_vxlan(site, encryption):
    found = site({"endpoints": RACK, "network": "10.77.0.0/16", "cluster": {"encryption": encryption}})
    digits = found.variables["bcm_site_id"]
    assert found.variables["bcm_tunnel"] == {
        "interface": f"wg{digits}",
        "port": 51820 + int(digits, 16) % 1000,
        "subnet": "10.77.48.0/20",
        # 1500 - 60 of WireGuard, which is the networks' 1390 and 50 of VXLAN.
        "mtu": 1440,
    }
    assert [network["mtu"] for network in found.variables["bcm_networks"]] == [None, 1390, 1390]
    addresses = [found.hosts[f"rack-{n}"]["bcm_tunnel_address"] for n in (1, 2, 3)]
    subnet = _addresses.network_of("10.77.48.0/20")
    assert len(set(addresses)) == 3
    assert all(_addresses.parse_address(address) in subnet for address in addresses)


def test_endpoints_keep_their_addresses_in_the_tunnel_whoever_comes_and_goes(site):
    def addresses(endpoints):
        found = site({"endpoints": endpoints, "cluster": {"encryption": "wireguard"}})
        return {name: found.hosts[name]["bcm_tunnel_address"] for name in found.groups["endpoints"]}

    before = addresses([*RACK, {"name": "rack-4", "ssh": "10.9.0.4"}])
    after = addresses([RACK[2], RACK[0], {"name": "rack-5", "ssh": "10.9.0.5"}])
    assert after.items() >= {name: before[name] for name in ("rack-1", "rack-3")}.items()


def test_a_tunnel_of_its_own(site):
    six = [{**endpoint, "address": f"2001:db8::{n}"} for n, endpoint in enumerate(RACK, 1)]
    tunnel = {"port": 5000, "subnet": "192.168.77.0/24"}
    found = site({"endpoints": six, "cluster": {"encryption": "wireguard", "tunnel": tunnel}}).variables
    assert found["bcm_tunnel"] == {"interface": f"wg{found['bcm_site_id']}", **tunnel, "mtu": 1420}
    assert found["bcm_networks"][2]["mtu"] == 1370
    large = site({"endpoints": RACK, "cluster": {"encryption": "wireguard"}, "networks": {"cluster": {"mtu": 8890}}})
    assert large.variables["bcm_tunnel"]["mtu"] == 8940


LAN = {"parent": "eno1", "subnet": "192.168.1.0/24", "gateway": "192.168.1.1"}


def test_a_leg_in_the_lan_beside_the_inner_networks(site):
    found = site(
        {
            "endpoints": [*RACK[:2], {**RACK[2], "lan_parent": "enp2s0"}],
            "networks": {"lan": LAN},
            "tiers": {
                "web": {"count": 2, "lan": {"addresses": ["192.168.1.8", "192.168.1.9"], "ports": [443, "53/udp"]}}
            },
        }
    )
    assert found.variables["bcm_lan"] == {
        "network": f"bcm{found.variables['bcm_site_id']}-lan",
        **LAN,
        "nameserver": "192.168.1.1",
    }
    assert [found.hosts[f"rack-{n}"]["bcm_lan_parent"] for n in (1, 2, 3)] == ["eno1", "eno1", "enp2s0"]
    assert found.hosts["web-2"]["bcm_lan_leg"] == {
        "address": "192.168.1.9",
        "ports": [{"port": 443, "proto": "tcp"}, {"port": 53, "proto": "udp"}],
    }
    assert found.hosts["web-2"]["bcm_addresses"].keys() == {"cluster"}
    assert "bcm_lan_leg" not in found.hosts["manager-1"]
    # The way out is the one that it is anyway.
    assert found.variables["bcm_networks"][0]["bridge"].endswith("-outside")
    (web, manager) = (_devices(found, name) for name in ("web-2", "manager-1"))
    assert web["lan"] == {"type": "nic", "network": found.variables["bcm_lan"]["network"], "name": "lan"}
    assert manager["lan"] is None
    # From its first start it is told nothing by whoever is there.
    told, other = (
        json.loads(network_config({**found.variables, **found.hosts[name]}))["ethernets"]
        for name in ("web-2", "manager-1")
    )
    assert told["lan"] == {"dhcp4": False, "dhcp6": False, "accept-ra": False, "link-local": [], "optional": True}
    assert "lan" not in other


def test_a_proxyhost_in_the_lan(site):
    found = site({"networks": {"lan": LAN}, "tiers": {"proxyhost": {"lan": {"addresses": ["192.168.1.8"]}}}})
    assert found.hosts["proxyhost-1"]["bcm_addresses"]["outside"] == "192.168.1.8"
    outside = found.variables["bcm_networks"][0]
    assert (outside["subnet"], outside["host_address"], outside["nat"]) == ("192.168.1.0/24", "192.168.1.1", True)
    devices = _devices(found, "proxyhost-1")
    assert devices["outside"] == {"type": "nic", "network": found.variables["bcm_lan"]["network"], "name": "outside"}
    assert devices["lan"] is None
    told = json.loads(network_config({**found.variables, **found.hosts["proxyhost-1"]}))["ethernets"]["outside"]
    assert told["addresses"] == ["192.168.1.8/24"]
    assert told["routes"] == [{"to": "default", "via": "192.168.1.1"}]
    assert told["nameservers"] == {"addresses": ["192.168.1.1"]}


def _devices(found, name):
    return devices(name, {**found.variables, **found.hosts[name]}, sized=False)


def test_the_lan_is_a_network_of_lxds(site):
    found = site({"networks": {"lan": LAN}, "tiers": {"proxyhost": {"lan": {"addresses": ["192.168.1.8"]}}}}).variables
    own = {"user.bcm.site": "test", "user.bcm.network": "lan"}
    specs = network_specs(found["bcm_networks"], "test", ["standalone"], found["bcm_lan"], {"standalone": "eno1"})
    # No bridge for a way out that is not behind it.
    assert [spec["name"].partition("-")[2] for spec in specs] == ["gateway", "cluster", "lan"]
    assert (specs[2]["type"], specs[2]["config"]) == ("macvlan", {**own, "parent": "eno1"})
    parents = {"rack-1": "eno1", "rack-2": "enp2s0"}
    (*_others, lan) = network_specs(found["bcm_networks"], "test", list(parents), found["bcm_lan"], parents)
    assert lan["config"] == own
    assert lan["members"] == {"rack-1": {"parent": "eno1"}, "rack-2": {"parent": "enp2s0"}}
    assert len(network_specs(site({}).variables["bcm_networks"], "test", ["standalone"])) == 3


BITCOIN = {"tiers": {"bitcoin": {"count": 2}}, "stacks": {"bitcoin": {}}}


def test_who_holds_bitcoin_goes_out_by_tor(site):
    found = site(BITCOIN)
    tor = found.variables["bcm_tor"]
    assert tor["socks"] == {"host": found.variables["bcm_way_out"]["gateway"]["address"], "port": 9050}
    assert tor["tiers"] == ["bitcoin"]
    for index, host in enumerate(("bitcoin-1", "bitcoin-2"), 1):
        addresses = found.hosts[host]["bcm_addresses"]
        assert list(addresses) == ["gateway", "cluster"]
        assert addresses["gateway"].endswith(f".18.{index}")
        # Neighbours are known by the network that all of them have.
        assert found.hosts[host]["bcm_networks_joined"] == ["cluster"]
    # The whole block, so that a third one is no exception.
    assert [one.partition(".18.0/")[2] for one in tor["confined"]] == ["24"]


def test_other_apps_have_no_way_to_a_proxyhost(site):
    with_web = {**BITCOIN, "tiers": {**BITCOIN["tiers"], "web": {"count": 1}}}
    found = site(with_web)
    assert list(found.hosts["web-1"]["bcm_addresses"]) == ["cluster"]
    found = site({**with_web, "tor": {"tiers": ["web"]}})
    assert list(found.hosts["web-1"]["bcm_addresses"]) == ["gateway", "cluster"]
    assert found.variables["bcm_tor"]["tiers"] == ["bitcoin", "web"]


def test_without_need_there_is_no_tor(site):
    assert site({}).variables["bcm_tor"] is None
    assert site({"tor": {"enabled": True}}).variables["bcm_tor"]["tiers"] == []
    assert site({"egress": {"through_tor": ["apt"]}}).variables["bcm_tor"]["through"] == ["apt"]


def test_a_manager_named_for_tor_is_not_confined(site):
    """It has Squid, and pulls what the others get from it."""
    assert site(BITCOIN).hosts["manager-1"]["bcm_networks_joined"] == ["gateway", "cluster"]


@pytest.mark.parametrize("chain", ["mainnet", "testnet4", "signet"])
def test_chains_that_are_shared_with_others(site, chain):
    assert site({"chain": chain, **BITCOIN}).variables["bcm_chain"] == chain


def test_all_that_a_confined_tier_reaches(site):
    apt = {"debian": "http://deb.example/debian", "security": "http://10.9.8.7:3142/security"}
    found = site({"mirrors": {"apt": apt}, "egress": {"allowed_domains": ["example.org"]}}).variables
    assert found["bcm_egress_package_mirrors"] == {
        "domains": ["deb.example"],
        "ports": [80],
        "private": [{"host": "10.9.8.7", "port": 3142}],
    }
