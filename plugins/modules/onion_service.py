#!/usr/bin/python

# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: onion_service
short_description: A version 3 onion of a host's tor, and who may find it
version_added: 0.1.0
description:
  - Has the tor that runs on a host serve an onion, by a file of its own below C(/etc/tor/torrc.d) and a directory with the onion's key
    and the keys of its clients. C(/etc/tor/torrc) has to include these files already. Nothing else of tor is touched, and other onions
    go on.
  - Where somebody loses something, be it a key, a port or an address, the onion is withdrawn as a whole before it is announced anew.
    Then tor ends its open connections, and it is introduced at other relays. Without that, who has read where it is
    introduced could come in without a key for hours, since a client's key opens no more than that description.
  - An onion with client authorisation and without a client would be open to everybody. It is closed until there is one.
  - What tor would refuse is found out before anything is written, for a tor that reads a wrong configuration ends.
author:
  - the Bitcoin Cache Machine authors (@bitcoincachemachine)
requirements:
  - tor >= 0.4.3, run by the service manager, whose control socket lets root in
attributes:
  check_mode:
    support: full
    description: Says what would change, without changing it.
  diff_mode:
    support: full
    description: Shows the configuration and the public keys of clients. The onion's own key is not shown.
  idempotent:
    support: full
    description: A second run changes nothing. A run that was killed is finished by the next one.
options:
  name:
    description: Name of the service, of at most 50 small letters, digits and dashes. Its files bear it.
    type: str
    required: true
  state:
    description: Whether it shall be there. With V(absent) its keys go from this host, too.
    type: str
    choices: [present, absent]
    default: present
  secret_key:
    description:
      - The onion's secret key, which is the file C(hs_ed25519_secret_key) in Base64, see P(bcm.datacenter.onion_keys#filter).
      - Left out, the host has it already and keeps it.
    type: str
  public_key:
    description: The file C(hs_ed25519_public_key) in Base64. It goes with O(secret_key).
    type: str
  ports:
    description: What can be reached by the onion, and where that is. Left out, it stays as it is.
    type: list
    elements: dict
    suboptions:
      virtual:
        description: Port of the onion.
        type: int
        required: true
      target_host:
        description: IP address that it leads to, of this host or of the site. Names are not looked up.
        type: str
        required: true
      target_port:
        description: Port there.
        type: int
        required: true
  clients:
    description:
      - Who may find the onion, public x25519 keys in Base32 by names. Whoever is not among them loses access.
      - Left out, it stays as it is.
    type: dict
  client_authorisation:
    description:
      - Whether only O(clients) find the onion. With V(false), everybody does who knows its address.
      - It counts where O(ports) are given.
    type: bool
    default: true
  pow:
    description:
      - Have guests work for their place when the onion is flooded, where this tor knows how (0.4.8 and later, if built so).
      - It counts where O(ports) are given.
    type: bool
    default: true
  onions:
    description: Directory of the onions' directories, which tor has to be allowed to write into.
    type: path
    default: /var/lib/tor/onions
  drop_ins:
    description: Directory of files that tor's configuration includes.
    type: path
    default: /etc/tor/torrc.d
  definitions:
    description: Directory in which this module remembers what a service is, for tasks that only change who may find it.
    type: path
    default: /var/lib/bcm/onions
  torrc:
    description: Tor's configuration.
    type: path
    default: /etc/tor/torrc
  published:
    description:
      - Directory of the file C(onions.conf), where something else decides by it whether this host publishes its onions, as the role
        C(tor) has it. Where that file is not there, what is written here is not served here, and nobody waits for it.
    type: path
    default: /etc/tor/published.d
  tor_defaults:
    description: What tor reads before O(torrc).
    type: path
    default: /usr/share/tor/tor-service-defaults-torrc
  control:
    description: Tor's control socket.
    type: path
    default: /run/tor/control
  tor:
    description: The program.
    type: str
    default: tor
  owner:
    description: The user that tor runs as.
    type: str
    default: debian-tor
  timeout:
    description:
      - Seconds that it may take until tor goes by what was written, and until it has announced the onion to the network. An onion
        that was not announced by then is an error that says why.
      - A tor that keeps out of the network (C(DisableNetwork)), as on a host that waits for its turn, is not waited for.
    type: int
    default: 180
