# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import (
    PUBLIC_HEAD,
    SECRET_HEAD,
    address_of,
    is_address,
    onion_keys,
    public_in,
)

# Addresses of the Tor Project's own, as everybody can look them up.
PUBLISHED = [
    "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion",
    "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion",
]
# The first test of RFC 8032, section 7.1.
SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


def test_the_public_key_is_that_of_the_seed() -> None:
    keys = onion_keys(SEED)
    assert keys.public_file == PUBLIC_HEAD + PUBLIC
    assert public_in(keys.public_file) == PUBLIC
    assert keys.address == address_of(PUBLIC)


def test_the_secret_file_is_what_tor_keeps() -> None:
    secret = onion_keys(SEED).secret_file
    assert len(secret) == 96
    assert secret.startswith(SECRET_HEAD)
    # A scalar that has been clamped.
    assert secret[32] & 7 == 0
    assert secret[63] & 0b11000000 == 0b01000000


@pytest.mark.parametrize("address", PUBLISHED)
def test_addresses_that_are_known_are_ones(address: str) -> None:
    assert is_address(address)
    assert not is_address(address.removesuffix(".onion"))
    # A letter that was mistyped.
    assert not is_address("a" + address[1:] if address[0] != "a" else "b" + address[1:])


def test_another_file_is_no_key() -> None:
    with pytest.raises(ValueError, match="not the public key"):
        public_in(b"something else")
    with pytest.raises(ValueError, match="32 bytes"):
        onion_keys(SEED[1:])
