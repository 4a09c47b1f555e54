# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""bitcoin_rpc against a bitcoind in memory, over HTTP, over HTTPS with certificates on both sides, and by a client's standard input."""

from __future__ import annotations

import base64
import http.server
import importlib
import json
import ssl
import threading
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.bcm.datacenter.plugins.module_utils import _bitcoin_methods as methods
from ansible_collections.bcm.datacenter.plugins.modules import bitcoin_rpc
from ansible_collections.bcm.datacenter.tests.unit.plugins.modules.fake_lnd import certificates

Run = t.Callable[..., dict[str, t.Any]]
HASH = "75f77bcc851ef4ac986cb81e1da4395ce8f809eff3a73c3a26e5543a0c9b0cda"
PASSPHRASE = "a long passphrase"


class FakeBitcoind(http.server.ThreadingHTTPServer):
    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.server_address[1]}"
        self.asked: list[tuple[str, str, t.Any]] = []
        self.error: dict[str, t.Any] | None = None
        self.status = 200
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    server: FakeBitcoind

    def log_message(self, *_args: t.Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body["method"], body["params"]))
        allowed = f"Basic {base64.b64encode(b'monitor:secret word').decode()}"
        status = self.server.status if self.headers["Authorization"] == allowed else 401
        said = {"result": None if self.server.error else HASH, "error": self.server.error, "id": "bcm"}
        raw = json.dumps(said).encode() if status in (200, 500) else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


