#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tor_drop_ins
short_description: Have the system's tor go by further files, or stay as it was
version_added: 0.1.0
description:
  - Writes files of C(/etc/tor/torrc.d), and has C(torrc) include them by three lines at its end. All else in C(torrc) stays as it is.
  - First tor itself checks the whole configuration as it would be, in a copy. What it would not take is refused, and nothing is touched.
  - Then tor reads it anew, or is started anew where it takes the change in no other way. Where it does not answer after that, the old
    files are put back, tor is started with them, and the module fails.
  - Files whose names begin with V(5) are those of onion services. They are read only where these are to be published, see O(publish).
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
requirements:
  - tor >= 0.4.5, as Debian packages it
attributes:
  check_mode:
    support: full
    description: Has tor check the configuration, and says what would change and whether tor would be started anew.
  diff_mode:
    support: full
    description: Shows the files, but for those that are O(files[].sensitive).
  idempotent:
    support: full
    description: A second run changes nothing. One that was killed is finished by the next.
options:
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name, two digits from V(00) to V(59), a dash and small letters, digits, dashes. C(.conf) is added.
        type: str
        required: true
      content:
        description: What stands in it. Needed with O(files[].state=present).
        type: str
      state:
        description: Whether it is there.
        type: str
        choices: [present, absent]
        default: present
      sensitive:
        description: Whether a diff hides it.
        type: bool
        default: false
  exclusive:
    description:
      - Whether files that are not listed are removed, of those whose names are such as O(files[].name) may be and begin with V(1) to V(4).
    type: bool
    default: false
  publish:
    description:
      - V(always) - onion services of this machine are published.
      - V(elsewhere) - something else on the machine decides that, by the file C(onions.conf) in O(published).
    type: str
    choices: [always, elsewhere]
    default: always
  torrc:
    description: The main configuration.
    type: path
    default: /etc/tor/torrc
  directory:
    description: Where the files are.
    type: path
    default: /etc/tor/torrc.d
  published:
    description: Where the file is by which onion services are published.
    type: path
    default: /etc/tor/published.d
  group:
    description: The group that may read them. Tor reads them anew without being root.
    type: str
    default: debian-tor
  control:
    description: Tor's control socket.
    type: path
    default: /run/tor/control
  unit:
    description: Its systemd unit.
    type: str
    default: tor@default.service
  enabled_unit:
    description: The systemd unit by which it comes with the machine.
    type: str
    default: tor.service
  stamp:
    description: File in which it is remembered what is in force.
    type: path
    default: /var/lib/bcm/in-force/tor
  timeout:
    description: Seconds that it may take until it answers.
    type: int
    default: 60
notes:
  - In check mode, on a machine without tor, nothing can be checked.
"""

EXAMPLES = r"""
- name: SOCKS for two hosts
  bcm.datacenter.tor_drop_ins:
    files:
      - name: 10-socks
        content: |
          SocksPort 192.0.2.1:9050 IsolateSOCKSAuth IsolateClientAddr
          SocksPolicy accept 192.0.2.11
          SocksPolicy accept 192.0.2.12
          SocksPolicy reject *
"""

RETURN = r"""
applied:
  description: What tor was, or would be, told - V(nothing), V(started), V(reloaded), V(restarted).
  returned: success
  type: str
changed_paths:
  description: Files that were, or would be, written or removed.
  returned: success
  type: list
  elements: str