"""

EXAMPLES = r"""
- name: An onion for the owner's lnd
  bcm.datacenter.onion_service:
    name: lnd-app-1
    secret_key: "{{ keys.secret_key }}"
    public_key: "{{ keys.public_key }}"
    ports:
      - {virtual: 8080, target_host: 10.10.2.11, target_port: 8080}
    clients:
      alice: N2NU7BSRL6YODZCYPN4CREB54TYLKGIE2KYOQWLFYC23ZJVCE5DQ
  register: onion

- name: Alice has lost her telephone
  bcm.datacenter.onion_service:
    name: lnd-app-1
    clients:
      bob: DKWDGVZHN5UZ2YKBKT7MKQNVLVQNZRTKMGCXI5ENOBZNOBNGKMQA
"""

RETURN = r"""
address:
  description: Address of the onion, empty where it has no key yet.
  returned: success
  type: str
  sample: pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion
clients:
  description: The names of those who may find it.
  returned: success
  type: list
  elements: str
  sample: [alice, bob]
closed:
  description: Whether it is closed, for it has no client.
  returned: success
  type: bool
lost:
  description: What somebody has lost, so that the onion was withdrawn first, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [the key of alice]
ended:
  description: How many guests' circuits were open when it was withdrawn, and are no longer.
  returned: success
  type: int
  sample: 1
standby:
  description: Whether this tor keeps out of the network, so that it announces nothing now.
  returned: success
  type: bool
running:
  description: Whether tor runs. Where it does not, what was written counts from its next start on.
  returned: success
  type: bool
"""

import base64
import binascii
import contextlib
import grp
import os
import pwd
import shutil
import subprocess
import time
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils import _whole_file as whole_file
from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import SECRET_HEAD, public_in
from ansible_collections.bcm.datacenter.plugins.module_utils._onion_service import (
    KEY_FILES,
    Definition,
    OnionError,
    Places,
    Port,
    State,
    as_a_whole,
    drop_in_text,
    has_loaded,
    includes,
    read_public,
    read_state,
    read_text,
    standby,
    takes_away,
    would_include,
    wrong_clients,
    wrong_name,
    wrong_ports,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._tor import TorError
from ansible_collections.bcm.datacenter.plugins.module_utils._tor_system import SystemControl, connect

COMMON = (
    "You are running Tor as root",
    "You have used DirAuthority",
    "TestingTorNetwork is set",
    "Reading config failed",
)
# A tor that starts just now has its control socket soon.
START_SECONDS = 10


def given_key(options: t.Mapping[str, t.Any]) -> tuple[bytes, bytes] | None:
    """The key's two files as they were given. The error does not repeat them."""
    if not options["secret_key"]:
        return None
    try:
        secret = base64.b64decode(options["secret_key"], validate=True)
        public = base64.b64decode(options["public_key"], validate=True)
        public_in(public)
    except (binascii.Error, ValueError):
        raise OnionError("secret_key and public_key: they are not the key files of an onion in Base64.") from None
    if len(secret) != len(SECRET_HEAD) + 64 or not secret.startswith(SECRET_HEAD):
        raise OnionError("secret_key: it is not the file hs_ed25519_secret_key of an onion in Base64.")
    return secret, public


def verify(options: t.Mapping[str, t.Any], text: str) -> None:
    """Ask tor whether it would take a configuration.

    :raises OnionError: it would not; in its words.
    """
    argv = [
        options["tor"],
        "--defaults-torrc",
        options["tor_defaults"],
        "-f",
        "-",
        "--RunAsDaemon",
        "0",
        "--verify-config",
    ]
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function # with a time limit
            argv, input=text.encode(), capture_output=True, timeout=60, check=False
        )
    except FileNotFoundError:
        raise OnionError(f"{options['tor']} is not installed on this host.") from None
    except subprocess.TimeoutExpired:
        raise OnionError(f"{options['tor']} did not say within 60 s whether it takes the configuration.") from None
    if done.returncode:
        lines = done.stdout.decode(errors="replace").splitlines()
        bad = [line.partition("] ")[2] for line in lines if "[warn]" in line or "[err]" in line]
        # What it says of any configuration of that kind, and what only repeats that there was something.
        useful = [line for line in bad if not line.startswith(COMMON)]
        raise OnionError(
            f"With this onion tor would refuse its configuration, so nothing was written: {' '.join(useful or bad)}"
        )


def knows_pow(program: str) -> bool:
    """Whether a tor was built with the defence by work."""
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function # with a time limit
            [program, "--list-modules"], capture_output=True, timeout=60, check=False, text=True
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return "pow: yes" in done.stdout


