# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""The secrets of a site on one of its endpoints, where each has a copy of all: what the controller asks there, and has written.

A copy is a directory of secrets like any other with one file more. By the names of secrets that were updated it holds the digests of
the values that were replaced: so what an endpoint has missed can be told from what contradicts. And it names the endpoints that once
had the same secrets, all at the same time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils._secret_store import DirectoryStore, StoreError

HISTORY = ".copies"


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


class CopyStore(DirectoryStore):
    """One copy."""

    def _history(self) -> dict[str, t.Any]:
        path = self.directory / HISTORY
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            among, replaced = list(found["among"]), dict(found["replaced"])
            if not all(
                isinstance(text, str) for text in [*among, *(one for many in replaced.values() for one in many)]
            ):
                raise TypeError
        except FileNotFoundError:
            return {"among": [], "replaced": {}}
        except (OSError, ValueError, TypeError, KeyError):
            raise StoreError(
                f"{path} cannot be read. If no other endpoint has other secrets than this one, remove it."
            ) from None
        return {"among": among, "replaced": replaced}

    def _keep(self, history: dict[str, t.Any]) -> None:
        if history != self._history():
            self._write(HISTORY, json.dumps(history, sort_keys=True) + "\n", exclusive=False)

    def look(self, names: t.Collection[str] | None, values: t.Collection[str]) -> dict[str, t.Any]:
        """What lies here: digests of NAMES (None: of all), and of VALUES the values too."""
        # In the order opposite to that in which put() writes: another run may be writing right now, and what it has written so far
        # must look neither lost nor like a contradiction.
        made = self.made()
        listed = self.names()
        found = {
            name: value
            for name in listed
            if (names is None or name in names) and (value := self.read(name)) is not None
        }
        history = self._history()
        return {
            "digests": {name: digest(value) for name, value in found.items()},
            "replaced": {name: old for name, old in history["replaced"].items() if name in found},
            "values": {name: value for name, value in found.items() if name in values},
            "names": listed,
            "made": sorted(made),
            "among": history["among"],
        }

    def put(
        self, secrets: t.Mapping[str, t.Mapping[str, t.Any]], made: t.Collection[str], among: list[str] | None
    ) -> list[str]:
        """Write, unless something is not as it was seen: then nothing is written, and the names of that are returned.

        Of each secret: its value (None: it stays), the digest that was seen (None: there was none), digests of what it replaced.
        """
        with self.lock():
            here = {name: self.read(name) for name in secrets}
            overtaken = [
                name
                for name, value in here.items()
                if (value is None or value != secrets[name]["value"])
                and (None if value is None else digest(value)) != secrets[name]["seen"]
            ]
            if overtaken:
                return sorted(overtaken)
            history = self._history()
            for name, wanted in secrets.items():
                history["replaced"].pop(name, None)
                if wanted["replaced"]:
                    history["replaced"][name] = wanted["replaced"]
            if among is not None:
                history["among"] = among
            # Before the values: a run that is killed in between leaves one that is known as replaced, and none that contradicts.
            self._keep(history)
            for name, wanted in secrets.items():
                if wanted["value"] is not None and wanted["value"] != here[name]:
                    self._write(name, wanted["value"], exclusive=here[name] is None)
            self.record(self.made() | set(made))
        return []

    def drop(self, names: t.Collection[str]) -> None:
        """Remove some."""
        with self.lock():
            history = self._history()
            history["replaced"] = {name: old for name, old in history["replaced"].items() if name not in names}
            for name in names:
                self.remove(name)
            self._keep(history)

    def forget(self) -> None:
        """Remove all, and the site's directory with it if there is nothing else in it."""
        if not self.directory.is_dir():
            return
        with self.lock():
            for path in list(self.directory.iterdir()):
                path.unlink()
            self.directory.rmdir()
            (self.base / ".secrets.lock").unlink()
        with contextlib.suppress(OSError):
            self.base.rmdir()


def serve(store: CopyStore, request: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Do what the controller asks of one endpoint."""
    verb = request["do"]
    if verb == "look":
        return store.look(request["names"], request["values"])
    if verb == "put":
        return {"overtaken": store.put(request["secrets"], request["made"], request["among"])}
    if verb == "drop":
        store.drop(request["names"])
    elif verb == "forget":
        store.forget()
    else:
        raise StoreError(f"{verb} is nothing that can be asked of a copy.")
    return {}
