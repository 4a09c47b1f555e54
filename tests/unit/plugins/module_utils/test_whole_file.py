# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _whole_file as whole_file


def test_a_file_is_written_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "10.conf"
    path.write_text("Port 1\n")
    whole_file.write(path, "Port 2\n", 0o640)
    assert path.read_text() == "Port 2\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["10.conf"]


def test_what_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "10.conf"
    path.write_text("Port 1\n")
    with pytest.raises(UnicodeEncodeError):
        whole_file.write(path, "\udc80", 0o644)
    assert path.read_text() == "Port 1\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["10.conf"]
