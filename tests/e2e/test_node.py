# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that cannot be relied on yet is alive: nobody kills it, and nobody takes it for ready.

Beside the site's node stand twins of it, made from its own service: same image, entrypoint and health check, asked every two
seconds and from the first one on, with data of their own. What keeps them from being ready is real:

- one is in its initial download: it is on another chain, whose blocks nobody gives it;
- one is in a reindex and still warms up: its first block file is a pipe, out of which nothing comes;
- one does not come to answer its RPC: its process is stopped (SIGSTOP). Before that it tells a subscriber of a block.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from standing import CHECKOUT, LXD_ENV, Site, wait_for

HOST = "bitcoin-1"
INTERVAL = 2
CHECKS = 10
UID = "10001"
API = ["curl", "--silent", "--fail-with-body", "--unix-socket", "/run/docker.sock"]

# Runs with the node's network: port, and the command that mines a block and prints its hash. A subscriber to hashblock by the wire
# protocol of ZMQ (ZMTP 3.0), in which a message is a row of frames. Prints what was mined, and the message that came.
SUBSCRIBE = r"""
import json, select, socket, subprocess, sys
def exactly(count):
    found = b""
    while len(found) < count:
        part = s.recv(count - len(found))
        assert part, "the publisher hung up"
        found += part
    return found
def frame():
    flags = exactly(1)[0]
    return flags, exactly(int.from_bytes(exactly(8 if flags & 2 else 1), "big"))
mined, message = [], []
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10) as s:
    s.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\x00") + bytes(32))
    assert exactly(64)[12:32].rstrip(b"\x00") == b"NULL"
    ready = b"\x05READY\x0bSocket-Type" + (3).to_bytes(4, "big") + b"SUB"
    s.sendall(bytes([4, len(ready)]) + ready)
    assert frame()[1].startswith(b"\x05READY")
    topic = b"\x01hashblock"
    s.sendall(bytes([0, len(topic)]) + topic)
    # The publisher takes the subscription when it comes to it: of a block before that it tells nobody.
    while not message and len(mined) < 10:
        mined += json.loads(subprocess.run(sys.argv[2:], check=True, capture_output=True).stdout)
        while not message and select.select([s], [], [], 3)[0]:
            flags, body = frame()
            if not flags & 4:
                message.append(body)
                while flags & 1:
                    flags, body = frame()
                    message.append(body)
print(json.dumps({"mined": mined, "message": [part.hex() for part in message]}))
"""


