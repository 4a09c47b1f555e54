# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import tempfile
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import FakeLXD


@pytest.fixture
def lxd() -> t.Iterator[FakeLXD]:
    """A fake LXD. Its socket lies in a short path: a unix socket's name has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="fake-lxd-") as directory:
        fake = FakeLXD(Path(directory))
        yield fake
        fake.close()
