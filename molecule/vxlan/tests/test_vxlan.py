# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches whom behind the bridges of three servers, while peers come and go, and after a restart."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from standing import Run, restart, wait_for
from testinfra.host import Host

SERVERS = {name: f"198.18.71.{name[-1]}" for name in ("vxlan-1", "vxlan-2", "vxlan-3")}
GUESTS = {name: f"203.0.113.{name[-1]}" for name in SERVERS}
INTERFACE, BRIDGE = "vxrack-inner", "inner0"
UNIT = "bcm-vxlan-rack.service"
CONFIG = "/etc/bcm/vxlan/rack.json"
# What is left of the 1500 bytes of the underlay, and what ping lays around what it sends: IP and ICMP.
MTU, PING = 1450, 28
STRANGER = (Path(__file__).parent / "stranger.py").read_text()
ITS_ADDRESS = "198.18.71.9"
ITS_HARDWARE = ("02:00:00:00:00:98", "02:00:00:00:00:99")


@pytest.fixture(scope="module")
def servers(instance: Callable[[str], Host]) -> dict[str, Host]:
    """The servers, with somebody behind each bridge."""
    hosts = {name: instance(name) for name in SERVERS}
    for name, host in hosts.items():
        host.check_output("guest %s", GUESTS[name])
    return hosts


def ping(host: Host, *arguments: str) -> str:
    """What ping says inside."""
    asked = host.run("ip netns exec guest ping " + " ".join(["%s"] * len(arguments)), *arguments)
    return str(asked.stdout)


def received(said: str) -> int:
    found = re.search(r"(\d+) received", said)
    assert found, said
    return int(found[1])


def in_force(host: Host) -> str:
    """The master, size and number of the interface."""
    link = json.loads(host.check_output("ip -d -j link show %s", INTERFACE))[0]
    return f"{link.get('master')} {link['mtu']} {link['linkinfo']['info_data']['id']}"


def peers_of(host: Host) -> set[str]:
    table = json.loads(host.check_output("bridge -j fdb show dev %s", INTERFACE))
    return {entry["dst"] for entry in table if entry["mac"] == "00:00:00:00:00:00"}


@pytest.mark.parametrize("name", SERVERS)
def test_bridges_are_joined_to_the_other_two(servers: dict[str, Host], name: str) -> None:
    assert in_force(servers[name]) == f"{BRIDGE} {MTU} 9000001"
    assert peers_of(servers[name]) == set(SERVERS.values()) - {SERVERS[name]}
    # The server itself is not in the network.
    assert "inet" not in servers[name].check_output("ip address show dev %s", INTERFACE)


@pytest.mark.parametrize(("one", "other"), [("vxlan-1", "vxlan-2"), ("vxlan-2", "vxlan-3"), ("vxlan-3", "vxlan-1")])
def test_packets_of_full_size_arrive_and_larger_ones_do_not(servers: dict[str, Host], one: str, other: str) -> None:
    whole = ["-c3", "-i0.2", "-W2", "-Mdo", f"-s{MTU - PING}", GUESTS[other]]
    assert received(ping(servers[one], *whole)) == 3
    # Also where both believe in more.
    for name in (one, other):
        servers[name].check_output("ip -n guest link set eth0 mtu 1500")
    larger = ["-c2", "-i0.2", "-W1", "-Mdo", f"-s{MTU - PING + 1}", GUESTS[other]]
    said = ping(servers[one], *larger)
    for name in (one, other):
        servers[name].check_output("ip -n guest link set eth0 mtu %s", str(MTU))
    assert received(said) == 0


def test_a_broadcast_reaches_all(servers: dict[str, Host]) -> None:
    servers["vxlan-1"].check_output("ip -n guest neigh flush all")
    said = ping(servers["vxlan-1"], "-b", "-c2", "-i0.5", "-W2", "203.0.113.255")
    assert {address for address in GUESTS.values() if f"from {address}:" in said} == set(GUESTS.values())


def test_peers_come_and_go_and_nobody_else_notices(servers: dict[str, Host], converge: Callable[..., Run]) -> None:
    one = servers["vxlan-1"]
    unit = "systemd-run --unit=pings --property=KillSignal=SIGINT --property=StandardOutput=truncate:/run/pings"
    one.check_output(f"{unit} ip netns exec guest ping -i0.1 %s", GUESTS["vxlan-2"])
    less = converge("converge.yml", "--limit=vxlan-1", vxlan_peers=[SERVERS["vxlan-2"]])
    assert less.status == 0, less.text[-3000:]
    assert peers_of(one) == {SERVERS["vxlan-2"]}
    assert received(ping(one, "-c2", "-i0.2", "-W1", GUESTS["vxlan-3"])) == 0

    check = converge("converge.yml", "--limit=vxlan-1", "--check")
    assert {task for _host, task in check.changed} >= {"bcm.datacenter.vxlan : Say what would be done"}
    assert peers_of(one) == {SERVERS["vxlan-2"]}
    again = converge("converge.yml", "--limit=vxlan-1")
    assert again.status == 0, again.text[-3000:]
    assert received(ping(one, "-c2", "-i0.2", "-W2", GUESTS["vxlan-3"])) == 2

    one.check_output("systemctl stop pings")
    # What was under way when it stopped is not lost: the last one that came back counts.
    back = {int(number) for number in re.findall(r"bytes from .* icmp_seq=(\d+)", one.check_output("cat /run/pings"))}
    assert len(back) > 50
    assert max(back) - len(back) <= 1


