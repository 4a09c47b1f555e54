# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: it may change in any release.

"""What Kafka Connect is asked and told by its REST, and how its connectors are, in words."""

from __future__ import annotations

import json
import re
import time
import typing as t
from urllib.parse import quote

TOOL_SPEC: dict[str, t.Any] = {
    "tool": {"type": "list", "elements": "str", "default": ["/usr/local/sbin/kafka-connect"]},
    "timeout": {"type": "int", "default": 60},
}
# While workers agree on who does what, it says so and does nothing.
REBALANCES = 409
# What must not be seen where differences are shown.
SECRET = re.compile(r"(^|[._-])(password|passphrase|secret|token|credentials?|jaas|key)($|[._-])", re.IGNORECASE)
HIDDEN = "(not shown)"
PLACEHOLDER = re.compile(r"^\$\{[^}]+\}$")

Runner = t.Callable[..., tuple[int, str, str]]


class ConnectError(Exception):
    """Something cannot be had; the text says what was tried, and why it failed."""


class Connect:
    """Kafka Connect, by the program that leads to its REST."""

    def __init__(self, run: Runner, tool: t.Sequence[str], timeout: int) -> None:
        self.run, self.tool, self.timeout = run, list(tool), timeout

    def ask(self, method: str, path: str, body: t.Any = None) -> tuple[int, t.Any]:
        """(status of HTTP, what was said). It is asked again while workers agree on who does what."""
        deadline = time.monotonic() + self.timeout
        while True:
            status, said = self._ask(method, path, body)
            if status != REBALANCES or time.monotonic() > deadline:
                return status, said
            time.sleep(1)

    def _ask(self, method: str, path: str, body: t.Any) -> tuple[int, t.Any]:
        data = "" if body is None else json.dumps(body)
        code, out, err = self.run([*self.tool, "api", method, path], data=data)
        if code:
            raise ConnectError(f"Connect could not be asked: {(err or out).strip()[-300:]}")
        try:
            said = json.loads(out)
            return int(said["status"]), said["body"]
        except (ValueError, KeyError, TypeError) as exc:
            raise ConnectError(f"{' '.join(self.tool)} said something else than an answer: {out[-300:]}") from exc

    def must(self, method: str, path: str, body: t.Any = None) -> t.Any:
        """What was said, where anything but success is a failure."""
        status, said = self.ask(method, path, body)
        if status >= 300:
            raise ConnectError(f"Connect answers {method} {path} with {status}: {words(said)}")
        return said

    def config(self, name: str) -> dict[str, str] | None:
        """The settings of a connector, None if there is none of this name."""
        status, said = self.ask("GET", f"/connectors/{quote(name)}/config")
        if status == 404:
            return None
        if status >= 300:
            raise ConnectError(f"Connect answers with {status}: {words(said)}")
        return {str(key): str(value) for key, value in said.items()}

    def status(self, name: str) -> dict[str, t.Any] | None:
        """How a connector is, None where that is not known yet."""
        status, said = self.ask("GET", f"/connectors/{quote(name)}/status")
        if status == 404:
            return None
        if status >= 300:
            raise ConnectError(f"Connect answers with {status}: {words(said)}")
        return dict(said)

    def faults(self, config: t.Mapping[str, str]) -> list[str]:
        """What Connect has to say against settings, without taking them."""
        kind = quote(config["connector.class"], safe="")
        said = self.must("PUT", f"/connector-plugins/{kind}/config/validate", dict(config))
        found = [one["value"] for one in said.get("configs") or []]
        return [f"{one['name']}: {error}" for one in found for error in one.get("errors") or []]


def words(said: t.Any) -> str:
    """What an answer says, in a line."""
    text = said.get("message") if isinstance(said, dict) else said
    return str(text or "no reason was given").strip().splitlines()[0][:300]


def wanted(name: str, config: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Settings as Connect keeps them: all of them are text."""
    return {"name": name, **{str(key): _text(value) for key, value in config.items() if value is not None}}


def _text(value: t.Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown(config: t.Mapping[str, str] | None) -> dict[str, str]:
    """Settings as they may be seen. What only names a secret is none."""
    return {
        key: HIDDEN if SECRET.search(key) and not PLACEHOLDER.match(value) else value
        for key, value in sorted((config or {}).items())
    }


def findings(status: t.Mapping[str, t.Any] | None, state: str = "RUNNING") -> list[str]:
    """Why a connector is not as it shall be; empty if it is. One that is stopped has no tasks."""
    if status is None:
        return ["nobody has it yet"]
    found = []
    tasks = [(f"task {one['id']}", one) for one in status.get("tasks") or []]
    for what, one in [("it", status.get("connector") or {}), *tasks]:
        if one.get("state") != state:
            trace = str(one.get("trace") or "").strip().splitlines()
            found.append(f"{what} is {one.get('state', 'UNKNOWN')}{': ' + trace[0][:300] if trace else ''}")
    if not tasks and state != "STOPPED":
        found.append("it has no task")
    return found


def failed(status: t.Mapping[str, t.Any] | None) -> bool:
    """Whether something of a connector has given up, which it does not begin anew by itself."""
    parts = [(status or {}).get("connector") or {}, *((status or {}).get("tasks") or [])]
    return any(one.get("state") == "FAILED" for one in parts)
