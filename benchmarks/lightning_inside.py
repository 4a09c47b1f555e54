# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmark of Lightning does in its container: lightning_inside.py ROUNDS PAYMENTS BLOCKS KILOBYTES.

Two pairs of lnd on one chain differ in one thing: one pair talks by an onion, through Tor, the other straight. So do two nodes that sync
the same blocks. Each round measures both ways, one after the other, and says what came of it as JSON on a line.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import json
import secrets
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

PLACE = Path("/root/bench")
SOCKS = "127.0.0.1:9050"
P2P, RPC = 18444, 18443
ZMQ = {"rawblock": 28332, "rawtx": 28333}
WAYS = ("straight", "Tor")
COIN = 100_000_000
PATIENCE = 300


def wait_for(what: str, looks: Callable[[], Any], every: float = 0.2, seconds: float = PATIENCE) -> Any:
    """Look until there is something to see."""
    until = time.monotonic() + seconds
    while not (seen := looks()):
        if time.monotonic() > until:
            raise SystemExit(f"{what} did not come within {seconds:.0f} s")
        time.sleep(every)
    return seen


def hostname(folder: Path) -> str:
    file = folder / "hostname"
    return file.read_text().strip() if file.exists() else ""


class Programs:
    """What was started here; all of it ends with this program."""

    def __init__(self) -> None:
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *argv: str) -> None:
        with (PLACE / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self, name: str) -> None:
        process = self.running.pop(name)
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self) -> None:
        for name in reversed([*self.running]):
            self.stop(name)


class Bitcoind:
    """A node of regtest, and its RPC."""

    def __init__(self, programs: Programs, name: str, port: int, rpc: int) -> None:
        self.programs, self.name, self.port, self.rpc = programs, name, port, rpc
        self.data = PLACE / name

    def start(self, *options: str) -> None:
        self.data.mkdir(exist_ok=True)
        fixed = [
            "-regtest",
            f"-datadir={self.data}",
            f"-rpcport={self.rpc}",
            "-fallbackfee=0.0001",
            "-dnsseed=0",
            "-listenonion=0",
        ]
        quiet = [
            "-natpmp=0",
            "-discover=0",
            "-printtoconsole=0",
            "-txindex=1",
        ]
        self.programs.start(self.name, "/opt/bitcoin/bin/bitcoind", *fixed, *quiet, *options)

    def remove(self) -> None:
        self.programs.stop(self.name)
        shutil.rmtree(self.data)

    def call(self, method: str, *params: Any, wallet: str = "") -> Any:
        cookie = base64.b64encode((self.data / "regtest/.cookie").read_bytes()).decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.rpc, timeout=120)
        try:
            body = json.dumps({"method": method, "params": params})
            connection.request(
                "POST", f"/wallet/{wallet}" if wallet else "/", body, {"Authorization": f"Basic {cookie}"}
            )
            said = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if said["error"]:
            raise SystemExit(f"{method}: {said['error']['message']}")
        return said["result"]

    def height(self) -> int:
        # It may still begin, or have no cookie yet.
        with contextlib.suppress(OSError, ValueError, SystemExit):
            return int(self.call("getblockcount"))
        return -1


