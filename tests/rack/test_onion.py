# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site on three servers by their onions alone, over the lab's Tor network: no server takes SSH from anywhere but its own tor."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / part) for part in ("tests/e2e", "collections")]

from standing import CHECKOUT, HEARD, LAB_DIR, Run, lab, lxc, play, wait_for  # noqa: E402

from ansible_collections.bcm.datacenter.plugins.module_utils._tor import open_control  # noqa: E402
from ansible_collections.bcm.datacenter.plugins.modules.onion_probe import go  # noqa: E402

SERVERS = ("rack-1", "rack-2", "rack-3")
PROXYHOSTS = {"proxyhost-1", "proxyhost-2", "proxyhost-3"}
# A network that nobody is in.
NOWHERE = ["TestingTorNetwork 1", f"DirAuthority nobody orport=1 v3ident={'0123' * 10} 127.0.0.1:1 {'4567' * 10}"]
# Before the server's own firewall, so that what stands already is cut, too.
CLOSED = (
    "add table inet onions_only; "
    "add chain inet onions_only input { type filter hook input priority -10; }; "
    'add rule inet onions_only input iifname != "lo" tcp dport 22 drop'
)
# What an onion leaves on a server, for tests that are run again on the same one.
FORGET = """
systemctl stop tor.service tor@default.service 2>/dev/null
systemctl disable tor.service 2>/dev/null
rm -rf /var/lib/tor/bcm-ssh /etc/tor/torrc.d/bcm-ssh-onion.conf /var/lib/bcm/ssh-onion /var/lib/bcm/in-force/ssh_onion-*
"""


def on(server: str, *argv: str, check: bool = True) -> str:
    """Run one command on a server, as somebody who stands before it."""
    return lxc("exec", server, "--", *HEARD, *argv, project="lab", check=check)


