# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: it may change in any release.

"""What a macaroon of lnd's says, and how it is made narrower. All without I/O.

The format is version 2 of libmacaroons, binary: a 2, then packets of (type, length, bytes), sections that end with a 0. lnd's identifier
is a 3 and a message of Protocol Buffers: 1 nonce, 2 ID of the root key as digits, 3 what it permits (1 entity, 2 actions).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import typing as t
from dataclasses import dataclass, field

VERSION = 2
IDENTIFIER_VERSION = 3
END = 0
LOCATION = 1
IDENTIFIER = 2
VERIFICATION = 4
SIGNATURE = 6
SIGNATURE_BYTES = 32
# Nothing that lnd makes comes near it.
LONGEST = 65536
# What lnd puts before its caveats on the caller's address and on the end of its time.
ADDRESS_CAVEAT = "ipaddr"
TIME_CAVEAT = "time-before"

Permission = tuple[str, str]
PERMISSION = re.compile(r"(?P<entity>[a-z]+):(?P<action>[a-z]+|/[A-Za-z0-9_.]+/[A-Za-z0-9_]+)")


class MacaroonError(Exception):
    """Something that is no macaroon of lnd's. The text never repeats what it says."""


@dataclass(frozen=True)
class Macaroon:
    """A macaroon as it is kept."""

    location: bytes
    identifier: bytes
    caveats: tuple[bytes, ...]
    signature: bytes = field(repr=False)
    root_key_id: int = 0
    permissions: frozenset[Permission] = frozenset()

    def words(self) -> list[str]:
        """Its permissions as lncli writes them."""
        return sorted(f"{entity}:{action}" for entity, action in self.permissions)

    def conditions(self) -> list[str]:
        return [caveat.decode("utf-8", "replace") for caveat in self.caveats]

    def narrowed(self, caveat: str) -> Macaroon:
        """The same with one more condition, for which nobody has to be asked."""
        raw = caveat.encode()
        signature = hmac.new(self.signature, raw, hashlib.sha256).digest()
        return Macaroon(
            self.location, self.identifier, (*self.caveats, raw), signature, self.root_key_id, self.permissions
        )

    def binary(self) -> bytes:
        out = bytearray([VERSION])
        if self.location:
            out += _packet(LOCATION, self.location)
        out += _packet(IDENTIFIER, self.identifier)
        out.append(END)
        for caveat in self.caveats:
            out += _packet(IDENTIFIER, caveat)
            out.append(END)
        out.append(END)
        return bytes(out + _packet(SIGNATURE, self.signature))


def _packet(kind: int, data: bytes) -> bytes:
    return bytes([kind]) + _number(len(data)) + data


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


class _Reader:
    """Bytes from first to last; an end that comes too early is an error."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def left(self) -> bool:
        return self.at < len(self.data)

    def peek(self) -> int:
        if not self.left():
            raise MacaroonError("it ends too early")
        return self.data[self.at]

    def byte(self) -> int:
        value = self.peek()
        self.at += 1
        return value

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
            shift += 7
            if shift > 63:
                raise MacaroonError("it has a number that is too long")

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise MacaroonError("it ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def packet(self) -> tuple[int, bytes]:
        kind = self.byte()
        return kind, self.take(self.number())


def parse(data: bytes) -> Macaroon:
    """The macaroon that bytes stand for.

    :raises MacaroonError: if they stand for none of lnd's.
    """
    if not 0 < len(data) <= LONGEST:
        raise MacaroonError("it is empty" if not data else "it is too long")
    reader = _Reader(data)
    if reader.byte() != VERSION:
        raise MacaroonError("it is none of version 2")
    header = _section(reader)
    caveats = []
    while reader.peek() != END:
        section = _section(reader)
        if VERIFICATION in section or LOCATION in section:
            raise MacaroonError("it has a condition that a third party would have to confirm, which lnd never makes")
        caveats.append(section[IDENTIFIER])
    reader.byte()
    kind, signature = reader.packet()
    if kind != SIGNATURE or len(signature) != SIGNATURE_BYTES or reader.left():
        raise MacaroonError("its end is not that of a macaroon")
    identifier = header[IDENTIFIER]
    root_key_id, permissions = _identified(identifier)
    return Macaroon(header.get(LOCATION, b""), identifier, tuple(caveats), signature, root_key_id, permissions)


def _section(reader: _Reader) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while reader.peek() != END:
        kind, data = reader.packet()
        if kind in found or kind not in (LOCATION, IDENTIFIER, VERIFICATION):
            raise MacaroonError("it has a part that does not belong there")
        found[kind] = data
    reader.byte()
    if IDENTIFIER not in found:
        raise MacaroonError("a part of it has no identifier")
    return found


def _fields(data: bytes) -> t.Iterator[tuple[int, bytes]]:
    """The fields of a message. All of lnd's are of bytes."""
    reader = _Reader(data)
    while reader.left():
        key = reader.number()
        if key & 7 != 2:
            raise MacaroonError("its identifier is not lnd's")
        yield key >> 3, reader.take(reader.number())


def _identified(identifier: bytes) -> tuple[int, frozenset[Permission]]:
    if identifier[:1] != bytes([IDENTIFIER_VERSION]):
        raise MacaroonError("its identifier is not lnd's")
    root_key = b""
    permissions: set[Permission] = set()
    try:
        for number, data in _fields(identifier[1:]):
            if number == 2:
                root_key = data
            elif number == 3:
                fields = list(_fields(data))
                entity = next((value.decode() for which, value in fields if which == 1), "")
                permissions |= {(entity, value.decode()) for which, value in fields if which == 2}
    except UnicodeDecodeError as exc:
        raise MacaroonError("its identifier is not lnd's") from exc
    if not re.fullmatch(rb"[0-9]{1,20}", root_key):
        raise MacaroonError("the ID of its root key is no number, as it is with lnd")
    return int(root_key), frozenset(permissions)


def decoded(text: str) -> bytes:
    """The bytes of a macaroon in hexadecimal or Base64."""
    plain = "".join(text.split())
    try:
        return bytes.fromhex(plain)
    except ValueError:
        pass
    try:
        raw = base64.b64decode(plain.replace("-", "+").replace("_", "/") + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise MacaroonError("it is neither hexadecimal nor Base64") from exc
    return raw


def permission(word: str) -> Permission:
    """(entity, action) of C(ENTITY:ACTION), as lncli takes it."""
    match = PERMISSION.fullmatch(word)
    if not match or (match["entity"] == "uri") != match["action"].startswith("/"):
        raise MacaroonError(
            f"{word!r} is no permission; allowed: ENTITY:ACTION, such as offchain:read, or uri:/PACKAGE.SERVICE/METHOD, "
            "such as uri:/lnrpc.Lightning/GetInfo"
        )
    return match["entity"], match["action"]
