# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Macaroons as lnd makes them: one that was baked by an lnd 0.20.1 long gone, and what is none."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bcm.datacenter.plugins.module_utils import _lnd_macaroon as sut

REAL = bytes.fromhex(
    "0201036c6e640245030a1030223498904ff85ab25e3d46e82578d71201371a0c0a04696e666f1204726561641a1f0a037572"
    "6912182f6c6e7270632e4c696768746e696e672f476574496e666f000006203031b3a3ada1426cf5beba9fdf0a8ad2fd52d5"
    "d87ad03ac6920b7a0de02eb3b5"
)


def test_one_that_lnd_has_baked_says_what_it_permits() -> None:
    found = sut.parse(REAL)
    assert found.words() == ["info:read", "uri:/lnrpc.Lightning/GetInfo"]
    assert (found.root_key_id, found.location, found.caveats) == (7, b"lnd", ())
    assert found.binary() == REAL


def test_one_that_is_made_narrower_keeps_what_it_permits() -> None:
    found = sut.parse(REAL)
    narrow = found.narrowed("ipaddr 10.0.0.1")
    again = sut.parse(narrow.binary())
    assert again.conditions() == ["ipaddr 10.0.0.1"]
    assert again.words() == found.words()
    assert again.signature == hmac.new(found.signature, b"ipaddr 10.0.0.1", hashlib.sha256).digest()


def test_what_is_long_is_packed_and_unpacked() -> None:
    long = sut.parse(REAL).narrowed("x" * 1000)
    assert sut.parse(long.binary()).conditions() == ["x" * 1000]


@given(st.binary(max_size=300))
def test_what_is_none_is_refused_and_nothing_else_happens(data: bytes) -> None:
    for raw in (data, REAL[:20] + data, REAL[: len(data) % len(REAL)], REAL + data if data else b""):
        with pytest.raises(sut.MacaroonError):
            sut.parse(raw)


def test_the_error_does_not_tell_what_is_in_it() -> None:
    with pytest.raises(sut.MacaroonError) as caught:
        sut.parse(REAL[:-1])
    assert REAL.hex()[10:20] not in str(caught.value)
    assert REAL.hex()[-20:] not in repr(sut.parse(REAL))


@pytest.mark.parametrize(
    "text",
    [
        REAL.hex(),
        base64.b64encode(REAL).decode(),
        base64.urlsafe_b64encode(REAL).decode().rstrip("="),
        f" {REAL.hex()}\n",
    ],
)
def test_it_is_read_however_it_is_written(text: str) -> None:
    assert sut.decoded(text) == REAL


def test_what_is_written_otherwise_is_refused() -> None:
    with pytest.raises(sut.MacaroonError, match="neither"):
        sut.decoded("!" * 9)


@pytest.mark.parametrize(
    ("word", "permission"),
    [
        ("info:read", ("info", "read")),
        ("macaroon:generate", ("macaroon", "generate")),
        ("uri:/lnrpc.Lightning/GetInfo", ("uri", "/lnrpc.Lightning/GetInfo")),
    ],
)
def test_permissions_are_read(word: str, permission: sut.Permission) -> None:
    assert sut.permission(word) == permission


@pytest.mark.parametrize(
    "word", ["info", "info:", "info:/lnrpc.Lightning/GetInfo", "uri:read", "Info:read", "info:read ", "*:*", ""]
)
def test_what_is_no_permission_is_refused(word: str) -> None:
    with pytest.raises(sut.MacaroonError, match="allowed: ENTITY:ACTION"):
        sut.permission(word)
