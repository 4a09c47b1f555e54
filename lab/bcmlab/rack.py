# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers, as they come out of the installer: reached by SSH alone, and with nothing of a site inside."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import ipaddress
import json
import re
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from . import sitevars
from .cache import content_key
from .config import IMAGE_ALIAS, PROJECT, RECIPES, WORLD, Config, LabError
from .daemon import Daemon
from .host import package_list, require_root
from .lxc import Lxc
from .proc import locked, run, write_atomic
from .state import read
from .steps import Step, run_steps

USER = "debian"
# The one that the image is made in; no server may be called so.
INSTALLER = "server-image"
RESERVED = {WORLD, INSTALLER, "incus", "builder", "localhost"}
NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
# How long a server may take until its sshd answers.
PATIENCE = 120

# What the lab knows of a server stands with it, in LXD.
ADDRESS = "user.bcm.lab.address"
LOGIN = "user.bcm.lab.login"
HOST_KEY = "user.bcm.lab.host-key"
CABLE = "user.bcm.lab.cable"

# What a server is made of, as far as LXD decides it: it can run an LXD of its own, and instances with Docker in that.
HARDWARE = {"security.nesting": "true"}

# As after an installation with a password: it opens sudo, too, and nothing of a cloud is left.
PASSWORD_LOGIN = "rm -rf /home/debian/.ssh /etc/sudoers.d/90-cloud-init-users; chpasswd"  # noqa: S105


@dataclass(frozen=True)
class Server:
    """One server, as LXD tells of it."""

    name: str
    address: str
    login: str
    host_key: str
    running: bool
    cut: bool
    veth: str

    @classmethod
    def known(cls, instance: Mapping[str, Any]) -> Server | None:
        """The server that an instance is, None if it is something else of the lab."""
        config = instance["config"]
        if ADDRESS not in config:
            return None
        return cls(
            name=instance["name"],
            address=config[ADDRESS],
            login=config.get(LOGIN, "key"),
            host_key=config.get(HOST_KEY, ""),
            running=instance["status"] == "Running",
            cut=config.get(CABLE) == "cut",
            veth=config.get("volatile.eth0.host_name", ""),
        )

    @property
    def state(self) -> str:
        """In one word."""
        if not self.running:
            return "off"
        if self.cut and not plugged(self.veth):
            return "cut"
        return "on" if self.host_key else "unfinished"

    @property
    def known_host(self) -> str:
        """Its line of a known_hosts file, empty as long as it has no host key."""
        return f"{self.name},{self.address} {self.host_key}" if self.host_key else ""


