# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""All that LXD and Incus do differently, as far as this collection meets it.

Incus began as a copy of LXD 5.16: the objects and most names are the same. What is in no table here is alike on both.
The collection speaks in LXD's names, and a play may use those of either.
"""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

# Where the socket is on a machine that does not say so: the snap, packages, newer packages of Incus.
SOCKETS = (
    "/var/snap/lxd/common/lxd/unix.socket",
    "/var/lib/lxd/unix.socket",
    "/run/incus/unix.socket",
    "/var/lib/incus/unix.socket",
)
# The environment is asked in this order: the socket itself, or the directory that it lies in.
ENVIRONMENT = (("LXD_SOCKET", "LXD_DIR"), ("INCUS_SOCKET", "INCUS_DIR"))

# Newer servers say that an instance is ready where its init system has told them so.
RUNNING = ("Running", "Ready")

# Configuration of instances and profiles: LXD's key, Incus's key.
_KEYS = {
    "security.devlxd": "security.guestapi",
    "security.devlxd.images": "security.guestapi.images",
}
# What the names of headers of files and images begin with.
_PREFIXES = {"lxd": "X-LXD-", "incus": "X-Incus-"}
# Extensions of the API that went on under another name.
_EXTENSIONS = {
    "devlxd_events": "dev_incus_events",
    "devlxd_images": "dev_incus_images",
    "restrict_devlxd": "restrict_dev_incus",
}
# Extensions of LXD's that Incus never had to announce, because it has always worked that way.
_ALWAYS = frozenset({"explicit_trust_token"})


@dataclasses.dataclass(frozen=True)
class Flavour:
    """A kind of server: how it wants to be spoken to."""

    name: str
    title: str
    extensions: frozenset[str]

    @property
    def incus(self) -> bool:
        return self.name == "incus"

    def has(self, extension: str) -> bool:
        """Whether the server has an extension of the API, by LXD's name for it."""
        if not self.incus:
            return extension in self.extensions
        return extension in _ALWAYS or _EXTENSIONS.get(extension, extension) in self.extensions

    def headers(self, fields: t.Mapping[str, str]) -> dict[str, str]:
        """Headers of files and images: "mode" is X-LXD-mode to one and X-Incus-mode to the other."""
        return {f"{_PREFIXES[self.name]}{name}": value for name, value in fields.items()}

    def key(self, name: str) -> str:
        """A configuration key by the server's own name, whichever of the two it was called by."""
        names = _KEYS if self.incus else {incus: lxd for lxd, incus in _KEYS.items()}
        return names.get(name, name)

    def options(self, value: t.Any) -> t.Any:
        """Options of a module with every configuration in them, at any depth, in the server's own keys."""
        if isinstance(value, list):
            return [self.options(item) for item in value]
        if not isinstance(value, dict):
            return value
        result = {name: self.options(item) for name, item in value.items()}
        if isinstance(result.get("config"), dict):
            result["config"] = {self.key(name): item for name, item in result["config"].items()}
        return result

    def profile_description(self, project: str) -> str:
        """How the profile is described that comes into being with a project."""
        return f"Default {self.title} profile for project {project}"


def of(server: t.Mapping[str, t.Any]) -> Flavour:
    """The flavour of a server, from its answer to GET /1.0."""
    extensions = frozenset(server.get("api_extensions") or [])
    name = (server.get("environment") or {}).get("server")
    # To those whom it does not trust yet a server names its extensions only.
    if name == "incus" or (name is None and _EXTENSIONS["devlxd_events"] in extensions):
        return Flavour("incus", "Incus", extensions)
    return Flavour("lxd", "LXD", extensions)


def depends(value: t.Any) -> bool:
    """Whether options of a module name a configuration key that is not the same on both."""
    if isinstance(value, list):
        return any(depends(item) for item in value)
    if not isinstance(value, dict):
        return False
    config = value.get("config")
    if isinstance(config, dict) and not config.keys().isdisjoint({*_KEYS, *_KEYS.values()}):
        return True
    return any(depends(item) for item in value.values())


def headers(fields: t.Mapping[str, str]) -> dict[str, str]:
    """Headers of a file for a server that has not been asked what it is: each reads its own and no others."""
    return {f"{prefix}{name}": value for prefix in _PREFIXES.values() for name, value in fields.items()}


def header(received: t.Mapping[str, str], name: str, default: str = "") -> str:
    """A header of an answer, in lower case, from either."""
    return received.get(f"x-lxd-{name}") or received.get(f"x-incus-{name}") or default


def listed(metadata: t.Any, query: t.Mapping[str, t.Any] | None) -> t.Any:
    """A list that is asked for is a list: of some things Incus says null where LXD says []."""
    return [] if metadata is None and query and query.get("recursion") else metadata


def socket(environ: t.Mapping[str, str]) -> str | None:
    """The socket of the server on this machine."""
    for direct, directory in ENVIRONMENT:
        if environ.get(direct):
            return environ[direct]
        if environ.get(directory):
            return str(Path(environ[directory]) / "unix.socket")
    return next((path for path in SOCKETS if Path(path).exists()), None)
