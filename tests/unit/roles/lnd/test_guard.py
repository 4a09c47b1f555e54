# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of lnd, and when no channel may be opened with real money."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from bcm_lnd import cli, fence, macaroons, seed, status
from bcm_lnd.config import Config, TroubleError
from bcm_lnd.fence import Said
from bcm_lnd.guard import Guard

from .conftest import Clock, FakeLnd, FakePlaces


class Around:
    """A guard, and all that it looks at."""

    def __init__(self, config: Config, lnd: FakeLnd, places: FakePlaces, clock: Clock) -> None:
        self.config, self.lnd, self.places, self.clock = config, lnd, places, clock
        self.numbers: list[int | None] = [1, 1, 1]
        self.held: str | None = None
        self.killed: list[str] = []
        self.guard = Guard(config, lnd, places, self.ask, lambda _config: self.held, clock)
        self.guard.end = lambda config: self.killed.append(config.node)

    def ask(self, config: Config) -> list[Said]:
        found = []
        for keeper, number in zip(config.keepers, self.numbers, strict=True):
            kept = self.places.kept.get(keeper.name)
            backup = {"sha256": status_digest(kept), "age": 1.0} if kept is not None else None
            found.append(Said(keeper, number, 5000.0, backup, "" if number else f"{keeper.name}: away"))
        return found

    def broken_ask(self, config: Config) -> list[Said]:
        raise ValueError(config.node)

    def tick(self, seconds: float = 11) -> dict[str, Any]:
        self.clock.now += seconds
        self.guard.tick()
        told: dict[str, Any] = json.loads(self.config.gate.read_text())
        return told

    def broken(self) -> dict[str, str]:
        return {one["part"].partition(" (")[0]: one["cause"] for one in self.tick()["parts"] if not one["works"]}


def status_digest(content: bytes) -> str:
    from bcm_lnd.scb import digest

    return digest(content)


@pytest.fixture
def around(config: Config, lnd: FakeLnd, places: FakePlaces, clock: Clock) -> Around:
    """An lnd that is well, whose seed its owner has."""
    config.wallet.parent.mkdir(parents=True)
    config.wallet.write_bytes(b"wallet")
    config.backup.write_bytes(b"channels")
    seed.confirmed_file(config).write_text("")
    lnd.is_in = "SERVER_ACTIVE"
    return Around(config, lnd, places, clock)


def test_all_is_well(around: Around) -> None:
    assert around.broken() == {}
    told = around.tick()
    assert (told["may_open"], told["why_not"], told["state"]) == (True, [], "SERVER_ACTIVE")
    assert around.config.may_open.exists()
    assert [copy["current"] for copy in told["backup"]["copies"]] == [True] * 4


def test_what_is_broken_is_named(around: Around) -> None:
    around.lnd.is_in, around.held = "", "less than 5 KiB of free space for its data"
    assert around.broken()["lnd"] == "it is held: less than 5 KiB of free space for its data"
    around.held = None
    assert around.broken()["lnd"] == "lnd does not answer"
    around.lnd.is_in = "LOCKED"
    assert "wallet is locked" in around.broken()["lnd"]
    around.lnd.is_in, around.numbers = "SERVER_ACTIVE", [1, None, None]
    assert "1 of 3 who keep the fence" in around.broken()["lnd's fence"]


@pytest.mark.parametrize("state", ["UNLOCKED", "RPC_ACTIVE"])
def test_one_that_waits_for_the_chain_says_so(around: Around, state: str) -> None:
    """It is not broken, and it is not ready."""
    around.lnd.is_in = state
    assert around.broken() == {}
    assert "lnd (not ready yet: " in around.tick()["parts"][0]["part"]
    around.lnd.is_in = "SERVER_ACTIVE"
    assert around.tick()["parts"][0]["part"] == "lnd"


def test_a_certificate_that_runs_out_is_named_in_time(around: Around) -> None:
    around.lnd.expires = around.clock.now + 20 * 86400
    assert around.broken() == {}
    around.lnd.expires = around.clock.now + 13 * 86400 + 60
    assert around.broken() == {"lnd's certificate": "it runs out in 13 days"}


