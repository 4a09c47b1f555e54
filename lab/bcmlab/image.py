# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base image: made from the archive, offered as image servers do (simplestreams), and given to the lab itself."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cache import Cache, content_key, file_sha256
from .config import IMAGE_ALIAS, RECIPES, LabError
from .host import Mirrors, apt_proxy_options, architecture, package_list, sources_file
from .proc import last_words, write_atomic

SUITE = "trixie"
CACHE_KIND = "base-image"
ALIASES = (IMAGE_ALIAS, "debian/trixie/cloud")
PRODUCTS = "streams/v1/images.json"

# LXD's word for Debian's.
LXD_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}

HOSTNAME = {"/etc/hostname": "{{ container.name }}\n"}
SEED = "/var/lib/cloud/seed/nocloud-net"


def _asked(kind: str, otherwise: str) -> str:
    """A template of what an instance's configuration says to cloud-init, under the key of today or the older one."""
    keys = (f'config_get("cloud-init.{kind}", "")', f'config_get("user.{kind}", "")')
    return f"{{% if {keys[0]} %}}{{{{ {keys[0]} }}}}{{% elif {keys[1]} %}}{{{{ {keys[1]} }}}}{{% else %}}{otherwise}{{% endif %}}\n"


# The files that tell a server what an image is, and which files the server writes into an instance that it makes of it.
# LXD hands cloud-init its configuration through a socket. Of Incus cloud-init knows nothing: it finds it as files.
METADATA = {
    "lxd.tar.xz": HOSTNAME,
    "incus.tar.xz": {
        **HOSTNAME,
        f"{SEED}/meta-data": "instance-id: {{ container.name }}\nlocal-hostname: {{ container.name }}\n",
        f"{SEED}/user-data": _asked("user-data", "#cloud-config\n{}"),
        f"{SEED}/vendor-data": _asked("vendor-data", "#cloud-config\n{}"),
        f"{SEED}/network-config": _asked("network-config", "version: 2\nethernets: {eth0: {dhcp4: true}}"),
    },
}


@dataclass(frozen=True)
class BaseImage:
    """Files of the image, and what identifies it."""

    folder: Path
    info: Mapping[str, Any]

    @property
    def metadata(self) -> Path:
        """What LXD wants to know of it."""
        return self.folder / "lxd.tar.xz"

    @property
    def rootfs(self) -> Path:
        """Its file system."""
        return self.folder / "rootfs.squashfs"


def base_image(cache: Cache, mirrors: Mirrors) -> tuple[BaseImage, bool]:
    """The image from the cache, made if need be."""
    arch = architecture()
    packages = package_list("base-image")
    hook = RECIPES / "images" / "base-finish.sh"
    sources = sources_file(mirrors, SUITE)
    key = content_key("base image 2", SUITE, arch, packages, hook, sources)

    def make(folder: Path) -> None:
        (folder / "debian.sources").write_text(sources)
        bootstrap = [
            *mmdebstrap(mirrors, SUITE, packages),
            f"--customize-hook=upload {folder / 'debian.sources'} /etc/apt/sources.list.d/debian.sources",
            f'--customize-hook=sh -e {hook} "$1"',
        ]
        pack = ["mksquashfs", "-", str(folder / "rootfs.squashfs"), "-tar", "-quiet", "-no-progress"]
        pipe(
            [*bootstrap, SUITE, "-", *archive_lines(mirrors)],
            [*pack, "-comp", "zstd", "-Xcompression-level", "3"],
            folder,
        )
        now = datetime.datetime.now(datetime.UTC)
        for server in METADATA:
            _write_metadata(folder / server, LXD_ARCHITECTURES[arch], int(now.timestamp()))
        info = describe(folder, arch, now.strftime("%Y%m%d_%H%M%S"))
        write_atomic(folder / "info.json", json.dumps(info, indent=2) + "\n")

    folder, made = cache.get_or_make(CACHE_KIND, key, make)
    return BaseImage(folder, json.loads((folder / "info.json").read_text())), made


def mmdebstrap(mirrors: Mirrors, suite: str, packages: list[str]) -> list[str]:
    """The part of the command that all our Debians have in common."""
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    options = [f"--aptopt={option}" for option in apt_proxy_options()]
    return [
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        "--format=tar",
        f"--keyring={keyring}",
        f"--include={','.join(packages)}",
        # A clock that is ahead of a mirror's files is no reason to fail.
        "--aptopt=Acquire::Check-Valid-Until false",
        *options,
    ]


def archive_lines(mirrors: Mirrors) -> list[str]:
    """The archives to bootstrap from."""
    lines = [f"deb {mirrors.debian} {SUITE} main", f"deb {mirrors.debian} {SUITE}-updates main"]
    if mirrors.security:
        lines.append(f"deb {mirrors.security} {SUITE}-security main")
    return lines


