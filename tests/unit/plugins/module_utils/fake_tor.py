# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tor's control port says of onions, without a network: it goes by files as tor does when it is told to reload."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

COOKIE = bytes(range(32))


class FakeTor:
    """Serves a control socket in a directory of its own. The files that it goes by lie in C(drop_ins)."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "control"
        self.drop_ins = directory / "torrc.d"
        self.drop_ins.mkdir()
        self.cookie = directory / "cookie"
        self.cookie.write_bytes(COOKIE)
        self.loaded: list[str] = []
        # By numbers, as GETINFO circuit-status says them.
        self.circuits: dict[int, str] = {}
        self.options = {"DisableNetwork": "0", "Sandbox": "0"}
        self.announces = True
        self.reloads: list[list[str]] = []
        self.asked: list[str] = []
        self.deaf = False
        self.publishes = True
        self._listeners: list[socket.socket] = []
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(self.path))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.path.unlink(missing_ok=True)

    def onions(self) -> list[str]:
        return [line.partition(" ")[2] for line in self.loaded if line.startswith("HiddenServiceDir ")]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self._server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        authenticated = False
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            for raw in stream:
                line = raw.decode().strip()
                verb, _space, rest = line.partition(" ")
                if verb == "PROTOCOLINFO":
                    answer = [f'250-AUTH METHODS=COOKIE,SAFECOOKIE COOKIEFILE="{self.cookie}"', "250 OK"]
                elif verb == "AUTHENTICATE":
                    authenticated = rest == COOKIE.hex()
                    answer = ["250 OK" if authenticated else "515 Authentication failed: Wrong length on cookie."]
                elif not authenticated:
                    answer = ["514 Authentication required."]
                else:
                    self.asked.append(line)
                    answer = self._answer(verb, rest, connection)
                connection.sendall("".join(f"{one}\r\n" for one in answer).encode())
                if verb == "SIGNAL" and self.announces and self.options["DisableNetwork"] == "0":
                    self._announce()

    def _answer(self, verb: str, rest: str, connection: socket.socket) -> list[str]:
        if verb == "GETCONF" and rest == "HiddenServiceOptions":
            options = [line.replace(" ", "=", 1) for line in self.loaded] or [rest]
            return [*(f"250-{line}" for line in options[:-1]), f"250 {options[-1]}"]
        if verb == "GETCONF":
            return [f"250 {rest}={self.options[rest]}"]
        if verb == "SIGNAL":
            if not self.deaf:
                self._reload()
            return ["250 OK"]
        if verb == "SETEVENTS":
            self._listeners.append(connection)
            return ["250 OK"]
        if verb == "CLOSECIRCUIT":
            known = self.circuits.pop(int(rest), None)
            return ["250 OK" if known else f'552 Unknown circuit "{rest}"']
        if rest == "circuit-status":
            return [
                "250+circuit-status=",
                *(f"{number} BUILT {words}" for number, words in self.circuits.items()),
                ".",
                "250 OK",
            ]
        if rest == "status/bootstrap-phase":
            return [
                '250-status/bootstrap-phase=NOTICE BOOTSTRAP PROGRESS=50 SUMMARY="Loading relay descriptors"',
                "250 OK",
            ]
        if rest.startswith("hs/service/desc/id/"):
            if self.onions():
                return [f"250+{rest}=", "hs-descriptor 3", "..", ".", "250 OK"]
            return ["551 Not found in cache"]
        return [f'552 Unrecognized key "{rest}"']

    def _reload(self) -> None:
        before = self.onions()
        files = sorted(self.drop_ins.glob("*.conf")) if self.publishes else []
        self.loaded = [
            line for file in files for line in file.read_text().splitlines() if line.startswith("HiddenService")
        ]
        self.reloads.append(self.onions())
        if set(before) - set(self.onions()):
            # What is for no other's onion, and one that tor is slow to close.
            self.circuits = {
                number: words for number, words in self.circuits.items() if "HS_SERVICE" not in words or number == 99
            }

    def _announce(self) -> None:
        for directory in self.onions():
            file = Path(directory) / "hostname"
            if file.exists():
                address = file.read_text().strip().removesuffix(".onion")
                for listener in self._listeners:
                    with contextlib.suppress(OSError):
                        listener.sendall(f"650 HS_DESC UPLOADED {address} UNKNOWN $AA~relay\r\n".encode())


def circuit(purpose: str, state: str, address: str) -> str:
    query = f" REND_QUERY={address.removesuffix('.onion')}" if address else ""
    return f"$AA~one,$BB~two BUILD_FLAGS=IS_INTERNAL PURPOSE={purpose} HS_STATE={state}{query} TIME_CREATED=2026-11-30T00:00:00"
