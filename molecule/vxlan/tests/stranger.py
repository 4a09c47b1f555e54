# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a broadcast frame into a VXLAN, from an address that is nobody's: stranger.py OWN-ADDRESS ENDPOINT VNI HARDWARE-ADDRESS"""

from __future__ import annotations

import socket
import struct
import sys

own, endpoint, number, hardware = sys.argv[1:]
sender = bytes.fromhex(hardware.replace(":", ""))
ethernet = b"\xff" * 6 + sender + struct.pack("!H", 0x88B5) + b"\0" * 46
# RFC 7348, section 5: that the number is valid, reserved bits, the number, and reserved ones again.
vxlan = struct.pack("!II", 0x08000000, int(number) << 8)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
    out.bind((own, 0))
    out.sendto(vxlan + ethernet, (endpoint, 4789))
