# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that meets its peers over Tor, beside one of another chain: what it asks for, what it listens on, and what the two have in common."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from standing import Run, wait_for
from testinfra.host import Host

HOST, ADDRESS = "bitcoin-node-1", "198.18.70.120"
NODE = "bitcoin-node-1-signet"
PEER = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion"
OWN = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion"
SECRETS = "/var/lib/bcm/sites/molecule/secrets"


@pytest.fixture(scope="module")
def host(instance: Callable[[str], Host]) -> Host:
    return instance(HOST)


def ask(host: Host, *words: str) -> Any:
    return json.loads(host.check_output("bitcoin-cli-signet " + " ".join(["%s"] * len(words)), *words))


def container(host: Host, node: str = NODE) -> str:
    return host.check_output("docker ps --quiet --filter %s", f"label=bcm.node={node}")


def asked(host: Host) -> list[dict[str, Any]]:
    """Whom the SOCKS was asked for so far."""
    return [json.loads(line) for line in host.run("cat /run/nowhere").stdout.splitlines()]


def test_it_asks_for_its_peer_by_name_and_by_nothing_but_socks(host: Host) -> None:
    seen = wait_for(
        "two tries to reach the peer", lambda: [one for one in asked(host) if one["place"] == PEER][1:], 180
    )
    assert {(one["kind"], one["port"]) for one in seen} == {("name", 38333)}
    # Another circuit for each.
    users = [one["user"] for one in asked(host)]
    assert all(users)
    assert len(set(users)) == len(users)
    # No seed by name, no peer in clear.
    assert not [one for one in asked(host) if not one["place"].endswith(".onion")]


def test_it_listens_for_peers_at_the_port_of_its_onion_alone(host: Host) -> None:
    lines = host.check_output(f"docker exec {container(host)} cat /proc/net/tcp /proc/net/tcp6").splitlines()
    ports = {int(line.split()[1].rpartition(":")[2], 16) for line in lines if line.split()[3] == "0A"}
    # Behind the door, at the loopback, bitcoind itself.
    assert {38334, 38335} <= ports
    assert 38333 not in ports
    inner = [line.split()[1] for line in lines if line.split()[3] == "0A" and line.split()[1].endswith(f"{38335:04X}")]
    assert inner == ["0100007F:95BF"]


def test_who_comes_by_it_counts_as_an_onion(host: Host) -> None:
    hold = "import socket, time; c = socket.create_connection(('127.0.0.1', 38334), 5); time.sleep(60)"
    host.check_output("systemd-run --quiet --collect --unit=visitor python3 -c %s", hold)
    peers = wait_for("the visitor", lambda: ask(host, "getpeerinfo"), 30)
    host.check_output("systemctl stop visitor")
    assert [(peer["network"], peer["inbound"]) for peer in peers] == [("onion", True)]


# Two who come by the onion, by the protocol of peers. The second one says what nobody may say (more than 2000 headers at once) and is hung up on.
VISITORS = r"""
import hashlib, socket, struct, sys, time
def twice(data): return hashlib.sha256(hashlib.sha256(data).digest()).digest()
magic = twice(b"\x01\x51")[:4]
def say(s, command, payload=b""):
    s.sendall(magic + command.encode().ljust(12, b"\0") + struct.pack("<I", len(payload)) + twice(payload)[:4] + payload)
def exactly(s, count):
    found = b""
    while len(found) < count:
        part = s.recv(count - len(found))
        if not part: raise EOFError
        found += part
    return found
def hear(s):
    head = exactly(s, 24)
    exactly(s, struct.unpack("<I", head[16:20])[0])
    return head[4:16].rstrip(b"\0").decode()
def visit():
    s = socket.create_connection(("127.0.0.1", 38334), 10)
    address = bytes(26)
    nonce = struct.pack("<Q", time.monotonic_ns())
    say(s, "version", struct.pack("<iQq", 70016, 0, int(time.time())) + address * 2 + nonce + b"\0" + struct.pack("<i?", 0, True))
    while hear(s) != "verack": pass
    say(s, "verack")
    say(s, "ping", bytes(8))
    while hear(s) != "pong": pass
    return s
first, second = visit(), visit()
say(second, "headers", b"\xfd\xd1\x07")
try:
    while True: hear(second)
except (EOFError, ConnectionError):
    print("the second is hung up on")
say(first, "ping", bytes(8))
while hear(first) != "pong": pass
print("the first is still there")
"""


