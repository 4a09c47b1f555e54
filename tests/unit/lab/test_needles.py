# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for secrets of the end-to-end tests finds them in all forms: a search that finds nothing would pass each time."""

from __future__ import annotations

import base64
import json
import secrets
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "e2e"))

from needles import Needles, Processes, within_texts

RAW = bytes.fromhex("00ff3e7f5a10c4d2e8914a6b0c77aa55de41") + b"tail-of-it"
WORDS = ["abandon", "ability", "able", "about", "above", "absent", "absorb", "abstract"]


@pytest.fixture
def needles() -> Needles:
    found = Needles()
    found.add("secret", RAW)
    found.add("password", "correct-horse-battery")
    found.add_words("seed", WORDS)
    return found


@pytest.mark.parametrize("before", [b"", b"u", b"us", b"lnd:"], ids=len)
@pytest.mark.parametrize("after", [b"", b"x", b"xy"], ids=len)
@pytest.mark.parametrize("write", [base64.b64encode, base64.urlsafe_b64encode])
def test_inside_base64_wherever_it_begins(needles: Needles, before: bytes, after: bytes, write) -> None:  # type: ignore[no-untyped-def]
    assert needles.within(b"Basic " + write(before + RAW + after)) == {"secret"}


@pytest.mark.parametrize(
    "text",
    [RAW, RAW.hex().encode(), RAW.hex().upper().encode(), base64.b32encode(RAW)],
    ids=["raw", "hex", "HEX", "base32"],
)
def test_as_it_is_and_as_digits(needles: Needles, text: bytes) -> None:
    assert needles.within(b"before" + text + b"after") == {"secret"}


@pytest.mark.parametrize(
    "text",
    [" ".join(WORDS), "\n".join(WORDS), json.dumps(WORDS), str(WORDS), ",".join(WORDS), " ".join(WORDS[2:7])],
    ids=["line", "lines", "JSON", "Python", "commas", "part"],
)
def test_words_of_a_seed(needles: Needles, text: str) -> None:
    assert needles.within(text.encode()) == {"seed"}


def test_single_words_are_no_seed(needles: Needles) -> None:
    assert needles.within(b"able to be about and above, absent: 1. abandon\n2. ability") == set()


def test_what_is_cut_in_two_is_found_by_its_halves(needles: Needles) -> None:
    cut = needles.halves()
    text = RAW.hex().encode()
    for at in range(1, len(text)):
        assert cut.within(text[:at]) | cut.within(text[at:]) == {"secret"}, at


def test_what_is_short_is_refused() -> None:
    with pytest.raises(AssertionError, match="by chance"):
        Needles().add("number", "1764")


def test_where_it_is(needles: Needles) -> None:
    texts = {"log": b"nothing", "topic": b"x correct-horse-battery x"}
    assert within_texts(needles, texts) == {("password", "topic")}


def test_arguments_and_environments(needles: Needles, tmp_path: Path) -> None:
    for pid, argv, environ in (
        ("1000001", b"ls\0-l", b"A=1"),
        ("1000002", b"x\0--password=correct-horse-battery", b""),
        ("1000003", b"y", b"P=" + RAW.hex().encode()),
    ):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cmdline").write_bytes(argv)
        (tmp_path / pid / "environ").write_bytes(environ)
        (tmp_path / pid / "comm").write_text(f"program-{pid}\n")
    (tmp_path / "self").mkdir()
    looked = Processes(needles)
    looked.look(tmp_path)
    assert looked.found == {("password", "cmdline", "program-1000002"), ("secret", "environ", "program-1000003")}


def test_no_chance_finds(needles: Needles) -> None:
    assert needles.within(secrets.token_bytes(1 << 20)) == set()
