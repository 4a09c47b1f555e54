# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""verify_leaks.yml says of a site that keeps what it promises that it does, and finds each leak that is built in on purpose."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from leaking import PLAYBOOK, leaks
from standing import CHECKOUT, Site, lxc, play_env, wait_for

# A name server that knows every name, and a SOCKS proxy that takes everybody, as somebody could have left them behind.
NAMES = r"""
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind((sys.argv[1], 53))
    while True:
        asked, asker = s.recvfrom(999)
        s.sendto(asked[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + asked[12:] + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1", asker)
"""
SOCKS = r"""
import contextlib, socket, sys
with socket.create_server((sys.argv[1], 1080)) as server:
    while True:
        asker, _address = server.accept()
        with asker, contextlib.suppress(OSError):
            asker.settimeout(3)
            asker.recv(3)
            asker.sendall(b"\x05\x00")
            asker.recv(300)
"""


def differing(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {(row["host"], row["target"]) for row in report["table"] if not row["works"]}


@contextlib.contextmanager
def running(site: Site, host: str, code: str, *arguments: str) -> Iterator[None]:
    """A program that somebody runs on a host."""
    name = f"e2e-leak-{time.monotonic_ns()}"
    site.ask(host, "systemd-run", "--quiet", f"--unit={name}", "--collect", "python3", "-c", code, *arguments)
    try:
        yield
    finally:
        site.run(host, "systemctl", "stop", name)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("leaks")


@pytest.fixture(scope="module")
def clean(site: Site, directory: Path) -> dict[str, Any]:
    return leaks(site, directory)


def test_every_cell_is_as_the_declaration_has_it(site: Site, clean: dict[str, Any]) -> None:
    assert clean["broken"] == []
    assert {row["host"] for row in clean["table"]} == set(site.instances)
    # What may be reached was reached, or nothing would be known by what was not.
    reached = {
        (row["host"], row["target"]) for row in clean["table"] if (row["expected"], row["seen"]) == ("yes", "yes")
    }
    assert ("manager-1", "the way out, HTTP proxy") in reached
    assert ("bitcoin-1", "Tor, SOCKS") in reached


def test_containers_of_every_service_were_asked(site: Site, clean: dict[str, Any]) -> None:
    asked = {row["task"] for row in clean["table"]}
    services = site.ask("manager-1", "docker", "service", "ls", "--format", "{{.Name}}").split()
    assert set(services) <= asked
    assert services


def test_every_packet_is_accounted_for(site: Site, clean: dict[str, Any]) -> None:
    assert {one["verdict"] for one in clean["packets"]} <= {"known", "named"}
    # Tor keeps connections to its relays, so that something was seen.
    assert any("a relay of Tor's consensus" in one["why"] for one in clean["packets"])
    assert set(clean["watched"]) == {"standalone", *site.tier("proxyhost")}
    assert all(seconds >= 20 for seconds in clean["watched"].values())


def test_a_rehearsal_looks_as_well(site: Site, directory: Path, clean: dict[str, Any]) -> None:
    report = leaks(site, directory, "--check")
    assert report["broken"] == []
    assert len(report["table"]) == len(clean["table"])


@contextlib.contextmanager
def a_route(site: Site) -> Iterator[None]:
    """A card of bitcoin-1 in the network of the way out, and a route by it."""
    outside = site.network("outside")
    address = str(outside["subnet"]).replace(".0/24", ".222/24")
    card = ["config", "device", "add", "bitcoin-1", "e2e-leak", "nic", f"network={outside['bridge']}", "name=leak"]
    lxc(*card, project=site.project)
    try:
        site.ask("bitcoin-1", "ip", "address", "add", address, "dev", "leak")
        site.ask("bitcoin-1", "ip", "link", "set", "leak", "up")
        site.ask("bitcoin-1", "ip", "route", "add", "default", "via", str(outside["host_address"]))
        yield
    finally:
        lxc("config", "device", "remove", "bitcoin-1", "e2e-leak", project=site.project)


@contextlib.contextmanager
def a_name_server(site: Site) -> Iterator[None]:
    """Somebody on an inner network knows names, and bitcoin-1 asks there: so do its containers, by Docker's own name server."""
    server = site.address("manager-1", "cluster")
    keep = 'cp -a /etc/resolv.conf /run/e2e-resolv && rm /etc/resolv.conf && echo "nameserver $1" >/etc/resolv.conf'
    back = "rm /etc/resolv.conf; cp -a /run/e2e-resolv /etc/resolv.conf; rm /run/e2e-resolv"
    with running(site, "manager-1", NAMES, server):
        site.ask("bitcoin-1", "sh", "-ec", keep, "sh", server)
        try:
            yield
        finally:
            site.ask("bitcoin-1", "sh", "-ec", back)


@contextlib.contextmanager
def open_socks(site: Site) -> Iterator[None]:
    """Somebody's proxy on the proxyhost, and Tor's own for everybody, each with a hole in the firewall."""
    # Earlier than the site's own, so that its policy comes first.
    policy = "/etc/tor/torrc.d/00-e2e.conf"
    closed = f"rm -f {policy}; systemctl reload tor@default; systemctl reload bcm-gateway-firewall"
    with running(site, "proxyhost-1", SOCKS, site.address("proxyhost-1", "gateway")):
        try:
            site.ask("proxyhost-1", "sh", "-ec", f"echo 'SocksPolicy accept *' >{policy}; systemctl reload tor@default")
            for port in ("1080", tor_port(site)):
                hole = ["nft", "insert", "rule", "inet", "bcm_gateway", "input", "tcp", "dport", port, "accept"]
                site.ask("proxyhost-1", *hole)
            yield
        finally:
            site.ask("proxyhost-1", "sh", "-ec", closed)


def tor_port(site: Site) -> str:
    return str(site.hostvars["proxyhost-1"]["bcm_tor"]["socks"]["port"])


def stray_address(site: Site) -> str:
    """One of the inner network that is nobody's."""
    first, second, third, _rest = str(site.network("cluster")["subnet"]).split(".")
    return f"{first}.{second}.{int(third) + 15}.250"


@contextlib.contextmanager
def a_leg(site: Site) -> Iterator[None]:
    """An address of the machine underneath on an inner bridge."""
    cluster = site.network("cluster")
    leg = [f"{stray_address(site)}/{str(cluster['subnet']).partition('/')[2]}", "dev", str(cluster["bridge"])]
    subprocess.run(["ip", "address", "add", *leg], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "address", "del", *leg], check=True)


