# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bars and lines as SVG, with nothing but Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#1f6f8b", "#b9c4c9", "#e0a458", "#7d5a9b")
HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">\n'
    '<rect width="{width}" height="{height}" fill="white"/>\n<text x="16" y="24" font-size="15">{title}</text>\n'
)


def bars(title: str, values: Mapping[str, float], unit: str = "s") -> str:
    """One horizontal bar for each value; the first one is ours."""
    top = max(values.values()) or 1
    height = 44 + 30 * len(values)
    svg = HEAD.format(width=760, height=height, title=escape(title))
    for row, (name, value) in enumerate(values.items()):
        y = 40 + 30 * row
        colour = COLOURS[0] if row == 0 else COLOURS[1]
        svg += f'<text x="270" y="{y + 15}" text-anchor="end">{escape(name)}</text>\n'
        svg += f'<rect x="280" y="{y}" width="{max(1.0, 380 * value / top):.1f}" height="21" fill="{colour}"/>\n'
        svg += f'<text x="{288 + 380 * value / top:.1f}" y="{y + 15}">{value:.3g} {unit}</text>\n'
    return svg + "</svg>\n"


def lines(title: str, across: Sequence[float], series: Mapping[str, Sequence[float]], unit: str = "s") -> str:
    """A line for each series over the same numbers; the first one is ours."""
    width, height, left, bottom = 760, 360, 70, 310
    top, right = max(max(values) for values in series.values()) or 1, max(across) or 1
    svg = HEAD.format(width=width, height=height, title=escape(title))
    svg += f'<path d="M{left} 50V{bottom}H700" fill="none" stroke="#444"/>\n'
    for number in across:
        x = left + 600 * number / right
        svg += f'<text x="{x:.0f}" y="{bottom + 20}" text-anchor="middle">{number:g}</text>\n'
    for part in (0.5, 1):
        svg += (
            f'<text x="{left - 8}" y="{bottom - 250 * part + 5:.0f}" text-anchor="end">{top * part:.3g} {unit}</text>\n'
        )
    for row, (name, values) in enumerate(series.items()):
        points = [(left + 600 * a / right, bottom - 250 * v / top) for a, v in zip(across, values, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        colour = (COLOURS[0], *COLOURS[2:])[row % 3]
        svg += f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>\n'
        svg += "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>\n' for x, y in points)
        svg += f'<text x="{left + 20}" y="{60 + 20 * row}" fill="{colour}">{escape(name)}</text>\n'
    return svg + "</svg>\n"
