# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who of a site may reach what, out of its declaration alone, and what is to be tried to see whether it is so.

What was seen on the machines adds things to try (an address that an endpoint has, a port that a proxyhost listens on). It never
changes what is expected of them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

Vars = Mapping[str, Any]

# What is expected: it must be reached, it must not be, or either is right.
YES, NO, MAY = "yes", "no", "may"

# How those who ask stand to the way out, by what the declaration says of their tier.
PROXYHOST = "proxyhost"
OPEN = "open"  # shares a network with the way out, and may use the proxy
CLOSED = "closed"  # shares one, and may have nothing of the world but the site's mirrors
INNER = "inner"  # shares none

# The table. What is tried is of a row; what is expected of it stands in the column of who tries.
TABLE: dict[str, dict[str, str]] = {
    # The world, past the proxy. On the proxyhost only the users of Squid, Tor and the like get there, and that is judged by their packets.
    "the world": {PROXYHOST: NO, OPEN: NO, CLOSED: NO, INNER: NO},
    "the world by IPv6": {PROXYHOST: NO, OPEN: NO, CLOSED: NO, INNER: NO},
    # Names of the world, by whatever name server the asker has: for a container that is Docker's, which asks its host's.
    "names": {PROXYHOST: MAY, OPEN: NO, CLOSED: NO, INNER: NO},
    # The machines underneath, by every address that they have.
    "endpoint": {PROXYHOST: NO, OPEN: NO, CLOSED: NO, INNER: NO},
    "endpoint in the world": {PROXYHOST: NO, OPEN: NO, CLOSED: NO, INNER: NO},
    "endpoint's name server": {PROXYHOST: YES, OPEN: NO, CLOSED: NO, INNER: NO},
    # The proxyhost: what it serves, and what it does not.
    "proxy": {PROXYHOST: YES, OPEN: YES, CLOSED: YES, INNER: NO},
    "cache of images": {PROXYHOST: YES, OPEN: YES, CLOSED: NO, INNER: NO},
    "proxyhost": {PROXYHOST: MAY, OPEN: NO, CLOSED: NO, INNER: NO},
    "proxy that nobody declared": {PROXYHOST: MAY, OPEN: NO, CLOSED: NO, INNER: NO},
    # Through its proxy.
    "through the proxy": {PROXYHOST: NO, OPEN: NO, CLOSED: NO, INNER: NO},
    "declared, through the proxy": {PROXYHOST: YES, OPEN: YES, CLOSED: NO, INNER: NO},
    "mirror, through the proxy": {PROXYHOST: YES, OPEN: YES, CLOSED: YES, INNER: NO},
    # Through its Tor. Who may is a matter of the tier alone.
    "Tor": {PROXYHOST: MAY, OPEN: NO, CLOSED: NO, INNER: NO},
    "through Tor": {PROXYHOST: NO, OPEN: NO, CLOSED: NO, INNER: NO},
}

PRIVATE = ("10.0.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.0.1", "100.64.0.1", "::1", "fd00::1")
ODD_PORTS = (22, 25, 53, 853, 8333, 9050, 9735)
USUAL_SOCKS = (1080, 9050, 9051, 9150)
# So many ports of a machine are looked into, and so many names asked for: a machine with more of them is told of, not tried for hours.
MOST_PORTS = 60
MOST_NAMES = 3

# Address in documentation and in words, by what it stands for.
Public = Mapping[str, Any]


def stance(tier: str, shares: bool, closed: Sequence[str]) -> str:
    """How a tier stands to the way out."""
    if tier == "proxyhost":
        return PROXYHOST
    if not shares:
        return INNER
    return CLOSED if tier in closed else OPEN


def expected(row: str, how: str, tier: str, tor_tiers: Sequence[str], task: bool = False) -> str:
    """What the declaration expects of a row where somebody of TIER tries. A container may have less than its host, never more."""
    found = TABLE[row][how]
    if row == "Tor" and tier in tor_tiers:
        found = YES
    return MAY if task and found == YES else found


def is_confined(variables: Vars) -> bool:
    """Whether the declaration has the address of an instance among those that may have no more than mirrors."""
    confined = [ipaddress.ip_network(str(one)) for one in tor_of(variables).get("confined") or []]
    return any(
        ipaddress.ip_address(str(address)) in network
        for address in (variables.get("bcm_addresses") or {}).values()
        for network in confined
    )


