# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Macaroons for those who use this lnd: each has its own, with the least rights and a root key by which it alone can be revoked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .config import Config, TroubleError, write
from .rest import Lnd

NAME = re.compile(r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")


def folder(config: Config) -> Path:
    return config.private / "macaroons"


def wanted(config: Config, name: str) -> dict[str, Any]:
    if not NAME.match(name):
        raise TroubleError(f"{name!r} is no name of a consumer.")
    try:
        told = json.loads(Path(config.etc, "consumers.json").read_text())
    except FileNotFoundError:
        raise TroubleError("There is no list of consumers on this host. lightning.yml writes it.") from None
    if name not in told:
        raise TroubleError(f"There is no consumer {name}; there are: {', '.join(sorted(told)) or 'none'}.")
    return dict(told[name])


def outdated(config: Config, note: Path, want: dict[str, Any]) -> int | None:
    """The root key of the macaroon that was made before, where that is another one: whoever has a copy could go on with it."""
    try:
        told = json.loads(note.read_text())
        number, permissions = int(told["root_key_id"]), set(told["permissions"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    # Of another wallet: there it is worth nothing. And what only gained rights may stay: nobody has less than before.
    if told.get("wallet") != config.own_number():
        return None
    if number == want["root_key_id"]:
        return None if permissions <= set(want["permissions"]) else number
    others = json.loads(Path(config.etc, "consumers.json").read_text())
    # It may be another's by now.
    return None if number in [one["root_key_id"] for one in others.values()] else number


def forget(lnd: Lnd, root_key_id: int) -> None:
    """Have lnd take nothing any more that was made with this root key."""
    there = lnd.ask("GET", "/v1/macaroon/ids").get("root_key_ids") or []
    if str(root_key_id) in [str(one) for one in there]:
        lnd.ask("DELETE", f"/v1/macaroon/{root_key_id}")


def forget_gone(config: Config, lnd: Lnd) -> list[str]:
    """Have those who are no consumers any more use it no more. Says who they were."""
    try:
        there = json.loads(Path(config.etc, "consumers.json").read_text())
    except FileNotFoundError:
        raise TroubleError("There is no list of consumers on this host. lightning.yml writes it.") from None
    used = {int(one["root_key_id"]) for one in there.values()}
    gone = []
    # What others have put here has no note.
    for note in sorted(folder(config).glob("*.json")):
        if note.stem in there:
            continue
        told = json.loads(note.read_text())
        # Of another wallet it is worth nothing already, and its number may be another's by now.
        if told.get("wallet") == config.own_number() and int(told["root_key_id"]) not in used:
            forget(lnd, int(told["root_key_id"]))
        note.with_suffix(".macaroon").unlink(missing_ok=True)
        # Last, so that a run that is killed before is gone on with.
        note.unlink()
        gone.append(note.stem)
    return gone


def have(config: Config, lnd: Lnd, name: str) -> bool:
    """Have the macaroon of NAME in a file of root's. Says whether one was made."""
    want = wanted(config, name)
    config.private.mkdir(mode=0o700, exist_ok=True)
    folder(config).mkdir(mode=0o700, exist_ok=True)
    made, note = folder(config) / f"{name}.macaroon", folder(config) / f"{name}.json"
    # Of the wallet that it belongs to, too: after a restore there are other root keys.
    stamp = json.dumps({**want, "wallet": config.own_number()}, sort_keys=True)
    if made.exists() and note.exists() and note.read_text() == stamp:
        return False
    before = outdated(config, note, want)
    if before is not None:
        forget(lnd, before)
    question = {
        "permissions": [dict(zip(("entity", "action"), one.split(":", 1), strict=True)) for one in want["permissions"]],
        "root_key_id": str(want["root_key_id"]),
        # Rights that this lnd does not know are refused, not left away.
        "allow_external_permissions": False,
    }
    answer = lnd.ask("POST", "/v1/macaroon", question)
    write(made, bytes.fromhex(answer["macaroon"]))
    write(note, stamp)
    return True
