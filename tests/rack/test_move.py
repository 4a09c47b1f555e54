# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance that runs moves to another server with what is in it, by the module alone, and runs again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from standing import CHECKOUT
from test_site import SERVERS, RackSite

NAME = "test-move"
FROM, TO = SERVERS[1:]
KEPT = "/root/kept-through-a-move"


@pytest.fixture(scope="module")
def site() -> Iterator[RackSite]:
    found = RackSite.read(CHECKOUT / "inventories/lab-rack")
    yield found
    found.on(found.through, "lxc", "--project", found.project, "delete", "--force", NAME)


def changed(site: RackSite, directory: Path, *arguments: str, **options: object) -> bool:
    """Whether the module had anything to do for the instance to be as it is wanted."""
    # The site's pool has the project's name.
    root = {"type": "disk", "path": "/", "pool": site.project}
    module = {
        "name": NAME,
        "project": site.project,
        "image": "bcm-golden",
        "devices": {"root": root},
        "timeout": 300,
        **options,
    }
    tasks = [{"name": "The instance", "bcm.datacenter.lxd_instance": module}]
    play = {"name": "An instance", "hosts": site.through, "gather_facts": False, "tasks": tasks}
    playbook = directory / "instance.yml"
    playbook.write_text(yaml.safe_dump([play]))
    run = site.play(str(playbook), *arguments)
    assert run.status == 0, run.text[-3000:]
    return bool(run.changed)


def state(site: RackSite) -> tuple[str, str]:
    found = site.query(f"/1.0/instances/{NAME}?project={site.project}")
    return found["location"], found["status"]


def test_it_stays_where_it_is_unless_it_is_told_to_move(site: RackSite, tmp_path: Path) -> None:
    assert changed(site, tmp_path, target=FROM)
    assert not changed(site, tmp_path, target=TO)
    assert state(site) == (FROM, "Running")


def test_it_moves_while_it_runs_and_runs_again(site: RackSite, tmp_path: Path) -> None:
    site.ask(NAME, "sh", "-ec", f"echo kept > {KEPT}; sync")
    assert changed(site, tmp_path, "--check", target=TO, move=True)
    assert state(site) == (FROM, "Running")
    assert changed(site, tmp_path, target=TO, move=True)
    assert state(site) == (TO, "Running")
    assert site.ask(NAME, "cat", KEPT) == "kept\n"
    assert not changed(site, tmp_path, target=TO, move=True)
