# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A declaration that asks for a release which must not be used: it is refused with the reason, and nothing changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from bus import Bus
from standing import LAB_DIR, Site, bitcoin_container, declaration

# What the download server offers beside the good release (lab/bcmlab/downloads.py), and what must be said of it.
REFUSED = {
    "29.4.bad-hash": "thrown away unused",
    "29.4.few-good": "1 good",
    "29.4.expired-key": "lab-signer-expired (the signing key has expired)",
    "29.4.revoked-key": "lab-signer-revoked (the signing key was revoked)",
    "29.4.unknown-signer": "0 good",
    "29.4.bad-signature": "does not match the signed file",
}


def known() -> dict[str, Any]:
    """What a site knows of the lab."""
    found: dict[str, Any] = yaml.safe_load((LAB_DIR / "site-vars.yml").read_text())
    return found


def asking_for(program: str, version: str, directory: Path) -> Path:
    """The lab's declaration with another release, by somebody who trusts the keys that went bad since as well."""
    facts = known()
    keys = json.loads((LAB_DIR / "signers/signers.json").read_text())
    facts["versions"][program] = version
    facts["stacks"]["bitcoin"]["signers"] += [
        {"name": name, **keys[name], "source": "a test"} for name in ("lab-signer-expired", "lab-signer-revoked")
    ]
    file = directory / "site-vars.yml"
    file.write_text(yaml.safe_dump(facts))
    inventory = declaration(directory)
    declared = inventory / "site.bcm.yml"
    text = declared.read_text()
    line = "${BCM_LAB_DIR:-/var/lib/bcm-lab}/site-vars.yml"
    assert line in text
    declared.write_text(text.replace(line, str(file)))
    return inventory


def tags(site: Site, program: str) -> list[str]:
    """What the site's registry has of it."""
    registry = f"registry.{site.hostvars['manager-1']['bcm_domain']}:5443"
    ca = f"/etc/docker/certs.d/{registry}/ca.crt"
    url = f"https://{registry}/v2/{program}/tags/list"
    found: list[str] = json.loads(site.ask("manager-1", "curl", "--silent", "--fail", "--cacert", ca, url))["tags"]
    return found


@pytest.mark.parametrize(("version", "reason"), REFUSED.items(), ids=[name.split(".")[-1] for name in REFUSED])
def test_is_refused_before_it_is_used(site: Site, tmp_path: Path, version: str, reason: str) -> None:
    container = bitcoin_container(site)
    refuses(site, "playbooks/bitcoin.yml", "bitcoin-knots", version, reason, tmp_path)
    assert bitcoin_container(site) == container


def test_a_release_of_kafka_whose_signature_is_over_another_file_is_refused(
    site: Site, bus: Bus, tmp_path: Path
) -> None:
    containers = {host: bus.container(host) for host in bus.hosts}
    version = f"{known()['versions']['kafka']}-bad-signature"
    refuses(site, "playbooks/bus.yml", "kafka", version, "does not match the signed file", tmp_path)
    assert {host: bus.container(host) for host in bus.hosts} == containers


def refuses(site: Site, playbook: str, program: str, version: str, reason: str, directory: Path) -> None:
    before = tags(site, program)
    run = site.play(playbook, inventory=asking_for(program, version, directory))
    assert run.status != 0
    (failure,) = run.failures
    assert reason in failure
    assert not run.changed
    assert tags(site, program) == before
    assert not [tag for tag in before if version in tag]
    assert site.ask("manager-1", "find", "/var/cache/bcm/releases", "-type", "f") == ""
