# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody inside reaches through the gateway, and what not. The gateway has been restarted before."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from standing import Run, wait_for
from testinfra.host import Host

PROXY = "198.18.70.10"
CLIENT = "198.18.70.11"
INSIDE = "198.18.64.1"
ASK = (Path(__file__).parent / "ask.py").read_text()
REFUSED = 403


@pytest.fixture(scope="module")
def gateway(instance: Callable[[str], Host]) -> Host:
    return instance("egress-1")


@pytest.fixture(scope="module")
def client(instance: Callable[[str], Host]) -> Host:
    """A neighbour, once the proxy is up again."""
    host = instance("egress-client")
    connects = f"until timeout 2 bash -c '</dev/tcp/{PROXY}/3128'; do sleep 0.2; done"
    assert host.run("timeout 60 bash -c %s", connects).rc == 0, "the proxy did not come back within 60 s"
    return host


def ask_from(host: Host, *requests: str) -> dict[str, int]:
    said = host.check_output("python3 -c %s %s 3128 " + " ".join(["%s"] * len(requests)), ASK, PROXY, *requests)
    found: dict[str, int] = json.loads(said)
    return found


@pytest.fixture(scope="module")
def answers(client: Host) -> Callable[..., dict[str, int]]:
    return lambda *requests: ask_from(client, *requests)


def test_what_was_declared_is_reached(answers: Callable[..., dict[str, int]], lab: dict[str, Any]) -> None:
    mirror = lab["mirrors"]["apt"]["debian"]
    release = f"GET {mirror}/dists/trixie/InRelease"
    downloads = f"GET {lab['mirrors']['downloads']['bitcoin']}/"
    tunnel = f"CONNECT {urlsplit(mirror).hostname}:443"
    found = answers(release, downloads, tunnel)
    assert found[release] == 200
    # A private address, declared for this one port; what its server makes of the path is its own business.
    assert found[downloads] != REFUSED
    # Whether the mirror speaks TLS is its own business too.
    assert found[tunnel] != REFUSED


def test_nothing_else_is(answers: Callable[..., dict[str, int]], lab: dict[str, Any]) -> None:
    archive = urlsplit(lab["mirrors"]["apt"]["debian"]).hostname
    downloads = urlsplit(lab["mirrors"]["downloads"]["bitcoin"]).hostname
    hub = lab["mirrors"]["registries"]["docker.io"]
    found = answers(
        # Other names
        "GET http://example.org/",
        "CONNECT example.org:443",
        # Other ports of names that may be reached
        f"GET http://{archive}:8080/",
        f"CONNECT {archive}:80",
        f"CONNECT {archive}:22",
        f"GET http://{downloads}:22/",
        # What the caches are for
        f"GET {hub}/v2/",
        "CONNECT registry-1.docker.io:443",
        "CONNECT auth.docker.io:443",
        # A declared name that leads inside
        "GET http://inside.example/",
        "CONNECT inside.example:443",
        # Addresses
        "GET http://127.0.0.1/",
        "GET http://10.0.0.1/",
        "GET http://100.64.0.1/",
        "GET http://169.254.169.254/latest/meta-data/",
        "GET http://172.16.0.1/",
        "GET http://192.168.0.1/",
        f"GET http://{INSIDE}/",
        "GET http://224.0.0.1/",
        "GET http://1.1.1.1/",
        "GET http://[::1]/",
        "GET http://[::ffff:10.0.0.1]/",
        "GET http://[fd00::1]/",
        "GET http://[fe80::1]/",
        # The proxy's own pages
        f"GET http://{PROXY}:3128/squid-internal-mgr/menu",
    )
    assert {request: status for request, status in found.items() if status != REFUSED} == {}


def questions(gateway: Host) -> int:
    """How many packets Squid has sent to a name server since this was asked first."""
    chain = "chain inet scenario questions"
    if gateway.run(f"nft list {chain}").rc != 0:
        rules = "type filter hook output priority -10; meta skuid proxy meta l4proto { tcp, udp } th dport 53 counter"
        gateway.check_output("nft %s", f"add table inet scenario; add {chain} {{ {rules}; }}")
    found = re.search(r"counter packets (\d+)", gateway.check_output(f"nft list {chain}"))
    assert found
    return int(found[1])


