# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""Sizes as people write them, as LXD takes them, and as numbers."""

from __future__ import annotations

import re

_UNITS = {
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}
_SIZE = re.compile(rf"^(\d+(?:\.\d+)?) ?({'|'.join(_UNITS)})$")

KIB, MIB, GIB = 1024, 1024**2, 1024**3
EXAMPLES = "a number with a unit, such as 512MiB, 4GiB or 1.5TiB"


def to_bytes(value: str | int) -> int:
    """Return how many bytes VALUE stands for; a bare number is bytes.

    :raises ValueError: it is not a size.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a size")
    if isinstance(value, int):
        return value
    match = _SIZE.match(value.strip())
    if not match:
        raise ValueError(f"{value!r} is not a size")
    number, unit = match.groups()
    return int(float(number) * _UNITS[unit]) if "." in number else int(number) * _UNITS[unit]


def to_text(size: int) -> str:
    """Return SIZE in the largest binary unit that shows it exactly.

    There is one way to write each size, so that nothing seems changed.
    """
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit}"
    return f"{size}B"
