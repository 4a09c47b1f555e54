# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a message leaves the host."""

from __future__ import annotations

import time

import pytest
from bcm_shipper.redaction import LONGEST_KEY, MARK, Redaction

HEX = "0123456789abcdef" * 4
BASE58 = "9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (f"rpcauth=operator:{HEX[:32]}${HEX}", f"rpcauth=operator:{MARK}"),
        (f"rpcauth=ope=rator:{HEX[:32]}${HEX}", f"rpcauth=ope=rator:{MARK}"),
        ("bitcoind -rpcpassword=hunter2 -server", f"bitcoind -rpcpassword={MARK} -server"),
        ("lncli --password hunter2 unlock", f"lncli --password {MARK} unlock"),
        ('{"user":"bob","password": "hun ter2","port":1}', f'{{"user":"bob","password": {MARK},"port":1}}'),
        ("api_key: abc, next: 1", f"api_key: {MARK}, next: 1"),
        (f"Using __cookie__:{HEX}", f"Using __cookie__:{MARK}"),
        (f"macaroon 0201036c6e64{HEX}{HEX} sent", f"macaroon {MARK} sent"),
        ("AgEDbG5k" + "QWxhZGRpbjpvcGVuIHNlc2FtZQ" * 3, MARK),
        ("ADD_ONION ED25519-V3:" + "A" * 88, f"ADD_ONION ED25519-V3:{MARK}"),
        ("abc:descriptor:x25519:" + "A" * 52, f"abc:descriptor:x25519:{MARK}"),
        (f"wpkh([d34db33f/84h]xprv{BASE58}/0/*)", f"wpkh([d34db33f/84h]{MARK}/0/*)"),
        ("join --token SWMTKN-1-49nj1-8vxv 10.0.0.1:2377", f"join --token {MARK} 10.0.0.1:2377"),
        ("unlock with SWMKEY-1-7c37Cc8654o6p38HnroywCi19pllOnGtbdZEgtKxZu8", f"unlock with SWMKEY-1-{MARK}"),
        ("Authorization: Basic QWxhZGRpbjpvcGVu", f"Authorization: Basic {MARK}"),
        ("got bearer abcdefghijklmnopqrstuvwxyz012345", f"got bearer {MARK}"),
        ("abc:x25519:" + "aB3+/" * 8 + "abc=", f"abc:x25519:{MARK}"),
        (
            "ONION_CLIENT_AUTH_ADD abc x25519:" + "aB3+/" * 8 + "abc= Flags=V3",
            f"ONION_CLIENT_AUTH_ADD abc x25519:{MARK} Flags=V3",
        ),
        ("GET http://bob:hunter2@10.0.0.1:8332/", f"GET http://{MARK}@10.0.0.1:8332/"),
        ("GET http://bob:hun@ter2@10.0.0.1:8332/", f"GET http://{MARK}@10.0.0.1:8332/"),
        ("GET http://bob:hun/ter2@10.0.0.1:8332/", f"GET http://{MARK}@10.0.0.1:8332/"),
        ("GET http://bob:hun@t/er2@10.0.0.1:8332/", f"GET http://{MARK}@10.0.0.1:8332/"),
        ('GET http://bob:hun"ter2@10.0.0.1:8332/', f"GET http://{MARK}@10.0.0.1:8332/"),
        ("http://bob:hunter2@10.0.0.1,http://c:d@e", f"http://{MARK}@10.0.0.1,http://{MARK}@e"),
        ("clone https://ghp_0123456789abcdef@github.com/x/y", f"clone https://{MARK}@github.com/x/y"),
        ("clone https://ghp_0123456789abcdef:x-oauth-basic@github.com/x/y", f"clone https://{MARK}@github.com/x/y"),
        ('{"url":"http://a@b/","user":"bob@example"}', f'{{"url":"http://{MARK}@b/","user":"bob@example"}}'),
        ("bitcoin-cli -rpcwallet=w walletpassphrase hunter2 60", f"bitcoin-cli -rpcwallet=w walletpassphrase {MARK}"),
        ('walletpassphrasechange "hun ter2" "hun ter3"', f"walletpassphrasechange {MARK}"),
        ('{"method":"walletpassphrase","params":["hunter2",60]}', f'{{"method":"walletpassphrase",{MARK}'),
        ("bitcoin-cli encryptwallet hunter2", f"bitcoin-cli encryptwallet {MARK}"),
        (
            "bitcoin-cli importprivkey L1aW4aubDFB7yfras2S1mN3bqg9nwySY8nkoLmJebSLD5BWv3ENZ",
            f"bitcoin-cli importprivkey {MARK}",
        ),
        ("bitcoin-cli signmessagewithprivkey L1aW4aubDFB7 hello", f"bitcoin-cli signmessagewithprivkey {MARK}"),
        ("bitcoin-cli sethdseed true L1aW4aubDFB7", f"bitcoin-cli sethdseed {MARK}"),
        (
            "bitcoin-cli signrawtransactionwithkey 0200 '[\"L1aW4aubDFB7\"]'",
            f"bitcoin-cli signrawtransactionwithkey {MARK}",
        ),
        ("bitcoin-cli createwallet mine false false hunter2", f"bitcoin-cli createwallet mine {MARK}"),
        (
            '{"method":"createwallet","params":["mine",false,false,"hunter2"]}',
            f'{{"method":"createwallet",{MARK}',
        ),
        ('createwallet "mine" false false "hun ter2"', f'createwallet "mine" {MARK}'),
        ("ThreadRPCServer method=createwallet user=operator", "ThreadRPCServer method=createwallet user=operator"),
        ("bitcoin-cli -rpcpassword hunter2 stop", f"bitcoin-cli -rpcpassword {MARK} stop"),
        ("Authorization: Token abc", f"Authorization: Token {MARK}"),
        ("lnd --bitcoind.rpcpass=hunter2 --debug", f"lnd --bitcoind.rpcpass={MARK} --debug"),
        ("AWS_SECRET_ACCESS_KEY=abc, PresharedKey = def=", f"AWS_SECRET_ACCESS_KEY={MARK}, PresharedKey = {MARK}"),
        ('password="hunter2 without an end', f"password={MARK}"),
        ('{"password":"hun\\"ter2","port":1}', f'{{"password":{MARK},"port":1}}'),
        ('{\\"password\\":\\"hunter2\\",\\"port\\":1}', f'{{\\"password\\":{MARK},\\"port\\":1}}'),
        ('{\\"password\\":\\"hun\\\\ter\\n2\\",\\"port\\":1}', f'{{\\"password\\":{MARK},\\"port\\":1}}'),
        ("password=hun;ter,2 port=1", f"password={MARK} port=1"),
        ('{"cipher_seed_mnemonic":["abandon","ability"],"port":1}', f'{{"cipher_seed_mnemonic":{MARK},"port":1}}'),
        ("mnemonic: " + " ".join(["abandon"] * 24) + ".", f"mnemonic: {MARK}."),
        # What only looks like one.
        ("Accepted password for root from 10.0.0.1 port 22", "Accepted password for root from 10.0.0.1 port 22"),
        ("Started user-token.service", "Started user-token.service"),
        (f"UpdateTip: new best={HEX} height=1", f"UpdateTip: new best={HEX} height=1"),
        ("GET http://10.0.0.1:8332/ from bob@example", "GET http://10.0.0.1:8332/ from bob@example"),
        ("GET http://10.0.0.1/v2/app@sha256:0123", "GET http://10.0.0.1/v2/app@sha256:0123"),
        ("bitcoin-cli createwallet mine", "bitcoin-cli createwallet mine"),
        (
            "ThreadRPCServer method=walletpassphrase user=operator",
            "ThreadRPCServer method=walletpassphrase user=operator",
        ),
    ],
)
def test_secrets_do_not_leave(message: str, told: str) -> None:
    said, found, hidden = Redaction().message(message, 0)
    assert said == told
    assert (found > 0) == (message != told)
    assert hidden == 0