def test_a_name_that_is_not_declared_is_not_even_looked_up(
    instance: Callable[[str], Host], gateway: Host, client: Host, lab: dict[str, Any]
) -> None:
    """A name server outside would be told whatever somebody puts into a name."""
    confined = instance("egress-confined")
    ports = [
        urlsplit(lab["mirrors"]["downloads"]["bitcoin"]).port,
        urlsplit(lab["mirrors"]["registries"]["docker.io"]).port,
    ]
    # One of them ends in digits, and is no address all the same.
    asked = [
        f"{how}{number}.secret.{top}{where}"
        for number, (how, where) in enumerate(
            [("GET http://", "/"), ("CONNECT ", ":443"), *(("GET http://", f":{port or 80}/") for port in ports)]
        )
        for top in ("example", "1")
    ]
    before = questions(gateway)
    assert set(ask_from(client, *asked).values()) == {REFUSED}
    # What may be looked up for others is not for these.
    own = [f"GET http://{uuid4()}.declared.example/", "GET http://inside.example/"]
    assert set(ask_from(confined, *asked, *own).values()) == {REFUSED}
    assert questions(gateway) == before
    # It would have been seen.
    assert ask_from(client, own[0])[own[0]] != REFUSED
    assert questions(gateway) > before


def test_a_package_comes_from_the_cache_the_second_time(gateway: Host, client: Host) -> None:
    """A large one: Squid's own bound is 4 MB."""
    fetch = f"""
        cd "$(mktemp -d)"
        proxy="-o Acquire::http::Proxy=http://{PROXY}:3128"
        apt-get $proxy -qq update
        apt-get $proxy -qq download docker-cli
        rm docker-cli_*
        apt-get $proxy -qq download docker-cli
        stat --format %s docker-cli_*"""
    assert int(client.check_output("sh -ceu %s", fetch)) > 4 * 2**20
    grep = "journalctl --identifier=squid --identifier='(squid-1)' --output=cat --grep='docker-cli_.*deb'"
    # It says so when all has been sent, and the journal has it a moment later.
    wait_for("both in the journal", lambda: len(gateway.run(grep).stdout.splitlines()) > 1, 30)
    log = gateway.check_output(grep).splitlines()
    assert "TCP_MISS" in log[-2]
    assert "HIT/200" in log[-1]


def listen(host: Host, port: int) -> None:
    host.check_output(f"systemd-run --unit=scenario-{port} --collect python3 -m http.server {port}")
    here = f"until bash -c '</dev/tcp/127.0.0.1/{port}'; do sleep 0.1; done"
    assert host.run("timeout 30 bash -c %s", here).rc == 0


def test_nothing_else_of_the_gateway_answers(gateway: Host, client: Host) -> None:
    listen(gateway, 8099)
    tried = {port: client.run(f"timeout 2 bash -c '</dev/tcp/{PROXY}/{port}'").rc == 0 for port in (3128, 8099, 22, 53)}
    assert tried == {3128: True, 8099: False, 22: False, 53: False}


def test_the_gateway_forwards_nothing_and_stays_out_of_private_networks(gateway: Host, client: Host) -> None:
    assert "policy drop" in gateway.check_output("nft list chain inet bcm_gateway forward")
    # Refused at once by its own firewall: somebody who has got onto it gets no further.
    listen(client, 8098)
    said = gateway.run(f"timeout 5 bash -c '</dev/tcp/{CLIENT}/8098'")
    assert said.rc == 1
    assert "refused" in said.stderr


def test_who_is_confined_reaches_packages_and_nothing_else(
    instance: Callable[[str], Host], lab: dict[str, Any]
) -> None:
    mirror = lab["mirrors"]["apt"]["debian"]
    release = f"GET {mirror}/dists/trixie/InRelease"
    others = (
        # It is there for others.
        f"GET {lab['mirrors']['downloads']['bitcoin']}/",
        "GET http://inside.example/",
        "CONNECT inside.example:443",
        "GET http://example.org/",
        f"CONNECT {urlsplit(mirror).hostname}:22",
    )
    found = ask_from(instance("egress-confined"), release, *others)
    assert found.pop(release) == 200
    assert set(found.values()) == {REFUSED}


