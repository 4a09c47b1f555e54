# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A declared signer without a key gets the one that is known by its fingerprint."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from ansible_collections.bcm.datacenter.plugins.filter.signer_keys import signer_keys

CHECKOUT = Path(__file__).parents[4]


def test_signers_are_completed_on_the_controller(tmp_path):
    (tmp_path / "a.asc").write_text("armoured")
    known = [{"name": "b", "fingerprint": "B", "key": "https://keys/b"}]
    signers = [
        {"name": "a", "fingerprint": "A", "key": str(tmp_path / "a.asc"), "source": None},
        {"name": "b", "fingerprint": "B", "key": None},
        {"name": "c", "fingerprint": "C"},
    ]
    assert signer_keys(signers, known) == [
        {"name": "a", "fingerprint": "A", "key": "armoured"},
        {"name": "b", "fingerprint": "B", "key": "https://keys/b"},
        {"name": "c", "fingerprint": "C"},
    ]


def test_builders_that_the_role_knows_are_names_and_fingerprints():
    makers = yaml.safe_load((CHECKOUT / "roles/bitcoin_node/vars/main.yml").read_text())["bitcoin_node_makers"]
    for maker in makers.values():
        # YAML takes an unquoted 0xb10c for a number.
        assert all(isinstance(name, str) for name in maker["builders"])
        assert all(re.fullmatch(r"[0-9A-F]{40}", fingerprint) for fingerprint in maker["builders"].values())
        assert len(maker["builders"]) >= maker["required"] >= 2
