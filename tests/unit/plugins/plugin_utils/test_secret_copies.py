# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The secrets of a site of which each endpoint has a copy."""

from __future__ import annotations

import json
import stat
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.bcm.datacenter.plugins.module_utils._secret_copy import (
    HISTORY,
    CopyStore,
    digest,
    serve,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._secret_store import StoreError
from ansible_collections.bcm.datacenter.plugins.module_utils._site_secrets import PLACEHOLDER, Secrets
from ansible_collections.bcm.datacenter.plugins.plugin_utils._secret_copies import Copies, SilentError

THREE = ("rack-1", "rack-2", "rack-3")
FIVE = (*THREE, "rack-4", "rack-5")


def want(name: str, **options: t.Any) -> dict[str, t.Any]:
    base = {"kind": "password", "length": 32, "value": None, "update": False, "user": None, "password": None}
    return {"name": name, **base, **options}


class Rack:
    """Endpoints, each with a directory of its own, and some of them without power."""

    def __init__(self, folder: Path, names: t.Sequence[str] = THREE) -> None:
        self.folder = folder
        self.names = list(names)
        self.off: set[str] = set()
        self.asked: list[tuple[str, dict[str, t.Any]]] = []
        # What happens just before somebody is asked for something.
        self.before: Callable[[str, str], None] = lambda _endpoint, _verb: None

    def store(self, endpoint: str) -> CopyStore:
        return CopyStore(str(self.folder / endpoint), "home")

    def ask(self, endpoint: str, request: dict[str, t.Any]) -> dict[str, t.Any]:
        # As it goes over the wire.
        request = json.loads(json.dumps(request))
        self.before(endpoint, request["do"])
        if endpoint in self.off:
            raise SilentError("no route to host")
        self.asked.append((endpoint, request))
        try:
            return t.cast("dict[str, t.Any]", json.loads(json.dumps(serve(self.store(endpoint), request))))
        except StoreError as exc:
            raise StoreError(f"On {endpoint}: {exc}") from None

    def run(
        self, state: str, *wanted: dict[str, t.Any], check_mode: bool = False, **options: t.Any
    ) -> dict[str, t.Any]:
        given = {
            "site": "home",
            "directory": "/d",
            "secrets": list(wanted) or None,
            "state": state,
            "may_create": True,
            "confirm": "home" if state == "absent" else None,
            "leaving": None,
            **options,
        }
        return Copies(given, self.ask, self.names, {}, check_mode=check_mode, no_log=True).run()

    def have(self, *wanted: dict[str, t.Any], **options: t.Any) -> dict[str, t.Any]:
        return self.run("present", *wanted, **options)

    def values(self, name: str) -> list[str | None]:
        return [self.store(endpoint).read(name) for endpoint in self.names]

    def files(self) -> dict[str, str]:
        """All that lies on all of them."""
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_text() for path in paths}


@pytest.fixture
def rack(tmp_path: Path) -> Rack:
    return Rack(tmp_path)


def test_what_is_made_is_on_all_before_it_is_returned(rack: Rack) -> None:
    made = rack.have(want("a"), want("auth", kind="rpcauth", user="u", password="a"))
    assert (made["made"], made["changed"], made["copied"], made["silent"]) == (["a", "auth"], True, {}, {})
    assert rack.values("a") == [made["secrets"]["a"]] * 3
    assert made["secrets"]["auth"].startswith("u:")
    assert {len(value or "") for value in rack.values("auth")} == {32}
    for endpoint in THREE:
        assert rack.store(endpoint).made() == {"a", "auth"}
        for path in (rack.folder / endpoint / "home").rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    again = rack.have(want("a"), want("auth", kind="rpcauth", user="u", password="a"))
    assert (again["secrets"], again["changed"], again["made"]) == (made["secrets"], False, [])
    # The password need not be in the list.
    assert rack.have(want("auth", kind="rpcauth", user="u", password="a"))["secrets"]["auth"] == made["secrets"]["auth"]


