# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

# ruff: noqa: N818 - LXDTimeout and its kin say what happened; "Error" behind each name adds nothing.

"""A client of LXD's REST API that knows HTTP and operations, and nothing of Ansible.

Only the standard library is used, because the code runs on machines that we do not install Python packages on.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import select
import socket
import ssl
import tempfile
import time
import typing as t
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_flavour as flavours

if t.TYPE_CHECKING:
    from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_ssh import SSHOptions, Tunnel

# One wait request to the daemon lasts at most this long, so that a daemon which died is noticed in between.
WAIT_SLICE = 20

_DROPPED = (http.client.RemoteDisconnected, http.client.BadStatusLine, ConnectionError, ssl.SSLError)


class LXDError(Exception):
    """Something that was asked of LXD did not work."""

    def __init__(
        self,
        message: str,
        *,
        url: str = "",
        method: str = "",
        code: int = 0,
        operation: str = "",
    ) -> None:
        super().__init__(message)
        self.url = url
        self.method = method
        self.code = code
        self.operation = operation


class LXDUnreachable(LXDError):
    """There is no daemon at the other end, or it went away."""


class LXDBadRequest(LXDError):
    """400: LXD does not accept what was sent."""


class LXDForbidden(LXDError):
    """401 or 403: the caller is not trusted, or may not do this."""


class LXDNotFound(LXDError):
    """404."""


class LXDConflict(LXDError):
    """409: it is there already, or busy."""


class LXDPreconditionFailed(LXDError):
    """412: the object was changed by somebody else since it was read."""


class LXDOperationFailed(LXDError):
    """A background operation ended, and not well."""


class LXDTimeout(LXDError):
    """Nothing was heard, or an operation did not end, within the stated time."""


# Of these LXD reads the names, and then one after the other. Where somebody has removed one of them in between, it says that the
# list is not there.
_READ_ONE_BY_ONE = ("/1.0/storage-pools", "/1.0/networks")

_BY_CODE: dict[int, type[LXDError]] = {
    400: LXDBadRequest,
    401: LXDForbidden,
    403: LXDForbidden,
    404: LXDNotFound,
    409: LXDConflict,
    412: LXDPreconditionFailed,
}


def api_path(*parts: str) -> str:
    """The path of an object, each part quoted: api_path("instances", "a b") is /1.0/instances/a%20b."""
    return "/1.0/" + "/".join(quote(str(part), safe="") for part in parts)


def detect_url() -> str:
    """Where the server's socket is on this machine."""
    path = flavours.socket(os.environ)
    if path:
        return "unix://" + path
    asked = ", ".join(f"${name}" for names in flavours.ENVIRONMENT for name in names)
    raise LXDUnreachable(
        f"No socket of LXD or Incus found on this machine (looked at {asked}, {', '.join(flavours.SOCKETS)}). "
        "Is it installed and running? Its address can also be given, as unix:///path, https://host:8443 or ssh://host."
    )


def _pem(text: str) -> str:
    """PEM text with line ends: where it was handed on as one line, they are written out."""
    return text if "\n" in text.strip() else text.replace("\\n", "\n")


def certificate_der(certificate: str) -> bytes:
    """DER bytes of a certificate that is given as PEM text or as the path of a PEM file."""
    if "-----BEGIN" not in certificate:
        certificate = Path(certificate).expanduser().read_text(encoding="ascii")
    certificate = _pem(certificate)
    begin = certificate.index("-----BEGIN CERTIFICATE-----")
    end = certificate.index("-----END CERTIFICATE-----", begin) + len("-----END CERTIFICATE-----")
    return ssl.PEM_cert_to_DER_cert(certificate[begin:end] + "\n")


def fingerprint(der: bytes) -> str:
    """What LXD calls the fingerprint of a certificate."""
    return hashlib.sha256(der).hexdigest()


@contextlib.contextmanager
def _as_file(given: str | None) -> t.Iterator[str | None]:
    """The path of what is given as a path or as PEM text; OpenSSL reads files only."""
    if given is None or "-----BEGIN" not in given:
        yield str(Path(given).expanduser()) if given else None
        return
    # 0600, and gone again before anything is sent.
    with tempfile.NamedTemporaryFile(prefix="bcm-lxd-") as handle:
        handle.write(_pem(given).encode() + b"\n")
        handle.flush()
        yield handle.name


