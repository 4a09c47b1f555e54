# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of the channel backup: sent when it changes, and compared with what lnd has."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import ssl
import time
from collections.abc import Callable, Collection
from typing import Any

from .config import Config, Keeper, Place, TroubleError
from .fence import Said, ask_all
from .rest import AnswerError, Lnd, basic, context_of_keepers, send

Object = dict[str, Any]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclasses.dataclass
class Copy:
    """What is known of a copy in a place."""

    name: str
    endpoint: str | None
    sha256: str | None = None
    # When it was stored there, seconds since 1970.
    stored: float | None = None
    channels: int | None = None
    trouble: str = ""

    def shown(self, current: str | None, now: float) -> Object:
        return {
            "name": self.name,
            "endpoint": self.endpoint,
            "current": current is not None and self.sha256 == current,
            "age": None if self.stored is None else max(0, int(now - self.stored)),
            "channels": self.channels,
            "trouble": self.trouble,
        }


def tls_of(place: Place) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=place.ca)


class Places:
    """All that take copies."""

    def __init__(self, config: Config, send: Callable[..., Any] = send) -> None:
        self.config, self.send = config, send

    def put(self, target: Keeper | Place, content: bytes) -> None:
        """Send a copy, and have it on a disk there.

        :raises TroubleError: it was not taken.
        """
        config = self.config
        if isinstance(target, Keeper):
            headers = {"X-Fence": str(config.own_number()), "Content-Type": "application/octet-stream"}
            url, context, proxy = f"{target.url}/v1/{config.node}/backup", context_of_keepers(config), None
        else:
            headers = {
                "Content-Type": "application/octet-stream",
                **(basic(target.credentials) if target.credentials else {}),
            }
            url, context, proxy = target.url, tls_of(target), config.socks if target.socks else None
            if target.socks and proxy is None:
                raise TroubleError(f"{target.name} is to be reached through Tor, and this site has none")
        status, _headers, said = self.send(url, "PUT", context, content, headers, proxy)
        if status not in (200, 201, 204):
            raise AnswerError(
                f"{target.name} does not take the copy: {said[:200].decode(errors='replace') or status}", status
            )

    def get(self, target: Keeper | Place) -> bytes | None:
        """The copy that a place has; None if it has none."""
        config = self.config
        if isinstance(target, Keeper):
            answer = self.send(
                f"{target.url}/v1/{config.node}/backup", "GET", context_of_keepers(config), None, {}, None
            )
        else:
            headers = basic(target.credentials) if target.credentials else {}
            answer = self.send(target.url, "GET", tls_of(target), None, headers, config.socks if target.socks else None)
        status, _headers, content = answer
        if status == 404:
            return None
        if status != 200:
            raise AnswerError(f"{target.name} does not give the copy: {status}", status)
        return bytes(content)


