#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release_verify
short_description: Download a release that enough of its named makers have signed
description:
  - Downloads a release file, and hands it over only after its makers' signatures and its digest have been checked.
  - The signatures are read first. If fewer than O(required) of the named O(signers) have signed well, the release
    itself is not even downloaded.
  - A signer is known by the whole fingerprint of the primary key. A signature by one of its subkeys counts for it, and
    it counts once, however often it signed. Signatures by other keys are ignored. A signature that has expired, and one
    by a key that has expired or was revoked, does not count, and the result says so.
  - What is refused leaves nothing at O(dest).
author:
  - the Bitcoin Cache Machine authors (@bitcoin-cache-machine)
extends_documentation_fragment:
  - bcm.datacenter.attributes
attributes:
  check_mode:
    support: full
    description: Reads and checks manifest and signatures, and downloads nothing else.
  diff_mode:
    support: none
    description: The file is taken whole.
  idempotent:
    support: full
    description: A file that is there with the right digest is not downloaded again.
requirements:
  - gpg (package C(gnupg)) on the host that runs the module
options:
  url:
    description: Where the release file is.
    type: str
    required: true
  manifest_url:
    description:
      - Where the manifest is, a list of digests and file names such as C(SHA256SUMS), that the signatures are over.
      - Without it, the signatures are over the release file itself.
    type: str
  manifest_entry:
    description: Name of the release file in the manifest. By default the last part of O(url).
    type: str
  signature_urls:
    description:
      - Where the detached signatures are, armoured or binary. A file may hold several.
      - A file that is not to be had is noted and passed over; whether enough is left decides O(required).
    type: list
    elements: str
    required: true
  signers:
    description: Who may sign.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: A name for people.
        type: str
        required: true
      fingerprint:
        description: The whole fingerprint of the primary key. Short key ids are refused.
        type: str
        required: true
      key:
        description:
          - The public key, as armoured text, a path on the host, or a URL.
          - It may come from anywhere, since it must have the O(signers[].fingerprint). A signer without one cannot count.
        type: str
      source:
        description: Where the fingerprint was published. For people alone.
        type: str
  required:
    description: How many of the O(signers) must have signed.
    type: int
    required: true
  dest:
    description: Where the verified file is put. Its directory is made if need be.
    type: path
    required: true
  mode:
    description: Permissions of the verified file.
    type: str
    default: "0644"
  proxy:
    description: URL of the HTTP proxy for all downloads. By default the environment decides.
    type: str
  ca_path:
    description: File of certificates to check TLS servers by, instead of the system's.
    type: path
  timeout:
    description: Seconds until a silent server is given up.
    type: int
    default: 60
  attempts:
    description: How often a download that broke off is tried. It is resumed where it stopped if the server can do that.
    type: int
    default: 3
"""

EXAMPLES = r"""
- name: Fetch Bitcoin Core, signed by at least two of three builders
  bcm.datacenter.release_verify:
    url: https://bitcoincore.org/bin/bitcoin-core-29.4/bitcoin-29.4-x86_64-linux-gnu.tar.gz
    manifest_url: https://bitcoincore.org/bin/bitcoin-core-29.4/SHA256SUMS
    signature_urls:
      - https://bitcoincore.org/bin/bitcoin-core-29.4/SHA256SUMS.asc
    signers: "{{ my_builders }}"
    required: 2
    dest: /var/cache/bcm/bitcoin-29.4-x86_64-linux-gnu.tar.gz
    proxy: http://proxyhost-1:3128
"""

RETURN = r"""
path:
  description: Where the verified file is.
  returned: success
  type: str
  sample: /var/cache/bcm/bitcoin-29.4-x86_64-linux-gnu.tar.gz
digest:
  description: Digest of the file, with its algorithm.
  returned: success, except in check mode without a manifest
  type: str
  sample: sha256:4216d8c202a32b22561058dade4f19744f7dbaa024aaa4cc16072428eebdc7cf
good:
  description: The signers that count.
  returned: success
  type: list
  elements: dict
  sample: [{name: alice, fingerprint: ABCD, key: EF01, reason: good}]
rejected:
  description: The named signers that do not count, each with its reason.
  returned: success
  type: list
  elements: dict
  sample: [{name: bob, fingerprint: ABCD, reason: key_expired, explanation: the signing key has expired}]
