# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody with a tor of their own, who knows nothing of a site but what a bundle says: guest.py PLACE VERB. Runs where nodes of other people are.

What it is told comes by its input, as JSON: `line` for tor, or none; `uri` of lndconnect; `network`, what leads into the lab's Tor network.

get       ask lnd who it is, and print what it answers
pay       try to pay the `invoice`
hold      open a connection, say so, and say when it ended
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PORT = 9151
PATIENCE = 240


class RefusedError(Exception):
    """tor does not lead there."""


@contextmanager
def tor(place: Path, line: str, network: str) -> Iterator[None]:
    """One that is in its network, with that key or with none."""
    keys = place / "keys"
    keys.mkdir(parents=True, mode=0o700)
    place.chmod(0o700)
    if line:
        file = keys / "bundle.auth_private"
        file.write_text(f"{line}\n")
        file.chmod(0o600)
    lines = [
        network,
        f"DataDirectory {place}",
        f"SocksPort 127.0.0.1:{PORT}",
        f"ClientOnionAuthDir {keys}",
        f"Log notice file {place}/log",
    ]
    (place / "torrc").write_text("\n".join(lines) + "\n")
    process = subprocess.Popen(
        ["/usr/bin/tor", "--defaults-torrc", "/none", "--ignore-missing-torrc", "-f", str(place / "torrc")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + PATIENCE
        while "Bootstrapped 100%" not in ((place / "log").read_text() if (place / "log").exists() else ""):
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit("the guest's tor is not in its network")
            time.sleep(0.5)
        yield
    finally:
        process.terminate()
        process.wait()


def reach(host: str, port: int) -> socket.socket:
    """By SOCKS 5 (RFC 1928), with the name, which tor alone can do something with."""
    link = socket.create_connection(("127.0.0.1", PORT), timeout=90)
    link.sendall(b"\x05\x01\x00")
    link.recv(2)
    link.sendall(b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + port.to_bytes(2, "big"))
    answer = link.recv(10)
    if len(answer) < 2 or answer[1]:
        link.close()
        raise RefusedError(f"tor says {answer[1] if len(answer) > 1 else 'nothing'}")
    return link


def patiently(host: str, port: int, seconds: float) -> socket.socket:
    """An onion that has just been announced is not found at once."""
    until = time.monotonic() + seconds
    while True:
        try:
            return reach(host, port)
        except (RefusedError, OSError):
            if time.monotonic() > until:
                raise
            time.sleep(3)


class Lnd:
    """As the URI says it, and no other certificate is believed than what it brings."""

    def __init__(self, uri: str, seconds: float) -> None:
        parts = urlsplit(uri)
        said = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.host, self.port, self.seconds = str(parts.hostname), int(parts.port or 0), seconds
        self.macaroon = self.raw(said["macaroon"]).hex()
        self.authority = ssl.DER_cert_to_PEM_cert(self.raw(said["cert"]))

    @staticmethod
    def raw(text: str) -> bytes:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    def ask(self, method: str, path: str, body: object = None) -> object:
        link = patiently(self.host, self.port, self.seconds)
        context = ssl.create_default_context(cadata=self.authority)
        connection = http.client.HTTPConnection(self.host, self.port, timeout=120)
        connection.sock = context.wrap_socket(link, server_hostname=self.host)
        connection.request(method, path, json.dumps(body) if body else None, {"Grpc-Metadata-macaroon": self.macaroon})
        answer = connection.getresponse()
        return {"status": answer.status, "said": json.loads(answer.read())}


def main(place: Path, verb: str) -> None:
    told = json.load(sys.stdin)
    with tor(place, told.get("line", ""), told["network"]):
        lnd = Lnd(told["uri"], told.get("seconds", PATIENCE))
        try:
            if verb == "get":
                print(json.dumps(lnd.ask("GET", "/v1/getinfo")))
            elif verb == "pay":
                body = {"payment_request": told["invoice"], "timeout_seconds": 30, "fee_limit_sat": "10"}
                print(json.dumps(lnd.ask("POST", "/v2/router/send", body)))
            else:
                hold(lnd)
        except (RefusedError, OSError) as error:
            print(json.dumps({"refused": str(error)}))


def hold(lnd: Lnd) -> None:
    """What ends it is not said to it: an end of the stream, or an error."""
    link = patiently(lnd.host, lnd.port, lnd.seconds)
    print(json.dumps({"open": True}), flush=True)
    link.settimeout(PATIENCE)
    begun = time.monotonic()
    try:
        ended = link.recv(1) == b""
    except TimeoutError:
        ended = False
    except OSError:
        ended = True
    print(json.dumps({"ended": ended, "after": round(time.monotonic() - begun, 1)}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
