# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What onion_clients and onion_client_bundle do with the store of secrets, which is a real one in a directory."""

from __future__ import annotations

import typing as t
from pathlib import Path
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.bcm.datacenter.plugins.action import onion_client_bundle, onion_clients
from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import encode, onion_keys, public_of
from ansible_collections.bcm.datacenter.plugins.module_utils._secret_store import DirectoryStore, StoreError
from ansible_collections.bcm.datacenter.plugins.module_utils._site_secrets import work
from ansible_collections.bcm.datacenter.plugins.plugin_utils._onion_bundle import EVERYBODY, OWN_KEY, parse

SEED = b"s" * 32
ADDRESS = onion_keys(SEED).address
OWN = encode(public_of(b"o" * 32))
DEFAULTS = {
    "kind": "password",
    "length": 32,
    "value": None,
    "update": False,
    "replaces": None,
    "user": None,
    "password": None,
}


class FailedError(Exception):
    """What a task says that fails."""


class Site:
    """A site with a store of secrets, and a controller."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = DirectoryStore(str(folder / "sites"), "home")
        self.bundles = folder / "home/onions"
        self.before_writing: t.Callable[[], None] = lambda: None
        for module in (onion_clients, onion_client_bundle):
            monkeypatch.setattr(module, "ask_store", self._ask)

    def _ask(
        self, action: t.Any, _vars: t.Any, site: str, state: str, secrets: list[dict[str, t.Any]]
    ) -> dict[str, t.Any]:
        wanted = [{**DEFAULTS, **one} for one in secrets]
        options = {"site": site, "state": state, "secrets": wanted, "confirm": None, "may_create": True}
        if state == "present":
            self.before_writing()
        try:
            return work(options, lambda: self.store, action._task.check_mode, True)
        except StoreError as exc:
            raise AnsibleActionFail(str(exc)) from None

    def _run(self, plugin: t.Any, args: dict[str, t.Any], **task: t.Any) -> dict[str, t.Any]:
        made = mock.Mock(args=args, **{"async_val": 0, "check_mode": False, "no_log": False, "diff": False, **task})
        action = plugin.ActionModule(
            task=made,
            connection=mock.Mock(),
            play_context=mock.Mock(),
            loader=DataLoader(),
            templar=Templar(loader=DataLoader(), variables={}),
            shared_loader_obj=None,
        )
        found: dict[str, t.Any] = action.run(task_vars={})
        if found.get("failed"):
            raise FailedError(found["msg"])
        return found

    def clients(
        self, *names: str | dict[str, str], task: dict[str, t.Any] | None = None, **args: t.Any
    ) -> dict[str, t.Any]:
        listed = [{"name": one} if isinstance(one, str) else one for one in names]
        return self._run(onion_clients, {"site": "home", "service": "web", "clients": listed, **args}, **task or {})

    def bundle(self, client: str, task: dict[str, t.Any] | None = None, **args: t.Any) -> dict[str, t.Any]:
        given = {
            "site": "home",
            "service": "web",
            "client": client,
            "directory": str(self.bundles),
            "ports": [80],
            **args,
        }
        return self._run(onion_client_bundle, given, **task or {})

    def text(self, client: str) -> str:
        return (self.bundles / f"web.{client}.txt").read_text()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    found = Site(tmp_path, monkeypatch)
    with found.store.lock():
        found.store.create("onion_web", SEED.hex())
    return found


def private(home: Site, name: str) -> str:
    return parse(home.text(name)).key


def test_let_in_and_told(home: Site) -> None:
    made = home.clients("alice", {"name": "bob", "public_key": OWN}, task={"diff": True})
    assert (made["changed"], made["added"], made["own_keys"]) == (True, ["alice", "bob"], ["bob"])
    assert made["clients"]["bob"] == OWN
    assert not home.clients("alice", "bob")["changed"]
    assert home.bundle("alice")["changed"]
    bundle = parse(home.text("alice"))
    assert (bundle.site, bundle.service, bundle.client, bundle.address, bundle.ports) == (
        "home",
        "web",
        "alice",
        ADDRESS,
        (80,),
    )
    # No key is in what a task returns, neither that of the onion nor that of a client.
    assert bundle.key not in str(made)
    assert SEED.hex() not in str(made)
    again = home.bundle("alice")
    assert (again["changed"], bundle.key in str(again)) == (False, False)
    assert {path.stat().st_mode & 0o777 for path in home.bundles.iterdir()} == {0o600}
    assert home.bundles.stat().st_mode & 0o777 == 0o700


def test_what_others_could_read_is_made_private(home: Site) -> None:
    home.clients("alice")
    home.bundle("alice")
    file = home.bundles / "web.alice.txt"
    file.chmod(0o644)
    assert home.bundle("alice")["changed_paths"] == [str(file)]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_new_key_is_in_a_new_bundle(home: Site) -> None:
    home.clients("alice")
    home.bundle("alice")
    old = private(home, "alice")
    assert home.clients(rotate=["alice"])["lost"] == ["alice"]
    home.bundle("alice")
    assert private(home, "alice") != old
    # What was is nowhere any more, but for its public part.
    assert old not in (home.store.read("onion_web.clients") or "")


def test_who_is_gone_has_no_bundle(home: Site) -> None:
    home.clients("alice")
    home.bundle("alice")
    assert home.clients(revoke=["alice"])["lost"] == ["alice"]
    with pytest.raises(FailedError, match="web knows no client alice. It knows none"):
        home.bundle("alice")
    assert home.bundle("alice", state="absent")["changed"]
    assert list(home.bundles.iterdir()) == []
    assert not home.bundle("alice", state="absent")["changed"]


def test_who_has_a_key_of_their_own_or_needs_none(home: Site) -> None:
    home.clients({"name": "bob", "public_key": OWN})
    home.bundle("bob")
    assert private(home, "bob") == OWN_KEY
    home.bundle("anybody", client_authorisation=False)
    assert private(home, "anybody") == EVERYBODY


def test_two_at_the_same_time(home: Site) -> None:
    def other() -> None:
        home.before_writing = lambda: None
        home.clients("bob")

    home.before_writing = other
    with pytest.raises(FailedError, match="changed by another run"):
        home.clients("alice")
    assert list(home.clients(state="read")["clients"]) == ["bob"]
    assert sorted(home.clients("alice")["clients"]) == ["alice", "bob"]


def test_check_mode_writes_nothing(home: Site) -> None:
    checked = home.clients("alice", task={"check_mode": True})
    assert checked["added"] == ["alice"]
    assert home.store.names() == ["onion_web"]
    home.clients("alice")
    assert home.bundle("alice", task={"check_mode": True})["changed"]
    assert not home.bundles.exists()
    home.bundle("alice")
    assert home.bundle("alice", state="absent", task={"check_mode": True})["changed"]
    assert private(home, "alice")


def test_lnd_goes_with_it_and_only_unseen(home: Site) -> None:
    home.clients("alice")
    lnd = {"port": 8080, "macaroon": (b"\x02" * 64).hex()}
    with pytest.raises(FailedError, match="no_log"):
        home.bundle("alice", lndconnect=lnd)
    home.bundle("alice", lndconnect=lnd, task={"no_log": True})
    bundle = parse(home.text("alice"))
    assert bundle.lnd
    assert bundle.lnd.macaroon == b"\x02" * 64
    # Without it, what was of it goes.
    home.bundle("alice")
    assert not (home.bundles / "web.alice.macaroon").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"service": "We b"}, "service: 'We b' is not a name"),
        ({"client": "../x"}, "client: '../x' is not a client's name"),
        ({"ports": [0]}, "0 is not a port"),
        ({"ports": []}, "there is none"),
        ({"service": "other"}, "has no onion other yet"),
    ],
)
def test_wrong_requests_for_a_bundle(home: Site, args: dict[str, t.Any], words: str) -> None:
    with pytest.raises(FailedError, match=words):
        home.bundle(**{"client": "alice", **args})
    assert not home.bundles.exists()


def test_wrong_requests_for_clients(home: Site) -> None:
    with pytest.raises(FailedError, match="in clients and in revoke"):
        home.clients("alice", revoke=["alice"])
    with pytest.raises(FailedError, match="knows no client eve"):
        home.clients(rotate=["eve"])
    assert home.store.names() == ["onion_web"]


def test_a_register_that_is_broken_is_left_alone(home: Site) -> None:
    with home.store.lock():
        home.store.create("onion_web.clients", "{}")
    with pytest.raises(FailedError, match="Restore onion_web.clients"):
        home.clients("alice")
    assert home.store.read("onion_web.clients") == "{}"
