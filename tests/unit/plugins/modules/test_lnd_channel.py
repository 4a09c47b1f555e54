# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Channels against an lnd in memory, over real HTTPS: opened once, within limits, and found again whatever happened in between."""

from __future__ import annotations

import fcntl
import importlib
import json
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.bcm.datacenter.plugins.module_utils import _lnd_rest
from ansible_collections.bcm.datacenter.plugins.modules import lnd_channel
from ansible_collections.bcm.datacenter.tests.unit.plugins.modules.fake_lnd import ALICE, BOB, FakeLnd

PREFIX = "ansible_collections.bcm.datacenter.plugins.modules."
PEER = f"{BOB}@127.0.0.1:9735"
FRIEND = {"name": "friend", "peer": PEER, "amount": 500_000, "fee_rate": 3}
# One input and two outputs of Taproot's and P2WSH's size, at 3 satoshis for a virtual byte: what a real lnd paid.
FEE = 462
Run = t.Callable[..., dict[str, t.Any]]


@pytest.fixture
def lnd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[FakeLnd]:
    fake = FakeLnd(tmp_path)
    monkeypatch.setattr(lnd_channel, "LOCKS", tmp_path)
    monkeypatch.setattr(_lnd_rest.time, "sleep", lambda _seconds: None)
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
    def run_module(*channels: dict[str, t.Any], check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        args = {
            "url": lnd.url,
            "ca_path": str(lnd.ca),
            "macaroon_path": str(lnd.admin),
            "channels": list(channels),
            "max_spend": 600_000,
            "wait_timeout": 5,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            **params,
        }
        with patch_module_args(args), pytest.raises(SystemExit):
            lnd_channel.main()
        result = json.loads(capsys.readouterr().out)
        result["warnings"], warned[:] = list(warned), []
        return result

    return run_module


def opened(lnd: FakeLnd, name: str, **more: t.Any) -> dict[str, t.Any]:
    channel = lnd.channel(name, **more)
    lnd.open.append(channel)
    lnd.labels[channel["channel_point"].partition(":")[0]] = "0:openchannel:shortchanid-1"
    return channel


def stages(result: dict[str, t.Any]) -> list[tuple[str, str]]:
    return [(one["action"], one["stage"]) for one in result["channels"]]


def test_a_channel_is_opened_once_and_costs_what_check_mode_says(run: Run, lnd: FakeLnd) -> None:
    planned = run(FRIEND, check=True)
    assert (planned["changed"], stages(planned), lnd.done) == (True, [("open", "pending")], [])
    cost = {
        "amount": 500_000,
        "fee": FEE,
        "total": 500_462,
        "balance_before": 2_000_000,
        "balance_after": 1_499_538,
        "reserve": 100_000,
    }
    assert planned["cost"] == cost
    assert planned["diff"]["after"]["cost"] == cost
    done = run(FRIEND)
    assert (done["changed"], stages(done), done["cost"]) == (True, [("open", "pending")], cost)
    assert lnd.verbs() == ["connect", "open"]
    body = lnd.done[1][1]
    assert (body["memo"], body["local_funding_amount"], body["sat_per_vbyte"], body["private"]) == (
        "friend",
        "500000",
        "3",
        True,
    )
    assert len(body["outpoints"]) == 1
    for check in (True, False):
        again = run(FRIEND, check=check)
        assert (again["changed"], stages(again), again["cost"]["total"]) == (False, [("none", "pending")], 0)
        assert again["diff"]["before"] == again["diff"]["after"]
    assert lnd.verbs() == ["connect", "open"]


def test_its_name_is_written_where_it_outlives_the_channel(run: Run, lnd: FakeLnd) -> None:
    run(FRIEND)
    assert "label" not in lnd.verbs()
    lnd.confirm()
    assert not run(FRIEND)["changed"]
    assert lnd.done[-1] == ("label", "0:openchannel:shortchanid-1:bcm-friend")
    run(FRIEND)
    assert lnd.verbs().count("label") == 1


@pytest.mark.parametrize("stage", ["pending", "open", "closing"])
def test_one_that_is_there_counts_however_far_it_is(run: Run, lnd: FakeLnd, stage: str) -> None:
    channel = opened(lnd, "friend")
    if stage != "open":
        lnd.open.remove(channel)
        (lnd.pending if stage == "pending" else lnd.closing).append(channel)
    found = run({**FRIEND, "reopen": True})
    assert (found["changed"], stages(found)) == (False, [("none", stage)])
    assert "open" not in lnd.verbs()


@pytest.mark.parametrize(
    "label", ["0:openchannel:shortchanid-1:bcm-friend", "0:openchannel:shortchanid-1", "0:openchannel", None]
)
def test_a_closed_one_is_not_opened_again_unless_told(run: Run, lnd: FakeLnd, label: str | None) -> None:
    lnd.has_closed(lnd.channel("friend"), label)
    for check in (True, False):
        found = run(FRIEND, check=check)
        assert (found["changed"], stages(found)) == (False, [("none", "closed")])
        assert "only with reopen: true" in found["channels"][0]["note"]
    assert lnd.done == []
    assert stages(run({**FRIEND, "reopen": True}, check=True)) == [("reopen", "pending")]
    assert run({**FRIEND, "reopen": True})["changed"]
    assert lnd.verbs() == ["connect", "open"]


def test_closed_ones_of_other_names_peers_and_sides_do_not_count(run: Run, lnd: FakeLnd) -> None:
    lnd.has_closed(lnd.channel("other"), "0:openchannel:shortchanid-1:bcm-other")
    lnd.has_closed(lnd.channel("x", remote_pubkey="02" + "cc" * 32))
    lnd.has_closed(lnd.channel("y", open_initiator="INITIATOR_REMOTE"))
    assert stages(run(FRIEND)) == [("open", "pending")]


def test_a_channel_of_theirs_with_our_name_for_a_memo_is_none_of_ours(run: Run, lnd: FakeLnd) -> None:
    opened(lnd, "", initiator=False)
    assert stages(run(FRIEND)) == [("open", "pending")]


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"amount": 400_000}, "it holds 500000 satoshis"),
        ({"private": False}, "it is private"),
        ({"peer": "03" + "cc" * 32}, f"it leads to {BOB}"),
    ],
)
def test_what_cannot_be_changed_is_said(run: Run, lnd: FakeLnd, other: dict[str, t.Any], words: str) -> None:
    opened(lnd, "friend")
    for check in (True, False):
        said = run({**FRIEND, **other}, check=check)
        assert words in said["msg"]
        assert said["msg"].endswith("Nothing was done")
    assert lnd.done == []


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"max_spend": 500_461}, "max_spend: 500462 satoshis would be spent, and 500461 may be"),
        ({"max_fee_rate": 2}, "3 satoshis for a virtual byte are more than max_fee_rate, 2"),
        ({"reserve": 1_499_539}, "reserve: 1499538 satoshis would be left in the wallet, and 1499539 have to be"),
    ],
)
def test_limits_are_held(run: Run, lnd: FakeLnd, params: dict[str, t.Any], words: str) -> None:
    for check in (True, False):
        assert words in run(FRIEND, check=check, **params)["msg"]
    assert lnd.done == []
    edge = {key: value + (-1 if key == "reserve" else 1) for key, value in params.items()}
    assert run(FRIEND, **edge)["changed"]


