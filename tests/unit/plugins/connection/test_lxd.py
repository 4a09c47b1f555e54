# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import become_loader, connection_loader

from ansible_collections.bcm.datacenter.plugins.module_utils import _websocket as websocket

EXEC = ("POST", "/1.0/instances/one/exec")
FILES = "/1.0/instances/one/files"


@pytest.fixture
def connection(lxd: t.Any) -> t.Iterator[t.Any]:
    plugin = connection_loader.get("bcm.datacenter.lxd", PlayContext())
    plugin.set_options(
        direct={"remote_addr": "one", "lxd_url": lxd.url, "project": "p", "lxd_timeout": 2, "executable": "/bin/sh"}
    )
    yield plugin
    plugin.close()


def run(command: t.Callable[[dict[str, t.Any]], t.Any]) -> t.Callable[[dict[str, t.Any]], None]:
    """A command that does this and ends its streams."""

    def whole(streams: dict[str, t.Any]) -> None:
        command(streams)
        streams["1"].end()
        streams["2"].end()

    return whole


def test_output_and_status(lxd: t.Any, connection: t.Any) -> None:
    def command(streams: dict[str, t.Any]) -> None:
        streams["1"].send(b"gr\xc3\xbc")
        streams["1"].send(b"", websocket.PING)
        streams["2"].send(b"err")
        streams["1"].send(b"\xc3\x9fe\xff\n")

    lxd.command = run(command)
    lxd.operation["metadata"]["return"] = 3
    assert connection.exec_command("x 'y'") == (3, b"gr\xc3\xbc\xc3\x9fe\xff\n", b"err")
    _method, _path, query, _headers, body = lxd.requests[0]
    assert query["project"] == ["p"]
    sent = json.loads(body)
    assert sent["command"] == ["/bin/sh", "-c", "x 'y'"]
    assert sent["wait-for-websocket"] is True
    assert sent["interactive"] is False


@pytest.mark.parametrize("data", [b"", b"\x00\xff\r\n", os.urandom(3_000_000)])
def test_stdin_arrives_whole_and_ends(lxd: t.Any, connection: t.Any, data: bytes) -> None:
    lxd.command = run(lambda streams: streams["1"].send(streams["0"].read_to_end()))
    assert connection.exec_command("cat", in_data=data) == (0, data, b"")


def test_a_command_need_not_read_its_input(lxd: t.Any, connection: t.Any) -> None:
    def command(streams: dict[str, t.Any]) -> None:
        streams["0"].tear()
        streams["1"].send(b"done")

    lxd.command = run(command)
    assert connection.exec_command("true", in_data=b"x" * 20_000_000) == (0, b"done", b"")


def test_one_client_for_many_commands(lxd: t.Any, connection: t.Any) -> None:
    for _i in range(3):
        assert connection.exec_command("true")[0] == 0
    assert lxd.count(*EXEC) == 3


@pytest.mark.parametrize("name", ["1", "2"])
def test_torn_output_is_no_result(lxd: t.Any, connection: t.Any, name: str) -> None:
    def command(streams: dict[str, t.Any]) -> None:
        streams[name].send(b"half of ")
        streams[name].tear()

    lxd.command = command
    with pytest.raises(AnsibleConnectionFailure, match=r"Instance 'one' of LXD project 'p' .*ended in the middle"):
        connection.exec_command("x")


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ({"status_code": 200, "metadata": {}}, "without an exit status"),
        ({"status_code": 200, "metadata": None}, "without an exit status"),
        ({"status_code": 400, "err": "context canceled", "metadata": {}}, "without an exit status: context canceled"),
        ({"status_code": 103, "status": "Running"}, "has not told the exit status within 2 s"),
    ],
)
def test_an_operation_without_status_is_no_result(
    lxd: t.Any, connection: t.Any, operation: dict[str, t.Any], reason: str
) -> None:
    lxd.operation = operation
    with pytest.raises(AnsibleConnectionFailure, match=reason):
        connection.exec_command("x")


