# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of container registries (the distribution API, version 2), without Docker. Knows nothing of Ansible."""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
ACCEPT = {"Accept": ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST))}

BLOCK = 1 << 20


class RegistryError(Exception):
    """A registry did not do as asked; the text names it and its answer."""


@dataclass
class Manifest:
    """A manifest as the registry holds it. Its digest is computed here, not believed."""

    digest: str
    media_type: str
    raw: bytes


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Blobs may be served from elsewhere; our password stays here."""

    def redirect_request(self, req: t.Any, fp: t.Any, code: int, msg: str, headers: t.Any, newurl: str) -> t.Any:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None:
            new.remove_header("Authorization")
        return new


def sha256_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Registry:
    """One registry, at `url`. No proxy of the environment is used: registries and mirrors of a site are near."""

    def __init__(
        self,
        url: str,
        username: str | None = None,
        password: str | None = None,
        ca_path: str | None = None,
        timeout: int = 60,
    ) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._auth = None
        if username:
            self._auth = "Basic " + base64.b64encode(f"{username}:{password or ''}".encode()).decode()
        self._tls = ssl.create_default_context(cafile=ca_path)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls), _Redirects
        )

    def _request(self, method: str, path: str, headers: dict[str, str] | None = None, data: t.Any = None) -> t.Any:
        url = path if path.startswith("http") else self.url + path
        request = urllib.request.Request(url, data=data, headers=headers or {}, method=method)  # noqa: S310
        if self._auth:
            request.add_unredirected_header("Authorization", self._auth)
        try:
            return self._opener.open(request, timeout=self.timeout)
        except urllib.error.HTTPError as exc:
            if exc.code == 404:
                raise LookupError(url) from exc
            detail = exc.read(500).decode("utf-8", "replace").strip()
            raise RegistryError(f"{method} {url}: {exc.code} {exc.reason} {detail}".strip()) from exc
        except (OSError, HTTPException) as exc:
            reason = getattr(exc, "reason", exc)
            raise RegistryError(f"{method} {url}: cannot be reached: {reason}") from exc

    def find(self, repository: str, reference: str) -> str | None:
        """The digest of a manifest if the registry has it: one request, no body."""
        try:
            with self._request("HEAD", f"/v2/{repository}/manifests/{reference}", ACCEPT) as answer:
                digest = answer.headers.get("Docker-Content-Digest")
        except LookupError:
            return None
        if not digest:
            raise RegistryError(f"{self.url}: no Docker-Content-Digest for {repository}:{reference}")
        return str(digest)

    def manifest(self, repository: str, reference: str) -> Manifest:
        try:
            with self._request("GET", f"/v2/{repository}/manifests/{reference}", ACCEPT) as answer:
                raw, kind = answer.read(), answer.headers.get_content_type()
        except LookupError as exc:
            raise RegistryError(f"{self.url} has no image {repository}:{reference}") from exc
        digest = sha256_of(raw)
        if reference.startswith("sha256:") and reference != digest:
            raise RegistryError(f"{self.url}: {repository}@{reference} was answered with {digest}")
        return Manifest(digest, kind, raw)

    def blob(self, repository: str, digest: str) -> bytes:
        """A small blob, such as an image's configuration."""
        with self._blob(repository, digest) as answer:
            data = bytes(answer.read())
        if sha256_of(data) != digest:
            raise RegistryError(f"{self.url}: blob {digest} of {repository} arrived damaged")
        return data

    def _blob(self, repository: str, digest: str) -> t.Any:
        try:
            return self._request("GET", f"/v2/{repository}/blobs/{digest}")
        except LookupError as exc:
            raise RegistryError(f"{self.url}: {repository} has no blob {digest}") from exc

    def download(self, repository: str, digest: str, path: str) -> None:
        """A layer, checked while it arrives."""
        seen = hashlib.sha256()
        with self._blob(repository, digest) as answer, open(path, "wb") as stream:  # noqa: PTH123
            while block := answer.read(BLOCK):
                seen.update(block)
                stream.write(block)
        if "sha256:" + seen.hexdigest() != digest:
            raise RegistryError(f"{self.url}: blob {digest} of {repository} arrived damaged")

    def has_blob(self, repository: str, digest: str) -> bool:
        try:
            self._request("HEAD", f"/v2/{repository}/blobs/{digest}").close()
        except LookupError:
            return False
        return True

    def upload(self, repository: str, digest: str, content: bytes | str) -> None:
        """Put a blob there, from memory or (a path) from a file, unless it is there."""
        if self.has_blob(repository, digest):
            return
        with self._request("POST", f"/v2/{repository}/blobs/uploads/", {"Content-Length": "0"}) as answer:
            location = urllib.parse.urljoin(self.url, answer.headers["Location"])
        # The registry may think of itself by another name (behind a proxy); the password goes to ours alone.
        place = urllib.parse.urlsplit(location)
        query = (place.query + "&" if place.query else "") + urllib.parse.urlencode({"digest": digest})
        path = f"{place.path}?{query}"
        headers = {"Content-Type": "application/octet-stream"}
        if isinstance(content, bytes):
            self._request("PUT", path, {**headers, "Content-Length": str(len(content))}, content).close()
            return
        headers["Content-Length"] = str(os.path.getsize(content))  # noqa: PTH202
        with open(content, "rb") as stream:  # noqa: PTH123
            self._request("PUT", path, headers, stream).close()

    def put_manifest(self, repository: str, reference: str, media_type: str, raw: bytes) -> str:
        headers = {"Content-Type": media_type, "Content-Length": str(len(raw))}
        self._request("PUT", f"/v2/{repository}/manifests/{reference}", headers, raw).close()
        return sha256_of(raw)