"""

import contextlib
import grp
import hashlib
import subprocess
import time
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils import _tor_files as tor_files
from ansible_collections.bcm.datacenter.plugins.module_utils._tor import Control, TorError

HIDDEN = "(not shown)\n"


class Service:
    """The tor that systemd runs."""

    def __init__(self, unit: str, enabled_unit: str, control: Path, timeout: int) -> None:
        self.unit, self.enabled_unit, self.control, self.timeout = unit, enabled_unit, control, timeout

    def systemctl(self, *words: str) -> tuple[int, str]:
        argv = ["systemctl", "--no-ask-password", *words]
        try:
            done = subprocess.run(  # pylint: disable=ansible-bad-function # with a time limit
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=self.timeout + 300, check=False
            )
        except FileNotFoundError:
            return 127, "there is no systemctl"
        return done.returncode, (done.stdout + done.stderr).strip()

    def active(self) -> bool:
        return self.systemctl("is-active", "--quiet", self.unit)[0] == 0

    def enabled(self) -> bool:
        return self.systemctl("is-enabled", "--quiet", self.enabled_unit)[0] == 0

    def enable(self) -> str:
        code, said = self.systemctl("enable", "--quiet", self.enabled_unit)
        return said if code else ""

    def start(self, verb: str) -> str:
        """Why it does not run afterwards, or nothing."""
        self.systemctl("reset-failed", self.unit)
        # PartOf: the one is no more than the switch of the other.
        self.systemctl("start", self.enabled_unit)
        code, said = self.systemctl(verb, self.unit)
        return self._answers(f"systemctl {verb} {self.unit} ends with {code}: {said}" if code else "")

    def stop(self) -> None:
        self.systemctl("stop", self.unit, self.enabled_unit)

    def reload(self) -> str:
        """Why it does not run afterwards, or nothing. Where it does not take what it reads, it ends."""
        try:
            control = Control(self.control)
        except (OSError, TorError) as error:
            return f"it does not answer on {self.control}: {error}"
        with contextlib.closing(control):
            try:
                before = control.info("process/pid")
                control.ask("SIGNAL RELOAD")
                # It comes to this question when it has read all of it.
                control.ask("GETINFO version")
            except (OSError, TorError) as error:
                return self._with_log(f"it ended when it read its configuration ({error})")
        return self._answers("", before)

    def _answers(self, cause: str, pid: str = "") -> str:
        deadline = time.monotonic() + self.timeout
        while not cause:
            try:
                with contextlib.closing(Control(self.control)) as control:
                    now = control.info("process/pid")
                if pid and now != pid:
                    return "it ended when it read its configuration, and was started anew"
                return ""
            except (OSError, TorError) as error:
                if time.monotonic() > deadline:
                    return f"it does not answer on {self.control} within {self.timeout} s: {error}"
                time.sleep(0.2)
        return self._with_log(cause)

    def _with_log(self, cause: str) -> str:
        return f"{cause}. {self._log()}".strip()

    def _log(self) -> str:
        argv = ["journalctl", f"--unit={self.unit}", "--lines=30", "--output=cat", "--quiet"]
        try:
            done = subprocess.run(  # pylint: disable=ansible-bad-function # with a time limit
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        said = tor_files.complaints(done.stdout)
        return "" if said == "it says nothing" else f"Its log: {said}"


def refuse(places: tor_files.Places, torrc: str, names: t.Sequence[str]) -> None:
    """What cannot be, before anything is touched."""
    wrong = [name for name in names if not tor_files.NAME.fullmatch(name)]
    if wrong:
        raise tor_files.FilesError(
            f"{', '.join(wrong)}: no name of a file. Allowed are two digits from 00 to 59, a dash, and small letters, digits and dashes."
        )
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise tor_files.FilesError(f"{', '.join(twice)}: stands in the list twice.")
    if besides := tor_files.included_besides(torrc, places):
        raise tor_files.FilesError(
            f"{places.torrc} says '{besides[0]}' by itself, so that our files would count twice. Remove that line: ours take its place."
        )
    others = tor_files.strangers(places, names)
    if others and tor_files.BEGIN not in torrc:
        raise tor_files.FilesError(
            f"{', '.join(others)} in {places.directory}: nobody includes this yet, and our lines in {places.torrc} would. "
            "Move it away, or include it by yourself under another directory."
        )


class Plan:
    """What is to become of the files."""

    def __init__(self, options: dict[str, t.Any], places: tor_files.Places, group: int = -1) -> None:
        self.places = places
        self.torrc = tor_files.read(places.torrc) if places.torrc.is_file() else ""
        refuse(places, self.torrc, [item["name"] for item in options["files"]])
        there = sorted(places.directory.glob("[0-5][0-9]-*.conf"))
        self.now = {path.stem: tor_files.read(path) for path in there if tor_files.NAME.fullmatch(path.stem)}
        wanted = {item["name"]: item["content"] for item in options["files"] if item["state"] == "present"}
        absent = {item["name"] for item in options["files"] if item["state"] == "absent"}
        if options["exclusive"]:
            absent |= {name for name in self.now if name[0] in "1234" and name not in wanted}
        self.then = {name: text for name, text in {**self.now, **wanted}.items() if name not in absent}
        self.group = group
        self.texts: dict[Path, tuple[str | None, str | None]] = {}
        for name in sorted({*wanted, *absent}):
            self._note(places.directory / f"{name}.conf", self.now.get(name), wanted.get(name))
        self.torrc_then = tor_files.with_block(self.torrc, places)
        self._note(places.torrc, self.torrc, self.torrc_then)
        if options["publish"] == "always":
            before = tor_files.read(places.publisher) if places.publisher.is_file() else None
            self._note(places.publisher, before, places.publishing())
        asked = {
            **{f"{name}.conf": wanted[name] for name in wanted},
            "torrc": "\n".join(places.block()),
            "publish": options["publish"],
        }
        self.digest = hashlib.sha256(repr(sorted(asked.items())).encode("utf-8", "surrogateescape")).hexdigest()
        hidden = {item["name"] for item in options["files"] if item["sensitive"]}
        self.hidden = {places.directory / f"{name}.conf" for name in hidden}

    def _note(self, path: Path, before: str | None, after: str | None) -> None:
        if before != after or (after is not None and path != self.places.torrc and self._closed(path)):
            self.texts[path] = (before, after)

    def _closed(self, path: Path) -> bool:
        """Whether tor could not read it anew."""
        status = path.stat()
        return self.group >= 0 and not (
            status.st_mode & 0o004 or (status.st_mode & 0o040 and status.st_gid == self.group)
        )

    def restart(self) -> bool:
        return tor_files.needs_restart([self.torrc, *self.now.values()], [self.torrc_then, *self.then.values()])

    def write(self) -> None:
        for path, (_before, after) in self.texts.items():
            if after is None:
                path.unlink(missing_ok=True)
            else:
                kept = path.stat().st_mode & 0o7777 if path == self.places.torrc and path.exists() else 0o640
                tor_files.write(path, after, kept, -1 if path == self.places.torrc else self.group)

    def diff(self) -> list[dict[str, str]]:
        told = []
        for path, (before, after) in self.texts.items():
            old, new = (HIDDEN, HIDDEN + "changed\n") if path in self.hidden else (before or "", after or "")
            told.append({"before_header": str(path), "after_header": str(path), "before": old, "after": new})
        return told


def group_of(name: str) -> int:
    """The number of a group; none where tor is not installed yet."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return -1


