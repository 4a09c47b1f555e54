# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""References of container images, as Docker reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PATH = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_REST = re.compile(
    rf"^(?P<repository>{_PATH}(?:/{_PATH})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@(?P<digest>[a-z0-9]+:[0-9a-f]{{32,}}))?$"
)
DOCKER_HUB = "docker.io"


@dataclass(frozen=True)
class Image:
    """A reference in full."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def suffix(self) -> str:
        """Tag and digest, each with its sign."""
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse(reference: str) -> Image:
    """Return what REFERENCE means.

    :raises ValueError: it is no reference of an image.
    """
    first, slash, rest = reference.partition("/")
    # Docker's own rule: the first part is a host if it could not be a name on the Hub.
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry = first
    else:
        registry, rest = DOCKER_HUB, reference
    registry = DOCKER_HUB if registry in ("index.docker.io", "registry-1.docker.io") else registry
    match = _REST.match(rest)
    if not match:
        raise ValueError(
            f"{reference!r} is no reference of an image, such as debian:13 or ghcr.io/owner/name@sha256:..."
        )
    repository = match["repository"]
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return Image(registry, repository, match["tag"], match["digest"])
