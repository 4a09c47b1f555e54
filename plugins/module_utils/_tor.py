# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tor process of one's own: starting it, asking it through its control socket, and going through it."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import time
import typing as t
from pathlib import Path

# What a SOCKS5 proxy answers; from 0xF0 on what tor adds about onions where its port has the flag ExtendedErrors.
REPLIES = {
    0x01: "tor could not connect, for a reason that it does not give",
    0x02: "tor's own rules forbid it",
    0x03: "the network is not reachable",
    0x04: "the host is not reachable",
    0x05: "the service behind the onion refuses connections on that port",
    0x06: "it took tor too long",
    0xF0: "the network knows of no such onion; it may not be announced yet",
    0xF1: "what the network knows of the onion is not valid",
    0xF2: "the onion did not answer the introduction",
    0xF3: "the onion did not come to the meeting point",
    0xF4: "the onion asks for a client key, and this client has none",
    0xF5: "the onion does not know this client's key",
    0xF6: "the address is no onion's: it is mistyped",
    0xF7: "the onion took too long to answer the introduction",
}
REFUSALS = (0xF4, 0xF5)
MISTYPED = 0xF6
COOKIE = re.compile(r'COOKIEFILE="((?:[^"\\]|\\.)*)"')
# The longest path of a unix socket, with the zero at its end.
SOCKET_PATH_BYTES = 108


class TorError(Exception):
    """Something that a person can act on."""


def unquoted(text: str) -> str:
    """What stood in quotation marks in an answer."""
    return re.sub(r"\\(.)", r"\1", text)


class Control:
    """The control connection of a tor, whose socket only its owner can open, or who shows a cookie to read."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._stream = self._socket.makefile("rwb")
        try:
            self._socket.settimeout(10)
            self._socket.connect(str(path))
            self._authenticate()
        except BaseException:
            self.close()
            raise

    def _authenticate(self) -> None:
        ways = next((line for line in self.ask("PROTOCOLINFO 1") if line.startswith("AUTH ")), "")
        cookie = COOKIE.search(ways)
        if "NULL" in ways or not cookie:
            self.ask("AUTHENTICATE")
            return
        try:
            secret = Path(unquoted(cookie[1])).read_bytes()
        except OSError as exc:
            raise TorError(f"tor asks for its cookie, which cannot be read: {exc}") from exc
        # Not by ask, whose errors repeat what was asked.
        self._send(f"AUTHENTICATE {secret.hex()}")
        self._answer("AUTHENTICATE")

    def ask(self, command: str) -> list[str]:
        """The lines of an answer, without their codes."""
        self._send(command)
        return self._answer(command)

    def _send(self, command: str) -> None:
        self._stream.write(command.encode() + b"\r\n")
        self._stream.flush()

    def _answer(self, command: str) -> list[str]:
        lines = []
        while True:
            line = self._stream.readline().decode(errors="replace").rstrip("\r\n")
            if len(line) < 4:
                raise TorError(f"tor ended its control connection at {command}.")
            lines.append(line[4:])
            if line[3] == "+":
                lines += self._data()
            if line[3] == " ":
                if not line.startswith("250"):
                    raise TorError(f"tor refuses {command}: {line}")
                return lines

    def _data(self) -> list[str]:
        """Lines up to the one with a dot alone. One that begins with a dot has been given another."""
        lines: list[str] = []
        while raw := self._stream.readline():
            line = raw.decode(errors="replace").rstrip("\r\n")
            if line == ".":
                return lines
            lines.append(line.removeprefix("."))
        raise TorError("tor ended its control connection in the middle of an answer.")

    def info(self, key: str) -> str:
        """What tor says of a thing, or nothing where this tor does not know of it."""
        try:
            lines = self.ask(f"GETINFO {key}")
        except TorError:
            return ""
        first = lines[0].partition("=")[2]
        return "\n".join(filter(None, [first, *lines[1:-1]]))

    def bootstrap(self) -> tuple[int, str]:
        """How far it has come into the network, in per cent, and in its words."""
        phase = self.ask("GETINFO status/bootstrap-phase")[0]
        percent = phase.partition("PROGRESS=")[2].split(" ")[0]
        return int(percent or 0), phase.partition('SUMMARY="')[2].partition('"')[0]

    def wait_bootstrapped(self, deadline: float) -> None:
        percent, words = self.bootstrap()
        while percent < 100:
            if time.monotonic() > deadline:
                raise TorError(f"tor has come {percent} % into its network ({words}), and then the time was over.")
            time.sleep(0.2)
            percent, words = self.bootstrap()

    def halt(self) -> None:
        """End the tor, and wait until it has written its last: whoever removes its directory sooner finds more in it."""
        pid = int(self.ask("GETINFO process/pid")[0].partition("=")[2])
        self.ask("SIGNAL HALT")
        deadline = time.monotonic() + 10
        while runs(pid) and time.monotonic() < deadline:
            time.sleep(0.05)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.close()
        self._socket.close()


def runs(pid: int) -> bool:
    """Whether a process does. One that has ended and that nobody has asked about is still listed."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def open_control(path: Path) -> Control | None:
    """The control connection, None if no tor is there."""
    try:
        return Control(path)
    except (FileNotFoundError, ConnectionRefusedError):
        return None


