# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import datetime
import typing as t
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import encode, onion_keys
from ansible_collections.bcm.datacenter.plugins.plugin_utils._onion_bundle import (
    ENDINGS,
    EVERYBODY,
    OWN_KEY,
    Bundle,
    BundleError,
    files,
    lnd_of,
    parse,
)
from ansible_collections.bcm.datacenter.tests.unit.plugins.plugin_utils.qr import decode_png, decode_terminal

ADDRESS = onion_keys(b"s" * 32).address
KEY = encode(b"k" * 32)
# As long as one with many rights.
MACAROON = b"\x02\x01\x03lnd" + bytes(range(256)) + b"m" * 100


@pytest.fixture(scope="module")
def certificate() -> str:
    """As the site's authority has one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Certificate authority of site home")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    made = made.add_extension(x509.BasicConstraints(True, 0), True)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def bundle(certificate: str = "", key: str = KEY, lnd: bool = True) -> Bundle:
    given = {"port": 8080, "macaroon": MACAROON.hex(), "certificate": certificate}
    return Bundle("home", "lnd-app-1", "alice", ADDRESS, (8080, 10009), key, lnd_of(given) if lnd else None)


def test_what_is_written_is_read_again(certificate: str) -> None:
    whole = bundle(certificate)
    made = files(whole)
    assert set(made) == set(ENDINGS)
    assert parse(made[".txt"].decode()) == whole
    assert made[".txt"].decode().startswith("SECRET. With this, alice comes to lnd-app-1")
    assert made[".auth_private"].decode() == f"{ADDRESS.removesuffix('.onion')}:descriptor:x25519:{KEY}\n"
    assert made[".macaroon"] == MACAROON
    assert x509.load_pem_x509_certificate(made[".ca.pem"]) == x509.load_pem_x509_certificate(certificate.encode())


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("", lambda whole: whole.text()),
        (".key", lambda whole: whole.key_line()),
        (".lndconnect", lambda whole: whole.lnd.uri(ADDRESS)),
    ],
)
def test_a_camera_reads_the_same(certificate: str, ending: str, said: t.Callable[[Bundle], str]) -> None:
    whole = bundle(certificate)
    made = files(whole)
    assert decode_png(made[f"{ending}.png"]) == said(whole)
    assert decode_terminal(made[f"{ending}.qr"].decode()) == said(whole)


def test_who_has_read_the_code_knows_all(certificate: str) -> None:
    whole = bundle(certificate)
    assert parse(decode_png(files(whole)[".png"])) == whole


def test_the_uri_is_what_wallets_take_apart(certificate: str) -> None:
    whole = bundle(certificate)
    assert whole.lnd
    uri = urllib.parse.urlsplit(whole.lnd.uri(ADDRESS))
    said = urllib.parse.parse_qs(uri.query, strict_parsing=True)
    assert (uri.scheme, uri.hostname, uri.port) == ("lndconnect", ADDRESS, 8080)
    pad = "=" * 3
    assert base64.urlsafe_b64decode(said["macaroon"][0] + pad) == MACAROON
    der = base64.urlsafe_b64decode(said["cert"][0] + pad)
    assert x509.load_der_x509_certificate(der) == x509.load_pem_x509_certificate(certificate.encode())


@pytest.mark.parametrize("key", [OWN_KEY, EVERYBODY])
def test_a_client_who_needs_no_key_of_ours(key: str) -> None:
    whole = bundle(key=key, lnd=False)
    assert set(files(whole)) == {".txt", ".qr", ".png"}
    assert parse(whole.text()) == whole


def test_no_secret_is_in_words_about_it() -> None:
    whole = bundle()
    assert KEY not in repr(whole)
    assert str(MACAROON) not in repr(whole)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("onion bundle: 1", "onion bundle: 2", "another version"),
        ("service: ", "service: !", "no service"),
        (f"address: {ADDRESS[:1]}", "address: 2", "no address"),
        ("ports: 8080", "ports: 0", "no ports"),
        (f"x25519:{KEY[:8]}", "x25519:", "client key"),
        (f"client key: {ADDRESS[:10]}", "client key: aaaaaaaaaa", "client key"),
        ("macaroon=", "macaroon=!", "lndconnect line"),
        (f"lndconnect://{ADDRESS[:10]}", "lndconnect://aaaaaaaaaa", "lndconnect line"),
    ],
)
def test_what_is_mistyped_is_said_without_it(old: str, new: str, words: str) -> None:
    text = bundle().text()
    assert old in text
    with pytest.raises(BundleError, match=words) as caught:
        parse(text.replace(old, new, 1))
    assert KEY[8:] not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"port": 0}, "not a port"),
        ({"macaroon": "00ff"}, "macaroon"),
        ({"macaroon": "x"}, "macaroon"),
        ({"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}, "certificate"),
        ({"certificate": "AAAA"}, "certificate"),
    ],
)
def test_what_lnd_needs_is_looked_at(given: dict[str, t.Any], words: str) -> None:
    whole = {"port": 8080, "macaroon": MACAROON.hex(), "certificate": None, **given}
    with pytest.raises(BundleError, match=words):
        lnd_of(whole)


def test_what_no_code_holds_is_said() -> None:
    huge = Bundle(
        "home",
        "web",
        "alice",
        ADDRESS,
        (80,),
        KEY,
        lnd_of({"port": 80, "macaroon": (b"\x02" * 2000).hex(), "certificate": ""}),
    )
    with pytest.raises(BundleError, match="more than a QR code holds"):
        files(huge)
