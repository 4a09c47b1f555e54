# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes through the mesh, who is let in, and what stays of it while keys, peers and programs change."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from standing import Run, restart, wait_for
from testinfra.host import Host

SERVERS = {name: f"198.18.72.{name[-1]}" for name in ("wireguard-1", "wireguard-2", "wireguard-3")}
MESH = {name: f"198.19.72.{name[-1]}" for name in SERVERS}
STRANGER = "wireguard-4"
INTERFACE = "wgrack"
UNIT = "bcm-wireguard-rack.service"
HOME = "/etc/bcm/wireguard/rack"
PROGRAM = "/usr/local/lib/bcm/bcm-wireguard"
# What is left of the 1500 bytes of the underlay, in the mesh and in VXLAN in it, and what ping lays around what it sends.
MTU, INNER, PING = 1440, 1390, 28
CAPTURE = (Path(__file__).parent / "capture.py").read_text()
# In hexadecimal digits, as ping takes it.
WORD = "nobody-reads-me"
PATTERN = WORD.encode().hex()


@pytest.fixture(scope="module")
def servers(instance: Callable[[str], Host]) -> dict[str, Host]:
    return {name: instance(name) for name in SERVERS}


def received(said: str) -> int:
    found = re.search(r"(\d+) received", said)
    assert found, said
    return int(found[1])


def ping(host: Host, *arguments: str) -> int:
    """How many come back."""
    asked = host.run("ping -n -i0.2 " + " ".join(["%s"] * len(arguments)), *arguments)
    return received(str(asked.stdout))


def key_of(host: Host) -> str:
    """The public key in force."""
    return str(host.check_output("wg show %s public-key", INTERFACE))


def peers_of(host: Host) -> dict[str, str]:
    """Public keys, and what may come from each."""
    lines = host.check_output("wg show %s allowed-ips", INTERFACE).splitlines()
    return dict(line.split("\t") for line in lines)


def status(host: Host) -> dict[str, object]:
    said: dict[str, object] = json.loads(host.check_output("%s status %s/config.json", PROGRAM, HOME))
    return said


def all_reach_each_other(servers: dict[str, Host]) -> bool:
    return all(
        ping(host, "-c1", "-W2", address) == 1
        for name, host in servers.items()
        for other, address in MESH.items()
        if other != name
    )


def capture(host: Host, interface: str) -> tuple[int, int]:
    """Frames, and those with the word in them, while somebody pings through the mesh with it."""
    count, found = host.check_output("python3 -c %s %s 4 %s", CAPTURE, interface, WORD).split()
    return int(count), int(found)


@pytest.mark.parametrize("name", SERVERS)
def test_each_server_knows_the_others_and_what_may_come_from_them(servers: dict[str, Host], name: str) -> None:
    assert peers_of(servers[name]) == {
        key_of(other): f"{MESH[others_name]}/32" for others_name, other in servers.items() if others_name != name
    }
    said = status(servers[name])
    assert said["ready"], said
    assert set(re.findall(r"(wireguard-\d) \d+ s ago", str(said["note"]))) == set(SERVERS) - {name}


def test_packets_of_full_size_arrive_and_larger_ones_do_not(servers: dict[str, Host]) -> None:
    for one, other in (("wireguard-1", "wireguard-2"), ("wireguard-2", "wireguard-3"), ("wireguard-3", "wireguard-1")):
        whole = ["-c3", "-W2", "-Mdo", f"-s{MTU - PING}", MESH[other]]
        assert ping(servers[one], *whole) == 3
        assert ping(servers[one], "-c2", "-W1", "-Mdo", f"-s{MTU - PING + 1}", MESH[other]) == 0


def test_keys_lie_where_they_were_made_and_nowhere_else(servers: dict[str, Host], converge: Callable[..., Run]) -> None:
    run = converge("converge.yml", "-vvv")
    assert (run.status, run.changed) == (0, set()), run.text[-3000:]
    private = {}
    for name, host in servers.items():
        private[name] = host.check_output("cat %s/key-1", HOME).strip()
        assert len(private[name]) == 44
        assert host.check_output("stat -c %%a:%%U %s/key-1 %s", HOME, HOME).split() == ["600:root", "700:root"]
        found = host.check_output("grep -rlF %s /etc /var/lib /usr/local /run 2>/dev/null || true", private[name])
        assert found.split() == [f"{HOME}/key-1"]
    assert len(set(private.values())) == 3
    assert not any(key in run.text for key in private.values())