def test_a_key_is_hidden_over_its_lines() -> None:
    redaction = Redaction()
    hidden, told = 0, []
    for line in ("begin -----BEGIN EC PRIVATE KEY-----", "MHcCAQEE", "-----END EC PRIVATE KEY----- end", "MHcCAQEE"):
        said, _found, hidden = redaction.message(line, hidden)
        told.append(said)
    assert told == [f"begin {MARK}", MARK, f"{MARK} end", "MHcCAQEE"]


def test_a_key_in_one_message_is_hidden() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----"
    assert Redaction().message(f"a {key} b {key} c", 0) == (f"a {MARK} b {MARK} c", 2, 0)


def test_a_key_that_never_ends_hides_so_many_lines() -> None:
    redaction = Redaction()
    hidden = redaction.message("-----BEGIN RSA PRIVATE KEY-----", 0)[2]
    shown = 0
    for _line in range(LONGEST_KEY + 3):
        said, _found, hidden = redaction.message("MIIE", hidden)
        shown += said == "MIIE"
    assert shown == 4


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        ("", "a-"),
        ("", "pass "),
        ("", "--pass"),
        ("", 'pass="'),
        ("", "pass=a,"),
        ("", "token:\\\\"),
        ("", "://a:"),
        ("", "://a"),
        ("", "://a:b/"),
        ("", "://a:@/"),
        ("://", "a:"),
        ("", "walletpassphrase "),
        ("", "createwallet "),
        ("createwallet ", ":"),
        ("", "createwallet,"),
        ("", 'createwallet "'),
        ("createwallet", " "),
        ("x25519:", "x25519:"),
        ("", "seed: a "),
        ("", "rpcauth="),
        ("", "rpcauth=a"),
        ("", "authorization: basic "),
        ("bearer", " "),
        ('pass:\\"', "\\"),
        ('pass:\\"', "\\a"),
        ("pass:", "\\"),
        ("pass=a", ","),
    ],
)
def test_a_long_line_takes_no_time(begin: str, piece: str) -> None:
    """Anybody may write one; who takes minutes for it ships nothing else meanwhile."""
    began = time.process_time()
    Redaction().message(f"key {begin}{piece * (400_000 // len(piece))}", 0)
    assert time.process_time() - began < 5


def test_further_patterns() -> None:
    assert Redaction([r"\bcard \d+"]).message("card 4711 of bob", 0) == (f"{MARK} of bob", 1, 0)