def test_without_a_limit_nothing_is_spent_and_check_mode_shows_the_cost(run: Run, lnd: FakeLnd) -> None:
    assert "max_spend: is missing" in run(FRIEND, max_spend=None)["msg"]
    planned = run(FRIEND, max_spend=None, check=True)
    assert planned["cost"]["total"] == 500_462
    assert "which are 500462 at least" in json.dumps(planned["warnings"])
    assert lnd.done == []


def test_what_lnd_wants_to_keep_counts_where_it_is_more(run: Run, lnd: FakeLnd) -> None:
    lnd.required_reserve = 1_600_000
    assert "1600000 have to be" in run(FRIEND)["msg"]


@pytest.mark.parametrize("network", ["mainnet", "something-new"])
def test_real_money_takes_a_word_more(run: Run, lnd: FakeLnd, tmp_path: Path, network: str) -> None:
    lnd.network = network
    mark = tmp_path / "may-open"
    assert f"spend: on {network} this is real money" in run(FRIEND, require_files=[])["msg"]
    planned = run(FRIEND, check=True)
    assert planned["cost"]["total"] == 500_462
    assert "this is real money" in json.dumps(planned["warnings"])
    assert f"require_files: {mark} is not there" in run(FRIEND, spend=True, require_files=[str(mark)])["msg"]
    assert "/run/bcm/lnd-may-open is not there" in run(FRIEND, spend=True)["msg"]
    assert lnd.done == []
    mark.touch()
    assert run(FRIEND, spend=True, require_files=[str(mark)])["changed"]


