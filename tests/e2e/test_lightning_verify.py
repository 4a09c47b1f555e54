# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with an lnd that seems to run: each is brought about for real, and verify.yml names it with its cause.

One after the other, for each of them hides the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lightning import PATIENCE, Ours, eventually, mine
from standing import Site, wait_for

# What its container reads, as it lies on the host.
ETC = "/etc/bcm/lnd/task"
SAVE = 'cp --archive "$1" "$1.e2e"'
BACK = 'test ! -e "$1.e2e" || mv "$1.e2e" "$1"'
# A port that nobody publishes on; the address and the file stay as they were, owner and all.
OTHER_PORT = f"{SAVE}; sed -i --follow-symlinks -E 's/^(bitcoind\\.zmqpubrawblock=.*:)[0-9]+$/\\19/' \"$1\""
OTHER_WORD = f"{SAVE}; sed -i --follow-symlinks -E 's/[^:]+$/not-the-password/' \"$1\""
# All but 3 of 100 parts of what is declared.
FULL = 'used=$(du --summarize --block-size=1M --one-file-system "$1" | cut -f 1); fallocate --length "$(($2 * 97 / 100 - used))M" "$1/e2e-full"'


@dataclass(frozen=True)
class Wrong:
    """How it is brought about and put right, and what must be said of it: the part, and one of these in its cause."""

    broken: tuple[str, ...]
    mended: tuple[str, ...]
    part: str
    causes: tuple[str, ...]
    # Whether lnd has to begin anew to notice.
    again: bool = True
    # Whether it is noticed by a block alone.
    block: bool = False


WRONG = {
    "ZMQ port": Wrong(
        ("sh", "-ec", OTHER_PORT, "sh", f"{ETC}/lnd.conf"),
        ("sh", "-ec", BACK, "sh", f"{ETC}/lnd.conf"),
        "Blocks reach lnd",
        ("has not been told of it",),
        block=True,
    ),
    "RPC password": Wrong(
        ("sh", "-ec", OTHER_WORD, "sh", f"{ETC}/rpc"),
        ("sh", "-ec", BACK, "sh", f"{ETC}/rpc"),
        "lnd",
        ("password", "401", "refuse", "bitcoind"),
    ),
    "wallet locked": Wrong(
        ("sh", "-ec", OTHER_WORD, "sh", f"{ETC}/wallet-password"),
        ("sh", "-ec", BACK, "sh", f"{ETC}/wallet-password"),
        "lnd",
        ("wallet", "password"),
    ),
    "disk nearly full": Wrong(
        ("sh", "-ec", FULL, "sh", "/srv/lnd", "2048"),
        ("rm", "--force", "/srv/lnd/e2e-full"),
        "lnd",
        ("free space",),
        again=False,
    ),
}


def begin_anew(ours: Ours) -> None:
    if ours.container():
        ours.site.run(ours.host, "docker", "kill", "--signal", "TERM", ours.container())


@contextlib.contextmanager
def wrong(ours: Ours, thing: Wrong) -> Iterator[None]:
    """It is so within, and right again afterwards, whatever happens."""
    try:
        ours.site.ask(ours.host, *thing.broken)
        if thing.again:
            begin_anew(ours)
        yield
    finally:
        ours.site.run(ours.host, *thing.mended)
        begin_anew(ours)
        wait_for(
            "lnd that was put right",
            eventually(lambda: all(part["works"] for part in ours.status()["parts"])),
            PATIENCE,
        )


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("name", WRONG)
def test_it_is_named_with_its_cause(site: Site, ours: Ours, tmp_path: Path, name: str) -> None:
    thing = WRONG[name]

    def named() -> bool:
        part = ours.part(thing.part)
        return not part["works"] and any(cause in part["cause"] for cause in thing.causes)

    with wrong(ours, thing):
        if thing.block:
            wait_for("lnd that runs", ours.info, PATIENCE, every=2)
            mine()
        wait_for(f"word of it: {name}", eventually(named), PATIENCE, every=2)
        report = site.verify(tmp_path)
    found = [
        part for part in report["parts"] if part["host"] == ours.host and part["part"].partition(" (")[0] == thing.part
    ]
    assert found, f"verify.yml says nothing of {thing.part}"
    (part,) = found
    assert not part["works"], f"{name}, and verify.yml says that it works"
    assert any(cause in part["cause"] for cause in thing.causes), part["cause"]
    assert part["hint"], "it says nothing of what a person can do"
    assert not report["works"]


def test_all_of_it_works_afterwards(site: Site, ours: Ours, tmp_path: Path) -> None:
    wait_for("the whole site", lambda: site.verify(tmp_path)["works"], 300, every=5)
    assert all(part["works"] for part in ours.status()["parts"])
