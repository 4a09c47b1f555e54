# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""Where the secrets of a site lie, behind one interface; nothing of Ansible.

A store also remembers the names of the secrets that were made in it (not their values). So a secret that was lost can
be told from one that is wanted for the first time, and only the latter is made.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import string
import subprocess
import time
import typing as t
from pathlib import Path

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
RECORD = ".made"
LOCK_SECONDS = 60
PASS_SECONDS = 120
DEFAULT_LENGTH = 32


class StoreError(Exception):
    """The store cannot be read or written, or what is in it is not what was asked for."""


@contextlib.contextmanager
def locked(path: Path, seconds: float = LOCK_SECONDS) -> t.Iterator[None]:
    """Hold an exclusive lock, which ends with the process in any case."""
    deadline = time.monotonic() + seconds
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"Another run has held the lock {path} for more than {seconds:g} s. See who it is with fuser."
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


class Store(t.Protocol):
    """What a place for secrets has to offer. Writing is done under lock()."""

    where: str
    # Where else something may lie that is not found: who cannot be asked now, in a sentence.
    away: str
    # Whether what is missing may be there, and is not to be made.
    doubtful: bool
    # Why nothing can be written now, in a sentence.
    closed: str

    def lock(self) -> contextlib.AbstractContextManager[None]: ...

    def read(self, name: str) -> str | None: ...

    def create(self, name: str, value: str) -> None: ...

    def replace(self, name: str, value: str) -> None: ...

    def remove(self, name: str) -> None: ...

    def names(self) -> list[str]: ...

    def made(self) -> set[str]: ...

    def record(self, names: set[str]) -> None: ...