def test_nothing_of_it_is_in_clear_on_the_underlay(servers: dict[str, Host]) -> None:
    sender, receiver = servers["wireguard-1"], servers["wireguard-2"]
    arguments = "-n -i0.1 -p %s %s"
    sender.check_output(f"systemd-run --unit=pings ping {arguments}", PATTERN, MESH["wireguard-2"])
    try:
        inside, seen_inside = capture(receiver, INTERFACE)
        outside, seen_outside = capture(receiver, "eth0")
    finally:
        sender.check_output("systemctl stop pings")
    # The same packets, on the one interface and on the other.
    assert seen_inside > 20
    assert outside > 20
    assert seen_outside == 0, f"{seen_outside} of {outside} frames can be read; in the mesh there were {inside}"


def test_who_has_no_key_that_is_known_is_not_heard(servers: dict[str, Host], instance: Callable[[str], Host]) -> None:
    target, stranger = servers["wireguard-1"], instance(STRANGER)
    before = peers_of(target)
    stranger.check_output(
        "rm -f /root/key; (umask 077; wg genkey >/root/key); ip link del wgx 2>/dev/null; wireguard-go wgx"
    )
    # Everything is right but the key: whom it asks, where, and the address that it takes.
    theirs = f"peer {key_of(target)} endpoint {SERVERS['wireguard-1']}:51820 allowed-ips 198.19.72.0/24 persistent-keepalive 1"
    stranger.check_output(f"wg set wgx private-key /root/key {theirs}")
    stranger.check_output("ip address add %s/24 dev wgx; ip link set wgx up", MESH["wireguard-2"])
    try:
        assert ping(stranger, "-c10", "-W1", MESH["wireguard-1"]) == 0
        sent = stranger.check_output("wg show wgx transfer").split()
        # It asked, and was not answered a single byte.
        assert (int(sent[1]), int(sent[2]) > 0) == (0, True)
        assert stranger.check_output("wg show wgx latest-handshakes").split()[1] == "0"
        assert peers_of(target) == before
        assert all_reach_each_other(servers)
    finally:
        stranger.run("ip link del wgx")


def test_a_peer_speaks_for_itself_alone(servers: dict[str, Host]) -> None:
    """One that has a key sends as if it were another."""
    third, first = servers["wireguard-3"], servers["wireguard-1"]
    third.check_output("ip address add 198.19.72.77/32 dev %s", INTERFACE)
    try:
        third.check_output(
            "systemd-run --unit=pings ping -n -i0.1 -I 198.19.72.77 -p %s %s", PATTERN, MESH["wireguard-1"]
        )
        _count, seen = capture(first, INTERFACE)
        assert seen == 0
    finally:
        third.run("systemctl stop pings; ip address del 198.19.72.77/32 dev %s", INTERFACE)


def test_peers_come_and_go_and_nobody_else_notices(servers: dict[str, Host], converge: Callable[..., Run]) -> None:
    one = servers["wireguard-1"]
    fewer = [
        {"name": name, "endpoint": SERVERS[name], "address": MESH[name]} for name in ("wireguard-1", "wireguard-2")
    ]
    unit = "systemd-run --unit=pings --property=KillSignal=SIGINT --property=StandardOutput=truncate:/run/pings"
    one.check_output(f"{unit} ping -n -i0.1 %s", MESH["wireguard-2"])

    check = converge("converge.yml", "--limit=wireguard-1", "--check", scenario_members=fewer)
    third = key_of(servers["wireguard-3"])
    assert f"remove the peer with the key {third}" in check.text
    assert third in peers_of(one)
    less = converge("converge.yml", "--limit=wireguard-1", scenario_members=fewer)
    assert less.status == 0, less.text[-3000:]
    assert third not in peers_of(one)
    assert ping(servers["wireguard-3"], "-c2", "-W1", MESH["wireguard-1"]) == 0

    # It has forgotten the key, and the server that has it is not asked.
    alone = converge("converge.yml", "--limit=wireguard-1")
    assert alone.status != 0
    assert "the public key of wireguard-3 is not known here" in "\n".join(alone.failures)
    again = converge()
    assert again.status == 0, again.text[-3000:]
    assert all_reach_each_other(servers)

    one.check_output("systemctl stop pings")
    # What was under way when it stopped is not lost: the last one that came back counts.
    back = {int(number) for number in re.findall(r"bytes from .* icmp_seq=(\d+)", one.check_output("cat /run/pings"))}
    assert len(back) > 50
    assert max(back) - len(back) <= 1
    # Those that have no part in a run are known by what they said before.
    assert not converge("converge.yml", "--limit=wireguard-2").changed