def test_closing_is_spending_too(run: Run, lnd: FakeLnd) -> None:
    opened(lnd, "friend")
    lnd.network = "mainnet"
    assert "real money" in run({"name": "friend", "state": "closed"})["msg"]
    assert lnd.done == []


def test_all_channels_of_a_run_are_held_against_the_limits_before_the_first(run: Run, lnd: FakeLnd) -> None:
    second = {**FRIEND, "name": "second", "amount": 200_000}
    assert f"{700_000 + 2 * FEE} satoshis would be spent" in run(FRIEND, second)["msg"]
    third = {**FRIEND, "name": "third", "amount": 20_000}
    said = run(FRIEND, second, third, max_spend=10**7)
    assert (
        "third: 20000 satoshis and the fee are more than the 0 that are confirmed and free; change of the channels before it"
        in said["msg"]
    )
    assert lnd.done == []
    done = run(FRIEND, second, max_spend=10**7)
    coins = [body["outpoints"][0]["txid_str"] for verb, body in lnd.done if verb == "open"]
    assert (done["changed"], len(set(coins))) == (True, 2)


def test_an_estimate_of_lnds_is_rounded_up_and_limited(run: Run, lnd: FakeLnd) -> None:
    free = {key: value for key, value in FRIEND.items() if key != "fee_rate"}
    lnd.sat_per_kw = 1251
    assert run(free, check=True)["channels"][0]["fee_rate"] == 6
    lnd.sat_per_kw = 6251
    assert "26 satoshis for a virtual byte are more than max_fee_rate, 25" in run(free, check=True)["msg"]


def test_who_was_killed_while_a_channel_is_negotiated_finds_it(run: Run, lnd: FakeLnd) -> None:
    # The first run is gone, and lnd still talks to the peer.
    (point,) = sorted(lnd.coins)[:1]
    lnd.lease(point)
    body = {"memo": "friend", "local_funding_amount": "500000", "private": True, "node_pubkey": "", "outpoints": []}

    def later(count: int) -> None:
        if count == 3:
            lnd.opened({**body, "node_pubkey": "Arus" + "u7u7" * 10, "outpoints": []})
            lnd.pending[0]["remote_node_pub"] = BOB
            lnd.spent.append(point)

    lnd.each_poll = later
    planned = run(FRIEND, check=True)
    assert "A run would wait" in json.dumps(planned["warnings"])
    found = run(FRIEND)
    assert (found["changed"], stages(found)) == (False, [("none", "pending")])
    assert lnd.verbs() == ["open"]


def test_coins_of_a_negotiation_that_failed_are_waited_for(run: Run, lnd: FakeLnd) -> None:
    (point,) = sorted(lnd.coins)[:1]
    lnd.lease(point)
    lnd.each_poll = lambda count: lnd.leases.clear() if count == 3 else None
    assert stages(run(FRIEND)) == [("open", "pending")]
    assert lnd.verbs() == ["connect", "open"]


