# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is PRIVATE to the collection: it may change without notice.
"""What a client needs to come to an onion: as text, as QR codes, and as the files that programs read. Nothing here writes."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import io
import re
import typing as t
from pathlib import Path

from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import decode, is_address
from ansible_collections.bcm.datacenter.plugins.module_utils._onion_service import CLIENT, NAME

VERSION = "1"
OWN_KEY = "made and kept by the client"
EVERYBODY = "none is needed"
SITE = re.compile(r"[a-z][a-z0-9-]{0,19}")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END CERTIFICATE-----")
_URI = re.compile(
    r"lndconnect://([a-z2-7]{56}\.onion):([0-9]{1,5})\?(?:cert=([A-Za-z0-9_-]+)&)?macaroon=([A-Za-z0-9_-]+)"
)
# The light margin that the standard asks for.
QUIET = 4


class BundleError(Exception):
    """Something that a person can act on. No secret is in its words."""


@dataclasses.dataclass(frozen=True)
class Lnd:
    """What lnd asks for beyond the onion. The macaroon is the client's own."""

    port: int
    macaroon: bytes = dataclasses.field(repr=False)
    certificate: bytes = b""

    def uri(self, address: str) -> str:
        """As wallets take it (https://github.com/LN-Zap/lndconnect/blob/master/lnd_connect_uri.md)."""
        cert = f"cert={_url64(self.certificate)}&" if self.certificate else ""
        return f"lndconnect://{address}:{self.port}?{cert}macaroon={_url64(self.macaroon)}"


@dataclasses.dataclass(frozen=True)
class Bundle:
    """All of it."""

    site: str
    service: str
    client: str
    address: str
    ports: tuple[int, ...]
    # The private key in Base32; OWN_KEY or EVERYBODY where there is none to give.
    key: str = dataclasses.field(repr=False)
    lnd: Lnd | None = None

    def key_line(self) -> str:
        """The line that tor reads from a file; empty where there is none."""
        if self.key in (OWN_KEY, EVERYBODY):
            return ""
        return f"{self.address.removesuffix('.onion')}:descriptor:x25519:{self.key}"

    def text(self) -> str:
        """Its lines, which is what the QR code says."""
        lines = [
            f"onion bundle: {VERSION}",
            f"site: {self.site}",
            f"service: {self.service}",
            f"client: {self.client}",
            f"address: {self.address}",
            f"ports: {' '.join(map(str, self.ports))}",
            f"client key: {self.key_line() or self.key}",
        ]
        if self.lnd:
            lines.append(f"lndconnect: {self.lnd.uri(self.address)}")
        return "\n".join(lines) + "\n"


def _url64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _from_url64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def lnd_of(given: t.Mapping[str, t.Any]) -> Lnd:
    """What was given for lnd: C(port), C(macaroon) in hexadecimal, C(certificate) as PEM or nothing.

    :raises BundleError: it is not that; says what, without it.
    """
    if not 1 <= given["port"] <= 65535:
        raise BundleError(f"lndconnect.port: {given['port']} is not a port (1 to 65535).")
    try:
        macaroon = bytes.fromhex(given["macaroon"])
    except ValueError:
        macaroon = b""
    # Its version, as lnd makes it.
    if macaroon[:1] != b"\x02" or len(macaroon) < 32:
        raise BundleError("lndconnect.macaroon: it is not a macaroon of lnd's in hexadecimal.")
    certificate = b""
    if given.get("certificate"):
        match = _PEM.search(given["certificate"])
        try:
            certificate = base64.b64decode("".join(match[1].split()), validate=True) if match else b""
        except (binascii.Error, ValueError):
            certificate = b""
        # A SEQUENCE of DER.
        if certificate[:1] != b"\x30":
            raise BundleError("lndconnect.certificate: it is not a certificate in PEM.")
    return Lnd(given["port"], macaroon, certificate)


