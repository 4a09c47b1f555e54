# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images as a registry takes them."""

from __future__ import annotations

import hashlib
import json
import tarfile

from bcmlab.hub import MANIFEST, as_bytes, busybox_layers, manifest_list


def test_layers_are_the_same_bytes_each_time() -> None:
    first, second = busybox_layers(b"program"), busybox_layers(b"program")
    assert [layer.getvalue() for layer in first] == [layer.getvalue() for layer in second]
    assert len(first) == 3
    names = []
    for layer in first:
        with tarfile.open(fileobj=layer) as archive:
            names += archive.getnames()
    assert "bin/busybox" in names
    assert "bin/sh" in names


def test_a_list_names_the_digest_of_the_manifest() -> None:
    manifest = as_bytes({"schemaVersion": 2, "mediaType": MANIFEST})
    (entry,) = json.loads(manifest_list("arm64", manifest))["manifests"]
    assert entry["digest"] == f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    assert entry["size"] == len(manifest)
    assert entry["platform"] == {"architecture": "arm64", "os": "linux"}
