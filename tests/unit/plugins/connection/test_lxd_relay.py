# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that are handed to a program beside LXD: both of its ends are real, the ssh between them is not."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import become_loader, connection_loader

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_ssh
from ansible_collections.bcm.datacenter.plugins.module_utils import _websocket as websocket
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _frames as frames
from ansible_collections.bcm.datacenter.plugins.plugin_utils._lxd_relay import _greeted, packed
from ansible_collections.bcm.datacenter.plugins.plugin_utils._lxd_relay_near import Near, far_command
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.ssh_program import FakeSSH

EXEC = ("POST", "/1.0/instances/one/exec")
Plugin = t.Callable[..., t.Any]


def owner(path: Path) -> int:
    """The process that listens to a socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[0])


def end(path: Path) -> None:
    """End who listens to a socket, if there is somebody. It is nobody's child here: wait until nobody listens."""
    with contextlib.suppress(OSError):
        os.kill(owner(path), signal.SIGKILL)
        for _i in range(500):
            owner(path)
            time.sleep(0.01)


@pytest.fixture
def ssh(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[FakeSSH]:
    with tempfile.TemporaryDirectory(prefix="ssh-") as directory:
        monkeypatch.setenv("FAKE_SSH", directory)
        # Python on the server is the one that runs here.
        (Path(directory) / "python3").symlink_to(sys.executable)
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
        fake = FakeSSH(Path(directory))
        yield fake
        for path in near(fake):
            end(path)
        fake.kill()


def near(ssh: FakeSSH) -> list[Path]:
    return list((ssh.home / "cp").glob("*/r"))


@pytest.fixture
def plugin(lxd: t.Any, ssh: FakeSSH) -> t.Iterator[Plugin]:
    """The connection, as many as one likes."""
    made = []

    def make(relay: str = "always") -> t.Any:
        one = connection_loader.get("bcm.datacenter.lxd", PlayContext())
        one.set_options(
            direct={
                "remote_addr": "one",
                "lxd_url": f"ssh://host{lxd.url.removeprefix('unix://')}",
                "project": "p",
                "lxd_timeout": 10,
                "executable": "/bin/sh",
                "ssh_executable": ssh.options.executable,
                "control_path_dir": ssh.options.control_dir,
                "ssh_relay": relay,
            }
        )
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def run(command: t.Callable[[dict[str, t.Any]], t.Any]) -> t.Callable[[dict[str, t.Any]], None]:
    """A command that does this and ends its streams."""

    def whole(streams: dict[str, t.Any]) -> None:
        command(streams)
        streams["1"].end()
        streams["2"].end()

    return whole


def relays(ssh: FakeSSH) -> int:
    return sum("python3" in command for command in ssh.sessions)


def test_output_and_status(lxd: t.Any, ssh: FakeSSH, plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    def command(streams: dict[str, t.Any]) -> None:
        streams["1"].send(b"gr\xc3\xbc\n")
        streams["2"].send(b"err\xff")

    monkeypatch.setenv("TERM", "dumb")
    lxd.command = run(command)
    lxd.operation["metadata"]["return"] = 3
    assert plugin().exec_command("x 'y'") == (3, b"gr\xc3\xbc\n", b"err\xff")
    assert relays(ssh) == 1
    (request,) = [request for request in lxd.requests if request[:2] == EXEC]
    sent = json.loads(request[4])
    assert request[2]["project"] == ["p"]
    assert (sent["command"], sent["environment"]) == (["/bin/sh", "-c", "x 'y'"], {"TERM": "dumb"})


def test_input_arrives_whole(lxd: t.Any, plugin: Plugin) -> None:
    lxd.command = run(lambda streams: streams["1"].send(streams["0"].read_to_end()))
    for data in (b"", b"\x00\xff\r\n", os.urandom(3_000_000)):
        assert plugin().exec_command("cat", in_data=data) == (0, data, b"")


def test_one_relay_serves_all_workers_at_once(lxd: t.Any, ssh: FakeSSH, plugin: Plugin) -> None:
    together = threading.Barrier(5, timeout=10)
    lxd.command = run(lambda streams: (together.wait(), streams["1"].send(streams["0"].read_to_end())))
    answers: list[t.Any] = []
    # ansible-core loads plugins in one thread only: each connection is there before the others begin.
    connections = {name: plugin() for name in (b"a", b"b", b"c", b"d", b"e")}

    def work(name: bytes) -> None:
        answers.append(connections[name].exec_command("cat", in_data=name))

    workers = [threading.Thread(target=work, args=[name]) for name in connections]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(answers) == [(0, name, b"") for name in connections]
    assert relays(ssh) == 1


@pytest.mark.parametrize(
    ("relay", "line", "expected"),
    [("auto", "", 0), ("auto", "slow 0.25", 1), ("never", "slow 0.25", 0), ("always", "", 1)],
)
def test_who_takes_it(
    lxd: t.Any, ssh: FakeSSH, plugin: Plugin, monkeypatch: pytest.MonkeyPatch, relay: str, line: str, expected: int
) -> None:
    if not line:
        # However busy this machine is.
        monkeypatch.setattr(_lxd_ssh, "_SLOW", 60)
    ssh.behave(line)
    lxd.command = run(lambda streams: streams["1"].send(b"done"))
    for _i in range(2):
        assert plugin(relay).exec_command("x") == (0, b"done", b"")
    assert relays(ssh) == expected


def test_without_a_shell_there_the_api_remains(lxd: t.Any, ssh: FakeSSH, plugin: Plugin) -> None:
    ssh.behave("noshell")
    lxd.command = run(lambda streams: streams["1"].send(b"done"))
    for _i in range(3):
        assert plugin().exec_command("x") == (0, b"done", b"")
    # It is not tried for each command.
    assert relays(ssh) == 1
    assert lxd.count(*EXEC) == 3


def test_what_lxd_refuses_is_told_as_ever(lxd: t.Any, plugin: Plugin) -> None:
    lxd.error(*EXEC, 404, "Instance not found")
    lxd.error("GET", "/1.0/instances/one/state", 404, "Instance not found")
    with pytest.raises(AnsibleConnectionFailure, match=r"'one' of LXD project 'p' .*does not exist.*bcm_lxd_project"):
        plugin().exec_command("x")


def test_torn_output_is_no_result(lxd: t.Any, plugin: Plugin) -> None:
    def command(streams: dict[str, t.Any]) -> None:
        streams["1"].send(b"half of ")
        streams["1"].tear()

    lxd.command = command
    with pytest.raises(AnsibleConnectionFailure, match="ended in the middle"):
        plugin().exec_command("x")


def test_a_relay_that_is_gone_is_started_anew(lxd: t.Any, ssh: FakeSSH, plugin: Plugin) -> None:
    lxd.command = run(lambda streams: streams["1"].send(b"done"))
    for _i in range(2):
        assert plugin().exec_command("x") == (0, b"done", b"")
        (path,) = near(ssh)
        end(path)
    assert relays(ssh) == 2


def test_a_command_whose_relay_goes_is_not_run_again(lxd: t.Any, ssh: FakeSSH, plugin: Plugin) -> None:
    lxd.command = lambda _streams: end(near(ssh)[0])
    with pytest.raises(AnsibleConnectionFailure, match="It is not known what became of it"):
        plugin().exec_command("x")
    assert lxd.count(*EXEC) == 1


def test_a_worker_that_goes_ends_its_command(lxd: t.Any, ssh: FakeSSH, plugin: Plugin) -> None:
    begun, told = threading.Event(), []

    def command(streams: dict[str, t.Any]) -> None:
        while "control" not in streams:
            time.sleep(0.01)
        begun.set()
        told.extend(
            opcode_and_data for _i, opcode_and_data in zip(range(1), streams["control"].messages(), strict=False)
        )

    assert plugin().exec_command("first")[0] == 0
    lxd.command = command
    (path,) = near(ssh)
    worker = _greeted(path)
    assert worker is not None
    request = {"instance": "one", "project": "p", "argv": ["x"], "environment": {}, "url": lxd.url, "timeout": 5}
    worker.sendall(frames.frame(0, frames.EXECUTE, json.dumps(request).encode() + b"\n"))
    assert begun.wait(10)
    worker.close()
    for _i in range(100):
        if told:
            break
        time.sleep(0.1)
    assert [(opcode, json.loads(data)) for opcode, data in told] == [
        (websocket.TEXT, {"command": "signal", "signal": 15})
    ]


def test_whoever_becomes_somebody_else_is_asked_by_the_api(lxd: t.Any, ssh: FakeSSH, plugin: Plugin) -> None:
    become = become_loader.get("ansible.builtin.su")
    become.set_options(direct={"become_user": "alice", "become_pass": "secret"})
    one = plugin()
    one.set_become_plugin(become)

    def work(streams: dict[str, t.Any]) -> None:
        streams["2"].send(b"Password: ")
        next(streams["0"].messages())
        streams["1"].send(become.success.encode() + b"\nout")

    lxd.command = run(work)
    shell = type("Shell", (), {"ECHO": "echo", "COMMAND_SEP": ";", "executable": "/bin/sh", "SHELL_FAMILY": "sh"})
    status, stdout, _stderr = one.exec_command(become.build_become_command("cat", shell))
    assert (status, stdout.strip()) == (0, b"out")
    assert relays(ssh) == 0


# -- the near end by itself ------------------------------------------------------------------------------------------


def test_it_ends_when_nobody_has_a_use_for_it(tmp_path: Path) -> None:
    path = tmp_path / "r"
    begun = time.monotonic()
    assert Near(path, ["sh", "-c", far_command()], packed(), 20, idle=0.1).run() == 0
    assert time.monotonic() - begun < 15
    assert not path.exists()


def test_one_that_was_taken_for_dead_leaves_its_successor_alone(tmp_path: Path) -> None:
    path = tmp_path / "r"
    first = Near(path, ["sh", "-c", far_command()], packed(), 20, idle=0.1)
    ends = threading.Thread(target=first.run)
    ends.start()
    for _i in range(1000):
        if path.exists():
            break
        time.sleep(0.01)
    path.unlink()
    path.write_text("of another one")
    ends.join()
    assert path.read_text() == "of another one"


@pytest.mark.parametrize(
    "command", ["exit 3", "echo noise", "exec sleep 30", f"cat >{os.devnull}", "python3 -c 'raise SystemExit(1)'"]
)
def test_without_a_far_end_there_is_none(tmp_path: Path, command: str) -> None:
    begun = time.monotonic()
    assert Near(tmp_path / "r", ["sh", "-c", command], packed(), 0.5).run() == 1
    assert time.monotonic() - begun < 15
    assert list(tmp_path.iterdir()) == []


def test_what_a_login_says_is_no_part_of_it(tmp_path: Path) -> None:
    near_end = Near(
        tmp_path / "r", ["sh", "-c", f"printf 'Welcome.\nNo mail.'; {far_command()}"], packed(), 20, idle=0.1
    )
    assert near_end.run() == 0
