# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lnd of this host:

bcm-lnd status [--json]        what works and what does not, and whether channels may be opened; exit code 1 if something does not
bcm-lnd seed read              the seed as it was sealed: open it with the owner's own key, on the owner's own machine
bcm-lnd seed confirm           type the seed's words back, at a terminal: only then are channels opened with real money
bcm-lnd restore                type the seed of an lnd that was lost, at a terminal, after playbooks/lightning_restore.yml
    [--without NAME ...]       though NAME, who may have a newer copy of the channel backup, does not answer, and never will
bcm-lnd backup                 send the channel backup now, and say where it is
bcm-lnd macaroon NAME          what the roles and playbooks use: make a macaroon from /etc/bcm/lnd/consumers.json
bcm-lnd macaroon --gone        what the role uses: those who are not there any more have none that is worth anything
bcm-lnd create                 what the role uses: have a wallet
bcm-lnd guard                  what the service bcm-lnd-guard runs
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from . import fence, guard, macaroons, seed
from .config import Config, TroubleError, load
from .rest import Lnd
from .scb import Copier, Places

# A report that is older says nothing of now.
STALE = 60


def report(config: Config, clock: Any = time.time) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(config.gate.read_text())
    except (FileNotFoundError, ValueError):
        raise TroubleError("bcm-lnd-guard has written nothing yet: systemctl status bcm-lnd-guard says why.") from None
    age = clock() - told["time"]
    if not -STALE <= age <= STALE:
        raise TroubleError(
            f"bcm-lnd-guard has written nothing for {int(age)} s: systemctl status bcm-lnd-guard says why."
        )
    return told


def show(told: dict[str, Any]) -> str:
    lines = [
        f"{told['node']}, {told['network']}: {told['state'] or 'it does not answer'}"
        + (f", block {told['block']}" if told["block"] else "")
    ]
    for one in told["parts"]:
        lines.append(
            f"  {'works' if one['works'] else 'FAILS'}  {one['part']}" + (f": {one['cause']}" if one["cause"] else "")
        )
        if one["hint"]:
            lines.append(f"         {one['hint']}")
    lines.append(
        "Channels may be opened." if told["may_open"] else "No channel may be opened: " + "; ".join(told["why_not"])
    )
    if told["may_open"] and told["why_not"]:
        lines.append("With real money they could not: " + "; ".join(told["why_not"]))
    return "\n".join(lines)


def of_seed(config: Config, arguments: list[str]) -> int:
    if arguments == ["read"]:
        sys.stdout.buffer.write(seed.read(config))
        return 0
    if arguments == ["confirm"]:
        seed.terminal()
        seed.confirm(config)
        print("Confirmed.")
        return 0
    raise TroubleError("bcm-lnd seed read, or bcm-lnd seed confirm")


def backup(config: Config) -> int:
    if config.recovering.exists():
        raise TroubleError(
            "No copy was sent: a seed is being brought back, and lnd's backup may not hold yet what the copies do."
        )
    places = Places(config)
    copier = Copier(config, places)
    content = copier.look()
    if content is None:
        raise TroubleError("lnd has written no channel backup yet.")
    said = fence.ask_all(config)
    verdict = fence.judge(config.own_number(), said, config.lease)
    if not verdict.confirmed:
        raise TroubleError(f"No copy was sent: {verdict.reason}")
    copier.heard(said)
    copier.send(content, again=0.0)
    for copy in copier.copies.values():
        there = copy.sha256 == copier.current
        print(
            f"{copy.name}: {'has it' if there else 'has it not'}{f': {copy.trouble}' if copy.trouble and not there else ''}"
        )
    return 0 if all(copy.sha256 == copier.current for copy in copier.copies.values()) else 1


def main(arguments: list[str]) -> int:
    command, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    try:
        if command == "guard" and not rest:
            return guard.main()
        config = load()
        if command == "status" and rest in ([], ["--json"]):
            told = report(config)
            print(json.dumps(told, sort_keys=True) if rest else show(told))
            return 0 if all(one["works"] for one in told["parts"]) else 1
        if command == "seed":
            return of_seed(config, rest)
        if command == "restore" and len(rest) % 2 == 0 and all(word == "--without" for word in rest[::2]):
            seed.terminal()
            print(
                f"lnd begins when the one that was here before can run no more: up to {(config.lease + fence.MARGIN) // 60 + 1} minutes after the restore was "
                "prepared. Then the words are asked for.",
                file=sys.stderr,
            )
            source = seed.restore(config, Lnd(config), Places(config), without=rest[1::2])
            print(
                f"The wallet is made, with the channel backup of {source}. lnd now looks for the coins of the wallet and asks its peers to close the channels: "
                "bcm-lnd status says how far it is. Leave it running; if it is stopped, it goes on by itself."
            )
            return 0
        if command == "backup" and not rest:
            return backup(config)
        if command == "create" and not rest:
            made = seed.create(config, Lnd(config))
            if made:
                seed.restart(config)
            print("created" if made else "exists")
            return 0
        if command == "macaroon" and rest == ["--gone"]:
            print("changed" if macaroons.forget_gone(config, Lnd(config)) else "unchanged")
            return 0
        if command == "macaroon" and len(rest) == 1:
            print("changed" if macaroons.have(config, Lnd(config), rest[0]) else "unchanged")
            return 0
    except TroubleError as error:
        print(error, file=sys.stderr)
        return 1
    sys.stderr.write(__doc__ or "")
    return 2
