# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say by VRRP that one holds an address, with a priority that nobody has: advertise.py OWN ADDRESS ROUTER-ID SECONDS TO..."""

from __future__ import annotations

import socket
import struct
import sys
import time

VRRP, PRIORITY = 112, 254


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(own: str, address: str, router_id: int, to: str) -> bytes:
    """Version 3, an advertisement of one address, each second (RFC 5798, section 5.1)."""

    def whole(found: int) -> bytes:
        return struct.pack("!BBBBHH", 0x31, router_id, PRIORITY, 1, 100, found) + socket.inet_aton(address)

    around = socket.inet_aton(own) + socket.inet_aton(to) + struct.pack("!BBH", 0, VRRP, len(whole(0)))
    return whole(checksum(around + whole(0)))


own, address, number, seconds, *others = sys.argv[1:]
with socket.socket(socket.AF_INET, socket.SOCK_RAW, VRRP) as out:
    out.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
    out.bind((own, 0))
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        for other in others:
            out.sendto(packet(own, address, int(number), other), (other, 0))
        time.sleep(0.3)
