# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose lab a folder is, and what is said where it can't be used."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from bcmlab.config import Config, LabError, from_environment
from bcmlab.state import claim, read


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(directory=tmp_path / "lab", cache=tmp_path / "cache")


def checkout(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def test_new_and_again(config: Config, tmp_path: Path) -> None:
    mine = checkout(tmp_path, "mine")
    assert claim(config, mine).startswith("new lab")
    assert claim(config, mine) == ""


def test_a_folder_with_other_things_is_left_alone(config: Config, tmp_path: Path) -> None:
    config.directory.mkdir()
    (config.directory / "precious").write_text("x")
    with pytest.raises(LabError, match="is not empty and not a lab"):
        claim(config, tmp_path)


def test_the_lab_of_another_checkout_is_used(config: Config, tmp_path: Path) -> None:
    mine, theirs = checkout(tmp_path, "mine"), checkout(tmp_path, "theirs")
    claim(config, theirs)
    assert claim(config, mine) == f"goes on with the lab of {theirs}"
    theirs.rmdir()
    assert "which is gone" in claim(config, mine)
    assert (read(config) or {})["checkout"] == str(mine)


def test_another_layout_is_refused_with_a_way_out(config: Config, tmp_path: Path) -> None:
    claim(config, tmp_path)
    record = json.loads(config.state_file.read_text())
    config.state_file.write_text(json.dumps({**record, "layout": 99}))
    with pytest.raises(LabError, match=r"layout 99.*lab/lab purge.*BCM_LAB_DIR"):
        claim(config, tmp_path)


def test_another_bridge_or_subnet_is_refused(config: Config, tmp_path: Path) -> None:
    claim(config, tmp_path)
    with pytest.raises(LabError, match="BCM_LAB_BRIDGE=bcmlab0"):
        claim(replace(config, bridge="other0"), tmp_path)
    with pytest.raises(LabError, match="BCM_LAB_SUBNET=198"):
        claim(replace(config, subnet=IPv4Network("10.9.0.0/24")), tmp_path)


def test_a_damaged_record(config: Config, tmp_path: Path) -> None:
    config.directory.mkdir()
    config.state_file.write_text("{")
    with pytest.raises(LabError, match="is damaged"):
        claim(config, tmp_path)


def test_names_follow_from_the_environment() -> None:
    config = from_environment({"BCM_LAB_DIR": "/srv/two", "BCM_LAB_BRIDGE": "two0", "BCM_LAB_SUBNET": "198.18.2.0/24"})
    assert (config.gateway, config.world) == ("198.18.2.1", "198.18.2.10")
    assert config.hub_url == "http://198.18.2.10:5000"
    assert str(config.socket) == "/srv/two/lxd/unix.socket"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"BCM_LAB_DIR": "relative"}, "not an absolute path"),
        ({"BCM_LAB_DIR": "/" + "x" * 60}, "too long for the sockets"),
        ({"BCM_LAB_BRIDGE": "a-very-long-bridge"}, "at most 15"),
        ({"BCM_LAB_SUBNET": "198.18.0.5/24"}, "is not a network"),
        ({"BCM_LAB_SUBNET": "198.18.0.0/28"}, "too small"),
    ],
)
def test_an_impossible_environment(environ: dict[str, str], message: str) -> None:
    with pytest.raises(LabError, match=message):
        from_environment(environ)
