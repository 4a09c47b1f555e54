# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makers of Bitcoin programs have really published, served from this machine."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
MAKERS = yaml.safe_load((CHECKOUT / "roles/bitcoin_node/vars/main.yml").read_text())["bitcoin_node_makers"]
MANIFEST = "all.SHA256SUMS"
# What the makers' builders have attested and their keys, as they lie in the repositories that the role names as its source.
RELEASES = Path(os.environ.get("BCM_GENUINE_RELEASES", CHECKOUT / "tests/genuine/releases"))


@dataclass
class Genuine:
    """A release of a maker, in the form in which its download server has it."""

    maker: str
    version: str
    served: Path
    url: str

    @property
    def builders(self) -> dict[str, str]:
        return dict(MAKERS[self.maker]["builders"])

    @property
    def required(self) -> int:
        return int(MAKERS[self.maker]["required"])

    def signers(self, *names: str) -> list[dict[str, str]]:
        """The named builders, or all, as the role names them, but for the place of their keys."""
        return [
            {"name": name, "fingerprint": fingerprint, "key": f"{self.url}/builder-keys/{name}.gpg"}
            for name, fingerprint in sorted(self.builders.items())
            if not names or name in names
        ]


def newest(repository: Path, required: int) -> Path:
    """The newest release that enough builders have attested."""
    releases = [
        folder
        for folder in repository.iterdir()
        if re.fullmatch(r"[0-9.]+(\.knots\d+)?", folder.name) and len(list(folder.glob(f"*/{MANIFEST}"))) >= required
    ]
    assert releases, f"{repository} holds no release that {required} builders have attested"
    return max(releases, key=lambda folder: [int(number) for number in re.findall(r"\d+", folder.name)])


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture(params=MAKERS)
def genuine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Genuine]:
    repository = RELEASES / request.param
    release = newest(repository, MAKERS[request.param]["required"])
    manifests = sorted(release.glob(f"*/{MANIFEST}"))
    # Builders attest by building the same: one that built something else is no signer of this manifest.
    shutil.copy(manifests[-1], tmp_path / "SHA256SUMS")
    # The download server has the signatures of all of them in one file.
    blocks = [manifest.with_name(f"{MANIFEST}.asc").read_bytes() for manifest in manifests]
    (tmp_path / "SHA256SUMS.asc").write_bytes(b"".join(blocks))
    shutil.copytree(repository / "builder-keys", tmp_path / "builder-keys")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Genuine(request.param, release.name, tmp_path, f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    server.server_close()
    thread.join()
