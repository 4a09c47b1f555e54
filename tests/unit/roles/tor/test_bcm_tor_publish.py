# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that publishes onion services where an address is. That tor heeds it, molecule shows."""

from __future__ import annotations

import socket
from pathlib import Path
from types import ModuleType

import pytest

ADDRESS = "10.0.16.254"


class Machine:
    """What the programs that are asked would say."""

    def __init__(self) -> None:
        self.here, self.complaint = False, ""
        self.told: list[str] = []

    def run(self, *argv: str) -> tuple[int, str]:
        if argv[0] == "ip":
            address = ADDRESS if self.here else "10.0.16.1"
            return 0, f'[{{"addr_info": [{{"local": "{address}"}}]}}, {{}}]'
        if argv[0] == "systemctl":
            self.told.append(" ".join(argv[1:]))
            return 0, ""
        return (1, f"Nov 30 [warn] {self.complaint}\n") if self.complaint else (0, "Configuration was valid\n")


@pytest.fixture
def machine(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(program, "run", found.run)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "published.d/onions.conf"


def test_it_comes_and_goes(program: ModuleType, machine: Machine, file: Path) -> None:
    assert program.settle(ADDRESS, file) == ""
    assert machine.told == []
    machine.here = True
    assert "is here: onion services are published" in program.settle(ADDRESS, file)
    assert "%include /etc/tor/torrc.d/5*.conf" in file.read_text()
    assert machine.told == ["--no-block reload tor@default.service"]
    assert program.settle(ADDRESS, file) == ""
    assert program.status(ADDRESS, file) == {"ready": True, "note": "published here"}
    machine.here = False
    assert not program.status(ADDRESS, file)["ready"]
    assert "not published" in program.settle(ADDRESS, file)
    assert not file.exists()
    assert len(machine.told) == 2
    assert program.status(ADDRESS, file) == {"ready": True, "note": "not published here"}


def test_what_tor_would_not_take_does_not_end_it(program: ModuleType, machine: Machine, file: Path) -> None:
    machine.here, machine.complaint = True, "Unknown option 'HiddenServiceDirr'"
    assert "HiddenServiceDirr" in program.settle(ADDRESS, file)
    assert not file.exists()
    assert machine.told == []
    said = program.status(ADDRESS, file)
    assert not said["ready"]
    assert "HiddenServiceDirr" in said["reason"]
    machine.complaint = ""
    assert "are published" in program.settle(ADDRESS, file)


def test_another_file_of_that_name_is_not_ours(program: ModuleType, machine: Machine, file: Path) -> None:
    file.parent.mkdir()
    file.write_text("%include /etc/tor/torrc.d/5*.con")
    machine.here = True
    assert program.settle(ADDRESS, file)
    assert file.read_text() == program.TEXT


def test_systemd_is_told(program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "n"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        program.notify("READY=1")
        assert line.recv(20) == b"READY=1"
    monkeypatch.delenv("NOTIFY_SOCKET")
    program.notify("READY=1")


def test_words(program: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["publish", ADDRESS]) == 2
    assert "follow ADDRESS" in capsys.readouterr().err