def test_one_who_misbehaves_does_not_take_the_others_with_it(host: Host) -> None:
    said = host.run("timeout 90 python3 -c %s", VISITORS)
    assert said.stdout.splitlines() == ["the second is hung up on", "the first is still there"], said.stderr


@pytest.mark.parametrize("port", [38332, 38333, 38334])
def test_nobody_reaches_it_from_another_host(host: Host, port: int) -> None:
    """The proxyhosts do, where the site says so to Docker."""
    assert container(host)
    with pytest.raises(OSError, match=r"timed out|refused"):
        socket.create_connection((ADDRESS, port), timeout=3)


def test_it_tells_others_of_its_onion_and_of_no_other_address(host: Host) -> None:
    network = ask(host, "getnetworkinfo")
    assert [(one["address"], one["port"]) for one in network["localaddresses"]] == [(OWN, 38333)]
    reachable = {one["name"] for one in network["networks"] if one["reachable"]}
    assert reachable == {"onion"}
    assert {one["proxy"] for one in network["networks"] if one["name"] in ("ipv4", "ipv6", "onion")} == {
        f"{ADDRESS}:9050"
    }
    assert all(one["proxy_randomize_credentials"] for one in network["networks"] if one["name"] == "onion")


def test_the_two_chains_share_nothing(host: Host) -> None:
    assert ask(host, "getblockchaininfo")["chain"] == "signet"
    assert json.loads(host.check_output("bitcoin-cli getblockchaininfo"))["chain"] == "regtest"
    assert container(host) != container(host, HOST)
    mine, others = (
        host.file(f"{SECRETS}/{name}-rpc-monitor").content_string.strip() for name in ("bitcoin-signet", "bitcoin")
    )
    assert mine != others
    client = f"docker exec -i {container(host)} bitcoin-cli -signet -rpcuser=monitor -stdinrpcpass getblockcount"
    assert host.run(f"printf %s | {client}", mine).rc == 0
    assert "authorization failed" in host.run(f"printf %s | {client}", others).stderr.lower()
    mounted = host.check_output(
        "docker inspect --format '{{range .Mounts}}{{.Source}} {{end}}' %s", container(host)
    ).split()
    assert {"/srv/bitcoin-signet", "/etc/bcm/bitcoin-signet"} <= set(mounted)
    assert not {"/srv/bitcoin", "/etc/bcm/bitcoin"} & set(mounted)


def test_what_it_says_of_itself_has_its_peers(host: Host) -> None:
    status = json.loads(host.check_output(f"docker exec {container(host)} bitcoin-status"))
    assert isinstance(status["peers"], list)
    assert status["network"]["connections"] == len(status["peers"])


def test_a_peer_in_clear_is_refused_before_anything_is_touched(host: Host, converge: Callable[..., Run]) -> None:
    before = host.check_output("sha256sum /etc/bcm/bitcoin-signet/*"), container(host)
    run = converge(scenario_peers=[PEER, "93.184.215.14:38333", PEER.replace("a5ihm", "a5ihn")])
    assert run.status != 0
    words = " ".join(run.failures)
    assert "93.184.215.14:38333" in words
    assert "exit of Tor" in words
    assert "mistyped" in words
    assert (host.check_output("sha256sum /etc/bcm/bitcoin-signet/*"), container(host)) == before


def test_without_a_way_to_tor_there_is_no_node(refusal: Callable[..., str]) -> None:
    words = refusal(bitcoin_node_network="onion", bitcoin_node_socks=None)
    assert "no way to peers but Tor" in words


def test_a_node_that_is_declared_no_more_is_stopped_and_its_data_stays(
    host: Host, converge: Callable[..., Run]
) -> None:
    run = converge("fewer.yml")
    assert run.status == 0, run.text[-3000:]
    assert len(run.changed) == 1
    wait_for("its end", lambda: not container(host), 90)
    assert container(host, HOST)
    assert host.file("/srv/bitcoin-signet/signet/blocks").is_directory
    assert not converge("fewer.yml").changed
    run = converge()
    assert run.status == 0, run.text[-3000:]
    assert ask(host, "getblockchaininfo")["chain"] == "signet"