def pending(stamp: Path, digest: str) -> bool:
    """Whether this is not known to be in force."""
    try:
        return stamp.read_text(encoding="utf-8") != digest
    except OSError:
        return True


def put_in_force(plan: Plan, service: Service, verb: str, stamp: Path) -> None:
    """Write it, and have tor go by it.

    :raises FilesError: it does not, and goes by the old files again.
    """
    was_active = service.active()
    kept = tor_files.Kept([*plan.texts, stamp])
    stamp.unlink(missing_ok=True)
    try:
        plan.write()
        cause = service.reload() if verb == "reloaded" else service.start("restart" if verb == "restarted" else "start")
    except OSError as error:
        cause = str(error)
    if cause:
        kept.put_back()
        again = service.start("restart") if was_active else ""
        if not was_active:
            service.stop()
        if again:
            stamp.unlink(missing_ok=True)
        after = f"it does not run with them either: {again}" if again else "it is as it was"
        raise tor_files.FilesError(f"tor does not go by this: {cause} The old files were put back, and {after}.")
    tor_files.write(stamp, plan.digest, 0o644)


class QuietModule(AnsibleModule):
    """A module that tells the host's log which files it was called for, and not what is in them."""

    def _log_invocation(self) -> None:
        self.log("Invoked for " + " ".join(str(item["name"]) for item in self.params["files"]))


def hide(module: AnsibleModule) -> None:
    """Keep what is sensitive out of the result, which repeats the options."""
    for item in module.params["files"]:
        if item["sensitive"] and item["content"]:
            item["content"] = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


def main() -> None:
    module = QuietModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "content": {"type": "str"},
                    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
                    "sensitive": {"type": "bool", "default": False},
                },
                "required_if": [("state", "present", ["content"])],
            },
            "exclusive": {"type": "bool", "default": False},
            "publish": {"type": "str", "choices": ["always", "elsewhere"], "default": "always"},
            "torrc": {"type": "path", "default": "/etc/tor/torrc"},
            "directory": {"type": "path", "default": "/etc/tor/torrc.d"},
            "published": {"type": "path", "default": "/etc/tor/published.d"},
            "group": {"type": "str", "default": "debian-tor"},
            "control": {"type": "path", "default": "/run/tor/control"},
            "unit": {"type": "str", "default": "tor@default.service"},
            "enabled_unit": {"type": "str", "default": "tor.service"},
            "stamp": {"type": "path", "default": "/var/lib/bcm/in-force/tor"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    options = module.params
    places = tor_files.Places(Path(options["torrc"]), Path(options["directory"]), Path(options["published"]))
    stamp = Path(options["stamp"])
    service = Service(options["unit"], options["enabled_unit"], Path(options["control"]), options["timeout"])
    program = tor_files.program()
    applied = "nothing"
    try:
        plan = Plan(options, places, group_of(options["group"]))
        active = bool(program) and service.active()
        enabled = bool(program) and service.enabled()
        if plan.texts or not active or pending(stamp, plan.digest):
            # A run that was killed may have written what needs a new start.
            anew = plan.restart() or not plan.texts
            applied = ("restarted" if anew else "reloaded") if active else "started"
        if program and plan.texts:
            tor_files.verify(program, places, plan.torrc_then, plan.then)
        elif not program and not module.check_mode:
            raise tor_files.FilesError("tor is not installed. Nothing was touched.")
        if not module.check_mode:
            if applied != "nothing":
                put_in_force(plan, service, applied, stamp)
            if not enabled and (said := service.enable()):
                raise tor_files.FilesError(f"{options['enabled_unit']} cannot be enabled: {said}")
    except (tor_files.FilesError, OSError, subprocess.TimeoutExpired) as exc:
        hide(module)
        module.fail_json(msg=str(exc), changed=False)
    result: dict[str, t.Any] = {
        "changed": applied != "nothing" or not enabled,
        "applied": applied,
        "changed_paths": [str(path) for path in plan.texts],
    }
    if module._diff:
        result["diff"] = plan.diff()
    hide(module)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
