# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.filter.network_overlaps import network_overlaps


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("172.30.0.0/16", "10.64.0.0/16", False),
        ("172.30.0.0/16", "172.30.4.0/24", True),
        ("172.30.4.0/24", "172.16.0.0/12", True),
        ("fd00::/8", "10.0.0.0/8", False),
    ],
)
def test_pairs(one, other, overlap):
    assert network_overlaps([one], [other]) == ([f"{one} and {other}"] if overlap else [])


def test_what_is_no_network_is_named():
    with pytest.raises(AnsibleFilterError, match=r"10\.0\.0\.1/8"):
        network_overlaps(["10.0.0.1/8"], ["10.0.0.0/8"])
