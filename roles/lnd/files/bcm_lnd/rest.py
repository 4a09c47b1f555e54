# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTPS: to lnd, on the loopback inside its container, and to those who keep what must outlive this machine."""

from __future__ import annotations

import base64
import ctypes
import http.client
import json
import os
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .config import Config, TroubleError

CLONE_NEWNET = 0x40000000
REST = ("127.0.0.1", 8080)
# Seconds for a connection and an answer. A copy goes through Tor.
NEAR, FAR = 30.0, 120.0
# The largest channel backup that is taken for one: a channel needs some hundred bytes.
LARGEST = 16 << 20

Object = dict[str, Any]


class AnswerError(TroubleError):
    """Somebody has answered, and not as was hoped."""

    def __init__(self, words: str, status: int = 0) -> None:
        super().__init__(words)
        self.status = status


class SilentError(TroubleError):
    """Nobody has answered."""


@contextmanager
def network_of(process: int) -> Iterator[None]:
    """Sockets that are made meanwhile are made in the network of PROCESS."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as home, Path(f"/proc/{process}/ns/net").open("rb") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET):
            code = ctypes.get_errno()
            raise OSError(code, f"cannot enter the network of process {process}: {os.strerror(code)}")
        try:
            yield
        finally:
            if libc.setns(home.fileno(), CLONE_NEWNET):
                # Whatever comes next would be done in the wrong place.
                os._exit(70)


def task_of(node: str, run: Callable[..., Any] = subprocess.run) -> int:
    """The process of lnd's container on this machine."""
    listed = run(
        ["docker", "ps", "--quiet", "--filter", f"label=bcm.lnd={node}"], capture_output=True, text=True, check=False
    )
    names = listed.stdout.split()
    if listed.returncode or not names:
        reason = listed.stderr.strip() or "there is no container of it that runs"
        raise SilentError(
            f"lnd does not run on this host: {reason}. On a manager, docker service ps --no-trunc lnd-{node} says more."
        )
    found = run(
        ["docker", "inspect", "--format", "{{.State.Pid}}", names[0]], capture_output=True, text=True, check=False
    )
    process = found.stdout.strip()
    if not process.isdigit() or int(process) == 0:
        raise SilentError(f"lnd's container {names[0]} has just stopped.")
    return int(process)


class _Connection(http.client.HTTPSConnection):
    """HTTPS whose socket somebody else makes."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, make: Callable[[], socket.socket]) -> None:
        super().__init__(host, port, context=context)
        self.make, self.tls = make, context
        # When the certificate of the other end runs out, seconds since 1970.
        self.expires: float | None = None

    def connect(self) -> None:
        plain = self.make()
        try:
            wrapped = self.tls.wrap_socket(plain, server_hostname=self.host)
            self.expires = ssl.cert_time_to_seconds(str((wrapped.getpeercert() or {})["notAfter"]))
            self.sock = wrapped
        except BaseException:
            plain.close()
            raise


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        content = answer.read(LARGEST + 1)
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content
    finally:
        connection.close()


class Lnd:
    """lnd's REST interface. What is asked and answered appears in no argument and no log."""

    def __init__(self, config: Config, macaroon: bytes | None = None) -> None:
        self.config, self.macaroon = config, macaroon
        # When its certificate runs out, as it was shown last.
        self.expires: float | None = None

    def socket(self) -> socket.socket:
        with network_of(task_of(self.config.node)):
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.settimeout(NEAR)
        try:
            made.connect(REST)
        except OSError:
            made.close()
            raise
        return made

    def ask(self, method: str, path: str, question: Object | None = None, macaroon: bool = True) -> Object:
        """What lnd answers.

        :raises SilentError: it does not.
        :raises AnswerError: it refuses.
        """
        try:
            context = ssl.create_default_context(cafile=f"{self.config.etc}/task/ca.pem")
        except (OSError, ssl.SSLError) as error:
            raise SilentError(f"lnd's authority cannot be read: {error}. lightning.yml writes it.") from error
        headers = {"Content-Type": "application/json"}
        if macaroon:
            headers["Grpc-Metadata-macaroon"] = self._macaroon().hex()
        body = json.dumps(question).encode() if question is not None else None
        connection = _Connection(REST[0], REST[1], context, self.socket)
        try:
            status, _headers, content = _exchange(connection, method, path, body, headers)
            self.expires = connection.expires
        except (OSError, http.client.HTTPException) as error:
            raise SilentError(f"lnd does not answer: {error}") from error
        try:
            said = json.loads(content or b"{}")
        except ValueError:
            said = {}
        if status != 200:
            words = (
                said.get("message")
                or (said.get("error") if isinstance(said.get("error"), str) else None)
                or f"HTTP {status}"
            )
            raise AnswerError(f"lnd says: {words}", status)
        return dict(said)

    def _macaroon(self) -> bytes:
        if self.macaroon is not None:
            return self.macaroon
        try:
            return self.config.admin_macaroon.read_bytes()
        except FileNotFoundError:
            raise SilentError("lnd has no wallet yet, or it is not open: it has written no macaroon.") from None

    def state(self) -> str:
        return str(self.ask("GET", "/v1/state", macaroon=False).get("state", ""))


def context_of_keepers(config: Config) -> ssl.SSLContext:
    """For those who only talk to whom the site has signed for it."""
    context = ssl.create_default_context(cafile=f"{config.etc}/ca.pem")
    context.load_cert_chain(f"{config.etc}/keeper.pem")
    return context


def socks(proxy: tuple[str, int], host: str, port: int, timeout: float = FAR) -> socket.socket:
    """A connection by way of Tor, which is told the name: nobody else hears it. A circuit of its own by name and password."""
    made = socket.create_connection(proxy, timeout=timeout)
    try:
        name, user = host.encode("ascii"), b"bcm-lnd-backup"
        made.sendall(b"\x05\x01\x02")
        if _exactly(made, 2) != b"\x05\x02":
            raise SilentError(
                "Tor's SOCKS port does not take a name and password, which keep this apart from everything else"
            )
        made.sendall(b"\x01" + bytes([len(user)]) + user + bytes([len(name)]) + name)
        if _exactly(made, 2)[1]:
            raise SilentError("Tor's SOCKS port refused the name and password")
        made.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + struct.pack(">H", port))
        answer = _exactly(made, 4)
        if answer[1]:
            raise SilentError(f"Tor does not reach {host}: SOCKS says {answer[1]}")
        length = {1: 4, 4: 16}.get(answer[3]) or _exactly(made, 1)[0]
        _exactly(made, length + 2)
    except BaseException:
        made.close()
        raise
    return made


def _exactly(made: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        part = made.recv(size - len(content))
        if not part:
            raise SilentError("Tor's SOCKS port closed the connection")
        content += part
    return content


def send(
    url: str,
    method: str,
    context: ssl.SSLContext,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    proxy: tuple[str, int] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """One question by HTTPS, directly within the site or through Tor.

    :raises SilentError: nobody answers.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    timeout = FAR if proxy else NEAR

    def make() -> socket.socket:
        return socks(proxy, host, port) if proxy else socket.create_connection((host, port), timeout=timeout)

    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        return _exchange(_Connection(host, port, context, make), method, path, body, headers or {})
    except (OSError, http.client.HTTPException) as error:
        raise SilentError(f"{host} does not answer: {error}") from error


def basic(file: str) -> dict[str, str]:
    """Credentials out of a file, as a header."""
    return {"Authorization": "Basic " + base64.b64encode(Path(file).read_text().strip().encode()).decode()}
