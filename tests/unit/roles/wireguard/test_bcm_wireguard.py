# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that makes WireGuard's interface: what it does for what the kernel has. That the kernel takes it, molecule shows."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Object = dict[str, Any]

OWN, TWO, THREE, OTHER = (f"{letter * 42}A=" for letter in "otxz")
PEERS = [
    {"name": "rack-2", "endpoint": "192.0.2.2", "address": "10.77.48.2", "public_key": TWO},
    {"name": "rack-3", "endpoint": "192.0.2.3", "address": "10.77.48.3", "public_key": THREE},
]
CONFIG: Object = {
    "site": "home",
    "interface": "wg1a2b",
    "userspace": False,
    "address": "10.77.48.1/20",
    "port": 51820,
    "mtu": 0,
    "underlay_mtu": 0,
    "keepalive": 25,
    "key": "/etc/bcm/wireguard/home/key-1",
    "peers": PEERS,
}
ETH0: Object = {"ifname": "eth0", "mtu": 1500, "flags": ["UP"]}
WG: Object = {
    "ifname": "wg1a2b",
    "mtu": 1440,
    "flags": ["UP"],
    "ifalias": "bcm.datacenter.wireguard:home",
    "linkinfo": {"info_kind": "wireguard"},
}
TUN: Object = {**WG, "linkinfo": {"info_kind": "tun"}}
KNOWN: dict[str, list[Any]] = {
    TWO: ["192.0.2.2:51820", "10.77.48.2/32", "25", 10],
    THREE: ["192.0.2.3:51820", "10.77.48.3/32", "25", 20],
}


class Kernel:
    """What ip and wg would tell of it."""

    def __init__(self, *links: Object, known: dict[str, list[Any]] | None = None, key: str = OWN) -> None:
        self.links, self.known, self.key = (
            copy.deepcopy(list(links)),
            copy.deepcopy(KNOWN if known is None else known),
            key,
        )
        self.addresses = {"eth0": ["192.0.2.1/24"], "wg1a2b": ["10.77.48.1/20"]}
        self.routes: list[Object] = [{"dst": "default", "dev": "eth0"}, {"dst": "10.77.48.0/20", "dev": "wg1a2b"}]
        self.way: Object = {"dev": "eth0"}
        self.refuses, self.listens = "", "51820"
        self.error: type[Exception] = Exception

    def __call__(self, *argv: str, text: str = "") -> str:
        if argv[0] == "unshare":
            if self.refuses:
                raise self.error(f"{' '.join(argv)}: {self.refuses}")
            return ""
        if argv[0] == "ip":
            return json.dumps(self.of_ip(argv[2:]))
        assert argv[:2] == ("wg", "show")
        return self.of_wg(argv[3])

    def of_ip(self, argv: tuple[str, ...]) -> Any:
        if argv == ("-d", "link", "show"):
            return self.links
        if argv == ("address", "show"):
            there = {link["ifname"] for link in self.links}
            return [
                {"ifname": name, "addr_info": [self.of_address(one) for one in addresses]}
                for name, addresses in self.addresses.items()
                if name in there
            ]
        if argv[:2] == ("route", "get"):
            return [{**self.way, "dst": argv[2]}] if self.way else []
        assert argv == ("-4", "route", "show")
        return self.routes

    @staticmethod
    def of_address(text: str) -> Object:
        address, _slash, prefix = text.partition("/")
        return {"local": address, "prefixlen": int(prefix), "scope": "global"}

    def of_wg(self, what: str) -> str:
        if what in ("public-key", "listen-port"):
            return f"{self.key if what == 'public-key' else self.listens}\n"
        column = ["endpoints", "allowed-ips", "persistent-keepalive", "latest-handshakes"].index(what)
        values = {key: row[column] for key, row in self.known.items()}
        if what == "latest-handshakes":
            values = {key: int(time.time()) - ago if ago is not None else 0 for key, ago in values.items()}
        return "".join(f"{key}\t{value}\n" for key, value in values.items())


