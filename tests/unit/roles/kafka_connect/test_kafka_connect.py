# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host says of its worker, and what becomes of the files of the archive, however often it is interrupted."""

from __future__ import annotations

import datetime
import gzip
import http.server
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = 86400
# A noon.
NOON = 20_000 * DAY + DAY // 2


def record(number: int, message: str = "", host: str = "manager-1") -> str:
    """A line as a shipper sends it."""
    said = {"v": 1, "site": "x", "host": host, "class": "audit", "number": number}
    return json.dumps(
        {**said, "message": message or f"line {number}", "boot": "b", "entry": f"s:{number:x}"}, separators=(",", ":")
    )


class Site:
    """A connector that writes into a file, and what can be done to it."""

    def __init__(self, program: ModuleType, directory: Path) -> None:
        self.program, self.directory = program, directory
        self.now = float(NOON)
        self.handle: Any = None
        self.restarts = 0
        self.answers = True
        self.lines = 0
        self.settings: dict[str, Any] = {
            "directory": str(directory),
            "name": "audit",
            "connector": "audit-files",
            "file_size": 10_000,
            "keep": None,
            "room": 1 << 20,
        }

    def write(self, lines: int) -> None:
        if self.handle is None:
            self.handle = (self.directory / "audit.jsonl").open("a")
        for _line in range(lines):
            self.lines += 1
            self.handle.write(f"{record(self.lines)}\n")
        self.handle.flush()

    def killed(self, twice: int, cut: str = "") -> None:
        """Its worker is killed, maybe while it writes a line, and the next one writes so many lines once more."""
        self.write(0)
        self.handle.write(cut)
        self.handle.close()
        self.handle = None
        self.lines -= twice

    def ask(self, _config: Any, method: str, path: str, _body: str = "") -> tuple[int, Any]:
        assert (method, path) == ("POST", "/connectors/audit-files/tasks/0/restart")
        if not self.answers:
            raise self.program.NoConnectError("its REST does not answer: refused")
        self.restarts += 1
        self.handle.close()
        self.handle = None
        self.write(1)
        return 204, None

    def opened(self, path: Path) -> bool:
        if self.handle is None:
            return False
        own = os.fstat(self.handle.fileno())
        return (own.st_dev, own.st_ino) == (path.stat().st_dev, path.stat().st_ino)

    def archive(self) -> Any:
        return self.program.Archive(
            {"archive": self.settings}, self.ask, self.opened, lambda: self.now, lambda _seconds: None
        )

    def tick(self, seconds: float = 300) -> None:
        self.now += seconds
        self.archive().run()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir() if path.name[0] != ".")

    def all_lines(self) -> list[int]:
        found = []
        for path in self.archive().all():
            text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
            found += [json.loads(line)["number"] for line in text.splitlines()]
        return sorted(found)


@pytest.fixture
def site(program: ModuleType, tmp_path: Path) -> Site:
    return Site(program, tmp_path)


def test_a_small_file_of_today_is_left_alone(site: Site) -> None:
    site.write(10)
    site.tick()
    site.tick()
    assert site.names() == ["audit.jsonl"]
    assert site.restarts == 0


def test_a_full_file_is_closed_and_compressed_and_nothing_is_missing(site: Site) -> None:
    site.tick()
    site.write(150)
    site.tick()
    assert len(site.names()) == 2
    assert site.names()[0].endswith("Z.jsonl.gz")
    assert site.restarts == 1
    site.write(5)
    assert site.all_lines() == list(range(1, site.lines + 1))
    site.tick()
    assert site.restarts == 1


def test_each_day_another_file_is_begun_if_anything_was_written(site: Site) -> None:
    site.tick()
    site.tick(DAY)
    assert site.names() == []
    site.write(3)
    site.tick(DAY)
    assert len(site.names()) == 2
    site.tick()
    assert len(site.names()) == 2
    assert site.all_lines() == list(range(1, site.lines + 1))


def test_a_connect_that_does_not_answer_costs_nothing(site: Site) -> None:
    site.tick()
    site.write(150)
    site.answers = False
    with pytest.raises(site.program.NoConnectError):
        site.tick()
    # It is written on under its other name, and left as it is.
    site.write(10)
    (closed,) = site.names()
    assert closed.endswith("Z.jsonl")
    site.answers = True
    site.tick()
    assert site.names() == [f"{closed}.gz", "audit.jsonl"]
    assert site.all_lines() == list(range(1, site.lines + 1))


