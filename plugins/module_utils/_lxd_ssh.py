# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no compatibility promises.

"""The unix socket of an LXD on another machine, reached through OpenSSH; nothing of LXD's API and nothing of Ansible.

One ssh process for each endpoint stays in the background and is shared by all processes of this user: a ControlMaster
that forwards local sockets to the remote ones (StreamLocalForward). It was chosen over one `ssh -W` for each connection
because ssh before 9.4 cannot do that for unix sockets, because it would be a process for each connection (a command has
five), and because what has no process has nothing that can be left behind. sshd counts neither as a session
(MaxSessions). In the ordinary case opening a connection is one connect(2), and no program is run at all. The price is
that ssh takes every connection and hangs up when the remote end cannot be had, so whoever starts the master asks each
of the remote sockets once for an answer, and what went wrong is looked up afterwards.

A tunnel is a directory that only its user can enter:

    c         the control socket
    0, 1, …   one socket for each remote path that is tried
    s         a symbolic link to that one which answered
    log       what ssh had to say
    line      how many seconds the first answer took
    lock      who starts ssh
    failed    what became of the last attempt, for those who waited for it

What is called r or relay there belongs to plugin_utils/_lxd_relay.py.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_client import LXDUnreachable
from ansible_collections.bcm.datacenter.plugins.module_utils._lxd_flavour import SOCKETS

# Of the 108 bytes (104 on BSD) of a socket's name ssh wants 17 for a name that it renames afterwards.
_LONGEST_DIRECTORY = 104 - 1 - len("/c.0123456789abcdef")
# What ssh would read as more than a path: its own separators, tokens and variables.
_PLAIN_PATH = re.compile(r"/[^:%$\\\s\x00-\x1f]*")
_ADDRESS = re.compile(
    r"ssh://(?:(?P<user>[^@/:\x22\s]+)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+(?:%[^\]\s]+)?\]|[^@/:\[\]?#\x22\s]+)"
    r"(?::(?P<port>\d+))?(?P<path>/.*)?"
)
_PROBE = b"GET / HTTP/1.1\r\nHost: lxd\r\nConnection: close\r\n\r\n"
_SHELL_SECONDS = 10
# The first answer takes two ways there and back: a connection is opened, then a question is asked.
_SLOW = 0.2
# What sshd answers does not tell this from a socket that is not there.
_FORWARDING = (
    "And does its sshd allow the forwarding of sockets (AllowStreamLocalForwarding and DisableForwarding in sshd_config, "
    "restrict in authorized_keys)?"
)


class SSHError(LXDUnreachable):
    """The remote socket cannot be had. The text says what was tried, why it failed and what to do."""


@dataclasses.dataclass(frozen=True)
class SSHOptions:
    """What a person may say of the way. What the URL says of user and port comes first."""

    user: str | None = None
    port: int | None = None
    private_key_file: str | None = None
    # Arguments of ssh, which come before our defaults: ssh takes the first value that it is given.
    args: tuple[str, ...] = ()
    executable: str = "ssh"
    host_key_checking: bool = True
    # Where the directories of tunnels are made.
    control_dir: str | None = None

    @classmethod
    def of(cls, *args: str | None, **options: t.Any) -> SSHOptions:
        """With arguments as a person writes them, several strings of words as for a shell."""
        try:
            words = tuple(word for text in args if text for word in shlex.split(text))
        except ValueError as exc:
            raise SSHError(f"The arguments for ssh cannot be read ({exc}): {' '.join(a for a in args if a)}") from None
        return cls(args=words, **options)


class Address(t.NamedTuple):
    """ssh://[user@]host[:port][/path/of/the/socket]."""

    user: str | None
    host: str
    port: int | None
    path: str | None

    @classmethod
    def parse(cls, url: str) -> Address:
        # Not urlsplit: it writes the host in small letters, and names in ssh's configuration may have others.
        match = _ADDRESS.fullmatch(url)
        path = ((match and match["path"]) or "").rstrip("/") or None
        if (
            not match
            or match["host"].startswith("-")
            or (match["user"] or "").startswith("-")
            or not 0 < int(match["port"] or 22) < 65536
        ):
            raise SSHError(f"{url!r} is not an address: ssh://[user@]host[:port][/path/of/the/socket] is expected.")
        if path and not _PLAIN_PATH.fullmatch(path):
            raise SSHError(f"{url!r}: the path of a socket must not contain blanks or any of : % $ \\.")
        port = int(match["port"]) if match["port"] else None
        return cls(match["user"], match["host"].strip("[]"), port, path)


