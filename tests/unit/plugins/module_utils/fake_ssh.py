# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An ssh that logs in nowhere: its "remote" sockets are those of this machine. It is run as a program.

FAKE_SSH names a directory: each call is noted in `calls`, and `behaviour` says what goes wrong (refuse TEXT, hang, noshell), or
that each connection takes its time (slow SECONDS).
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

VALUED = {"-o", "-E", "-L", "-O", "-p", "-l", "-i", "-S", "-F"}


def parse(argv: list[str]) -> tuple[dict[str, list[str]], dict[str, str], list[str]]:
    options: dict[str, list[str]] = {}
    words = iter(argv)
    for word in words:
        if word == "--":
            break
        options.setdefault(word, []).append(next(words) if word in VALUED else "")
    pairs = (given.partition("=") for given in options.get("-o", []))
    configuration: dict[str, str] = {}
    for name, _sign, value in pairs:
        configuration.setdefault(name, value)
    return options, configuration, list(words)


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def listen(path: str) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(64)
    return server


def serve(server: socket.socket, remote: str, log: str, delay: float) -> None:
    while True:
        client = server.accept()[0]
        time.sleep(delay)
        other = socket.socket(socket.AF_UNIX)
        try:
            other.connect(remote)
        except OSError:
            with Path(log).open("a") as handle:
                handle.write("channel 2: open failed: connect failed: open failed\n")
            client.close()
            continue
        for one, two in ((client, other), (other, client)):
            threading.Thread(target=pump, args=(one, two), daemon=True).start()


def main() -> int:
    home = Path(os.environ["FAKE_SSH"])
    options, configuration, words = parse(sys.argv[1:])
    with (home / "calls").open("a") as calls:
        calls.write(json.dumps(sys.argv[1:]) + "\n")
    behaviour = (home / "behaviour").read_text() if (home / "behaviour").exists() else ""
    control = configuration["ControlPath"]
    if "-O" in options:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(control)
            sock.sendall(b"exit")
            sock.recv(1)
        return 0
    if len(words) > 1:
        return 1 if "noshell" in behaviour else subprocess.run(["sh", "-c", *words[1:]], check=False).returncode
    log = options["-E"][0]
    if behaviour.startswith("refuse"):
        Path(log).write_text(behaviour.partition(" ")[2])
        return 255
    if behaviour == "hang":
        time.sleep(30)
    delay = float(behaviour.removeprefix("slow ")) if behaviour.startswith("slow") else 0
    ways = [given.split(":") for given in options["-L"]]
    servers = [listen(local) for local, _remote in ways]
    master = listen(control)
    if pid := os.fork():
        (home / "master").write_text(str(pid))
        return 0
    for server, (_local, remote) in zip(servers, ways, strict=True):
        threading.Thread(target=serve, args=(server, remote, log, delay), daemon=True).start()
    while True:
        client = master.accept()[0]
        if client.recv(10) == b"exit":
            os._exit(0)


sys.exit(main())
