# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a proxy for each of the URLs and print its answers as JSON: ask.py HOST PORT 'METHOD URL'..."""

from __future__ import annotations

import http.client
import json
import sys


def ask(host: str, port: int, method: str, target: str) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.request(method, target)
        return connection.getresponse().status
    finally:
        connection.close()


print(json.dumps({request: ask(sys.argv[1], int(sys.argv[2]), *request.split(" ", 1)) for request in sys.argv[3:]}))