def test_a_restarted_lxd_has_forgotten_the_operation(lxd: t.Any, connection: t.Any) -> None:
    lxd.error("GET", "/1.0/operations/0b9f/wait", 404, "Operation not found")
    with pytest.raises(AnsibleConnectionFailure, match="it was restarted meanwhile"):
        connection.exec_command("x")


@pytest.mark.parametrize(("status", "err"), [(126, "Command not executable"), (127, "Command not found")])
def test_lxd_calls_statuses_of_shells_failures(lxd: t.Any, connection: t.Any, status: int, err: str) -> None:
    lxd.operation = {"status_code": 400, "err": err, "metadata": {"return": status}}
    assert connection.exec_command("x") == (status, b"", f"LXD: {err}\n".encode())


def test_a_status_that_incus_answers_as_an_error(lxd: t.Any, connection: t.Any) -> None:
    lxd.answer(
        "GET", "/1.0/operations/0b9f/wait", 200, {"type": "error", "error_code": 400, "error": "Command not found"}
    )
    ended = {"status_code": 400, "err": "Command not found", "metadata": {"return": 127}}
    lxd.answer("GET", "/1.0/operations/0b9f", 200, {"type": "sync", "metadata": ended})
    assert connection.exec_command("x") == (127, b"", b"LXD: Command not found\n")


def test_refused_streams_are_tried_again_because_nothing_ran(lxd: t.Any, connection: t.Any) -> None:
    for _i in range(2):
        lxd.error("GET", "/1.0/operations/0b9f/websocket", 400, "Only running operations can be connected")
    lxd.command = run(lambda streams: streams["1"].send(b"once"))
    assert connection.exec_command("x") == (0, b"once", b"")
    assert lxd.count(*EXEC) == 2


def test_refused_streams_are_not_tried_for_ever(lxd: t.Any, connection: t.Any) -> None:
    for _i in range(12):
        lxd.error("GET", "/1.0/operations/0b9f/websocket", 400, "Only running operations can be connected")
    with pytest.raises(AnsibleConnectionFailure, match="Only running operations"):
        connection.exec_command("x")
    assert lxd.count(*EXEC) == 3


def test_a_control_channel_that_comes_too_late_is_done_without(lxd: t.Any, connection: t.Any) -> None:
    lxd.refused = {"control"}
    lxd.command = run(lambda streams: streams["1"].send(b"once"))
    assert connection.exec_command("x") == (0, b"once", b"")
    assert lxd.count(*EXEC) == 1


def test_where_there_is_tls_it_is_spoken_before_the_command_is_sent(lxd: t.Any, connection: t.Any) -> None:
    """However long that takes: LXD only waits for what is sent over it."""
    sent_before: list[int] = []

    def open_ahead(count: int) -> t.Any:
        sent_before.append(lxd.count(*EXEC))
        return [connection._api.open_socket() for _number in range(count)]

    connection._api.open_ahead = open_ahead
    assert connection.exec_command("x")[0] == 0
    assert sent_before == [0]


def test_behind_a_unix_socket_no_connection_is_opened_before_there_is_something_to_say(connection: t.Any) -> None:
    assert connection._api.open_ahead(4) == []


def test_a_broken_start_is_not_tried_again(lxd: t.Any, connection: t.Any) -> None:
    lxd.answers["GET", "/1.0/operations/0b9f/websocket"] = [lambda handler: handler.connection.shutdown(2)] * 4
    with pytest.raises(AnsibleConnectionFailure, match="broke while a command was started"):
        connection.exec_command("x")
    assert lxd.count(*EXEC) == 1


def test_the_command_is_never_sent_twice(lxd: t.Any, connection: t.Any) -> None:
    lxd.answers[EXEC] = [lambda handler: handler.connection.shutdown(2)]
    with pytest.raises(AnsibleConnectionFailure, match="LXD does not answer"):
        connection.exec_command("x")
    assert lxd.count(*EXEC) == 1


def test_missing_instance(lxd: t.Any, connection: t.Any) -> None:
    lxd.error(*EXEC, 404, "Instance not found")
    lxd.error("GET", "/1.0/instances/one/state", 404, "Instance not found")
    with pytest.raises(AnsibleConnectionFailure, match=r"'one' of LXD project 'p' .*does not exist.*bcm_lxd_project"):
        connection.exec_command("x")


