# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of a whole site share: the lab's site as it stands after site.yml."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from standing import CHECKOUT, LXD_ENV, Site, declaration, play


@pytest.fixture(scope="session")
def site() -> Site:
    """The lab's site. Whoever runs these tests has run site.yml before (`make e2e` does)."""
    found = Site.read(CHECKOUT / "inventories/lab")
    os.environ.update(LXD_ENV)
    missing = [name for name in found.instances if not found.running().get(name)]
    if missing:
        pytest.fail(f"site {found.name} does not stand ({', '.join(missing)} not running): run `make site` first")
    return found


@pytest.fixture(scope="session")
def other_site(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A second site on the same machine: no more of it than its fabric. Afterwards nothing of it is left."""
    inventory = declaration(tmp_path_factory.mktemp("other"), name="name: e2e-other", pool="pool: {size: 8GiB}")
    run = play("playbooks/fabric.yml", inventory=inventory)
    assert run.status == 0, run.text[-3000:]
    yield Site.read(inventory)
    gone = play("playbooks/destroy.yml", "-e", "confirm=e2e-other", "-e", "data=true", inventory=inventory)
    assert gone.status == 0, gone.text[-3000:]
