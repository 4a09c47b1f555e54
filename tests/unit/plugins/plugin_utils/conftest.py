# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declarations for tests: as files, so that what is tested is what a person writes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _declaration

PYTHON = "/usr/bin/controller-python"


def _text(content: str | dict[str, Any]) -> str:
    if isinstance(content, str):
        return content
    return yaml.safe_dump({"plugin": "bcm.datacenter.site", "name": "test", **content}, sort_keys=False)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a declaration, and files beside it by name; a mapping gets what every declaration must have."""

    def write(content: str | dict[str, Any], **beside: str) -> Path:
        for name, text in beside.items():
            (tmp_path / f"{name}.yml").write_text(text)
        file = tmp_path / "site.bcm.yml"
        file.write_text(_text(content))
        return file

    return write


@pytest.fixture
def site(write: Callable[..., Path]) -> Callable[..., _declaration.Site]:
    """Expand a declaration."""

    def site(content: str | dict[str, Any], environment: dict[str, str] | None = None, **beside: str) -> Any:
        return _declaration.load_site(write(content, **beside), environment or {}, PYTHON)

    return site


@pytest.fixture
def wrong(site: Callable[..., Any], tmp_path: Path) -> Callable[..., list[str]]:
    """Expand a declaration that cannot be used; return what is wrong, without the folder."""

    def wrong(content: str | dict[str, Any], environment: dict[str, str] | None = None, **beside: str) -> list[str]:
        with pytest.raises(_declaration.DeclarationError) as caught:
            site(content, environment, **beside)
        return [str(finding).replace(f"{tmp_path}{os.sep}", "") for finding in caught.value.findings]

    return wrong