def _no_passphrase() -> str:
    raise ValueError("the client's key is protected by a passphrase, and nobody is there to be asked for it")


def _connect_unix(sock: socket.socket, path: str, timeout: float) -> None:
    """Connect; while the daemon's queue is full, wait for a place in it, at most timeout seconds.

    A unix socket that has a time limit does not wait in connect(2): it answers EAGAIN at once.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return sock.connect(path)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"its queue of connections was full for {timeout:g} s") from None
        time.sleep(0.01)


class Multipart:
    """A multipart/form-data body of files, streamed: nothing is read into memory whole."""

    CHUNK = 1024 * 1024

    def __init__(self, files: list[tuple[str, str]]) -> None:
        """files: (field name, path of the file)."""
        self._files = files
        self._boundary = hashlib.sha256(repr(files).encode() + os.urandom(16)).hexdigest()
        self.content_type = f"multipart/form-data; boundary={self._boundary}"

    def _head(self, field: str, path: str) -> bytes:
        name = Path(path).name.replace('"', "")
        return (
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()

    @property
    def _tail(self) -> bytes:
        return f"--{self._boundary}--\r\n".encode()

    def __len__(self) -> int:
        return sum(len(self._head(f, p)) + Path(p).stat().st_size + 2 for f, p in self._files) + len(self._tail)

    def __iter__(self) -> t.Iterator[bytes]:
        for field, path in self._files:
            yield self._head(field, path)
            with Path(path).open("rb") as handle:
                while chunk := handle.read(self.CHUNK):
                    yield chunk
            yield b"\r\n"
        yield self._tail


class _Connection(http.client.HTTPConnection):
    """An HTTP connection over a socket that the client opens, whatever its kind."""

    def __init__(self, client: LXDClient) -> None:
        super().__init__(client.host_header, timeout=client.timeout)
        self._client = client
        self.used = False

    def connect(self) -> None:
        self.sock = self._client.open_socket()

    def settle(self, timeout: float) -> None:
        """Make sure that there is a connection that is alive as far as one can know, with this time limit."""
        # Of one that was not used yet, what can be read is the end of TLS's own greeting.
        if self.sock is not None and self.used:
            readable, _w, _x = select.select([self.sock], [], [], 0)
            if readable:  # Nobody has asked anything, so this can only be the end of the stream.
                self.close()
        if self.sock is None:
            self.used = False
            self.connect()
        self.sock.settimeout(timeout)


class LXDClient:
    """Talks to one LXD (or Incus) daemon. One object belongs to one thread: use clone() for others."""

    def __init__(
        self,
        url: str | None = None,
        *,
        project: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        server_cert: str | None = None,
        ssh: SSHOptions | None = None,
        timeout: float = 30,
    ) -> None:
        self.url = (url or detect_url()).rstrip("/")
        self.project = project
        self.timeout = timeout
        self._client_cert = client_cert
        self._client_key = client_key
        self._server_cert = server_cert
        self._ssh = ssh
        self._tls: tuple[ssl.SSLContext, bytes | None] | None = None
        self._connection: _Connection | None = None
        self._server: dict[str, t.Any] | None = None

        self.tunnel: Tunnel | None = None
        self.socket_path: str | None = None
        self._address = ("", 0)
        self.host_header = "lxd"
        if self.url.startswith("ssh://"):
            # Only where it is needed: a module is compiled each time that it runs, with all that it imports.
            from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_ssh import Tunnel

            self.tunnel = Tunnel(self.url, ssh, timeout)
            return
        parts = urlsplit(self.url)
        if parts.scheme == "unix" or (not parts.scheme and self.url.startswith("/")):
            self.socket_path = parts.path
        elif parts.scheme == "https" and parts.hostname:
            self._address = (parts.hostname, parts.port or 8443)
            self.host_header = parts.netloc
        else:
            raise LXDUnreachable(
                f"{self.url!r} is not an address of LXD: unix:///path/of/the/socket, https://host:8443 or "
                "ssh://[user@]host[:port][/path/of/the/socket] is expected.",
                url=self.url,
            )

    # -- life ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> LXDClient:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def clone(self, *, project: str | None = None) -> LXDClient:
        """A client of the same daemon with a connection of its own."""
        other = LXDClient(
            self.url,
            project=project or self.project,
            client_cert=self._client_cert,
            client_key=self._client_key,
            server_cert=self._server_cert,
            ssh=self._ssh,
            timeout=self.timeout,
        )
        other._tls = self._tls
        other._server = self._server
        return other

    # -- sockets ------------------------------------------------------------------------------------------------

    def open_socket(self) -> socket.socket:
        """A fresh connected socket to the daemon, TLS already spoken where there is TLS."""
        if self.socket_path is not None:
            return self._open_unix(self.socket_path)
        if self.tunnel is not None:
            return self.tunnel.connect()
        return self._open_tls()

    def open_ahead(self, count: int) -> list[socket.socket]:
        """Sockets for what is asked next, in the time that one takes: the greetings of TLS count on a slow link.

        The client's own connection is opened along with them, if it is not open yet.
        None where there is no TLS: behind its unix socket LXD waits for the first bytes of a connection (they could
        be STARTTLS) before it accepts any other one. Whoever opens such a socket has to speak at once.
        """
        if self.socket_path is not None or self.tunnel is not None:
            return []
        from concurrent.futures import ThreadPoolExecutor

        self._tls_context()
        own = self._connection or _Connection(self)
        count += own.sock is None
        with ThreadPoolExecutor(count) as pool:
            jobs = [pool.submit(self.open_socket) for _number in range(count)]
        failed = [job.exception() for job in jobs if job.exception()]
        if failed:
            for job in jobs:
                if not job.exception():
                    job.result().close()
            raise t.cast(BaseException, failed[0])
        found = [job.result() for job in jobs]
        if own.sock is None:
            own.sock, own.used = found.pop(), False
            self._connection = own
        return found

    def _open_unix(self, path: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(self.timeout)
        try:
            _connect_unix(sock, path, self.timeout)
        except FileNotFoundError:
            reason = "the socket does not exist. Is LXD installed and running?"
        except PermissionError:
            reason = "permission denied. The caller has to be root or in the group that owns the socket."
        except ConnectionRefusedError:
            reason = "nothing listens there. Is LXD running?"
        except OSError as exc:
            reason = f"{exc}."
        else:
            return sock
        sock.close()
        raise LXDUnreachable(f"Cannot connect to LXD at {self.url}: {reason}", url=self.url)

    def _tls_context(self) -> tuple[ssl.SSLContext, bytes | None]:
        """How TLS is spoken, read once, and the server's certificate if it is known."""
        if self._tls is not None:
            return self._tls
        try:
            pinned = certificate_der(self._server_cert) if self._server_cert else None
            if pinned is None:
                context = ssl.create_default_context()
            else:
                # LXD's certificate is self-signed. We compare it with the one we were given, byte for byte, which
                # says more than a chain of trust or a host name would.
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self._client_cert:
                with _as_file(self._client_cert) as certificate, _as_file(self._client_key) as key:
                    context.load_cert_chain(t.cast(str, certificate), key, _no_passphrase)
        except (OSError, ValueError) as exc:
            raise LXDUnreachable(
                f"Cannot use the certificates given for LXD at {self.url}: {exc}", url=self.url
            ) from exc
        self._tls = context, pinned
        return self._tls

    def _open_tls(self) -> socket.socket:
        context, pinned = self._tls_context()
        raw: socket.socket | None = None
        try:
            raw = socket.create_connection(self._address, timeout=self.timeout)
            sock = context.wrap_socket(raw, server_hostname=self._address[0])
        except ssl.SSLCertVerificationError as exc:
            if raw is not None:
                raw.close()
            raise LXDUnreachable(
                f"The certificate of LXD at {self.url} is not trusted ({exc.verify_message}). "
                "If it is LXD's own self-signed one, give it as the server certificate.",
                url=self.url,
            ) from exc
        except OSError as exc:
            if raw is not None:
                raw.close()
            raise LXDUnreachable(f"Cannot connect to LXD at {self.url}: {exc}", url=self.url) from exc
        shown = sock.getpeercert(binary_form=True) or b""
        if pinned is not None and shown != pinned:
            sock.close()
            raise LXDUnreachable(
                f"LXD at {self.url} shows another certificate than the one that was given for it: "
                f"either it was renewed, or somebody else answers. Its fingerprint is {fingerprint(shown)}, "
                f"that of the one given {fingerprint(pinned)}. Compare with `lxc info` on the server.",
                url=self.url,
            )
        return sock

    # -- one exchange -------------------------------------------------------------------------------------------

    def _target(self, path: str, query: t.Mapping[str, t.Any] | None) -> str:
        path, _sep, already = path.partition("?")
        values = dict(query or {})
        if "project" not in values and "project=" not in already and self.project:
            values["project"] = self.project
        pairs = [already] if already else []
        values = {key: value for key, value in values.items() if value is not None}
        if values:
            pairs.append(urlencode(values))
        return path + ("?" + "&".join(pairs) if pairs else "")

    def _exchange(
        self,
        method: str,
        target: str,
        body: t.Any,
        headers: dict[str, str],
        timeout: float,
        connection: _Connection | None = None,
    ) -> http.client.HTTPResponse:
        """Send one request and read the head of its answer. Only a GET is ever sent a second time.

        ssh takes a connection before it has one at the other end, and hangs up where it gets none: a connection through it
        has to answer something harmless before it is asked for what must not be asked twice.
        """
        own = connection is None
        if connection is None:
            if self._connection is None:
                self._connection = _Connection(self)
            connection = self._connection
        for attempt in (1, 2, 3):
            connection.settle(timeout)
            reused, connection.used = connection.used, True
            repeatable = True
            try:
                if self.tunnel is not None and not reused and method != "GET":
                    connection.request("GET", "/")
                    connection.getresponse().read()
                repeatable = method == "GET"
                try:
                    connection.request(method, target, body=body, headers=headers)
                except (BrokenPipeError, ConnectionResetError):
                    # A daemon that refuses an upload answers and hangs up before it has read all of it.
                    if body is None:
                        raise
                return connection.getresponse()
            except TimeoutError as exc:
                connection.close()
                raise LXDTimeout(
                    f"LXD at {self.url} did not answer {method} {target} within {timeout:g} s.",
                    url=target,
                    method=method,
                ) from exc
            except (http.client.HTTPException, OSError) as exc:
                connection.close()
                if self.tunnel is not None and not reused and (reason := self.tunnel.explain()):
                    raise LXDUnreachable(reason, url=target, method=method) from exc
                again = own and repeatable and attempt < 3 and isinstance(exc, _DROPPED)
                if again and (reused or self.tunnel is not None):
                    continue
                raise self._lost(method, target, exc) from exc
        raise AssertionError("unreachable")

    def _lost(self, method: str, target: str, exc: Exception) -> LXDUnreachable:
        hint = "" if method == "GET" else " It is not known whether the request was carried out."
        reason = str(exc) or type(exc).__name__
        return LXDUnreachable(
            f"The connection to LXD at {self.url} was lost during {method} {target}: {reason}.{hint}",
            url=target,
            method=method,
        )

    def _read(self, response: http.client.HTTPResponse, method: str, target: str) -> bytes:
        try:
            return response.read()
        except TimeoutError as exc:
            self.close()
            raise LXDTimeout(
                f"LXD at {self.url} stopped in the middle of its answer to {method} {target}.",
                url=target,
                method=method,
            ) from exc
        except (http.client.HTTPException, OSError) as exc:
            self.close()
            raise self._lost(method, target, exc) from exc

    def _error(self, method: str, target: str, code: int, text: str) -> LXDError:
        kind = _BY_CODE.get(code, LXDError)
        hint = ""
        if kind is LXDForbidden and self._address[0]:
            known = "is the client certificate in LXD's trust store, and may it use this project?"
            none = "no client certificate was given, and LXD lets nobody in without one."
            hint = (
                f" ({known if self._client_cert else none} Seen at {self.url}; `lxc config trust add` makes it known)"
            )
        return kind(
            f"{method} {target}: LXD answered {code}: {text}{hint}",
            url=target,
            method=method,
            code=code,
        )

    def _call(
        self,
        method: str,
        path: str,
        body: t.Any,
        query: t.Mapping[str, t.Any] | None,
        etag: str | None,
        headers: t.Mapping[str, str] | None,
        data: t.Any,
        timeout: float,
    ) -> tuple[dict[str, t.Any], str | None]:
        target = self._target(path, query)
        sent = dict(headers or {})
        payload = data
        if data is None and body is not None:
            payload = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        elif isinstance(data, Multipart):
            sent["Content-Type"] = data.content_type
            sent["Content-Length"] = str(len(data))
            payload = iter(data)
        elif data is not None:
            sent.setdefault("Content-Type", "application/octet-stream")
            if hasattr(data, "fileno"):
                sent.setdefault("Content-Length", str(os.fstat(data.fileno()).st_size - data.tell()))
        if etag:
            sent["If-Match"] = etag
        response = self._exchange(method, target, payload, sent, timeout)
        text = self._read(response, method, target)
        try:
            answer = json.loads(text)
            kind = answer["type"]
        except (ValueError, KeyError, TypeError) as exc:
            self.close()
            raise LXDError(
                f"{method} {target}: what answers at {self.url} does not speak LXD's API "
                f"(status {response.status}, {text[:80]!r}).",
                url=target,
                method=method,
                code=response.status,
            ) from exc
        if kind == "error" or response.status >= 400:
            code = answer.get("error_code") or response.status
            raise self._error(method, target, code, answer.get("error") or response.reason)
        return answer, response.getheader("ETag")

    # -- the API ------------------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        body: t.Any = None,
        *,
        query: t.Mapping[str, t.Any] | None = None,
        etag: str | None = None,
        headers: t.Mapping[str, str] | None = None,
        data: t.Any = None,
        wait: bool = True,
        timeout: float | None = None,
    ) -> t.Any:
        """Send a request. The result is the metadata of the answer, or of the operation once it has ended.

        With wait=False the result of a request that starts an operation is that operation as it was at its start.
        data is what goes over the wire as it is: bytes, an open file, or a Multipart.
        """
        limit = self.timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        answer, _etag = self._call(method, path, body, query, etag, headers, data, limit)
        if answer["type"] != "async":
            return flavours.listed(answer.get("metadata"), query)
        if not wait:
            operation = dict(answer.get("metadata") or {})
            operation["path"] = answer["operation"]
            return operation
        return self.wait(answer["operation"], max(1.0, deadline - time.monotonic()))

    def get(self, path: str, **query: t.Any) -> t.Any:
        for _again in range(2 if path in _READ_ONE_BY_ONE and query.get("recursion") else 0):
            with contextlib.suppress(LXDNotFound):
                return self.request("GET", path, query=query)
        return self.request("GET", path, query=query)

    def get_with_etag(self, path: str, **query: t.Any) -> tuple[t.Any, str | None]:
        answer, etag = self._call("GET", path, None, query, None, None, None, self.timeout)
        return answer.get("metadata"), etag

    def find(self, path: str, **query: t.Any) -> t.Any:
        """The object, or None if it does not exist. That what it belongs to does not exist is an error."""
        try:
            return self.get(path, **query)
        except LXDNotFound:
            self._check_parents(path, query)
            return None

    def find_with_etag(self, path: str, **query: t.Any) -> tuple[t.Any, str | None]:
        try:
            return self.get_with_etag(path, **query)
        except LXDNotFound:
            self._check_parents(path, query)
            return None, None

    def exists(self, path: str, **query: t.Any) -> bool:
        return self.find(path, **query) is not None

    def _check_parents(self, path: str, query: t.Mapping[str, t.Any]) -> None:
        project = query.get("project", self.project)
        parts = path.strip("/").split("/")
        if project and parts[1] != "projects" and not self.project_exists(project):
            raise LXDNotFound(f"LXD at {self.url} has no project {project!r}.", url=path, method="GET", code=404)
        if len(parts) > 3 and parts[1] != "images":  # Aliases belong to no image.
            parent = "/" + "/".join(parts[:3])
            try:
                self.get(parent, **{key: value for key, value in query.items() if key == "project"})
            except LXDNotFound as exc:
                raise LXDNotFound(
                    f"LXD at {self.url} has no {parts[1].rstrip('s')} {parts[2]!r}.",
                    url=path,
                    method="GET",
                    code=404,
                ) from exc

    def project_exists(self, name: str | None = None) -> bool:
        name = name or self.project or "default"
        try:
            self.get(api_path("projects", name), project=None)
        except LXDNotFound:
            return False
        return True

    def post(self, path: str, body: t.Any = None, **options: t.Any) -> t.Any:
        return self.request("POST", path, body, **{"timeout": 600, **options})

    def put(self, path: str, body: t.Any = None, **options: t.Any) -> t.Any:
        return self.request("PUT", path, body, **{"timeout": 600, **options})

    def patch(self, path: str, body: t.Any = None, **options: t.Any) -> t.Any:
        return self.request("PATCH", path, body, **{"timeout": 600, **options})

    def delete(self, path: str, body: t.Any = None, **options: t.Any) -> t.Any:
        return self.request("DELETE", path, body, **{"timeout": 600, **options})

    def server(self) -> dict[str, t.Any]:
        """What the daemon says of itself, asked once."""
        if self._server is None:
            self._server = self.get("/1.0", project=None)
        return self._server

    @property
    def flavour(self) -> flavours.Flavour:
        """Whether it is LXD or Incus, and what that makes different."""
        return flavours.of(self.server())

    def has_extension(self, name: str) -> bool:
        return self.flavour.has(name)

    def raw(
        self,
        method: str,
        path: str,
        data: t.Any = None,
        headers: t.Mapping[str, str] | None = None,
        query: t.Mapping[str, t.Any] | None = None,
        *,
        stream: bool = False,
        timeout: float | None = None,
    ) -> tuple[int, dict[str, str], t.Any]:
        """One exchange without LXD's JSON envelope, for files: (status, headers in lower case, content).

        With stream=True the content is an open response to read from and to close.
        """
        target = self._target(path, query)
        sent = dict(headers or {})
        limit = self.timeout if timeout is None else timeout
        if data is not None and hasattr(data, "fileno"):
            sent.setdefault("Content-Length", str(os.fstat(data.fileno()).st_size - data.tell()))
        if stream:
            # A connection of its own, which ends with the content: the client stays free for other requests.
            sent["Connection"] = "close"
            response = self._exchange(method, target, data, sent, limit, _Connection(self))
        else:
            response = self._exchange(method, target, data, sent, limit)
        received = {key.lower(): value for key, value in response.getheaders()}
        if stream:
            return response.status, received, response
        return response.status, received, self._read(response, method, target)

    def wait(self, operation: str, timeout: float = 600) -> t.Any:
        """Wait until an operation has ended, and give its metadata (the operation's own, such as exec's results)."""
        path = operation.partition("?")[0]
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            slice_ = max(1, min(WAIT_SLICE, int(left + 0.5)))
            state = self.operation_state(operation, slice_)
            code = state.get("status_code", 0)
            if code == 200:
                return state.get("metadata")
            if code >= 400:
                raise LXDOperationFailed(
                    f"{state.get('description') or 'Operation'} failed: {state.get('err') or state.get('status')}",
                    url=path,
                    method="GET",
                    code=code,
                    operation=path,
                )
            if time.monotonic() >= deadline:
                raise LXDTimeout(
                    f"{state.get('description') or 'Operation'} has not ended within {timeout:g} s "
                    f"(operation {path}, status {state.get('status')}).",
                    url=path,
                    method="GET",
                    operation=path,
                )

    def operation_state(self, operation: str, seconds: int) -> dict[str, t.Any]:
        """An operation as it is once it has ended, or after so many seconds."""
        path = operation.partition("?")[0]
        try:
            answer, _etag = self._call(
                "GET", path + "/wait", None, {"timeout": seconds}, None, None, None, seconds + self.timeout
            )
        except (LXDUnreachable, LXDTimeout):
            raise
        except LXDError:
            # Some versions answer an error when the time of a wait is over. Incus answers with that of an operation
            # which failed, whatever it was (404: there is no such image). The operation itself tells.
            try:
                answer, _etag = self._call("GET", operation, None, None, None, None, None, self.timeout)
            except LXDNotFound as exc:
                raise LXDOperationFailed(
                    f"LXD no longer knows operation {path}: it was restarted, or the operation ended long ago.",
                    url=path,
                    method="GET",
                    code=404,
                    operation=path,
                ) from exc
        return answer.get("metadata") or {}
