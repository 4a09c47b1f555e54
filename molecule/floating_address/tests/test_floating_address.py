# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who of three proxies holds the address, whatever happens to the one that does. A client sees no more of it than a pause."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from standing import Run, lxc, start, wait_for
from testinfra.host import Host

PROXIES = {f"floating-{n}": f"198.19.70.{n}" for n in (1, 2, 3)}
CLIENT, ITS_ADDRESS = "floating-client", "198.19.70.9"
ADDRESS, ROUTER_ID = "198.19.70.254", "70"
PROJECT = "molecule"
# What the README promises, in seconds: after a power cut, and for a service that is gone or hangs. These begin when it is done.
POWER, SERVICE = 10, 20
ADVERTISE = (Path(__file__).parent / "advertise.py").read_text()
# Prints the status that the proxy answers with.
FETCH = """
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], 3128, timeout=2)
connection.request("GET", sys.argv[2])
print(connection.getresponse().status)
"""
STATUS = "/usr/local/lib/bcm/bcm-floating-address status /etc/bcm/floating-address.json gateway"
# VRRP alone is lost, in both directions: what a switch can do that is half broken.
DEAF = """
table inet deaf {
  chain input { type filter hook input priority -9; ip protocol 112 drop; }
  chain output { type filter hook output priority -9; ip protocol 112 drop; }
}
"""


@pytest.fixture(scope="module")
def proxies(instance: Callable[[str], Host]) -> dict[str, Host]:
    return {name: instance(name) for name in PROXIES}


@pytest.fixture(scope="module")
def client(instance: Callable[[str], Host]) -> Host:
    return instance(CLIENT)


def is_up(name: str) -> bool:
    return bool(json.loads(lxc("query", f"/1.0/instances/{name}?project={PROJECT}"))["status"] == "Running")


def has_started(host: Host) -> bool:
    return host.run("systemctl is-system-running --wait").stdout.strip() in ("running", "degraded")


def holders(proxies: dict[str, Host]) -> list[str]:
    """The proxies that have the address now."""
    look = "ip -4 -oneline address show dev gateway to %s"
    return [name for name, host in proxies.items() if is_up(name) and host.run(look, ADDRESS).stdout.strip()]


def status(host: Host) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.check_output(STATUS))
    return found


@pytest.fixture(scope="module")
def answers(client: Host, lab: dict[str, Any]) -> Callable[[], bool]:
    """Whether the client gets something from the world through the address."""
    release = f"{lab['mirrors']['apt']['debian']}/dists/trixie/InRelease"
    return lambda: client.run("python3 -c %s %s %s", FETCH, ADDRESS, release).stdout.strip() == "200"


@pytest.fixture
def holder(proxies: dict[str, Host], answers: Callable[[], bool]) -> Iterator[str]:
    """The one that holds it, while all of them are able to. Afterwards they are again."""

    def calm() -> bool:
        found = holders(proxies)
        return len(found) == 1 and all(status(host)["ready"] for host in proxies.values()) and answers()

    wait_for("one that holds the address, and two in reserve", calm, 60)
    yield holders(proxies)[0]
    for name, host in proxies.items():
        if not is_up(name):
            start(name, PROJECT)
        wait_for(name, lambda host=host: has_started(host), 60)  # type: ignore[misc]
        host.run("nft delete table inet deaf")
        host.run("systemctl kill --signal=CONT squid; systemctl start squid keepalived")


def moved(proxies: dict[str, Host], answers: Callable[[], bool], origin: str, seconds: float) -> str:
    """Wait until exactly one of the others has it, and the client gets through again."""
    wait_for(
        f"another holder than {origin}",
        lambda: len(found := holders(proxies)) == 1 and origin not in found and answers(),
        seconds,
        every=0.2,
    )
    return holders(proxies)[0]


def stays(proxies: dict[str, Host], name: str) -> None:
    """Long enough for whoever wanted it to have taken it: each is asked for a second, twice."""
    for host in [*proxies.values()] * 2:
        assert holders(proxies) == [name]
        assert status(host)["ready"]


def test_one_holds_it_and_each_knows_who(proxies: dict[str, Host], holder: str) -> None:
    for name, host in proxies.items():
        note = f"{ADDRESS}, held {'here' if name == holder else f'by {holder}'}"
        assert status(host) == {"ready": True, "reason": "", "note": note}


