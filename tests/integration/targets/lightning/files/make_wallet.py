#!/usr/bin/python3
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a wallet for an lnd of a test, as its owner would at a terminal. The seed is thrown away: what is in the wallet is worth nothing."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import sys
import typing as t
from pathlib import Path


def main() -> None:
    port, certificate, password_file = sys.argv[1:]
    context = ssl.create_default_context(cafile=certificate)

    def ask(method: str, path: str, body: t.Any = None) -> t.Any:
        connection = http.client.HTTPSConnection("127.0.0.1", int(port), context=context, timeout=120)
        connection.request(method, path, json.dumps(body) if body else None)
        response = connection.getresponse()
        said = json.loads(response.read())
        if response.status >= 300:
            sys.exit(str(said.get("message")))
        return said

    password = base64.b64encode(Path(password_file).read_bytes()).decode()
    seed = ask("GET", "/v1/genseed")["cipher_seed_mnemonic"]
    ask("POST", "/v1/initwallet", {"wallet_password": password, "cipher_seed_mnemonic": seed})


if __name__ == "__main__":
    main()
