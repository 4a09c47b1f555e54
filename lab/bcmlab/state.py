# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says that a folder is a lab, which code made it, and from which checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .config import CHECKOUT, LAYOUT, Config, LabError
from .proc import write_atomic


def read(config: Config) -> dict[str, Any] | None:
    """The record of the lab, None if there is no lab."""
    try:
        record: dict[str, Any] = json.loads(config.state_file.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise LabError(
            f"{config.state_file} is damaged ({error}). If it is a lab of yours, remove that file."
        ) from error
    return record


def claim(config: Config, checkout: Path = CHECKOUT) -> str:
    """Take the folder for a lab: a new one, ours, or another checkout's if this code can go on with it."""
    record = read(config)
    mine = {
        "layout": LAYOUT,
        "checkout": str(checkout),
        "bridge": config.bridge,
        "subnet": str(config.subnet),
    }
    if record is None:
        if config.directory.is_dir() and any(path.name != ".lock" for path in config.directory.iterdir()):
            raise LabError(
                f"{config.directory} is not empty and not a lab. Empty it, or give the lab another BCM_LAB_DIR."
            )
        write_atomic(config.state_file, json.dumps(mine, indent=2) + "\n")
        return f"new lab in {config.directory}"
    owner = record.get("checkout", "?")
    if record.get("layout") != LAYOUT:
        raise LabError(
            f"the lab in {config.directory} was made by {owner} with layout {record.get('layout')}, this code has "
            f"{LAYOUT}. Remove that lab with `lab/lab purge`, or give this one another BCM_LAB_DIR."
        )
    for key in ("bridge", "subnet"):
        if record.get(key) != mine[key]:
            raise LabError(
                f"the lab in {config.directory} has {key} {record.get(key)}, asked for is {mine[key]}. "
                f"Set BCM_LAB_{key.upper()}={record.get(key)}, or `lab/lab purge` it first."
            )
    if owner == str(checkout):
        return ""
    if Path(owner).is_dir():
        return f"goes on with the lab of {owner}"
    write_atomic(config.state_file, json.dumps(mine, indent=2) + "\n")
    return f"took over the lab of {owner}, which is gone"