class Controller:
    """A person's machine that has the lab's key for SSH, and a home of its own."""

    def __init__(self, home: Path, tor: list[str]) -> None:
        self.home = home
        self.tor = tor
        self.env = {"HOME": str(home)}
        self.onion = home / ".config/bcm/rack/onion"
        self.direct = self._inventory("direct")
        self.by_onion = self._inventory("onion")

    def _inventory(self, via: str) -> Path:
        folder = self.home / via
        shutil.copytree(CHECKOUT / "inventories/lab-rack", folder)
        with (folder / "site.bcm.yml").open("a") as file:
            file.write(f"\nonions: {{ssh: true}}\nvia: {via}\n")
        options = {
            "ssh_onion_tor_options": self.tor,
            "onion_client_tor_options": self.tor,
            "onion_client_socks_port": 9252,
        }
        (folder / "group_vars/all").mkdir()
        (folder / "group_vars/all.yml").rename(folder / "group_vars/all/lab.yml")
        (folder / "group_vars/all/onions.yml").write_text(yaml.safe_dump(options))
        return folder

    def play(self, playbook: str, *arguments: str, **variables: Any) -> Run:
        """By the onions."""
        extra = ("-e", json.dumps(variables)) if variables else ()
        timeout = 3600 if playbook == "site" else 900
        return play(
            f"playbooks/{playbook}.yml", *arguments, *extra, inventory=self.by_onion, env=self.env, timeout=timeout
        )

    def way(self, server: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.onion / f"way/hosts/{server}.json").read_text())
        return found

    def ssh(self, server: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """By the way that the inventory takes, with no connection that stands already."""
        way = self.way(server)
        words = shlex.split(way["ansible_ssh_common_args"])
        me = ["-F", "none", "-o", "BatchMode=yes", "-i", str(LAB_DIR / "rack-key"), "-p", str(way["ansible_port"])]
        return subprocess.run(
            ["ssh", *words, *me, f"{way['ansible_user']}@{way['ansible_host']}", *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
        )

    def halt(self) -> None:
        """End its tor. The next connection starts another, which knows nothing but what is in the directory."""
        control = open_control(self.onion / "way/control")
        if control is not None:
            control.halt()
            control.close()

    def outcome(self, server: str, client: str, expect: str, key: str) -> str:
        """Whether a tor that knows nothing gets through to a server with a key."""
        options = {"address": self.way(server)["ansible_host"], "port": 22, "tor": "tor", "tor_options": self.tor}
        visitor = {"name": client, "private_key": key, "expect": expect}
        return str(go(options, visitor, time.monotonic() + 150)["outcome"])

    def key(self, server: str, client: str) -> str:
        return (self.onion / f"clients/{server}/{client}.auth_private").read_text().strip().rpartition(":")[2]


@pytest.fixture(scope="module")
def controller() -> Iterator[Controller]:
    """Whoever runs these tests has run site.yml before. What is left behind: the tor that was installed, which does not run."""
    lab("tor", "up")
    options = yaml.safe_load((LAB_DIR / "tor-vars.yml").read_text())["tor_options"]
    # A short name, for sockets lie below it.
    home = Path(tempfile.mkdtemp(prefix="onion", dir="/tmp"))
    one = Controller(home, options)
    for server in SERVERS:
        on(server, "sh", "-c", FORGET)
    try:
        run = play("playbooks/endpoints.yml", inventory=one.direct, env=one.env, timeout=900)
        assert run.status == 0, run.failures or run.text[-3000:]
        for server in SERVERS:
            on(server, "nft", CLOSED)
        yield one
    finally:
        one.halt()
        for server in SERVERS:
            on(server, "nft", "delete table inet onions_only", check=False)
            on(server, "sh", "-c", FORGET)
        shutil.rmtree(home)


def logins(server: str, since: float) -> list[str]:
    """Where those came from who have logged in."""
    words = on(
        server, "journalctl", "--no-pager", "-o", "cat", f"--since=@{since:.0f}", "--grep=^Accepted ", check=False
    )
    return [line.split(" from ")[1].split()[0] for line in words.splitlines() if line.startswith("Accepted ")]


def test_the_direct_way_is_closed(controller: Controller) -> None:
    argv = ["ansible", "endpoints", "-i", str(controller.direct), "-m", "ansible.builtin.raw", "-a", "true", "-T", "4"]
    # With no connection that stands already.
    own = {"ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_SSH_ARGS": "-o ControlPath=none"}
    env = {**os.environ, **controller.env, **own}
    done = subprocess.run(
        argv, cwd=CHECKOUT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.count("UNREACHABLE") == len(SERVERS), done.stdout


@pytest.mark.parametrize("playbook", ["endpoints", "gateway", "cluster_info", "verify", "site"])
def test_plays_go_by_the_onions(controller: Controller, playbook: str) -> None:
    """Servers, and instances through the leader's LXD; and all is as it was."""
    # As in a container of AWX, where nothing runs yet.
    controller.halt()
    begun = time.time()
    run = controller.play(playbook)
    assert run.status == 0, run.failures or run.text[-3000:]
    assert run.changed == set()
    reached = {server: set(logins(server, begun)) for server in SERVERS}
    assert reached["rack-1"] == {"127.0.0.1"}
    assert set().union(*reached.values()) == {"127.0.0.1"}


def test_what_is_declared_arrives_by_the_onions(controller: Controller) -> None:
    """A domain that packages may come from: the whole site is gone through, and the proxyhosts change."""
    file = controller.by_onion / "site.bcm.yml"
    before = file.read_text()
    inside = ("lxc", "--project", "bcm-rack", "exec", "proxyhost-1", "--")
    squid = (*inside, "grep", "-rl", "by-onion.example.org", "/etc/squid")
    begun = time.time()
    file.write_text(f"{before}\negress: {{allowed_domains: [by-onion.example.org]}}\n")
    try:
        run = controller.play("site")
    finally:
        file.write_text(before)
    assert run.status == 0, run.failures or run.text[-3000:]
    assert {host for host, _task in run.changed} == PROXYHOSTS
    assert on("rack-1", *squid)
    back = controller.play("gateway")
    assert back.status == 0, back.failures or back.text[-3000:]
    assert {host for host, _task in back.changed} == PROXYHOSTS
    assert not on("rack-1", *squid, check=False)
    # Nobody has come by another way; a connection that stands need not have been made anew.
    assert set().union(*(logins(server, begun) for server in SERVERS)) <= {"127.0.0.1"}


def test_without_the_key_there_is_no_way(controller: Controller) -> None:
    key = controller.onion / "way/auth/rack-1.auth_private"
    kept = key.read_text()
    key.unlink()
    controller.halt()
    try:
        assert controller.ssh("rack-1", "true").returncode == 255
        assert controller.ssh("rack-2", "true").returncode == 0
        # A play says so before it touches anything.
        assert "this controller knows no way to rack-1" in controller.play("cluster_info").text
    finally:
        key.touch(0o600)
        key.write_text(kept)
        controller.halt()
    assert controller.ssh("rack-1", "true").returncode == 0


def access(controller: Controller, verb: str, **variables: Any) -> Run:
    return controller.play("onion_access", "--limit", "rack-2", onion_access=verb, **variables)


def test_who_is_revoked_is_refused_while_others_go_on(controller: Controller) -> None:
    run = access(controller, "add", client="alice")
    assert run.status == 0, run.failures
    key = controller.key("rack-2", "alice")
    assert controller.outcome("rack-2", "alice", "reached", key) == "reached"
    run = access(controller, "revoke", client="alice")
    assert run.status == 0, run.failures
    assert controller.outcome("rack-2", "alice", "refused", key) == "refused"
    controller.halt()
    assert controller.ssh("rack-2", "true").returncode == 0


def test_the_way_that_is_in_use_is_not_taken_away(controller: Controller) -> None:
    for verb in ("revoke", "rotate"):
        run = access(controller, verb, client="controller")
        assert run.status != 0
        assert "is reached by its onion as controller" in " ".join(run.failures)
    others = controller.play(
        "endpoints", "--limit", "rack-2", ssh_onion_clients=[{"name": "alice2"}], ssh_onion_exclusive=True
    )
    assert "no longer names controller" in " ".join(others.failures)


def test_a_change_that_cuts_off_takes_itself_back(controller: Controller) -> None:
    """The server's tor is led into a network that nobody is in."""
    before = on("rack-3", "cat", "/etc/tor/torrc.d/bcm-ssh-onion.conf")
    run = controller.play(
        "endpoints",
        "--limit",
        "rack-3",
        ssh_onion_tor_options=NOWHERE,
        ssh_onion_guard_timeout=60,
        ssh_onion_guard_grace=240,
    )
    assert run.status != 0
    assert "took that back by itself" in " ".join(run.failures), run.failures or run.text[-3000:]
    assert on("rack-3", "cat", "/etc/tor/torrc.d/bcm-ssh-onion.conf") == before
    wait_for("the way to rack-3", lambda: controller.ssh("rack-3", "true").returncode == 0, 180)
    again = controller.play("endpoints", "--limit", "rack-3")
    assert (again.status, again.changed) == (0, set()), again.failures
