# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache: whole entries under content keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from bcmlab.cache import Cache, content_key


def test_keys_follow_the_content(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe"
    recipe.write_text("one")
    first = content_key("image", ["a", "b"], recipe)
    assert first == content_key("image", ["a", "b"], recipe)
    assert first != content_key("image", ["b", "a"], recipe)
    assert first != content_key("image", ["a", "b"])
    recipe.write_text("two")
    assert first != content_key("image", ["a", "b"], recipe)


def test_where_one_input_ends_counts() -> None:
    assert content_key("ab", "c") != content_key("a", "bc")


def test_made_once(tmp_path: Path) -> None:
    cache, calls = Cache(tmp_path), []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "file").write_text("x")

    entry, made = cache.get_or_make("kind", "key", make)
    assert made
    assert (entry / "file").read_text() == "x"
    assert cache.get_or_make("kind", "key", make) == (entry, False)
    assert len(calls) == 1


def test_a_half_made_entry_is_none(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        cache.get_or_make("kind", "key", fail)
    assert not cache.path("kind", "key").exists()


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    left = tmp_path / "kind" / ".key.new.1"
    left.mkdir(parents=True)
    (left / "half").write_text("x")
    cache.get_or_make("kind", "key", lambda folder: None)
    assert not left.exists()
    assert cache.path("kind", "key").is_dir()
