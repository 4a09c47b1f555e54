# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import decode, encode, public_of
from ansible_collections.bcm.datacenter.plugins.modules.onion_client_key import (
    KeyFileError,
    KeyPair,
    parse,
    plain_address,
)

ADDRESS = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd"
# The second pair of RFC 7748, section 6.1.
PRIVATE = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
PUBLIC = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")


@pytest.fixture
def pair(tmp_path: Path) -> KeyPair:
    return again(tmp_path)


def again(directory: Path, check_mode: bool = False) -> KeyPair:
    return KeyPair(directory / "a.auth_private", directory / "a.auth", check_mode)


def test_the_public_key_is_that_of_the_private_one() -> None:
    assert public_of(PRIVATE) == PUBLIC


def test_a_key_is_made_once_and_completed_with_its_address(pair: KeyPair, tmp_path: Path) -> None:
    made = pair.ensure(None, False)
    assert made
    assert pair.changed
    assert pair.path.read_text() == f"descriptor:x25519:{encode(made.private)}\n"
    assert pair.path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a.auth").read_text() == f"descriptor:x25519:{encode(public_of(made.private))}\n"
    second = again(tmp_path)
    assert second.ensure(None, False) == made
    assert not second.changed
    third = again(tmp_path)
    third.ensure(ADDRESS, False)
    assert third.changed
    assert pair.path.read_text() == f"{ADDRESS}:descriptor:x25519:{encode(made.private)}\n"
    # An address that is not named again stays.
    fourth = again(tmp_path)
    fourth.ensure(None, False)
    assert not fourth.changed


def test_a_new_key_in_place_of_the_old_one(pair: KeyPair, tmp_path: Path) -> None:
    old = pair.ensure(ADDRESS, False)
    second = again(tmp_path)
    new = second.ensure(None, True)
    assert old
    assert new
    assert new.private != old.private
    assert new.address == ADDRESS
    assert parse(pair.path.read_text(), pair.path) == new


def test_what_is_told_has_no_private_key(pair: KeyPair) -> None:
    made = pair.ensure(ADDRESS, False)
    assert made
    assert encode(made.private) not in str([pair.before, pair.after])


@pytest.mark.parametrize(
    "text", ["", "descriptor:x25519:SHORT\n", f"{ADDRESS[1:]}:descriptor:x25519:{encode(PRIVATE)}", "something else"]
)
@pytest.mark.parametrize("regenerate", [False, True])
def test_a_broken_file_is_left_alone(pair: KeyPair, text: str, regenerate: bool) -> None:
    pair.path.write_text(text)
    with pytest.raises(KeyFileError, match=r"a\.auth_private is not a client key"):
        pair.ensure(None, regenerate)
    assert pair.path.read_text() == text


def test_check_mode_writes_nothing(pair: KeyPair, tmp_path: Path) -> None:
    check = again(tmp_path, check_mode=True)
    assert check.ensure(ADDRESS, False) is None
    assert check.changed
    assert list(tmp_path.iterdir()) == []
    pair.ensure(ADDRESS, False)
    before = {path: path.read_text() for path in tmp_path.iterdir()}
    check = again(tmp_path, check_mode=True)
    assert check.ensure(None, False)
    assert not check.changed
    check.remove()
    assert check.changed
    assert {path: path.read_text() for path in tmp_path.iterdir()} == before


def test_what_others_could_read_is_made_private(pair: KeyPair, tmp_path: Path) -> None:
    pair.ensure(None, False)
    pair.path.chmod(0o644)
    second = again(tmp_path)
    second.ensure(None, False)
    assert second.changed
    assert pair.path.stat().st_mode & 0o777 == 0o600


def test_removed(pair: KeyPair, tmp_path: Path) -> None:
    pair.ensure(None, False)
    second = again(tmp_path)
    second.remove()
    assert second.changed
    assert list(tmp_path.iterdir()) == []
    third = again(tmp_path)
    third.remove()
    assert not third.changed


def test_base32_that_stands_for_no_key() -> None:
    assert decode(encode(PRIVATE)) == PRIVATE
    # The last character has bits that belong to no key.
    assert decode(encode(PRIVATE)[:-1] + "B") is None
    assert decode("0" * 52) is None


def test_addresses() -> None:
    assert plain_address(f"{ADDRESS.upper()}.onion") == ADDRESS
    assert plain_address("") is None
    with pytest.raises(KeyFileError, match="version 3"):
        plain_address("expyuzz4wqqyqhjn.onion")
