# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each probe says nothing where the thing works, and the cause where it does not."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import subprocess
import threading
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _probes


def program(code: int = 0, out: str = "", err: str = "") -> _probes.Runner:
    """Return a runner that behaves as a program with this result."""
    return lambda argv: (code, out, err)


def node(name: str, status: str = "Ready", manager: str = "Reachable", availability: str = "Active") -> str:
    """Return a line of docker node ls."""
    return json.dumps({"Hostname": name, "Status": status, "ManagerStatus": manager, "Availability": availability})


@pytest.fixture
def web() -> t.Iterator[int]:
    """Serve 404 to everybody, and return the port."""
    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class Refusing(http.server.BaseHTTPRequestHandler):
    """A server that has nothing."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002 - the base class names it so
        """Keep the test's output clean."""


@pytest.mark.parametrize(
    ("out", "cause"),
    [
        ("LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\n", None),
        (
            "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\n",
            "x.service is failed (failed, result exit-code)",
        ),
        ("LoadState=not-found\nActiveState=inactive\nSubState=dead\n", "x.service is not installed"),
    ],
)
def test_unit(out: str, cause: str | None) -> None:
    assert _probes.unit({"unit": "x.service"}, program(out=out)) == cause


def test_unit_without_systemd() -> None:
    assert "does not answer" in (_probes.unit({"unit": "x"}, program(code=1, err="no bus")) or "")


def test_port_open_and_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = {"address": "127.0.0.1", "port": server.getsockname()[1]}
        assert _probes.port(where) is None
        assert "must not" in (_probes.port({**where, "open": False}) or "")
    assert "nothing answers" in (_probes.port(where) or "")
    assert _probes.port({**where, "open": False}) is None


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[tuple[int, str]]:
    """Serve TLS with a certificate for localhost that has ten days left, and return port and certificate."""
    key, certificate = (tmp_path_factory.mktemp("tls") / name for name in ("key", "certificate"))
    argv = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "10",
    ]
    argv += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*argv, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], str(certificate)
        server.shutdown()


def test_certificate(secured: tuple[int, str]) -> None:
    port, authority = secured
    where = {"name": "localhost", "port": port, "ca": authority}
    assert _probes.certificate({**where, "days": 9}) is None
    assert f"of localhost:{port} ends in 10 days" in (_probes.certificate({**where, "days": 11}) or "")
    assert "ends in 10 days" in (_probes.certificate(where) or "")


def test_certificate_in_a_file(secured: tuple[int, str], tmp_path: Path) -> None:
    _port, file = secured
    assert _probes.certificate({"file": file, "days": 9}) is None
    assert f"the certificate {file} ends in 10 days, on " in (_probes.certificate({"file": file}) or "")
    # Before it in the same file may stand its key.
    both = tmp_path / "both.pem"
    both.write_text(f"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n{Path(file).read_text()}")
    assert "ends in 10 days" in (_probes.certificate({"file": str(both)}) or "")
    both.write_text("")
    assert f"the certificate {both} cannot be read: " in (_probes.certificate({"file": str(both)}) or "")
    assert "cannot be read: " in (_probes.certificate({"file": "/nonexistent.pem"}) or "")
    nowhere = {"file": file}, program(code=127, err="openssl is not installed")
    assert _probes.certificate(*nowhere) == f"the certificate {file} cannot be read: openssl is not installed"


def test_certificate_of_a_stranger(secured: tuple[int, str]) -> None:
    port, authority = secured
    assert "is not one to trust: self-signed" in (_probes.certificate({"name": "localhost", "port": port}) or "")
    assert "is not one to trust: IP address mismatch" in (
        _probes.certificate({"name": "127.0.0.1", "port": port, "ca": authority}) or ""
    )


def test_certificate_of_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "does not show its certificate" in (_probes.certificate({"name": "127.0.0.1", "port": port}) or "")


def test_http_status(web: int) -> None:
    url = f"http://127.0.0.1:{web}/"
    assert _probes.http({"url": url, "status": [404]}) is None
    assert _probes.http({"url": url}) == f"{url} answers 404, expected 200"


def test_http_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    assert "does not answer" in (_probes.http({"url": f"http://127.0.0.1:{free}/"}) or "")


def test_http_authority_missing() -> None:
    cause = _probes.http({"url": "https://127.0.0.1:1/", "ca": "/nonexistent.pem"})
    assert cause is not None
    assert "cannot be read" in cause


