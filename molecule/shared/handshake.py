# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve one TLS connection with a certificate and ask for it under a name: handshake.py CERTIFICATE KEY CA NAME

Prints how long the certificate is still valid, in days, or why the client would not have it.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
import time

certificate, key, authority, name = sys.argv[1:]
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.load_cert_chain(certificate, key)
client = ssl.create_default_context(cafile=authority)
ours, theirs = socket.socketpair()


def serve() -> None:
    try:
        server.wrap_socket(theirs, server_side=True)
    except OSError:
        theirs.close()


threading.Thread(target=serve, daemon=True).start()
try:
    expiry = client.wrap_socket(ours, server_hostname=name).getpeercert()["notAfter"]  # type: ignore[index]
    print(round((ssl.cert_time_to_seconds(str(expiry)) - time.time()) / 86400))
except ssl.SSLCertVerificationError as refused:
    print(refused.verify_message)