def test_another_serial_makes_other_keys_once(servers: dict[str, Host], converge: Callable[..., Run]) -> None:
    before = {name: key_of(host) for name, host in servers.items()}
    check = converge("converge.yml", "--check", wireguard_key_serial=2)
    assert check.status == 0, check.text[-3000:]
    assert "make a private key" in check.text
    assert {name: key_of(host) for name, host in servers.items()} == before

    run = converge(wireguard_key_serial=2)
    assert run.status == 0, run.text[-3000:]
    after = {name: key_of(host) for name, host in servers.items()}
    assert not set(after.values()) & set(before.values())
    assert all_reach_each_other(servers)
    for host in servers.values():
        assert host.check_output("ls %s", HOME).split() == ["config.json", "key-2"]
    assert converge(wireguard_key_serial=2).changed == set()
    # Back to what the scenario has.
    assert converge().status == 0
    assert all_reach_each_other(servers)


def test_a_server_that_restarts_comes_back_by_itself(servers: dict[str, Host]) -> None:
    restart("wireguard-2", "molecule")
    host = servers["wireguard-2"]
    wait_for("the mesh", lambda: host.run("systemctl is-active %s", UNIT).rc == 0, 60)
    wait_for("the others", lambda: all_reach_each_other(servers), 60)
    assert ping(host, "-c3", "-W2", "-Mdo", f"-s{MTU - PING}", MESH["wireguard-3"]) == 3


def test_a_program_that_is_killed_is_started_again(servers: dict[str, Host]) -> None:
    host = servers["wireguard-3"]
    show = "systemctl show --value --property=MainPID %s"
    before = host.check_output(show, UNIT)
    host.check_output("kill -9 %s", before)
    wait_for("another one", lambda: host.check_output(show, UNIT) not in (before, "0"), 30)
    wait_for("the others", lambda: all_reach_each_other(servers), 60)
    assert status(host)["ready"]


def test_what_is_not_heard_of_is_told(servers: dict[str, Host]) -> None:
    """As verify.yml asks: an interface that is there is not enough."""
    host = servers["wireguard-1"]
    host.check_output("wg set %s peer %s remove", INTERFACE, key_of(servers["wireguard-2"]))
    said = status(host)
    assert not said["ready"]
    assert "this is still to be done: wgrack: add peer wireguard-2, 198.18.72.2" in str(said["reason"])
    assert "no handshake with wireguard-2 (198.18.72.2:51820) yet" in str(said["reason"])
    host.check_output("systemctl reload %s", UNIT)
    wait_for("the peer", lambda: bool(status(host)["ready"]), 30)


