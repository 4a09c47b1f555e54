# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tunnel, with a program in the place of ssh: what real ones do is the integration target lxd_over_ssh."""

from __future__ import annotations

import socket
import stat
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_ssh as module
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDClient, LXDUnreachable
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_ssh import Address, SSHError, SSHOptions, Tunnel
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import Answer, FakeLXD, sync
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.ssh_program import FakeSSH


@pytest.fixture
def ssh(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[FakeSSH]:
    with tempfile.TemporaryDirectory(prefix="ssh-") as directory:
        monkeypatch.setenv("FAKE_SSH", directory)
        fake = FakeSSH(Path(directory))
        yield fake
        fake.kill()


def ask(tunnel: Tunnel) -> bytes:
    with tunnel.connect() as sock:
        sock.sendall(b"GET /1.0 HTTP/1.1\r\nHost: lxd\r\nConnection: close\r\n\r\n")
        return sock.recv(12)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ssh://host", (None, "host", None, None)),
        ("ssh://host/", (None, "host", None, None)),
        ("ssh://Me@Host:2222/run/lxd.socket", ("Me", "Host", 2222, "/run/lxd.socket")),
        ("ssh://[fe80::1%eth0]:22/x", (None, "fe80::1%eth0", 22, "/x")),
        ("ssh://abcdef.onion", (None, "abcdef.onion", None, None)),
    ],
)
def test_addresses(url: str, expected: tuple[t.Any, ...]) -> None:
    assert tuple(Address.parse(url)) == expected


@pytest.mark.parametrize(
    "url",
    ["ssh://", "ssh:///x", "ssh://-oProxyCommand=x/", "ssh://-l@host", "ssh://me:secret@host", "ssh://h:0", "ssh://h:70000",
     "ssh://h/a:b", "ssh://h/a b", "ssh://h/%d", "ssh://a b", "ssh://h?x", "ssh://[::1"],
)  # fmt: skip
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(LXDUnreachable):
        LXDClient(url)


def test_arguments_are_words() -> None:
    options = SSHOptions.of('-o ProxyCommand="nc -x 127.0.0.1:9050 %h %p"', None, "-v", user="me")
    assert options.args == ("-o", "ProxyCommand=nc -x 127.0.0.1:9050 %h %p", "-v")
    with pytest.raises(SSHError, match="cannot be read"):
        SSHOptions.of('-o "open')


