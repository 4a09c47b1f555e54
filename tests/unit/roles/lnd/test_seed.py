# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seed: in which order things are done, what is left when something is killed, and where it never is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bcm_lnd import scb, seed
from bcm_lnd.config import Config, TroubleError

from .conftest import WORDS, FakeLnd, FakePlaces


def everything(config: Config) -> str:
    """All that lies on the volume and in memory."""
    folders = (Path(config.directory), Path(config.run))
    return "\n".join(path.read_text() for folder in folders for path in folder.rglob("*") if path.is_file())


def test_a_seed_is_sealed_before_there_is_a_wallet(
    config: Config, lnd: FakeLnd, sealing: Callable[..., list[list[str]]]
) -> None:
    calls = sealing()
    assert seed.create(config, lnd) is True
    assert [path for _method, path, _question in lnd.asked] == ["/v1/genseed", "/v1/initwallet"]
    (call,) = calls
    # By a pipe: in no argument.
    assert call[:-1] == ["age", "--encrypt", "--armor", "--recipients-file", f"{config.etc}/owner.key"]
    assert all(word in call[-1] for word in WORDS)
    assert seed.read(config).startswith(b"-----BEGIN AGE")
    assert not any(word in everything(config) for word in WORDS)
    assert seed.sealed_file(config).stat().st_mode & 0o777 == 0o600
    assert seed.facts(config) == {"awaited": False, "sealed": True, "confirmed": False}
    # A second time nothing is done.
    assert seed.create(config, lnd) is False
    assert len(lnd.asked) == 2


def test_what_cannot_be_sealed_makes_no_wallet(
    config: Config, lnd: FakeLnd, sealing: Callable[..., list[list[str]]]
) -> None:
    sealing(code=1)
    with pytest.raises(TroubleError, match="could not be sealed to the owner's key: no such key"):
        seed.create(config, lnd)
    sealing(stdout=b"")
    with pytest.raises(TroubleError, match="could not be sealed"):
        seed.create(config, lnd)
    lnd.words = lnd.words[:23]
    with pytest.raises(TroubleError, match="a seed of 23 words"):
        seed.create(config, lnd)
    assert not config.wallet.exists()


def test_killed_before_the_wallet_was_made(
    config: Config, lnd: FakeLnd, sealing: Callable[..., list[list[str]]]
) -> None:
    sealing()
    lnd.dies = "/v1/initwallet"
    with pytest.raises(KeyboardInterrupt):
        seed.create(config, lnd)
    assert not seed.sealed_file(config).exists()
    # The lnd that was given it may still make a wallet of it: it is ended, and nothing is made until it has.
    lnd.dies, lnd.words = None, [f"other{number}" for number in range(24)]
    calls = sealing()
    ended: list[str] = []
    began = ["2020-01-01T00:00:00.123456789Z"]

    def run(argv: list[str], **_further: Any) -> subprocess.CompletedProcess[str]:
        ended.extend(argv[-1:] if argv[1] == "kill" else [])
        return subprocess.CompletedProcess(argv, 0, {"ps": "one\n", "inspect": began[0]}.get(argv[1], ""), "")

    for moment in (began[0], "", "no time"):
        began[0] = moment
        with pytest.raises(TroubleError, match="lnd begins anew"):
            seed.create(config, lnd, run=run)
    assert (ended, calls, config.wallet.exists()) == (["one"] * 3, [], False)
    # Then the run that comes next makes another seed, and the one that no wallet has is gone.
    began[0] = "2100-01-01T00:00:00.123456789Z"
    assert seed.create(config, lnd, run=run) is True
    assert ended == ["one"] * 3
    assert "other1" in calls[-1][-1]
    seed.confirm(config, lambda _prompt: " ".join(lnd.words))


def test_killed_after_the_wallet_was_made(
    config: Config, lnd: FakeLnd, sealing: Callable[..., list[list[str]]]
) -> None:
    sealing()
    assert seed.create(config, lnd)
    seed.sealed_file(config).rename(seed.pending_file(config))
    assert seed.read(config)
    # The run that comes next says that it was made, so that lnd begins anew.
    assert seed.create(config, lnd) is True
    assert seed.sealed_file(config).exists()
    assert [path for _method, path, _question in lnd.asked].count("/v1/genseed") == 1


def test_a_wallet_that_is_gone_is_not_made_anew(
    config: Config, lnd: FakeLnd, sealing: Callable[..., list[list[str]]]
) -> None:
    sealing()
    seed.create(config, lnd)
    config.wallet.unlink()
    lnd.is_in = "NON_EXISTING"
    with pytest.raises(TroubleError, match="is gone, and its seed was made already"):
        seed.create(config, lnd)
    seed.awaited_file(config).write_text("")
    with pytest.raises(TroubleError, match="waits for the seed of a wallet that was lost"):
        seed.create(config, lnd)


