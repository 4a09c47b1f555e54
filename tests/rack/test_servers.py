# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's servers: reached by SSH alone, and all that can happen to one happens to it and to no other."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

LAB = Path(__file__).resolve().parents[2] / "lab" / "lab"
LAB_DIR = Path(os.environ.get("BCM_LAB_DIR", "/var/lib/bcm-lab"))
KNOWN_HOSTS = LAB_DIR / "rack-known_hosts"
# Each name begins with the first one.
ONE, TEN, TWELVE = NAMES = ("racktest-1", "racktest-10", "racktest-12")
NOT_THERE = 255


def rack(*arguments: str) -> dict[str, str]:
    """`lab/lab rack …`: what it did, by server."""
    done = subprocess.run([LAB, "rack", *arguments], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("  racktest-")]
    return {line[2:24].strip(): line[25:83].strip() for line in lines}


def refused(*arguments: str) -> str:
    """What it says of something that cannot be done."""
    done = subprocess.run([LAB, "rack", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("lab: ")
    return done.stderr.removeprefix("lab: ")


def listed() -> dict[str, dict[str, str]]:
    """The servers of this test as the lab lists them."""
    done = subprocess.run([LAB, "rack", "list", "--json"], capture_output=True, text=True, check=True, timeout=60)
    return {server["name"]: server for server in json.loads(done.stdout) if server["name"] in NAMES}


def known() -> dict[str, str]:
    """What is known of this test's servers; others may come and go beside it."""
    lines = {line.partition(",")[0]: line for line in KNOWN_HOSTS.read_text().splitlines()}
    return {name: line for name, line in lines.items() if name in NAMES}


def init_of(name: str) -> int:
    """The process on the machine that is a server's first: another one after each boot, and 0 if it is off."""
    argv = ["lxc", "query", f"/1.0/instances/{name}/state?project=lab"]
    env = {**os.environ, "LXD_DIR": str(LAB_DIR / "lxd"), "LXD_CONF": str(LAB_DIR / "lxc")}
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=env, timeout=60)
    return int(json.loads(done.stdout)["pid"])


class Login:
    """SSH to a server as its first user; its host key must be the one that is known."""

    def __init__(self, name: str, *options: str, server: dict[str, str] | None = None, **env: str) -> None:
        self.server = server or listed()[name]
        self.options = options or ("-o", "BatchMode=yes")
        self.env = env

    def __call__(self, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        server = self.server
        options = {
            "UserKnownHostsFile": server["known_hosts"],
            "StrictHostKeyChecking": "yes",
            "IdentitiesOnly": "yes",
            "IdentityFile": server.get("private_key_file", "none"),
        }
        argv = ["ssh", "-F", "none", *(f"-o{key}={value}" for key, value in options.items()), *self.options]
        return subprocess.run(
            [*argv, f"{server['user']}@{server['address']}", command],
            input=stdin,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def gone(self) -> bool:
        """Whether nobody is there to answer."""
        done = Login(self.server["name"], "-o", "BatchMode=yes", "-o", "ConnectTimeout=2", server=self.server)("true")
        return done.returncode == NOT_THERE and "ssh: connect to host" in done.stderr

    def says(self, command: str) -> str:
        """The output of a command that ends well."""
        done = self(command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module", autouse=True)
def servers() -> Iterator[None]:
    """Three of them, fresh; the last one was installed with a password."""
    rack("remove", *NAMES)
    assert rack("up", ONE, TEN).keys() == {ONE, TEN}
    assert rack("up", "--password", TWELVE).keys() == {TWELVE}
    yield
    rack("remove", *NAMES)


def test_they_are_fresh_machines() -> None:
    found = listed()
    assert [server["state"] for server in found.values()] == ["on"] * 3
    assert len({server["address"] for server in found.values()}) == 3
    assert len({server["host_key"].split()[-1] for server in found.values()}) == 3
    questions = {
        "hostname": "{name}",
        "sudo -n id -u": "0",
        "findmnt -n -o FSTYPE /": "btrfs",
        "systemctl is-system-running --wait": "running",
        "grep -h ^root: /etc/subuid /etc/subgid | uniq": "root:1000000:1000000",
    }
    for name in (ONE, TEN):
        answers = Login(name).says("; ".join(questions)).splitlines()
        assert answers == [words.format(name=name) for words in questions.values()]
    ids = {Login(name).says("cat /etc/machine-id") for name in (ONE, TEN)}
    assert len(ids) == 2
    installed = set(
        Login(ONE).says("dpkg-query -W -f '${Package} '; ls /usr/bin /usr/sbin /snap 2>/dev/null || true").split()
    )
    assert "openssh-server" in installed
    assert not installed & {"lxd", "lxc", "incus", "docker.io", "docker", "dockerd", "tor", "snapd"}


def test_one_with_a_password_wants_it_for_sudo_too(tmp_path: Path) -> None:
    server = listed()[TWELVE]
    assert server["login"] == "password"
    key = Login(TWELVE, "-o", "BatchMode=yes", "-o", f"IdentityFile={LAB_DIR}/rack-key")
    assert key("true").returncode == NOT_THERE
    ask = tmp_path / "ask"
    ask.write_text(f"#!/bin/sh\ncat {server['password_file']}\n")
    ask.chmod(0o700)
    login = Login(TWELVE, "-o", "NumberOfPasswordPrompts=1", SSH_ASKPASS=str(ask), SSH_ASKPASS_REQUIRE="force")
    assert login.says("hostname") == TWELVE
    assert login("sudo -n id -u").returncode == 1
    assert login("sudo -S id -u", stdin=Path(server["password_file"]).read_text()).stdout.strip() == "0"
    assert Path(server["password_file"]).stat().st_mode & 0o777 == 0o600
    assert "installed with the key" in refused("up", "--password", ONE)


def test_up_again_changes_nothing() -> None:
    before = (listed(), known(), [init_of(name) for name in NAMES])
    assert rack("up", *NAMES) == dict.fromkeys(NAMES, "is there")
    assert (listed(), known(), [init_of(name) for name in NAMES]) == before


def test_a_power_cut() -> None:
    neighbour = init_of(TEN)
    login = Login(ONE)
    login.says("echo kept > kept")
    assert rack("off", ONE) == {ONE: "switched off"}
    assert rack("off", ONE) == {ONE: "was off already"}
    assert listed()[ONE]["state"] == "off"
    assert login.gone()
    assert rack("on", ONE) == {ONE: "switched on"}
    # With the host key that it had.
    assert login.says("cat kept") == "kept"
    assert init_of(TEN) == neighbour


def test_a_cable_pulled_out_and_a_power_cut_on_top() -> None:
    process = init_of(ONE)
    login = Login(ONE)
    assert rack("cut", ONE) == {ONE: "cut from the network"}
    assert login.gone()
    assert init_of(ONE) == process
    assert {name: server["state"] for name, server in listed().items()} == {ONE: "cut", TEN: "on", TWELVE: "on"}
    assert Login(TEN).says("hostname") == TEN
    assert "mend" in refused("wipe", ONE)
    rack("off", ONE)
    assert rack("on", ONE) == {ONE: "switched on, still cut from the network"}
    process = init_of(ONE)
    assert login.gone()
    assert rack("mend", ONE) == {ONE: "plugged in"}
    assert login.says("hostname") == ONE
    assert init_of(ONE) == process


def test_a_disk_replaced() -> None:
    before, others = listed(), [init_of(TEN), init_of(TWELVE)]
    login = Login(ONE)
    login.says("echo lost > lost")
    assert rack("wipe", ONE) == {ONE: f"installed anew, {before[ONE]['address']}"}
    after = listed()
    assert after[ONE]["address"] == before[ONE]["address"]
    assert after[ONE]["host_key"] != before[ONE]["host_key"]
    assert login.says("ls") == ""
    assert known() == {name: server["host_key"] for name, server in after.items()}
    assert (after[TEN], after[TWELVE]) == (before[TEN], before[TWELVE])
    assert [init_of(TEN), init_of(TWELVE)] == others


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("up", "world"), "the lab uses it itself"),
        (("up", "racktest-2", "Node"), "'Node' cannot be a server's name"),
        (("off", "racktest-2"), "there is no server racktest-2. `lab/lab rack up racktest-2` makes it."),
        (("wipe", ONE, "racktest-2"), "there is no server racktest-2"),
        (("remove", "world"), "the lab uses it itself"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(arguments: tuple[str, ...], words: str) -> None:
    before = known()
    assert words in refused(*arguments)
    assert listed().keys() == set(NAMES)
    assert known() == before


def test_one_is_removed_and_nothing_is_left_of_it() -> None:
    login = Login(ONE)
    assert rack("remove", ONE) == {ONE: "removed"}
    assert rack("remove", ONE) == {ONE: "was not there"}
    assert listed().keys() == {TEN, TWELVE}
    assert login.gone()
    assert known().keys() == {TEN, TWELVE}
    status = subprocess.run([LAB, "status", "--json"], capture_output=True, text=True, timeout=60)
    answer = json.loads(status.stdout)
    assert ONE not in {*answer["servers"], *answer["instances"]}
    assert {TEN, TWELVE} <= answer["servers"].keys()
