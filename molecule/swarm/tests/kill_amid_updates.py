# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run on a manager: updates all services by force, and kills its Docker as soon as a few of the new tasks are made and no more."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
import urllib.parse
from contextlib import suppress
from pathlib import Path
from typing import Any

# New tasks that are seen at once. With fewer, they are often past it when Docker is killed.
ENOUGH = 3
SECONDS = 5
FILTERS = urllib.parse.quote(json.dumps({"desired-state": ["ready", "running"]}))


def ask(method: str, path: str, body: Any = None) -> Any:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(20)
        stream.connect("/run/docker.sock")
        connection = http.client.HTTPConnection("docker")
        connection.sock = stream
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())


def update(service: dict[str, Any]) -> None:
    service["Spec"]["TaskTemplate"]["ForceUpdate"] += 1
    # Docker may be killed before it answers.
    with suppress(OSError, http.client.HTTPException, ValueError):
        ask("POST", f"/services/{service['ID']}/update?version={service['Version']['Index']}", service["Spec"])


def main() -> None:
    docker = int(Path("/run/docker.pid").read_text())
    threads = [threading.Thread(target=update, args=(service,)) for service in ask("GET", "/services")]
    deadline = time.monotonic() + SECONDS
    for thread in threads:
        thread.start()
    while time.monotonic() < deadline:
        states = [task["Status"]["State"] for task in ask("GET", f"/tasks?filters={FILTERS}")]
        if states.count("new") >= ENOUGH:
            break
    os.kill(docker, signal.SIGKILL)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
