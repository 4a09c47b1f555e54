# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""One-shot tokens, by which a client is trusted or a server joins a cluster.

A token is JSON in base64: who it is for, where the server is, the fingerprint of its certificate, and a secret. LXD keeps
it as an operation that runs until the token is used, and checks nothing but the secret and the name.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import json
import re
import socket
import ssl
import time
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDNotFound,
    LXDUnreachable,
    api_path,
    certificate_der,
)

Object = dict[str, t.Any]
PORT = 8443

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")


def split_address(address: str) -> tuple[str, int]:
    """Host and port of host, host:port, [host]:port or a bare IPv6 address."""
    bracketed = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?", address)
    if bracketed:
        return bracketed.group(1), int(bracketed.group(2) or PORT)
    if address.count(":") > 1:
        return address, PORT
    host, _sep, port = address.partition(":")
    if port and not port.isdigit():
        raise ValueError(f"{address!r} is not an address: HOST or HOST:PORT is expected")
    return host, int(port or PORT)


def full_address(address: str) -> str:
    """An address with its port, as LXD writes it."""
    host, port = split_address(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_wildcard(address: str) -> bool:
    return split_address(address)[0] in ("", "0.0.0.0", "::")  # noqa: S104 - it is what is refused


def expiry(text: t.Any) -> datetime.datetime | None:
    """The moment that Go writes with up to nine decimals; None for one that is not given, or is Go's zero."""
    match = _MOMENT.fullmatch(str(text or ""))
    if not match or match.group(1).startswith("0001-"):
        return None
    zone = "+00:00" if match.group(3) == "Z" else match.group(3)
    return datetime.datetime.fromisoformat(match.group(1) + zone)


def expired(text: t.Any) -> bool:
    moment = expiry(text)
    return moment is not None and moment.timestamp() <= time.time()


def _encode(fields: Object) -> str:
    return base64.b64encode(json.dumps(fields).encode()).decode()


def decode(token: str, who: str) -> Object:
    """The fields of a token. who: the one that says whom it is for."""
    try:
        fields = json.loads(base64.b64decode(token.strip(), validate=True))
        whole = all(fields[key] for key in (who, "fingerprint", "addresses", "secret"))
    except (binascii.Error, ValueError, TypeError, KeyError):
        whole = False
    if not whole:
        raise ValueError(f"it is not one of LXD's: base64 of JSON with {who}, fingerprint, addresses and secret")
    return t.cast("Object", fields)


def join_token(operation: Object) -> str:
    """The token of a server that is to join, out of the operation that LXD keeps it as."""
    fields = operation["metadata"]
    return _encode(
        {
            "server_name": fields["serverName"],
            "fingerprint": fields["fingerprint"],
            "addresses": fields["addresses"],
            "secret": fields["secret"],
            "expires_at": fields.get("expiresAt") or "0001-01-01T00:00:00Z",
        }
    )


def trust_token(operation: Object) -> str:
    """The token of a client that is to be trusted, out of the operation that LXD keeps it as."""
    fields = operation["metadata"]
    return _encode(
        {
            "client_name": fields["request"]["name"],
            "fingerprint": fields["fingerprint"],
            "addresses": fields["addresses"],
            "secret": fields["secret"],
            "expires_at": fields.get("expiresAt") or "0001-01-01T00:00:00Z",
        }
    )


def valid(client: LXDClient) -> list[Object]:
    """The operations that stand for tokens which can still be used."""
    running = (client.get("/1.0/operations", recursion=1) or {}).get("running") or []
    return [
        operation
        for operation in running
        if operation.get("class") == "token" and not expired((operation.get("metadata") or {}).get("expiresAt"))
    ]


def join_tokens(client: LXDClient, name: str | None = None) -> list[Object]:
    """Tokens of servers that are to join, of one of them only if a name is given."""
    found = [operation for operation in valid(client) if "serverName" in operation["metadata"]]
    return [operation for operation in found if name in (None, operation["metadata"]["serverName"])]


def trust_tokens(client: LXDClient, name: str | None = None) -> list[Object]:
    """Tokens of clients that are to be trusted, of one of them only if a name is given."""
    found = [operation for operation in valid(client) if isinstance(operation["metadata"].get("request"), dict)]
    return [operation for operation in found if name in (None, operation["metadata"]["request"].get("name"))]


def revoke(client: LXDClient, operation: Object) -> None:
    """Make a token void. That it was used in between is the same."""
    try:
        client.delete(api_path("operations", operation["id"]))
    except LXDNotFound:
        return


def fingerprint_of(certificate: str) -> str:
    """The fingerprint of a certificate that is given as PEM text or as the path of a PEM file."""
    return hashlib.sha256(certificate_der(certificate)).hexdigest()


def certificate_at(address: str, fingerprint: str, timeout: float = 10) -> str:
    """The certificate (PEM) that a server shows, if it is the one of this fingerprint."""
    host, port = split_address(address)
    # Who answers is told by the fingerprint, which the token brought; no authority has to vouch for it.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        raw = socket.create_connection((host, port), timeout=timeout)
        with raw, context.wrap_socket(raw, server_hostname=host) as sock:
            shown = sock.getpeercert(binary_form=True) or b""
    except OSError as exc:
        raise LXDUnreachable(f"{address} does not answer: {exc}") from exc
    if hashlib.sha256(shown).hexdigest() != fingerprint:
        raise LXDError(
            f"{address} shows another certificate than the one that the token was made for: "
            "either it was renewed since, or somebody else answers."
        )
    return ssl.DER_cert_to_PEM_cert(shown)


def first_at(addresses: t.Sequence[str], fingerprint: str) -> tuple[str, str]:
    """The first of these addresses that answers, with the certificate of this fingerprint that it shows."""
    silent = []
    for address in addresses:
        try:
            return full_address(address), certificate_at(address, fingerprint)
        except LXDUnreachable as exc:
            silent.append(str(exc))
    raise LXDUnreachable(f"None of the addresses in the token can be reached. {'; '.join(silent)}")
