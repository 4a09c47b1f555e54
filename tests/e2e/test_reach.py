# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches whom: one table, and every cell of it is tried.

A cell of the table is tried from inside the network namespace of the one who asks: the instance itself, or a container
on it.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest
from standing import WORLD, Site, lxc, wait_for

# Runs with the asker's network. Answers: yes, no. A UDP packet counts when its echo comes back.
ASK = r"""
import json, socket, struct, sys, concurrent.futures
def tcp(host, port):
    socket.create_connection((host, port), timeout=3).close()
def udp(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(3); s.sendto(b"anyone?", (host, port)); assert s.recvfrom(99)[0] == b"anyone?"
def dns(host, port):
    question = struct.pack(">6H", 7, 256, 1, 0, 0, 0) + b"\x09localhost\x00" + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(3); s.sendto(question, (host, port)); assert s.recvfrom(999)[0][:2] == b"\x00\x07"
def reached(cell):
    kind, host, port = cell
    try:
        {"tcp": tcp, "udp": udp, "dns": dns}[kind](host, port)
    except (OSError, AssertionError):
        return False
    return True
with concurrent.futures.ThreadPoolExecutor(40) as pool:
    print(json.dumps(list(pool.map(reached, json.loads(sys.argv[1])))))
"""

DNS = "53"
# What is asked for: name -> kind, host, port. Names in braces are filled in from the site.
TARGETS: dict[str, tuple[str, str, str]] = {
    "world: mirror (http)": ("tcp", WORLD, "80"),
    "world: hub": ("tcp", WORLD, "5000"),
    "world: a port that is not declared": ("tcp", WORLD, "18444"),
    "world: udp": ("udp", "{udp_world}", "{udp_port}"),
    "world: dns": ("dns", WORLD, DNS),
    "host on the lab's bridge: tcp": ("tcp", "198.18.0.1", "{tcp_port}"),
    "host on the lab's bridge: udp": ("udp", "198.18.0.1", "{udp_port}"),
    "host on the lab's bridge: dns": ("dns", "198.18.0.1", "53"),
    "host on outside: tcp": ("tcp", "{host_outside}", "{tcp_port}"),
    "host on outside: udp": ("udp", "{host_outside}", "{udp_port}"),
    "host on outside: dns": ("dns", "{host_outside}", "53"),
    "another site's bridge: tcp": ("tcp", "{other_host}", "{tcp_port}"),
    "another site's bridge: udp": ("udp", "{other_host}", "{udp_port}"),
    "another site's bridge: dns": ("dns", "{other_host}", "53"),
    "proxyhost: proxy": ("tcp", "{proxyhost}", "3128"),
    "proxyhost: cache of the Hub": ("tcp", "{proxyhost}", "5000"),
    "proxyhost: SOCKS": ("tcp", "{proxyhost}", "9050"),
    "way out: SOCKS": ("tcp", "{way_out}", "9050"),
    "way out: proxy": ("tcp", "{way_out}", "3128"),
    "way out: cache of the Hub": ("tcp", "{way_out}", "5000"),
    "way out: ssh": ("tcp", "{way_out}", "22"),
    "proxyhost: ssh": ("tcp", "{proxyhost}", "22"),
    "proxyhost: dns": ("dns", "{proxyhost}", "53"),
    "manager: registry": ("tcp", "{manager}", "5443"),
    "manager: mirror of the Hub": ("tcp", "{manager}", "5000"),
    "manager: Kafka": ("tcp", "{manager}", "9092"),
    "manager: Kafka, for brokers": ("tcp", "{manager}", "9091"),
    "manager: Kafka, for controllers": ("tcp", "{manager}", "9093"),
    "bitcoin-1: rpc": ("tcp", "{bitcoin}", "{rpc}"),
    "bitcoin-1: zmq": ("tcp", "{bitcoin}", "{zmq_hashblock}"),
    "bitcoin-1: p2p": ("tcp", "{bitcoin}", "{p2p}"),
    "bitcoin-1: onion": ("tcp", "{bitcoin_gateway}", "{onion}"),
    "bitcoind on its overlay: rpc": ("tcp", "{bitcoind}", "{rpc}"),
    "bitcoind on its overlay: zmq": ("tcp", "{bitcoind}", "{zmq_hashblock}"),
    "bitcoind on its overlay: p2p": ("tcp", "{bitcoind}", "{p2p}"),
    "bitcoind on its overlay: onion": ("tcp", "{bitcoind}", "{onion}"),
}

