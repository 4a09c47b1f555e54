# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is PRIVATE to the collection: it may change without notice.
"""Commands in instances over a slow line: one way there and back for each, where LXD's API takes seven.

Through the sockets that ssh forwards, a command takes one for the connection, one for a question that proves it, one to ask for
the command, two for the connections of its streams, one for what it reads and says, and one for its status. A relay does all
that beside LXD. Its far end is a small program that Python runs on the server, in a session of the ssh in the background; its
near end is a process on the controller that all workers share. Both end when nobody has had a use for them for a while.

Where there can be none, for there is no Python or no shell, the API is what remains: whoever asks is told so before anything was done.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import socket
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from ansible_collections.bcm.datacenter.plugins.module_utils import _lxd_client as clients
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_ssh import Tunnel
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _frames as frames
from ansible_collections.bcm.datacenter.plugins.plugin_utils._lxd_exec import ConnectionLostError

_PLUGINS = Path(__file__).parents[1]
_PACKAGE = "ansible_collections/bcm/datacenter/plugins"
# Both ends, with all that they import beside the standard library.
_CODE = (
    "module_utils/_lxd_client.py",
    "module_utils/_lxd_flavour.py",
    "module_utils/_websocket.py",
    "plugin_utils/_frames.py",
    "plugin_utils/_lxd_exec.py",
    "plugin_utils/_lxd_relay_far.py",
    "plugin_utils/_lxd_relay_near.py",
)
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from ansible_collections.bcm.datacenter.plugins.plugin_utils._lxd_relay_near import main; "
    "sys.exit(main(*sys.argv[1:]))"
)
# The near end greets at once, where there is one.
_PATIENCE = 10.0


class Answer(t.NamedTuple):
    """What became of a command."""

    status: int
    created_at: str
    stdout: bytes
    stderr: bytes


class Relay:
    """The relay of one tunnel, which is started where it does not run."""

    def __init__(self, tunnel: Tunnel, timeout: float) -> None:
        self._tunnel = tunnel
        self._timeout = timeout

    def execute(self, request: dict[str, t.Any], given: bytes) -> Answer | None:
        """Have a command run in an instance, and wait for its end. None: there is no relay, and nothing was done."""
        sock = self._reach()
        if sock is None:
            return None
        try:
            whole = {**request, "url": f"unix://{self._tunnel.remote_socket}", "timeout": self._timeout}
        except OSError:
            # Somebody has had no answer through it, and it is looked for anew.
            sock.close()
            return None
        with sock, sock.makefile("rb") as stream:
            message = None
            with contextlib.suppress(OSError):
                sock.sendall(frames.frame(0, frames.EXECUTE, json.dumps(whole).encode() + b"\n", given))
                message = frames.read(stream)
        if message is None:
            raise ConnectionLostError(
                "the way to its server broke while the command ran. It is not known what became of it."
            )
        return _answer(message.data)

    # -- the near end -------------------------------------------------------------------------------------------

    def _reach(self) -> socket.socket | None:
        directory = self._tunnel.directory
        sock = _greeted(directory / "r")
        if sock is None and not self._in_vain(directory):
            with (directory / "relay.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                # Whoever has waited takes what somebody else has started, or has tried in vain.
                sock = _greeted(directory / "r")
                if sock is None and not self._in_vain(directory) and self._start(directory):
                    sock = _greeted(directory / "r")
        return sock

    def _in_vain(self, directory: Path) -> bool:
        """Whether the ssh that is in the background now has been tried already."""
        try:
            return (directory / "norelay").stat().st_mtime_ns >= (directory / "c").stat().st_mtime_ns
        except OSError:
            return False

    def _start(self, directory: Path) -> bool:
        # Once for many commands: the workers do not load it.
        from ansible_collections.bcm.datacenter.plugins.plugin_utils._lxd_relay_near import far_command

        self._tunnel.stand()
        # What one that was killed has left behind.
        (directory / "r").unlink(missing_ok=True)
        archive = directory / "relay.zip"
        archive.write_bytes(packed())
        argv = [sys.executable, "-I", "-c", _START, str(archive), str(directory / "r")]
        argv += [json.dumps(self._tunnel.session(far_command())), str(self._timeout)]
        with (directory / "relay.log").open("wb") as log:
            # A session of its own: it outlives this worker, and the terminal's Ctrl-C does not reach it.
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
            )
        # It has a time limit of its own.
        while process.poll() is None and not (directory / "r").exists():
            time.sleep(0.02)
        if process.returncode is None:
            return True
        (directory / "norelay").write_bytes((directory / "relay.log").read_bytes())
        return False


def packed() -> bytes:
    """The code of both ends, as an archive that Python imports from."""
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        folders = {parent for name in _CODE for parent in Path(_PACKAGE, name).parents if parent.name}
        for folder in sorted(folders):
            archive.writestr(f"{folder}/__init__.py", "")
        for name in _CODE:
            archive.write(_PLUGINS / name, f"{_PACKAGE}/{name}")
    return buffer.getvalue()


def _greeted(path: Path) -> socket.socket | None:
    """A connection to the near end, which has said that it takes one command."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(_PATIENCE)
    try:
        sock.connect(str(path))
        if sock.recv(1) == frames.HELLO:
            sock.settimeout(None)
            return sock
    except OSError:
        pass
    sock.close()
    return None


def _answer(data: bytes) -> Answer:
    head, _line, rest = data.partition(b"\n")
    said = json.loads(head)
    if "failed" in said:
        kind = getattr(clients, said["failed"], None)
        if isinstance(kind, type) and issubclass(kind, clients.LXDError):
            raise kind(said["text"])
        raise ConnectionLostError(said["text"])
    return Answer(said["status"], said["created_at"], rest[: said["stdout"]], rest[said["stdout"] :])
