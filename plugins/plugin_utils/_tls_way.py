# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""From entries and exits to the configuration of the program between them, and to the firewall before it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

Object = Mapping[str, Any]

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
NAMES = "small letters, digits and dashes, at most 63"

# Whatever is below needs root to listen there, and the program has no such right.
LOWEST_PORT = 1024

# Twenty days. Milliseconds of it still fit into a number of 32 bits, in which the program counts. ZMQ may say nothing for long; whether the
# other end is still there is asked by TCP itself, every half minute.
IDLE = 1728000

HEAD = """\
foreground = yes
syslog = no
debug = notice
pid =
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
socket = l:SO_KEEPALIVE=1
socket = l:TCP_KEEPIDLE=30
socket = l:TCP_KEEPINTVL=10
socket = l:TCP_KEEPCNT=3
socket = r:SO_KEEPALIVE=1
socket = r:TCP_KEEPIDLE=30
socket = r:TCP_KEEPINTVL=10
socket = r:TCP_KEEPCNT=3
"""

# What each end of each way has. A session that is taken up again would not be asked for its certificate.
BOTH = """\
CAfile = {directory}/authority.pem
cert = {directory}/{identity}.pem
verifyChain = yes
sslVersionMin = TLSv1.3
sessionResume = no
TIMEOUTbusy = 30
TIMEOUTconnect = 10
TIMEOUTclose = 5
TIMEOUTidle = {idle}
"""


class PlanError(ValueError):
    """Ways that cannot be meant. `errors` holds all that is wrong."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class Checker:
    """Collects what is wrong: key, value, why, and what is allowed."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def refuse(self, key: str, value: object, why: str, allowed: str) -> None:
        self.errors.append(f"{key}: {value!r}: {why}; allowed: {allowed}")

    def name(self, key: str, value: object) -> None:
        if not isinstance(value, str) or not NAME.fullmatch(value):
            self.refuse(key, value, "is no name", NAMES)

    def address(self, key: str, value: object) -> None:
        try:
            found = ipaddress.IPv4Address(str(value))
        except ValueError:
            self.refuse(key, value, "is no address", "an IPv4 address of this host")
            return
        if found.is_unspecified:
            self.refuse(key, value, "is every address of the host", "one of them")

    def port(self, key: str, value: object, lowest: int = LOWEST_PORT) -> None:
        if (
            isinstance(value, bool)
            or not re.fullmatch(r"[0-9]{1,5}", str(value))
            or not lowest <= int(str(value)) <= 65535
        ):
            self.refuse(key, value, "is no port for it", f"a number from {lowest} to 65535")

    def target(self, key: str, value: object) -> None:
        host, colon, port = str(value).rpartition(":")
        if not colon or not HOST.fullmatch(host):
            self.refuse(key, value, "leads nowhere", "HOST:PORT")
        else:
            self.port(key, port, 1)


def _common(kind: str, position: int, one: Object, identities: Object, check: Checker) -> str:
    key = f"{kind}[{position}]"
    check.name(f"{key}.name", one.get("name"))
    check.address(f"{key}.address", one.get("address"))
    check.port(f"{key}.port", one.get("port"))
    check.target(f"{key}.target", one.get("target"))
    identity = one.get("identity")
    check.name(f"{key}.identity", identity)
    if identity not in identities:
        known = ", ".join(sorted(identities)) or "names in identities, of which there are none"
        check.refuse(f"{key}.identity", identity, "has no certificate", known)
    return key


