# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is killed, the site's lnd comes back as the same one: same key, same onion, its channel active, and payments work.

And whoever is killed while a channel is opened has one channel afterwards, not two.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from interruption import Point, play_and_kill
from lightning import CHANNELS, PATIENCE, Ours, Theirs, active, asking_for, confirm, eventually, fund, pays, step
from standing import Site, bitcoin_container, lxc, node_answers, restart, wait_for

CAPACITY = 500_000
SEED = int(os.environ.get("BCM_E2E_SEED", "2009"))
BRIEF = "BCM_BRIEF" in os.environ


# -- killed while a channel is opened ----------------------------------------------------------------------------------

# Seconds after the task has begun: before the order, and while the two agree on the channel over Tor.
_chance = random.Random(SEED)  # noqa: S311 - no secret comes of it
DELAYS = [round(_chance.uniform(*span), 2) for span in ((0.3, 1), (1, 3), (3, 6))]


def existing(ours: Ours, theirs: Theirs, name: str) -> list[str]:
    """All channels of that name, whatever has become of them."""
    opening = [one["channel"] for one in ours.pending("pending_open_channels")]
    found = [*ours.channels(theirs), *opening, *ours.closed()]
    return [channel["channel_point"] for channel in found if name in channel.get("memo", "")]


@pytest.mark.parametrize("delay", DELAYS[1:2] if BRIEF else DELAYS)
def test_a_run_that_is_killed_while_a_channel_opens_leaves_one_channel(
    site: Site, ours: Ours, theirs: Theirs, tmp_path: Path, delay: float
) -> None:
    name = f"killed-after-{delay}".replace(".", "-")
    fund(ours, 2 * CAPACITY)
    channel = {"name": name, "peer": f"{theirs.key}@{theirs.address}", "amount": CAPACITY}
    declared = asking_for(channel, directory=tmp_path, max_spend=CAPACITY + 50_000)
    point = Point(name, None, "Have the channels", 6)
    killed = play_and_kill(site, CHANNELS, *declared, point=point, delay=delay, directory=tmp_path)
    print(f"seed {SEED}: killed after {delay} s, {'over' if killed.over else 'under way'}, {killed.results}")
    assert killed.reached, f"the run did not come to {point.task}: {killed.text[-3000:]}"

    again = site.play(CHANNELS, *declared)
    assert again.status == 0, again.text[-3000:]
    (opened,) = existing(ours, theirs, name)
    confirm(ours, theirs)
    wait_for("the channel that was ordered twice", lambda: active(ours, theirs, opened), PATIENCE, every=2)
    assert existing(ours, theirs, name) == [opened]
    third = site.play(CHANNELS, *declared)
    assert third.status == 0, third.text[-3000:]
    assert not third.changed


# -- killed while it runs ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def identity(ours: Ours, theirs: Theirs) -> tuple[str, str]:
    """Who it is, with a channel that works."""
    wait_for("a channel", lambda: active(ours, theirs), PATIENCE, every=2)
    return ours.key, ours.address


def is_back(ours: Ours, theirs: Theirs, identity: tuple[str, str]) -> None:
    """The same one, and it pays."""
    wait_for("the site's lnd", ours.info, PATIENCE, every=2)
    assert (ours.key, ours.address) == identity
    step(ours, theirs)
    wait_for("the channel after that", lambda: active(ours, theirs), PATIENCE, every=2)
    pays(ours, theirs)
    pays(theirs, ours)


def kill_lnd(site: Site, ours: Ours) -> None:
    container = ours.container()
    ours.kill()
    wait_for("another container of lnd", eventually(lambda: ours.container() not in ("", container)), 180)


def kill_bitcoind(site: Site, ours: Ours) -> None:
    container = bitcoin_container(site)
    site.ask("bitcoin-1", "docker", "kill", "--signal", "KILL", container)
    wait_for("the site's own node", lambda: node_answers(site), 180, every=2)


def kill_tor(site: Site, ours: Ours) -> None:
    for host in site.tier("proxyhost"):
        before = site.ask(host, "systemctl", "show", "--property=MainPID", "--value", "tor@default.service").strip()
        site.ask(host, "kill", "-KILL", before)

        def another(host: str = host, before: str = before) -> bool:
            now = site.ask(host, "systemctl", "show", "--property=MainPID", "--value", "tor@default.service").strip()
            return now not in ("0", before)

        wait_for(f"tor on {host}", another, 60)


def restart_the_instance(site: Site, ours: Ours) -> None:
    restart(ours.host, site.project, timeout=400)


def redeploy(site: Site, ours: Ours) -> None:
    """Its instance is gone with all that was on its root disk; the volume is not, and it is lnd's turn as before."""
    lxc("delete", "--force", ours.host, project=site.project)
    for stage in ("swarm", "shipping", "lightning"):
        run = site.play(f"playbooks/{stage}.yml")
        assert run.status == 0, run.text[-3000:]


WAYS: dict[str, Callable[[Site, Ours], None]] = {
    "lnd killed": kill_lnd,
    "bitcoind killed": kill_bitcoind,
    "tor killed": kill_tor,
    "instance restarted": restart_the_instance,
    "instance made anew": redeploy,
}


# What a run of all tests has time for; `tests/run soak rest` has all.
FEW = ("lnd killed", "tor killed")


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("way", FEW if BRIEF else WAYS)
def test_it_comes_back_as_the_same_one(
    site: Site,
    ours: Ours,
    theirs: Theirs,
    identity: tuple[str, str],
    record_property: Callable[[str, object], None],
    way: str,
) -> None:
    begun = time.monotonic()
    WAYS[way](site, ours)
    is_back(ours, theirs, identity)
    took = time.monotonic() - begun
    record_property("seconds", round(took))
    print(f"{way}: pays again after {took:.0f} s")
