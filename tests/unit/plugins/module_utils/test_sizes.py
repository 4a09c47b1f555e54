# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bcm.datacenter.plugins.module_utils import _sizes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("512MiB", 512 * 1024**2),
        ("4 GiB", 4 * 1024**3),
        ("1.5TiB", 3 * 1024**4 // 2),
        ("80GB", 80_000_000_000),
        (7, 7),
        ("0B", 0),
    ],
)
def test_sizes(text, expected):
    assert _sizes.to_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "4", "4gib", "GiB", "-1GiB", "4GiB4", "1e3MiB", True, "4G"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="is not a size"):
        _sizes.to_bytes(text)


@given(st.integers(min_value=0, max_value=2**60))
def test_text_of_a_size_means_the_same_size(size):
    assert _sizes.to_bytes(_sizes.to_text(size)) == size