def test_one_ssh_for_all(ssh: FakeSSH, lxd: FakeLXD) -> None:
    answers: list[bytes] = []
    workers = [
        threading.Thread(target=lambda: answers.append(ask(Tunnel(f"ssh://host{lxd.path}", ssh.options, 10))))
        for _i in range(5)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [answer[:5] for answer in answers] == [b"HTTP/"] * 5
    assert len(ssh.masters) == 1


def test_the_client_goes_through_it(ssh: FakeSSH, lxd: FakeLXD) -> None:
    lxd.routes["GET", "/1.0/x"] = sync({"ok": True})
    with LXDClient(f"ssh://host{lxd.path}", ssh=ssh.options, timeout=10) as client:
        assert client.get("/1.0/x") == {"ok": True}
        assert client.clone().get("/1.0/x") == {"ok": True}
    assert len(ssh.masters) == 1


def test_a_connection_answers_before_it_is_asked_for_what_must_not_be_asked_twice(ssh: FakeSSH, lxd: FakeLXD) -> None:
    # The tunnel asks the same, to find the socket.
    lxd.route("GET", "/", [sync(["/1.0"]), Answer(drop=True), sync(["/1.0"])])
    lxd.route("POST", "/1.0/x", sync())
    lxd.route("POST", "/1.0/y", Answer(drop=True))
    with LXDClient(f"ssh://host{lxd.path}", ssh=ssh.options, timeout=10) as client:
        client.post("/1.0/x")
        assert lxd.sent("POST") == [("POST", "/1.0/x")]
        assert len(lxd.sent("GET")) == 4
        with pytest.raises(LXDUnreachable, match="not known whether"):
            client.post("/1.0/y")
    assert lxd.sent("POST") == [("POST", "/1.0/x"), ("POST", "/1.0/y")]


def test_a_question_is_asked_again(ssh: FakeSSH, lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0/x", [Answer(drop=True), sync("there")])
    with LXDClient(f"ssh://host{lxd.path}", ssh=ssh.options, timeout=10) as client:
        assert client.get("/1.0/x") == "there"


def test_what_ssh_is_told(ssh: FakeSSH, lxd: FakeLXD) -> None:
    options = SSHOptions.of(
        "-o ProxyCommand=x",
        user="me",
        port=2222,
        private_key_file="/keys/one",
        executable=ssh.options.executable,
        host_key_checking=False,
        control_dir=ssh.options.control_dir,
    )
    ask(Tunnel(f"ssh://host:2200{lxd.path}", options, 7))
    (call,) = ssh.masters
    assert call[-2:] == ["--", "host"]
    for word in ('User="me"', "Port=2200", 'IdentityFile="/keys/one"', "ProxyCommand=x", "StrictHostKeyChecking=no",
                 "BatchMode=yes", "ConnectTimeout=7", "ControlMaster=yes"):  # fmt: skip
        assert call[call.index(word) - 1] == "-o"
    # ssh takes the first: a person's arguments come before our defaults, and after what is not theirs to say.
    assert call.index("BatchMode=yes") < call.index("ProxyCommand=x") < call.index("ControlPersist=10m")
    # Who pins host keys in them has these looked at, whatever is set beside.
    assert call.index("ProxyCommand=x") < call.index("StrictHostKeyChecking=no")


def test_the_directory_is_private_and_its_names_are_short(ssh: FakeSSH, lxd: FakeLXD) -> None:
    tunnel = Tunnel(f"ssh://host{lxd.path}", ssh.options, 10)
    assert stat.S_IMODE(tunnel.directory.stat().st_mode) == 0o700
    assert tunnel.directory.parent == ssh.home / "cp"
    long = SSHOptions(control_dir=str(ssh.home / ("x" * 90)))
    assert len(str(Tunnel("ssh://host", long).directory / "c.0123456789abcdef")) < 104
    # Another way has another directory, whatever it differs in.
    others = [Tunnel("ssh://host", o).directory for o in (SSHOptions(), SSHOptions(user="x"), SSHOptions(args=("-v",)))]
    assert len(set(others)) == 3
    for one in [*others, Tunnel("ssh://host", long).directory]:
        one.rmdir()


def test_a_directory_of_somebody_else_is_not_used(ssh: FakeSSH, monkeypatch: pytest.MonkeyPatch) -> None:
    (ssh.home / "theirs").mkdir(mode=0o777)
    monkeypatch.setattr(module.os, "geteuid", lambda: 4321)
    with pytest.raises(SSHError, match="belongs to somebody else"):
        module._private(ssh.home / "theirs")


def test_sockets_that_are_left_over_do_no_harm(ssh: FakeSSH, lxd: FakeLXD) -> None:
    tunnel = Tunnel(f"ssh://host{lxd.path}", ssh.options, 10)
    ask(tunnel)
    ssh.kill()
    assert (tunnel.directory / "c").exists()
    assert ask(tunnel)[:5] == b"HTTP/"
    assert len(ssh.masters) == 2


def test_the_first_path_that_answers_is_taken(ssh: FakeSSH, lxd: FakeLXD) -> None:
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(ssh.home / "dead"))  # It exists, and nobody listens.
    tunnel = Tunnel("ssh://host", ssh.options, 10, (str(ssh.home / "dead"), "/nowhere/unix.socket", lxd.path))
    assert ask(tunnel)[:5] == b"HTTP/"
    assert (tunnel.directory / "s").readlink() == Path("2")
    silent.close()


@pytest.mark.parametrize("behaviour", ["", "noshell"])
def test_no_such_socket(ssh: FakeSSH, behaviour: str) -> None:
    ssh.behave(behaviour)
    expected = (
        "could open none of /nowhere/1, /nowhere/2" if behaviour else "no such socket .tried /nowhere/1, /nowhere/2"
    )
    with pytest.raises(SSHError, match=expected):
        Tunnel("ssh://me@host", ssh.options, 10, ("/nowhere/1", "/nowhere/2")).connect()


def test_nobody_listens(ssh: FakeSSH) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(ssh.home / "dead"))
        with pytest.raises(
            SSHError, match="nobody answers at .*dead.* Is LXD or Incus running there.*AllowStreamLocalForwarding"
        ):
            Tunnel(f"ssh://host{ssh.home}/dead", ssh.options, 10).connect()


