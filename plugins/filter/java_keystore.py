# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates and keys as Java reads them where it reads no PEM."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: java_keystore
short_description: Certificates, or a key with its certificate, as a keystore of Java's
version_added: 0.1.0
description:
  - Turns PEM into a keystore of the type JKS, which every Java reads. Some programs, such as Kafka Connect's REST, cannot read PEM.
  - The same input gives the same keystore to the last byte, so that a file with it changes only when the certificate does.
  - >-
    The password is one that Java asks for, and no protection: what JKS does with it is known to be weak. Whoever may read the file may as well read
    the key, so protect the file.
options:
  _input:
    description:
      - Certificates in PEM. With O(key) the first one is that of the key, and the others are those of who has signed it. Without, all of them are
        authorities to be trusted.
    type: str
    required: true
  key:
    description: The private key, in PEM as PKCS 8, without a password.
    type: str
    default: ''
  password:
    description: Password of the keystore, and of the key in it.
    type: str
    required: true
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
"""

EXAMPLES = r"""
- name: What a server in Java shows, and whom it trusts
  bcm.datacenter.files:
    files:
      - path: /etc/server/server.jks
        content_base64: "{{ my.certificate | bcm.datacenter.java_keystore(my.key, my_password) }}"
        sensitive: true
      - path: /etc/server/trusted.jks
        content_base64: "{{ my_authority | bcm.datacenter.java_keystore(password=my_password) }}"
"""

RETURN = r"""
_value:
  description: The keystore, in Base64.
  type: str
"""

MAGIC = 0xFEEDFEED
VERSION = 2
PRIVATE_KEY = 1
TRUSTED = 2
# Java's own way of protecting a key (1.3.6.1.4.1.42.2.17.1.1), with nothing to say beside it.
PROTECTED_BY = bytes.fromhex("300e060a2b060104012a021101010500")
# When an entry was made nobody asks, and the same input is to give the same file.
MADE = 0
BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.+?)-----END \1-----", re.DOTALL)


def blocks(text: str, kind: str) -> list[bytes]:
    """What stands in the blocks of this KIND in PEM."""
    return [base64.b64decode("".join(body.split())) for name, body in BLOCK.findall(text) if name == kind]


def _sha1(*parts: bytes) -> bytes:
    return hashlib.sha1(b"".join(parts), usedforsecurity=False).digest()


def _counted(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _word(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode("ascii")


def _der(tag: int, data: bytes) -> bytes:
    length = len(data)
    if length < 128:
        head = bytes([length])
    else:
        digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
        head = bytes([0x80 | len(digits)]) + digits
    return bytes([tag]) + head + data


def protected(key: bytes, password: bytes) -> bytes:
    """KEY as Java's keystores have it: exclusive-or with a chain of hashes that begins with a salt, then a checksum."""
    salt = chain = _sha1(b"salt", password, key)
    hidden = bytearray()
    for begin in range(0, len(key), len(chain)):
        chain = _sha1(password, chain)
        hidden += bytes(one ^ other for one, other in zip(key[begin : begin + len(chain)], chain, strict=False))
    return _der(0x30, PROTECTED_BY + _der(0x04, salt + bytes(hidden) + _sha1(password, key)))


def _certificate(der: bytes) -> bytes:
    return _word("X.509") + _counted(der)


def keystore(certificates: list[bytes], key: bytes | None, password: str) -> bytes:
    """The keystore with KEY and its CERTIFICATES, or with all of these as authorities."""
    secret = password.encode("utf-16-be")
    made = struct.pack(">Q", MADE)
    if key is None:
        entries = [
            struct.pack(">I", TRUSTED) + _word(f"trusted-{number}") + made + _certificate(der)
            for number, der in enumerate(certificates)
        ]
    else:
        chain = struct.pack(">I", len(certificates)) + b"".join(map(_certificate, certificates))
        entries = [struct.pack(">I", PRIVATE_KEY) + _word("own") + made + _counted(protected(key, secret)) + chain]
    data = struct.pack(">III", MAGIC, VERSION, len(entries)) + b"".join(entries)
    return data + _sha1(secret, b"Mighty Aphrodite", data)


def java_keystore(certificates: str, key: str = "", password: str = "") -> str:
    """Return CERTIFICATES, with KEY if there is one, as a keystore in Base64."""
    found = blocks(certificates, "CERTIFICATE")
    if not found:
        raise AnsibleFilterError("java_keystore: there is no certificate in PEM in its input")
    # Java takes no shorter one when it writes.
    if len(password) < 6:
        raise AnsibleFilterError("java_keystore: password has fewer than 6 characters")
    own = None
    if key:
        keys = blocks(key, "PRIVATE KEY")
        if len(keys) != 1:
            raise AnsibleFilterError("java_keystore: key is not one private key in PEM as PKCS 8 (BEGIN PRIVATE KEY)")
        own = keys[0]
    return base64.b64encode(keystore(found, own, password)).decode()


class FilterModule:
    """The filter under its name."""

    def filters(self) -> dict[str, Any]:
        return {"java_keystore": java_keystore}
