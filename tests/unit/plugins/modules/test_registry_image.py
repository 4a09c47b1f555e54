# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers and images, and a small registry that stands for the two of them that take part."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import json
import tarfile
import threading
import urllib.parse

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _image_layers as layers
from ansible_collections.bcm.datacenter.plugins.module_utils import _registry as registries
from ansible_collections.bcm.datacenter.plugins.modules import registry_image as sut

DIGEST = f"sha256:{'a' * 64}"


class FakeRegistry(http.server.ThreadingHTTPServer):
    """Blobs and manifests in memory."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.log: list[str] = []
        self.password: str | None = None
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, name, kind, value):
        raw = json.dumps(value).encode()
        digest = registries.sha256_of(raw)
        self.manifests[f"{name}:{digest}"] = (kind, raw)
        return digest, raw


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self, code, body=b"", **headers):
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self):
        self.server.log.append(f"{self.command} {self.path}")
        path, query = self.path.partition("?")[::2]
        parts = path.split("/")
        name, kind, reference = "/".join(parts[2:-2]), parts[-2], parts[-1]
        if self.server.password and self.headers.get("Authorization") != self.server.password:
            return self.answer(401)
        if self.command in ("GET", "HEAD"):
            if kind == "blobs":
                blob = self.server.blobs.get(reference)
                return self.answer(200, blob) if blob is not None else self.answer(404)
            found = self.server.manifests.get(f"{name}:{reference}")
            if not found:
                return self.answer(404)
            digest = registries.sha256_of(found[1])
            return self.answer(200, found[1], Content_Type=found[0], Docker_Content_Digest=digest)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.command == "POST":
            return self.answer(202, Location=f"http://elsewhere.invalid{path}here?state=1")
        if "blobs/uploads" in path:
            self.server.blobs[urllib.parse.parse_qs(query)["digest"][0]] = body
        else:
            self.server.manifests[f"{name}:{reference}"] = (self.headers["Content-Type"], body)
        return self.answer(201)

    do_GET = do_HEAD = do_PUT = do_POST = handle_any  # noqa: N815


@pytest.fixture
def registry():
    server = FakeRegistry()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def base(registry):
    """An image for two architectures in the same registry, as Docker Hub has them."""
    blob = gzip.compress(b"base", mtime=0)
    registry.blobs[registries.sha256_of(blob)] = blob
    entries = []
    for architecture in ("amd64", "arm64"):
        config = json.dumps(
            {
                "architecture": architecture,
                "os": "linux",
                "created": "2026-01-01T00:00:00Z",
                "config": {"Cmd": ["bash"], "Env": ["PATH=/bin", "KEPT=1"]},
                "rootfs": {"type": "layers", "diff_ids": ["sha256:base"]},
            }
        ).encode()
        registry.blobs[registries.sha256_of(config)] = config
        digest, _raw = registry.put(
            "library/debian",
            registries.OCI_MANIFEST,
            {
                "schemaVersion": 2,
                "config": {"digest": registries.sha256_of(config), "size": len(config)},
                "layers": [{"digest": registries.sha256_of(blob), "size": len(blob)}],
            },
        )
        entries.append({"digest": digest, "platform": {"os": "linux", "architecture": architecture}})
    index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    registry.manifests["library/debian:13"] = (registries.OCI_INDEX, index)
    return registry


@pytest.fixture
def tarball(tmp_path):
    path = tmp_path / "bitcoin-1-x.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, mode in (("b/bin/bitcoind", 0o755), ("b/lib/x.so", 0o644), ("b/README", 0o600)):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime, info.uid = 4, mode, 1234, 1000
            archive.addfile(info, io.BytesIO(b"data"))
        link = tarfile.TarInfo("b/lib/y.so")
        link.type, link.linkname = tarfile.SYMTYPE, "x.so"
        archive.addfile(link)
    return path


def params(registry, tarball, **changed):
    return {
        "repository": "bitcoin",
        "version": "1",
        "architecture": "amd64",
        "recipe": {},
        "base": {"registry": registry.url, "repository": "library/debian", "reference": "13"},
        "archives": [{"path": str(tarball), "strip": 1, "take": ["bin/bitcoind", "lib/*"], "dest": "/opt/bitcoin"}],
        "files": [{"path": "/opt/bitcoin/bin/start", "content": "#!/bin/sh\n", "executable": True}],
        "settings": {"user": "1:1", "entrypoint": ["/start"], "environment": {"PATH": "/opt"}, "labels": {"a": "b"}},
        **changed,
    }


def build(server, given, folder):
    """As the module does; digests of the image and of its base."""
    registry = registries.Registry(server.url)
    base = sut.keep_base(given, registry, registry, str(folder))
    return sut.Builder(given, registry, "tag", base).build(str(folder)), base


def test_an_image_of_base_and_files(base, tarball, tmp_path):
    digest, base_digest = build(base, params(base, tarball), tmp_path)
    kind, raw = base.manifests["bitcoin:tag"]
    manifest = json.loads(raw)
    config = json.loads(base.blobs[manifest["config"]["digest"]])
    assert kind == registries.OCI_MANIFEST
    assert registries.sha256_of(raw) == digest
    assert len(manifest["layers"]) == len(config["rootfs"]["diff_ids"]) == 2
    assert config["config"]["Entrypoint"] == ["/start"]
    assert "Cmd" not in config["config"]
    assert config["config"]["Env"] == ["KEPT=1", "PATH=/opt"]
    assert config["config"]["User"] == "1:1"
    assert config["config"]["Labels"]["org.opencontainers.image.base.digest"] == base_digest
    layer = base.blobs[manifest["layers"][1]["digest"]]
    assert config["rootfs"]["diff_ids"][1] == "sha256:" + hashlib.sha256(gzip.decompress(layer)).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        modes = {member.name: (oct(member.mode), member.uid, member.mtime) for member in archive}
    assert modes["opt/bitcoin/bin/bitcoind"] == ("0o755", 0, 0)
    assert modes["opt/bitcoin/lib/x.so"] == ("0o644", 0, 0)
    assert "opt/bitcoin/lib/y.so" in modes
    assert "opt/bitcoin/README" not in modes


def test_the_same_parts_are_the_same_image(base, tarball, tmp_path):
    first, _base = build(base, params(base, tarball), tmp_path)
    second, _base = build(base, params(base, tarball), tmp_path)
    assert first == second


def test_another_architecture_needs_no_such_machine(base, tarball, tmp_path):
    build(base, params(base, tarball, architecture="arm64"), tmp_path)
    manifest = json.loads(base.manifests["bitcoin:tag"][1])
    assert json.loads(base.blobs[manifest["config"]["digest"]])["architecture"] == "arm64"


def test_an_image_that_is_there_takes_one_request(base, tarball, tmp_path):
    digest, _base = build(base, params(base, tarball), tmp_path)
    base.log.clear()
    assert registries.Registry(base.url).find("bitcoin", "tag") == digest
    assert base.log == ["HEAD /v2/bitcoin/manifests/tag"]


@pytest.mark.parametrize(
    "change",
    [
        {"files": []},
        {"settings": {"user": "2:2"}},
        {"recipe": {"more": 1}},
        {"base": {"registry": "", "repository": "library/other", "reference": "13"}},
    ],
)
def test_the_recipe_follows_what_the_image_is_made_of(base, tarball, change):
    first = layers.recipe_hash(sut.recipe_of(params(base, tarball), DIGEST))
    assert layers.recipe_hash(sut.recipe_of(params(base, tarball, **change), DIGEST)) != first


def test_the_recipe_follows_the_base_by_its_digest(base, tarball):
    given = params(base, tarball)
    assert sut.tag_of(given, DIGEST) != sut.tag_of(given, DIGEST.replace("a", "b"))


@pytest.mark.parametrize(("reference", "tag"), [("13-slim", "13-slim-amd64"), ("sha256:ab12", "sha256-ab12-amd64")])
def test_the_tag_under_which_a_base_is_kept(base, tarball, reference, tag):
    asked = {"registry": base.url, "repository": "library/debian", "reference": reference}
    assert sut.kept_tag(params(base, tarball, base=asked)) == tag


def test_a_base_that_is_kept_outlives_its_tag_and_its_upstream(base, registry, tarball, tmp_path):
    given = params(base, tarball)
    first, kept = build(base, given, tmp_path)
    for name in [name for name in base.manifests if name in ("library/debian:13", "bitcoin:tag")]:
        del base.manifests[name]
    mine = registries.Registry(base.url)
    assert mine.find("library/debian", sut.kept_tag(given)) == kept
    assert sut.Builder(given, mine, "tag", kept).build(str(tmp_path)) == first


def test_the_recipe_does_not_follow_the_mirror(base, tarball):
    elsewhere = {"registry": "http://other", "repository": "library/debian", "reference": "13"}
    first = layers.recipe_hash(sut.recipe_of(params(base, tarball), DIGEST))
    assert layers.recipe_hash(sut.recipe_of(params(base, tarball, base=elsewhere), DIGEST)) == first


def test_a_password_goes_to_the_registry_and_not_where_it_points(registry):
    registry.password = "Basic dTpw"
    mine = registries.Registry(registry.url, "u", "p")
    mine.upload("x", registries.sha256_of(b"blob"), b"blob")
    assert registry.blobs[registries.sha256_of(b"blob")] == b"blob"
    with pytest.raises(registries.RegistryError, match="401"):
        registries.Registry(registry.url).find("x", "y")


def test_a_damaged_blob_is_refused(base, tarball, tmp_path):
    for digest in base.blobs:
        base.blobs[digest] = base.blobs[digest] + b"!"
    with pytest.raises(registries.RegistryError, match="arrived damaged"):
        build(base, params(base, tarball), tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"base": {"repository": "library/debian", "reference": "99"}}, "has no image library/debian:99"),
        ({"architecture": "riscv64"}, "no image for linux/riscv64, only linux/amd64, linux/arm64"),
    ],
)
def test_a_base_that_is_not_to_be_had(base, tarball, tmp_path, change, words):
    with pytest.raises(registries.RegistryError, match=words):
        build(base, params(base, tarball, **change), tmp_path)


def test_a_registry_that_is_not_there():
    with pytest.raises(registries.RegistryError, match="cannot be reached"):
        registries.Registry("http://127.0.0.1:9").find("x", "y")


@pytest.mark.parametrize(("name", "words"), [("../etc/passwd", "leads out"), ("b/bin/other", "bin/bitcoind")])
def test_archives_that_are_refused(tmp_path, name, words):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(layers.LayerError, match=words):
        layers.archive_entries(str(path), 1, ["bin/bitcoind"], "/opt")
