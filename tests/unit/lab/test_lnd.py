# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""lnd's releases in their makers' form, and the nodes of other people."""

from __future__ import annotations

import hashlib
import hmac
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from bcmlab import cli, lnd, peers
from bcmlab.config import Config
from bcmlab.downloads import LND_REFUSED, offer_lnd
from bcmlab.signing import EXPIRED, GOOD, REVOKED, STRANGER, Signers
from bcmlab.sitevars import as_yaml

VERSION = "0.20.1-beta"
FOLDER = f"lnd-linux-amd64-v{VERSION}"
TARBALL = f"{FOLDER}.tar.gz"
ONIONS = {"bitcoin-one": "a" * 56 + ".onion", "bitcoin-two": "b" * 56 + ".onion", "lnd": "c" * 56 + ".onion"}


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Signers:
    made = Signers(tmp_path_factory.mktemp("s"))
    made.ensure()
    return made


@pytest.fixture(scope="module")
def www(signers: Signers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("built")
    (built / "version").write_text(f"{VERSION}\n")
    (built / "binaries").write_text(f"00ff  {FOLDER}/lncli\n00ee  {FOLDER}/lnd\n")
    (built / TARBALL).write_bytes(b"programs")
    root = tmp_path_factory.mktemp("www")
    known, did = offer_lnd(built, root, signers)
    assert did == f"offers {VERSION} and 6 that must be refused"
    assert (known["version"], known["file"]) == (VERSION, TARBALL)
    assert offer_lnd(built, root, signers) == (known, "")
    return root


def statuses(folder: Path, signers: Signers, tmp_path: Path) -> set[str]:
    """What GnuPG says of the signature of each signer, with every key of the lab known."""
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--no-autostart"]
    subprocess.run([*gpg, "--import", *signers.folder.glob("*.asc")], capture_output=True, check=True)
    words = {"GOODSIG", "BADSIG", "EXPKEYSIG", "REVKEYSIG", "ERRSIG"}
    found = set()
    for signature in folder.glob("*.sig"):
        verify = [*gpg, "--status-fd", "1", "--verify", signature, folder / f"manifest-v{VERSION}.txt"]
        output = subprocess.run(verify, capture_output=True, text=True, check=False).stdout
        (status,) = [line.split()[1] for line in output.splitlines() if line.split()[1] in words]
        name = signature.name.removeprefix("manifest-").removesuffix(f"-v{VERSION}.sig")
        found.add(f"{status} {name}")
    return found


@pytest.mark.parametrize(
    ("root", "wanted"),
    [
        ("lnd", {f"GOODSIG {name}" for name in (STRANGER, *GOOD)}),
        (f"{LND_REFUSED}/bad-hash", {f"GOODSIG {name}" for name in GOOD}),
        (f"{LND_REFUSED}/few-good", {f"GOODSIG {GOOD[0]}", f"GOODSIG {STRANGER}"}),
        (f"{LND_REFUSED}/expired-key", {f"GOODSIG {GOOD[0]}", f"EXPKEYSIG {EXPIRED}"}),
        (f"{LND_REFUSED}/revoked-key", {f"GOODSIG {GOOD[0]}", f"REVKEYSIG {REVOKED}"}),
        (f"{LND_REFUSED}/unknown-signer", {f"GOODSIG {STRANGER}"}),
        (f"{LND_REFUSED}/bad-signature", {f"BADSIG {name}" for name in GOOD}),
    ],
)
def test_each_signer_has_a_file_over_the_manifest(
    www: Path, signers: Signers, tmp_path: Path, root: str, wanted: set[str]
) -> None:
    assert statuses(www / root / f"v{VERSION}", signers, tmp_path) == wanted


def test_only_the_one_with_the_bad_hash_is_another_file(www: Path) -> None:
    for folder in [www / "lnd", *(www / LND_REFUSED).iterdir()]:
        manifest = (folder / f"v{VERSION}" / f"manifest-v{VERSION}.txt").read_text().splitlines()
        assert [line.split("  ")[1] for line in manifest] == [f"{FOLDER}/lncli", f"{FOLDER}/lnd", TARBALL]
        digest = hashlib.sha256((folder / f"v{VERSION}" / TARBALL).read_bytes()).hexdigest()
        assert (manifest[-1].split()[0] == digest) is (folder.name != "bad-hash"), folder


def test_signatures_are_not_text(www: Path) -> None:
    signature = (www / "lnd" / f"v{VERSION}" / f"manifest-{GOOD[0]}-v{VERSION}.sig").read_bytes()
    assert not signature.startswith(b"-----BEGIN")


def test_what_a_site_is_told(signers: Signers) -> None:
    found = lnd.facts(Config(), {"version": VERSION, "signers": signers.described()}, "age1owner", None)
    assert yaml.safe_load(lnd.HEAD + as_yaml(found)) == found
    assert found["mirrors"]["downloads"]["lnd"] == "http://198.18.0.10/lnd"
    assert found["versions"] == {"lnd": VERSION}
    assert found["stacks"]["lightning"]["owner_key"] == "age1owner"
    assert found["stacks"]["lightning"]["backup_places"] == []


def test_a_friend_keeps_a_copy_elsewhere(signers: Signers) -> None:
    friend = {"url": f"https://{ONIONS['lnd']}", "ca": "/lab/friend-ca.pem"}
    found = lnd.facts(Config(), {"version": VERSION, "signers": signers.described()}, "age1owner", friend)
    (place,) = found["stacks"]["lightning"]["backup_places"]
    assert place == {"name": "friend", "url": f"https://{ONIONS['lnd']}/lightning-1.backup", "ca": "/lab/friend-ca.pem"}


@pytest.mark.parametrize("name", peers.NODES)
def test_a_node_is_reached_by_onion_alone(name: str) -> None:
    lines = peers.bitcoin_conf(Config(), name, ONIONS, "lnd:salt$hash").splitlines()
    assert [line for line in lines if line.startswith("bind=")] == [f"bind=127.0.0.1:{peers.LOCAL_P2P[name]}=onion"]
    assert {"discover=0", "dnsseed=0", "natpmp=0", "listenonion=0", "rpcbind=127.0.0.1"} <= set(lines)
    (other,) = [other for other in peers.NODES if other != name]
    assert f"addnode={ONIONS[f'bitcoin-{other}']}:18444" in lines
    assert f"externalip={ONIONS[f'bitcoin-{name}']}:18444" in lines
    # Only the one that lnd asks tells of blocks; another's port would be taken.
    assert any(line.startswith("zmqpub") for line in lines) is (name == "two")


def test_nothing_of_lnd_but_its_onion_leads_outside() -> None:
    text = lnd.lnd_conf(ONIONS["lnd"], "secret")
    listening = re.findall(r"^(?:listen|rpclisten|restlisten|tor\.socks)=(.*)$", text, re.MULTILINE)
    assert len(listening) == 4
    assert all(where.startswith("127.0.0.1:") for where in listening)
    assert "tor.active=true" in text
    assert f"externalip={ONIONS['lnd']}:9735" in text


def test_each_onion_leads_to_the_port_of_its_own() -> None:
    ports = re.findall(r"^HiddenServicePort (\d+) 127\.0\.0\.1:(\d+)$", peers.torrc(), re.MULTILINE)
    assert ports == [("18444", "18501"), ("18444", "18502"), ("9735", "9735"), ("443", "8443")]


def test_bitcoind_is_told_a_hash_of_the_password() -> None:
    user, _, rest = peers.rpcauth("password").partition(":")
    salt, _, digest = rest.partition("$")
    assert user == "lnd"
    assert digest == hmac.new(salt.encode(), b"password", hashlib.sha256).hexdigest()
    assert peers.rpcauth("password") != peers.rpcauth("password")


def test_a_client_gets_its_arguments_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    # A short path, which nothing is written to.
    monkeypatch.setenv("BCM_LAB_DIR", "/nonexistent/lab")
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(lnd, "cli", lambda _lxc, *words: asked.append(words) or "{}\n")
    monkeypatch.setattr(peers, "cli", lambda _lxc, *words: asked.append(words) or "300\n")
    assert cli.main(["lnd", "cli", "addinvoice", "--amt", "5", "--memo=a b"]) == 0
    assert cli.main(["lnd", "cli", "--rpcserver=x", "getinfo", "--help"]) == 0
    assert cli.main(["peers", "cli", "two", "-named", "addnode", "node=x"]) == 0
    assert asked == [
        ("addinvoice", "--amt", "5", "--memo=a b"),
        ("--rpcserver=x", "getinfo", "--help"),
        ("two", "-named", "addnode", "node=x"),
    ]


def test_what_is_not_a_clients_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["lnd", "up", "now"], ["peers", "cli", "three", "getinfo"], ["lnd", "remove"]):
        with pytest.raises(SystemExit):
            cli.main(words)
        assert "lab/lab" in capsys.readouterr().err
