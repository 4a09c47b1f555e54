# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site on three servers that stands in clear is encrypted by an ordinary run, and in clear again by another. Nothing is restarted."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from standing import CHECKOUT, lab, node_answers, wait_for
from test_shrink import running
from test_site import HEADERS, SERVERS, RackSite

CLEAR, ENCRYPTED, OVERLAY = 1450, 1390, 1400
WORD = "nobody-reads-me"
CAPTURE = (CHECKOUT / "molecule/wireguard/tests/capture.py").read_text()
# Sends so many bytes, and says how many have come.
SEND = "import socket, sys; s = socket.create_connection((sys.argv[1], 7000), 10); s.sendall(b'x' * int(sys.argv[2])); s.close()"
RECEIVE = """
import socket
with socket.create_server(("", 7000)) as door:
    caller, count = door.accept()[0], 0
    while part := caller.recv(65536):
        count += len(part)
print(count)
"""


@pytest.fixture(scope="module")
def site() -> Iterator[RackSite]:
    """The site as it stands, in clear. Its servers are switched on afterwards."""
    yield RackSite.read(CHECKOUT / "inventories/lab-rack")
    lab("rack", "on", *SERVERS)


def declared(directory: Path, encryption: str) -> RackSite:
    """The same site with another word for its encryption."""
    folder = directory / encryption
    shutil.copytree(CHECKOUT / "inventories/lab-rack", folder)
    with (folder / "site.bcm.yml").open("a") as file:
        file.write(f"\ncluster: {{encryption: {encryption}}}\n")
    return RackSite.read(folder)


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> RackSite:
    return declared(tmp_path_factory.mktemp("encrypted"), "wireguard-go")


def cards(site: RackSite) -> dict[str, int]:
    """How large packets of each instance are on the inner networks."""
    found: dict[str, int] = {}
    for name in site.instances:
        network = site.query(f"/1.0/instances/{name}/state?project={site.project}")["network"]
        found |= {f"{name} {card}": network[card]["mtu"] for card in ("gateway", "cluster") if card in network}
    return found


def between(site: RackSite, size: int, *more: str) -> bool:
    """Whether packets of a size arrive from manager to manager, on different servers, in one piece."""
    whole = ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-M", "do", "-s", str(size - HEADERS), *more]
    others = ("manager-2", "manager-3")
    return all(site.run("manager-1", *whole, site.address(other, "cluster")).returncode == 0 for other in others)


def ways(site: RackSite, tmp_path: Path) -> set[str]:
    """What verify.yml says of the networks between the servers."""
    parts = site.verify(tmp_path)["parts"]
    return {part["part"] for part in parts if "between the machines" in part["part"]}


def rules(site: RackSite, server: str) -> list[str]:
    """What the firewall of a server says of VXLAN and of WireGuard."""
    text = site.on(server, "nft", "list", "table", "inet", "bcm_host").stdout
    return sorted(line.strip() for line in text.splitlines() if "udp dport" in line and "sport" not in line)


def seen_on_the_wire(site: RackSite) -> int:
    """Frames with the word in them on a server's own card, while one manager pings another with it, and how many there are."""
    target = site.places()["manager-2"]
    ping = ["ping", "-n", "-i", "0.1", "-c", "60", "-p", WORD.encode().hex(), site.address("manager-2", "cluster")]
    site.ask("manager-1", "systemd-run", "--unit=wire", *ping)
    count, found = site.on(target, "python3", "-c", CAPTURE, "eth0", "4", WORD).stdout.split()
    site.run("manager-1", "systemctl", "stop", "wire")
    assert int(count) > 30
    return int(found)


def test_a_kernel_without_it_is_refused_before_anything_is_touched(site: RackSite, tmp_path: Path) -> None:
    able = (
        site.on(SERVERS[0], "unshare", "--net", "ip", "link", "add", "name", "probe", "type", "wireguard").returncode
        == 0
    )
    assert not able, "this kernel has WireGuard: have the test declare it"
    run = declared(tmp_path, "wireguard").play("playbooks/site.yml")
    assert run.status != 0
    assert run.changed == set()
    assert "Nothing was touched. rack-1: its kernel makes no WireGuard interface" in "\n".join(run.failures)


def test_a_rehearsal_says_what_would_change(site: RackSite, encrypted: RackSite) -> None:
    before = cards(site)
    assert set(before.values()) == {CLEAR}
    run = encrypted.play("playbooks/site.yml", "--check")
    assert run.status == 0, run.text[-5000:]
    assert f"cluster of manager-1: packets of {ENCRYPTED} bytes instead of {CLEAR}" in run.text
    interface = encrypted.hostvars["rack-1"]["bcm_tunnel"]["interface"]
    assert f"make {interface}, WireGuard at port" in run.text
    assert f"would be joined through {interface}" in run.text
    assert cards(site) == before
    assert site.on("rack-1", "test", "-e", "/etc/bcm/wireguard").returncode != 0


def test_an_ordinary_run_encrypts_what_stands(site: RackSite, encrypted: RackSite, tmp_path: Path) -> None:
    assert seen_on_the_wire(site) > 0
    processes, places = running(site), site.places()
    block = site.ask("bitcoin-1", "bitcoin-cli", "getbestblockhash")
    run = encrypted.play("playbooks/site.yml")
    assert run.status == 0, run.text[-5000:]
    # Not one instance was restarted, and none has another size than its network.
    assert (running(site), site.places()) == (processes, places)
    assert set(cards(site).values()) == {ENCRYPTED}
    assert between(site, ENCRYPTED)
    assert not between(site, ENCRYPTED + 1)
    assert seen_on_the_wire(site) == 0
    assert site.members() == dict.fromkeys(SERVERS, "Online")
    assert set(site.managers().values()) == {"Ready"}
    assert node_answers(site)
    assert site.ask("bitcoin-1", "bitcoin-cli", "getbestblockhash") == block

    again = encrypted.play("playbooks/site.yml")
    assert (again.status, again.changed) == (0, set()), again.text[-5000:]


