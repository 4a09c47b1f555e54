# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who comes to onions of a site, in a real Tor network, and who no longer does."""

from __future__ import annotations

import base64
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

SCENARIO = Path(__file__).parents[1]
sys.path[:0] = [str(SCENARIO.parents[1] / "tests/e2e"), str(SCENARIO.parents[1] / "collections")]

from standing import LAB_DIR, Run, lxc, play, start, wait_for  # noqa: E402

from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import onion_keys  # noqa: E402
from ansible_collections.bcm.datacenter.plugins.module_utils._tor import Visitor  # noqa: E402
from ansible_collections.bcm.datacenter.plugins.modules.onion_probe import go  # noqa: E402
from ansible_collections.bcm.datacenter.plugins.plugin_utils._onion_bundle import Bundle, parse  # noqa: E402
from ansible_collections.bcm.datacenter.tests.unit.plugins.plugin_utils.qr import decode_png, decode_terminal  # noqa: E402

BUNDLES = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "onions"
TOR = yaml.safe_load((LAB_DIR / "tor-vars.yml").read_text())["tor_options"]
FIRST, SECOND, PROJECT = "onion-service-1", "onion-service-2", "molecule"
# Here is no leader whose store it would be.
SITE = {"onion_directory": str(BUNDLES), "bcm_secret_host": FIRST}
STORE = "/var/lib/bcm/sites/scenario-onions/secrets"


@pytest.fixture(scope="module")
def first(instance: Callable[[str], Host]) -> Host:
    return instance(FIRST)


@pytest.fixture(scope="module")
def second(instance: Callable[[str], Host]) -> Host:
    return instance(SECOND)


def address(host: Host, service: str) -> str:
    return str(host.check_output("cat /var/lib/tor/onions/%s/hostname", service))


def clients(do: str, **variables: Any) -> Run:
    """The playbook as a person runs it."""
    given = {"onion_clients": do, **SITE, **variables}
    own = ["-i", str(SCENARIO / "inventory.yml"), "-e", json.dumps(given)]
    return play("playbooks/onion_clients.yml", *own, inventory=SCENARIO.parent / "shared/inventory", timeout=600)


def bundle(client: str, service: str = "web") -> Bundle:
    """What a camera sees of it, and nothing else."""
    return parse(decode_png((BUNDLES / f"{service}.{client}.png").read_bytes()))


def visits(of: str, *who: dict[str, Any]) -> dict[str, str]:
    """Who gets through to an onion, as tor processes that know nothing."""
    options = {"address": of, "port": 80, "tor": "tor", "tor_options": TOR}
    deadline = time.monotonic() + 150
    with ThreadPoolExecutor(len(who)) as pool:
        found = pool.map(lambda one: go(options, {"private_key": None, **one}, deadline), who)
        return {result["name"]: result["outcome"] for result in found}


@contextmanager
def visitor(key: str | None) -> Iterator[Visitor]:
    """A client whose tor runs on, and remembers what it has read."""
    with tempfile.TemporaryDirectory(prefix="onion-") as directory:
        made = Visitor("tor", Path(directory), TOR, key)
        try:
            made.start(time.monotonic() + 120)
            yield made
        finally:
            made.end()


class Held:
    """A connection that stays open."""

    def __init__(self, through: Visitor, onion: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(60)
        self._socket.connect(str(through.socks))
        self._stream = self._socket.makefile("rb")
        name = onion.encode()
        self._socket.sendall(b"\x05\x01\x00")
        assert self._stream.read(2) == b"\x05\x00"
        self._socket.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + (80).to_bytes(2, "big"))
        reply = self._stream.read(4)
        assert reply[1] == 0
        # An address and a port, which say nothing.
        self._stream.read({1: 4, 4: 16}[reply[3]] + 2)
        assert self._stream.readline() == b"hello\n"

    def echoes(self) -> bool:
        """Whether it is heard at the other end."""
        try:
            self._socket.sendall(b"still there\n")
            return self._stream.readline() == b"still there\n"
        except OSError:
            return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def alice() -> Bundle:
    run = clients("bundle", service="web", client="alice")
    assert run.status == 0, run.text[-3000:]
    return bundle("alice")