class Copier:
    """Has all places hold what lnd has last written."""

    def __init__(self, config: Config, places: Places, clock: Callable[[], float] = time.time) -> None:
        self.config, self.places, self.clock = config, places, clock
        self.copies: dict[str, Copy] = {
            target.name: Copy(target.name, getattr(target, "endpoint", None)) for target in self.targets()
        }
        self.current: str | None = None
        self.changed: float | None = None
        self.channels: int | None = None
        self.tried: dict[str, float] = {}

    def targets(self) -> list[Keeper | Place]:
        return [*self.config.keepers, *self.config.places]

    def heard(self, said: list[Said]) -> None:
        """What keepers say that they have."""
        for one in said:
            copy = self.copies[one.keeper.name]
            if one.trouble:
                copy.trouble = one.trouble
            elif one.backup:
                copy.sha256, copy.stored = one.backup["sha256"], self.clock() - float(one.backup["age"])
                copy.channels = self.channels if copy.sha256 == self.current else copy.channels
                copy.trouble = ""
            else:
                copy.sha256, copy.stored = None, None

    def look(self) -> bytes | None:
        """What lnd has written. None: nothing yet."""
        try:
            content = self.config.backup.read_bytes()
        except FileNotFoundError:
            return None
        if not content:
            # A disk that was full, or a machine that lost its power: it is none, and takes the place of none.
            return None
        found = digest(content)
        if found != self.current:
            self.current, self.channels = found, None
            self.changed = self.config.backup.stat().st_mtime
        return content

    def count(self, lnd: Lnd, content: bytes) -> None:
        """How many channels are in it: lnd alone can open it."""
        if self.channels is None:
            self.channels = channels_in(lnd, content)
            for copy in self.copies.values():
                if copy.sha256 == self.current:
                    copy.channels = self.channels

    def send(self, content: bytes, again: float = 30.0) -> None:
        """Send it to all that have not got it. One that refused is asked again after a while."""
        for target in self.targets():
            copy = self.copies[target.name]
            if copy.sha256 == self.current or self.clock() - self.tried.get(target.name, -again) < again:
                continue
            try:
                self.places.put(target, content)
            except (TroubleError, OSError) as error:
                copy.trouble, self.tried[target.name] = str(error), self.clock()
                continue
            copy.sha256, copy.stored, copy.channels, copy.trouble = self.current, self.clock(), self.channels, ""
            self.tried.pop(target.name, None)

    def check(self, lnd: Lnd) -> None:
        """Look into copies that are of another time: how many channels would come back from them."""
        for target in self.targets():
            copy = self.copies[target.name]
            if copy.sha256 == self.current and not isinstance(target, Place):
                continue
            try:
                content = self.places.get(target)
                copy.sha256 = None if content is None else digest(content)
                copy.channels = None if content is None else channels_in(lnd, content)
            except (TroubleError, OSError) as error:
                copy.trouble = str(error)


def packed(content: bytes) -> Object:
    """A backup as lnd takes it."""
    return {"multi_chan_backup": {"multi_chan_backup": base64.b64encode(content).decode()}}


def points_in(lnd: Lnd, content: bytes) -> list[str]:
    """Which channels a backup holds, by the outputs that fund them.

    :raises AnswerError: it is not of this seed, or damaged.
    """
    return list(lnd.ask("POST", "/v1/channels/backup/verify", packed(content)).get("chan_points") or [])


def channels_in(lnd: Lnd, content: bytes) -> int:
    """How many channels a backup holds."""
    return len(points_in(lnd, content))


def newest(config: Config, places: Places, without: Collection[str] = ()) -> tuple[bytes, str]:
    """The copy that was stored last, and where it is. WITHOUT are those who need not answer.

    :raises TroubleError: nobody has one, or somebody who may have a newer one does not answer.
    """
    names = [*(keeper.name for keeper in config.keepers), *(place.name for place in config.places)]
    unknown = sorted(set(without) - set(names))
    if unknown:
        raise TroubleError(f"There is no {', '.join(unknown)}; there are: {', '.join(names)}. Nothing was changed.")
    found: list[tuple[float, bytes, str]] = []
    silent: list[str] = []
    missing: list[str] = []
    for said in ask_all(config):
        trouble, content = said.trouble, None
        try:
            content = places.get(said.keeper) if said.backup and not trouble else None
        except (TroubleError, OSError) as error:
            trouble = str(error)
        if trouble:
            silent.append(trouble)
            missing.append(said.keeper.name)
        elif said.backup and content:
            found.append((float(said.backup["age"]), content, said.keeper.name))
    for place in config.places:
        try:
            content = places.get(place)
        except (TroubleError, OSError) as error:
            silent.append(str(error))
            missing.append(place.name)
            continue
        if content:
            # It does not say when it was stored: it counts only where no keeper has one.
            found.append((float("inf"), content, place.name))
    if not found:
        raise TroubleError(f"No copy of the channel backup was found. {'; '.join(silent)}".strip())
    missing = [name for name in missing if name not in without]
    if missing:
        words = " ".join(f"--without {name}" for name in missing)
        raise TroubleError(
            f"Whoever does not answer may have a newer copy of the channel backup, and a channel that is not in the one that is brought back is lost: "
            f"{'; '.join(silent)}. Have it answer; or, if it never will: bcm-lnd restore {words}. Nothing was changed."
        )
    _age, content, name = min(found, key=lambda one: one[0])
    return content, name
