# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's documentation as Markdown: what scripts/role-readmes and scripts/reference have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any


def plain(text: str | list[str], pages: Mapping[tuple[str, str], str] | None = None) -> str:
    """Ansible's markup as Markdown, on one line.

    Args:
        text: One paragraph, or several.
        pages: (name, kind) of plugins that have a page of their own -> the page.
    """

    def plugin(found: re.Match[str]) -> str:
        name, _, kind = found[1].partition("#")
        page = (pages or {}).get((name, kind or "module"))
        return f"[`{name}`]({page})" if page else f"`{name}`"

    joined = " ".join([text] if isinstance(text, str) else text)
    joined = re.sub(r"\b[CVE]\(([^)]*)\)", r"`\1`", joined)
    joined = re.sub(r"\b(?:O|RV)\(([^)]*)\)", lambda found: f"`{found[1].rsplit(':', 1)[-1]}`", joined)
    joined = re.sub(r"\b[MP]\(([^)]*)\)", plugin, joined)
    joined = re.sub(r"\bL\(([^,)]*),\s*([^)]*)\)", r"[\1](\2)", joined)
    joined = re.sub(r"\bU\(([^)]*)\)", r"<\1>", joined)
    joined = re.sub(r"\bI\(([^)]*)\)", r"*\1*", joined)
    joined = re.sub(r"\bB\(([^)]*)\)", r"**\1**", joined)
    return " ".join(joined.split())


def kind_of(option: Mapping[str, Any]) -> str:
    kind = option.get("type", "str")
    return f"{kind} of {option['elements']}" if "elements" in option else str(kind)


def value_of(option: Mapping[str, Any], defaults: Mapping[str, Any], name: str) -> str:
    if option.get("required"):
        return "required"
    value = defaults.get(name, option.get("default"))
    return "-" if value is None else f"`{value if isinstance(value, str) and value else json.dumps(value)}`"


def rows(
    options: Mapping[str, Any],
    defaults: Mapping[str, Any],
    above: str = "",
    pages: Mapping[tuple[str, str], str] | None = None,
) -> Iterator[str]:
    """The rows of a table of options: name, type, default, meaning; what an option holds comes after it."""
    for name, option in options.items():
        about = plain(option.get("description", ""), pages).replace("|", "\\|")
        if "choices" in option:
            about += " One of " + ", ".join(f"`{choice}`" for choice in option["choices"]) + "."
        for word, key in (("Variables", "vars"), ("Environment", "env")):
            if option.get(key):
                about += f" {word}: " + ", ".join(f"`{source['name']}`" for source in option[key]) + "."
        if option.get("ini"):
            about += " Setting: " + ", ".join(f"`{ini['key']}` in `[{ini['section']}]`" for ini in option["ini"]) + "."
        value = value_of(option, {} if above else defaults, name).replace("|", "\\|")
        yield f"| `{above}{name}` | {kind_of(option)} | {value} | {about} |"
        brackets = "[]" if option.get("type") == "list" else ""
        inner = option.get("options") or option.get("suboptions") or {}
        yield from rows(inner, {}, f"{above}{name}{brackets}.", pages)
