#!/usr/bin/python3 -IS
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An address that several machines share: whether this one is able to serve behind it, and who holds it.

    bcm-floating-address check FILE NETWORK     whether all that is served in the network works here; keepalived asks this
    bcm-floating-address status FILE NETWORK    who holds the address, and whether all is as it should be, as JSON
    bcm-floating-address wait FILE SECONDS [SERVICE…]
                                                until they, or all that is served, answer at each address, wherever that is held

It changes nothing, and asks for nothing that depends on more than the service: that the world is gone moves no address.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]

# Until there is an answer, where the next question comes soon.
TIMEOUT = 3.0
# Whoever answers within so many seconds is slow, and not dead. Keepalived waits longer: Python has to start.
PATIENCE = 8.0
# Before one that does not answer is asked again.
PAUSE = 0.5
# How long everybody has to say who they are.
LISTEN = 1.0
ARP = 0x0806
UNITS = "/etc/systemd/system"
# RFC 1928: a client that has no name, and a server that is content with that.
SOCKS, SOCKS_ANSWER = b"\x05\x01\x00", b"\x05\x00"


def ask(address: str, service: Object, seconds: float = TIMEOUT) -> str:
    """Why what answers there is not the service at work, or nothing."""
    name, port, status = service["name"], int(service["port"]), str(service.get("status", 200))
    where = f"{address}:{port}"
    socks = service.get("protocol") == "socks"
    request = SOCKS if socks else f"GET {service['target']} HTTP/1.0\r\nHost: {where}\r\n\r\n".encode()
    deadline = time.monotonic() + seconds
    try:
        with socket.create_connection((address, port), timeout=seconds) as connection:
            connection.settimeout(max(deadline - time.monotonic(), 0.1))
            connection.sendall(request)
            if socks:
                said = connection.recv(2)
                return "" if said == SOCKS_ANSWER else f"{name} on {where} is no SOCKS for this machine"
            line = connection.makefile("rb").readline(200).decode(errors="replace")
    except OSError as error:
        return f"{name} does not answer on {where}: {error}"
    words = line.split()
    if len(words) > 1 and words[0].startswith("HTTP/") and words[1] == status:
        return ""
    return f"{name} on {where} answers {line.strip() or 'nothing'}, and not {status}"


def ask_all(address: str, services: list[Object], patient: bool) -> list[str]:
    """Why services do not work, of each that does not. All are asked at once: one that is slow takes nobody's time."""
    deadline = time.monotonic() + PATIENCE
    causes = {place: f"{service['name']} could not be asked" for place, service in enumerate(services)}

    def one(place: int, service: Object) -> None:
        while True:
            causes[place] = ask(address, service, max(deadline - time.monotonic(), PAUSE))
            if not causes[place] or not patient or time.monotonic() + PAUSE > deadline:
                return
            time.sleep(PAUSE)

    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(services)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return list(filter(None, causes.values()))


def is_enabled(unit: str, root: str = UNITS) -> bool:
    """Whether something of this machine wants the unit."""
    with os.scandir(root) as entries:
        return any(os.path.lexists(f"{entry.path}/{unit}") for entry in entries if entry.name.endswith(".wants"))


def asked(network: Object, enabled: Callable[[str], bool] = is_enabled) -> list[Object]:
    """What has been set up of that which is served in the network."""
    return [service for service in network["services"] if all(map(enabled, service.get("units") or []))]


def question(hardware: bytes, own: str, address: str) -> bytes:
    """A frame that asks everybody who has the address (RFC 826)."""
    ethernet = b"\xff" * 6 + hardware + struct.pack("!H", ARP)
    kind = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    return ethernet + kind + hardware + socket.inet_aton(own) + bytes(6) + socket.inet_aton(address)


def answer(frame: bytes) -> tuple[str, str] | None:
    """The address that a frame answers for, and the hardware that has it."""
    if len(frame) < 42 or frame[12:14] != struct.pack("!H", ARP) or frame[20:22] != b"\x00\x02":
        return None
    return socket.inet_ntoa(frame[28:32]), frame[22:28].hex(":")


def listen(network: Object) -> dict[str, set[str]]:
    """The hardware that answers for the address and for each peer's. This machine does not hear itself."""
    heard: dict[str, set[str]] = {}
    wanted = [network["address"], *(peer["address"] for peer in network["peers"])]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ARP)) as line:
        line.bind((network["interface"], ARP))
        for address in wanted:
            line.send(question(line.getsockname()[4], network["own"], address))
        deadline = time.monotonic() + LISTEN
        while (left := deadline - time.monotonic()) > 0:
            line.settimeout(left)
            try:
                found = answer(line.recv(128))
            except TimeoutError:
                break
            if found and found[0] in wanted:
                heard.setdefault(found[0], set()).add(found[1])
    return heard


def is_here(network: Object) -> bool:
    """Whether this machine has the address."""
    argv = ["ip", "-j", "-4", "address", "show", "dev", network["interface"]]
    said = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=30).stdout
    return any(one.get("local") == network["address"] for link in json.loads(said) for one in link.get("addr_info", []))


def judge(network: Object, here: bool, heard: dict[str, set[str]], causes: list[str]) -> Object:
    """Who holds the address, and whether all is as it should be: in words, for people."""
    address = network["address"]
    peers = {hardware: peer["name"] for peer in network["peers"] for hardware in heard.get(peer["address"], ())}
    others = sorted(heard.get(address, ()), key=lambda hardware: peers.get(hardware, hardware))
    strangers = [hardware for hardware in others if hardware not in peers]
    holders = ["this machine"] * here + [peers.get(hardware, f"{hardware}, which is no peer") for hardware in others]
    wrong = list(causes)
    if not holders:
        wrong.append(f"nobody holds {address}")
    elif len(holders) > 1 or strangers or wrong:
        wrong.append(f"{address} is held by {' and by '.join(holders)}")
    note = f"{address}, held {'here' if here else 'by ' + ', '.join(holders)}"
    return {"ready": not wrong, "reason": "; ".join(wrong), "note": note}


def wait(networks: list[Object], seconds: float, names: list[str]) -> list[str]:
    """Why something of that name, or of any, does not answer at its address after so many seconds, or nothing."""
    deadline = time.monotonic() + seconds
    while True:
        awaited = [
            (network, one) for network in networks for one in asked(network) if not names or one["name"] in names
        ]
        causes = [ask(network["address"], service) for network, service in awaited]
        if not any(causes) or time.monotonic() > deadline:
            return list(filter(None, causes))
        time.sleep(0.3)


def main(argv: list[str]) -> int:
    if len(argv) < 3 or argv[0] not in ("check", "status", "wait") or (len(argv) > 3 and argv[0] != "wait"):
        print(__doc__, file=sys.stderr)
        return 2
    command, file, which, *names = argv
    # This is started every four seconds: pathlib alone would take a third of its time.
    with open(file, encoding="utf-8") as opened:  # noqa: PTH123
        networks: list[Object] = json.load(opened)["networks"]
    if command == "wait":
        causes = wait(networks, float(which), names)
    else:
        network = next(network for network in networks if network["name"] == which)
        causes = ask_all(network["own"], asked(network), patient=command == "check")
        if command == "status":
            print(json.dumps(judge(network, is_here(network), listen(network), causes)))
            return 0
    print("\n".join(causes), file=sys.stderr)
    return 1 if causes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
