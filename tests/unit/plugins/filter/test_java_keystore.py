# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keystores as Java reads them. That it does was seen with keytool of Java 17, which gave the key back as it was."""

from __future__ import annotations

import base64
import hashlib
import struct

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.filter.java_keystore import java_keystore

PASSWORD = "correct horse"


def sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def pem(kind: str, data: bytes) -> str:
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(data).decode()}-----END {kind}-----\n"


KEY, CERTIFICATE, AUTHORITY = b"k" * 138, b"c" * 300, b"a" * 200


def take(data: bytes, form: str) -> tuple[tuple[int, ...], bytes]:
    size = struct.calcsize(form)
    return struct.unpack(form, data[:size]), data[size:]


def body_of(keystore: str, password: str = PASSWORD) -> bytes:
    """What is in a keystore whose checksum is right."""
    data = base64.b64decode(keystore)
    body, checksum = data[:-20], data[-20:]
    assert checksum == sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + body)
    return body


def test_authorities_are_trusted() -> None:
    (magic, version, count), rest = take(
        body_of(java_keystore(pem("CERTIFICATE", CERTIFICATE) + pem("CERTIFICATE", AUTHORITY), password=PASSWORD)),
        ">III",
    )
    assert (magic, version, count) == (0xFEEDFEED, 2, 2)
    for number, expected in enumerate((CERTIFICATE, AUTHORITY)):
        (tag, length), rest = take(rest, ">IH")
        assert (tag, rest[:length]) == (2, f"trusted-{number}".encode())
        (made, length), rest = take(rest[length:], ">QH")
        assert (made, rest[:length]) == (0, b"X.509")
        (length,), rest = take(rest[length:], ">I")
        assert rest[:length] == expected
        rest = rest[length:]
    assert rest == b""


def test_a_key_comes_with_its_certificates_and_can_be_had_again() -> None:
    certificates = pem("CERTIFICATE", CERTIFICATE) + pem("CERTIFICATE", AUTHORITY)
    body = body_of(java_keystore(certificates, pem("PRIVATE KEY", KEY), PASSWORD))
    assert KEY not in body
    (_magic, _version, count), rest = take(body, ">III")
    (tag, length), rest = take(rest, ">IH")
    assert (count, tag, rest[:length]) == (1, 1, b"own")
    (_made, length), rest = take(rest[length:], ">QI")
    hidden, rest = rest[:length], rest[length:]
    (chain,), rest = take(rest, ">I")
    assert chain == 2
    assert rest.index(CERTIFICATE) < rest.index(AUTHORITY)

    # What is protected ends with the salt, the key, and the checksum over it.
    salted = hidden[-(20 + len(KEY) + 20) :]
    secret, digest, plain = PASSWORD.encode("utf-16-be"), salted[:20], b""
    for begin in range(20, 20 + len(KEY), 20):
        digest = sha1(secret + digest)
        part = salted[begin : min(begin + 20, 20 + len(KEY))]
        plain += bytes(one ^ other for one, other in zip(part, digest, strict=False))
    assert plain == KEY
    assert salted[-20:] == sha1(secret + KEY)


def test_the_same_gives_the_same() -> None:
    made = {java_keystore(pem("CERTIFICATE", CERTIFICATE), pem("PRIVATE KEY", KEY), PASSWORD) for _again in range(3)}
    assert len(made) == 1


@pytest.mark.parametrize(
    ("certificates", "key", "password", "words"),
    [
        ("", "", PASSWORD, "no certificate"),
        (pem("CERTIFICATE", CERTIFICATE), "", "short", "fewer than 6"),
        (pem("CERTIFICATE", CERTIFICATE), pem("EC PRIVATE KEY", KEY), PASSWORD, "PKCS 8"),
    ],
)
def test_what_cannot_be_is_refused(certificates: str, key: str, password: str, words: str) -> None:
    with pytest.raises(AnsibleFilterError, match=words):
        java_keystore(certificates, key, password)
