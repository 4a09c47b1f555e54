# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A declared signer without a key gets the one that is known by its fingerprint."""

from __future__ import annotations

from ansible_collections.bcm.datacenter.plugins.filter.signer_keys import signer_keys


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
