# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""An onion service of a host's tor: what it is, as it lies in files, and as tor has it."""

from __future__ import annotations

import dataclasses
import fnmatch
import glob
import hashlib
import ipaddress
import json
import re
import typing as t
from pathlib import Path

from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import address_of, decode, public_in
from ansible_collections.bcm.datacenter.plugins.module_utils._tor_system import SystemControl

# With what is added to it, it is the name of a secret, which has at most 64 characters.
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?")
CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
# A line of tor's configuration that brings in files: one, those of a directory, or those that a pattern fits.
INCLUDE = re.compile(r'\s*%include\s+"?([^"\s]+)"?\s*', re.IGNORECASE)
MOST_INCLUDES = 31
KEY_FILES = ("hs_ed25519_secret_key", "hs_ed25519_public_key", "hostname")
HEAD = "# Written by Ansible (bcm.datacenter.onion_service). Changes by hand are lost.\n"
MOST_PORT = 65535


class OnionError(Exception):
    """Something that a person can act on."""


# -- what it is -----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, order=True)
class Port:
    """What a guest asks for, and where that leads."""

    virtual: int
    host: str
    port: int

    def line(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"HiddenServicePort {self.virtual} {host}:{self.port}"


@dataclasses.dataclass(frozen=True)
class Definition:
    """What somebody wants the service to be, apart from its key and its clients."""

    ports: tuple[Port, ...]
    authorised: bool = True
    pow: bool = False

    def as_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str, path: Path) -> Definition:
        try:
            said = json.loads(text)
            ports = tuple(Port(int(one["virtual"]), str(one["host"]), int(one["port"])) for one in said["ports"])
            return cls(ports, bool(said["authorised"]), bool(said["pow"]))
        except (ValueError, TypeError, KeyError):
            raise OnionError(
                f"{path} cannot be read. Name the ports of the service once more, which writes it."
            ) from None

    def lines(self, directory: Path) -> list[str]:
        """Its lines of torrc."""
        return [
            f"HiddenServiceDir {directory}",
            "HiddenServiceVersion 3",
            *(port.line() for port in sorted(self.ports)),
            *(["HiddenServicePoWDefensesEnabled 1"] if self.pow else []),
        ]


def wrong_name(name: str) -> str | None:
    if NAME.fullmatch(name):
        return None
    return f"name: {name!r} is not a name (1 to 50 small letters, digits and dashes, a dash neither first nor last)."


