# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count frames on an interface, and those with some bytes in them: capture.py INTERFACE SECONDS TEXT"""

from __future__ import annotations

import socket
import sys
import time

interface, seconds, text = sys.argv[1:]
wanted = text.encode()
count = found = 0
end = time.monotonic() + float(seconds)
# All protocols, in both directions.
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as card:
    card.bind((interface, 0))
    card.settimeout(0.2)
    while time.monotonic() < end:
        try:
            frame = card.recv(65535)
        except TimeoutError:
            continue
        count += 1
        found += wanted in frame
print(count, found)
