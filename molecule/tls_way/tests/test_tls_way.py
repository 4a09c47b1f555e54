# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets through, who does not, what can be read on the way, and what is left of a connection when something changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from standing import Run, wait_for
from testinfra.host import Host

SERVER, CLIENT, STRANGER = "198.18.70.110", "198.18.70.111", "198.18.70.112"
ENTRY, EXIT, PLAIN = 28332, 29332, 28332
ASK = "python3 /root/ask.py"
NAME = "/root/authority.pem server.home.bcm.internal"


@pytest.fixture(scope="module")
def server(instance: Callable[[str], Host]) -> Host:
    return instance("tls-way-server")


@pytest.fixture(scope="module")
def client(instance: Callable[[str], Host]) -> Host:
    return instance("tls-way-client")


@pytest.fixture(scope="module")
def stranger(instance: Callable[[str], Host]) -> Host:
    return instance("tls-way-stranger")


@pytest.fixture
def stream(client: Host) -> Iterator[Callable[[], int]]:
    """A connection that stays open. Says the number of the last tick that it has heard; each connection begins with 0."""
    program = (
        "import socket; c = socket.create_connection(('198.18.70.111', 28332), 5); c.settimeout(None); f = c.makefile('r')\n"
        "while True:\n    line = f.readline()\n    print(line or 'end', end='', flush=True)\n    if not line: break"
    )
    client.check_output(
        "systemd-run --quiet --unit=stream --property=StandardOutput=truncate:/run/stream python3 -c %s", program
    )

    def last() -> int:
        ticks = re.findall(r"tick (\d+)", client.check_output("cat /run/stream"))
        return int(ticks[-1]) if ticks else -1

    wait_for("the stream", lambda: last() >= 1, 20)
    yield last
    client.run("systemctl stop stream; systemctl reset-failed stream")


def through(client: Host) -> str:
    """What whoever is on the client gets through the entry."""
    return client.run(f"python3 - {CLIENT} {ENTRY} < /run/ask.py").stdout.strip()


@pytest.fixture(scope="module", autouse=True)
def program(client: Host, stranger: Host) -> None:
    client.check_output("printf %s %s > /run/ask.py", "%s", stranger.file("/root/ask.py").content_string)


def test_whoever_is_on_the_client_is_answered_by_the_server(client: Host) -> None:
    assert through(client) == "answered"


@pytest.mark.parametrize(
    ("certificate", "answer"),
    [("client", "answered"), ("other", "refused"), ("false-server", "refused"), ("none", "refused")],
)
def test_an_exit_lets_in_a_certificate_with_a_name_that_it_knows_and_no_other(
    stranger: Host, certificate: str, answer: str
) -> None:
    shown = certificate if certificate == "none" else f"/root/{certificate}.pem"
    said = stranger.check_output(f"{ASK} {SERVER} {EXIT} {shown} {NAME}")
    assert said.startswith(answer), said


def test_who_speaks_in_clear_to_an_exit_is_not_answered(stranger: Host) -> None:
    assert stranger.check_output(f"{ASK} {SERVER} {EXIT}").startswith("refused")


@pytest.mark.parametrize(("address", "port"), [(SERVER, PLAIN), (CLIENT, ENTRY)])
def test_no_plain_port_is_reached_from_another_host(stranger: Host, address: str, port: int) -> None:
    assert stranger.check_output(f"{ASK} {address} {port}").startswith("refused")


def test_not_even_with_a_route_to_an_address_that_is_the_hosts_own(stranger: Host, client: Host) -> None:
    """A host answers for all its addresses, by whichever card they are asked for."""
    stranger.check_output(f"ip route replace 127.0.0.2/32 via {CLIENT} 2>/dev/null || true")
    rules = client.check_output("nft list table inet bcm_tls_way")
    assert f"ip daddr {CLIENT} tcp dport {ENTRY}" in rules
    assert client.check_output("ss --listening --tcp --numeric --no-header").count(f"{CLIENT}:{ENTRY}") == 1


def test_nothing_can_be_read_on_the_way(server: Host, client: Host) -> None:
    """Frames as they come in on the server's card, by the kernel's own means."""
    catch = (
        "import socket, sys, time\n"
        "s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3)); s.bind(('eth0', 0)); s.settimeout(1)\n"
        "end = time.time() + 8; out = open('/run/caught', 'wb'); open('/run/catching', 'w').close()\n"
        "while time.time() < end:\n"
        "    try: out.write(s.recv(65535))\n"
        "    except TimeoutError: pass\n"
        "out.close(); open('/run/done', 'w').close()"
    )
    server.check_output("rm -f /run/caught /run/catching /run/done; systemd-run --quiet --collect python3 -c %s", catch)
    wait_for("the look at frames", lambda: server.file("/run/catching").exists, 20)
    assert through(client) == "answered"
    wait_for("its end", lambda: server.file("/run/done").exists, 30)
    caught = server.check_output(
        "wc -c < /run/caught; grep -c -a 'secret words' /run/caught || true; grep -c -a 'tick' /run/caught || true"
    ).split()
    assert int(caught[0]) > 1000
    assert caught[1:] == ["0", "0"]


