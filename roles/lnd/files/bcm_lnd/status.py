# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be said of an lnd: one part after the other, each working or not, with the cause and what to do."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Callable
from typing import Any

from . import seed
from .config import Config
from .fence import Verdict
from .scb import Copier, Copy

Object = dict[str, Any]

# Days before its end at which a certificate is something to look after. A run of lightning.yml makes another one 30 days before.
CERTIFICATE_DAYS = 14


def part(what: str, cause: str = "", hint: str = "") -> Object:
    return {"part": what, "works": not cause, "cause": cause, "hint": hint if cause else ""}


def held(config: Config, run: Callable[..., Any] = subprocess.run) -> str | None:
    """Why the container has not let lnd start; None where it has, or where there is none."""
    return next((words for name in _containers(config, run) if (words := _held_in(name, run))), None)


def end(config: Config, run: Callable[..., Any] = subprocess.run) -> None:
    """End each lnd that has been let in, and does not stop by itself. Its database bears that."""
    for name in _containers(config, run):
        if not _held_in(name, run):
            run(["docker", "kill", "--signal", "KILL", name], capture_output=True, text=True, check=False)


def _containers(config: Config, run: Callable[..., Any]) -> list[str]:
    listed = run(
        ["docker", "ps", "--quiet", "--filter", f"label=bcm.lnd={config.node}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return str(listed.stdout).split()


def _held_in(name: str, run: Callable[..., Any]) -> str:
    words = "cat /tmp/held 2>/dev/null || { [ -e /dev/shm/bcm-held ] && echo 'the container before it stops'; }"
    told = run(["docker", "exec", name, "/bin/sh", "-c", words], capture_output=True, text=True, check=False)
    return str(told.stdout).strip()


def of_fence(verdict: Verdict) -> Object:
    hint = "If that is a surprise, two machines have been given the same lnd: find out which one is meant before anything else is done."
    return part("lnd's fence", "" if verdict.confirmed else verdict.reason, hint)


def of_lnd(state: str, trouble: str, waits: str | None) -> Object:
    """Whether it runs with its wallet open."""
    if waits:
        return part("lnd", f"it is held: {waits}", "It starts by itself when that is over.")
    if trouble:
        return part("lnd", trouble, "docker logs of its container on this host, or its lines in Kafka, say more.")
    words = {
        "NON_EXISTING": (
            "it has no wallet yet",
            "lightning.yml has one made. After a restore its owner types the seed: bcm-lnd restore",
        ),
        "LOCKED": (
            "its wallet is locked: if it does not open within a minute of its start, the password on this host is not the wallet's",
            "Bring the secret back that the wallet was made with.",
        ),
        "WAITING_TO_START": ("it has not begun yet", "It waits for bitcoind, or for its database."),
    }
    if state in ("UNLOCKED", "RPC_ACTIVE"):
        # There is nothing to mend, and nobody can use it yet. A chain that is downloaded takes days.
        return part(
            "lnd (not ready yet: its wallet is open, and it waits until it is in step with bitcoind, and bitcoind with today's blocks)"
        )
    cause, hint = words.get(state, ("", ""))
    return part("lnd", cause, hint)


def of_chain(info: Object | None, tip_since: float, now: float, lag: int, proven: int | None) -> Object:
    """Whether blocks arrive. lnd asks bitcoind how high the chain is; its wallet hears of blocks by ZMQ alone."""
    if info is None:
        return part("Blocks reach lnd", "it cannot be asked", "Look at lnd itself first.")
    height = info.get("block_height")
    if not info.get("synced_to_chain") and now - tip_since > lag:
        stale = int(info.get("best_header_timestamp") or 0)
        told = (
            f", the last one of {datetime.datetime.fromtimestamp(stale, datetime.UTC):%Y-%m-%d %H:%M} UTC"
            if stale
            else ""
        )
        return part(
            "Blocks reach lnd",
            f"bitcoind has had block {height} for {int(now - tip_since)} s, and lnd has not been told of it{told}",
            "ZMQ does not get through: compare zmqpubrawblock and zmqpubrawtx of lnd with bitcoind's, and what lies between. A long rescan looks the same.",
        )
    words = f"Blocks reach lnd (block {height}" + (
        f", {proven} of them seen to arrive)" if proven else ", none has come since it was first watched)"
    )
    return part(words)


def of_seed(config: Config) -> Object:
    told = seed.facts(config)
    if told["awaited"]:
        return part(
            "lnd's seed", "it is awaited, to be typed by its owner", "bcm-lnd restore, at a terminal of this host."
        )
    if told["confirmed"] or not config.wallet.exists():
        return part("lnd's seed")
    if not config.real_money:
        return part("lnd's seed (nobody has confirmed that its owner has it)")
    hint = "bcm-lnd seed read, opened with your own key; then bcm-lnd seed confirm, at a terminal of this host."
    return part(
        "lnd's seed", "nobody has confirmed that its owner has it: with this machine all money would be gone", hint
    )


def of_return(missing: str) -> Object:
    cause = f"it is being brought back, and nobody can use it until then: {missing or 'lnd has not said how far it is'}"
    return part(
        "lnd's money",
        cause,
        "Leave it running. Its peers have to be reached for that, each of them; a channel whose peer is gone stays.",
    )


def of_copies(config: Config, copier: Copier, now: float, wanted: int | None) -> list[Object]:
    """Whether the channel backup is where it has to be. WANTED is how many channels lnd has."""
    copies = list(copier.copies.values())
    if copier.current is None:
        made = config.wallet.stat().st_mtime if config.wallet.exists() else None
        if made is not None and now - made > config.lag:
            return [part("lnd's channel backup", "lnd has written none yet", "It does when it has started.")]
        return [part("lnd's channel backup" + (" (on its way)" if made is not None else ""))]
    current = [copy for copy in copies if copy.sha256 == copier.current]
    parts = [_of_copy(copier, copy, now, config.lag, wanted) for copy in copies]
    cause, hint = "", ""
    if len(current) < min(2, len(copies)) or len(copies) < 2:
        cause = f"{len(current)} of {len(copies)} places have it as it is now, and two should"
        hint = "Declare a further place in stacks.lightning.backup_places, or more managers."
    elif not outside(config, current):
        cause = (
            f"all copies lie on the disks of one machine, {config.endpoint}, where lnd itself is"
            if config.endpoint is not None
            else "nobody knows on which machine lnd is, so that all copies may lie there, too"
        )
        hint = "Declare a place elsewhere in stacks.lightning.backup_places, or have managers on another endpoint."
    elif wanted is not None and copier.channels is not None and copier.channels < wanted:
        cause = f"it holds {copier.channels} channels and lnd has {wanted}"
        hint = "lnd writes it anew with each channel: look at its log."
    return [
        *parts,
        part(
            f"lnd's channel backup ({len(current)} copies, {copier.channels if copier.channels is not None else 'unknown'} channels)",
            cause,
            hint,
        ),
    ]


def _of_copy(copier: Copier, copy: Copy, now: float, lag: int, wanted: int | None) -> Object:
    what = f"Copy of lnd's channel backup at {copy.name}"
    if copy.sha256 == copier.current:
        return part(what)
    since = now - (copier.changed or now)
    if since < lag and not copy.trouble:
        return part(f"{what} (on its way)")
    age = "there is none" if copy.stored is None else f"it is {int(now - copy.stored)} s old"
    holds = f", holds {copy.channels} channels of {wanted}" if copy.channels is not None and wanted is not None else ""
    return part(
        what,
        f"{age}{holds}: {copy.trouble or 'it has not been sent'}",
        "It is sent again by itself, as soon as that place takes it.",
    )


def outside(config: Config, copies: list[Copy]) -> bool:
    """Whether one of them survives this machine. Of a place that was declared it is believed."""
    declared = {place.name for place in config.places}
    return any(
        # Where one of the two machines is not known, they may be the same one.
        copy.name in declared or (None not in (copy.endpoint, config.endpoint) and copy.endpoint != config.endpoint)
        for copy in copies
    )


def of_certificate(expires: float, now: float) -> Object:
    left = int((expires - now) / 86400)
    cause = f"it runs out in {left} days" if left < CERTIFICATE_DAYS else ""
    return part(f"lnd's certificate ({left} days)", cause, "lightning.yml makes another one.")


def why_closed(config: Config, copier: Copier, verdict: Verdict, wanted: int | None) -> list[str]:
    """Why no channel may be opened with real money yet. Nothing: it may."""
    reasons = []
    if config.recovering.exists():
        reasons.append("a seed is being brought back")
    if not verdict.confirmed:
        reasons.append(f"the fence: {verdict.reason}")
    if not seed.facts(config)["confirmed"]:
        reasons.append("nobody has confirmed that the owner has the seed (bcm-lnd seed confirm)")
    current = [copy for copy in copier.copies.values() if copier.current is not None and copy.sha256 == copier.current]
    if not outside(config, current):
        reasons.append("no copy of the channel backup as it is now lies outside of this machine")
    elif wanted is not None and copier.channels is not None and copier.channels < wanted:
        reasons.append(f"the channel backup holds {copier.channels} channels and lnd has {wanted}")
    return reasons
