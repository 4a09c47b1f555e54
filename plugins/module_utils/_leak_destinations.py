# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: it may change in any release.

"""What a destination is, as a gateway's own Tor, Squid and package sources tell."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

from ansible_collections.bcm.datacenter.plugins.module_utils._tor import Control, TorError

# Address and port.
Place = tuple[str, int]


class OwnControl(Control):
    """The control connection of the system's tor, which asks for what only those may read who may control it."""

    def ask(self, command: str) -> list[str]:
        if command == "AUTHENTICATE":
            command = f"AUTHENTICATE {cookie(super().ask('PROTOCOLINFO 1'))}".strip()
        return super().ask(command)

    def data(self, command: str) -> list[str]:
        """The lines of an answer that is longer than one."""
        self._stream.write(command.encode() + b"\r\n")
        self._stream.flush()
        lines: list[str] = []
        while True:
            line = self._line(command)
            if line.startswith("250+"):
                while (line := self._line(command)) != ".":
                    lines.append(line.removeprefix("."))
            elif line.startswith("250-"):
                lines.append(line[4:].partition("=")[2])
            elif line.startswith("250 "):
                return [*lines, *([line[4:].partition("=")[2]] if "=" in line else [])]
            else:
                raise TorError(f"tor refuses {command}: {line}")

    def _line(self, command: str) -> str:
        line = self._stream.readline()
        if not line:
            raise TorError(f"tor ended its control connection at {command}.")
        return line.decode(errors="replace").rstrip("\r\n")


def cookie(protocol_info: t.Sequence[str]) -> str:
    """The cookie that tor names, in hexadecimal; empty where it asks for none."""
    for line in protocol_info:
        found = re.search(r'COOKIEFILE="((?:[^"\\]|\\.)*)"', line)
        if found and "COOKIE" in line.partition("METHODS=")[2].split(" ")[0]:
            return Path(found[1].replace('\\"', '"')).read_bytes().hex()
    return ""


def relays(lines: t.Iterable[str]) -> dict[Place, str]:
    """Address and port of each relay, with its nickname, out of GETINFO ns/all."""
    found: dict[Place, str] = {}
    nickname = ""
    for line in lines:
        words = line.split()
        if words[:1] == ["r"] and len(words) >= 8:
            nickname, address = words[1], words[-3]
            for port in words[-2:]:
                if port.isdigit() and int(port):
                    found[address, int(port)] = nickname
        elif words[:1] == ["a"] and len(words) > 1:
            with contextlib.suppress(ValueError):
                found[place(words[1])] = nickname
    return found


def place(text: str) -> Place:
    """An address and port as tor has them, such as [2001:db8::1]:443."""
    address, _colon, port = text.rpartition(":")
    return str(ipaddress.ip_address(address.strip("[]"))), int(port)


def named_places(lines: t.Iterable[str]) -> list[Place]:
    """Addresses and ports in lines of tor's configuration, such as those of bridges and authorities."""
    found = []
    for line in lines:
        for text in re.findall(r"(?:\[[0-9A-Fa-f:.]+\]|\b\d{1,3}(?:\.\d{1,3}){3}):\d+", line):
            with contextlib.suppress(ValueError):
                found.append(place(text))
        # That of an authority is also one of a relay: orport=5000 stands beside it.
        port = re.search(r"\borport=(\d+)", line)
        address = re.search(r"\b(\d{1,3}(?:\.\d{1,3}){3}):\d+", line)
        if port and address:
            found.append((address[1], int(port[1])))
    return found


class Tor(t.NamedTuple):
    """What the system's tor tells."""

    places: dict[Place, str]
    relays: int
    trouble: str


def ask_tor(path: Path) -> Tor:
    """Relays and bridges of the system's tor."""
    try:
        control = OwnControl(path)
    except (OSError, TorError) as error:
        return Tor({}, 0, f"tor does not answer at {path}, so nothing is known of its relays: {error}")
    try:
        known = relays(control.data("GETINFO ns/all"))
        places = {where: f"a relay of Tor's consensus ({name})" for where, name in known.items()}
        for option, what in (("Bridge", "a declared bridge of Tor"), ("DirAuthority", "a declared authority of Tor")):
            for where in named_places(control.data(f"GETCONF {option}")):
                places.setdefault(where, what)
    except (OSError, TorError) as error:
        return Tor({}, 0, f"tor does not tell its relays: {error}")
    finally:
        control.close()
    trouble = (
        "" if known else "tor has no consensus, so none of its relays is known: it has not come into its network yet"
    )
    return Tor(places, len(known), trouble)


def squid_places(lines: t.Iterable[str]) -> dict[Place, str]:
    """Where Squid went for whom, out of its log: no more than what it let through has an address there."""
    found: dict[Place, str] = {}
    for line in lines:
        words = line.split()
        for number, word in enumerate(words):
            match = re.fullmatch(r"(?:[A-Z_]*DIRECT|[A-Z_]*PARENT)/([0-9A-Fa-f.:]+)", word)
            # time elapsed client code/status bytes method URL user hierarchy/address
            if not match or number < 3:
                continue
            url = words[number - 2]
            host, port = host_and_port(url, words[number - 3])
            with contextlib.suppress(ValueError):
                found[str(ipaddress.ip_address(match[1])), port] = f"Squid let it through, for {host}"
    return found


def host_and_port(url: str, method: str) -> tuple[str, int]:
    if method == "CONNECT":
        host, _colon, port = url.rpartition(":")
        return host.strip("[]"), int(port) if port.isdigit() else 443
    try:
        parts = urlsplit(url)
        return parts.hostname or url, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return url, 80


def package_hosts(root: Path = Path("/etc/apt")) -> set[str]:
    """Hosts of the machine's own package sources."""
    found = set()
    for path in [root / "sources.list", *sorted((root / "sources.list.d").glob("*"))]:
        with contextlib.suppress(OSError):
            for line in path.read_text(errors="replace").splitlines():
                if line.lstrip().startswith("#"):
                    continue
                for url in re.findall(r"https?://[^\s\]]+", line):
                    if host := urlsplit(url).hostname:
                        found.add(host)
    return found


def allows(names: t.Collection[str], name: str) -> bool:
    """Whether a name is among those that are declared; one that begins with a dot stands for all below it."""
    name = name.rstrip(".").lower()
    return any(name == one.lstrip(".") or (one.startswith(".") and name.endswith(one)) for one in names)


def resolved(names: t.Iterable[str]) -> dict[str, str]:
    """Addresses of names now, as the machine's own resolver gives them."""
    found: dict[str, str] = {}
    for name in names:
        if name.startswith("."):
            continue
        with contextlib.suppress(OSError, UnicodeError):
            for *_rest, where in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM):
                found[str(where[0])] = name
    return found


def explain(
    destinations: t.Iterable[t.Mapping[str, t.Any]],
    tor: t.Mapping[Place, str],
    squid: t.Mapping[Place, str],
    addresses: t.Mapping[str, str],
    ports: t.Collection[int],
) -> list[dict[str, t.Any]]:
    """Those destinations that are accounted for, each with what it is."""
    found = []
    for one in destinations:
        where = (str(one["address"]), int(one["port"]))
        by = ""
        if one["protocol"] == "tcp":
            by = tor.get(where) or squid.get(where) or ""
            if not by and where[0] in addresses and where[1] in ports:
                by = f"{addresses[where[0]]}, which is declared"
        if by:
            found.append({"protocol": one["protocol"], "address": where[0], "port": where[1], "by": by})
    return found
