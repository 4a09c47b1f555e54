# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host says of its worker, and what becomes of the files of the archive, however often it is interrupted."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

DAY = 86400
# A noon.
NOON = 20_000 * DAY + DAY // 2


class Site:
    """A connector that writes into a file, and what can be done to it."""

    def __init__(self, program: ModuleType, directory: Path) -> None:
        self.program, self.directory = program, directory
        self.now = float(NOON)
        self.handle: Any = None
        self.restarts = 0
        self.answers = True
        self.lines = 0
        self.settings: dict[str, Any] = {
            "directory": str(directory),
            "name": "audit",
            "connector": "audit-files",
            "file_size": 1000,
            "keep": None,
            "room": 1 << 20,
        }

    def write(self, lines: int) -> None:
        if self.handle is None:
            self.handle = (self.directory / "audit.jsonl").open("a")
        for _line in range(lines):
            self.lines += 1
            self.handle.write(f"{self.lines:09}\n")
        self.handle.flush()

    def ask(self, _config: Any, method: str, path: str, _body: str = "") -> tuple[int, Any]:
        assert (method, path) == ("POST", "/connectors/audit-files/tasks/0/restart")
        if not self.answers:
            raise self.program.NoConnectError("its REST does not answer: refused")
        self.restarts += 1
        self.handle.close()
        self.handle = None
        self.write(1)
        return 204, None

    def opened(self, path: Path) -> bool:
        if self.handle is None:
            return False
        own = os.fstat(self.handle.fileno())
        return (own.st_dev, own.st_ino) == (path.stat().st_dev, path.stat().st_ino)

    def archive(self) -> Any:
        return self.program.Archive(
            {"archive": self.settings}, self.ask, self.opened, lambda: self.now, lambda _seconds: None
        )

    def tick(self, seconds: float = 300) -> None:
        self.now += seconds
        self.archive().run()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir() if path.name[0] != ".")

    def all_lines(self) -> list[int]:
        found = []
        for path in self.archive().all():
            text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
            found += [int(line) for line in text.split()]
        return sorted(found)


@pytest.fixture
def site(program: ModuleType, tmp_path: Path) -> Site:
    return Site(program, tmp_path)


def test_a_small_file_of_today_is_left_alone(site: Site) -> None:
    site.write(10)
    site.tick()
    site.tick()
    assert site.names() == ["audit.jsonl"]
    assert site.restarts == 0


def test_a_full_file_is_closed_and_compressed_and_nothing_is_missing(site: Site) -> None:
    site.tick()
    site.write(150)
    site.tick()
    assert len(site.names()) == 2
    assert site.names()[0].endswith("Z.jsonl.gz")
    assert site.restarts == 1
    site.write(5)
    assert site.all_lines() == list(range(1, site.lines + 1))
    site.tick()
    assert site.restarts == 1


def test_each_day_another_file_is_begun_if_anything_was_written(site: Site) -> None:
    site.tick()
    site.tick(DAY)
    assert site.names() == []
    site.write(3)
    site.tick(DAY)
    assert len(site.names()) == 2
    site.tick()
    assert len(site.names()) == 2
    assert site.all_lines() == list(range(1, site.lines + 1))


def test_a_connect_that_does_not_answer_costs_nothing(site: Site) -> None:
    site.tick()
    site.write(150)
    site.answers = False
    with pytest.raises(site.program.NoConnectError):
        site.tick()
    # It is written on under its other name, and left as it is.
    site.write(10)
    (closed,) = site.names()
    assert closed.endswith("Z.jsonl")
    site.answers = True
    site.tick()
    assert site.names() == [f"{closed}.gz", "audit.jsonl"]
    assert site.all_lines() == list(range(1, site.lines + 1))


def test_where_the_task_has_gone_elsewhere_it_is_not_disturbed(site: Site) -> None:
    site.tick()
    site.write(150)
    site.handle.close()
    site.handle = None
    site.tick()
    assert site.restarts == 0
    (only,) = site.names()
    assert only.endswith(".jsonl.gz")


def test_what_was_half_compressed_is_compressed_anew(site: Site, tmp_path: Path) -> None:
    site.tick()
    site.write(150)
    site.archive().turn()
    (closed,) = (name for name in site.names() if name.endswith("Z.jsonl"))
    (tmp_path / f"{closed}.gz.new").write_bytes(b"half")
    site.tick()
    assert site.names() == [f"{closed}.gz", "audit.jsonl"]
    assert site.all_lines() == list(range(1, site.lines + 1))
    # Killed after that, and before the other one was removed.
    (tmp_path / closed).write_text("000000001\n")
    site.tick()
    assert site.names() == [f"{closed}.gz", "audit.jsonl"]


