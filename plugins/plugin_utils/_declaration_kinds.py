# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""Kinds of values in a declaration. Each checks a value, says what it allows, and gives the normal form."""

from __future__ import annotations

import abc
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.bcm.datacenter.plugins.module_utils import _sizes

from ._declaration_file import Document, Finding, KeyPath, expand_variables


@dataclass
class Check:
    """One walk through a document: what was found, and which values cannot be built on."""

    document: Document
    environment: Mapping[str, str]
    findings: list[Finding] = field(default_factory=list)
    bad: set[KeyPath] = field(default_factory=set)

    def refuse(self, path: KeyPath, value: Any, problem: str, allowed: str, *, shows_value: bool = True) -> None:
        """Note that VALUE at PATH will not do."""
        self.bad.add(path)
        self.findings.append(Finding(path, problem, allowed, value, shows_value, self.document.place(path)))

    def sound(self, *paths: KeyPath) -> bool:
        """Return whether nothing is wrong at, above or below any of PATHS, so that a rule may judge them."""
        return not any(bad[: len(path)] == path or path[: len(bad)] == bad for path in paths for bad in self.bad)


@dataclass(frozen=True, kw_only=True)
class Kind(abc.ABC):
    """What a value may be. ``default`` is what stands there if the declaration says nothing."""

    about: str = ""
    default: Any = None
    required: bool = False
    nullable: bool = False

    @property
    @abc.abstractmethod
    def word(self) -> str:
        """The kind in the reference."""

    @property
    @abc.abstractmethod
    def allowed(self) -> str:
        """What is allowed, for messages."""

    def check(self, value: Any, path: KeyPath, check: Check) -> Any:
        """Return the normal form of VALUE; note what is wrong with it."""
        if value is None and self.nullable:
            return None
        if value is None:
            check.refuse(path, value, "has no value", self.allowed)
            return blank_of(self)
        result = self.normal(value, path, check)
        # What was refused is not built on; what holds others stays, so that these are looked at.
        return None if path in check.bad and not isinstance(self, (ListOf, MapOf, Keys)) else result

    @abc.abstractmethod
    def normal(self, value: Any, path: KeyPath, check: Check) -> Any:
        """Like check, for a value that is not null."""


@dataclass(frozen=True, kw_only=True)
class Bool(Kind):
    """True or false."""

    word = "boolean"
    allowed = "true or false"

    def normal(self, value: Any, path: KeyPath, check: Check) -> Any:
        if not isinstance(value, bool):
            check.refuse(path, value, f"is {_what(value)}, not a boolean", self.allowed)
        return value


@dataclass(frozen=True, kw_only=True)
class Int(Kind):
    """A whole number between two limits."""

    low: int = 0
    high: int | None = None
    word = "integer"

    @property
    def allowed(self) -> str:
        return (
            f"a whole number from {self.low} to {self.high}"
            if self.high is not None
            else f"a whole number, at least {self.low}"
        )

    def normal(self, value: Any, path: KeyPath, check: Check) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            check.refuse(path, value, f"is {_what(value)}, not a whole number", self.allowed)
        elif value < self.low or (self.high is not None and value > self.high):
            check.refuse(path, value, "is too small" if value < self.low else "is too large", self.allowed)
        return value


@dataclass(frozen=True, kw_only=True)
class Text(Kind):
    """Text that matches a pattern."""

    pattern: str = r".+"
    allows: str = "text"
    expands: bool = False
    word = "text"

    @property
    def allowed(self) -> str:
        return self.allows

    def normal(self, value: Any, path: KeyPath, check: Check) -> Any:
        if not isinstance(value, str):
            hint = f'; put it in quotes ("{value}")' if isinstance(value, (int, float)) else ""
            check.refuse(path, value, f"is {_what(value)}, not text{hint}", self.allowed)
            return value
        if self.expands:
            try:
                value = expand_variables(value, check.environment)
            except KeyError as error:
                check.refuse(
                    path,
                    value,
                    f"the variable {error.args[0]} is not set",
                    "a variable that is set, or ${NAME:-default}",
                )
                return value
        if not re.fullmatch(self.pattern, value, re.DOTALL):
            check.refuse(path, value, "has the wrong form", self.allowed)
            return value
        return self.further(value, path, check)

    def further(self, value: str, path: KeyPath, check: Check) -> Any:
        """Check what a pattern cannot say."""
        return value


@dataclass(frozen=True, kw_only=True)
class Url(Text):
    """An http or https URL without a slash at its end."""

    word = "URL"
    allows: str = "an http:// or https:// URL with a host, without user, query and fragment"

    def further(self, value: str, path: KeyPath, check: Check) -> Any:
        try:
            parts = urlsplit(value)
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            sound = False
        if not sound or "@" in parts.netloc or parts.query or parts.fragment or re.search(r"\s", value):
            check.refuse(path, value, "is not a URL that can be used", self.allowed)
        return value.rstrip("/")


@dataclass(frozen=True, kw_only=True)
class Size(Kind):
    """An amount of memory or storage. Its normal form is text in the largest binary unit that fits."""

    low: int = 1
    word = "size"

    @property
    def allowed(self) -> str:
        least = f", at least {_sizes.to_text(self.low)}" if self.low > 1 else ""
        return f"{_sizes.EXAMPLES}{least}"

    def normal(self, value: Any, path: KeyPath, check: Check) -> Any:
        if not isinstance(value, str):
            check.refuse(
                path,
                value,
                f"is {_what(value)} without a unit" if isinstance(value, int) else f"is {_what(value)}",
                self.allowed,
            )
            return value
        try:
            size = _sizes.to_bytes(value)
        except ValueError:
            check.refuse(path, value, "is not a size", self.allowed)
            return value
        if size < self.low:
            check.refuse(path, value, "is too small", self.allowed)
        return _sizes.to_text(size)


