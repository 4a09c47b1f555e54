# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask an address in clear or by TLS: ask.py ADDRESS PORT [CERTIFICATE|none AUTHORITY SERVER]. Says what came, or why nothing did."""

import socket
import ssl
import sys


def main(address: str, port: str, *tls: str) -> None:
    connection = socket.create_connection((address, int(port)), timeout=5)
    if tls:
        certificate, authority, server = tls
        context = ssl.create_default_context(cafile=authority)
        if certificate != "none":
            context.load_cert_chain(certificate)
        connection = context.wrap_socket(connection, server_hostname=server)
    connection.settimeout(5)
    connection.sendall(b"secret words\n")
    heard = b""
    while b"echo secret words\n" not in heard:
        part = connection.recv(4096)
        if not part:
            raise OSError("closed without a word")
        heard += part
    print("answered")


try:
    main(*sys.argv[1:])
except OSError as exc:
    print(f"refused: {exc}")
