# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a declaration expects of each tier, and that nothing that is seen changes it."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.bcm.datacenter.plugins.filter import leak_findings, leak_plan, leak_points
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _leaks as leaks

WORLD = {"ipv4": "1.1.1.1", "ipv6": "2606:4700:4700::1111", "name": "example.com"}
NETWORKS = [
    {"name": "outside", "bridge": "bcm1-outside", "subnet": "10.81.0.0/24", "host_address": "10.81.0.1"},
    {"name": "gateway", "bridge": "bcm1-gateway", "subnet": "10.81.16.0/20", "host_address": None},
    {"name": "cluster", "bridge": "bcm1-cluster", "subnet": "10.81.32.0/20", "host_address": None},
]
SITE = {
    "bcm_networks": NETWORKS,
    "bcm_way_out": {"gateway": {"address": "10.81.16.254"}},
    "bcm_tor": {"socks": {"host": "10.81.16.254", "port": 9050}, "tiers": ["bitcoin", "lightning"]},
    "bcm_egress_allowed_domains": ["deb.example.org", "pypi.example.org", ".docker.io"],
    "bcm_egress_allowed_ports": [80, 443],
    "bcm_egress_allowed_private": [{"host": "198.18.0.10", "port": 80}],
    "bcm_mirrors": {
        "apt": {"debian": "http://deb.example.org/debian"},
        "registries": {"docker.io": "https://registry-1.docker.io"},
        "downloads": {"bitcoin": "http://198.18.0.10:8080/bitcoin"},
    },
    "bcm_lan": None,
}


def host(tier: str, **addresses: str) -> dict[str, t.Any]:
    return {**SITE, "bcm_tier": tier, "bcm_addresses": addresses}


HOSTVARS: dict[str, dict[str, t.Any]] = {
    "server": {
        **SITE,
        "leak_proof_watch": {
            "addresses": [
                {"interface": "eth0", "address": "203.0.113.5"},
                {"interface": "bcm1-outside", "address": "10.81.0.1"},
                {"interface": "bcm1-cluster", "address": "fe80::9"},
            ],
            "listening": [{"protocol": "tcp", "address": "0.0.0.0", "port": 22}],  # noqa: S104
        },
    },
    "proxyhost-1": {
        **host("proxyhost", outside="10.81.0.11", gateway="10.81.16.1"),
        "leak_proof_watch": {
            "addresses": [],
            "listening": [
                {"protocol": "tcp", "address": "10.81.16.1", "port": 3128},
                {"protocol": "tcp", "address": "0.0.0.0", "port": 4711},  # noqa: S104
                {"protocol": "tcp", "address": "127.0.0.1", "port": 4712},
                {"protocol": "udp", "address": "0.0.0.0", "port": 4713},  # noqa: S104
            ],
        },
    },
    "manager-1": host("manager", gateway="10.81.17.1", cluster="10.81.33.1"),
    "bitcoin-1": host("bitcoin", cluster="10.81.34.1"),
    "lightning-1": host("lightning", gateway="10.81.21.1", cluster="10.81.37.1"),
}
INSTANCES = ["proxyhost-1", "manager-1", "bitcoin-1", "lightning-1"]


def cells(hostvars: dict[str, dict[str, t.Any]] | None = None) -> dict[str, dict[str, dict[str, t.Any]]]:
    """By instance and name."""
    found = leaks.plan(INSTANCES, hostvars or HOSTVARS, ["server"], WORLD, ["bitcoin", "lightning"], "bcmleak1")
    return {name: {cell["name"]: cell for cell in of} for name, of in found.items()}