def test_vxlan_goes_through_it_with_packets_of_full_size(
    servers: dict[str, Host], converge: Callable[..., Run]
) -> None:
    run = converge("vxlan.yml")
    assert run.status == 0, run.text[-3000:]
    for name, host in servers.items():
        number = name[-1]
        host.check_output(
            "ip netns add guest; "
            f"ip link add guest0 mtu {INNER} type veth peer name eth0 mtu {INNER} netns guest; "
            "ip link set guest0 master inner0 up; ip -n guest link set eth0 up; "
            f"ip -n guest address add 192.0.2.{number}/24 dev eth0"
        )
    inside = servers["wireguard-1"]
    for size, expected in ((INNER, 3), (INNER + 1, 0)):
        said = inside.run(f"ip netns exec guest ping -n -c3 -i0.2 -W2 -Mdo -s{size - PING} 192.0.2.3").stdout
        assert received(str(said)) == expected
    sender = f"ip netns exec guest ping -n -i0.1 -p {PATTERN} 192.0.2.2"
    inside.check_output(f"systemd-run --unit=pings {sender}")
    try:
        assert capture(servers["wireguard-2"], "vxrack-inner")[1] > 20
        assert capture(servers["wireguard-2"], "eth0")[1] == 0
    finally:
        inside.check_output("systemctl stop pings")
    vxlan = json.loads(inside.check_output("/usr/local/lib/bcm/bcm-vxlan status /etc/bcm/vxlan/rack.json encrypted"))
    assert (vxlan["ready"], vxlan["note"]) == (True, "encrypted by WireGuard, wgrack")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"wireguard_interface": "wg-much-too-long-x", "wireguard_address": "198.19.72.1", "wireguard_port": 70000},
            [
                "wireguard_interface is 'wg-much-too-long-x'; allowed is",
                "wireguard_address is 198.19.72.1, in whose network there is no room for another one",
                "wireguard_port is 70000; allowed is 1 to 65535",
            ],
        ),
        ({"wireguard_interface": "eth0"}, ["eth0 is there and is not site rack's"]),
        (
            {"wireguard_mtu": 1441},
            ["wireguard_mtu is 1441, and eth0 carries packets of 1500 bytes, of which WireGuard takes 60; allowed is at most 1440"],
        ),
        ({"wireguard_address": "198.18.72.200/20"}, ["eth0 has 198.18.72.1/20, and 198.18.64.0/20 is to be WireGuard's"]),
    ],
)  # fmt: skip
def test_wrong_input(
    servers: dict[str, Host], refusal: Callable[..., str], variables: dict[str, object], words: list[str]
) -> None:
    # The program shows its peers in another order each time.
    look = "ip link show; cat %s/config.json; wg show %s peers | sort"
    before = servers["wireguard-1"].check_output(look, HOME, INTERFACE)
    if variables.get("wireguard_address") == "198.18.72.200/20":
        members = [
            {"name": name, "endpoint": address, "address": f"198.18.72.10{name[-1]}"}
            for name, address in SERVERS.items()
        ]
        variables = {**variables, "scenario_members": members}
    said = refusal("--limit=wireguard-1", **variables)
    assert [word for word in words if word not in said] == [], said
    assert servers["wireguard-1"].check_output(look, HOME, INTERFACE) == before


def test_the_kernel_does_it_where_it_can(servers: dict[str, Host], converge: Callable[..., Run]) -> None:
    """One that cannot is told before anything is touched; where it can, it takes the place of the program, and gives it back."""
    host = servers["wireguard-1"]
    able = host.run("unshare --net ip link add name probe type wireguard").rc == 0
    before = host.check_output("cat %s/config.json", HOME)
    run = converge("converge.yml", wireguard_userspace=False)
    if not able:
        assert run.status != 0
        assert "the kernel of this machine makes no WireGuard interface" in "\n".join(run.failures)
        assert run.changed == set()
        assert host.check_output("cat %s/config.json", HOME) == before
        return
    assert run.status == 0, run.text[-3000:]
    assert all_reach_each_other(servers)
    assert host.run("pgrep wireguard-go").rc != 0
    assert converge().status == 0
    assert all_reach_each_other(servers)


def test_without_peers_nothing_is_left(servers: dict[str, Host], converge: Callable[..., Run]) -> None:
    host = servers["wireguard-3"]
    paths = [HOME, "/etc/bcm/wireguard", PROGRAM, f"/etc/systemd/system/{UNIT}"]

    def there() -> list[str]:
        return [path for path in paths if host.run("test -e %s", path).rc == 0]

    check = converge("converge.yml", "--limit=wireguard-3", "--check", wireguard_peers=[])
    assert check.changed
    assert there() == paths
    run = converge("converge.yml", "--limit=wireguard-3", wireguard_peers=[])
    assert run.status == 0, run.text[-3000:]
    assert there() == []
    assert host.run("ip link show %s", INTERFACE).rc != 0
    assert not converge("converge.yml", "--limit=wireguard-3", wireguard_peers=[]).changed
    # The others go on.
    assert ping(servers["wireguard-1"], "-c2", "-W2", MESH["wireguard-2"]) == 2
