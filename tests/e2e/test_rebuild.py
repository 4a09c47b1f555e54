# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world is gone, the caches are empty, an app host is destroyed: what the site keeps itself is enough to rebuild it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from standing import Site, bitcoin_container, lxc, wait_for

HOST = "bitcoin-1"
CACHE = "5000"
# A table of its own in front of the gateway's: whatever would leave the proxyhost is refused, connections that stand too.
CUT = """
table inet e2e_cut {
  chain output {
    type filter hook output priority filter - 10
    oifname "outside" reject with icmpx admin-prohibited
  }
}
"""
EMPTY = f"""
systemctl stop nginx registry-cache@{CACHE}
rm -rf /var/lib/registry-cache/{CACHE}/* /var/cache/nginx/registry-{CACHE}/*
systemctl start registry-cache@{CACHE} nginx
"""


def bitcoin(site: Site, *call: str) -> str:
    return site.ask(HOST, "bitcoin-cli", *call).strip()


def mirror_has_debian(site: Site) -> bool:
    """Whether an engine would get the image from its mirror."""
    url = f"http://{site.address('manager-1', 'cluster')}:{CACHE}/v2/library/debian/manifests/13-slim"
    accept = "Accept: application/vnd.docker.distribution.manifest.list.v2+json"
    curl = ["curl", "--silent", "--fail", "--output", "/dev/null", "--header", accept, url]
    return site.run("manager-2", *curl).returncode == 0


@pytest.fixture
def cut_off(site: Site, tmp_path: Path) -> Iterator[None]:
    """No way from the proxyhost to Hub, mirrors and downloads, and nothing of them in a cache."""
    assert mirror_has_debian(site)
    try:
        site.ask("proxyhost-1", "nft", CUT)
        for host in (*site.tier("manager"), "proxyhost-1"):
            site.ask(host, "sh", "-ec", EMPTY)
        assert not mirror_has_debian(site)
        yield
    finally:
        site.run("proxyhost-1", "nft", "delete", "table", "inet", "e2e_cut")
    wait_for("the world", lambda: mirror_has_debian(site), 60)
    # The proxy remembers for a minute that a name had no answer.
    wait_for("the whole site", lambda: site.verify(tmp_path)["works"], 300, every=5)


@pytest.mark.usefixtures("cut_off")
def test_a_destroyed_app_host_is_rebuilt_without_the_world(site: Site) -> None:
    # What the node holds in memory alone is not the volume's; on a real chain it would come from the peers again.
    bitcoin(site, "gettxoutsetinfo", "none")
    best = bitcoin(site, "getbestblockhash")
    image = site.ask(HOST, "docker", "inspect", "--format", "{{.Config.Image}}", bitcoin_container(site))
    lxc("delete", "--force", HOST, project=site.project)

    # The stages that make app hosts, ship their logs and have their node; the others would find all as it was.
    for stage in ("swarm", "shipping", "bitcoin"):
        run = site.play(f"playbooks/{stage}.yml")
        assert run.failures == []
        assert run.status == 0

    assert bitcoin(site, "getbestblockhash") == best
    assert site.ask(HOST, "docker", "inspect", "--format", "{{.Config.Image}}", bitcoin_container(site)) == image
    assert image.startswith(f"registry.{site.hostvars[HOST]['bcm_domain']}:")
