# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches the servers by their onions, from this machine, with a real tor and a real ssh."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

SCENARIO = Path(__file__).parents[1]
sys.path[:0] = [str(SCENARIO.parents[1] / "tests/e2e"), str(SCENARIO.parents[1] / "collections")]

from standing import LAB_DIR, Run, play  # noqa: E402

from ansible_collections.bcm.datacenter.plugins.module_utils._tor import open_control  # noqa: E402
from ansible_collections.bcm.datacenter.plugins.modules.onion_probe import go  # noqa: E402

DIRECTORY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "onion"
TOR = yaml.safe_load((LAB_DIR / "tor-vars.yml").read_text())["tor_options"]
BARE, OWNED = "ssh-onion-bare", "ssh-onion-owned"


def ssh(name: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """By the variables that the role has left for the inventory."""
    way = json.loads((DIRECTORY / f"way/hosts/{name}.json").read_text())
    words = shlex.split(way["ansible_ssh_common_args"])
    me = ["-i", str(DIRECTORY / "id_ed25519"), "-o", "BatchMode=yes", "-F", "none", "-p", str(way["ansible_port"])]
    argv = ("ssh", *words, *me, f"{way['ansible_user']}@{way['ansible_host']}", *argv)
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150)


def key(name: str, client: str) -> str:
    return (DIRECTORY / f"clients/{name}/{client}.auth_private").read_text().strip().rpartition(":")[2]


def address(name: str) -> str:
    return (DIRECTORY / f"backup/{name}/hostname").read_text().strip()


def visits(name: str, *clients: dict[str, Any]) -> dict[str, str]:
    """Who gets through to a server, as tor processes that know nothing."""
    options = {"address": address(name), "port": 22, "tor": "tor", "tor_options": TOR}
    deadline = time.monotonic() + 150
    with ThreadPoolExecutor(len(clients)) as pool:
        found = pool.map(lambda client: go(options, {"private_key": None, **client}, deadline), clients)
        return {result["name"]: result["outcome"] for result in found}


def access(verb: str, **variables: Any) -> Run:
    """The playbook as a person runs it."""
    own = [
        "-i",
        str(SCENARIO / "inventory.yml"),
        "-e",
        json.dumps({"onion_access": verb, **variables}),
        "--limit",
        OWNED,
    ]
    return play("playbooks/onion_access.yml", *own, inventory=SCENARIO.parent / "shared/inventory", timeout=600)


@pytest.fixture(scope="module")
def owned(instance: Callable[[str], Host]) -> Host:
    return instance(OWNED)


def test_ssh_goes_through_the_onion() -> None:
    for name in (BARE, OWNED):
        done = ssh(name, "hostname")
        assert (done.returncode, done.stdout.strip()) == (0, name), done.stderr


def test_ssh_starts_the_tor_that_is_gone() -> None:
    control = open_control(DIRECTORY / "way/control")
    assert control is not None
    control.halt()
    control.close()
    with ThreadPoolExecutor(2) as pool:
        ended = [done.returncode for done in pool.map(lambda name: ssh(name, "true"), (BARE, OWNED))]
    assert ended == [0, 0]
    again = open_control(DIRECTORY / "way/control")
    assert again is not None
    again.close()


def test_another_host_key_is_not_accepted() -> None:
    file = DIRECTORY / f"way/hosts/{BARE}.known_hosts"
    right = file.read_text()
    file.write_text(right.replace(address(BARE), address(OWNED)))
    try:
        assert "Host key verification failed" in ssh(BARE, "true").stderr
    finally:
        file.write_text(right)


def test_what_the_owner_had_is_as_it_was(owned: Host) -> None:
    theirs = "\n".join(
        ["# Ours, do not touch", *TOR, "HiddenServiceDir /var/lib/tor/web", "HiddenServicePort 80 127.0.0.1:22"]
    )
    torrc = owned.file("/etc/tor/torrc").content_string
    assert torrc.startswith(theirs + "\n")
    assert len(torrc.removeprefix(theirs + "\n").splitlines()) == 3
    assert owned.file("/var/lib/tor/web/hostname").content_string.strip().endswith(".onion")
    assert owned.check_output("systemctl is-active tor@default") == "active"


