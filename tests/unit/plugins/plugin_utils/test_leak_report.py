# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A leak of each kind is found and its cause said; what is as declared is left alone; what was not looked at proves nothing."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.bcm.datacenter.plugins.filter.leak_report import leak_report
from ansible_collections.bcm.datacenter.plugins.filter.leak_seen import leak_seen
from ansible_collections.bcm.datacenter.plugins.filter.leak_words import leak_words
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _leaks as leaks

WORLD = {"ipv4": "1.1.1.1", "ipv6": "2606:4700:4700::1111", "name": "example.com"}
SITE = {
    "bcm_networks": [
        {"name": "outside", "bridge": "bcm1-outside", "subnet": "10.81.0.0/24", "host_address": "10.81.0.1"},
        {"name": "gateway", "bridge": "bcm1-gateway", "subnet": "10.81.16.0/20", "host_address": None},
        {"name": "cluster", "bridge": "bcm1-cluster", "subnet": "10.81.32.0/20", "host_address": None},
    ],
    "bcm_way_out": {"gateway": {"address": "10.81.16.254"}},
    "bcm_tor": {"socks": {"host": "10.81.16.254", "port": 9050}, "tiers": ["bitcoin"]},
    "bcm_egress_allowed_domains": ["deb.example.org"],
    "bcm_egress_allowed_ports": [80, 443],
    "bcm_egress_allowed_private": [{"host": "198.18.0.10", "port": 80}],
    "bcm_mirrors": {"apt": {"debian": "http://deb.example.org/debian"}},
}
HOSTS = ["proxyhost-1", "manager-1", "bitcoin-1"]
Vars = dict[str, dict[str, t.Any]]


def flow(kind: str, source: str, destination: str, port: int = 443, **more: t.Any) -> dict[str, t.Any]:
    interface = {"foreign": "bcm1-cluster", "enters": "bcm1-outside", "leaves": "eth0"}[kind]
    return {
        "interface": interface, "kind": kind, "protocol": "tcp", "source": source, "destination": destination, "port": port, "answers": 0,
        "mark": "", "owner": "", "origin": "", "packets": 1, "after": 1.0, **more,
    }  # fmt: skip


RELAY = {"protocol": "tcp", "address": "203.0.113.7", "port": 9001, "by": "a relay of Tor's consensus (alpha)"}


def whole() -> tuple[Vars, dict[str, list[dict[str, t.Any]]]]:
    """A site in which all is as declared, and what was tried in it."""
    hostvars: Vars = {
        "server": {
            **SITE,
            "bcm_cluster_address": "192.0.2.5",
            "leak_proof_watch": {
                "addresses": [
                    {"interface": "eth0", "address": "192.0.2.5"},
                    {"interface": "bcm1-outside", "address": "10.81.0.1"},
                ],
                "listening": [],
            },
            "leak_proof_control": {"askers": [{"results": [{"seen": "yes"}] * 4}]},
        }
    }
    for name, tier, addresses in (
        ("proxyhost-1", "proxyhost", {"outside": "10.81.0.11", "gateway": "10.81.16.1"}),
        ("manager-1", "manager", {"gateway": "10.81.17.1", "cluster": "10.81.33.1"}),
        ("bitcoin-1", "bitcoin", {"cluster": "10.81.34.1"}),
    ):
        hostvars[name] = {**SITE, "bcm_tier": tier, "bcm_addresses": addresses}
    hostvars["proxyhost-1"]["leak_proof_watch"] = {"addresses": [], "listening": []}
    for name in ("server", "proxyhost-1"):
        hostvars[name]["leak_proof_collected"] = {
            "seen": {"seconds": 61.0, "flows": [], "names": {}, "lost": {}, "beyond": 0, "points": []}
        }
    hostvars["proxyhost-1"]["leak_proof_explained"] = {"explained": [RELAY], "relays": 1, "troubles": []}
    plan = leaks.plan(HOSTS, hostvars, ["server"], WORLD, ["bitcoin"], "bcmleak1")
    for name in HOSTS:
        tasks = ["", "kafka"] if name == "manager-1" else ["", "bitcoin"] if name == "bitcoin-1" else [""]
        hostvars[name]["leak_proof_tried"] = {
            "askers": [
                {
                    "task": task, "failed": "", "routes": [], "resolvers": [],
                    "results": [{"seen": cell["expected"], "said": "said"} for cell in plan[name] if leaks.tried(cell)],
                } for task in tasks
            ]
        }  # fmt: skip
    return hostvars, plan


