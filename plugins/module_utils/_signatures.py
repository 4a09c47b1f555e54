# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Release manifests and the OpenPGP signatures on them: who signed, whose counts, and why another's does not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field

# RFC 9580, hash algorithm ids. MD5, SHA-1 and RIPEMD-160 (1, 2, 3) can be forged or are near to it.
STRONG_HASHES = {"8", "9", "10", "11", "12", "14"}
# A signature over a document, binary or text; any other class (a certification, a timestamp) signs something else.
DOCUMENT_CLASSES = {"00", "01"}

_VERDICTS = {
    "GOODSIG": "good",
    "BADSIG": "bad",
    "EXPSIG": "signature_expired",
    "EXPKEYSIG": "key_expired",
    "REVKEYSIG": "key_revoked",
    "ERRSIG": "unverifiable",
}

EXPLANATIONS = {
    "good": "good signature",
    "bad": "the signature does not match the signed file",
    "signature_expired": "the signature has expired",
    "key_expired": "the signing key has expired",
    "key_revoked": "the signing key was revoked",
    "unverifiable": "the signature cannot be checked",
    "unknown": "signed by a key that is not among the named signers",
    "weak_hash": "the signature uses a hash algorithm that is no longer safe",
    "wrong_class": "the signature is not one over a file",
    "no_signature": "no signature by this signer",
    "no_key": "the signer's public key is not to be had",
    "wrong_key": "the key material does not contain the named fingerprint",
}

_ARMOR = re.compile(rb"-----BEGIN PGP SIGNATURE-----.*?-----END PGP SIGNATURE-----", re.DOTALL)
_GNU_LINE = re.compile(r"^\\?(?P<hash>[0-9A-Fa-f]{64}|[0-9A-Fa-f]{96}|[0-9A-Fa-f]{128}) [ *](?P<name>.+)$")
_BSD_LINE = re.compile(r"^SHA(?:256|384|512) \((?P<name>.+)\) = (?P<hash>[0-9A-Fa-f]{64,128})$")
_ALGORITHMS = {64: "sha256", 96: "sha384", 128: "sha512"}