def test_stopped_instance(lxd: t.Any, connection: t.Any) -> None:
    lxd.error(*EXEC, 400, "Instance is not running")
    lxd.state("Stopped")
    with pytest.raises(AnsibleConnectionFailure, match=r"it is stopped\. Start it \(lxc start --project p one\)"):
        connection.exec_command("x")


def test_shutting_down(lxd: t.Any, connection: t.Any) -> None:
    lxd.error(*EXEC, 503, "LXD is shutting down")
    with pytest.raises(AnsibleConnectionFailure, match="LXD is shutting down"):
        connection.exec_command("x")


def test_no_lxd(connection: t.Any, tmp_path: Path) -> None:
    connection.set_option("lxd_url", f"unix://{tmp_path}/nothing")
    with pytest.raises(AnsibleConnectionFailure, match="the socket does not exist"):
        connection.exec_command("x")


def test_silent_lxd(lxd: t.Any, connection: t.Any) -> None:
    lxd.answers[EXEC] = [lambda _handler: lxd.finished.wait(10)]
    connection.set_option("lxd_timeout", 1)
    with pytest.raises(AnsibleConnectionFailure, match=r"did not answer .* within 1 s"):
        connection.exec_command("x")


def test_killed_command_is_a_result(lxd: t.Any, connection: t.Any) -> None:
    ended = {"status_code": 200, "metadata": {"return": 137}}
    lxd.answer("GET", "/1.0/operations/0b9f/wait", 200, {"type": "sync", "metadata": ended})
    assert connection.exec_command("x")[0] == 137


def test_command_killed_with_its_instance_is_no_result(lxd: t.Any, connection: t.Any) -> None:
    lxd.operation["metadata"]["return"] = 137
    success = {"id": "0b9f", "metadata": {"fds": lxd.begin().secrets}}
    lxd.answer(*EXEC, 202, {"type": "async", "operation": "/1.0/operations/0b9f", "metadata": success})
    lxd.error(*EXEC, 400, "Instance is not running")
    lxd.state("Stopped")
    with pytest.raises(AnsibleConnectionFailure, match=r"was stopped while it ran a command \(exit status 137\)"):
        connection.exec_command("x")


def test_command_killed_with_its_restarted_instance_is_no_result(lxd: t.Any, connection: t.Any) -> None:
    lxd.answer(
        "GET",
        "/1.0/operations/0b9f/wait",
        200,
        {"type": "sync", "metadata": {"status_code": 200, "metadata": {"return": -1}}},
    )
    lxd.answer(
        "GET", "/1.0/instances/one", 200, {"type": "sync", "metadata": {"last_used_at": "2026-01-01T09:00:01.5Z"}}
    )
    with pytest.raises(AnsibleConnectionFailure, match="has been started again since"):
        connection.exec_command("x")