def test_coins_that_lnd_keeps_after_they_are_spent_disturb_nobody(run: Run, lnd: FakeLnd) -> None:
    assert run(FRIEND)["changed"]
    assert lnd.leases
    assert run({**FRIEND, "name": "second", "amount": 300_000})["changed"]


def test_an_answer_that_never_came_is_looked_for_and_not_asked_for_again(run: Run, lnd: FakeLnd) -> None:
    def silent(body: dict[str, t.Any]) -> tuple[int, t.Any]:
        lnd.opened(body)
        return 0, None

    lnd.before_open = silent
    done = run(FRIEND)
    assert (done["changed"], stages(done)) == (True, [("open", "pending")])
    assert lnd.verbs() == ["connect", "open"]


def test_an_answer_that_never_came_and_no_channel_is_a_failure(run: Run, lnd: FakeLnd) -> None:
    lnd.before_open = lambda _body: (0, None)
    said = run(FRIEND)
    assert "It was not opened; the next run tries again" in said["msg"]
    assert said["changed"]


def test_what_lnd_has_against_it_is_told_with_what_was_done_before(run: Run, lnd: FakeLnd) -> None:
    def second(body: dict[str, t.Any]) -> tuple[int, t.Any] | None:
        return (500, {"code": 2, "message": "peer says no"}) if body["memo"] == "second" else None

    lnd.before_open = second
    said = run(FRIEND, {**FRIEND, "name": "second", "amount": 50_000})
    assert "second: peer says no. It was not opened Done before that: open friend." in said["msg"]
    assert said["changed"]


def test_a_peer_that_cannot_be_reached_costs_nothing(run: Run, lnd: FakeLnd) -> None:
    assert "its peer is not connected" in run({**FRIEND, "peer": BOB})["msg"]
    assert lnd.done == []
    lnd.connected.add(BOB)
    assert run({**FRIEND, "peer": BOB})["changed"]


def test_one_is_closed_once_and_keeps_its_name(run: Run, lnd: FakeLnd) -> None:
    channel = opened(lnd, "friend")
    closed = {"name": "friend", "state": "closed", "fee_rate": 4}
    planned = run(closed, check=True)
    assert (stages(planned), planned["cost"]["fee"], lnd.done) == ([("close", "closing")], 772, [])
    done = run(closed)
    assert (done["changed"], stages(done), done["channels"][0]["closing_txid"]) == (
        True,
        [("close", "closing")],
        "dd" * 32,
    )
    assert lnd.done == [
        ("label", "0:openchannel:shortchanid-1:bcm-friend"),
        ("close", {"sat_per_vbyte": "4", "max_fee_per_vbyte": "25"}),
    ]
    assert not run(closed)["changed"]
    lnd.closing.clear()
    lnd.has_closed(channel)
    assert stages(run(closed)) == [("none", "closed")]
    # Declared as open again, it is one that was closed.
    assert stages(run(FRIEND)) == [("none", "closed")]
    assert stages(run({**closed, "name": "never"})) == [("none", "absent")]


def test_closing_alone_takes_a_word(run: Run, lnd: FakeLnd) -> None:
    opened(lnd, "friend", active=False)
    assert "allowed: to wait for it, or force: true" in run({"name": "friend", "state": "closed"})["msg"]
    assert lnd.done == []
    assert run({"name": "friend", "state": "closed", "force": True}, max_spend=0)["changed"]
    assert lnd.done[-1] == ("close", {"force": "true"})


def test_which_of_two_is_to_be_closed_is_not_guessed(run: Run, lnd: FakeLnd) -> None:
    opened(lnd, "friend")
    opened(lnd, "friend")
    assert "which of the channels is meant cannot be known" in run({"name": "friend", "state": "closed"})["msg"]
    assert "there are 2 channels of this name" in json.dumps(run(FRIEND)["warnings"])
    assert lnd.verbs() in ([], ["label"])


