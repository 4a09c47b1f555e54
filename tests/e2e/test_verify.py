# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each check of verify.yml: the thing is broken for real, and the report names it with its cause.

Things that do not touch each other are broken together: one look at the site tells of all of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from standing import Site, wait_for


@dataclass
class Breakage:
    """How a part is broken and put right, and what the report must say of it."""

    host: str
    part: str
    cause: str
    broken: list[str]
    mended: list[str]
    where: str = ""
    # What ends well on the host as soon as it is broken, where that takes its time.
    seen: tuple[str, ...] = ("true",)


# A certificate that is nobody's but its own, and the site's own back again.
TLS = "/etc/private-registry"
STRANGE = f"""
cp -a {TLS}/tls.crt {TLS}/tls.key /root/
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -subj /CN=registry.lab.bcm.internal \\
  -addext subjectAltName=DNS:registry.lab.bcm.internal -keyout {TLS}/tls.key -out {TLS}/tls.crt 2>/dev/null
systemctl reload nginx
"""
OWN = f"mv /root/tls.crt /root/tls.key {TLS}/; systemctl reload nginx"
# All but 3 of 100 parts of the MiB that are declared.
FULL = """
used=$(du --summarize --block-size=1M --one-file-system "$1" | cut -f 1)
fallocate --length "$(($2 * 97 / 100 - used))M" "$1/e2e-full"
"""

# Of one round, none hides another.
ROUNDS = [
    [
        Breakage("proxyhost-1", "HTTP proxy", "squid.service is inactive", ["systemctl", "stop", "squid"],
                 ["systemctl", "start", "squid"]),
        Breakage("proxyhost-1", "Cache of docker.io", "does not answer", ["systemctl", "stop", "nginx"],
                 ["systemctl", "start", "nginx"]),
        Breakage("manager-3", "Swarm", "manager-2 takes no work (drain)",
                 ["docker", "node", "update", "--availability", "drain", "manager-2"],
                 ["docker", "node", "update", "--availability", "active", "manager-2"]),
        Breakage("manager-1", "Registry for what the site builds", "registry.lab.bcm.internal:5443/v2/",
                 ["systemctl", "stop", "private-registry"], ["systemctl", "start", "private-registry"]),
        Breakage("bitcoin-1", "bitcoind", "", ["docker", "service", "scale", "--detach", "bitcoin-bitcoin-1=0"],
                 ["docker", "service", "scale", "--detach", "bitcoin-bitcoin-1=1"], where="manager-1",
                 seen=("sh", "-c", "! docker ps --quiet --filter label=bcm.node=bitcoin-1 | grep .")),
        Breakage("manager-2", "Cache of docker.io", "does not answer", ["systemctl", "stop", "nginx"],
                 ["systemctl", "start", "nginx"]),
        # Not the pool, which has room enough: the volume, whose file system says nothing of its limit.
        Breakage("manager-1", "Room on volume registry", "of /srv/registry is free",
                 ["sh", "-ec", FULL, "sh", "/srv/registry", "2048"], ["rm", "--force", "/srv/registry/e2e-full"]),
        Breakage("manager-3", "Room on volume kafka", "of /srv/kafka is free",
                 ["sh", "-ec", FULL, "sh", "/srv/kafka/manager-3", "8192"], ["rm", "--force", "/srv/kafka/manager-3/e2e-full"],
                 seen=("sh", "-c", "kafka status | grep --quiet 'held: less than'")),
        # What others miss of these.
        Breakage("manager-3", "Kafka's broker and controller 1003", "KiB of free space for its data", ["true"], ["true"]),
        Breakage("manager-1", "Kafka as a whole", "1003", ["true"], ["true"]),
        Breakage("proxyhost-1", "Way out to the package mirror", "does not answer through", ["true"], ["true"]),
        Breakage("proxyhost-1", "Nothing of Docker Hub but through the caches", "does not answer through", ["true"], ["true"]),
        Breakage("proxyhost-1", "Address of the way out on gateway", "HTTP proxy does not answer on", ["true"], ["true"]),
        Breakage("manager-1", "Proxy in reach", "nothing answers on", ["true"], ["true"]),
        Breakage("manager-1", "Way out to the package mirror", "does not answer through", ["true"], ["true"]),
        Breakage("bitcoin-1", "Mirror of Docker Hub on manager-2", "does not answer", ["true"], ["true"]),
        Breakage("bitcoin-1", "Registry for what the site builds", "registry.lab.bcm.internal:5443/v2/", ["true"], ["true"]),
    ],
    [
        Breakage("proxyhost-1", "Firewall", "bcm-gateway-firewall.service is inactive",
                 ["systemctl", "stop", "bcm-gateway-firewall"],
                 ["systemctl", "start", "bcm-gateway-firewall", "squid", "nginx"]),
        Breakage("proxyhost-1", "Keepalived", "keepalived.service is inactive", ["systemctl", "stop", "keepalived"],
                 ["systemctl", "start", "keepalived"]),
        Breakage("proxyhost-1", "Address of the way out on gateway", "nobody holds", ["true"], ["true"]),
        Breakage("bitcoin-1", "Docker", "docker.service is", ["systemctl", "stop", "docker.socket", "docker"],
                 ["systemctl", "start", "docker", "bcm-data-services"]),
        Breakage("manager-1", "Certificate of the registry", "is not one to trust", ["sh", "-ec", STRANGE], ["sh", "-ec", OWN]),
        Breakage("bitcoin-1", "Data services are stopped before Docker", "bcm-data-services.service is",
                 ["true"], ["true"]),
    ],
]  # fmt: skip


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verify")


