# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that makes VXLAN interfaces: what it does for what the kernel has. That the kernel takes it, molecule shows."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest

Object = dict[str, Any]

CONFIG: Object = {
    "site": "home",
    "local": "192.0.2.1",
    "peers": ["192.0.2.2", "192.0.2.3"],
    "port": 4789,
    "overhead": 50,
    "underlay_mtu": 0,
    "networks": [{"interface": "vxa", "vni": 77, "bridge": "bra"}],
}
VXA: Object = {
    "ifname": "vxa",
    "mtu": 1450,
    "flags": ["UP"],
    "ifalias": "bcm.datacenter.vxlan:home",
    "master": "bra",
    "inet6_addr_gen_mode": "none",
    "linkinfo": {
        "info_kind": "vxlan",
        "info_data": {"id": 77, "local": "192.0.2.1", "port": 4789, "learning": True},
    },
}
ETH0: Object = {"ifname": "eth0", "mtu": 1500, "flags": ["UP"]}
WG0: Object = {"ifname": "wg0", "mtu": 1420, "flags": ["UP"], "linkinfo": {"info_kind": "wireguard"}}
BRA: Object = {"ifname": "bra", "mtu": 1450, "flags": ["UP"], "linkinfo": {"info_kind": "bridge"}}
FOR_ALL = "00:00:00:00:00:00"
TABLE = ((FOR_ALL, "192.0.2.2"), (FOR_ALL, "192.0.2.3"), ("02:00:00:00:00:03", "192.0.2.3"))


class Kernel:
    """What ip and bridge would tell of it."""

    def __init__(self, links: list[Object], table: Sequence[tuple[str, str]] = TABLE, dev: str = "eth0") -> None:
        self.links, self.table, self.dev = copy.deepcopy(links), table, dev

    def __call__(self, *argv: str) -> Any:
        if argv[:3] == ("ip", "-d", "link"):
            return self.links
        if argv[:2] == ("ip", "address"):
            return [{"ifname": self.dev, "addr_info": [{"local": "192.0.2.1"}, {"local": "192.0.2.9"}]}]
        if argv[:3] == ("ip", "route", "get"):
            return [{"dst": argv[3], "dev": self.dev}] if argv[3].startswith("192.0.2.") else []
        # The first entry is the bridge's own.
        return [{"mac": "02:00:00:00:00:01", "master": "bra"}, *({"mac": m, "dst": d} for m, d in self.table)]


def plan_of(program: ModuleType, kernel: Kernel, **changed: Any) -> Any:
    return program.make_plan(copy.deepcopy({**CONFIG, **changed}), program.Host(kernel, ipv6=True))


def commands(plan: Any) -> list[str]:
    return [" ".join(step.argv) for step in plan.steps]


def test_nothing_is_done_twice(program: ModuleType) -> None:
    plan = plan_of(program, Kernel([ETH0, BRA, VXA]))
    assert (commands(plan), plan.findings, plan.strangers) == ([], [], [])
    assert plan.underlay == {"interfaces": ["eth0"], "mtu": 1500, "encrypted": False}
    assert plan.config["networks"][0]["mtu"] == 1450


def test_an_interface_is_whole_before_it_is_up(program: ModuleType) -> None:
    plan = plan_of(program, Kernel([ETH0, BRA]))
    assert commands(plan) == [
        "ip link add name vxa mtu 1450 type vxlan id 77 local 192.0.2.1 dstport 4789 learning",
        "ip link set dev vxa alias bcm.datacenter.vxlan:home",
        "ip link set dev vxa addrgenmode none",
        f"bridge fdb append {FOR_ALL} dev vxa dst 192.0.2.2",
        f"bridge fdb append {FOR_ALL} dev vxa dst 192.0.2.3",
        "ip link set dev vxa master bra",
        "ip link set dev vxa up",
    ]
    assert plan.said()["changes"] == ["make vxa, VXLAN 77"]