def tor_of(variables: Vars) -> Vars:
    found: Vars = variables.get("bcm_tor") or {}
    return found


def tor_tiers(variables: Vars) -> list[str]:
    return [str(tier) for tier in tor_of(variables).get("tiers") or []]


def shares_way_out(variables: Vars) -> bool:
    """Whether an instance is in a network in which there is a way out."""
    return any(network in (variables.get("bcm_addresses") or {}) for network in variables.get("bcm_way_out") or {})


def networks(variables: Vars) -> list[Vars]:
    return list(variables.get("bcm_networks") or [])


def outside(variables: Vars) -> Vars:
    return next((network for network in networks(variables) if network["name"] == "outside"), {})


def resolver(variables: Vars) -> str:
    """The name server that proxyhosts ask."""
    found = outside(variables)
    return str(found.get("nameserver") or found.get("host_address") or "")


def watched(host: str, variables: Vars) -> list[dict[str, Any]]:
    """Which interfaces of a host are watched, and for what."""
    if "bcm_tier" in variables:
        if variables["bcm_tier"] == "proxyhost":
            return [{"interface": "outside", "kind": "leaves"}]
        return [{"interface": "lan", "kind": "leaves"}] if variables.get("bcm_lan_leg") else []
    points: list[dict[str, Any]] = []
    for network in networks(variables):
        if not network.get("bridge"):
            continue
        if network["name"] == "outside":
            points.append({"interface": network["bridge"], "kind": "enters"})
        else:
            points.append({"interface": network["bridge"], "kind": "foreign", "inside": network["subnet"]})
    parent = variables.get("bcm_lan_parent") or (variables.get("bcm_lan") or {}).get("parent")
    return [*points, {"interface": parent, "kind": "leaves"}] if parent else points


def inner_bridges(variables: Vars) -> list[str]:
    """Bridges on which no endpoint may have an address."""
    return [str(one["bridge"]) for one in networks(variables) if one["name"] != "outside" and one.get("bridge")]


# Where the world is not: what the firewall and Squid of a proxyhost hold for private, too. Ranges of documentation are left to the world.
NOT_THE_WORLD = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15",
        "224.0.0.0/3", "::/127", "fc00::/7", "fe80::/9", "ff00::/8",
    )
)  # fmt: skip


def is_public(address: str) -> bool:
    found = ipaddress.ip_address(address)
    return not any(found.version == network.version and found in network for network in NOT_THE_WORLD)


def names_outside(any_host: Vars) -> list[str]:
    """Names that a proxyhost may go to; one that begins with a dot stands for all below it."""
    found = {str(name) for name in any_host.get("bcm_egress_allowed_domains") or []}
    mirrors = any_host.get("bcm_mirrors") or {}
    urls = [*(mirrors.get("apt") or {}).values(), *(mirrors.get("downloads") or {}).values()]
    urls += [*(mirrors.get("registries") or {}).values(), (mirrors.get("images") or {}).get("server")]
    for url in urls:
        host = urlsplit(str(url or "")).hostname
        if host:
            found.add(host)
            if host.endswith(".docker.io"):
                # The Hub sends its clients on to these.
                found |= {".docker.io", ".docker.com"}
    return sorted(found)


def ports_outside(any_host: Vars) -> list[int]:
    found = {80, 443, *(int(port) for port in any_host.get("bcm_egress_allowed_ports") or [])}
    mirrors = any_host.get("bcm_mirrors") or {}
    for group in ("apt", "downloads", "registries"):
        for url in (mirrors.get(group) or {}).values():
            if port := urlsplit(str(url or "")).port:
                found.add(port)
    return sorted(found)


class Target(dict[str, Any]):
    """Something to try: a cell of module leak_probe, and the row of the table that it is of."""


def target(row: str, name: str, kind: str, host: str = "", port: int = 0, **more: Any) -> Target:
    return Target(row=row, name=name, kind=kind, host=host, port=port, **more)


def targets(
    hostvars: Mapping[str, Vars], endpoints: Sequence[str], proxyhosts: Sequence[str], public: Public
) -> list[Target]:
    """All that is tried. What each host has told of itself is in its C(leak_proof_watch)."""
    any_host = hostvars[[*proxyhosts, *endpoints][0]]
    found = [
        *_world(public),
        *_endpoints(hostvars, endpoints, any_host),
        *_proxyhosts(hostvars, proxyhosts, any_host),
        *_through_proxy(hostvars, endpoints, any_host, public),
        *_through_tor(any_host),
    ]
    # One address may be that of two things; it is tried once, as what came first.
    unique: dict[tuple[Any, ...], Target] = {}
    for one in found:
        key = tuple(one.get(part) for part in ("kind", "host", "port", "to", "to_port", "name_asked"))
        unique.setdefault(key, one)
    return list(unique.values())


