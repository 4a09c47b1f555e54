# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""What one multipass instance shall be, what it is, and the steps between. Nothing of Ansible."""

from __future__ import annotations

import json
import re
import time
import typing as t

from ansible_collections.bcm.datacenter.plugins.module_utils import _multipass as mp

IMAGE = re.compile(r"[A-Za-z0-9][^\s]*")
VERSION = re.compile(r"\b\d\d\.\d\d\b")
MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
# Seconds that the program itself has beyond those that it gives the instance.
ALLOWANCE = 30
PAUSE = 0.5

Params = t.Mapping[str, t.Any]


class ImpossibleError(Exception):
    """What is asked for cannot be had; nothing was touched."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__(" ".join(errors))
        self.errors = errors


def check(params: Params) -> list[str]:
    """What is wrong with the options, before multipass is asked anything."""
    errors = [error] if (error := mp.name_error(params["name"])) else []
    if params.get("cpus") is not None and params["cpus"] < 1:
        errors.append(f"cpus: {params['cpus']} is not a number of processors. Give 1 or more.")
    for key, least in mp.LEAST.items():
        if params.get(key) is None:
            continue
        try:
            size = mp.size_bytes(params[key])
        except ValueError as exc:
            errors.append(f"{key}: {exc}")
            continue
        if size < least:
            errors.append(f"{key}: {params[key]} is too small. multipass takes no less than {least >> 20}M.")
    if params.get("image") is not None and not IMAGE.fullmatch(params["image"]):
        errors.append(f"image: {params['image']!r} is neither the name of an image nor a URL.")
    errors += [error for network in params.get("networks") or [] for error in _network_errors(network)]
    try:
        user_data(params.get("cloud_init"))
    except ValueError as exc:
        errors.append(f"cloud_init: {exc}")
    return errors


def _network_errors(network: t.Mapping[str, t.Any]) -> list[str]:
    errors = []
    if not re.fullmatch(r"[^\s,=]+", network["name"]):
        errors.append(f"networks: {network['name']!r} cannot be the name of a network.")
    if network.get("mac") is not None and not MAC.fullmatch(network["mac"]):
        errors.append(f"networks: {network['mac']!r} is not a hardware address such as 52:54:00:4b:ab:bd.")
    return errors


def user_data(given: t.Any) -> str | None:
    """cloud-init's text. multipass reads it as YAML, so that nothing but a cloud-config comes through."""
    if given is None:
        return None
    if isinstance(given, dict):
        return "#cloud-config\n" + json.dumps(given) + "\n"
    if not isinstance(given, str) or given.lstrip().split("\n", 1)[0].strip() != "#cloud-config":
        raise ValueError(
            "it is neither a dictionary nor a text whose first line is #cloud-config. multipass takes no scripts and no templates."
        )
    return given


def launch_arguments(params: Params) -> list[str]:
    args = ["launch", "--name", params["name"], "--timeout", str(params["timeout"])]
    for key in mp.SIZES:
        if params.get(key) is not None:
            args += [f"--{key}", str(params[key])]
    for network in params.get("networks") or []:
        spec = [f"{key}={network[key]}" for key in ("name", "mode", "mac") if network.get(key) is not None]
        args += ["--network", ",".join(spec)]
    if params.get("cloud_init") is not None:
        args += ["--cloud-init", "-"]
    if params.get("image") is not None:
        args.append(params["image"])
    return args


def differing(params: Params, sizes: t.Mapping[str, str]) -> list[str]:
    """The sizes that are not as they shall be."""
    different = []
    for key in mp.SIZES:
        wanted = params.get(key)
        if wanted is None:
            continue
        same = str(wanted) == sizes[key] if key == "cpus" else mp.same_size(mp.size_bytes(wanted), sizes[key])
        if not same:
            different.append(key)
    return different


def plan(params: Params, actual: t.Mapping[str, t.Any] | None) -> list[str]:
    """The steps from what is to what shall be. Raises ImpossibleError, where there is no way."""
    name, target = params["name"], params["state"]
    if target == "absent":
        return ["delete"] if actual else []
    if actual is None:
        return ["launch", *_lead(mp.RUNNING, target)]
    errors = _unchangeable(params, actual)
    state = actual["state"]
    steps = []
    if state == mp.DELETED:
        steps.append("recover")
        state = mp.STOPPED
    if state not in (mp.RUNNING, mp.STOPPED, mp.SUSPENDED):
        errors.append(
            f"Instance {name!r} is in the state {state}. Look with `multipass info {name}` what it has come to, or remove it "
            "with the state absent."
        )
    begun = state
    if changes := differing(params, actual["sizes"]):
        if state != mp.STOPPED and target != "stopped" and not params["restart"]:
            words = ", ".join(f"{key} from {actual['sizes'][key]} to {params[key]}" for key in changes)
            errors.append(
                f"Instance {name!r} is {state.lower()}, and multipass changes sizes of a stopped one only ({words}). "
                "Set restart to have it stopped and started again, or ask for the state stopped first."
            )
        steps += _lead(state, "stopped")
        steps += [f"set {key}" for key in changes]
        state = mp.STOPPED
        if target == "present" and begun != mp.STOPPED:
            target = "started" if begun == mp.RUNNING else "suspended"
    if errors:
        raise ImpossibleError(errors)
    return steps + _lead(state, target)


