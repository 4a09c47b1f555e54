# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who relies on which node."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _bitcoin_nodes as sut
from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration_kinds import default_of
from ansible_collections.bcm.datacenter.plugins.plugin_utils._declaration_schema import NODE


def data(lightning: dict[str, Any] | None) -> dict[str, Any]:
    own = {name: default_of(kind) for name, kind in NODE.items()}
    bitcoin = {**own, "tier": "bitcoin", "chains": {"signet": {**own, "tier": None}}}
    tiers = {"bitcoin": {"size": {"memory": "4GiB"}}}
    return {"chain": "mainnet", "tiers": tiers, "stacks": {"bitcoin": bitcoin, "lightning": lightning}}


@pytest.mark.parametrize(
    ("lightning", "backed"),
    [
        (None, []),
        ({"tier": "lightning"}, ["mainnet"]),
        ({"tier": "lightning", "chain": None}, ["mainnet"]),
        ({"tier": "lightning", "chain": "signet"}, ["signet"]),
        ({"tier": "lightning", "enabled": False}, []),
    ],
)
def test_the_sites_lnd_relies_on_the_node_of_its_chain(lightning: dict[str, Any] | None, backed: list[str]) -> None:
    nodes = sut.expand(data(lightning))
    assert [node["chain"] for node in nodes if node["backs_lightning"]] == backed
    assert [one for node in nodes for one in node["consumers"]] == [{"name": "lnd", "tier": "lightning"}] * len(backed)


def test_names_of_two_nodes_have_nothing_in_common() -> None:
    first, second = sut.nodes(data(None))
    assert (first.prefix, second.prefix) == ("bitcoin", "bitcoin-signet")
    assert first.volume != second.volume
    assert second.tier == "bitcoin"
