# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seed. It is made by lnd, sealed to its owner, and read by nobody else; it is in no argument, no log, no variable of Ansible's."""

from __future__ import annotations

import base64
import datetime
import fcntl
import getpass
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import fence, scb
from .config import Config, TroubleError, write
from .rest import AnswerError, Lnd, SilentError

Object = dict[str, Any]

WORDS = 24
_QUIET: dict[str, Any] = {"capture_output": True, "text": True, "check": False}
# lnd looks for coins in so many addresses after the last one that was used.
RECOVERY_WINDOW = 2500
AWAITED = "This volume waits for the seed of a wallet that was lost. Its owner types it at a terminal of this host: bcm-lnd restore"


def sealed_file(config: Config) -> Path:
    return config.private / "seed.sealed"


def pending_file(config: Config) -> Path:
    return config.private / "seed.pending"


def proof_file(config: Config) -> Path:
    """By which it is known whether words are the seed's."""
    return config.private / "seed.proof"


def confirmed_file(config: Config) -> Path:
    return config.private / "seed.confirmed"


def awaited_file(config: Config) -> Path:
    """It is there where a seed is to be brought back, by its owner: nobody makes another one there."""
    return config.private / "seed.awaited"


def returning_file(config: Config) -> Path:
    """The channel backup that is being brought back."""
    return config.private / "returning.backup"


@contextmanager
def locked(config: Config) -> Iterator[None]:
    """One at a time."""
    config.private.mkdir(mode=0o700, exist_ok=True)
    with (config.private / ".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TroubleError("Somebody else is doing something about the seed right now.") from None
        yield


def seal(config: Config, text: bytes, run: Callable[..., Any] = subprocess.run) -> bytes:
    """TEXT, so that the owner alone can read it. It goes by a pipe, and the key by a file."""
    key = f"{config.etc}/owner.key"
    if config.key_kind == "gpg":
        argv = [
            "gpg",
            "--batch",
            "--no-options",
            "--no-keyring",
            "--trust-model",
            "always",
            "--armor",
            "--encrypt",
            "--recipient-file",
            key,
        ]
    else:
        argv = ["age", "--encrypt", "--armor", "--recipients-file", key]
    try:
        done = run(
            argv,
            input=text,
            capture_output=True,
            check=False,
            env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "GNUPGHOME": "/nonexistent"},
        )
    except FileNotFoundError:
        raise TroubleError(
            f"{argv[0]} is not installed, and the seed cannot be sealed without it. No seed was made."
        ) from None
    if done.returncode or not done.stdout.startswith(b"-----BEGIN "):
        raise TroubleError(
            f"The seed could not be sealed to the owner's key: {done.stderr.decode(errors='replace').strip()}"
        )
    return bytes(done.stdout)


def proof_of(words: list[str], salt: bytes) -> str:
    """It tells the right words from wrong ones, and nothing of them: 24 words are too many to be guessed."""
    return hashlib.scrypt(" ".join(words).encode(), salt=salt, n=1 << 14, r=8, p=1, maxmem=64 << 20, dklen=32).hex()


def text_of(config: Config, words: list[str], clock: Callable[[], float]) -> bytes:
    lines = [
        f"Seed of the lnd {config.node} of site {config.site}, {config.network}, made {time.strftime('%Y-%m-%d', time.gmtime(clock()))}",
        "",
        *(f"{position:2}. {word}" for position, word in enumerate(words, 1)),
        "",
        "Whoever has these words has the money. They have no passphrase. Together with a copy of the channel backup they bring it back",
        "(playbooks/lightning_restore.yml). Confirm that you have them: bcm-lnd seed confirm on the node.",
        "",
    ]
    return "\n".join(lines).encode()


def password(config: Config) -> bytes:
    return Path(config.etc, "task/wallet-password").read_bytes().strip()


