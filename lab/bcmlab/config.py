# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lab lives and what its parts are called. Two labs differ in all of it, so they can run side by side."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
RECIPES = CHECKOUT / "lab"

# Grows when a lab that stands can't be used by this code any more.
LAYOUT = 1

PROJECT = "lab"
POOL = "lab"
WORLD = "world"
IMAGE_ALIAS = "debian/13/cloud"
# Set aside for tests between networks (RFC 2544): no site and no company uses it.
DEFAULT_SUBNET = ipaddress.IPv4Network("198.18.0.0/24")


class LabError(Exception):
    """Something a person can act on; the text says what was tried and what to do."""


@dataclass(frozen=True)
class Config:
    """One lab."""

    directory: Path = Path("/var/lib/bcm-lab")
    cache: Path = Path("/var/cache/bcm")
    bridge: str = "bcmlab0"
    subnet: ipaddress.IPv4Network = DEFAULT_SUBNET
    pool_size: str = "40GiB"

    @property
    def lxd_dir(self) -> Path:
        """LXD_DIR of the lab's own daemon."""
        return self.directory / "lxd"

    @property
    def socket(self) -> Path:
        """The socket of the lab's own daemon."""
        return self.lxd_dir / "unix.socket"

    @property
    def www(self) -> Path:
        """What the world's web server serves."""
        return self.directory / "www"

    @property
    def state_file(self) -> Path:
        """Says that this directory is a lab, and whose."""
        return self.directory / "lab.json"

    @property
    def site_vars(self) -> Path:
        """What a site on this machine has to know."""
        return self.directory / "site-vars.yml"

    @property
    def gateway(self) -> str:
        """The host's address on the lab's bridge."""
        return str(self.subnet[1])

    @property
    def world(self) -> str:
        """The address of what stands for the internet."""
        return str(self.subnet[10])

    @property
    def tornet(self) -> str:
        """The address of the private Tor network."""
        return str(self.subnet[11])

    @property
    def tor_vars(self) -> Path:
        """What a tor has to know of the private network."""
        return self.directory / "tor-vars.yml"

    @property
    def images_url(self) -> str:
        """The simplestreams server."""
        return f"http://{self.world}/images"

    @property
    def hub_url(self) -> str:
        """What stands for Docker Hub: reading only."""
        return f"http://{self.world}:5000"

    @property
    def downloads_url(self) -> str:
        """The makers' releases."""
        return f"http://{self.world}"


def from_environment(environ: Mapping[str, str] = os.environ) -> Config:
    """The lab that the environment names; without a word, the machine's one lab."""
    base = Config()
    directory = Path(environ.get("BCM_LAB_DIR") or base.directory)
    if not directory.is_absolute():
        raise LabError(f"BCM_LAB_DIR={directory} is not an absolute path. Give one, such as {base.directory}.")
    # LXD's sockets live below it, and a unix socket's path has at most 107 characters.
    if len(str(directory)) > 60:
        raise LabError(f"BCM_LAB_DIR={directory} is longer than 60 characters, too long for the sockets below it.")
    bridge = environ.get("BCM_LAB_BRIDGE") or base.bridge
    if len(bridge) > 15:
        raise LabError(f"BCM_LAB_BRIDGE={bridge}: the kernel takes at most 15 characters.")
    text = environ.get("BCM_LAB_SUBNET") or str(base.subnet)
    try:
        subnet = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise LabError(f"BCM_LAB_SUBNET={text} is not a network: {error}. Give one, such as {base.subnet}.") from error
    if subnet.num_addresses < 32:
        raise LabError(f"BCM_LAB_SUBNET={text} is too small: the lab needs a /27 or larger.")
    cache = Path(environ.get("BCM_CACHE_DIR") or base.cache)
    return Config(directory, cache, bridge, subnet, environ.get("BCM_LAB_POOL_SIZE") or base.pool_size)