class Lnd:
    """An lnd and its REST interface, over a connection that is kept."""

    def __init__(self, programs: Programs, name: str, number: int) -> None:
        self.programs, self.name = programs, name
        self.port, self.rest, self.grpc = 9700 + number, 8000 + number, 10000 + number
        self.data = PLACE / name
        self.key = ""
        self.connection: http.client.HTTPSConnection | None = None

    def start(self, bitcoind: Bitcoind, *options: str) -> None:
        user, _, password = (bitcoind.data / "regtest/.cookie").read_text().partition(":")
        self.data.mkdir(exist_ok=True)
        lines = [
            "[Application Options]",
            *(f"{name}=127.0.0.1:{port}" for name, port in (("listen", self.port), ("restlisten", self.rest))),
            f"rpclisten=127.0.0.1:{self.grpc}",
            "noseedbackup=true",
            "nobootstrap=true",
            "[Bitcoin]",
            "bitcoin.regtest=true",
            "bitcoin.node=bitcoind",
            "[Bitcoind]",
            f"bitcoind.rpchost=127.0.0.1:{bitcoind.rpc}",
            f"bitcoind.rpcuser={user}",
            f"bitcoind.rpcpass={password}",
            *(f"bitcoind.zmqpub{topic}=tcp://127.0.0.1:{port}" for topic, port in ZMQ.items()),
            *options,
        ]
        file = self.data / "lnd.conf"
        file.write_text("\n".join(lines) + "\n")
        file.chmod(0o600)
        self.programs.start(self.name, "/opt/lnd/lnd", f"--lnddir={self.data}")
        wait_for(f"an answer of {self.name}", lambda: self.info().get("synced_to_chain"))
        self.key = self.info()["identity_pubkey"]

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        if self.connection is None:
            context = ssl.create_default_context(cafile=str(self.data / "tls.cert"))
            self.connection = http.client.HTTPSConnection("localhost", self.rest, timeout=180, context=context)
        macaroon = (self.data / "data/chain/bitcoin/regtest/admin.macaroon").read_bytes().hex()
        try:
            self.connection.request(
                method, path, json.dumps(body) if body else None, {"Grpc-Metadata-macaroon": macaroon}
            )
            said = json.loads(self.connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise
        if isinstance(said, dict) and ("message" in said or "error" in said):
            raise ValueError(f"{method} {path}: {said.get('message') or said['error']}")
        return said

    def info(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            found: dict[str, Any] = self.ask("GET", "/v1/getinfo")
            return found
        return {}

    def channels(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", "/v1/channels?active_only=true")["channels"]
        return found

    def pay(self, other: Lnd) -> float:
        """Seconds from the order to the proof of one payment."""
        invoice = other.ask("POST", "/v1/invoices", {"value": "1000"})["payment_request"]
        begun = time.monotonic()
        body = {"payment_request": invoice, "timeout_seconds": 60, "fee_limit_sat": "10", "no_inflight_updates": True}
        said = self.ask("POST", "/v2/router/send", body)["result"]
        took = time.monotonic() - begun
        if said["status"] != "SUCCEEDED":
            raise ValueError(f"a payment of {self.name} came to {said['status']}: {said.get('failure_reason')}")
        return took


def works(payer: Lnd, payee: Lnd) -> bool:
    with contextlib.suppress(ValueError):
        return payer.pay(payee) > 0
    return False


class Bench:
    """All that is measured, in one place."""

    def __init__(self, blocks: int, size: int) -> None:
        self.programs = Programs()
        self.source = Bitcoind(self.programs, "source", P2P, RPC)
        self.blocks, self.size = blocks, size
        self.onions: dict[str, str] = {}
        self.pairs = {
            way: (Lnd(self.programs, f"{way}-a", 2 * i), Lnd(self.programs, f"{way}-b", 2 * i + 1))
            for i, way in enumerate(WAYS)
        }

    def begin(self) -> None:
        shutil.rmtree(PLACE, ignore_errors=True)
        PLACE.mkdir(mode=0o700)
        self.tor()
        zmq = [f"-zmqpub{topic}=tcp://127.0.0.1:{port}" for topic, port in ZMQ.items()]
        self.source.start("-listen=1", f"-bind=127.0.0.1:{P2P}", f"-bind=127.0.0.1:{P2P + 1}=onion", *zmq)
        wait_for("an answer of bitcoind", lambda: self.source.height() >= 0)
        self.fill()
        for way in WAYS:
            self.open_channel(way)

    def tor(self) -> None:
        onions = {"bitcoin": (P2P, P2P + 1), "lnd": (9735, self.pairs["Tor"][0].port)}
        lines = [f"DataDirectory {PLACE}/tor", f"SocksPort {SOCKS} IsolateSOCKSAuth", "Log notice stdout"]
        for name, (virtual, port) in onions.items():
            lines += [f"HiddenServiceDir {PLACE}/tor/{name}", f"HiddenServicePort {virtual} 127.0.0.1:{port}"]
        (PLACE / "torrc").write_text("\n".join(lines) + "\n")
        self.programs.start("tor", "/usr/bin/tor", "--defaults-torrc", "/root/tor-network", "-f", str(PLACE / "torrc"))
        for name in onions:
            self.onions[name] = wait_for(f"an onion for {name}", partial(hostname, PLACE / "tor" / name))

    def fill(self) -> None:
        """Blocks of that size, full of small payments to addresses of a wallet that is not open any more."""
        call = self.source.call
        call("createwallet", "sink")
        listed = call("listdescriptors", wallet="sink")["descriptors"]
        (descriptor,) = [one["desc"] for one in listed if one["desc"].startswith("wpkh(") and not one["internal"]]
        call("unloadwallet", "sink")
        # One is 31 bytes; a transaction that is passed on has 100,000 at most.
        addresses = call("deriveaddresses", descriptor, [0, min(self.size, 90) * 1000 // 31])
        call("createwallet", "bench")
        own = call("getnewaddress", wallet="bench")
        call("generatetoaddress", 20, own)
        call("generatetodescriptor", 100, "raw(51)")
        while call("getblockcount") < self.blocks:
            for _ in range(max(1, self.size // 90)):
                raw = call("createrawtransaction", [], dict.fromkeys(addresses, 0.00001))
                funded = call("fundrawtransaction", raw, wallet="bench")["hex"]
                call("sendrawtransaction", call("signrawtransactionwithwallet", funded, wallet="bench")["hex"])
            call("generatetodescriptor", 1, "raw(51)")

    def open_channel(self, way: str) -> None:
        first, second = self.pairs[way]
        tor = ["[tor]", "tor.active=true", f"tor.socks={SOCKS}", "tor.streamisolation=true"] if way == "Tor" else []
        for lnd in (first, second):
            lnd.start(self.source, *tor)
        where = f"{self.onions['lnd']}:9735" if tor else f"127.0.0.1:{first.port}"
        self.source.call("sendtoaddress", second.ask("GET", "/v1/newaddress")["address"], 1, wallet="bench")
        self.source.call("generatetodescriptor", 6, "raw(51)")

        def connected() -> bool:
            # An onion is not to be found at once.
            with contextlib.suppress(ValueError):
                second.ask("POST", "/v1/peers", {"addr": {"pubkey": first.key, "host": where}, "timeout": "20"})
            return any(peer["pub_key"] == first.key for peer in second.ask("GET", "/v1/peers")["peers"])

        wait_for(f"a connection, {way}", connected, every=1)
        wait_for("coins of lnd", lambda: int(second.ask("GET", "/v1/balance/blockchain")["confirmed_balance"]) >= COIN)
        funding = {
            "node_pubkey": base64.b64encode(bytes.fromhex(first.key)).decode(),
            "local_funding_amount": "10000000",
        }
        wait_for("both in step", lambda: first.info().get("synced_to_chain") and second.info().get("synced_to_chain"))
        second.ask("POST", "/v1/channels", {**funding, "push_sat": "5000000", "sat_per_vbyte": "2"})
        wait_for("the channel's transaction", lambda: self.source.call("getrawmempool"))
        self.source.call("generatetodescriptor", 6, "raw(51)")
        wait_for(f"a channel that both have, {way}", lambda: first.channels() and second.channels())
        (peer,) = second.ask("GET", "/v1/peers")["peers"]
        for payer, payee in ((second, first), (first, second)):
            # A channel is there before a way over it is known.
            wait_for(f"a payment, {way}", partial(works, payer, payee), every=1)
        # What is measured is what is meant to be.
        if (".onion:" in peer["address"]) is not (way == "Tor"):
            raise SystemExit(f"the pair that is to talk {way} talks to {peer['address']}")

    def sync(self, way: str) -> float:
        """Seconds from the start of a node that has nothing to its having all blocks."""
        fresh = Bitcoind(self.programs, f"fresh-{secrets.token_hex(3)}", P2P + 10, RPC + 10)
        wanted = self.source.height()
        where = (
            ["-connect=" + f"{self.onions['bitcoin']}:{P2P}", f"-onion={SOCKS}"]
            if way == "Tor"
            else [f"-connect=127.0.0.1:{P2P}"]
        )
        begun = time.monotonic()
        fresh.start("-listen=0", *where)
        wait_for(f"all blocks, {way}", lambda: fresh.height() >= wanted, every=0.05)
        took = time.monotonic() - begun
        (peer,) = fresh.call("getpeerinfo")
        if (peer["network"] == "onion") is not (way == "Tor"):
            raise SystemExit(f"the node that is to sync {way} has a peer in {peer['network']}")
        fresh.remove()
        return took

    def one_round(self, payments: int) -> dict[str, dict[str, Any]]:
        said: dict[str, dict[str, Any]] = {}
        for way in WAYS:
            first, second = self.pairs[way]
            # Each way by turns, so that the channel stays in balance.
            turns = itertools.cycle(((second, first), (first, second)))
            took = [payer.pay(payee) for payer, payee in itertools.islice(turns, payments)]
            said[way] = {"payments": took}
        for way in WAYS:
            said[way]["sync"] = self.sync(way)
        return said


@contextlib.contextmanager
def ended(bench: Bench) -> Iterator[Bench]:
    try:
        yield bench
    finally:
        bench.programs.stop_all()


def main(rounds: int, payments: int, blocks: int, size: int) -> None:
    with ended(Bench(blocks, size)) as bench:
        bench.begin()
        print(
            json.dumps(
                {"blocks": bench.source.height(), "bytes": bench.source.call("getblockchaininfo")["size_on_disk"]}
            ),
            flush=True,
        )
        for _ in range(rounds):
            print(json.dumps(bench.one_round(payments)), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]))