def test_blocks_are_proved_by_blocks(around: Around) -> None:
    info = around.lnd.info
    told = around.tick()
    assert told["blocks_seen"] == 0
    # bitcoind has another one, of which lnd's wallet hears a moment later.
    info.update(block_hash="b", block_height=2, synced_to_chain=False)
    assert around.broken() == {}
    info.update(synced_to_chain=True)
    assert around.tick()["blocks_seen"] == 1
    # The next one does not come: ZMQ is silent, and the port may be open all the same.
    info.update(block_hash="c", block_height=3, synced_to_chain=False, best_header_timestamp="1795000000")
    around.tick()
    around.clock.now += 60
    cause = around.broken()["Blocks reach lnd"]
    assert "bitcoind has had block 3 for" in cause
    assert "the last one of 2026-11-18" in cause
    # What comes by a start, when lnd asks bitcoind itself, is no proof of another block.
    info.update(synced_to_chain=True)
    assert around.tick()["blocks_seen"] == 2


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("unconfirmed", "nobody has confirmed that the owner has the seed"),
        ("inside", "no copy of the channel backup as it is now lies outside of this machine"),
        ("none", "no copy of the channel backup as it is now lies outside of this machine"),
        ("fence", "the fence: this volume has number 1 and 2 is the current one"),
        ("fewer", "the channel backup holds 1 channels and lnd has 2"),
    ],
)
def test_no_channel_is_opened_that_could_be_lost(
    around: Around, what: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    around.tick()
    assert around.config.may_open.exists()
    if what == "unconfirmed":
        seed.confirmed_file(around.config).unlink()
    elif what == "inside":
        around.places.away = {"manager-2", "manager-3", "cloud"}
        around.config.backup.write_bytes(b"more channels")
    elif what == "none":
        around.places.away = {"manager-1", "manager-2", "manager-3", "cloud"}
        around.config.backup.write_bytes(b"more channels")
    elif what == "fence":
        around.numbers = [1, 1, 2]
    else:
        around.guard.copier.channels = 1
        monkeypatch.setattr(around.guard, "channels", lambda: 2)
    told = around.tick()
    assert not told["may_open"]
    assert any(reason in one for one in told["why_not"]), told["why_not"]
    assert not around.config.may_open.exists()


def test_with_play_money_nobody_is_held_up(around: Around) -> None:
    seed.confirmed_file(around.config).unlink()
    around.guard.config = dataclasses.replace(around.config, real_money=False, network="mainnet")
    told = around.tick()
    assert told["may_open"]
    assert told["why_not"]
    assert "With real money they could not: nobody has confirmed" in cli.show(told)
    assert "lnd's seed (nobody has confirmed that its owner has it)" in [one["part"] for one in told["parts"]]
    assert "lnd's seed" not in around.broken()


def test_with_real_money_a_seed_that_nobody_has_is_broken(around: Around) -> None:
    seed.confirmed_file(around.config).unlink()
    assert "with this machine all money would be gone" in around.broken()["lnd's seed"]


def test_a_wallet_that_was_just_made_has_no_backup_yet(around: Around) -> None:
    around.config.backup.unlink()
    os.utime(around.config.wallet, (around.clock.now, around.clock.now))
    assert "lnd's channel backup" not in around.broken()
    around.clock.now += around.config.lag + 1
    assert around.broken()["lnd's channel backup"] == "lnd has written none yet"


def test_an_lnd_that_must_not_run_sends_no_copy(around: Around) -> None:
    around.numbers = [2, 2, 2]
    around.tick()
    assert around.places.puts == []


def test_copies_that_lag_or_lie_together_are_named(around: Around) -> None:
    around.tick()
    around.places.away = {"manager-2", "manager-3", "cloud"}
    around.config.backup.write_bytes(b"more channels")
    broken = around.broken()
    assert "manager-2 does not answer: it is away" in broken["Copy of lnd's channel backup at manager-2"]
    assert "Copy of lnd's channel backup at manager-1" not in broken
    assert broken["lnd's channel backup"] == "1 of 4 places have it as it is now, and two should"
    config = dataclasses.replace(
        around.config,
        keepers=tuple(dataclasses.replace(one, endpoint="server-1") for one in around.config.keepers),
        places=(),
    )
    around.places.away.clear()
    together = Around(config, around.lnd, around.places, around.clock)
    assert (
        together.broken()["lnd's channel backup"]
        == "all copies lie on the disks of one machine, server-1, where lnd itself is"
    )


def test_an_lnd_that_does_not_stop_when_it_must_is_ended(around: Around) -> None:
    """It would run on beside its successor, which begins when the lease and a margin are over."""
    around.tick()
    around.numbers = [None, None, None]
    around.tick(900)
    around.tick(50)
    assert around.killed == []
    around.tick(40)
    around.tick(10)
    assert around.killed == ["lightning-1"]
    # And it goes on as soon as it may.
    around.numbers = [1, 1, 1]
    around.tick()
    around.tick(60)
    assert around.killed == ["lightning-1"]


def test_one_that_is_held_is_not_ended_and_the_one_before_it_is(config: Config) -> None:
    killed = []

    def run(argv: list[str], **_further: Any) -> subprocess.CompletedProcess[str]:
        if argv[1] == "kill":
            killed.append(argv[2:])
        words = {"ps": "new\nold\n", "exec": "the container before it stops" if argv[2] == "new" else ""}
        return subprocess.CompletedProcess(argv, 0, words.get(argv[1], ""), "")

    status.end(config, run)
    assert killed == [["--signal", "KILL", "old"]]
    assert status.held(config, run) == "the container before it stops"


def test_one_that_was_restored_elsewhere_is_ended_soon(around: Around) -> None:
    around.tick()
    around.numbers = [2, 2, 1]
    around.tick()
    around.tick(40)
    assert around.killed == []
    around.tick(10)
    assert around.killed == ["lightning-1"]
    assert fence.STOP + 30 < fence.MARGIN


def test_a_clock_that_is_set_back_holds_up_nothing(around: Around) -> None:
    around.tick()
    around.tick(-7200)
    assert around.config.confirmation.read_text().split()[1] == str(int(around.clock.now))


def test_where_lnd_is_must_be_known_for_a_copy_to_be_elsewhere(around: Around) -> None:
    around.guard.config = dataclasses.replace(around.config, endpoint=None, places=())
    assert "no copy of the channel backup as it is now lies outside of this machine" in around.tick()["why_not"]
    assert not around.config.may_open.exists()
    assert "nobody knows on which machine lnd is" in around.broken()["lnd's channel backup"]
    # A place that was declared is elsewhere.
    around.guard.config = dataclasses.replace(around.config, endpoint=None)
    assert around.tick()["may_open"]


def test_one_that_cannot_look_lets_nobody_open_a_channel(around: Around) -> None:
    around.tick()
    assert around.config.may_open.exists()
    around.clock.now += 11
    around.guard.ask_all = around.broken_ask
    around.guard.turn()
    assert not around.config.may_open.exists()
    around.guard.ask_all = around.ask
    around.clock.now += 11
    around.guard.turn()
    assert around.config.may_open.exists()


def test_what_lnd_says_while_it_begins_anew_says_nothing_of_its_backup(
    around: Around, capsys: pytest.CaptureFixture[str]
) -> None:
    around.tick()
    around.config.backup.write_bytes(b"more channels")
    around.lnd.refuses["/v1/channels/backup/verify"] = "wallet locked"
    around.lnd.is_in = "LOCKED"
    around.tick(1)
    assert "channel backup for one" not in capsys.readouterr().err
    around.lnd.is_in = ""
    around.tick(1)
    assert "channel backup for one" not in capsys.readouterr().err
    around.lnd.is_in = "SERVER_ACTIVE"
    around.tick(1)
    assert (
        "does not take its own channel backup for one, and no copy of it is sent: lnd says" in capsys.readouterr().err
    )


@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_a_backup_that_is_none_takes_the_place_of_none(
    around: Around, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    around.tick()
    assert around.places.kept["cloud"] == b"channels"
    around.config.backup.write_bytes(content)
    around.lnd.refuses["/v1/channels/backup/verify"] = "unable to decrypt"
    for _ in range(3):
        around.tick(1)
    assert set(around.places.kept.values()) == {b"channels"}
    assert capsys.readouterr().err.count("does not take its own channel backup for one") == (1 if content else 0)
    # As soon as there is a good one again, it is sent.
    del around.lnd.refuses["/v1/channels/backup/verify"]
    around.config.backup.write_bytes(b"more channels")
    around.tick(31)
    assert set(around.places.kept.values()) == {b"more channels"}


def test_an_old_report_says_nothing(around: Around) -> None:
    with pytest.raises(TroubleError, match="has written nothing yet"):
        cli.report(around.config, around.clock)
    around.tick()
    assert cli.report(around.config, around.clock)["node"] == "lightning-1"
    around.clock.now += 61
    with pytest.raises(TroubleError, match="has written nothing for 61 s"):
        cli.report(around.config, around.clock)


def test_towers_are_told_once(around: Around) -> None:
    tower = f"02{'ab' * 32}@{'a' * 56}.onion:9911"
    around.guard.config = dataclasses.replace(around.config, towers=(tower,))
    around.tick()
    posted = [
        question for method, path, question in around.lnd.asked if (method, path) == ("POST", "/v2/watchtower/client")
    ]
    assert posted[0]["address"] == f"{'a' * 56}.onion:9911"


def test_a_macaroon_for_each(around: Around) -> None:
    config, lnd = around.config, around.lnd
    with pytest.raises(TroubleError, match="no list of consumers"):
        macaroons.have(config, lnd, "reader")
    consumers = {"reader": {"permissions": ["info:read", "offchain:read"], "root_key_id": 21}}
    Path(config.etc, "consumers.json").write_text(json.dumps(consumers))
    with pytest.raises(TroubleError, match="There is no consumer other; there are: reader"):
        macaroons.have(config, lnd, "other")
    with pytest.raises(TroubleError, match="is no name"):
        macaroons.have(config, lnd, "../x")
    assert macaroons.have(config, lnd, "reader") is True
    assert macaroons.have(config, lnd, "reader") is False
    made = macaroons.folder(config) / "reader.macaroon"
    assert (made.read_bytes(), made.stat().st_mode & 0o777) == (b"\x02\x01", 0o600)
    assert lnd.asked[-1][2]["permissions"] == [
        {"entity": "info", "action": "read"},
        {"entity": "offchain", "action": "read"},
    ]
    assert lnd.asked[-1][2]["root_key_id"] == "21"
    # Of a wallet that was restored it is another one.
    config.number.write_text("2\n")
    assert macaroons.have(config, lnd, "reader") is True


@pytest.mark.parametrize(
    ("now", "revoked"),
    [
        # Less than before, or with another root key: copies of the one before are worth nothing any more.
        ({"reader": {"permissions": ["info:read"], "root_key_id": 21}}, ["/v1/macaroon/21"]),
        ({"reader": {"permissions": ["info:read", "offchain:read"], "root_key_id": 22}}, ["/v1/macaroon/21"]),
        # More than before.
        ({"reader": {"permissions": ["info:read", "offchain:read", "peers:read"], "root_key_id": 21}}, []),
        # Another's by now.
        (
            {
                "reader": {"permissions": ["info:read", "offchain:read"], "root_key_id": 22},
                "shop": {"permissions": ["info:read"], "root_key_id": 21},
            },
            [],
        ),
    ],
)
def test_a_macaroon_with_rights_that_were_taken_away_is_worth_nothing(
    around: Around, now: dict[str, Any], revoked: list[str]
) -> None:
    config, lnd = around.config, around.lnd
    file = Path(config.etc, "consumers.json")
    file.write_text(json.dumps({"reader": {"permissions": ["info:read", "offchain:read"], "root_key_id": 21}}))
    assert macaroons.have(config, lnd, "reader") is True
    file.write_text(json.dumps(now))
    assert macaroons.have(config, lnd, "reader") is True
    assert [path for method, path, _question in lnd.asked if method == "DELETE"] == revoked
    assert lnd.asked[-1][:2] == ("POST", "/v1/macaroon")
    assert macaroons.have(config, lnd, "reader") is False


@pytest.mark.parametrize(
    ("now", "wallet", "revoked"),
    [
        ({}, 1, ["/v1/macaroon/21"]),
        ({"shop": {"permissions": ["info:read"], "root_key_id": 22}}, 1, ["/v1/macaroon/21"]),
        # The number is another's, or was one of the wallet before.
        ({"shop": {"permissions": ["info:read"], "root_key_id": 21}}, 1, []),
        ({}, 2, []),
    ],
)
def test_who_is_declared_no_more_has_no_macaroon(
    around: Around, now: dict[str, Any], wallet: int, revoked: list[str]
) -> None:
    config, lnd = around.config, around.lnd
    file = Path(config.etc, "consumers.json")
    file.write_text(json.dumps({"reader": {"permissions": ["info:read"], "root_key_id": 21}}))
    assert macaroons.have(config, lnd, "reader") is True
    other = macaroons.folder(config) / "bcm.channels.macaroon"
    other.write_bytes(b"x")
    assert macaroons.forget_gone(config, lnd) == []
    file.write_text(json.dumps(now))
    config.number.write_text(f"{wallet}\n")
    assert macaroons.forget_gone(config, lnd) == ["reader"]
    assert [path for method, path, _question in lnd.asked if method == "DELETE"] == revoked
    assert list(macaroons.folder(config).iterdir()) == [other]
    assert macaroons.forget_gone(config, lnd) == []


# -- a seed that is brought back -------------------------------------------------------------------------------------


@pytest.fixture
def returning(around: Around) -> tuple[Around, list[str]]:
    """An lnd that was given its seed, and has been started anew in the middle of it."""
    seed.returning_file(around.config).write_bytes(b"good backup")
    around.config.recovering.write_text("")
    around.lnd.is_in, around.lnd.channels = "LOCKED", 2
    restarted: list[str] = []
    around.guard.restart = lambda config: restarted.append(config.node)
    return around, restarted


def test_lnd_is_told_at_each_start_what_is_brought_back(returning: tuple[Around, list[str]]) -> None:
    around, restarted = returning
    around.tick()
    _method, path, question = around.lnd.asked[-1]
    assert (path, question["recovery_window"]) == ("/v1/unlockwallet", seed.RECOVERY_WINDOW)
    around.lnd.is_in = "SERVER_ACTIVE"
    around.lnd.recovery = {"recovery_mode": True, "recovery_finished": False, "progress": 0.25}
    assert "lnd looks for the coins of the wallet: 25 %" in around.broken()["lnd's money"]
    around.lnd.recovery = {"recovery_mode": True, "recovery_finished": True}
    assert "lnd does not know of 2 channels" in around.broken()["lnd's money"]
    assert "/v1/channels/backup/restore" in [path for _method, path, _question in around.lnd.asked]
    around.lnd.pending = {"total_limbo_balance": "0", "waiting_close_channels": [{"channel": {"channel_point": "0"}}]}
    assert "lnd does not know of 1 channels" in around.broken()["lnd's money"]
    assert restarted == []
    around.lnd.pending["waiting_close_channels"].append({"channel": {"channel_point": "1"}})
    around.tick()
    assert restarted == ["lightning-1"]


def test_meanwhile_no_copy_takes_the_place_of_the_good_one(returning: tuple[Around, list[str]]) -> None:
    """lnd writes a backup without any channel as soon as it starts."""
    around, _restarted = returning
    around.places.kept["manager-1"] = b"good backup"
    around.config.backup.write_bytes(b"empty")
    for state in ("LOCKED", "RPC_ACTIVE", "SERVER_ACTIVE"):
        around.lnd.is_in = state
        told = around.tick()
        assert not told["may_open"]
        assert "a seed is being brought back" in told["why_not"]
    with pytest.raises(TroubleError, match="a seed is being brought back"):
        cli.backup(around.config)
    assert around.places.puts == []
    seed.done(around.config, lambda *_args, **_further: subprocess.CompletedProcess([], 0, "", ""))
    around.tick()
    assert around.places.kept["manager-1"] == b"empty"
    assert not seed.returning_file(around.config).exists()


def test_an_old_lnd_does_not_go_on_with_it(returning: tuple[Around, list[str]]) -> None:
    around, _restarted = returning
    around.numbers = [2, 2, 2]
    around.tick()
    assert "/v1/unlockwallet" not in [path for _method, path, _question in around.lnd.asked]


def test_one_that_begins_says_that_all_is_well(around: Around, capsys: pytest.CaptureFixture[str]) -> None:
    """What was wrong before it was started anew is over, and whoever reads that is told."""
    around.tick()
    assert capsys.readouterr().err == "all is well\n"
    around.tick()
    assert capsys.readouterr().err == ""