@dataclass
class Twin:
    """A second node on the host of the first."""

    site: Site
    name: str
    conf: str

    @property
    def data(self) -> str:
        return f"/srv/{self.name}"

    def ask(self, *argv: str) -> str:
        return self.site.ask(HOST, *argv)

    def deploy(self, pipe: str | None = None) -> None:
        settings = f"/etc/bcm/{self.name}"
        script = 'cp -a /etc/bcm/bitcoin "$1" && printf %s "$2" > "$1/bitcoin.conf" && install -d -o "$3" -g "$3" "$4"'
        self.ask("sh", "-ec", script, "sh", settings, self.conf, UID, self.data)
        if pipe:
            script = 'mkdir -p "$(dirname "$2")" && mkfifo "$2" && chown -R "$1" "$3"'
            self.ask("sh", "-ec", script, "sh", f"{UID}:{UID}", f"{self.data}/{pipe}", self.data)
        spec = json.loads(self.site.ask("manager-1", *API, f"http://docker/services/bitcoin-{HOST}"))["Spec"]
        spec["Name"] = self.name
        task = spec["TaskTemplate"]
        # The network, where the first one has its name, is the first one's alone.
        del task["Networks"]
        # And so are its ports.
        spec["EndpointSpec"].pop("Ports", None)
        container = task["ContainerSpec"]
        container["Labels"]["bcm.node"] = container["Hostname"] = self.name
        sources = {"/data": self.data, "/etc/bitcoin": settings}
        for mount in container["Mounts"]:
            mount["Source"] = sources.get(mount["Target"], mount.get("Source", ""))
        health = container["Healthcheck"]
        health["Interval"] = INTERVAL * 10**9
        del health["StartPeriod"]
        head = ["--header", "Content-Type: application/json", "--data", json.dumps(spec)]
        self.site.ask("manager-1", *API, *head, "http://docker/services/create")

    def containers(self, *options: str) -> list[str]:
        listed = self.ask("docker", "ps", "--quiet", "--no-trunc", "--filter", f"label=bcm.node={self.name}", *options)
        return listed.split()

    def now(self) -> int:
        """The time of its host, in whole seconds."""
        return int(self.ask("date", "+%s"))

    def checks(self, container: str, since: int | None = None) -> list[str]:
        """How its health checks ended since then or since its start. The engine remembers its last 256 events, whatever of."""
        # In whole seconds, as --until is: it may not lie before --since.
        start = str(since or self.inspect(container)["State"]["StartedAt"].partition(".")[0] + "Z")
        argv = ["docker", "events", "--since", start, "--until", "0s", "--filter", f"container={container}"]
        form = ["--filter", "event=exec_die", "--format", "{{.Actor.Attributes.exitCode}}"]
        return self.ask(*argv, *form).split()

    def inspect(self, container: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask("docker", "inspect", container))[0]
        return found

    def cli(self, container: str, *argv: str) -> list[str]:
        """A command that asks its bitcoind by RPC."""
        return ["docker", "exec", container, "bitcoin-cli", "-datadir=/data", "-conf=/etc/bitcoin/bitcoin.conf", *argv]

    def bitcoind(self, container: str) -> str:
        """Its process, as the host sees it."""
        rows = [line.split() for line in self.ask("docker", "top", container, "-o", "pid,comm").splitlines()[1:]]
        # Threads have names of their own.
        (pid,) = [pid for pid, command in rows if command in ("bitcoind", "b-init")]
        return pid

    def info(self) -> dict[str, Any]:
        """What the collection's own module says of it."""
        done = subprocess.run(
            [
                "ansible",
                HOST,
                "-i",
                self.site.inventory,
                "-m",
                "bcm.datacenter.bitcoin_node_info",
                "-a",
                f"name={self.name}",
            ],
            cwd=CHECKOUT,
            env={**os.environ, **LXD_ENV, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said: dict[str, Any] = yaml.safe_load(done.stdout.partition("=>")[2])
        return said

    def remove(self) -> None:
        """Nothing in its data is worth a clean stop."""
        self.site.run("manager-1", "docker", "service", "rm", self.name)

        def gone() -> bool:
            if running := self.containers():
                self.site.run(HOST, "docker", "kill", *running)
            return not self.containers("--all")

        wait_for(f"end of {self.name}", gone, 60)
        self.ask("rm", "--recursive", "--force", self.data, f"/etc/bcm/{self.name}")


@pytest.fixture(scope="module")
def conf(site: Site) -> str:
    """The configuration of the site's own node."""
    return site.ask(HOST, "cat", "/etc/bcm/bitcoin/bitcoin.conf")


@pytest.fixture(scope="module")
def downloading(site: Site, conf: str) -> Iterator[Twin]:
    twin = Twin(site, "e2e-download", conf.replace("chain=regtest", "chain=signet").replace("[regtest]", "[signet]"))
    try:
        twin.deploy()
        yield twin
    finally:
        twin.remove()


@pytest.fixture(scope="module")
def reindexing(site: Site, conf: str) -> Iterator[Twin]:
    twin = Twin(site, "e2e-reindex", f"reindex=1\n{conf}")
    try:
        twin.deploy(pipe="regtest/blocks/blk00000.dat")
        yield twin
    finally:
        twin.remove()


@pytest.fixture(scope="module")
def working(site: Site, conf: str) -> Iterator[Twin]:
    twin = Twin(site, "e2e-working", conf)
    try:
        twin.deploy()
        yield twin
    finally:
        twin.remove()


def enough(checks: Callable[[], list[str]]) -> bool:
    return len(checks()) >= CHECKS


def answers(twin: Twin, container: str) -> bool:
    return twin.site.run(HOST, *twin.cli(container, "getblockcount")).returncode == 0


def test_they_outlive_ten_health_intervals(downloading: Twin, reindexing: Twin) -> None:
    reasons = {"initial download: block 0": downloading, "starting: ": reindexing}
    containers = [wait_for(f"container of {twin.name}", twin.containers, 60)[0] for twin in reasons.values()]
    for (reason, twin), container in zip(reasons.items(), containers, strict=True):
        checks = functools.partial(twin.checks, container)
        wait_for(f"checks of {twin.name}", functools.partial(enough, checks), 240, every=INTERVAL)
        assert set(checks()) == {"0"}
        assert twin.containers("--all") == [container], "it was started anew"
        state = twin.inspect(container)["State"]
        assert (state["Health"]["Status"], state["Health"]["FailingStreak"]) == ("healthy", 0)
        said = twin.info()
        assert (said["running"], said["ready"], said["waiting"]) == (True, False, False)
        assert said["reason"].startswith(reason)
    log = reindexing.site.run(HOST, "docker", "logs", containers[1]).stdout
    assert "Wiping LevelDB in /data/regtest/blocks/index" in log, "it is in no reindex"
    assert "Reindexing finished" not in log


def test_a_second_container_waits_for_the_first(site: Site, downloading: Twin) -> None:
    """As in an update whose stop takes longer than Swarm's patience of a minute: it starts the new one beside the old one."""
    (first,) = wait_for("first container", downloading.containers, 60)
    site.ask("manager-1", "docker", "service", "scale", "--detach", f"{downloading.name}=2")
    wait_for("second container", lambda: len(downloading.containers()) == 2, 60)
    (second,) = set(downloading.containers()) - {first}
    wait_for("its first check", lambda: downloading.checks(second), 90)
    assert set(downloading.checks(second)) == {"0"}
    assert "bitcoind" not in downloading.ask("docker", "top", second)
    said = downloading.info()
    assert said["container"] == second[:12]
    assert (said["running"], said["ready"], said["waiting"]) == (False, False, True)
    # The first one ends; then it is the second one's turn.
    downloading.ask("docker", "stop", "--time", "60", first)
    wait_for("second bitcoind", lambda: "bitcoind" in downloading.ask("docker", "top", second), 90)


def test_a_subscriber_is_told_of_a_block(site: Site, working: Twin) -> None:
    (container,) = wait_for("container", working.containers, 60)
    wait_for("its RPC", functools.partial(answers, working, container), 90)
    port = str(site.hostvars[HOST]["bcm_chain_ports"]["zmq_hashblock"])
    mine = working.cli(container, "generatetodescriptor", "1", "raw(51)")
    pid = working.bitcoind(container)
    said = json.loads(working.ask("nsenter", "-t", pid, "-n", "python3", "-c", SUBSCRIBE, port, *mine))
    topic, block, _number = said["message"]
    assert bytes.fromhex(topic) == b"hashblock"
    assert block in said["mined"]
    assert working.ask(*working.cli(container, "getbestblockhash")).strip() == said["mined"][-1]


def test_a_slow_rpc_is_healthy(site: Site, working: Twin) -> None:
    (container,) = wait_for("container", working.containers, 60)
    wait_for("its RPC", functools.partial(answers, working, container), 90)
    tip = working.ask(*working.cli(container, "getbestblockhash"))
    pid = working.bitcoind(container)
    working.ask("kill", "-STOP", pid)
    try:
        said = working.info()
        # What is run in the container by others than the engine ends as its checks do: nothing is, from here on to the last check.
        since = working.now() + 1
        wait_for("a second of its own", lambda: working.now() > since, 30)
        checks = functools.partial(working.checks, container, since)
        wait_for("checks of a node that is slow", functools.partial(enough, checks), 240, every=INTERVAL)
        ended = checks()
        # Not one answer came meanwhile.
        assert site.run(HOST, *working.cli(container, "-rpcclienttimeout=3", "getblockcount")).returncode != 0
        state = working.inspect(container)["State"]
    finally:
        working.ask("kill", "-CONT", pid)
    assert (said["container"], said["ready"]) == (container[:12], False)
    assert said["reason"].startswith("does not answer: ")
    assert set(ended) == {"0"}
    assert (state["Status"], state["Health"]["Status"], state["Health"]["FailingStreak"]) == ("running", "healthy", 0)
    wait_for("its RPC again", functools.partial(answers, working, container), 60)
    assert working.containers("--all") == [container], "it was started anew"
    assert working.bitcoind(container) == pid
    assert working.ask(*working.cli(container, "getbestblockhash")) == tip
