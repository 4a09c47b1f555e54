# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site's node lives by Tor alone: it synchronises by it, is reached by its onion, and gets nowhere else when Tor is gone.

The lab's internet has two nodes that are reached by their onions only; the site's node has its blocks from them.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from leaking import leaks
from standing import Site, bitcoin_container, node_answers, wait_for

NODE = "bitcoin-1"
BLOCKS = 300
# Tor tells of its trouble when it next looks at what others say of the time.
FAKETIME = """
[Service]
Environment=LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1
Environment=FAKETIME=+3d
"""
DROP_IN = "/etc/systemd/system/tor@default.service.d/90-e2e.conf"


def rpc(site: Site, *argv: str) -> Any:
    said = site.ask(NODE, "bitcoin-cli", *argv)
    try:
        return json.loads(said)
    except ValueError:
        return said.strip()


def peers(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rpc(site, "getpeerinfo")
    return found


def onion(site: Site) -> str:
    """The address that the node tells others."""
    own = [one["address"] for one in rpc(site, "getnetworkinfo")["localaddresses"]]
    assert all(address.endswith(".onion") for address in own), f"the node tells others of {own}"
    assert len(own) == 1
    return str(own[0])


def connected(site: Site) -> bool:
    return node_answers(site) and any(not peer["inbound"] for peer in peers(site))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def whole_tor(site: Site) -> Any:
    """Whatever a test leaves behind, Tor runs after it, with the right time, and the node has peers."""
    yield
    for host in site.tier("proxyhost"):
        site.run(host, "rm", "-f", DROP_IN)
        site.run(host, "systemctl", "daemon-reload")
        site.run(host, "systemctl", "restart", "tor@default")
    wait_for("peers of the node", lambda: connected(site), 300, every=3)


def test_the_chain_came_by_onions_alone(site: Site) -> None:
    wait_for(f"{BLOCKS} blocks", lambda: int(rpc(site, "getblockcount")) >= BLOCKS, 300, every=3)
    networks = {peer["network"] for peer in peers(site)}
    assert networks == {"onion"}, f"peers come by {networks}"
    reachable = {one["name"]: one["reachable"] for one in rpc(site, "getnetworkinfo")["networks"]}
    assert [name for name, there in reachable.items() if there] == ["onion"]


def test_an_inbound_peer_comes_by_the_nodes_own_onion(site: Site) -> None:
    assert onion(site)
    wait_for("an inbound peer", lambda: any(peer["inbound"] for peer in peers(site)), 300, every=3)
    assert {peer["network"] for peer in peers(site) if peer["inbound"]} == {"onion"}


def test_what_goes_out_while_it_synchronises_is_tors(site: Site, directory: Path) -> None:
    """The node throws away what it has of the chain's end, and has it again from its peers while it is watched."""
    tip = rpc(site, "getbestblockhash")
    back = rpc(site, "getblockhash", str(int(rpc(site, "getblockcount")) - 100))
    rpc(site, "invalidateblock", back)
    rpc(site, "reconsiderblock", back)
    assert leaks(site, directory)["broken"] == []
    wait_for("the same tip", lambda: rpc(site, "getbestblockhash") == tip, 120)


def test_without_tor_nothing_goes_another_way_and_with_it_all_heals(
    site: Site, directory: Path, whole_tor: None
) -> None:
    before = onion(site)
    for host in site.tier("proxyhost"):
        site.ask(host, "systemctl", "stop", "tor@default")
    wait_for("end of all peers", lambda: not peers(site), 120)
    report = leaks(site, directory)
    # That Tor is not there is said; that something got out by another way is not.
    users = site.tier("bitcoin") + site.tier("lightning")
    broken = {(row["host"], row["target"]) for row in report["table"] if not row["works"]}
    assert broken == {(host, "Tor, SOCKS") for host in users}
    assert not [one for one in report["packets"] if one["verdict"] == "wrong"]
    verified = site.verify(directory)
    assert any("Tor" in one for one in verified["broken"])
    assert not peers(site)
    for host in site.tier("proxyhost"):
        site.ask(host, "systemctl", "start", "tor@default")
    wait_for("peers, without help", lambda: connected(site), 300, every=3)
    assert onion(site) == before


@pytest.mark.parametrize("killed", ["tor", "bitcoind"])
def test_what_is_killed_comes_back_with_the_same_address(site: Site, killed: str, whole_tor: None) -> None:
    before, tip = onion(site), rpc(site, "getbestblockhash")
    if killed == "tor":
        for host in site.tier("proxyhost"):
            site.ask(host, "systemctl", "kill", "--kill-whom=main", "--signal=KILL", "tor@default")
        wait_for("tor", lambda: site.run("proxyhost-1", "systemctl", "is-active", "tor@default").returncode == 0, 60)
    else:
        container = bitcoin_container(site)
        site.ask(NODE, "docker", "kill", "--signal=KILL", container)
        wait_for(
            "another container of the node", lambda: node_answers(site) and bitcoin_container(site) != container, 180
        )
    wait_for("peers, without help", lambda: connected(site), 300, every=3)
    assert onion(site) == before
    assert rpc(site, "getbestblockhash") == tip
    assert {peer["network"] for peer in peers(site)} == {"onion"}


def test_a_wrong_clock_of_tor_is_named(site: Site, directory: Path, whole_tor: None) -> None:
    host = site.tier("proxyhost")[0]
    install = "DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends libfaketime"
    site.ask(host, "sh", "-ec", f"dpkg -s libfaketime >/dev/null 2>&1 || {install}", timeout=300)
    # What tor has of the network would carry it over a wrong clock for a while.
    script = (
        'mkdir -p "${1%/*}"; printf %s "$2" >"$1"; systemctl daemon-reload; '
        "systemctl stop tor@default; rm -f /var/lib/tor/cached-*; systemctl start tor@default"
    )
    site.ask(host, "sh", "-ec", script, "sh", DROP_IN, FAKETIME)
    deadline = time.monotonic() + 180
    said: list[str] = []
    while time.monotonic() < deadline and not any("clock" in one for one in said):
        said = [one for one in site.verify(directory)["broken"] if one.startswith(f"{host}: Tor")]
    assert any("clock" in one for one in said), f"verify.yml says no more than {said}"
