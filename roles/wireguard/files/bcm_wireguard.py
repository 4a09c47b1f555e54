#!/usr/bin/python3
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The WireGuard interface of a site on this endpoint: what there is to do, and doing it.

    bcm-wireguard plan JSON                 what would be done and what stands in the way, as JSON; touches nothing
    bcm-wireguard key JSON                  make the private key if there is none, and print the public one
    bcm-wireguard apply FILE                do it; FILE may be the JSON itself
    bcm-wireguard clear FILE                remove the kernel's interface, where a program is to make it
    bcm-wireguard wait FILE SECONDS NAME... wait for a handshake with each of these peers
    bcm-wireguard status FILE               whether all is as it should be, as JSON; touches nothing

What the kernel has is compared each time; nothing is remembered but the interface's alias, which says whose it is. Private
keys are made here and stay here: wg is told the path of the file, and of what it shows no private part is asked for.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ALIAS = "bcm.datacenter.wireguard:"
# Of one call of a program.
TIMEOUT = 30.0
# How long wireguard-go may take to make its interface.
PATIENCE = 10.0
# Keys of a session are not used any longer than that (WireGuard's paper, section 6.1, Reject-After-Time).
STALE = 180
# IP, UDP, and what WireGuard lays around a packet itself.
OVERHEAD = {4: 20 + 8 + 32, 6: 40 + 8 + 32}
PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"

Object = dict[str, Any]


class CallError(Exception):
    """What a program answered instead of doing it."""