def test_it_is_said(site: RackSite, encrypted: RackSite, tmp_path: Path) -> None:
    interface = encrypted.hostvars["rack-1"]["bcm_tunnel"]["interface"]
    said = ways(encrypted, tmp_path)
    assert f"Networks between the machines (encrypted by WireGuard, {interface})" in said
    tunnels = [part for part in said if part.startswith("WireGuard between the machines (last handshake: ")]
    assert len(tunnels) == 3
    assert all(len(re.findall(r"rack-\d \d+ s ago", part)) == 2 for part in tunnels)
    # LXD's own traffic is TLS, and goes where it went.
    assert {item["url"] for item in site.query("/1.0/cluster/members?recursion=1")} == {
        f"https://{site.hostvars[server]['bcm_cluster_address']}:8443" for server in SERVERS
    }


def test_the_way_in_clear_is_closed(site: RackSite, encrypted: RackSite) -> None:
    tunnel = encrypted.hostvars["rack-1"]["bcm_tunnel"]
    for server in SERVERS:
        vxlan, wireguard = rules(site, server)
        if "dport 4789" not in vxlan:
            vxlan, wireguard = wireguard, vxlan
        assert vxlan.startswith(f'iifname "{tunnel["interface"]}" ip saddr')
        assert f"udp dport {tunnel['port']} accept" in wireguard
        assert "iifname" not in wireguard


def test_tasks_on_a_network_that_was_made_before_still_reach_each_other(site: RackSite) -> None:
    """Swarm's networks keep the size that they were made with: what is too large now is split, and what asks is told."""
    image = site.ask(
        "manager-1",
        "docker",
        "service",
        "inspect",
        "bitcoin-1",
        "--format",
        "{{.Spec.TaskTemplate.ContainerSpec.Image}}",
    ).strip()
    option = f"com.docker.network.driver.mtu={OVERLAY}"
    site.ask(
        "manager-1", "docker", "network", "create", "--driver", "overlay", "--attachable", "--opt", option, "sizes"
    )
    try:
        inside = {}
        for name in ("manager-1", "manager-2"):
            container = [
                "--rm",
                "--detach",
                "--name",
                "sizes",
                "--network",
                "sizes",
                "--entrypoint",
                "sleep",
                image,
                "600",
            ]
            site.ask(name, "docker", "run", *container, timeout=300)
            pid, address = site.ask(
                name,
                "docker",
                "inspect",
                "--format",
                "{{.State.Pid}} {{.NetworkSettings.Networks.sizes.IPAddress}}",
                "sizes",
            ).split()
            inside[name] = (pid, address)
        (first, _own), (second, address) = inside["manager-1"], inside["manager-2"]
        enter = ["nsenter", "--net", "--target"]
        ping = ["ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", "-M", "dont", "-s", str(OVERLAY - HEADERS), address]
        assert site.run("manager-1", *enter, first, *ping).returncode == 0
        site.ask("manager-2", "sh", "-c", f"nsenter --net --target {second} python3 -c '{RECEIVE}' >/run/sizes 2>&1 &")
        wait_for(
            "what was sent",
            lambda: site.run("manager-1", *enter, first, "python3", "-c", SEND, address, "5000000").returncode == 0,
            60,
        )
        wait_for("all of it", lambda: site.ask("manager-2", "cat", "/run/sizes").strip() == "5000000", 60)
    finally:
        for name in ("manager-1", "manager-2"):
            site.run(name, "docker", "rm", "--force", "sizes")
        wait_for(
            "end of the network", lambda: site.run("manager-1", "docker", "network", "rm", "sizes").returncode == 0, 60
        )


def test_a_server_that_is_switched_on_again_finds_its_way_back(
    site: RackSite, encrypted: RackSite, tmp_path: Path
) -> None:
    places = site.places()
    needed = {"rack-1", places["proxyhost-1"], places["bitcoin-1"], places["manager-1"]}
    server = next(name for name in SERVERS if name not in needed)
    lab("rack", "off", server)
    try:
        wait_for("word of the loss", lambda: site.takes_for(server) == {"Offline"}, 90)
        report = encrypted.verify(tmp_path)
        said = {part["cause"] for part in report["parts"] if part["part"] == "WireGuard between the machines"}
        # Keys of a session are good for three minutes: until then it may count as heard of.
        assert all("rack" in cause for cause in said), said
    finally:
        lab("rack", "on", server)
    wait_for("a site that works again", lambda: encrypted.verify(tmp_path)["works"], 300, every=5)
    assert between(site, ENCRYPTED)


def test_in_clear_again(site: RackSite, encrypted: RackSite, tmp_path: Path) -> None:
    processes = running(site)
    run = site.play("playbooks/site.yml")
    assert run.status == 0, run.text[-5000:]
    assert running(site) == processes
    assert set(cards(site).values()) == {CLEAR}
    assert between(site, CLEAR)
    interface = encrypted.hostvars["rack-1"]["bcm_tunnel"]["interface"]
    for server in SERVERS:
        links = json.loads(site.on(server, "ip", "-j", "link", "show").stdout)
        assert interface not in {link["ifname"] for link in links}
        assert site.on(server, "test", "-e", "/etc/bcm/wireguard").returncode != 0
        (vxlan,) = rules(site, server)
        assert "dport 4789" in vxlan
        assert "iifname" not in vxlan
    again = site.play("playbooks/site.yml")
    assert (again.status, again.changed) == (0, set()), again.text[-5000:]
    assert site.verify(tmp_path)["works"]