def test_where_the_task_has_gone_elsewhere_it_is_not_disturbed(site: Site) -> None:
    site.tick()
    site.write(150)
    site.handle.close()
    site.handle = None
    site.tick()
    assert site.restarts == 0
    (only,) = site.names()
    assert only.endswith(".jsonl.gz")


def test_what_was_half_compressed_is_compressed_anew(site: Site, tmp_path: Path) -> None:
    site.tick()
    site.write(150)
    site.archive().turn()
    (closed,) = (name for name in site.names() if name.endswith("Z.jsonl"))
    (tmp_path / f"{closed}.gz.new").write_bytes(b"half")
    site.tick()
    assert site.names() == [f"{closed}.gz", "audit.jsonl"]
    assert site.all_lines() == list(range(1, site.lines + 1))
    # Killed after that, and before the other one was removed.
    (tmp_path / closed).write_text(f"{record(1)}\n")
    site.tick()
    assert site.names() == [f"{closed}.gz", "audit.jsonl"]


def test_what_a_killed_worker_left_is_there_once_and_whole(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.tick()
    site.write(150)
    site.killed(20, cut=record(151)[:60])
    site.write(100)
    # Twice in a row.
    site.killed(0, cut=record(231)[:8])
    site.killed(30, cut=record(231)[:3])
    site.write(60)
    # Behind this one nobody writes before the file is closed.
    site.killed(10, cut=record(261)[:-1])
    site.tick()
    site.write(40)
    assert site.all_lines() == sorted([*range(1, 261), *range(251, 291)])
    assert "without 50 lines that are there already, and 1 that were cut" in capsys.readouterr().out
    # What stands at the end of the file before is known, too.
    site.tick(DAY)
    assert site.all_lines() == list(range(1, site.lines + 1))
    assert "without 10 lines that are there already, and 0 that were cut" in capsys.readouterr().out


def test_a_file_before_that_is_damaged_is_no_reason_to_stop(site: Site) -> None:
    site.tick()
    site.write(150)
    site.tick()
    (before,) = (site.directory / name for name in site.names() if name.endswith(".gz"))
    before.write_bytes(before.read_bytes()[:200])
    site.write(150)
    site.tick()
    assert len([name for name in site.names() if name.endswith(".gz")]) == 2


WHOLE = f"{record(1)}\n".encode()
QUOTES = (record(1, 'a {"v":1} b') + "\n").encode()


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (WHOLE, WHOLE),
        # One whose beginning is that of others within its message.
        (QUOTES, QUOTES),
        (WHOLE[:40] + WHOLE, WHOLE),
        (WHOLE[:3] + WHOLE[:90] + WHOLE, WHOLE),
        (b'{"v":1,"message":"Gr\xc3' + WHOLE, WHOLE),
        (WHOLE[:90], b""),
        (WHOLE[:3], b""),
        # What others write into that topic is none of a shipper's, and stays as it is.
        (b"plain words\n", b"plain words\n"),
        (b'{ "a": {"v":1}}\n', b'{ "a": {"v":1}}\n'),
        (b"{no JSON}\n", b"{no JSON}\n"),
        (b'["v"]\n', b'["v"]\n'),
        (b"\x00\xff\n", b"\x00\xff\n"),
        (b"{" + b"[" * 100_000 + b"\n", b"{" + b"[" * 100_000 + b"\n"),
    ],
)
def test_what_of_a_line_is_whole(program: ModuleType, line: bytes, kept: bytes) -> None:
    found, known = program.whole(line)
    assert found == kept
    assert bool(known) == (b'"host"' in kept)


def test_one_host_cannot_take_the_place_of_a_line_of_anothers(program: ModuleType) -> None:
    marks = {
        program.mark(record(1, message, host).encode()) for message in ("x", "y") for host in ("manager-1", "manager-2")
    }
    assert len(marks) == 4