def test_space() -> None:
    assert _probes.space({"path": "/", "minimum": 0.0}) is None
    assert "is free" in (_probes.space({"path": "/", "minimum": 1.1}) or "")
    assert "cannot be looked at" in (_probes.space({"path": "/nonexistent"}) or "")


def test_space_within_a_quota(tmp_path: Path) -> None:
    """A file system that says nothing of it: what is there counts, each file once, however many names it has."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below/file").write_bytes(b"x" * 3 * 2**20)
    (tmp_path / "twice").hardlink_to(tmp_path / "below/file")
    (tmp_path / "elsewhere").symlink_to("/")
    # Of the machine's own file system there may be little left.
    whole = {"path": str(tmp_path), "minimum": 0.0001}
    assert _probes.space(whole) is None
    assert _probes.space({**whole, "size": ""}) is None
    within = {"path": str(tmp_path), "minimum": 0.25}
    assert _probes.space({**within, "size": "5MiB"}) is None
    assert _probes.space({**within, "size": "3500KiB"}) == f"only 12% of {tmp_path} is free (0.0 GiB)"
    assert _probes.space({**within, "size": "2MiB"}) == f"only 0% of {tmp_path} is free (0.0 GiB)"
    # The smaller of the two counts.
    assert _probes.space({"path": str(tmp_path), "minimum": 1.1, "size": "1000TiB"}) is not None


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ([node("m"), node("w", manager="")], None),
        ([node("m")], "w is not in the Swarm"),
        ([node("m"), node("w", status="Down", manager="")], "w is down"),
        ([node("m", manager="Unreachable"), node("w", manager="")], "m is no reachable manager (Unreachable)"),
        ([node("m"), node("w", manager="", availability="Drain")], "w takes no work (drain)"),
        # A machine that was made anew leaves its old self behind: one that is ready is enough.
        ([node("m"), node("w", status="Down", manager=""), node("w", manager="")], None),
    ],
)
def test_swarm(lines: list[str], cause: str | None) -> None:
    assert _probes.swarm({"managers": ["m"], "workers": ["w"]}, program(out="\n".join(lines))) == cause


@pytest.mark.parametrize(
    ("err", "words"),
    [
        ("Error: Swarm is encrypted and locked", "unlocked"),
        ("rpc error: The swarm does not have a leader: no leader", "no majority"),
        ("Cannot connect to the Docker daemon", "does not answer"),
    ],
)
def test_swarm_out_of_order(err: str, words: str) -> None:
    assert words in (_probes.swarm({}, program(code=1, err=err)) or "")


def test_service() -> None:
    def docker(replicas: str, error: str = "") -> _probes.Runner:
        return lambda argv: (
            (0, json.dumps({"Name": "bitcoind", "Replicas": replicas}), "")
            if argv[2] == "ls"
            else (0, json.dumps({"Error": error}), "")
        )

    assert _probes.service({"service": "bitcoind"}, docker("1/1")) is None
    assert _probes.service({"service": "bitcoind"}, docker("0/1", "no suitable node")) == (
        "0 of 1 tasks of bitcoind run: no suitable node"
    )
    assert "0 of 0" in (_probes.service({"service": "bitcoind"}, docker("0/0")) or "")
    assert _probes.service({"service": "bitcoin"}, docker("1/1")) == "there is no service bitcoin"


def test_report() -> None:
    assert _probes.report({"argv": ["x"]}, program(out='{"ready": true}')) is None
    assert _probes.report({"argv": ["x"]}, program(code=1, out='{"ready": false, "reason": "syncing"}')) == "syncing"
    assert "exit code 3" in str(_probes.report({"argv": ["x"]}, program(code=3, err="broken")))
    noted = _probes.report({"argv": ["x"]}, program(out='{"ready": true, "note": "in clear"}'))
    assert noted == _probes.Noted("in clear")


def test_run_names_what_is_missing() -> None:
    assert _probes.run(["/nonexistent/program"])[0] == 127


def test_a_route_that_leads_out_is_named() -> None:
    way = {"to": "0.0.0.0/0", "via": "10.81.0.1", "interface": "leak"}
    said = _probes.routes({}, [way])
    assert said is not None
    assert said.startswith("a route to 0.0.0.0/0 leads by leak through 10.81.0.1. There must be none")
    assert _probes.routes({"allowed": ["leak"]}, [way]) is None
    assert _probes.routes({}, []) is None
