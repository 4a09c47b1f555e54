# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simplestreams tree, as LXD and Incus read it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bcmlab.image import BaseImage, describe, publish, simplestreams


def image(folder: Path, content: bytes, version: str) -> BaseImage:
    folder.mkdir()
    (folder / "lxd.tar.xz").write_bytes(b"meta")
    (folder / "incus.tar.xz").write_bytes(b"other")
    (folder / "rootfs.squashfs").write_bytes(content)
    return BaseImage(folder, describe(folder, "amd64", version))


def test_the_fingerprint_is_that_of_both_files(tmp_path: Path) -> None:
    made = image(tmp_path / "image", b"root", "20260101_000000")
    assert made.info["combined_sha256"] == hashlib.sha256(b"metaroot").hexdigest()
    assert made.info["rootfs"] == {"size": 4, "sha256": hashlib.sha256(b"root").hexdigest()}


def test_the_tree(tmp_path: Path) -> None:
    tree = simplestreams(image(tmp_path / "image", b"root", "20260101_000000").info)
    (index,) = tree["streams/v1/index.json"]["index"].values()
    products = tree[index["path"]]["products"]
    assert list(products) == index["products"] == ["debian:trixie:amd64:cloud"]
    (product,) = products.values()
    assert "debian/13/cloud" in product["aliases"].split(",")
    items = product["versions"]["20260101_000000"]["items"]
    assert {item["ftype"] for item in items.values()} == {"lxd.tar.xz", "incus.tar.xz", "squashfs"}
    assert items["lxd.tar.xz"]["combined_squashfs_sha256"] == hashlib.sha256(b"metaroot").hexdigest()
    assert items["incus.tar.xz"]["combined_squashfs_sha256"] == hashlib.sha256(b"otherroot").hexdigest()


def test_publishing_again_does_nothing_and_a_new_image_replaces_the_old(tmp_path: Path) -> None:
    first = image(tmp_path / "first", b"root", "20260101_000000")
    assert publish(first, tmp_path / "www")
    assert not publish(first, tmp_path / "www")
    next((tmp_path / "www").rglob("images.json")).write_text("told otherwise")
    assert publish(first, tmp_path / "www")
    assert not list((tmp_path / "www").rglob("*.new"))
    second = image(tmp_path / "second", b"root 2", "20260202_000000")
    assert publish(second, tmp_path / "www")
    files = sorted(path.name for path in (tmp_path / "www").rglob("20*/*"))
    assert files == ["incus.tar.xz", "lxd.tar.xz", "rootfs.squashfs"]
    assert (next((tmp_path / "www").rglob("rootfs.squashfs"))).read_bytes() == b"root 2"