EXPECTED = {
    # what is tried: proxyhost, manager, bitcoin (without the way out), lightning (on its network)
    "the world, TCP 443": ("no", "no", "no", "no"),
    "the world, UDP 443": ("no", "no", "no", "no"),
    "the world, DNS": ("no", "no", "no", "no"),
    "the world, DNS over TLS": ("no", "no", "no", "no"),
    "the world, ICMP": ("no", "no", "no", "no"),
    "the world by IPv6, TCP 443": ("no", "no", "no", "no"),
    "the world by IPv6, ICMP": ("no", "no", "no", "no"),
    "a name of the world": ("may", "no", "no", "no"),
    "server at 203.0.113.5 (eth0), TCP 22": ("no", "no", "no", "no"),
    "server at 10.81.0.1 (bcm1-outside), TCP 22": ("no", "no", "no", "no"),
    "server at 10.81.0.1 (bcm1-outside), DNS": ("yes", "no", "no", "no"),
    "server at fe80::9 (bcm1-cluster), ICMP": ("no", "no", "no", "no"),
    "the way out, HTTP proxy": ("yes", "yes", "no", "yes"),
    "the way out, cache of docker.io": ("yes", "yes", "no", "no"),
    "proxyhost-1, SSH": ("may", "no", "no", "no"),
    "proxyhost-1, a proxy at port 4711": ("may", "no", "no", "no"),
    "proxyhost-1, a proxy at port 1080": ("may", "no", "no", "no"),
    "CONNECT to 127.0.0.1, port 443": ("no", "no", "no", "no"),
    "CONNECT to 10.81.0.1, port 443": ("no", "no", "no", "no"),
    "CONNECT to port 8333": ("no", "no", "no", "no"),
    "CONNECT to a name that is not declared": ("no", "no", "no", "no"),
    "CONNECT to an address of the world": ("no", "no", "no", "no"),
    "deb.example.org, port 80": ("yes", "yes", "no", "yes"),
    "CONNECT to pypi.example.org, which is declared": ("yes", "yes", "no", "no"),
    "Tor, SOCKS": ("may", "no", "yes", "yes"),
    "by Tor to 127.0.0.1": ("no", "no", "no", "no"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_each_tier_may_what_the_declaration_says(name: str) -> None:
    found = cells()
    assert tuple(found[host][name]["expected"] for host in INSTANCES) == EXPECTED[name]


def test_every_row_has_an_expectation_of_everybody() -> None:
    assert {frozenset(row) for row in leaks.TABLE.values()} == {
        frozenset((leaks.PROXYHOST, leaks.OPEN, leaks.CLOSED, leaks.INNER))
    }
    assert {cell["row"] for of in cells().values() for cell in of.values()} == set(leaks.TABLE)


def test_a_container_may_have_less_than_its_host_and_never_more() -> None:
    for of in cells().values():
        for cell in of.values():
            wanted = {"yes": "may", "may": "may", "no": "no"}[cell["expected"]]
            assert cell["expected_of_tasks"] == wanted


def test_what_is_seen_adds_tries_and_changes_no_expectation() -> None:
    blind = copy.deepcopy(HOSTVARS)
    for name in blind:
        blind[name].pop("leak_proof_watch", None)
    before, after = cells(blind), cells()
    for name in INSTANCES:
        assert len(after[name]) > len(before[name])
        for words, cell in before[name].items():
            # The same address by the name of the interface that has it.
            seen = after[name].get(words)
            assert seen is None or seen["expected"] == cell["expected"]
    assert before["manager-1"]["server at 10.81.0.1, TCP 22"]["expected"] == "no"


def test_a_port_that_others_cannot_come_to_is_not_tried() -> None:
    found = cells()["manager-1"]
    assert "proxyhost-1, a proxy at port 4712" not in found
    assert "proxyhost-1, a proxy at port 4713" not in found
    # What the declaration has there is no proxy that nobody declared.
    assert not {
        name
        for name in found
        if name.endswith(("a proxy at port 3128", "a proxy at port 5000", "a proxy at port 9050"))
    }


def test_without_tor_nobody_may_have_it() -> None:
    without = {name: {**variables, "bcm_tor": None} for name, variables in HOSTVARS.items()}
    found = cells(without)
    assert {found[host]["Tor, SOCKS"]["expected"] for host in INSTANCES} == {"no", "may"}
    assert found["bitcoin-1"]["Tor, SOCKS"]["expected"] == "no"
    assert found["bitcoin-1"]["Tor, SOCKS"]["host"] == "10.81.16.254"


def test_who_is_confined_follows_from_the_address() -> None:
    confined = {**SITE["bcm_tor"], "confined": ["10.81.17.0/24"]}  # type: ignore[dict-item]
    found = cells({name: {**variables, "bcm_tor": confined} for name, variables in HOSTVARS.items()})
    assert found["manager-1"]["CONNECT to pypi.example.org, which is declared"]["expected"] == "no"
    assert found["manager-1"]["deb.example.org, port 80"]["expected"] == "yes"
    assert found["manager-1"]["the way out, cache of docker.io"]["expected"] == "no"


def test_marks_are_one_for_each_cell_and_fit_into_a_name() -> None:
    marks = [cell["mark"] for of in cells().values() for cell in of.values() if cell["mark"]]
    assert len(marks) == len(set(marks))
    assert all(len(mark) < 64 and mark.replace("-", "").isalnum() for mark in marks)
    found = cells()
    assert found["bitcoin-1"]["the world, UDP 443"]["mark"].startswith("bcmleak1-02-")
    # What is allowed is nobody's leak, and a connection carries none.
    assert found["proxyhost-1"]["server at 10.81.0.1 (bcm1-outside), DNS"]["mark"] == ""
    assert found["bitcoin-1"]["the world, TCP 443"]["mark"] == ""


def test_what_is_tried_is_what_the_module_takes() -> None:
    found = leak_plan.leak_plan(INSTANCES, HOSTVARS, ["server"], WORLD, ["bitcoin"], "bcmleak1")
    for host_name in INSTANCES:
        wanted = [cell for cell in found["cells"][host_name] if cell["expected"] != "may"]
        assert [probe["name"] for probe in found["probes"][host_name]] == [cell["name"] for cell in wanted]
    words = {word for of in found["probes"].values() for probe in of for word in probe}
    assert words <= {"name", "kind", "host", "port", "to", "to_port", "name_asked", "mark", "timeout"}
    assert {".docker.io", ".docker.com", "deb.example.org", "pypi.example.org", "198.18.0.10"} <= set(found["names"])
    assert {80, 443, 8080} <= set(found["ports"])


def test_each_host_is_watched_where_it_can_leak() -> None:
    assert leak_points.leak_points("server", HOSTVARS["server"]) == [
        {"interface": "bcm1-outside", "kind": "enters"},
        {"interface": "bcm1-gateway", "kind": "foreign", "inside": "10.81.16.0/20"},
        {"interface": "bcm1-cluster", "kind": "foreign", "inside": "10.81.32.0/20"},
    ]
    assert leak_points.leak_points("proxyhost-1", HOSTVARS["proxyhost-1"]) == [
        {"interface": "outside", "kind": "leaves"}
    ]
    assert leak_points.leak_points("bitcoin-1", HOSTVARS["bitcoin-1"]) == []
    web = {**host("web", cluster="10.81.40.1"), "bcm_lan_leg": {"address": "192.168.1.9", "ports": [443]}}
    assert leak_points.leak_points("web-1", web) == [{"interface": "lan", "kind": "leaves"}]
    lan = {**SITE, "bcm_networks": [{**NETWORKS[0], "bridge": None}, *NETWORKS[1:]], "bcm_lan_parent": "eno1"}
    assert leak_points.leak_points("server", lan)[-1] == {"interface": "eno1", "kind": "leaves"}


@pytest.mark.parametrize(
    ("public", "allowed", "wrong"),
    [
        (WORLD, [], []),
        ({**WORLD, "ipv6": ""}, [{"to": "203.0.113.0/24", "port": 443, "why": "broker"}], []),
        ({**WORLD, "ipv4": "::1"}, [], ["leak_proof_public.ipv4 is '::1'; it takes an IPv4 address"]),
        ({**WORLD, "ipv6": "1.1.1.1"}, [], ["leak_proof_public.ipv6 is '1.1.1.1'; it takes an IPv6 address, or empty"]),
        ({**WORLD, "name": "example"}, [], ["leak_proof_public.name is 'example'; it takes a name of the DNS, such as example.com"]),
        (WORLD, [{"to": "somewhere", "why": "x"}], ["leak_proof_allowed[0].to is 'somewhere'; it takes an address or a network (CIDR)"]),
        (WORLD, [{"to": "1.2.3.4", "port": 70000, "why": "x"}], ["leak_proof_allowed[0].port is 70000; it takes 1 to 65535, or 0 for any"]),
        (WORLD, [{"to": "1.2.3.4", "why": " "}], ["leak_proof_allowed[0].why is empty; it takes a reason, which the report repeats"]),
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(
    public: dict[str, str], allowed: list[dict[str, t.Any]], wrong: list[str]
) -> None:
    assert leak_findings.leak_findings(public, allowed) == wrong