@pytest.fixture
def host_of(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A host with what a kernel tells, on which all programs are, and a private key."""
    monkeypatch.setattr(program.Host, "has", lambda _self, _program: True)
    monkeypatch.setattr(program.Host, "port_is_taken", lambda _self, _port: False)
    monkeypatch.setattr(program.Host, "tunnels_refused", lambda _self: "")
    monkeypatch.setattr(program.Host, "is_programs", lambda self, name: self.kind(name) == "tun")
    monkeypatch.setattr(program.Host, "public_key", lambda _self, _file: OWN)

    def host(kernel: Kernel) -> Any:
        kernel.error = program.CallError
        return program.Host(kernel)

    return host


@pytest.fixture
def plan_of(program: ModuleType, host_of: Any) -> Any:
    def plan(kernel: Kernel, before: Object | None = None, look: bool = True, **changed: Any) -> Any:
        config = copy.deepcopy({**CONFIG, **changed})
        config.update(program.in_order(config))
        return program.make_plan(config, host_of(kernel), CONFIG if before is None else before, look=look)

    return plan


def commands(plan: Any) -> list[str]:
    return [" ".join(step.argv) for step in plan.steps if step.argv]


def test_nothing_is_done_twice(plan_of: Any) -> None:
    plan = plan_of(Kernel(ETH0, WG))
    assert (commands(plan), plan.findings, plan.missing) == ([], [], [])
    assert plan.underlay == {"interfaces": ["eth0"], "mtu": 1500, "overhead": 60}
    assert (plan.config["mtu"], plan.stands, plan.anew) == (1440, True, False)
    assert plan_of(Kernel(ETH0, TUN), userspace=True).said()["changes"] == []


def test_an_interface_is_whole_before_it_is_up(plan_of: Any) -> None:
    plan = plan_of(Kernel(ETH0))
    peer = "persistent-keepalive 25"
    assert commands(plan) == [
        "ip link add name wg1a2b type wireguard",
        "ip link set dev wg1a2b alias bcm.datacenter.wireguard:home",
        "ip link set dev wg1a2b mtu 1440",
        "wg set wg1a2b private-key /etc/bcm/wireguard/home/key-1",
        "wg set wg1a2b listen-port 51820",
        f"wg set wg1a2b peer {TWO} endpoint 192.0.2.2:51820 allowed-ips 10.77.48.2/32 {peer}",
        f"wg set wg1a2b peer {THREE} endpoint 192.0.2.3:51820 allowed-ips 10.77.48.3/32 {peer}",
        "ip address add 10.77.48.1/20 dev wg1a2b",
        "ip link set dev wg1a2b up",
    ]
    assert plan.said()["changes"] == ["make wg1a2b, WireGuard at port 51820"]
    assert not plan.stands


def test_a_program_makes_its_interface_itself(plan_of: Any) -> None:
    plan = plan_of(Kernel(ETH0), userspace=True)
    assert plan.said()["changes"] == ["make wg1a2b, WireGuard at port 51820"]
    assert not [command for command in commands(plan) if "link add" in command]


def test_peers_come_and_go_without_the_others(plan_of: Any) -> None:
    fourth = {"name": "rack-4", "endpoint": "2001:db8::4", "address": "10.77.48.4", "public_key": OTHER}
    plan = plan_of(Kernel(ETH0, WG), peers=[PEERS[0], fourth])
    assert commands(plan) == [
        "ip link set dev wg1a2b mtu 1420",
        f"wg set wg1a2b peer {THREE} remove",
        f"wg set wg1a2b peer {OTHER} endpoint [2001:db8::4]:51820 allowed-ips 10.77.48.4/32 persistent-keepalive 25",
    ]
    assert plan.said()["changes"][1:] == [
        f"wg1a2b: remove the peer with the key {THREE}",
        "wg1a2b: add peer rack-4, 2001:db8::4",
    ]


def test_another_key_of_a_peer_takes_the_place_of_the_old_one(plan_of: Any) -> None:
    plan = plan_of(Kernel(ETH0, WG), peers=[{**PEERS[0], "public_key": OTHER}, PEERS[1]])
    assert [command.split(" endpoint")[0] for command in commands(plan)] == [
        f"wg set wg1a2b peer {TWO} remove",
        f"wg set wg1a2b peer {OTHER}",
    ]


def test_with_another_key_of_its_own_all_begin_anew(plan_of: Any) -> None:
    """What is told of the last handshake is of the new key, then."""
    done = commands(plan_of(Kernel(ETH0, WG, key=OTHER)))
    assert done[:3] == [
        f"wg set wg1a2b peer {TWO} remove",
        f"wg set wg1a2b peer {THREE} remove",
        "wg set wg1a2b private-key /etc/bcm/wireguard/home/key-1",
    ]
    assert [command.split()[4] for command in done[3:]] == [TWO, THREE]


@pytest.mark.parametrize(
    ("key", "value", "command"),
    [
        ("mtu", 1500, "ip link set dev wg1a2b mtu 1440"),
        ("flags", [], "ip link set dev wg1a2b up"),
        # A run that was killed just after it had made it.
        ("ifalias", "", "ip link set dev wg1a2b alias bcm.datacenter.wireguard:home"),
    ],
)
def test_what_drifted_is_put_right(plan_of: Any, key: str, value: object, command: str) -> None:
    known = {} if key == "ifalias" else KNOWN
    done = commands(plan_of(Kernel(ETH0, {**WG, key: value}, known=known)))
    assert done[0] == command


@pytest.mark.parametrize(
    ("column", "value"),
    [(0, "192.0.2.9:51820"), (1, "0.0.0.0/0"), (1, "10.77.48.2/32 10.9.0.0/16"), (2, "off")],
)
def test_a_peer_has_what_it_should_have_and_nothing_else(plan_of: Any, column: int, value: str) -> None:
    known = copy.deepcopy(KNOWN)
    # It was not heard of for long: where it is, is not where it should be.
    known[TWO][column], known[TWO][3] = value, 1000
    (done,) = commands(plan_of(Kernel(ETH0, WG, known=known)))
    assert done.startswith(f"wg set wg1a2b peer {TWO} endpoint 192.0.2.2:51820 allowed-ips 10.77.48.2/32 ")


def test_a_peer_that_works_from_another_of_its_addresses_is_left(plan_of: Any) -> None:
    known = copy.deepcopy(KNOWN)
    known[TWO][0] = "192.0.2.9:51820"
    assert commands(plan_of(Kernel(ETH0, WG, known=known))) == []
    # Not so where it was declared to be elsewhere since, and not when the machine starts.
    moved = {**CONFIG, "peers": [{**PEERS[0], "endpoint": "192.0.2.9"}, PEERS[1]]}
    assert len(commands(plan_of(Kernel(ETH0, WG, known=known), before=moved))) == 1
    assert len(commands(plan_of(Kernel(ETH0, WG, known=known), look=False, mtu=1440))) == 1


def test_addresses_are_the_declared_one(plan_of: Any) -> None:
    kernel = Kernel(ETH0, WG)
    kernel.addresses["wg1a2b"] = ["10.77.48.9/20"]
    assert commands(plan_of(kernel)) == [
        "ip address del 10.77.48.9/20 dev wg1a2b",
        "ip address add 10.77.48.1/20 dev wg1a2b",
    ]


def test_the_kernels_and_a_programs_take_turns(plan_of: Any) -> None:
    to_kernel = plan_of(Kernel(ETH0, TUN))
    assert commands(to_kernel)[:2] == ["ip link del dev wg1a2b", "ip link add name wg1a2b type wireguard"]
    to_program = plan_of(Kernel(ETH0, WG), userspace=True)
    assert to_kernel.anew
    assert to_program.anew
    assert to_program.said()["changes"] == ["make wg1a2b anew, by wireguard-go"]


def test_what_had_another_name_goes(plan_of: Any) -> None:
    old = {**WG, "ifname": "wgold"}
    assert commands(plan_of(Kernel(ETH0, old)))[:2] == [
        "ip link del dev wgold",
        "ip link add name wg1a2b type wireguard",
    ]
    plan = plan_of(Kernel(ETH0, {**old, **TUN, "ifname": "wgold"}), userspace=True)
    assert plan.anew


def test_only_ones_own_is_removed(plan_of: Any) -> None:
    theirs = {**WG, "ifname": "wg9999", "ifalias": "bcm.datacenter.wireguard:home2"}
    plan = plan_of(Kernel(ETH0, WG, theirs, {**WG, "ifname": "wg0", "ifalias": ""}), peers=[], address="")
    assert commands(plan) == ["ip link del dev wg1a2b"]
    assert plan_of(Kernel(ETH0), peers=[], address="").said()["changes"] == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"underlay_mtu": 1501}, ["wireguard_underlay_mtu is 1501, and eth0 takes 1500 at most"]),
        (
            {"mtu": 1441},
            [
                "wireguard_mtu is 1441, and eth0 carries packets of 1500 bytes, of which WireGuard takes 60; allowed is at most 1440"
            ],
        ),
        (
            {"peers": [{**PEERS[0], "public_key": ""}, PEERS[1]]},
            ["the public key of rack-2 is not known here; have the role run there in the same play"],
        ),
        (
            {"peers": [{**PEERS[0], "public_key": OWN}]},
            ["rack-2 has the same key as this host; give it one of its own"],
        ),
        (
            {"address": "192.0.2.77/25"},
            ["eth0 has 192.0.2.1/24, and 192.0.2.0/25 is to be WireGuard's; take other addresses for that"],
        ),
    ],
)
def test_what_this_host_cannot_do(plan_of: Any, changed: Object, words: list[str]) -> None:
    plan = plan_of(Kernel(ETH0), **changed)
    assert plan.findings == words
    assert not commands(plan)


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ({}, "there is no way to rack-2, 192.0.2.2, which is a peer"),
        ({"dev": "lo", "type": "local"}, "rack-2, 192.0.2.2, which is a peer, is this host itself"),
        ({"dev": "wg1a2b"}, "rack-2, 192.0.2.2, which is a peer, would be reached through wg1a2b itself"),
    ],
)
def test_ways_that_lead_nowhere(plan_of: Any, way: Object, words: str) -> None:
    kernel = Kernel(ETH0)
    kernel.way = way
    assert plan_of(kernel, peers=PEERS[:1]).findings == [words]


def test_a_kernel_without_wireguard(plan_of: Any) -> None:
    kernel = Kernel(ETH0)
    kernel.refuses = "Error: Unknown device type."
    (words,) = plan_of(kernel).findings
    assert words.startswith("the kernel of this machine makes no WireGuard interface (Error: Unknown device type.)")
    assert "wireguard_userspace: true" in words
    # It is asked only where there is none yet, and where the kernel is to make it.
    kernel.links.append(WG)
    assert plan_of(kernel).findings == []
    assert plan_of(Kernel(ETH0), userspace=True).findings == []


def test_programs_that_are_missing(program: ModuleType, plan_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program.Host, "has", lambda _self, _program: False)
    monkeypatch.setattr(program.Host, "public_key", lambda _self, _file: "")
    assert plan_of(Kernel(ETH0), rehearsal=True).missing == ["wg"]
    plan = plan_of(Kernel(ETH0), rehearsal=True, userspace=True)
    assert plan.missing == ["wg", "wireguard-go"]
    assert plan.said()["changes"] == ["make a private key", "make wg1a2b, WireGuard at port 51820"]
    assert "rehearsal" not in plan.said()["config"]


def test_a_program_that_may_make_no_interface(
    program: ModuleType, plan_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program.Host, "tunnels_refused", lambda _self: "No such file or directory")
    assert plan_of(Kernel(ETH0), userspace=True).findings == [
        "no program may make an interface here: /dev/net/tun: No such file or directory"
    ]


def test_a_rehearsal_knows_no_keys_yet(plan_of: Any) -> None:
    plan = plan_of(Kernel(ETH0, WG), peers=[{**PEERS[0], "public_key": ""}, PEERS[1]], rehearsal=True)
    assert plan.findings == []
    assert "wg1a2b: add peer rack-2" in plan.said()["changes"]


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ({**WG, "ifalias": "bcm.datacenter.wireguard:home2"}, "is not site home's (bcm.datacenter.wireguard:home2)"),
        ({**WG, "ifalias": ""}, "is not site home's (wireguard)"),
        ({**ETH0, "ifname": "wg1a2b"}, "is not site home's (a network card)"),
    ],
)
def test_what_is_somebody_elses_is_in_the_way(plan_of: Any, link: Object, words: str) -> None:
    plan = plan_of(Kernel(ETH0, link))
    assert commands(plan) == []
    assert len(plan.findings) == 1
    assert words in plan.findings[0]


def test_a_port_that_is_taken(program: ModuleType, plan_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program.Host, "port_is_taken", lambda _self, _port: True)
    words = "UDP port 51820 is in use on this host; give another one as wireguard_port, the same for all"
    assert plan_of(Kernel(ETH0)).findings == [words]
    # By its own interface it is.
    assert plan_of(Kernel(ETH0, WG)).findings == []
    kernel = Kernel(ETH0, WG)
    kernel.listens = "51821"
    assert plan_of(kernel).findings == [words]


def test_a_network_that_is_reached_already(plan_of: Any) -> None:
    kernel = Kernel(ETH0)
    kernel.routes += [{"dst": "10.77.49.0/24", "dev": "eth0"}, {"dst": "10.0.0.0/8", "dev": "eth0"}]
    assert plan_of(kernel).findings == [
        "10.77.49.0/24 is reached by eth0, and is part of 10.77.48.0/20, which is to be WireGuard's"
    ]


def test_what_is_said_of_it(program: ModuleType, host_of: Any, plan_of: Any) -> None:
    kernel = Kernel(ETH0, WG)
    well = program.status(plan_of(kernel), host_of(kernel))
    assert (well["ready"], well["reason"]) == (True, "")
    assert well["handshakes"].keys() == {"rack-2", "rack-3"}
    assert well["note"].startswith("last handshake: rack-2 1")
    known = copy.deepcopy(KNOWN)
    known[TWO][3], known[THREE][3] = 500, None
    kernel = Kernel(ETH0, WG, known=known)
    said = program.status(plan_of(kernel), host_of(kernel))
    assert not said["ready"]
    assert "no handshake with rack-2 (192.0.2.2:51820) for 50" in said["reason"]
    assert "no handshake with rack-3 (192.0.2.3:51820) yet" in said["reason"]
    gone = program.status(plan_of(Kernel(ETH0)), host_of(Kernel(ETH0)))
    assert "this is still to be done: make wg1a2b" in gone["reason"]


def test_it_waits_for_those_that_are_asked_for(program: ModuleType) -> None:
    ages = {"rack-2": 3, "rack-3": None}
    assert program.late(CONFIG, ages, ["rack-2"]) == []
    assert program.late(CONFIG, ages, ["rack-2", "rack-3"]) == ["no handshake with rack-3 (192.0.2.3:51820) yet"]
    assert program.late(CONFIG, {"rack-2": 181, "rack-3": 180}) == [
        "no handshake with rack-2 (192.0.2.2:51820) for 181 s"
    ]


def test_a_key_is_made_once_and_is_roots_alone(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def call(*argv: str, text: str = "") -> str:
        if argv == ("wg", "genkey"):
            made.append("private")
            return f"private-{len(made)}\n"
        if argv == ("wg", "pubkey"):
            return f"public of {text}"
        return "[]"

    monkeypatch.setattr(program.Host, "has", lambda _self, _program: True)
    config = {**CONFIG, "key": str(tmp_path / "home/key-1")}
    assert program.make_key(config, program.Host(call)) == "public of private-1"
    assert program.make_key(config, program.Host(call)) == "public of private-1"
    file = Path(config["key"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert [one.name for one in file.parent.iterdir()] == ["key-1"]


def test_no_private_part_is_asked_for(program: ModuleType) -> None:
    text = Path(program.__file__ or "").read_text()
    assert '"private-key"' in text
    for word in ('"dump"', "showconf", 'show", name, "private'):
        assert word not in text


def test_peers_have_no_order(program: ModuleType) -> None:
    peers = [PEERS[1], {**PEERS[0], "endpoint": "2001:db8:0::2"}]
    found = program.in_order({"address": "10.77.48.1/20", "peers": peers})
    assert [peer["name"] for peer in found["peers"]] == ["rack-2", "rack-3"]
    assert found["peers"][0]["endpoint"] == "2001:db8::2"
