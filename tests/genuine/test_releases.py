# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module release_verify with the makers' own manifests, signatures and keys. CONTRIBUTING.md says where from."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


def verify(genuine: Any, dest: Path, check: bool = True, **options: Any) -> dict[str, Any]:
    """Run the module. Check mode reads and checks all but the release itself, which is not here."""
    name = f"bitcoin-{genuine.version}-x86_64-linux-gnu.tar.gz"
    arguments = {
        "url": f"{genuine.url}/{name}",
        "manifest_url": f"{genuine.url}/SHA256SUMS",
        "signature_urls": [f"{genuine.url}/SHA256SUMS.asc"],
        "signers": genuine.signers(),
        "required": genuine.required,
        "dest": str(dest / name),
        "attempts": 1,
        **options,
    }
    # As Ansible itself starts it, but for Ansible's own start.
    argv = [sys.executable, "-m", "ansible_collections.bcm.datacenter.plugins.modules.release_verify"]
    done = subprocess.run(
        argv,
        input=json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check}}),
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / "collections"), "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout))


def names(entries: list[dict[str, str]]) -> set[str]:
    return {entry["name"] for entry in entries}


def test_our_fingerprints_are_those_of_the_makers_keys(genuine: Any, tmp_path: Path) -> None:
    for name, fingerprint in genuine.builders.items():
        home = tmp_path / "home"
        home.mkdir(mode=0o700, exist_ok=True)
        shown = subprocess.run(
            ["gpg", "--homedir", str(home), "--batch", "--with-colons", "--show-keys"],
            stdin=(genuine.served / "builder-keys" / f"{name}.gpg").open("rb"),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        primary = re.search(r"^pub:.*\nfpr:+([0-9A-F]{40}):", shown, re.MULTILINE)
        assert primary
        assert (name, primary[1]) == (name, fingerprint)


def test_the_release_is_signed_by_enough_of_our_signers(genuine: Any, tmp_path: Path) -> None:
    result = verify(genuine, tmp_path)
    assert "reason" not in result, result["msg"]
    print(genuine.maker, genuine.version, "good:", *sorted(names(result["good"])), "ignored:", result["ignored"])
    print("not counted:", [(entry["name"], entry["reason"]) for entry in result["rejected"]])
    assert len(result["good"]) >= genuine.required
    assert names(result["good"]) | names(result["rejected"]) == set(genuine.builders)
    assert result["digest"].startswith("sha256:")
    assert re.search(rf"^{result['digest'][7:]} .*x86_64", (genuine.served / "SHA256SUMS").read_text(), re.MULTILINE)


def test_the_other_architecture_is_in_the_manifest(genuine: Any, tmp_path: Path) -> None:
    other = f"bitcoin-{genuine.version}-aarch64-linux-gnu.tar.gz"
    assert "reason" not in verify(genuine, tmp_path, url=f"{genuine.url}/{other}")


def test_signers_that_we_did_not_name_are_ignored(genuine: Any, tmp_path: Path) -> None:
    first = verify(genuine, tmp_path)
    chosen = sorted(names(first["good"]))[:2]
    result = verify(genuine, tmp_path, signers=genuine.signers(*chosen), required=2)
    assert names(result["good"]) == set(chosen)
    assert result["ignored"] > first["ignored"]
    alone = genuine.signers(chosen[0])
    lonely = {"name": "nobody", "fingerprint": "0" * 40, "key": alone[0]["key"]}
    refused = verify(genuine, tmp_path, signers=[*alone, lonely], required=2)
    assert refused["reason"] == "too_few_signatures"
    assert "nobody (the key material does not contain the named fingerprint)" in refused["msg"]


@pytest.mark.parametrize("change", ["a digest", "a line more"])
def test_a_manifest_that_was_changed_is_refused(genuine: Any, tmp_path: Path, change: str) -> None:
    manifest = genuine.served / "SHA256SUMS"
    text = manifest.read_text()
    if change == "a digest":
        text = re.sub(r"^[0-9a-f]{64}(?=.*x86_64-linux-gnu\.tar\.gz$)", "0" * 64, text, flags=re.MULTILINE)
    else:
        text += f"{'0' * 64}  bitcoin-{genuine.version}-evil.tar.gz\n"
    assert text != manifest.read_text()
    manifest.write_text(text)
    refused = verify(genuine, tmp_path)
    assert refused["reason"] == "too_few_signatures"
    assert f"0 good signatures of {genuine.required} required" in refused["msg"]
    assert "the signature does not match the signed file" in refused["msg"]


def test_a_release_that_is_not_the_signed_one_is_thrown_away(genuine: Any, tmp_path: Path) -> None:
    name = f"bitcoin-{genuine.version}-x86_64-linux-gnu.tar.gz"
    (genuine.served / name).write_bytes(b"not what was signed")
    place = tmp_path / "place"
    refused = verify(genuine, place, check=False)
    assert refused["reason"] == "hash_mismatch"
    assert list(place.iterdir()) == []
