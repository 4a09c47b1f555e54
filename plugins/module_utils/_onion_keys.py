# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""The keys of version 3 onions and of their clients, in the forms that tor reads and writes. Nothing here reads or writes a file.

What making them needs is in functions that import it: a server that is only given keys does without.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import re

ADDRESS = re.compile(r"[a-z2-7]{56}")
KEY_BYTES = 32
VERSION = b"\x03"
# What tor writes before the keys of an onion, filled up to 32 bytes (src/lib/crypt_ops/crypto_ed25519.c).
SECRET_HEAD = b"== ed25519v1-secret: type0 ==".ljust(32, b"\x00")
PUBLIC_HEAD = b"== ed25519v1-public: type0 ==".ljust(32, b"\x00")


def encode(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=")


def decode(text: str) -> bytes | None:
    """The key that Base32 without padding stands for, None if it is none."""
    try:
        raw = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        return None
    # Also where the last bits do not belong to a key, which tor would not take.
    return raw if len(raw) == KEY_BYTES and encode(raw) == text.upper() else None


# -- of clients: x25519 ---------------------------------------------------------------------------------------------


def new_key() -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return X25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


def public_of(private: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


# -- of onions: ed25519 ---------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class OnionKeys:
    """The files of an onion, and its address with C(.onion)."""

    address: str
    secret_file: bytes
    public_file: bytes


def address_of(public: bytes) -> str:
    """The address of an onion, from its public key (rend-spec-v3, section 6)."""
    checksum = hashlib.sha3_256(b".onion checksum" + public + VERSION).digest()[:2]
    return base64.b32encode(public + checksum + VERSION).decode().lower() + ".onion"


def is_address(text: str) -> bool:
    """Whether it is an onion's address, with C(.onion), to its last letter."""
    plain = text.removesuffix(".onion")
    if plain == text or not ADDRESS.fullmatch(plain):
        return False
    return address_of(base64.b32decode(plain.upper())[:KEY_BYTES]) == text


def onion_keys(seed: bytes) -> OnionKeys:
    """What tor needs of an onion whose key comes from a seed of 32 bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if len(seed) != KEY_BYTES:
        raise ValueError(f"a seed has {KEY_BYTES} bytes, and this one {len(seed)}")
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    # What RFC 8032, section 5.1.5, makes of a seed first, which is what tor keeps.
    expanded = bytearray(hashlib.sha512(seed).digest())
    expanded[0] &= 248
    expanded[31] &= 63
    expanded[31] |= 64
    return OnionKeys(address_of(public), SECRET_HEAD + bytes(expanded), PUBLIC_HEAD + public)


def public_in(public_file: bytes) -> bytes:
    """The public key in a file of tor's.

    :raises ValueError: it is another file.
    """
    if len(public_file) != len(PUBLIC_HEAD) + KEY_BYTES or not public_file.startswith(PUBLIC_HEAD):
        raise ValueError("this is not the public key of an onion as tor keeps it")
    return public_file[len(PUBLIC_HEAD) :]
