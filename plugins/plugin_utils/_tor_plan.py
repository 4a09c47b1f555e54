# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""What a tor is told, and what is wrong with what was asked for: pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Pluggable transports that Debian packages, by the word with which a bridge line begins.
TRANSPORTS: dict[str, tuple[str, str]] = {
    "obfs4": ("obfs4proxy", "/usr/bin/obfs4proxy"),
    "meek_lite": ("obfs4proxy", "/usr/bin/obfs4proxy"),
    "snowflake": ("snowflake-client", "/usr/bin/snowflake-client"),
}
# Those whose program says itself where it goes; what stands in their line is no address.
ELSEWHERE = ("meek_lite", "snowflake")
# Snowflake speaks WebRTC, which is UDP.
UDP = ("snowflake",)

FINGERPRINT = re.compile(r"[0-9A-Fa-f]{40}")
BRIDGE_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+)):(?P<port>[0-9]{1,5})")
ARGUMENT = re.compile(r"[A-Za-z0-9_-]+=\S+")
ALLOWED_BRIDGE = (
    "a line as https://bridges.torproject.org gives it: [TRANSPORT] ADDRESS:PORT FINGERPRINT [NAME=VALUE ...]"
)

CONFIG_NAME = re.compile(r"(?:1[1-9]|[2-4][0-9])-[a-z0-9][a-z0-9_-]{0,60}")
ALLOWED_NAME = "two digits from 11 to 49, a dash, then small letters, digits and dashes, such as 20-network"
OPTION = re.compile(r"[+/]?([A-Za-z_%][A-Za-z0-9_]*)(?:\s+(.*))?")

# What the role answers for: said elsewhere, it would let in whom it keeps out, or make the machine something else.
OWNED = {
    "socksport": "who may use SOCKS says tor_socks_clients",
    "sockspolicy": "who may use SOCKS says tor_socks_clients",
    "httptunnelport": "it would let in whom SOCKS refuses",
    "natdport": "it would let in whom SOCKS refuses",
    "transport": "what goes through tor without knowing says tor_transparent",
    "dnsport": "what goes through tor without knowing says tor_transparent",
    "controlport": "tor is controlled by its socket, which only its group opens",
    "controlsocket": "tor is controlled by its socket, which only its group opens",
    "cookieauthentication": "tor is controlled by its socket, with its cookie",
    "hashedcontrolpassword": "tor is controlled by its socket, with its cookie",
    "orport": "the way out of a site is no relay",
    "extorport": "the way out of a site is no relay",
    "dirport": "the way out of a site is no relay",
    "exitrelay": "the way out of a site is no relay",
    "bridgerelay": "the way out of a site is no relay",
    "usebridges": "it follows from tor_bridges",
    "bridge": "bridges are named in tor_bridges",
    "clienttransportplugin": "it follows from tor_bridges",
    "hiddenservicedir": "onion services are the business of the role onion_service",
    "hiddenserviceport": "onion services are the business of the role onion_service",
    "hiddenservicesinglehopmode": "it would tell where the onion services are",
    "hiddenservicenonanonymousmode": "it would tell where the onion services are",
    "disablenetwork": "a tor without network is of no use",
    "datadirectory": "Debian's unit says where it is",
    "user": "Debian's unit says who it is",
    "runasdaemon": "Debian's unit says how it runs",
    "pidfile": "Debian's unit says how it runs",
    "safelogging": "logs would tell who goes where",
    "%include": "files are named by tor_config itself",
}


def bridge_finding(line: str) -> str:
    """What is wrong with a bridge line, or nothing."""
    words = line.split()
    if not words or line != line.strip() or "\n" in line or "#" in line:
        return "is no bridge line"
    transport = words.pop(0) if not BRIDGE_ADDRESS.fullmatch(words[0]) else ""
    if transport and transport not in TRANSPORTS:
        return (
            f"{transport!r} is no transport that Debian has a program for; allowed are {', '.join(TRANSPORTS)}, or none"
        )
    address = BRIDGE_ADDRESS.fullmatch(words[0]) if words else None
    if not address:
        return "has no ADDRESS:PORT"
    try:
        ipaddress.ip_address(address["six"] or address["four"])
    except ValueError:
        return f"{address[0]} has no IP address"
    if not 1 <= int(address["port"]) <= 65535:
        return f"{address['port']} is no port"
    rest = words[1:]
    if not rest or not FINGERPRINT.fullmatch(rest[0]):
        return "has no fingerprint (40 hexadecimal digits) after its address, so that anybody could answer there"
    odd = [word for word in rest[1:] if not ARGUMENT.fullmatch(word)]
    if odd:
        return f"{odd[0]!r} is no NAME=VALUE"
    names = {word.partition("=")[0] for word in rest[1:]}
    if transport == "obfs4" and "cert" not in names:
        return "a line of obfs4 has cert="
    return ""