def test_what_is_remembered_is_bounded(program: ModuleType) -> None:
    seen = program.Seen(100)
    marks = [str(number).encode() for number in range(1000)]
    for position, one in enumerate(marks):
        assert not seen.again(one)
        assert all(seen.again(before) for before in marks[max(0, position - 99) : position])
        assert len(seen.young) + len(seen.old) <= 200


def test_the_oldest_go_when_there_is_no_room(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    for _file in range(6):
        site.write(150)
        site.tick()
    kept = [name for name in site.names() if name.endswith(".gz")]
    assert len(kept) == 6
    size = sum((site.directory / name).stat().st_size for name in site.names())
    site.settings["room"] = size - 1
    site.tick()
    assert [name for name in site.names() if name.endswith(".gz")] == kept[1:]
    assert f"{kept[0]}: removed, for it has no room any more" in capsys.readouterr().out


def test_what_is_too_old_goes(site: Site) -> None:
    site.settings["keep"] = 3 * DAY
    for _file in range(5):
        site.write(3)
        site.tick(DAY)
    site.tick(60)
    names = [name for name in site.names() if name.endswith(".gz")]
    assert 2 <= len(names) <= 4
    site.tick(9 * DAY)
    # The last one that was closed is of now.
    assert len([name for name in site.names() if name.endswith(".gz")]) == 1


def test_a_host_without_an_archive_has_nothing_to_do(site: Site) -> None:
    site.settings["directory"] = str(site.directory / "nowhere")
    site.tick()


RUNNING = {"connector": {"state": "RUNNING"}, "tasks": [{"id": 0, "state": "RUNNING"}]}


@pytest.mark.parametrize(
    ("known", "findings"),
    [
        ({"a": {"status": RUNNING}}, []),
        ({}, ["a is not there"]),
        ({"a": {"status": {**RUNNING, "tasks": []}}}, ["a has no task"]),
        ({"a": {"status": {**RUNNING, "connector": {"state": "PAUSED"}}}}, ["a is PAUSED"]),
        (
            {"a": {"status": {**RUNNING, "tasks": [{"id": 0, "state": "FAILED", "trace": "No space\n\tat x"}]}}},
            ["task 0 of a is FAILED: No space"],
        ),
    ],
)
def test_how_a_connector_is(program: ModuleType, known: Any, findings: list[str]) -> None:
    assert program.connector_findings("a", known) == findings


@pytest.fixture
def docker(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What the container says of itself; with nothing there is none."""
    said = {"status": '{"ready": true}'}

    def output(*argv: str) -> str:
        if argv[1] == "ps":
            return "0123" if said["status"] else ""
        return said["status"]

    monkeypatch.setattr(program, "output", output)
    monkeypatch.setattr(program, "failed", lambda unit: said.get("failed") == unit)
    return lambda text, **more: said.update(status=text, **more)


def test_status(program: ModuleType, docker: Callable[..., None], tmp_path: Path) -> None:
    config = {"label": "l", "connectors": ["a"], "archive": None}

    def ask(_config: Any, method: str, path: str) -> tuple[int, Any]:
        assert (method, path) == ("GET", "/connectors?expand=status")
        return 200, {"a": {"status": RUNNING}}

    def status(config: Any, days: float = 300) -> Any:
        return program.status(config, ask, lambda _config: days)

    assert status(config) == {"ready": True, "note": "1 connector"}
    assert status(config, 3.2)["reason"] == "the certificate of its REST ends in 3 days; connect.yml issues it anew"
    archive = {"directory": str(tmp_path), "name": "audit"}
    (tmp_path / "audit.jsonl").write_bytes(b"x" * (3 << 20))
    assert status({**config, "archive": archive})["note"] == "1 connector; 1 file of the archive, 3 MiB"
    assert status({**config, "connectors": ["b"]})["reason"] == "b is not there"
    docker('{"ready": true}', failed="bcm-connect-archive.service")
    assert "not looked after" in status({**config, "archive": archive})["reason"]
    assert status(config)["ready"]
    docker('{"ready": false, "reason": "held: less than 9 KiB"}')
    assert status(config)["reason"] == "held: less than 9 KiB"
    docker("")
    with pytest.raises(program.NoConnectError, match="no container"):
        status(config)


def test_what_it_cannot_find_out_is_a_state_and_no_failure(
    program: ModuleType,
    docker: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    docker("")
    (tmp_path / "config.json").write_text(json.dumps({"label": "l", "connectors": [], "archive": None}))
    monkeypatch.setenv("BCM_CONNECT_CONFIG", str(tmp_path / "config.json"))
    assert program.main(["status"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ready": False, "reason": "no container of it runs on this host"}
    assert program.main(["archive"]) == 0
    assert program.main(["elsewhere"]) == 2


def test_open_files_are_found(program: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    assert not program.opened(path)
    with path.open():
        assert program.opened(path)


NAME = "connect-manager-1.x.internal"
SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """One that signs for whoever it is told to, and nobody else."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory, self.name = directory, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.file = self.write("ca", self.signed(self.subject, self.key.public_key(), authority=True))

    def signed(self, subject: Any, public: Any, authority: bool = False, dns: str = "") -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if authority:
            # Python 3.13 takes none for an authority that does not say that it signs.
            made = made.add_extension(SIGNS, critical=True)
        if dns:
            made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(dns)]), critical=False)
        return made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def identity(self, name: str, dns: str = "") -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        plain = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self.write(name, plain + self.signed(subject, key.public_key(), dns=dns))

    def write(self, name: str, text: bytes) -> Path:
        file = self.directory / f"{self.name}-{name}.pem"
        file.write_bytes(text)
        return file


