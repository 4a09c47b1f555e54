# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""The files of tor's configuration: what includes what, what a change of them needs, and whether tor would take them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

BEGIN, END = "# BEGIN bcm.datacenter.tor", "# END bcm.datacenter.tor"
# Read everywhere, and read where onion services are published.
ALWAYS, PUBLISHED = "[0-4]*.conf", "5*.conf"
PUBLISHER = "onions.conf"
NAME = re.compile(r"[0-5][0-9]-[a-z0-9][a-z0-9_-]{0,60}")
INCLUDE = re.compile(r'^\s*%include\s+"?([^"\s]+)"?\s*$', re.IGNORECASE)
DEFAULTS = Path("/usr/share/tor/tor-service-defaults-torrc")

# What a tor that runs does not take, or ends at (those that src/app/config/config.c calls immutable), and what leads it into another
# network, of which it would keep what it knows of the old one.
RESTARTS = frozenset(
    """
    accel accelname acceldir alternatebridgeauthority alternatedirauthority cachedirectory cookieauthfile datadirectory
    disableallswap disabledebuggerattachment dirauthority dirserver fallbackdir hardwareaccel hiddenservicenonanonymousmode
    hiddenservicesinglehopmode keepbindcapabilities keydirectory noexec pidfile runasdaemon sandbox syslogidentitytag
    testingtornetwork tokenbucketrefillinterval user
    """.split()  # noqa: SIM905
)


# What tor warns of whatever else there is, and what repeats another line.
HARMLESS = (
    "You are running Tor as root",
    "You have used DirAuthority",
    "TestingTorNetwork is set",
    "Reading config failed",
    "SocksPort, TransPort, NATDPort",
)


class FilesError(Exception):
    """Something that a person can act on."""


class Places(t.NamedTuple):
    """Where all of it stands."""

    torrc: Path
    directory: Path
    published: Path

    @property
    def publisher(self) -> Path:
        return self.published / PUBLISHER

    def block(self) -> list[str]:
        return [BEGIN, f"%include {self.directory}/{ALWAYS}", f"%include {self.published}/*.conf", END]

    def publishing(self) -> str:
        return f"# Written where onion services are published, and removed where they are not.\n%include {self.directory}/{PUBLISHED}\n"


def without_block(text: str) -> list[str]:
    """The lines of a torrc that are its owner's."""
    lines, inside = [], False
    for line in text.splitlines():
        if line.strip() == BEGIN:
            inside = True
        elif line.strip() == END and inside:
            inside = False
        elif not inside:
            lines.append(line)
    return lines


def with_block(text: str, places: Places) -> str:
    """A torrc with our lines: where they stand already, or at its end. All other lines stay as they are, byte by byte."""
    if BEGIN in text and END in text:
        head, _begin, rest = text.partition(BEGIN)
        tail = rest.partition(END)[2]
        return head + "\n".join(places.block()) + tail
    glue = "" if not text or text.endswith("\n") else "\n"
    return text + glue + "\n".join(places.block()) + "\n"


def options(text: str) -> list[str]:
    """The lines that say something, in the form in which they are compared."""
    found, pending = [], ""
    for raw in text.splitlines():
        line = pending + raw
        if line.rstrip().endswith("\\"):
            pending = line.rstrip()[:-1]
            continue
        pending = ""
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            found.append(" ".join(stripped.split()))
    return found


def keyword(option: str) -> str:
    """The name of an option, in small letters; a sign before it says only how it is joined with others."""
    return option.split(" ")[0].lstrip("+/").lower()


def needs_restart(before: t.Iterable[str], after: t.Iterable[str]) -> bool:
    """Whether a tor that runs cannot just read this anew."""

    def of(texts: t.Iterable[str]) -> list[str]:
        return sorted(option for text in texts for option in options(text) if keyword(option) in RESTARTS)

    old, new = of(before), of(after)
    # In its sandbox it opens no file that it did not know when it began.
    sandboxed = any(keyword(option) == "sandbox" and option.split(" ")[-1] == "1" for option in new)
    return old != new or sandboxed


