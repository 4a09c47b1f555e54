# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: misread_addresses
short_description: Say which values are not the addresses or networks that they should be
description:
  - For what a role checks before it touches anything - programs read an address that is none as a name, or do not start.
author:
  - the Bitcoin Cache Machine authors (@bitcoin-cache-machine)
positional: _input, variable, kind
options:
  _input:
    description: Values of a variable, a list or a single one.
    type: raw
    required: true
  variable:
    description: Name of the variable, for the sentences.
    type: str
    required: true
  kind:
    description: What the values should be. A network has a prefix length.
    type: str
    choices: [network, IPv4 network, IPv4 address, address or network]
    default: network
"""

EXAMPLES = r"""
- name: Refuse what is no network
  ansible.builtin.assert:
    that: clients | bcm.datacenter.misread_addresses('clients') | length == 0
"""

RETURN = r"""
_value:
  description: One sentence for each value that is something else.
  type: list
  elements: str
  sample: ["clients has home, which is no network such as 10.1.0.0/16"]
"""

import ipaddress
import typing as t

from ansible.errors import AnsibleFilterError

# What a value of each kind must, may or must not have, and a kind's words in a sentence.
KINDS = {
    "network": ({"/"}, {4, 6}, "network such as 10.1.0.0/16"),
    "IPv4 network": ({"/"}, {4}, "IPv4 network such as 10.1.0.0/16"),
    "IPv4 address": ({""}, {4}, "IPv4 address"),
    "address or network": ({"", "/"}, {4, 6}, "network such as 10.1.0.0/16"),
}


def is_one(value: t.Any, slashes: set[str], versions: set[int]) -> bool:
    address, slash, prefix = str(value).partition("/")
    # Masks written in full are read by Python, and by hardly any of the programs.
    if slash not in slashes or (slash and not prefix.isdecimal()):
        return False
    try:
        return ipaddress.ip_network(f"{address}{slash}{prefix}", strict=False).version in versions
    except ValueError:
        return False


def misread_addresses(values: t.Any, variable: str, kind: str = "network") -> list[str]:
    if kind not in KINDS:
        raise AnsibleFilterError(f"misread_addresses: kind {kind!r} is none of {', '.join(KINDS)}")
    slashes, versions, words = KINDS[kind]
    verb, items = ("is", [values]) if isinstance(values, str) else ("has", values)
    return [f"{variable} {verb} {item}, which is no {words}" for item in items if not is_one(item, slashes, versions)]


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"misread_addresses": misread_addresses}