def test_what_asks_whether_squid_works_is_not_in_its_log(proxies: dict[str, Host], holder: str) -> None:
    """It does so every two seconds. The others ask here but once, when they are set up."""
    mine = f" ({PROXIES[holder]}|{ADDRESS}) .*http://127.0.0.1/"
    asked = "journalctl --identifier=squid --identifier='(squid-1)' --output=cat --grep=%s"
    assert proxies[holder].run(asked, mine).stdout.strip() == ""


def test_a_power_cut(proxies: dict[str, Host], answers: Callable[[], bool], holder: str) -> None:
    lxc("stop", "--force", holder, project=PROJECT)
    new = moved(proxies, answers, holder, POWER)
    other = next(name for name in PROXIES if name not in (holder, new))
    assert status(proxies[other])["note"] == f"{ADDRESS}, held by {new}"
    # It comes back, and takes nothing from the one that holds it now.
    start(holder, PROJECT)
    wait_for("its return", lambda: proxies[holder].run(STATUS).rc == 0 and status(proxies[holder])["ready"], 60)
    stays(proxies, new)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("systemctl stop squid", "Connection refused"),
        # It goes on taking connections.
        pytest.param("systemctl kill --signal=STOP squid", "timed out", marks=pytest.mark.soak),
    ],
    ids=["stopped", "hangs"],
)
def test_a_proxy_that_does_not_work(
    proxies: dict[str, Host], answers: Callable[[], bool], holder: str, broken: str, said: str
) -> None:
    proxies[holder].check_output(broken)
    new = moved(proxies, answers, holder, SERVICE)
    found = status(proxies[holder])
    assert not found["ready"]
    assert "HTTP proxy does not answer" in found["reason"]
    assert said in found["reason"]
    assert f"{ADDRESS} is held by {new}" in found["reason"]
    proxies[holder].check_output("systemctl kill --signal=CONT squid; systemctl start squid")
    wait_for("its return", lambda: status(proxies[holder])["ready"], 60)
    stays(proxies, new)


@pytest.mark.soak
def test_where_none_works_one_holds_it_all_the_same(proxies: dict[str, Host], holder: str) -> None:
    """What else is served behind the address goes on."""
    for host in proxies.values():
        host.check_output("systemctl stop squid")
    # Each is noticed when it is its turn to be asked: until all of them have been, it may go round.
    wait_for("peace", lambda: all(len(holders(proxies)) == 1 for _look in range(10)), 3 * SERVICE)
    assert not any(status(host)["ready"] for host in proxies.values())


def test_a_stop_in_good_order(proxies: dict[str, Host], answers: Callable[[], bool], holder: str) -> None:
    proxies[holder].check_output("systemctl stop keepalived")
    new = moved(proxies, answers, holder, 5)
    proxies[holder].check_output("systemctl start keepalived")
    stays(proxies, new)


@pytest.mark.soak
@pytest.mark.parametrize(
    "done",
    ["systemctl kill --signal=KILL keepalived", "systemctl restart systemd-networkd", f"ip address del {ADDRESS}/32 dev gateway"],
    ids=["keepalived-is-killed", "network-restarts", "address-is-taken-away"],
)  # fmt: skip
def test_it_comes_back_by_itself(proxies: dict[str, Host], answers: Callable[[], bool], holder: str, done: str) -> None:
    proxies[holder].check_output(done)
    wait_for("one holder", lambda: len(holders(proxies)) == 1 and answers(), POWER)
    stays(proxies, holders(proxies)[0])


@pytest.mark.soak
def test_two_that_do_not_hear_each_other_are_named_and_agree_again(
    proxies: dict[str, Host], answers: Callable[[], bool], holder: str
) -> None:
    proxies[holder].check_output("echo %s | nft -f -", DEAF)
    wait_for("another holder", lambda: len(holders(proxies)) == 2, POWER)
    other = next(name for name in holders(proxies) if name != holder)
    assert f"{ADDRESS} is held by this machine and by {other}" in status(proxies[holder])["reason"]
    third = next(name for name in PROXIES if name not in (holder, other))
    assert f"{ADDRESS} is held by {' and by '.join(sorted((holder, other)))}" in status(proxies[third])["reason"]
    proxies[holder].check_output("nft delete table inet deaf")
    wait_for("agreement", lambda: len(holders(proxies)) == 1 and answers(), POWER)
    stays(proxies, holders(proxies)[0])


