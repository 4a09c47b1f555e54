# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""The reference of the declaration, as Markdown, out of the schema itself."""

from __future__ import annotations

from collections.abc import Iterator

from ._declaration_file import show
from ._declaration_kinds import Keys, Kind, ListOf, MapOf, default_of
from ._declaration_schema import APP, SCHEMA, TIERS, tier


def rows(kind: Kind, path: str = "") -> Iterator[tuple[str, Kind]]:
    """Yield each key below KIND with what it may be; items of lists as ``[]``, chosen names as ``NAME``."""
    if isinstance(kind, Keys):
        for key, below in kind.fields.items():
            at = f"{path}.{key}" if path else key
            yield at, below
            yield from rows(below, at)
    elif isinstance(kind, ListOf):
        yield from rows(kind.item, f"{path}[]")
    elif isinstance(kind, MapOf):
        if path == "tiers":
            yield from rows(tier(APP), "tiers.NAME")
        elif isinstance(kind.item, Keys):
            yield from rows(kind.item, f"{path}.NAME")


def reference() -> str:
    """Return the tables of all keys, and of the tiers' defaults."""
    lines = ["| key | what | kind | allowed | default |", "|---|---|---|---|---|"]
    for path, kind in rows(SCHEMA):
        default = "required" if kind.required else f"`{show(default_of(kind))}`"
        if isinstance(kind, Keys):
            default = "`null`" if kind.nullable else "of each key"
        allowed = "" if isinstance(kind, Keys) else kind.allowed
        if isinstance(kind, ListOf) and isinstance(kind.item, Keys):
            allowed = "items with the keys below"
        cells = (f"`{path}`", kind.about, kind.word, allowed, default)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    lines += [
        "",
        "| tier | block | networks | image | count | cpu | memory (least) | disk |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, facts in [*TIERS.items(), ("any other", APP)]:
        block = "5 to 14" if facts.block is None else facts.block
        least = show(f"{facts.memory_minimum // 1024**2}MiB")
        lines.append(
            f"| {name} | {block} | {', '.join(facts.networks)} | {facts.image} | {facts.count} | {facts.cpu} "
            f"| {facts.memory} ({least}) | {facts.disk} |"
        )
    return "\n".join(lines) + "\n"
