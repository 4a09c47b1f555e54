# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper, asked by TLS as each lnd asks it, and whom it refuses."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import ssl
import threading
import time
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Authority:
    """One that signs, as the site's does."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.key = folder, ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._signed(self.name, self.key.public_key(), True, None)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _signed(self, subject: x509.Name, key: Any, authority: bool, usage: Any) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(authority, None), True)
            .add_extension(
                x509.KeyUsage(not authority, False, False, False, False, authority, False, False, False), True
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
        )
        if usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
            )
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name: str, usage: Any) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._signed(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key(), False, usage)
        plain = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.folder / f"{name}-{usage.dotted_string}.pem"
        path.write_bytes(plain + made.public_bytes(serialization.Encoding.PEM))
        return path


class Keeper:
    def __init__(self, program: ModuleType, folder: Path) -> None:
        self.authority, self.stranger = Authority(folder, "authority"), Authority(folder, "stranger")
        self.store = folder / "store"
        config = {
            "address": "127.0.0.1",
            "port": 0,
            "folder": str(self.store),
            "ca": str(self.authority.path),
            "certificate": str(self.authority.issue("keeper", ExtendedKeyUsageOID.SERVER_AUTH)),
        }
        self.node("lightning-1", "1 1000")
        self.server = program.serve(config)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.client = self.authority.issue("lightning-1", ExtendedKeyUsageOID.CLIENT_AUTH)

    def node(self, name: str, number: str, written: int = 1000) -> None:
        (self.store / name).mkdir(parents=True, exist_ok=True)
        file = self.store / name / "number"
        file.write_text(number + "\n")
        os.utime(file, (written, written))

    def ask(
        self, method: str, path: str, body: bytes | None = None, client: Path | None = None, **headers: str
    ) -> tuple[int, bytes]:
        context = ssl.create_default_context(cafile=str(self.authority.path))
        context.load_cert_chain(client or self.client)
        connection = HTTPSConnection("127.0.0.1", self.server.server_address[1], context=context, timeout=10)
        try:
            connection.request(
                method, path, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
            )
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture
def keeper(program: ModuleType, tmp_path: Path) -> Iterator[Keeper]:
    made = Keeper(program, tmp_path)
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_each_is_told_its_number(keeper: Keeper) -> None:
    status, content = keeper.ask("GET", "/v1/lightning-1")
    told = json.loads(content)
    assert (status, told["number"], told["backup"]) == (200, 1, None)
    assert told["age"] > 1_700_000_000
    keeper.node("lightning-1", "2 1795000000")
    assert json.loads(keeper.ask("GET", "/v1/lightning-1")[1])["number"] == 2
    # What is not whole is no number.
    keeper.node("lightning-1", "2")
    assert json.loads(keeper.ask("GET", "/v1/lightning-1")[1])["number"] is None


def test_a_number_is_as_old_as_this_machine_has_told_it(keeper: Keeper) -> None:
    """A restore that was broken off and went on much later: until then the old lnd was told that it may run."""
    now = int(time.time())
    keeper.node("lightning-1", f"2 {now - 86400}", now - 20)
    assert 15 < json.loads(keeper.ask("GET", "/v1/lightning-1")[1])["age"] < 60
    # And no older than the number itself, whatever the clock of this machine was.
    keeper.node("lightning-1", f"2 {now - 20}", now - 86400)
    assert 15 < json.loads(keeper.ask("GET", "/v1/lightning-1")[1])["age"] < 60


def test_the_backup_is_kept_with_those_before_it(keeper: Keeper) -> None:
    assert keeper.ask("GET", "/v1/lightning-1/backup")[0] == 404
    for number in range(25):
        assert keeper.ask("PUT", "/v1/lightning-1/backup", b"backup %d" % number, X_Fence="1")[0] == 200
    assert keeper.ask("GET", "/v1/lightning-1/backup") == (200, b"backup 24")
    told = json.loads(keeper.ask("GET", "/v1/lightning-1")[1])["backup"]
    assert told["size"] == len(b"backup 24")
    before = sorted((keeper.store / "lightning-1/before").iterdir())
    assert len(before) == 20
    assert before[-1].read_bytes() == b"backup 23"


def test_an_lnd_that_must_not_run_does_not_replace_it(keeper: Keeper) -> None:
    keeper.ask("PUT", "/v1/lightning-1/backup", b"good", X_Fence="1")
    keeper.node("lightning-1", "2 1795000000")
    for headers in ({"X_Fence": "1"}, {}, {"X_Fence": "3"}):
        status, content = keeper.ask("PUT", "/v1/lightning-1/backup", b"old", **headers)
        assert (status, b"is not the current one" in content) == (409, True)
    assert keeper.ask("GET", "/v1/lightning-1/backup")[1] == b"good"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/lightning-2", 403),
        ("GET", "/v1/lightning-2/backup", 403),
        ("PUT", "/v1/lightning-2/backup", 403),
        ("PUT", "/v1/lightning-1", 405),
        ("GET", "/v1/lightning-1/number", 404),
        ("GET", "/v1/../lightning-1", 404),
        ("GET", "/", 404),
        ("DELETE", "/v1/lightning-1", 501),
    ],
)
def test_what_is_refused(keeper: Keeper, method: str, path: str, status: int) -> None:
    keeper.node("lightning-2", "1 1000")
    assert keeper.ask(method, path, b"x" if method == "PUT" else None, X_Fence="1")[0] == status
    assert (keeper.store / "lightning-1/number").read_text() == "1 1000\n"


def test_who_is_not_known_here_is_told_so(keeper: Keeper) -> None:
    other = keeper.authority.issue("lightning-9", ExtendedKeyUsageOID.CLIENT_AUTH)
    assert keeper.ask("GET", "/v1/lightning-9", client=other)[0] == 404


def test_whoever_is_not_signed_for_it_does_not_get_in(keeper: Keeper) -> None:
    for client in (
        keeper.stranger.issue("lightning-1", ExtendedKeyUsageOID.CLIENT_AUTH),
        # A server's certificate is none by which one asks.
        keeper.authority.issue("lightning-1", ExtendedKeyUsageOID.SERVER_AUTH),
    ):
        with pytest.raises((ssl.SSLError, OSError)):
            keeper.ask("GET", "/v1/lightning-1", client=client)


def test_what_is_too_large_is_not_read(keeper: Keeper) -> None:
    assert keeper.ask("PUT", "/v1/lightning-1/backup", b"", X_Fence="1")[0] == 413
    assert keeper.ask("PUT", "/v1/lightning-1/backup", None, X_Fence="1", Content_Length=str(17 << 20))[0] == 413
