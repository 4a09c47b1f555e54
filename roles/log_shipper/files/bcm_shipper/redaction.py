# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is secret in a message, and goes no further than this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MARK = "[redacted]"
# Lines of a key that follow its beginning, if its end never comes.
LONGEST_KEY = 200

# Anybody may write a line of a megabyte, so no pattern may look at the same letters again from each place where it could begin: what it looks
# over before it fails must not have another beginning in it.
#
# One in quotes, which may have been quoted themselves and need not end; a list or an object; or all up to a space.
VALUE = r"""(?:\\+"(?:[^"\\]|\\+(?![\\"]))*(?:\\+")?|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|\[[^\]]*\]?|\{[^}]*\}?|[^\s"',;&]+(?:[,;]+[^\s"',;&]+)*)"""
# What comes before such a name is not looked for: a pattern that begins anywhere takes minutes for one long line.
NAME = (
    r"(?:pass(?:word|wd|phrase|code)?|secret(?:[ _-]?access)?(?:[ _-]?key)?|token|macaroon|mnemonic|seed[ _-]?phrase"
    r"|(?:api|access|auth|encryption|preshared|private|signing)[ _-]?key)"
)
IS = r"""\\*["']?\s*[:=]+>?\s*"""


class Rule(NamedTuple):
    """Something secret: what a line must contain in small letters to be looked at, the pattern, what takes its place."""

    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    instead: str = MARK


RULES = (
    # rpcauth=USER:SALT$HASH: who it is for may be known.
    Rule(("rpcauth",), re.compile(r"(?i)(rpcauth=(?:(?!rpcauth=)[^:\s])*:)\S+"), rf"\1{MARK}"),
    Rule(("__cookie__",), re.compile(r"__cookie__:[0-9A-Za-z]+"), f"__cookie__:{MARK}"),
    # A macaroon of lnd's as it is printed, in base 16 and 64.
    Rule(("0201036c6e64",), re.compile(r"(?i)\b0201036c6e64[0-9a-f]{40,}")),
    Rule(("agedbg5k",), re.compile(r"\bAgEDbG5k[A-Za-z0-9+/_=-]{40,}")),
    # Keys of onion services and of their clients.
    Rule(("ed25519-v3:",), re.compile(r"(?i)\b(ED25519-V3:)[A-Za-z0-9+/=]+"), rf"\1{MARK}"),
    Rule(("x25519:",), re.compile(r"(?i)\b(x25519:)[A-Z0-9+/]{40,}=*"), rf"\1{MARK}"),
    # Extended private keys, from which all of a wallet follows.
    Rule(("prv",), re.compile(r"\b[xyztuvYZUV]prv[1-9A-HJ-NP-Za-km-z]{80,}")),
    # What lets a machine into the Swarm, and what unlocks it.
    Rule(("swmtkn-", "swmkey-"), re.compile(r"\b(SWM(?:TKN|KEY)-1-)[A-Za-z0-9+/=-]+"), rf"\1{MARK}"),
    Rule(("authorization",), re.compile(r"""(?i)(authorization["']?\s*[:=]\s*["']?(?:(?:basic|bearer|digest|negotiate|token)\s+)?)[^\s"']+"""), rf"\1{MARK}"),
    Rule(("bearer",), re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/-]{16,}=*"), rf"\1{MARK}"),
    # A token is often all that there is, or it is the user. A password may have a slash in it, which a user has not.
    Rule(("://",), re.compile(r"""(://)(?:[^/\s:@"']*:(?:[^\s"':]|:(?!//))+|[^/\s:@"']*:[^/\s]+|[^/\s"']+)(?=@)"""), rf"\1{MARK}"),
    # What a wallet is told on the command line, or as JSON, up to the line's end: what of it is secret depends on where it stands, and on
    # quotes. bitcoind itself says no more of it than which method was called, and by whom.
    Rule(
        ("walletpassphrase", "encryptwallet", "privkey", "signrawtransactionwithkey", "sethdseed", "createwallet"),
        re.compile(
            r"""(?i)(?<!method=)((?:walletpassphrase(?:change)?|encryptwallet|importprivkey|signmessagewithprivkey|signrawtransactionwithkey"""
            r"""|sethdseed|createwallet(?=["'\\,:=]))["'\\]*[\s,:=]+)\S.*"""
        ),
        rf"\1{MARK}",
    ),
    # Which wallet it is may be known.
    Rule(("createwallet",), re.compile(r"""(?i)(createwallet\s+\S+\s+)\S.*"""), rf"\1{MARK}"),
    # The words that a wallet is made of.
    Rule(
        ("mnemonic", "seed"),
        re.compile(rf"(?i)((?:mnemonic|seed)(?:[ _-]?(?:phrase|words))?{IS})[a-z]+(?:[\s,]+[a-z]+){{11,}}"),
        rf"\1{MARK}",
    ),
    Rule(("pass", "secret", "token", "macaroon", "key", "mnemonic", "seed"), re.compile(rf"(?is)({NAME}{IS}){VALUE}"), rf"\1{MARK}"),
    Rule(("pass", "secret", "token", "macaroon", "key"), re.compile(rf"(?is)((?<!\S)--?[\w-]*{NAME}\s+){VALUE}"), rf"\1{MARK}"),
)  # fmt: skip
HINTS = tuple(dict.fromkeys(hint for rule in RULES for hint in rule.hints))
BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")
END = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----")


class Redaction:
    """The rules above, and those that somebody has added."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self.added = tuple(Rule((), re.compile(pattern)) for pattern in patterns)

    def message(self, message: str, hidden: int) -> tuple[str, int, int]:
        """What may be told of a message, how much was left out of it, and how many lines after it are to be hidden.

        HIDDEN is what this said of the source's line before: a key has several, and only the first says that it is one.
        """
        found = 0
        if hidden or "PRIVATE KEY" in message:
            message, found, hidden = self.without_keys(message, hidden)
        for rule in self.rules_for(message.lower()):
            message, count = rule.pattern.subn(rule.instead, message)
            found += count
        return message, found, hidden

    def rules_for(self, lowered: str) -> Iterator[Rule]:
        """Most messages have nothing that looks like a secret: that is found out at the least cost."""
        for hint in HINTS:
            if hint in lowered:
                break
        else:
            yield from self.added
            return
        for rule in (*RULES, *self.added):
            if not rule.hints or any(hint in lowered for hint in rule.hints):
                yield rule

    def without_keys(self, message: str, hidden: int) -> tuple[str, int, int]:
        kept, found, at = [], 0, 0
        while True:
            if hidden:
                found += 1
                kept.append(MARK)
                end = END.search(message, at)
                if end is None:
                    return "".join(kept), found, hidden - 1
                at, hidden = end.end(), 0
            begin = BEGIN.search(message, at)
            if begin is None:
                return "".join([*kept, message[at:]]), found, 0
            kept.append(message[at : begin.start()])
            at, hidden = begin.end(), LONGEST_KEY
