# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t
from pathlib import Path

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import become_loader, connection_loader

from ansible_collections.bcm.datacenter.plugins.connection import multipass as plugin
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_multipass import FakeMultipass

# As `multipass exec --no-map-working-directory NAME -- COMMAND…` and `multipass transfer FROM TO` do it, on this machine.
EXEC = 'if [ "$1" = exec ]; then shift 4; exec "$@"; fi'
TRANSFER = 'if [ "$1" = transfer ]; then if [ "$2" = - ]; then exec cat > "${3#*:}"; else exec cat "${2#*:}"; fi; fi'


@pytest.fixture
def fake(tmp_path: Path) -> FakeMultipass:
    fake = FakeMultipass(tmp_path)
    fake.lists(("one", "Running"), ("one-0", "Stopped"), ("two", "Deleted"), then=f"{EXEC}\n{TRANSFER}")
    return fake


@pytest.fixture
def connect(fake: FakeMultipass) -> t.Callable[..., t.Any]:
    def make(name: str = "one", **options: t.Any) -> t.Any:
        connection = connection_loader.get("bcm.datacenter.multipass", PlayContext())
        direct = {
            "remote_addr": name,
            "program": str(fake.path),
            "multipass_timeout": 5,
            "executable": "/bin/sh",
            **options,
        }
        connection.set_options(direct=direct)
        return connection

    return make


def test_output_status_and_input_are_the_commands_own(connect: t.Callable[..., t.Any]) -> None:
    given = bytes(range(256)) * 4000
    assert connect().exec_command("cat; printf 'ü' >&2; exit 3", in_data=given) == (3, given, "ü".encode())


@pytest.mark.parametrize("status", [1, 2, 3, 4, 255])
def test_statuses_that_are_multipasss_own_too(connect: t.Callable[..., t.Any], status: int) -> None:
    assert connect().exec_command(f"exit {status}") == (status, b"", b"")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("one-0", "'one-0' of multipass cannot be reached: it is stopped. Start it"),
        ("two", "it is deleted. Recover it"),
        ("on", "it does not exist"),
        ("one.snapshot", "cannot be the name"),
        ("", "cannot be the name"),
    ],
)
def test_what_does_not_run_is_unreachable_and_is_not_started(
    connect: t.Callable[..., t.Any], fake: FakeMultipass, name: str, says: str
) -> None:
    for attempt in (lambda one: one.exec_command("true"), lambda one: one.put_file(__file__, "/tmp/x")):
        with pytest.raises(AnsibleConnectionFailure, match=says):
            attempt(connect(name))
    assert all(call.startswith("list ") for call in fake.calls)


@pytest.mark.parametrize(
    "script",
    [
        "echo 'exec failed: ssh connection failed' >&2; exit 2",
        "exit 255",
        # The instance went away after the command had begun: what came is no result.
        "shift 4; echo half; sh -c \"printf '%s(' '$4' >&2\"; exit 255",
        "exit 0",
    ],
)
def test_an_end_without_the_commands_word_is_no_result(
    connect: t.Callable[..., t.Any], fake: FakeMultipass, script: str
) -> None:
    fake.lists(("one", "Running"), then=script)
    with pytest.raises(AnsibleConnectionFailure, match="'one' of multipass (could not run|was lost)"):
        connect().exec_command("true")


def test_a_program_that_hangs_before_the_command_begins(connect: t.Callable[..., t.Any], fake: FakeMultipass) -> None:
    fake.lists(("one", "Running"), then="sleep 60")
    begun = time.monotonic()
    with pytest.raises(AnsibleConnectionFailure, match="nothing began within 1 s"):
        connect(multipass_timeout=1).exec_command("true")
    assert time.monotonic() - begun < 5


def test_a_program_that_hangs_after_the_command_has_ended(connect: t.Callable[..., t.Any], fake: FakeMultipass) -> None:
    fake.lists(("one", "Running"), then='shift 4; "$@"; sleep 60')
    with pytest.raises(AnsibleConnectionFailure, match="it ended, but multipass did not, within 1 s"):
        connect(multipass_timeout=1).exec_command("true")


