# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What onion_client_bundle does, on the controller: from the store of secrets into files there, by no variable of the play."""

from __future__ import annotations

import contextlib
import stat
import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.bcm.datacenter.plugins.module_utils import _whole_file as whole_file
from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import KEY_BYTES, onion_keys
from ansible_collections.bcm.datacenter.plugins.module_utils._onion_service import CLIENT, wrong_name
from ansible_collections.bcm.datacenter.plugins.module_utils._onion_specs import BUNDLE_REQUIRED_IF, BUNDLE_SPEC
from ansible_collections.bcm.datacenter.plugins.plugin_utils._onion_bundle import (
    EVERYBODY,
    OWN_KEY,
    Bundle,
    BundleError,
    files,
    lnd_of,
    paths,
)
from ansible_collections.bcm.datacenter.plugins.plugin_utils._onion_clients import (
    ClientsError,
    parse,
    register_of,
    secret_of,
)
from ansible_collections.bcm.datacenter.plugins.plugin_utils._secrets_from import ask_store


class ActionModule(ActionBase):
    """Writes a bundle, or removes it."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        try:
            return self._work(task_vars or {})
        except AnsibleActionFail as exc:
            # As a module fails, so that failed_when has a result to look at.
            return {"failed": True, "msg": exc.message}

    def _work(self, task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        options: dict[str, t.Any]
        _result, options = self.validate_argument_spec(argument_spec=BUNDLE_SPEC, required_if=BUNDLE_REQUIRED_IF)
        wrong = [words.replace("name:", "service:", 1) for words in [wrong_name(options["service"])] if words]
        if not CLIENT.fullmatch(options["client"]):
            wrong.append(f"client: {options['client']!r} is not a client's name (letters, digits, - and _).")
        for port in options["ports"] or []:
            if not 1 <= port <= 65535:
                wrong.append(f"ports: {port} is not a port (1 to 65535).")
        if options["state"] == "present" and not options["ports"]:
            wrong.append("ports: there is none.")
        if options["lndconnect"] and not self._task.no_log:
            wrong.append("lndconnect: it holds a secret. Give the task no_log, set to true.")
        if wrong:
            raise AnsibleActionFail("\n".join(wrong))
        directory = Path(options["directory"]).expanduser()
        try:
            wanted = files(self._bundle(options, task_vars)) if options["state"] == "present" else {}
            return self._written(directory, paths(directory, options["service"], options["client"]), wanted)
        except (BundleError, ClientsError) as exc:
            raise AnsibleActionFail(str(exc)) from None
        except ImportError as exc:
            raise AnsibleActionFail(
                f"Bundles need the Python libraries cryptography and segno on the controller: {exc}"
            ) from None
        except OSError as exc:
            raise AnsibleActionFail(f"The bundle cannot be written: {exc}") from None

    def _bundle(self, options: dict[str, t.Any], task_vars: dict[str, t.Any]) -> Bundle:
        site, service, client = options["site"], options["service"], options["client"]
        seed, register = secret_of(service), register_of(service)
        stored = ask_store(self, task_vars, site, "found", [{"name": seed, "kind": "hex"}, {"name": register}])[
            "secrets"
        ]
        if seed not in stored:
            raise BundleError(f"The site {site} has no onion {service} yet: the store has no {seed}.")
        raw = bytes.fromhex(stored[seed])
        if len(raw) != KEY_BYTES:
            raise BundleError(f"The seed of {service} is not 64 hexadecimal digits. Restore {seed} from a backup.")
        clients = parse(stored.get(register), service).clients
        if not options["client_authorisation"]:
            key = EVERYBODY
        elif client not in clients:
            raise BundleError(f"{service} knows no client {client}. It knows {', '.join(sorted(clients)) or 'none'}.")
        else:
            key = clients[client].private or OWN_KEY
        lnd = lnd_of(options["lndconnect"]) if options["lndconnect"] else None
        return Bundle(site, service, client, onion_keys(raw).address, tuple(options["ports"]), key, lnd)

    def _written(self, directory: Path, places: dict[str, Path], wanted: dict[str, bytes]) -> dict[str, t.Any]:
        changed = []
        for ending, path in places.items():
            content = wanted.get(ending)
            if self._as_it_should_be(path, content):
                continue
            changed.append(str(path))
            if self._task.check_mode:
                continue
            if content is None:
                path.unlink()
                continue
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Whoever may enter it finds whom the bundles are for.
            directory.chmod(0o700)
            whole_file.write_bytes(path, content, 0o600)
        return {
            "changed": bool(changed),
            "changed_paths": changed,
            "files": {ending.lstrip("."): str(places[ending]) for ending in wanted},
        }

    @staticmethod
    def _as_it_should_be(path: Path, content: bytes | None) -> bool:
        with contextlib.suppress(FileNotFoundError):
            found = path.read_bytes()
            return found == content and stat.S_IMODE(path.stat().st_mode) == 0o600
        return content is None
