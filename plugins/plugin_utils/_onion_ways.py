# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""The ways to servers by their onions, as the role onion_client has written them on the controller."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ._declaration_kinds import Check
from ._declaration_rules import Data, goes_by_onion

# Through six relays a connection is slow to begin. It is what tor grants a single one, too.
SECONDS = 120
_ONION = re.compile(r"[a-z2-7]{56}\.onion")
_USER = re.compile(r"[a-z_][a-z0-9_-]*")


def find(data: Data, check: Check) -> None:
    """Put under ``way`` of each endpoint that goes by its onion what the controller knows of it."""
    home = check.environment.get("HOME") or str(Path.home())
    owners: dict[str, int] = {}
    for position, endpoint in enumerate(data["endpoints"]):
        path = ("endpoints", position)
        if not endpoint or not check.sound(path, ("via",), ("name",)) or not goes_by_onion(data, endpoint):
            continue
        directory = Path(home, ".config/bcm", data["name"], "onion/way")
        try:
            way = read(directory, endpoint["name"])
        except ValueError as error:
            allowed = "via: direct for a run of endpoints.yml, which writes it, or endpoint_adopt.yml with a bundle"
            check.refuse((*path, "via"), "onion", str(error), allowed)
            continue
        other = owners.setdefault(way["ansible_host"], position)
        if other != position:
            check.refuse((*path, "via"), "onion", f"leads to the machine of endpoints[{other}]", "each machine once")
        endpoint["way"] = way


def read(directory: Path, name: str) -> dict[str, Any]:
    """Return the way to the server NAME.

    :raises ValueError: it is not there, or not complete; says what.
    """
    file = directory / "hosts" / f"{name}.json"
    # Without the second a stranger could answer, and without the third tor does not find it.
    for needed in (file, directory / "hosts" / f"{name}.known_hosts", directory / "auth" / f"{name}.auth_private"):
        if not needed.is_file():
            raise ValueError(f"this controller knows no way to {name}: there is no file {needed}")
    try:
        way = json.loads(file.read_text(encoding="utf-8"))
        sound = (
            _ONION.fullmatch(way["ansible_host"])
            and _USER.fullmatch(way["ansible_user"])
            and isinstance(way["ansible_port"], int)
            and "UserKnownHostsFile=" in way["ansible_ssh_common_args"]
        )
    except (OSError, ValueError, TypeError, KeyError):
        sound = None
    if not sound:
        raise ValueError(f"the way to {name} cannot be read from {file}")
    return dict(way)


def variables(way: Data) -> dict[str, Any]:
    """Return what Ansible has to be told to go that WAY. The host keys that it names count whatever else is set."""
    return {
        "ansible_host": way["ansible_host"],
        "ansible_port": way["ansible_port"],
        "ansible_ssh_common_args": way["ansible_ssh_common_args"],
        "ansible_ssh_timeout": SECONDS,
        "ansible_host_key_checking": True,
        "bcm_via": "onion",
    }
