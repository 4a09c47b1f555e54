# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.filter.misread_addresses import KINDS, misread_addresses

READ_AS = {
    "10.1.0.0/16": {"network", "IPv4 network", "address or network"},
    # As nginx, Squid and nft read it: the rest of the address does not count.
    "10.1.2.3/16": {"network", "IPv4 network", "address or network"},
    "10.1.2.3": {"IPv4 address", "address or network"},
    "fd00::/8": {"network", "address or network"},
    "fd00::1": {"address or network"},
    "10.1.0.0/255.255.0.0": set(),
    "10.1.0.0/33": set(),
    "10.1.0.0/": set(),
    "999.1.1.1/8": set(),
    "home": set(),
    "": set(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", READ_AS)
def test_each_kind(value, kind):
    assert (misread_addresses([value], "clients", kind) == []) == (kind in READ_AS[value])


def test_each_is_named_with_its_variable():
    found = misread_addresses(["10.1.0.0/16", "home", "10.2.0.1"], "clients")
    assert found == [
        "clients has home, which is no network such as 10.1.0.0/16",
        "clients has 10.2.0.1, which is no network such as 10.1.0.0/16",
    ]
    assert misread_addresses("home", "address", "IPv4 address") == ["address is home, which is no IPv4 address"]
    assert misread_addresses("10.2.0.1", "address", "IPv4 address") == []


def test_a_kind_that_is_none():
    with pytest.raises(AnsibleFilterError, match="IPv5"):
        misread_addresses([], "clients", "IPv5 network")
