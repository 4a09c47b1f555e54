# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seed, passwords, macaroons and onion keys are in no argument, environment, log, topic of Kafka, packet, output of Ansible or answer of Docker.

While all of it is watched, the site's plays run with -vvv, lnd is killed and comes back, payments are made and the owner reads the seed. A word that is
no secret goes all those ways too and has to be found in each: so what is not found was looked for.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets as chance
from collections.abc import Set
from pathlib import Path
from typing import Any

import pytest
from bus import Bus
from lightning import CHANNELS, PATIENCE, Ours, Owner, Theirs, active, asking_for, eventually, pays, seed_of
from needles import SHORTEST, Needles, said, wait_until_looked, watched, within_texts
from standing import Site, wait_for

CANARY = "canary"
# What of the store is no secret: numbers of fences and of Kafka's members, hashes for bitcoind, certificates, public keys.
PUBLIC = re.compile(r"^kafka-(cluster|member-)|fence|-auth$|certificate|\.crt$|\.pub$|-wallet$|public")
VERBOSE = {"ANSIBLE_STDOUT_CALLBACK": "default"}


def of_store(site: Site) -> dict[str, bytes]:
    """The site's secrets. Of a key in armour, what is in the armour; of several things in JSON, each."""
    found: dict[str, bytes] = {}
    for path in site.store.iterdir():
        if path.name.startswith(".") or not path.is_file() or PUBLIC.search(path.name):
            continue
        content = path.read_bytes().strip()
        if content.startswith(b"-----BEGIN"):
            lines = [line for line in content.splitlines() if not line.startswith(b"-----")]
            content = base64.b64decode(b"".join(lines))
        for name, value in parts(path.name, content):
            if len(value) >= SHORTEST:
                found[name] = value
    return found


def parts(name: str, content: bytes) -> list[tuple[str, bytes]]:
    try:
        told = json.loads(content)
    except ValueError:
        return [(name, content)]
    if not isinstance(told, dict):
        return [(name, content)]
    return [
        (f"{name}.{key}", value.encode())
        for key, value in told.items()
        if isinstance(value, str) and not PUBLIC.search(key)
    ]


def files(site: Site, host: str, *conditions: str) -> dict[str, bytes]:
    """Small files of a host, by their paths. They come as base64, which is in nobody's argument."""
    script = (
        'find / -xdev -type f "$@" -size -64k -exec sh -c \'for f; do echo "$f $(base64 -w 0 "$f")"; done\' sh {} +'
    )
    lines = site.ask(host, "sh", "-c", script, "sh", *conditions).splitlines()
    return {path: base64.b64decode(content) for path, content in (line.rsplit(" ", 1) for line in lines if " " in line)}


@pytest.fixture(scope="module")
def needles(site: Site, ours: Ours, owner: Owner) -> Needles:
    found = Needles()
    found.add_words("seed", seed_of(ours, owner))
    for name, value in of_store(site).items():
        found.add(f"secret {name}", value)
    script = 'find "$1" -name "*.macaroon" -exec sh -c \'for f; do echo "$f $(base64 -w 0 "$f")"; done\' sh {} +'
    for where in ("/srv/lnd", "/root"):
        for line in site.ask(ours.host, "sh", "-c", script, "sh", where).splitlines():
            path, _, content = line.rpartition(" ")
            # All begin alike: what tells them apart, and lets somebody in, is the signature at the end.
            found.add(f"macaroon {Path(path).name}", base64.b64decode(content)[-32:])
    for host in site.tier("proxyhost"):
        for path, key in files(site, host, "-name", "hs_ed25519_secret_key").items():
            found.add(f"onion key {Path(path).parent.name}", key[-64:])
    assert {name.split()[0] for name in found.known} == {"seed", "secret", "macaroon", "onion"}
    # No secret, and planted.
    found.add(CANARY, chance.token_hex(16))
    return found


def canary(needles: Needles) -> str:
    return min((form for form in needles.known[CANARY] if re.fullmatch(rb"[0-9a-f]{32}", form)), key=len).decode()


# -- where things are written down -------------------------------------------------------------------------------------


def journals(site: Site) -> dict[str, bytes]:
    """All that is in the journal of each instance, containers and all."""
    return {
        f"journal of {host}": site.ask(
            host, "journalctl", "--no-pager", "--quiet", "--output=json", timeout=300
        ).encode()
        for host in site.instances
    }


def log_files(site: Site) -> dict[str, bytes]:
    script = "find /var/log -xdev -type f -not -path '/var/log/journal/*' -size -32M -exec cat {} + | base64 -w 0"
    return {
        f"/var/log of {host}": base64.b64decode(site.ask(host, "sh", "-c", script, timeout=300))
        for host in site.instances
    }