ignored:
  description: Number of signatures by keys that are not among the named signers.
  returned: success
  type: int
  sample: 0
reason:
  description:
    - Why the release was refused, in one word. V(too_few_signatures), V(hash_mismatch), V(not_in_manifest),
      V(ambiguous_manifest), V(bad_fingerprint), V(bad_policy), V(no_gpg), V(gpg_timeout) or V(download).
  returned: failure
  type: str
  sample: too_few_signatures
"""

import contextlib
import hashlib
import os
import posixpath
import tempfile
import typing as t
import urllib.error
import urllib.parse
from http.client import HTTPException

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

from ansible_collections.bcm.datacenter.plugins.module_utils._signatures import (
    Judgement,
    SignatureError,
    Signer,
    check_signatures,
    manifest_digest,
    normalize_fingerprint,
)

BLOCK = 1 << 20
# Manifests, signatures and keys are small; an answer that never ends is none of them.
SMALL = 4 << 20


class Downloader:
    """Reads URLs, through the proxy if one is given, a few times if need be."""

    def __init__(self, proxy: str | None, ca_path: str | None, timeout: int, attempts: int) -> None:
        self.ca_path = ca_path
        self.timeout = timeout
        self.attempts = max(1, attempts)
        if proxy:
            for scheme in ("http", "https"):
                os.environ[f"{scheme}_proxy"] = proxy
            os.environ.pop("no_proxy", None)
            os.environ.pop("NO_PROXY", None)

    def _open(self, url: str, offset: int = 0) -> t.Any:
        headers = {"Range": f"bytes={offset}-"} if offset else None
        return open_url(url, timeout=self.timeout, headers=headers, ca_path=self.ca_path, http_agent="bcm.datacenter")

    def to_file(self, url: str, path: str) -> None:
        problem: Exception | None = None
        for _attempt in range(self.attempts):
            offset = os.path.getsize(path)  # noqa: PTH202 - modules work on plain path strings
            try:
                self._append(url, path, offset)
                return
            except urllib.error.HTTPError as exc:
                raise SignatureError("download", f"{url}: the server answered {exc.code} {exc.reason}") from exc
            except (OSError, HTTPException) as exc:
                problem = exc
        raise SignatureError("download", f"{url}: gave up after {self.attempts} attempts: {problem}")

    def _append(self, url: str, path: str, offset: int) -> None:
        with contextlib.closing(self._open(url, offset)) as answer:
            resumed = offset and answer.getcode() == 206
            expected = answer.headers.get("Content-Length")
            with open(path, "r+b") as stream:  # noqa: PTH123
                stream.seek(offset if resumed else 0)
                stream.truncate()
                read = 0
                while block := answer.read(BLOCK):
                    read += stream.write(block)
            if expected is not None and read < int(expected):
                raise OSError(f"broke off after {read} of {expected} bytes")

    def small(self, url: str) -> bytes:
        with tempfile.NamedTemporaryFile(prefix="bcm-") as stream:
            self.to_file(url, stream.name)
            with open(stream.name, "rb") as again:  # noqa: PTH123
                data = again.read(SMALL + 1)
        if len(data) > SMALL:
            raise SignatureError("download", f"{url}: more than {SMALL} bytes, that is no manifest, signature or key")
        return data


def file_digest(path: str, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with open(path, "rb") as stream:  # noqa: PTH123
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


class Release:
    """One release: its signers are asked first, then the file is fetched."""

    def __init__(self, params: dict[str, t.Any], downloader: Downloader) -> None:
        self.params = params
        self.downloader = downloader
        self.notes: list[str] = []

    def signers(self) -> list[Signer]:
        # Every fingerprint is looked at before the first key is fetched.
        given = self.params["signers"]
        named = [(Signer(s["name"], normalize_fingerprint(s["fingerprint"])), s["key"]) for s in given]
        for signer, key in named:
            try:
                signer.key = self._key(key)
            except (SignatureError, OSError) as exc:
                signer.problem = "no_key"
                self.notes.append(f"key of {signer.name}: {exc}")
        return [signer for signer, _key in named]

    def _key(self, given: str | None) -> bytes | None:
        if not given:
            return None
        if "-----BEGIN PGP" in given:
            return given.encode()
        if urllib.parse.urlsplit(given).scheme in ("http", "https"):
            return self.downloader.small(given)
        with open(given, "rb") as stream:  # noqa: PTH123
            return stream.read(SMALL)

    def signatures(self) -> list[bytes]:
        found = []
        for url in self.params["signature_urls"]:
            try:
                found.append(self.downloader.small(url))
            except SignatureError as exc:
                self.notes.append(str(exc))
        return found

    def judge(self, signed: str) -> Judgement:
        try:
            return check_signatures(signed, self.signatures(), self.signers(), self.params["required"])
        except SignatureError as exc:
            raise SignatureError(exc.reason, "; ".join([str(exc), *self.notes])) from exc

    def entry(self) -> str:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.params["url"]).path)
        return self.params["manifest_entry"] or posixpath.basename(path)

    def expected(self) -> tuple[Judgement, str, str]:
        """The judgement on the manifest, and the digest that it promises."""
        manifest = self.downloader.small(self.params["manifest_url"])
        with tempfile.NamedTemporaryFile(prefix="bcm-manifest-") as stream:
            stream.write(manifest)
            stream.flush()
            judgement = self.judge(stream.name)
        algorithm, digest = manifest_digest(manifest.decode("utf-8", "replace"), self.entry())
        return judgement, algorithm, digest


def take(module: AnsibleModule, release: Release) -> dict[str, t.Any]:
    """The whole way; returns the module's result or raises SignatureError."""
    dest = module.params["dest"]
    result: dict[str, t.Any] = {"changed": False, "path": dest}
    judgement: Judgement | None = None
    algorithm, wanted = "sha256", ""
    if module.params["manifest_url"]:
        judgement, algorithm, wanted = release.expected()
        result["digest"] = f"{algorithm}:{wanted}"
    present = os.path.isfile(dest)  # noqa: PTH113
    if judgement is None and present:
        judgement = release.judge(dest)
        wanted = file_digest(dest, algorithm)
    if not (present and file_digest(dest, algorithm) == wanted):
        result["changed"] = True
        if not module.check_mode:
            judgement, wanted = fetch(module, release, judgement, algorithm, wanted)
    if judgement is not None:
        result.update(good=judgement.good, rejected=judgement.rejected, ignored=judgement.ignored)
        result["msg"] = "; ".join([judgement.sentence(), *release.notes])
    if wanted:
        result["digest"] = f"{algorithm}:{wanted}"
    return result