def test_one_that_is_pending_is_not_closed(run: Run, lnd: FakeLnd) -> None:
    run(FRIEND)
    assert "is still being opened" in run({"name": "friend", "state": "closed"})["msg"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "a b"}, "name: 'a b'"),
        ({"name": ""}, "name: ''"),
        ({"amount": 19_999}, "amount: 19999"),
        ({"amount": None}, "amount: None"),
        ({"amount": "1.5"}, "amount"),
        ({"peer": "02ab"}, "has no public key"),
        ({"peer": f"{BOB}@host:99999"}, "is no place"),
        ({"peer": f"{BOB}@{'a' * 56}.onion:9735"}, "is no address of a version 3 onion"),
        ({"peer": None}, "peer: is missing"),
        ({"peer": ALICE}, "is the node itself"),
        ({"fee_rate": 0}, "fee_rate: 0"),
        ({"target_blocks": 1}, "target_blocks: 1"),
        ({"force": True}, "force: true is about closing"),
        ({"state": "gone"}, "value of state must be one of"),
    ],
)
def test_what_cannot_be_meant_is_refused(run: Run, lnd: FakeLnd, wrong: dict[str, t.Any], words: str) -> None:
    assert words in run({**FRIEND, **wrong})["msg"]
    assert lnd.done == []


def test_names_are_there_once(run: Run, lnd: FakeLnd) -> None:
    assert "is there twice" in run(FRIEND, FRIEND)["msg"]


@pytest.mark.parametrize(("state", "word"), [("LOCKED", "is locked"), ("RPC_ACTIVE", "is starting")])
def test_an_lnd_that_is_not_ready_is_told(run: Run, lnd: FakeLnd, state: str, word: str) -> None:
    lnd.state = state
    assert word in run(FRIEND)["msg"]


def test_one_that_does_not_know_its_coins_yet_opens_nothing(run: Run, lnd: FakeLnd) -> None:
    lnd.synced = False
    assert "has not caught up with the chain" in run(FRIEND)["msg"]
    lnd.synced, lnd.version = True, "0.17.5-beta"
    assert "too old" in run(FRIEND)["msg"]
    assert lnd.done == []


def test_another_run_on_the_host_is_waited_for(run: Run, lnd: FakeLnd, tmp_path: Path) -> None:
    with (tmp_path / f"bcm-lnd-{ALICE[:16]}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert "another run is at work" in run(FRIEND, wait_timeout=0)["msg"]
        assert run(FRIEND, check=True)["changed"]
    assert run(FRIEND)["changed"]


def test_it_waits_as_far_as_it_is_told(run: Run, lnd: FakeLnd) -> None:
    said = run(FRIEND, wait="open", wait_timeout=0)
    assert "friend is pending; it goes on without this" in said["msg"]
    # What was opened before is waited for as well.
    again = run(FRIEND, wait="open", wait_timeout=0)
    assert "friend is pending; it goes on without this" in again["msg"]
    assert not again["changed"]
    assert lnd.verbs().count("open") == 1
    lnd.confirm()
    done = run(FRIEND, wait="active")
    assert stages(done) == [("none", "open")]


def test_channels_are_listed(run: Run, lnd: FakeLnd, capsys: pytest.CaptureFixture[str]) -> None:
    opened(lnd, "friend")
    lnd.has_closed(lnd.channel("old"), "0:openchannel:shortchanid-1:bcm-old")
    lnd.has_closed(lnd.channel("theirs", open_initiator="INITIATOR_REMOTE"))

    def info(**more: t.Any) -> list[dict[str, t.Any]]:
        args = {"url": lnd.url, "ca_path": str(lnd.ca), "macaroon_path": str(lnd.admin), **more}
        with patch_module_args(args), pytest.raises(SystemExit):
            importlib.import_module(PREFIX + "lnd_channel_info").main()
        return json.loads(capsys.readouterr().out)["channels"]

    assert [(one["name"], one["stage"], one["initiated_here"]) for one in info()] == [
        ("friend", "open", True),
        ("", "closed", False),
        ("old", "closed", True),
    ]
    assert [one["name"] for one in info(closed=False)] == ["friend"]
    assert [one["local_balance"] for one in info(name="friend")] == [496_530]
