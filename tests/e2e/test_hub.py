# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image that no cache has, pulled by all engines at once: the Hub is asked for each of its blobs once."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import secrets
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from standing import CHECKOUT, WORLD, Site, lxc

sys.path.insert(0, str(CHECKOUT / "lab"))
from bcmlab import hub

NAME = "bcm-e2e/at-once"
LOG = "/var/log/nginx/hub.access.log"
# Where the Hub keeps what it has.
STORE = "/var/lib/docker-registry/docker/registry/v2"
LAYERS = 3
MIB = 4


@dataclass
class Image:
    """An image in the Hub."""

    reference: str
    list_digest: str
    manifest_digest: str
    blobs: list[str]


def put(registry: hub.Registry, content: bytes, directory: Path) -> tuple[str, int]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    path = directory / digest
    path.write_bytes(content)
    registry.put_blob(NAME, digest, path)
    return digest, len(content)


def layer() -> tuple[bytes, str]:
    """A packed layer that exists nowhere else, and the digest of what is in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(secrets.token_hex(8))
        entry.size = MIB << 20
        archive.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    return gzip.compress(buffer.getvalue(), 1), f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}"


@pytest.fixture
def image(site: Site, tmp_path: Path) -> Iterator[Image]:
    """Put there by the lab's own way in; gone from Hub and hosts afterwards."""
    with hub.Registry(WORLD, 5001) as registry:
        packed = [layer() for _ in range(LAYERS)]
        layers = [put(registry, content, tmp_path) for content, _ in packed]
        config = {
            "architecture": hub.architecture(),
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [plain for _, plain in packed]},
        }
        head = put(registry, json.dumps(config).encode(), tmp_path)
        manifest = hub.as_bytes(
            {
                "schemaVersion": 2,
                "mediaType": hub.MANIFEST,
                "config": {"mediaType": hub.CONFIG, "digest": head[0], "size": head[1]},
                "layers": [{"mediaType": hub.LAYER, "digest": digest, "size": size} for digest, size in layers],
            }
        )
        everything = hub.manifest_list(hub.architecture(), manifest)
        whole, alone = (f"sha256:{hashlib.sha256(raw).hexdigest()}" for raw in (everything, manifest))
        tag = secrets.token_hex(8)
        registry.put_manifest(NAME, alone, manifest, hub.MANIFEST)
        registry.put_manifest(NAME, tag, everything, hub.MANIFEST_LIST)
        made = Image(f"{NAME}:{tag}", whole, alone, blobs=[head[0], *(digest for digest, _ in layers)])
        yield made
        for engine in site.engines:
            site.run(engine, "docker", "image", "rm", "--force", made.reference)
    stored = [digest.removeprefix("sha256:") for digest in (*made.blobs, made.list_digest, made.manifest_digest)]
    paths = [
        f"{STORE}/repositories/{NAME.split('/')[0]}",
        *(f"{STORE}/blobs/sha256/{digest[:2]}/{digest}" for digest in stored),
    ]
    lxc("exec", "world", "--", "rm", "-r", *paths, project="lab")


def test_the_hub_is_asked_once_for_each_blob(site: Site, image: Image) -> None:
    with ThreadPoolExecutor(len(site.engines)) as pool:
        pulls = {
            engine: pool.submit(site.ask, engine, "docker", "pull", "--quiet", image.reference)
            for engine in site.engines
        }
    for pull in pulls.values():
        pull.result()
    seen = {
        site.ask(engine, "docker", "image", "inspect", "--format", "{{.Id}}", image.reference)
        for engine in site.engines
    }
    assert {line.strip() for line in seen} == {image.blobs[0]}

    asked: Counter[str] = Counter()
    for line in lxc("exec", "world", "--", "grep", "-F", f"/v2/{NAME}/", LOG, project="lab").splitlines():
        method, path = line.split('"')[1].split()
        asked[f"{method} {path.removeprefix(f'/v2/{NAME}/')}"] += 1
    for blob in image.blobs:
        assert asked[f"GET blobs/{blob}"] == 1, f"the Hub was asked {asked[f'GET blobs/{blob}']} times for {blob}"
    # The list by its tag, the image's own by its digest. Whether a tag has moved is asked by HEAD, which the Hub does not count.
    manifests = [image.reference.split(":")[1], image.manifest_digest]
    assert [asked[f"GET manifests/{manifest}"] for manifest in manifests] == [1, 1]
    assert not asked[f"GET manifests/{image.list_digest}"]