def wrong_ports(ports: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """What is wrong with ports as they are given: C(virtual), C(target_host), C(target_port)."""
    wrong = [] if ports else ["ports: there is none, so nobody could reach anything. Name at least one."]
    seen: dict[int, int] = {}
    for position, port in enumerate(ports):
        where = f"ports[{position}]"
        for key in ("virtual", "target_port"):
            if not 1 <= port[key] <= MOST_PORT:
                wrong.append(f"{where}.{key}: {port[key]} is not a port (1 to {MOST_PORT}).")
        first = seen.setdefault(port["virtual"], position)
        if first != position:
            wrong.append(
                f"{where}.virtual: {port['virtual']} is that of ports[{first}] already; each leads to one target."
            )
        wrong += [f"{where}.target_host: {words}" for words in [wrong_target(port["target_host"])] if words]
    return wrong


def wrong_target(host: str) -> str | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # tor would ask for a name's address when it starts, and that outside of Tor.
        return f"{host!r} is not an IP address. Names are not looked up."
    if address.is_unspecified or address.is_multicast:
        return f"{host} is the address of no host."
    if address.is_global:
        return f"{host} is an address of the internet: what comes by the onion would go there in clear."
    return None


def wrong_clients(clients: t.Mapping[str, str]) -> list[str]:
    """What is wrong with public keys by the names of clients."""
    wrong = []
    owners: dict[str, str] = {}
    for name, key in sorted(clients.items()):
        if not CLIENT.fullmatch(name):
            wrong.append(
                f"clients: {name!r} is not a name (1 to 63 letters, digits, - and _, a letter or digit first)."
            )
        if decode(key) is None or key != key.upper():
            wrong.append(f"clients: the public key of {name} is not 52 characters of Base32 that stand for a key.")
        elif owners.setdefault(key, name) != name:
            wrong.append(f"clients: {name} has the key of {owners[key]}; whoever loses it would stay.")
    return wrong


# -- as it lies in files --------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Places:
    """Where the parts of a service lie."""

    name: str
    onions: Path = Path("/var/lib/tor/onions")
    drop_ins: Path = Path("/etc/tor/torrc.d")
    definitions: Path = Path("/var/lib/bcm/onions")
    torrc: Path = Path("/etc/tor/torrc")
    published: Path = Path("/etc/tor/published.d")

    @property
    def directory(self) -> Path:
        return self.onions / self.name

    @property
    def clients(self) -> Path:
        return self.directory / "authorized_clients"

    @property
    def drop_in(self) -> Path:
        return self.drop_ins / f"50-onion-{self.name}.conf"

    @property
    def definition(self) -> Path:
        return self.definitions / f"{self.name}.json"

    @property
    def stamp(self) -> Path:
        """Says what tor was told last, by its digest. Written when tor has it."""
        return self.definitions / f"{self.name}.in-force"


@dataclasses.dataclass(frozen=True)
class State:
    """A service as a whole."""

    definition: Definition | None
    public: bytes
    clients: dict[str, str]

    @property
    def address(self) -> str:
        return address_of(self.public) if self.public else ""

    @property
    def closed(self) -> bool:
        """tor takes an onion without a client whose key it can read for one that is open to everybody."""
        if self.definition is None or not self.public:
            return True
        return self.definition.authorised and not any(self.clients.values())

    def authorised(self) -> dict[str, str]:
        """Whose keys tor asks for; empty where it asks nobody."""
        return self.clients if self.definition and self.definition.authorised else {}

    def digest(self) -> str:
        words = [
            self.definition.as_json() if self.definition else "",
            self.public.hex(),
            sorted(self.authorised().items()),
        ]
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def drop_in_text(state: State, places: Places) -> str:
    """Our file of tor's configuration."""
    if state.definition is None or state.closed:
        raise OnionError(f"{places.name} is closed and has no configuration.")
    return HEAD + "\n".join(state.definition.lines(places.directory)) + "\n"


def takes_away(before: State, after: State) -> list[str]:
    """What somebody could do before and can no longer: then nothing of before may go on."""
    if before.closed:
        return []
    lost = []
    if before.public != after.public:
        lost.append("the address")
    was, then = before.authorised(), after.authorised()
    if then and not was:
        lost.append("access without a key")
    if after.closed or was:
        lost += [
            f"the key of {name}"
            for name, key in sorted(was.items())
            if (then or after.closed) and key not in then.values()
        ]
    if before.definition and after.definition:
        lost += [f"port {port.virtual}" for port in sorted(set(before.definition.ports) - set(after.definition.ports))]
    return lost


def read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def read_clients(directory: Path) -> dict[str, str]:
    """Public keys by the names of clients, as tor reads them. A file that holds none has an empty one."""
    found = {}
    try:
        files = sorted(directory.glob("*.auth"))
    except OSError:
        return {}
    for file in files:
        parts = (read_text(file) or "").strip().split(":")
        sound = parts[:2] == ["descriptor", "x25519"] and len(parts) == 3 and decode(parts[2]) is not None
        found[file.name.removesuffix(".auth")] = parts[2].upper() if sound else ""
    return found


def read_public(directory: Path) -> bytes:
    """The public key of the onion of a directory; empty where it has no key pair."""
    try:
        public = public_in((directory / KEY_FILES[1]).read_bytes())
    except (FileNotFoundError, ValueError):
        return b""
    return public if (directory / KEY_FILES[0]).is_file() else b""


def read_state(places: Places) -> State:
    """What lies there."""
    text = read_text(places.definition)
    definition = Definition.from_json(text, places.definition) if text is not None else None
    return State(definition, read_public(places.directory), read_clients(places.clients))


def brought_in(pattern: str) -> list[Path]:
    """The files that an include brings in, as tor takes them."""
    found: list[Path] = []
    for name in sorted(glob.glob(pattern)):  # noqa: PTH207 - a pattern of tor's may begin anywhere
        path = Path(name)
        if path.is_dir():
            found += sorted(one for one in path.iterdir() if one.is_file() and not one.name.startswith("."))
        elif path.is_file():
            found.append(path)
    return found


def brings_in(pattern: str, path: Path) -> bool:
    """Whether an include brings in a file, if there was one."""
    if fnmatch.fnmatchcase(str(path.parent), pattern.rstrip("/")):
        return True
    return fnmatch.fnmatchcase(str(path.parent), pattern.rpartition("/")[0]) and fnmatch.fnmatchcase(
        path.name, pattern.rpartition("/")[2]
    )


def includes(text: str, path: Path, depth: int = 0) -> bool:
    """Whether a configuration brings in a file as it stands, be it by files that it includes."""
    for line in text.splitlines():
        match = INCLUDE.fullmatch(line)
        if match is None:
            continue
        if brings_in(match[1], path):
            return True
        if depth < MOST_INCLUDES and any(
            includes(read_text(one) or "", path, depth + 1) for one in brought_in(match[1])
        ):
            return True
    return False


def would_include(text: str, places: Places) -> bool:
    """Whether a configuration brings our file in, be it only where onions are published."""
    return includes(text, places.drop_in) or includes(text, places.published / "onions.conf")


def expanded(text: str, without: str, depth: int = 0) -> list[str]:
    """The lines of a configuration with all that it includes, but for files below a directory whose names fit WITHOUT."""
    lines: list[str] = []
    for line in text.splitlines():
        match = INCLUDE.fullmatch(line)
        if match is None or depth >= MOST_INCLUDES:
            lines.append(line)
            continue
        for path in brought_in(match[1]):
            if not fnmatch.fnmatchcase(str(path), without):
                lines += expanded(read_text(path) or "", without, depth + 1)
    return lines


def as_a_whole(torrc: str, places: Places, ours: str) -> str:
    """All of tor's configuration as one text, as it would be where onions are published, with ours as it is to be."""
    onions = sorted(path for path in places.drop_ins.glob("5*.conf") if path != places.drop_in)
    others = [line for path in onions for line in (read_text(path) or "").splitlines()]
    return "\n".join([*expanded(torrc, f"{places.drop_ins}/5*.conf"), *others, ours])


# -- as tor has it --------------------------------------------------------------------------------------------------


def expected_options(definition: Definition) -> set[str]:
    """What tor says of a service that it has loaded, of that which we have told it."""
    return {line.replace(" ", "=", 1) for line in definition.lines(Path("/")) if line.startswith("HiddenServicePort ")}


def has_loaded(loaded: t.Mapping[str, t.Sequence[str]], places: Places, definition: Definition) -> bool:
    """Whether tor has the service, with these ports and no other."""
    options = loaded.get(str(places.directory))
    if options is None:
        return False
    said = {line for line in options if line.lower().startswith("hiddenserviceport=")}
    return {line.partition("=")[2] for line in said} == {
        line.partition("=")[2] for line in expected_options(definition)
    }


def look(places: Places, control: SystemControl | None, loaded: t.Mapping[str, t.Sequence[str]]) -> dict[str, t.Any]:
    """What is to be known of one service; no secret is in it."""
    state = read_state(places)
    found: dict[str, t.Any] = {
        "name": places.name,
        "address": state.address,
        "client_authorisation": bool(state.definition.authorised) if state.definition else True,
        "clients": state.clients,
        "ports": [
            {"virtual": port.virtual, "target_host": port.host, "target_port": port.port}
            for port in (state.definition.ports if state.definition else ())
        ],
        "closed": state.closed,
        "in_force": (read_text(places.stamp) or "").strip() == state.digest(),
        "loaded": False,
        "described": False,
        "introductions": 0,
        "guests": 0,
    }
    if control is None or not state.address:
        return found
    found["loaded"] = state.definition is not None and has_loaded(loaded, places, state.definition)
    found["described"] = control.described(state.address)
    circuits = control.circuits(state.address)
    found["introductions"] = sum(circuit.hs_state == "HSSI_ESTABLISHED" for circuit in circuits)
    found["guests"] = sum(circuit.hs_state == "HSSR_JOINED" for circuit in circuits)
    return found


def names_of(base: Places) -> list[str]:
    """The names of all services of this host."""
    found = {path.name.removesuffix(".json") for path in base.definitions.glob("*.json")}
    found |= {path.name[len("50-onion-") : -len(".conf")] for path in base.drop_ins.glob("50-onion-*.conf")}
    return sorted(name for name in found if NAME.fullmatch(name))


def look_at_all(base: Places, control: SystemControl | None) -> list[dict[str, t.Any]]:
    loaded = control.onions() if control else {}
    return [look(dataclasses.replace(base, name=name), control, loaded) for name in names_of(base)]


def standby(places: Places, control: SystemControl) -> bool:
    """Whether this tor publishes no onion now, as on a host that waits until it is its turn."""
    # Whichever service it is, their files are brought in together.
    return control.option("DisableNetwork") == "1" or not includes(read_text(places.torrc) or "", places.drop_in)


def trouble(service: t.Mapping[str, t.Any], waiting: bool) -> str | None:
    """Why a service is not served, in words; None if it is, or need not be."""
    name = service["name"]
    if not service["address"]:
        return f"{name} has no key here"
    broken = sorted(client for client, key in service["clients"].items() if not key)
    if broken:
        return f"the key of {name}'s client {', '.join(broken)} cannot be read"
    if service["closed"]:
        return f"{name} is served, and has no client: it should be closed" if service["loaded"] else None
    if not service["loaded"] and not waiting:
        return f"{name}: tor has not loaded it"
    if not service["in_force"]:
        return f"{name}: what lies in its files may not be what tor goes by"
    if not waiting and not service["introductions"]:
        return f"{name}: no relay introduces guests to it yet"
    if not waiting and not service["described"]:
        return f"{name}: it is not described to the network yet"
    return None


def words(service: t.Mapping[str, t.Any], waiting: bool) -> str:
    """One that is as it should be, in words."""
    if service["closed"]:
        return f"{service['name']} {service['address']}, closed until it has a client"
    count = len(service["clients"])
    who = f"{count} client{'' if count == 1 else 's'}" if service["client_authorisation"] else "open to everybody"
    how = "waits for this host's turn" if waiting else "announced"
    return f"{service['name']} {service['address']}, {who}, {how}"