def summary(instances: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """The servers among instances."""
    servers = filter(None, map(Server.known, instances))
    return {server.name: {"state": server.state, "address": server.address} for server in servers}


def plugged(veth: str) -> bool:
    """Whether the host's end of a server's cable is up."""
    try:
        flags = int((Path("/sys/class/net") / veth / "flags").read_text(), 16)
    except OSError:
        return False
    return bool(flags & 1)


def check_name(name: str) -> None:
    """A server's name is a host's name, and not one that the lab needs itself."""
    if not NAME.fullmatch(name):
        raise LabError(
            f"{name!r} cannot be a server's name: that has at most 63 small letters, digits and hyphens, begins with "
            "a letter and does not end with a hyphen."
        )
    if name in RESERVED or name.startswith("builder-"):
        raise LabError(f"{name!r} cannot be a server's name: the lab uses it itself.")


def hardware_address(name: str, bridge: str) -> str:
    """A server's network card is the same for life."""
    digest = hashlib.sha256(f"{bridge} {name}".encode()).hexdigest()
    return f"00:16:3e:{digest[0:2]}:{digest[2:4]}:{digest[4:6]}"


def choose_address(name: str, subnet: ipaddress.IPv4Network, taken: Collection[str]) -> str:
    """The address that follows from a server's name, or the next one that nobody has."""
    places = [str(subnet[i]) for i in range(max(16, subnet.num_addresses // 8), subnet.num_addresses - 1)]
    first = int(hashlib.sha256(name.encode()).hexdigest(), 16) % len(places)
    for address in places[first:] + places[:first]:
        if address not in taken:
            return address
    raise LabError(
        f"no address is left in {subnet} for {name}. Remove a server, or a lab with a larger BCM_LAB_SUBNET."
    )


class Rack:
    """The lab's servers."""

    def __init__(self, config: Config, say: Callable[[str], None] = lambda _: None) -> None:
        self.config = config
        self.say = say
        self.lxc = Lxc(config)
        self.key = config.directory / "rack-key"
        self.password_file = config.directory / "rack-password"
        self.known_hosts = config.directory / "rack-known_hosts"
        self.declarations = config.directory / "rack"
        self.lock = config.directory / ".rack.lock"
        self.image = ""

    # What a person may ask for.

    def up(self, names: Sequence[str], password: bool = False) -> None:
        """Have servers, switched on and answering."""
        for name in names:
            check_name(name)
        with self._changing():
            there = self.servers()
            for name in names:
                self._may_become(name, there.get(name), password)
            plan = self._plan([name for name in names if name not in there])
            steps = [Step(name, partial(self._have, name, plan.get(name), password)) for name in names]
            self._run(steps, image=bool(plan))

    def wipe(self, names: Sequence[str]) -> None:
        """Another disk with a fresh installation; all else of the machine stays."""
        with self._changing():
            servers = self._named(names)
            for server in servers:
                if server.cut:
                    raise LabError(
                        f"{server.name} is cut from the network, and is installed over it: "
                        f"`lab/lab rack mend {server.name}` first."
                    )
            self._run([Step(server.name, partial(self._wipe, server)) for server in servers], image=True)

    def remove(self, names: Sequence[str]) -> None:
        """Servers are gone, with all that was on them."""
        for name in names:
            check_name(name)
        with self._changing():
            there = self.servers()
            for name in names:
                self._may_become(name, there.get(name), False)
            self._run([Step(name, partial(self._remove, name, name in there)) for name in names])

    def off(self, names: Sequence[str]) -> None:
        """The power fails."""
        self._run([Step(server.name, partial(self._off, server)) for server in self._named(names)])

    def on(self, names: Sequence[str]) -> None:
        """The power is back."""
        self._run([Step(server.name, partial(self._on, server)) for server in self._named(names)])

    def cut(self, names: Sequence[str]) -> None:
        """The network cable is pulled out."""
        self._run([Step(server.name, partial(self._cut, server)) for server in self._named(names)])

    def mend(self, names: Sequence[str]) -> None:
        """The network cable is plugged in."""
        self._run([Step(server.name, partial(self._mend, server)) for server in self._named(names)])

    def logins(self) -> list[dict[str, str]]:
        """All that a person or a program needs to log in to each server."""
        common = {"user": USER, "known_hosts": str(self.known_hosts)}
        ways = {"key": {"private_key_file": str(self.key)}, "password": {"password_file": str(self.password_file)}}
        return [
            {
                "name": server.name,
                "address": server.address,
                "state": server.state,
                "login": server.login,
                **common,
                **ways[server.login],
                "host_key": server.known_host,
            }
            for server in self.servers().values()
        ]

    def resume(self) -> str:
        """After LXD was started: it has plugged in every cable, and switches on what was on before."""
        deadline = time.monotonic() + PATIENCE
        while True:
            # Asked anew each time: somebody may switch one off or remove it meanwhile.
            instances = [
                item
                for item in self._instances()
                if ADDRESS in item["config"] and item["config"].get("volatile.last_state.power") == "RUNNING"
            ]
            late = [item["name"] for item in instances if item["status"] != "Running"]
            if not late:
                break
            if time.monotonic() > deadline:
                raise LabError(f"LXD has not started {', '.join(late)} within {PATIENCE} s, which ran before.")
            time.sleep(0.3)
        did = []
        for server in filter(None, map(Server.known, instances)):
            if server.cut and plugged(server.veth):
                self._unplug(server)
                did.append(server.name)
        return f"cut from the network again: {', '.join(did)}" if did else ""

    # What is there.

    def servers(self) -> dict[str, Server]:
        """All servers by name."""
        found = sorted(filter(None, map(Server.known, self._instances())), key=lambda server: server.name)
        return {server.name: server for server in found}

    def _instances(self) -> list[dict[str, Any]]:
        return self.lxc.query(f"/1.0/instances?project={PROJECT}&recursion=1") or []

    def _server(self, name: str) -> Server:
        """One server, as it is now."""
        instance = self.lxc.instance(name)
        server = Server.known(instance) if instance else None
        if server is None:
            raise LabError(f"there is no server {name}. `lab/lab rack up {name}` makes it.")
        return server

    def _named(self, names: Sequence[str]) -> list[Server]:
        there = self.servers()
        for name in names:
            check_name(name)
            if name not in there:
                raise LabError(f"there is no server {name}. `lab/lab rack up {name}` makes it.")
        return [there[name] for name in names]

    def _may_become(self, name: str, server: Server | None, password: bool) -> None:
        if server is None and self.lxc.instance(name) is not None:
            raise LabError(f"{name} is a container of the lab and no server: give the server another name.")
        if server is not None and password and server.login != "password":
            raise LabError(
                f"{name} was installed with the key, not with a password: `lab/lab rack remove {name}` first."
            )

    # How it is done.

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """One at a time adds or removes servers. Whatever became of it, known_hosts tells who is there."""
        with locked(self.lock, "the rack"):
            self._have_key()
            try:
                yield
            finally:
                self._tell(self.servers())

    def _tell(self, servers: Mapping[str, Server]) -> None:
        """Who is there, for SSH and, a file each, in the keys of a site's declaration."""
        files = {self.known_hosts: "".join(f"{server.known_host}\n" for server in servers.values() if server.host_key)}
        self.declarations.mkdir(exist_ok=True)
        for server in servers.values():
            endpoint = {"endpoints": [{"name": server.name, "ssh": f"{USER}@{server.address}"}]}
            files[self.declarations / f"{server.name}.yml"] = f"{sitevars.HEAD}{sitevars.as_yaml(endpoint)}\n"
        for path, text in files.items():
            if not path.exists() or path.read_text() != text:
                write_atomic(path, text)
        for path in set(self.declarations.glob("*.yml")) - set(files):
            path.unlink()

    def _run(self, steps: Sequence[Step], image: bool = False) -> None:
        first = [Step("server image", self._image)] if image else []
        run_steps([*first, *(Step(s.name, s.action, [f.name for f in first]) for s in steps)], self.say)

    def _plan(self, names: Sequence[str]) -> dict[str, str]:
        """Addresses for new servers, which nobody has."""
        taken = self._addresses_in_use(names)
        plan: dict[str, str] = {}
        for name in names:
            plan[name] = choose_address(name, self.config.subnet, taken)
            taken.add(plan[name])
        return plan

    def _addresses_in_use(self, names: Sequence[str]) -> set[str]:
        """Those that are promised to a container, and those that dnsmasq has given to somebody."""
        taken = {self.config.gateway, self.config.world}
        for item in self._instances():
            taken |= {device.get("ipv4.address", "") for device in item["expanded_devices"].values()}
        leases = self.config.lxd_dir / "networks" / self.config.bridge / "dnsmasq.leases"
        ours = {hardware_address(name, self.config.bridge) for name in names}
        with contextlib.suppress(FileNotFoundError):
            lines = [line.split() for line in leases.read_text().splitlines()]
            taken |= {words[2] for words in lines if len(words) > 2 and words[1] not in ours}
        return taken

    def _have(self, name: str, address: str | None, password: bool) -> str:
        if address is not None:
            self._make(name, address, "password" if password else "key")
            return f"installed, {address}"
        server = self._server(name)
        did = "" if server.running else self._on(server)
        if not server.host_key:
            self._finish(server)
            return f"installed, {server.address}"
        if server.state == "cut":
            return did or "is there, cut from the network"
        self._wait_answers(server)
        return did

    def _make(self, name: str, address: str, login: str) -> None:
        card = {
            "type": "nic",
            "name": "eth0",
            "network": self.config.bridge,
            "hwaddr": hardware_address(name, self.config.bridge),
            "ipv4.address": address,
        }
        self.lxc.launch(name, self.image, {**HARDWARE, ADDRESS: address, LOGIN: login}, {"eth0": card})
        self._finish(self._server(name))

    def _finish(self, server: Server) -> None:
        """Until it answers for the first time, and is remembered by its host key."""
        if server.cut:
            raise LabError(f"{server.name} was cut from the network while it was installed: mend it first.")
        self._wait_answers(server)
        if server.login == "password":
            script = ["sh", "-ec", PASSWORD_LOGIN]
            self.lxc.exec(server.name, *script, stdin=f"{USER}:{self._password()}\n")
        kind, key, *_ = self.lxc.read(server.name, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").split()
        self.lxc("config", "set", server.name, f"{HOST_KEY}={kind} {key}")

    def _wipe(self, server: Server) -> str:
        self._when_free("delete", "--force", server.name)
        self._make(server.name, server.address, server.login)
        return f"installed anew, {server.address}"

    def _remove(self, name: str, there: bool) -> str:
        if not there:
            return "was not there"
        self._when_free("delete", "--force", name)
        return "removed"

    def _off(self, server: Server) -> str:
        if not server.running:
            return "was off already"
        self._when_free("stop", "--force", server.name)
        return "switched off"

    def _on(self, server: Server) -> str:
        if server.running:
            return "was on already"
        self._when_free("start", server.name)
        server = self._server(server.name)
        if server.cut:
            # LXD has plugged it in. No machine is that quick: nothing of it has been on the network.
            self._unplug(server)
            return "switched on, still cut from the network"
        self._wait_answers(server)
        return "switched on"

    def _cut(self, server: Server) -> str:
        if server.cut and not (server.running and plugged(server.veth)):
            return "was cut already"
        self.lxc("config", "set", server.name, f"{CABLE}=cut")
        if server.running:
            self._unplug(server)
        return "cut from the network"

    def _mend(self, server: Server) -> str:
        if not server.cut and not (server.running and not plugged(server.veth)):
            return "was not cut"
        self.lxc("config", "unset", server.name, CABLE)
        if not server.running:
            return "plugged in, and off"
        run(["ip", "link", "set", "dev", server.veth, "up"])
        self._wait_answers(server)
        return "plugged in"

    def _when_free(self, *argv: str) -> None:
        """A command of LXD. What a run that was killed has begun, LXD goes on with, and refuses another one meanwhile."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.lxc(*argv)
            except LabError as error:
                if "is busy running" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return

    def _unplug(self, server: Server) -> None:
        run(["ip", "link", "set", "dev", server.veth, "down"])

    def _wait_answers(self, server: Server) -> None:
        deadline = time.monotonic() + PATIENCE
        while not sshd_answers(server.address):
            if time.monotonic() > deadline:
                raise LabError(f"no sshd answers on {server.address}, the server {server.name}, within {PATIENCE} s.")
            time.sleep(0.1)

    def _have_key(self) -> None:
        """The lab's own key, made once."""
        if self.key.exists():
            return
        with tempfile.TemporaryDirectory(dir=self.config.directory) as folder:
            made = Path(folder) / "key"
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bcm lab", "-f", made])
            made.with_suffix(".pub").rename(self.key.with_suffix(".pub"))
            made.rename(self.key)

    def _password(self) -> str:
        """The lab's own password, made once."""
        if not self.password_file.exists():
            write_atomic(self.password_file, secrets.token_urlsafe(12) + "\n", 0o600)
        return self.password_file.read_text().strip()

    def _image(self) -> str:
        """The image of a server: the base image as a cloud's installer leaves it, with sshd and the first user."""
        script = RECIPES / "rack" / "install.sh"
        public_key = self.key.with_suffix(".pub").read_text().strip()
        base = self.lxc.query(f"/1.0/images/aliases/{IMAGE_ALIAS.replace('/', '%2F')}?project={PROJECT}")
        if base is None:
            raise LabError(f"the lab has no image {IMAGE_ALIAS}. `lab/lab up` brings it.")
        wanted = content_key("server 1", script, package_list("server"), public_key, base["target"])
        images = self.lxc.query(f"/1.0/images?project={PROJECT}&recursion=1") or []
        made = [image for image in images if "server-recipe" in image["properties"]]
        for image in made:
            if image["properties"]["server-recipe"] == wanted:
                self.image = image["fingerprint"]
                return ""
        # Of a run that was killed.
        self.lxc("delete", "--force", INSTALLER, check=False)
        user_data = "#cloud-config\n" + json.dumps({"ssh_authorized_keys": [public_key]})
        self.lxc.launch(INSTALLER, IMAGE_ALIAS, {"cloud-init.user-data": user_data}, {})
        try:
            self.lxc.wait_booted(INSTALLER)
            self.lxc.exec(INSTALLER, "sh", "-ec", script.read_text(), "sh", *package_list("server"))
            self.lxc("stop", "--force", INSTALLER)
            self.lxc("publish", INSTALLER, "--compression", "none", f"server-recipe={wanted}", timeout=600)
        finally:
            self.lxc("delete", "--force", INSTALLER, check=False)
        # The one before may be another checkout's.
        for image in sorted(made, key=lambda image: str(image["uploaded_at"]))[:-1]:
            self.lxc("image", "delete", image["fingerprint"], check=False)
        return self._image() or "made from the base image"


def sshd_answers(address: str) -> bool:
    """Whether an SSH server says its name at this moment."""
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            connection.settimeout(3)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


# The command.

ACTIONS = {
    "up": "have servers, switched on and answering to SSH",
    "off": "cut the power: nothing is shut down",
    "on": "switch on, and wait for sshd",
    "cut": "pull the network cable; the server runs on",
    "mend": "plug it in again",
    "wipe": "another disk: a fresh installation, same name and address",
    "remove": "take servers away with all that is on them",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `lab/lab rack` understands."""
    actions = parser.add_subparsers(dest="action", required=True)
    for action, words in ACTIONS.items():
        named = actions.add_parser(action, help=words)
        named.add_argument("names", nargs="+", metavar="NAME")
        if action == "up":
            named.add_argument("--password", action="store_true", help="new ones have a password and no key")
    listing = actions.add_parser("list", help="say which servers there are")
    listing.add_argument("--json", action="store_true", help="for programs")


def command(config: Config, options: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Do it."""
    require_root()
    if read(config) is None or not Daemon(config).answers():
        raise LabError(f"no lab is up in {config.directory}, and servers stand in it. `lab/lab up` brings it up.")
    rack = Rack(config, say)
    if options.action == "list":
        servers = rack.logins()
        if options.json:
            say(json.dumps(servers, indent=2))
            return
        for server in servers:
            say(f"  {server['name']:<20} {server['state']:<10} {server['address']:<15} {server['login']}")
        if not servers:
            say("There are no servers. `lab/lab rack up NAME` makes one.")
        return
    names = list(dict.fromkeys(options.names))
    action = getattr(rack, options.action)
    action(names, options.password) if options.action == "up" else action(names)