def test_each_host_has_the_same_and_one_serves_it(first: Host, second: Host) -> None:
    for service in ("web", "other", "everybody"):
        assert address(first, service) == address(second, service)
    whose = "stat -c '%U %a' /var/lib/tor/onions/web/hs_ed25519_secret_key"
    assert (first.check_output(whose), second.check_output(whose)) == ("debian-tor 600", "debian-tor 600")
    seed = first.check_output(f"cat {STORE}/onion_web")
    assert onion_keys(bytes.fromhex(seed)).address == address(first, "web")
    assert not first.file("/etc/tor/torrc.d/50-onion-nobody.conf").exists


def test_a_code_is_all_that_a_client_needs(alice: Bundle) -> None:
    went = visits(
        alice.address,
        {"name": "alice", "private_key": alice.key, "expect": "reached"},
        {"name": "a stranger", "expect": "refused"},
    )
    assert went == {"alice": "reached", "a stranger": "refused"}
    assert decode_terminal((BUNDLES / "web.alice.qr").read_text()) == alice.text()


def test_a_key_is_for_one_onion(first: Host, alice: Bundle) -> None:
    went = visits(
        address(first, "other"),
        {"name": "alice of web", "private_key": alice.key, "expect": "refused"},
    )
    assert went == {"alice of web": "refused"}


def test_what_is_open_to_everybody_is(first: Host) -> None:
    assert visits(address(first, "everybody"), {"name": "anybody", "expect": "reached"}) == {"anybody": "reached"}


def test_what_lies_on_the_controller_is_private(alice: Bundle) -> None:
    assert alice.client == "alice"
    assert BUNDLES.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in BUNDLES.iterdir()} == {0o600}


def test_nothing_secret_is_said(first: Host, alice: Bundle) -> None:
    own = ["-i", str(SCENARIO / "inventory.yml"), "-vvv", "--diff"]
    run = play(str(SCENARIO / "converge.yml"), *own, inventory=SCENARIO.parent / "shared/inventory", timeout=600)
    more = ["-e", json.dumps({"onion_clients": "rotate", "service": "other", "client": "alice", **SITE})]
    changed = play(
        "playbooks/onion_clients.yml", *own, *more, inventory=SCENARIO.parent / "shared/inventory", timeout=600
    )
    assert (run.status, changed.status) == (0, 0), changed.text[-3000:]
    seed = first.check_output(f"cat {STORE}/onion_web")
    keys = onion_keys(bytes.fromhex(seed))
    secret = base64.b64encode(keys.secret_file).decode()
    for text in (run.text, changed.text):
        assert "Onions" in text or "onion" in text
        for word in (seed, secret, secret[-60:], alice.key, bundle("alice", "other").key):
            assert word not in text
    # Nor in the list of processes, nor in the journals.
    assert first.run("journalctl --no-pager | grep -F -e %s -e %s", seed, secret[-60:]).rc == 1


def test_who_is_revoked_is_cut_off_and_nobody_else(first: Host, second: Host, alice: Bundle) -> None:
    run = clients("bundle", service="web", client="bob")
    assert run.status == 0, run.text[-3000:]
    bob, other = bundle("bob"), address(first, "other")
    own = bundle("alice", "other")
    with visitor(bob.key_line()) as through, visitor(own.key_line()) as neighbour:
        deadline = time.monotonic() + 150
        assert through.visit(bob.address, 80, "reached", deadline)["outcome"] == "reached"
        assert neighbour.visit(other, 80, "reached", deadline)["outcome"] == "reached"
        held, theirs = Held(through, bob.address), Held(neighbour, other)
        assert held.echoes()
        run = clients("revoke", service="web", client="bob")
        assert run.status == 0, run.text[-3000:]
        # The connection ends, and that of another onion's guest does not.
        assert not held.echoes()
        assert theirs.echoes()
        # What bob's tor has read of the onion before is worth nothing any more.
        assert through.visit(bob.address, 80, "reached", time.monotonic() + 45)["outcome"] != "reached"
        held.close()
        theirs.close()
    went = visits(
        alice.address,
        {"name": "alice", "private_key": alice.key, "expect": "reached"},
        {"name": "bob", "private_key": bob.key, "expect": "refused"},
    )
    assert went == {"alice": "reached", "bob": "refused"}
    assert not list(BUNDLES.glob("web.bob.*"))
    for host in (first, second):
        assert not host.file("/var/lib/tor/onions/web/authorized_clients/bob.auth").exists
    assert clients("revoke", service="web", client="bob").changed == set()


