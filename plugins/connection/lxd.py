# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: lxd
short_description: Run tasks in LXD instances through the API
description:
  - Runs commands in, and copies files to and from, instances of an LXD or Incus server.
  - It speaks to the server's API with the standard library alone. Neither C(lxc) on the controller nor sshd in the
    instance is needed.
  - The server may be on this machine (its unix socket), be open to the network (HTTPS with a client certificate), or be
    reached through its host's sshd. For the latter OpenSSH's client has to be on the controller, and on the server
    nothing but sshd and the server itself. Over a slow line it is quicker where Python 3 is there too (O(ssh_relay)).
  - An instance that is missing or stopped is unreachable. So is one whose server is restarted while a command runs,
    because nobody knows then what became of the command.
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
      - name: ansible_lxd_host
  lxd_url:
    description:
      - Where the server answers, for example V(unix:///var/lib/lxd/unix.socket), V(https://host:8443) or
        V(ssh://[user@]host[:port][/path/of/the/socket]).
      - When not set, the socket is looked for where E(LXD_SOCKET), E(LXD_DIR), E(INCUS_SOCKET) or E(INCUS_DIR) say and in
        the usual places of LXD and Incus.
      - With V(ssh) and no path, the usual ones of LXD and of Incus are tried in turn on the server. One C(ssh) in the
        background serves all tasks of all workers.
    type: str
    vars:
      - name: ansible_lxd_url
      - name: bcm_lxd_url
    env:
      - name: BCM_LXD_URL
    ini:
      - section: bcm_lxd_connection
        key: url
  project:
    description: LXD project of the instance.
    type: str
    default: default
    vars:
      - name: ansible_lxd_project
      - name: bcm_lxd_project
    env:
      - name: BCM_LXD_PROJECT
    ini:
      - section: bcm_lxd_connection
        key: project
  ssh_relay:
    description:
      - Whether commands are handed to a small program on the server, which has LXD run them there. For V(ssh) only.
      - Each takes one way there and back then, where the API takes seven. It is Python that runs this program, in a session of
        the same C(ssh), as the user who logs in. It leaves no file behind, and ends two minutes after the last command.
      - V(auto) does so where the way is slow, so that the first answer takes more than a fifth of a second.
      - Where it cannot run, because the server has no C(python3) or the user no shell, the API does without it. Commands under a
        become method and files go through the API, too.
    type: str
    choices: [auto, always, never]
    default: auto
    version_added: 0.1.0
    vars:
      - name: bcm_lxd_ssh_relay
    env:
      - name: BCM_LXD_SSH_RELAY
    ini:
      - section: bcm_lxd_connection
        key: ssh_relay
  # Not "timeout": Ansible would fill it with its own, which is 10, and look nowhere else.
  lxd_timeout:
    description:
      - Seconds that the server may take for a single answer, and that become may take to ask for a password or to
        let the command through.
      - It does not limit how long a command may run. The C(timeout) keyword of a task does.
    type: int
    default: 30
    vars:
      - name: bcm_lxd_timeout
    env:
      - name: BCM_LXD_TIMEOUT
    ini:
      - section: bcm_lxd_connection
        key: timeout
  executable:
    description: Shell in the instance that runs the commands.
    type: str
    default: /bin/sh
    vars:
      - name: ansible_executable
      - name: bcm_lxd_executable
    ini:
      - section: defaults
        key: executable
extends_documentation_fragment:
  - ansible.builtin.connection_pipelining
  - bcm.datacenter.lxd.plugin
notes:
  - Commands start as root, in the instance's own environment as C(lxc exec) gives it. Use become for other users.
  - There is no terminal, so a become method that insists on one does not work.
"""

EXAMPLES = r"""
- name: Run a command in an instance
  hosts: manager-1
  vars:
    ansible_connection: bcm.datacenter.lxd
    bcm_lxd_project: bcm-home
  tasks:
    - name: Read the release of the instance
      ansible.builtin.command: cat /etc/os-release
      changed_when: false

- name: The same on a server that is reached over an onion service
  hosts: manager-1
  vars:
    ansible_connection: bcm.datacenter.lxd
    bcm_lxd_url: ssh://operator@expyuzz4wqqyqhjn.onion
    ansible_ssh_common_args: -o ProxyCommand="nc -x 127.0.0.1:9050 %h %p"
    bcm_lxd_timeout: 60
  tasks:
    - name: Check that it answers
      ansible.builtin.ping:

- name: The same on a server that listens to the network
  hosts: manager-1
  vars:
    ansible_connection: bcm.datacenter.lxd
    bcm_lxd_url: https://server.example:8443
    bcm_lxd_client_cert: ~/.config/lxc/client.crt
    bcm_lxd_client_key: ~/.config/lxc/client.key
    bcm_lxd_server_cert: ~/.config/lxc/servercerts/server.crt
  tasks:
    - name: Check that it answers
      ansible.builtin.ping:
"""

import http.client
import json
import os
import shutil
import stat
import typing as t
from pathlib import Path
from urllib.parse import quote

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection import ConnectionBase

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_flavour as flavours
from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_time as times
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import (
    LXDClient,
    LXDError,
    LXDNotFound,
    LXDTimeout,
    LXDUnreachable,
)
from ansible_collections.bcm.datacenter.plugins.plugin_utils._become import pass_become, without_become
from ansible_collections.bcm.datacenter.plugins.plugin_utils._lxd_exec import ConnectionLostError, Process
from ansible_collections.bcm.datacenter.plugins.plugin_utils._lxd_way import client

# 128+n: a signal killed the command; LXD says -1 or 129 where it lost sight of it. All are also what a command
# leaves behind whose instance was stopped under it.
SUSPECT_STATUS = frozenset({-1, 129, 137, 143, 255})
SLOWEST_TRANSFER = 1 << 20  # bytes a second


class Connection(ConnectionBase):
    """Commands and files through LXD's API."""

    transport = "bcm.datacenter.lxd"
    has_pipelining = True
    has_tty = False
    # There is no login: LXD starts commands as root.
    default_user = "root"

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._connected: bool = False
        self._client: LXDClient | None = None

    @property
    def _instance(self) -> str:
        return t.cast(str, self.get_option("remote_addr"))

    @property
    def _project(self) -> str:
        return t.cast(str, self.get_option("project") or "default")

    @property
    def _path(self) -> str:
        return f"/1.0/instances/{quote(self._instance, safe='')}"

    @property
    def _api(self) -> LXDClient:
        if self._client is None:
            try:
                self._client = client(
                    self.get_option, self.get_option("lxd_url"), self.get_option("lxd_timeout"), self._project
                )
            except LXDError as exc:
                raise self._failure(exc, "cannot be reached") from None
        return self._client

    def _connect(self) -> Connection:
        if not self._connected:
            self._display.vvv(f"LXD INSTANCE {self._instance} OF PROJECT {self._project}", host=self._instance)
            self._connected = True
        return self

    def _failure(self, exc: Exception | str, trouble: str) -> AnsibleConnectionFailure:
        """What was tried, on which instance, why it failed and what to do.

        To be raised `from None`: Ansible appends the text of every cause, and the cause is told here already.
        """
        what = f"Instance {self._instance!r} of LXD project {self._project!r} {trouble}"
        if isinstance(exc, LXDUnreachable):
            far = str(self.get_option("lxd_url") or "").startswith(("https:", "ssh:"))
            advice = "" if far else " Start LXD, or set bcm_lxd_url to its socket."
            return AnsibleConnectionFailure(f"{what}: LXD does not answer: {exc}{advice}")
        state = "" if isinstance(exc, str | LXDTimeout) else self._state()
        if state == "missing":
            return AnsibleConnectionFailure(
                f"{what}: it does not exist. Create it, or correct its name or bcm_lxd_project."
            )
        if state and state not in flavours.RUNNING:
            return AnsibleConnectionFailure(
                f"{what}: it is {state.lower()}. Start it (lxc start --project {self._project} {self._instance})."
            )
        return AnsibleConnectionFailure(f"{what}: {exc}")

    def _state(self) -> str:
        """The instance's status, 'missing', or '' when LXD cannot be asked. Used only once something has failed."""
        if self._client is None:
            return ""
        try:
            return t.cast(str, self._client.get(f"{self._path}/state")["status"])
        except LXDNotFound:
            return "missing"
        except (LXDError, OSError):
            return ""

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._connect()
        self._display.vvv(f"EXEC {to_text(cmd)}", host=self._instance)
        command = to_text(cmd, errors="surrogate_or_strict")
        given = to_bytes(in_data, errors="surrogate_or_strict") if in_data else b""
        becoming = bool(sudoable and self.become and self.become._id)
        try:
            # Whoever becomes somebody else may be asked for a password before the input is taken.
            done = self._relayed(command, given) if not becoming else None
            status, since, stdout, stderr = done or self._executed(command, given, becoming)
        except (ConnectionLostError, LXDError) as exc:
            raise self._failure(exc, "could not run a command") from None
        if status in SUSPECT_STATUS:
            self._check_alive(status, since)
        if becoming:
            stdout, stderr = without_become(self.become, stdout, stderr)
        return status, stdout, stderr

    def _executed(self, command: str, given: bytes, becoming: bool) -> tuple[int, str, bytes, bytes]:
        """Through the API: status, LXD's time of the start, and what was said."""
        with self._process(command) as process:
            if becoming:
                seconds = self.get_option("lxd_timeout")
                pass_become(self.become, self._play_context, process, seconds, self._instance)
            if given:
                process.write(given)
            process.close_stdin()
            process.communicate()
            status = process.wait()
        return status, process.created_at, bytes(process.stdout), bytes(process.stderr)

    def _relayed(self, command: str, given: bytes) -> tuple[int, str, bytes, bytes] | None:
        """The same by a relay; None where there is none to be had, and nothing was done."""
        tunnel, wish = self._api.tunnel, self.get_option("ssh_relay")
        if tunnel is None or wish == "never":
            return None
        if wish == "auto":
            tunnel.stand_once()
            if not tunnel.slow:
                return None
        # Here, for it is much to load for those who go another way.
        from ansible_collections.bcm.datacenter.plugins.plugin_utils._lxd_relay import Relay

        return Relay(tunnel, self.get_option("lxd_timeout")).execute(
            {"project": self._project, **self._request(command)}, given
        )

    def _request(self, command: str) -> dict[str, t.Any]:
        return {
            "instance": quote(self._instance, safe=""),
            "argv": [self.get_option("executable"), "-c", command],
            # The rest of the environment (PATH, HOME, USER, LANG, environment.* of the instance) is LXD's part.
            "environment": {"TERM": os.environ["TERM"]} if os.environ.get("TERM") else {},
        }

    def _process(self, command: str) -> Process:
        return Process(self._api, **self._request(command), timeout=self.get_option("lxd_timeout"))

    def _check_alive(self, status: int, since: str) -> None:
        """Tell a command that was killed from one whose instance was stopped or restarted under it."""
        lost = f"was stopped while it ran a command (exit status {status})"
        try:
            with self._process(":") as probe:
                probe.close_stdin()
                probe.communicate()
                alive = probe.wait() == 0
            used = times.when(self._api.get(self._path).get("last_used_at"))
        except (ConnectionLostError, LXDError) as exc:
            raise self._failure(exc, lost) from None
        # Both times are LXD's own: RFC 3339, in UTC for the instance and with an offset for the operation.
        begun = times.when(since)
        if not alive or (begun and used and used > begun):
            raise self._failure("it has been started again since. Run the play again.", lost)

    def put_file(self, in_path: str, out_path: str) -> None:
        super().put_file(in_path, out_path)
        self._connect()
        self._display.vvv(f"PUT {in_path} TO {out_path}", host=self._instance)
        if not Path(in_path).is_file():
            raise AnsibleFileNotFound(f"file or module does not exist: {to_text(in_path)}")
        with Path(in_path).open("rb") as source:
            status_of_source = os.fstat(source.fileno())
            mode, size = stat.S_IMODE(status_of_source.st_mode), status_of_source.st_size
            fields = {"type": "file", "write": "overwrite", "uid": "0", "gid": "0", "mode": f"{mode:04o}"}
            try:
                status, _headers, answer = self._api.raw(
                    "POST",
                    f"{self._path}/files",
                    data=source,
                    headers={**flavours.headers(fields), "Content-Type": "application/octet-stream"},
                    query={"path": out_path},
                    # LXD answers only when it has written all.
                    timeout=self.get_option("lxd_timeout") + size / SLOWEST_TRANSFER,
                )
            except (LXDError, OSError) as exc:
                raise self._failure(exc, f"could not take the file {out_path!r}") from None
        if status >= 400:
            raise self._failure(LXDError(_error_text(answer, status)), f"could not take the file {out_path!r}")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        super().fetch_file(in_path, out_path)
        self._connect()
        self._display.vvv(f"FETCH {in_path} TO {out_path}", host=self._instance)
        partial = Path(f"{out_path}.{os.getpid()}.part")
        try:
            status, headers, body = self._api.raw("GET", f"{self._path}/files", query={"path": in_path}, stream=True)
            if status >= 400:
                text = _error_text(body.read(), status)
                if status == 404 and self._state() in flavours.RUNNING:
                    raise AnsibleFileNotFound(f"{in_path} does not exist in instance {self._instance!r}")
                raise self._failure(LXDError(text), f"could not give the file {in_path!r}")
            kind = flavours.header(headers, "type", "file")
            if kind != "file":
                raise AnsibleError(f"{in_path} in instance {self._instance!r} is a {kind}, not a file")
            with body, partial.open("wb") as target:
                shutil.copyfileobj(body, target, 1 << 20)
                received = target.tell()
            if received != int(headers.get("content-length", received)):
                raise self._failure(
                    "the connection to LXD ended in the middle.", f"could not give the file {in_path!r}"
                )
            partial.replace(out_path)
        except (LXDError, http.client.HTTPException, ConnectionError, TimeoutError) as exc:
            raise self._failure(exc, f"could not give the file {in_path!r}") from None
        finally:
            partial.unlink(missing_ok=True)

    def reset(self) -> None:
        self.close()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        self._connected = False


def _error_text(body: bytes, status: int) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"LXD answered with HTTP status {status}"
