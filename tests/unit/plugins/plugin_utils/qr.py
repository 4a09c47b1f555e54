# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads QR codes as a camera would, by a library that has nothing to do with the one that makes them."""

from __future__ import annotations

import struct
import zlib

import zxingcpp

HALVES = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}


def _decode(rows: list[bytes]) -> str:
    picture = memoryview(b"".join(rows)).cast("B", shape=[len(rows), len(rows[0])])
    (found,) = zxingcpp.read_barcodes(picture, zxingcpp.BarcodeFormat.QRCode)
    return str(found.text)


def decode_png(data: bytes) -> str:
    """What a QR code says. Only such pictures are read as are written: one bit a pixel, grey or of a palette, not interlaced."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    position, body, palette, header = 8, b"", [0, 255], (0, 0, 0, 0, 0, 0, 0)
    while position < len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        kind, chunk = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", chunk)
        elif kind == b"PLTE":
            palette = [chunk[0], chunk[3]]
        elif kind == b"IDAT":
            body += chunk
        position += 12 + length
    width, height, depth, _colour, _packing, _filter, interlaced = header
    assert (depth, interlaced) == (1, 0)
    raw = zlib.decompress(body)
    stride = 1 + (width + 7) // 8
    rows = []
    line = bytes(stride - 1)
    for row in range(height):
        how, *said = raw[row * stride : (row + 1) * stride]
        # As it is, or by what has changed since the line above.
        assert how in (0, 2)
        line = bytes((byte + above) & 255 for byte, above in zip(said, line, strict=True)) if how else bytes(said)
        rows.append(bytes(palette[line[x // 8] >> (7 - x % 8) & 1] for x in range(width)))
    return _decode(rows)


def decode_terminal(text: str, scale: int = 4) -> str:
    """What a terminal shows: half blocks, black on white."""
    rows: list[bytes] = []
    for line in text.splitlines():
        assert line.startswith("\x1b[30;107m")
        cells = line.removeprefix("\x1b[30;107m").removesuffix("\x1b[0m")
        for half in (0, 1):
            pixels = bytes(0 if HALVES[cell][half] else 255 for cell in cells for _twice in range(scale))
            rows += [pixels] * scale
    return _decode(rows)
