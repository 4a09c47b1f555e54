# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures are checked with real keys, made for the test by gpg itself."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _signatures as sut

PAST = "20200101T000000"
TARBALL = b"the release"
DIGEST = hashlib.sha256(TARBALL).hexdigest()
NAME = "bitcoin-29.0-x86_64-linux-gnu.tar.gz"


class Maker:
    """Somebody who publishes signed releases: a gpg home of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def gpg(self, *args: str, data: bytes | None = None) -> bytes:
        argv = ["gpg", "--homedir", str(self.home), "--batch", "--no-tty", "--pinentry-mode", "loopback"]
        argv += ["--passphrase", "", "--no-options", "--quiet", *args]
        return subprocess.run(argv, input=data, capture_output=True, check=True).stdout

    def _made(self) -> str:
        lines = self.gpg("--with-colons", "--list-keys").decode().splitlines()
        return [line.split(":")[9] for line in lines if line.startswith("fpr")][-1]

    def key(self, name: str, *args: str, expire: str = "0") -> str:
        uid = f"{name} <{name}@example.invalid>"
        before = set(self.primaries())
        self.gpg(*args, "--quick-generate-key", uid, "ed25519", "sign,cert", expire)
        return (set(self.primaries()) - before).pop()

    def primaries(self) -> list[str]:
        found, primary = [], False
        for line in self.gpg("--with-colons", "--list-keys").decode().splitlines():
            if line.startswith("pub"):
                primary = True
            elif line.startswith("fpr") and primary:
                found.append(line.split(":")[9])
                primary = False
        return found

    def subkey(self, fingerprint: str, expire: str = "0") -> str:
        self.gpg("--quick-add-key", fingerprint, "ed25519", "sign", expire)
        lines = self.gpg("--with-colons", "--list-keys", fingerprint).decode().splitlines()
        return [line.split(":")[9] for line in lines if line.startswith("fpr")][-1]

    def revoke(self, fingerprint: str) -> None:
        # gpg writes a revocation certificate beside each new key, disarmed by a colon.
        stored = (self.home / "openpgp-revocs.d" / f"{fingerprint}.rev").read_text()
        self.gpg("--import", data=stored.replace(":-----BEGIN", "-----BEGIN").encode())

    def public(self, *fingerprints: str) -> bytes:
        return self.gpg("--armor", "--export", *fingerprints)

    def sign(self, path: Path, key: str, *args: str) -> bytes:
        return self.gpg(*args, "--local-user", key + "!", "--armor", "--detach-sign", "--output", "-", str(path))


@dataclass
class Release:
    """The cast: everybody's keys, and a manifest to sign."""

    maker: Maker
    keys: dict[str, str]
    public: dict[str, bytes]
    manifest: Path

    def signer(self, who: str) -> sut.Signer:
        return sut.Signer(who, self.keys[who], self.public[who])


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory):
    # The socket of gpg's agent must fit into 108 characters, which pytest's own folders do not promise.
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:
        maker = Maker(Path(home))
        keys = {name: maker.key(name) for name in ("alice", "bob", "carol", "stranger", "revoked")}
        keys["expired"] = maker.key("expired", "--faked-system-time", PAST, expire="30d")
        maker.signing_subkey = maker.subkey(keys["carol"])
        manifest = tmp_path_factory.mktemp("release") / "SHA256SUMS"
        manifest.write_text(f"{DIGEST}  {NAME}\n{'0' * 64}  other.tar.gz\n")
        maker.by_revoked = maker.sign(manifest, keys["revoked"])
        maker.by_expired = maker.sign(manifest, keys["expired"], "--faked-system-time", "20200102T000000")
        maker.revoke(keys["revoked"])
        yield Release(maker, keys, {name: maker.public(key) for name, key in keys.items()}, manifest)
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)


def refused(release: Release, signatures: list[bytes], signers: list[str], required: int) -> sut.SignatureError:
    with pytest.raises(sut.SignatureError) as caught:
        sut.check_signatures(str(release.manifest), signatures, [release.signer(who) for who in signers], required)
    return caught.value


def accepted(release: Release, signatures: list[bytes], signers: list[str], required: int) -> sut.Judgement:
    return sut.check_signatures(str(release.manifest), signatures, [release.signer(who) for who in signers], required)


def test_two_of_three_in_one_concatenated_file(release):
    together = b"".join(release.maker.sign(release.manifest, release.keys[who]) for who in ("alice", "bob"))
    judgement = accepted(release, [together], ["alice", "bob", "carol"], 2)
    assert [entry["name"] for entry in judgement.good] == ["alice", "bob"]
    assert [(entry["name"], entry["reason"]) for entry in judgement.rejected] == [("carol", "no_signature")]


def test_a_binary_signature_file_for_each_signer(release):
    each = [
        release.maker.gpg("--no-armor", "--dearmor", data=release.maker.sign(release.manifest, release.keys[who]))
        for who in ("alice", "bob")
    ]
    assert accepted(release, each, ["alice", "bob"], 2).accepted
    assert accepted(release, [b"".join(each)], ["alice", "bob"], 2).accepted


def test_a_subkey_counts_for_its_primary(release):
    signature = release.maker.sign(release.manifest, release.maker.signing_subkey)
    judgement = accepted(release, [signature], ["carol"], 1)
    assert judgement.good[0]["fingerprint"] == release.keys["carol"]
    assert judgement.good[0]["key"] == release.maker.signing_subkey


