# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""The control port of a host's tor, which runs as a service: with its cookie, with answers of many lines, and with events."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socket
import time
import typing as t
from pathlib import Path

from ansible_collections.bcm.datacenter.plugins.module_utils._tor import TorError

COOKIE_BYTES = 32
_COOKIE_FILE = re.compile(r'COOKIEFILE="((?:[^"\\]|\\.)*)"')


@dataclasses.dataclass(frozen=True)
class Circuit:
    """A circuit of tor's own, as far as it concerns an onion."""

    number: str
    state: str
    purpose: str
    hs_state: str
    onion: str


def parse_circuits(lines: t.Iterable[str]) -> list[Circuit]:
    """What C(GETINFO circuit-status) says."""
    found = []
    for line in lines:
        words = line.split()
        if len(words) < 2 or not words[0].isdigit():
            continue
        said = dict(word.split("=", 1) for word in words[2:] if "=" in word)
        found.append(
            Circuit(
                words[0],
                words[1],
                said.get("PURPOSE", ""),
                said.get("HS_STATE", ""),
                said.get("REND_QUERY", "").lower(),
            )
        )
    return found


class SystemControl:
    """A control connection to a tor that other people use, too. It asks and tells, and never ends that tor."""

    def __init__(self, path: Path, timeout: float = 10) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._rest = b""
        self._events: list[str] = []
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(str(path))
            self.ask(f"AUTHENTICATE{self._cookie()}")
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> SystemControl:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _cookie(self) -> str:
        said = " ".join(self.ask("PROTOCOLINFO 1"))
        if "NULL" in said.partition("METHODS=")[2].partition(" ")[0].split(","):
            return ""
        match = _COOKIE_FILE.search(said)
        if match is None:
            raise TorError("tor lets nobody in by a cookie: its configuration needs CookieAuthentication 1.")
        file = re.sub(r"\\(.)", r"\1", match[1])
        try:
            cookie = Path(file).read_bytes()
        except OSError as exc:
            raise TorError(f"tor's cookie cannot be read: {exc}") from None
        if len(cookie) != COOKIE_BYTES:
            raise TorError(f"{file} is not tor's cookie: it has {len(cookie)} bytes.")
        return f" {cookie.hex()}"

    def _line(self, deadline: float | None = None) -> str | None:
        """The next line; None if there is none until the deadline."""
        before = self._socket.gettimeout()
        try:
            while b"\n" not in self._rest:
                if deadline is not None:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return None
                    self._socket.settimeout(left)
                try:
                    part = self._socket.recv(65536)
                except TimeoutError:
                    if deadline is not None:
                        return None
                    raise TorError("tor does not answer on its control socket.") from None
                if not part:
                    raise TorError("tor ended its control connection.")
                self._rest += part
        finally:
            self._socket.settimeout(before)
        line, _end, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")

    def ask(self, command: str) -> list[str]:
        """The lines of an answer without their codes, those of a long value among them."""
        verb = command.split(" ", 1)[0]
        self._socket.sendall(command.encode() + b"\r\n")
        lines: list[str] = []
        while True:
            line = self._line() or ""
            if len(line) < 4:
                raise TorError(f"tor answers {verb} with {line!r}.")
            code, separator, text = line[:3], line[3], line[4:]
            more = self._data() if separator == "+" else []
            if code == "650":
                # What is told meanwhile.
                self._events.append(text)
                continue
            lines += [text, *more]
            if separator == " ":
                if code != "250":
                    # Not the command as a whole, which may hold the cookie.
                    raise TorError(f"tor refuses {verb}: {code} {text}")
                return lines

    def _data(self) -> list[str]:
        lines = []
        while (line := self._line()) != ".":
            text = line or ""
            lines.append(text[1:] if text.startswith("..") else text)
        return lines

    def event(self, deadline: float) -> str | None:
        """The next event that was asked for with SETEVENTS; None if there is none until the deadline."""
        while not self._events:
            line = self._line(deadline)
            if line is None:
                return None
            if line.startswith("650"):
                if line[3:4] == "+":
                    self._data()
                self._events.append(line[4:])
        return self._events.pop(0)

    # -- what is asked --------------------------------------------------------------------------------------------

    def option(self, name: str) -> str:
        """The value of an option that is set once; empty if it has none."""
        return self.ask(f"GETCONF {name}")[0].partition("=")[2]

    def onions(self) -> dict[str, list[str]]:
        """The onions that this tor has loaded, by their directories, each with its options as C(Name=value)."""
        found: dict[str, list[str]] = {}
        current: list[str] | None = None
        for line in self.ask("GETCONF HiddenServiceOptions"):
            name, _equals, value = line.partition("=")
            if name.lower() == "hiddenservicedir":
                current = found.setdefault(value.strip('"').rstrip("/"), [])
            elif current is not None and value:
                current.append(line)
        return found

    def circuits(self, address: str) -> list[Circuit]:
        """The circuits of one onion that is served here, those to its guests and to where it is introduced.

        Others of this tor that go to the same onion as a guest are not among them.
        """
        plain = address.lower().removesuffix(".onion")
        return [
            circuit
            for circuit in parse_circuits(self.ask("GETINFO circuit-status"))
            if circuit.onion == plain and circuit.purpose.startswith("HS_SERVICE_")
        ]

    def described(self, address: str) -> bool:
        """Whether tor has made the descriptor of an onion that is served here."""
        try:
            return any(self.ask(f"GETINFO hs/service/desc/id/{address.lower().removesuffix('.onion')}"))
        except TorError:
            return False

    def close_circuit(self, number: str) -> None:
        """One that has ended meanwhile is no error."""
        with contextlib.suppress(TorError):
            self.ask(f"CLOSECIRCUIT {number}")

    def reload(self) -> None:
        self.ask("SIGNAL RELOAD")

    def close(self) -> None:
        self._socket.close()


def connect(path: Path, deadline: float) -> SystemControl | None:
    """A control connection, for a tor that starts just now within the deadline; None if there is no tor."""
    while True:
        try:
            return SystemControl(path)
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > deadline:
                return None
            time.sleep(0.2)
