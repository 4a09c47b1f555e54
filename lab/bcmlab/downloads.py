# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The download server's releases: the one that is well, and those that a site must refuse."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cache import content_key, file_sha256
from .image import link_or_copy
from .proc import write_atomic
from .signing import EXPIRED, GOOD, REVOKED, STRANGER, Signers


@dataclass(frozen=True)
class Release:
    """How a release differs from a good one."""

    version: str
    about: str
    signed_by: Sequence[str]
    # What is signed and listed is another digest than that of the file.
    wrong_digest: bool = False
    # What is signed is another manifest than the one that is offered.
    other_manifest: bool = False


def releases(version: str) -> list[Release]:
    """All releases, the good one first. Versions of the others begin with the same number."""
    number = ".".join(re.findall(r"\d+", version)[:2])
    return [
        Release(version, "well signed, by a stranger too", (STRANGER, *GOOD)),
        Release(f"{number}.bad-hash", "the file is not the one that was signed", GOOD, wrong_digest=True),
        Release(f"{number}.few-good", "one signature that counts, and a stranger's", (GOOD[0], STRANGER)),
        Release(f"{number}.expired-key", "one signature that counts, one of a key that expired", (GOOD[0], EXPIRED)),
        Release(f"{number}.revoked-key", "one signature that counts, one of a revoked key", (GOOD[0], REVOKED)),
        Release(f"{number}.unknown-signer", "signed by a stranger alone", (STRANGER,)),
        Release(f"{number}.bad-signature", "the signatures are over another manifest", GOOD, other_manifest=True),
    ]


def offer(built: Path, www: Path, signers: Signers) -> tuple[dict[str, Any], str]:
    """Put all releases on the server. Gives what a site has to know, and what was done."""
    version = (built / "version").read_text().strip()
    (tarball,) = built.glob("*.tar.gz")
    digest = file_sha256(tarball)
    plan = releases(version)
    known = {"version": version, "sha256": digest, "file": tarball.name, "signers": signers.described()}
    stamp = content_key("releases 1", [repr(release) for release in plan], known)
    marker = www / "bitcoin" / ".stamp"
    if marker.exists() and marker.read_text() == stamp:
        return known, ""
    for release in plan:
        _write(release, version, tarball, digest, www / "bitcoin", signers)
    index = [
        {"version": release.version, "about": release.about, "good": index == 0} for index, release in enumerate(plan)
    ]
    write_atomic(signers.folder / "releases.json", json.dumps(index, indent=2) + "\n")
    write_atomic(marker, stamp)
    return known, f"offers {version} and {len(plan) - 1} that must be refused"


def manifest_of(name: str, digest: str) -> bytes:
    """SHA256SUMS as sha256sum writes it."""
    return f"{digest}  {name}\n".encode()


def _write(release: Release, version: str, tarball: Path, digest: str, root: Path, signers: Signers) -> None:
    name = tarball.name.replace(version, release.version)
    shown = digest[::-1] if release.wrong_digest else digest
    manifest = manifest_of(name, shown)
    signed = manifest_of(name, digest[::-1]) if release.other_manifest else manifest
    fresh = root / f".{release.version}.new.{os.getpid()}"
    fresh.mkdir(parents=True)
    link_or_copy(tarball, fresh / name)
    (fresh / "SHA256SUMS").write_bytes(manifest)
    (fresh / "SHA256SUMS.asc").write_text(signers.sign(signed, release.signed_by))
    target = root / release.version
    if target.exists():
        shutil.rmtree(target)
    fresh.rename(target)
    # Knots' own server sorts its releases into 29.x/VERSION, and so can this one be read.
    branch = root / f"{release.version.split('.')[0]}.x"
    branch.mkdir(exist_ok=True)
    link = branch / release.version
    if not link.is_symlink():
        link.symlink_to(f"../{release.version}")


def offer_kafka(built: Path, www: Path, signers: Signers) -> tuple[dict[str, Any], str]:
    """Put Kafka on the server as its makers do: each release signed by one of them, over the file itself.

    Gives what a site has to know, and what was done. Beside the good one is a release whose signature is over another file.
    """
    version = (built / "version").read_text().strip()
    (tarball,) = built.glob("*.tgz")
    named = GOOD[:1]
    known = {"version": version, "sha256": file_sha256(tarball), "signers": signers.described(named)}
    root = www / "kafka"
    stamp = content_key("kafka 1", known)
    marker = root / ".stamp"
    if marker.exists() and marker.read_text() == stamp:
        return known, ""
    for release, signed in ((version, tarball.read_bytes()), (f"{version}-bad-signature", b"another file")):
        fresh = root / f".{release}.new.{os.getpid()}"
        fresh.mkdir(parents=True)
        name = tarball.name.replace(version, release)
        link_or_copy(tarball, fresh / name)
        (fresh / f"{name}.asc").write_text(signers.sign(signed, named))
        if (root / release).exists():
            shutil.rmtree(root / release)
        fresh.rename(root / release)
    write_atomic(marker, stamp)
    return known, f"offers {version} and 1 that must be refused"


# Their makers' server has one folder for each version. Those that must be refused are of the same version, on a server that is not to
# be trusted: what refuses them is what stands in them, not what they are called.
LND_REFUSED = "lnd-refused"


def offer_lnd(built: Path, www: Path, signers: Signers) -> tuple[dict[str, Any], str]:
    """Put lnd on the server as its makers do: a manifest of all files, and of each signer one signature over it in a file of its own.

    Gives what a site has to know, and what was done.
    """
    version = (built / "version").read_text().strip()
    (tarball,) = built.glob("*.tar.gz")
    plan = releases(version)
    known = {"version": version, "sha256": file_sha256(tarball), "file": tarball.name, "signers": signers.described()}
    stamp = content_key("lnd 1", [repr(release) for release in plan], known)
    marker = www / "lnd" / ".stamp"
    if marker.exists() and marker.read_text() == stamp:
        return known, ""
    for release in plan:
        good = release is plan[0]
        root = www / "lnd" if good else www / LND_REFUSED / release.version.rpartition(".")[2]
        _write_lnd(release, version, tarball, (built / "binaries").read_text(), root, signers)
    write_atomic(marker, stamp)
    return known, f"offers {version} and {len(plan) - 1} that must be refused"


def _write_lnd(release: Release, version: str, tarball: Path, binaries: str, root: Path, signers: Signers) -> None:
    digest = file_sha256(tarball)

    def manifest(shown: str) -> bytes:
        return (binaries + manifest_of(tarball.name, shown).decode()).encode()

    offered = manifest(digest[::-1] if release.wrong_digest else digest)
    signed = manifest(digest[::-1]) if release.other_manifest else offered
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    fresh = root / f".v{version}.new.{os.getpid()}"
    fresh.mkdir()
    link_or_copy(tarball, fresh / tarball.name)
    (fresh / f"manifest-v{version}.txt").write_bytes(offered)
    for name in release.signed_by:
        signers.sign_into(signed, name, fresh / f"manifest-{name}-v{version}.sig")
    target = root / f"v{version}"
    if target.exists():
        shutil.rmtree(target)
    fresh.rename(target)
