# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask for a page through SOCKS, until it comes or the time is over: through.py SOCKS PORT HOST SECONDS

Prints the first line of the answer, or what SOCKS says instead.
"""

from __future__ import annotations

import socket
import sys
import time


def ask(socks: str, port: int, host: str) -> str:
    with socket.create_connection((socks, port), timeout=20) as connection:
        connection.settimeout(60)
        connection.sendall(b"\x05\x01\x00")
        if connection.recv(2) != b"\x05\x00":
            return "refused"
        connection.sendall(b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + (80).to_bytes(2, "big"))
        reply = connection.recv(10)
        if len(reply) < 2 or reply[1]:
            return f"reply {reply.hex()}"
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return connection.makefile("rb").readline().decode().strip()


def main(socks: str, port: str, host: str, seconds: str) -> None:
    deadline = time.monotonic() + float(seconds)
    while True:
        try:
            said = ask(socks, int(port), host)
        except OSError as error:
            said = type(error).__name__
        if said.startswith("HTTP/") or time.monotonic() > deadline:
            print(said)
            return
        time.sleep(1)


main(*sys.argv[1:])
