#!/usr/bin/python3
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VXLAN interfaces of a site on this endpoint: what there is to do, and doing it.

    bcm-vxlan plan JSON     what would be done and what stands in the way, as JSON; touches nothing
    bcm-vxlan status FILE   whether all is as it should be, and how it travels, as JSON; touches nothing.
                            With "encrypted" after it, it should travel by WireGuard
    bcm-vxlan apply FILE    do it; FILE may be the JSON itself

What the kernel has is compared each time; nothing is remembered but the interface's alias, which says whose it is. Peers
are entries of the interface's forwarding table: what nobody is known to have, and what is for all, is sent to each of them.
"""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ALIAS = "bcm.datacenter.vxlan:"
FOR_ALL = "00:00:00:00:00:00"
# Of one call of ip or bridge.
TIMEOUT = 30.0

Object = dict[str, Any]
Ask = Callable[..., Any]


class CallError(Exception):
    """What a program of the kernel's answered instead of doing it."""


def call(*argv: str) -> str:
    # sudo does not always look where bridge is.
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=TIMEOUT, env=env
    )
    if done.returncode:
        raise CallError(f"{' '.join(argv)}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout


def ask(*argv: str) -> Any:
    """What ip or bridge answers in JSON. Without anything to tell, some versions print nothing."""
    return json.loads(call(argv[0], "-j", *argv[1:]) or "[]")


@dataclass
class Step:
    """Something to do, in words and as a command."""

    words: str
    argv: list[str]
    # What goes by itself may be gone already.
    may_fail: bool = False


@dataclass
class Plan:
    """What there is to do on this host, and what it was derived from."""

    config: Object
    removals: list[Step] = field(default_factory=list)
    others: list[Step] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    underlay: Object = field(default_factory=dict)

    @property
    def steps(self) -> list[Step]:
        """What goes makes room first: a number is that of one interface at a time."""
        return self.removals + self.others

    def step(self, words: str, *argv: str) -> None:
        self.others.append(Step(words, list(argv)))

    def remove(self, words: str, name: str) -> None:
        self.removals.append(Step(words, ["ip", "link", "del", "dev", name]))

    def said(self) -> Object:
        return {
            "config": self.config,
            "changes": list(dict.fromkeys(step.words for step in self.steps)),
            "findings": self.findings,
            "strangers": self.strangers,
            "underlay": self.underlay,
        }


class Host:
    """What the kernel tells of interfaces and ways."""

    def __init__(self, ask: Ask = ask, ipv6: bool | None = None) -> None:
        self.ask = ask
        self.links: dict[str, Object] = {link["ifname"]: link for link in ask("ip", "-d", "link", "show") if link}
        # A kernel without IPv6 has no such setting.
        self.ipv6 = Path("/proc/net/if_inet6").exists() if ipv6 is None else ipv6

    def addresses(self) -> dict[str, str]:
        """The interface of each address."""
        return {
            one["local"]: link["ifname"]
            for link in self.ask("ip", "address", "show")
            for one in link.get("addr_info", [])
            if one.get("local")
        }

    def way(self, peer: str, local: str) -> Object | None:
        """The route on which a peer is reached, or None."""
        try:
            found = self.ask("ip", "route", "get", peer, "from", local)
        except CallError:
            return None
        return found[0] if found else None

    def kind(self, name: str) -> str:
        return str(self.links.get(name, {}).get("linkinfo", {}).get("info_kind", ""))

    def is_wireguard(self, name: str) -> bool:
        """Whether it is the kernel's, or that of a program, which is known by its socket."""
        return self.kind(name) == "wireguard" or Path(f"/run/wireguard/{name}.sock").is_socket()

    def table(self, name: str) -> Iterator[tuple[str, str]]:
        """Who is behind which peer: hardware address and peer."""
        for entry in self.ask("bridge", "fdb", "show", "dev", name):
            if entry.get("dst"):
                yield entry["mac"], str(ipaddress.ip_address(entry["dst"]))


def in_order(config: Object) -> Object:
    """Addresses as the kernel writes them. Peers have no order: the same ones are the same, however they were listed."""
    peers = sorted(map(ipaddress.ip_address, config["peers"]))
    return {"local": str(ipaddress.ip_address(config["local"])), "peers": [str(peer) for peer in peers]}


def look_at_underlay(plan: Plan, host: Host) -> None:
    """On which interfaces the peers are reached, how large their packets may be, and whether these are encrypted."""
    config = plan.config
    local = config["local"]
    own = host.addresses()
    if local not in own:
        plan.findings.append(f"vxlan_local is {local}, which this host does not have; it has {', '.join(sorted(own))}")
        return
    ways = {own[local]}
    for peer in config["peers"]:
        way = host.way(peer, local)
        if peer in own or (way or {}).get("type") == "local":
            plan.findings.append(f"vxlan_peers has {peer}, which is an address of this host as well")
        elif way is None or not way.get("dev"):
            plan.findings.append(f"vxlan_peers has {peer}, and there is no way to it from {local}")
        else:
            ways.add(way["dev"])
    # An address of its own may lie on an interface that nothing goes out of.
    if len(ways) > 1 and host.links.get(own[local], {}).get("link_type") == "loopback":
        ways.discard(own[local])
    interfaces = sorted(ways)
    least = min(int(host.links[name]["mtu"]) for name in interfaces)
    asked = config.get("underlay_mtu") or 0
    if asked > least:
        plan.findings.append(f"vxlan_underlay_mtu is {asked}, and {' or '.join(interfaces)} takes {least} at most")
    plan.underlay = {
        "interfaces": interfaces,
        "mtu": min(asked, least) if asked else least,
        # What WireGuard carries is encrypted. What else may be so (IPsec, a switch's MACsec) cannot be seen from here.
        "encrypted": all(host.is_wireguard(name) for name in interfaces),
    }


def settle_mtus(plan: Plan) -> None:
    """A network that names no size gets what fits into the underlay."""
    for network in plan.config["networks"]:
        network["mtu"] = network.get("mtu") or plan.underlay["mtu"] - plan.config["overhead"]


def alias_of(config: Object) -> str:
    return ALIAS + str(config["site"])


def is_ours(link: Object, config: Object, number: int | None) -> bool:
    """An interface with our alias, or one to which an interrupted run had not given it yet."""
    alias = link.get("ifalias", "")
    data = link.get("linkinfo", {}).get("info_data", {})
    return bool(alias == alias_of(config) or (not alias and number is not None and data.get("id") == number))


def is_same(link: Object, config: Object, network: Object) -> bool:
    """Whether what cannot be changed on an interface is as it should be."""
    data = link["linkinfo"].get("info_data", {})
    local = data.get("local") or data.get("local6")
    return bool(
        data.get("id") == network["vni"]
        and data.get("port") == config["port"]
        and local
        and ipaddress.ip_address(local) == ipaddress.ip_address(config["local"])
        and data.get("learning", True)
    )


def in_the_way(config: Object, host: Host, network: Object) -> list[str]:
    """What is on this host already and is not ours."""
    name, number, bridge = network["interface"], network["vni"], network.get("bridge") or ""
    found = []
    link = host.links.get(name)
    if link is not None and (host.kind(name) != "vxlan" or not is_ours(link, config, number)):
        what = link.get("ifalias") or host.kind(name) or "a network card"
        found.append(f"{name} is there and is not site {config['site']}'s ({what}); give another name as interface")
    for other, theirs in host.links.items():
        data = theirs.get("linkinfo", {}).get("info_data", {})
        taken = host.kind(other) == "vxlan" and (data.get("id"), data.get("port")) == (number, config["port"])
        if taken and other != name and not is_ours(theirs, config, None):
            found.append(f"vni {number} of {name} is that of {other}, which is on this host already")
    if bridge in host.links and host.kind(bridge) != "bridge":
        found.append(f"{bridge}, which {name} is to be attached to, is no bridge of the kernel's")
    return found


def plan_network(plan: Plan, host: Host, network: Object) -> None:
    config, name = plan.config, network["interface"]
    number, mtu, bridge = network["vni"], str(network["mtu"]), network.get("bridge") or ""
    if obstacles := in_the_way(config, host, network):
        plan.findings += obstacles
        return
    link = host.links.get(name)
    if link is not None and not is_same(link, config, network):
        words = f"make {name} anew, for its number, port or address changes"
        plan.remove(words, name)
        link = None
    elif link is None:
        words = f"make {name}, VXLAN {number}"
    if link is None:
        of_kind = f"type vxlan id {number} local {config['local']} dstport {config['port']} learning"
        plan.step(words, "ip", "link", "add", "name", name, "mtu", mtu, *of_kind.split())
        plan.step(words, "ip", "link", "set", "dev", name, "alias", alias_of(config))
        found: Object = {"mtu": int(mtu), "ifalias": alias_of(config), "inet6_addr_gen_mode": "unset"}
        table: list[tuple[str, str]] = []
    else:
        words, found, table = "", link, list(host.table(name))
    if found.get("ifalias") != alias_of(config):
        plan.step(f"mark {name} as ours", "ip", "link", "set", "dev", name, "alias", alias_of(config))
    if str(found["mtu"]) != mtu:
        plan.step(f"{name}: packets of {mtu} bytes", "ip", "link", "set", "dev", name, "mtu", mtu)
    # The host has no leg in the network, not even an address that it gives itself.
    if host.ipv6 and found.get("inet6_addr_gen_mode", "none") != "none":
        plan.step(words or f"{name}: no address of its own", "ip", "link", "set", "dev", name, "addrgenmode", "none")
    plan_peers(plan, name, table, words)
    if bridge in host.links and found.get("master") != bridge:
        plan.step(words or f"attach {name} to {bridge}", "ip", "link", "set", "dev", name, "master", bridge)
    if "UP" not in found.get("flags", []):
        plan.step(words or f"set {name} up", "ip", "link", "set", "dev", name, "up")


def plan_peers(plan: Plan, name: str, table: list[tuple[str, str]], words: str) -> None:
    """Only entries come and go: what runs between the other peers does not notice."""
    wanted = plan.config["peers"]
    there = [peer for mac, peer in table if mac == FOR_ALL]
    gone = [peer for peer in there if peer not in wanted]
    for peer in wanted:
        if peer not in there:
            plan.step(words or f"{name}: add peer {peer}", "bridge", "fdb", "append", FOR_ALL, "dev", name, "dst", peer)
    for mac, peer in table:
        # With a peer goes what was learned from it.
        if peer in gone:
            argv = ["bridge", "fdb", "del", mac, "dev", name, "dst", peer]
            plan.others.append(Step(f"{name}: remove peer {peer}", argv, may_fail=mac != FOR_ALL))
        elif peer not in wanted:
            plan.strangers.append(f"{mac} behind {peer}, on {name}")


def make_plan(config: Object, host: Host, look: bool = True) -> Plan:
    """Without a look at the underlay, which may not be up when the machine starts, sizes are those that were written down."""
    plan = Plan(config)
    wanted = {network["interface"] for network in config["networks"]}
    for name, link in host.links.items():
        if host.kind(name) == "vxlan" and name not in wanted and link.get("ifalias") == alias_of(config):
            plan.remove(f"remove {name}", name)
    if not wanted:
        return plan
    if look:
        look_at_underlay(plan, host)
        if not plan.underlay:
            return plan
        settle_mtus(plan)
    for network in config["networks"]:
        plan_network(plan, host, network)
    return plan


def apply(plan: Plan, call: Callable[..., str] = call) -> None:
    """Each step is whole by itself: what is interrupted between two is finished by the next run, or the next start."""
    for step in plan.steps:
        try:
            call(*step.argv)
        except CallError:
            if not step.may_fail:
                raise


def status(plan: Plan, encrypted: bool = False) -> Object:
    """Whether all is as it should be, and how what goes between the endpoints travels: in words, for people."""
    strangers = [f"somebody who is no peer sends into them: {who}" for who in plan.strangers]
    missing = [f"this is still to be done: {step.words}" for step in plan.steps]
    ways = ", ".join(plan.underlay.get("interfaces", []))
    clear = f"in clear: not encrypted on {ways} as far as this machine can tell"
    if encrypted and not plan.underlay.get("encrypted"):
        missing.append(f"they should be encrypted by WireGuard and travel {clear}")
    wrong = list(dict.fromkeys(plan.findings + missing + strangers))
    note = f"encrypted by WireGuard, {ways}" if plan.underlay.get("encrypted") else clear
    return {"ready": not wrong, "reason": "; ".join(wrong), "note": note}


def main(argv: list[str]) -> int:
    encrypted = argv[2:] == ["encrypted"] and argv[0] == "status"
    if len(argv) != 2 + encrypted or argv[0] not in ("plan", "apply", "status"):
        print(__doc__, file=sys.stderr)
        return 2
    text = argv[1] if argv[1].startswith("{") else Path(argv[1]).read_text(encoding="utf-8")
    config = json.loads(text)
    if config["networks"]:
        config.update(in_order(config))
    try:
        plan = make_plan(config, Host(), look=argv[0] != "apply")
        if argv[0] == "apply":
            # At the start of the machine: what is wrong with one network keeps no other from being joined.
            apply(plan)
            if plan.findings:
                raise CallError("; ".join(plan.findings))
    except CallError as exc:
        print(exc, file=sys.stderr)
        return 1
    print(json.dumps(status(plan, encrypted) if argv[0] == "status" else plan.said()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
