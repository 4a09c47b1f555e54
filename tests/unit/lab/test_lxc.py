# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an instance tells, on an LXD that may lose it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bcmlab import lxc as module
from bcmlab.config import Config, LabError
from bcmlab.lxc import READS, Lxc


@pytest.fixture
def lxc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lxc:
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: None)
    return Lxc(Config(tmp_path))


def telling(answers: Iterator[str]) -> object:
    return lambda *_argv, **_options: next(answers)


def test_what_was_lost_is_asked_for_again(lxc: Lxc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lxc, "exec", telling(iter(["", "\n", "ssh-ed25519 AAAA\n"])))
    assert lxc.read("rack-1", "cat", "/key") == "ssh-ed25519 AAAA\n"


def test_silence_is_named_in_the_end(lxc: Lxc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lxc, "exec", telling(iter([""] * READS)))
    with pytest.raises(LabError, match="`cat /key` in rack-1 has printed nothing, 5 times"):
        lxc.read("rack-1", "cat", "/key")
