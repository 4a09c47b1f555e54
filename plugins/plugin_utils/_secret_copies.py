# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is PRIVATE to the collection: it may change without notice.
"""The secrets of a site of which each endpoint has a copy, as one store; nothing of Ansible.

What is asked is asked of all endpoints. What is written is written by all that answer, in the order of the declaration, as long as
those are more than half: so whoever writes next meets one that knows of it.
"""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils._secret_copy import digest
from ansible_collections.bcm.datacenter.plugins.module_utils._secret_store import StoreError
from ansible_collections.bcm.datacenter.plugins.module_utils._site_secrets import check_request, work

ATTEMPTS = 5
Request = dict[str, t.Any]
# Asks one endpoint, see _secret_copy.serve.
Ask = t.Callable[[str, Request], dict[str, t.Any]]


class SilentError(Exception):
    """An endpoint does not answer. The text says why."""


class OvertakenError(Exception):
    """Another run has written in between: what it has made counts."""


def listed(names: t.Iterable[str]) -> str:
    *most, last = [*names] or ["none"]
    return f"{', '.join(most)} and {last}" if most else last


class CopiesStore:
    """All copies, as they are now. What is written under lock() goes to the endpoints at its end."""

    def __init__(
        self,
        ask: Ask,
        endpoints: t.Sequence[str],
        site: str,
        where: str,
        names: t.Sequence[str] | None,
        silent: t.Mapping[str, str],
        *,
        values: bool = False,
    ) -> None:
        """names: what is of interest, None: all. silent: who need not be asked, and why. values: whether they are read, too."""
        self._ask = ask
        self._endpoints = list(endpoints)
        self._site = site
        self._answers: dict[str, dict[str, t.Any]] = {}
        self.silent: dict[str, str] = {}
        for endpoint in self._endpoints:
            if endpoint in silent:
                self.silent[endpoint] = silent[endpoint]
                continue
            # All the values can be had from the first one, as a rule.
            request = {"do": "look", "names": names, "values": names if values and not self._answers else []}
            try:
                self._answers[endpoint] = ask(endpoint, request)
            except SilentError as exc:
                self.silent[endpoint] = str(exc)
        if not self._answers:
            raise StoreError(f"The secrets of site {site} cannot be read: {self._silence()}.")
        self.where = f"{where} on {listed(self._answers)}"
        self.away = f"{self._silence()}." if self.silent else ""
        self.doubtful = bool(self.silent) and not self._know_all()
        self.closed = ""
        if not self._many():
            self.closed = (
                f"Secrets of site {site} are written when more than half of its endpoints answer ({listed(self._endpoints)}), and "
                f"{listed(self._answers)} alone {'does' if len(self._answers) == 1 else 'do'}. {self.away}"
            )
        self.trouble: list[str] = []
        self._values: dict[str, str] = {}
        self._targets: dict[str, tuple[str, list[str]]] = {}
        self._made = {name for answer in self._answers.values() for name in answer["made"]}
        self._written: set[str] = set()
        self._with_values = values

    # -- what all have said -------------------------------------------------------------------------------------

    def _silence(self) -> str:
        return ". ".join(f"{endpoint} does not answer ({reason})" for endpoint, reason in self.silent.items())

    def _know_all(self) -> bool:
        """Whether those who are silent have nothing that is on none of those who answer.

        Once all had the same. Since then each write was done by more than half, and so by one of those who answer.
        """
        all_of_them = set(self._endpoints)
        return self._many() and all(set(answer["among"]) == all_of_them for answer in self._answers.values())

    def _many(self) -> bool:
        return 2 * len(self._answers) > len(self._endpoints)

    def _past(self, endpoint: str, name: str) -> list[str]:
        """The digests of all values that a secret had on an endpoint, the present one last."""
        answer = self._answers[endpoint]
        before, now = answer["replaced"].get(name, []), answer["digests"][name]
        # A run that was killed has noted that it replaces the value, and has not done so.
        return before if before[-1:] == [now] else [*before, now]

    def settle(self) -> CopiesStore:
        """Find the value of each that counts: the one that all others became."""
        wrong = []
        for name in sorted({name for answer in self._answers.values() for name in answer["digests"]}):
            holders = [endpoint for endpoint, answer in self._answers.items() if name in answer["digests"]]
            pasts = {endpoint: self._past(endpoint, name) for endpoint in holders}
            best = max(holders, key=lambda endpoint: len(pasts[endpoint]))
            for endpoint in holders:
                past = pasts[endpoint]
                if past[-1] != pasts[best][-1] and not (past[-1] in pasts[best] and len(past) < len(pasts[best])):
                    wrong.append(f"{name} is another one on {endpoint} than on {best}")
            self._targets[name] = pasts[best][-1], pasts[best][:-1]
        if wrong:
            raise StoreError(
                f"The secrets of site {self._site} contradict each other, and nothing was changed: {'; '.join(wrong)}. "
                "See which one is in use, and remove the file of the other one: then the next run copies it."
            )
        for answer in self._answers.values():
            self._take(answer["values"])
        if self._with_values:
            self._fetch(self._targets)
        return self

    def _take(self, values: t.Mapping[str, str]) -> None:
        for name, value in values.items():
            if digest(value) == self._targets.get(name, ("", []))[0]:
                self._values[name] = value

    def _fetch(self, names: t.Iterable[str]) -> None:
        """Have the values that are not known yet, each from the first that has it."""
        missing = [name for name in names if name not in self._values]
        for endpoint, answer in self._answers.items():
            here = [name for name in missing if answer["digests"].get(name) == self._targets[name][0]]
            if here:
                try:
                    self._take(self._ask(endpoint, {"do": "look", "names": here, "values": here})["values"])
                except SilentError as exc:
                    raise StoreError(f"{endpoint} does not answer any more ({exc}).") from None
                missing = [name for name in missing if name not in self._values]
        if missing:
            raise OvertakenError

    # -- a store like any other ---------------------------------------------------------------------------------

    def read(self, name: str) -> str | None:
        return self._values.get(name)

    def names(self) -> list[str]:
        return sorted({name for answer in self._answers.values() for name in answer["names"]} | self._values.keys())

    def made(self) -> set[str]:
        return set(self._made)

    def record(self, names: set[str]) -> None:
        self._made |= names

    def create(self, name: str, value: str) -> None:
        self.replace(name, value)

    def replace(self, name: str, value: str) -> None:
        before = self._targets.get(name)
        self._targets[name] = digest(value), [*before[1], before[0]] if before else []
        self._values[name] = value
        self._made.add(name)
        self._written.add(name)

    def remove(self, name: str) -> None:
        raise StoreError(f"{name} is removed on each endpoint.")

    @contextlib.contextmanager
    def lock(self) -> t.Iterator[None]:
        """No lock: each endpoint has its own, and refuses to write over what it did not have when it was asked."""
        yield
        if self._written:
            self._write(self.behind(self._written), None)

    # -- writing ------------------------------------------------------------------------------------------------

    def behind(self, names: t.Iterable[str] | None = None, without: str | None = None) -> dict[str, list[str]]:
        """What has to be written where, of NAMES or of all."""
        wanted = sorted(self._targets if names is None else set(names) & set(self._targets))
        found = {}
        for endpoint, answer in self._answers.items():
            late = [
                name
                for name in wanted
                if (answer["digests"].get(name), answer["replaced"].get(name, [])) != self._targets[name]
                or (name in self._made and name not in answer["made"])
            ]
            if late and endpoint != without:
                found[endpoint] = late
        return found

    def unmarked(self, among: t.Sequence[str]) -> list[str]:
        """Who does not know yet that all of them had the same."""
        return [endpoint for endpoint in among if set(self._answers[endpoint]["among"]) != set(among)]

    def copy(self, late: dict[str, list[str]], among: t.Sequence[str] | None = None) -> None:
        """Have it written what is behind; and who once had the same."""
        lacking = {
            name
            for endpoint, names in late.items()
            for name in names
            if self._answers[endpoint]["digests"].get(name) != self._targets[name][0]
        }
        self._fetch(sorted(lacking))
        marked = {endpoint: late.get(endpoint, []) for endpoint in (self.unmarked(among) if among else ())}
        self._write({**late, **marked}, among)

    def _write(self, late: t.Mapping[str, list[str]], among: t.Sequence[str] | None) -> None:
        done: list[str] = [endpoint for endpoint in self._answers if endpoint not in late]
        for endpoint, answer in [*self._answers.items()]:
            if endpoint not in late:
                continue
            secrets = {
                name: {
                    "value": self._values[name] if answer["digests"].get(name) != self._targets[name][0] else None,
                    "seen": answer["digests"].get(name),
                    "replaced": self._targets[name][1],
                }
                for name in late[endpoint]
            }
            made = sorted(self._made & set(secrets))
            request = {"do": "put", "secrets": secrets, "made": made, "among": None if among is None else list(among)}
            try:
                overtaken = self._ask(endpoint, request)["overtaken"]
            except (SilentError, StoreError) as exc:
                if not done:
                    raise StoreError(f"Nothing was written on {endpoint}, the first: {exc}. Run this again.") from None
                self.trouble.append(f"{endpoint} could not ({exc})")
                # Not asked again by this task.
                del self._answers[endpoint]
                continue
            if overtaken:
                raise OvertakenError
            done.append(endpoint)
            for name in secrets:
                answer["digests"][name], answer["replaced"][name] = self._targets[name]
            answer["made"] = [*answer["made"], *made]
        if self.trouble and 2 * len(done) <= len(self._endpoints):
            raise StoreError(
                f"Secrets of site {self._site} were written on {listed(done)} alone, of {listed(self._endpoints)}: "
                f"{'; '.join(self.trouble)}. They do not count before they are on more than half. Run this again."
            )

    def drop(self, names: t.Sequence[str] | None, endpoints: t.Iterable[str] | None = None) -> None:
        """Remove NAMES, or with None all, on all that answer or on some of them."""
        for endpoint in endpoints or self._answers:
            request: Request = {"do": "forget"} if names is None else {"do": "drop", "names": list(names)}
            try:
                self._ask(endpoint, request)
            except SilentError as exc:
                raise StoreError(f"{endpoint} does not answer any more ({exc}). Run this again.") from None

    def on(self, endpoint: str) -> list[str]:
        """The names of what is on one of them."""
        return list(self._answers[endpoint]["names"])