def test_an_instance_that_goes_away_in_silence(
    connect: t.Callable[..., t.Any], fake: FakeMultipass, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "SILENCE", 0.5)
    connection = connect()
    connection._connect()
    fake.lists(("one", "Stopped"), then=EXEC)
    with pytest.raises(AnsibleConnectionFailure, match="was lost while it ran a command: it is stopped"):
        connection.exec_command("sleep 60")


def test_a_command_may_be_silent_for_long(connect: t.Callable[..., t.Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "SILENCE", 0.2)
    assert connect().exec_command("sleep 1; echo done") == (0, b"done\n", b"")


def test_files_of_any_content_and_size(connect: t.Callable[..., t.Any], tmp_path: Path) -> None:
    source, there, back = tmp_path / "bin är", tmp_path / "there: ü", tmp_path / "back"
    source.write_bytes(bytes(range(256)) * 20000)
    connect().put_file(str(source), str(there))
    connect().fetch_file(str(there), str(back))
    assert back.read_bytes() == there.read_bytes() == source.read_bytes()
    source.write_bytes(b"")
    connect().put_file(str(source), str(there))
    assert there.read_bytes() == b""


def test_a_file_that_is_not_there(connect: t.Callable[..., t.Any], tmp_path: Path) -> None:
    with pytest.raises(AnsibleFileNotFound, match="No such file"):
        connect().fetch_file(f"{tmp_path}/nothing", f"{tmp_path}/here")
    assert not list(tmp_path.glob("here*"))
    with pytest.raises(AnsibleFileNotFound, match="does not exist"):
        connect().put_file(f"{tmp_path}/nothing", f"{tmp_path}/there")


@pytest.mark.parametrize("script", ["echo 'sftp: no space' >&2; exit 2", "head -c 1000 /dev/zero; exit 3", "exit 2"])
def test_transfers_that_fail_are_not_silent(
    connect: t.Callable[..., t.Any], fake: FakeMultipass, tmp_path: Path, script: str
) -> None:
    fake.lists(("one", "Running"), then=script)
    big = tmp_path / "big"
    big.write_bytes(b"x" * 5_000_000)
    with pytest.raises(AnsibleConnectionFailure, match="could not take the file"):
        connect().put_file(str(big), "/tmp/x")
    with pytest.raises(AnsibleConnectionFailure, match="could not give the file"):
        connect().fetch_file("/tmp/x", str(tmp_path / "here"))
    assert not list(tmp_path.glob("here*"))


def test_a_transfer_that_stands_still(connect: t.Callable[..., t.Any], fake: FakeMultipass, tmp_path: Path) -> None:
    fake.lists(("one", "Running"), then="sleep 60")
    with pytest.raises(AnsibleConnectionFailure, match="nothing has moved for 1 s"):
        connect(multipass_timeout=1).fetch_file("/tmp/x", str(tmp_path / "here"))


def test_become_with_a_password(connect: t.Callable[..., t.Any]) -> None:
    connection = connect()
    become = become_loader.get("ansible.builtin.su")
    become.set_options(direct={"become_user": "alice", "become_pass": "pässword"})
    become._id = "abcdef"
    become.success = "BECOME-SUCCESS-abcdef"
    connection.set_become_plugin(become)
    command = "printf 'Password: '; read word; [ \"$word\" = pässword ] || exit 9; echo BECOME-SUCCESS-abcdef; cat"
    status, stdout, _stderr = connection.exec_command(command, in_data=b"given")
    assert (status, stdout.split(b"\n")[-1]) == (0, b"given")


@pytest.mark.parametrize(
    ("command", "error", "says"),
    [
        ("printf 'Password: '; read word", AnsibleError, "asks for a password in instance 'one'"),
        ("echo 'su: Authentication failure' >&2; sleep 60", AnsibleError, "Incorrect su password"),
        ("sleep 60", AnsibleConnectionFailure, "has not let the command through within 1 s"),
    ],
)
def test_become_that_does_not_come_through(
    connect: t.Callable[..., t.Any], command: str, error: type[Exception], says: str
) -> None:
    connection = connect(multipass_timeout=1)
    become = become_loader.get("ansible.builtin.su")
    become.set_options(direct={"become_user": "alice"})
    become._id = "abcdef"
    become.success = "BECOME-SUCCESS-abcdef"
    connection.set_become_plugin(become)
    with pytest.raises(error, match=says):
        connection.exec_command(command)
