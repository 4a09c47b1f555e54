# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own Bitcoin node in the world: regtest, with the lab's coins and its mining."""

from __future__ import annotations

import time
from pathlib import Path

from .cache import content_key, file_sha256
from .config import RECIPES, WORLD, LabError
from .lxc import Lxc, overlay

OVERLAY = RECIPES / "node"
WALLET = "lab"
CLIENT = ("/opt/bitcoin/bin/bitcoin-cli", "-conf=/etc/bitcoin/bitcoin.conf", "-datadir=/var/lib/bitcoin")
# Blocks whose coins are the wallet's; they can be spent after a hundred more, whose coins are nobody's.
COINS = 10
MATURITY = 100


def ensure(lxc: Lxc, built: Path) -> str:
    """Have it run with coins to spend."""
    (tarball,) = built.glob("*.tar.gz")
    files = overlay(OVERLAY)
    wanted = content_key("node 1", file_sha256(tarball), {name: text.decode() for name, (text, _) in files.items()})
    instance = lxc.instance(WORLD)
    if instance is None:
        raise LabError("there is no world to put the node into")
    did = ""
    if instance["config"].get("user.bcm.lab.node") != wanted:
        script = "systemd-sysusers && rm -rf /opt/bitcoin && mkdir /opt/bitcoin && tar -xzf - --strip-components=1 -C"
        lxc.push_tree(WORLD, files)
        lxc.exec(WORLD, "sh", "-ec", f"{script} /opt/bitcoin", stdin=tarball.read_bytes())
        lxc.exec(WORLD, "systemctl", "daemon-reload")
        lxc.exec(WORLD, "systemctl", "enable", "-q", "bitcoind")
        lxc.exec(WORLD, "systemctl", "restart", "bitcoind")
        lxc("config", "set", WORLD, f"user.bcm.lab.node={wanted}")
        did = f"runs {tarball.name.split('-')[1]}"
    if height(lxc) is None:
        lxc.exec(WORLD, "systemctl", "start", "bitcoind", timeout=180)
    blocks = wait_answers(lxc)
    open_wallet(lxc)
    if blocks < COINS:
        cli(lxc, f"-rpcwallet={WALLET}", "-generate", str(COINS - blocks))
    if blocks < COINS + MATURITY:
        cli(lxc, "generatetodescriptor", str(COINS + MATURITY - max(blocks, COINS)), "raw(51)")
        did = f"{did or 'has'} with {COINS + MATURITY} blocks"
    return did


def open_wallet(lxc: Lxc) -> None:
    """The lab's wallet, made where there is none. A node that has just started may be loading it by itself meanwhile."""
    if f'"{WALLET}"' in cli(lxc, "listwallets"):
        return
    found = f'"{WALLET}"' in cli(lxc, "listwalletdir")
    call, name = ("loadwallet", "filename") if found else ("createwallet", "wallet_name")
    try:
        cli(lxc, "-named", call, f"{name}={WALLET}", "load_on_startup=true")
    except LabError:
        if f'"{WALLET}"' not in cli(lxc, "listwallets"):
            raise


def cli(lxc: Lxc, *arguments: str) -> str:
    """`bitcoin-cli` in the world."""
    return lxc.exec(WORLD, *CLIENT, *arguments, timeout=120)


def height(lxc: Lxc) -> int | None:
    """How many blocks it has; None if it does not answer."""
    try:
        return int(lxc.read(WORLD, *CLIENT, "getblockcount", timeout=120))
    except LabError:
        return None


def wait_answers(lxc: Lxc, seconds: int = 60) -> int:
    """Until it answers; gives its height."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        blocks = height(lxc)
        if blocks is not None:
            return blocks
        time.sleep(0.5)
    journal = lxc.exec(WORLD, "journalctl", "-u", "bitcoind", "-n", "15", "--no-pager", "-o", "cat")
    raise LabError(f"bitcoind in the world does not answer within {seconds} s. Its last words:\n{journal}")
