# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks for secrets where they must not be: in arguments, environments, logs, answers of Docker, packets.

A secret is looked for in all forms in which programs write one down. What is found is told by its name alone, never by what it is.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import select
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# What is shorter is found in too many places by chance.
SHORTEST = 12
ETH_P_ALL = 3


def base64_inside(raw: bytes, alphabet: bytes = b"+/") -> set[bytes]:
    """What stays the same of its base64 wherever it begins in something longer."""
    found = set()
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + raw, altchars=alphabet)
        # The first characters are mixed with what stands before, the last ones with what follows.
        begin = (shift * 8 + 5) // 6
        end = (shift + len(raw)) * 8 // 6
        found.add(text[begin:end])
    return found


def forms(raw: bytes) -> set[bytes]:
    """All the ways in which a value may be written."""
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b32encode(raw).rstrip(b"=")}
    found |= base64_inside(raw) | base64_inside(raw, b"-_")
    return {form for form in found if len(form) >= SHORTEST}


def of_words(words: list[str], of: int = 5) -> set[bytes]:
    """So many of a seed's words after each other, as text and as a list of JSON or Python."""
    found = set()
    for begin in range(len(words) - of + 1):
        part = words[begin : begin + of]
        for between in (" ", "\n", ",", ", ", '","', '", "', "', '", "+", "%20"):
            found.add(between.join(part).encode())
    return found


@dataclass
class Needles:
    """Secrets by their names, and a search for all of them at once."""

    known: dict[str, set[bytes]] = field(default_factory=dict)

    def add(self, name: str, raw: bytes | str) -> None:
        value = raw.encode() if isinstance(raw, str) else raw
        value = value.strip() if isinstance(raw, str) else value
        assert len(value) >= SHORTEST, f"{name} has {len(value)} bytes: it would be found by chance"
        self.known.setdefault(name, set()).update(forms(value))

    def add_words(self, name: str, words: list[str]) -> None:
        self.known.setdefault(name, set()).update(of_words(words))

    @property
    def pattern(self) -> re.Pattern[bytes]:
        every = sorted({form for forms_ in self.known.values() for form in forms_}, key=len, reverse=True)
        return re.compile(b"|".join(re.escape(form) for form in every))

    def names_of(self, form: bytes) -> set[str]:
        return {name for name, forms_ in self.known.items() if form in forms_}

    def halves(self) -> Needles:
        """Either half of each: what is cut in two by the border of packets has one half whole."""
        cut: dict[str, set[bytes]] = {}
        for name, forms_ in self.known.items():
            for form in forms_:
                if len(form) < 2 * SHORTEST:
                    cut.setdefault(name, set()).add(form)
                else:
                    middle = len(form) // 2
                    cut.setdefault(name, set()).update((form[:middle], form[middle:]))
        return Needles(cut)

    def within(self, content: bytes) -> set[str]:
        """The names of those that are in it."""
        every = {form for forms_ in self.known.values() for form in forms_}
        # grep looks for all of them at once, but line by line, and is told of them line by line.
        lines = {form for form in every if form.isascii() and b"\n" not in form and b"\0" not in form}
        there = {form for form in every - lines if form in content}
        if lines:
            with tempfile.NamedTemporaryFile() as patterns:
                patterns.write(b"\n".join(sorted(lines)))
                patterns.flush()
                argv = ["grep", "--text", "--only-matching", "--fixed-strings", f"--file={patterns.name}"]
                done = subprocess.run(
                    argv, input=content, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C"}
                )
            assert done.returncode < 2, done.stderr
            there |= lines & set(done.stdout.splitlines())
        return set().union(*map(self.names_of, there))


class Processes(threading.Thread):
    """Arguments and environments of everything that runs on this machine, in its containers too, looked at again and again."""

    def __init__(self, needles: Needles, every: float = 0.05) -> None:
        super().__init__(daemon=True)
        self.pattern, self.needles, self.every = needles.pattern, needles, every
        self.found: set[tuple[str, str, str]] = set()
        self.looks = 0
        self.over = threading.Event()

    def look(self, proc: Path = Path("/proc")) -> None:
        for entry in proc.iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            for what in ("cmdline", "environ"):
                # It may have ended meanwhile.
                with contextlib.suppress(OSError):
                    for match in self.pattern.finditer((entry / what).read_bytes()):
                        command = (entry / "comm").read_text().strip()
                        self.found |= {(name, what, command) for name in self.needles.names_of(match.group())}
        self.looks += 1

    def run(self) -> None:
        while not self.over.is_set():
            self.look()
            self.over.wait(self.every)


class Packets(threading.Thread):
    """All that goes over any network of this machine: bridges, and the ends of cables that lead into its instances."""

    def __init__(self, needles: Needles) -> None:
        super().__init__(daemon=True)
        halves = needles.halves()
        self.pattern, self.needles = halves.pattern, halves
        self.found: set[tuple[str, str]] = set()
        self.seen: dict[str, int] = {}
        self.lost = 0
        self.over = threading.Event()
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 << 20)

    def run(self) -> None:
        while not self.over.is_set() or select.select([self.socket], [], [], 0)[0]:
            if not select.select([self.socket], [], [], 0.2)[0]:
                continue
            frame, (interface, *_) = self.socket.recvfrom(65535)
            self.seen[interface] = self.seen.get(interface, 0) + 1
            for match in self.pattern.finditer(frame):
                self.found |= {(name, interface) for name in self.needles.names_of(match.group())}
        # struct tpacket_stats: how many came, and how many of them were dropped.
        packets = self.socket.getsockopt(263, 6, 8)
        self.lost = int.from_bytes(packets[4:8], "little")
        self.socket.close()


@contextlib.contextmanager
def watched(needles: Needles) -> Iterator[tuple[Processes, Packets]]:
    """Everything that happens within is looked at."""
    threads = Processes(needles), Packets(needles)
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.over.set()
        for thread in threads:
            thread.join(120)


def within_texts(needles: Needles, texts: Mapping[str, bytes]) -> set[tuple[str, str]]:
    """Name of the secret, and where it is."""
    pattern = needles.pattern
    found: set[tuple[str, str]] = set()
    for where, content in texts.items():
        for match in pattern.finditer(content):
            found |= {(name, where) for name in needles.names_of(match.group())}
    return found


def said(found: Iterable[tuple[str, ...]]) -> str:
    return "; ".join(" in ".join(one) for one in sorted(found))


def wait_until_looked(processes: Processes, times: int = 3, seconds: float = 30) -> None:
    """So that what stands still was looked at too."""
    until = time.monotonic() + seconds
    while processes.looks < times:
        assert time.monotonic() < until, "the processes of this machine are not looked at"
        time.sleep(0.05)
