# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked of bitcoin-cli and lncli: words without a shell, and no secrets."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.filter.cli_call import cli_call


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ("getblockhash 5", ["getblockhash", "5"]),
        (["getblockhash", 5], ["getblockhash", "5"]),
        ("getnewaddress 'two words; $HOME `id`'", ["getnewaddress", "two words; $HOME `id`"]),
        ("-rpcwallet=w -named getnewaddress label=x", ["-rpcwallet=w", "-named", "getnewaddress", "label=x"]),
        ("-getinfo", ["-getinfo"]),
    ],
)
def test_words_are_taken_as_they_are(command: str | list[str | int], argv: list[str]) -> None:
    assert cli_call(command, "bitcoin-cli")["argv"] == argv


@pytest.mark.parametrize(
    ("program", "command", "changes"),
    [
        ("bitcoin-cli", "getblockchaininfo", False),
        ("bitcoin-cli", "-getinfo", False),
        ("bitcoin-cli", "listdescriptors", False),
        ("bitcoin-cli", "stop", True),
        ("bitcoin-cli", "getnewaddress", True),
        ("bitcoin-cli", "somethingnew", True),
        ("lncli", "getinfo", False),
        ("lncli", "openchannel --help", False),
        ("lncli", "openchannel a 1", True),
        ("lncli", "wallet bumpfee a", True),
        ("lncli", "--version", False),
    ],
)
def test_it_is_known_what_changes_something(program: str, command: str, changes: bool) -> None:
    assert cli_call(command, program)["changes"] is changes


@pytest.mark.parametrize(
    ("program", "command", "words"),
    [
        ("bitcoin-cli", "walletpassphrase secret 60", "takes what nobody may see"),
        ("bitcoin-cli", "-named walletpassphrase passphrase=secret timeout=60", "takes what nobody may see"),
        ("bitcoin-cli", "-rpcwallet=w signrawtransactionwithkey 00 '[\"key\"]'", "takes what nobody may see"),
        ("bitcoin-cli", "listdescriptors true", "holds private keys"),
        ("bitcoin-cli", "-named listdescriptors private=true", "holds private keys"),
        ("bitcoin-cli", "gethdkeys '{\"private\": true}'", "holds private keys"),
        ("bitcoin-cli", "dumpmasterprivkey", "holds private keys"),
        ("bitcoin-cli", "-rpcpassword=x getinfo", "option rpcpassword is set"),
        ("bitcoin-cli", "-stdin getblock", "option stdin is set"),
        ("bitcoin-cli", "-rpcwallet w getbalance", "without a value"),
        ("bitcoin-cli", "-rpcwallet=w", "names nothing to be done"),
        ("bitcoin-cli", "", "is empty"),
        ("bitcoin-cli", [], "is empty"),
        ("bitcoin-cli", [True], "neither a text nor a list"),
        ("bitcoin-cli", {"a": 1}, "neither a text nor a list"),
        ("bitcoin-cli", "a 'b", "cannot be split"),
        ("bitcoin-cli", ["a\nb"], "several lines"),
        ("lncli", "create", "its owner alone"),
        ("lncli", "unlock", "lnd_wallet unlocks"),
        ("lncli", "bakemacaroon info:read", "lnd_macaroon bakes"),
        ("lncli", "--macaroonpath=/x getinfo", "option macaroonpath is set"),
        ("lncli", "--rpcserver other bakemacaroon", "option rpcserver is set"),
        ("lncli", "--profile x bakemacaroon", "without a value"),
        ("other", "getinfo", "program: 'other'"),
    ],
)
def test_what_must_not_be_asked_so_is_refused(program: str, command: object, words: str) -> None:
    with pytest.raises(AnsibleFilterError, match=words) as caught:
        cli_call(command, program)
    assert "secret 60" not in str(caught.value)