def transport_of(line: str) -> str:
    """The word of its transport, or nothing."""
    first = (line.split() or [""])[0]
    return first if first in TRANSPORTS else ""


def transports(bridges: Sequence[str]) -> list[str]:
    """The transports that BRIDGES need."""
    return sorted({word for word in map(transport_of, bridges) if word})


def packages(bridges: Sequence[str]) -> list[str]:
    """The packages that BRIDGES need."""
    return sorted({TRANSPORTS[name][0] for name in transports(bridges)})


def plugin_lines(bridges: Sequence[str]) -> list[str]:
    """How tor is told of the programs that BRIDGES need, each once."""
    programs: dict[str, list[str]] = {}
    for name in transports(bridges):
        programs.setdefault(TRANSPORTS[name][1], []).append(name)
    return [f"ClientTransportPlugin {','.join(names)} exec {program}" for program, names in sorted(programs.items())]


def needs_udp(bridges: Sequence[str]) -> bool:
    """Whether what BRIDGES need goes out by UDP."""
    return any(name in UDP for name in transports(bridges))


def option_finding(line: str) -> str:
    """What is wrong with a line of further configuration, or nothing."""
    if "\n" in line or "\r" in line or line.rstrip().endswith("\\"):
        return "is not one line"
    if not line.strip() or line.lstrip().startswith("#"):
        return ""
    found = OPTION.fullmatch(line.strip())
    if not found:
        return "is no option of tor's"
    # Tor takes unambiguous beginnings of names nowhere, but any case.
    reason = OWNED.get(found[1].lower())
    return f"{found[1]} is not to be said here: {reason}" if reason else ""


def client_finding(text: Any) -> str:
    """What is wrong with an address or a network that may use SOCKS, or nothing."""
    try:
        network = ipaddress.ip_network(str(text), strict=True)
    except ValueError as error:
        return f"is no address or network ({error})"
    if network.prefixlen == 0:
        return "would let everybody in"
    if network.is_global or network.is_loopback or network.is_multicast:
        return "is none of a site's own: SOCKS is not for the world"
    return ""


def of_config(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with further configuration."""
    names = [str(entry["name"]) for entry in entries]
    for entry in entries:
        name = str(entry["name"])
        if not CONFIG_NAME.fullmatch(name):
            yield f"tor_config has the name {name!r}; allowed are {ALLOWED_NAME}"
        for line in entry["lines"]:
            if problem := option_finding(str(line)):
                yield f"tor_config, {name}: {str(line).strip()!r} {problem}"
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"tor_config has two with the name {name!r}"


def findings(asked: Mapping[str, Any]) -> list[str]:
    """Return everything that is wrong, in sentences."""
    found: list[str] = []
    for address in asked["addresses"]:
        try:
            one = ipaddress.IPv4Address(str(address))
        except ValueError:
            found.append(f"tor_socks_addresses has {address!r}, which is no IPv4 address")
            continue
        if one.is_unspecified or one.is_multicast:
            found.append(f"tor_socks_addresses has {address}: SOCKS would listen to everybody. Name the address inside")
    for client in asked["clients"]:
        if problem := client_finding(client):
            found.append(f"tor_socks_clients has {client!r}, which {problem}")
    ports = {"tor_socks_port": asked["port"], **asked.get("further_ports", {})}
    for name, port in ports.items():
        if port and not 1 <= int(port) <= 65535:
            found.append(f"{name} is {port}; allowed is 1 to 65535")
    used = [int(port) for port in ports.values() if port]
    if len(set(used)) < len(used):
        found.append(f"{', '.join(ports)} have to differ")
    for number, line in enumerate(asked["bridges"], 1):
        if problem := bridge_finding(str(line)):
            # Not the line: whoever reads this need not learn of a bridge.
            found.append(f"tor_bridges, number {number}: {problem}; allowed is {ALLOWED_BRIDGE}")
    if len(set(asked["bridges"])) < len(asked["bridges"]):
        found.append("tor_bridges names a bridge twice")
    return found + list(of_config(asked["config"]))
