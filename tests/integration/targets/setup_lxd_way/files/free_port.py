# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print so many ports of the loopback that nobody listens to.

free_port.py NUMBER
"""

from __future__ import annotations

import socket
import sys

held = [socket.create_server(("127.0.0.1", 0)) for _number in range(int(sys.argv[1]))]
print(*(one.getsockname()[1] for one in held), sep="\n")