def test_check_mode_makes_and_copies_nothing(rack: Rack) -> None:
    looked = rack.have(want("a"), want("t", kind="text", value="given"), check_mode=True)
    assert (looked["secrets"], looked["made"], looked["changed"]) == (
        {"a": PLACEHOLDER, "t": "given"},
        ["a", "t"],
        True,
    )
    assert rack.files() == {}
    assert rack.run("copied", check_mode=True)["changed"]
    # That all had the same is known only when all were asked.
    rack.off = {"rack-3"}
    assert not rack.run("copied")["changed"]
    assert rack.files() == {}


def test_values_stay_where_they_are_unless_they_are_wanted(rack: Rack) -> None:
    rack.have(want("a"), want("b"))
    rack.run("copied")
    rack.asked.clear()
    rack.run("copied")
    rack.run("found", want("a"))
    values = [(endpoint, name) for endpoint, request in rack.asked for name in request.get("values", [])]
    assert values == [("rack-1", "a")]
    assert {request["do"] for _endpoint, request in rack.asked} == {"look"}


@pytest.mark.parametrize("first", THREE)
def test_the_first_that_has_it_is_read(rack: Rack, first: str) -> None:
    store = rack.store(first)
    value = Secrets(store, "home", True, False).have([want("a")], True)["a"]
    before = rack.files()
    assert rack.run("read", want("a"))["secrets"] == {"a": value}
    assert rack.run("found", want("a"), want("b"))["secrets"] == {"a": value}
    assert rack.files() == before
    with pytest.raises(StoreError, match="on rack-1, rack-2 and rack-3 lacks these secrets of site home: b"):
        rack.run("read", want("a"), want("b"))


def test_copies_are_made_where_they_are_missing(rack: Rack) -> None:
    """A site that had all on its first endpoint, and one that got an endpoint more."""
    value = Secrets(rack.store("rack-1"), "home", True, False).have([want("a"), want("b")], True)["a"]
    would = rack.run("copied", check_mode=True)
    assert (would["changed"], would["copied"]) == (True, {"rack-2": ["a", "b"], "rack-3": ["a", "b"]})
    assert rack.values("a") == [value, None, None]
    done = rack.run("copied")
    assert (done["changed"], done["copied"]) == (True, would["copied"])
    assert rack.values("a") == [value] * 3
    assert rack.store("rack-3").made() == {"a", "b"}
    assert not rack.run("copied")["changed"]
    rack.names.append("rack-4")
    assert rack.run("copied")["copied"] == {"rack-4": ["a", "b"]}
    assert not rack.run("copied")["changed"]
    assert rack.values("a") == [value] * 4


def test_what_is_asked_for_is_copied_too(rack: Rack) -> None:
    value = Secrets(rack.store("rack-1"), "home", True, False).have([want("a"), want("b")], True)["a"]
    done = rack.have(want("a"))
    assert (done["secrets"], done["made"], done["changed"]) == ({"a": value}, [], True)
    assert done["copied"] == {"rack-2": ["a"], "rack-3": ["a"]}
    assert rack.values("b")[1:] == [None, None]


def test_two_values_are_an_error_that_names_both(rack: Rack) -> None:
    for endpoint in ("rack-1", "rack-3"):
        Secrets(rack.store(endpoint), "home", True, False).have([want("a"), want("b")], True)
    before = rack.files()
    for state in ("present", "read", "found"):
        with pytest.raises(
            StoreError, match="nothing was changed: a is another one on rack-3 than on rack-1"
        ) as caught:
            rack.run(state, want("a"))
        assert "b is" not in str(caught.value)
    with pytest.raises(StoreError, match="a is another one on rack-3 than on rack-1; b is another one on rack-3"):
        rack.run("copied")
    assert not [value for value in before.values() if len(value) > 5 and value in str(caught.value)]
    assert rack.files() == before
    for name in ("a", "b"):
        (rack.store("rack-3").directory / name).unlink()
    assert rack.run("copied")["copied"] == {"rack-2": ["a", "b"], "rack-3": ["a", "b"]}
    assert len(set(rack.values("a"))) == 1