def test_the_oldest_go_when_there_is_no_room(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    for _file in range(6):
        site.write(150)
        site.tick()
    kept = [name for name in site.names() if name.endswith(".gz")]
    assert len(kept) == 6
    size = sum((site.directory / name).stat().st_size for name in site.names())
    site.settings["room"] = size - 1
    site.tick()
    assert [name for name in site.names() if name.endswith(".gz")] == kept[1:]
    assert f"{kept[0]}: removed, for it has no room any more" in capsys.readouterr().out


def test_what_is_too_old_goes(site: Site) -> None:
    site.settings["keep"] = 3 * DAY
    for _file in range(5):
        site.write(3)
        site.tick(DAY)
    site.tick(60)
    names = [name for name in site.names() if name.endswith(".gz")]
    assert 2 <= len(names) <= 4
    site.tick(9 * DAY)
    # The last one that was closed is of now.
    assert len([name for name in site.names() if name.endswith(".gz")]) == 1


def test_a_host_without_an_archive_has_nothing_to_do(site: Site) -> None:
    site.settings["directory"] = str(site.directory / "nowhere")
    site.tick()


RUNNING = {"connector": {"state": "RUNNING"}, "tasks": [{"id": 0, "state": "RUNNING"}]}


@pytest.mark.parametrize(
    ("known", "findings"),
    [
        ({"a": {"status": RUNNING}}, []),
        ({}, ["a is not there"]),
        ({"a": {"status": {**RUNNING, "tasks": []}}}, ["a has no task"]),
        ({"a": {"status": {**RUNNING, "connector": {"state": "PAUSED"}}}}, ["a is PAUSED"]),
        (
            {"a": {"status": {**RUNNING, "tasks": [{"id": 0, "state": "FAILED", "trace": "No space\n\tat x"}]}}},
            ["task 0 of a is FAILED: No space"],
        ),
    ],
)
def test_how_a_connector_is(program: ModuleType, known: Any, findings: list[str]) -> None:
    assert program.connector_findings("a", known) == findings


@pytest.fixture
def docker(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What the container says of itself; with nothing there is none."""
    said = {"status": '{"ready": true}'}

    def output(*argv: str) -> str:
        if argv[1] == "ps":
            return "0123" if said["status"] else ""
        return said["status"]

    monkeypatch.setattr(program, "output", output)
    monkeypatch.setattr(program, "failed", lambda unit: said.get("failed") == unit)
    return lambda text, **more: said.update(status=text, **more)


def test_status(program: ModuleType, docker: Callable[..., None], tmp_path: Path) -> None:
    config = {"label": "l", "connectors": ["a"], "archive": None}

    def ask(_config: Any, method: str, path: str) -> tuple[int, Any]:
        assert (method, path) == ("GET", "/connectors?expand=status")
        return 200, {"a": {"status": RUNNING}}

    assert program.status(config, ask) == {"ready": True, "note": "1 connector"}
    archive = {"directory": str(tmp_path), "name": "audit"}
    (tmp_path / "audit.jsonl").write_bytes(b"x" * (3 << 20))
    assert program.status({**config, "archive": archive}, ask)["note"] == "1 connector; 1 file of the archive, 3 MiB"
    assert program.status({**config, "connectors": ["b"]}, ask)["reason"] == "b is not there"
    docker('{"ready": true}', failed="bcm-connect-archive.service")
    assert "not looked after" in program.status({**config, "archive": archive}, ask)["reason"]
    assert program.status(config, ask)["ready"]
    docker('{"ready": false, "reason": "held: less than 9 KiB"}')
    assert program.status(config, ask)["reason"] == "held: less than 9 KiB"
    docker("")
    with pytest.raises(program.NoConnectError, match="no container"):
        program.status(config, ask)


def test_what_it_cannot_find_out_is_a_state_and_no_failure(
    program: ModuleType,
    docker: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    docker("")
    (tmp_path / "config.json").write_text(json.dumps({"label": "l", "connectors": [], "archive": None}))
    monkeypatch.setenv("BCM_CONNECT_CONFIG", str(tmp_path / "config.json"))
    assert program.main(["status"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ready": False, "reason": "no container of it runs on this host"}
    assert program.main(["archive"]) == 0
    assert program.main(["elsewhere"]) == 2


def test_open_files_are_found(program: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    assert not program.opened(path)
    with path.open():
        assert program.opened(path)
