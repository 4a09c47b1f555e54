# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who goes out by tor, and who publishes an onion. The machines have been restarted before."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standing import Run, wait_for
from testinfra.host import Host

ONE, TWO, CLIENT = "198.18.76.1", "198.18.76.2", "198.18.76.3"
FLOATING = "198.18.76.254"
THROUGH = (Path(__file__).parent / "through.py").read_text()
PAGE = "HTTP/1.0 200 OK"
# An ed25519 key as tor keeps it: of nobody, for nothing.
KEY = hashlib.sha512(b"a scenario of molecule").digest()
SECRET = (
    b"== ed25519v1-secret: type0 ==\0\0\0" + bytes([KEY[0] & 248]) + KEY[1:31] + bytes([KEY[31] & 63 | 64]) + KEY[32:]
)
ONION = "HiddenServiceDir /var/lib/tor/onions/page\nHiddenServicePort 80 198.18.76.3:8000\n"
PUT_ONION = """
umask 077
mkdir -p /var/lib/tor/onions/page
printf %s "$1" | base64 -d >/var/lib/tor/onions/page/hs_ed25519_secret_key
chown -R debian-tor: /var/lib/tor/onions
printf %s "$2" >/etc/tor/torrc.d/50-onion-page.conf
chmod 644 /etc/tor/torrc.d/50-onion-page.conf
systemctl reload tor@default.service
"""


@pytest.fixture(scope="module")
def tors(instance: Callable[[str], Host]) -> dict[str, Host]:
    hosts = {name: instance(name) for name in ("tor-1", "tor-2")}
    for host in hosts.values():
        host.check_output("systemctl is-system-running --wait || true")
        in_network(host, 180)
    return hosts


@pytest.fixture(scope="module")
def client(instance: Callable[[str], Host]) -> Host:
    return instance("tor-client")


def in_network(host: Host, seconds: int) -> None:
    wait_for("tor is in its network", lambda: state(host)["bootstrapped"] == 100, seconds)


def control(host: Host, *commands: str) -> str:
    """What tor answers on its control socket to whoever has its cookie."""
    program = (
        "import socket,sys\n"
        "s=socket.socket(socket.AF_UNIX); s.connect('/run/tor/control'); f=s.makefile('rwb')\n"
        "lines=['AUTHENTICATE '+open('/run/tor/control.authcookie','rb').read().hex(),*sys.argv[1:],'QUIT']\n"
        "f.write('\\r\\n'.join([*lines,'']).encode()); f.flush(); print(f.read().decode())\n"
    )
    return host.check_output("python3 -c %s " + " ".join(["%s"] * len(commands)), program, *commands)


def state(host: Host) -> dict[str, Any]:
    """How far it is; not far where it does not run yet. One that was killed leaves its socket behind."""
    try:
        said = control(host, "GETINFO status/bootstrap-phase")
    except AssertionError:
        return {"bootstrapped": 0}
    return {"bootstrapped": int(said.partition("PROGRESS=")[2].split(" ")[0] or 0)}


def published(host: Host) -> bool:
    said: dict[str, Any] = json.loads(host.check_output("/usr/local/lib/bcm/bcm-tor-publish status %s", FLOATING))
    assert said["ready"], said
    return bool(said["note"] == "published here")


def through(host: Host, socks: str, target: str, seconds: int) -> str:
    return host.check_output("python3 -c %s %s 9050 %s %s", THROUGH, socks, target, str(seconds))


@pytest.fixture(scope="module")
def onion(tors: dict[str, Host]) -> str:
    """An onion of which both have the key, and neither the address."""
    for host in tors.values():
        host.check_output("sh -ceu %s sh %s %s", PUT_ONION, base64.b64encode(SECRET).decode(), ONION)
        assert not published(host)
    tors["tor-1"].check_output("ip address add %s/32 dev eth0", FLOATING)
    wait_for("the address has it published", lambda: published(tors["tor-1"]), 20)
    path = "/var/lib/tor/onions/page/hostname"
    wait_for("it has an address", lambda: tors["tor-1"].file(path).exists, 30)
    return tors["tor-1"].file(path).content_string.strip()


def test_the_owners_configuration_is_what_it_was(tors: dict[str, Host]) -> None:
    text = tors["tor-2"].file("/etc/tor/torrc").content_string
    owners, _begin, ours = text.partition("# BEGIN bcm.datacenter.tor\n")
    assert owners.startswith("# Ours, do not touch\n")
    assert owners.endswith("HiddenServicePort 80 127.0.0.1:22\n")
    assert ours.endswith("# END bcm.datacenter.tor\n")
    assert tors["tor-2"].file("/var/lib/tor/web/hostname").exists


def test_sockets_are_where_they_were_declared(tors: dict[str, Host]) -> None:
    said = tors["tor-1"].check_output("ss --listening --tcp --numeric --no-header --processes | grep '\"tor\"'")
    assert {line.split()[3] for line in said.splitlines()} == {f"{ONE}:9050", f"{FLOATING}:9050"}
    assert tors["tor-1"].file("/run/tor/control").mode == 0o660
    assert tors["tor-1"].file("/run/tor/socks").mode == 0o660
    assert tors["tor-1"].file("/run/tor/control.authcookie").mode == 0o640
    assert "514 Authentication required" in tors["tor-1"].check_output(
        "python3 -c %s",
        "import socket; s=socket.socket(socket.AF_UNIX); s.connect('/run/tor/control'); s.sendall(b'GETINFO version\\r\\n'); print(s.recv(99))",
    )


