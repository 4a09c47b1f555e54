# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cannot be provoked with a real LXD: dropped connections, silence, garbage, operations that hang."""

from __future__ import annotations

import contextlib
import datetime
import email
import io
import itertools
import json
import os
import socket
import ssl
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_client as client_module
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_flavour as flavours
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDBadRequest,
    LXDClient,
    LXDConflict,
    LXDError,
    LXDForbidden,
    LXDNotFound,
    LXDOperationFailed,
    LXDPreconditionFailed,
    LXDTimeout,
    LXDUnreachable,
    Multipart,
    api_path,
    detect_url,
)
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_lxd import (
    Answer,
    FakeLXD,
    Request,
    error,
    operation,
    state,
    sync,
)


@pytest.fixture
def client(lxd: FakeLXD) -> t.Iterator[LXDClient]:
    with LXDClient(lxd.url, timeout=10) as found:
        yield found


# -- where LXD is ---------------------------------------------------------------------------------------------------


def test_url_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LXD_DIR", "/srv/lxd")
    monkeypatch.delenv("LXD_SOCKET", raising=False)
    assert detect_url() == "unix:///srv/lxd/unix.socket"
    monkeypatch.setenv("LXD_SOCKET", "/run/x")
    assert detect_url() == "unix:///run/x"


def test_no_socket_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LXD_DIR", raising=False)
    monkeypatch.delenv("LXD_SOCKET", raising=False)
    monkeypatch.delenv("INCUS_DIR", raising=False)
    monkeypatch.delenv("INCUS_SOCKET", raising=False)
    monkeypatch.setattr(flavours, "SOCKETS", ("/no/such/socket",))
    with pytest.raises(LXDUnreachable, match=r"No socket of LXD or Incus found .*\$INCUS_DIR, /no/such/socket"):
        LXDClient()