@pytest.fixture(scope="module")
def leaking(site: Site, directory: Path, clean: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What both playbooks say while there is one of each. None hides another: each is looked for by itself."""
    with a_route(site), a_name_server(site), open_socks(site), a_leg(site):
        return leaks(site, directory), site.verify(directory)["broken"]


def test_a_route_is_found(site: Site, leaking: tuple[dict[str, Any], list[str]]) -> None:
    report, verified = leaking
    by = f"by leak through {site.network('outside')['host_address']}"
    assert any(one.startswith("bitcoin-1: ") and by in one for one in report["broken"])
    assert any(one["why"].endswith("and is no proxyhost") for one in report["packets"] if one["verdict"] == "wrong")
    # From inside its containers, too.
    assert any(row["task"] and row["host"] == "bitcoin-1" and not row["works"] for row in report["table"])
    assert any(one.startswith("bitcoin-1: No way past the proxyhost: a route to 0.0.0.0/0") for one in verified)


def test_a_name_server_is_found(site: Site, leaking: tuple[dict[str, Any], list[str]]) -> None:
    report, _verified = leaking
    assert ("bitcoin-1", "a name of the world") in differing(report)
    said = f"{site.address('manager-1', 'cluster')} knows the address of"
    assert any(said in one and "its name servers are" in one for one in report["broken"])


def test_an_open_socks_is_found(site: Site, leaking: tuple[dict[str, Any], list[str]]) -> None:
    report, verified = leaking
    assert {("manager-1", "proxyhost-1, a proxy at port 1080"), ("manager-1", "Tor, SOCKS")} <= differing(report)
    place = f"somebody has a proxy at {site.address('proxyhost-1', 'gateway')}, port 1080"
    assert any(place in one for one in report["broken"])
    assert any("tor's SocksPolicy both let this tier in" in one for one in report["broken"])
    assert any(one.startswith("manager-1: Tor is closed to this tier: ") for one in verified)


def test_a_leg_of_the_machine_on_an_inner_bridge_is_found(
    site: Site, leaking: tuple[dict[str, Any], list[str]]
) -> None:
    report, _verified = leaking
    address, bridge = stray_address(site), site.network("cluster")["bridge"]
    assert any(f"it has the address {address} on {bridge}, an inner bridge" in one for one in report["broken"])
    assert any(host == "manager-1" and address in target for host, target in differing(report))


def test_of_one_that_is_killed_nothing_is_left(site: Site, directory: Path) -> None:
    def watching() -> bool:
        return "bcm-leak-watch" in Path("/proc/net/unix").read_text()

    def promiscuous() -> bool:
        bridge = str(site.network("cluster")["bridge"])
        shown = subprocess.run(
            ["ip", "-json", "-details", "link", "show", bridge], check=True, capture_output=True, text=True
        )
        return bool(json.loads(shown.stdout)[0]["promiscuity"])

    argv = ["ansible-playbook", "-i", str(site.inventory), PLAYBOOK, "-e", "leak_proof_watch_limit=60"]
    with subprocess.Popen(
        argv, cwd=CHECKOUT, env=play_env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as run:
        wait_for("a watch", watching, 120)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    wait_for("end of the watch", lambda: not watching() and not promiscuous(), 90)
    for host in site.instances:
        left = site.ask(host, "sh", "-c", "ps -eo args | grep -E '[A]nsiballZ_leak|[l]eak_probe' || true")
        assert left == ""


def test_the_site_is_whole_again(site: Site, directory: Path) -> None:
    assert leaks(site, directory)["broken"] == []
