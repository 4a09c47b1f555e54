# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""Waiting, with a limit, for what an instance becomes after its start: an address, a finished cloud-init, an agent."""

from __future__ import annotations

import dataclasses
import json
import posixpath
import re
import time
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_flavour as flavours
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDTimeout,
    LXDUnreachable,
    api_path,
)

CLOUD_INIT_RESULT = "/run/cloud-init/result.json"
CLOUD_INIT_DISABLED = "/run/cloud-init/disabled"

AWAITED = {
    "cloud-init": "the end of cloud-init",
    "agent": "an answer of its processes, or of the agent in it,",
}


@dataclasses.dataclass(frozen=True)
class Card:
    """Which network card is meant, and which kind of address on it: inet or inet6. None: any."""

    interface: str | None = None
    family: str | None = None

    def words(self) -> str:
        kind = {"inet": "an IPv4 address", "inet6": "an IPv6 address"}.get(self.family or "", "an address")
        return f"{kind} on {self.interface or 'one of its networks'}"


ANY = Card()


def addresses(state: t.Mapping[str, t.Any], family: str | None = None) -> dict[str, list[str]]:
    """Addresses of an instance by interface: those of its own network cards, not of bridges that it makes inside."""
    cards = {
        name: interface
        for name, interface in sorted((state.get("network") or {}).items())
        if interface.get("type") != "loopback"
    }
    # Most of LXD's cards have a counterpart on the machine; some kinds (macvlan) do not.
    paired = {name: interface for name, interface in cards.items() if interface.get("host_name")}
    found = {}
    for name, interface in (paired or cards).items():
        own = [
            a["address"]
            for a in interface.get("addresses") or []
            if a.get("scope") == "global" and family in (None, a.get("family"))
        ]
        if own:
            found[name] = own
    return found


def read_file(client: LXDClient, name: str, path: str) -> bytes | None:
    """A file of an instance, or None if there is none (or nobody yet who could read it)."""
    for _hop in range(4):
        status, headers, content = client.raw("GET", api_path("instances", name, "files"), query={"path": path})
        if status != 200:
            return None
        if flavours.header(headers, "type") != "symlink":
            return content
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), content.decode().strip()))
    return None


def console_of(client: LXDClient, name: str) -> str:
    """The last words on an instance's console, for one that did not get up."""
    try:
        status, _headers, content = client.raw("GET", api_path("instances", name, "console"))
    except LXDError:
        return ""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", content.decode(errors="replace")) if status == 200 else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f" Its console ends: {' | '.join(lines[-4:])}" if lines else ""


def _cloud_init(client: LXDClient, name: str) -> bool:
    content = read_file(client, name, CLOUD_INIT_RESULT)
    if content is None:
        if read_file(client, name, CLOUD_INIT_DISABLED) is not None:
            raise LXDError(f"Instance {name}: cloud-init is disabled in it, so there is no end of it to wait for.")
        return False
    try:
        errors = json.loads(content)["v1"]["errors"]
    except (ValueError, KeyError, TypeError):
        return False  # It is being written.
    if errors:
        raise LXDError(f"Instance {name}: cloud-init ended with errors: {'; '.join(str(error) for error in errors)}")
    return True


def _reached(client: LXDClient, name: str, what: str, card: Card) -> bool:
    if what == "cloud-init":
        return _cloud_init(client, name)
    state = client.get(api_path("instances", name, "state"))
    if what == "address":
        found = addresses(state, card.family)
        return bool(found.get(card.interface) if card.interface else found)
    return state.get("processes", 0) > 0


def _missed(state: t.Mapping[str, t.Any], what: str, card: Card) -> str:
    """What there is instead of what was awaited, as a hint."""
    if what == "cloud-init":
        return f" ({CLOUD_INIT_RESULT} did not appear: is cloud-init in its image?)"
    network = state.get("network") or {}
    if what == "address" and card.interface and card.interface not in network:
        return f" (it has no interface of that name: {', '.join(sorted(network)) or 'none at all'})"
    return ""


def wait_for(client: LXDClient, name: str, what: str, timeout: float, card: Card = ANY) -> None:
    """Look until it is so, more and more seldom. An instance that stops is not waited for any longer."""
    awaited = card.words() if what == "address" else AWAITED[what]
    deadline = time.monotonic() + timeout
    pause = 0.1
    looked_alive = time.monotonic()
    while not _reached(client, name, what, card):
        now = time.monotonic()
        if now - looked_alive > 2:
            looked_alive = now
            status = client.get(api_path("instances", name))["status"]
            if status not in flavours.RUNNING:
                raise LXDUnreachable(
                    f"Instance {name} is {status} while {awaited} was awaited.{console_of(client, name)}"
                )
        if now >= deadline:
            state = client.find(api_path("instances", name, "state")) if what == "address" else None
            hint = _missed(state or {}, what, card)
            raise LXDTimeout(f"Instance {name}: {awaited} was awaited in vain for {timeout:g} s{hint}.")
        time.sleep(min(pause, max(0.0, deadline - now)))
        pause = min(pause * 1.5, 1.0)
