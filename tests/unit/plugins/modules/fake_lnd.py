# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An lnd in memory behind real HTTPS: what its REST answers is put as lnd 0.20.1 puts it, numbers as text among it."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import http.server
import ipaddress
import json
import ssl
import threading
import time
import typing as t
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.bcm.datacenter.plugins.module_utils import _lnd_macaroon as macaroons

OWN_LEASE = hashlib.sha256(b"lnd-internal-lock-id").hexdigest()
ALICE = "03" + "aa" * 32
BOB = "02" + "bb" * 32
ADMIN = frozenset({("info", "read"), ("macaroon", "generate")})


def certificates(directory: Path, name: str = "127.0.0.1") -> tuple[Path, Path, Path]:
    """(the authority's, the server's, its key), as strict as Python 3.13 wants them."""
    now = datetime.datetime.now(datetime.UTC)
    usage = {
        "digital_signature": True,
        "content_commitment": False,
        "key_encipherment": False,
        "data_encipherment": False,
        "key_agreement": False,
        "encipher_only": False,
        "decipher_only": False,
    }

    def build(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, authority: bool) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(key_cert_sign=authority, crl_sign=authority, **usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = build("authority", "authority", authority_key, True).sign(authority_key, hashes.SHA256())
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    try:
        names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(name))]
    except ValueError:
        names = [x509.DNSName(name)]
    leaf = (
        build(name, "authority", key, False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    paths = directory / f"ca-{name}.pem", directory / f"{name}.pem", directory / f"{name}.key"
    paths[0].write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    paths[2].write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    return paths


def packet(kind: int, data: bytes) -> bytes:
    assert len(data) < 128
    return bytes([kind, len(data)]) + data


class FakeLnd(http.server.ThreadingHTTPServer):
    """What is asked is kept in `asked`, what was changed in `done`."""

    def __init__(self, directory: Path, name: str = "127.0.0.1") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ca, certificate, key = certificates(directory, name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server_address[1]}"
        self.state, self.password = "SERVER_ACTIVE", b"correct horse"
        self.network, self.version, self.synced = "regtest", "0.20.1-beta commit=v0.20.1-beta", True
        self.root_keys: dict[int, bytes] = {0: b"0" * 32}
        self.coins: dict[str, tuple[int, str]] = {f"{n:02x}" * 32 + ":0": (1_000_000, "TAPROOT_PUBKEY") for n in (1, 2)}
        self.open: list[dict[str, t.Any]] = []
        self.pending: list[dict[str, t.Any]] = []
        self.closing: list[dict[str, t.Any]] = []
        self.closed: list[dict[str, t.Any]] = []
        self.labels: dict[str, str] = {}
        self.spent: list[str] = []
        self.leases: list[dict[str, t.Any]] = []
        self.connected: set[str] = set()
        self.sat_per_kw = 1250
        self.required_reserve = 10_000
        self.asked: list[str] = []
        self.done: list[tuple[str, t.Any]] = []
        # Called with the request before a channel is opened; what it returns is the answer instead.
        self.before_open: t.Callable[[dict[str, t.Any]], tuple[int, t.Any] | None] = lambda _body: None
        self.polls = 0
        self.each_poll: t.Callable[[int], None] = lambda _count: None
        self.admin = directory / "admin.macaroon"
        self.admin.write_bytes(self.baked(0, ADMIN))
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def baked(self, root_key_id: int, permissions: t.Iterable[macaroons.Permission]) -> bytes:
        operations = b"".join(
            packet(0x1A, packet(0x0A, entity.encode()) + packet(0x12, action.encode()))
            for entity, action in sorted(permissions)
        )
        identifier = b"\x03" + packet(0x0A, b"nonce-16-bytes!!") + packet(0x12, str(root_key_id).encode()) + operations
        return macaroons.Macaroon(b"lnd", identifier, (), self.signature(root_key_id, identifier)).binary()

    def signature(self, root_key_id: int, identifier: bytes) -> bytes:
        return hmac.new(self.root_keys[root_key_id], identifier, hashlib.sha256).digest()

    def takes(self, raw: bytes) -> bool:
        found = macaroons.parse(raw)
        if found.root_key_id not in self.root_keys:
            return False
        return self.signature(found.root_key_id, found.identifier) == found.signature

    def channel(self, name: str, **more: t.Any) -> dict[str, t.Any]:
        point = hashlib.sha256(f"{name}{len(self.open)}{len(self.closed)}".encode()).hexdigest() + ":0"
        return {
            "memo": name,
            "channel_point": point,
            "remote_pubkey": BOB,
            "remote_node_pub": BOB,
            "capacity": "500000",
            "private": True,
            "initiator": True,
            "active": True,
            "local_balance": "496530",
            "remote_balance": "0",
            **more,
        }

    def has_closed(self, channel: dict[str, t.Any], label: str | None = None) -> None:
        point = channel["channel_point"]
        self.closed.append(
            {
                "channel_point": point,
                "remote_pubkey": channel["remote_pubkey"],
                "capacity": channel["capacity"],
                "open_initiator": channel.get("open_initiator", "INITIATOR_LOCAL"),
                "settled_balance": "1",
                "closing_tx_hash": "cc" * 32,
            }
        )
        if label is not None:
            self.labels[point.partition(":")[0]] = label

    def lease(self, point: str, seconds: int = 600) -> None:
        txid, _colon, output = point.partition(":")
        self.leases.append(
            {
                "id": base64.b64encode(bytes.fromhex(OWN_LEASE)).decode(),
                "outpoint": {"txid_str": txid, "output_index": int(output)},
                "expiration": str(int(time.time()) + seconds),
                "value": "1000000",
            }
        )

    def answer(
        self, method: str, path: str, query: dict[str, str], body: t.Any, macaroon: str | None
    ) -> tuple[int, t.Any]:
        self.asked.append(f"{method} {path}")
        if path == "/v1/state":
            return 200, {"state": self.state}
        if path == "/v1/unlockwallet":
            if base64.b64decode(body["wallet_password"]) != self.password:
                return 500, {"code": 2, "message": "invalid passphrase for master public key"}
            self.state = "SERVER_ACTIVE"
            self.done.append(("unlock", None))
            return 200, {}
        if macaroon is None or not self.takes(bytes.fromhex(macaroon)):
            return 500, {"code": 2, "message": "verification failed: signature mismatch after caveat verification"}
        for start, handler in (
            ("/v1/macaroon", self.of_macaroons),
            ("/v2/wallet", self.of_wallet),
            ("/v1/channels", self.of_channels),
        ):
            if path.startswith(start):
                return handler(method, path, query, body)
        return self.of_node(method, path, body)

    def of_node(self, method: str, path: str, body: t.Any) -> tuple[int, t.Any]:
        if path == "/v1/getinfo":
            chains = [{"chain": "bitcoin", "network": self.network}]
            info = {"version": self.version, "identity_pubkey": ALICE, "alias": "alice", "uris": [], "chains": chains}
            return 200, {**info, "synced_to_chain": self.synced, "synced_to_graph": False, "block_height": 101}
        if path == "/v1/balance/blockchain":
            return 200, {
                "confirmed_balance": "7",
                "unconfirmed_balance": "0",
                "locked_balance": "0",
                "reserved_balance_anchor_chan": "3",
            }
        if path == "/v1/utxos":
            return 200, {
                "utxos": [
                    self.utxo(point, *coin) for point, coin in sorted(self.coins.items()) if point not in self.leased()
                ]
            }
        if path == "/v1/transactions":
            return 200, {"transactions": [{"previous_outpoints": [{"outpoint": point} for point in self.spent]}]}
        if path == "/v1/peers" and method == "POST":
            if body["addr"]["pubkey"] in self.connected:
                return 500, {"code": 2, "message": f"already connected to peer: {body['addr']['pubkey']}"}
            self.connected.add(body["addr"]["pubkey"])
            self.done.append(("connect", body["addr"]["host"]))
            return 200, {"status": "connection initiated"}
        if path == "/v1/peers":
            return 200, {"peers": [{"pub_key": pubkey} for pubkey in sorted(self.connected)]}
        return 404, {"code": 5, "message": "Not Found"}

    def leased(self) -> set[str]:
        return {f"{one['outpoint']['txid_str']}:{one['outpoint']['output_index']}" for one in self.leases}

    def utxo(self, point: str, amount: int, kind: str) -> dict[str, t.Any]:
        txid, _colon, output = point.partition(":")
        return {
            "address_type": kind,
            "amount_sat": str(amount),
            "outpoint": {"txid_str": txid, "output_index": int(output)},
        }

    def of_macaroons(self, method: str, path: str, _query: dict[str, str], body: t.Any) -> tuple[int, t.Any]:
        if path == "/v1/macaroon/ids":
            return 200, {"root_key_ids": [str(one) for one in self.root_keys]}
        if path == "/v1/macaroon/checkpermissions":
            if self.takes(base64.b64decode(body["macaroon"])):
                return 200, {"valid": True}
            return 400, {"code": 3, "message": "cannot get macaroon: root key with id doesn't exist"}
        if method == "DELETE":
            gone = self.root_keys.pop(int(path.rpartition("/")[2]), None)
            self.done.append(("forget", path.rpartition("/")[2]))
            return 200, {"deleted": gone is not None}
        root_key_id = int(body["root_key_id"])
        self.root_keys.setdefault(root_key_id, hashlib.sha256(f"{root_key_id}{len(self.done)}".encode()).digest())
        self.done.append(("bake", root_key_id))
        permissions = [(one["entity"], one["action"]) for one in body["permissions"]]
        return 200, {"macaroon": self.baked(root_key_id, permissions).hex()}

    def of_wallet(self, method: str, path: str, query: dict[str, str], body: t.Any) -> tuple[int, t.Any]:
        if path == "/v2/wallet/utxos/leases":
            self.polls += 1
            self.each_poll(self.polls)
            return 200, {"locked_utxos": self.leases}
        if path.startswith("/v2/wallet/estimatefee/"):
            return 200, {"sat_per_kw": str(self.sat_per_kw)}
        if path == "/v2/wallet/reserve":
            return 200, {"required_reserve": str(self.required_reserve)}
        if path == "/v2/wallet/tx/label":
            txid = base64.b64decode(body["txid"])[::-1].hex()
            self.labels[txid] = body["label"]
            self.done.append(("label", body["label"]))
            return 200, {"status": "done"}
        if query.get("txid") in self.labels:
            return 200, {"label": self.labels[query["txid"]]}
        return 500, {"code": 2, "message": "no such transaction"}

    def of_channels(self, method: str, path: str, query: dict[str, str], body: t.Any) -> tuple[int, t.Any]:
        if path == "/v1/channels/pending":
            wrapped = {"pending_open_channels": self.pending, "waiting_close_channels": self.closing}
            return 200, {
                key: [{"channel": one, "closing_txid": "dd" * 32} for one in found] for key, found in wrapped.items()
            }
        if path == "/v1/channels/closed":
            return 200, {"channels": self.closed}
        if method == "GET":
            return 200, {"channels": self.open}
        if method == "DELETE":
            point = ":".join(path.rsplit("/", 2)[1:])
            channel = next(one for one in self.open if one["channel_point"] == point)
            self.open.remove(channel)
            self.closing.append(channel)
            self.done.append(("close", query))
            return 200, {"result": {"close_pending": {"txid": base64.b64encode(b"d" * 32).decode()}}}
        instead = self.before_open(body)
        if instead is not None:
            return instead
        return self.opened(body)

    def opened(self, body: dict[str, t.Any]) -> tuple[int, t.Any]:
        self.done.append(("open", body))
        pubkey = base64.b64decode(body["node_pubkey"]).hex()
        channel = self.channel(body["memo"], capacity=body["local_funding_amount"], private=body["private"])
        self.pending.append({**channel, "remote_node_pub": pubkey, "initiator": "INITIATOR_LOCAL"})
        for point in (f"{one['txid_str']}:{one['output_index']}" for one in body["outpoints"]):
            self.coins.pop(point)
            # lnd keeps its leases for a while after the coins are spent.
            self.lease(point)
            self.spent.append(point)
        self.labels[channel["channel_point"].partition(":")[0]] = "0:openchannel"
        raw = base64.b64encode(bytes.fromhex(channel["channel_point"].partition(":")[0])[::-1]).decode()
        return 200, {"funding_txid_bytes": raw, "output_index": 0}

    def confirm(self) -> None:
        """All that is pending is confirmed, and lnd writes its last label."""
        for channel in self.pending:
            self.open.append(
                {**channel, "remote_pubkey": channel["remote_node_pub"], "initiator": True, "active": True}
            )
            self.labels[channel["channel_point"].partition(":")[0]] = "0:openchannel:shortchanid-1"
        self.pending = []

    def verbs(self) -> list[str]:
        return [verb for verb, _what in self.done]


class Handler(http.server.BaseHTTPRequestHandler):
    server: FakeLnd

    def log_message(self, *_args: t.Any) -> None:
        pass

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        status, said = self.server.answer(
            self.command, parts.path, query, body, self.headers.get("Grpc-Metadata-macaroon")
        )
        if status == 0:
            # The connection ends without a word.
            self.close_connection = True
            return
        raw = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_DELETE = handle_any  # noqa: N815