class Tunnel:
    """The way to one daemon. It keeps nothing open by itself: any number of processes may have the same one."""

    def __init__(
        self,
        url: str,
        options: SSHOptions | None = None,
        timeout: float = 30,
        remote_sockets: t.Sequence[str] = SOCKETS,
    ) -> None:
        self._options = options or SSHOptions()
        self._address = Address.parse(url)
        self._timeout = timeout
        self._paths = (self._address.path,) if self._address.path else tuple(remote_sockets)
        self._user = self._address.user or self._options.user
        self._port = self._address.port or self._options.port
        self._directory: Path | None = None

    # -- what callers use ---------------------------------------------------------------------------------------

    def connect(self) -> socket.socket:
        """A fresh connection to the daemon's socket."""
        directory = self.directory
        sock = _try(directory / "s", self._timeout)
        if sock is None:
            self._establish(directory)
            sock = _try(directory / "s", self._timeout)
        if sock is None:
            raise self._error("ssh has just been started, and is gone again", self._last_words(), "Try again.")
        return sock

    def explain(self) -> str:
        """Why a connection ended before anything was heard, as far as that can be found out.

        The next connection asks anew which of the remote sockets answers.
        """
        directory = self.directory
        with contextlib.suppress(OSError):
            (directory / "s").unlink()
        try:
            self._establish(directory)
        except SSHError as exc:
            return str(exc)
        return ""

    def stand(self) -> None:
        """Have an ssh in the background, and know which of the remote sockets answers."""
        directory = self.directory
        if not ((directory / "s").is_symlink() and self._alive(directory)):
            self._establish(directory)

    def stand_once(self) -> None:
        """The same where no ssh has ever been in the background. One that is gone since is noticed by whoever needs it."""
        if not (self.directory / "line").exists():
            self.stand()

    @property
    def slow(self) -> bool:
        """Whether the way is so long that each time there and back counts. It is known once it stood."""
        try:
            return float((self.directory / "line").read_text()) > _SLOW
        except (OSError, ValueError):
            return False

    @property
    def remote_socket(self) -> str:
        """The path that answered, on the server. It is known once the way stands."""
        return self._paths[int((self.directory / "s").readlink().name)]

    def session(self, command: str) -> list[str]:
        """The ssh that runs a command on the server, through the one in the background."""
        argv = self._command(self.directory, "-T", "-o", "ControlMaster=no", "-o", "LogLevel=ERROR")
        return [*argv, "--", self._address.host, command]

    def stop(self) -> None:
        """End the ssh in the background, if there is one."""
        directory = self.directory
        with self._locked(directory, time.monotonic() + self._timeout):
            self._end_master(directory)

    @property
    def directory(self) -> Path:
        """The tunnel's directory. Everything that ssh could be told differently has a part in its name."""
        if self._directory is None:
            chosen = (self._address, self._options, self._paths, self._user, self._port)
            name = hashlib.sha256(repr(chosen).encode()).hexdigest()[:16]
            self._directory = _private(_base(self._options.control_dir, name) / name)
        return self._directory

    # -- the master ---------------------------------------------------------------------------------------------

    def _establish(self, directory: Path) -> None:
        begun = time.time()
        deadline = time.monotonic() + self._timeout
        with self._locked(directory, deadline):
            sock = _try(directory / "s", self._timeout)
            if sock is not None:
                sock.close()
                return
            failed = directory / "failed"
            # Who has waited for the same attempt takes its result: so 20 workers do not wait 20 times for a dead host.
            with contextlib.suppress(OSError):
                if failed.stat().st_mtime >= begun:
                    raise SSHError(failed.read_text(encoding="utf-8", errors="replace"))
            try:
                if not self._alive(directory):
                    self._end_master(directory)
                    self._start_master(directory)
                self._choose(directory)
            except SSHError as exc:
                with contextlib.suppress(OSError):
                    failed.write_text(str(exc), encoding="utf-8", errors="replace")
                raise

    @contextlib.contextmanager
    def _locked(self, directory: Path, deadline: float) -> t.Iterator[None]:
        with (directory / "lock").open("a") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    # The holder has its own time limit, and those who wait for it a little more.
                    if time.monotonic() > deadline + self._timeout:
                        raise self._error("another process has been starting ssh for too long", "", "") from None
                    time.sleep(0.05)
            yield

    @staticmethod
    def _alive(directory: Path) -> bool:
        for name in ("c", "0"):
            sock = _try(directory / name, 1)
            if sock is None:
                return False
            sock.close()
        return True

    def _command(self, directory: Path, *first: str) -> list[str]:
        """ssh with what is the same for the master and for those who speak to it. A `--` and words may follow."""
        options = self._options
        argv = [options.executable, *first, "-o", f"ControlPath={directory / 'c'}"]
        # Nobody is there who could answer a question; nothing of the user's own configuration shall run or forward.
        argv += ["-o", "BatchMode=yes", "-o", "RequestTTY=no", "-o", "RemoteCommand=none", "-o", "ForwardAgent=no"]
        if options.private_key_file:
            key = str(Path(options.private_key_file).expanduser()).replace("%", "%%")
            argv += ["-o", f'IdentityFile="{key}"']
        if self._user:
            argv += ["-o", f'User="{self._user}"']
        if self._port:
            argv += ["-o", f"Port={self._port}"]
        argv += options.args
        # After what a person says, so that host keys which that pins are looked at all the same.
        if not options.host_key_checking:
            argv += ["-o", "StrictHostKeyChecking=no"]
        argv += ["-o", f"ConnectTimeout={max(1, int(self._timeout))}", "-o", "ControlPersist=10m"]
        argv += ["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"]
        return argv

    def _start_master(self, directory: Path) -> None:
        argv = self._command(directory, "-f", "-N", "-n", "-T", "-E", str(directory / "log"), "-o", "ControlMaster=yes")
        argv += ["-o", "StreamLocalBindUnlink=yes", "-o", "StreamLocalBindMask=0177"]
        for number, path in enumerate(self._paths):
            argv += ["-L", f"{directory / str(number)}:{path}"]
        argv += ["--", self._address.host]
        try:
            # A session of its own: it outlives this process, and the terminal's Ctrl-C does not reach it.
            with (directory / "log").open("wb") as log:
                process = subprocess.Popen(  # pylint: disable=ansible-bad-function # it goes on in the background
                    argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
                )
        except OSError as exc:
            raise self._error(
                f"{self._options.executable} cannot be run here: {exc.strerror}", "", "Install OpenSSH's client."
            ) from None
        try:
            # With -f ssh goes into the background when it has logged in and has made its sockets.
            status = process.wait(self._timeout)
        except BaseException as exc:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(exc, subprocess.TimeoutExpired):
                raise
            raise self._error(
                f"it was not logged in within {self._timeout:g} s",
                self._last_words(),
                "Is the host up, and does its sshd answer? The time limit can be raised.",
            ) from None
        if status != 0:
            raise self._error(*self._why(self._last_words()))

    def _end_master(self, directory: Path) -> None:
        if (sock := _try(directory / "c", 1)) is not None:
            sock.close()
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                subprocess.run(  # pylint: disable=ansible-bad-function # with a time limit
                    [*self._command(directory, "-O", "exit"), "--", self._address.host],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=5,
                    check=False,
                )
        for name in ("s", "c", "line", *map(str, range(len(self._paths)))):
            # What a master that was killed has left behind.
            with contextlib.suppress(FileNotFoundError):
                (directory / name).unlink()

    # -- the remote socket --------------------------------------------------------------------------------------

    def _choose(self, directory: Path) -> None:
        """Find the first remote socket that answers. All are asked at once, for each question takes its time."""
        begun = time.monotonic()
        deadline = begun + self._timeout
        asked = []
        for number in range(len(self._paths)):
            sock = _try(directory / str(number), self._timeout)
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.sendall(_PROBE)
            asked.append(sock)
        heard = []
        try:
            for number, sock in enumerate(asked):
                heard.append(_first_words(sock, deadline))
                if heard[-1].startswith(b"HTTP/"):
                    (directory / "line").write_text(f"{time.monotonic() - begun:.3f}")
                    link = directory / f"s.{os.getpid()}"
                    with contextlib.suppress(FileNotFoundError):
                        link.unlink()
                    link.symlink_to(str(number))
                    link.replace(directory / "s")
                    return
        finally:
            for sock in asked:
                if sock is not None:
                    sock.close()
        if any(heard):
            number = next(number for number, words in enumerate(heard) if words)
            raise self._error(
                f"what answers at {self._paths[number]} does not speak HTTP ({heard[number][:40]!r})",
                "",
                "Give the path of LXD's own unix.socket.",
            )
        raise self._error(*self._why_no_socket(directory))

    def _why_no_socket(self, directory: Path) -> tuple[str, str, str]:
        words = self._last_words()
        seen = self._look(directory)
        tried = ", ".join(self._paths)
        for path in (path for path in self._paths if seen.get(path) == "denied"):
            group = "incus-admin" if "incus" in path else "lxd"
            return (
                f"permission denied for {path}",
                "",
                f"Log in as root, or as a user who may use the socket (usually: a member of the group {group}).",
            )
        for path in (path for path in self._paths if seen.get(path) == "there"):
            return f"nobody answers at {path}", words, f"Is LXD or Incus running there? {_FORWARDING}"
        if seen:
            return (
                f"no such socket (tried {tried})",
                "",
                "Is LXD or Incus installed and running there? Another path can be given as ssh://host/path/of/the/socket.",
            )
        return (
            f"its sshd could open none of {tried}",
            words,
            f"Is LXD or Incus running there, and may this user use its socket? {_FORWARDING}",
        )

    def _look(self, directory: Path) -> dict[str, str]:
        """What is at the remote paths, if the user has a shell there. Needed for words alone."""
        script = "; ".join(
            f"if [ -S {path} ] && [ -w {path} ]; then echo there {path}; "
            f"elif [ -e {path} ]; then echo denied {path}; else echo missing {path}; fi"
            for path in map(shlex.quote, self._paths)
        )
        argv = [*self._command(directory, "-n", "-T", "-o", "ControlMaster=no", "-o", "LogLevel=QUIET")]
        try:
            answer = subprocess.run(  # pylint: disable=ansible-bad-function # with a time limit
                [*argv, "--", self._address.host, script],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_SHELL_SECONDS,
                start_new_session=True,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return {}
        lines = [line.partition(" ") for line in answer.stdout.decode("utf-8", "replace").splitlines()]
        return {path: state for state, _blank, path in lines if path in self._paths}

    # -- words --------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        user = f"{self._user}@" if self._user else ""
        port = f" port {self._port}" if self._port else ""
        return f"{user}{self._address.host}{port}"

    def _last_words(self) -> str:
        """What ssh said last, on one line."""
        try:
            text = (self.directory / "log").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        lines = [" ".join(line.split()) for line in text.splitlines() if line.strip("@\r\n\t ")]
        return "; ".join(lines[-6:])[-600:]

    def _error(self, reason: str, words: str, advice: str) -> SSHError:
        said = f" ssh said: {words.rstrip('.')}." if words else ""
        return SSHError(f"Cannot reach LXD over SSH at {self.name}: {reason}.{said}{' ' + advice if advice else ''}")

    def _why(self, words: str) -> tuple[str, str, str]:
        if "IDENTIFICATION HAS CHANGED" in words or "has changed and you have requested strict" in words:
            return (
                "it shows another host key than the one that is known for it",
                words,
                "Either the host was set up anew (then remove its line from known_hosts), or somebody else answers.",
            )
        if "Host key verification failed" in words:
            return (
                "its host key is not known",
                words,
                "Put its host key, compared with what the host itself says, into known_hosts.",
            )
        if "Permission denied" in words:
            return (
                "its sshd refuses every key that it was offered",
                words,
                "Give the key that this user is known by (ansible_ssh_private_key_file, ssh_private_key_file of a module, or an agent); "
                "passwords are not asked for.",
            )
        return (
            "ssh cannot log in",
            words,
            "Check the host's name, its port, the ProxyCommand if there is one, and that its sshd runs.",
        )


def _try(path: Path, timeout: float) -> socket.socket | None:
    """A connection to a local socket, None if nobody is there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    deadline = time.monotonic() + timeout
    while True:
        try:
            sock.connect(str(path))
        except BlockingIOError:
            # Its queue is full. connect(2) does not wait on a socket with a time limit.
            if time.monotonic() < deadline:
                time.sleep(0.01)
                continue
            sock.close()
            return None
        except OSError:
            sock.close()
            return None
        return sock


def _first_words(sock: socket.socket | None, deadline: float) -> bytes:
    if sock is None:
        return b""
    try:
        sock.settimeout(max(0.1, deadline - time.monotonic()))
        return sock.recv(200)
    except OSError:
        return b""


def _private(directory: Path) -> Path:
    """Make sure that a directory is there, and that it is only ours."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise SSHError(f"{directory} belongs to somebody else: sockets of SSH are not put there.")
        if stat.S_IMODE(found.st_mode) != 0o700:
            directory.chmod(0o700)
    except OSError as exc:
        raise SSHError(f"Cannot make {directory} for the sockets of SSH: {exc.strerror}.") from None
    return directory


def _base(asked: str | None, name: str) -> Path:
    """The directory of all tunnels: the one that was asked for, if its name is short and plain enough for a socket's."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    places = [Path(asked).expanduser()] if asked else []
    places += [Path(runtime) / "bcm-lxd"] if runtime else []
    places += [Path(tempfile.gettempdir()) / f"bcm-lxd-{os.geteuid()}", Path("/tmp") / f"bcm-lxd-{os.geteuid()}"]  # noqa: S108 - private
    for place in places:
        if len(os.fsencode(str(place / name))) <= _LONGEST_DIRECTORY and _PLAIN_PATH.fullmatch(str(place)):
            with contextlib.suppress(SSHError, OSError):
                if place == (Path(asked).expanduser() if asked else None):
                    place.mkdir(mode=0o700, parents=True, exist_ok=True)
                    if os.access(place, os.W_OK | os.X_OK):
                        return place
                    continue
                return _private(place)
    raise SSHError(
        f"No directory for the sockets of SSH: tried {', '.join(map(str, places))}. "
        "One with a short name, which belongs to the user, can be given as control_path_dir."
    )