def test_only_one_at_a_time(config: Config, lnd: FakeLnd) -> None:
    with seed.locked(config), pytest.raises(TroubleError, match="Somebody else"):
        seed.create(config, lnd)


def test_it_is_confirmed_by_all_of_its_words(
    config: Config, lnd: FakeLnd, sealing: Callable[..., list[list[str]]]
) -> None:
    with pytest.raises(TroubleError, match="no seed yet"):
        seed.confirm(config, lambda _prompt: "x")
    sealing()
    seed.create(config, lnd)
    wrong = [*WORDS[:23], "abandon"]
    for typed, message in (
        (" ".join(wrong), "not the words of this seed"),
        (" ".join(reversed(WORDS)), "not the words of this seed"),
        (" ".join([*WORDS, "more"]), "25 words were typed"),
        ("", "0 words were typed"),
    ):
        with pytest.raises(TroubleError, match=message):
            seed.confirm(config, lambda _prompt, typed=typed: typed)
        assert not seed.facts(config)["confirmed"]
    # One by one, with their numbers before them, in capital letters.
    answers = iter([f"{number}. {word.upper()}" for number, word in enumerate(WORDS, 1)])
    seed.confirm(config, lambda _prompt: next(answers))
    assert seed.facts(config)["confirmed"]
    assert not any(word in everything(config) for word in WORDS)


def test_a_person_at_a_terminal_types_it() -> None:
    with pytest.raises(TroubleError, match="at a terminal alone"):
        seed.terminal()


def restorable(config: Config, places: FakePlaces, monkeypatch: pytest.MonkeyPatch) -> None:
    seed.awaited_file(config).write_text("")
    monkeypatch.setattr(scb, "newest", lambda _config, _places, _without: (b"backup", "manager-2"))


def test_it_is_brought_back_with_the_channel_backup(
    config: Config, lnd: FakeLnd, places: FakePlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    restorable(config, places, monkeypatch)
    source = seed.restore(config, lnd, places, lambda _prompt: " ".join(WORDS))
    assert source == "manager-2"
    _method, path, question = lnd.asked[-1]
    assert path == "/v1/initwallet"
    assert question["cipher_seed_mnemonic"] == WORDS
    assert question["recovery_window"] == seed.RECOVERY_WINDOW
    assert question["channel_backups"]["multi_chan_backup"]["multi_chan_backup"] == "YmFja3Vw"
    # Who has typed it has it.
    assert seed.facts(config) == {"awaited": False, "sealed": False, "confirmed": True}
    assert not any(word in everything(config) for word in WORDS)
    # Until all of it is there, nobody is let in, and lnd is told of it at each start.
    assert config.recovering.exists()
    lnd.asked.clear()
    seed.unlock(config, lnd)
    _method, path, question = lnd.asked[-1]
    assert path == "/v1/unlockwallet"
    assert question["recovery_window"] == seed.RECOVERY_WINDOW
    assert question["channel_backups"]["multi_chan_backup"]["multi_chan_backup"] == "YmFja3Vw"
    with pytest.raises(TroubleError, match="There is a wallet on this volume"):
        seed.restore(config, lnd, places, lambda _prompt: " ".join(WORDS))


def test_it_is_not_brought_back_unprepared(config: Config, lnd: FakeLnd, places: FakePlaces) -> None:
    with pytest.raises(TroubleError, match="Nobody has prepared this volume"):
        seed.restore(config, lnd, places, lambda _prompt: " ".join(WORDS))
    assert lnd.asked == []


def test_words_that_lnd_does_not_take(
    config: Config, lnd: FakeLnd, places: FakePlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    restorable(config, places, monkeypatch)
    lnd.refuses["/v1/initwallet"] = "invalid checksum"
    with pytest.raises(TroubleError, match="invalid checksum. Is each word right") as caught:
        seed.restore(config, lnd, places, lambda _prompt: " ".join(WORDS))
    assert not any(word in str(caught.value) for word in WORDS)
    assert seed.facts(config)["awaited"]


def test_the_proof_says_nothing_of_the_words(
    config: Config, lnd: FakeLnd, sealing: Callable[..., list[list[str]]]
) -> None:
    sealing()
    seed.create(config, lnd)
    told: dict[str, Any] = json.loads(seed.proof_file(config).read_text())
    assert set(told) == {"salt", "proof"}
    assert seed.proof_of(WORDS, bytes.fromhex(told["salt"])) == told["proof"]
    assert seed.proof_of(WORDS, b"other salt") != told["proof"]
