# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of a whole site share: the lab's site as it stands after site.yml."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from bus import Bus
from lightning import HOST, Ours, Owner, Theirs, step
from neighbour import all_but, somebody
from standing import CHECKOUT, LXD_ENV, Site, declaration, lab, node_answers, play, start, wait_for, without_lnd


@pytest.fixture(scope="session")
def site() -> Site:
    """The lab's site. Whoever runs these tests has run site.yml before (`make e2e` does)."""
    found = Site.read(CHECKOUT / "inventories/lab")
    os.environ.update(LXD_ENV)
    missing = [name for name in found.instances if not found.running().get(name)]
    if missing:
        pytest.fail(f"site {found.name} does not stand ({', '.join(missing)} not running): run `make site` first")
    return found


@pytest.fixture
def whole(site: Site) -> Iterator[None]:
    """Whatever a test leaves behind, instances and engines run after it, and the node answers."""
    yield
    for host, running in site.running().items():
        if not running:
            start(host, site.project)
    for host in site.engines:
        site.ask(host, "systemctl", "start", "docker")
    wait_for("site's own node", lambda: node_answers(site), 120, every=3)


@pytest.fixture
def bus(site: Site) -> Iterator[Bus]:
    """The site's Kafka, which is whole again after the test."""
    found = Bus(site)
    yield found
    found.mend()


@pytest.fixture(scope="session")
def theirs() -> Theirs:
    """An lnd that belongs to somebody else, beside Bitcoin nodes that do; all of them by onion alone."""
    lab("lnd", "up", timeout=3600)
    return Theirs()


@pytest.fixture(scope="session")
def ours(site: Site, theirs: Theirs) -> Ours:
    """The site's lnd, in step with the chain that the other one is on."""
    if HOST not in site.instances:
        pytest.fail(f"site {site.name} has no {HOST}: its declaration has no lnd")
    found = Ours(site)
    wait_for("the site's lnd", found.info, 120, every=2)
    step(found, theirs)
    return found


@pytest.fixture(scope="session")
def owner() -> Owner:
    """Whose money it is."""
    return Owner()


# A second site is about other things, and three brokers more, or an lnd, would take the processors from them.
WITHOUT_KAFKA = {"  kafka": "  kafka: {enabled: false}"}


@pytest.fixture(scope="session")
def other_site(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A second site on the same machine: no more of it than its fabric. Afterwards nothing of it is left."""
    small = {"name": "name: e2e-other", "pool": "pool: {size: 8GiB}", **WITHOUT_KAFKA}
    inventory = without_lnd(declaration(tmp_path_factory.mktemp("other"), **small))
    run = play("playbooks/fabric.yml", inventory=inventory)
    assert run.status == 0, run.text[-3000:]
    yield Site.read(inventory)
    gone = play("playbooks/destroy.yml", "-e", "confirm=e2e-other", "-e", "data=true", inventory=inventory)
    assert gone.status == 0, gone.text[-3000:]


# The last ones, in this order: a whole site is made once for both.
LAST = ["test_kills.py", "test_destroy.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LAST.index(item.path.name) if item.path.name in LAST else -1)


@pytest.fixture(scope="session")
def declared(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A whole second site that is not made yet, on a machine that somebody else uses too. At the end it is gone."""
    inventory = declaration(
        tmp_path_factory.mktemp("second"),
        name="name: e2e-second",
        pool="pool: {size: 20GiB}",
        **{"    volume_size": "    volume_size: 5GiB\n    wallet: true", **WITHOUT_KAFKA},
    )
    without_lnd(inventory)
    taken_away = ("playbooks/destroy.yml", "-e", "confirm=e2e-second", "-e", "data=true")
    # What a test run that was killed has left.
    before = play(*taken_away, inventory=inventory)
    assert before.status == 0, before.text[-3000:]
    with somebody(site.hostvars["standalone"]["bcm_mirrors"]["images"]):
        yield Site.read(inventory)
        after = play(*taken_away, inventory=inventory)
        assert after.status == 0, after.text[-3000:]


@pytest.fixture(scope="session")
def machine(site: Site, declared: Site) -> dict[str, Any]:
    """What is on the machine without the second site."""
    return all_but(declared, "somebody", busy=site.project)


@pytest.fixture(scope="session")
def second(declared: Site, machine: dict[str, Any]) -> Site:
    """The second site, for whoever makes it."""
    return declared