class Service:
    """Brings one service into the wanted form, files first and then tor."""

    def __init__(self, options: t.Mapping[str, t.Any], check_mode: bool, control: SystemControl | None) -> None:
        self.options, self.check_mode, self.control = options, check_mode, control
        self.places = Places(
            options["name"],
            Path(options["onions"]),
            Path(options["drop_ins"]),
            Path(options["definitions"]),
            Path(options["torrc"]),
            Path(options["published"]),
        )
        self.deadline = time.monotonic() + options["timeout"]
        self.key = given_key(options)
        self.before = read_state(self.places)
        self.drop_in = read_text(self.places.drop_in)
        self.changed = False
        self.lost: list[str] = []
        self.ended = 0

    # -- what is wanted -------------------------------------------------------------------------------------------

    def wanted(self) -> State:
        ports = self.options["ports"]
        definition = self.before.definition
        if ports is not None:
            definition = Definition(
                tuple(sorted(Port(one["virtual"], one["target_host"], one["target_port"]) for one in ports)),
                self.options["client_authorisation"],
                self.options["pow"] and knows_pow(self.options["tor"]),
            )
        elif definition is None:
            raise OnionError(f"This host has no onion {self.places.name}. Name its ports and its key to have one.")
        public = public_in(self.key[1]) if self.key else self.before.public
        if not public:
            raise OnionError(f"The onion {self.places.name} has no key on this host. Give it one with secret_key.")
        clients = self.options["clients"]
        if clients is None:
            clients = {name: key for name, key in self.before.clients.items() if key}
        # Where everybody may come in tor must find no client's key: with one it asks for it.
        return State(definition, public, dict(clients) if definition.authorised else {})

    def check(self, after: State) -> None:
        """Refuse what tor would not take, before anything is touched."""
        torrc = read_text(self.places.torrc) or ""
        if not would_include(torrc, self.places):
            raise OnionError(
                f"{self.places.torrc} does not include {self.places.drop_ins}/*.conf, so tor would not read of this onion. The role "
                f"tor has it do so; a line %include {self.places.drop_ins}/*.conf does, too."
            )
        if self.control and self.control.option("Sandbox") == "1":
            raise OnionError("This tor runs with Sandbox 1, in which it takes no onion while it runs. Have it without.")
        # tor would serve one of the two, and complain of a fault of its own.
        for directory in sorted(self.places.onions.glob("*/")) if after.public else []:
            if directory != self.places.directory and read_public(directory) == after.public:
                raise OnionError(
                    f"The onion {directory.name} of this host has the same key. Each needs one of its own."
                )
        if after.closed or self.drop_in == drop_in_text(after, self.places):
            return
        verify(self.options, as_a_whole(torrc, self.places, drop_in_text(after, self.places)))

    # -- what is done ---------------------------------------------------------------------------------------------

    def ensure(self) -> State:
        after = self.wanted()
        self.check(after)
        self.lost = takes_away(self.before, after)
        text = None if after.closed else drop_in_text(after, self.places)
        differs = (
            self.before != after
            or self.drop_in != text
            or self._key_differs()
            or (read_text(self.places.stamp) or "").strip() != after.digest()
        )
        loaded = self.control.onions() if self.control else {}
        has = str(self.places.directory) in loaded
        right = self._goes_by(loaded, after)
        if not differs and (right or self.control is None):
            return after
        self.changed = True
        if self.check_mode:
            return after
        if has and (self.lost or not self._in_force() or self.drop_in is None):
            self.withdraw()
        self.write(after)
        if text is not None:
            whole_file.write(self.places.drop_in, text, 0o644)
        else:
            self.places.drop_in.unlink(missing_ok=True)
        self.apply(after)
        return after

    def remove(self) -> None:
        loaded = self.control.onions() if self.control else {}
        has = str(self.places.directory) in loaded
        paths = (self.places.drop_in, self.places.definition, self.places.stamp, self.places.directory)
        if not has and not any(path.exists() for path in paths):
            return
        self.changed = True
        if not self.before.closed:
            self.lost = ["the onion"]
        if self.check_mode:
            return
        if has:
            self.withdraw()
        self.places.drop_in.unlink(missing_ok=True)
        if self.places.directory.exists():
            shutil.rmtree(self.places.directory)
        self.places.stamp.unlink(missing_ok=True)
        self.places.definition.unlink(missing_ok=True)

    def _in_force(self) -> bool:
        """Whether what lies in the files is what tor was told last. Otherwise nobody knows whom it lets in."""
        return (read_text(self.places.stamp) or "").strip() == self.before.digest()

    def waits(self) -> bool:
        return self.control is not None and standby(self.places, self.control)

    def _key_differs(self) -> bool:
        if self.key is None:
            return False
        try:
            return (self.places.directory / KEY_FILES[0]).read_bytes() != self.key[0]
        except FileNotFoundError:
            return True

    def withdraw(self) -> None:
        """Have tor forget the service: that ends its circuits, to guests and to where it was introduced."""
        if self.control is None:
            return
        address = self.before.address
        guests = {one.number for one in self._circuits(address) if one.hs_state == "HSSR_JOINED"}
        # First of all: a run that is killed from here on leaves it closed, and not as it was.
        self.places.drop_in.unlink(missing_ok=True)
        self.places.stamp.unlink(missing_ok=True)
        self.control.reload()
        self._until(lambda loaded: str(self.places.directory) not in loaded, "has not withdrawn")
        # It has marked them for closing, and does so soon. What is left of them is closed by name.
        while left := self._circuits(address):
            if time.monotonic() > self.deadline:
                raise OnionError(
                    f"{self.places.name} was withdrawn, and tor has not closed its circuits {', '.join(one.number for one in left)} "
                    f"within {self.options['timeout']} s. Run this again; systemctl restart tor@default ends them, with all others."
                )
            for one in left:
                self.control.close_circuit(one.number)
            time.sleep(0.1)
        self.ended = len(guests)

    def _circuits(self, address: str) -> list[t.Any]:
        return self.control.circuits(address) if self.control and address else []

    def write(self, after: State) -> None:
        places = self.places
        owner, group = self._owner()
        for directory in (places.onions, places.directory, places.clients):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # tor refuses a directory that others may enter or that is not its own.
            directory.chmod(0o700)
            os.chown(directory, owner, group)
        places.definitions.mkdir(mode=0o755, parents=True, exist_ok=True)
        files: dict[Path, bytes] = {}
        if self.key:
            files[places.directory / KEY_FILES[0]] = self.key[0]
            files[places.directory / KEY_FILES[1]] = self.key[1]
            files[places.directory / KEY_FILES[2]] = f"{after.address}\n".encode()
        for name, key in after.clients.items():
            files[places.clients / f"{name}.auth"] = f"descriptor:x25519:{key}\n".encode()
        # tor goes by each file that ends so.
        for path in places.clients.glob("*.auth"):
            if path not in files:
                path.unlink()
        if after.definition is not None:
            whole_file.write(places.definition, after.definition.as_json(), 0o644)
        for path, content in files.items():
            with contextlib.suppress(FileNotFoundError):
                if path.read_bytes() == content:
                    continue
            whole_file.write_bytes(path, content, 0o600, owner, group)
        for path in [places.directory / name for name in KEY_FILES] + list(places.clients.glob("*.auth")):
            if path.exists():
                path.chmod(0o600)
                os.chown(path, owner, group)

    def _owner(self) -> tuple[int, int]:
        name = self.options["owner"]
        try:
            return pwd.getpwnam(name).pw_uid, grp.getgrnam(name).gr_gid
        except KeyError:
            raise OnionError(f"There is no user and group {name} on this host. Is tor installed?") from None

    def apply(self, after: State) -> None:
        """Have tor go by what was written, and announce it."""
        if self.control is None:
            return
        with contextlib.ExitStack() as stack:
            ears = None
            if not after.closed and not self.waits():
                # Before it is told: nothing of what it says may be missed.
                ears = stack.enter_context(SystemControl(Path(self.options["control"])))
                ears.ask("SETEVENTS HS_DESC")
            self.control.reload()
            # Whether it is this host's turn may change at any moment.
            self._until(lambda loaded: self._goes_by(loaded, after), "does not go by what was written of")
            whole_file.write(self.places.stamp, after.digest() + "\n", 0o644)
            if ears:
                self._announced(ears, after.address)

    def _goes_by(self, loaded: t.Mapping[str, t.Sequence[str]], after: State) -> bool:
        if after.definition is None or after.closed or self._without_files():
            return str(self.places.directory) not in loaded
        return has_loaded(loaded, self.places, after.definition)

    def _without_files(self) -> bool:
        """Whether tor does not read of onions here now."""
        return not includes(read_text(self.places.torrc) or "", self.places.drop_in)

    def _until(self, reached: t.Callable[[dict[str, list[str]]], bool], words: str) -> None:
        while self.control and not reached(self.control.onions()):
            if time.monotonic() > self.deadline:
                raise OnionError(
                    f"tor {words} {self.places.name} within {self.options['timeout']} s. Its log says why: journalctl -u tor@default."
                )
            time.sleep(0.1)

    def _announced(self, ears: SystemControl, address: str) -> None:
        plain = address.removesuffix(".onion")
        refused = ""
        while time.monotonic() < self.deadline:
            event = ears.event(min(self.deadline, time.monotonic() + 1))
            if event is None:
                if self.waits():
                    return
                continue
            words = event.split()
            if words[:1] == ["HS_DESC"] and len(words) > 2 and words[2].lower() == plain:
                if words[1] == "UPLOADED":
                    return
                if words[1] == "FAILED":
                    refused = " A relay has refused it: " + (
                        event.partition("REASON=")[2].split(" ")[0] or "without a reason."
                    )
        phase = self.control.ask("GETINFO status/bootstrap-phase")[0] if self.control else ""
        percent = phase.partition("PROGRESS=")[2].split(" ")[0]
        raise OnionError(
            f"{self.places.name} is what it should be on this host, and was not announced to the network within "
            f"{self.options['timeout']} s: tor has come {percent} % into it ({phase.partition('SUMMARY=')[2]}).{refused}"
        )


