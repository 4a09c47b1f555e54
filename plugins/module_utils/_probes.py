# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: it may change in any release.

"""Looking whether a thing works, and saying why where it does not. Nothing here changes anything.

Each probe is a function that takes its parameters and returns V(None) or a Noted where the thing works, or the cause in
plain words where it does not.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import ssl
import subprocess
import time
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from ansible_collections.bcm.datacenter.plugins.module_utils import (
    _leak_probe,
    _onion_service,
    _sizes,
    _tor,
    _tor_system,
)

TIMEOUT_S = 10


@dataclasses.dataclass(frozen=True)
class Noted:
    """It works, and this is to be known of it."""

    note: str


Parameters = t.Mapping[str, t.Any]
Finding = t.Union[str, Noted, None]  # noqa: UP007 - pylint of ansible-test reads no other
Runner = t.Callable[[t.Sequence[str]], "tuple[int, str, str]"]


def run(argv: t.Sequence[str]) -> tuple[int, str, str]:
    """Run a program with nothing on its standard input; return exit code, output, errors."""
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function # with a time limit
            list(argv), stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False, text=True
        )
    except FileNotFoundError:
        return 127, "", f"{argv[0]} is not installed"
    except subprocess.TimeoutExpired:
        return 124, "", f"{argv[0]} did not end within 60 s"
    return done.returncode, done.stdout, done.stderr


def unit(parameters: Parameters, runner: Runner = run) -> str | None:
    """A systemd unit is active. Parameters: C(unit)."""
    name = parameters["unit"]
    code, out, err = runner(["systemctl", "show", "-p", "LoadState,ActiveState,SubState,Result", name])
    if code != 0:
        return f"systemd does not answer: {err.strip() or out.strip()}"
    state = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    if state.get("LoadState") == "not-found":
        return f"{name} is not installed"
    if state.get("ActiveState") == "active":
        return None
    return f"{name} is {state.get('ActiveState')} ({state.get('SubState')}, result {state.get('Result')})"


def port(parameters: Parameters) -> str | None:
    """A TCP port answers, or does not where C(open) is false. Parameters: C(address), C(port), C(open)."""
    wanted = parameters.get("open", True)
    where = f"{parameters['address']}:{parameters['port']}"
    try:
        with socket.create_connection((parameters["address"], int(parameters["port"])), timeout=TIMEOUT_S):
            reached = True
            reason = ""
    except OSError as error:
        reached = False
        reason = str(error)
    if reached == wanted:
        return None
    return f"nothing answers on {where}: {reason}" if wanted else f"{where} answers, and must not"


def http(parameters: Parameters) -> str | None:
    """An URL answers as expected. Parameters: C(url), C(status) (list, default 200), C(ca) (file), C(proxy) (URL)."""
    proxy = parameters.get("proxy")
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else {})
    ]
    if parameters.get("ca"):
        try:
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=parameters["ca"])))
        except OSError as error:
            return f"the authority's certificate {parameters['ca']} cannot be read: {error}"
    wanted = [int(status) for status in parameters.get("status", [200])]
    through = f" through {proxy}" if proxy else ""
    try:
        with urllib.request.build_opener(*handlers).open(parameters["url"], timeout=TIMEOUT_S) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    except (OSError, urllib.error.URLError) as error:
        return f"{parameters['url']} does not answer{through}: {getattr(error, 'reason', error)}"
    if status in wanted:
        return None
    return f"{parameters['url']} answers {status}{through}, expected {' or '.join(map(str, wanted))}"


def certificate(parameters: Parameters, runner: Runner = run) -> str | None:
    """A certificate is good for a while yet, a server's or that in a file.

    Parameters: C(name), C(port), C(ca) (file), or C(file), and C(days) (at least so many are left).
    """
    if "file" in parameters:
        return _certificate_of_a_file(parameters, runner)
    name, port_ = parameters["name"], int(parameters["port"])
    try:
        context = ssl.create_default_context(cafile=parameters.get("ca"))
        with (
            socket.create_connection((name, port_), timeout=TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            said = secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return f"the certificate of {name}:{port_} is not one to trust: {error.verify_message}"
    except OSError as error:
        return f"{name}:{port_} does not show its certificate: {error}"
    return _ends(f"the certificate of {name}:{port_}", str(said["notAfter"]), parameters)


def _certificate_of_a_file(parameters: Parameters, runner: Runner) -> str | None:
    what = f"the certificate {parameters['file']}"
    # Python's own means read certificates of connections only.
    code, out, err = runner(["openssl", "x509", "-noout", "-enddate", "-in", parameters["file"]])
    end = out.strip().partition("=")[2]
    try:
        return _ends(what, end, parameters)
    except ValueError:
        return f"{what} cannot be read: {(err or out).strip()[-300:] or f'openssl ended with {code}'}"


def _ends(what: str, end: str, parameters: Parameters) -> str | None:
    left = (ssl.cert_time_to_seconds(end) - time.time()) / 86400
    if left >= float(parameters.get("days", 14)):
        return None
    return f"{what} ends in {left:.0f} days, on {end}"


def space(parameters: Parameters) -> str | None:
    """A file system has room.

    Parameters: C(path), C(minimum) (share of the whole that has to be free, 0 to 1), C(size) (what may be used, if that is less).
    """
    path = parameters["path"]
    try:
        state = os.statvfs(path)
        whole, room = state.f_blocks * state.f_frsize, state.f_bavail * state.f_frsize
        if size := _sizes.to_bytes(parameters.get("size") or 0):
            # A subvolume of btrfs has a quota, of which its file system says nothing: that is the whole pool.
            whole, room = min(whole, size), min(room, max(0, size - used_below(path)))
    except OSError as error:
        return f"{path} cannot be looked at: {error.strerror}"
    free = room / whole if whole else 1.0
    if free >= float(parameters.get("minimum", 0.1)):
        return None
    return f"only {free:.0%} of {path} is free ({room / 2**30:.1f} GiB)"


def used_below(path: str) -> int:
    """The bytes that all files of a directory take, on its own file system."""
    device = os.lstat(path).st_dev
    counted: set[int] = set()
    directories, used = [path], 0
    while directories:
        try:
            with os.scandir(directories.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if found.st_dev != device or found.st_ino in counted:
                        continue
                    if found.st_nlink > 1:
                        counted.add(found.st_ino)
                    used += found.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        directories.append(entry.path)
        except FileNotFoundError:
            continue  # Whoever works there may remove what was just listed.
    return used


def swarm(parameters: Parameters, runner: Runner = run) -> str | None:
    """Every node of the Swarm is ready. Parameters: C(managers), C(workers) (lists of host names)."""
    code, out, err = runner(["docker", "node", "ls", "--format", "{{json .}}"])
    if code != 0:
        if "locked" in err:
            return "the Swarm is locked; it has to be unlocked with the key from the secrets store"
        if "no leader" in err or "lose quorum" in err:
            return "the Swarm has no majority of managers"
        return f"the Swarm does not answer: {err.strip()}"
    nodes: dict[str, list[dict[str, str]]] = {}
    for line in out.splitlines():
        node = json.loads(line)
        nodes.setdefault(node["Hostname"], []).append(node)
    causes = []
    for name in [*parameters.get("managers", []), *parameters.get("workers", [])]:
        found = nodes.get(name, [])
        ready = [node for node in found if node["Status"] == "Ready"]
        if not found:
            causes.append(f"{name} is not in the Swarm")
        elif not ready:
            causes.append(f"{name} is {found[0]['Status'].lower()}")
        elif name in parameters.get("managers", []) and ready[0]["ManagerStatus"] not in ("Leader", "Reachable"):
            causes.append(f"{name} is no reachable manager ({ready[0]['ManagerStatus'] or 'worker'})")
        elif ready[0]["Availability"] != "Active":
            causes.append(f"{name} takes no work ({ready[0]['Availability'].lower()})")
    return "; ".join(causes) or None


def service(parameters: Parameters, runner: Runner = run) -> str | None:
    """A Swarm service runs as many tasks as it should. Parameters: C(service)."""
    name = parameters["service"]
    code, out, err = runner(["docker", "service", "ls", "--filter", f"name={name}", "--format", "{{json .}}"])
    if code != 0:
        return f"the Swarm does not answer: {err.strip()}"
    services = [entry for entry in map(json.loads, out.splitlines()) if entry["Name"] == name]
    if not services:
        return f"there is no service {name}"
    running, _sep, wanted = services[0]["Replicas"].split()[0].partition("/")
    if running == wanted and wanted != "0":
        return None
    code, out, err = runner(["docker", "service", "ps", name, "--no-trunc", "--format", "{{json .}}"])
    errors = [task["Error"] for task in map(json.loads, out.splitlines()) if task.get("Error")] if code == 0 else []
    return f"{running} of {wanted} tasks of {name} run" + (f": {errors[0]}" if errors else "")


def report(parameters: Parameters, runner: Runner = run) -> Finding:
    """A program says itself whether it is ready, as JSON with C(ready), C(reason) and C(note). Parameters: C(argv)."""
    code, out, err = runner(parameters["argv"])
    try:
        said = json.loads(out)
    except ValueError:
        return f"{parameters['argv'][0]} failed with exit code {code}: {(err or out).strip()[-300:]}"
    if said.get("ready"):
        return Noted(str(said["note"])) if said.get("note") else None
    return str(said.get("reason") or "it is not ready and gives no reason")


def onions(parameters: Parameters) -> Finding:
    """The onions of this host's tor are served, and nobody else's. Parameters: C(control) (default V(/run/tor/control))."""
    try:
        control = _tor_system.connect(Path(parameters.get("control", "/run/tor/control")), time.monotonic())
    except (_tor.TorError, OSError) as error:
        return f"tor cannot be asked about its onions: {error}"
    try:
        places = _onion_service.Places("", **{key: Path(path) for key, path in parameters.get("places", {}).items()})
        services = _onion_service.look_at_all(places, control)
        waiting = control is None or _onion_service.standby(places, control)
    except (_onion_service.OnionError, _tor.TorError, OSError) as error:
        return f"the onions of this host cannot be looked at: {error}"
    finally:
        if control:
            control.close()
    if not services:
        return Noted("none here")
    if control is None:
        return "tor does not run, so none of its onions is served"
    found = [_onion_service.trouble(service, waiting) for service in services]
    if any(found):
        return "; ".join(cause for cause in found if cause)
    return Noted("; ".join(_onion_service.words(service, waiting) for service in services))


def routes(parameters: Parameters, found: t.Sequence[t.Mapping[str, str]] | None = None) -> str | None:
    """No route leads out of the host's own networks. Parameters: C(allowed), a list of interfaces by which one may."""
    ways = _leak_probe.routes() if found is None else found
    wrong = [way for way in ways if way["interface"] not in parameters.get("allowed", [])]
    if not wrong:
        return None
    said = [f"a route to {way['to']} leads by {way['interface']} through {way['via']}" for way in wrong]
    return f"{'; '.join(said)}. There must be none: whoever ignores the proxy would get out by it"


PROBES: dict[str, t.Callable[[Parameters], Finding]] = {
    "certificate": certificate,
    "http": http,
    "onions": onions,
    "port": port,
    "report": report,
    "routes": routes,
    "service": service,
    "space": space,
    "swarm": swarm,
    "unit": unit,
}