def test_a_stranger_is_heard_unless_the_firewall_lets_only_peers_in(
    servers: dict[str, Host], converge: Callable[..., Run]
) -> None:
    """VXLAN knows no senders. What the role tells for the firewall is what keeps them out."""
    target, from_elsewhere = servers["vxlan-1"], servers["vxlan-3"]

    def send(hardware: str) -> None:
        argv = (STRANGER, ITS_ADDRESS, SERVERS["vxlan-1"], hardware)
        from_elsewhere.check_output("python3 -c %s %s %s 9000001 %s", *argv)

    def heard(hardware: str) -> bool:
        return hardware in target.check_output("bridge fdb show dev %s", INTERFACE)

    first, second = ITS_HARDWARE
    from_elsewhere.check_output("ip address replace %s/20 dev eth0", ITS_ADDRESS)
    send(first)
    wait_for("what the stranger sent", lambda: heard(first), 10)
    told = converge("converge.yml", "--limit=vxlan-1")
    assert not told.changed
    assert f"{first} behind {ITS_ADDRESS}, on {INTERFACE}" in told.text

    peers = ", ".join(address for name, address in SERVERS.items() if name != "vxlan-1")
    hook = "type filter hook input priority 0"
    rules = f"table inet t {{ chain c {{ {hook}; udp dport 4789 ip saddr != {{ {peers} }} counter drop; }}; }}"
    target.check_output("echo %s | nft -f -", rules)
    send(second)
    wait_for("the firewall's count", lambda: "packets 1 " in target.check_output("nft list table inet t"), 10)
    assert not heard(second)
    assert received(ping(target, "-c2", "-i0.2", "-W2", GUESTS["vxlan-3"])) == 2
    target.check_output("nft delete table inet t")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"vxlan_peers": ["198.18.71", "198.18.71.1"], "vxlan_networks": [{"interface": "vx-much-too-long-x", "vni": 2**24}]},
            [
                "vxlan_peers has 198.18.71, which is no IP address",
                "vxlan_peers has 198.18.71.1, which is vxlan_local itself",
                "'vx-much-too-long-x'; allowed is",
                "vni is 16777216; allowed is 1 to 16777215",
            ],
        ),
        (
            {"vxlan_networks": [{"interface": "eth0", "vni": 1, "mtu": 1451}, {"interface": "vxb", "vni": 2, "bridge": "eth0"}]},
            [
                "eth0 is there and is not site rack's",
                "eth0, which vxb is to be attached to, is no bridge",
                "mtu is 1451, and the underlay carries 1500 bytes",
            ],
        ),
        ({"vxlan_local": "198.18.71.4"}, ["vxlan_local is 198.18.71.4, which this host does not have"]),
    ],
)  # fmt: skip
def test_wrong_input(
    servers: dict[str, Host], refusal: Callable[..., str], variables: object, words: list[str]
) -> None:
    look = "ip link show; cat %s"
    before = servers["vxlan-1"].check_output(look, CONFIG)
    said = refusal("--limit=vxlan-1", **variables)  # type: ignore[arg-type]
    assert [word for word in words if word not in said] == [], said
    assert servers["vxlan-1"].check_output(look, CONFIG) == before


def test_a_server_that_restarts_comes_back_by_itself(servers: dict[str, Host]) -> None:
    restart("vxlan-2", "molecule")
    host = servers["vxlan-2"]
    # LXD of Debian's package starts when it is asked for something, unless it has instances to start.
    wait_for("LXD", lambda: host.run("lxc network list").rc == 0, 120)
    assert in_force(host) == f"{BRIDGE} {MTU} 9000001"
    assert peers_of(host) == {SERVERS["vxlan-1"], SERVERS["vxlan-3"]}
    # It was there before LXD looked for it.
    show = "systemctl show --value --property={} {}"
    done = int(host.check_output(show.format("ActiveEnterTimestampMonotonic", UNIT)))
    assert 0 < done < int(host.check_output(show.format("ExecMainStartTimestampMonotonic", "lxd.service")))
    host.check_output("guest %s", GUESTS["vxlan-2"])
    assert received(ping(host, "-c3", "-i0.2", "-W2", "-Mdo", f"-s{MTU - PING}", GUESTS["vxlan-3"])) == 3


def test_without_networks_nothing_is_left(servers: dict[str, Host], converge: Callable[..., Run]) -> None:
    host = servers["vxlan-3"]
    paths = [CONFIG, "/etc/bcm/vxlan", "/usr/local/lib/bcm/bcm-vxlan", f"/etc/systemd/system/{UNIT}"]

    def there() -> list[str]:
        return [path for path in paths if host.run("test -e %s", path).rc == 0]

    check = converge("converge.yml", "--limit=vxlan-3", "--check", vxlan_networks=[])
    assert len(check.changed) == 3
    assert there() == paths

    run = converge("converge.yml", "--limit=vxlan-3", vxlan_networks=[])
    assert run.status == 0, run.text[-3000:]
    assert there() == []
    assert host.run("ip link show %s", INTERFACE).rc != 0
    # What is its administrator's stays.
    assert host.run("ip link show %s", BRIDGE).rc == 0
    assert not converge("converge.yml", "--limit=vxlan-3", vxlan_networks=[]).changed
