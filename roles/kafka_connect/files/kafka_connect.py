#!/usr/bin/python3
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kafka Connect on this host.

    kafka-connect status             whether its worker serves and all connectors do what they are for, as JSON
    kafka-connect api METHOD PATH    ask its REST, for example: kafka-connect api GET /connectors
    kafka-connect archive            begin another file of the archive where it is time for it, compress those that are closed without what is
                                     there twice or was cut, and keep within the bounds; a timer does so every five minutes

The REST is published nowhere. It is reached from within the network of the worker's container, by a certificate that is root's on this host.
"""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import hashlib
import http.client
import io
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CONFIG = "/etc/bcm/kafka-connect/config.json"
UNIT = "bcm-connect-archive.service"
# Seconds for an answer of Docker's, and of Connect's, which first may have to agree on who does what.
ASK, ANSWER = 30, 60
# Of a certificate, before it is worth a word.
DAYS = 14
# Seconds in which whoever has a file open has to let it go.
LET_GO = 60
CLONE_NEWNET = 0x40000000
STAMP = "%Y%m%dT%H%M%SZ"
# How a record of a shipper's begins. Within one that does not stand again: in its message quotes are escaped.
BEGIN = b'{"v":'
# By what a line is known, wherever it is read. With its message, so that no host can take the place of a line of another's.
KNOWN = ("host", "boot", "entry", "message")
# So many lines are remembered at least, and twice as many at most: far more than come between two words on how far was read.
REMEMBERED = 500_000
# A line of Kafka's is shorter.
LONGEST = 4 << 20

Object = dict[str, Any]
Answer = tuple[int, Any]


class NoConnectError(Exception):
    """It cannot be asked; the text says why."""


def output(*argv: str) -> str:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=ASK)
    if done.returncode:
        raise NoConnectError(f"{argv[0]} {argv[1]}: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


def container(label: str) -> str:
    """The container of the worker on this host."""
    found = output("docker", "ps", "--quiet", "--filter", f"label={label}").split()
    if not found:
        raise NoConnectError("no container of it runs on this host")
    return found[0]


def enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"the network of its container: {os.strerror(ctypes.get_errno())}")


def connect_within(process: int, port: int) -> socket.socket:
    """A connection to PORT as PROCESS sees it: only the socket is made in its network."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/proc/{process}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(there)
        try:
            return socket.create_connection(("127.0.0.1", port), ANSWER)
        finally:
            enter(own)
    finally:
        os.close(own)
        os.close(there)


class Connection(http.client.HTTPSConnection):
    """HTTP over TLS to a worker that is known by the name in its certificate, wherever it is."""

    def __init__(self, config: Object) -> None:
        context = ssl.create_default_context(cafile=f"{config['admin']}/ca.pem")
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(f"{config['admin']}/admin.pem")
        super().__init__(config["server"], config["port"], timeout=ANSWER, context=context)
        self.settings, self.tls = config, context

    def connect(self) -> None:
        name = container(self.settings["label"])
        process = int(output("docker", "inspect", "--format", "{{.State.Pid}}", name))
        plain = connect_within(process, self.settings["port"])
        self.sock = self.secured = self.tls.wrap_socket(plain, server_hostname=self.settings["server"])


def ask(config: Object, method: str, path: str, body: str = "") -> Answer:
    """(status, answer) of the REST."""
    connection = Connection(config)
    try:
        headers = {"Accept": "application/json", **({"Content-Type": "application/json"} if body else {})}
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        data = answer.read().decode()
    except (OSError, http.client.HTTPException) as exc:
        raise NoConnectError(f"its REST does not answer: {exc}") from exc
    finally:
        connection.close()
    try:
        return answer.status, json.loads(data) if data else None
    except ValueError:
        return answer.status, data


Ask = Callable[..., Answer]


def days_left(config: Object) -> float:
    """Days that the certificate is valid which the REST shows. It lies in a keystore, as Java has them."""
    connection = Connection(config)
    try:
        connection.connect()
        said = connection.secured.getpeercert() or {}
    except OSError as exc:
        raise NoConnectError(f"its REST does not answer: {exc}") from exc
    finally:
        connection.close()
    return (ssl.cert_time_to_seconds(str(said["notAfter"])) - time.time()) / 86400


def connector_findings(name: str, known: Object) -> list[str]:
    """Why a connector does not do what it is for, by what Connect says of all of them."""
    if name not in known:
        return [f"{name} is not there"]
    said = known[name]["status"]
    parts = [(name, said["connector"]), *((f"task {one['id']} of {name}", one) for one in said["tasks"])]
    found = []
    for what, part in parts:
        if part["state"] != "RUNNING":
            trace = str(part.get("trace") or "").strip().splitlines()
            found.append(f"{what} is {part['state']}{': ' + trace[0][:300] if trace else ''}")
    return found if len(parts) > 1 else [*found, f"{name} has no task"]