def included_besides(torrc: str, places: Places) -> list[str]:
    """What of our files a torrc's owner includes by other lines than ours: each of them would count twice."""
    twice = []
    for line in without_block(torrc):
        found = INCLUDE.match(line)
        if found and found[1].rstrip("/") in (
            str(places.directory),
            f"{places.directory}/*",
            f"{places.directory}/*.conf",
            str(places.published),
        ):
            twice.append(line.strip())
    return twice


def strangers(places: Places, ours: t.Iterable[str]) -> list[str]:
    """Files that our lines would have read for the first time, and that are not of this collection."""
    known = set(ours)
    return sorted(
        path.name for path in places.directory.glob(ALWAYS) if path.stem not in known and not NAME.fullmatch(path.stem)
    )


def complaints(output: str) -> str:
    """What tor says of a configuration that it would not take, without what it says of any."""
    bad = [line.partition("] ")[2] for line in output.splitlines() if "[warn]" in line or "[err]" in line]
    fatal = [line for line in bad if line.startswith("Failed to ") or "Could not " in line or "Unable to " in line]
    useful = [line for line in bad if not line.startswith(HARMLESS)]
    return " ".join(fatal or useful or bad) or "it says nothing"


def verify(program: str, places: Places, torrc: str, files: t.Mapping[str, str]) -> None:
    """Have tor check the configuration as it would be: all that is included, in a copy.

    :raises FilesError: it would not take it.
    """
    with tempfile.TemporaryDirectory(prefix="ansible-tor-") as temporary:
        copy = Path(temporary, "d")
        copy.mkdir()
        for name, content in files.items():
            write(copy / f"{name}.conf", content, 0o600)
        led = "\n".join(
            line.replace(f"{places.directory}/{ALWAYS}", f"{copy}/*.conf") if INCLUDE.match(line) else line
            for line in torrc.splitlines()
            # Those that are published are among the files here, whether they are at this moment or not.
            if line.strip() != f"%include {places.published}/*.conf"
        )
        main = Path(temporary, "torrc")
        write(main, led + "\n", 0o600)
        argv = [program, "--defaults-torrc", str(DEFAULTS), "-f", str(main), "--RunAsDaemon", "0", "--verify-config"]
        try:
            done = subprocess.run(  # pylint: disable=ansible-bad-function # with a time limit
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
            )
        except FileNotFoundError as exc:
            raise FilesError(f"{program} is not installed.") from exc
        except subprocess.TimeoutExpired as exc:
            raise FilesError(f"{program} did not check its configuration within 60 s.") from exc
        if done.returncode:
            said = complaints(done.stdout + done.stderr).replace(str(copy), str(places.directory))
            raise FilesError(f"tor would not take this configuration: {said.replace(str(main), str(places.torrc))}")


class Kept:
    """Files as they were, to be put back."""

    def __init__(self, paths: t.Iterable[Path]) -> None:
        self.before = {path: self._read(path) for path in paths}

    @staticmethod
    def _read(path: Path) -> tuple[str, int, int] | None:
        try:
            status = path.stat()
            return read(path), status.st_mode & 0o7777, status.st_gid
        except FileNotFoundError:
            return None

    def put_back(self) -> None:
        for path, kept in self.before.items():
            if kept is None:
                path.unlink(missing_ok=True)
            else:
                write(path, *kept)


def read(path: Path) -> str:
    """A file, whatever somebody has written into it."""
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def write(path: Path, text: str, mode: int, group: int = -1) -> None:
    """The whole file or none of it, in a directory that is made where there is none."""
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True)
        # Whatever the umask is: tor reads it anew without being root.
        path.parent.chmod(0o755)
    descriptor, name = tempfile.mkstemp(prefix=".ansible-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as stream:
            os.fchown(descriptor, -1, group)
            os.fchmod(descriptor, mode)
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def program() -> str | None:
    """Where tor is."""
    return shutil.which("tor", path="/usr/sbin:/usr/bin:/sbin:/bin")
