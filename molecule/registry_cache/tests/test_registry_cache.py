# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Docker host gets from the caches, and what the world sees of it. In this order: the later ones break things."""

from __future__ import annotations

import http.client
import re
import urllib.parse
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

FIRST, SECOND = "http://198.18.70.21:5000", "http://198.18.70.22:5000"
# Of the second level as well, for the second upstream.
OTHER = "http://198.18.70.22:5001"
IMAGES = (Path(__file__).parents[2] / "shared/images.py").read_text()
# What a registry may answer with when it is asked for a tag.
KINDS = ", ".join(f"application/vnd.docker.distribution.manifest.{kind}v2+json" for kind in ("list.", ""))
# Two images that share their configuration and three layers.
BLOBS = 4


@pytest.fixture(scope="module")
def hub(instance: Callable[[str], Host]) -> Host:
    return instance("registry-hub")


@pytest.fixture(scope="module")
def first(instance: Callable[[str], Host]) -> Host:
    return instance("registry-cache-1")


@pytest.fixture(scope="module")
def second(instance: Callable[[str], Host]) -> Host:
    return instance("registry-cache-2")


def pull(host: Host, cache: str) -> None:
    """Two images, each by eight at once, and every byte of them as pushed."""
    host.check_output("python3 -c %s pull %s library/one acme/two", IMAGES, cache)


def fetched(hub: Host) -> list[str]:
    """The blobs that the world was asked for, each as often as it was."""
    log = hub.check_output("journalctl --unit=docker-registry --output=cat --grep='GET /v2/.*/blobs/sha256'")
    return re.findall(r'"GET /v2/[^" ]+(sha256:[0-9a-f]{64}) HTTP', log)


def ask(host: Host, url: str, method: str) -> str:
    said = host.run("python3 -c %s ask %s %s", IMAGES, url, method)
    return str(said.stdout + said.stderr).strip()


def test_who_pulls_at_once_through_both_levels_costs_the_world_one_request_a_blob(hub: Host, second: Host) -> None:
    pull(second, SECOND)
    blobs = fetched(hub)
    assert len(blobs) == BLOBS
    assert len(set(blobs)) == BLOBS


def test_the_second_pull_asks_the_world_for_no_blob(hub: Host, first: Host, second: Host) -> None:
    before = fetched(hub)
    pull(second, SECOND)
    pull(first, FIRST)
    assert fetched(hub) == before


def test_another_registry_is_pulled_from_by_the_name_that_it_has_here(second: Host, lab: dict[str, Any]) -> None:
    """Docker itself, by a reference with the port of that cache. What is behind the one port is not behind the other."""
    upstream = urllib.parse.urlsplit(lab["mirrors"]["registries"]["docker.io"])
    with closing(http.client.HTTPConnection(upstream.netloc, timeout=30)) as world:
        world.request("HEAD", "/v2/library/busybox/manifests/latest", headers={"Accept": KINDS})
        wanted = world.getresponse().getheader("Docker-Content-Digest")
    # In the image nothing starts by itself.
    second.check_output("systemctl start docker.service")
    reference = "127.0.0.1:5001/library/busybox"
    assert second.check_output("docker pull --quiet %s", reference) == f"{reference}:latest"
    assert second.check_output("docker image inspect --format '{{json .RepoDigests}}' %s", reference) == (
        f'["{reference}@{wanted}"]'
    )
    assert ask(second, f"{SECOND}/v2/library/busybox/manifests/latest", "GET") == "404"
    assert ask(second, f"{OTHER}/v2/library/one/manifests/1", "GET") == "404"


def test_nobody_writes_and_strangers_do_not_even_read(hub: Host, first: Host) -> None:
    assert ask(first, f"{FIRST}/v2/library/one/blobs/uploads/", "POST") == "403"
    assert ask(first, f"{FIRST}/v2/library/one/manifests/1", "DELETE") == "403"
    assert ask(first, f"{FIRST}/v2/", "GET") == "taken"
    assert ask(hub, f"{FIRST}/v2/", "GET") == "403"


def test_what_was_pulled_once_outlives_the_upstream(first: Host, second: Host) -> None:
    first.check_output("systemctl stop nginx.service")
    # Nothing is left but what the registry keeps.
    second.check_output("find /var/cache/nginx/registry-5000 -type f -delete && systemctl restart registry-cache@5000")
    up = "until bash -c '</dev/tcp/127.0.0.1/15000'; do sleep 0.1; done"
    assert second.run("timeout 30 bash -c %s", up).rc == 0
    pull(second, SECOND)
    first.check_output("systemctl start nginx.service")


def test_a_cache_stays_within_its_bound_and_fetches_again_what_it_dropped(hub: Host, first: Host) -> None:
    assert first.check_output("systemctl is-active registry-cache-trim.timer") == "active"
    first.check_output("systemctl start registry-cache-trim.service")
    assert int(first.check_output("du --summarize --block-size=1M /var/lib/registry-cache/5000").split()[0]) <= 15
    first.check_output("find /var/cache/nginx/registry-5000 -type f -delete")
    before = len(fetched(hub))
    pull(first, FIRST)
    again = fetched(hub)[before:]
    assert again
    assert len(set(again)) == len(again)


def test_upstreams_that_cannot_be(refusal: Callable[..., str]) -> None:
    message = refusal(
        "--limit=registry-cache-1",
        registry_cache_clients=["home"],
        registry_cache_upstreams=[
            {"name": "docker.io", "url": "https://hub.example/path", "port": 5000},
            {"name": "quay.io", "url": "https://quay.example", "port": 5000},
        ],
    )
    assert "https://hub.example/path" in message
    assert "5000" in message
    assert "home" in message
