# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: it may change in any release.

"""bitcoind's JSON-RPC: over HTTP, or by the node's own client. A call is made once; nothing repeats it by itself."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import re
import ssl
import typing as t
from pathlib import Path
from urllib.parse import quote, urlsplit

Params: t.TypeAlias = "list[t.Any] | dict[str, t.Any]"
Runner = t.Callable[..., tuple[int, str, str]]

CLI_ERROR = re.compile(r"error code: (?P<code>-?\d+)\s+error message:\s*(?P<message>.*)", re.DOTALL)
LONGEST_ANSWER = 512 * 1024 * 1024
METHOD_NOT_FOUND = -32601


class RpcError(Exception):
    """A call that did not succeed; the text says why."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class HttpWay:
    """bitcoind's own port, or the end of a TLS way that leads to it."""

    def __init__(self, params: t.Mapping[str, t.Any]) -> None:
        self.url, self.timeout, self.wallet = params["url"], params["timeout"], params["wallet"]
        parts = urlsplit(self.url)
        try:
            port = parts.port
        except ValueError:
            port = None
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or not port
            or parts.path.strip("/")
            or parts.username
        ):
            raise RpcError(
                f"url: {self.url!r} is not where an RPC can be; allowed: http://HOST:PORT or https://HOST:PORT"
            )
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise RpcError(
                f"url: {self.url!r} would send a password over a network in clear; allowed: https, or an address of this host's loopback"
            )
        self.host, self.port, self.secure = parts.hostname, port, parts.scheme == "https"
        self.credentials = credentials(params)
        self.context = self.tls(params) if self.secure else None

    def tls(self, params: t.Mapping[str, t.Any]) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=params["ca_path"])
            if params["certificate_path"]:
                context.load_cert_chain(params["certificate_path"], params["key_path"])
        except (OSError, ssl.SSLError) as exc:
            raise RpcError(f"ca_path, certificate_path and key_path are not what TLS can use: {exc}") from exc
        return context

    def call(self, method: str, params: Params) -> t.Any:
        connection = (
            http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=self.context)
            if self.context
            else http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        )
        body = json.dumps({"jsonrpc": "1.0", "id": "bcm", "method": method, "params": params})
        headers = {"Authorization": f"Basic {self.credentials}", "Content-Type": "application/json"}
        path = f"/wallet/{quote(self.wallet, safe='')}" if self.wallet else "/"
        try:
            connection.request("POST", path, body.encode(), headers)
            response = connection.getresponse()
            raw = response.read(LONGEST_ANSWER + 1)
        except TimeoutError as exc:
            raise RpcError(
                f"{self.url} has not answered within {self.timeout} s. It may still do what it was told"
            ) from exc
        except (OSError, http.client.HTTPException) as exc:
            raise RpcError(f"{self.url} cannot be asked: {exc}") from exc
        finally:
            connection.close()
        if response.status == 401:
            raise RpcError(f"{self.url} does not take the credentials")
        if response.status == 403:
            raise RpcError(f"{self.url} does not let this user call {method}, or not from here")
        try:
            said = json.loads(raw)
            error = said["error"]
            result = said["result"]
        except (ValueError, KeyError, TypeError) as exc:
            raise RpcError(f"{self.url} answers with {response.status} and something else than JSON-RPC") from exc
        if error:
            raise RpcError(_shortened(str(error.get("message") or "no reason was given")), int(error.get("code") or 0))
        return result


def credentials(params: t.Mapping[str, t.Any]) -> str:
    """User and password as HTTP wants them."""
    try:
        if params["cookie_path"]:
            text = Path(params["cookie_path"]).read_text(encoding="utf-8").strip()
        else:
            path = params["password_path"]
            password = Path(path).read_text(encoding="utf-8").rstrip("\r\n") if path else params["password"]
            text = f"{params['username']}:{password}"
    except (OSError, UnicodeDecodeError) as exc:
        raise RpcError(f"the credentials could not be read: {exc}") from exc
    if ":" not in text or "\n" in text:
        raise RpcError("the credentials are no USER:PASSWORD in one line")
    return base64.b64encode(text.encode()).decode()


class CliWay:
    """bitcoin-cli where the node is, with its cookie. What it is given goes by its standard input, which nobody sees."""

    def __init__(self, params: t.Mapping[str, t.Any], run: Runner) -> None:
        self.tool, self.timeout, self.wallet, self.run = params["tool"], params["timeout"], params["wallet"], run
        if not self.tool:
            raise RpcError("tool: [] is no program; allowed: a program and its first arguments")

    def call(self, method: str, params: Params) -> t.Any:
        argv = [*self.tool, f"-rpcclienttimeout={self.timeout}"]
        argv += [f"-rpcwallet={self.wallet}"] if self.wallet else []
        argv += ["-stdin"] if params else []
        argv += ["-named"] if isinstance(params, dict) and params else []
        # It gets a standard input of its own in any case: that of the module is not for it.
        data = lines(params).encode() or b"\n"
        code, out, err = self.run([*argv, method], data=data, binary_data=True)
        if code:
            match = CLI_ERROR.search(err)
            if match:
                raise RpcError(_shortened(match["message"]), int(match["code"]))
            raise RpcError(f"{' '.join(self.tool)} ended with {code}: {(err or out).strip()[-500:]}")
        text = out.rstrip("\n")
        try:
            return json.loads(text) if text else None
        except ValueError:
            # Texts come without quotation marks.
            return text


def lines(params: Params) -> str:
    """Parameters as bitcoin-cli reads them, one a line."""
    named = params.items() if isinstance(params, dict) else [("", value) for value in params]
    words = [f"{name}={_word(value)}" if name else _word(value) for name, value in named]
    for word in words:
        if "\n" in word or "\r" in word:
            raise RpcError(
                "a parameter has several lines, which bitcoin-cli cannot be given; allowed: one line, or url instead of tool"
            )
    return "".join(f"{word}\n" for word in words)


def _shortened(text: str) -> str:
    """Without the page of help that follows parameters that do not fit."""
    return text.strip()[:500]


def _word(value: t.Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
