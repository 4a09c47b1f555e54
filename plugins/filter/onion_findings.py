# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with onion services as somebody has listed them, all of it at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import decode
from ansible_collections.bcm.datacenter.plugins.module_utils._onion_service import CLIENT, wrong_name, wrong_ports

DOCUMENTATION = r"""
name: onion_findings
short_description: What is wrong with a list of onion services
version_added: 0.1.0
description:
  - Looks through what the P(bcm.datacenter.onion_service#role) role is given, before anything is touched.
options:
  _input:
    description: The services, as the role takes them.
    type: list
    elements: dict
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: They are ones
  ansible.builtin.assert:
    that: onion_service_list | bcm.datacenter.onion_findings | length == 0
"""

RETURN = r"""
_value:
  description: A sentence for each thing that is wrong, which names the key and says what is allowed.
  type: list
  elements: str
"""


def clients_of(service: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The clients of a service, each as a mapping."""
    return [{"name": one} if isinstance(one, str) else dict(one) for one in service.get("clients") or []]


def _of_clients(where: str, service: Mapping[str, Any]) -> list[str]:
    found = []
    names: dict[str, int] = {}
    for position, client in enumerate(service.get("clients") or []):
        here = f"{where}.clients[{position}]"
        if not isinstance(client, (str, Mapping)) or (
            isinstance(client, Mapping) and not set(client) <= {"name", "public_key"}
        ):
            found.append(f"{here}: it is neither a name nor a mapping of name and public_key.")
            continue
        name = client if isinstance(client, str) else str(client.get("name", ""))
        key = None if isinstance(client, str) else client.get("public_key")
        if not CLIENT.fullmatch(name):
            found.append(f"{here}.name: {name!r} is not a name (letters, digits, - and _, a letter or digit first).")
        if names.setdefault(name, position) != position:
            found.append(f"{here}.name: {name} is clients[{names[name]}] already.")
        if key is not None and (decode(str(key)) is None or str(key) != str(key).upper()):
            found.append(f"{here}.public_key: it is not 52 characters of Base32 that stand for a key.")
    return found


def onion_findings(services: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with SERVICES."""
    found = []
    names: dict[str, int] = {}
    for position, service in enumerate(services):
        where = f"onion_service_list[{position}]"
        name = str(service.get("name", ""))
        found += [f"{where}.{words}" for words in [wrong_name(name)] if words]
        if names.setdefault(name, position) != position:
            found.append(f"{where}.name: {name} is onion_service_list[{names[name]}] already.")
        if service.get("state", "present") == "absent":
            continue
        found += [f"{where}.{words}" for words in wrong_ports(service.get("ports") or [])]
        found += _of_clients(where, service)
        authorised = service.get("client_authorisation", True)
        if not authorised and service.get("clients"):
            found.append(
                f"{where}.clients: with client_authorisation: false everybody comes in; list none, or turn it on."
            )
        if authorised and service.get("public"):
            found.append(f"{where}.public: it goes with client_authorisation: false.")
    return found


class FilterModule:
    """The filters under their names."""

    def filters(self) -> dict[str, Any]:
        return {"onion_findings": onion_findings}
