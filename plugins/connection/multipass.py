# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: multipass
short_description: Run tasks in multipass instances
description:
  - Runs commands in, and copies files to and from, virtual machines of multipass on this machine, with C(multipass exec) and
    C(multipass transfer).
  - It needs nothing in the instance but what multipass itself has put there. Where the instance has an SSH key of yours, SSH is faster;
    the inventory plugin P(bcm.datacenter.multipass#inventory) knows where that is so.
  - An instance that is missing, stopped, suspended or deleted is unreachable. It is not started, as C(multipass exec) by itself would.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
options:
  remote_addr:
    description: Name of the instance.
    type: str
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
      - name: bcm_multipass_name
  program:
    description: The C(multipass) program, as a path or as a name that is looked for on the PATH and where packages put it.
    type: str
    default: multipass
    vars:
      - name: bcm_multipass_program
    env:
      - name: BCM_MULTIPASS_PROGRAM
    ini:
      - section: bcm_multipass_connection
        key: program
  # Not "timeout": Ansible would fill it with its own, which is 10, and look nowhere else.
  multipass_timeout:
    description:
      - Seconds that multipass may take to tell the state of the instance, to begin with a command and to end with it once the command has
        ended, that become may take to let the command through, and that a file may stand still on its way.
      - It does not limit how long a command may run. The C(timeout) keyword of a task does. The instance of a command that prints nothing
        is looked at now and then, and one that no longer runs is unreachable.
    type: int
    default: 60
    vars:
      - name: bcm_multipass_timeout
    env:
      - name: BCM_MULTIPASS_TIMEOUT
    ini:
      - section: bcm_multipass_connection
        key: timeout
  executable:
    description: Shell in the instance that runs the commands.
    type: str
    default: /bin/sh
    vars:
      - name: ansible_executable
      - name: bcm_multipass_executable
    ini:
      - section: defaults
        key: executable
extends_documentation_fragment:
  - ansible.builtin.connection_pipelining
notes:
  - Commands start as the user that multipass logs in as, C(ubuntu) in Ubuntu's images. Use become for others.
  - There is no terminal, so a become method that insists on one does not work.
"""

EXAMPLES = r"""
- name: Run a command in an instance
  hosts: try-1
  vars:
    ansible_connection: bcm.datacenter.multipass
  tasks:
    - name: Read the release of the instance
      ansible.builtin.command: cat /etc/os-release
      changed_when: false
"""

import os
import typing as t
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection import ConnectionBase

from ansible_collections.bcm.datacenter.plugins.module_utils._multipass import (
    ANSWERS,
    Multipass,
    MultipassError,
    name_error,
)
from ansible_collections.bcm.datacenter.plugins.plugin_utils._become import pass_become, without_become
from ansible_collections.bcm.datacenter.plugins.plugin_utils._multipass_exec import Command, Program

# Seconds without a word from a command after which its instance is looked at.
SILENCE = 60


class Connection(ConnectionBase):
    """Commands and files through the multipass program."""

    transport = "bcm.datacenter.multipass"
    has_pipelining = True
    has_tty = False
    # The one that multipass logs in as.
    default_user = "ubuntu"

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._connected: bool = False
        self._multipass = Multipass()

    @property
    def _instance(self) -> str:
        return t.cast(str, self.get_option("remote_addr"))

    @property
    def _timeout(self) -> int:
        return t.cast(int, self.get_option("multipass_timeout"))

    def _connect(self) -> Connection:
        if self._connected:
            return self
        self._display.vvv("MULTIPASS INSTANCE", host=self._instance)
        # A name with a dot, or none at all, would mean something else to multipass.
        if error := name_error(self._instance):
            raise AnsibleConnectionFailure(error)
        self._multipass = Multipass(self.get_option("program"), self._timeout)
        # `multipass exec` starts an instance that does not run: a task must not do so by the way.
        try:
            trouble = self._trouble()
        except MultipassError as exc:
            raise self._failure("cannot be looked at", str(exc)) from None
        if trouble:
            raise self._failure("cannot be reached", trouble)
        self._connected = True
        return self

    def _trouble(self) -> str:
        """Why no command can be run in the instance; empty if one can."""
        state = self._multipass.state(self._instance)
        if state in ANSWERS:
            return ""
        if not state:
            return "it does not exist. Launch it, or correct its name (bcm_multipass_name)."
        remedies = {
            "Stopped": f"Start it (multipass start {self._instance}).",
            "Suspended": f"Start it (multipass start {self._instance}).",
            "Deleted": f"Recover it (multipass recover {self._instance}), or take it out of the inventory.",
        }
        return f"it is {state.lower()}. {remedies.get(state, 'Wait until it runs.')}"

    def _failure(self, what: str, reason: str) -> AnsibleConnectionFailure:
        """To be raised `from None`: Ansible appends the text of every cause, and the cause is told here already."""
        return AnsibleConnectionFailure(f"Instance {self._instance!r} of multipass {what}: {reason}")

    def _lost(self, what: str, said: bytes) -> AnsibleConnectionFailure:
        """What became of the instance, or else what multipass said."""
        # Whatever it was, the next command shall look at the instance first.
        self._connected = False
        try:
            trouble = self._trouble()
        except MultipassError as exc:
            trouble = str(exc)
        return self._failure(what, trouble or to_text(said).strip() or "multipass said nothing of the reason.")

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._connect()
        self._display.vvv(f"EXEC {to_text(cmd)}", host=self._instance)
        becoming = bool(sudoable and self.become and self.become._id)
        shell, text = self.get_option("executable"), to_text(cmd, errors="surrogate_or_strict")
        with Command(self._multipass.path, self._instance, shell, text) as process:
            if not process.await_begin(self._timeout):
                said = process.errors if process.finished else f"nothing began within {self._timeout} s.".encode()
                raise self._lost("could not run a command", said)
            if becoming:
                pass_become(self.become, self._play_context, process, self._timeout, self._instance)
            if in_data:
                process.write(to_bytes(in_data, errors="surrogate_or_strict"))
            process.close_stdin()
            status = self._attend(process)
            stdout, stderr = bytes(process.stdout), process.errors
        if becoming:
            stdout, stderr = without_become(self.become, stdout, stderr)
        return status, stdout, stderr

    def _attend(self, process: Command) -> int:
        """Wait for the command's end. Its own word counts: multipass ends with the same codes when it has lost the instance."""
        while not process.finished:
            ended = process.status is not None
            if process.poll(self._timeout if ended else SILENCE):
                continue
            if ended:
                raise self._lost(
                    "ran a command", f"it ended, but multipass did not, within {self._timeout} s.".encode()
                )
            try:
                trouble = self._trouble()
            except MultipassError:
                # A daemon that is slow to answer says nothing about the command.
                trouble = ""
            if trouble:
                raise self._failure("was lost while it ran a command", trouble)
        if process.status is None:
            raise self._lost("was lost while it ran a command", process.errors)
        process.wait(self._timeout)
        return process.status

    def put_file(self, in_path: str, out_path: str) -> None:
        super().put_file(in_path, out_path)
        self._connect()
        self._display.vvv(f"PUT {in_path} TO {out_path}", host=self._instance)
        if not Path(in_path).is_file():
            raise AnsibleFileNotFound(f"file or module does not exist: {to_text(in_path)}")
        with Path(in_path).open("rb") as source:
            self._transfer(f"could not take the file {out_path!r}", "-", f"{self._instance}:{out_path}", source=source)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        super().fetch_file(in_path, out_path)
        self._connect()
        self._display.vvv(f"FETCH {in_path} TO {out_path}", host=self._instance)
        partial = Path(f"{out_path}.{os.getpid()}.part")
        try:
            with partial.open("wb") as target:
                self._transfer(
                    f"could not give the file {in_path!r}", f"{self._instance}:{in_path}", "-", target=target
                )
            partial.replace(out_path)
        finally:
            partial.unlink(missing_ok=True)

    def _transfer(self, trouble: str, *args: str, **streams: t.Any) -> None:
        with Program([self._multipass.path, "transfer", *args], **streams) as process:
            if not process.run(self._timeout):
                raise self._lost(trouble, f"nothing has moved for {self._timeout} s.".encode())
            status, said = process.wait(0), bytes(process.stderr)
        if not status:
            return
        failure = self._lost(trouble, said)
        if b"No such file" in said and "target" in streams and "No such file" in str(failure):
            raise AnsibleFileNotFound(str(failure))
        raise failure

    def reset(self) -> None:
        self.close()

    def close(self) -> None:
        self._connected = False
