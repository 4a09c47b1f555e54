# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is let in by lnd and by its bitcoind, where its seed is not, and that it runs only as long as its fence says so.

From the first test on each needs what the ones before it have left.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standing import LXD_ENV, Run, wait_for
from testinfra.host import Host

NODE, KEEPER = "lnd-1", "lnd-keeper-1"
SECRETS = "/var/lib/bcm/sites/molecule/secrets"
# How bcm-lnd asks for words, to the end of the question.
ASKED = re.compile(rb"Word \d+ of 24 [^\n]*: $")


@pytest.fixture(scope="module")
def host(instance: Callable[[str], Host]) -> Host:
    return instance(NODE)


@pytest.fixture(scope="module")
def keeper(instance: Callable[[str], Host]) -> Host:
    return instance(KEEPER)


def status(host: Host) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.run("bcm-lnd status --json").stdout or "{}")
    return found


def container(host: Host) -> str:
    listed = host.check_output("docker ps --quiet --filter label=bcm.lnd=%s", NODE).split()
    return listed[0] if listed else ""


def active(host: Host, seconds: float = 240) -> dict[str, Any]:
    wait_for("lnd to be active", lambda: status(host).get("state") == "SERVER_ACTIVE", seconds)
    return status(host)


def cause(host: Host, part: str) -> str:
    return "; ".join(
        one["cause"] for one in status(host).get("parts", []) if one["part"].startswith(part) and not one["works"]
    )


def mine(host: Host, blocks: int = 1) -> None:
    node = host.check_output("docker ps --quiet --filter label=bcm.node=%s", NODE).split()[0]
    # The cookie may call all.
    host.check_output(
        "docker exec %s bitcoin-cli -datadir=/data -conf=/etc/bitcoin/bitcoin.conf generatetodescriptor %s 'raw(51)'",
        node,
        str(blocks),
    )


def typed(command: str, *lines: str, seconds: float = 60) -> str:
    """A person at a terminal of the host, who types LINES, each when it is asked for. Says what was shown.

    What neither asks nor ends within SECONDS fails, and is ended.
    """
    ours, theirs = pty.openpty()
    # What ends at once is not always heard.
    shell = f"{command}; sleep 0.1"
    argv = ["lxc", "--project", "molecule", "exec", "--force-interactive", "-t", NODE, "--", "sh", "-c", shell]
    process = subprocess.Popen(
        argv, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, **LXD_ENV}, start_new_session=True
    )
    os.close(theirs)
    shown, answered, left = b"", 0, list(lines)
    deadline = time.monotonic() + seconds
    try:
        while True:
            told = shown.decode(errors="replace")
            rest = deadline - time.monotonic()
            assert rest > 0, f"{command} neither asks nor ends, with {len(left)} lines not typed: {told}"
            if not select.select([ours], [], [], rest)[0]:
                continue
            try:
                part = os.read(ours, 4096)
            except OSError:
                part = b""  # It has ended.
            if not part:
                assert not left, f"{command} has ended, with {len(left)} lines not typed: {told}"
                process.wait(30)
                return told
            shown += part
            # The whole question: what is typed before it is there is thrown away, since nothing of it is to be shown.
            if left and ASKED.search(shown, answered):
                answered = len(shown)
                os.write(ours, left.pop(0).encode() + b"\n")
                deadline = time.monotonic() + seconds
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(ours)


@pytest.fixture(scope="module")
def words(host: Host) -> list[str]:
    """The seed, as its owner opens it, with a key that lies where this test runs."""
    sealed = host.check_output("bcm-lnd seed read")
    assert sealed.startswith("-----BEGIN AGE ENCRYPTED FILE-----")
    key = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "lnd-owner"
    # age is on the host; the owner's private key comes to it for the length of this question only.
    host.check_output("umask 077; printf %%s %s > /dev/shm/owner", key.read_text())
    try:
        opened = host.check_output("bcm-lnd seed read | age --decrypt -i /dev/shm/owner")
    finally:
        host.check_output("rm -f /dev/shm/owner")
    found = [line.split(". ")[1] for line in opened.splitlines() if line.strip()[:1].isdigit() and ". " in line]
    assert len(found) == 24
    return found


