# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the machine's own package sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from bcmlab.config import LabError
from bcmlab.host import Mirrors, deb822_sources, kernel_settings, machine_mirrors, one_line_sources, sources_file

DEB822 = """\
# the machine's
Types: deb deb-src
URIs: http://mirror.example/debian
# a remark between
Suites: bookworm
 bookworm-updates
Components: main

Types: deb
URIs: http://mirror.example/debian-security/
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
"""


def test_deb822() -> None:
    assert deb822_sources(DEB822) == [
        ("http://mirror.example/debian", "bookworm"),
        ("http://mirror.example/debian", "bookworm-updates"),
        ("http://mirror.example/debian-security/", "bookworm-security"),
    ]


def test_one_line() -> None:
    text = """
    # deb http://off.example/debian bookworm main
    deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib
    deb-src http://source.example/debian bookworm main
    deb http://mirror.example/debian-security bookworm-security main # remark
    deb
    """
    assert one_line_sources(text) == [
        ("http://mirror.example/debian", "bookworm"),
        ("http://mirror.example/debian-security", "bookworm-security"),
    ]


def test_mirrors_from_both_kinds_of_files(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("# empty\n")
    (tmp_path / "sources.list.d" / "a.list").write_text("deb http://tools.example/apt nodistro main\n")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list.d" / "old.list.save").write_text("deb http://saved.example/debian bookworm main\n")
    wanted = Mirrors("http://mirror.example/debian", "http://mirror.example/debian-security")
    assert machine_mirrors(tmp_path) == wanted


def test_one_mirror_for_all_has_no_separate_security(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://mirror.example/debian/ bookworm main\n")
    assert machine_mirrors(tmp_path) == Mirrors("http://mirror.example/debian", None)


def test_a_machine_without_debian_says_so(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://tools.example/apt stable main\n")
    with pytest.raises(LabError, match="no Debian mirror found below"):
        machine_mirrors(tmp_path)


def test_sources_of_our_images_name_the_machines_mirrors_only() -> None:
    text = sources_file(Mirrors("http://m.example/debian", "http://s.example/sec"), "trixie")
    assert deb822_sources(text) == [
        ("http://m.example/debian", "trixie"),
        ("http://m.example/debian", "trixie-updates"),
        ("http://s.example/sec", "trixie-security"),
    ]


def test_kernel_settings_are_only_raised(tmp_path: Path) -> None:
    values = {
        "fs/inotify/max_user_instances": 128,
        "fs/inotify/max_user_watches": 5000000,
        "kernel/keys/maxkeys": 200,
        "kernel/keys/maxbytes": 2000000,
    }
    for name, value in values.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    assert kernel_settings(tmp_path) == "raised max_user_instances, maxkeys"
    assert (tmp_path / "fs/inotify/max_user_watches").read_text() == "5000000\n"
    assert (tmp_path / "kernel/keys/maxkeys").read_text() == "2000\n"
    assert not kernel_settings(tmp_path)
