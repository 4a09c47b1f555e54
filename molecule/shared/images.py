# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client does with registries: push images, pull them all at once, or see how a request is answered.

images.py push|pull URL REPOSITORY...
images.py ask URL METHOD

CA names a file with authorities, LOGIN is USER:PASSWORD, SIZES are the bytes of the layers that are pushed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TRUST = ssl.create_default_context(cafile=os.environ.get("CA"))
LOGIN = base64.b64encode(os.environ.get("LOGIN", "").encode()).decode()
SIZES = [int(size) for size in os.environ.get("SIZES", "1024 12582912 26214400").split()]
AT_ONCE = 8


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def ask(url: str, data: bytes | None = None, method: str = "GET", kind: str = MANIFEST) -> tuple[bytes, str]:
    headers = {"Accept": MANIFEST, "Content-Type": kind} | ({"Authorization": f"Basic {LOGIN}"} if LOGIN else {})
    request = urllib.request.Request(url, data=data, method=method, headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=300, context=TRUST) as answer:  # noqa: S310
        return answer.read(), urllib.parse.urljoin(url, answer.headers.get("Location", ""))


def push(url: str, repository: str, blobs: list[bytes]) -> None:
    for blob in blobs:
        location = ask(f"{url}/v2/{repository}/blobs/uploads/", b"", "POST")[1]
        separator = "&" if "?" in location else "?"
        ask(f"{location}{separator}digest={digest_of(blob)}", blob, "PUT", "application/octet-stream")
    parts = [{"digest": digest_of(blob), "size": len(blob)} for blob in blobs]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **parts[0]},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **part} for part in parts[1:]],
    }
    print(ask(f"{url}/v2/{repository}/manifests/1", json.dumps(manifest).encode(), "PUT")[1])


def pull(url: str, repository: str) -> None:
    manifest = json.loads(ask(f"{url}/v2/{repository}/manifests/1")[0])
    for part in (manifest["config"], *manifest["layers"]):
        blob = ask(f"{url}/v2/{repository}/blobs/{part['digest']}")[0]
        if digest_of(blob) != part["digest"]:
            sys.exit(f"{repository}: {len(blob)} bytes instead of {part['size']}")


def main(verb: str, url: str, *what: str) -> None:
    if verb == "push":
        content = [b'{"architecture": "amd64", "os": "linux"}', *(os.urandom(size) for size in SIZES)]
        for repository in what:
            push(url, repository, content)
    elif verb == "pull":
        with ThreadPoolExecutor(AT_ONCE * len(what)) as threads:
            list(threads.map(lambda repository: pull(url, repository), what * AT_ONCE))
    else:
        ask(url, method=what[0])


try:
    main(*sys.argv[1:])
    print("taken")
except urllib.error.HTTPError as answer:
    sys.exit(str(answer.code))
except urllib.error.URLError as refused:
    sys.exit(str(refused.reason))
