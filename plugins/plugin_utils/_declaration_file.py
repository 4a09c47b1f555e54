# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""Declarations as files: read them, remember where each value stands, lay one over the other."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

# Where a value stands in a declaration: ("tiers", "manager", "count"), or with a position, ("endpoints", 0, "name").
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Place:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, in words for the person who wrote it."""

    path: KeyPath
    problem: str
    allowed: str
    value: Any = None
    shows_value: bool = True
    place: Place | None = None

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        what = f" = {show(self.value)}" if self.shows_value else ""
        return f"{where}{show_path(self.path)}{what}: {self.problem}; allowed: {self.allowed}"


class DeclarationError(Exception):
    """A declaration that cannot be used. Carries all that is wrong with it."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__("\n".join(str(finding) for finding in findings))


@dataclass
class Document:
    """Data, and where each value of it stands."""

    data: dict[str, Any]
    places: dict[KeyPath, Place] = field(default_factory=dict)

    def place(self, path: KeyPath) -> Place | None:
        """Return where PATH stands, or where the nearest thing around it does."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path)


def show(value: Any) -> str:
    """Return VALUE as it would stand in YAML, shortened."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False).strip()
    text = re.sub(r"://[^/@\s]*@", "://***@", text.removesuffix("...").strip())
    return text if len(text) <= 80 else f"{text[:77]}..."


def show_path(path: KeyPath) -> str:
    """Return PATH with dots, positions in brackets."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the file"


_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def expand_variables(text: str, environment: Mapping[str, str]) -> str:
    """Replace ``${NAME}`` and ``${NAME:-default}`` in TEXT.

    :raises KeyError: a variable has neither a value nor a default.
    """

    def replace(match: re.Match[str]) -> str:
        name, default = match.groups()
        value = environment.get(name)
        if value:
            return value
        if default is None:
            raise KeyError(name)
        return str(default)

    return _VARIABLE.sub(replace, text)


def parse(text: str, file: str) -> Document:
    """Return TEXT, the content of FILE, as a document. Takes plain YAML only: no tags, no key twice.

    :raises DeclarationError: it is not YAML, or not a mapping.
    """
    if text.startswith("$ANSIBLE_VAULT"):
        raise DeclarationError(
            [_whole(file, 1, "is encrypted", "plain YAML: a declaration holds no secrets, the site makes its own")]
        )
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise DeclarationError(
            [_whole(file, line, f"is not YAML ({getattr(error, 'problem', error)})", "YAML")]
        ) from error
    if node is None:
        return Document({})
    document = Document({}, {(): Place(file, 1)})
    if not isinstance(node, yaml.MappingNode):
        raise DeclarationError([_whole(file, 1, "is not a mapping", "keys with values, such as name: mysite")])
    if _loops(node, ()):
        raise DeclarationError([_whole(file, 1, "has an alias that contains itself", "aliases of what is complete")])
    findings: list[Finding] = []
    document.data = _construct(node, (), file, document.places, findings)
    if findings:
        raise DeclarationError(findings)
    return document


def _whole(file: str, line: int, problem: str, allowed: str) -> Finding:
    return Finding((), problem, allowed, shows_value=False, place=Place(file, line))


def _loops(node: yaml.Node, above: tuple[int, ...]) -> bool:
    if id(node) in above:
        return True
    if isinstance(node, yaml.ScalarNode):
        return False
    below = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    return any(_loops(part, (*above, id(node))) for part in below)


def _construct(node: yaml.Node, path: KeyPath, file: str, places: dict[KeyPath, Place], findings: list[Finding]) -> Any:
    place = places.setdefault(path, Place(file, node.start_mark.line + 1))
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                findings.append(
                    Finding(path, "has a key that is not text", "text before each colon", None, False, place)
                )
                continue
            key = str(key_node.value)
            below = (*path, key)
            line = Place(file, key_node.start_mark.line + 1)
            if key_node.tag == "tag:yaml.org,2002:merge":
                findings.append(Finding(below, "merging by << is not read", "each key written out", None, False, line))
                continue
            if key in result:
                findings.append(Finding(below, "stands twice in the same mapping", "each key once", None, False, line))
                continue
            places[below] = line
            result[key] = _construct(value_node, below, file, places, findings)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*path, position), file, places, findings) for position, item in enumerate(node.value)]
    try:
        constructor = yaml.SafeLoader("")
        value = constructor.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        findings.append(Finding(path, f"cannot be read ({error})", "a plain YAML value", None, False, place))
        return None
    # YAML makes dates of 2026-01-01 and numbers of 30.2; a date is never meant, so it stays what was written.
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(node.value)


def overlay(below: Document, above: Document) -> Document:
    """Return BELOW with ABOVE laid over it.

    Mappings are merged key by key, lists of things with a ``name`` by name, all else is replaced.
    """
    result = Document({}, dict(below.places))
    result.data = _overlay(below.data, above.data, (), (), result.places, above.places)
    return result


def _overlay(
    below: Any, above: Any, path: KeyPath, source: KeyPath, places: dict[KeyPath, Place], others: dict[KeyPath, Place]
) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        merged = dict(below)
        for key, value in above.items():
            merged[key] = _overlay(below.get(key), value, (*path, key), (*source, key), places, others)
        return merged
    if _named(below) and _named(above):
        items = list(below)
        positions = {item["name"]: position for position, item in enumerate(items)}
        for at, value in enumerate(above):
            position = positions.setdefault(value["name"], len(items))
            if position == len(items):
                items.append({})
            items[position] = _overlay(items[position], value, (*path, position), (*source, at), places, others)
        return items
    for known in [known for known in places if known[: len(path)] == path]:
        del places[known]
    for known, place in others.items():
        if known[: len(source)] == source:
            places[path + known[len(source) :]] = place
    return above


def _named(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in value)
    )


def read(file: str | os.PathLike[str]) -> Document:
    """Return the content of FILE as a document.

    :raises DeclarationError: it cannot be read, or is not YAML.
    """
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DeclarationError([_whole(str(file), 1, f"cannot be read ({reason})", "a readable file")]) from error
    return parse(text, str(file))
