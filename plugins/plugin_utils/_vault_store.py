# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is PRIVATE to the collection: it may change without notice.
"""The secrets of a site in one file that Ansible Vault has encrypted; only the controller can open it."""

from __future__ import annotations

import contextlib
import os
import secrets
import typing as t
from pathlib import Path

import yaml
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, is_encrypted, match_encrypt_secret

from ansible_collections.bcm.datacenter.plugins.module_utils._secret_store import StoreError, locked

DEFAULT_VAULT_ID = "default"
HEAD = "# The secrets of a site, and the names of all that were ever made. Written by bcm.datacenter.site_secret.\n"


class VaultStore:
    """One encrypted file: what it holds is a mapping of site, secrets by name, and made, a list of names.

    It is decrypted in memory alone, and always replaced as a whole.
    """

    away = ""
    doubtful = False
    closed = ""

    def __init__(self, path: str, site: str, passwords: t.Sequence[tuple[str, t.Any]], vault_id: str | None) -> None:
        if not passwords:
            raise StoreError(
                f"The secrets of site {site} are to be in the vault {path}, and Ansible was given no vault password. Give "
                "it one with --vault-id or --vault-password-file, or set ANSIBLE_VAULT_PASSWORD_FILE."
            )
        self.path = Path(path)
        self.site = site
        self.where = f"vault {path}"
        self._vault = VaultLib(passwords)
        try:
            self._identity, self._password = match_encrypt_secret(passwords, vault_id)
        except AnsibleError as exc:
            known = ", ".join(name for name, _password in passwords)
            raise StoreError(f"Ansible was given no password of vault id {vault_id!r}, but those of: {known}.") from exc
        self._seen: tuple[int, int, int] | None = None
        self._content: dict[str, t.Any] = {}

    @contextlib.contextmanager
    def lock(self) -> t.Iterator[None]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A dot before it: in a folder of inventories Ansible reads every other file as one.
        with locked(self.path.with_name(f".{self.path.name.lstrip('.')}.lock")):
            for leftover in self.path.parent.glob(f"{self._temporary('*')}"):
                leftover.unlink()
            yield

    def _temporary(self, mark: str) -> str:
        return f".{self.path.name.lstrip('.')}.new-{mark}"

    def _load(self) -> dict[str, t.Any]:
        """What the file holds now. It is decrypted again only if it was replaced."""
        try:
            status = self.path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._content = self._decrypt(self.path.read_bytes())
                self._seen = seen
        except FileNotFoundError:
            self._seen, self._content = None, {"secrets": {}, "made": []}
        except OSError as exc:
            raise StoreError(f"{self.path} cannot be read: {exc}") from exc
        return self._content

    def _decrypt(self, data: bytes) -> dict[str, t.Any]:
        if not is_encrypted(data):
            raise StoreError(
                f"{self.path} is not encrypted. See who could have read it, then: ansible-vault encrypt {self.path}"
            )
        try:
            plain = self._vault.decrypt(data)
        except AnsibleError as exc:
            raise StoreError(
                f"{self.path} cannot be decrypted with the vault passwords that were given: {exc}"
            ) from None
        try:
            content = yaml.safe_load(plain)
        except yaml.YAMLError:
            # Its text would be in the error.
            raise StoreError(f"What is encrypted in {self.path} is not YAML. Restore it from a backup.") from None
        if (
            not isinstance(content, dict)
            or set(content) != {"site", "secrets", "made"}
            or not isinstance(content["secrets"], dict)
            or not isinstance(content["made"], list)
            or not all(isinstance(value, str) for value in (*content["secrets"].values(), *content["made"]))
        ):
            raise StoreError(
                f"What is encrypted in {self.path} is not a mapping of site, secrets (text by name) and made (a list of "
                "names). Correct it with ansible-vault edit, or restore it from a backup."
            )
        if content["site"] != self.site:
            raise StoreError(f"{self.path} holds the secrets of site {content['site']!r}, not those of {self.site!r}.")
        return content

    def _save(self, values: t.Mapping[str, str], made: t.Iterable[str]) -> None:
        # Plain text: what comes out of a play may carry marks of Ansible's that YAML does not know.
        content = {
            "site": str(self.site),
            "secrets": {str(name): str(value) for name, value in values.items()},
            "made": sorted(map(str, made)),
        }
        plain = HEAD + yaml.safe_dump(content, allow_unicode=True)
        # As ansible-vault does, the header names an identity only if it is not the default one.
        identity = None if self._identity == DEFAULT_VAULT_ID else self._identity
        data = self._vault.encrypt(plain, secret=self._password, vault_id=identity)
        temporary = self.path.with_name(self._temporary(secrets.token_hex(8)))
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def read(self, name: str) -> str | None:
        value = self._load()["secrets"].get(name)
        if value == "":
            raise StoreError(f"{name} in {self.path} is empty. Restore it from a backup.")
        return t.cast("str | None", value)

    def create(self, name: str, value: str) -> None:
        if name in self._load()["secrets"]:
            raise StoreError(f"{name} in {self.path} was made by somebody else meanwhile, past the lock.")
        self.replace(name, value)

    def replace(self, name: str, value: str) -> None:
        content = self._load()
        self._save({**content["secrets"], name: value}, {*content["made"], name})

    def remove(self, name: str) -> None:
        content = self._load()
        rest = {key: value for key, value in content["secrets"].items() if key != name}
        self._save(rest, set(content["made"]) - {name})

    def names(self) -> list[str]:
        return sorted(self._load()["secrets"])

    def made(self) -> set[str]:
        return set(self._load()["made"])

    def record(self, names: set[str]) -> None:
        content = self._load()
        if names != set(content["made"]):
            self._save(content["secrets"], names)