def test_peers_come_and_go_by_entries_alone(program: ModuleType) -> None:
    plan = plan_of(program, Kernel([ETH0, BRA, VXA]), peers=["192.0.2.2", "192.0.2.4"])
    assert commands(plan) == [
        f"bridge fdb append {FOR_ALL} dev vxa dst 192.0.2.4",
        f"bridge fdb del {FOR_ALL} dev vxa dst 192.0.2.3",
        "bridge fdb del 02:00:00:00:00:03 dev vxa dst 192.0.2.3",
    ]
    assert plan.said()["changes"] == ["vxa: add peer 192.0.2.4", "vxa: remove peer 192.0.2.3"]


def test_what_was_learned_may_be_gone_by_itself(program: ModuleType) -> None:
    plan = plan_of(program, Kernel([ETH0, BRA, VXA]), peers=["192.0.2.2"])
    done = []

    def call(*argv: str) -> str:
        done.append(argv)
        if argv[3] != FOR_ALL:
            raise program.CallError("No such file or directory")
        return ""

    program.apply(plan, call)
    assert len(done) == 2
    with pytest.raises(program.CallError):
        program.apply(plan_of(program, Kernel([ETH0, BRA])), call)


def test_who_sends_without_being_a_peer_is_told_and_left(program: ModuleType) -> None:
    plan = plan_of(program, Kernel([ETH0, BRA, VXA], [*TABLE, ("02:00:00:00:00:66", "192.0.2.66")]))
    assert commands(plan) == []
    assert plan.strangers == ["02:00:00:00:00:66 behind 192.0.2.66, on vxa"]


@pytest.mark.parametrize(
    ("key", "value", "command"),
    [
        ("mtu", 1400, "ip link set dev vxa mtu 1450"),
        ("master", "other", "ip link set dev vxa master bra"),
        ("flags", [], "ip link set dev vxa up"),
        ("inet6_addr_gen_mode", "eui64", "ip link set dev vxa addrgenmode none"),
        # A run that was killed just after it had made it.
        ("ifalias", "", "ip link set dev vxa alias bcm.datacenter.vxlan:home"),
    ],
)
def test_what_drifted_is_put_right(program: ModuleType, key: str, value: object, command: str) -> None:
    assert commands(plan_of(program, Kernel([ETH0, BRA, {**VXA, key: value}]))) == [command]


@pytest.mark.parametrize(("key", "value"), [("id", 78), ("local", "192.0.2.9"), ("port", 8472), ("learning", False)])
def test_what_cannot_be_changed_is_made_anew(program: ModuleType, key: str, value: object) -> None:
    link = copy.deepcopy(VXA)
    link["linkinfo"]["info_data"][key] = value
    done = commands(plan_of(program, Kernel([ETH0, BRA, link])))
    assert done[0] == "ip link del dev vxa"
    assert done[1].startswith("ip link add name vxa")


def test_a_number_is_free_before_another_one_takes_it(program: ModuleType) -> None:
    old = {**VXA, "ifname": "vxold"}
    assert commands(plan_of(program, Kernel([ETH0, BRA, old])))[:2] == [
        "ip link del dev vxold",
        "ip link add name vxa mtu 1450 type vxlan id 77 local 192.0.2.1 dstport 4789 learning",
    ]


def test_only_ones_own_is_removed(program: ModuleType) -> None:
    theirs = {**VXA, "ifname": "vxb", "ifalias": "bcm.datacenter.vxlan:home2"}
    nobodys = {key: value for key, value in VXA.items() if key != "ifalias"} | {"ifname": "vxc"}
    plan = plan_of(program, Kernel([ETH0, BRA, VXA, theirs, nobodys]), networks=[])
    assert commands(plan) == ["ip link del dev vxa"]