class Scene:
    """The same, with things to change."""

    def __init__(self) -> None:
        self.hostvars, self.plan = whole()

    def asker(self, host: str, task: str = "") -> dict[str, t.Any]:
        askers = self.hostvars[host]["leak_proof_tried"]["askers"]
        return next(asker for asker in askers if asker["task"] == task)  # type: ignore[no-any-return]

    def saw(self, host: str, name: str, seen: str, said: str = "said", task: str = "", **asker: t.Any) -> None:
        found = self.asker(host, task)
        found.update(asker)
        tried = [cell["name"] for cell in self.plan[host] if leaks.tried(cell)]
        found["results"][tried.index(name)] = {"seen": seen, "said": said}

    def packets(self, host: str, *flows: dict[str, t.Any]) -> None:
        self.hostvars[host]["leak_proof_collected"]["seen"]["flows"].extend(flows)

    def mark(self, host: str, name: str, number: int = 0) -> str:
        """That of a try of the host itself, or of a container on it."""
        return f"{next(cell['mark'] for cell in self.plan[host] if cell['name'] == name)}-{number:x}"

    def report(self, **options: t.Any) -> dict[str, t.Any]:
        found = leak_report(HOSTS, self.hostvars, ["server"], self.plan, "home", **options)
        assert json.loads(json.dumps(found)) == found
        assert found["works"] == (not found["broken"])
        return found

    def broken(self, **options: t.Any) -> str:
        found = self.report(**options)
        words = leak_words(found)
        assert all(one in words for one in found["broken"])
        return "\n".join(found["broken"])


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_site_that_holds_what_it_promises(scene: Scene) -> None:
    found = scene.report()
    assert found["broken"] == []
    words = leak_words(found)
    assert words.splitlines()[0] == "Who reaches what in site home"
    assert "DIFFERS" not in words
    assert (
        "  no        no         bitcoin on bitcoin-1, bitcoin-1, kafka on manager-1, manager-1, proxyhost-1"
        not in words
    )
    lines = words.splitlines()
    place = lines.index("Tor, SOCKS")
    assert sorted(lines[place + 1 : place + 5]) == sorted(
        [
            "  no        no         manager-1, kafka on manager-1",
            "  yes       yes        bitcoin-1",
            "  may       yes        bitcoin on bitcoin-1",
            "  may       not tried  proxyhost-1",
        ]
    )
    assert words.endswith(
        f"All {len(found['table'])} cells are as the declaration has it, and every packet is accounted for."
    )


def test_a_route_is_found_by_what_it_reaches_and_by_what_it_carries(scene: Scene) -> None:
    routes = [{"to": "0.0.0.0/0", "via": "10.81.0.1", "interface": "leak"}]
    scene.saw("bitcoin-1", "the world, TCP 443", "yes", "the connection was accepted", routes=routes)
    scene.packets("server", flow("foreign", "10.81.34.1", "1.1.1.1"))
    said = scene.broken()
    assert (
        "bitcoin-1: the world, TCP 443: the connection was accepted: and the way there is 0.0.0.0/0 by leak through 10.81.0.1"
        in said
    )
    assert "TCP to 1.1.1.1, port 443: bitcoin-1 (10.81.34.1) sends there on an inner network" in said