def reach_as(host: Host, user: str, address: str, port: int) -> str:
    """What becomes of a connection that a user of the gateway begins."""
    argv = "setpriv --reuid=%s --clear-groups timeout 20 bash -c %s"
    said = host.run(argv, user, f"exec 3<>/dev/tcp/{address}/{port}")
    return "" if said.rc == 0 else said.stderr


def address_of(host: Host, name: str) -> str:
    return host.check_output("getent ahostsv4 %s", name).split()[0]


def test_of_the_gateway_only_those_go_out_who_have_to(gateway: Host, lab: dict[str, Any]) -> None:
    mirror = urlsplit(lab["mirrors"]["apt"]["debian"])
    address, port = address_of(gateway, str(mirror.hostname)), mirror.port or 80
    assert reach_as(gateway, "_apt", address, port) == ""
    assert "refused" in reach_as(gateway, "nobody", address, port)
    assert "refused" in reach_as(gateway, "root", address, port)
    assert "refused" in reach_as(gateway, "_apt", address, 22)
    assert "refused" in reach_as(gateway, "debian-tor", CLIENT, 22)


def test_through_tor_or_not_at_all(
    gateway: Host, client: Host, converge: Callable[..., Run], lab: dict[str, Any]
) -> None:
    mirror = urlsplit(lab["mirrors"]["apt"]["debian"])
    release = f"GET {lab['mirrors']['apt']['debian']}/dists/trixie/InRelease"
    assert converge("converge.yml", egress_proxy_through_tor=["apt", "pulls"]).status == 0
    # Circuits to exits may have to be built first.
    wait_for("packages come through tor", lambda: ask_from(client, release)[release] == 200, 120)
    address, port = address_of(gateway, str(mirror.hostname)), mirror.port or 80
    # Those who know no SOCKS are led there, and apt of the gateway itself asks Squid.
    assert reach_as(gateway, "www-data", address, port) == ""
    # Tor takes any connection: there has to be somebody at its other end.
    speak = f"exec 3<>/dev/tcp/{address}/{port}; printf 'HEAD / HTTP/1.0\\r\\n\\r\\n' >&3; head -c 5 <&3"
    argv = "setpriv --reuid=www-data --clear-groups timeout 60 bash -c %s"
    assert gateway.check_output(argv, speak) == "HTTP/"
    assert "refused" in reach_as(gateway, "_apt", address, port)
    assert 'Acquire::http::Proxy "http://198.18.70.10:3128"' in gateway.check_output("apt-config dump")
    # Nobody but Squid uses the way to tor.
    assert reach_as(gateway, "proxy", "127.0.0.1", 8118) == ""
    assert "refused" in reach_as(gateway, "nobody", "127.0.0.1", 8118)
    assert "refused" in reach_as(gateway, "nobody", "127.0.0.1", 9050)
    gateway.check_output("systemctl stop tor@default.service")
    assert ask_from(client, release)[release] in (500, 502, 503, 504)
    assert "refused" in reach_as(gateway, "www-data", address, port)
    gateway.check_output("systemctl start tor@default.service")
    wait_for("it heals by itself", lambda: ask_from(client, release)[release] == 200, 120)
    assert converge("converge.yml").status == 0
    assert ask_from(client, release)[release] == 200
    assert not gateway.file("/etc/apt/apt.conf.d/91-bcm-through-tor").exists


def test_through_a_tor_that_is_not_there(refusal: Callable[..., str]) -> None:
    message = refusal(egress_proxy_tor={}, egress_proxy_through_tor=["apt"])
    assert "egress_proxy_tor names no tor" in message


def test_another_one_of_the_clients_networks(refusal: Callable[..., str]) -> None:
    message = refusal(egress_proxy_clients=["198.18.64.0/20", "home"], egress_proxy_resolver="dns.example")
    assert "egress_proxy_clients" in message
    assert "home" in message
    assert "egress_proxy_resolver" in message
    assert "dns.example" in message