def _check(settings: Object, check: Checker) -> None:
    identities = settings.get("identities") or {}
    for name, identity in identities.items():
        check.name("identities", name)
        if name == "authority":
            check.refuse("identities", name, "is what the file of the authority is called", "another name")
        if "BEGIN CERTIFICATE" not in str(identity.get("certificate")) or "PRIVATE KEY" not in str(identity.get("key")):
            check.refuse(f"identities.{name}", "(hidden)", "is not whole", "certificate and key, each as PEM")
    if "BEGIN CERTIFICATE" not in str(settings.get("authority")):
        check.refuse("authority", "(hidden)", "is no certificate", "that of the authority for both ends, as PEM")
    for position, one in enumerate(settings.get("exits") or []):
        key = _common("exits", position, one, identities, check)
        if not one.get("clients"):
            check.refuse(f"{key}.clients", [], "lets nobody in", "names in the certificates of those who may come")
        for client in one.get("clients") or []:
            if not HOST.fullmatch(str(client)):
                check.refuse(
                    f"{key}.clients", client, "is no name in a certificate", "letters, digits, dots and dashes"
                )
        for source in one.get("sources") or []:
            try:
                ipaddress.IPv4Network(source)
            except ValueError:
                check.refuse(f"{key}.sources", source, "is no address and no network", "those of IPv4")
    for position, one in enumerate(settings.get("entries") or []):
        key = _common("entries", position, one, identities, check)
        if not HOST.fullmatch(str(one.get("server"))):
            check.refuse(
                f"{key}.server", one.get("server"), "is no name in a certificate", "letters, digits, dots and dashes"
            )
        if not one.get("interfaces"):
            check.refuse(f"{key}.interfaces", [], "lets nobody in", "interfaces, lo for this host alone")
        for interface in one.get("interfaces") or []:
            if not INTERFACE.fullmatch(str(interface)):
                check.refuse(f"{key}.interfaces", interface, "is no name of an interface", "such as lo")
    seen: dict[tuple[str, str], str] = {}
    for kind in ("exits", "entries"):
        names = [one.get("name") for one in settings.get(kind) or []]
        for name in sorted({str(name) for name in names if names.count(name) > 1}):
            check.refuse(f"{kind}.name", name, "is there twice", "each name once")
        for one in settings.get(kind) or []:
            place = (str(one.get("address")), str(one.get("port")))
            other = seen.setdefault(place, f"{kind}.{one.get('name')}")
            if other != f"{kind}.{one.get('name')}":
                check.refuse(f"{kind}.{one.get('name')}", ":".join(place), f"is where {other} listens", "another port")


def _exit(one: Object, directory: str) -> str:
    lines = [
        f"[exit-{one['name']}]",
        f"accept = {one['address']}:{one['port']}",
        f"connect = {one['target']}",
        "requireCert = yes",
    ]
    lines += [f"checkHost = {client}" for client in sorted(one["clients"])]
    return "\n".join(lines) + "\n" + BOTH.format(directory=directory, identity=one["identity"], idle=IDLE)


def _entry(one: Object, directory: str) -> str:
    lines = [
        f"[entry-{one['name']}]",
        "client = yes",
        f"accept = {one['address']}:{one['port']}",
        f"connect = {one['target']}",
        f"checkHost = {one['server']}",
    ]
    return "\n".join(lines) + "\n" + BOTH.format(directory=directory, identity=one["identity"], idle=IDLE)


def _firewall(exits: list[Object], entries: list[Object]) -> str:
    """Rules that drop. They hold for connections that are open, too: who is no longer among the sources is cut off."""
    rules = []
    for one in entries:
        allowed = ", ".join(f'"{name}"' for name in one["interfaces"])
        rules.append(f"ip daddr {one['address']} tcp dport {one['port']} iifname != {{ {allowed} }} drop")
    for one in exits:
        if one.get("sources"):
            sources = ", ".join(sorted(str(ipaddress.IPv4Network(source)) for source in one["sources"]))
            rules.append(
                f'ip daddr {one["address"]} tcp dport {one["port"]} iifname != "lo" ip saddr != {{ {sources} }} drop'
            )
    body = "".join(f"    {rule}\n" for rule in rules)
    # Made anew at once and as a whole; a table must be there to be deleted.
    return (
        "table inet bcm_tls_way {}\n"
        "delete table inet bcm_tls_way\n"
        "table inet bcm_tls_way {\n"
        "  chain input {\n"
        "    type filter hook input priority -5; policy accept;\n"
        f"{body}"
        "  }\n"
        "}\n"
    )


def plan(settings: Object) -> dict[str, Any]:
    """The configuration, the firewall, and where the program will listen.

    :raises PlanError: with all that is wrong.
    """
    check = Checker()
    _check(settings, check)
    if check.errors:
        raise PlanError(check.errors)
    exits, entries = list(settings.get("exits") or []), list(settings.get("entries") or [])
    directory = str(settings["directory"])
    parts = [HEAD, *(_exit(one, directory) for one in exits), *(_entry(one, directory) for one in entries)]
    used = sorted({one["identity"] for one in [*exits, *entries]})
    return {
        "conf": "\n".join(parts),
        "firewall": _firewall(exits, entries),
        "listens": [{"address": str(one["address"]), "port": int(one["port"])} for one in [*exits, *entries]],
        "identities": used,
    }