class Rest(http.server.BaseHTTPRequestHandler):
    """What answers: the method, the path and what came with it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        said = json.dumps([self.command, self.path, body]).encode()
        self.send_response(200 if self.path != "/gone" else 404)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_PUT(self) -> None:
        self.do_GET()

    def log_message(self, *_words: Any) -> None:
        pass


@pytest.fixture
def rest(program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A REST that only listens to whom one authority has signed; what a host with a worker is told of it."""
    door, site = Authority(tmp_path, "door"), Authority(tmp_path, "site")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(door.file))
    context.load_cert_chain(door.identity("server", NAME))
    context.verify_mode = ssl.CERT_REQUIRED
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Rest)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_words: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    port = server.server_address[1]
    monkeypatch.setattr(program, "container", lambda _label: "0123")
    monkeypatch.setattr(program, "output", lambda *_argv: "1")
    monkeypatch.setattr(
        program, "connect_within", lambda _process, port: socket.create_connection(("127.0.0.1", port), 5)
    )
    admin = tmp_path / "admin"
    admin.mkdir()
    (admin / "ca.pem").write_bytes(door.file.read_bytes())
    (admin / "admin.pem").write_bytes(door.identity("connect-admin").read_bytes())
    (tmp_path / "stranger.pem").write_bytes(site.identity("log-shipper").read_bytes())
    yield {"label": "l", "server": NAME, "port": port, "admin": str(admin)}
    server.shutdown()
    server.server_close()


def test_its_rest_is_asked_with_a_certificate(program: ModuleType, rest: dict[str, Any]) -> None:
    assert program.ask(rest, "GET", "/connectors") == (200, ["GET", "/connectors", ""])
    assert program.ask(rest, "PUT", "/x", '{"a": 1}') == (200, ["PUT", "/x", '{"a": 1}'])
    assert program.ask(rest, "GET", "/gone")[0] == 404


def test_who_is_of_another_authority_is_not_heard(program: ModuleType, rest: dict[str, Any], tmp_path: Path) -> None:
    (Path(rest["admin"]) / "admin.pem").write_bytes((tmp_path / "stranger.pem").read_bytes())
    with pytest.raises(program.NoConnectError, match="does not answer"):
        program.ask(rest, "GET", "/connectors")


def test_a_server_by_another_name_is_not_believed(program: ModuleType, rest: dict[str, Any]) -> None:
    with pytest.raises(program.NoConnectError, match="does not answer"):
        program.ask({**rest, "server": "connect-manager-2.x.internal"}, "GET", "/connectors")


def test_how_long_the_certificate_of_its_rest_is_valid(program: ModuleType, rest: dict[str, Any]) -> None:
    assert 0.9 < program.days_left(rest) < 1.1
    with pytest.raises(program.NoConnectError, match="does not answer"):
        program.days_left({**rest, "server": "somebody-else"})