@pytest.fixture(scope="module")
def pubkey(host: Host) -> str:
    """Who it is, as it was first known."""
    return str(active(host)["pubkey"])


def test_it_runs_with_its_wallet_open(host: Host) -> None:
    # The chain's first block is of 2011, and lnd takes part only where the last one is of the last two hours.
    mine(host)
    told = active(host)
    assert told["fence"] == {"own": 1, "current": 1, "confirmed": True}
    assert host.check_output("lncli getinfo | grep -c identity_pubkey") == "1"


def test_the_seed_is_nowhere(host: Host, words: list[str]) -> None:
    """Four words beside each other would be enough to find it by."""
    needle = " ".join(words[:4])
    places = "/srv/lnd /etc/bcm /var/lib/bcm /run /var/log /tmp /root"
    assert host.run(f"grep -rlF %s {places} 2>/dev/null", needle).stdout == ""
    assert host.run("journalctl --no-pager | grep -cF %s", needle).stdout.strip() == "0"
    assert needle not in host.check_output("docker inspect %s", container(host))


def test_no_channel_is_opened_before_it_is_confirmed(host: Host, words: list[str]) -> None:
    assert any("nobody has confirmed" in one for one in status(host)["why_not"])
    assert not host.file("/run/bcm/lnd-may-open").exists
    assert "at a terminal alone" in host.run("bcm-lnd seed confirm </dev/null").stderr
    assert "not the words of this seed" in typed("bcm-lnd seed confirm", " ".join(reversed(words)))
    shown = typed("bcm-lnd seed confirm", *words)
    assert "Confirmed." in shown
    assert not any(word in shown for word in words if len(word) > 5)
    wait_for("the gate to open", lambda: host.file("/run/bcm/lnd-may-open").exists, 60)


def test_its_user_may_not_stop_bitcoind(host: Host) -> None:
    node = host.check_output("docker ps --quiet --filter label=bcm.node=%s", NODE).split()[0]
    password = host.file(f"{SECRETS}/bitcoin-rpc-lnd").content_string.strip()
    client = f"docker exec -i {node} bitcoin-cli -regtest -rpcuser=lnd -stdinrpcpass"
    assert host.run(f"printf %s %s | {client} getblockcount", "%s", password).stderr.count("403")
    assert host.run(f"printf %s %s | {client} getblockchaininfo", "%s", password).rc == 0
    assert host.run(f"printf %s %s | {client} stop", "%s", password).stderr.count("403")
    assert "RPC User lnd not allowed to call method stop" in host.check_output(
        "journalctl CONTAINER_TAG=bitcoin-%s --no-pager", NODE
    )


def test_blocks_are_seen_to_arrive(host: Host) -> None:
    seen = status(host)["blocks_seen"]
    mine(host)
    wait_for("a block to be seen by lnd", lambda: status(host)["blocks_seen"] > seen, 60)
    # All that lnd has called it may call.
    log = host.check_output("journalctl CONTAINER_TAG=bitcoin-%s --no-pager", NODE)
    assert [
        line
        for line in log.splitlines()
        if "not allowed" in line and "method stop" not in line and "getblockcount" not in line
    ] == []


def test_a_macaroon_can_do_what_it_says(host: Host) -> None:
    script = """
import ssl, sys, http.client
macaroon = open("/srv/lnd/private/macaroons/reader.macaroon", "rb").read().hex()
sys.path.insert(0, "/usr/local/lib/bcm")
from bcm_lnd import config, rest
lnd = rest.Lnd(config.load(), bytes.fromhex(macaroon))
print(lnd.ask("GET", "/v1/getinfo")["block_height"])
try:
    lnd.ask("POST", "/v1/transactions", {"addr": "x", "amount": "1"})
except rest.AnswerError as error:
    print(error)
"""
    found = host.check_output("python3 -B -c %s", script).splitlines()
    assert found[0].isdigit()
    assert "permission denied" in found[1]
    assert host.file("/srv/lnd/private/macaroons/reader.macaroon").mode == 0o600


