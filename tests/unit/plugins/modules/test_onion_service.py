# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module makes of files and of a tor, in the order in which nobody comes in who may not."""

from __future__ import annotations

import base64
import contextlib
import getpass
import grp
import os
import tempfile
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils import _probes
from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import OnionKeys, encode, onion_keys
from ansible_collections.bcm.datacenter.plugins.module_utils._onion_service import (
    OnionError,
    Places,
    look_at_all,
    wrong_clients,
    wrong_ports,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._tor import TorError
from ansible_collections.bcm.datacenter.plugins.module_utils._tor_system import SystemControl, connect, parse_circuits
from ansible_collections.bcm.datacenter.plugins.modules import onion_service
from ansible_collections.bcm.datacenter.plugins.modules.onion_service import Service, diff_of, look_through
from ansible_collections.bcm.datacenter.tests.unit.plugins.module_utils.fake_tor import FakeTor, circuit

ALICE = encode(b"a" * 32)
BOB = encode(b"b" * 32)
KEYS = onion_keys(b"s" * 32)
OTHER = onion_keys(b"t" * 32)
PORTS = [{"virtual": 8080, "target_host": "10.10.2.11", "target_port": 8080}]


class Host:
    """A host with a tor."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.tor = FakeTor(folder)
        self.places = Places(
            "web",
            folder / "onions",
            self.tor.drop_ins,
            folder / "definitions",
            folder / "torrc",
            folder / "published.d",
        )
        self.places.torrc.write_text(f"# Ours\n%include {self.tor.drop_ins}/*.conf\n")
        self.verified: list[str] = []
        monkeypatch.setattr(onion_service, "verify", lambda _options, text: self.verified.append(text))
        monkeypatch.setattr(onion_service, "knows_pow", lambda _program: False)

    def options(self, **given: t.Any) -> dict[str, t.Any]:
        return {
            "name": "web",
            "secret_key": None,
            "public_key": None,
            "ports": None,
            "clients": None,
            "client_authorisation": True,
            "pow": True,
            "onions": str(self.places.onions),
            "drop_ins": str(self.places.drop_ins),
            "definitions": str(self.places.definitions),
            "torrc": str(self.places.torrc),
            "published": str(self.places.published),
            "tor_defaults": "/nonexistent",
            "control": str(self.tor.path),
            "tor": "tor",
            "owner": getpass.getuser(),
            "timeout": 5,
            **given,
        }

    def run(self, check_mode: bool = False, absent: bool = False, **given: t.Any) -> Service:
        options = self.options(**given)
        look_through(options)
        control = connect(self.tor.path, time.monotonic())
        try:
            service = Service(options, check_mode, control)
            if absent:
                service.remove()
            else:
                service.ensure()
            return service
        finally:
            if control:
                control.close()

    def serve(self, clients: dict[str, str] | None = None, keys: OnionKeys = KEYS, **given: t.Any) -> Service:
        key = {
            "secret_key": base64.b64encode(keys.secret_file).decode(),
            "public_key": base64.b64encode(keys.public_file).decode(),
        }
        return self.run(**{"ports": PORTS, "clients": {"alice": ALICE} if clients is None else clients, **key, **given})

    def tree(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Host]:
    # A unix socket's name has at most 107 characters. The user's group has its name here.
    with tempfile.TemporaryDirectory(prefix="fake-tor-") as directory:
        name = grp.getgrgid(os.getgid())
        monkeypatch.setattr(onion_service.grp, "getgrnam", lambda _name: name)
        found = Host(Path(directory), monkeypatch)
        yield found
        found.tor.close()


def test_it_is_served_once_and_for_all(host: Host) -> None:
    assert host.serve().changed
    directory = host.places.directory
    assert (directory / "hostname").read_text() == KEYS.address + "\n"
    assert (directory / "hs_ed25519_secret_key").read_bytes() == KEYS.secret_file
    assert (directory / "authorized_clients/alice.auth").read_text() == f"descriptor:x25519:{ALICE}\n"
    assert {path.stat().st_mode & 0o77 for path in [directory, *directory.rglob("*")]} == {0}
    assert host.places.drop_in.read_text().splitlines()[1:] == [
        f"HiddenServiceDir {directory}",
        "HiddenServiceVersion 3",
        "HiddenServicePort 8080 10.10.2.11:8080",
    ]
    assert host.tor.onions() == [str(directory)]
    before = host.tree()
    again = host.serve()
    assert (again.changed, again.lost, host.tree()) == (False, [], before)
    assert not host.run().changed


def test_what_is_asked_of_tor_before_it_is_written(host: Host) -> None:
    (host.places.drop_ins / "10-bcm.conf").write_text("SocksPort 0\n")
    host.serve()
    whole = host.verified[0].splitlines()
    assert whole[:2] == ["# Ours", "SocksPort 0"]
    assert f"HiddenServiceDir {host.places.directory}" in whole
    assert not any("%include" in line for line in whole)


def test_who_comes_in_addition_costs_nobody_the_connection(host: Host) -> None:
    host.serve()
    host.tor.circuits = {7: circuit("HS_SERVICE_REND", "HSSR_JOINED", KEYS.address)}
    more = host.run(clients={"alice": ALICE, "bob": BOB})
    assert (more.changed, more.lost, more.ended) == (True, [], 0)
    assert list(host.tor.circuits) == [7]
    assert all(host.tor.reloads)


def test_who_loses_the_key_loses_the_connection(host: Host) -> None:
    host.serve({"alice": ALICE, "bob": BOB})
    host.tor.reloads.clear()
    host.tor.circuits = {
        # A guest, an introduction, one of this host's own as a guest elsewhere, and one that tor is slow to close.
        7: circuit("HS_SERVICE_REND", "HSSR_JOINED", KEYS.address),
        8: circuit("HS_SERVICE_INTRO", "HSSI_ESTABLISHED", KEYS.address),
        9: circuit("HS_CLIENT_REND", "HSCR_JOINED", KEYS.address),
        10: circuit("GENERAL", "", ""),
        99: circuit("HS_SERVICE_REND", "HSSR_JOINED", KEYS.address),
    }
    gone = host.run(clients={"bob": BOB})
    assert gone.lost == ["the key of alice"]
    assert gone.ended == 2
    # First it was withdrawn, and then announced anew.
    assert host.tor.reloads == [[], [str(host.places.directory)]]
    assert sorted(host.tor.circuits) == [9, 10]
    assert "CLOSECIRCUIT 99" in host.tor.asked
    assert sorted(path.name for path in host.places.clients.iterdir()) == ["bob.auth"]
    assert not host.run(clients={"bob": BOB}).changed


def test_circuits_of_other_onions_stay(host: Host) -> None:
    host.serve({"alice": ALICE, "bob": BOB})
    with SystemControl(host.tor.path) as control:
        host.tor.circuits = {7: circuit("HS_SERVICE_REND", "HSSR_JOINED", OTHER.address)}
        assert control.circuits(KEYS.address) == []
        assert [one.number for one in control.circuits(OTHER.address)] == ["7"]


@pytest.mark.parametrize(
    ("given", "lost"),
    [
        ({"clients": {"alice": BOB}}, ["the key of alice"]),
        ({"clients": {"alyssa": ALICE}}, []),
        ({"ports": [{"virtual": 80, "target_host": "10.10.2.11", "target_port": 8080}]}, ["port 8080"]),
        ({"client_authorisation": False}, []),
        ({"keys": OTHER}, ["the address"]),
    ],
)
def test_what_is_lost(host: Host, given: dict[str, t.Any], lost: list[str]) -> None:
    host.serve()
    host.tor.reloads.clear()
    assert host.serve(**given).lost == lost
    assert ([] in host.tor.reloads) == bool(lost)


def test_without_a_client_it_is_closed(host: Host) -> None:
    closed = host.serve({})
    assert closed.changed
    assert not host.places.drop_in.exists()
    assert not host.serve({}).changed
    # Who sets the clients alone needs to know nothing else of it.
    assert host.run(clients={"alice": ALICE}).changed
    assert host.tor.onions() == [str(host.places.directory)]
    gone = host.run(clients={})
    assert gone.lost == ["the key of alice"]
    assert host.tor.onions() == []


def test_a_key_that_cannot_be_read_does_not_open_it(host: Host) -> None:
    host.serve()
    (host.places.clients / "alice.auth").write_text("descriptor:x25519:broken\n")
    # tor would ask nobody for a key then.
    assert host.run().before.closed
    assert host.tor.onions() == []


def test_open_to_everybody(host: Host) -> None:
    host.serve()
    host.serve(client_authorisation=False)
    assert list(host.places.clients.iterdir()) == []
    assert not host.serve(client_authorisation=False).changed
    shut = host.serve()
    assert shut.lost == ["access without a key"]


@pytest.mark.parametrize("point", range(1, 12))
def test_a_run_that_was_killed_is_finished(host: Host, monkeypatch: pytest.MonkeyPatch, point: int) -> None:
    host.serve({"alice": ALICE, "bob": BOB})
    host.tor.circuits = {7: circuit("HS_SERVICE_REND", "HSSR_JOINED", KEYS.address)}
    writes, real = [0], onion_service.whole_file.write_bytes

    class KilledError(BaseException):
        pass

    def step(*_args: t.Any) -> None:
        writes[0] += 1
        if writes[0] == point:
            raise KilledError

    def write(*args: t.Any) -> None:
        step()
        real(*args)

    reload = SystemControl.reload
    monkeypatch.setattr(onion_service.whole_file, "write_bytes", write)
    monkeypatch.setattr(SystemControl, "reload", lambda control: (step(), reload(control)))
    with contextlib.suppress(KilledError):
        host.run(clients={"bob": BOB})
    monkeypatch.undo()
    monkeypatch.setattr(onion_service, "verify", lambda _options, _text: None)
    monkeypatch.setattr(onion_service, "knows_pow", lambda _program: False)
    monkeypatch.setattr(onion_service.grp, "getgrnam", lambda _name: grp.getgrgid(os.getgid()))
    host.run(clients={"bob": BOB})
    assert 7 not in host.tor.circuits
    assert [one for one in host.tor.reloads if not one][:1] == [[]]
    assert sorted(path.name for path in host.places.clients.iterdir()) == ["bob.auth"]
    assert host.tor.onions() == [str(host.places.directory)]
    assert not host.run(clients={"bob": BOB}).changed


def test_files_that_somebody_has_changed_are_put_in_force_safely(host: Host) -> None:
    host.serve({"alice": ALICE, "bob": BOB})
    (host.places.clients / "alice.auth").unlink()
    host.tor.reloads.clear()
    # Nobody can tell whether tor knows.
    assert host.run(clients={"bob": BOB}).changed
    assert host.tor.reloads[0] == []


def test_check_mode_changes_nothing(host: Host) -> None:
    assert host.serve(check_mode=True).changed
    assert not host.places.directory.exists()
    host.serve({"alice": ALICE, "bob": BOB})
    before, asked = host.tree(), len(host.tor.reloads)
    checked = host.run(check_mode=True, clients={"bob": BOB})
    assert (checked.changed, checked.lost) == (True, ["the key of alice"])
    assert host.run(check_mode=True, absent=True).changed
    assert (host.tree(), len(host.tor.reloads)) == (before, asked)


def test_removed(host: Host) -> None:
    host.serve()
    host.tor.circuits = {7: circuit("HS_SERVICE_REND", "HSSR_JOINED", KEYS.address)}
    gone = host.run(absent=True)
    assert (gone.changed, gone.lost, gone.ended) == (True, ["the onion"], 1)
    assert host.tor.onions() == []
    assert not host.places.directory.exists()
    assert list(host.places.definitions.iterdir()) == []
    assert not host.run(absent=True).changed


def test_a_host_that_waits_for_its_turn_is_not_waited_for(host: Host) -> None:
    host.tor.options["DisableNetwork"] = "1"
    assert host.serve().changed
    assert not host.serve().changed


def test_where_it_is_another_hosts_turn(host: Host) -> None:
    # As the role tor has it: onions are read by a file that comes and goes with the floating address.
    host.tor.publishes = False
    published = host.places.published
    published.mkdir()
    host.places.torrc.write_text(f"%include {host.tor.drop_ins}/[0-4]*.conf\n%include {published}/*.conf\n")
    (host.tor.drop_ins / "10-bcm.conf").write_text("SocksPort 0\n")
    (host.tor.drop_ins / "55-theirs.conf").write_text("HiddenServiceDir /elsewhere\n")
    assert host.serve().changed
    assert host.tor.onions() == []
    assert not host.serve().changed
    assert probe(host).endswith("waits for this host's turn")
    # What tor is asked has what it would read on its turn, each once.
    whole = host.verified[0].splitlines()
    assert [line for line in whole if not line.startswith("#")] == [
        "SocksPort 0",
        "HiddenServiceDir /elsewhere",
        *host.places.drop_in.read_text().splitlines()[1:],
    ]
    (published / "onions.conf").write_text(f"%include {host.tor.drop_ins}/5*.conf\n")
    host.tor.publishes = True
    with SystemControl(host.tor.path) as control:
        control.reload()
    assert str(host.places.directory) in host.tor.onions()
    assert not host.serve().changed
    assert host.serve({}).lost == ["the key of alice"]


def test_what_was_not_announced_is_said(host: Host) -> None:
    host.tor.announces = False
    with pytest.raises(OnionError, match="50 % into it.*Loading relay descriptors"):
        host.serve(timeout=1)


def test_a_tor_that_does_not_take_it_is_said(host: Host) -> None:
    host.tor.deaf = True
    with pytest.raises(OnionError, match="tor does not go by what was written of web within 1 s"):
        host.serve(timeout=1)


def test_a_tor_that_does_not_run_finds_it_when_it_starts(host: Host) -> None:
    host.tor.close()
    service = host.serve()
    assert service.control is None
    assert host.places.drop_in.exists()
    # Nothing says that tor goes by it.
    assert not host.places.stamp.exists()


def test_refused_before_anything_is_touched(host: Host) -> None:
    with pytest.raises(OnionError, match="Name its ports and its key"):
        host.run(clients={"alice": ALICE})
    with pytest.raises(OnionError, match="has no key on this host"):
        host.run(ports=PORTS)
    with pytest.raises(OnionError, match="hs_ed25519_secret_key"):
        host.run(ports=PORTS, secret_key="AAAA", public_key=base64.b64encode(KEYS.public_file).decode())
    host.tor.options["Sandbox"] = "1"
    with pytest.raises(OnionError, match="Sandbox"):
        host.serve()
    host.tor.options["Sandbox"] = "0"
    host.places.torrc.write_text("SocksPort 9050\n")
    with pytest.raises(OnionError, match=r"does not include .*\.conf"):
        host.serve()
    assert not host.places.directory.exists()


def test_two_onions_have_two_keys(host: Host) -> None:
    host.serve(name="other")
    with pytest.raises(OnionError, match="other of this host has the same key"):
        host.serve()
    assert host.serve(keys=OTHER).changed


@pytest.mark.parametrize("name", ["", "Web", "-web", "web-", "a" * 51, "../web", "we b"])
def test_names_that_are_none(host: Host, name: str) -> None:
    with pytest.raises(OnionError, match="is not a name"):
        host.run(name=name)


def test_ports_that_are_none() -> None:
    def port(**given: t.Any) -> dict[str, t.Any]:
        return {**PORTS[0], **given}

    assert wrong_ports(PORTS) == []
    assert wrong_ports([port(target_host="fd00::1")]) == []
    assert "Name at least one" in wrong_ports([])[0]
    assert "0 is not a port" in wrong_ports([port(virtual=0)])[0]
    assert "65536 is not a port" in wrong_ports([port(target_port=65536)])[0]
    assert "that of ports[0]" in wrong_ports([port(), port(target_port=1)])[0]
    assert "Names are not looked up" in wrong_ports([port(target_host="lnd.example")])[0]
    assert "in clear" in wrong_ports([port(target_host="8.8.8.8")])[0]
    assert "no host" in wrong_ports([port(target_host="0.0.0.0")])[0]  # noqa: S104


def test_clients_that_are_none() -> None:
    assert wrong_clients({"alice": ALICE}) == []
    assert "not a name" in wrong_clients({"../a": ALICE})[0]
    assert "52 characters" in wrong_clients({"alice": "short"})[0]
    assert "bob has the key of alice" in wrong_clients({"alice": ALICE, "bob": ALICE})[0]


def test_the_difference_shows_no_secret(host: Host) -> None:
    service = host.serve()
    diff = str(diff_of(service.before, service.wanted(), service.places))
    assert KEYS.address in diff
    assert ALICE in diff
    assert base64.b64encode(KEYS.secret_file).decode() not in diff
    assert str(KEYS.secret_file) not in diff


def test_what_is_looked_at(host: Host) -> None:
    host.serve()
    host.tor.circuits = {
        1: circuit("HS_SERVICE_INTRO", "HSSI_ESTABLISHED", KEYS.address),
        2: circuit("HS_SERVICE_INTRO", "HSSI_CONNECTING", KEYS.address),
        3: circuit("HS_SERVICE_REND", "HSSR_JOINED", KEYS.address),
    }
    with SystemControl(host.tor.path) as control:
        (found,) = look_at_all(host.places, control)
    assert {key: found[key] for key in ("name", "address", "closed", "in_force", "loaded", "described")} == {
        "name": "web",
        "address": KEYS.address,
        "closed": False,
        "in_force": True,
        "loaded": True,
        "described": True,
    }
    assert (found["introductions"], found["guests"], found["clients"]) == (1, 1, {"alice": ALICE})


def probe(host: Host) -> str:
    places = {key: getattr(host.places, key) for key in ("onions", "drop_ins", "definitions", "torrc", "published")}
    said = _probes.onions({"control": str(host.tor.path), "places": places})
    return said.note if isinstance(said, _probes.Noted) else f"BROKEN {said}"


def test_what_verify_says(host: Host) -> None:
    assert probe(host) == "none here"
    host.serve({})
    assert probe(host) == f"web {KEYS.address}, closed until it has a client"
    host.serve()
    assert probe(host) == "BROKEN web: no relay introduces guests to it yet"
    host.tor.circuits = {1: circuit("HS_SERVICE_INTRO", "HSSI_ESTABLISHED", KEYS.address)}
    assert probe(host) == f"web {KEYS.address}, 1 client, announced"
    host.tor.options["DisableNetwork"] = "1"
    host.tor.circuits = {}
    assert probe(host) == f"web {KEYS.address}, 1 client, waits for this host's turn"
    (host.places.clients / "bob.auth").write_text("nothing\n")
    assert "client bob cannot be read" in probe(host)
    (host.places.clients / "bob.auth").write_text(f"descriptor:x25519:{BOB}\n")
    assert "may not be what tor goes by" in probe(host)
    (host.places.clients / "bob.auth").unlink()
    host.tor.options["DisableNetwork"] = "0"
    drop_in = host.places.drop_in.read_text()
    host.places.drop_in.unlink()
    with SystemControl(host.tor.path) as control:
        control.reload()
    host.places.drop_in.write_text(drop_in)
    assert "tor has not loaded it" in probe(host)
    host.tor.close()
    assert probe(host) == "BROKEN tor does not run, so none of its onions is served"


def test_circuits_are_read() -> None:
    lines = [
        "",
        "circuit-status=",
        f"12 BUILT {circuit('HS_SERVICE_REND', 'HSSR_JOINED', KEYS.address)}",
        "13 LAUNCHED",
        "OK",
    ]
    found = parse_circuits(lines)
    assert [(one.number, one.hs_state) for one in found] == [("12", "HSSR_JOINED"), ("13", "")]
    assert found[0].onion == KEYS.address.removesuffix(".onion")


def test_a_wrong_cookie_is_said_without_it(host: Host) -> None:
    host.tor.cookie.write_bytes(b"x" * 32)
    with pytest.raises(TorError, match="tor refuses AUTHENTICATE: 515") as caught:
        SystemControl(host.tor.path)
    assert (b"x" * 32).hex() not in str(caught.value)
