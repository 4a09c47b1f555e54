# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs beside lnd, an lnd that is a list of answers, and places for copies that are a dict."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).parents[4] / "roles/lnd/files"
sys.path.insert(0, str(FILES))

from bcm_lnd.config import Config, Keeper, Place  # noqa: E402
from bcm_lnd.rest import AnswerError, SilentError  # noqa: E402

WORDS = [f"word{number}" for number in range(1, 25)]


class FakeLnd:
    """An lnd without a wallet, which does what it is told to."""

    def __init__(self, config: Config) -> None:
        self.config, self.asked = config, list[tuple[str, str, Any]]()
        self.is_in, self.words = "NON_EXISTING", list(WORDS)
        self.channels, self.expires = 0, None
        self.info: dict[str, Any] = {"block_hash": "a", "block_height": 1, "synced_to_chain": True}
        self.recovery: dict[str, Any] = {}
        self.pending: dict[str, Any] = {}
        # What it refuses, and at which question it dies.
        self.refuses: dict[str, str] = {}
        self.dies: str | None = None

    def state(self) -> str:
        if not self.is_in:
            raise SilentError("lnd does not answer")
        return self.is_in

    def ask(self, method: str, path: str, question: Any = None, macaroon: bool = True) -> dict[str, Any]:
        self.asked.append((method, path, question))
        if path == self.dies:
            raise KeyboardInterrupt
        if path in self.refuses:
            raise AnswerError(f"lnd says: {self.refuses[path]}", 400)
        if path == "/v1/genseed":
            return {"cipher_seed_mnemonic": self.words}
        if path == "/v1/initwallet":
            self.config.wallet.parent.mkdir(parents=True, exist_ok=True)
            self.config.wallet.write_bytes(b"wallet")
            self.is_in = "SERVER_ACTIVE"
            return {}
        if path == "/v1/channels/backup/verify":
            return {"chan_points": [str(number) for number in range(self.channels)]}
        if path == "/v1/getrecoveryinfo":
            return self.recovery
        if path == "/v1/channels/pending":
            return self.pending
        if path == "/v1/channels":
            return {"channels": [{"channel_point": f"open-{number}"} for number in range(self.channels)]}
        if path == "/v1/macaroon/ids":
            return {"root_key_ids": ["0", "21"]}
        if path == "/v1/macaroon":
            return {"macaroon": "0201"}
        return dict(self.info) if path == "/v1/getinfo" else {}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    for folder in ("srv/data", "srv/fence", "srv/private", "etc/task", "run"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "srv/private").chmod(0o700)
    (tmp_path / "srv/fence/number").write_text("1\n")
    (tmp_path / "etc/task/wallet-password").write_text("secret of the wallet\n")
    return Config(
        node="lightning-1",
        site="home",
        network="mainnet",
        real_money=True,
        endpoint="server-1",
        directory=str(tmp_path / "srv"),
        etc=str(tmp_path / "etc"),
        key_kind="age",
        lease=900,
        lag=300,
        keepers=(
            Keeper("manager-1", "https://10.0.0.1:8735", "server-1"),
            Keeper("manager-2", "https://10.0.0.2:8735", "server-2"),
            Keeper("manager-3", "https://10.0.0.3:8735", "server-3"),
        ),
        places=(Place("cloud", "https://place.example/lnd"),),
        socks=("10.0.0.9", 9050),
        run=str(tmp_path / "run"),
    )


@pytest.fixture
def lnd(config: Config) -> FakeLnd:
    return FakeLnd(config)


class FakePlaces:
    """Places that keep what they are given, but for those that are away."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.away: set[str] = set()
        self.puts: list[str] = []

    def put(self, target: Any, content: bytes) -> None:
        self.puts.append(target.name)
        if target.name in self.away:
            raise SilentError(f"{target.name} does not answer: it is away")
        self.kept[target.name] = content

    def get(self, target: Any) -> bytes | None:
        if target.name in self.away:
            raise SilentError(f"{target.name} does not answer: it is away")
        return self.kept.get(target.name)


@pytest.fixture
def places() -> FakePlaces:
    return FakePlaces()


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sealing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Have what would be sealed in a list instead; age is not there when this is tested."""
    import subprocess

    def begin(stdout: bytes = b"-----BEGIN AGE ENCRYPTED FILE-----\n", code: int = 0) -> list[list[str]]:
        calls: list[list[str]] = []

        def run(argv: list[str], **further: Any) -> Any:
            calls.append([*argv, further["input"].decode()])
            return subprocess.CompletedProcess(argv, code, stdout, b"no such key")

        monkeypatch.setattr("bcm_lnd.seed.seal.__defaults__", (run,))
        return calls

    return begin
