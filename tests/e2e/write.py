# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write numbered lines, spread over some time: write.py FIRST LAST SECONDS."""

from __future__ import annotations

import sys
import time

first, last, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
begun = time.monotonic()
for number in range(first, last + 1):
    print(number, "of", last, flush=True)
    left = begun + seconds * (number - first + 1) / (last - first + 1) - time.monotonic()
    if left > 0.01:
        time.sleep(left)