@dataclass(frozen=True, kw_only=True)
class Choice(Kind):
    """One of several words."""

    choices: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        return " or ".join(f"`{choice}`" for choice in self.choices)

    @property
    def allowed(self) -> str:
        return ", ".join(self.choices)

    def normal(self, value: Any, path: KeyPath, check: Check) -> Any:
        if value not in self.choices:
            check.refuse(path, value, f"is not known{suggestion(value, self.choices)}", self.allowed)
        return value


@dataclass(frozen=True, kw_only=True)
class ListOf(Kind):
    """A list of one kind, without repetitions (by ``unique``, for mappings)."""

    item: Kind = field(default_factory=Text)
    unique: str | None = None
    default: Any = field(default_factory=list)
    least: int = 0

    @property
    def word(self) -> str:
        return f"list of {self.item.word}"

    @property
    def allowed(self) -> str:
        return f"a list, each item {self.item.allowed}"

    def normal(self, value: Any, path: KeyPath, check: Check) -> Any:
        if not isinstance(value, list):
            check.refuse(path, value, f"is {_what(value)}, not a list", self.allowed)
            return []
        if len(value) < self.least:
            check.refuse(path, value, "is too short", f"at least {self.least}")
        result = [self.item.check(item, (*path, position), check) for position, item in enumerate(value)]
        seen: list[Any] = []
        for position, item in enumerate(result):
            mark = item.get(self.unique) if self.unique and isinstance(item, dict) else item
            at = (*path, position, self.unique) if self.unique and isinstance(item, dict) else (*path, position)
            if mark is not None and mark in seen:
                check.refuse(at, mark, "stands in the list twice", "each once")
            seen.append(mark)
        return result


@dataclass(frozen=True, kw_only=True)
class MapOf(Kind):
    """A mapping whose keys are names that the person chooses, of a given form or from a given set."""

    item: Kind = field(default_factory=Text)
    keys: str | tuple[str, ...] = r".+"
    key_allows: str = "text"
    default: Any = field(default_factory=dict)

    @property
    def word(self) -> str:
        return f"mapping to {self.item.word}"

    @property
    def allowed(self) -> str:
        return f"a mapping from names ({self.key_allows}) to {self.item.allowed}"

    def item_for(self, key: str) -> Kind:
        """Return the kind of what stands under KEY."""
        return self.item

    def normal(self, value: Any, path: KeyPath, check: Check) -> Any:
        if not isinstance(value, dict):
            check.refuse(path, value, f"is {_what(value)}, not a mapping", self.allowed)
            return {}
        result = {}
        for key, below in value.items():
            at = (*path, key)
            if isinstance(self.keys, tuple) and key not in self.keys:
                check.refuse(
                    at, below, f"is not known{suggestion(key, self.keys)}", ", ".join(self.keys), shows_value=False
                )
            elif isinstance(self.keys, str) and not re.fullmatch(self.keys, key):
                check.refuse(at, below, "the name has the wrong form", self.key_allows, shows_value=False)
            else:
                result[key] = self.item_for(key).check(below, at, check)
        return result


@dataclass(frozen=True, kw_only=True)
class Keys(Kind):
    """A mapping with given keys."""

    fields: Mapping[str, Kind] = field(default_factory=dict)
    word = "mapping"

    @property
    def allowed(self) -> str:
        return f"a mapping with the keys {', '.join(self.fields)}"

    def normal(self, value: Any, path: KeyPath, check: Check) -> Any:
        if not isinstance(value, dict):
            check.refuse(path, value, f"is {_what(value)}, not a mapping", self.allowed)
            return blank_of(self)
        for key, below in value.items():
            if key not in self.fields:
                check.refuse(
                    (*path, key),
                    below,
                    f"is not a key that is known here{suggestion(key, self.fields)}",
                    ", ".join(self.fields),
                    shows_value=False,
                )
        result = {}
        for key, kind in self.fields.items():
            at = (*path, key)
            if key in value:
                result[key] = kind.check(value[key], at, check)
            elif kind.required:
                check.refuse(at, None, "is missing", kind.allowed, shows_value=False)
                result[key] = None
            else:
                result[key] = default_of(kind)
        return result


def default_of(kind: Kind) -> Any:
    """Return a fresh default; that of a mapping is made of the defaults of its keys."""
    if isinstance(kind, Keys):
        return None if kind.nullable else {key: default_of(below) for key, below in kind.fields.items()}
    if isinstance(kind.default, (list, dict)):
        return type(kind.default)(kind.default)
    return kind.default


def blank_of(kind: Kind) -> Any:
    """Return what stands for a value that was refused: of the right shape, with nothing in it."""
    if isinstance(kind, Keys):
        return {key: default_of(below) for key, below in kind.fields.items()}
    return [] if isinstance(kind, ListOf) else {} if isinstance(kind, MapOf) else None


def suggestion(word: Any, known: Any) -> str:
    """Return which of KNOWN was probably meant by WORD."""
    close = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def _what(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "a mapping"
