# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands for Docker Hub: base images made from the archive, put into the registry by its own API."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import tarfile
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .cache import Cache, content_key, file_sha256
from .config import RECIPES, Config, LabError
from .host import Mirrors, architecture, package_list, sources_file
from .image import SUITE, archive_lines, mmdebstrap, pipe

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
SHELL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

CACHE_KIND = "hub-images"
JAVA_CACHE_KIND = "hub-java"
DEBIAN_TAGS = ("13", "13-slim", "trixie", "trixie-slim", "latest")
BUSYBOX_TAGS = ("latest", "stable", "1.37")
# Debian's own OpenJDK, which no image on the real Hub is called by: nobody shall take it for one of those.
JAVA_IMAGE = "library/debian-jre"
JAVA_TAGS = ("13-21", "latest")
# A slim Debian has no such folder, and Java's package is not installed where it cannot link its manual pages.
MAN_PAGES = '--essential-hook=mkdir -p "$1/usr/share/man/man1"'


def hub_images(cache: Cache, mirrors: Mirrors) -> tuple[Path, bool]:
    """A folder with the layers and configurations of all images that the Hub of the lab offers."""
    arch = architecture()
    packages = package_list("hub-image")
    excludes = RECIPES / "images" / "slim-excludes.conf"
    finish = RECIPES / "images" / "hub-finish.sh"
    sources = sources_file(mirrors, SUITE)
    key = content_key("hub images 2", SUITE, arch, packages, excludes, finish, sources)

    def make(folder: Path) -> None:
        debian = [_debian(folder, mirrors, packages, f"--customize-hook=download /bin/busybox {folder / 'busybox'}")]
        busybox = [_layer(folder, content) for content in busybox_layers((folder / "busybox").read_bytes())]
        described = {
            "library/debian": _image(folder, arch, debian, ["bash"], DEBIAN_TAGS),
            "library/busybox": _image(folder, arch, busybox, ["sh"], BUSYBOX_TAGS),
        }
        (folder / "images.json").write_text(json.dumps(described, indent=2) + "\n")

    return cache.get_or_make(CACHE_KIND, key, make)


def java_image(cache: Cache, mirrors: Mirrors) -> tuple[Path, bool]:
    """A folder with an image that has Java beside Debian, for what is published as jars."""
    arch = architecture()
    packages = package_list("java-image")
    inputs = [packages, *(RECIPES / "images" / name for name in ("slim-excludes.conf", "hub-finish.sh"))]
    key = content_key("java image 1", SUITE, arch, *inputs, sources_file(mirrors, SUITE))

    def make(folder: Path) -> None:
        layer = _debian(folder, mirrors, packages, MAN_PAGES)
        described = {JAVA_IMAGE: _image(folder, arch, [layer], ["bash"], JAVA_TAGS)}
        (folder / "images.json").write_text(json.dumps(described, indent=2) + "\n")

    return cache.get_or_make(JAVA_CACHE_KIND, key, make)


def _debian(folder: Path, mirrors: Mirrors, packages: Sequence[str], *hooks: str) -> dict[str, Any]:
    """A slim Debian with some packages, as one layer."""
    (folder / "debian.sources").write_text(sources_file(mirrors, SUITE))
    excludes = (RECIPES / "images" / "slim-excludes.conf").read_text().splitlines()
    rootfs = folder / "rootfs.tar"
    bootstrap = [
        *mmdebstrap(mirrors, SUITE, list(packages)),
        *(f"--dpkgopt={line}" for line in excludes if line and not line.startswith("#")),
        f"--customize-hook=upload {folder / 'debian.sources'} /etc/apt/sources.list.d/debian.sources",
        *hooks,
        f'--customize-hook=sh -e {RECIPES / "images" / "hub-finish.sh"} "$1"',
    ]
    pipe([*bootstrap, SUITE, "-", *archive_lines(mirrors)], ["dd", f"of={rootfs}", "bs=1M", "status=none"], folder)
    layer = _layer(folder, rootfs.open("rb"))
    rootfs.unlink()
    return layer