def test_one_that_was_away_gets_what_it_missed(rack: Rack) -> None:
    key = want("key", kind="text", value="1", update=True)
    rack.have(key)
    rack.run("copied")
    rack.off = {"rack-1"}
    for value in ("2", "3"):
        done = rack.have({**key, "value": value}, want("a"))
        assert (done["secrets"]["key"], list(done["silent"])) == (value, ["rack-1"])
    rack.off = set()
    assert rack.values("key") == ["1", "3", "3"]
    # Whoever asks gets what counts, also where the first is the one that was away.
    assert rack.run("read", key)["secrets"] == {"key": "3"}
    would = rack.run("copied", check_mode=True)
    assert (would["changed"], would["copied"]) == (True, {"rack-1": ["a", "key"]})
    assert rack.values("key") == ["1", "3", "3"]
    assert rack.run("copied")["copied"] == would["copied"]
    assert rack.values("key") == ["3"] * 3
    assert not rack.run("copied")["changed"]


def test_a_value_that_comes_again_is_the_newer_one(rack: Rack) -> None:
    key = want("key", kind="text", value="1", update=True)
    rack.have(key)
    rack.have({**key, "value": "2"})
    rack.off = {"rack-3"}
    rack.have(key)
    rack.off = set()
    assert rack.values("key") == ["1", "1", "2"]
    rack.run("copied")
    assert rack.values("key") == ["1"] * 3
    assert not rack.run("copied")["changed"]


def test_what_somebody_wrote_by_hand_is_not_written_over(rack: Rack) -> None:
    key = want("key", kind="text", value="1", update=True)
    rack.have(key)
    rack.have({**key, "value": "2"})
    (rack.store("rack-2").directory / "key").write_text("by hand")
    with pytest.raises(StoreError, match="key is another one on rack-2 than on rack-1"):
        rack.run("copied")


def test_without_a_majority_nothing_is_written(rack: Rack) -> None:
    key = want("key", kind="text", value="1", update=True)
    rack.have(key)
    rack.run("copied")
    rack.off = {"rack-1", "rack-2"}
    before = rack.files()
    for check_mode in (True, False):
        with pytest.raises(StoreError, match=r"more than half of its endpoints answer .*, and rack-3 alone does"):
            rack.have({**key, "value": "2"}, check_mode=check_mode)
        with pytest.raises(StoreError, match="They may lie there, so no new ones were made"):
            rack.have(want("a"), check_mode=check_mode)
    assert rack.files() == before
    assert rack.run("read", key)["secrets"] == {"key": "1"}
    assert rack.have(key)["changed"] is False


def test_two_endpoints_need_both(tmp_path: Path) -> None:
    rack = Rack(tmp_path, THREE[:2])
    rack.have(want("a"))
    rack.run("copied")
    rack.off = {"rack-2"}
    with pytest.raises(StoreError, match="no new ones were made"):
        rack.have(want("b"))
    assert rack.have(want("a"))["changed"] is False


def test_nobody_answers(rack: Rack) -> None:
    rack.off = set(THREE)
    with pytest.raises(StoreError, match=r"cannot be read: rack-1 does not answer \(no route to host\)\. rack-2"):
        rack.run("read", want("a"))


def test_what_may_lie_on_one_that_is_away_is_not_made_anew(rack: Rack) -> None:
    """A site whose secrets were on its first endpoint alone, which is lost before they were copied."""
    Secrets(rack.store("rack-1"), "home", True, False).have([want("a")], True)
    rack.off = {"rack-1"}
    for check_mode in (True, False):
        with pytest.raises(
            StoreError, match=r"not in /d/home/secrets on rack-2 and rack-3: a\. rack-1 does not answer"
        ):
            rack.have(want("a"), check_mode=check_mode)
    with pytest.raises(StoreError, match=r"lacks these secrets of site home: a\. rack-1 does not answer"):
        rack.run("read", want("a"))
    assert rack.run("found", want("a"))["secrets"] == {}
    assert rack.values("a")[1:] == [None, None]


def test_what_was_never_made_may_be_made_without_one_that_once_had_the_same(rack: Rack) -> None:
    rack.run("copied")
    rack.off = {"rack-1"}
    made = rack.have(want("a"))
    assert (made["made"], rack.values("a")) == (["a"], [None, *[made["secrets"]["a"]] * 2])
    # Two others: one of them knows.
    rack.off = {"rack-3"}
    assert rack.have(want("a"))["secrets"] == made["secrets"]
    rack.off = {"rack-2"}
    assert rack.have(want("a"))["made"] == []


