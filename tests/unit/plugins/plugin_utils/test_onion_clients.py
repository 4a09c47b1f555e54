# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import json
import typing as t

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils._onion_keys import decode, encode, public_of
from ansible_collections.bcm.datacenter.plugins.plugin_utils._onion_clients import (
    Client,
    ClientsError,
    Register,
    change,
    differences,
    made_here,
    parse,
    root_key_of,
    wrong,
)

OWN, OTHER = encode(b"o" * 32), encode(b"p" * 32)


def ask(*clients: str | dict[str, str], **more: t.Any) -> dict[str, t.Any]:
    listed = [{"name": one} if isinstance(one, str) else one for one in clients]
    return {"clients": listed, "exclusive": False, "readmit": False, "revoke": [], "rotate": [], **more}


def numbered() -> t.Callable[[], Client]:
    """Keys that are told apart."""
    numbers = itertools.count(1)
    return lambda: (private := bytes([next(numbers)]) * 32) and Client(encode(public_of(private)), encode(private))


@pytest.fixture
def make() -> t.Callable[[], Client]:
    return numbered()


def test_keys_are_made_once(make: t.Callable[[], Client]) -> None:
    first = change(Register(), "web", ask("alice", {"name": "bob", "public_key": OWN}), make)
    assert sorted(first.clients) == ["alice", "bob"]
    assert first.clients["bob"] == Client(OWN, None)
    assert change(first, "web", ask("alice", "bob"), make) is first
    assert change(first, "web", ask(), make) is first


def test_a_key_that_is_made_is_a_pair() -> None:
    made = made_here()
    private = decode(made.private or "")
    assert private is not None
    assert encode(public_of(private)) == made.public
    assert made_here() != made


def test_it_is_read_as_it_was_written(make: t.Callable[[], Client]) -> None:
    register = change(Register(), "web", ask("alice", {"name": "bob", "public_key": OWN}), make)
    register = change(register, "web", ask(revoke=["bob"]), make)
    assert parse(register.to_text(), "web") == register
    assert parse(None, "web") == Register()


def test_no_text_is_that_of_an_earlier_one(make: t.Callable[[], Client]) -> None:
    # Copies on endpoints tell by this which of two came later.
    register, texts = Register(), []
    for wanted in (
        ask("a"),
        ask("b"),
        ask(revoke=["b"]),
        ask("b", readmit=True),
        ask(rotate=["a"]),
        ask("a", exclusive=True),
    ):
        register = change(register, "web", wanted, make)
        texts.append(register.to_text())
    assert len(set(texts)) == len(texts)
    assert register.revision == 6


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 1}', "null"])
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(ClientsError, match="cannot be read"):
        parse(text, "web")


def test_what_is_wrong_with_it_is_not_repeated(make: t.Callable[[], Client]) -> None:
    register = change(Register(), "web", ask("alice"), make)
    secret = register.clients["alice"].private or ""
    said = json.loads(register.to_text())
    said["clients"]["alice"]["public"] = "x"
    with pytest.raises(ClientsError) as caught:
        parse(json.dumps(said), "web")
    assert secret not in str(caught.value)
    said["version"] = 2
    with pytest.raises(ClientsError, match="another version"):
        parse(json.dumps(said), "web")


def test_revoked_for_good(make: t.Callable[[], Client]) -> None:
    register = change(Register(), "web", ask("alice", {"name": "bob", "public_key": OWN}), make)
    gone = change(register, "web", ask(revoke=["bob"]), make)
    assert differences(register, gone) == ([], ["bob"])
    # A run that is finished by another one.
    assert change(gone, "web", ask(revoke=["bob"]), make) is gone
    with pytest.raises(ClientsError, match="bob of web was revoked"):
        change(gone, "web", ask("bob"), make)
    with pytest.raises(ClientsError, match="does not come back"):
        change(gone, "web", ask({"name": "bob", "public_key": OWN}, readmit=True), make)
    with pytest.raises(ClientsError, match="does not come back"):
        change(gone, "web", ask({"name": "carol", "public_key": OWN}), make)
    again = change(gone, "web", ask("bob", readmit=True), make)
    assert again.clients["bob"].public != OWN
    assert change(again, "web", ask("bob"), make) is again
    # And once more.
    twice = change(again, "web", ask(revoke=["bob"]), make)
    with pytest.raises(ClientsError, match="bob of web was revoked"):
        change(twice, "web", ask("bob"), make)


def test_rotated(make: t.Callable[[], Client]) -> None:
    register = change(Register(), "web", ask("alice", {"name": "bob", "public_key": OWN}), make)
    new = change(register, "web", ask(rotate=["alice"]), make)
    assert differences(register, new) == (["alice"], ["alice"])
    # The name is not barred by it.
    assert change(new, "web", ask("alice"), make) is new
    with pytest.raises(ClientsError, match="has made the key and keeps it"):
        change(new, "web", ask(rotate=["bob"]), make)
    other = change(new, "web", ask({"name": "bob", "public_key": OTHER}), make)
    assert other.clients["bob"].public == OTHER
    with pytest.raises(ClientsError, match="does not come back"):
        change(other, "web", ask({"name": "bob", "public_key": OWN}), make)


def test_only_those_who_are_listed(make: t.Callable[[], Client]) -> None:
    register = change(Register(), "web", ask("alice", "bob"), make)
    only = change(register, "web", ask("alice", exclusive=True), make)
    assert sorted(only.clients) == ["alice"]
    assert only.barred() == {"bob"}
    assert change(only, "web", ask("alice", exclusive=True), make) is only


def test_unknown_names(make: t.Callable[[], Client]) -> None:
    register = change(Register(), "web", ask("alice"), make)
    for wanted in (ask(revoke=["eve"]), ask(rotate=["eve"])):
        with pytest.raises(ClientsError, match="web knows no client eve. It knows alice"):
            change(register, "web", wanted, make)


def test_one_key_for_two(make: t.Callable[[], Client]) -> None:
    with pytest.raises(ClientsError, match="the same key"):
        change(Register(), "web", ask({"name": "a", "public_key": OWN}, {"name": "b", "public_key": OWN}), make)


def test_root_keys_are_told_apart() -> None:
    numbers = [root_key_of(encode(bytes([one]) * 32)) for one in range(100)]
    assert len(set(numbers)) == 100
    # lnd takes 64 bits; what other consumers have is small.
    assert all(2**61 <= number < 2**63 for number in numbers)


def test_wrong_requests() -> None:
    assert wrong("web", ask("alice", rotate=["bob"], revoke=["carol"])) == []
    assert "service:" in wrong("We b", ask())[0]
    assert "not a client's name" in wrong("web", ask("a b"))[0]
    assert "twice" in wrong("web", ask("a", "a"))[0]
    assert "in clients and in revoke" in wrong("web", ask("a", revoke=["a"]))[0]
    assert "in revoke and in rotate" in wrong("web", ask(rotate=["a"], revoke=["a"]))[0]
    assert "52 characters" in wrong("web", ask({"name": "a", "public_key": "x"}))[0]