def busybox_layers(binary: bytes) -> list[io.BytesIO]:
    """Three layers, so that a pull takes several blobs: the program, its names, its files."""
    program = [_file("bin/busybox", binary, 0o755)]
    names = [_link(f"bin/{name}") for name in ("sh", "ls", "cat", "sleep", "wget", "nc", "nslookup", "httpd", "env")]
    files = [
        _file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n", 0o644),
        _file("etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644),
        _folder("tmp", 0o1777),
        _folder("root", 0o700),
    ]
    return [_tar(entries) for entries in (program, names, files)]


Entry = tuple[tarfile.TarInfo, bytes]


def _file(name: str, content: bytes, mode: int) -> Entry:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    return entry, content


def _link(name: str) -> Entry:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, "busybox", 0o777
    return entry, b""


def _folder(name: str, mode: int) -> Entry:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    return entry, b""


def _tar(entries: Sequence[Entry]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def _layer(folder: Path, content: Any) -> dict[str, Any]:
    """Pack one layer; its file is named by its digest."""
    plain = hashlib.sha256()
    packed = folder / "layer.new"
    with packed.open("wb") as out, gzip.GzipFile(fileobj=out, mode="wb", compresslevel=3, mtime=0) as zipped, content:
        while chunk := content.read(1 << 20):
            plain.update(chunk)
            zipped.write(chunk)
    digest = file_sha256(packed)
    packed.rename(folder / digest)
    return {"digest": f"sha256:{digest}", "size": (folder / digest).stat().st_size, "diff_id": plain.hexdigest()}


def _image(
    folder: Path, arch: str, layers: Sequence[Mapping[str, Any]], command: Sequence[str], tags: Sequence[str]
) -> dict[str, Any]:
    config = {
        "architecture": arch,
        "os": "linux",
        "config": {"Cmd": list(command), "Env": [f"PATH={SHELL_PATH}"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer['diff_id']}" for layer in layers]},
    }
    content = json.dumps(config, sort_keys=True).encode()
    digest = hashlib.sha256(content).hexdigest()
    (folder / digest).write_bytes(content)
    blobs = [{"mediaType": LAYER, "size": layer["size"], "digest": layer["digest"]} for layer in layers]
    head = {"mediaType": CONFIG, "size": len(content), "digest": f"sha256:{digest}"}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": head, "layers": blobs}
    return {"architecture": arch, "manifest": manifest, "tags": list(tags)}


class Registry:
    """Writing into a registry by its HTTP API."""

    def __init__(self, host: str, port: int) -> None:
        self.connection = http.client.HTTPConnection(host, port, timeout=120)

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *exc: object) -> None:
        self.connection.close()

    def _call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        self.connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 400 and not (method == "HEAD" and answer.status == 404):
            raise LabError(f"{method} {path}: the registry answered {answer.status}: {text[:300].decode()}")
        return answer

    def has_blob(self, name: str, digest: str) -> bool:
        """Whether a repository has the blob."""
        return bool(self._call("HEAD", f"/v2/{name}/blobs/{digest}").status == 200)

    def digest_of(self, name: str, reference: str) -> str | None:
        """The digest of the manifest that a tag names."""
        accept = {"Accept": f"{MANIFEST_LIST}, {MANIFEST}"}
        answer = self._call("HEAD", f"/v2/{name}/manifests/{reference}", headers=accept)
        digest: str | None = answer.headers.get("Docker-Content-Digest") if answer.status == 200 else None
        return digest

    def put_blob(self, name: str, digest: str, path: Path) -> None:
        """Upload a file unless it is there."""
        if self.has_blob(name, digest):
            return
        where = self._call("POST", f"/v2/{name}/blobs/uploads/", headers={"Content-Length": "0"}).headers["Location"]
        parts = urllib.parse.urlsplit(where)
        query = urllib.parse.urlencode([*urllib.parse.parse_qsl(parts.query), ("digest", digest)])
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)}
        with path.open("rb") as handle:
            self._call("PUT", f"{parts.path}?{query}", handle, headers)

    def put_manifest(self, name: str, reference: str, content: bytes, media_type: str) -> None:
        """Name what has been uploaded."""
        self._call("PUT", f"/v2/{name}/manifests/{reference}", content, {"Content-Type": media_type})


def as_bytes(manifest: Mapping[str, Any]) -> bytes:
    """A manifest's digest is that of its bytes, so they are always written the same way."""
    return json.dumps(manifest, indent=2).encode()


def manifest_list(arch: str, manifest: bytes) -> bytes:
    """Official images are lists of one manifest for each architecture; so are these."""
    one = {
        "mediaType": MANIFEST,
        "size": len(manifest),
        "digest": f"sha256:{hashlib.sha256(manifest).hexdigest()}",
        "platform": {"architecture": arch, "os": "linux"},
    }
    return as_bytes({"schemaVersion": 2, "mediaType": MANIFEST_LIST, "manifests": [one]})


def fill(config: Config, *folders: Path) -> str:
    """Put the images of all folders into the registry; what is there already stays."""
    images = [
        (folder, *item) for folder in folders for item in json.loads((folder / "images.json").read_text()).items()
    ]
    pushed = []
    with Registry(config.world, 5001) as registry:
        for folder, name, image in images:
            manifest = as_bytes(image["manifest"])
            everything = manifest_list(image["architecture"], manifest)
            digest = f"sha256:{hashlib.sha256(everything).hexdigest()}"
            if all(registry.digest_of(name, tag) == digest for tag in image["tags"]):
                continue
            for blob in (image["manifest"]["config"], *image["manifest"]["layers"]):
                registry.put_blob(name, blob["digest"], folder / blob["digest"].removeprefix("sha256:"))
            registry.put_manifest(name, f"sha256:{hashlib.sha256(manifest).hexdigest()}", manifest, MANIFEST)
            for tag in image["tags"]:
                registry.put_manifest(name, tag, everything, MANIFEST_LIST)
            pushed.append(name)
    return f"put {', '.join(pushed)}" if pushed else ""
