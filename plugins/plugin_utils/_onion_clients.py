# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is PRIVATE to the collection: it may change without notice.
"""Who may find an onion of the site: one text in the store of secrets, and what becomes of it. Nothing here reads or writes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import decode, encode, new_key, public_of
from ansible_collections.bcm.datacenter.plugins.module_utils._onion_service import CLIENT, wrong_name

VERSION = 1


class ClientsError(Exception):
    """Something that a person can act on."""


@dataclasses.dataclass(frozen=True)
class Client:
    """A client's key, Base32. The private part is here unless the client has made it and keeps it."""

    public: str
    private: str | None = None


@dataclasses.dataclass(frozen=True)
class Revoked:
    """A key that is never let in again. A name may be, when somebody says so."""

    public: str
    name: str
    readmitted: bool = False


@dataclasses.dataclass(frozen=True)
class Register:
    """Who may find one onion."""

    clients: dict[str, Client] = dataclasses.field(default_factory=dict)
    revoked: tuple[Revoked, ...] = ()
    # Grows with each change: no text is ever the same as an earlier one, so that copies tell which of two is the later.
    revision: int = 0

    def publics(self) -> dict[str, str]:
        return {name: client.public for name, client in sorted(self.clients.items())}

    def barred(self) -> set[str]:
        """Names that were taken away and not let in again."""
        return {one.name for one in self.revoked if not one.readmitted} - set(self.clients)

    def to_text(self) -> str:
        return json.dumps(
            {
                "version": VERSION,
                "revision": self.revision,
                "clients": {name: dataclasses.asdict(client) for name, client in sorted(self.clients.items())},
                "revoked": [dataclasses.asdict(one) for one in self.revoked],
            },
            sort_keys=True,
        )


def secret_of(service: str) -> str:
    """Under which name the onion's own seed lies in the store."""
    return f"onion_{service}"


def register_of(service: str) -> str:
    """Under which name the store has who may find it."""
    return f"onion_{service}.clients"


def root_key_of(public: str) -> int:
    """The number of the root key of the macaroon that goes with a client's key.

    So it needs no list of its own, is another one after the key was changed, and lies beyond numbers that people choose.
    """
    return int.from_bytes(hashlib.sha256(b"bcm macaroon of " + public.encode()).digest()[:8], "big") >> 2 | 1 << 61


def parse(text: str | None, service: str) -> Register:
    """Read a register. The error does not repeat what it says, for keys are in it."""
    if text is None:
        return Register()
    try:
        said = json.loads(text)
        if said["version"] != VERSION:
            raise ClientsError(
                f"The clients of {service} were written by another version of this collection ({said['version']})."
            )
        clients = {str(name): Client(str(one["public"]), one["private"]) for name, one in said["clients"].items()}
        revoked = tuple(
            Revoked(str(one["public"]), str(one["name"]), bool(one["readmitted"])) for one in said["revoked"]
        )
        register = Register(clients, revoked, int(said["revision"]))
        keys = [client.private for client in clients.values() if client.private is not None]
        sound = all(isinstance(key, str) and decode(key) is not None for key in [*register.publics().values(), *keys])
    except (ValueError, TypeError, KeyError, AttributeError):
        sound = False
    if not sound:
        raise ClientsError(
            f"The clients of {service} in the store of secrets cannot be read. Restore {register_of(service)}."
        )
    return register


def made_here() -> Client:
    private = new_key()
    return Client(encode(public_of(private)), encode(private))


def wrong(service: str, wanted: t.Mapping[str, t.Any]) -> list[str]:
    """What is wrong with a request, before anything is read."""
    found = [words.replace("name:", "service:", 1) for words in [wrong_name(service)] if words]
    names = [one["name"] for one in wanted["clients"]]
    for name in [*names, *wanted["revoke"], *wanted["rotate"]]:
        if not CLIENT.fullmatch(name):
            found.append(
                f"{name!r} is not a client's name (1 to 63 letters, digits, - and _, a letter or digit first)."
            )
    for name in sorted({name for name in names if names.count(name) > 1}):
        found.append(f"clients: {name} stands in the list twice.")
    for first, second in (("clients", "revoke"), ("revoke", "rotate"), ("clients", "rotate")):
        both = {*(names if first == "clients" else wanted[first])} & {*wanted[second]}
        found += [f"{name} is in {first} and in {second}; say one of them." for name in sorted(both)]
    for one in wanted["clients"]:
        key = one.get("public_key")
        if key is not None and (decode(key) is None or key != key.upper()):
            found.append(
                f"clients: the public_key of {one['name']} is not 52 characters of Base32 that stand for a key."
            )
    return found


def change(
    register: Register, service: str, wanted: t.Mapping[str, t.Any], make: t.Callable[[], Client] = made_here
) -> Register:
    """What becomes of a register.

    :raises ClientsError: it cannot, and nothing of it is done.
    """
    clients, revoked = dict(register.clients), list(register.revoked)
    known = ", ".join(sorted(clients)) or "none"
    for name in wanted["revoke"]:
        if name in clients:
            revoked.append(Revoked(clients.pop(name).public, name))
        elif name not in {one.name for one in revoked}:
            raise ClientsError(f"{service} knows no client {name}. It knows {known}.")
    for name in wanted["rotate"]:
        if name not in clients:
            raise ClientsError(f"{service} knows no client {name}. It knows {known}.")
        if clients[name].private is None:
            raise ClientsError(
                f"{name} of {service} has made the key and keeps it. Have {name} make a new one, and let it in by its public part (public_key)."
            )
        revoked.append(Revoked(clients[name].public, name, readmitted=True))
        clients[name] = make()
    if wanted["exclusive"]:
        listed = {one["name"] for one in wanted["clients"]} | {*wanted["rotate"]}
        for name in sorted(set(clients) - listed):
            revoked.append(Revoked(clients.pop(name).public, name))
    for one in wanted["clients"]:
        name, key = one["name"], one.get("public_key")
        if name in Register(clients, tuple(revoked)).barred():
            if not wanted["readmit"]:
                raise ClientsError(
                    f"{name} of {service} was revoked. Take it off the list of clients; or let it in again, with a new key, by "
                    f"onion_clients.yml -e onion_clients=add -e service={service} -e client={name}."
                )
            revoked = [dataclasses.replace(old, readmitted=True) if old.name == name else old for old in revoked]
        before = clients.get(name)
        if before is not None and key in (None, before.public):
            continue
        if before is not None:
            revoked.append(Revoked(before.public, name, readmitted=True))
        clients[name] = Client(key) if key is not None else make()
    _refuse_keys(clients, revoked, service)
    if (clients, tuple(revoked)) == (register.clients, register.revoked):
        return register
    return Register(clients, tuple(revoked), register.revision + 1)


def _refuse_keys(clients: t.Mapping[str, Client], revoked: t.Iterable[Revoked], service: str) -> None:
    gone = {one.public: one.name for one in revoked}
    owners: dict[str, str] = {}
    for name, client in sorted(clients.items()):
        if client.public in gone:
            raise ClientsError(
                f"The key of {name} was revoked for {service} ({gone[client.public]} had it), and does not come back. It needs another one."
            )
        if owners.setdefault(client.public, name) != name:
            raise ClientsError(
                f"{name} and {owners[client.public]} of {service} would have the same key: who loses it would stay."
            )


def differences(before: Register, after: Register) -> tuple[list[str], list[str]]:
    """Whose key is new, and who has lost one, by names."""
    was, then = before.publics(), after.publics()
    return (
        [name for name, key in then.items() if was.get(name) != key],
        [name for name, key in was.items() if then.get(name) != key],
    )
