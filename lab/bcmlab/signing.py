# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signers of the lab: keys that nobody else has, which sign what the download server offers."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .config import LabError
from .proc import run, write_atomic

GOOD = ("lab-signer-1", "lab-signer-2", "lab-signer-3")
# Signed a release in its time; the key has expired since then.
EXPIRED = "lab-signer-expired"
REVOKED = "lab-signer-revoked"
# Signs everything, and nobody trusts it.
STRANGER = "lab-stranger"

BIRTH_OF_THE_EXPIRED = "20240101T000000"
WHEN_IT_SIGNED = "20240601T000000"


@dataclass(frozen=True)
class Signers:
    """A GnuPG home with all the keys."""

    folder: Path

    @property
    def home(self) -> Path:
        """The secret keys."""
        return self.folder / "gnupg"

    @property
    def index(self) -> Path:
        """Names and fingerprints; written last, so it is there only if all else is."""
        return self.folder / "signers.json"

    def ensure(self) -> str:
        """Make the keys unless they are there."""
        if self.index.exists():
            return ""
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        with self._agent():
            known = self._fingerprints()
            for name in (*GOOD, REVOKED, STRANGER):
                if name not in known:
                    self._gpg("--quick-generate-key", _user(name), "ed25519", "sign", "never")
            if EXPIRED not in known:
                when = f"--faked-system-time={BIRTH_OF_THE_EXPIRED}"
                self._gpg(when, "--quick-generate-key", _user(EXPIRED), "ed25519", "sign", "1y")
            known = self._fingerprints()
            for name, fingerprint in known.items():
                write_atomic(self.public_key(name), self._gpg("--armor", "--export", fingerprint))
            write_atomic(self.public_key(REVOKED), self._revoked(known[REVOKED]))
        index = {name: {"fingerprint": known[name], "key": str(self.public_key(name))} for name in sorted(known)}
        write_atomic(self.index, json.dumps(index, indent=2) + "\n")
        return f"made {len(known)} keys"

    def public_key(self, name: str) -> Path:
        """The armoured public key of a signer."""
        return self.folder / f"{name}.asc"

    def described(self, names: Sequence[str] = GOOD) -> list[dict[str, Any]]:
        """Signers as a declaration names them."""
        index = json.loads(self.index.read_text())
        return [{"name": name, **index[name], "source": "made by this machine's lab"} for name in names]

    def sign(self, content: bytes, names: Sequence[str]) -> str:
        """Detached signatures, one block after the other, as the makers publish them."""
        index = json.loads(self.index.read_text())
        blocks = []
        with self._agent():
            for name in names:
                when = [f"--faked-system-time={WHEN_IT_SIGNED}"] if name == EXPIRED else []
                key = f"--local-user={index[name]['fingerprint']}"
                blocks.append(self._gpg(*when, key, "--armor", "--detach-sign", stdin=content))
        return "".join(blocks)

    def sign_into(self, content: bytes, name: str, target: Path) -> None:
        """One signature in a file of its own, as GnuPG writes it unless told otherwise: not as text."""
        index = json.loads(self.index.read_text())
        when = [f"--faked-system-time={WHEN_IT_SIGNED}"] if name == EXPIRED else []
        key = f"--local-user={index[name]['fingerprint']}"
        with self._agent():
            self._gpg(*when, key, "--output", str(target), "--detach-sign", stdin=content)

    def _revoked(self, fingerprint: str) -> str:
        """The public key with its revocation. The key in our own home stays as it is, so that it can still sign."""
        certificate = (self.home / "openpgp-revocs.d" / f"{fingerprint}.rev").read_text()
        # GnuPG puts a colon there, against using it by accident.
        certificate = certificate.replace(":-----BEGIN PGP", "-----BEGIN PGP")
        block = re.search(r"-----BEGIN PGP.*?-----END PGP[^\n]*\n", certificate, re.DOTALL)
        if block is None:
            raise LabError(f"GnuPG has made no revocation certificate for {fingerprint}.")
        other = Signers(self.folder / "revoking")
        other.home.mkdir(parents=True, exist_ok=True)
        other.home.chmod(0o700)
        with other._agent():
            other._gpg("--import", str(self.public_key(REVOKED)))
            other._gpg("--import", stdin=block.group(0).encode())
            return other._gpg("--armor", "--export", fingerprint)

    def _fingerprints(self) -> dict[str, str]:
        listing = self._gpg("--with-colons", "--list-keys")
        found: dict[str, str] = {}
        fingerprint = ""
        for line in listing.splitlines():
            fields = line.split(":")
            if fields[0] == "fpr":
                fingerprint = fields[9]
            elif fields[0] == "uid":
                found[fields[9].split(" ")[0]] = fingerprint
        return found

    def _gpg(self, *argv: str, stdin: bytes | None = None) -> str:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--yes", "--quiet", "--passphrase", ""]
        return run([*command, "--pinentry-mode", "loopback", *argv], stdin=stdin, timeout=60).stdout

    @contextlib.contextmanager
    def _agent(self) -> Iterator[None]:
        """GnuPG starts an agent of its own accord; it shall not stay behind."""
        try:
            yield
        finally:
            run(["gpgconf", "--homedir", str(self.home), "--kill", "gpg-agent"], check=False)


def _user(name: str) -> str:
    return f"{name} <{name}@lab.invalid>"