def test_a_new_endpoint_knows_nothing_of_the_others(rack: Rack) -> None:
    """One that was installed anew has not seen what the one that is away has."""
    rack.have(want("a"))
    rack.run("copied")
    rack.store("rack-2").forget()
    rack.off = {"rack-1"}
    with pytest.raises(StoreError, match="no new ones were made"):
        rack.have(want("b"))
    rack.run("copied")
    assert len(set(rack.values("a"))) == 1
    with pytest.raises(StoreError, match="no new ones were made"):
        rack.have(want("b"))
    rack.off = set()
    rack.run("copied")
    rack.off = {"rack-1"}
    assert rack.have(want("b"))["made"] == ["b"]


def test_other_endpoints_than_those_that_had_the_same(tmp_path: Path) -> None:
    rack = Rack(tmp_path)
    rack.run("copied")
    rack.names = list(FIVE)
    rack.off = {"rack-1"}
    with pytest.raises(StoreError, match="no new ones were made"):
        rack.have(want("a"))
    rack.off = set()
    assert rack.run("copied")["changed"]
    rack.off = {"rack-1", "rack-2"}
    assert rack.have(want("a"))["made"] == ["a"]


def test_a_site_without_its_secrets(rack: Rack) -> None:
    with pytest.raises(
        StoreError, match=r"exists and its secrets do not: /d/home/secrets on rack-1, rack-2 and rack-3 is"
    ):
        rack.have(want("a"), may_create=False)
    # On one that is away they may be.
    rack.run("copied")
    rack.off = {"rack-2"}
    with pytest.raises(
        StoreError, match=r"its secrets do not: .* rack-2 does not answer \(no route to host\)\. Restore"
    ):
        rack.have(want("a"), may_create=False)
    rack.off = set()
    Secrets(rack.store("rack-3"), "home", True, False).have([want("other")], True)
    assert rack.have(want("a"), may_create=False)["made"] == ["a"]


def test_a_lost_secret_is_not_made_anew(rack: Rack) -> None:
    rack.have(want("a"))
    rack.run("copied")
    for endpoint in THREE[:2]:
        (rack.store(endpoint).directory / "a").unlink()
    assert rack.have(want("a"))["copied"] == {"rack-1": ["a"], "rack-2": ["a"]}
    for endpoint in THREE[:2]:
        (rack.store(endpoint).directory / "a").unlink()
    rack.off = {"rack-3"}
    with pytest.raises(StoreError, match=r"were made once and are gone from .*: a\. rack-3 does not answer"):
        rack.have(want("a"))
    rack.off = set()
    (rack.store("rack-3").directory / "a").unlink()
    with pytest.raises(
        StoreError, match=r"were made once and are gone from .* on rack-1, rack-2 and rack-3: a\. Restore"
    ):
        rack.have(want("a"))


@pytest.mark.parametrize("update", [False, True])
def test_two_runs_at_once_make_one_secret(rack: Rack, update: bool) -> None:
    wanted = want("t", kind="text", value="mine", update=update)
    other = Rack(rack.folder)

    def meanwhile(_endpoint: str, verb: str) -> None:
        if verb == "put":
            rack.before = lambda _endpoint, _verb: None
            other.have(want("t", kind="text", value="theirs"))

    rack.before = meanwhile
    done = rack.have(wanted)
    assert done["secrets"] == {"t": "mine" if update else "theirs"}
    assert rack.values("t") == [done["secrets"]["t"]] * 3


def test_a_run_that_sees_other_endpoints_is_noticed(rack: Rack) -> None:
    rack.run("copied")
    other = Rack(rack.folder)
    other.off = {"rack-1"}

    def meanwhile(endpoint: str, verb: str) -> None:
        if (endpoint, verb) == ("rack-2", "put"):
            rack.before = lambda _endpoint, _verb: None
            other.have(want("a"))

    rack.before = meanwhile
    with pytest.raises(StoreError, match="a is another one on rack-2 than on rack-1"):
        rack.have(want("a"))


