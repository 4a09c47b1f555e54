# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write numbered lines to the journal as fast as it takes them: write.py FIRST LAST LENGTH NAME..."""

from __future__ import annotations

import os
import socket
import sys

first, last, length = (int(value) for value in sys.argv[1:4])
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect("/run/systemd/journal/dev-log")
for number in range(first, last + 1):
    for name in sys.argv[4:]:
        journal.send(f"<14>{name}: {number} {os.urandom(length // 2).hex()}".encode())