@pytest.fixture
def bitcoind() -> t.Iterator[FakeBitcoind]:
    fake = FakeBitcoind()
    yield fake
    fake.shutdown()
    fake.server_close()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_module(method: str, *, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        with patch_module_args({"method": method, "_ansible_check_mode": check, **params}), pytest.raises(SystemExit):
            bitcoin_rpc.main()
        return json.loads(capsys.readouterr().out)

    return run_module


@pytest.fixture
def ask(run: Run, bitcoind: FakeBitcoind) -> Run:
    return lambda method, **more: run(method, url=bitcoind.url, username="monitor", password="secret word", **more)


class Client:
    """bitcoin-cli, of which only what goes in and comes out is known."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[list[str], bytes]] = []
        self.said = (0, f"{HASH}\n", "")

        def run_command(_module: t.Any, argv: list[str], data: bytes, binary_data: bool) -> tuple[int, str, str]:
            assert binary_data
            self.calls.append((argv, data))
            return self.said

        monkeypatch.setattr(
            importlib.import_module("ansible.module_utils.basic").AnsibleModule, "run_command", run_command
        )


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    return Client(monkeypatch)


def test_what_reads_is_asked_in_check_mode_too(ask: Run, bitcoind: FakeBitcoind) -> None:
    for check in (True, False):
        found = ask("getblockhash", params=[5], check=check)
        assert (found["changed"], found["called"], found["result"]) == (False, True, HASH)
    assert bitcoind.asked == [("/", "getblockhash", [5])] * 2


def test_what_changes_is_not_asked_in_check_mode(ask: Run, bitcoind: FakeBitcoind) -> None:
    planned = ask("getnewaddress", wallet="my wallet/1", check=True)
    assert (planned["changed"], planned["called"], planned["result"], bitcoind.asked) == (True, False, None, [])
    assert ask("getnewaddress", wallet="my wallet/1", params={"label": "x"})["changed"]
    assert bitcoind.asked == [("/wallet/my%20wallet%2F1", "getnewaddress", {"label": "x"})]


def test_of_what_is_not_known_it_has_to_be_said(ask: Run, bitcoind: FakeBitcoind) -> None:
    assert "has to be said whether it changes something" in ask("getfuture")["msg"]
    assert "allowed: true, or nothing" in ask("stop", changed=False)["msg"]
    assert bitcoind.asked == []
    assert not ask("getfuture", changed=False)["changed"]
    assert ask("getfuture", changed=True)["changed"]
    assert ask("getblockcount", changed=True)["changed"]


def test_secrets_are_nowhere_but_in_the_call(ask: Run, bitcoind: FakeBitcoind) -> None:
    open_ones = ask("walletpassphrase", params=[PASSPHRASE, 60])
    assert "passphrase must not be seen" in open_ones["msg"]
    assert "must not be seen" in ask("importdescriptors", params=[[{"desc": "wpkh(tprv)"}]])["msg"]
    assert "must not be seen" in ask("walletpassphrase", params={"args": [PASSPHRASE], "timeout": 60})["msg"]
    assert bitcoind.asked == []
    assert PASSPHRASE not in json.dumps(open_ones)
    done = ask("walletpassphrase", params={"timeout": 60}, secret_params={"passphrase": PASSPHRASE})
    assert bitcoind.asked == [("/", "walletpassphrase", {"timeout": 60, "passphrase": PASSPHRASE})]
    assert done["changed"]
    assert PASSPHRASE not in json.dumps(done)
    assert "secret word" not in json.dumps(done)
    # ansible-core 2.21 says it only when asked for much.
    assert done.get("invocation", {"module_args": {"params": {"timeout": 60}}})["module_args"]["params"] == {
        "timeout": 60
    }


def test_answers_that_hold_keys_take_a_word(ask: Run, bitcoind: FakeBitcoind) -> None:
    for params in ([True], {"private": True}, {"args": [True]}, {"options": {"private": True}}):
        assert "holds private keys" in ask("listdescriptors", params=params)["msg"]
    assert bitcoind.asked == []
    assert ask("listdescriptors", params=[True], return_secret=True)["result"] == HASH
    assert ask("listdescriptors", params=[False])["result"] == HASH
    assert ask("listdescriptors")["result"] == HASH


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (
            500,
            {"code": -8, "message": "Block height out of range"},
            "getblockhash: Block height out of range (code -8)",
        ),
        (403, None, "does not let this user call getblockhash"),
        (503, None, "answers with 503 and something else than JSON-RPC"),
    ],
)
def test_what_goes_wrong_is_told(ask: Run, bitcoind: FakeBitcoind, status: int, error: t.Any, words: str) -> None:
    bitcoind.status, bitcoind.error = status, error
    assert words in ask("getblockhash", params=[5])["msg"]
    assert len(bitcoind.asked) == 1


def test_a_method_of_other_releases_is_explained(ask: Run, bitcoind: FakeBitcoind) -> None:
    bitcoind.error = {"code": -32601, "message": "Method not found"}
    assert "in releases up to 29" in ask("importprivkey", secret_params={"privkey": "x"})["msg"]
    assert "in releases from 31.0 on" in ask("getmempoolcluster", params=["aa"])["msg"]
    assert "may run without wallets" in ask("getbalances")["msg"]


def test_a_password_does_not_cross_a_network_in_clear(run: Run) -> None:
    who = {"username": "monitor", "password": "secret word"}
    for url in ("http://10.0.0.1:8332", "http://bitcoin-1:8332"):
        assert "over a network in clear" in run("getblockcount", url=url, **who)["msg"]
    assert "ca_path: is missing" in run("getblockcount", url="https://10.0.0.1:8332", **who)["msg"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"url": "ftp://127.0.0.1:1"}, "allowed: http://HOST:PORT"),
        ({"url": "http://127.0.0.1"}, "allowed: http://HOST:PORT"),
        ({"password": None}, "url: needs who asks"),
        ({"params": "5"}, "params: str is nothing that a method takes"),
        ({"method": "get block"}, "method: 'get block'"),
        ({"timeout": 0}, "timeout: 0"),
        ({"params": [1], "secret_params": {"a": "bcdef"}}, "a list cannot go with secret_params"),
        ({"params": {"a": 1}, "secret_params": {"a": "bcdef"}}, "is in params, too"),
        ({"wallet": "a\nb"}, "wallet:"),
    ],
)
def test_what_cannot_be_meant_is_refused(run: Run, bitcoind: FakeBitcoind, wrong: dict[str, t.Any], words: str) -> None:
    right = {"method": "getblockcount", "url": bitcoind.url, "username": "monitor", "password": "secret word"}
    assert words in run(**{**right, **wrong})["msg"]
    assert bitcoind.asked == []


def test_credentials_come_from_files(run: Run, bitcoind: FakeBitcoind, tmp_path: Path) -> None:
    password, cookie = tmp_path / "password", tmp_path / "cookie"
    password.write_text("secret word\n")
    cookie.write_text("monitor:secret word")
    assert run("uptime", url=bitcoind.url, username="monitor", password_path=str(password))["result"] == HASH
    assert run("uptime", url=bitcoind.url, cookie_path=str(cookie))["result"] == HASH
    password.write_text("another")
    assert (
        "does not take the credentials"
        in run("uptime", url=bitcoind.url, username="monitor", password_path=str(password))["msg"]
    )
    cookie.unlink()
    assert "could not be read" in run("uptime", url=bitcoind.url, cookie_path=str(cookie))["msg"]


def test_between_hosts_both_sides_show_a_certificate(run: Run, tmp_path: Path) -> None:
    authority, certificate, key = certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority))
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    fake = FakeBitcoind(context)
    who = {"url": fake.url, "username": "monitor", "password": "secret word", "ca_path": str(authority)}
    own = {"certificate_path": str(certificate), "key_path": str(key)}
    assert run("uptime", **who, **own)["result"] == HASH
    assert "cannot be asked" in run("uptime", **who)["msg"]
    (tmp_path / "other").mkdir()
    other, _certificate, _key = certificates(tmp_path / "other")
    assert "cannot be asked" in run("uptime", **{**who, "ca_path": str(other)}, **own)["msg"]
    assert len(fake.asked) == 1
    fake.shutdown()
    fake.server_close()


def test_the_nodes_own_client_gets_all_by_its_standard_input(run: Run, client: Client) -> None:
    found = run("getblock", params=["00ab", 1], wallet="w", timeout=5)
    assert client.calls == [
        (["/usr/local/bin/bitcoin-cli", "-rpcclienttimeout=5", "-rpcwallet=w", "-stdin", "getblock"], b"00ab\n1\n")
    ]
    assert found["result"] == HASH
    run("walletpassphrase", params={"timeout": 60}, secret_params={"passphrase": PASSPHRASE})
    argv, data = client.calls[1]
    assert (argv[-3:], data) == (
        ["-stdin", "-named", "walletpassphrase"],
        f"timeout=60\npassphrase={PASSPHRASE}\n".encode(),
    )
    assert PASSPHRASE not in " ".join(argv)
    run("getblockcount")
    argv, data = client.calls[2]
    assert "-stdin" not in argv
    assert data == b"\n"


def test_what_the_client_says_is_read(run: Run, client: Client) -> None:
    for out, result in (
        ("129\n", 129),
        ('{\n "a": [1]\n}\n', {"a": [1]}),
        ("", None),
        ("some text\n", "some text"),
        ("null\n", None),
    ):
        client.said = (0, out, "")
        assert run("getblockcount")["result"] == result
    client.said = (8, "", "error code: -8\nerror message:\nBlock height out of range\n")
    said = run("getblockhash", params=[10**6])
    assert (said["msg"], said["code"]) == ("getblockhash: Block height out of range", -8)
    client.said = (1, "", "The node does not run\n")
    assert run("uptime")["msg"] == "uptime: /usr/local/bin/bitcoin-cli ended with 1: The node does not run"


def test_a_line_more_would_be_a_parameter_more(run: Run, client: Client) -> None:
    assert "several lines" in run("echo", params=["a\nb"])["msg"]
    assert client.calls == []


def test_every_method_is_in_one_table_and_every_secret_has_one() -> None:
    listed = [
        name.partition(":")[0]
        for table in (methods.READ, methods.WRITE)
        for names in table.values()
        for name in names.split()
    ]
    assert sorted(listed) == sorted(set(listed))
    assert set(methods.SECRET_PARAMETERS) | set(methods.SECRET_ANSWERS) <= set(listed)
    assert methods.METHODS["settxfee"].span() == "up to 30"
    # Whoever hands out, spends, loads, stops or removes something changes something.
    verbs = (
        "send",
        "set",
        "load",
        "unload",
        "import",
        "create",
        "remove",
        "generate",
        "bump",
        "restore",
        "stop",
        "encrypt",
    )
    makers = {"createmultisig", "createpsbt", "createrawtransaction"}
    for name, method in methods.METHODS.items():
        if name.startswith(verbs) and name not in makers:
            assert method.changes, name
        if name.startswith(("list", "decode", "verify", "estimate", "analyze")):
            assert not method.changes, name