def test_it_has_no_rights_and_its_keys_are_its_own(server: Host) -> None:
    process = server.check_output("systemctl show --property=MainPID --value bcm-tls-way")
    user, rights = server.check_output(f"stat -c %U /proc/{process}; grep CapEff /proc/{process}/status").splitlines()
    assert user == "stunnel4"
    assert int(rights.split()[1], 16) == 0
    key = server.file("/etc/bcm/tls-way/server.pem")
    assert (key.mode, key.user, key.group) == (0o640, "root", "stunnel4")
    # What the host is given beside it is not its own.
    assert not server.file("/etc/bcm/tls-way/client.pem").exists


def test_new_certificates_are_taken_over_and_what_is_open_stays_open(
    server: Host, client: Host, stranger: Host, converge: Callable[..., Run], stream: Callable[[], int]
) -> None:
    shown = "openssl x509 -noout -serial -in /etc/bcm/tls-way/%s.pem"
    before = (server.check_output(shown, "server"), client.check_output(shown, "client"))
    heard = stream()
    run = converge(site_ca_renew_days=500, site_ca_certificate_days=800)
    assert run.status == 0, run.text[-3000:]
    after = (server.check_output(shown, "server"), client.check_output(shown, "client"))
    assert before[0] != after[0]
    assert before[1] != after[1]
    wait_for("more of the same stream", lambda: stream() > heard + 2, 20)
    assert "end" not in client.check_output("cat /run/stream")
    assert through(client) == "answered"
    served = stranger.check_output(
        f"openssl s_client -connect {SERVER}:{EXIT} -cert /root/client.pem </dev/null 2>/dev/null | openssl x509 -noout -serial"
    )
    assert served == after[0]


def test_killed_it_comes_back_and_so_does_the_way(server: Host, client: Host) -> None:
    for host in (server, client):
        host.check_output("systemctl kill --signal=KILL bcm-tls-way")
        wait_for("the way", lambda: through(client) == "answered", 30)


def test_with_the_program_beside_it_gone_a_connection_ends_and_the_next_one_heals(
    server: Host, client: Host, stream: Callable[[], int]
) -> None:
    assert stream() >= 1
    server.check_output("systemctl stop plain")
    wait_for("the end of the stream", lambda: "end" in client.check_output("cat /run/stream"), 20)
    assert through(client).startswith("refused")
    server.check_output("systemctl start plain")
    wait_for("the way", lambda: through(client) == "answered", 30)


def test_a_server_of_another_name_is_not_spoken_to(client: Host, converge: Callable[..., Run]) -> None:
    run = converge(scenario_server="another.home.bcm.internal")
    assert run.status == 0, run.text[-3000:]
    assert through(client).startswith("refused")
    assert converge().status == 0
    assert through(client) == "answered"


def test_an_entry_with_another_name_is_not_let_in(client: Host, converge: Callable[..., Run]) -> None:
    assert converge(scenario_identity="other").status == 0
    assert through(client).startswith("refused")
    # What it was before is not left lying there.
    assert not client.file("/etc/bcm/tls-way/client.pem").exists
    assert converge().status == 0
    assert through(client) == "answered"


def test_who_is_taken_off_is_cut_off_at_once(
    client: Host, converge: Callable[..., Run], stream: Callable[[], int]
) -> None:
    run = converge(scenario_sources=[STRANGER], scenario_clients=["app-2"])
    assert run.status == 0, run.text[-3000:]
    heard = stream()
    assert through(client).startswith("refused")
    assert stream() <= heard + 1
    assert converge().status == 0
    wait_for("the way", lambda: through(client) == "answered", 90)


def test_what_cannot_be_is_refused(server: Host, refusal: Callable[..., str]) -> None:
    before = server.check_output("sha256sum /etc/bcm/tls-way/*")
    words = refusal(
        scenario_exits=[
            {"name": "a b", "address": "0.0.0.0", "port": 80, "target": "x", "identity": "nobody", "clients": []}  # noqa: S104
        ]
    )
    for wrong in ("is no name", "every address", "from 1024", "leads nowhere", "has no certificate", "lets nobody in"):
        assert wrong in words
    assert server.check_output("sha256sum /etc/bcm/tls-way/*") == before


def test_taken_away_nothing_is_left(server: Host, client: Host, converge: Callable[..., Run]) -> None:
    run = converge(scenario_state="absent")
    assert run.status == 0, run.text[-3000:]
    for host in (server, client):
        assert not host.file("/etc/bcm/tls-way").exists
        assert host.run("systemctl cat bcm-tls-way").rc != 0
        assert host.run("nft list table inet bcm_tls_way").rc != 0
    assert not converge(scenario_state="absent").changed
    assert converge().status == 0
    assert through(client) == "answered"
