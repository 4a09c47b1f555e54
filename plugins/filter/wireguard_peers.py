# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: wireguard_peers
short_description: Peers of WireGuard with their public keys
version_added: 0.1.0
description:
  - Gives each peer the public key that it was given, or that of the host of its name, which the P(bcm.datacenter.wireguard#role) role has
    made its fact C(wireguard_public_key), or the one by which it was known here so far. One that is known by none has an empty one.
positional: _input, hostvars, known
options:
  _input:
    description: Peers, each with C(name), C(endpoint) and C(address), and perhaps C(public_key).
    type: list
    elements: dict
    required: true
  hostvars:
    description: Variables of all hosts.
    type: dict
    required: true
  known:
    description: Public keys by the names of peers, as this endpoint has written them down.
    type: dict
    default: {}
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: Whom this endpoint knows
  ansible.builtin.debug:
    msg: "{{ [{'name': 'rack-2', 'endpoint': '192.0.2.2', 'address': '10.77.48.2'}] | bcm.datacenter.wireguard_peers(hostvars) }}"
"""

RETURN = r"""
_value:
  description: Peers with C(name), C(endpoint), C(address) and C(public_key), by their names.
  type: list
  elements: dict
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _wireguard


def wireguard_peers(
    peers: Sequence[Mapping[str, Any]],
    hostvars: Mapping[str, Mapping[str, Any]],
    known: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    return _wireguard.with_keys(peers, hostvars, known or {})


class FilterModule:
    def filters(self) -> dict[str, object]:
        return {"wireguard_peers": wireguard_peers}
