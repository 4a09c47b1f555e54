# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: audit
type: notification
short_description: Write into a site's journal who has run which playbook, and what it changed
description:
  - At the end of each playbook one line of JSON goes to the journal of a host of the site, from where C(bcm-shipper) brings it to the topic
    C(audit). It says who ran which playbook, when, how long, with which limit and tags, on which hosts, and how many results were changes
    or failures on each.
  - No value of a variable is in it. Of variables that were given on the command line it has the names.
  - The host is a manager that the run has reached, else another instance, a manager that it has not reached, or an endpoint.
  - A run that touched no host is not told, and neither is one on an inventory without groups of a site.
  - That the line could not be written is a warning, never a failure of the run. A run that is killed leaves no line of this kind; what its
    modules did on hosts is in the journals there.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
requirements:
  - Named in C(callbacks_enabled), in the section C(defaults) of C(ansible.cfg), or in the environment as C(ANSIBLE_CALLBACKS_ENABLED).
options:
  who:
    description:
      - Who runs it, where the controller's own account does not say it.
      - By default the user of AWX who launched the job, else the account on the controller, before C(sudo), and the controller's name.
    type: str
    default: ''
    env:
      - name: BCM_AUDIT_WHO
    ini:
      - section: callback_audit
        key: who
notes:
  - Passwords that somebody types for a run (C(--ask-pass)) are not known to it, so that a host that can be reached only with one gets no line.
"""

EXAMPLES = r"""
ansible.cfg: |
  [defaults]
  callbacks_enabled = bcm.datacenter.progress, bcm.datacenter.audit
"""

import base64
import getpass
import json
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible import context
from ansible.executor.task_queue_manager import TaskQueueManager
from ansible.playbook.play import Play
from ansible.plugins.callback import CallbackBase

# By these the journal, and the shipper, know what it is: who logs as authpriv (10) is of the class audit.
IDENTIFIER = "bcm-ansible"
FACILITY = "10"
NOTICE = "5"
# More hosts than this are counted and not named, so that the line stays one that a command can carry.
NAMED = 500
# So many hosts are tried, one after the other.
TRIES = 3
# Groups of a site, in the order in which they are asked to take the line.
MANAGERS = "tier_manager"
INSTANCES = "instances"
ENDPOINTS = "endpoints"


def person(extra: Mapping[str, Any], environment: Mapping[str, str], account: str, controller: str) -> str:
    """Who has begun a run: as AWX says it, or the account on the controller."""
    for name in ("awx_user_name", "tower_user_name"):
        if extra.get(name):
            return f"{extra[name]} (AWX)"
    return f"{environment.get('SUDO_USER') or account}@{controller}"


def account() -> str:
    """The account on the controller, in a container maybe a number without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def told(counts: Mapping[str, int]) -> dict[str, int]:
    """Those of COUNTS that are not nought, by host."""
    return {host: number for host, number in sorted(counts.items()) if number}


def result_of(stats: Any) -> str:
    """What came of a run, in one word."""
    return "failed" if any(stats.failures.values()) else "unreachable" if any(stats.dark.values()) else "ok"


def record_of(stats: Any, run: Mapping[str, Any]) -> dict[str, Any]:
    """What there is to tell of RUN, by the STATS at its end."""
    hosts = sorted(stats.processed)
    counts = {"changed": told(stats.changed), "failed": told(stats.failures), "unreachable": told(stats.dark)}
    record = {"event": "ansible-run", **run, "result": result_of(stats), "hosts": hosts, **counts}
    if len(hosts) > NAMED:
        record |= {"hosts": len(hosts), **{name: sum(found.values()) for name, found in counts.items()}}
    return record


def takers(groups: Mapping[str, Sequence[str]], reached: Sequence[str]) -> list[str]:
    """Hosts that may take the line, the best first. None where the inventory is not a site's."""
    managers, instances, endpoints = (list(groups.get(name, ())) for name in (MANAGERS, INSTANCES, ENDPOINTS))
    there = set(reached)
    order = [
        *(host for host in managers if host in there),
        *(host for host in instances if host in there),
        *managers[:1],
        *(host for host in endpoints if host in there),
    ]
    return list(dict.fromkeys(order))