class SignatureError(Exception):
    """Something is refused. `reason` is one word for programs, the text is for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def normalize_fingerprint(text: str) -> str:
    """A whole fingerprint without blanks, upper case. Short key ids can be made to order, so they are refused."""
    fingerprint = re.sub(r"\s", "", text).upper()
    if fingerprint.startswith("0X"):
        fingerprint = fingerprint[2:]
    if not re.match(r"^(?:[0-9A-F]{40}|[0-9A-F]{64})$", fingerprint):
        raise SignatureError("bad_fingerprint", f"'{text}' is not a whole fingerprint (40 or 64 hex digits)")
    return fingerprint


def parse_manifest(text: str) -> dict[str, str]:
    """File name → digest, of a `sha256sum` manifest (blank or `*` before the name) or a BSD one."""
    entries: dict[str, str] = {}
    for line in text.splitlines():
        match = _GNU_LINE.match(line.rstrip()) or _BSD_LINE.match(line.strip())
        if not match:
            continue
        name = match.group("name")
        if name.startswith("./"):
            name = name[2:]
        digest = match.group("hash").lower()
        if entries.setdefault(name, digest) != digest:
            raise SignatureError("ambiguous_manifest", f"the manifest names '{name}' twice, with different digests")
    return entries


def manifest_digest(text: str, name: str) -> tuple[str, str]:
    """(algorithm, digest) of one file, or a refusal that says what the manifest holds instead."""
    entries = parse_manifest(text)
    if not entries:
        raise SignatureError("not_in_manifest", "the manifest holds no line with a digest and a file name")
    if name not in entries:
        near = sorted(entries)[:8]
        held = f"which names {len(entries)} files: {', '.join(near)}…"
        raise SignatureError("not_in_manifest", f"'{name}' is not in the manifest, {held}")
    return _ALGORITHMS[len(entries[name])], entries[name]


def split_signatures(data: bytes) -> list[bytes]:
    """Armoured blocks one by one, so that a broken one does not hide the next; binary signatures stay together."""
    blocks = _ARMOR.findall(data)
    return blocks or ([data] if data.strip() else [])


@dataclass
class Signature:
    """One signature as gpg saw it. `primary` is the fingerprint of the key that the signer is known by."""

    verdict: str
    key_id: str = ""
    key: str = ""
    primary: str = ""
    created: int = 0
    hash_algorithm: str = ""
    signature_class: str = ""


def parse_status(lines: list[str]) -> list[Signature]:
    """What `gpg --status-fd` reported, one entry a signature (gpg's doc/DETAILS)."""
    found: list[Signature] = []
    for line in lines:
        if not line.startswith("[GNUPG:] "):
            continue
        word, _blank, rest = line[len("[GNUPG:] ") :].partition(" ")
        args = rest.split()
        if word == "NEWSIG":
            found.append(Signature("unverifiable"))
        elif word in _VERDICTS and args:
            # Old releases of gpg announce no NEWSIG; a second verdict without one is a second signature.
            if not found or found[-1].key_id:
                found.append(Signature("unverifiable"))
            found[-1].verdict = _VERDICTS[word]
            found[-1].key_id = args[0]
            if word == "ERRSIG" and len(args) > 6 and args[6] != "-":
                found[-1].key = args[6]
        elif word == "NO_PUBKEY" and found:
            found[-1].verdict = "unknown"
        elif word == "VALIDSIG" and len(args) >= 9 and found:
            found[-1].key = args[0]
            found[-1].created = int(args[2]) if args[2].isdigit() else 0
            found[-1].hash_algorithm = args[7]
            found[-1].signature_class = args[8]
            found[-1].primary = args[9] if len(args) > 9 else args[0]
    return [signature for signature in found if signature.key_id]


@dataclass
class Signer:
    """Whom we trust for a release. `key` is armoured or binary key material, None if it could not be had."""

    name: str
    fingerprint: str
    key: bytes | None = None
    problem: str = ""


@dataclass
class Judgement:
    """Who counts, and of everybody else the reason."""

    required: int
    named: int
    good: list[dict[str, str]] = field(default_factory=list)
    rejected: list[dict[str, str]] = field(default_factory=list)
    ignored: int = 0

    @property
    def accepted(self) -> bool:
        return len(self.good) >= self.required

    def sentence(self) -> str:
        text = f"{len(self.good)} good signatures of {self.required} required (named signers: {self.named})"
        if self.good:
            text += "; good: " + ", ".join(entry["name"] for entry in self.good)
        if self.rejected:
            reasons = (f"{entry['name']} ({entry['explanation']})" for entry in self.rejected)
            text += "; not counted: " + ", ".join(reasons)
        if self.ignored:
            text += f"; ignored: {self.ignored} by keys that are not among the named signers"
        return text


def judge(signatures: list[Signature], signers: list[Signer], required: int) -> Judgement:
    """Count each named signer once, by the fingerprint of the primary key."""
    by_fingerprint = {signer.fingerprint: signer for signer in signers}
    judgement = Judgement(required=required, named=len(by_fingerprint))
    best: dict[str, Signature] = {}
    reasons: dict[str, str] = {}
    for signature in signatures:
        signer = by_fingerprint.get(signature.primary)
        if signer is None:
            # Without VALIDSIG there is no primary: a bad signature names a long key id only.
            signer = next((s for s in signers if signature.key_id and s.fingerprint.endswith(signature.key_id)), None)
        if signer is None:
            judgement.ignored += 1
            continue
        reason = signature.verdict
        if reason == "good" and signature.primary != signer.fingerprint:
            reason = "unverifiable"
        if reason == "good" and signature.hash_algorithm not in STRONG_HASHES:
            reason = "weak_hash"
        if reason == "good" and signature.signature_class not in DOCUMENT_CLASSES:
            reason = "wrong_class"
        if reason == "good":
            best.setdefault(signer.fingerprint, signature)
        else:
            reasons.setdefault(signer.fingerprint, reason)
    for fingerprint, signer in by_fingerprint.items():
        entry = {"name": signer.name, "fingerprint": fingerprint}
        if fingerprint in best:
            judgement.good.append({**entry, "key": best[fingerprint].key, "reason": "good"})
        else:
            reason = reasons.get(fingerprint) or signer.problem or "no_signature"
            judgement.rejected.append({**entry, "reason": reason, "explanation": EXPLANATIONS[reason]})
    return judgement


class Keyring:
    """A gpg home of its own, made of the named keys and thrown away: the user's keys and trust play no part."""

    def __init__(self, gpg: str = "gpg", timeout: int = 60) -> None:
        self.gpg = gpg
        self.timeout = timeout
        self.home = tempfile.mkdtemp(prefix="bcm-gpg-")

    def __enter__(self) -> Keyring:
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self.home, ignore_errors=True)

    def _run(self, args: list[str], data: bytes | None = None) -> list[str]:
        argv = [self.gpg, "--homedir", self.home, "--no-options", "--batch", "--no-tty", "--no-autostart"]
        argv += ["--disable-dirmngr", "--no-auto-key-retrieve", "--no-auto-check-trustdb", "--trust-model", "always"]
        argv += ["--status-fd", "1", *args]
        env = {"PATH": os.environ.get("PATH", os.defpath), "GNUPGHOME": self.home, "LC_ALL": "C"}
        try:
            done = subprocess.run(  # pylint: disable=ansible-bad-function # with a time limit
                argv, input=data, capture_output=True, env=env, timeout=self.timeout, check=False
            )
        except FileNotFoundError as exc:
            message = f"'{self.gpg}' is not installed: signatures cannot be checked (package gnupg)"
            raise SignatureError("no_gpg", message) from exc
        except subprocess.TimeoutExpired as exc:
            raise SignatureError("gpg_timeout", f"gpg did not finish within {self.timeout} s") from exc
        return done.stdout.decode("utf-8", "replace").splitlines()

    def add(self, signer: Signer) -> None:
        """Import the signer's key if the material really holds it; otherwise note why not."""
        if signer.key is None:
            signer.problem = signer.problem or "no_key"
            return
        imported = set()
        for line in self._run(["--import-options", "import-clean", "--import"], signer.key):
            parts = line.split()
            if parts[:2] == ["[GNUPG:]", "IMPORT_OK"] and len(parts) > 3:
                imported.add(parts[3].upper())
        if signer.fingerprint not in imported:
            signer.problem = "wrong_key"

    def verify(self, signed: str, signature: bytes) -> list[Signature]:
        """All signatures in one detached signature file over the file `signed`."""
        descriptor, path = tempfile.mkstemp(dir=self.home, suffix=".sig")
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(signature)
        return parse_status(self._run(["--verify", path, signed]))


def check_signatures(
    signed: str, signature_files: list[bytes], signers: list[Signer], required: int, gpg: str = "gpg"
) -> Judgement:
    """Judge detached signatures over a file; SignatureError if fewer than `required` named signers count."""
    if required < 1:
        raise SignatureError("bad_policy", "at least one good signature must be required")
    if len({signer.fingerprint for signer in signers}) != len(signers):
        raise SignatureError("bad_policy", "a fingerprint is named twice among the signers")
    if len(signers) < required:
        message = f"{required} good signatures are required but only {len(signers)} signers are named"
        raise SignatureError("bad_policy", message)
    with Keyring(gpg) as keyring:
        for signer in signers:
            keyring.add(signer)
        blocks = [block for data in signature_files for block in split_signatures(data)]
        signatures = [signature for block in blocks for signature in keyring.verify(signed, block)]
    judgement = judge(signatures, signers, required)
    if not judgement.accepted:
        raise SignatureError("too_few_signatures", judgement.sentence())
    return judgement
