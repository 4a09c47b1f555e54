# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bcm.datacenter.plugins.filter.onion_findings import onion_findings
from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import encode

KEY = encode(b"k" * 32)
GOOD: dict[str, Any] = {
    "name": "lnd-app-1",
    "ports": [{"virtual": 8080, "target_host": "10.10.2.11", "target_port": 8080}],
    "clients": ["alice", {"name": "bob", "public_key": KEY}],
}


def test_nothing_is_wrong_with_these() -> None:
    open_one = {**GOOD, "name": "bitcoin-app-1", "clients": [], "client_authorisation": False, "public": True}
    assert onion_findings([GOOD, open_one, {"name": "old", "state": "absent"}]) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Lnd"}, "onion_service_list[0].name: 'Lnd' is not a name"),
        ({"ports": []}, "onion_service_list[0].ports: there is none"),
        ({"ports": GOOD["ports"] * 2}, "onion_service_list[0].ports[1].virtual: 8080 is that of ports[0] already"),
        ({"clients": ["a b"]}, "clients[0].name: 'a b' is not a name"),
        ({"clients": ["a", "a"]}, "clients[1].name: a is clients[0] already"),
        ({"clients": [{"name": "a", "public_key": "x"}]}, "clients[0].public_key: it is not 52 characters"),
        ({"clients": [{"name": "a", "key": KEY}]}, "clients[0]: it is neither a name nor a mapping"),
        ({"clients": [1]}, "clients[0]: it is neither a name nor a mapping"),
        ({"client_authorisation": False}, "clients: with client_authorisation: false everybody comes in"),
        ({"public": True}, "public: it goes with client_authorisation: false"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], words: str) -> None:
    (found,) = onion_findings([{**GOOD, **change}])
    assert words in found


def test_all_of_it_at_once() -> None:
    assert len(onion_findings([GOOD, GOOD, {"name": "", "ports": []}])) == 3
