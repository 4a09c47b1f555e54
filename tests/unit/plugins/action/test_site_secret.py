# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import multiprocessing
import os
import re
import signal
import stat
import textwrap
import time
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.bcm.datacenter.plugins.module_utils import _secret_store as secret_store
from ansible_collections.bcm.datacenter.plugins.module_utils._secret_store import (
    DirectoryStore,
    PassStore,
    StoreError,
    rpcauth_line,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._site_secrets import (
    PLACEHOLDER,
    Secrets,
    check_request,
    remove,
    work,
)
from ansible_collections.bcm.datacenter.plugins.plugin_utils._vault_store import VaultStore


def want(name: str, **options: t.Any) -> dict[str, t.Any]:
    return {
        "name": name,
        "kind": "password",
        "length": 32,
        "value": None,
        "update": False,
        "user": None,
        "password": None,
        **options,
    }


@pytest.fixture
def fake_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pass that does not encrypt."""
    program = tmp_path / "bin" / "pass"
    program.parent.mkdir()
    program.write_text(
        textwrap.dedent("""\
        #!/bin/sh
        set -e
        command=$1; shift
        while [ "${1#--}" != "$1" ]; do shift; done
        file=$PASSWORD_STORE_DIR/$1.gpg
        case $command in
        show) cat "$file" ;;
        insert) mkdir -p "${file%/*}"; cat > "$file" ;;
        rm) rm "$file" ;;
        esac
        """)
    )
    program.chmod(0o755)
    store = tmp_path / "store"
    store.mkdir()
    (store / ".gpg-id").write_text("x")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PASSWORD_STORE_DIR", str(store))
    return store


def open_vault(folder: Path, site: str = "home", password: bytes = b"the password", **options: t.Any) -> VaultStore:
    passwords = options.get("passwords", [("default", VaultSecret(password))])
    return VaultStore(str(folder / "of" / ".secrets.vault"), site, passwords, options.get("vault_id"))


@pytest.fixture(params=["directory", "pass", "vault"])
def store(request: pytest.FixtureRequest, tmp_path: Path, fake_pass: Path) -> t.Any:
    if request.param == "directory":
        return DirectoryStore(str(tmp_path / "sites"), "home")
    return PassStore("bcm", "home") if request.param == "pass" else open_vault(tmp_path)


def have(
    store: t.Any, *wanted: dict[str, t.Any], create: bool = True, **options: t.Any
) -> tuple[dict[str, str], Secrets]:
    keeper = Secrets(store, "home", options.get("may_create", True), options.get("check_mode", False))
    return keeper.have(list(wanted), create), keeper


def test_made_once(store: t.Any) -> None:
    first, keeper = have(store, want("a"), want("b", kind="hex", length=16), want("c", kind="base64"))
    assert keeper.made == ["a", "b", "c"]
    assert re.fullmatch(r"[A-Za-z0-9]{32}", first["a"])
    assert re.fullmatch(r"[0-9a-f]{32}", first["b"])
    assert len(base64.b64decode(first["c"])) == 32
    again, keeper = have(store, want("c", kind="base64"), want("b", kind="hex", length=8), want("a", length=64))
    assert again == first
    assert keeper.made == []
    assert have(store, want("a"), create=False)[0] == {"a": first["a"]}


def test_a_value_is_replaced_that_is_still_there(store: t.Any) -> None:
    def to(value: str, replaces: str) -> dict[str, t.Any]:
        return want("list", kind="text", value=value, update=True, replaces=replaces)

    assert have(store, to("one", ""))[0] == {"list": "one"}
    # As when a run is repeated whose answer was lost.
    assert have(store, to("one", ""))[1].made == []
    assert have(store, to("two", "one"))[1].made == ["list"]
    with pytest.raises(StoreError, match="changed by another run"):
        have(store, want("other"), to("three", "one"))
    with pytest.raises(StoreError, match="changed by another run"):
        have(store, to("three", ""))
    assert have(store, want("list"), create=False)[0] == {"list": "two"}
    # Nothing of the list is written where one of it is refused.
    assert store.names() == ["list"]


def test_replaces_goes_with_update() -> None:
    with pytest.raises(StoreError, match="replaces goes with update"):
        check_request("home", [want("a", kind="text", value="x", replaces="y")], "present", None)


def test_check_mode_makes_nothing(store: t.Any) -> None:
    values, keeper = have(
        store,
        want("a"),
        want("auth", kind="rpcauth", user="u", password="a"),
        want("t", kind="text", value="given"),
        check_mode=True,
    )
    assert values == {"a": PLACEHOLDER, "auth": PLACEHOLDER, "t": "given"}
    assert keeper.made == ["a", "auth", "t"]
    assert store.names() == []
    assert store.made() == set()


def test_check_mode_shows_what_exists(store: t.Any) -> None:
    made = have(store, want("a"))[0]
    values, keeper = have(store, want("a"), want("b"), check_mode=True)
    assert values == {**made, "b": PLACEHOLDER}
    assert keeper.made == ["b"]


def test_text_is_stored_to_the_last_byte(store: t.Any) -> None:
    text = "-----BEGIN KEY-----\nä\n-----END KEY-----\n"
    assert have(store, want("key", kind="text", value=text))[0] == {"key": text}
    assert have(store, want("key", kind="text"))[0] == {"key": text}
    # What is stored wins, unless it shall be updated.
    assert have(store, want("key", kind="text", value="other"))[0] == {"key": text}
    values, keeper = have(store, want("key", kind="text", value="other", update=True))
    assert (values, keeper.made) == ({"key": "other"}, ["key"])
    assert have(store, want("key", kind="text", value="other", update=True))[1].made == []


def test_text_cannot_be_made(store: t.Any) -> None:
    with pytest.raises(StoreError, match="no value was given"):
        have(store, want("key", kind="text"))


def test_rpcauth_is_stable(store: t.Any) -> None:
    wanted = [want("pw"), want("auth", kind="rpcauth", user="lnd", password="pw")]
    first, _keeper = have(store, *wanted)
    user, _colon, rest = first["auth"].partition(":")
    salt, _dollar, _digest = rest.partition("$")
    assert user == "lnd"
    assert first["auth"] == rpcauth_line("lnd", first["pw"], salt)
    assert have(store, *wanted)[0] == first
    # The password need not be in the list, and the list may have any order.
    assert have(store, wanted[1])[0] == {"auth": first["auth"]}
    assert have(store, *reversed(wanted))[0] == first


def test_rpcauth_is_bitcoins() -> None:
    # share/rpcauth/rpcauth.py: HMAC-SHA256 of the password, with the salt's hexadecimal text as key.
    digest = "3daaddf0e080d0f2eabcac3a5e815cdebd27c2759ca95fadb5b03e8009ea9424"
    assert rpcauth_line("u", "pw", "00ff") == f"u:00ff${digest}"


def test_rpcauth_without_password(store: t.Any) -> None:
    with pytest.raises(StoreError, match="'pw', its password, does not exist"):
        have(store, want("auth", kind="rpcauth", user="u", password="pw"))


def test_a_site_without_its_secrets(store: t.Any) -> None:
    with pytest.raises(StoreError, match="The site home exists and its secrets do not"):
        have(store, want("a"), may_create=False)
    assert store.names() == []


def test_a_part_that_is_added_to_a_site_gets_its_secret(store: t.Any) -> None:
    have(store, want("a"))
    assert have(store, want("a"), want("b"), may_create=False)[1].made == ["b"]


@pytest.mark.parametrize("may_create", [True, False])
def test_a_lost_secret_is_not_made_anew(store: t.Any, may_create: bool, tmp_path: Path, fake_pass: Path) -> None:
    have(store, want("a"), want("b"))
    if isinstance(store, VaultStore):
        # As by ansible-vault edit.
        store._save({"b": store.read("b")}, store.made())
    for lost in [*tmp_path.rglob("secrets/a"), *fake_pass.rglob("a.gpg")]:
        lost.unlink()
    for check_mode in (True, False):
        with pytest.raises(StoreError, match=r"made once and are gone from .*: a\. Restore"):
            have(store, want("a"), may_create=may_create, check_mode=check_mode)


def test_what_a_killed_run_has_not_noted_is_noted_later(store: t.Any) -> None:
    first = have(store, want("a"))[0]
    store.record(set())
    values, keeper = have(store, want("a"))
    assert (values, keeper.made, store.made()) == (first, [], {"a"})


def test_what_is_found(store: t.Any) -> None:
    first = have(store, want("a"))[0]
    options = {"site": "home", "state": "found", "secrets": [want("a"), want("b")], "confirm": None, "may_create": True}
    result = work(options, lambda: store, False, True)
    assert (result["secrets"], result["changed"]) == (first, False)
    assert store.names() == ["a"]


def test_read_of_what_is_missing(store: t.Any) -> None:
    with pytest.raises(StoreError, match="lacks these secrets of site home: a, b"):
        have(store, want("a"), want("b"), create=False)
    assert store.names() == []


def test_remove(store: t.Any) -> None:
    have(store, want("a"), want("b"), want("c"))
    assert remove(store, ["a", "never"], check_mode=True) == ["a"]
    assert store.names() == ["a", "b", "c"]
    assert remove(store, ["a", "never"], check_mode=False) == ["a"]
    assert (store.names(), store.made()) == (["b", "c"], {"b", "c"})
    assert remove(store, None, check_mode=False) == ["b", "c"]
    assert (store.names(), store.made()) == ([], set())
    assert remove(store, None, check_mode=False) == []
    assert have(store, want("a"))[1].made == ["a"]


@pytest.fixture
def directory(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(str(tmp_path / "sites"), "home")


def test_only_root_may_look(directory: DirectoryStore) -> None:
    have(directory, want("a"))
    assert stat.S_IMODE((directory.directory / "a").stat().st_mode) == 0o600
    for path in (directory.directory, directory.base, directory.base.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    (directory.directory / "a").chmod(0o640)
    with pytest.raises(StoreError, match="may be read by others"):
        have(directory, want("a"))


def test_damage_is_told(directory: DirectoryStore) -> None:
    have(directory, want("a", kind="hex"))
    (directory.directory / "a").write_text("xyz")
    with pytest.raises(StoreError, match="not hexadecimal"):
        have(directory, want("a", kind="hex"))
    (directory.directory / "a").write_text("")
    with pytest.raises(StoreError, match="is empty"):
        have(directory, want("a"))


def test_leftovers_of_a_killed_run_go(directory: DirectoryStore) -> None:
    have(directory, want("a"))
    (directory.directory / ".new-b-1234").write_text("half")
    have(directory, want("b"))
    assert sorted(path.name for path in directory.directory.iterdir()) == [".made", "a", "b"]


def test_a_lock_that_is_held(directory: DirectoryStore) -> None:
    lock = directory.base / ".secrets.lock"
    with directory.lock(), pytest.raises(StoreError, match="has held the lock"), secret_store.locked(lock, 0.1):
        pass
    with directory.lock():
        pass


def _open(kind: str, root: str) -> t.Any:
    return DirectoryStore(root, "home") if kind == "directory" else open_vault(Path(root))


def _make(kind: str, root: str, queue: t.Any) -> None:
    store = _open(kind, root)
    queue.put(Secrets(store, "home", True, False).have([want(f"s{i}") for i in range(8)], True))


@pytest.mark.parametrize("kind", ["directory", "vault"])
def test_runs_at_once_make_one_secret(tmp_path: Path, kind: str) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=_make, args=(kind, str(tmp_path), queue)) for _i in range(6)]
    for process in processes:
        process.start()
    results = [queue.get(timeout=60) for _process in processes]
    for process in processes:
        process.join()
    assert all(result == results[0] for result in results)


def _make_for_ever(kind: str, root: str) -> None:
    store = _open(kind, root)
    number = 0
    while True:
        Secrets(store, "home", True, False).have([want(f"s{number}")], True)
        number += 1


@pytest.mark.parametrize("kind", ["directory", "vault"])
@pytest.mark.parametrize("after", [0.01, 0.03, 0.05, 0.08])
def test_a_killed_run_leaves_whole_secrets(tmp_path: Path, after: float, kind: str) -> None:
    process = multiprocessing.get_context("fork").Process(target=_make_for_ever, args=(kind, str(tmp_path)))
    process.start()
    store = _open(kind, str(tmp_path))
    while not store.names():
        time.sleep(0.01)
    time.sleep(after)
    os.kill(t.cast(int, process.pid), signal.SIGKILL)
    process.join()
    names = store.names()
    before = {name: store.read(name) for name in names}
    assert all(len(value or "") == 32 for value in before.values())
    values, keeper = have(store, *[want(name) for name in names])
    assert (values, keeper.made) == (before, [])
    assert store.made() == set(names)


def test_a_vault_is_encrypted_and_roots(tmp_path: Path) -> None:
    made = have(open_vault(tmp_path), want("a"), want("t", kind="text", value="zwei\nZeilen ä\n"))[0]
    files = list((tmp_path / "of").iterdir())
    assert sorted(file.name for file in files) == [".secrets.vault", ".secrets.vault.lock"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    data = (tmp_path / "of" / ".secrets.vault").read_bytes()
    assert data.startswith(b"$ANSIBLE_VAULT;1.1;AES256\n")
    plain = VaultLib([("default", VaultSecret(b"the password"))]).decrypt(data)
    assert yaml.safe_load(plain) == {"site": "home", "secrets": made, "made": ["a", "t"]}
    # Another run, with a store of its own.
    assert have(open_vault(tmp_path), want("a"), create=False)[0] == {"a": made["a"]}


def test_a_vault_of_an_identity(tmp_path: Path) -> None:
    passwords = [("dev", VaultSecret(b"one")), ("prod", VaultSecret(b"two"))]
    made = have(open_vault(tmp_path, passwords=passwords, vault_id="prod"), want("a"))[0]
    assert (tmp_path / "of" / ".secrets.vault").read_bytes().startswith(b"$ANSIBLE_VAULT;1.2;AES256;prod\n")
    assert have(open_vault(tmp_path, passwords=passwords[1:]), want("a"))[0] == made
    with pytest.raises(StoreError, match="no password of vault id 'other', but those of: dev, prod"):
        open_vault(tmp_path, passwords=passwords, vault_id="other")


def test_a_vault_without_a_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Ansible was given no vault password"):
        open_vault(tmp_path, passwords=[])


def test_a_vault_that_cannot_be_used_is_left_alone(tmp_path: Path) -> None:
    have(open_vault(tmp_path), want("a"))
    path = tmp_path / "of" / ".secrets.vault"
    before = path.read_bytes()
    with pytest.raises(StoreError, match="cannot be decrypted"):
        have(open_vault(tmp_path, password=b"wrong"), want("a"), want("b"))
    with pytest.raises(StoreError, match="holds the secrets of site 'home', not those of 'other'"):
        have(open_vault(tmp_path, site="other"), want("b"))
    assert path.read_bytes() == before
    encrypt = VaultLib([("default", VaultSecret(b"the password"))]).encrypt
    for content, reason in (
        (b"site: home", "is not encrypted"),
        (encrypt("a: [top-secret"), "is not YAML"),
        (encrypt("site: home\nsecrets: {a: 1}\nmade: []"), "is not a mapping of site"),
    ):
        path.write_bytes(content)
        with pytest.raises(StoreError, match=reason) as caught:
            have(open_vault(tmp_path), want("b"))
        assert "top-secret" not in str(caught.value)
        assert path.read_bytes() == content


def test_leftovers_beside_a_vault_go(tmp_path: Path) -> None:
    have(open_vault(tmp_path), want("a"))
    (tmp_path / "of" / ".secrets.vault.new-1234").write_text("half")
    have(open_vault(tmp_path), want("b"))
    assert sorted(file.name for file in (tmp_path / "of").iterdir()) == [".secrets.vault", ".secrets.vault.lock"]


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    options = {"site": "home", "secrets": [want("a")], "state": "present", "may_create": True, "confirm": None}
    with pytest.raises(StoreError, match="give the task no_log"):
        work(options, lambda: open_vault(tmp_path), False, False)
    assert work(options, lambda: open_vault(tmp_path), False, True)["made"] == ["a"]


def test_pass_that_is_not_there(fake_pass: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StoreError, match="pass is not installed"):
        have(PassStore("bcm", "home"), want("a"))
    (fake_pass / ".gpg-id").unlink()
    with pytest.raises(StoreError, match="pass init"):
        have(PassStore("bcm", "home"), want("a"))


@pytest.mark.parametrize(
    ("site", "wanted", "state", "confirm", "reason"),
    [
        ("Home", [], "present", None, "not a name of a site"),
        ("../x", [], "present", None, "not a name of a site"),
        ("home", [want("../a")], "present", None, "not a name of a secret"),
        ("home", [want(".made")], "present", None, "not a name of a secret"),
        ("home", [want("a"), want("a")], "present", None, "twice"),
        ("home", [want("a", value="x")], "present", None, "a value goes with kind text"),
        ("home", [want("a", kind="text", value="")], "present", None, "is empty"),
        ("home", [want("a", kind="text", update=True)], "present", None, "update needs a value"),
        ("home", [want("a", kind="rpcauth", user="u")], "present", None, "needs user and password"),
        ("home", [want("a", length=4)], "present", None, "not between 8 and 4096"),
        ("home", [], "absent", None, "set confirm to 'home'"),
        ("home", [], "absent", "other", "set confirm to 'home'"),
    ],
)
def test_requests_that_make_no_sense(
    site: str, wanted: list[dict[str, t.Any]], state: str, confirm: str | None, reason: str
) -> None:
    with pytest.raises(StoreError, match=reason):
        check_request(site, wanted, state, confirm)