REGISTRY = {"manager: registry"}
KAFKA = {"manager: Kafka"}
INSIDE = {"manager: registry", "manager: mirror of the Hub", *KAFKA}
# Between its members, which are told by the address of their host.
MEMBERS = {"manager: Kafka, for brokers", "manager: Kafka, for controllers"}
GATEWAY = {"proxyhost: proxy", "proxyhost: cache of the Hub", "way out: proxy", "way out: cache of the Hub"}
# What goes out by Tor. Squid gives it packages and nothing else; what is cached for others is not for it.
SOCKS = {"proxyhost: SOCKS", "way out: SOCKS"}
TOR = {"proxyhost: proxy", "way out: proxy", *SOCKS}
# Of peers it takes those alone that come by its onion, at a port of their own.
OVERLAY = {"bitcoind on its overlay: zmq", "bitcoind on its overlay: onion"}
# The node's onion leads there from the proxyhosts. Its own host reaches it too.
ONION = {"bitcoin-1: onion"}
# What the way to the node from lnd's host begins with, and where it is taken from; only where there is an lnd.
WAY = {"bitcoin": {"bitcoin-1: rpc", "bitcoin-1: zmq"}}
# Its RPC listens there too, and answers to nobody who comes by it.
TASKS = (
    "a task on bitcoind's overlay, on manager",
    "a task on bitcoind's overlay, on bitcoin",
    "bitcoind's own container",
)
WAY |= {asker: {"bitcoind on its overlay: rpc"} for asker in TASKS}
# Who asks -> all that must answer. What is not named must not answer.
REACHED: dict[str, set[str]] = {
    # Its root has no business outside: only Squid, apt, nginx and tor have.
    "proxyhost": {"host on outside: dns", *GATEWAY, *SOCKS, *REGISTRY, *KAFKA, *ONION},
    "manager": GATEWAY | INSIDE | MEMBERS,
    "bitcoin": INSIDE | TOR | ONION,
    # A container has no address there, and asks with that of its host.
    "a container on manager": GATEWAY | INSIDE | MEMBERS,
    "a container on bitcoin": INSIDE | TOR,
    "a task on bitcoind's overlay, on manager": GATEWAY | INSIDE | MEMBERS | OVERLAY,
    "a task on bitcoind's overlay, on bitcoin": INSIDE | TOR | OVERLAY,
    "bitcoind's own container": INSIDE | TOR | OVERLAY,
}
# Which ports an instance listens on for others. Swarm's own (2377, 7946) are those of the cluster.
LISTENING = {
    "proxyhost": {3128, 5000, 9050},
    "manager": {2377, 7946, 5000, 5443, 5444, 9091, 9092, 9093},
    "bitcoin": {7946},
    "lightning": {7946, 8080, 9735, 10009},
}
# Where managers keep lnd's fence.
KEEPER = 8735


def listening(site: Site, tier: str) -> set[int]:
    """Those of a tier, with what the node and lnd add to them."""
    node = site.hostvars[site.tier("bitcoin")[0]]["bcm_stacks"]["bitcoin"]["nodes"][0]
    services = ["rpc", *(f"zmq_{topic}" for topic in node["zmq"])]
    ports, ways = ({int(node[key][name]) for name in services} for key in ("ports", "way_ports"))
    with_lnd = {"manager": {KEEPER}, "bitcoin": ports | ways, "lightning": ports} if site.tier("lightning") else {}
    own = {int(node["ports"]["onion"])} if tier == "bitcoin" else set()
    return LISTENING[tier] | own | with_lnd.get(tier, set())