def command(record: Mapping[str, Any]) -> str:
    """What a shell does to write RECORD into its host's journal. In Base64, for it is text that nobody may take for a command."""
    fields = {
        "MESSAGE": json.dumps(record, ensure_ascii=False, separators=(",", ":")),
        "PRIORITY": NOTICE,
        "SYSLOG_FACILITY": FACILITY,
        "SYSLOG_IDENTIFIER": IDENTIFIER,
    }
    # Of JSON nothing has a line feed in it.
    entry = "".join(f"{name}={value}\n" for name, value in fields.items())
    return f"echo {base64.b64encode(entry.encode()).decode()} | base64 -d | logger --journald"


class Outcome(CallbackBase):
    """What came of writing the line. It shows nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.written = False
        self.reason = "it has no part in this inventory"

    def v2_runner_on_ok(self, result: Any) -> None:
        self.written = True

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._keep(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._keep(result)

    def _keep(self, result: Any) -> None:
        said = result.result
        self.reason = str(said.get("stderr") or said.get("msg") or "no reason was given").strip()[-300:]


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "bcm.datacenter.audit"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._playbook = ""
        self._play: Any = None
        self._began = 0.0

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._playbook = Path(playbook._file_name).name
        self._play = None
        self._began = time.time()

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._play = play

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if self._play is None or not stats.processed:
            return
        # Whatever goes wrong here has nothing to do with what the run was for.
        try:
            self._tell(stats)
        except Exception as exc:
            self._display.warning(f"This run is not in the audit log: {exc}")

    def _run(self) -> dict[str, Any]:
        """What was asked for."""
        arguments = context.CLIARGS
        extra = self._play.get_variable_manager().extra_vars
        run: dict[str, Any] = {
            "who": self.get_option("who") or person(extra, os.environ, account(), socket.gethostname()),
            "playbook": self._playbook,
            "check": bool(arguments.get("check")),
            "limit": arguments.get("subset") or "",
            "tags": sorted(tag for tag in arguments.get("tags") or () if tag != "all"),
            "skip_tags": sorted(arguments.get("skip_tags") or ()),
            "extra_vars": sorted(map(str, extra)),
            "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._began)),
            "seconds": round(time.time() - self._began),
        }
        job = extra.get("awx_job_id") or extra.get("tower_job_id")
        return {**run, "job": job} if job else run

    def _tell(self, stats: Any) -> None:
        inventory = self._play.get_variable_manager()._inventory
        reached = [host for host in stats.processed if not stats.dark.get(host)]
        groups = inventory.get_groups_dict()
        candidates = takers(groups, reached)[:TRIES]
        if not candidates:
            return
        said = command(record_of(stats, self._run()))
        reasons = []
        for host in candidates:
            reason = self._write(host, said, inventory)
            if not reason:
                return
            reasons.append(f"{host}: {reason}")
        self._display.warning(f"This run is not in the audit log: {'; '.join(reasons)}")

    def _write(self, host: str, said: str, inventory: Any) -> str:
        """Run what was SAID on HOST, as a task of a play of its own. Why it could not be done, empty if it was."""
        task = {
            "name": "Who has run what",
            "ansible.builtin.raw": said,
            "check_mode": False,
            "changed_when": False,
            "tags": ["always"],
            # Everybody may write into the journal.
            "vars": {"ansible_become": False},
        }
        source = {"name": "Audit", "hosts": host, "gather_facts": False, "strategy": "linear", "tasks": [task]}
        manager, loader = self._play.get_variable_manager(), self._play.get_loader()
        play = Play.load(source, variable_manager=manager, loader=loader)
        outcome = Outcome()
        outcome._init_callback_methods()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        # The limit, and the hosts of the last play that are left of it, are for what the run was for.
        inventory.subset(None)
        inventory.remove_restriction()
        queue = TaskQueueManager(inventory, manager, loader, {}, forks=1)
        try:
            # With one of them there, no others are loaded: neither this one once more, nor one that shows what it does.
            queue._callback_plugins.append(outcome)
            queue._start_at_done = True
            queue.run(play)
        finally:
            queue.cleanup()
            inventory.subset(context.CLIARGS.get("subset"))
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return "" if outcome.written else outcome.reason
