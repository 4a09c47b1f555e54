# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling our own process from another one with the same number, and files that are whole."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from bcmlab.config import LabError
from bcmlab.proc import PidFile, run, start_time, write_atomic


def fake_proc(root: Path, pid: int, started: int, *, boot: str = "b1", state: str = "S", name: str = "lxd") -> Path:
    fields = [state, *(["0"] * 18), str(started), "0"]
    (root / str(pid)).mkdir(parents=True, exist_ok=True)
    (root / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
    (root / "sys/kernel/random").mkdir(parents=True, exist_ok=True)
    (root / "sys/kernel/random/boot_id").write_text(f"{boot}\n")
    return root


def test_a_process_that_we_started(tmp_path: Path) -> None:
    pid_file = PidFile(tmp_path / "pid", fake_proc(tmp_path / "proc", 77, 1234))
    assert pid_file.pid() is None
    pid_file.write(77)
    assert pid_file.pid() == 77
    pid_file.forget()
    assert pid_file.pid() is None


def test_the_same_number_for_another_process(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path / "proc", 77, 1234)
    pid_file = PidFile(tmp_path / "pid", proc)
    pid_file.write(77)
    fake_proc(proc, 77, 9999)
    assert pid_file.pid() is None


def test_the_same_number_and_time_after_a_boot(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path / "proc", 77, 1234)
    pid_file = PidFile(tmp_path / "pid", proc)
    pid_file.write(77)
    fake_proc(proc, 77, 1234, boot="b2")
    assert pid_file.pid() is None


@pytest.mark.parametrize("content", ["", "{", "12", "[]", json.dumps({"pid": "x"}), json.dumps({"boot": "b1"})])
def test_a_damaged_pid_file_names_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / "pid").write_text(content)
    assert PidFile(tmp_path / "pid", fake_proc(tmp_path / "proc", 77, 1)).pid() is None


def test_a_name_with_blanks_and_parentheses(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path / "proc", 5, 42, name="a) S 1 (b")
    assert start_time(5, proc) == "42"


def test_a_zombie_does_not_run(tmp_path: Path) -> None:
    assert start_time(5, fake_proc(tmp_path / "proc", 5, 42, state="Z")) is None


def test_a_real_process() -> None:
    assert start_time(os.getpid()) is not None
    with subprocess.Popen(["true"]) as process:
        pass
    assert start_time(process.pid) is None


def test_a_failure_carries_the_last_words() -> None:
    with pytest.raises(LabError, match=r"(?s)ended with 3: .*line 20$"):
        run(["sh", "-c", "for i in $(seq 20); do echo line $i >&2; done; exit 3"])
    with pytest.raises(LabError, match="no-such-program is not installed"):
        run(["no-such-program"])
    with pytest.raises(LabError, match="did not end within"):
        run(["sleep", "5"], timeout=0.1)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    write_atomic(target, "one")
    write_atomic(target, b"two", mode=0o600)
    assert target.read_text() == "two"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == ["b"]
