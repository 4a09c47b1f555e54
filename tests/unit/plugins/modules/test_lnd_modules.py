# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules for lnd's wallet and macaroons against an lnd in memory, over real HTTPS."""

from __future__ import annotations

import importlib
import json
import os
import stat
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.bcm.datacenter.plugins.module_utils import _lnd_rest
from ansible_collections.bcm.datacenter.tests.unit.plugins.modules.fake_lnd import FakeLnd

PREFIX = "ansible_collections.bcm.datacenter.plugins.modules."
Run = t.Callable[..., dict[str, t.Any]]


@pytest.fixture
def lnd(tmp_path: Path) -> t.Iterator[FakeLnd]:
    fake = FakeLnd(tmp_path)
    yield fake
    fake.shutdown()
    fake.server_close()


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was warned of. Beside code of the controller Ansible does not put it into the result."""
    found: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text, **_more: found.append(text))
    return found


@pytest.fixture
def run(lnd: FakeLnd, warned: list[str], capsys: pytest.CaptureFixture[str]) -> Run:
    def run_module(name: str, /, *, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        args = {"url": lnd.url, "ca_path": str(lnd.ca), "_ansible_check_mode": check, "_ansible_diff": True, **params}
        if name != "lnd_wallet" and not {"macaroon_path", "macaroon"} & set(params):
            args["macaroon_path"] = str(lnd.admin)
        with patch_module_args(args), pytest.raises(SystemExit):
            importlib.import_module(PREFIX + name).main()
        result = json.loads(capsys.readouterr().out)
        result["warnings"], warned[:] = list(warned), []
        return result

    return run_module


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("correct horse\n")
    path.chmod(0o600)
    return path


def test_a_wallet_is_unlocked_once(run: Run, lnd: FakeLnd, password: Path) -> None:
    lnd.state = "LOCKED"
    planned = run("lnd_wallet", check=True, password_path=str(password))
    assert (planned["changed"], planned["state"], lnd.done) == (True, "active", [])
    done = run("lnd_wallet", password_path=str(password))
    assert (done["changed"], done["state"]) == (True, "active")
    assert done["diff"] == {"before": {"state": "locked"}, "after": {"state": "active"}}
    assert not run("lnd_wallet", password_path=str(password))["changed"]
    assert lnd.verbs() == ["unlock"]
    assert "correct horse" not in json.dumps(done)


def test_a_wallet_is_never_made(run: Run, lnd: FakeLnd, password: Path) -> None:
    lnd.state = "NON_EXISTING"
    for check in (True, False):
        said = run("lnd_wallet", check=check, password_path=str(password))
        assert said["failed"]
        assert "Its owner makes one on a terminal" in said["msg"]
    assert {line.split()[1] for line in lnd.asked} == {"/v1/state"}


def test_passwords_that_cannot_be_are_refused_before_lnd_is_told(run: Run, lnd: FakeLnd, password: Path) -> None:
    lnd.state = "LOCKED"
    password.chmod(0o644)
    assert "has mode 0644" in run("lnd_wallet", password_path=str(password))["msg"]
    password.chmod(0o600)
    for text, why in (("short", "less than the 8 characters"), ("correct\nhorse", "several lines")):
        password.write_text(text)
        assert why in run("lnd_wallet", password_path=str(password))["msg"]
    assert "could not be read" in run("lnd_wallet", password_path=str(password.with_name("none")))["msg"]
    assert "no regular file" in run("lnd_wallet", password_path=str(password.parent))["msg"]
    assert not any("unlockwallet" in line for line in lnd.asked)
    password.write_text("wrong horse")
    assert "invalid passphrase" in run("lnd_wallet", password_path=str(password))["msg"]
    assert lnd.state == "LOCKED"


def test_it_waits_until_lnd_is_ready_and_says_what_it_is_in(run: Run, lnd: FakeLnd, password: Path) -> None:
    lnd.state = "RPC_ACTIVE"
    assert run("lnd_wallet", password_path=str(password), wait="unlocked")["state"] == "starting"
    said = run("lnd_wallet", password_path=str(password), wait_timeout=0)
    assert said["msg"].endswith("is not active: it is starting")
    lnd.state = "WAITING_TO_START"
    assert "another lnd" in run("lnd_wallet", password_path=str(password))["msg"]


@pytest.mark.parametrize(
    ("state", "ours", "reason"),
    [
        ("NON_EXISTING", "absent", "absent: its owner"),
        ("LOCKED", "locked", "locked: unlock it"),
        ("UNLOCKED", "unlocked", "unlocked, and still starting"),
        ("RPC_ACTIVE", "starting", "starting"),
    ],
)
def test_what_a_wallet_is_in(run: Run, lnd: FakeLnd, state: str, ours: str, reason: str) -> None:
    lnd.state = state
    found = run("lnd_wallet_info")
    assert (found["state"], found["ready"]) == (ours, False)
    assert found["reason"].startswith(reason)


def test_what_lnd_says_of_itself(run: Run, lnd: FakeLnd, tmp_path: Path) -> None:
    found = run("lnd_wallet_info")
    assert (found["ready"], found["version"], found["network"]) == (True, "0.20.1-beta", "regtest")
    assert found["balance"] == {"confirmed": 7, "unconfirmed": 0, "locked": 0, "reserved": 3}
    lnd.synced = False
    assert run("lnd_wallet_info")["reason"] == "has not caught up with the chain, block 101"
    bare = run("lnd_wallet_info", macaroon_path=str(tmp_path / "none"))
    assert (bare["state"], bare["ready"], bare["pubkey"]) == ("active", False, None)
    lnd.shutdown()
    lnd.server_close()
    gone = run("lnd_wallet_info")
    assert (gone["state"], gone["ready"]) == ("unreachable", False)
    assert "cannot be reached" in gone["reason"]


def test_nothing_is_sent_to_who_is_not_lnd(run: Run, lnd: FakeLnd, tmp_path: Path, password: Path) -> None:
    other = FakeLnd(tmp_path, "lnd-1.home.bcm.internal")
    lnd.state = other.state = "LOCKED"
    said = run("lnd_wallet", ca_path=str(other.ca), password_path=str(password))
    assert "does not vouch for" in said["msg"]
    # The right authority, and another host.
    said = run("lnd_wallet", url=other.url, ca_path=str(other.ca), password_path=str(password))
    assert "does not vouch for" in said["msg"]
    assert (lnd.asked, other.asked) == ([], [])
    name = "lnd-1.home.bcm.internal"
    assert run("lnd_wallet", url=other.url, ca_path=str(other.ca), password_path=str(password), server_name=name)[
        "changed"
    ]
    other.shutdown()
    other.server_close()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "https://u@h:1", "https://h:1/v1", "h:1", "https://h:99999", "https://"]
)
def test_urls_that_cannot_be_are_refused(run: Run, password: Path, url: str) -> None:
    assert "allowed: https://HOST:PORT" in run("lnd_wallet", url=url, password_path=str(password))["msg"]


def test_a_macaroon_is_baked_once(run: Run, lnd: FakeLnd, tmp_path: Path) -> None:
    path = tmp_path / "shop.macaroon"
    wish = {"path": str(path), "root_key_id": 101, "permissions": ["invoices:write", "info:read"]}
    planned = run("lnd_macaroon", check=True, **wish)
    assert (planned["changed"], lnd.done, path.exists()) == (True, [], False)
    made = run("lnd_macaroon", **wish)
    assert made["changed"]
    assert (made["permissions"], made["diff"]) == (planned["permissions"], planned["diff"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert lnd.takes(path.read_bytes())
    for check in (True, False):
        assert not run("lnd_macaroon", check=check, **wish)["changed"]
    assert lnd.verbs() == ["bake"]
    assert path.read_bytes().hex() not in json.dumps(made)
    assert run("lnd_macaroon", return_macaroon=True, **wish)["macaroon"] == path.read_bytes().hex()


def test_other_rights_end_the_old_ones(run: Run, lnd: FakeLnd, tmp_path: Path) -> None:
    path = tmp_path / "shop.macaroon"
    wish = {"path": str(path), "root_key_id": 101}
    run("lnd_macaroon", permissions=["info:read", "offchain:write"], **wish)
    old = path.read_bytes()
    assert run("lnd_macaroon", check=True, permissions=["info:read"], **wish)["reason"] == "it permits something else"
    assert lnd.takes(old)
    run("lnd_macaroon", permissions=["info:read"], **wish)
    assert not lnd.takes(old)
    assert lnd.takes(path.read_bytes())
    assert lnd.verbs() == ["bake", "forget", "bake"]


def test_one_that_lnd_does_not_take_is_baked_anew(run: Run, lnd: FakeLnd, tmp_path: Path) -> None:
    path = tmp_path / "shop.macaroon"
    wish = {"path": str(path), "root_key_id": 101, "permissions": ["info:read"]}
    run("lnd_macaroon", **wish)
    del lnd.root_keys[101]
    assert run("lnd_macaroon", **wish)["reason"] == "lnd does not take it"
    old = path.read_bytes()
    assert run("lnd_macaroon", regenerate=True, **wish)["changed"]
    assert not lnd.takes(old)


def test_another_root_key_leaves_the_old_one_and_says_so(run: Run, lnd: FakeLnd, tmp_path: Path) -> None:
    path = tmp_path / "shop.macaroon"
    run("lnd_macaroon", path=str(path), root_key_id=101, permissions=["info:read"])
    old = path.read_bytes()
    said = run("lnd_macaroon", path=str(path), root_key_id=102, permissions=["info:read"])
    assert "Copies of it stay good" in json.dumps(said["warnings"])
    assert lnd.takes(old)


def test_one_is_revoked_once(run: Run, lnd: FakeLnd, tmp_path: Path) -> None:
    path = tmp_path / "shop.macaroon"
    wish = {"path": str(path), "root_key_id": 101}
    run("lnd_macaroon", permissions=["info:read"], **wish)
    raw = path.read_bytes()
    assert run("lnd_macaroon", check=True, state="absent", **wish)["changed"]
    assert lnd.takes(raw)
    assert path.exists()
    assert run("lnd_macaroon", state="absent", **wish)["changed"]
    assert not lnd.takes(raw)
    assert not path.exists()
    assert not run("lnd_macaroon", state="absent", **wish)["changed"]
    assert not run("lnd_macaroon", state="absent", path="/nowhere/x", root_key_id=101)["changed"]


def test_a_file_of_somebody_else_is_left_alone(run: Run, lnd: FakeLnd, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("buy milk")
    said = run("lnd_macaroon", path=str(path), root_key_id=101, permissions=["info:read"])
    assert "It was left as it is" in said["msg"]
    link = tmp_path / "link"
    link.symlink_to(path)
    assert "no regular file" in run("lnd_macaroon", path=str(link), root_key_id=101, permissions=["info:read"])["msg"]
    assert path.read_text() == "buy milk"
    path.write_bytes(lnd.baked(0, {("info", "read")}))
    assert "left as it is" in json.dumps(run("lnd_macaroon", path=str(path), root_key_id=101, state="absent"))
    assert path.exists()
    assert lnd.done == []


def test_the_branch_that_it_sits_on_is_not_sawn_off(run: Run, lnd: FakeLnd, tmp_path: Path) -> None:
    lnd.root_keys[5] = b"5" * 32
    own = tmp_path / "own.macaroon"
    own.write_bytes(lnd.baked(5, {("macaroon", "generate")}))
    wish = {"path": str(tmp_path / "x"), "root_key_id": 5, "macaroon_path": str(own)}
    assert "would be worth nothing" in run("lnd_macaroon", state="absent", **wish)["msg"]
    assert 5 in lnd.root_keys


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"root_key_id": 0}, "root_key_id: 0"),
        ({"root_key_id": 2**64}, "root_key_id"),
        ({"permissions": []}, "at least one ENTITY:ACTION"),
        ({"permissions": ["*"]}, "permissions: '*'"),
        ({"owner": "nobody-of-this-name"}, "owner: 'nobody-of-this-name'"),
        ({"path": "/nowhere/x"}, "path: /nowhere"),
        ({"macaroon_path": "/nowhere/x"}, "macaroon_path: /nowhere/x could not be read"),
        ({"mode": "0644"}, "value of mode must be one of"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_lnd_is_asked(
    run: Run, lnd: FakeLnd, tmp_path: Path, wrong: dict[str, t.Any], word: str
) -> None:
    wish = {"path": str(tmp_path / "x"), "root_key_id": 101, "permissions": ["info:read"], **wrong}
    assert word in run("lnd_macaroon", **wish)["msg"]
    assert lnd.asked == []


def test_the_file_has_its_mode_and_owner(run: Run, lnd: FakeLnd, tmp_path: Path) -> None:
    path = tmp_path / "shop.macaroon"
    wish = {"path": str(path), "root_key_id": 101, "permissions": ["info:read"]}
    run("lnd_macaroon", **wish)
    raw = path.read_bytes()
    assert run("lnd_macaroon", check=True, mode="0640", **wish)["reason"] == "its mode is 0600"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert run("lnd_macaroon", mode="0640", group=str(os.getgid()), **wish)["changed"]
    assert (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) == (0o640, raw)
    assert not run("lnd_macaroon", mode="0640", **wish)["changed"]
    assert lnd.verbs() == ["bake"]


def test_macaroons_are_looked_at(run: Run, lnd: FakeLnd, tmp_path: Path) -> None:
    good, none, bad = (tmp_path / name for name in ("good", "none", "bad"))
    run("lnd_macaroon", path=str(good), root_key_id=101, permissions=["info:read"])
    bad.write_text("x")
    found = run("lnd_macaroon_info", paths=[str(good), str(none), str(bad)])
    assert found["root_key_ids"] == [0, 101]
    assert [(one["exists"], one["valid"], one["root_key_id"]) for one in found["macaroons"]] == [
        (True, True, 101),
        (False, False, None),
        (True, False, None),
    ]
    del lnd.root_keys[101]
    assert "lnd does not take it" in run("lnd_macaroon_info", paths=[str(good)])["macaroons"][0]["reason"]


def test_a_macaroon_comes_as_text_too_and_is_not_shown(run: Run, lnd: FakeLnd, tmp_path: Path) -> None:
    text = lnd.admin.read_bytes().hex()
    found = run("lnd_wallet_info", macaroon=text)
    assert found["ready"]
    assert text not in json.dumps(found)
    said = run("lnd_macaroon_info", macaroon="zz")
    assert "is no macaroon of lnd's" in said["msg"]


def test_what_is_not_lnd_is_told(lnd: FakeLnd, monkeypatch: pytest.MonkeyPatch) -> None:
    client = _lnd_rest.Lnd({"url": lnd.url, "ca_path": str(lnd.ca), "timeout": 5})
    for said, words in (
        ((200, b"<html>"), "something else than JSON"),
        ((200, b"[]"), "than an object"),
        ((0, b""), "was asked GET"),
    ):
        monkeypatch.setattr(FakeLnd, "answer", lambda *_args, said=said: said)
        with pytest.raises(_lnd_rest.UnansweredError, match=words):
            client.get("/v1/state")