def of_docker(site: Site) -> dict[str, bytes]:
    """What Docker says of all that it has. Contents of its secrets it does not say, and those of its configs it does."""
    script = (
        "for kind in container image volume network; do docker $kind ls -q | sort -u | xargs -r docker $kind inspect; done; "
        "docker ps -aq | xargs -r docker container inspect"
    )
    swarm = "for kind in service config secret node; do docker $kind ls -q | xargs -r docker $kind inspect; done"
    found = {
        f"docker inspect on {host}": site.ask(host, "sh", "-c", script, timeout=300).encode() for host in site.engines
    }
    manager = site.tier("manager")[0]
    return {**found, "docker inspect of the Swarm": site.ask(manager, "sh", "-c", swarm, timeout=300).encode()}


def of_kafka(bus: Bus) -> dict[str, bytes]:
    """Every record that is still there."""
    return {"a topic of Kafka": "\n".join(bus.consume(0, "find", "")).encode()}


def plant(site: Site, host: str, word: str) -> None:
    """The word goes all the ways that a secret could go."""
    program = "import socket, sys, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.sendto(sys.argv[1].encode(), (sys.argv[2], 9))\ntime.sleep(3)"
    neighbour = site.address("manager-1", "cluster")
    site.ask(host, "env", f"E2E_CANARY={word}", "python3", "-c", program, word, neighbour)
    site.ask(host, "logger", "--tag", "e2e-canary", word)
    site.ask("manager-1", "docker", "config", "create", "--label", f"e2e={word}", "e2e-canary", "/etc/hostname")


@pytest.fixture(scope="module")
def seen(
    site: Site,
    ours: Ours,
    theirs: Theirs,
    owner: Owner,
    needles: Needles,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """Everything that was found while things went on, and all that Ansible has said."""
    # For which a macaroon is needed, and nothing is to be done.
    nothing, directory = {"name": "never-there", "state": "closed"}, tmp_path_factory.mktemp("channels")
    word = canary(needles)
    said_by_ansible: dict[str, bytes] = {}
    wait_for("a channel", lambda: active(ours, theirs), PATIENCE, every=2)
    brief = "BCM_BRIEF" in os.environ
    playbooks = ["playbooks/lightning.yml"] if brief else ["playbooks/site.yml"]
    try:
        with watched(needles) as (processes, packets):
            for playbook in (*playbooks, CHANNELS):
                channels = asking_for(nothing, directory=directory, max_spend=0) if playbook == CHANNELS else ()
                run = site.play(playbook, "-vvv", "-e", f"e2e_canary={word}", *channels, env=VERBOSE, timeout=2400)
                assert run.status == 0, run.text[-3000:]
                said_by_ansible[f"what {playbook} says"] = run.text.encode()
            container = ours.container()
            ours.kill()
            wait_for("another container of lnd", eventually(lambda: ours.container() not in ("", container)), 180)
            wait_for("the channel after that", lambda: active(ours, theirs), PATIENCE, every=2)
            pays(ours, theirs)
            seed_of(ours, owner)
            plant(site, ours.host, word)
            wait_until_looked(processes)
    finally:
        site.run("manager-1", "docker", "config", "rm", "e2e-canary")
    print(
        f"{processes.looks} looks at all processes, {sum(packets.seen.values())} packets on {len(packets.seen)} interfaces"
    )
    return {"processes": processes, "packets": packets, "ansible": said_by_ansible}


def only_the_canary(found: Set[tuple[str, ...]]) -> None:
    """It was found, and nothing else."""
    assert CANARY in {name for name, *_ in found}, "what was planted was not found: the search finds nothing"
    others = {one for one in found if one[0] != CANARY}
    assert not others, said(others)


def test_no_argument_and_no_environment_of_any_process(seen: dict[str, Any]) -> None:
    found = seen["processes"].found
    assert {what for name, what, _ in found if name == CANARY} == {"cmdline", "environ"}
    only_the_canary(found)


def test_no_packet(seen: dict[str, Any]) -> None:
    assert seen["packets"].lost == 0, "not all packets could be looked at"
    only_the_canary(seen["packets"].found)


@pytest.mark.usefixtures("seen")
def test_nothing_that_ansible_says(needles: Needles, seen: dict[str, Any]) -> None:
    # With less than -vv it does not say where a task stands.
    assert all(b"task path: " in text for text in seen["ansible"].values())
    others = {one for one in within_texts(needles, seen["ansible"]) if one[0] != CANARY}
    assert not others, said(others)


@pytest.mark.usefixtures("seen")
def test_no_log(site: Site, needles: Needles) -> None:
    only_the_canary(within_texts(needles, {**journals(site), **log_files(site)}))


@pytest.mark.usefixtures("seen")
def test_no_topic_of_kafka(site: Site, bus: Bus, ours: Ours, needles: Needles) -> None:
    bus.caught_up(*site.instances)
    only_the_canary(within_texts(needles, of_kafka(bus)))


def test_nothing_that_docker_says(site: Site, needles: Needles) -> None:
    site.ask(
        "manager-1", "docker", "config", "create", "--label", f"e2e={canary(needles)}", "e2e-canary", "/etc/hostname"
    )
    try:
        only_the_canary(within_texts(needles, of_docker(site)))
    finally:
        site.ask("manager-1", "docker", "config", "rm", "e2e-canary")
