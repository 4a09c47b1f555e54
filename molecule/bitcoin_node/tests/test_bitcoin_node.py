# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom the node answers, what it is refused, and that it stops before its disk is full."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from standing import Run, wait_for
from testinfra.backend.base import CommandResult
from testinfra.host import Host

NODE = "bitcoin-node-1"
SECRETS = "/var/lib/bcm/sites/molecule/secrets"
FORBIDDEN = "403"


@pytest.fixture(scope="module")
def host(instance: Callable[[str], Host]) -> Host:
    return instance(NODE)


def container(host: Host) -> str:
    listed = host.check_output("docker ps --quiet --filter %s", f"label=bcm.node={NODE}").split()
    return listed[0] if listed else ""


def declared(host: Host) -> str:
    """Another one each time that somebody changes what is asked of the Swarm. A container may be replaced for other reasons."""
    return host.check_output(
        "docker service inspect --format '{{.ID}} {{.Version.Index}}' $(docker service ls --quiet)"
    )


def ask(host: Host, user: str, password: str, *words: str) -> CommandResult:
    """Ask the node by RPC, as a user with a password does."""
    client = f"docker exec -i {container(host)} bitcoin-cli -regtest -rpcwait=1 -rpcwaittimeout=30 -rpcuser={user} -stdinrpcpass"
    return host.run(f"printf %s %s | {client} " + " ".join(["%s"] * len(words)), "%s", password, *words)


def password(host: Host, user: str) -> str:
    return host.file(f"{SECRETS}/bitcoin-rpc-{user}").content_string.strip()


def blocks(host: Host) -> int:
    return int(ask(host, "counter", password(host, "counter"), "getblockcount").stdout)


@pytest.mark.parametrize(
    ("user", "words", "refused"),
    [
        ("monitor", ["getblockchaininfo"], ""),
        ("monitor", ["stop"], FORBIDDEN),
        ("counter", ["getblockcount"], ""),
        ("counter", ["generatetodescriptor", "1", "raw(51)"], FORBIDDEN),
        ("miner", ["generatetodescriptor", "3", "raw(51)"], ""),
        ("miner", ["getmempoolinfo"], FORBIDDEN),
    ],
)
def test_a_user_may_call_what_was_declared(host: Host, user: str, words: list[str], refused: str) -> None:
    said = ask(host, user, password(host, user), *words)
    assert (said.rc == 0) == (not refused), said.stderr
    assert refused in said.stderr


@pytest.mark.parametrize(("user", "secret"), [("counter", "a wrong one"), ("nobody", "any")])
def test_who_does_not_know_the_password_is_refused(host: Host, user: str, secret: str) -> None:
    said = ask(host, user, secret, "getblockcount")
    assert said.rc != 0
    assert "authorization failed" in said.stderr.lower()


def test_it_is_bitcoind_and_may_do_nothing_else(host: Host) -> None:
    look = "cat /proc/1/comm; id -u; grep CapEff /proc/1/status; touch /anywhere 2>&1 || :"
    name, user, rights, written = host.check_output(f"docker exec {container(host)} sh -c %s", look).splitlines()
    assert (name, user) == ("bitcoind", "10001")
    assert int(rights.split()[1], 16) == 0
    assert "Read-only file system" in written
    assert host.file("/etc/bcm/bitcoin/users.conf").mode == 0o440
    assert password(host, "counter") not in host.check_output("cat /etc/bcm/bitcoin/*.conf")


def test_what_cannot_be_is_refused_before_a_secret_is_made(host: Host, refusal: Callable[..., str]) -> None:
    before = declared(host)
    words = refusal(
        bitcoin_node_site="another",
        bitcoin_node_prune=550,
        bitcoin_node_indexes={"txindex": True},
        bitcoin_node_dbcache=100000,
        bitcoin_node_rpc_users=[{"name": "monitor", "methods": ["stop"]}],
    )
    for wrong in ("txindex", "dbcache", "monitor"):
        assert wrong in words
    assert not host.file("/var/lib/bcm/sites/another").exists
    assert declared(host) == before


def test_a_user_taken_away_is_one_no_more(host: Host, converge: Callable[..., Run]) -> None:
    run = converge(bitcoin_node_rpc_users=[{"name": "counter", "methods": ["getblockcount"]}], scenario_alone=True)
    assert run.status == 0, run.text[-3000:]
    assert ask(host, "miner", password(host, "miner"), "getblockcount").rc != 0
    # What was mined before.
    assert blocks(host) == 3


def test_it_stops_before_the_disk_is_full_and_goes_on_when_there_is_room(
    host: Host, converge: Callable[..., Run]
) -> None:
    free_kib = int(host.check_output("df --output=avail --block-size=1K /srv/bitcoin").splitlines()[-1])
    run = converge(bitcoin_node_free_space_min=f"{free_kib // 1024 * 2}MiB", bitcoin_node_wait=25)
    assert run.status != 0
    assert "free space" in " ".join(run.failures)

    # Held, not failed: the container stays, and says why.
    held = json.loads(host.check_output(f"docker exec {container(host)} bitcoin-status"))
    assert "free space" in json.dumps(held)
    assert host.run(f"docker exec {container(host)} pidof bitcoind").rc != 0

    run = converge()
    assert run.status == 0, run.text[-3000:]
    assert wait_for("the node's blocks", lambda: blocks(host), 30) == 3


def test_it_stops_before_its_volume_is_full_where_the_disk_has_more(host: Host, converge: Callable[..., Run]) -> None:
    """A volume with a quota: the file system tells of the whole pool."""
    run = converge(bitcoin_node_volume_size="1GiB", scenario_alone=True)
    assert run.status == 0, run.text[-3000:]
    host.check_output("fallocate --length 950M /srv/bitcoin/filler")

    def held() -> bool:
        return "free space" in host.run(f"docker exec {container(host)} bitcoin-status").stdout

    wait_for("stop of the node", held, 90)
    assert host.run(f"docker exec {container(host)} pidof bitcoind").rc != 0
    host.check_output("rm /srv/bitcoin/filler")

    def back() -> bool:
        return ask(host, "counter", password(host, "counter"), "getblockcount").stdout.strip() == "3"

    wait_for("the node's blocks", back, 90)