@contextlib.contextmanager
def broken(site: Site, things: list[Breakage]) -> Iterator[None]:
    """They are broken within, and work again afterwards, whatever happens."""
    with contextlib.ExitStack() as stack:
        for thing in things:
            where = thing.where or thing.host
            stack.callback(site.run, where, *thing.mended)
            site.ask(where, *thing.broken)
        for thing in things:
            wait_for(f"end of {thing.part}", lambda thing=thing: site.run(thing.host, *thing.seen).returncode == 0, 120)  # type: ignore[misc]
        yield


def parts(report: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(part["host"], part["part"].split(" (")[0]): part for part in report["parts"]}


def works(site: Site, directory: Path) -> Callable[[], bool]:
    return lambda: bool(site.verify(directory)["works"])


def test_all_of_it_works(site: Site, directory: Path) -> None:
    report = site.verify(directory)
    assert report["broken"] == []
    assert {host for host, _part in parts(report)} == {"standalone", *site.instances}


@pytest.mark.parametrize("things", ROUNDS, ids=["services", "engines"])
def test_what_is_broken_is_named_with_its_cause(site: Site, directory: Path, things: list[Breakage]) -> None:
    with broken(site, things):
        report = site.verify(directory)
    seen = parts(report)
    for thing in things:
        part = seen[thing.host, thing.part]
        assert not part["works"], f"{thing.host}: {thing.part} is broken, and verify says that it works"
        assert thing.cause in part["cause"]
        assert part["hint"], "it says nothing of what a person can do"
    assert not report["works"]
    wait_for("the site that was put right", works(site, directory), 300, every=5)


def test_a_host_that_is_gone_is_a_finding(site: Site, directory: Path) -> None:
    """An instance that the declaration has and LXD has not: nothing has to be stopped to see it."""
    inventory = directory / "one-more"
    inventory.mkdir()
    text = (site.inventory / "site.bcm.yml").read_text().replace("bitcoin: {count: 1,", "bitcoin: {count: 2,")
    (inventory / "site.bcm.yml").write_text(text)
    report = site.verify(directory, inventory=inventory)
    part = parts(report)["bitcoin-2", "the instance itself"]
    assert not part["works"]
    assert "bitcoin-2" in part["cause"]