def test_what_lies_on_the_controller_is_private() -> None:
    for path in DIRECTORY.rglob("*"):
        if "way" not in path.parts and path.name not in ("id_ed25519.pub",):
            assert path.stat().st_mode & 0o077 == 0, path


def test_the_bundle_has_what_a_person_needs(owned: Host) -> None:
    bundle = DIRECTORY / f"bundles/{OWNED}-alice"
    text = bundle.with_suffix(".txt").read_text()
    assert text.startswith("SECRET.")
    assert f"address: {address(OWNED)}" in text
    assert f"{address(OWNED).removesuffix('.onion')}:descriptor:x25519:{key(OWNED, 'alice')}\n" in text
    assert owned.check_output("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1] in text
    assert bundle.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_wrong_input(refusal: Callable[..., str]) -> None:
    only = ("--limit", OWNED)
    assert "would be open to everybody" in refusal(*only, ssh_onion_clients=[])
    assert "52 characters" in refusal(*only, ssh_onion_clients=[{"name": "eve", "public_key": "short"}])
    assert "tor would refuse" in refusal(
        *only, ssh_onion_clients=[{"name": "alice"}], ssh_onion_tor_options=["NoSuchOption 1"]
    )


@pytest.fixture(scope="module")
def old_keys() -> dict[str, str]:
    return {client: key(OWNED, client) for client in ("alice", "controller")}


def test_revoke_one_and_rotate_another(old_keys: dict[str, str]) -> None:
    run = access("revoke", client="alice")
    assert run.status == 0, run.text[-3000:]
    assert access("revoke", client="alice").changed == set()
    run = access("rotate", client="controller")
    assert run.status == 0, run.text[-3000:]
    new = key(OWNED, "controller")
    assert new != old_keys["controller"]
    went = visits(
        OWNED,
        {"name": "alice", "private_key": old_keys["alice"], "expect": "refused"},
        {"name": "old", "private_key": old_keys["controller"], "expect": "refused"},
        {"name": "new", "private_key": new, "expect": "reached"},
    )
    assert went == {"alice": "refused", "old": "refused", "new": "reached"}


def test_list_names_who_is_left() -> None:
    text = access("list").text
    assert "controller" in text
    assert "bob N2NU7BSRL6YODZCYPN4CREB54TYLKGIE2KYOQWLFYC23ZJVCE5DQ" in text
    assert "\\nalice " not in text


def test_who_was_revoked_does_not_come_back_by_itself(refusal: Callable[..., str]) -> None:
    assert "alice or the key was revoked" in refusal("--limit", OWNED)


def test_the_last_client_stays() -> None:
    assert access("revoke", client="bob").status == 0
    run = access("revoke", client="controller")
    assert run.status != 0
    assert all("is the last client" in failure for failure in run.failures)
    assert run.changed == set()


def test_a_wiped_server_keeps_its_address(instance: Callable[[str], Host], converge: Callable[..., Run]) -> None:
    bare, before = instance(BARE), address(BARE)
    # What is left of it is what an installation brings.
    bare.check_output(
        "systemctl stop tor@default; rm -r /var/lib/tor/* /etc/tor/torrc.d /var/lib/bcm; sed -i /^%include/d /etc/tor/torrc"
    )
    run = converge(
        "converge.yml",
        "--limit",
        f"{BARE},localhost",
        ssh_onion_clients=[{"name": "controller"}],
        ssh_onion_prove="always",
    )
    assert run.status == 0, run.text[-3000:]
    assert bare.check_output("cat /var/lib/tor/bcm-ssh/hostname") == before
    done = ssh(BARE, "hostname")
    assert done.stdout.strip() == BARE, done.stderr