def test_a_packet_that_nobody_answers_is_a_leak(scene: Scene) -> None:
    """Nothing came back, and outside it was seen."""
    mark = scene.mark("bitcoin-1", "the world, UDP 443")
    scene.packets("server", flow("leaves", "192.0.2.5", "1.1.1.1", protocol="udp", mark=mark, origin="10.81.34.1"))
    [said] = scene.report()["broken"]
    assert said.startswith("bitcoin-1: the world, UDP 443: ")
    assert "its packets were seen on eth0 of server" in said
    scene.packets(
        "server",
        flow("enters", "10.81.34.1", "1.1.1.1", protocol="udp", mark=scene.mark("bitcoin-1", "the world, UDP 443", 1)),
    )
    assert "bitcoin on bitcoin-1: the world, UDP 443: " in scene.broken()


def test_a_container_that_leaks_is_told_from_its_host(scene: Scene) -> None:
    scene.saw(
        "bitcoin-1", "a name of the world", "yes", "127.0.0.11 knows it", task="bitcoin", resolvers=["127.0.0.11"]
    )
    [said] = scene.report()["broken"]
    assert said.startswith(
        "bitcoin on bitcoin-1: a name of the world: 127.0.0.11 knows it: its name servers are 127.0.0.11"
    )


def test_a_container_may_have_less(scene: Scene) -> None:
    scene.saw("bitcoin-1", "Tor, SOCKS", "no", task="bitcoin")
    scene.saw("manager-1", "the way out, HTTP proxy", "no", task="kafka")
    assert scene.report()["works"]
    scene.saw("bitcoin-1", "Tor, SOCKS", "no", "nothing listens there")
    assert scene.broken() == "bitcoin-1: Tor, SOCKS: it is not reached: nothing listens there"


def test_an_open_socks_is_found(scene: Scene) -> None:
    scene.saw("manager-1", "Tor, SOCKS", "yes", "the SOCKS proxy takes the asker")
    scene.saw("manager-1", "proxyhost-1, a proxy at port 1080", "yes", "the SOCKS proxy takes the asker")
    said = scene.broken()
    assert (
        "manager-1: Tor, SOCKS: the SOCKS proxy takes the asker: the firewall of the proxyhost and tor's SocksPolicy"
        in said
    )
    assert "somebody has a proxy at 10.81.16.1, port 1080" in said


def test_a_leg_of_the_machine_on_an_inner_bridge_is_found(scene: Scene) -> None:
    scene.hostvars["server"]["leak_proof_watch"]["addresses"].append(
        {"interface": "bcm1-cluster", "address": "10.81.47.1"}
    )
    assert (
        "server: it has the address 10.81.47.1 on bcm1-cluster, an inner bridge, where it must have none"
        in scene.broken()
    )


def test_an_endpoint_that_answers_is_named_with_its_interface(scene: Scene) -> None:
    scene.saw("manager-1", "server at 10.81.0.1 (bcm1-outside), ICMP", "yes", "10.81.0.1 answers")
    said = scene.broken()
    assert "server has this address on bcm1-outside, with no route but those of its own networks" in said


def test_a_name_that_the_proxy_asks_for_although_it_refuses_is_a_leak(scene: Scene) -> None:
    mark = scene.mark("manager-1", "CONNECT to a name that is not declared")
    scene.packets("server", flow("enters", "10.81.0.11", "10.81.0.1", 53, protocol="udp", mark=mark))
    [said] = scene.report()["broken"]
    assert "has asked a name server for the name first" in said


def test_what_could_not_be_tried_proves_nothing(scene: Scene) -> None:
    scene.saw("manager-1", "the world, ICMP", "untried", "it may not send ICMP")
    scene.asker("bitcoin-1", "bitcoin").update(failed="it ended without a word", results=[])
    scene.hostvars["proxyhost-1"]["leak_proof_tried"] = {"unreachable": True, "msg": "the instance is stopped"}
    said = scene.broken().splitlines()
    assert said == [
        "manager-1: the world, ICMP: this could not be tried: it may not send ICMP",
        "proxyhost-1: nothing could be tried from it: the instance is stopped",
        "bitcoin on bitcoin-1: nothing could be tried from it: it ended without a word",
    ]