def _lead(state: str, target: str) -> list[str]:
    """From one state to another. What is suspended can neither be stopped nor changed before it runs again."""
    goal = {"started": mp.RUNNING, "stopped": mp.STOPPED, "suspended": mp.SUSPENDED}.get(target, state)
    if goal == state:
        return []
    steps = [] if state == mp.RUNNING else ["start"]
    return steps + {mp.RUNNING: [], mp.STOPPED: ["stop"], mp.SUSPENDED: ["suspend"]}[goal]


def _unchangeable(params: Params, actual: t.Mapping[str, t.Any]) -> list[str]:
    name, errors = params["name"], []
    if params.get("disk") is not None and "disk" in differing(params, actual["sizes"]):
        told = actual["sizes"]["disk"]
        if mp.size_bytes(params["disk"]) < mp.size_bytes(told):
            errors.append(
                f"The disk of instance {name!r} has {told} and cannot be made smaller ({params['disk']}). Leave it, or remove the "
                "instance and launch it anew."
            )
    asked, has = VERSION.search(params.get("image") or ""), VERSION.search(actual.get("release") or "")
    if asked and has and asked[0] != has[0] and "/" not in params["image"]:
        errors.append(
            f"Instance {name!r} was launched from {actual['release']}, which cannot be changed to {params['image']} later. Correct "
            "the image, or remove the instance and launch it anew."
        )
    return errors


class Instance:
    """One instance of exactly this name."""

    def __init__(self, multipass: mp.Multipass, params: Params) -> None:
        self.multipass = multipass
        self.params = params
        self.name: str = params["name"]
        self.timeout: int = params["timeout"]

    def read(self, addresses: bool = False) -> dict[str, t.Any] | None:
        found = self.multipass.find(self.name, addresses)
        return {**found, "sizes": self.multipass.sizes(self.name)} if found else None

    def settled(self) -> dict[str, t.Any] | None:
        """What it is, once it is not on the way to something else."""
        deadline = time.monotonic() + self.timeout
        while True:
            found = self.multipass.find(self.name, addresses=False)
            if not found or found["state"] not in mp.PASSING:
                return {**found, "sizes": self.multipass.sizes(self.name)} if found else None
            if time.monotonic() > deadline:
                raise mp.MultipassTimeoutError(
                    f"Instance {self.name!r} has been in the state {found['state']} for {self.timeout} s."
                )
            time.sleep(PAUSE)

    def do(self, step: str) -> None:
        verb, _space, key = step.partition(" ")
        limit = self.timeout + ALLOWANCE
        if verb == "launch":
            # Whatever launch says when it fails, the instance may be there: the next run finds and finishes it.
            self.multipass.run(
                launch_arguments(self.params), data=user_data(self.params.get("cloud_init")), timeout=limit
            )
        elif verb == "set":
            self.multipass.resize(self.name, key, str(self.params[key]), limit)
        elif verb == "delete":
            # Of this one alone. `multipass purge` would take every instance that anybody has deleted.
            self.multipass.run(["delete", "--purge", self.name], timeout=limit)
            self._await("")
        elif verb == "start":
            self.multipass.run(["start", "--timeout", str(self.timeout), self.name], timeout=limit)
            self._await(mp.RUNNING)
        else:
            self.multipass.run([verb, self.name], timeout=limit)
            self._await(mp.SUSPENDED if verb == "suspend" else mp.STOPPED)

    def _await(self, state: str) -> None:
        deadline = time.monotonic() + self.timeout
        while (now := self.multipass.state(self.name)) != state:
            if time.monotonic() > deadline:
                raise mp.MultipassTimeoutError(
                    f"Instance {self.name!r} is {now or 'absent'} and has not become {state or 'absent'} within {self.timeout} s."
                )
            time.sleep(PAUSE)

    def wait_for_cloud_init(self) -> None:
        argv = ["exec", "--no-map-working-directory", self.name, "--", "cloud-init", "status", "--wait"]
        try:
            self.multipass.run(argv, timeout=self.timeout)
        except mp.MultipassTimeoutError:
            raise mp.MultipassTimeoutError(
                f"cloud-init in instance {self.name!r} has not come to its end within {self.timeout} s."
            ) from None
        except mp.MultipassError as exc:
            # 2: all was done, with something to be noted (cloud-init 23.4 and later).
            if exc.rc != 2 or "failed:" in exc.stderr:
                raise mp.MultipassError(
                    f"cloud-init in instance {self.name!r} ended with errors. Look at /var/log/cloud-init.log in it. ({exc})",
                    argv,
                    exc.rc,
                    exc.stderr,
                ) from None


def after(params: Params, actual: t.Mapping[str, t.Any] | None, steps: list[str]) -> dict[str, t.Any]:
    """What there will be when the steps are done, as far as it is known."""
    if not steps:
        return view(actual)
    if "delete" in steps:
        return {}
    seen = view(actual)
    states = {
        "launch": mp.RUNNING,
        "recover": mp.STOPPED,
        "start": mp.RUNNING,
        "stop": mp.STOPPED,
        "suspend": mp.SUSPENDED,
    }
    for step in steps:
        verb, _space, key = step.partition(" ")
        if verb == "set":
            seen[key] = str(params[key])
        else:
            seen["state"] = states[verb]
        if verb == "launch":
            seen.update({key: str(params[key]) for key in (*mp.SIZES, "image") if params.get(key) is not None})
    return seen


def view(actual: t.Mapping[str, t.Any] | None) -> dict[str, t.Any]:
    return {"state": actual["state"], **actual["sizes"]} if actual else {}