@contextlib.contextmanager
def echoes() -> Iterator[dict[str, str]]:
    """Something to reach on the machine under the site: TCP and UDP, on all its addresses."""
    with socket.create_server(("0.0.0.0", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:  # noqa: S104
        udp.bind(("0.0.0.0", 0))  # noqa: S104

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    packet, asker = udp.recvfrom(99)
                    udp.sendto(packet, asker)

        threading.Thread(target=answer, daemon=True).start()
        yield {"tcp_port": str(tcp.getsockname()[1]), "udp_port": str(udp.getsockname()[1])}
        # The way to wake a thread that waits for packets; a socket without a peer complains, and wakes it all the same.
        with contextlib.suppress(OSError):
            udp.shutdown(socket.SHUT_RDWR)


def echoed(host: str, port: int) -> bool:
    """Whether an echo comes back to the machine under the site."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(1)
        for _attempt in range(10):
            asker.sendto(b"anyone?", (host, port))
            with contextlib.suppress(OSError):
                return asker.recvfrom(99)[0] == b"anyone?"
    return False


@contextlib.contextmanager
def world_echo(*ports: str) -> Iterator[None]:
    """The same in the world outside, UDP alone. A question to a name server has its answer in that it comes back."""
    code = (
        "import selectors, socket\nwait = selectors.DefaultSelector()\n"
        f"for port in [{', '.join(ports)}]:\n    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        f"    s.bind(('{WORLD}', port))\n    wait.register(s, selectors.EVENT_READ)\n"
        "while True:\n    for key, _ in wait.select():\n        p, a = key.fileobj.recvfrom(99)\n        key.fileobj.sendto(p, a)\n"
    )
    argv = ["systemd-run", "--quiet", "--unit=e2e-echo", "--collect", "python3", "-c", code]
    lxc("exec", "world", "--", *argv, project="lab")
    try:
        yield
    finally:
        lxc("exec", "world", "--", "systemctl", "stop", "e2e-echo", project="lab")


@pytest.fixture(scope="module")
def bitcoind(site: Site) -> str:
    """The container of the node."""
    return site.ask(site.tier("bitcoin")[0], "docker", "ps", "-q", "--filter", "label=bcm.node").strip()


@pytest.fixture(scope="module")
def pids(site: Site, bitcoind: str) -> Iterator[dict[str, tuple[str, str | None]]]:
    """Who asks -> instance, and a process in whose network it is asked."""
    manager, node = site.tier("manager")[-1], site.tier("bitcoin")[0]
    with contextlib.ExitStack() as stack:
        create = ["service", "create", "--quiet", "--detach", "--name", "e2e-reach", "--mode", "global"]
        argv = [
            *create,
            "--network",
            "bitcoin",
            "--endpoint-mode",
            "dnsrr",
            "--no-resolve-image",
            "busybox",
            "sleep",
            "900",
        ]
        stack.callback(site.run, site.tier("manager")[0], "docker", "service", "rm", "e2e-reach")
        site.ask(site.tier("manager")[0], "docker", *argv)
        for host in (manager, node):
            stack.callback(site.run, host, "docker", "rm", "--force", "e2e-container")
            site.ask(host, "docker", "run", "--detach", "--quiet", "--name", "e2e-container", "busybox", "sleep", "900")

        def pid(host: str, container: str) -> str:
            return site.ask(host, "docker", "inspect", "--format", "{{.State.Pid}}", container).strip()

        def task(host: str) -> str:
            look = ["docker", "ps", "-q", "--filter", "label=com.docker.swarm.service.name=e2e-reach"]
            return str(wait_for(f"a task on {host}", lambda: site.ask(host, *look).strip(), 90))

        yield {
            "proxyhost": (site.tier("proxyhost")[0], None),
            "manager": (manager, None),
            "bitcoin": (node, None),
            "a container on manager": (manager, pid(manager, "e2e-container")),
            "a container on bitcoin": (node, pid(node, "e2e-container")),
            "a task on bitcoind's overlay, on manager": (manager, pid(manager, task(manager))),
            "a task on bitcoind's overlay, on bitcoin": (node, pid(node, task(node))),
            "bitcoind's own container": (node, pid(node, bitcoind)),
        }


@pytest.fixture(scope="module")
def table(
    site: Site, other_site: Site, pids: dict[str, tuple[str, str | None]], bitcoind: str
) -> dict[str, dict[str, bool]]:
    """Every cell, as it was tried."""
    manager, node, proxyhost = site.tier("manager")[0], site.tier("bitcoin")[0], site.tier("proxyhost")[0]
    form = '{{(index .NetworkSettings.Networks "bitcoin").IPAddress}}'
    outside = {name: str(other["subnet"]).replace(".0/24", ".1") for name, other in (
        ("site", site.network("outside")), ("other", other_site.network("outside")))}  # fmt: skip
    known = {
        "udp_world": WORLD,
        "host_outside": outside["site"],
        "other_host": outside["other"],
        "proxyhost": site.address(proxyhost, "gateway"),
        "way_out": str(site.hostvars[proxyhost]["bcm_way_out"]["gateway"]["address"]),
        "bitcoin": site.address(node, "cluster"),
        "bitcoin_gateway": site.address(node, "gateway"),
        "bitcoind": site.ask(node, "docker", "inspect", "--format", form, bitcoind).strip(),
        **{name: str(port) for name, port in site.hostvars[node]["bcm_chain_ports"].items()},
    }
    seen: dict[str, dict[str, bool]] = {}
    with echoes() as ports, world_echo(ports["udp_port"], DNS):
        # The counter-check: what is closed to the others does answer where nothing is in the way.
        for place, port in ((WORLD, ports["udp_port"]), (WORLD, DNS), ("198.18.0.1", ports["udp_port"])):
            assert echoed(place, int(port)), f"nothing answers to UDP on {place}, port {port}, at all"
        for asker, (instance, pid) in pids.items():
            # A manager has two addresses: everyone asks at the one on the network that they share.
            shared = site.address(manager, "gateway" if asker == "proxyhost" else "cluster")
            fill = {**known, **ports, "manager": shared}
            cells = [[kind, host.format(**fill), int(port.format(**fill))] for kind, host, port in TARGETS.values()]
            argv = [*(["nsenter", "-t", pid, "-n"] if pid else []), "python3", "-c", ASK, json.dumps(cells)]
            answers = site.ask(instance, *argv)
            seen[asker] = dict(zip(TARGETS, json.loads(answers), strict=True))
    return seen


@pytest.mark.parametrize("asker", REACHED)
def test_who_reaches_whom(site: Site, table: dict[str, dict[str, bool]], asker: str) -> None:
    reached = REACHED[asker] | (WAY.get(asker, set()) if site.tier("lightning") else set())
    assert table[asker] == {target: target in reached for target in TARGETS}


def test_inner_bridges_have_no_leg_on_the_machine(site: Site) -> None:
    for network in ("gateway", "cluster"):
        bridge = site.network(network)["bridge"]
        shown = subprocess.run(["ip", "-json", "address", "show", bridge], check=True, capture_output=True, text=True)
        assert json.loads(shown.stdout)[0]["addr_info"] == [], f"{bridge} has an address"


@pytest.mark.parametrize("tier", LISTENING)
def test_an_instance_listens_only_where_it_must(site: Site, tier: str) -> None:
    for instance in site.tier(tier):
        lines = site.ask(instance, "ss", "--no-header", "--listening", "--tcp", "--numeric").splitlines()
        places = [line.split()[3].rsplit(":", 1) for line in lines]
        ports = {int(port) for address, port in places if not address.startswith(("127.", "[::1]"))}
        assert ports == listening(site, tier) - ({5443, 5444} if instance != f"{tier}-1" else set())