def look_through(options: t.Mapping[str, t.Any]) -> None:
    """Refuse wrong input, all of it at once."""
    wrong = [words for words in [wrong_name(options["name"])] if words]
    if options["ports"] is not None:
        wrong += wrong_ports(options["ports"])
    if options["clients"] is not None:
        wrong += wrong_clients(options["clients"])
    if options["timeout"] < 1:
        wrong.append(f"timeout: {options['timeout']} is not a number of seconds from 1 on.")
    if wrong:
        raise OnionError("\n".join(wrong))


def diff_of(before: State, after: State | None, places: Places) -> dict[str, t.Any]:
    def shown(state: State | None) -> str:
        if state is None or not state.public:
            return ""
        lines = [state.address, *(state.definition.lines(places.directory) if state.definition else [])]
        lines += ["closed"] if state.closed else []
        return "\n".join([*lines, *(f"client {name} {key}" for name, key in sorted(state.clients.items()))]) + "\n"

    return {"before": shown(before), "after": shown(after), "before_header": places.name, "after_header": places.name}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "secret_key": {"type": "str", "no_log": True},
            "public_key": {"type": "str", "no_log": False},
            "ports": {
                "type": "list",
                "elements": "dict",
                "options": {
                    "virtual": {"type": "int", "required": True},
                    "target_host": {"type": "str", "required": True},
                    "target_port": {"type": "int", "required": True},
                },
            },
            "clients": {"type": "dict"},
            "client_authorisation": {"type": "bool", "default": True},
            "pow": {"type": "bool", "default": True},
            "onions": {"type": "path", "default": "/var/lib/tor/onions"},
            "drop_ins": {"type": "path", "default": "/etc/tor/torrc.d"},
            "definitions": {"type": "path", "default": "/var/lib/bcm/onions"},
            "torrc": {"type": "path", "default": "/etc/tor/torrc"},
            "published": {"type": "path", "default": "/etc/tor/published.d"},
            "tor_defaults": {"type": "path", "default": "/usr/share/tor/tor-service-defaults-torrc"},
            "control": {"type": "path", "default": "/run/tor/control"},
            "tor": {"type": "str", "default": "tor"},
            "owner": {"type": "str", "default": "debian-tor"},
            "timeout": {"type": "int", "default": 180},
        },
        required_together=[("secret_key", "public_key")],
        supports_check_mode=True,
    )
    options = module.params
    control = None
    try:
        look_through(options)
        control = connect(Path(options["control"]), time.monotonic() + START_SECONDS)
        service = Service(options, module.check_mode, control)
        after: State | None = None
        if options["state"] == "present":
            after = service.ensure()
        else:
            service.remove()
        result: dict[str, t.Any] = {
            "changed": service.changed,
            "address": after.address if after else "",
            "clients": sorted(after.clients) if after else [],
            "closed": after.closed if after else True,
            "lost": service.lost,
            "ended": service.ended,
            "standby": service.waits(),
            "running": control is not None,
        }
        if module._diff:
            result["diff"] = diff_of(service.before, after, service.places)
    except (OnionError, TorError, OSError) as exc:
        module.fail_json(msg=f"{options['name']}: {exc}")
    finally:
        if control:
            control.close()
    module.exit_json(**result)


if __name__ == "__main__":
    main()
