# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site's lnd and one that belongs to somebody else, their owner at a terminal, and what is between them."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from standing import LAB_DIR, LXD_ENV, Site, declaration, lab, wait_for

HOST = "lightning-1"
COIN = 100_000_000
# Through Tor, and on a machine that does other things.
PATIENCE = 300
WORDS = 24


class Lnd:
    """Either of the two, by its own client."""

    name = ""

    def cli(self, *arguments: str) -> str:
        raise NotImplementedError

    def ask(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.cli(*arguments))
        return found

    def info(self) -> dict[str, Any]:
        """What it says of itself; nothing while it does not answer."""
        try:
            return self.ask("getinfo")
        except (AssertionError, ValueError):
            return {}

    @property
    def key(self) -> str:
        return str(self.ask("getinfo")["identity_pubkey"])

    @property
    def address(self) -> str:
        """The onion that it tells others."""
        (uri,) = self.ask("getinfo")["uris"]
        return str(uri).partition("@")[2]

    def peers(self) -> dict[str, str]:
        return {peer["pub_key"]: peer["address"] for peer in self.ask("listpeers")["peers"]}

    def channels(self, other: Lnd, *options: str) -> list[dict[str, Any]]:
        found = self.ask("listchannels", *options)["channels"]
        return [one for one in found if one["remote_pubkey"] == other.key]

    def pending(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("pendingchannels")[kind]
        return found

    def closed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("closedchannels")["channels"]
        return found

    def confirmed(self) -> int:
        """What it can spend on the chain, in sat."""
        return int(self.ask("walletbalance")["confirmed_balance"])

    def invoice(self, sat: int) -> str:
        return str(self.ask("addinvoice", f"--amt={sat}")["payment_request"])

    def pay(self, invoice: str) -> dict[str, Any]:
        """Pay, and say how it ended."""
        said = self.cli("payinvoice", "--force", "--json", "--timeout=60s", "--fee_limit=50", invoice)
        ends = list(objects(said))
        assert ends, f"{self.name} says nothing of how it paid: {said[-500:]}"
        return ends[-1]

    def in_step(self, height: int) -> bool:
        info = self.info()
        return bool(info and info["synced_to_chain"] and info["block_height"] >= height)


def objects(text: str) -> list[dict[str, Any]]:
    """The objects of JSON that follow each other, with other words between them."""
    found, decoder, at = [], json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            one, at = decoder.raw_decode(text, at)
        except ValueError:
            at += 1
        else:
            found.append(one)
        at = text.find("{", at)
    return found


class Theirs(Lnd):
    """It belongs to somebody else, and stands in the lab's internet."""

    name = "somebody else's lnd"

    def cli(self, *arguments: str) -> str:
        return lab("lnd", "cli", *arguments)

    def restart(self) -> None:
        lxc_lab("systemctl", "restart", "lnd")
        wait_for(f"return of {self.name}", lambda: self.info().get("synced_to_chain"), PATIENCE)


def lxc_lab(*argv: str) -> str:
    """A command where the nodes of other people are."""
    done = subprocess.run(
        ["lxc", "--project", "lab", "exec", "-T", "peers", "--", *argv],
        env={**os.environ, **LXD_ENV},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass
class Ours(Lnd):
    """The site's."""

    site: Site
    host: str = HOST

    name = "the site's lnd"

    def cli(self, *arguments: str) -> str:
        return self.site.ask(self.host, "lncli", *arguments, timeout=300)

    def part(self, name: str) -> dict[str, Any]:
        """What is said of a part of it by what looks after it."""
        return next(part for part in self.status()["parts"] if part["part"].partition(" (")[0] == name)

    def status(self) -> dict[str, Any]:
        """What is said by what looks after it."""
        said = self.site.run(self.host, "bcm-lnd", "status", "--json").stdout
        found: dict[str, Any] = json.loads(said) if said.strip() else {}
        return found

    def has_confirmed_seed(self) -> bool:
        """Whether its owner has typed the seed back. With play money nothing is broken without that."""
        status = self.status()
        return bool(status) and not any("confirmed that the owner has the seed" in why for why in status["why_not"])

    def container(self) -> str:
        """Its container; none where it has none."""
        listed = self.site.ask(
            self.host, "docker", "ps", "--no-trunc", "--quiet", "--filter", f"label=bcm.lnd={self.host}"
        )
        return listed.strip()

    def process(self, name: str = "lnd") -> str:
        """A process of its container, as the host sees it."""
        rows = self.site.ask(self.host, "docker", "top", self.container(), "-o", "pid,comm").splitlines()[1:]
        (pid,) = [pid for pid, command in (row.split(maxsplit=1) for row in rows) if command == name]
        return pid

    def kill(self) -> None:
        self.site.ask(self.host, "kill", "-KILL", self.process())

    def service(self) -> str:
        argv = [
            "docker",
            "inspect",
            "--format",
            '{{index .Config.Labels "com.docker.swarm.service.name"}}',
            self.container(),
        ]
        return self.site.ask(self.host, *argv).strip()

    @property
    def data(self) -> str:
        """Where its volume is, on its host."""
        form = '{{range .Mounts}}{{if eq .Destination "/data"}}{{.Source}}{{end}}{{end}}'
        return self.site.ask(self.host, "docker", "inspect", "--format", form, self.container()).strip()


@dataclass(frozen=True)
class Owner:
    """The person whose money it is. The lab has made keys for one (`lab/lab lnd build`)."""

    key: Path = LAB_DIR / "owner" / "age.key"

    def opens(self, sealed: str) -> list[str]:
        """The words of a seed that was sealed to the owner."""
        done = subprocess.run(
            ["age", "--decrypt", "--identity", str(self.key)], input=sealed, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        words = re.findall(r"^ ?\d+\. ([a-z]+)$", done.stdout, re.MULTILINE)
        assert len(words) == WORDS, f"there are {len(words)} words in what was sealed"
        return words


class Terminal:
    """A person who is logged in on a host and types. What is typed is in no argument of any program."""

    def __init__(self, site: Site, host: str, *argv: str) -> None:
        ours, theirs = pty.openpty()
        self.fd, self.seen, self.mark = ours, "", 0
        self.process = subprocess.Popen(
            ["lxc", "--project", site.project, "exec", "-t", host, "--", *argv],
            env={**os.environ, **LXD_ENV, "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def _more(self, seconds: float) -> bool:
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            part = os.read(self.fd, 65536)
        except OSError:
            return False
        self.seen += part.decode(errors="replace")
        return bool(part)

    def shows(self, pattern: str, seconds: float = 60) -> None:
        """Until it is on the screen, after what was typed last."""
        until = time.monotonic() + seconds
        while not re.search(pattern, self.seen[self.mark :]):
            more = self._more(0.5)
            assert more, f"the terminal is closed, and has not shown {pattern!r}: {self.seen[self.mark :][-500:]!r}"
            assert time.monotonic() < until, (
                f"the terminal does not show {pattern!r}: {self.seen[self.mark :][-500:]!r}"
            )
        self.mark = len(self.seen)

    def types(self, text: str) -> None:
        os.write(self.fd, f"{text}\r".encode())

    def ends(self, seconds: float = 120) -> int:
        until = time.monotonic() + seconds
        while self._more(0.5):
            if self.process.poll() is not None and not select.select([self.fd], [], [], 0.2)[0]:
                break
            assert time.monotonic() < until, f"it does not end: {self.seen[-500:]!r}"
        status = self.process.wait(30)
        os.close(self.fd)
        return status


def seed_of(ours: Ours, owner: Owner) -> list[str]:
    """As the owner reads it: what the site shows is sealed."""
    return owner.opens(ours.site.ask(ours.host, "bcm-lnd", "seed", "read"))


def confirm_seed(ours: Ours, words: list[str]) -> tuple[int, str]:
    """The owner types the words back. Gives how it ended, and all that was on the screen."""
    terminal = Terminal(ours.site, ours.host, "bcm-lnd", "seed", "confirm")
    terminal.shows("Word 1 of")
    terminal.types(" ".join(words))
    status = terminal.ends()
    return status, terminal.seen


def mine(blocks: int = 1) -> int:
    """Give the chain some blocks. Says how high it is then."""
    lab("bitcoin-cli", "generatetodescriptor", str(blocks), "raw(51)")
    return int(lab("bitcoin-cli", "getblockcount"))


def step(*lnds: Lnd, blocks: int = 0) -> int:
    """Some blocks, and all have them."""
    height = mine(blocks) if blocks else int(lab("bitcoin-cli", "getblockcount"))
    for lnd in lnds:
        wait_for(f"block {height} at {lnd.name}", lambda lnd=lnd: lnd.in_step(height), PATIENCE)  # type: ignore[misc]
    return height


def confirm(ours: Lnd, theirs: Lnd) -> None:
    """Six blocks, with the transactions of all channels that open in them: those come to whoever mines over Tor, in their time."""
    opening = [one for one in ours.pending("pending_open_channels") if not one["confirmation_height"]]
    waiting = {one["channel"]["channel_point"].partition(":")[0] for one in opening}
    wait_for(
        "transactions of channels where blocks are mined",
        lambda: waiting <= set(json.loads(lab("bitcoin-cli", "getrawmempool"))),
        PATIENCE,
    )
    step(ours, theirs, blocks=6)


def fund(lnd: Lnd, sat: int) -> None:
    """Coins of the lab for an lnd that has less."""
    before = lnd.confirmed()
    if before >= sat:
        return
    address = lnd.ask("newaddress", "p2wkh")["address"]
    lab("bitcoin-cli", "-rpcwallet=lab", "sendtoaddress", address, f"{sat / COIN:.8f}")
    step(lnd, blocks=1)
    wait_for(f"coins of {lnd.name}", lambda: lnd.confirmed() >= sat, PATIENCE)


def active(one: Lnd, other: Lnd, point: str = "") -> bool:
    """Whether a channel, or that one, is active for both: it may be for one and not for the other yet."""
    try:
        both = [
            {channel["channel_point"] for channel in lnd.channels(peer, "--active_only")}
            for lnd, peer in ((one, other), (other, one))
        ]
    except (AssertionError, ValueError):
        return False
    found = both[0] & both[1]
    return point in found if point else bool(found)


def pays(one: Lnd, other: Lnd, sat: int = 1000) -> None:
    """One payment arrives, told by who is paid. Right after a channel came back, the first way may not be known yet."""

    def arrives() -> bool:
        try:
            return one.pay(other.invoice(sat)).get("status") == "SUCCEEDED"
        except AssertionError:
            return False

    wait_for(f"a payment from {one.name} to {other.name}", arrives, 120, every=3)


CHANNELS = "playbooks/lightning_channels.yml"


def stack_with(*channels: dict[str, Any], max_spend: int) -> dict[str, Any]:
    """Channels and their limits, as the stack has them."""
    return {"channels": list(channels), "channel_limits": {"max_spend": max_spend, "max_fee_rate": 100}}


def asking_for(*channels: dict[str, Any], directory: Path, max_spend: int) -> tuple[str, ...]:
    """What a run is told that shall have other channels than those that are declared."""
    directory.mkdir(parents=True, exist_ok=True)
    told = {f"lightning_{key}": value for key, value in stack_with(*channels, max_spend=max_spend).items()}
    file = directory / "channels.json"
    file.write_text(json.dumps(told))
    return ("-e", f"@{file}")


def declaring(*channels: dict[str, Any], directory: Path, max_spend: int) -> Path:
    """The lab's declaration, with channels in it."""
    directory.mkdir(parents=True, exist_ok=True)
    laid_over = directory / "channels.yml"
    laid_over.write_text(json.dumps({"stacks": {"lightning": stack_with(*channels, max_spend=max_spend)}}))
    inventory = declaration(directory)
    file = inventory / "site.bcm.yml"
    line = r"(?m)^(  - path: \S*/lnd-vars\.yml\n    optional: true\n)"
    text, found = re.subn(line, lambda match: f"{match[1]}  - path: {laid_over}\n", file.read_text())
    assert found == 1, "the lab's declaration names its lnd in another way"
    file.write_text(text)
    return inventory


def eventually(looks: Callable[[], bool]) -> Callable[[], bool]:
    """The same of what may not answer meanwhile."""

    def seen() -> bool:
        try:
            return looks()
        except (AssertionError, ValueError, KeyError):
            return False

    return seen