def check_socket_path(path: Path) -> None:
    if len(str(path).encode()) >= SOCKET_PATH_BYTES:
        raise TorError(
            f"{path}: longer than a socket's path may be ({SOCKET_PATH_BYTES - 1} bytes). Choose a shorter directory."
        )


def start(program: str, torrc: Path, control: Path, deadline: float) -> Control:
    """Start a tor that goes on running by itself."""
    argv = [
        program,
        "--quiet",
        "--defaults-torrc",
        "/nonexistent",
        "--ignore-missing-torrc",
        "-f",
        str(torrc),
        "--RunAsDaemon",
        "1",
    ]
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function # with a time limit
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
    except FileNotFoundError as exc:
        raise TorError(f"{program} is not installed.") from exc
    except subprocess.TimeoutExpired as exc:
        raise TorError(f"{program} does not start within 60 s with {torrc}.") from exc
    if done.returncode != 0:
        raise TorError(f"{program} does not start with {torrc}: {complaint(program, torrc)}")
    while True:
        connection = open_control(control)
        if connection:
            return connection
        if time.monotonic() > deadline:
            raise TorError(f"{program} was started with {torrc} and does not answer on {control}.")
        time.sleep(0.1)


def complaint(program: str, torrc: Path) -> str:
    """Why tor did not start with a configuration, as far as it says when it is asked once more."""
    argv = [program, "--defaults-torrc", "/nonexistent", "-f", str(torrc), "--verify-config"]
    done = subprocess.run(  # pylint: disable=ansible-bad-function # with a time limit
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    if done.returncode == 0:
        return "its configuration is valid, so a port may be taken, or the directory not be private."
    lines = done.stdout.decode(errors="replace").splitlines()
    bad = [line.partition("] ")[2] for line in lines if "[warn]" in line or "[err]" in line]
    return " ".join(bad) or f"it ends with {done.returncode} and says nothing."


def through_socks(path: Path, host: str, port: int, timeout: float) -> tuple[int, str]:
    """Connect through a tor's SOCKS port, a unix socket: the reply, and the first line that the service says."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(str(path))
        connection.sendall(b"\x05\x01\x00")
        if _exactly(connection, 2) != b"\x05\x00":
            raise TorError(f"{path} is not the SOCKS port of a tor.")
        name = host.encode()
        connection.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big"))
        reply = _exactly(connection, 4)
        rest = {1: 4, 4: 16}.get(reply[3]) or _exactly(connection, 1)[0]
        _exactly(connection, rest + 2)
        if reply[1] != 0:
            return reply[1], ""
        with connection.makefile("rb") as stream:
            return 0, stream.readline(256).decode(errors="replace").strip()


def _exactly(connection: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        part = connection.recv(length - len(received))
        if not part:
            raise TorError("tor closed the connection before it had answered.")
        received += part
    return received


def words_of(reply: int) -> str:
    return REPLIES.get(reply, f"tor answers 0x{reply:02X}")


class Visitor:
    """A tor in a directory of its own, with one client key or none, for as long as it is needed."""

    def __init__(self, program: str, directory: Path, options: list[str], key_line: str | None) -> None:
        self.socks = directory / "socks"
        control = directory / "control"
        check_socket_path(control)
        self.lines = [
            f"DataDirectory {directory / 'data'}",
            f"ControlSocket {control}",
            f"SocksPort unix:{self.socks} ExtendedErrors",
            f"Log notice file {directory / 'log'}",
            *options,
        ]
        if key_line:
            (directory / "auth").mkdir(0o700)
            (directory / "auth/client.auth_private").touch(0o600)
            (directory / "auth/client.auth_private").write_text(key_line + "\n")
            self.lines.append(f"ClientOnionAuthDir {directory / 'auth'}")
        self.program, self.torrc, self.control_path = program, directory / "torrc", control
        self.control: Control | None = None

    def start(self, deadline: float) -> None:
        self.torrc.write_text("\n".join(self.lines) + "\n")
        self.control = start(self.program, self.torrc, self.control_path, deadline)
        # It ends when this connection does, however that comes about.
        self.control.ask("TAKEOWNERSHIP")
        self.control.wait_bootstrapped(deadline)

    def visit(self, address: str, port: int, expect: str, deadline: float) -> dict[str, t.Any]:
        """Try until it is as expected, or the time is over."""
        while True:
            left = max(1.0, deadline - time.monotonic())
            try:
                reply, banner = through_socks(self.socks, address, port, left)
            except TimeoutError:
                reply, banner = 0x06, ""
            outcome = "reached" if reply == 0 else "refused" if reply in REFUSALS else "failed"
            wanted = outcome == expect if expect != "any" else outcome != "failed"
            if wanted or reply == MISTYPED or time.monotonic() + 1 > deadline:
                reason = words_of(reply) if reply else ""
                return {"outcome": outcome, "banner": banner, "reason": reason}
            time.sleep(1)
            if self.control:
                # Otherwise it goes by what it has read of the onion before.
                self.control.ask("SIGNAL NEWNYM")

    def end(self) -> None:
        if self.control:
            with contextlib.suppress(OSError, TorError):
                self.control.halt()
            self.control.close()
