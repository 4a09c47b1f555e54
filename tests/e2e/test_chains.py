# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two chains side by side on one site, and who uses a node from another host: by TLS, with a name that the node knows, or not at all.

The second chain is testnet4, which nobody in the lab has: its node has no peers. What is proved is that it stands beside the other one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standing import Site, bitcoin_container, declaration, lxc, wait_for

HOST, MANAGER = "bitcoin-1", "manager-1"
NODE = "bitcoin-1-testnet4"
RPC, WAY, ZMQ = 18443, 19443, 28364

# Each has its part of 2GiB. Managers use the first one.
DECLARED = """\
    volume_size: 5GiB
    consumers: [{name: probe, tier: manager}]
    chains:
      testnet4: {prune: 550MiB, memory: 768MiB}"""

# The greeting of ZMTP, and what the other end greets with.
GREET = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as s:
    s.sendall(b"\\xff" + bytes(8) + b"\\x7f\\x03\\x00" + b"NULL".ljust(20, b"\\x00") + bytes(32))
    s.settimeout(10)
    print(s.recv(10).hex())
"""
# Whether a TLS server takes somebody without a certificate: in TLS 1.3 that is known once it answers.
STRANGER = """
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as plain, context.wrap_socket(plain) as s:
        s.sendall(b"POST / HTTP/1.0\\r\\n\\r\\n")
        print("answered" if s.recv(1) else "refused")
except OSError:
    print("refused")
"""


def address(site: Site, host: str) -> str:
    return str(site.hostvars[host]["bcm_addresses"]["cluster"])


@pytest.fixture(scope="module")
def two(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same site with two chains declared. Afterwards it is as it was."""
    inventory = declaration(tmp_path_factory.mktemp("chains"), **{"    volume_size": DECLARED})
    found = Site.read(inventory)
    for stage in ("swarm", "bitcoin"):
        run = found.play(f"playbooks/{stage}.yml")
        assert run.status == 0, run.text[-3000:]
    yield found
    # The second node is stopped by this.
    for stage in ("swarm", "bitcoin"):
        run = site.play(f"playbooks/{stage}.yml")
        assert run.status == 0, run.text[-3000:]
    wait_for(
        "end of the second node",
        lambda: not site.ask(HOST, "docker", "ps", "-q", "--filter", f"label=bcm.node={NODE}"),
        120,
    )
    lxc("config", "device", "remove", HOST, "bitcoin-testnet4", project=site.project, check=False)
    lxc(
        "storage",
        "volume",
        "delete",
        site.hostvars[HOST]["bcm_pool"]["name"],
        f"{HOST}-bitcoin-testnet4",
        project=site.project,
        check=False,
    )
    site.run(HOST, "rm", "-rf", "/etc/bcm/bitcoin-testnet4", "/usr/local/bin/bitcoin-cli-testnet4")


def ask(site: Site, client: str, *words: str) -> Any:
    return json.loads(site.ask(HOST, client, *words))


def password(site: Site, name: str) -> str:
    return (site.store / name).read_text().strip()


def test_each_chain_has_a_node_of_its_own(two: Site) -> None:
    wait_for("the second node", lambda: two.run(HOST, "bitcoin-cli-testnet4", "getblockchaininfo").returncode == 0, 120)
    assert ask(two, "bitcoin-cli", "getblockchaininfo")["chain"] == "regtest"
    assert ask(two, "bitcoin-cli-testnet4", "getblockchaininfo")["chain"] == "testnet4"
    assert bitcoin_container(two) != bitcoin_container(two, NODE)


def test_they_share_no_data_no_port_and_no_password(two: Site) -> None:
    form = "{{range .Mounts}}{{.Source}} {{end}}"
    first, second = (
        set(two.ask(HOST, "docker", "inspect", "--format", form, bitcoin_container(two, node)).split())
        for node in (HOST, NODE)
    )
    assert {path for path in first & second if "bitcoin" in path} == set()
    volumes = {"/srv/bitcoin", "/srv/bitcoin-testnet4"}
    assert all(two.run(HOST, "mountpoint", "--quiet", path).returncode == 0 for path in volumes)
    secrets = [password(two, name) for name in ("bitcoin-rpc-monitor", "bitcoin-testnet4-rpc-monitor")]
    assert secrets[0] != secrets[1]
    onions = [
        ask(two, client, "getnetworkinfo")["localaddresses"] for client in ("bitcoin-cli", "bitcoin-cli-testnet4")
    ]
    assert [[one["port"] for one in found] for found in onions] == [[18444], [48333]]
    assert onions[0][0]["address"] != onions[1][0]["address"]
    assert all(found[0]["address"].endswith(".onion") for found in onions)


def test_verify_names_both_and_all_works(two: Site, tmp_path: Path) -> None:
    report = wait_for("a report that all works", lambda: (found := two.verify(tmp_path))["works"] and found, 120)
    parts = {part["part"].split(" (")[0] for part in report["parts"] if part["host"] == HOST}
    assert {"bitcoind", "bitcoind of testnet4", "Ways to Bitcoin nodes by TLS"} <= parts


def test_a_second_run_changes_nothing(two: Site) -> None:
    run = two.play("playbooks/bitcoin.yml")
    assert (run.status, run.changed) == (0, set()), run.text[-3000:]


def test_a_consumer_on_another_host_finds_the_node_at_an_address_of_its_own(two: Site) -> None:
    here = address(two, MANAGER)
    assert two.ask(MANAGER, "python3", "-c", GREET, here, str(ZMQ)).strip().startswith("ff")
    said = two.ask(
        MANAGER, "curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", f"http://{here}:{RPC}/"
    )
    assert said == "405"


def test_nothing_in_clear_leads_from_one_host_to_another(two: Site) -> None:
    curl = ["curl", "--silent", "--max-time", "5", "--output", "/dev/null"]
    for asking, asked, port in (
        (MANAGER, HOST, RPC),
        (MANAGER, HOST, ZMQ),
        (MANAGER, HOST, 48332),
        ("manager-2", MANAGER, RPC),
        (HOST, MANAGER, RPC),
    ):
        assert two.run(asking, *curl, f"http://{address(two, asked)}:{port}/").returncode != 0, (
            f"{asking} reaches {asked}:{port}"
        )


def test_an_exit_takes_nobody_without_a_certificate(two: Site) -> None:
    assert two.ask(MANAGER, "python3", "-c", STRANGER, address(two, HOST), str(WAY)).strip() == "refused"


def test_the_way_heals_with_the_program_killed_at_either_end(two: Site) -> None:
    here = address(two, MANAGER)
    for host in (HOST, MANAGER):
        two.ask(host, "systemctl", "kill", "--signal=KILL", "bcm-tls-way")
        wait_for(
            "the way",
            lambda: (
                two.run(
                    MANAGER, "curl", "--silent", "--output", "/dev/null", "--fail-with-body", f"http://{here}:{RPC}/"
                ).returncode
                == 22
            ),
            30,
        )


def test_taken_off_the_declaration_there_is_no_way_any_more(two: Site, tmp_path: Path) -> None:
    without = declaration(
        tmp_path, **{"    volume_size": DECLARED.replace("    consumers: [{name: probe, tier: manager}]\n", "")}
    )
    run = two.play("playbooks/bitcoin.yml", inventory=without)
    assert run.status == 0, run.text[-3000:]
    for host in (HOST, MANAGER):
        assert two.run(host, "systemctl", "cat", "bcm-tls-way").returncode != 0
        assert two.run(host, "test", "-e", "/etc/bcm/tls-way").returncode != 0
    assert two.play("playbooks/bitcoin.yml").status == 0
