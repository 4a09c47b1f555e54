# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A unix socket before another one, which dies as a killed daemon does: once a word has come out of the other.

cutting_proxy.py LISTEN UPSTREAM WORD
"""

from __future__ import annotations

import os
import socket
import sys
import threading


def pump(source: socket.socket, target: socket.socket, word: bytes) -> None:
    last = b""
    try:
        while data := source.recv(65536):
            if word and word in last + data:
                os._exit(0)
            last = data[-len(word) :]
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One end is gone; so is the connection.
        source.close()
        target.close()


def main() -> None:
    listen, upstream, word = sys.argv[1:]
    server = socket.socket(socket.AF_UNIX)
    server.bind(listen)
    server.listen(16)
    while True:
        client = server.accept()[0]
        other = socket.socket(socket.AF_UNIX)
        other.connect(upstream)
        threading.Thread(target=pump, args=(client, other, b""), daemon=True).start()
        threading.Thread(target=pump, args=(other, client, word.encode()), daemon=True).start()


main()
