# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note: this is PRIVATE to the collection.
"""What somebody wants of a node's own program: words for it, and whether that changes something. Nothing of it goes through a shell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.bcm.datacenter.plugins.module_utils import _bitcoin_methods as methods

# Commands of lncli that only read (cmd/commands in lnd's source). All others count as a change.
LNCLI_READS = {
    "channelbalance",
    "closedchannels",
    "decodepayreq",
    "describegraph",
    "estimatefee",
    "estimateroutefee",
    "feereport",
    "fwdinghistory",
    "getchaninfo",
    "getdebuginfo",
    "getinfo",
    "getmccfg",
    "getnetworkinfo",
    "getnodeinfo",
    "getnodemetrics",
    "getrecoveryinfo",
    "h",
    "help",
    "listaliases",
    "listchaintxns",
    "listchannels",
    "listinvoices",
    "listmacaroonids",
    "listpayments",
    "listpeers",
    "listpermissions",
    "listunspent",
    "lookupinvoice",
    "pendingchannels",
    "querymc",
    "queryprob",
    "queryroutes",
    "state",
    "verifychanbackup",
    "verifymessage",
    "version",
    "walletbalance",
}
# Commands of lncli that take or give what nobody may see: an argument can be read by all on the host, and what comes back stands in a log.
LNCLI_SECRETS = {
    "bakemacaroon": "lnd_macaroon bakes into a file",
    "changepassword": "it belongs on a terminal of the node",
    "constrainmacaroon": "it belongs on a terminal of the node",
    "create": "a wallet is made on a terminal of the node, by its owner alone",
    "createwatchonly": "a wallet is made on a terminal of the node, by its owner alone",
    "printmacaroon": "lnd_macaroon_info says what a macaroon permits",
    "unlock": "lnd_wallet unlocks from a file",
}
# Options of bitcoin-cli that are complete without a value, and stand before the method.
BITCOIN_FLAGS = {"-named", "-color", "-nocolor"}
# Options of bitcoin-cli that are asked for in place of a method, and only read.
BITCOIN_QUESTIONS = {"-getinfo", "-netinfo", "-addrinfo", "-version", "-help", "-?"}
LNCLI_QUESTIONS = {"--help", "-h", "--version", "-v"}
# With them a program would be another's, or wait for what nobody types.
REFUSED_OPTIONS = {
    "bitcoin-cli": (
        "rpcpassword",
        "rpcuser",
        "rpccookiefile",
        "rpcconnect",
        "stdin",
        "stdinrpcpass",
        "stdinwalletpassphrase",
        "datadir",
        "conf",
    ),
    "lncli": ("rpcserver", "lnddir", "tlscertpath", "macaroonpath", "macfromjar", "socksproxy", "metadata"),
}


class CallError(ValueError):
    """Something that such a program is not asked for in this way."""


@dataclass(frozen=True)
class Call:
    """What is asked for."""

    argv: list[str]
    method: str
    changes: bool


def call(command: str | Sequence[object], program: str) -> Call:
    """The words of a command and what is known of it.

    :raises CallError: where it cannot be meant, or must not be given in this way.
    """
    argv = _words(command)
    at = 0
    for word in argv:
        if not word.startswith("-"):
            break
        _option(word, program)
        at += 1
    method = argv[at] if at < len(argv) else ""
    rest = argv[at + 1 :]
    questions = BITCOIN_QUESTIONS if program == "bitcoin-cli" else LNCLI_QUESTIONS
    if not method:
        if any(word.partition("=")[0] in questions for word in argv):
            return Call(argv, argv[-1], False)
        raise CallError(
            f"command: {shlex.join(argv)!r} names nothing to be done; allowed: what {program} takes, such as 'getinfo'"
        )
    if program == "bitcoin-cli":
        return _bitcoin(argv, method, rest, "-named" in argv[:at])
    if method in LNCLI_SECRETS:
        raise CallError(f"command: {method} takes or gives what nobody may see; {LNCLI_SECRETS[method]}")
    return Call(argv, method, method not in LNCLI_READS and not LNCLI_QUESTIONS & set(rest))


def _words(command: str | Sequence[object]) -> list[str]:
    if isinstance(command, str):
        try:
            argv = shlex.split(command)
        except ValueError as exc:
            raise CallError(f"command: {command!r} cannot be split into words: {exc}") from exc
    elif isinstance(command, Sequence) and all(
        isinstance(word, str | int) and not isinstance(word, bool) for word in command
    ):
        argv = [str(word) for word in command]
    else:
        raise CallError("command: is neither a text nor a list of words")
    if not argv:
        raise CallError("command: is empty; allowed: a text, such as 'getblockhash 5', or a list of words")
    if any("\0" in word or "\n" in word for word in argv):
        raise CallError("command: a word of it has several lines; allowed: one line each")
    return argv


def _option(word: str, program: str) -> None:
    name, equals, _value = word.lstrip("-").partition("=")
    if name in REFUSED_OPTIONS[program]:
        raise CallError(f"command: option {name} is set by the node's own program; allowed: without it")
    known = BITCOIN_FLAGS | BITCOIN_QUESTIONS if program == "bitcoin-cli" else LNCLI_QUESTIONS
    if not equals and word not in known:
        raise CallError(f"command: {word!r} stands before the command without a value; allowed: OPTION=VALUE")


def _bitcoin(argv: list[str], method: str, rest: list[str], named: bool) -> Call:
    params: list[object] | dict[str, object]
    params = dict(word.partition("=")[::2] for word in rest) if named else list(rest)
    if methods.secret_parameters(method, params):
        raise CallError(
            f"command: {method} takes what nobody may see, and an argument can be read by all on the host; allowed: module bitcoin_rpc with "
            "secret_params, or bitcoin-cli -stdin on a terminal of the node"
        )
    if method in methods.SECRET_ANSWERS and (
        methods.SECRET_ANSWERS[method] is None or any("true" in word for word in rest)
    ):
        raise CallError(
            f"command: what {method} answers here holds private keys; allowed: on a terminal of the node, or module bitcoin_rpc with return_secret"
        )
    known = methods.METHODS.get(method)
    return Call(argv, method, known is None or known.changes)