def test_a_look_in_the_midst_of_a_write(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an endpoint is looked at, another run writes there, and has not come to the others yet."""
    key = want("key", kind="text", value="1", update=True)
    rack.have(key)
    rack.run("copied")
    seen = digest("1")
    written = {
        "key": {"value": "2", "seen": seen, "replaced": [seen]},
        "a": {"value": "theirs", "seen": None, "replaced": []},
    }
    listing = CopyStore.names

    def names(self: CopyStore) -> list[str]:
        listed = listing(self)
        monkeypatch.undo()
        assert rack.store("rack-1").put(written, ["a", "key"], None) == []
        return listed

    monkeypatch.setattr(CopyStore, "names", names)
    done = rack.have({**key, "update": False}, want("a"))
    assert (done["secrets"], done["made"]) == ({"key": "2", "a": "theirs"}, [])
    assert (rack.values("key"), rack.values("a")) == (["2"] * 3, ["theirs"] * 3)


def test_what_was_removed_meanwhile_is_not_taken_for_made(rack: Rack) -> None:
    value = Secrets(rack.store("rack-1"), "home", True, False).have([want("a")], True)["a"]
    rack.store("rack-1").drop(["a"])
    unchanged = {"a": {"value": None, "seen": digest(value), "replaced": []}}
    assert rack.store("rack-1").put(unchanged, ["a"], None) == ["a"]
    assert rack.store("rack-1").made() == set()


@pytest.mark.parametrize("after", range(1, 7))
def test_a_run_that_is_killed_is_finished_by_the_next(rack: Rack, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    key = want("key", kind="text", value="1", update=True)
    rack.have(key)
    rack.run("copied")
    writes = [0]
    real = CopyStore._write

    def write(self: CopyStore, name: str, value: str, exclusive: bool) -> None:
        writes[0] += 1
        if writes[0] == after:
            raise KeyboardInterrupt
        real(self, name, value, exclusive)

    with monkeypatch.context() as patch:
        patch.setattr(CopyStore, "_write", write)
        with pytest.raises(KeyboardInterrupt):
            rack.have({**key, "value": "2"})
    rack.run("copied")
    assert set(rack.values("key")) in ({"1"}, {"2"})
    assert rack.have({**key, "value": "2"})["secrets"] == {"key": "2"}
    assert rack.values("key") == ["2"] * 3
    assert not rack.run("copied")["changed"]


def test_one_that_goes_away_while_it_is_written(rack: Rack) -> None:
    rack.run("copied")

    def power_cut(endpoint: str, verb: str) -> None:
        if verb == "put" and endpoint == "rack-3":
            rack.off = {"rack-3"}

    rack.before = power_cut
    options = {"site": "home", "directory": "/d", "secrets": [want("a")], "state": "present", "may_create": True}
    copies = Copies({**options, "confirm": None, "leaving": None}, rack.ask, THREE, {}, check_mode=False, no_log=True)
    made = copies.run()["secrets"]["a"]
    assert rack.values("a") == [made, made, None]
    assert copies.warnings == ["rack-3 could not (no route to host)"]
    rack.off, rack.before = set(), lambda _endpoint, _verb: None
    assert rack.run("copied")["copied"] == {"rack-3": ["a"]}


def test_a_secret_on_too_few_does_not_count(rack: Rack) -> None:
    rack.run("copied")

    def power_cut(endpoint: str, verb: str) -> None:
        if verb == "put" and endpoint != "rack-1":
            rack.off = {"rack-2", "rack-3"}

    rack.before = power_cut
    with pytest.raises(StoreError, match=r"written on rack-1 alone, of rack-1, rack-2 and rack-3: .*Run this again"):
        rack.have(want("a"))
    rack.off, rack.before = set(), lambda _endpoint, _verb: None
    done = rack.have(want("a"))
    assert (done["made"], done["copied"]) == ([], {"rack-2": ["a"], "rack-3": ["a"]})
    rack.before = lambda endpoint, verb: rack.off.add("rack-1") if verb == "put" else None
    with pytest.raises(StoreError, match="Nothing was written on rack-1, the first: no route to host"):
        rack.have(want("b"))
    assert rack.values("b") == [None] * 3


def test_who_is_known_to_be_silent_is_not_asked(rack: Rack) -> None:
    options = {"site": "home", "directory": "/d", "secrets": [want("a")], "state": "found", "may_create": True}
    known = {"rack-1": "as was found before"}
    copies = Copies(
        {**options, "confirm": None, "leaving": None}, rack.ask, THREE, known, check_mode=False, no_log=True
    )
    assert copies.run()["silent"] == known
    assert {endpoint for endpoint, _request in rack.asked} == {"rack-2", "rack-3"}


def test_one_that_leaves_has_nothing_any_more(rack: Rack) -> None:
    Secrets(rack.store("rack-1"), "home", True, False).have([want("a"), want("b")], True)
    rack.have(want("b"))
    value = rack.values("a")[0]
    would = rack.run("copied", leaving="rack-1", check_mode=True)
    assert (would["changed"], would["removed"]) == (True, ["a", "b"])
    assert rack.values("a") == [value, None, None]
    done = rack.run("copied", leaving="rack-1")
    assert (done["removed"], done["copied"]) == (["a", "b"], {"rack-2": ["a"], "rack-3": ["a"]})
    assert rack.values("a") == [None, value, value]
    assert not (rack.folder / "rack-1" / "home").exists()
    again = rack.run("copied", leaving="rack-1")
    assert (again["changed"], again["removed"], again["copied"]) == (False, [], {})
    # As the declaration names those that are left, too.
    rack.names.remove("rack-1")
    assert not rack.run("copied")["changed"]


def test_one_does_not_leave_while_another_is_away(rack: Rack) -> None:
    rack.have(want("a"))
    for away in ("rack-1", "rack-2"):
        rack.off = {away}
        with pytest.raises(StoreError, match=f"{away} does not answer .* Secrets could be lost with rack-1"):
            rack.run("copied", leaving="rack-1")
    assert None not in rack.values("a")


def test_who_leaves_is_one_of_several(rack: Rack) -> None:
    with pytest.raises(StoreError, match="rack-9 is not one of several endpoints"):
        rack.run("copied", leaving="rack-9")
    with pytest.raises(StoreError, match="leaving goes with state copied"):
        rack.have(want("a"), leaving="rack-1")
    rack.names = ["rack-1"]
    with pytest.raises(StoreError, match="rack-1 is not one of several endpoints"):
        rack.run("copied", leaving="rack-1")


def test_remove(rack: Rack) -> None:
    rack.have(want("a"), want("b"), want("key", kind="text", value="1", update=True))
    rack.have(want("key", kind="text", value="2", update=True))
    rack.off = {"rack-3"}
    with pytest.raises(StoreError, match=r"rack-3 does not answer .* would come back, so nothing was removed"):
        rack.run("absent", want("a"))
    rack.off = set()
    assert rack.run("absent", want("a"), want("never"), check_mode=True)["removed"] == ["a"]
    assert None not in rack.values("a")
    assert rack.run("absent", want("a"), want("never"), want("key"))["removed"] == ["a", "key"]
    assert [rack.store(endpoint).names() for endpoint in THREE] == [["b"]] * 3
    assert [rack.store(endpoint)._history()["replaced"] for endpoint in THREE] == [{}] * 3
    # Contradictions are no reason to keep them.
    (rack.store("rack-2").directory / "b").write_text("other")
    assert rack.run("absent")["removed"] == ["b"]
    assert rack.files() == {}
    assert rack.run("absent")["changed"] is False
    assert rack.have(want("a"))["made"] == ["a"]


def test_damage_is_told_with_its_endpoint(rack: Rack) -> None:
    rack.have(want("a"))
    rack.run("copied")
    (rack.store("rack-2").directory / "a").write_text("")
    with pytest.raises(StoreError, match=r"On rack-2: .*/a is empty"):
        rack.have(want("a"))
    (rack.store("rack-2").directory / "a").unlink()
    for damage in ("{", "[]", '{"among": [1], "replaced": {}}', '{"among": [], "replaced": {"a": [1]}}'):
        (rack.store("rack-3").directory / HISTORY).write_text(damage)
        with pytest.raises(StoreError, match=rf"On rack-3: .*/{HISTORY} cannot be read"):
            rack.have(want("a"))


def test_requests_that_make_no_sense(rack: Rack) -> None:
    with pytest.raises(StoreError, match="not a name of a secret"):
        rack.have(want("../a"))
    with pytest.raises(StoreError, match="set confirm to 'home'"):
        rack.run("absent", confirm=None)
    with pytest.raises(StoreError, match="nothing that can be asked"):
        serve(rack.store("rack-1"), {"do": "dance"})
    assert rack.asked == []