def test_the_same_signer_twice_counts_once(release):
    twice = [release.maker.sign(release.manifest, release.keys["alice"]) for _again in range(2)]
    carol = [release.maker.sign(release.manifest, key) for key in (release.keys["carol"], release.maker.signing_subkey)]
    assert refused(release, twice, ["alice", "bob"], 2).reason == "too_few_signatures"
    assert refused(release, carol, ["carol", "bob"], 2).reason == "too_few_signatures"


def test_an_unknown_signer_is_ignored(release):
    signatures = [release.maker.sign(release.manifest, release.keys[who]) for who in ("stranger", "alice")]
    judgement = accepted(release, signatures, ["alice", "bob"], 1)
    assert judgement.ignored == 1
    assert "ignored: 1" in judgement.sentence()
    assert refused(release, signatures[:1], ["alice", "bob"], 1).reason == "too_few_signatures"


@pytest.mark.parametrize(
    ("who", "reason"), [("expired", "the signing key has expired"), ("revoked", "the signing key was revoked")]
)
def test_expired_and_revoked_keys_do_not_count(release, who, reason):
    signature = getattr(release.maker, f"by_{who}")
    alice = release.maker.sign(release.manifest, release.keys["alice"])
    error = refused(release, [signature, alice], [who, "alice"], 2)
    assert f"{who} ({reason})" in str(error)
    assert accepted(release, [signature, alice], [who, "alice"], 1).rejected[0]["name"] == who


def test_a_signature_over_something_else(release, tmp_path):
    other = tmp_path / "other"
    other.write_text("other")
    error = refused(release, [release.maker.sign(other, release.keys["alice"])], ["alice"], 1)
    assert "the signature does not match the signed file" in str(error)


def test_a_weak_hash_does_not_count(release):
    valid = sut.Signature("good", "00", "A" * 40, "A" * 40, hash_algorithm="2", signature_class="00")
    judgement = sut.judge([valid], [sut.Signer("alice", "A" * 40)], 1)
    assert judgement.rejected[0]["reason"] == "weak_hash"


def test_an_expired_signature_does_not_count(release):
    faked = ("--faked-system-time", "20200102T000000", "--default-sig-expire", "10d")
    old = release.maker.key("old", "--faked-system-time", PAST)
    release.keys["old"], release.public["old"] = old, release.maker.public(old)
    error = refused(release, [release.maker.sign(release.manifest, old, *faked)], ["old"], 1)
    assert "the signature has expired" in str(error)


def test_key_material_of_somebody_else(release):
    forged = sut.Signer("alice", release.keys["alice"], release.public["stranger"])
    signature = release.maker.sign(release.manifest, release.keys["stranger"])
    with pytest.raises(sut.SignatureError, match="does not contain the named fingerprint"):
        sut.check_signatures(str(release.manifest), [signature], [forged], 1)


def test_a_key_that_is_not_to_be_had_is_named(release):
    absent = sut.Signer("bob", release.keys["bob"])
    signature = release.maker.sign(release.manifest, release.keys["alice"])
    judgement = sut.check_signatures(str(release.manifest), [signature], [release.signer("alice"), absent], 1)
    assert judgement.rejected[0]["reason"] == "no_key"


def test_garbage_instead_of_a_signature(release):
    assert refused(release, [b"<html>404</html>", b""], ["alice"], 1).reason == "too_few_signatures"
    broken = b"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n"
    alice = release.maker.sign(release.manifest, release.keys["alice"])
    assert accepted(release, [broken + alice], ["alice"], 1).accepted


@pytest.mark.parametrize(("signers", "required"), [(["alice"], 2), (["alice"], 0), (["alice", "alice"], 1)])
def test_a_policy_that_cannot_be_meant(release, signers, required):
    assert refused(release, [], signers, required).reason == "bad_policy"


def test_no_gpg():
    with pytest.raises(sut.SignatureError, match="not installed") as caught:
        sut.check_signatures("/dev/null", [], [sut.Signer("alice", "A" * 40, b"x")], 1, gpg="/nonexistent/gpg")
    assert caught.value.reason == "no_gpg"


@pytest.mark.parametrize(
    "line",
    [
        f"{DIGEST}  {NAME}",
        f"{DIGEST} *{NAME}",
        f"{DIGEST.upper()}  ./{NAME}\r",
        f"SHA256 ({NAME}) = {DIGEST}",
    ],
)
def test_manifest_forms(line):
    text = f"-----BEGIN SOMETHING-----\n{line}\nnot a line of a manifest\n"
    assert sut.manifest_digest(text, NAME) == ("sha256", DIGEST)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not_in_manifest"),
        (f"{DIGEST}  {NAME}.asc\n", "not_in_manifest"),
        (f"{DIGEST}  {NAME}\n{'0' * 64}  {NAME}\n", "ambiguous_manifest"),
        (f"{DIGEST[:-1]}  {NAME}\n", "not_in_manifest"),
    ],
)
def test_manifest_refusals(text, reason):
    with pytest.raises(sut.SignatureError) as caught:
        sut.manifest_digest(text, NAME)
    assert caught.value.reason == reason


@pytest.mark.parametrize("text", ["AB12CD34", "E777 299F", "", "Z" * 40])
def test_short_key_ids_are_refused(text):
    with pytest.raises(sut.SignatureError, match="whole fingerprint"):
        sut.normalize_fingerprint(text)


def test_fingerprints_may_be_written_with_blanks():
    assert sut.normalize_fingerprint("0x" + "ab" * 20) == "AB" * 20
    assert sut.normalize_fingerprint(" ".join(["ABCD"] * 10)) == "ABCD" * 10
