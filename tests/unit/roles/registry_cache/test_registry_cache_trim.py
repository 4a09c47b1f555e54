# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that keeps pull-through caches within their bounds."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import ModuleType

import pytest

NOW = 1_800_000_000.0
HOUR = 3600.0
MIB = 2**20


def add_blob(root: Path, content: bytes, used: float) -> str:
    """A blob as docker-registry stores it, linked from two repositories."""
    digest = hashlib.sha256(content).hexdigest()
    registry = root / "docker/registry/v2"
    data = registry / "blobs/sha256" / digest[:2] / digest / "data"
    data.parent.mkdir(parents=True)
    data.write_bytes(content)
    os.utime(data, (used, used))
    for repository in ("library/debian", "acme/tool"):
        link = registry / "repositories" / repository / "_layers/sha256" / digest / "link"
        link.parent.mkdir(parents=True)
        link.write_text(f"sha256:{digest}", encoding="ascii")
    return digest


def digests(root: Path) -> set[str]:
    return {data.parent.name for data in root.glob("docker/registry/v2/blobs/*/*/*/data")}


def links(root: Path) -> set[str]:
    return {link.parent.name for link in root.glob("docker/registry/v2/repositories/**/link")}


def blob(program: ModuleType, name: str, age: float, mib: int) -> object:
    return program.Blob(NOW - age, mib * MIB, Path(name))


def chosen(program: ModuleType, blobs: list[object], max_mib: int, missing_mib: int = 0) -> list[str]:
    return [str(item.path) for item in program.choose(blobs, max_mib * MIB, missing_mib * MIB, NOW)]


def test_nothing_goes_within_the_bounds(program: ModuleType) -> None:
    assert chosen(program, [blob(program, "a", HOUR, 10), blob(program, "b", 2 * HOUR, 10)], 20) == []


def test_the_least_recently_used_go_first_and_no_more_than_needed(program: ModuleType) -> None:
    blobs = [blob(program, name, age * HOUR, 10) for name, age in (("new", 1), ("old", 3), ("older", 4), ("middle", 2))]
    assert chosen(program, blobs, 30) == ["older", "old"]


def test_what_has_just_arrived_stays(program: ModuleType) -> None:
    blobs = [blob(program, "arrived", 60, 30), blob(program, "old", HOUR, 1)]
    assert chosen(program, blobs, 20) == ["old"]


def test_what_has_just_arrived_goes_too_where_it_alone_is_far_too_much(program: ModuleType) -> None:
    assert chosen(program, [blob(program, "arrived", 60, 50)], 20) == ["arrived"]


def test_a_full_disk_counts_though_the_cache_is_small(program: ModuleType) -> None:
    blobs = [blob(program, "a", 3 * HOUR, 10), blob(program, "b", 2 * HOUR, 10), blob(program, "c", HOUR, 10)]
    assert chosen(program, blobs, 100, missing_mib=15) == ["a", "b"]


def test_blobs_go_with_all_links_to_them(program: ModuleType, tmp_path: Path) -> None:
    old = add_blob(tmp_path, b"o" * 3 * MIB, NOW - 5 * HOUR)
    kept = add_blob(tmp_path, b"k" * 3 * MIB, NOW - HOUR)
    assert program.trim(tmp_path, 5 * MIB, 0, NOW)[0] == 1
    assert digests(tmp_path) == {kept}
    assert links(tmp_path) == {kept}
    assert old not in links(tmp_path)


def test_reading_a_blob_makes_it_young(program: ModuleType, tmp_path: Path) -> None:
    read = add_blob(tmp_path, b"r" * 3 * MIB, NOW - 9 * HOUR)
    add_blob(tmp_path, b"u" * 3 * MIB, NOW - 5 * HOUR)
    data = next(tmp_path.glob(f"docker/registry/v2/blobs/sha256/*/{read}/data"))
    os.utime(data, (NOW - HOUR, NOW - 9 * HOUR))
    program.trim(tmp_path, 5 * MIB, 0, NOW)
    assert digests(tmp_path) == {read}


def test_the_program_takes_several_caches_and_skips_what_is_not_there(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("5000", "5001"):
        add_blob(tmp_path / name, name.encode() * MIB, NOW - HOUR)
    assert program.main(["--max-mib", "1", *(str(tmp_path / name) for name in ("5000", "5001", "5002"))]) == 0
    assert capsys.readouterr().out.count("1 blobs removed, 4 MiB") == 2