def _world(public: Public) -> Iterator[Target]:
    four, six, name = str(public["ipv4"]), str(public.get("ipv6") or ""), str(public["name"])
    row = "the world"
    for port in (443, 80, 8333, 9001):
        yield target(row, f"the world, TCP {port}", "tcp", four, port)
    yield target(row, "the world, DNS over TLS", "tcp", four, 853)
    for port in (443, 123, 33434):
        yield target(row, f"the world, UDP {port}", "udp", four, port)
    yield target(row, "the world, DNS", "dns", four, 53, name_asked=name)
    yield target(row, "the world, DNS by TCP", "dns_tcp", four, 53, name_asked=name)
    yield target(row, "the world, ICMP", "icmp", four)
    if six:
        row = "the world by IPv6"
        yield target(row, "the world by IPv6, TCP 443", "tcp", six, 443)
        yield target(row, "the world by IPv6, UDP 443", "udp", six, 443)
        yield target(row, "the world by IPv6, DNS", "dns", six, 53, name_asked=name)
        yield target(row, "the world by IPv6, DNS over TLS", "tcp", six, 853)
        yield target(row, "the world by IPv6, ICMP", "icmp", six)
    yield target("names", "a name of the world", "resolve", name_asked=name)


def _endpoints(hostvars: Mapping[str, Vars], endpoints: Sequence[str], any_host: Vars) -> Iterator[Target]:
    seen: set[str] = set()
    declared = [(name, host, "declared") for name, host in _declared_addresses(any_host, endpoints)]
    for endpoint, address, where in [*_addresses_of(hostvars, endpoints), *declared]:
        if address in seen:
            continue
        seen.add(address)
        row = "endpoint in the world" if is_public(address) else "endpoint"
        words = f"{endpoint} at {address}" + ("" if where == "declared" else f" ({where})")
        more: dict[str, Any] = {"endpoint": endpoint, "interface": where}
        names = address == resolver(any_host)
        yield target(row, f"{words}, ICMP", "icmp", address, **more)
        yield target("endpoint's name server" if names else row, f"{words}, DNS", "dns", address, 53, **more)
        for port in (22, 8443):
            yield target(row, f"{words}, TCP {port}", "tcp", address, port, **more)
        yield target(row, f"{words}, UDP", "udp", address, 33434, **more)