class Copies:
    """What site_secret is asked for, on all endpoints of a site."""

    def __init__(
        self,
        options: t.Mapping[str, t.Any],
        ask: Ask,
        endpoints: t.Sequence[str],
        silent: t.Mapping[str, str],
        *,
        check_mode: bool,
        no_log: bool,
    ) -> None:
        self._options = options
        self._ask = ask
        self._endpoints = endpoints
        self._silent = silent
        self._check_mode = check_mode
        self._no_log = no_log
        self.warnings: list[str] = []

    def run(self) -> dict[str, t.Any]:
        """Do it, and return the result of the task; StoreError says why not."""
        state, leaving = self._options["state"], self._options["leaving"]
        check_request(self._options["site"], self._options["secrets"] or [], state, self._options["confirm"])
        if leaving and state != "copied":
            raise StoreError("leaving goes with state copied.")
        if leaving and (leaving not in self._endpoints or len(self._endpoints) == 1):
            raise StoreError(f"leaving: {leaving} is not one of several endpoints, {listed(self._endpoints)}.")
        do = {"copied": self._copied, "absent": self._absent}.get(state, self._have)
        for _again in range(ATTEMPTS):
            with contextlib.suppress(OvertakenError):
                return do()
        raise StoreError(f"Other runs write the secrets of site {self._options['site']} all the time. Run this again.")

    def _store(self, names: t.Sequence[str] | None, *, values: bool = False) -> CopiesStore:
        site = self._options["site"]
        where = f"{self._options['directory']}/{site}/secrets"
        return CopiesStore(self._ask, self._endpoints, site, where, names, self._silent, values=values)

    def _have(self) -> dict[str, t.Any]:
        wanted = [item["name"] for item in self._options["secrets"]]
        passwords = [item["password"] for item in self._options["secrets"] if item.get("password")]
        store: list[CopiesStore] = []

        def opened() -> CopiesStore:
            store.append(self._store([*wanted, *(name for name in passwords if name not in wanted)], values=True))
            return store[0].settle()

        result = work(self._options, opened, self._check_mode, self._no_log)
        late: dict[str, list[str]] = {}
        if self._options["state"] == "present":
            late = store[0].behind(wanted)
            if late and not self._check_mode:
                store[0].copy(late)
        self.warnings = store[0].trouble
        return {**result, "changed": result["changed"] or bool(late), "copied": late, "silent": store[0].silent}

    def _copied(self) -> dict[str, t.Any]:
        leaving = self._options["leaving"]
        store = self._store(None).settle()
        if leaving and store.silent:
            raise StoreError(f"{store.away} Secrets could be lost with {leaving}, so nothing was changed.")
        among = None if store.silent else [endpoint for endpoint in self._endpoints if endpoint != leaving]
        late = store.behind(without=leaving)
        removed = store.on(leaving) if leaving else []
        marked = store.unmarked(among) if among else []
        if not self._check_mode:
            store.copy(late, among)
            if store.trouble:
                raise StoreError(f"Not all copies were made: {'; '.join(store.trouble)}. Run this again.")
            if removed:
                store.drop(None, [leaving])
        return {
            "changed": bool(late or marked or removed),
            "made": [],
            "removed": removed,
            "copied": late,
            "silent": store.silent,
            "store": store.where,
        }

    def _absent(self) -> dict[str, t.Any]:
        given = self._options["secrets"]
        names = None if given is None else [item["name"] for item in given]
        store = self._store(names)
        if store.silent:
            raise StoreError(f"{store.away} What lies there would come back, so nothing was removed.")
        present = [name for name in store.names() if names is None or name in names]
        recorded = [name for name in store.made() if names is None or name in names]
        if (present or recorded) and not self._check_mode:
            store.drop(names)
        return {
            "changed": bool(present),
            "made": [],
            "removed": present,
            "copied": {},
            "silent": {},
            "store": store.where,
        }