def test_list_names_who_is_left(first: Host) -> None:
    text = clients("list").text
    assert f"web {address(first, 'web')} ports 80" in text
    assert "carol N2NU7BSRL6YODZCYPN4CREB54TYLKGIE2KYOQWLFYC23ZJVCE5DQ" in text
    assert "nobody" in text
    assert "closed until it has a client" in text
    assert "  bob " not in text


def test_who_was_revoked_does_not_come_back_by_itself(converge: Callable[..., Run]) -> None:
    run = converge()
    assert run.status != 0
    assert "bob of web was revoked" in run.text


def test_a_host_that_is_off_is_named_and_finished_later(first: Host, second: Host) -> None:
    services = ("carol", "dave")
    assert clients("add", service="web", client=services[1]).status == 0
    lxc("stop", "--force", SECOND, project=PROJECT)
    try:
        run = clients("revoke", service="web", client="carol")
        assert run.status != 0
        assert any(f"not on {SECOND}" in failure for failure in run.failures), run.failures
        assert not first.file("/var/lib/tor/onions/web/authorized_clients/carol.auth").exists
    finally:
        start(SECOND, PROJECT)
    wait_for("tor", lambda: second.run("systemctl is-active tor@default").rc == 0, 90)
    assert second.file("/var/lib/tor/onions/web/authorized_clients/carol.auth").exists
    run = clients("apply", service="web")
    assert run.status == 0, run.text[-3000:]
    assert not second.file("/var/lib/tor/onions/web/authorized_clients/carol.auth").exists


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ({"name": "We b"}, "is not a name"),
        ({"ports": []}, "there is none"),
        ({"ports": [{"virtual": 80, "target_host": "8.8.8.8", "target_port": 80}]}, "in clear"),
        ({"clients": [{"name": "eve", "public_key": "short"}]}, "52 characters"),
    ],
)
def test_wrong_input(refusal: Callable[..., str], service: dict[str, Any], words: str) -> None:
    good = {"name": "new", "ports": [{"virtual": 80, "target_host": "127.0.0.1", "target_port": 8080}]}
    assert words in refusal(scenario_list=[{**good, **service}])


def test_wrong_requests() -> None:
    for given in ({}, {"service": "web"}, {"service": "web", "client": "a b"}, {"service": "nosuch", "client": "eve"}):
        run = clients("add", **given)
        assert run.status != 0
        assert run.changed == set()
        assert all("Nothing was changed" in failure for failure in run.failures), run.failures


def test_a_wiped_host_keeps_its_addresses(first: Host, converge: Callable[..., Run]) -> None:
    before = address(first, "web")
    first.check_output(
        "rm -r /var/lib/tor/onions /etc/tor/torrc.d/50-* /var/lib/bcm/onions && systemctl reload tor@default"
    )
    good = [{"name": "web", "ports": [{"virtual": 80, "target_host": "127.0.0.1", "target_port": 8080}]}]
    run = converge(scenario_list=good)
    assert run.status == 0, run.text[-3000:]
    assert address(first, "web") == before
    assert not converge(scenario_list=good).changed
    key = bundle("alice").key
    assert visits(before, {"name": "alice", "private_key": key, "expect": "reached"}) == {"alice": "reached"}
