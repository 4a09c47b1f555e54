#!/usr/bin/python3 -IS
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publish the onion services of this machine while it holds an address that several machines share, and only then.

bcm-tor-publish follow ADDRESS    for systemd: has tor publish them when the address comes, and no more when it goes
bcm-tor-publish status ADDRESS    whether that is so at this moment, as JSON
"""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

UNIT = "tor@default.service"
FILE = Path("/etc/tor/published.d/onions.conf")
TEXT = (
    "# Written where onion services are published, and removed where they are not.\n%include /etc/tor/torrc.d/5*.conf\n"
)
VERIFY = [
    *("/usr/bin/tor", "--defaults-torrc", "/usr/share/tor/tor-service-defaults-torrc", "-f", "/etc/tor/torrc"),
    *("--RunAsDaemon", "0", "--verify-config"),
]
# <linux/rtnetlink.h>: the group of those who hear of IPv4 addresses that come and go.
RTMGRP_IPV4_IFADDR = 0x10
# However quiet it is: something may have been missed, or what tor would not take may be mended.
SECONDS = 30


def run(*argv: str) -> tuple[int, str]:
    """A program, with nothing on its standard input."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def is_here(address: str) -> bool:
    """Whether this machine has the address."""
    code, said = run("ip", "-j", "-4", "address", "show")
    if code:
        raise OSError(f"ip: {said.strip()}")
    links: list[dict[str, Any]] = json.loads(said)
    return any(one.get("local") == address for link in links for one in link.get("addr_info", []))


def is_published(file: Path = FILE) -> bool:
    """Whether tor would publish them when it reads its configuration."""
    try:
        return file.read_text(encoding="utf-8") == TEXT
    except FileNotFoundError:
        return False


def publish(file: Path = FILE) -> str:
    """Write the file; why tor would not take what it brings along, or nothing. Then it is not there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # Whatever the umask is: tor reads it anew without being root.
    file.parent.chmod(0o755)
    new = file.with_name(f".{file.name}.new")
    new.write_text(TEXT, encoding="utf-8")
    new.chmod(0o644)
    new.replace(file)
    code, said = run(*VERIFY)
    if not code:
        return ""
    file.unlink()
    bad = [line.partition("] ")[2] for line in said.splitlines() if "[warn]" in line or "[err]" in line]
    return " ".join(bad) or said.strip()[-300:]


def settle(address: str, file: Path = FILE) -> str:
    """Have it as it should be, tell tor if that is a change, and return what was done, or nothing."""
    here = is_here(address)
    if here == is_published(file):
        return ""
    if here:
        if problem := publish(file):
            return f"{address} is here, and the onion services are not published: tor would not take them: {problem}"
    else:
        file.unlink(missing_ok=True)
    # A tor that does not run reads it when it starts.
    run("systemctl", "--no-block", "reload", UNIT)
    return f"{address} is {'here' if here else 'not here'}: onion services are {'' if here else 'not '}published"


def status(address: str, file: Path = FILE) -> dict[str, Any]:
    """Whether it is as it should be, for people."""
    here, published = is_here(address), is_published(file)
    if here == published:
        return {"ready": True, "note": "published here" if here else "not published here"}
    if published:
        return {"ready": False, "reason": f"{address} is not here, and its onion services are published all the same"}
    code, said = run(*VERIFY)
    why = "" if not code else f": {said.strip()[-300:]}"
    return {"ready": False, "reason": f"{address} is here, and its onion services are not published{why}"}


def notify(text: str) -> None:
    """Tell systemd, if it wants to know (sd_notify(3))."""
    where = os.environ.get("NOTIFY_SOCKET", "")
    if where:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto(text.encode(), "\0" + where[1:] if where.startswith("@") else where)


def hear(line: socket.socket) -> None:
    """Wait until addresses come or go, or some time has gone by."""
    try:
        line.recv(65536)
    except TimeoutError:
        return
    except OSError as error:
        # More was said than was listened to.
        if error.errno != errno.ENOBUFS:
            raise


def follow(address: str) -> None:
    """For ever."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as line:
        # Before the first look: nothing that comes after it is missed.
        line.bind((0, RTMGRP_IPV4_IFADDR))
        line.settimeout(SECONDS)
        told, first = "", True
        while True:
            # The same trouble is said once.
            said = settle(address)
            if said and said != told:
                print(said, flush=True)
            told = said or told
            if first:
                notify("READY=1")
                first = False
            hear(line)


def main(argv: list[str]) -> int:
    if len(argv) != 2 or argv[0] not in ("follow", "status"):
        print(__doc__, file=sys.stderr)
        return 2
    if argv[0] == "status":
        print(json.dumps(status(argv[1])))
    else:
        follow(argv[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