def parse(text: str) -> Bundle:
    """Read a bundle's text, or what its QR code says. What stands around its lines is passed over.

    :raises BundleError: something is missing or mistyped; says what, without secrets.
    """
    said: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition(": ")
        if separator and name not in said:
            said[name] = value.strip()
    if said.get("onion bundle") != VERSION:
        raise BundleError("This is no bundle of an onion, or one of another version.")
    forms = {"site": SITE, "service": NAME, "client": CLIENT}
    for name, form in forms.items():
        if not form.fullmatch(said.get(name, "")):
            raise BundleError(f"The bundle has no {name}, or it is mistyped.")
    address = said.get("address", "")
    if not is_address(address):
        raise BundleError("The bundle has no address, or it is mistyped.")
    ports = said.get("ports", "").split()
    if not ports or not all(port.isdecimal() and 1 <= int(port) <= 65535 for port in ports):
        raise BundleError("The bundle has no ports, or they are mistyped.")
    key = said.get("client key", "")
    if key not in (OWN_KEY, EVERYBODY):
        parts = key.split(":")
        whose = f"{parts[0]}.onion"
        if parts[1:3] != ["descriptor", "x25519"] or len(parts) != 4 or decode(parts[3]) is None or whose != address:
            raise BundleError("The client key of the bundle is mistyped, or belongs to another address.")
        key = parts[3]
    lnd = None
    if "lndconnect" in said:
        match = _URI.fullmatch(said["lndconnect"])
        if match is None or match[1] != address:
            raise BundleError("The lndconnect line of the bundle is mistyped, or leads to another address.")
        lnd = Lnd(int(match[2]), _from_url64(match[4]), _from_url64(match[3] or ""))
    numbers = tuple(int(port) for port in ports)
    return Bundle(said["site"], said["service"], said["client"], address, numbers, key, lnd)


# -- as files -------------------------------------------------------------------------------------------------------

HEAD = """\
SECRET. With this, {client} comes to {service} of the site {site}, and so does whoever else has it. Hand it over as you would a key, and
delete it when it has arrived. How it is used: docs/onion-services.md of Bitcoin Cache Machine.

"""


def terminal(matrix: t.Sequence[t.Sequence[int]]) -> str:
    """A QR code for a terminal, whatever its colours are: black on white, two rows a line."""
    width = len(matrix[0])
    light = [0] * (width + 2 * QUIET)
    rows = [light] * QUIET + [[0] * QUIET + list(row) + [0] * QUIET for row in matrix] + [light] * QUIET
    if len(rows) % 2:
        rows.append(light)
    blocks = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}
    lines = []
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        cells = "".join(blocks[bool(above), bool(below)] for above, below in zip(upper, lower, strict=True))
        lines.append(f"\x1b[30;107m{cells}\x1b[0m")
    return "\n".join(lines) + "\n"


def codes(text: str) -> tuple[str, bytes]:
    """A QR code of a text: for a terminal, and as a picture (PNG)."""
    import segno  # pylint: disable=import-outside-toplevel # whoever makes no bundle does without
    from segno.encoder import DataOverflowError  # pylint: disable=import-outside-toplevel

    try:
        # As much correction as fits into the size that it has anyway.
        code = segno.make(text, micro=False, error="l", boost_error=True)
    except DataOverflowError:
        raise BundleError(
            f"{len(text.encode())} bytes are more than a QR code holds. A macaroon with fewer rights is shorter."
        ) from None
    picture = io.BytesIO()
    code.save(picture, kind="png", scale=6, border=QUIET)
    return terminal([list(row) for row in code.matrix]), picture.getvalue()


def base_name(service: str, client: str) -> str:
    return f"{service}.{client}"


# All that a bundle may consist of.
ENDINGS = (
    ".txt",
    ".qr",
    ".png",
    ".auth_private",
    ".key.qr",
    ".key.png",
    ".lndconnect.qr",
    ".lndconnect.png",
    ".macaroon",
    ".ca.pem",
)


def files(bundle: Bundle) -> dict[str, bytes]:
    """What is written, by the endings of names."""
    text = bundle.text()
    shown, picture = codes(text)
    found = {
        ".txt": (HEAD.format(**dataclasses.asdict(dataclasses.replace(bundle, lnd=None))) + text).encode(),
        ".qr": shown.encode(),
        ".png": picture,
    }
    if line := bundle.key_line():
        found[".auth_private"] = f"{line}\n".encode()
        shown, picture = codes(line)
        found |= {".key.qr": shown.encode(), ".key.png": picture}
    if bundle.lnd:
        shown, picture = codes(bundle.lnd.uri(bundle.address))
        found |= {".lndconnect.qr": shown.encode(), ".lndconnect.png": picture, ".macaroon": bundle.lnd.macaroon}
        if bundle.lnd.certificate:
            body = base64.encodebytes(bundle.lnd.certificate).decode()
            lines = re.findall(".{1,64}", body.replace("\n", ""))
            pem = ["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""]
            found[".ca.pem"] = "\n".join(pem).encode()
    return found


def paths(directory: Path, service: str, client: str) -> dict[str, Path]:
    """Where the files of a bundle lie, by their endings."""
    return {ending: directory / f"{base_name(service, client)}{ending}" for ending in ENDINGS}