def status(config: Object, ask: Ask = ask, days_left: Callable[[Object], float] = days_left) -> Object:
    """What verify.yml asks for."""
    name = container(config["label"])
    said = json.loads(output("docker", "exec", name, "/opt/kafka/bin/kafka-status"))
    if not said["ready"]:
        return dict(said)
    code, known = ask(config, "GET", "/connectors?expand=status")
    if code != 200:
        raise NoConnectError(f"its REST answers with {code}")
    findings = [finding for one in config["connectors"] for finding in connector_findings(one, known)]
    if (days := days_left(config)) < DAYS:
        findings.append(f"the certificate of its REST ends in {days:.0f} days; connect.yml issues it anew")
    if config["archive"] and failed(UNIT):
        findings.append(f"files of the archive are not looked after: journalctl -u {UNIT} says why")
    if findings:
        return {"ready": False, "reason": "; ".join(findings)}
    return {"ready": True, "note": note(config, len(known))}


def note(config: Object, connectors: int) -> str:
    words = f"{connectors} connector{'' if connectors == 1 else 's'}"
    if not config["archive"]:
        return words
    sizes = [path.stat().st_size for path in Archive(config).all()]
    return f"{words}; {len(sizes)} file{'' if len(sizes) == 1 else 's'} of the archive, {sum(sizes) >> 20} MiB"


def failed(unit: str) -> bool:
    """Whether the last run of UNIT has failed."""
    argv = ["systemctl", "is-failed", "--quiet", unit]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, check=False, timeout=ASK).returncode == 0


def opened(path: Path) -> bool:
    """Whether any process has PATH open."""
    wanted = path.stat()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            found = link.stat()
        except OSError:
            # It has ended, or closed it, just now.
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False


def keep(path: Path) -> None:
    """What was written there survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def mark(line: bytes) -> bytes | None:
    """By what a record is known: nothing of what is not whole, and an empty text of what no shipper has sent."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or any(key not in record for key in KNOWN):
        return b""
    return hashlib.blake2b(json.dumps([record[key] for key in KNOWN]).encode(), digest_size=16).digest()


def whole(line: bytes) -> tuple[bytes, bytes]:
    """(what of LINE is whole, by what it is known). Of one that was cut nothing is whole. What no shipper has sent stays as it is."""
    known = mark(line)
    if known is None and line.startswith(BEGIN[:1]):
        # A worker that was killed has left the beginning of a line, and the next one has written behind it.
        begin = max(0, line.rfind(BEGIN))
        if rest := mark(line[begin:]):
            return line[begin:], rest
        if line.startswith(BEGIN) or BEGIN.startswith(line):
            return b"", b""
    return line, known or b""


def lines_of(file: io.BufferedIOBase) -> Iterator[bytes]:
    while line := file.readline(LONGEST):
        yield line