def _addresses_of(hostvars: Mapping[str, Vars], hosts: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Host, address and interface, as the hosts have told."""
    for host in hosts:
        for one in (hostvars[host].get("leak_proof_watch") or {}).get("addresses") or []:
            yield host, one["address"], one["interface"]


def _declared_addresses(any_host: Vars, endpoints: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Addresses that endpoints have on the site's own bridges."""
    for network in networks(any_host):
        if network.get("host_address"):
            yield str(endpoints[0]) if endpoints else "the endpoint", str(network["host_address"])


def served(any_host: Vars) -> dict[int, str]:
    """What a proxyhost serves inside, by port."""
    found = {3128: "HTTP proxy"}
    for number, name in enumerate(((any_host.get("bcm_mirrors") or {}).get("registries") or {}).keys()):
        found[5000 + number] = f"cache of {name}"
    if tor_of(any_host):
        found[int(tor_of(any_host)["socks"]["port"])] = "Tor"
    return found


def _way_out(any_host: Vars) -> str:
    ways = any_host.get("bcm_way_out") or {}
    return str(next((way["address"] for way in ways.values()), ""))


def _proxyhosts(hostvars: Mapping[str, Vars], proxyhosts: Sequence[str], any_host: Vars) -> Iterator[Target]:
    way_out = _way_out(any_host)
    if way_out:
        yield target("proxy", "the way out, HTTP proxy", "tcp", way_out, 3128)
        for port, what in served(any_host).items():
            if what.startswith("cache of"):
                yield target("cache of images", f"the way out, {what}", "tcp", way_out, port)
    for host in proxyhosts:
        own = hostvars[host].get("bcm_addresses") or {}
        for network in sorted(own):
            if network != "outside" and own[network]:
                yield from _proxyhost(host, str(own[network]), hostvars[host], any_host)


def _proxyhost(host: str, address: str, variables: Vars, any_host: Vars) -> Iterator[Target]:
    for port, what in ((22, "SSH"), (53, "DNS by TCP"), (9051, "Tor's control port")):
        yield target("proxyhost", f"{host}, {what}", "tcp", address, port)
    yield target("proxyhost", f"{host}, DNS", "dns", address, 53)
    known = served(any_host)
    ports = {int(port) for port in USUAL_SOCKS} | set(_listening(variables, address))
    for port in sorted(ports - set(known))[:MOST_PORTS]:
        yield target(
            "proxy that nobody declared", f"{host}, a proxy at port {port}", "open_proxy", address, port,
            to=str(PRIVATE[0]), to_port=443,
        )  # fmt: skip


def _listening(variables: Vars, address: str) -> Iterator[int]:
    """Ports that a host listens on where others could come, as it has told."""
    for one in (variables.get("leak_proof_watch") or {}).get("listening") or []:
        if one["protocol"] == "tcp" and one["address"] in (address, "0.0.0.0", "::"):  # noqa: S104
            yield int(one["port"])


def _through_proxy(
    hostvars: Mapping[str, Vars], endpoints: Sequence[str], any_host: Vars, public: Public
) -> Iterator[Target]:
    way_out = _way_out(any_host)
    if not way_out:
        return
    denied = "through the proxy"
    name = str(public["name"])

    def asked(row: str, words: str, kind: str, **more: Any) -> Target:
        return target(row, words, kind, way_out, 3128, **more)

    allowed = {(str(one["host"]), int(one["port"])) for one in any_host.get("bcm_egress_allowed_private") or []}
    private = [*PRIVATE, way_out, *(address for _host, address, _where in _addresses_of(hostvars, endpoints))]
    private += [address for network in networks(any_host) for address in _first(str(network["subnet"]))]
    for address in dict.fromkeys(private):
        if not is_public(address) and (address, 443) not in allowed and not address.startswith("fe80:"):
            yield asked(denied, f"CONNECT to {address}, port 443", "connect", to=address, to_port=443)
    names = [host for host in any_host.get("bcm_egress_allowed_domains") or [] if not str(host).startswith(".")]
    for port in ODD_PORTS:
        if port not in (any_host.get("bcm_egress_allowed_ports") or []):
            yield asked(denied, f"CONNECT to port {port}", "connect", to=names[0] if names else name, to_port=port)
    # The name is one that nobody has asked for: whoever asks a name server for it on somebody's behalf tells the world what they say.
    yield asked(denied, "CONNECT to a name that is not declared", "connect", name_asked=name, to_port=443)
    yield asked(denied, "a page of a name that is not declared", "get", name_asked=name, to_port=80)
    if is_public(str(public["ipv4"])):
        yield asked(denied, "CONNECT to an address of the world", "connect", to=str(public["ipv4"]), to_port=443)
    mirrors = (any_host.get("bcm_mirrors") or {}).get("apt") or {}
    hosts_of_mirrors = set()
    for url in dict.fromkeys(str(url) for url in mirrors.values() if url):
        parts = urlsplit(url)
        if not parts.hostname:
            continue
        hosts_of_mirrors.add(parts.hostname)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        kind = "connect" if secure else "get"
        row = "mirror, through the proxy"
        yield asked(row, f"{parts.hostname}, port {port}", kind, to=parts.hostname, to_port=port)
    registries = _registries(any_host)
    for host in registries[:MOST_NAMES]:
        # The caches stand for them, and nobody else goes there.
        yield asked(denied, f"CONNECT to {host}, which is for the caches alone", "connect", to=host, to_port=443)
    declared = [one for one in names if one not in hosts_of_mirrors and one not in registries and not _is_the_hubs(one)]
    for host in declared[:MOST_NAMES]:
        row = "declared, through the proxy"
        yield asked(row, f"CONNECT to {host}, which is declared", "connect", to=host, to_port=443)


def _registries(any_host: Vars) -> list[str]:
    """Hosts that the caches of images stand for, as far as they are names."""
    urls = ((any_host.get("bcm_mirrors") or {}).get("registries") or {}).values()
    found = {str(urlsplit(str(url or "")).hostname or "") for url in urls}
    return sorted(host for host in found if host and not host.replace(".", "").isdigit() and ":" not in host)


def _is_the_hubs(name: str) -> bool:
    return name.endswith((".docker.io", ".docker.com"))


def _first(subnet: str) -> list[str]:
    """An address of a network that is likely to be somebody's."""
    return [str(ipaddress.ip_network(subnet)[1])]


def _through_tor(any_host: Vars) -> Iterator[Target]:
    tor = tor_of(any_host)
    way_out = _way_out(any_host)
    if not tor and not way_out:
        return
    host, port = (str(tor["socks"]["host"]), int(tor["socks"]["port"])) if tor else (way_out, 9050)
    yield target("Tor", "Tor, SOCKS", "socks", host, port)
    for address in [one for one in (resolver(any_host), way_out, "127.0.0.1") if one]:
        yield target("through Tor", f"by Tor to {address}", "socks_connect", host, port, to=address, to_port=22)


def cells(
    host: str, variables: Vars, found: Sequence[Mapping[str, Any]], closed: Sequence[str], token: str, number: int
) -> list[dict[str, Any]]:
    """What one instance tries, each with what is expected of the instance and of containers on it.

    Where either is right nothing is tried: a try of its own would be no more than a packet that has to be explained.
    """
    tier = str(variables["bcm_tier"])
    how = stance(tier, shares_way_out(variables), [tier] if is_confined(variables) else closed)
    tiers = tor_tiers(variables)
    done = []
    for place, one in enumerate(found):
        wanted = expected(str(one["row"]), how, tier, tiers)
        cell = {
            **one,
            "expected": wanted,
            "expected_of_tasks": expected(str(one["row"]), how, tier, tiers, task=True),
            "mark": f"{token}-{number:02x}-{place:03x}" if wanted == NO and one["kind"] in MARKED else "",
        }
        done.append(cell)
    return done


# Kinds whose packets can carry a mark: of a connection the first packet carries nothing.
MARKED = ("udp", "icmp", "dns", "resolve", "connect", "get")


def tried(cell: Mapping[str, Any]) -> bool:
    return bool(cell["expected"] != MAY)


def plan(
    hosts: Sequence[str],
    hostvars: Mapping[str, Vars],
    endpoints: Sequence[str],
    public: Public,
    closed: Sequence[str],
    token: str,
) -> dict[str, list[dict[str, Any]]]:
    """What each instance tries."""
    proxyhosts = [host for host in hosts if hostvars[host]["bcm_tier"] == "proxyhost"]
    found = targets(hostvars, endpoints, proxyhosts, public)
    return {
        host: cells(host, hostvars[host], found, closed, token, number) for number, host in enumerate(hosts)
    }  # fmt: skip


def as_probe(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A cell in the words of module leak_probe."""
    words = ("name", "kind", "host", "port", "to", "to_port", "name_asked", "mark")
    return {word: cell[word] for word in words if cell.get(word) not in (None, "")}


def findings_of_options(public: Public, allowed: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with what a person has said."""
    wrong = []
    for word, version in (("ipv4", 4), ("ipv6", 6)):
        value = public.get(word)
        if not value and word == "ipv6":
            continue
        try:
            if ipaddress.ip_address(str(value)).version != version:
                raise ValueError
        except ValueError:
            kind = "an IPv4 address" if version == 4 else "an IPv6 address, or empty"
            wrong.append(f"leak_proof_public.{word} is {value!r}; it takes {kind}")
    name = str(public.get("name") or "")
    if "." not in name.strip(".") or len(name) > 200 or not all(part and len(part) < 64 for part in name.split(".")):
        wrong.append(f"leak_proof_public.name is {name!r}; it takes a name of the DNS, such as example.com")
    for number, one in enumerate(allowed):
        try:
            ipaddress.ip_network(str(one.get("to")))
        except ValueError:
            wrong.append(
                f"leak_proof_allowed[{number}].to is {one.get('to')!r}; it takes an address or a network (CIDR)"
            )
        port = one.get("port", 0)
        if not 0 <= int(port) <= 65535:
            wrong.append(f"leak_proof_allowed[{number}].port is {port}; it takes 1 to 65535, or 0 for any")
        if not str(one.get("why") or "").strip():
            wrong.append(f"leak_proof_allowed[{number}].why is empty; it takes a reason, which the report repeats")
    return wrong
