# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A leg in the network that the machine is in: it answers what is declared, and nothing begins there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from standing import Run, restart, wait_for
from testinfra.host import Host

LEG, NEIGHBOUR, INNER = "198.19.73.1", "198.19.73.2", "10.99.0.1"
# Answers every connection at a port, of whichever address.
SERVE = """
import socket, sys
with socket.create_server(("", int(sys.argv[1]))) as door:
    while True:
        door.accept()[0].close()
"""
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()"


@pytest.fixture(scope="module")
def guest(instance: Callable[[str], Host]) -> Host:
    return instance("guest-1")


@pytest.fixture(scope="module")
def neighbour(instance: Callable[[str], Host], guest: Host) -> Iterator[Host]:
    host = instance("guest-2")
    host.check_output("ip link set lan up; ip address replace %s/24 dev lan", NEIGHBOUR)
    # What is inside, and a way to it that the neighbour makes up.
    guest.check_output(
        "ip link add inner0 type bridge; ip link set inner0 up; ip address replace %s/32 dev inner0", INNER
    )
    host.check_output("ip route replace %s/32 via %s", INNER, LEG)
    for one, ports in ((guest, (8080, 8081)), (host, (9000,))):
        for port in ports:
            one.check_output("systemd-run --unit=serve-%s python3 -c %s %s", str(port), SERVE, str(port))
    yield host
    host.run("systemctl stop 'serve-*'")
    guest.run("systemctl stop 'serve-*'; ip link del inner0")


def reaches(host: Host, address: str, port: int) -> bool:
    return bool(host.run("python3 -c %s %s %s", CONNECT, address, str(port)).rc == 0)


def addresses(host: Host) -> str:
    return str(host.check_output("ip -4 -brief address show dev lan"))


def test_it_has_its_address_and_leads_nowhere_else(guest: Host) -> None:
    assert f"{LEG}/24" in addresses(guest)
    assert guest.check_output("ip -4 route show dev lan").split()[0] == "198.19.73.0/24"
    assert len(guest.check_output("ip -4 route show dev lan").splitlines()) == 1
    assert guest.check_output("ip -6 address show dev lan") == ""


def test_what_is_declared_answers_and_nothing_else(guest: Host, neighbour: Host) -> None:
    wait_for("an answer", lambda: reaches(neighbour, LEG, 8080), 20)
    assert reaches(guest, "127.0.0.1", 8081)
    assert not reaches(neighbour, LEG, 8081)
    assert neighbour.run("ping -n -c1 -W2 %s", LEG).rc == 0


def test_addresses_inside_are_not_reached_by_it(guest: Host, neighbour: Host) -> None:
    """Linux answers at all its addresses on all its cards."""
    assert reaches(guest, INNER, 8080)
    assert not reaches(neighbour, INNER, 8080)


def test_nothing_begins_there(guest: Host, neighbour: Host) -> None:
    assert reaches(neighbour, NEIGHBOUR, 9000)
    assert not reaches(guest, NEIGHBOUR, 9000)


def test_after_a_restart_it_is_as_it_was(guest: Host, neighbour: Host) -> None:
    restart("guest-1", "molecule")
    wait_for("the address", lambda: f"{LEG}/24" in addresses(guest), 30)
    assert guest.check_output("systemctl is-active bcm-lan-firewall") == "active"
    guest.check_output("systemd-run --unit=serve-8081 python3 -c %s 8081", SERVE)
    wait_for("the port", lambda: reaches(guest, "127.0.0.1", 8081), 10)
    assert not reaches(neighbour, LEG, 8081)


def test_it_is_taken_away_and_comes_back(guest: Host, converge: Callable[..., Run]) -> None:
    run = converge(guest_lan={})
    assert run.status == 0, run.text[-3000:]
    assert LEG not in addresses(guest)
    assert guest.run("test -e /etc/bcm/lan.nft").rc != 0
    assert not converge(guest_lan={}).changed
    assert converge().status == 0
    wait_for("the address", lambda: f"{LEG}/24" in addresses(guest), 30)
    assert not converge().changed
