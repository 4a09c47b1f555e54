# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/bootstrap uses nothing of a release that is not signed as it should be."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
VENV = """\
#!/usr/bin/env python3
import os, pathlib
program = pathlib.Path(os.environ["BCM_CACHE_DIR"]) / "venv/bin/ansible-playbook"
program.parent.mkdir(parents=True, exist_ok=True)
program.write_text('#!/bin/sh\\nprintf "%s\\\\n" "$@" >"$BCM_BOOTSTRAP_DIR/asked"\\necho "SECRET. address: x.onion" >"$BCM_BOOTSTRAP_DIR/bundle.txt"\\n')
program.chmod(0o755)
print(program.parent.parent)
"""


class Release:
    """A release with its signature, and a machine on which only what is tested is real."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.gnupg = directory / "gnupg"
        self.gnupg.mkdir(0o700)
        self.tarball = directory / "release.tar.gz"
        with tarfile.open(self.tarball, "w:gz") as archive:
            member = tarfile.TarInfo("scripts/venv")
            member.size = len(VENV)
            archive.addfile(member, io.BytesIO(VENV.encode()))
        self.bin = directory / "bin"
        self.bin.mkdir()
        for name, text in {
            "apt-get": "echo apt-get >&2; exit 1",
            "id": "echo 0",
            "qrencode": "echo QR",
            "curl": "exit 1",
            # As on a Debian 13 where only gpg is installed, and not what keeps secret keys for it.
            "gpg": f'exec {shutil.which("gpg")} --agent-program /nonexistent "$@"',
        }.items():
            (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
            (self.bin / name).chmod(0o755)
        # As if everything were installed.
        (self.bin / "python3").write_text(f'#!/bin/sh\n[ "$1" = -c ] || exec {sys.executable} "$@"\n')
        (self.bin / "python3").chmod(0o755)

    def gpg(self, *argv: str) -> str:
        whole = [
            "gpg",
            "--homedir",
            str(self.gnupg),
            "--batch",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
            *argv,
        ]
        return subprocess.run(whole, capture_output=True, text=True, check=True, timeout=60).stdout

    def key(self, name: str) -> str:
        self.gpg("--quick-gen-key", f"{name} <{name}@example.org>", "ed25519", "sign", "never")
        listed = self.gpg("--list-keys", "--with-colons", name).splitlines()
        return next(line.split(":")[9] for line in listed if line.startswith("fpr:"))

    def sign(self, name: str) -> None:
        self.gpg("--yes", "--armor", "--local-user", name, "--detach-sign", str(self.tarball))
        (self.directory / "release-key.asc").write_text(self.gpg("--armor", "--export"))

    def bootstrap(self, fingerprint: str, *argv: str) -> subprocess.CompletedProcess[str]:
        env = {
            **os.environ,
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "BCM_BOOTSTRAP_DIR": str(self.directory / "home"),
        }
        return subprocess.run(
            ["sh", str(CHECKOUT / "scripts/bootstrap"), fingerprint, str(self.tarball), *argv],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    @property
    def untouched(self) -> bool:
        return not (self.directory / "home").exists()


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Release]:
    made = Release(tmp_path)
    yield made
    subprocess.run(["gpgconf", "--homedir", str(made.gnupg), "--kill", "all"], check=True, timeout=60)


def test_a_release_that_is_signed_is_used(release: Release) -> None:
    fingerprint = release.key("maker")
    release.sign("maker")
    spaced = " ".join(fingerprint[at : at + 4] for at in range(0, 40, 4)).lower()
    done = release.bootstrap(spaced, "-e", "site=home")
    assert done.returncode == 0, done.stderr
    assert "SECRET. address: x.onion" in done.stdout
    assert "QR" in done.stdout
    asked = (release.directory / "home/asked").read_text().splitlines()
    assert asked[0].endswith("/ansible_collections/bcm/datacenter/playbooks/endpoint_bootstrap.yml")
    assert asked[-2:] == ["-e", "site=home"]
    assert (release.directory / "home/bundle.txt").stat().st_mode & 0o077 == 0


def test_another_signer_is_refused(release: Release) -> None:
    fingerprint = release.key("maker")
    release.key("stranger")
    release.sign("stranger")
    done = release.bootstrap(fingerprint)
    assert (done.returncode, release.untouched) == (1, True)
    assert f"is not signed by {fingerprint}" in done.stderr


def test_a_release_that_was_changed_is_refused(release: Release) -> None:
    fingerprint = release.key("maker")
    release.sign("maker")
    with release.tarball.open("ab") as file:
        file.write(b"more")
    done = release.bootstrap(fingerprint)
    assert (done.returncode, release.untouched) == (1, True)
    assert "Nothing of it was used" in done.stderr


def test_a_key_that_was_revoked_is_refused(release: Release) -> None:
    fingerprint = release.key("maker")
    release.sign("maker")
    certificate = (release.gnupg / f"openpgp-revocs.d/{fingerprint}.rev").read_text()
    (release.directory / "revoked").write_text(certificate.replace(":-----BEGIN", "-----BEGIN"))
    release.gpg("--import", str(release.directory / "revoked"))
    (release.directory / "release-key.asc").write_text(release.gpg("--armor", "--export"))
    done = release.bootstrap(fingerprint)
    assert (done.returncode, release.untouched) == (1, True)


@pytest.mark.parametrize("fingerprint", ["", "0123ABCD", "g" * 40])
def test_a_fingerprint_has_all_its_digits(release: Release, fingerprint: str) -> None:
    done = release.bootstrap(fingerprint)
    assert (done.returncode, release.untouched) == (1, True)
    assert "all 40 digits" in done.stderr
