# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print so many ports of the loopback that nobody listens to, and that the kernel gives to nobody who asks for just any.

free_port.py NUMBER
"""

from __future__ import annotations

import contextlib
import random
import socket
import sys
from pathlib import Path

given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
# Where the kernel gives nearly all, there is nothing better to be had.
candidates = range(10000, given) if given > 11000 else range(10000, 32768)
held: list[socket.socket] = []
for port in random.sample(candidates, len(candidates)):
    if len(held) < int(sys.argv[1]):
        with contextlib.suppress(OSError):
            held.append(socket.create_server(("127.0.0.1", port)))
print(*(one.getsockname()[1] for one in held), sep="\n")