@pytest.mark.parametrize(
    ("links", "words"),
    [
        ([{**VXA, "ifalias": "bcm.datacenter.vxlan:home2"}], "vxa is there and is not site home's (bcm.datacenter"),
        ([{**ETH0, "ifname": "vxa"}], "vxa is there and is not site home's (a network card)"),
        ([{**VXA, "ifname": "vxz", "ifalias": "somebody's"}], "vni 77 of vxa is that of vxz"),
        ([{**ETH0, "ifname": "bra"}], "bra, which vxa is to be attached to, is no bridge"),
    ],
)
def test_what_is_somebody_elses_is_in_the_way(program: ModuleType, links: list[Object], words: str) -> None:
    plan = plan_of(program, Kernel([ETH0, *links]))
    assert commands(plan) == []
    assert len(plan.findings) == 1
    assert words in plan.findings[0]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"local": "192.0.2.8"},
            "vxlan_local is 192.0.2.8, which this host does not have; it has 192.0.2.1, 192.0.2.9",
        ),
        ({"peers": ["192.0.2.9"]}, "vxlan_peers has 192.0.2.9, which is an address of this host as well"),
        ({"peers": ["203.0.113.1"]}, "vxlan_peers has 203.0.113.1, and there is no way to it from 192.0.2.1"),
        ({"underlay_mtu": 1501}, "vxlan_underlay_mtu is 1501, and eth0 takes 1500 at most"),
    ],
)
def test_what_this_host_cannot_do(program: ModuleType, changed: Object, words: str) -> None:
    assert plan_of(program, Kernel([ETH0, BRA]), **changed).findings == [words]


def test_sizes_follow_the_underlay_and_wireguard_is_seen(program: ModuleType) -> None:
    plan = plan_of(program, Kernel([ETH0, WG0], dev="wg0"), peers=["192.0.2.2"])
    assert plan.underlay == {"interfaces": ["wg0"], "mtu": 1420, "encrypted": True}
    assert plan.config["networks"][0]["mtu"] == 1370
    less = plan_of(program, Kernel([ETH0]), underlay_mtu=1400)
    assert less.config["networks"][0]["mtu"] == 1350


def test_what_is_said_of_it(program: ModuleType) -> None:
    well = program.status(plan_of(program, Kernel([ETH0, BRA, VXA])))
    assert (well["ready"], well["reason"]) == (True, "")
    assert well["note"] == "in clear: not encrypted on eth0 as far as this machine can tell"
    tunnel = Kernel([WG0, BRA, {**VXA, "mtu": 1370}], dev="wg0")
    assert program.status(plan_of(program, tunnel))["note"] == "encrypted by WireGuard, wg0"
    assert "still to be done" in program.status(plan_of(program, Kernel([ETH0, BRA])))["reason"]
    stranger = Kernel([ETH0, BRA, VXA], (*TABLE, ("02:00:00:00:00:09", "192.0.2.99")))
    told = program.status(plan_of(program, stranger))
    assert not told["ready"]
    assert "02:00:00:00:00:09 behind 192.0.2.99" in told["reason"]


def test_what_should_be_encrypted_and_is_not_is_told(program: ModuleType) -> None:
    clear = program.status(plan_of(program, Kernel([ETH0, BRA, VXA])), encrypted=True)
    assert not clear["ready"]
    assert "should be encrypted by WireGuard and travel in clear: not encrypted on eth0" in clear["reason"]
    tunnel = Kernel([WG0, BRA, {**VXA, "mtu": 1370}], dev="wg0")
    assert program.status(plan_of(program, tunnel), encrypted=True)["ready"]


def test_peers_have_no_order(program: ModuleType) -> None:
    found = program.in_order({"local": "fd00:0::1", "peers": ["fd00::10", "fd00::9", "fd00:0::2"]})
    assert found == {"local": "fd00::1", "peers": ["fd00::2", "fd00::9", "fd00::10"]}


def test_at_the_start_of_the_machine_no_network_is_asked(program: ModuleType) -> None:
    kernel = Kernel([{**ETH0, "flags": []}], dev="nowhere")
    config = copy.deepcopy(CONFIG)
    config["networks"][0]["mtu"] = 1450
    plan = program.make_plan(config, program.Host(kernel, ipv6=False), look=False)
    assert plan.findings == []
    # LXD makes the bridge later, and attaches the interface.
    assert [step for step in commands(plan) if "master" in step or "addrgenmode" in step] == []