def pipe(producer: list[str], consumer: list[str], scratch: Path) -> None:
    """producer | consumer, and both must succeed. What they need meanwhile lies in the scratch folder."""
    with (
        tempfile.TemporaryFile() as complaint,
        subprocess.Popen(
            producer,
            stdout=subprocess.PIPE,
            stderr=complaint,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(scratch)},
            # mmdebstrap signals its whole process group when it fails; that must not be ours.
            start_new_session=True,
        ) as first,
    ):
        second = subprocess.run(consumer, stdin=first.stdout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if first.stdout is not None:
            first.stdout.close()
        first.wait()
        complaint.seek(0)
        words = complaint.read().decode(errors="replace")
    if second.returncode != 0:
        raise LabError(f"{consumer[0]} ended with {second.returncode}: {last_words(second.stdout.decode())}")
    if first.returncode != 0:
        raise LabError(f"{producer[0]} ended with {first.returncode}: {last_words(words)}")


def _write_metadata(path: Path, arch: str, created: int) -> None:
    build = path.parent / "metadata"
    (build / "templates").mkdir(parents=True)
    templates = {}
    for target, text in METADATA[path.name].items():
        name = f"{Path(target).name}.tpl"
        (build / "templates" / name).write_text(text)
        templates[target] = {"when": ["create", "copy"], "template": name}
    metadata = {
        "architecture": arch,
        "creation_date": created,
        "properties": {
            "os": "Debian",
            "release": SUITE,
            "variant": "cloud",
            "architecture": arch,
            "description": f"Debian {SUITE} (cloud)",
        },
        "templates": templates,
    }
    # JSON is YAML.
    (build / "metadata.yaml").write_text(json.dumps(metadata, indent=2) + "\n")
    with tarfile.open(path, "w:xz", preset=1) as archive:
        archive.add(build, ".", filter=_as_root)
    shutil.rmtree(build)


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def describe(folder: Path, arch: str, version: str) -> dict[str, Any]:
    """What simplestreams tells of the files."""
    rootfs = folder / "rootfs.squashfs"
    # What a server takes for the image's fingerprint.
    both = {name: _sha256_of_both(folder / name, rootfs) for name in METADATA}
    return {
        "architecture": arch,
        "version": version,
        "combined_sha256": both["lxd.tar.xz"],
        "metadata": {name: {"combined_squashfs_sha256": both[name], **_size(folder / name)} for name in METADATA},
        "rootfs": _size(rootfs),
    }


def _size(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": file_sha256(path)}


def _sha256_of_both(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as handle:
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def simplestreams(info: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The files of a simplestreams tree that offers the one image."""
    arch, version = info["architecture"], info["version"]
    product = f"debian:{SUITE}:{arch}:cloud"
    folder = f"images/debian/{SUITE}/{arch}/cloud/{version}"
    items = {
        **{name: {"ftype": name, "path": f"{folder}/{name}", **item} for name, item in info["metadata"].items()},
        "rootfs.squashfs": {"ftype": "squashfs", "path": f"{folder}/rootfs.squashfs", **info["rootfs"]},
    }
    index = {
        "format": "index:1.0",
        "index": {"images": {"datatype": "image-downloads", "path": PRODUCTS, "products": [product]}},
    }
    images = {
        "format": "products:1.0",
        "content_id": "images",
        "datatype": "image-downloads",
        "products": {
            product: {
                "aliases": ",".join(ALIASES),
                "arch": arch,
                "os": "Debian",
                "release": SUITE,
                "release_title": SUITE,
                "variant": "cloud",
                "versions": {version: {"items": items}},
            }
        },
    }
    return {"streams/v1/index.json": index, PRODUCTS: images}


def publish(image: BaseImage, www: Path) -> str:
    """Offer the image on the world's web server."""
    root = www / "images"
    tree = simplestreams(image.info)
    wanted = json.dumps(tree[PRODUCTS], indent=2) + "\n"
    products = root / PRODUCTS
    if products.exists() and products.read_text() == wanted:
        return ""
    (versions,) = [product["versions"] for product in tree[PRODUCTS]["products"].values()]
    (version,) = versions.values()
    for name, item in version["items"].items():
        target = root / item["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(image.folder / name, target)
    for name, content in tree.items():
        write_atomic(root / name, json.dumps(content, indent=2) + "\n")
    current = target.parent
    for older in [path for path in current.parent.iterdir() if path != current]:
        shutil.rmtree(older)
    return f"offers {', '.join(ALIASES)}"


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under another name, without a second copy where the file system can."""
    if target.exists() and target.samefile(source):
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    temporary.chmod(0o644)
    temporary.rename(target)
