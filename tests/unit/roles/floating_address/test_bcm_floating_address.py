# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that tells whether a machine is able to serve behind an address, and who holds that. Who gets it, molecule shows."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Object = dict[str, Any]
OTHERS = {"two": "02:00:00:00:00:02", "three": "02:00:00:00:00:03"}
NETWORK: Object = {
    "name": "gateway",
    "interface": "gateway",
    "address": "10.0.16.254",
    "own": "10.0.16.1",
    "peers": [{"name": "two", "address": "10.0.16.2"}, {"name": "three", "address": "10.0.16.3"}],
    "services": [],
}
NEIGHBOURS = {"10.0.16.2": {OTHERS["two"]}, "10.0.16.3": {OTHERS["three"]}}


@contextlib.contextmanager
def serving(answer: bytes | None) -> Iterator[tuple[int, list[bytes]]]:
    """Something that takes connections, and answers each with the same, or with nothing at all."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _peer = server.accept()
                    with connection:
                        heard.append(connection.recv(1000))
                        if answer is None:
                            connection.recv(1)
                        else:
                            connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield server.getsockname()[1], heard
        finally:
            server.shutdown(socket.SHUT_RDWR)


def service(port: int, **changes: Any) -> Object:
    return {"name": "HTTP proxy", "port": port, "target": "http://127.0.0.1/", "status": 403, **changes}


def test_a_service_that_works(program: ModuleType) -> None:
    with serving(b"HTTP/1.1 403 Forbidden\r\nServer: squid\r\n\r\n") as (port, heard):
        assert program.ask("127.0.0.1", service(port)) == ""
    assert heard[0].startswith(b"GET http://127.0.0.1/ HTTP/1.0\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize(
    ("answer", "said"), [(b"\x05\x00", ""), (b"", "no SOCKS"), (b"\x05\xff", "no SOCKS"), (b"HTTP/1.0 200", "no SOCKS")]
)
def test_socks(program: ModuleType, answer: bytes, said: str) -> None:
    with serving(answer) as (port, heard):
        found = program.ask("127.0.0.1", {"name": "Tor", "port": port, "protocol": "socks"})
    assert said in found
    assert bool(found) == bool(said)
    assert heard == [b"\x05\x01\x00"]


def test_200_is_what_is_expected_unless_it_is_said(program: ModuleType) -> None:
    with serving(b"HTTP/1.1 200 OK\r\n\r\n{}") as (port, _heard):
        asked = service(port)
        del asked["status"]
        assert program.ask("127.0.0.1", asked) == ""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "answers HTTP/1.1 503 Service Unavailable, and not 403"),
        (b"SSH-2.0-OpenSSH\r\n", "answers SSH-2.0-OpenSSH, and not 403"),
        (b"", "answers nothing, and not 403"),
    ],
)
def test_something_else_that_answers(program: ModuleType, answer: bytes, said: str) -> None:
    with serving(answer) as (port, _heard):
        assert program.ask("127.0.0.1", service(port)) == f"HTTP proxy on 127.0.0.1:{port} {said}"


def test_a_service_that_hangs(program: ModuleType) -> None:
    """Its socket takes connections; that is no sign of work."""
    with serving(None) as (port, _heard):
        assert f"does not answer on 127.0.0.1:{port}: timed out" in program.ask("127.0.0.1", service(port), 0.2)


def test_one_that_is_slow_or_restarts_is_not_dead(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "PAUSE", 0.01)
    said = ["refused", "answers HTTP/1.1 502 Bad Gateway", ""]
    monkeypatch.setattr(program, "ask", lambda _address, _service, seconds: said.pop(0) if seconds > 5 else "late")
    assert program.ask_all("127.0.0.1", [service(3128)], patient=True) == []
    assert said == []
    # A person wants to know how it is now.
    said += ["refused", ""]
    assert program.ask_all("127.0.0.1", [service(3128)], patient=False) == ["refused"]


def test_each_of_several_has_all_the_time(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "PATIENCE", 0.6)
    monkeypatch.setattr(program, "PAUSE", 0.1)
    begin = time.monotonic()
    with serving(None) as (first, _heard), serving(None) as (second, _too):
        causes = program.ask_all("127.0.0.1", [service(first), service(second)], patient=True)
    assert [f":{port}: timed out" in cause for port, cause in zip((first, second), causes, strict=True)] == [True, True]
    assert 0.5 < time.monotonic() - begin < 1.1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_one_that_could_not_even_be_asked_does_not_pass_for_well(program: ModuleType) -> None:
    causes = program.ask_all("127.0.0.1", [{"name": "HTTP proxy", "port": 1}], patient=True)
    assert causes == ["HTTP proxy could not be asked"]


def test_nothing_there(program: ModuleType) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "refused" in program.ask("127.0.0.1", service(port))


def test_a_service_is_asked_once_its_units_are_enabled(program: ModuleType, tmp_path: Path) -> None:
    wants = tmp_path / "multi-user.target.wants"
    wants.mkdir()
    (tmp_path / "nginx.service").touch()
    cache = service(5000, units=["nginx.service", "registry-cache@5000.service"])
    network = {**NETWORK, "services": [service(3128), cache]}

    def asked() -> list[int]:
        return [one["port"] for one in program.asked(network, lambda unit: program.is_enabled(unit, str(tmp_path)))]

    assert asked() == [3128]
    (wants / "nginx.service").symlink_to("/lib/systemd/system/nginx.service")
    assert asked() == [3128]
    # Where the link leads does not matter.
    (wants / "registry-cache@5000.service").symlink_to("/nowhere")
    assert asked() == [3128, 5000]


def test_frames(program: ModuleType) -> None:
    own = bytes.fromhex("020000000001")
    frame = program.question(own, "10.0.16.1", "10.0.16.254")
    assert len(frame) == 42
    assert frame[:14] == b"\xff" * 6 + own + b"\x08\x06"
    assert frame[14:22] == bytes.fromhex("0001080006040001")
    assert frame[22:28] == own
    assert (socket.inet_ntoa(frame[28:32]), socket.inet_ntoa(frame[38:42])) == ("10.0.16.1", "10.0.16.254")
    # A question is no answer, and neither is anything else.
    assert program.answer(frame) is None
    assert program.answer(frame[:41]) is None
    assert program.answer(frame[:12] + b"\x08\x00" + frame[14:20] + b"\x00\x02" + frame[22:]) is None
    # Short frames are filled up on their way.
    reply = frame[:20] + b"\x00\x02" + frame[22:] + bytes(18)
    assert program.answer(reply) == ("10.0.16.1", "02:00:00:00:00:01")


@pytest.mark.parametrize(
    ("here", "heard", "note"),
    [
        (True, NEIGHBOURS, "10.0.16.254, held here"),
        (False, {**NEIGHBOURS, "10.0.16.254": {OTHERS["three"]}}, "10.0.16.254, held by three"),
        # One that is gone is not what is looked at here.
        (True, {}, "10.0.16.254, held here"),
        (
            False,
            {"10.0.16.3": {OTHERS["three"]}, "10.0.16.254": {OTHERS["three"]}},
            "10.0.16.254, held by three",
        ),
    ],
)
def test_one_holds_it(program: ModuleType, here: bool, heard: dict[str, set[str]], note: str) -> None:
    assert program.judge(NETWORK, here, heard, []) == {"ready": True, "reason": "", "note": note}


@pytest.mark.parametrize(
    ("here", "holders", "causes", "reason"),
    [
        (False, set(), [], "nobody holds 10.0.16.254"),
        (True, {OTHERS["two"]}, [], "10.0.16.254 is held by this machine and by two"),
        (False, {OTHERS["two"], OTHERS["three"]}, [], "10.0.16.254 is held by three and by two"),
        (
            False,
            {"02:00:00:00:00:99"},
            [],
            "10.0.16.254 is held by 02:00:00:00:00:99, which is no peer",
        ),
        (
            False,
            {OTHERS["two"]},
            ["HTTP proxy does not answer"],
            "HTTP proxy does not answer; 10.0.16.254 is held by two",
        ),
        (
            False,
            set(),
            ["HTTP proxy does not answer", "Cache does not answer"],
            "HTTP proxy does not answer; Cache does not answer; nobody holds 10.0.16.254",
        ),
    ],
)
def test_what_is_wrong(program: ModuleType, here: bool, holders: set[str], causes: list[str], reason: str) -> None:
    said = program.judge(NETWORK, here, {**NEIGHBOURS, "10.0.16.254": holders}, causes)
    assert (said["ready"], said["reason"]) == (False, reason)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """One network, with a service that works."""
    with serving(b"HTTP/1.1 403 Forbidden\r\n\r\n") as (port, _heard):
        network = {**NETWORK, "address": "127.0.0.1", "own": "127.0.0.1", "services": [service(port)]}
        config = tmp_path / "config.json"
        config.write_text(json.dumps({"networks": [network]}))
        yield config


def test_what_keepalived_asks(
    program: ModuleType, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "PATIENCE", 0.2)
    assert program.main(["check", str(file), "gateway"]) == 0
    config = json.loads(file.read_text())
    config["networks"][0]["services"][0]["status"] = 200
    file.write_text(json.dumps(config))
    assert program.main(["check", str(file), "gateway"]) == 1
    assert "answers HTTP/1.1 403 Forbidden, and not 200" in capsys.readouterr().err


def test_waiting(program: ModuleType, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["wait", str(file), "5"]) == 0
    config = json.loads(file.read_text())
    config["networks"][0]["services"][0]["status"] = 200
    file.write_text(json.dumps(config))
    assert program.main(["wait", str(file), "0.4"]) == 1
    assert "and not 200" in capsys.readouterr().err


def test_waiting_for_some(program: ModuleType, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads(file.read_text())
    services = config["networks"][0]["services"]
    services.append({**services[0], "name": "Cache", "status": 200})
    file.write_text(json.dumps(config))
    assert program.main(["wait", str(file), "5", services[0]["name"]]) == 0
    assert program.main(["wait", str(file), "0.4", "Cache"]) == 1
    assert program.main(["wait", str(file), "0.4"]) == 1
    assert capsys.readouterr().err.count("Cache on") == 2


def test_how_it_is_called(program: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["hold", "it", "now"]) == 2
    assert program.main(["check"]) == 2
    assert program.main(["status", "file", "network", "more"]) == 2
    assert "bcm-floating-address check FILE NETWORK" in capsys.readouterr().err
