# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What comes by a bundle, and who is believed by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.bcm.datacenter.plugins.filter.onion_bundle import onion_bundle
from ansible_collections.bcm.datacenter.plugins.filter.proven_host_keys import proven_host_keys

ADDRESS = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid"
KEY = "GDQ3TM2CTVZ2PNRPEMDZL4ISG4TMVWYOVSXWGQNR4WMIDMJJYYKQ"
# A key, and what ssh-keygen -l says of it.
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
FINGERPRINT = "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA"
TEMPLATE = Path(__file__).parents[4] / "roles/ssh_onion/templates/bundle.txt.j2"


def bundle() -> str:
    """As the role writes it."""
    variables = {
        "ssh_onion_name": "server-1",
        "ssh_onion_site": "home",
        "ssh_onion_address": f"{ADDRESS}.onion",
        "ssh_onion_port": 22,
        "ssh_onion_user": "ops",
        "bundle": {"name": "controller", "line": f"{ADDRESS}:descriptor:x25519:{KEY}"},
        "__ssh_onion_fingerprints": [f"ED25519 {FINGERPRINT}", f"RSA SHA256:{'b' * 43}"],
    }
    # Ansible's own way of templates: no line is left for a block.
    text = str(Templar(loader=DataLoader(), variables=variables).template(trust_as_template(TEMPLATE.read_text())))
    assert text.startswith("SECRET.")
    return text


def test_what_the_role_writes_is_read() -> None:
    assert onion_bundle(bundle()) == {
        "server": "server-1",
        "address": f"{ADDRESS}.onion",
        "port": 22,
        "user": "ops",
        "client": "controller",
        "private_key": KEY,
        "fingerprints": [f"ED25519 {FINGERPRINT}", f"RSA SHA256:{'b' * 43}"],
    }


def test_a_client_that_has_its_key_already() -> None:
    text = "\n".join(line for line in bundle().splitlines() if "descriptor" not in line)
    assert onion_bundle(text.replace("\n", "\r\n"))["private_key"] is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (f"address: {ADDRESS}", f"address: {ADDRESS[:-1]}", "no address, or it is mistyped"),
        ("port: 22", "port: 0", "no port"),
        ("user: ops", "user: -oProxyCommand=x", "no user"),
        ("client: controller", "klient: controller", "no client, or it is mistyped: there is no such line"),
        ("SHA256:", "MD5:", "no fingerprint of a host key"),
        (KEY, KEY[:-1], "client key of the bundle is mistyped"),
        (f"{ADDRESS}:descriptor", f"{'a' * 56}:descriptor", "belongs to another address"),
    ],
)
def test_what_is_mistyped(old: str, new: str, words: str) -> None:
    with pytest.raises(AnsibleFilterError, match=words) as caught:
        onion_bundle(bundle().replace(old, new))
    assert KEY[:20] not in str(caught.value)


def test_keys_are_believed_by_their_fingerprints() -> None:
    other = HOST_KEY[:-4] + "AAAA"
    known = f"# a word\n{ADDRESS}.onion {other}\n{ADDRESS}.onion {HOST_KEY} me@there\n@revoked * {HOST_KEY}\nx ssh-rsa ?\nx\n"
    assert proven_host_keys(known, [f"ED25519 {FINGERPRINT}"]) == [HOST_KEY]
    assert proven_host_keys(known, [FINGERPRINT, ""]) == [HOST_KEY]
    assert proven_host_keys(known, [f"ED25519 SHA256:{'b' * 43}"]) == []
    assert proven_host_keys("", []) == []
