# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this lnd is told of itself, and where its things lie."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import Any

FILE = "/etc/bcm/lnd/node.json"
RUN = "/run/bcm"


class TroubleError(Exception):
    """What a person is told: what is wrong, and what to do."""


@dataclasses.dataclass(frozen=True)
class Keeper:
    """A machine that keeps the fence and a copy of the channel backup."""

    name: str
    url: str
    # The machine below it: copies there are lost together with what else is there. None: nobody knows.
    endpoint: str | None


@dataclasses.dataclass(frozen=True)
class Place:
    """Where else a copy goes: a server that takes it by PUT and gives it back by GET."""

    name: str
    url: str
    ca: str | None = None
    # A file with USER:PASSWORD.
    credentials: str | None = None
    # Through Tor. What is not an address of this site is never asked in another way.
    socks: bool = True


@dataclasses.dataclass(frozen=True)
class Config:
    node: str
    site: str
    network: str
    real_money: bool
    endpoint: str | None
    directory: str
    etc: str
    key_kind: str
    lease: int
    lag: int
    keepers: tuple[Keeper, ...]
    places: tuple[Place, ...]
    towers: tuple[str, ...] = ()
    socks: tuple[str, int] | None = None
    # Seconds that a block may need from bitcoind to lnd.
    block_lag: int = 60
    run: str = RUN

    # -- on the volume

    @property
    def data(self) -> Path:
        return Path(self.directory, "data")

    @property
    def wallet(self) -> Path:
        return self.data / "data/chain/bitcoin" / self.network / "wallet.db"

    @property
    def admin_macaroon(self) -> Path:
        return self.data / "data/chain/bitcoin" / self.network / "admin.macaroon"

    @property
    def backup(self) -> Path:
        return self.data / "channel.backup"

    @property
    def number(self) -> Path:
        """The number of this volume."""
        return Path(self.directory, "fence/number")

    @property
    def recovering(self) -> Path:
        """There while a seed is being brought back. The entry point sees it, and lets nobody in from outside."""
        return Path(self.directory, "fence/recovering")

    @property
    def private(self) -> Path:
        """For root alone."""
        return Path(self.directory, "private")

    # -- in memory

    @property
    def confirmation(self) -> Path:
        return Path(self.run, "lnd-fence")

    @property
    def gate(self) -> Path:
        return Path(self.run, "lnd-gate.json")

    @property
    def may_open(self) -> Path:
        """There while channels may be opened with real money."""
        return Path(self.run, "lnd-may-open")

    def own_number(self) -> int | None:
        try:
            text = self.number.read_text().strip()
        except FileNotFoundError:
            return None
        return int(text) if text.isdigit() and int(text) > 0 else None


def load(file: str = FILE) -> Config:
    try:
        told: dict[str, Any] = json.loads(Path(file).read_text())
    except FileNotFoundError:
        raise TroubleError(f"There is no {file}: this host has no lnd. lightning.yml sets one up.") from None
    told["keepers"] = tuple(Keeper(**one) for one in told["keepers"])
    told["places"] = tuple(Place(**one) for one in told["places"])
    told["towers"] = tuple(told.get("towers") or ())
    told["socks"] = tuple(told["socks"]) if told.get("socks") else None
    return Config(**told)


def write(path: Path, content: bytes | str, mode: int = 0o600) -> None:
    """Write a file as a whole or not at all, so that it is on the disk when this returns."""
    data = content.encode() if isinstance(content, str) else content
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