def test_circuits_are_shared_with_nobody(tors: dict[str, Host]) -> None:
    said = control(tors["tor-1"], "GETCONF SocksPort")
    assert said.count(f"{ONE}:9050 IsolateSOCKSAuth IsolateClientAddr") == 1
    assert "127.0.0.1:9050" not in said


def test_the_onion_is_reached_by_who_may(tors: dict[str, Host], client: Host, onion: str) -> None:
    assert through(client, TWO, onion, 120) == PAGE


def test_nobody_else_gets_to_socks(instance: Callable[[str], Host], tors: dict[str, Host], onion: str) -> None:
    stranger = instance("tor-stranger")
    assert not through(stranger, ONE, onion, 0).startswith("HTTP")
    assert not through(stranger, FLOATING, onion, 0).startswith("HTTP")
    # Nor the machine itself, at its own address.
    assert not through(tors["tor-1"], ONE, onion, 0).startswith("HTTP")


def test_the_onion_goes_where_the_address_goes(tors: dict[str, Host], client: Host, onion: str) -> None:
    assert "HiddenServiceDir=/var/lib/tor/onions/page" in control(tors["tor-1"], "GETCONF HiddenServiceOptions")
    tors["tor-1"].check_output("ip address del %s/32 dev eth0", FLOATING)
    tors["tor-2"].check_output("ip address add %s/32 dev eth0", FLOATING)
    wait_for("the other one publishes it", lambda: published(tors["tor-2"]) and not published(tors["tor-1"]), 30)
    wait_for("the first does not", lambda: "page" not in control(tors["tor-1"], "GETCONF HiddenServiceOptions"), 20)
    assert tors["tor-2"].file("/var/lib/tor/onions/page/hostname").content_string.strip() == onion
    control(tors["tor-1"], "SIGNAL NEWNYM")
    assert through(client, ONE, onion, 300) == PAGE


def test_a_tor_that_is_killed_comes_back(tors: dict[str, Host], client: Host, onion: str) -> None:
    before = tors["tor-1"].check_output("pidof -s tor")
    tors["tor-1"].check_output("kill -9 %s", before)
    wait_for("another one", lambda: tors["tor-1"].run("pidof -s tor").stdout.strip() not in ("", before), 30)
    in_network(tors["tor-1"], 60)
    assert through(client, ONE, onion, 180) == PAGE


def test_what_tor_would_not_take_is_refused(refusal: Callable[..., str], tors: dict[str, Host]) -> None:
    before = tors["tor-1"].check_output("pidof -s tor")
    said = refusal("--limit=tor-1", tor_config=[{"name": "20-network", "lines": ["NoSuchOption 1"]}])
    assert "NoSuchOption" in said
    assert tors["tor-1"].check_output("pidof -s tor") == before


def test_what_it_does_not_run_with_is_taken_back(converge: Callable[..., Run], tors: dict[str, Host]) -> None:
    """Only when it is to listen there it finds that somebody else does."""
    host = tors["tor-1"]
    host.check_output("systemd-run --unit=scenario-taken --collect python3 -m http.server --bind 127.0.0.1 9040")
    wait_for("the port is taken", lambda: host.run("bash -c '</dev/tcp/127.0.0.1/9040'").rc == 0, 20)
    files = host.check_output("cat /etc/tor/torrc /etc/tor/torrc.d/[0-4]*.conf")
    run = converge("converge.yml", "--limit=tor-1", tor_transparent={"port": 9040, "dns_port": 9053})
    assert run.status != 0
    assert "The old files were put back" in run.failures[0], run.failures
    assert host.check_output("cat /etc/tor/torrc /etc/tor/torrc.d/[0-4]*.conf") == files
    host.check_output("systemctl stop scenario-taken")
    in_network(host, 120)
    assert not converge("converge.yml", "--limit=tor-1").changed


def test_what_cannot_be_is_refused(refusal: Callable[..., str]) -> None:
    said = refusal(
        "--limit=tor-1",
        tor_socks_clients=["0.0.0.0/0", "8.8.8.8"],
        tor_bridges=["obfs5 192.0.2.1:443 " + "A" * 40],
        tor_config=[{"name": "mine", "lines": ["SocksPort 0.0.0.0:9051"]}],
    )
    for word in ("0.0.0.0/0", "8.8.8.8", "obfs5", "'mine'", "SocksPort"):
        assert word in said
    assert "192.0.2.1" not in said


def test_it_says_how_far_it_comes_and_why_no_further(converge: Callable[..., Run], tors: dict[str, Host]) -> None:
    nowhere = "DirAuthority none orport=1 no-v2 v3ident={0} 198.18.76.250:1 {0}".format("A" * 40)
    config = [{"name": "20-network", "lines": ["TestingTorNetwork 1", nowhere]}]
    tors["tor-1"].check_output("rm -rf /var/lib/tor/cached-* /var/lib/tor/state")
    run = converge("converge.yml", "--limit=tor-1", tor_config=config, tor_bootstrap_timeout=15)
    assert run.status != 0
    assert " % into its network" in run.failures[0]
    assert (
        "reached nobody" in run.failures[0] or "no way to the network" in run.failures[0] or "relay" in run.failures[0]
    )
    assert converge("converge.yml", "--limit=tor-1").status == 0