def call(*argv: str, text: str = "") -> str:
    # sudo does not always look where ip is.
    env = {**os.environ, "PATH": PATH, "LC_ALL": "C"}
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=TIMEOUT, env=env)
    except FileNotFoundError:
        raise CallError(f"there is no program {argv[0]}") from None
    if done.returncode:
        raise CallError(f"{' '.join(argv)}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout


@dataclass
class Step:
    """Something to do, in words, and as a command if there is one for it."""

    words: str
    argv: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """What there is to do on this host, and what it was derived from."""

    config: Object
    steps: list[Step] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    underlay: Object = field(default_factory=dict)
    # What is there is of another kind: a program's, or the kernel's.
    anew: bool = False
    # The interface is there with its address, so that others may build on it.
    stands: bool = False

    def step(self, words: str, *argv: str) -> None:
        self.steps.append(Step(words, list(argv)))

    def said(self) -> Object:
        return {
            "config": {name: value for name, value in self.config.items() if name != "rehearsal"},
            "changes": list(dict.fromkeys(step.words for step in self.steps)),
            "findings": self.findings,
            "missing": self.missing,
            "underlay": self.underlay,
            "anew": self.anew,
            "stands": self.stands,
        }


@dataclass
class Peer:
    """What the interface knows of somebody."""

    endpoint: str = ""
    allowed: list[str] = field(default_factory=list)
    keepalive: str = "off"
    handshake: int = 0


@dataclass
class Device:
    """An interface as wg shows it, without its private part."""

    public_key: str = ""
    port: str = ""
    peers: dict[str, Peer] = field(default_factory=dict)


class Host:
    """What this machine tells of interfaces, ways, and what it is able to."""

    def __init__(self, call: Callable[..., str] = call) -> None:
        self.call = call
        self.links: dict[str, Object] = {link["ifname"]: link for link in self.ask("-d", "link", "show") if link}

    def ask(self, *argv: str) -> Any:
        """What ip answers in JSON. Without anything to tell, some versions print nothing."""
        return json.loads(self.call("ip", "-j", *argv) or "[]")

    def has(self, program: str) -> bool:
        return shutil.which(program, path=PATH) is not None

    def kind(self, name: str) -> str:
        return str(self.links.get(name, {}).get("linkinfo", {}).get("info_kind", ""))

    def is_programs(self, name: str) -> bool:
        """Whether wireguard-go is behind it, which is known by its socket."""
        return Path(f"/run/wireguard/{name}.sock").is_socket()

    def kernel_refuses(self) -> str:
        """Why the kernel makes no such interface. It is tried in a network namespace that ends with the try."""
        try:
            self.call("unshare", "--net", "ip", "link", "add", "name", "bcmprobe", "type", "wireguard")
        except CallError as error:
            return str(error).rpartition("wireguard: ")[2].splitlines()[0]
        return ""

    def tunnels_refused(self) -> str:
        """Why no program may make an interface."""
        try:
            os.close(os.open("/dev/net/tun", os.O_RDWR))
        except OSError as error:
            return str(error.strerror)
        return ""

    def way(self, peer: str) -> Object | None:
        """The route on which a peer is reached, or None."""
        try:
            found = self.ask("route", "get", peer)
        except CallError:
            return None
        return found[0] if found else None

    def addresses(self) -> Iterator[tuple[str, Any]]:
        """The interface of each address, and this with its network."""
        for link in self.ask("address", "show"):
            for one in link.get("addr_info", []):
                if one.get("local") and one.get("scope") != "link":
                    yield link["ifname"], ipaddress.ip_interface(f"{one['local']}/{one.get('prefixlen', 32)}")

    def routes(self, version: int) -> Iterator[tuple[str, Any]]:
        """The interface of each route, and where it leads, but for what leads everywhere."""
        for route in self.ask(f"-{version}", "route", "show"):
            if route.get("dev") and route.get("dst") != "default":
                yield route["dev"], ipaddress.ip_network(route["dst"], strict=False)

    def port_is_taken(self, port: int) -> bool:
        for table in ("/proc/net/udp", "/proc/net/udp6"):
            if Path(table).exists():
                lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
                if any(line.split()[1].rpartition(":")[2] == f"{port:04X}" for line in lines):
                    return True
        return False

    def public_key(self, file: str) -> str:
        """What belongs to the private key in a file, or nothing."""
        if not Path(file).exists() or not self.has("wg"):
            return ""
        return self.call("wg", "pubkey", text=Path(file).read_text(encoding="ascii")).strip()

    def device(self, name: str) -> Device:
        device = Device(self._shown(name, "public-key"), self._shown(name, "listen-port"))
        for key, endpoint in self._by_peer(name, "endpoints"):
            device.peers[key] = Peer(endpoint=endpoint)
        for key, allowed in self._by_peer(name, "allowed-ips"):
            device.peers.setdefault(key, Peer()).allowed = allowed.split()
        for key, keepalive in self._by_peer(name, "persistent-keepalive"):
            device.peers.setdefault(key, Peer()).keepalive = keepalive
        for key, when in self._by_peer(name, "latest-handshakes"):
            device.peers.setdefault(key, Peer()).handshake = int(when)
        return device

    def _shown(self, name: str, what: str) -> str:
        said = self.call("wg", "show", name, what).strip()
        return "" if said == "(none)" else said

    def _by_peer(self, name: str, what: str) -> Iterator[tuple[str, str]]:
        for line in self.call("wg", "show", name, what).splitlines():
            key, _tab, value = line.partition("\t")
            yield key, value


def address_and_port(peer: Object, port: int) -> str:
    """Where a peer is reached, as wg writes it. All have the same port."""
    address = ipaddress.ip_address(peer["endpoint"])
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def host_route(address: str) -> str:
    found = ipaddress.ip_address(address)
    return f"{found}/{found.max_prefixlen}"


def in_order(config: Object) -> Object:
    """Peers have no order: the same ones are the same, however they were listed."""
    peers = [
        {
            **peer,
            "endpoint": str(ipaddress.ip_address(peer["endpoint"])),
            "address": str(ipaddress.ip_address(peer["address"])),
        }
        for peer in config["peers"]
    ]
    address = str(ipaddress.ip_interface(config["address"])) if config["address"] else ""
    return {"address": address, "peers": sorted(peers, key=lambda peer: str(peer["name"]))}


def alias_of(config: Object) -> str:
    return ALIAS + str(config["site"])


def is_ours(host: Host, config: Object, name: str) -> bool:
    """An interface with our alias, or one to which an interrupted run had not given it yet."""
    alias = host.links[name].get("ifalias", "")
    if alias:
        return bool(alias == alias_of(config))
    if host.kind(name) != "wireguard" and not host.is_programs(name):
        return False
    return host.has("wg") and not host.device(name).peers


def look_at_ability(plan: Plan, host: Host) -> None:
    """Whether this machine makes such interfaces at all."""
    config = plan.config
    programs = ["wg", "wireguard-go"] if config["userspace"] else ["wg"]
    plan.missing = [program for program in programs if not host.has(program)]
    if config["userspace"]:
        if reason := host.tunnels_refused():
            plan.findings.append(f"no program may make an interface here: /dev/net/tun: {reason}")
    elif host.kind(config["interface"]) != "wireguard" and (reason := host.kernel_refuses()):
        plan.findings.append(
            f"the kernel of this machine makes no WireGuard interface ({reason}). Give it one that does, or have it "
            "done by a program, which is slower: wireguard_userspace: true"
        )


def look_at_underlay(plan: Plan, host: Host) -> None:
    """On which interfaces the peers are reached, and how large packets may be."""
    config = plan.config
    name = config["interface"]
    ways = set()
    versions = {4}
    for peer in config["peers"]:
        where = f"{peer['name']}, {peer['endpoint']},"
        versions.add(ipaddress.ip_address(peer["endpoint"]).version)
        way = host.way(peer["endpoint"])
        if way is None or not way.get("dev"):
            plan.findings.append(f"there is no way to {where} which is a peer")
        elif way.get("type") == "local" or way["dev"] == "lo":
            plan.findings.append(f"{where} which is a peer, is this host itself")
        elif way["dev"] == name:
            plan.findings.append(f"{where} which is a peer, would be reached through {name} itself")
        else:
            ways.add(way["dev"])
    if plan.findings:
        return
    interfaces = sorted(ways)
    least = min(int(host.links[way]["mtu"]) for way in interfaces)
    asked = config.get("underlay_mtu") or 0
    if asked > least:
        plan.findings.append(f"wireguard_underlay_mtu is {asked}, and {' or '.join(interfaces)} takes {least} at most")
    underlay = min(asked, least) if asked else least
    taken = OVERHEAD[max(versions)]
    fits = underlay - taken
    if config["mtu"] > fits:
        plan.findings.append(
            f"wireguard_mtu is {config['mtu']}, and {' or '.join(interfaces)} carries packets of {underlay} bytes, of which "
            f"WireGuard takes {taken}; allowed is at most {fits}"
        )
    config["mtu"] = config["mtu"] or fits
    plan.underlay = {"interfaces": interfaces, "mtu": underlay, "overhead": taken}


def look_at_room(plan: Plan, host: Host) -> None:
    """Whether somebody else has the name, the port or the addresses."""
    config = plan.config
    name = config["interface"]
    own = ipaddress.ip_interface(config["address"])
    mine = [link for link, known in host.links.items() if known.get("ifalias") == alias_of(config)]
    if name in host.links and name not in mine and is_ours(host, config, name):
        mine.append(name)
    if name in host.links and name not in mine:
        what = host.links[name].get("ifalias") or host.kind(name) or "a network card"
        plan.findings.append(
            f"{name} is there and is not site {config['site']}'s ({what}); give another name as wireguard_interface"
        )
    listens = host.has("wg") and any(host.device(link).port == str(config["port"]) for link in mine)
    if not listens and host.port_is_taken(config["port"]):
        plan.findings.append(
            f"UDP port {config['port']} is in use on this host; give another one as wireguard_port, the same for all"
        )
    named = set()
    for interface, address in host.addresses():
        if interface not in (name, *mine) and address.version == own.version and address.network.overlaps(own.network):
            named.add(interface)
            plan.findings.append(
                f"{interface} has {address}, and {own.network} is to be WireGuard's; take other addresses for that"
            )
    for interface, network in host.routes(own.version):
        if interface not in (name, *mine, *named) and network.subnet_of(own.network):
            plan.findings.append(
                f"{network} is reached by {interface}, and is part of {own.network}, which is to be WireGuard's"
            )


def look_at_keys(plan: Plan, host: Host) -> None:
    """Whether all keys are known. In a rehearsal they may be of those that would have been made a moment ago."""
    config = plan.config
    config["public_key"] = host.public_key(config["key"])
    if not config["public_key"]:
        plan.step("make a private key")
    unknown = [peer["name"] for peer in config["peers"] if not peer["public_key"]]
    if config.get("rehearsal"):
        return
    if unknown:
        plan.findings.append(
            f"the public key of {' and '.join(unknown)} is not known here; have the role run there in the same play"
        )
    for peer in config["peers"]:
        if peer["public_key"] and peer["public_key"] == config["public_key"]:
            plan.findings.append(f"{peer['name']} has the same key as this host; give it one of its own")


def plan_interface(plan: Plan, host: Host, *, settled: bool) -> None:
    config, name = plan.config, plan.config["interface"]
    # A program that has made one of another name ends with its unit.
    plan.anew = plan_removal(plan, host, but=name) and config["userspace"]
    link = host.links.get(name)
    words = ""
    device = Device()
    if link is not None and (host.kind(name) == "wireguard") == config["userspace"]:
        words = f"make {name} anew, by {'wireguard-go' if config['userspace'] else 'the kernel'}"
        plan.anew = True
        plan.step(words, "ip", "link", "del", "dev", name)
        link = None
    if link is None:
        words = words or f"make {name}, WireGuard at port {config['port']}"
        # A program makes its interface itself.
        argv = [] if config["userspace"] else ["ip", "link", "add", "name", name, "type", "wireguard"]
        plan.step(words, *argv)
        link = {}
    elif host.has("wg"):
        device = host.device(name)
    if link.get("ifalias") != alias_of(config):
        plan.step(words or f"mark {name} as ours", "ip", "link", "set", "dev", name, "alias", alias_of(config))
    if link.get("mtu") != config["mtu"]:
        sizes = f"{name}: packets of {config['mtu']} bytes"
        plan.step(words or sizes, "ip", "link", "set", "dev", name, "mtu", str(config["mtu"]))
    if not config["public_key"] or device.public_key != config["public_key"]:
        said = words or f"{name}: use another key"
        # Sessions end with the old key. Peers that are made anew begin at once, and say when they have.
        for key in device.peers:
            plan.step(said, "wg", "set", name, "peer", key, "remove")
        device.peers = {}
        plan.step(said, "wg", "set", name, "private-key", config["key"])
    if device.port != str(config["port"]):
        plan.step(words or f"{name}: port {config['port']}", "wg", "set", name, "listen-port", str(config["port"]))
    plan_peers(plan, device, words, settled=settled)
    if "UP" not in link.get("flags", []):
        plan.step(words or f"set {name} up", "ip", "link", "set", "dev", name, "up")
    # Last: with its address and not up, what is for the mesh would go where everything goes, in clear.
    plan_address(plan, host, words)


def plan_peers(plan: Plan, device: Device, words: str, *, settled: bool) -> None:
    """Who is gone goes first: an address is that of one peer at a time."""
    config, name = plan.config, plan.config["interface"]
    wanted = {peer["public_key"]: peer for peer in config["peers"]}
    for key in device.peers:
        if key not in wanted:
            plan.step(f"{name}: remove the peer with the key {key}", "wg", "set", name, "peer", key, "remove")
    for peer in config["peers"]:
        if plan.config.get("rehearsal") and not peer["public_key"]:
            plan.step(words or f"{name}: add peer {peer['name']}")
            continue
        known = device.peers.get(peer["public_key"])
        if known is None:
            said = f"{name}: add peer {peer['name']}, {peer['endpoint']}"
        elif is_same(known, peer, config, settled=settled):
            continue
        else:
            said = f"{name}: peer {peer['name']} is at {peer['endpoint']} and has {peer['address']}"
        where = ("endpoint", address_and_port(peer, config["port"]), "allowed-ips", host_route(peer["address"]))
        keepalive = ("persistent-keepalive", str(config["keepalive"] or "off"))
        plan.step(words or said, "wg", "set", name, "peer", peer["public_key"], *where, *keepalive)


def is_same(known: Peer, peer: Object, config: Object, *, settled: bool) -> bool:
    """Whether a peer is known as it should be.

    WireGuard answers where a packet with the right key came from. Where that is another of the peer's addresses, it stays so
    as long as it works, unless the peer was declared to be elsewhere since.
    """
    moved = known.endpoint != address_and_port(peer, config["port"])
    if moved and settled and time.time() - known.handshake < STALE:
        moved = False
    keepalive = str(config["keepalive"] or "off")
    return not moved and known.allowed == [host_route(peer["address"])] and known.keepalive == keepalive


def plan_address(plan: Plan, host: Host, words: str) -> None:
    config, name = plan.config, plan.config["interface"]
    own = ipaddress.ip_interface(config["address"])
    there = [address for interface, address in host.addresses() if interface == name]
    for address in there:
        if address != own:
            plan.step(f"{name}: remove the address {address}", "ip", "address", "del", str(address), "dev", name)
    plan.stands = own in there
    if not plan.stands:
        plan.step(words or f"{name}: address {own}", "ip", "address", "add", str(own), "dev", name)


def plan_removal(plan: Plan, host: Host, but: str = "") -> bool:
    """Remove what is ours. Returns whether there is any."""
    ours = [name for name, link in host.links.items() if link.get("ifalias") == alias_of(plan.config) and name != but]
    for name in ours:
        plan.step(f"remove {name}", "ip", "link", "del", "dev", name)
    return bool(ours)


def make_plan(config: Object, host: Host, before: Object | None = None, *, look: bool = True) -> Plan:
    """Without a look at the machine, whose network may not be up when it starts, all is as it was written down.

    BEFORE is what was written down so far.
    """
    plan = Plan(config)
    if not config["peers"]:
        plan_removal(plan, host)
        return plan
    if look:
        look_at_ability(plan, host)
        look_at_underlay(plan, host)
        look_at_room(plan, host)
    look_at_keys(plan, host)
    if plan.findings:
        return plan
    # Without a look it is put in force as it stands there, and so it is where a peer is declared to be elsewhere now.
    places = {peer["name"]: peer["endpoint"] for peer in config["peers"]}
    settled = look and {peer["name"]: peer["endpoint"] for peer in (before or {}).get("peers", [])} == places
    plan_interface(plan, host, settled=settled)
    return plan


def apply(plan: Plan, call: Callable[..., str] = call) -> None:
    """Each step is whole by itself: what is interrupted between two is finished by the next run, or the next start."""
    for step in plan.steps:
        if step.argv:
            call(*step.argv)


def handshakes(config: Object, host: Host) -> dict[str, int | None]:
    """Seconds since the last handshake with each peer, or None."""
    known = host.device(config["interface"]).peers if config["interface"] in host.links else {}
    ages: dict[str, int | None] = {}
    for peer in config["peers"]:
        when = known.get(peer["public_key"], Peer()).handshake
        ages[peer["name"]] = max(int(time.time()) - when, 0) if when else None
    return ages


def late(config: Object, ages: dict[str, int | None], names: Sequence[str] | None = None) -> list[str]:
    """With whom there was no handshake of late, in words."""
    found = []
    for peer in config["peers"]:
        name, age = peer["name"], ages[peer["name"]]
        if (names is None or name in names) and (age is None or age > STALE):
            since = "yet" if age is None else f"for {age} s"
            found.append(f"no handshake with {name} ({address_and_port(peer, config['port'])}) {since}")
    return found


def status(plan: Plan, host: Host) -> Object:
    """Whether all is as it should be, and when each peer was heard of last: in words, for people."""
    missing = [f"this is still to be done: {step.words}" for step in plan.steps]
    ages = handshakes(plan.config, host)
    wrong = list(dict.fromkeys(plan.findings + missing + late(plan.config, ages)))
    note = ", ".join(f"{name} {age} s ago" for name, age in ages.items())
    return {"ready": not wrong, "reason": "; ".join(wrong), "note": f"last handshake: {note}", "handshakes": ages}


def make_key(config: Object, host: Host) -> str:
    """Return the public key. The file is whole, or not there."""
    file = Path(config["key"])
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        begun = file.with_name(f"{file.name}.new")
        begun.unlink(missing_ok=True)
        with os.fdopen(os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(host.call("wg", "genkey"))
            out.flush()
            os.fsync(out.fileno())
        begun.rename(file)
    return host.public_key(str(file))


def await_interface(config: Object) -> Host:
    """The host, once wireguard-go has made its interface."""
    deadline = time.monotonic() + PATIENCE
    while True:
        host = Host()
        if config["interface"] in host.links and host.is_programs(config["interface"]):
            return host
        if time.monotonic() > deadline:
            raise CallError(f"wireguard-go has not made {config['interface']} within {PATIENCE:.0f} s")
        time.sleep(0.1)


def wait(config: Object, seconds: float, names: Sequence[str]) -> None:
    deadline = time.monotonic() + seconds
    while True:
        host = Host()
        missing = late(config, handshakes(config, host), names)
        if not missing:
            return
        if time.monotonic() > deadline:
            raise CallError(
                f"{'; '.join(missing)}, after {seconds:g} s of waiting. Whatever is between the two may keep UDP from this port, "
                "the other one may know another key of this host, or its clock may be behind what it was before"
            )
        time.sleep(0.5)


def clear(config: Object, host: Host) -> None:
    name = config["interface"]
    if host.kind(name) == "wireguard" and host.links[name].get("ifalias") == alias_of(config):
        host.call("ip", "link", "del", "dev", name)


def read(text: str) -> Object:
    config: Object = json.loads(text if text.startswith("{") else Path(text).read_text(encoding="utf-8"))
    if config["peers"]:
        config.update(in_order(config))
    return config


def written(config: Object) -> Object | None:
    """What was written down so far, beside the key."""
    file = Path(config["key"]).with_name("config.json")
    try:
        found: Object = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def run(command: str, config: Object, rest: Sequence[str]) -> Object | None:
    if command == "wait":
        wait(config, float(rest[0]), rest[1:])
        return None
    if command == "apply":
        host = await_interface(config) if config["peers"] and config["userspace"] else Host()
        plan = make_plan(config, host, look=False)
        if plan.findings:
            raise CallError("; ".join(plan.findings))
        apply(plan)
        return None
    host = Host()
    if command == "clear":
        clear(config, host)
        return None
    if command == "key":
        return {"public_key": make_key(config, host)}
    before = written(config)
    plan = make_plan(config, host, before)
    if command == "status":
        return status(plan, host)
    known = {peer["name"]: peer["public_key"] for peer in (before or {}).get("peers", [])}
    return {**plan.said(), "public_key": plan.config.get("public_key", ""), "known": known}


def main(argv: list[str]) -> int:
    commands = ("plan", "key", "apply", "clear", "wait", "status")
    if len(argv) < 2 or argv[0] not in commands or (argv[0] == "wait") != (len(argv) > 2):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        said = run(argv[0], read(argv[1]), argv[2:])
    except CallError as error:
        print(error, file=sys.stderr)
        return 1
    if said is not None:
        print(json.dumps(said))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