def test_the_backup_is_where_it_has_to_be(host: Host, keeper: Host) -> None:
    own = host.check_output("sha256sum /srv/lnd/data/channel.backup").split()[0]
    wait_for(
        "the copy",
        lambda: keeper.run("sha256sum /var/lib/bcm/lightning/lnd-1/channel.backup").stdout.split()[:1] == [own],
        60,
    )
    # One alone is not enough, and that is said.
    assert "1 of 1 places have it" in cause(host, "lnd's channel backup")


def test_it_comes_back_after_a_kill(host: Host, pubkey: str) -> None:
    before = container(host)
    host.check_output("docker kill --signal KILL %s", before)
    wait_for("another container", lambda: container(host) not in ("", before), 120)
    assert active(host)["pubkey"] == pubkey


def test_a_second_run_changes_nothing_and_a_killed_first_one_is_none(converge: Callable[..., Run]) -> None:
    assert converge().changed == set()


def test_without_the_keeper_it_stops_and_with_it_it_comes_back(host: Host, keeper: Host) -> None:
    keeper.check_output("systemctl stop bcm-lightning-keeper")
    try:
        wait_for(
            "lnd to be held",
            lambda: "nobody outside" in host.run("docker exec %s cat /tmp/held", container(host)).stdout,
            240,
        )
    finally:
        keeper.check_output("systemctl start bcm-lightning-keeper")
    active(host)


def test_an_empty_volume_gets_no_other_seed(host: Host, keeper: Host, converge: Callable[..., Run]) -> None:
    kept = keeper.file("/var/lib/bcm/lightning/lnd-1/number").content_string
    service = "docker service scale --detach lnd-lnd-1=%s"
    host.check_output(service, "0")
    wait_for("lnd to stop", lambda: container(host) == "", 120)
    host.check_output("systemctl stop bcm-lnd-guard && mv /srv/lnd /srv/lnd.lost")
    found = converge()
    assert found.status != 0
    assert "has had a wallet, and its volume is empty" in found.text
    assert found.changed == set()
    assert keeper.file("/var/lib/bcm/lightning/lnd-1/number").content_string == kept


def test_it_is_brought_back_by_its_seed_alone(
    host: Host, converge: Callable[..., Run], words: list[str], pubkey: str
) -> None:
    said = {"lnd_restore_confirm": "the lnd that was on lnd-1 never runs again"}
    found = converge("restore.yml", **said)
    assert found.status != 0
    assert "There is no /srv/lnd on lnd-1: its volume is not there." in found.text
    # The instance is given an empty one.
    host.check_output("mkdir /srv/lnd")
    found = converge("restore.yml")
    assert found.status != 0
    assert "lnd_restore_confirm" in found.text
    assert host.check_output("ls -A /srv/lnd") == ""
    assert converge("restore.yml", **said).status == 0
    assert converge().status == 0
    wait_for("lnd's container", lambda: container(host) != "", 120)
    # The old one may still run where nobody reaches it.
    wait_for("the lease to be over", lambda: not host.run("docker exec %s cat /tmp/held", container(host)).stdout, 300)
    shown = typed("bcm-lnd restore", " ".join(words))
    assert "The wallet is made, with the channel backup of lnd-keeper-1" in shown
    wait_for("the seed to be brought back", lambda: not host.file("/srv/lnd/fence/recovering").exists, 900)
    told = active(host)
    assert (told["fence"]["own"], told["pubkey"]) == (2, pubkey)


def test_what_is_left_of_the_old_one_stays_down(host: Host) -> None:
    host.check_output("cp -a /srv/lnd.lost/fence/number /srv/lnd/fence/number")
    try:
        wait_for(
            "it to be held",
            lambda: "stays down for ever" in host.run("docker exec %s cat /tmp/held", container(host)).stdout,
            180,
        )
    finally:
        host.check_output("echo 2 > /srv/lnd/fence/number")
    active(host)


def test_nobody_is_told_a_lower_number(keeper: Host, converge: Callable[..., Run]) -> None:
    """Secrets of before the restore would let the old one start."""
    found = converge(lnd_keeper_numbers={NODE: "1 0"})
    assert found.status != 0
    assert f"{KEEPER} knows number 2 of the fence of {NODE}, and is to be told number 1." in found.text
    assert keeper.file(f"/var/lib/bcm/lightning/{NODE}/number").content_string.startswith("2 ")
