# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private Tor network in a container: authorities, relays, and what a tor has to be told to be part of it."""

from __future__ import annotations

import json
import time
from typing import Any

from .cache import content_key
from .config import IMAGE_ALIAS, RECIPES, Config, LabError
from .host import install_packages, package_list
from .lxc import Lxc, overlay
from .proc import write_atomic
from .sitevars import as_yaml

NAME = "tornet"
OVERLAY = RECIPES / "tornet"
MAKE = "/usr/local/lib/tornet/make-tornet"
CONSENSUS = "/var/lib/tornet/a1/cached-microdesc-consensus"
RELAYS = 6
HEAD = """\
# Written by lab/lab; do not edit. What a tor is told to be part of this lab's network instead of the public one.
"""


def recipe(config: Config) -> str:
    """A hash of all that makes the network."""
    files = {name: (content.decode(), mode) for name, (content, mode) in overlay(OVERLAY).items()}
    return content_key("tornet 3", package_list(NAME), files, config.tornet)


def up(lxc: Lxc, agreed: bool = True) -> str:
    """Have it run; agreed on who is part of it, unless whoever asks has time for that."""
    config = lxc.config
    if lxc.query(f"/1.0/images/aliases/{IMAGE_ALIAS.replace('/', '%2F')}?project=lab") is None:
        raise LabError("there is no lab to put a Tor network into. `lab/lab up` makes one.")
    wanted = recipe(config)
    instance = lxc.instance(NAME)
    did = ""
    if instance is None:
        eth0 = {"type": "nic", "name": "eth0", "network": config.bridge, "ipv4.address": config.tornet}
        lxc.launch(NAME, IMAGE_ALIAS, {}, {"eth0": eth0})
        did = "made"
    elif instance["status"] != "Running":
        lxc("start", NAME)
        did = "started"
    if instance is None or instance["config"].get("user.bcm.lab.recipe") != wanted:
        lxc.wait_booted(NAME)
        _provision(lxc)
        # Earlier ones had boot.autostart. Without it, where LXD starts anew, what ran runs again, and what was switched off stays so.
        lxc("config", "set", NAME, f"user.bcm.lab.recipe={wanted}", "boot.autostart=")
        did = did or "brought up to date"
    if agreed:
        _wait_agreed(lxc)
    told = [did, write(config, options(lxc)), install_packages("tornet-machine")]
    return "; ".join(part for part in told if part)


def _provision(lxc: Lxc) -> None:
    script = (
        "export DEBIAN_FRONTEND=noninteractive; "
        # The package's own service would look for the public network.
        "systemctl mask -q tor.service tor@default.service; "
        # An installation that was killed half-way is finished first.
        "dpkg --configure -a; apt-get -q update; apt-get -q install -y --no-install-recommends "
        '-o Dpkg::Options::=--force-confold "$@"'
    )
    lxc.exec(NAME, "sh", "-ec", script, "sh", *package_list(NAME))
    lxc.push_tree(NAME, overlay(OVERLAY))
    lxc.exec(NAME, MAKE, lxc.config.tornet)


def options(lxc: Lxc) -> list[str]:
    """The lines of a torrc that lead into this network."""
    return lxc.read(NAME, "cat", "/etc/tornet/everybody").splitlines()


def relays(lxc: Lxc) -> int:
    """How many relays the authorities agree on at this moment; none if what they have agreed on is out of date."""
    script = 'test "$(date -u +"%F %T")" \\< "$(sed -n "s/^valid-until //p" "$1")" && grep -c "^s .*Running" "$1"'
    try:
        return int(lxc.read(NAME, "bash", "-c", script, "bash", CONSENSUS))
    except LabError:
        return 0


def _wait_agreed(lxc: Lxc, seconds: int = 180) -> None:
    deadline = time.monotonic() + seconds
    while (seen := relays(lxc)) < RELAYS:
        if time.monotonic() > deadline:
            journal = lxc.exec(NAME, "journalctl", "-u", "tornet@a1", "-n", "15", "--no-pager", "-o", "cat")
            raise LabError(f"{seen} of {RELAYS} relays run after {seconds} s. The first authority's words:\n{journal}")
        time.sleep(1)


def write(config: Config, lines: list[str]) -> str:
    """What a tor has to be told, as a variable."""
    text = HEAD + as_yaml({"tor_options": lines}) + "\n"
    if config.tor_vars.exists() and config.tor_vars.read_text() == text:
        return ""
    write_atomic(config.tor_vars, text)
    return f"wrote {config.tor_vars}"


def down(lxc: Lxc) -> str:
    """Stop it; its keys stay."""
    instance = lxc.instance(NAME)
    if instance is None or instance["status"] == "Stopped":
        return ""
    try:
        lxc("stop", NAME, "--timeout", "30")
    except LabError:
        # A busy machine takes longer. Nothing is lost: what has to last are the keys, and these are written once.
        lxc("stop", NAME, "--force")
    return "stopped"


def remove(lxc: Lxc) -> str:
    """Remove it with its keys."""
    lxc.config.tor_vars.unlink(missing_ok=True)
    if lxc.instance(NAME) is None:
        return ""
    lxc("delete", "--force", NAME)
    return "removed"


def status(lxc: Lxc) -> dict[str, Any]:
    """What stands, asked and not remembered."""
    instance = lxc.instance(NAME)
    state = instance["status"] if instance else None
    seen = relays(lxc) if state == "Running" else 0
    variables = str(lxc.config.tor_vars) if lxc.config.tor_vars.exists() else None
    answer = {"instance": state, "address": lxc.config.tornet, "relays": seen, "tor_vars": variables}
    return {**answer, "up": seen >= RELAYS and variables is not None}


def command(config: Config, verb: str, as_json: bool) -> int:
    """`lab/lab tor VERB`."""
    lxc = Lxc(config)
    if verb == "status":
        answer = status(lxc)
        words = (
            f"{answer['relays']} of {RELAYS} relays run at {answer['address']}"
            if answer["instance"]
            else "is not there"
        )
        print(json.dumps(answer, indent=2) if as_json else f"The private Tor network {words}.", flush=True)
        return 0 if answer["up"] else 1
    did = {"up": up, "down": down, "remove": remove}[verb](lxc)
    print(f"Tor network: {did or 'nothing to do'}", flush=True)
    return 0