def test_permission_denied(ssh: FakeSSH, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may do everything, so somebody has to say that it may not.
    monkeypatch.setattr(Tunnel, "_look", lambda _self, _directory: {"/var/lib/incus/unix.socket": "denied"})
    tunnel = Tunnel("ssh://me@host/var/lib/incus/unix.socket", ssh.options, 10)
    with pytest.raises(SSHError, match="me@host: permission denied for /var/lib/incus/unix.socket.*group incus-admin"):
        tunnel.connect()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("me@host: Permission denied (publickey).", "refuses every key.*private_key_file"),
        ("Host key verification failed.", "host key is not known.*known_hosts"),
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            "shows another host key",
        ),
        ("ssh: connect to host host port 22: Connection refused", "cannot log in. ssh said: .*Connection refused"),
    ],
)
def test_what_ssh_says_is_put_into_words(ssh: FakeSSH, words: str, expected: str) -> None:
    ssh.behave(f"refuse {words}")
    with pytest.raises(SSHError, match=f"Cannot reach LXD over SSH at me@host port 2222: .*{expected}"):
        Tunnel("ssh://me@host:2222", ssh.options, 10).connect()


def test_an_ssh_that_hangs_is_ended(ssh: FakeSSH) -> None:
    ssh.behave("hang")
    begun = time.monotonic()
    with pytest.raises(SSHError, match="not logged in within 1 s"):
        Tunnel("ssh://host", ssh.options, 1).connect()
    assert time.monotonic() - begun < 5


def test_who_waited_for_an_attempt_takes_its_result(ssh: FakeSSH) -> None:
    ssh.behave("hang")
    errors: list[str] = []

    def connect() -> None:
        with pytest.raises(SSHError) as info:
            Tunnel("ssh://host", ssh.options, 3).connect()
        errors.append(str(info.value))

    workers = [threading.Thread(target=connect) for _i in range(4)]
    begun = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(set(errors)) == 1
    assert len(ssh.masters) == 1
    # One after the other would take four times as long.
    assert time.monotonic() - begun < 12


def test_no_ssh_here() -> None:
    options = SSHOptions(executable="/no/such/ssh")
    with pytest.raises(SSHError, match="/no/such/ssh cannot be run here: No such file.*Install OpenSSH's client"):
        Tunnel("ssh://host/x", options, 1).connect()


def test_a_daemon_that_went_away_is_told_in_words(ssh: FakeSSH, lxd: FakeLXD) -> None:
    lxd.routes["GET", "/1.0/x"] = sync({})
    with LXDClient(f"ssh://host{lxd.path}", ssh=ssh.options, timeout=10) as client:
        client.get("/1.0/x")
        client.close()
        Path(lxd.path).unlink()
        with pytest.raises(LXDUnreachable, match="Cannot reach LXD over SSH at host: no such socket"):
            client.get("/1.0/x")


def test_stopping(ssh: FakeSSH, lxd: FakeLXD) -> None:
    tunnel = Tunnel(f"ssh://host{lxd.path}", ssh.options, 10)
    ask(tunnel)
    tunnel.stop()
    assert sorted(path.name for path in tunnel.directory.iterdir()) == ["lock", "log"]
    tunnel.stop()
