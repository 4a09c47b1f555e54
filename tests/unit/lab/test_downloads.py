# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases in their makers' form, and the site variables that name them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from bcmlab.config import Config
from bcmlab.downloads import manifest_of, offer, offer_kafka, releases
from bcmlab.host import Mirrors
from bcmlab.signing import EXPIRED, GOOD, REVOKED, STRANGER, Signers
from bcmlab.sitevars import HEAD, as_yaml, facts

VERSION = "29.4.knots20260508"


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Signers:
    made = Signers(tmp_path_factory.mktemp("s"))
    assert made.ensure() == "made 6 keys"
    assert not made.ensure()
    return made


@pytest.fixture(scope="module")
def www(signers: Signers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("built")
    (built / "version").write_text(f"{VERSION}\n")
    (built / f"bitcoin-{VERSION}-x86_64-linux-gnu.tar.gz").write_bytes(b"programs")
    root = tmp_path_factory.mktemp("www")
    known, did = offer(built, root, signers)
    assert did.startswith(f"offers {VERSION} and 6 ")
    assert offer(built, root, signers) == (known, "")
    return root / "bitcoin"


def statuses(folder: Path, signers: Signers, tmp_path: Path) -> list[str]:
    """What GnuPG says of each signature, with every key of the lab known."""
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--no-autostart"]
    subprocess.run([*gpg, "--import", *signers.folder.glob("*.asc")], capture_output=True, check=True)
    verify = [*gpg, "--status-fd", "1", "--verify", folder / "SHA256SUMS.asc", folder / "SHA256SUMS"]
    output = subprocess.run(verify, capture_output=True, text=True, check=False).stdout
    words = {"GOODSIG", "BADSIG", "EXPKEYSIG", "REVKEYSIG", "ERRSIG"}
    return [f"{line.split()[1]} {line.split()[3]}" for line in output.splitlines() if line.split()[1] in words]


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        (VERSION, [f"GOODSIG {name}" for name in (STRANGER, *GOOD)]),
        ("29.4.bad-hash", [f"GOODSIG {name}" for name in GOOD]),
        ("29.4.few-good", [f"GOODSIG {GOOD[0]}", f"GOODSIG {STRANGER}"]),
        ("29.4.expired-key", [f"GOODSIG {GOOD[0]}", f"EXPKEYSIG {EXPIRED}"]),
        ("29.4.revoked-key", [f"GOODSIG {GOOD[0]}", f"REVKEYSIG {REVOKED}"]),
        ("29.4.unknown-signer", [f"GOODSIG {STRANGER}"]),
        # GnuPG stops at the first bad one.
        ("29.4.bad-signature", [f"BADSIG {GOOD[0]}"]),
    ],
)
def test_signatures(www: Path, signers: Signers, tmp_path: Path, version: str, wanted: list[str]) -> None:
    assert statuses(www / version, signers, tmp_path) == wanted


def test_only_the_one_with_the_bad_hash_fails_sha256sum(www: Path) -> None:
    for release in releases(VERSION):
        done = subprocess.run(
            ["sha256sum", "-c", "SHA256SUMS"], cwd=www / release.version, capture_output=True, check=False
        )
        assert (done.returncode == 0) is not release.wrong_digest, release.version


def test_knots_own_layout_leads_to_the_same_files(www: Path) -> None:
    assert (www / "29.x" / VERSION / "SHA256SUMS").read_text() == (www / VERSION / "SHA256SUMS").read_text()


def test_kafka_is_signed_over_the_file_itself_by_one(signers: Signers, tmp_path: Path) -> None:
    built, root = tmp_path / "built", tmp_path / "www"
    built.mkdir()
    (built / "version").write_text("4.3.0\n")
    (built / "kafka_2.13-4.3.0.tgz").write_bytes(b"jars")
    known, did = offer_kafka(built, root, signers)
    assert (known["version"], did) == ("4.3.0", "offers 4.3.0 and 1 that must be refused")
    assert [signer["name"] for signer in known["signers"]] == [GOOD[0]]
    assert offer_kafka(built, root, signers) == (known, "")
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--no-autostart"]
    subprocess.run([*gpg, "--import", *signers.folder.glob("*.asc")], capture_output=True, check=True)
    for version, status in (("4.3.0", 0), ("4.3.0-bad-signature", 1)):
        file = root / "kafka" / version / f"kafka_2.13-{version}.tgz"
        done = subprocess.run([*gpg, "--verify", f"{file}.asc", file], capture_output=True, check=False)
        assert done.returncode == status, version


def test_the_manifests_form() -> None:
    assert manifest_of("a.tar.gz", "00ff") == b"00ff  a.tar.gz\n"


def test_site_variables_are_yaml_of_the_same_facts(signers: Signers) -> None:
    offered = {
        "bitcoin": {"version": VERSION, "signers": signers.described()},
        "kafka": {"version": "4.3.0", "signers": signers.described(GOOD[:1])},
    }
    mirrors = Mirrors("http://m.example/debian", None)
    found = facts(Config(), mirrors, ["/usr/local/share/ca-certificates/a.crt"], offered, ["TestingTorNetwork 1"])
    assert yaml.safe_load(HEAD + as_yaml(found)) == found
    assert [signer["name"] for signer in found["stacks"]["bitcoin"]["signers"]] == list(GOOD)
    assert found["versions"] == {"bitcoin-knots": VERSION, "kafka": "4.3.0"}


@pytest.mark.parametrize(
    "value", [{"a": {"b": [], "c": {}, "d": None}}, {"a": [{"b": 1, "c": ["x", "y: #"]}, "z"]}, [[1], [2]]]
)
def test_the_yaml_of_odd_values(value: object) -> None:
    assert yaml.safe_load(as_yaml(value)) == value