def test_put(lxd: t.Any, connection: t.Any, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(data := os.urandom(300_000))
    source.chmod(0o640)
    lxd.answer("POST", FILES, 200, {"type": "sync", "metadata": {}})
    connection.put_file(str(source), "/tmp/a b%?")
    # One request, in the words of both kinds of server: what it is need not be asked.
    ((_method, _path, query, headers, body),) = lxd.requests
    assert query == {"path": ["/tmp/a b%?"], "project": ["p"]}
    assert {name: headers[name] for name in headers if name.startswith("X-")} == {
        f"{prefix}-{name}": value
        for prefix in ("X-LXD", "X-Incus")
        for name, value in (("type", "file"), ("write", "overwrite"), ("uid", "0"), ("gid", "0"), ("mode", "0640"))
    }
    assert body == data


def test_put_what_is_not_there(connection: t.Any, tmp_path: Path) -> None:
    with pytest.raises(AnsibleFileNotFound, match="does not exist"):
        connection.put_file(str(tmp_path / "nothing"), "/x")


def test_put_refused(lxd: t.Any, connection: t.Any, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    lxd.answer("GET", "/1.0", 200, {"type": "sync", "metadata": {}})
    lxd.error("POST", FILES, 500, "No space left on device")
    with pytest.raises(AnsibleConnectionFailure, match="could not take the file '/x': No space left"):
        connection.put_file(str(tmp_path / "f"), "/x")


def test_fetch(lxd: t.Any, connection: t.Any, tmp_path: Path) -> None:
    lxd.answer("GET", FILES, 200, data := os.urandom(300_000), {"X-LXD-type": "file"})
    connection.fetch_file("/etc/x", str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == data


def test_fetch_what_is_not_there(lxd: t.Any, connection: t.Any, tmp_path: Path) -> None:
    lxd.error("GET", FILES, 404, "Not Found")
    with pytest.raises(AnsibleFileNotFound, match="/etc/x does not exist in instance 'one'"):
        connection.fetch_file("/etc/x", str(tmp_path / "target"))


def test_fetch_a_directory(lxd: t.Any, connection: t.Any, tmp_path: Path) -> None:
    lxd.answer("GET", FILES, 200, b"{}", {"X-LXD-type": "directory"})
    with pytest.raises(AnsibleError, match="is a directory"):
        connection.fetch_file("/etc", str(tmp_path / "target"))


def test_a_torn_fetch_leaves_what_was_there(lxd: t.Any, connection: t.Any, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")

    def tear(handler: t.Any) -> None:
        handler.reply(200, b"half", {"Content-Length": "8"})
        handler.connection.shutdown(2)

    lxd.answers["GET", FILES] = [tear]
    with pytest.raises(AnsibleConnectionFailure, match="ended in the middle"):
        connection.fetch_file("/etc/x", str(tmp_path / "target"))
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["target"]
    assert (tmp_path / "target").read_text() == "old"


@pytest.fixture
def become(connection: t.Any) -> t.Any:
    plugin = become_loader.get("ansible.builtin.su")
    plugin.set_options(direct={"become_user": "alice", "become_pass": "gehèim"})
    connection.set_become_plugin(plugin)
    return plugin


def test_become_is_answered_before_the_input(lxd: t.Any, connection: t.Any, become: t.Any) -> None:
    command = become.build_become_command("cat", connection._shell or _Shell())

    def work(streams: dict[str, t.Any]) -> None:
        streams["2"].send(b"Password: ")
        messages = streams["0"].messages()
        assert next(messages)[1] == "gehèim\n".encode()
        streams["1"].send(b"\n" + become.success.encode() + b"\nout")
        assert next(messages)[1] == b"input"

    lxd.command = run(work)
    status, stdout, stderr = connection.exec_command(command, in_data=b"input")
    assert (status, stdout.strip(), stderr) == (0, b"out", b"")


def test_wrong_password(lxd: t.Any, connection: t.Any, become: t.Any) -> None:
    command = become.build_become_command("cat", _Shell())

    def work(streams: dict[str, t.Any]) -> None:
        streams["2"].send(b"Password: ")
        next(streams["0"].messages())
        streams["2"].send(b"su: Authentication failure\n")

    lxd.command = run(work)
    with pytest.raises(AnsibleError, match="Incorrect su password"):
        connection.exec_command(command)


def test_no_password(lxd: t.Any, connection: t.Any, become: t.Any) -> None:
    become.set_options(direct={"become_user": "alice"})
    command = become.build_become_command("cat", _Shell())
    lxd.command = run(lambda streams: (streams["2"].send(b"Password: "), streams["0"].read_to_end()))
    with pytest.raises(AnsibleError, match="asks for a password in instance 'one'"):
        connection.exec_command(command)


def test_become_that_hangs(lxd: t.Any, connection: t.Any, become: t.Any) -> None:
    connection.set_option("lxd_timeout", 1)
    command = become.build_become_command("cat", _Shell())
    lxd.command = run(lambda streams: (streams["2"].send(b"thinking"), streams["0"].read_to_end()))
    with pytest.raises(AnsibleConnectionFailure, match="has not let the command through within 1 s: thinking"):
        connection.exec_command(command)


class _Shell:
    """What become needs to know of a shell."""

    ECHO = "echo"
    COMMAND_SEP = ";"
    executable = "/bin/sh"
    SHELL_FAMILY = "sh"
