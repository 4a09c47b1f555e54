# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is PRIVATE to the collection: it may change without notice.
"""Messages in a stream of bytes: whose they are, what kind of message, and as many bytes as are announced."""

from __future__ import annotations

import struct
import typing as t

_HEAD = struct.Struct("!IcQ")

# Of a relay: a command to execute, a command that is given up, an answer.
EXECUTE, CANCEL, ANSWER = b"E", b"C", b"A"
# What its near end says to a worker before it takes anything.
HELLO = b"+"


class Frame(t.NamedTuple):
    number: int
    kind: bytes
    data: bytes


def frame(number: int, kind: bytes, *parts: bytes) -> bytes:
    """The bytes of a message."""
    return b"".join([_HEAD.pack(number, kind, sum(map(len, parts))), *parts])


def read(stream: t.BinaryIO) -> Frame | None:
    """The next message, None at the end of the stream: one that is not whole is none."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    number, kind, length = _HEAD.unpack(head)
    data = stream.read(length)
    return Frame(number, kind, data) if len(data) == length else None
