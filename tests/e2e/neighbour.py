# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody else on the same machine, who made all by hand, and what a person sees of all who are not a certain site."""

from __future__ import annotations

import contextlib
import difflib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

from standing import Site, lxc, wait_for

NAME = "somebody"
BRIDGE = "somebody0"
INSTANCE = "by-hand"
FILTER = "packet filter"
OWNER = "user.bcm.site"
# The instances of a site that no other test stops.
STEADY = ("manager-1", "proxyhost-1")
# What LXD counts or notes by itself.
MOVING = {"used_by", "last_used_at", "uploaded_at"}


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


@contextlib.contextmanager
def somebody(image: dict[str, Any]) -> Iterator[None]:
    """A project with a running instance, a network with NAT, a pool, a volume and a rule of the packet filter."""
    remove()
    try:
        lxc("network", "create", BRIDGE, "ipv4.address=198.18.97.1/24", "ipv6.address=none")
        lxc("storage", "create", NAME, "dir")
        lxc("storage", "volume", "create", NAME, "precious")
        lxc("project", "create", NAME)
        devices = {
            "root": {"type": "disk", "path": "/", "pool": NAME},
            "eth0": {"type": "nic", "network": BRIDGE, "name": "eth0"},
        }
        source = {"type": "image", "mode": "pull", **image}
        made = json.dumps({"name": INSTANCE, "devices": devices, "source": source})
        lxc("query", "--wait", "-X", "POST", "-d", made, f"/1.0/instances?project={NAME}")
        lxc("start", INSTANCE, project=NAME)
        table = "add table inet somebody; add chain inet somebody rules; add rule inet somebody rules tcp dport 9 drop"
        run("nft", table)
        # Its address is the last thing that comes by itself.
        wait_for("the address of the instance that was made by hand", address, 60)
        yield
    finally:
        remove()


def address() -> str | None:
    state = json.loads(lxc("query", f"/1.0/instances/{INSTANCE}/state?project={NAME}"))
    found = [entry["address"] for entry in state["network"]["eth0"]["addresses"] if entry["family"] == "inet"]
    return found[0] if found else None


def remove() -> None:
    """Whatever there is of it: a test run may have been killed too."""
    lxc("delete", "--force", INSTANCE, project=NAME, check=False)
    for image in lxc("image", "list", "--format", "csv", "--columns", "f", project=NAME, check=False).split():
        lxc("image", "delete", image, project=NAME, check=False)
    lxc("project", "delete", NAME, check=False)
    lxc("storage", "volume", "delete", NAME, "precious", check=False)
    lxc("storage", "delete", NAME, check=False)
    lxc("network", "delete", BRIDGE, check=False)
    subprocess.run(["nft", "delete table inet somebody"], capture_output=True, timeout=60)


def packet_filter() -> dict[str, list[str]]:
    """The rules of this machine, without counters and dates."""
    rules = {"nft": run("nft", "--stateless", "list", "ruleset")}
    for program in ("iptables-save", "ip6tables-save"):
        if shutil.which(program):
            rules[program] = re.sub(r"(?m)^#.*\n|\[\d+:\d+\]", "", run(program))
    return {program: text.splitlines() for program, text in rules.items()}


def all_but(site: Site, *projects: str, busy: str) -> dict[str, Any]:
    """What is global on this machine and what these projects have, except what belongs to a site.

    Of the project that other tests are BUSY with, only what they leave alone: its images, profiles and volumes, and that
    two of its instances run on.
    """
    seen: dict[str, Any] = {FILTER: packet_filter()}
    for kind in ("networks", "storage-pools", "projects"):
        for entry in json.loads(lxc("query", f"/1.0/{kind}?recursion=1")):
            if entry.get("config", {}).get(OWNER) != site.name and entry.get("managed", True):
                seen[f"{kind}/{entry['name']}"] = steady(entry)
    for project in (*projects, busy):
        for kind in ("profiles", "images", *(("instances",) if project != busy else ())):
            for entry in json.loads(lxc("query", f"/1.0/{kind}?recursion=1&project={project}")):
                seen[f"{project}/{kind}/{entry.get('name', entry.get('fingerprint'))}"] = steady(entry)
    for volume in json.loads(lxc("query", f"/1.0/storage-pools/{busy}/volumes/custom?recursion=1&project={busy}")):
        seen[f"{busy}/volumes/{volume['name']}"] = steady(volume)
    for project in projects:
        for instance in json.loads(lxc("query", f"/1.0/instances?recursion=2&project={project}")):
            # The same process: nobody has restarted it.
            seen[f"{project}/processes/{instance['name']}"] = instance["state"]["pid"]
    for name in STEADY:
        state = json.loads(lxc("query", f"/1.0/instances/{name}/state?project={busy}"))
        seen[f"{busy}/processes/{name}"] = state["pid"]
    return seen


def steady(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in MOVING}


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What has changed, come or gone: objects by their names, rules of the packet filter by their lines."""
    found = [key for key in sorted({*before, *after}) if before.get(key) != after.get(key) and key != FILTER]
    for program, rules in before[FILTER].items():
        found += [line for line in difflib.ndiff(rules, after[FILTER][program]) if line[0] in "+-"]
    return found