def wait_for(
    lnd: Lnd,
    wanted: tuple[str, ...],
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> str:
    """lnd's state, as soon as it is one of those that are wanted.

    :raises TroubleError: it is not in time.
    """
    end, state = clock() + seconds, ""
    while True:
        try:
            state = lnd.state()
        except TroubleError as error:
            state = str(error)
        if state in wanted:
            return state
        if clock() > end:
            raise TroubleError(f"lnd was waited for {seconds:.0f} s, to be {' or '.join(wanted)}. It is: {state}")
        pause(1)


def create(
    config: Config,
    lnd: Lnd,
    clock: Callable[[], float] = time.time,
    run: Callable[..., Any] = subprocess.run,
) -> bool:
    """Have a wallet. Says whether one was made.

    The order matters: before there is a wallet, its seed lies sealed on the disk; and what was sealed for a wallet that was never made is thrown away.
    An lnd that was given a seed and did not answer may still make a wallet of it: before another is made it has to have ended.
    """
    with locked(config):
        if config.wallet.exists():
            if pending_file(config).exists():
                # A run was killed after the wallet had been made.
                pending_file(config).rename(sealed_file(config))
                return True
            return False
        if awaited_file(config).exists():
            raise TroubleError(AWAITED)
        if sealed_file(config).exists() or confirmed_file(config).exists():
            raise TroubleError(
                "The wallet of this volume is gone, and its seed was made already. Nothing was made: see playbooks/lightning_restore.yml."
            )
        if pending_file(config).exists() and not began_after(config, pending_file(config).stat().st_mtime, run):
            restart(config, run)
            raise TroubleError(
                "An earlier run was broken off while lnd was to make a wallet. Before it is asked again, lnd begins anew."
            )
        # Whoever has it made asks again.
        wait_for(lnd, ("NON_EXISTING",), 10)
        words = list(lnd.ask("GET", "/v1/genseed", macaroon=False)["cipher_seed_mnemonic"])
        if len(words) != WORDS:
            raise TroubleError(f"lnd has made a seed of {len(words)} words instead of {WORDS}. No wallet was made.")
        salt = os.urandom(16)
        sealed = seal(config, text_of(config, words, clock))
        write(proof_file(config), json.dumps({"salt": salt.hex(), "proof": proof_of(words, salt)}))
        write(pending_file(config), sealed)
        _init(lnd, config, words, {})
        pending_file(config).rename(sealed_file(config))
        return True


def began_after(config: Config, moment: float, run: Callable[..., Any] = subprocess.run) -> bool:
    """Whether all of lnd that runs here began later than a moment, seconds since 1970. Where none runs, nobody knows yet."""
    began = [
        run(["docker", "inspect", "--format", "{{.State.StartedAt}}", name], **_QUIET) for name in _running(config, run)
    ]
    try:
        times = [datetime.datetime.fromisoformat(f"{str(one.stdout).strip()[:19]}+00:00").timestamp() for one in began]
    except ValueError:
        # It has just ended.
        return False
    return bool(times) and min(times) > moment


def _running(config: Config, run: Callable[..., Any]) -> list[str]:
    return str(run(["docker", "ps", "--quiet", "--filter", f"label=bcm.lnd={config.node}"], **_QUIET).stdout).split()


def _init(lnd: Lnd, config: Config, words: list[str], further: Object) -> None:
    question = {
        "wallet_password": base64.b64encode(password(config)).decode(),
        "cipher_seed_mnemonic": words,
        **further,
    }
    lnd.ask("POST", "/v1/initwallet", question, macaroon=False)


def read(config: Config) -> bytes:
    """The seed as it was sealed. Its owner alone can open it."""
    for path in (sealed_file(config), pending_file(config)):
        if path.exists():
            return path.read_bytes()
    if config.wallet.exists():
        raise TroubleError("This wallet was restored from its seed: its owner has it, and it was sealed nowhere else.")
    raise TroubleError("There is no seed yet. lightning.yml has it made.")


def terminal() -> None:
    """What is typed must come from a person, and be seen by nobody.

    :raises TroubleError: this is no terminal.
    """
    if not sys.stdin.isatty() or not sys.stderr.isatty():
        raise TroubleError(
            "This asks for the seed, and takes it from a person at a terminal alone: log in, and type it there."
        )


def ask_words(prompt: Callable[[str], str] = getpass.getpass) -> list[str]:
    """The words, as a person types them: on one line or one by one. They are not shown."""
    words: list[str] = []
    while len(words) < WORDS:
        typed = prompt(f"Word {len(words) + 1} of {WORDS} (one or more of them, not shown): ").lower().split()
        if not typed:
            raise TroubleError(f"{len(words)} words were typed, and there are {WORDS}. Nothing was changed.")
        words += [word for word in typed if not word.rstrip(".").isdigit()]
    if len(words) > WORDS:
        raise TroubleError(f"{len(words)} words were typed, and there are {WORDS}. Nothing was changed.")
    return words


def confirm(
    config: Config, prompt: Callable[[str], str] = getpass.getpass, clock: Callable[[], float] = time.time
) -> None:
    """The owner has the seed: all of its words were typed.

    :raises TroubleError: others were.
    """
    with locked(config):
        try:
            told = json.loads(proof_file(config).read_text())
        except FileNotFoundError:
            raise TroubleError("There is no seed yet that could be confirmed. lightning.yml has it made.") from None
        if not config.wallet.exists():
            raise TroubleError("There is no wallet yet. lightning.yml has it made.")
        words = ask_words(prompt)
        if not hmac.compare_digest(proof_of(words, bytes.fromhex(told["salt"])), told["proof"]):
            raise TroubleError(
                "These are not the words of this seed. Open what bcm-lnd seed read shows once more, and compare. Nothing was changed."
            )
        write(confirmed_file(config), f"{int(clock())}\n")


def restore(
    config: Config,
    lnd: Lnd,
    places: scb.Places,
    prompt: Callable[[str], str] = getpass.getpass,
    clock: Callable[[], float] = time.time,
    without: Collection[str] = (),
) -> str:
    """Make the wallet from the words of its seed. Says where the channel backup came from.

    What follows is the guard's, for it takes hours: lnd looks for the coins of the wallet and has its channels closed in this one start alone, so that it
    must be told of both again whenever it is started meanwhile.
    """
    with locked(config):
        if config.wallet.exists():
            raise TroubleError("There is a wallet on this volume. A seed is brought back to an empty volume alone.")
        if not awaited_file(config).exists():
            raise TroubleError(
                "Nobody has prepared this volume for a seed that is brought back: playbooks/lightning_restore.yml does. Nothing was changed."
            )
        # As long as the lnd that was here before may still run, this one is held.
        wait_for(lnd, ("NON_EXISTING",), config.lease + fence.MARGIN + 60)
        backup, source = scb.newest(config, places, without)
        words = ask_words(prompt)
        salt = os.urandom(16)
        write(proof_file(config), json.dumps({"salt": salt.hex(), "proof": proof_of(words, salt)}))
        write(returning_file(config), backup)
        write(config.recovering, "", 0o644)
        try:
            _init(lnd, config, words, returning(backup))
        except AnswerError as error:
            raise TroubleError(
                f"The wallet was not made: {error}. Is each word right, and is it the seed of this node?"
            ) from error
        # Who has just typed it has it.
        write(confirmed_file(config), f"{int(clock())}\n")
        for path in (sealed_file(config), pending_file(config), awaited_file(config)):
            path.unlink(missing_ok=True)
    return source


def returning(backup: bytes) -> Object:
    """What lnd is told with a password while a seed is brought back."""
    return {"recovery_window": RECOVERY_WINDOW, "channel_backups": scb.packed(backup)}


def unlock(config: Config, lnd: Lnd) -> None:
    """Open the wallet of a seed that is being brought back, and have it go on with that."""
    question = {"wallet_password": base64.b64encode(password(config)).decode()}
    lnd.ask("POST", "/v1/unlockwallet", {**question, **returning(returning_file(config).read_bytes())}, macaroon=False)


def returned(config: Config, lnd: Lnd) -> str:
    """What is still missing until a seed is brought back: nothing, if all of it is."""
    told = lnd.ask("GET", "/v1/getrecoveryinfo")
    if told.get("recovery_mode") and not told.get("recovery_finished"):
        return f"lnd looks for the coins of the wallet: {float(told.get('progress') or 0) * 100:.0f} %"
    backup = returning_file(config).read_bytes()
    missing = set(scb.points_in(lnd, backup)) - known_channels(lnd)
    if missing:
        # It does so by itself at its start; whatever it has already it leaves as it is.
        lnd.ask("POST", "/v1/channels/backup/restore", scb.packed(backup)["multi_chan_backup"])
        return f"lnd does not know of {len(missing)} channels of the backup yet"
    return ""


def known_channels(lnd: Lnd) -> set[str]:
    """All channels that lnd knows of, by the outputs that fund them."""
    pending = lnd.ask("GET", "/v1/channels/pending")
    known = {
        one["channel"]["channel_point"]
        for kind in pending.values()
        if isinstance(kind, list)
        for one in kind
        if "channel" in one
    }
    for path in ("/v1/channels", "/v1/channels/closed"):
        known |= {one["channel_point"] for one in lnd.ask("GET", path).get("channels") or []}
    return known


def done(config: Config, run: Callable[..., Any] = subprocess.run) -> None:
    """A seed is brought back: lnd begins anew, as any other does."""
    config.recovering.unlink()
    returning_file(config).unlink(missing_ok=True)
    restart(config, run)


def restart(config: Config, run: Callable[..., Any] = subprocess.run) -> None:
    """Have lnd begin anew with its doors open: Swarm makes a container of the same task's kind when this one has ended."""
    for name in _running(config, run):
        done = run(["docker", "kill", "--signal", "TERM", name], **_QUIET)
        if done.returncode:
            raise SilentError(f"lnd could not be told to begin anew: {done.stderr.strip()}")


def facts(config: Config) -> Object:
    """What may be said of it."""
    return {
        "awaited": awaited_file(config).exists() and not config.wallet.exists(),
        "sealed": sealed_file(config).exists() or pending_file(config).exists(),
        "confirmed": confirmed_file(config).exists() and config.wallet.exists(),
    }