@pytest.mark.parametrize("url", ["http://host", "host:8443", "ftp://x", "https://"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(LXDUnreachable, match="is not an address of LXD"):
        LXDClient(url)


def test_no_socket_there(tmp_path: Path) -> None:
    with pytest.raises(LXDUnreachable, match="the socket does not exist"):
        LXDClient(f"unix://{tmp_path}/none").get("/1.0")


def test_nobody_listens(tmp_path: Path) -> None:
    path = str(tmp_path / "dead")
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.close()
    with pytest.raises(LXDUnreachable, match="nothing listens there"):
        LXDClient(f"unix://{path}").get("/1.0")


# -- requests -------------------------------------------------------------------------------------------------------


def test_api_path_quotes_each_part() -> None:
    assert api_path("images", "aliases", "debian/13 x") == "/1.0/images/aliases/debian%2F13%20x"


def test_project_is_added_unless_given(lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0/x", sync())
    with LXDClient(lxd.url, project="site") as client:
        client.get("/1.0/x")
        client.get("/1.0/x", project="other", recursion=1)
        client.get("/1.0/x", project=None)
        client.get("/1.0/x?project=third")
    assert [r.query.get("project") for r in lxd.requests] == ["site", "other", None, "third"]
    assert lxd.requests[1].query["recursion"] == "1"


def test_body_and_etag(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/x", sync({"a": 1}, ETag="abc"))
    lxd.route("PUT", "/1.0/x", sync())
    assert client.get_with_etag("/1.0/x") == ({"a": 1}, "abc")
    client.put("/1.0/x", {"b": True}, etag="abc")
    assert lxd.requests[1].json == {"b": True}
    assert lxd.requests[1].headers["if-match"] == "abc"
    assert lxd.requests[1].headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, LXDBadRequest),
        (401, LXDForbidden),
        (403, LXDForbidden),
        (404, LXDNotFound),
        (409, LXDConflict),
        (412, LXDPreconditionFailed),
        (500, LXDError),
    ],
)
def test_errors_have_types(lxd: FakeLXD, client: LXDClient, code: int, kind: type[LXDError]) -> None:
    lxd.route("POST", "/1.0/x", error(code, "so it is"))
    with pytest.raises(LXDError, match=f"POST /1.0/x: LXD answered {code}: so it is") as caught:
        client.post("/1.0/x", {})
    assert caught.value.__class__ is kind
    assert (caught.value.code, caught.value.method, caught.value.url) == (code, "POST", "/1.0/x")


@pytest.mark.parametrize(
    "content",
    [b"<html>a proxy's page</html>", b"", b"[]", b'{"no": "type"}', b"\xff\xfe", b"null"],
)
def test_garbage_is_told_as_such(lxd: FakeLXD, client: LXDClient, content: bytes) -> None:
    lxd.route("GET", "/1.0/x", Answer(content))
    with pytest.raises(LXDError, match="does not speak LXD's API"):
        client.get("/1.0/x")


def test_an_answer_that_is_not_http(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def talk() -> None:
        peer, _address = listener.accept()
        peer.recv(1000)
        peer.sendall(b"SSH-2.0-OpenSSH\r\n")
        peer.close()

    thread = threading.Thread(target=talk)
    thread.start()
    with pytest.raises(LXDUnreachable, match="was lost during GET"):
        LXDClient(f"unix://{path}", timeout=2).get("/1.0")
    thread.join()
    listener.close()


def test_a_truncated_answer_is_no_answer(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/x", Answer(b'{"type": "sync"', headers={"Content-Length": "5000"}, close=True))
    with pytest.raises(LXDUnreachable, match="was lost"):
        client.get("/1.0/x")


def test_silence_has_an_end(lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0/x", Answer(hang=True))
    begin = time.monotonic()
    with LXDClient(lxd.url, timeout=0.3) as client, pytest.raises(LXDTimeout, match=r"did not answer GET /1.0/x"):
        client.get("/1.0/x")
    assert time.monotonic() - begin < 15


# -- dropped connections --------------------------------------------------------------------------------------------


def test_a_get_is_tried_again_on_a_connection_that_was_kept(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0", sync({}))
    lxd.route("GET", "/1.0/x", [Answer(drop=True), sync("here")])
    client.get("/1.0")
    assert client.get("/1.0/x") == "here"
    assert lxd.sent() == [("GET", "/1.0"), ("GET", "/1.0/x"), ("GET", "/1.0/x")]


def test_a_get_is_not_tried_for_ever(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0", sync({}))
    lxd.route("GET", "/1.0/x", Answer(drop=True))
    client.get("/1.0")
    with pytest.raises(LXDUnreachable):
        client.get("/1.0/x")
    assert len(lxd.sent()) == 3


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_changes_something_is_sent_once(lxd: FakeLXD, client: LXDClient, method: str) -> None:
    lxd.route("GET", "/1.0", sync({}))
    lxd.route(method, "/1.0/x", Answer(drop=True))
    client.get("/1.0")
    with pytest.raises(LXDUnreachable, match="It is not known whether the request was carried out"):
        client.request(method, "/1.0/x", {})
    assert lxd.sent(method) == [(method, "/1.0/x")]


def test_a_connection_that_ended_meanwhile_is_noticed_before_a_post(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0", Answer({"type": "sync", "metadata": {}}, close=True))
    lxd.route("POST", "/1.0/x", sync("done"))
    client.get("/1.0")
    time.sleep(0.1)
    assert client.post("/1.0/x", {}) == "done"
    assert lxd.sent("POST") == [("POST", "/1.0/x")]


def test_clones_have_connections_of_their_own(lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0/x", lambda request: sync(request.query["n"]))
    results: dict[int, t.Any] = {}
    with LXDClient(lxd.url, project="site") as client:

        def work(number: int) -> None:
            with client.clone() as own:
                results[number] = [own.get("/1.0/x", n=number) for _turn in range(20)]

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {number: [str(number)] * 20 for number in range(8)}
    assert {r.query["project"] for r in lxd.requests} == {"site"}


@pytest.fixture
def crowded(tmp_path: Path) -> t.Iterator[tuple[str, socket.socket]]:
    """A socket whose queue is full, and the server that may empty it."""
    path = str(tmp_path / "unix.socket")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        server.bind(path)
        server.listen(0)
        stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)).connect(path)
        yield path, server


def test_a_full_queue_is_waited_for(crowded: tuple[str, socket.socket]) -> None:
    path, server = crowded
    accepted: list[socket.socket] = []
    later = threading.Timer(0.2, lambda: accepted.append(server.accept()[0]))
    later.start()
    LXDClient(f"unix://{path}", timeout=10).open_socket().close()
    later.join()
    assert len(accepted) == 1
    accepted[0].close()


def test_a_queue_that_stays_full_is_named(crowded: tuple[str, socket.socket]) -> None:
    path, _server = crowded
    with pytest.raises(LXDUnreachable, match="queue of connections was full for 0.1 s"):
        LXDClient(f"unix://{path}", timeout=0.1).open_socket()


# -- what is not there ----------------------------------------------------------------------------------------------


def test_find_tells_absence_from_a_missing_project(lxd: FakeLXD) -> None:
    lxd.route("GET", "/1.0/projects/site", [sync({"name": "site"}), error(404, "Project not found")])
    with LXDClient(lxd.url, project="site") as client:
        assert client.find("/1.0/instances/a") is None
        with pytest.raises(LXDNotFound, match="has no project 'site'"):
            client.find("/1.0/instances/a")


def test_find_tells_absence_from_a_missing_parent(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/storage-pools/p", [sync({}), error(404, "Storage pool not found")])
    assert client.find("/1.0/storage-pools/p/volumes/custom/v") is None
    with pytest.raises(LXDNotFound, match="has no storage-pool 'p'"):
        client.find("/1.0/storage-pools/p/volumes/custom/v")


def test_a_list_of_which_one_was_removed_meanwhile_is_asked_for_again(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/storage-pools", [error(404, "Storage pool not found"), sync([{"name": "p"}])])
    assert client.get("/1.0/storage-pools", recursion=1) == [{"name": "p"}]
    lxd.route("GET", "/1.0/networks", error(404, "Network not found"))
    with pytest.raises(LXDNotFound):
        client.get("/1.0/networks", recursion=1)
    assert [path for _method, path in lxd.sent()].count("/1.0/networks") == 3


def test_find_gives_what_is_there(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/instances/a", sync({"name": "a"}, ETag="e"))
    assert client.find_with_etag("/1.0/instances/a") == ({"name": "a"}, "e")
    assert client.exists("/1.0/instances/a")


# -- operations -----------------------------------------------------------------------------------------------------


def test_an_operation_is_waited_for(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("POST", "/1.0/x", operation())
    lxd.route("GET", "/1.0/operations/op/wait", [state(103), state(103), state(200, metadata={"return": 0})])
    assert client.post("/1.0/x", {}) == {"return": 0}
    assert all(1 <= int(r.query["timeout"]) <= client_module.WAIT_SLICE for r in lxd.requests[1:])


def test_an_operation_that_is_not_waited_for(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("POST", "/1.0/x", operation("abc"))
    assert client.post("/1.0/x", {}, wait=False)["path"] == "/1.0/operations/abc"
    assert len(lxd.requests) == 1


def test_an_operation_that_fails_says_why(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("POST", "/1.0/x", operation())
    lxd.route("GET", "/1.0/operations/op/wait", state(400, err="no space left on device"))
    with pytest.raises(LXDOperationFailed, match="Doing something failed: no space left on device") as caught:
        client.post("/1.0/x", {})
    assert caught.value.operation == "/1.0/operations/op"


def test_an_operation_that_hangs_is_left(lxd: FakeLXD, client: LXDClient) -> None:
    def slow(request: Request) -> Answer:
        time.sleep(0.3)
        return state(103)

    lxd.route("POST", "/1.0/x", operation())
    lxd.route("GET", "/1.0/operations/op/wait", slow)
    begin = time.monotonic()
    with pytest.raises(LXDTimeout, match=r"has not ended within .* status Running"):
        client.post("/1.0/x", {}, timeout=1)
    assert time.monotonic() - begin < 15


def test_a_wait_that_ends_in_an_error_asks_the_operation(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/operations/op/wait", error(500, "context deadline exceeded"))
    lxd.route("GET", "/1.0/operations/op", [state(103), state(200, metadata="end")])
    assert client.wait("/1.0/operations/op", 5) == "end"


@pytest.mark.parametrize("code", [400, 403, 404, 500])
def test_incus_answers_a_wait_with_the_error_of_the_operation(lxd: FakeLXD, client: LXDClient, code: int) -> None:
    failed = error(code, "The requested image couldn't be found")
    # What it had begun to answer before it knew.
    failed.status = 200
    lxd.route("GET", "/1.0/operations/op/wait", failed)
    lxd.route("GET", "/1.0/operations/op", state(400, err="The requested image couldn't be found"))
    with pytest.raises(LXDOperationFailed, match=r"Doing something failed: The requested image couldn't be found"):
        client.wait("/1.0/operations/op", 5)


def test_an_operation_that_nobody_knows_any_more(lxd: FakeLXD, client: LXDClient) -> None:
    with pytest.raises(LXDOperationFailed, match=r"no longer knows operation /1.0/operations/op"):
        client.wait("/1.0/operations/op", 5)


def test_lxd_goes_away_during_an_operation(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("POST", "/1.0/x", operation())
    lxd.route("GET", "/1.0/operations/op/wait", Answer(drop=True))
    with pytest.raises(LXDUnreachable, match=r"was lost during GET /1.0/operations/op/wait"):
        client.post("/1.0/x", {})
    assert lxd.sent("POST") == [("POST", "/1.0/x")]


# -- LXD and Incus ---------------------------------------------------------------------------------------------------


def test_a_server_is_asked_once_what_it_is(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0", sync({"environment": {"server": "incus"}, "api_extensions": ["dev_incus_images"]}))
    assert client.flavour.incus
    assert client.has_extension("devlxd_images")
    assert client.clone().flavour.title == "Incus"
    assert lxd.sent() == [("GET", "/1.0")]


def test_a_list_without_anything_in_it(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/storage-pools", sync(None))
    assert client.get("/1.0/storage-pools", recursion=1) == []


# -- files ----------------------------------------------------------------------------------------------------------


def test_multipart_is_what_its_length_says(tmp_path: Path, lxd: FakeLXD, client: LXDClient) -> None:
    (tmp_path / "meta").write_bytes(b"m" * 10)
    (tmp_path / "root").write_bytes(os.urandom(3_000_000))
    form = Multipart([("metadata", str(tmp_path / "meta")), ("rootfs", str(tmp_path / "root"))])
    assert len(b"".join(form)) == len(form)
    lxd.route("POST", "/1.0/images", sync({}))
    client.post("/1.0/images", data=form)
    request = lxd.requests[0]
    message = email.message_from_bytes(
        f"Content-Type: {request.headers['content-type']}\n\n".encode() + request.body.replace(b"\r\n--", b"\r\n--")
    )
    parts = message.get_payload()
    assert isinstance(parts, list)
    assert [part.get_param("name", header="content-disposition") for part in parts] == ["metadata", "rootfs"]
    assert (tmp_path / "root").read_bytes() in request.body


def test_a_file_is_sent_from_where_it_is_open(tmp_path: Path, lxd: FakeLXD, client: LXDClient) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    lxd.route("POST", "/1.0/x", sync({}))
    with (tmp_path / "f").open("rb") as handle:
        handle.seek(4)
        client.post("/1.0/x", data=handle)
    assert lxd.requests[0].body == b"456789"


def test_an_upload_that_is_refused_before_its_end_says_why(tmp_path: Path, lxd: FakeLXD, client: LXDClient) -> None:
    (tmp_path / "big").write_bytes(b"\0" * 20_000_000)
    refusal = error(403, "not here")
    refusal.unread = refusal.close = True
    lxd.route("POST", "/1.0/images", refusal)
    with pytest.raises(LXDForbidden, match="not here"):
        client.post("/1.0/images", data=Multipart([("rootfs", str(tmp_path / "big"))]))
    assert len(lxd.requests) == 1


def test_raw_gives_what_there_is(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/f", Answer(b"\x00binary", headers={"X-LXD-type": "file"}))
    status, headers, content = client.raw("GET", "/1.0/f")
    assert (status, headers["x-lxd-type"], content) == (200, "file", b"\x00binary")
    lxd.route("POST", "/1.0/f", sync())
    client.raw("POST", "/1.0/f", io.BytesIO(b"abc").getvalue(), {"X-LXD-mode": "0600"})
    assert (lxd.requests[1].body, lxd.requests[1].headers["x-lxd-mode"]) == (b"abc", "0600")


def test_raw_as_a_stream_leaves_the_client_free(lxd: FakeLXD, client: LXDClient) -> None:
    lxd.route("GET", "/1.0/f", Answer(b"x" * 100_000))
    lxd.route("GET", "/1.0", sync({"api_extensions": ["etag"]}))
    _status, _headers, response = client.raw("GET", "/1.0/f", stream=True)
    assert client.has_extension("etag")
    assert len(response.read()) == 100_000
    response.close()


# -- TLS ------------------------------------------------------------------------------------------------------------


def _certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate, as LXD makes one."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=36500))
        .sign(key, hashes.SHA256())
    )
    (directory / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return directory / f"{name}.crt", directory / f"{name}.key"


class TLSServer:
    """Answers GET /1.0 over TLS with a certificate of its own, and remembers who asked."""

    def __init__(self, certificate: Path, key: Path, clients: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(clients)
        self.peers: list[t.Any] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        self.context = context
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        body = json.dumps({"type": "sync", "metadata": {"ok": True}}).encode()
        while True:
            try:
                raw, _address = self.listener.accept()
                with self.context.wrap_socket(raw, server_side=True) as sock:
                    sock.recv(4000)
                    self.peers.append(sock.getpeercert())
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            except ssl.SSLError:
                continue
            except OSError:
                return


@pytest.fixture
def tls(tmp_path: Path) -> t.Iterator[TLSServer]:
    certificate, key = _certificate(tmp_path, "server")
    _certificate(tmp_path, "client")
    _certificate(tmp_path, "stranger")
    server = TLSServer(certificate, key, tmp_path / "client.crt")
    yield server
    server.listener.close()


def test_tls_with_the_servers_own_certificate(tls: TLSServer, tmp_path: Path) -> None:
    options = {"client_cert": str(tmp_path / "client.crt"), "client_key": str(tmp_path / "client.key")}
    for given in (str(tmp_path / "server.crt"), (tmp_path / "server.crt").read_text()):
        with LXDClient(tls.url, server_cert=given, timeout=5, **options) as client:
            assert client.get("/1.0") == {"ok": True}
    assert tls.peers[0]["subject"][0][0] == ("commonName", "client")


def test_tls_with_somebody_elses_certificate(tls: TLSServer, tmp_path: Path) -> None:
    client = LXDClient(tls.url, server_cert=str(tmp_path / "stranger.crt"), timeout=5)
    with client, pytest.raises(LXDUnreachable, match="another certificate than the one that was given"):
        client.get("/1.0")
    assert tls.peers in ([], [None], [{}])


def test_tls_without_a_certificate_does_not_trust(tls: TLSServer) -> None:
    with LXDClient(tls.url, timeout=5) as client, pytest.raises(LXDUnreachable, match="is not trusted"):
        client.get("/1.0")


@pytest.mark.parametrize("given", ["/no/such/file", "-----BEGIN garbage"])
def test_tls_with_a_certificate_that_is_none(given: str) -> None:
    with pytest.raises(LXDUnreachable, match="Cannot use the certificates"):
        LXDClient("https://127.0.0.1:1", server_cert=given).get("/1.0")


def test_tls_nobody_there() -> None:
    with pytest.raises(LXDUnreachable, match="Cannot connect"):
        LXDClient("https://127.0.0.1:1", timeout=2).get("/1.0")


@pytest.mark.parametrize("one_line", [False, True])
def test_tls_with_certificates_as_text(tls: TLSServer, tmp_path: Path, one_line: bool) -> None:
    """As an environment hands them on, perhaps with their line ends written out."""
    names = {"client_cert": "client.crt", "client_key": "client.key", "server_cert": "server.crt"}
    given = {option: (tmp_path / name).read_text() for option, name in names.items()}
    if one_line:
        given = {option: text.strip().replace("\n", "\\n") for option, text in given.items()}
    before = set(Path(tempfile.gettempdir()).glob("bcm-lxd-*"))
    with LXDClient(tls.url, timeout=5, **given) as client:
        assert client.get("/1.0") == {"ok": True}
    assert tls.peers[0]["subject"][0][0] == ("commonName", "client")
    assert set(Path(tempfile.gettempdir()).glob("bcm-lxd-*")) <= before


def test_tls_with_a_key_that_wants_a_passphrase(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    certificate, key = _certificate(tmp_path, "client")
    secret = serialization.BestAvailableEncryption(b"x")
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(loaded.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret))
    client = LXDClient("https://127.0.0.1:1", client_cert=str(certificate), client_key=str(key), timeout=2)
    with pytest.raises(LXDUnreachable, match="protected by a passphrase"):
        client.get("/1.0")


def test_tls_says_what_it_saw_and_what_it_expected(tls: TLSServer, tmp_path: Path) -> None:
    shown, given = (
        client_module.fingerprint(client_module.certificate_der(str(tmp_path / name)))
        for name in ("server.crt", "stranger.crt")
    )
    with pytest.raises(LXDUnreachable, match=f"Its fingerprint is {shown}, that of the one given {given}"):
        LXDClient(tls.url, server_cert=str(tmp_path / "stranger.crt"), timeout=5).get("/1.0")


def test_tls_sockets_are_opened_ahead_and_side_by_side(tls: TLSServer, tmp_path: Path) -> None:
    client = LXDClient(tls.url, server_cert=str(tmp_path / "server.crt"), timeout=5)
    inside, most = [0], [0]

    def open_socket() -> socket.socket:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.2)
        inside[0] -= 1
        return raw.pop()

    raw = [socket.socket() for _i in range(9)]
    client.open_socket = open_socket  # type: ignore[method-assign]
    found = client.open_ahead(4)
    assert len(found) == 4
    assert most[0] > 1
    # One more, for the request that they belong to; the next time it is there already.
    assert len(raw) == 4
    found += client.open_ahead(4)
    assert (len(found), len(raw)) == (8, 0)
    client.close()
    for sock in found:
        sock.close()


def test_tls_a_connection_that_was_opened_ahead_is_the_one_that_is_used(tls: TLSServer, tmp_path: Path) -> None:
    """TLS has tickets to hand out after its greeting, which are not the end of the connection."""
    with LXDClient(tls.url, server_cert=str(tmp_path / "server.crt"), timeout=5) as client:
        assert client.open_ahead(0) == []
        opened = client._connection.sock if client._connection else None
        assert opened is not None
        time.sleep(0.2)
        assert client.get("/1.0") == {"ok": True}
    assert len(tls.peers) == 1


def test_tls_a_failure_of_one_closes_the_others(tls: TLSServer, tmp_path: Path) -> None:
    client = LXDClient(tls.url, server_cert=str(tmp_path / "server.crt"), timeout=5)
    made: list[socket.socket] = []
    number = itertools.count()

    def open_socket() -> socket.socket:
        if next(number) >= 2:
            raise LXDUnreachable("no more")
        made.append(socket.socket())
        return made[-1]

    client.open_socket = open_socket  # type: ignore[method-assign]
    with pytest.raises(LXDUnreachable, match="no more"):
        client.open_ahead(4)
    assert [sock.fileno() for sock in made] == [-1, -1]