class Seen:
    """The records that were there of late."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self.most = most
        self.young: set[bytes] = set()
        self.old: set[bytes] = set()

    def again(self, known: bytes) -> bool:
        """Whether it was there already. From now on it was."""
        if known in self.young:
            return True
        if len(self.young) >= self.most:
            self.young, self.old = set(), self.young
        self.young.add(known)
        return known in self.old

    def read(self, packed: Path) -> None:
        """Know what a file has. What of it cannot be read is not known, and that is all."""
        with contextlib.suppress(OSError, EOFError, zlib.error), gzip.open(packed) as file:
            for line in lines_of(file):
                if known := mark(line):
                    self.again(known)


class Archive:
    """The files that a connector writes: one that grows, and beside it those that are full, by the time at which they were closed.

    The connector has its file open as long as its task runs. So another one is begun by giving the file another name and its task another start:
    what is written in between goes into the file under its new name, and nothing is lost, wherever this ends.
    """

    def __init__(
        self,
        config: Object,
        ask: Ask = ask,
        opened: Callable[[Path], bool] = opened,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.config, self.settings = config, config["archive"]
        self.ask, self.opened, self.clock, self.pause = ask, opened, clock, pause
        self.directory = Path(self.settings["directory"])
        self.name = self.settings["name"]
        self.current = self.directory / f"{self.name}.jsonl"
        # When it was begun is remembered by a file of its own: the growing one is younger with each line.
        self.begun = self.directory / f".{self.name}.begun"

    def closed(self, ending: str) -> list[Path]:
        return sorted(self.directory.glob(f"{self.name}-*{ending}"))

    def all(self) -> Iterator[Path]:
        yield from filter(Path.exists, [self.current])
        yield from self.closed(".jsonl")
        yield from self.closed(".jsonl.gz")

    def day(self, moment: float) -> str:
        return time.strftime("%Y%m%d", time.gmtime(moment))

    def due(self) -> bool:
        """Whether the growing file is large enough, or of another day."""
        if not self.begun.exists():
            self.begin()
        size = self.current.stat().st_size if self.current.exists() else 0
        old = self.day(self.begun.stat().st_mtime) != self.day(self.clock())
        return size >= self.settings["file_size"] or (old and size > 0)

    def begin(self) -> None:
        self.begun.touch()
        os.utime(self.begun, (self.clock(), self.clock()))

    def turn(self) -> None:
        """Give the growing file its name."""
        target = self.directory / f"{self.name}-{time.strftime(STAMP, time.gmtime(self.clock()))}.jsonl"
        if target.exists() or target.with_suffix(".jsonl.gz").exists():
            return
        self.current.rename(target)
        self.begin()
        print(f"{target.name}: {target.stat().st_size} bytes", flush=True)

    def let_go(self) -> None:
        """Have the connector close what is no longer its file, wherever an earlier run was ended."""
        left = [path for path in self.closed(".jsonl") if self.opened(path)]
        if not left:
            return
        code, said = self.ask(self.config, "POST", f"/connectors/{self.settings['connector']}/tasks/0/restart")
        if code >= 300:
            raise NoConnectError(f"the task of {self.settings['connector']} could not be begun anew: {code} {said}")
        deadline = self.clock() + LET_GO
        while left := [path for path in left if self.opened(path)]:
            if self.clock() > deadline:
                raise NoConnectError(f"{left[0].name} is open still, {LET_GO} s after its task was begun anew")
            self.pause(1)

    def compress(self) -> None:
        for path in self.closed(".jsonl"):
            if self.opened(path):
                continue
            packed = path.with_suffix(".jsonl.gz")
            # That one is only there when it is whole.
            if not packed.exists():
                coming = path.with_suffix(".jsonl.gz.new")
                self.pack(path, coming)
                keep(coming)
                coming.rename(packed)
                keep(self.directory)
            path.unlink()

    def pack(self, path: Path, coming: Path) -> None:
        """Each line once. A worker that was killed is followed by one that begins a few seconds earlier, maybe in the next file."""
        seen = Seen()
        for before in [one for one in self.closed(".jsonl.gz") if one.stem < path.name][-1:]:
            seen.read(before)
        twice = cut = 0
        with path.open("rb") as plain, gzip.GzipFile(coming, "wb", mtime=0) as packed:
            for line in lines_of(plain):
                record, known = whole(line)
                if not record:
                    cut += 1
                elif known and seen.again(known):
                    twice += 1
                else:
                    # The last one may have been cut before its end.
                    packed.write(record if not known or record.endswith(b"\n") else record + b"\n")
        if twice or cut:
            print(f"{path.name}: without {twice} lines that are there already, and {cut} that were cut", flush=True)

    def bound(self) -> None:
        """Remove the oldest, where they are too old, or more than there is room for."""
        files = self.closed(".jsonl.gz")
        sizes = {path: path.stat().st_size for path in files}
        total = sum(path.stat().st_size for path in self.all())
        oldest = ""
        if self.settings["keep"]:
            oldest = f"{self.name}-{time.strftime(STAMP, time.gmtime(self.clock() - self.settings['keep']))}"
        for path in files:
            if path.name >= oldest and total <= self.settings["room"]:
                break
            why = "is older than it is to be kept" if path.name < oldest else "has no room any more"
            path.unlink()
            total -= sizes[path]
            print(f"{path.name}: removed, for it {why}", flush=True)

    def run(self) -> None:
        if not self.directory.exists():
            return
        if self.due():
            self.turn()
        try:
            self.let_go()
        finally:
            # There is to be room, whatever becomes of the rest.
            self.compress()
            self.bound()


def main(argv: list[str]) -> int:
    config = json.loads(Path(os.environ.get("BCM_CONNECT_CONFIG", CONFIG)).read_text())
    verb = argv[0] if argv else ""
    if verb == "status" and len(argv) == 1:
        try:
            said = status(config)
        except (NoConnectError, ValueError, LookupError, OSError, subprocess.TimeoutExpired) as exc:
            said = {"ready": False, "reason": str(exc)}
        print(json.dumps(said))
        return 0
    try:
        if verb == "api" and len(argv) == 3:
            body = "" if sys.stdin.isatty() else sys.stdin.read().strip()
            code, said = ask(config, argv[1], argv[2], body)
            print(json.dumps({"status": code, "body": said}))
            return 0
        if verb == "archive" and len(argv) == 1:
            if config["archive"]:
                Archive(config).run()
            return 0
    except (NoConnectError, OSError, subprocess.TimeoutExpired) as exc:
        print(f"kafka-connect: {exc}", file=sys.stderr)
        return 1
    print((__doc__ or "").strip(), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
