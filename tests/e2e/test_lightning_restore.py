# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The volume of lnd is lost. Its seed and a copy of the channel backup bring the money back, and what was lost never runs again.

The volume is put aside rather than deleted, so that the old lnd can come back afterwards, as a server does that was only believed to be broken. The last
of the tests of Lightning: the channels are closed by it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from lightning import COIN, PATIENCE, Ours, Owner, Terminal, Theirs, active, eventually, mine, pays, seed_of, step
from standing import Site, lxc, wait_for

SENTENCE = "the lnd that was on {} never runs again"
# What is left on the way: fees of the transactions that close channels and of those that bring the money home.
FEES = 100_000


def volume_of(site: Site, host: str) -> str:
    """LXD's volume that its data is on: the one at /srv/lnd."""
    devices = json.loads(lxc("query", f"/1.0/instances/{host}?project={site.project}"))["expanded_devices"]
    (name,) = [device["source"] for device in devices.values() if device.get("path") == "/srv/lnd"]
    return str(name)


def rename(site: Site, name: str, new: str) -> None:
    lxc("storage", "volume", "rename", site.project, name, new, project=site.project)


def all_money(ours: Ours) -> int:
    """On the chain, in channels that are open and in those that are being closed, in sat."""
    channels = ours.ask("listchannels")["channels"]
    limbo = int(ours.ask("pendingchannels")["total_limbo_balance"])
    on_chain = int(ours.ask("walletbalance")["total_balance"])
    return on_chain + limbo + sum(int(one["local_balance"]) for one in channels)


@pytest.fixture(scope="module")
def words(ours: Ours, owner: Owner) -> list[str]:
    """As the owner has them on paper: what was sealed is gone with the volume."""
    return seed_of(ours, owner)


@pytest.fixture(scope="module")
def before(ours: Ours, theirs: Theirs, words: list[str]) -> dict[str, object]:
    """What there was: one channel at least, which works, with a copy of the backup that knows of it."""
    assert len(words) == 24
    step(ours, theirs)
    wait_for("a channel", lambda: active(ours, theirs), PATIENCE, every=2)
    pays(ours, theirs)
    pays(theirs, ours)
    wait_for(
        "copies of the channel backup",
        eventually(lambda: all(copy["current"] for copy in ours.status()["backup"]["copies"])),
        120,
    )
    return {
        "key": ours.key,
        "address": ours.address,
        "money": all_money(ours),
        "channels": len(ours.channels(theirs)),
        "number": ours.status()["fence"]["own"],
    }


@pytest.fixture(scope="module")
def lost(site: Site, ours: Ours, before: dict[str, object]) -> Iterator[tuple[str, str]]:
    """The volume is not where it was. Its name, and the name by which it was put aside."""
    name = volume_of(site, ours.host)
    aside = f"{name}-aside"
    assert before["channels"]
    lxc("delete", "--force", ours.host, project=site.project)
    rename(site, name, aside)
    yield name, aside
    lxc("storage", "volume", "delete", site.project, aside, project=site.project, check=False)


def test_an_empty_volume_beside_a_seed_that_exists_is_refused(site: Site, ours: Ours, lost: tuple[str, str]) -> None:
    """A new seed would be made for it otherwise, and the old money forgotten."""
    for stage in ("swarm", "shipping"):
        assert site.play(f"playbooks/{stage}.yml").status == 0
    run = site.play("playbooks/lightning.yml")
    assert run.status != 0
    assert "lightning_restore.yml" in run.text
    assert lost[0] in lxc("storage", "volume", "list", site.project, "--format", "csv", project=site.project)
    assert not ours.info()


@pytest.mark.usefixtures("lost")
def test_it_is_restored_only_by_who_says_that_the_old_one_never_runs_again(site: Site, ours: Ours) -> None:
    run = site.play("playbooks/lightning_restore.yml", "-e", f"node={ours.host}")
    assert run.status != 0
    assert "never runs again" in run.text


@pytest.mark.usefixtures("lost")
def test_seed_and_channel_backup_bring_the_money_back(
    site: Site, ours: Ours, theirs: Theirs, before: dict[str, object], words: list[str]
) -> None:
    sentence = json.dumps({"node": ours.host, "confirm": SENTENCE.format(ours.host)})
    run = site.play("playbooks/lightning_restore.yml", "-e", sentence)
    assert run.status == 0, run.text[-3000:]
    terminal = Terminal(site, ours.host, "bcm-lnd", "restore")
    terminal.shows("Word 1 of", seconds=180)
    terminal.types(" ".join(words))
    assert terminal.ends(300) == 0, terminal.seen
    assert " ".join(words[:3]) not in terminal.seen

    wait_for("the site's lnd", ours.info, PATIENCE, every=2)
    assert (ours.key, ours.address) == (before["key"], before["address"])
    # The other side closes the channels as soon as they have talked.
    wait_for("channels that the other side closes", eventually(lambda: not theirs.channels(ours)), PATIENCE, every=2)
    mine(6)

    def home() -> bool:
        mine(10)
        step(ours, theirs)
        pending = ours.ask("pendingchannels")
        closing = [*pending["pending_force_closing_channels"], *pending["waiting_close_channels"]]
        return not closing and ours.confirmed() >= int(str(before["money"])) - FEES

    wait_for("all money in the wallet", eventually(home), 600, every=3)
    assert ours.confirmed() <= int(str(before["money"]))
    assert ours.confirmed() < 1000 * COIN


@pytest.mark.usefixtures("lost")
def test_the_restored_one_is_whole(site: Site, ours: Ours, before: dict[str, object]) -> None:
    run = site.play("playbooks/lightning.yml")
    assert run.status == 0, run.text[-3000:]
    wait_for("its fence", eventually(lambda: ours.part("lnd's fence")["works"]), PATIENCE)
    assert ours.status()["fence"]["own"] == int(str(before["number"])) + 1


def test_the_old_one_comes_back_and_stays_down(site: Site, ours: Ours, lost: tuple[str, str]) -> None:
    """With its volume as it was, its keys and its channels: money would be lost if it ran."""
    name, aside = lost
    restored = f"{name}-restored"
    lxc("delete", "--force", ours.host, project=site.project)
    rename(site, name, restored)
    rename(site, aside, name)
    try:
        for stage in ("swarm", "shipping"):
            assert site.play(f"playbooks/{stage}.yml").status == 0
        # Whether the play says so or lnd's own guard does: it is told that it is the old one, and has not started.
        run = site.play("playbooks/lightning.yml")
        told = run.text + site.run(ours.host, "bcm-lnd", "status").stdout
        assert "stays down for ever" in told or "restored elsewhere" in told
        assert not ours.info()
        assert site.run(ours.host, "docker", "top", ours.container() or "none", "-o", "comm").stdout.count("lnd\n") == 0
    finally:
        lxc("delete", "--force", ours.host, project=site.project)
        rename(site, name, aside)
        rename(site, restored, name)
        for stage in ("swarm", "shipping", "lightning"):
            assert site.play(f"playbooks/{stage}.yml").status == 0
    wait_for("the restored one", ours.info, PATIENCE, every=2)
