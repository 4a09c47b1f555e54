# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the volume of an lnd may be used: two lnd with one seed lose money, and so does a new seed in the place of one that has some."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.filter.lnd_fence import lnd_fence


def problem(fence="", made=False, **found):
    look = {"number": "", "wallet": "", "awaited": "", "used": "", **found}
    return lnd_fence(look, "lightning-1", "home", fence, made)


@pytest.mark.parametrize(
    ("fence", "made", "found"),
    [
        # Nothing is there yet; a first run was killed at any of its steps.
        ("", False, {}),
        ("1 1000", False, {}),
        ("1 1000", False, {"number": "1"}),
        ("1 1000", True, {"number": "1"}),
        ("1 1000", True, {"number": "1", "wallet": "wallet.db"}),
        ("1 1000", True, {"number": "1", "wallet": "wallet.db", "used": "seed.sealed"}),
        # A restore was prepared, and is done.
        ("2 1000", True, {"number": "2", "awaited": "seed.awaited"}),
        ("2 1000", True, {"number": "2", "wallet": "wallet.db", "used": "seed.confirmed"}),
    ],
)
def test_it_may(fence, made, found):
    assert problem(fence, made, **found) == ""


@pytest.mark.parametrize(
    ("fence", "made", "found", "words"),
    [
        ("1 1000", True, {}, "has had a wallet, and its volume is empty"),
        ("1 1000", True, {"number": "1", "used": "seed.sealed"}, "there is none on its volume any more"),
        ("2 1000", True, {"number": "1", "wallet": "w"}, "restored elsewhere, and this one never starts again"),
        ("1 1000", True, {"number": "2", "wallet": "w"}, "the secrets are older than the volume"),
        ("", False, {"number": "1"}, "secret lnd-lightning-1-fence of site home is missing"),
        ("", True, {}, "secret lnd-lightning-1-fence of site home is missing"),
        ("", False, {"wallet": "w"}, "was not made by this site"),
        ("1 1000", False, {"wallet": "w"}, "was not made by this site"),
        ("1 1000", True, {"number": "x"}, "cannot be read"),
        ("1 1000", True, {"number": "0"}, "cannot be read"),
    ],
)
def test_it_may_not(fence, made, found, words):
    said = problem(fence, made, **found)
    assert words in said
    assert said.endswith("Nothing was changed.")


@pytest.mark.parametrize("fence", ["1", "x 1000", "0 1000", "1 2 3", "1 x"])
def test_a_secret_that_is_none(fence):
    with pytest.raises(AnsibleFilterError, match="cannot be read"):
        problem(fence, True, number="1")
