# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What release_verify fetches, in which order, and what it leaves behind. The signatures have a test of their own."""

from __future__ import annotations

import hashlib
import http.server
import threading

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils._signatures import Judgement, SignatureError
from ansible_collections.bcm.datacenter.plugins.modules import release_verify as sut

TARBALL = b"0123456789" * 1000
DIGEST = hashlib.sha256(TARBALL).hexdigest()
SIGNER = {"name": "alice", "fingerprint": "AB" * 20, "key": "-----BEGIN PGP PUBLIC KEY BLOCK-----", "source": None}


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.log.append((self.path, self.headers.get("Range")))
        body = self.server.pages.get(self.path)
        if body is None:
            self.send_error(404)
            return
        offset = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if offset else 200)
        self.send_header("Content-Length", str(len(body) - offset))
        self.end_headers()
        end = self.server.breaks.pop(0) if self.path == "/x.tar.gz" and self.server.breaks else None
        self.wfile.write(body[offset:end])


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.log, server.breaks = [], []
    server.pages = {
        "/x.tar.gz": TARBALL,
        "/SHA256SUMS": f"{DIGEST}  x.tar.gz\n".encode(),
        "/SHA256SUMS.asc": b"signature",
    }
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class Module:
    """As much of AnsibleModule as the module's functions take."""

    def __init__(self, params, check_mode=False):
        self.params = params
        self.check_mode = check_mode

    def atomic_move(self, source, target):
        __import__("os").replace(source, target)


@pytest.fixture
def judged(monkeypatch):
    """What was handed to gpg; it finds everything in order."""
    calls = []

    def check(signed, signatures, signers, required):
        with open(signed, "rb") as stream:  # noqa: PTH123
            calls.append((stream.read(), signatures, [signer.name for signer in signers], required))
        return Judgement(required=required, named=1, good=[{"name": "alice"}])

    monkeypatch.setattr(sut, "check_signatures", check)
    return calls


def params(server, tmp_path, **changed):
    return {
        "url": f"{server.url}/x.tar.gz",
        "manifest_url": f"{server.url}/SHA256SUMS",
        "manifest_entry": None,
        "signature_urls": [f"{server.url}/SHA256SUMS.asc"],
        "signers": [SIGNER],
        "required": 1,
        "dest": str(tmp_path / "new" / "x.tar.gz"),
        "mode": "0644",
        **changed,
    }


def take(given, check_mode=False):
    downloader = sut.Downloader(None, None, 5, 3)
    return sut.take(Module(given, check_mode), sut.Release(given, downloader))


def paths(server):
    return [path for path, _range in server.log]


def test_signatures_come_before_the_release(server, tmp_path, judged):
    result = take(params(server, tmp_path))
    assert result["changed"]
    assert result["digest"] == f"sha256:{DIGEST}"
    assert (tmp_path / "new" / "x.tar.gz").read_bytes() == TARBALL
    assert paths(server) == ["/SHA256SUMS", "/SHA256SUMS.asc", "/x.tar.gz"]
    assert judged == [(server.pages["/SHA256SUMS"], [b"signature"], ["alice"], 1)]


def test_the_second_time_nothing_is_downloaded(server, tmp_path, judged):
    take(params(server, tmp_path))
    server.log.clear()
    assert not take(params(server, tmp_path))["changed"]
    assert "/x.tar.gz" not in paths(server)


def test_check_mode_downloads_and_writes_nothing(server, tmp_path, judged):
    assert take(params(server, tmp_path), check_mode=True)["changed"]
    assert "/x.tar.gz" not in paths(server)
    assert not list(tmp_path.iterdir())


def test_too_few_signatures_and_the_release_is_not_even_asked_for(server, tmp_path, monkeypatch):
    def refuse(*_args):
        raise SignatureError("too_few_signatures", "none")

    monkeypatch.setattr(sut, "check_signatures", refuse)
    with pytest.raises(SignatureError, match="none"):
        take(params(server, tmp_path))
    assert "/x.tar.gz" not in paths(server)


@pytest.mark.parametrize(
    ("page", "content", "reason"),
    [
        ("/x.tar.gz", b"something else", "hash_mismatch"),
        ("/x.tar.gz", None, "download"),
        ("/SHA256SUMS", None, "download"),
        ("/SHA256SUMS", f"{DIGEST}  y.tar.gz\n".encode(), "not_in_manifest"),
    ],
)
def test_what_is_refused_leaves_nothing(server, tmp_path, judged, page, content, reason):
    server.pages[page] = content
    with pytest.raises(SignatureError) as caught:
        take(params(server, tmp_path))
    assert caught.value.reason == reason
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_download_that_breaks_off_is_resumed(server, tmp_path, judged):
    server.breaks = [4000, 7000]
    take(params(server, tmp_path))
    assert server.log[-3:] == [("/x.tar.gz", None), ("/x.tar.gz", "bytes=4000-"), ("/x.tar.gz", "bytes=7000-")]


def test_a_download_that_breaks_off_for_ever_is_given_up(server, tmp_path, judged):
    server.breaks = [10, 20, 30, 40]
    with pytest.raises(SignatureError, match="gave up after 3 attempts"):
        take(params(server, tmp_path))


def test_a_missing_signature_file_is_noted_and_passed_over(server, tmp_path, judged):
    urls = [f"{server.url}/bob.asc", f"{server.url}/SHA256SUMS.asc"]
    result = take(params(server, tmp_path, signature_urls=urls))
    assert judged[0][1] == [b"signature"]
    assert "bob.asc: the server answered 404" in result["msg"]


def test_signatures_over_the_release_itself(server, tmp_path, judged):
    result = take(params(server, tmp_path, manifest_url=None))
    assert judged[0][0] == TARBALL
    assert result["digest"] == f"sha256:{DIGEST}"


def test_a_release_signed_by_itself_is_refused_without_a_trace(server, tmp_path, monkeypatch):
    def refuse(*_args):
        raise SignatureError("too_few_signatures", "none")

    monkeypatch.setattr(sut, "check_signatures", refuse)
    with pytest.raises(SignatureError):
        take(params(server, tmp_path, manifest_url=None))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_keys_come_as_text_from_a_file_or_from_a_server(server, tmp_path):
    (tmp_path / "key.asc").write_bytes(b"from a file")
    server.pages["/key.gpg"] = b"from a server"
    keys = [SIGNER["key"], str(tmp_path / "key.asc"), f"{server.url}/key.gpg", f"{server.url}/none", None]
    given = params(server, tmp_path, signers=[{**SIGNER, "name": str(n), "key": key} for n, key in enumerate(keys)])
    signers = sut.Release(given, sut.Downloader(None, None, 5, 1)).signers()
    assert [s.key for s in signers] == [keys[0].encode(), b"from a file", b"from a server", None, None]
    assert signers[3].problem == "no_key"