def test_what_was_not_watched_proves_nothing(scene: Scene) -> None:
    scene.hostvars["server"]["leak_proof_collected"] = {"failed": True, "msg": "The watch has ended"}
    scene.hostvars["proxyhost-1"]["leak_proof_collected"]["seen"].update(lost={"outside": 7}, beyond=3)
    scene.hostvars["proxyhost-1"]["leak_proof_explained"] = {"failed": True, "msg": "no python"}
    said = scene.broken()
    assert "server: its packets were not watched: The watch has ended" in said
    assert "proxyhost-1: 7 packets on outside came faster than they could be looked at" in said
    assert "proxyhost-1: there were more destinations than can be told apart; 3 packets" in said
    assert "proxyhost-1: it does not say what its packets were for: no python" in said


def test_a_tor_that_tells_no_relays_is_a_finding(scene: Scene) -> None:
    scene.hostvars["proxyhost-1"]["leak_proof_explained"]["troubles"] = ["tor has no consensus"]
    assert scene.broken() == "proxyhost-1: tor has no consensus"


ACCOUNTED = [
    flow("enters", "10.81.0.11", "203.0.113.7", 9001),
    flow("enters", "10.81.0.11", "10.81.0.1", 53, protocol="udp"),
    flow("enters", "10.81.0.11", "198.18.0.10", 80),
    flow("enters", "10.81.0.11", "ff02::16", 143, protocol="icmp"),
    flow("foreign", "fe80::1", "ff02::2", 133, protocol="icmp"),
    flow("foreign", "0.0.0.0", "255.255.255.255", 67, protocol="udp"),  # noqa: S104
    flow("foreign", "", "", 0, protocol="ethertype 0x0004"),
    flow("leaves", "192.0.2.5", "203.0.113.7", 9001, origin="10.81.0.11"),
    flow("leaves", "192.0.2.5", "203.0.113.7", 9001),
    flow("leaves", "10.81.0.11", "203.0.113.7", 9001),
    flow("leaves", "192.0.2.5", "203.0.113.99", 123, protocol="udp", owner="chronyd of _chrony"),
    flow("leaves", "192.0.2.5", "203.0.113.98", 0, answers=22),
    flow("leaves", "192.0.2.5", "203.0.113.97", 80, origin="198.18.64.5"),
]


@pytest.mark.parametrize(
    "seen", ACCOUNTED, ids=lambda seen: f"{seen['kind']} {seen['destination']} {seen['origin']}{seen['owner']}"
)
def test_what_is_accounted_for_is_left_alone(scene: Scene, seen: dict[str, t.Any]) -> None:
    scene.packets("server", seen)
    found = scene.report()
    assert found["broken"] == []
    assert found["packets"][0]["verdict"] in ("known", "named")
    assert found["packets"][0]["why"] in leak_words(found)


WRONG = [
    (
        flow("enters", "10.81.0.11", "203.0.113.8", 9001),
        "neither a relay of Tor nor anything that Squid has let through",
    ),
    (flow("enters", "10.81.0.11", "203.0.113.7", 9002), "neither a relay"),
    (flow("enters", "10.81.0.11", "203.0.113.7", 9001, protocol="udp"), "neither a relay"),
    (flow("enters", "10.81.0.11", "8.8.8.8", 53, protocol="udp"), "neither a relay"),
    (flow("enters", "10.81.0.99", "203.0.113.7", 9001), "10.81.0.99 sends there by the way out, and is no proxyhost"),
    (flow("enters", "10.81.34.1", "203.0.113.7", 9001), "bitcoin-1 (10.81.34.1) sends there by the way out"),
    (flow("foreign", "10.81.33.1", "10.81.16.1", 80), "manager-1 (10.81.33.1) sends there on an inner network"),
    (flow("foreign", "172.18.0.3", "1.1.1.1", 80), "172.18.0.3, which is no address of this network"),
    (flow("foreign", "10.81.34.1", "2606:4700::1", 80), "bitcoin-1 (10.81.34.1) sends there"),
    (
        flow("leaves", "192.0.2.5", "203.0.113.8", 443, origin="10.81.34.1"),
        "bitcoin-1 (10.81.34.1) is behind it, and is no proxyhost",
    ),
    (flow("leaves", "192.0.2.5", "203.0.113.8", 443, origin="10.81.0.11"), "proxyhost-1: it is neither a relay"),
    (flow("leaves", "192.0.2.5", "203.0.113.8", 443), "nobody knows who has sent it"),
]


