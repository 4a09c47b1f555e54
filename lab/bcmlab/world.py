# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container that stands for the internet: images, downloads, Docker Hub."""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path
from typing import Any

from .cache import content_key
from .config import IMAGE_ALIAS, POOL, PROJECT, RECIPES, WORLD, Config, LabError
from .host import package_list
from .image import BaseImage
from .lxc import Lxc, overlay

OVERLAY = RECIPES / "world"
SERVICES = ("nginx", "docker-registry")


def fabric(lxc: Lxc) -> str:
    """Pool, bridge, project and profile of the lab itself."""
    config = lxc.config
    did = []
    if lxc.query(f"/1.0/storage-pools/{POOL}") is None:
        lxc("storage", "create", POOL, "btrfs", f"size={config.pool_size}")
        did.append(f"pool {POOL}")
    if lxc.query(f"/1.0/networks/{config.bridge}") is None:
        address = f"ipv4.address={config.gateway}/{config.subnet.prefixlen}"
        # The first ones are the lab's own: nobody else may have got one of them before.
        ranges = f"ipv4.dhcp.ranges={config.subnet[12]}-{config.subnet[-2]}"
        keys = [address, ranges, "ipv4.nat=true", "ipv6.address=none"]
        lxc("network", "create", config.bridge, "--project", "default", *keys)
        did.append(f"bridge {config.bridge}")
    if lxc.query(f"/1.0/projects/{PROJECT}") is None:
        lxc("project", "create", PROJECT)
        did.append(f"project {PROJECT}")
    profile = lxc.query(f"/1.0/profiles/default?project={PROJECT}")
    devices = {
        "root": {"type": "disk", "path": "/", "pool": POOL},
        "eth0": {"type": "nic", "name": "eth0", "network": config.bridge},
    }
    if profile is None or profile["devices"] != devices:
        body = {"description": "Instances of the lab", "config": {}, "devices": devices}
        lxc("profile", "edit", "default", stdin=json.dumps(body))
        did.append("profile")
    return f"made {', '.join(did)}" if did else ""


def import_image(lxc: Lxc, image: BaseImage) -> str:
    """Give the lab's own project the base image."""
    fingerprint = image.info["combined_sha256"]
    alias = lxc.query(f"/1.0/images/aliases/{IMAGE_ALIAS.replace('/', '%2F')}?project={PROJECT}")
    if alias is not None and alias["target"] == fingerprint:
        return ""
    if alias is not None:
        lxc("image", "alias", "delete", IMAGE_ALIAS)
    if lxc.query(f"/1.0/images/{fingerprint}?project={PROJECT}") is None:
        lxc("image", "import", str(image.metadata), str(image.rootfs))
    lxc("image", "alias", "create", IMAGE_ALIAS, fingerprint)
    return f"{IMAGE_ALIAS} is {fingerprint[:12]}"


def recipe(config: Config) -> str:
    """A hash of all that makes the world: another one means it has to be made up to date."""
    files = {name: (content.decode(), mode) for name, (content, mode) in overlay(OVERLAY).items()}
    return content_key("world 1", package_list("world"), files, config.world)


def world(lxc: Lxc) -> str:
    """Have it run with its services."""
    config = lxc.config
    wanted = recipe(config)
    instance = lxc.instance(WORLD)
    if instance is None:
        _create(lxc)
        did = "made"
    elif instance["status"] != "Running":
        lxc("start", WORLD)
        did = "started"
    else:
        did = ""
    if instance is None or instance["config"].get("user.bcm.lab.recipe") != wanted:
        lxc.wait_booted(WORLD)
        _provision(lxc)
        lxc("config", "set", WORLD, f"user.bcm.lab.recipe={wanted}")
        did = did or "brought up to date"
    ports = ((80, "/images/streams/v1/index.json"), (5000, "/v2/"))
    if not all(answers(config.world, port, path) for port, path in ports):
        # It boots, or somebody has stopped a service.
        lxc.wait_booted(WORLD)
        lxc.exec(WORLD, "systemctl", "start", *SERVICES)
        for port, path in ports:
            wait_http(config.world, port, path)
        did = did or "services started"
    return f"{did}, {config.world}" if did else ""


def _create(lxc: Lxc) -> None:
    config = lxc.config
    devices = {
        "eth0": {"type": "nic", "name": "eth0", "network": config.bridge, "ipv4.address": config.world},
        "www": {"type": "disk", "source": str(config.www), "path": "/srv/www", "readonly": "true"},
    }
    lxc.launch(WORLD, IMAGE_ALIAS, {"boot.autostart": "true", "boot.autostart.priority": "100"}, devices)


def _provision(lxc: Lxc) -> None:
    script = (
        # An installation that was killed half-way is finished first.
        "export DEBIAN_FRONTEND=noninteractive; dpkg --configure -a; apt-get -q update; "
        'apt-get -q install -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@"'
    )
    lxc.exec(WORLD, "rm", "-f", "/etc/nginx/conf.d/world.conf")
    lxc.exec(WORLD, "sh", "-ec", script, "sh", *package_list("world"))
    lxc.exec(WORLD, "rm", "-f", "/etc/nginx/sites-enabled/default")
    lxc.push_tree(WORLD, overlay(OVERLAY))
    lxc.exec(WORLD, "systemctl", "enable", "-q", *SERVICES)
    lxc.exec(WORLD, "systemctl", "restart", *SERVICES)


def http_get(host: str, port: int, path: str) -> tuple[int, bytes]:
    """One GET, no redirects, no proxies of the environment."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def answers(host: str, port: int, path: str) -> bool:
    """Whether a server answers well at this moment."""
    try:
        return http_get(host, port, path)[0] == 200
    except OSError:
        return False


def wait_http(host: str, port: int, path: str, seconds: int = 60) -> None:
    """Until a server answers well."""
    deadline = time.monotonic() + seconds
    last: Any = "no answer"
    while time.monotonic() < deadline:
        try:
            last, _ = http_get(host, port, path)
            if last < 400:
                return
        except OSError as error:
            last = error
        time.sleep(0.3)
    raise LabError(f"http://{host}:{port}{path} does not answer well within {seconds} s: {last}")


def ensure_www(config: Config) -> None:
    """The folder that the web server serves; readable for the container's users."""
    for path in (config.directory, config.www, config.www / "images", config.www / "bitcoin", config.www / "kafka"):
        path.mkdir(parents=True, exist_ok=True)
        Path(path).chmod(0o755)