def fetch(
    module: AnsibleModule, release: Release, judgement: Judgement | None, algorithm: str, wanted: str
) -> tuple[Judgement, str]:
    """Download beside the destination, check, and only then move into place."""
    url, dest = module.params["url"], module.params["dest"]
    folder = os.path.dirname(dest)  # noqa: PTH120
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    descriptor, part = tempfile.mkstemp(dir=folder, prefix=".part-")
    os.close(descriptor)
    try:
        release.downloader.to_file(url, part)
        got = file_digest(part, algorithm)
        if judgement is None:
            judgement, wanted = release.judge(part), got
        if got != wanted:
            message = f"{url}: its {algorithm} is {got}, the signed manifest says {wanted}; it was thrown away unused"
            raise SignatureError("hash_mismatch", message)
        os.chmod(part, int(module.params["mode"], 8))  # noqa: PTH101
        module.atomic_move(part, dest)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)  # noqa: PTH108
    return judgement, wanted


def main() -> None:
    signer = {
        "name": {"type": "str", "required": True},
        "fingerprint": {"type": "str", "required": True},
        "key": {"type": "str", "no_log": False},
        "source": {"type": "str"},
    }
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "manifest_url": {"type": "str"},
            "manifest_entry": {"type": "str"},
            "signature_urls": {"type": "list", "elements": "str", "required": True},
            "signers": {"type": "list", "elements": "dict", "required": True, "options": signer},
            "required": {"type": "int", "required": True},
            "dest": {"type": "path", "required": True},
            "mode": {"type": "str", "default": "0644"},
            "proxy": {"type": "str"},
            "ca_path": {"type": "path"},
            "timeout": {"type": "int", "default": 60},
            "attempts": {"type": "int", "default": 3},
        },
        supports_check_mode=True,
    )
    params = module.params
    downloader = Downloader(params["proxy"], params["ca_path"], params["timeout"], params["attempts"])
    try:
        result = take(module, Release(params, downloader))
    except SignatureError as exc:
        module.fail_json(msg=f"Refused {params['url']}: {exc}", reason=exc.reason)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