def test_a_stranger_is_not_heeded(proxies: dict[str, Host], client: Host, holder: str) -> None:
    """The firewall does not let it in; and if that did, keepalived would not listen."""

    def advertise(host: Host, own: str, *to: str) -> None:
        arguments = [own, ADDRESS, ROUTER_ID, "6", *to]
        host.check_output(f"python3 -c %s {' '.join(['%s'] * len(arguments))}", ADVERTISE, *arguments)

    advertise(client, ITS_ADDRESS, *PROXIES.values())
    assert holders(proxies) == [holder]
    for host in proxies.values():
        host.check_output("nft insert rule inet bcm_gateway input ip protocol 112 accept")
    advertise(client, ITS_ADDRESS, *PROXIES.values())
    assert holders(proxies) == [holder]
    heard = proxies[holder].check_output("journalctl --unit=keepalived --output=cat")
    assert f"unicast source address {ITS_ADDRESS} not a unicast peer" in heard
    for host in proxies.values():
        host.check_output("systemctl restart bcm-gateway-firewall")

    # The same words from a peer are taken for what they say: it is not because of their form that they were not.
    peer = next(name for name in PROXIES if name != holder)
    proxies[peer].check_output("systemctl stop keepalived")
    others = [address for name, address in PROXIES.items() if name != peer]
    words = [PROXIES[peer], ADDRESS, ROUTER_ID, "60", *others]
    proxies[peer].check_output(
        f"systemd-run --unit=words python3 -c %s {' '.join(['%s'] * len(words))}", ADVERTISE, *words
    )
    try:
        wait_for("nobody that holds it", lambda: holders(proxies) == [], POWER)
    finally:
        proxies[peer].check_output("systemctl stop words")


def test_another_one_comes_and_the_one_that_holds_it_does_not_lose_it(
    proxies: dict[str, Host], answers: Callable[[], bool], holder: str, converge: Callable[..., Run]
) -> None:
    """Two of them look out for each other in any case, and learn of the third one."""
    third = proxies["floating-3"]
    third.check_output("systemctl stop keepalived")
    if holder == "floating-3":
        holder = moved(proxies, answers, holder, POWER)
    host = proxies[holder]
    seen = "systemd-run --unit=watching --property=StandardOutput=truncate:/run/seen"
    host.check_output(f"{seen} ip monitor address dev gateway")
    keeper = host.check_output("systemctl show --property=MainPID keepalived")

    less, two = {"scenario_sharing": ["floating-1", "floating-2"]}, "--limit=floating-1,floating-2"
    rehearsed, real = converge("converge.yml", two, "--check", **less), converge("converge.yml", two, **less)
    assert (rehearsed.status, real.status) == (0, 0), rehearsed.text[-3000:] + real.text[-3000:]
    assert rehearsed.changed == real.changed
    assert {host for host, _task in real.changed} == {"floating-1", "floating-2"}
    # The first one alone has the same to say.
    assert not converge("converge.yml", "--limit=floating-1", scenario_sharing=["floating-1"]).changed

    more = converge()
    assert more.status == 0, more.text[-3000:]
    wait_for("the third one", lambda: status(third)["ready"], POWER)
    stays(proxies, holder)
    host.check_output("systemctl stop watching")
    assert "Deleted" not in host.check_output("cat /run/seen")
    assert host.check_output("systemctl show --property=MainPID keepalived") == keeper


def test_wrong_input(proxies: dict[str, Host], refusal: Callable[..., str]) -> None:
    look = "cat /etc/keepalived/keepalived.conf /etc/bcm/floating-address.json"
    before = proxies["floating-1"].check_output(look)
    way_out = {"gateway": {"address": "198.19.70", "first": ["198.19.70.1"], "router_id": 256}}
    said = refusal("--limit=floating-1", scenario_way_out=way_out)
    assert "floating_address_networks, gateway: address is 198.19.70, which is no IPv4 address" in said
    assert "router_id is 256; allowed is 1 to 255" in said
    assert proxies["floating-1"].check_output(look) == before