class DirectoryStore:
    """One file a secret, in a directory that root alone may enter."""

    away = ""
    doubtful = False
    closed = ""

    def __init__(self, root: str, site: str) -> None:
        self.base = Path(root) / site
        self.directory = self.base / "secrets"
        self.where = str(self.directory)

    @contextlib.contextmanager
    def lock(self) -> t.Iterator[None]:
        for directory in (self.base.parent, self.base, self.directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self.base / ".secrets.lock"):
            for leftover in self.directory.glob(".new-*"):
                leftover.unlink()
            yield

    def read(self, name: str) -> str | None:
        path = self.directory / name
        try:
            status = path.lstat()
            value = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as exc:
            raise StoreError(f"{path} cannot be read: {exc}") from exc
        if status.st_mode & 0o077:
            raise StoreError(
                f"{path} may be read by others than its owner (mode {status.st_mode & 0o777:04o}). "
                "See who could have read it, then set its mode to 0600."
            )
        if not value:
            raise StoreError(f"{path} is empty. Restore it from a backup.")
        return value

    def _write(self, name: str, value: str, exclusive: bool) -> None:
        temporary = self.directory / f".new-{name}-{secrets.token_hex(8)}"
        target = self.directory / name
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(value)
                stream.flush()
                os.fsync(stream.fileno())
            if exclusive:
                target.hardlink_to(temporary)
                temporary.unlink()
            else:
                temporary.replace(target)
        except FileExistsError:
            raise StoreError(f"{target} was made by somebody else meanwhile, past the lock.") from None
        finally:
            temporary.unlink(missing_ok=True)
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def record(self, names: set[str]) -> None:
        if names != self.made():
            self._write(RECORD, "".join(f"{name}\n" for name in sorted(names)) or "\n", exclusive=False)

    def create(self, name: str, value: str) -> None:
        self._write(name, value, exclusive=True)
        # Last, so that a run which is killed in between leaves a secret that is found, not one that seems lost.
        self.record(self.made() | {name})

    def replace(self, name: str, value: str) -> None:
        self._write(name, value, exclusive=False)
        self.record(self.made() | {name})

    def remove(self, name: str) -> None:
        self.record(self.made() - {name})
        (self.directory / name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        if not self.directory.is_dir():
            return []
        return sorted(path.name for path in self.directory.iterdir() if NAME.fullmatch(path.name))

    def made(self) -> set[str]:
        try:
            return set((self.directory / RECORD).read_text(encoding="utf-8").split())
        except FileNotFoundError:
            return set()


class PassStore:
    """The standard unix password manager, https://www.passwordstore.org: one entry a secret under PREFIX/SITE."""

    away = ""
    doubtful = False
    closed = ""

    def __init__(self, prefix: str, site: str) -> None:
        self.folder = f"{prefix.strip('/')}/{site}"
        self.where = f"pass {self.folder}"
        self.root = Path(os.environ.get("PASSWORD_STORE_DIR") or Path.home() / ".password-store")

    def _pass(self, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(  # pylint: disable=ansible-bad-function # with a time limit
                ["pass", *words], input=text or "", capture_output=True, text=True, timeout=PASS_SECONDS, check=False
            )
        except FileNotFoundError:
            raise StoreError("The program pass is not installed on this host.") from None
        except subprocess.TimeoutExpired:
            raise StoreError(
                f"pass {words[0]} has not ended within {PASS_SECONDS} s. Does its gpg-agent ask for "
                "a passphrase that nobody can enter?"
            ) from None

    def lock(self) -> contextlib.AbstractContextManager[None]:
        if not (self.root / ".gpg-id").is_file():
            raise StoreError(f"There is no password store in {self.root}. Make one with: pass init GPG-ID")
        return locked(self.root / ".bcm.lock")

    def _exists(self, name: str) -> bool:
        return (self.root / self.folder / f"{name}.gpg").is_file()

    def read(self, name: str) -> str | None:
        if not self._exists(name):
            return None
        done = self._pass("show", f"{self.folder}/{name}")
        if done.returncode != 0:
            raise StoreError(f"pass cannot show {self.folder}/{name}: {done.stderr.strip()}")
        value = done.stdout.removesuffix("\n")
        if not value:
            raise StoreError(f"The entry {self.folder}/{name} of pass is empty. Restore it from a backup.")
        return value

    def _insert(self, name: str, value: str) -> None:
        done = self._pass("insert", "--multiline", "--force", f"{self.folder}/{name}", text=value + "\n")
        if done.returncode != 0:
            raise StoreError(f"pass cannot insert {self.folder}/{name}: {done.stderr.strip()}")

    def record(self, names: set[str]) -> None:
        if names != self.made():
            self._insert(RECORD, "\n".join(sorted(names)) or "-")

    def create(self, name: str, value: str) -> None:
        if self._exists(name):
            raise StoreError(f"{self.folder}/{name} was made by somebody else meanwhile, past the lock.")
        self.replace(name, value)

    def replace(self, name: str, value: str) -> None:
        self._insert(name, value)
        self.record(self.made() | {name})

    def remove(self, name: str) -> None:
        self.record(self.made() - {name})
        if self._exists(name):
            done = self._pass("rm", "--force", f"{self.folder}/{name}")
            if done.returncode != 0:
                raise StoreError(f"pass cannot remove {self.folder}/{name}: {done.stderr.strip()}")

    def names(self) -> list[str]:
        found = (self.root / self.folder).glob("*.gpg")
        return sorted(path.stem for path in found if NAME.fullmatch(path.stem))

    def made(self) -> set[str]:
        return set((self.read(RECORD) or "").split()) - {"-"}


def generate(kind: str, length: int | None) -> str:
    """A new secret. The length counts random bytes, of a password its characters."""
    size = length or DEFAULT_LENGTH
    if kind == "hex":
        return secrets.token_hex(size)
    if kind == "base64":
        return base64.b64encode(secrets.token_bytes(size)).decode()
    if kind == "password":
        return "".join(secrets.choice(string.ascii_letters + string.digits) for _i in range(size))
    if kind == "rpcauth":
        return secrets.token_hex(16)
    raise StoreError(f"A secret of kind {kind} cannot be made: its value has to be given.")


def rpcauth_line(user: str, password: str, salt: str) -> str:
    """What bitcoind's rpcauth option takes, as share/rpcauth/rpcauth.py of Bitcoin Core computes it."""
    digest = hmac.new(salt.encode(), password.encode(), hashlib.sha256).hexdigest()
    return f"{user}:{salt}${digest}"
