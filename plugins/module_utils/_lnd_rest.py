# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: it may change in any release.

"""lnd's REST: one connection for each question, and nothing is asked twice by itself. A question may spend money."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import ssl
import time
import typing as t
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from ansible_collections.bcm.datacenter.plugins.module_utils import _lnd_macaroon as macaroons

REST_SPEC: dict[str, t.Any] = {
    "url": {"type": "str", "default": "https://127.0.0.1:8080"},
    "ca_path": {"type": "path", "required": True},
    "server_name": {"type": "str"},
    "timeout": {"type": "int", "default": 60},
}
MACAROON_SPEC: dict[str, t.Any] = {
    "macaroon_path": {"type": "path", "no_log": False},
    "macaroon": {"type": "str", "no_log": True},
}
MACAROON_RULES: dict[str, t.Any] = {
    "mutually_exclusive": [("macaroon_path", "macaroon")],
    "required_one_of": [("macaroon_path", "macaroon")],
}
# What lnd's wallet is in, in our words.
STATES = {
    "NON_EXISTING": "absent",
    "LOCKED": "locked",
    "UNLOCKED": "unlocked",
    "RPC_ACTIVE": "starting",
    "SERVER_ACTIVE": "active",
    "WAITING_TO_START": "waiting",
}
LONGEST_ANSWER = 256 * 1024 * 1024


class LndError(Exception):
    """Something cannot be had of lnd; the text says what was tried, and why it failed."""


class UnansweredError(LndError):
    """It is not known whether lnd has taken what was asked."""


class RefusedError(LndError):
    """What lnd itself has to say against it."""

    def __init__(self, text: str, said: str, status: int) -> None:
        super().__init__(text)
        self.said, self.status = said, status


def macaroon_of(params: t.Mapping[str, t.Any]) -> bytes | None:
    """The macaroon that is to be shown, None where none is given."""
    path, text = params.get("macaroon_path"), params.get("macaroon")
    try:
        if text:
            raw = macaroons.decoded(text)
        elif path:
            raw = Path(path).read_bytes()
        else:
            return None
        macaroons.parse(raw)
    except OSError as exc:
        raise LndError(f"macaroon_path: {path} could not be read: {exc.strerror}") from exc
    except macaroons.MacaroonError as exc:
        raise LndError(f"{'macaroon' if text else f'macaroon_path: {path}'} is no macaroon of lnd's: {exc}") from exc
    return raw


class Lnd:
    """One lnd, by its REST."""

    def __init__(self, params: t.Mapping[str, t.Any], macaroon: bytes | None = None) -> None:
        self.url, self.timeout = params["url"], params["timeout"]
        parts = urlsplit(self.url)
        try:
            port = parts.port or 8080
        except ValueError as exc:
            raise LndError(f"url: {self.url!r} has no usable port; allowed: https://HOST:PORT") from exc
        if parts.scheme != "https" or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
            raise LndError(f"url: {self.url!r} is not where lnd's REST can be; allowed: https://HOST:PORT")
        if self.timeout < 1:
            raise LndError(f"timeout: {self.timeout} is no time to wait; allowed: 1 or more (seconds)")
        self.host, self.port = parts.hostname, port
        self.name = params.get("server_name") or self.host
        self.macaroon = macaroon
        try:
            self.context = ssl.create_default_context(cafile=params["ca_path"])
        except (OSError, ssl.SSLError) as exc:
            raise LndError(f"ca_path: {params['ca_path']} is no file with a certificate: {exc}") from exc
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2

    def get(self, path: str, **query: t.Any) -> dict[str, t.Any]:
        return self._answer("GET", path, query)

    def post(self, path: str, body: t.Mapping[str, t.Any], timeout: int | None = None) -> dict[str, t.Any]:
        return self._answer("POST", path, {}, body, timeout)

    def delete(self, path: str, **query: t.Any) -> dict[str, t.Any]:
        return self._answer("DELETE", path, query)

    def first_of(self, path: str, timeout: int, **query: t.Any) -> dict[str, t.Any]:
        """What the first line of an answer says that goes on for longer than anybody waits."""
        with self._asked("DELETE", path, query, None, timeout) as response:
            line = self._read(response, "DELETE", path, whole=False)
        said = self._decoded(line, "DELETE", path)
        self._refuse(response.status, said, "DELETE", path)
        result = said.get("result")
        return dict(result) if isinstance(result, dict) else {}

    def state(self) -> str:
        """What the wallet is in. Whoever reaches lnd may ask that."""
        said = str(self.get("/v1/state").get("state"))
        if said not in STATES:
            raise LndError(f"{self.url} says that its wallet is {said!r}, which is not known here")
        return STATES[said]

    def _answer(
        self,
        method: str,
        path: str,
        query: t.Mapping[str, t.Any],
        body: t.Mapping[str, t.Any] | None = None,
        timeout: int | None = None,
    ) -> dict[str, t.Any]:
        with self._asked(method, path, query, body, timeout) as response:
            raw = self._read(response, method, path, whole=True)
        said = self._decoded(raw, method, path)
        self._refuse(response.status, said, method, path)
        return said

    @contextlib.contextmanager
    def _asked(
        self,
        method: str,
        path: str,
        query: t.Mapping[str, t.Any],
        body: t.Mapping[str, t.Any] | None,
        timeout: int | None,
    ) -> t.Iterator[http.client.HTTPResponse]:
        limit = self.timeout if timeout is None else timeout
        # The certificate's name may be another than the address that leads there.
        connection = _Connection(self.host, self.port, timeout=limit, context=self.context, name=self.name)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.macaroon is not None:
            headers["Grpc-Metadata-macaroon"] = self.macaroon.hex()
        target = path + (f"?{urlencode(query)}" if query else "")
        try:
            try:
                connection.connect()
            except ssl.SSLCertVerificationError as exc:
                raise LndError(
                    f"{self.url} shows a certificate that ca_path does not vouch for ({exc.verify_message}). Nothing was sent to it."
                ) from exc
            except OSError as exc:
                raise LndError(f"{self.url} cannot be reached: {exc}") from exc
            try:
                connection.request(method, target, json.dumps(body).encode() if body is not None else None, headers)
                yield connection.getresponse()
            except (OSError, http.client.HTTPException) as exc:
                words = (
                    f"no answer within {limit} s" if isinstance(exc, TimeoutError) else str(exc) or type(exc).__name__
                )
                raise UnansweredError(f"{self.url} was asked {method} {path}: {words}") from exc
        finally:
            connection.close()

    def _read(self, response: http.client.HTTPResponse, method: str, path: str, whole: bool) -> bytes:
        raw = response.read(LONGEST_ANSWER + 1) if whole else response.readline(LONGEST_ANSWER + 1)
        if len(raw) > LONGEST_ANSWER:
            raise UnansweredError(f"{self.url} answers {method} {path} with more than {LONGEST_ANSWER} bytes")
        return raw

    def _decoded(self, raw: bytes, method: str, path: str) -> dict[str, t.Any]:
        try:
            said = json.loads(raw)
        except ValueError as exc:
            raise UnansweredError(
                f"{self.url} answers {method} {path} with something else than JSON. Is that lnd's REST port, 8080 by default?"
            ) from exc
        if not isinstance(said, dict):
            raise UnansweredError(f"{self.url} answers {method} {path} with something else than an object")
        return said

    def _refuse(self, status: int, said: t.Mapping[str, t.Any], method: str, path: str) -> None:
        error = said.get("error")
        if status < 300 and not error:
            return
        inner = error if isinstance(error, dict) else said
        words = str(inner.get("message") or error or "no reason was given").strip()[:500]
        raise RefusedError(f"{self.url} refuses {method} {path}: {words}", words, status)


def objection(lnd: Lnd, raw: bytes, found: macaroons.Macaroon) -> str:
    """Why lnd does not take a macaroon for what it says; empty where it does."""
    body = {
        "macaroon": base64.b64encode(raw).decode(),
        "permissions": [{"entity": entity, "action": action} for entity, action in sorted(found.permissions)],
    }
    try:
        return "" if lnd.post("/v1/macaroon/checkpermissions", body).get("valid") else "it is not valid"
    except RefusedError as exc:
        # This is how it says no; all else is about the question itself.
        if exc.status == 400:
            return exc.said
        raise


class _Connection(http.client.HTTPSConnection):
    """HTTPS to one address, shown a certificate for another name."""

    def __init__(self, host: str, port: int, *, timeout: float, context: ssl.SSLContext, name: str) -> None:
        super().__init__(host, port, timeout=timeout, context=context)
        self.verified, self.asked = context, name

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self.verified.wrap_socket(self.sock, server_hostname=self.asked)


def number(value: t.Any) -> int:
    """A number of lnd's, whose REST writes the long ones as text and leaves zeros away."""
    return int(value or 0)


def awaited(what: str, limit: int, look: t.Callable[[], str], pause: float = 1.0) -> None:
    """Wait until `look` has nothing more to say."""
    deadline = time.monotonic() + limit
    while left := look():
        if time.monotonic() >= deadline:
            raise LndError(f"after {limit} s {what}: {left}")
        time.sleep(pause)