@pytest.mark.parametrize(("seen", "words"), WRONG, ids=lambda found: found if isinstance(found, str) else found["kind"])
def test_what_is_not_is_found_with_its_cause(scene: Scene, seen: dict[str, t.Any], words: str) -> None:
    scene.packets("server", seen)
    [said] = scene.report()["broken"]
    assert words in said
    assert seen["destination"] in said


def test_who_sent_it_is_said(scene: Scene) -> None:
    scene.packets(
        "proxyhost-1", flow("leaves", "10.81.0.11", "203.0.113.8", 80, interface="outside", owner="curl of root")
    )
    assert scene.broken().endswith("curl of root has sent it")
    scene = Scene()
    scene.packets("proxyhost-1", flow("leaves", "10.81.0.11", "203.0.113.8", 0, interface="outside", answers=22))
    assert "it answers there from its port 22, and nothing may answer outside" in scene.broken()


def test_a_busy_machine_can_leave_alone_what_nobody_knows(scene: Scene) -> None:
    scene.packets("server", flow("leaves", "192.0.2.5", "203.0.113.8", 443))
    assert scene.report(unknown_fails=False)["works"]
    # What was seen on the site's own bridges counts in any case.
    scene.packets("server", flow("enters", "10.81.0.11", "203.0.113.8", 443))
    assert not scene.report(unknown_fails=False)["works"]


def test_a_person_can_allow_a_destination(scene: Scene) -> None:
    scene.packets("server", flow("enters", "10.81.0.11", "203.0.113.200", 443))
    allowed = [{"to": "203.0.113.192/26", "port": 443, "why": "the broker of snowflake"}]
    found = scene.report(allowed=allowed)
    assert found["works"]
    assert "allowed: the broker of snowflake" in leak_words(found)
    assert not scene.report(allowed=[{**allowed[0], "port": 80}])["works"]


def test_a_leg_in_the_lan_answers_what_is_declared_and_begins_nothing(scene: Scene) -> None:
    scene.hostvars["manager-1"]["bcm_lan_leg"] = {"address": "192.168.1.9", "ports": [443]}
    seen = {"seconds": 61.0, "flows": [flow("leaves", "192.168.1.9", "192.168.1.50", 0, interface="lan", answers=443)]}
    scene.hostvars["manager-1"]["leak_proof_collected"] = {"seen": seen}
    assert scene.report()["works"]
    seen["flows"].append(flow("leaves", "192.168.1.9", "192.168.1.50", 80, interface="lan"))  # type: ignore[attr-defined]
    assert "manager-1 begins something in the LAN" in scene.broken()


def test_what_is_to_be_explained_is_each_destination_once(scene: Scene) -> None:
    scene.packets("server", *ACCOUNTED)
    scene.packets("proxyhost-1", flow("leaves", "10.81.0.11", "203.0.113.7", 9001))
    scene.hostvars["proxyhost-1"]["leak_proof_collected"]["seen"]["names"] = {"203.0.113.7": "deb.example.org"}
    found = leak_seen(["server", *HOSTS], scene.hostvars)
    assert found["addresses"] == {"203.0.113.7": "deb.example.org"}
    places = [(one["address"], one["port"]) for one in found["destinations"]]
    assert places.count(("203.0.113.7", 9001)) == 1
    assert ("255.255.255.255", 67) not in places
    assert ("203.0.113.98", 0) not in places


def test_a_world_that_answers_nobody_is_said(scene: Scene) -> None:
    answers = [{"seen": "yes"}, {"seen": "no"}, {"seen": "yes"}, {"seen": "no"}]
    scene.hostvars["server"]["leak_proof_control"] = {"askers": [{"results": answers}]}
    found = scene.report()
    assert found["works"]
    assert "does not answer server either by DNS, ICMP" in leak_words(found)
