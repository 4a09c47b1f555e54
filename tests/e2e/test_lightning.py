# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site's lnd and one that belongs to somebody else, from the seed that only its owner sees to payments over a channel.

Neither knows more of the other than its key and its onion. `lab/lab lnd up` has the other one; a declaration opens the channel. In a run of
all tests with 10 payments each way instead of 100.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest
from lightning import (
    CHANNELS,
    PATIENCE,
    Ours,
    Owner,
    Theirs,
    active,
    asking_for,
    confirm,
    confirm_seed,
    declaring,
    eventually,
    fund,
    mine,
    pays,
    seed_of,
)
from standing import Site, lab, wait_for

PAYMENTS = 10 if "BCM_BRIEF" in os.environ else 100
CAPACITY = 2_000_000
# Where the container with nodes of other people is.
PEERS = "198.18.0.9"
NAME = "to-somebody-else"


def wrong(words: list[str]) -> list[str]:
    """The same words, two of them in each other's place."""
    first = next(i for i in range(len(words) - 1) if words[i] != words[i + 1])
    return [*words[:first], words[first + 1], words[first], *words[first + 2 :]]


@pytest.fixture(scope="module")
def words(ours: Ours, owner: Owner) -> list[str]:
    return seed_of(ours, owner)


# -- the lab's internet ------------------------------------------------------------------------------------------------


def test_nodes_of_other_people_are_reached_by_onion_alone(theirs: Theirs) -> None:
    """Where their container is, nothing answers in clear; each has the other one by its onion, and all the blocks."""
    answering = [
        port
        for port in (22, 443, 8080, 8443, 9735, 10009, 18444, 18501, 18502, 18601, 18602, 28332)
        if opens(PEERS, port)
    ]
    assert answering == []
    told = json.loads(lab("peers", "status", "--json"))
    assert told["up"]
    assert all(".onion:" in node["address"] and node["height"] >= 300 for node in told["nodes"].values())
    assert len(told["nodes"]) == 2
    (address,) = [uri.partition("@")[2] for uri in theirs.ask("getinfo")["uris"]]
    assert address.partition(":")[0].endswith(".onion")


def opens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=3):
            return True
    except OSError:
        return False


# -- the seed ----------------------------------------------------------------------------------------------------------


def test_the_seed_is_shown_sealed_and_its_owner_alone_opens_it(ours: Ours, words: list[str]) -> None:
    shown = ours.site.ask(ours.host, "bcm-lnd", "seed", "read")
    assert shown.startswith("-----BEGIN AGE ENCRYPTED FILE-----")
    assert not [word for word in set(words) if f" {word} " in shown]


def test_what_is_typed_wrong_confirms_nothing(ours: Ours, words: list[str]) -> None:
    before = ours.has_confirmed_seed()
    status, screen = confirm_seed(ours, wrong(words))
    assert status != 0
    assert "not the words of this seed" in screen
    assert ours.has_confirmed_seed() is before


def test_a_program_cannot_confirm_it(ours: Ours) -> None:
    """What comes by a pipe was in some program's memory, or in a file."""
    done = ours.site.run(ours.host, "bcm-lnd", "seed", "confirm")
    assert done.returncode != 0
    assert "terminal" in done.stderr + done.stdout


def test_the_owner_types_it_back(ours: Ours, words: list[str]) -> None:
    status, screen = confirm_seed(ours, words)
    assert status == 0, screen
    wait_for("word that it is confirmed", eventually(ours.has_confirmed_seed), 60)
    # Whoever looks over a shoulder sees nothing of it.
    assert " ".join(words[:3]) not in screen


# -- the channel -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def declared(theirs: Theirs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An inventory whose declaration has one channel, and a limit that it fits."""
    channel = {"name": NAME, "peer": f"{theirs.key}@{theirs.address}", "amount": CAPACITY}
    return declaring(channel, directory=tmp_path_factory.mktemp("channel"), max_spend=CAPACITY + 50_000)


def existing(ours: Ours, theirs: Theirs) -> int:
    return len(ours.channels(theirs)) + len(ours.pending("pending_open_channels"))


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, "stacks.lightning.channels: there are none"),
        ({"peer": None}, "lightning_channels[0].peer: is missing"),
        ({"peer": f"02{'ab' * 32}@{PEERS}:9735"}, "is not an onion"),
        ({"node": "lightning-9"}, "lightning-9: is no instance with an lnd"),
        ({"amount": 1}, "lightning_channels[0].amount = 1: is too small"),
    ],
)
def test_what_cannot_be_is_refused_before_lnd_is_asked(
    site: Site, theirs: Theirs, tmp_path: Path, told: dict[str, object], words: str
) -> None:
    channel = {"name": "impossible", "peer": f"{theirs.key}@{theirs.address}", "amount": CAPACITY}
    asked = asking_for({**channel, **told}, directory=tmp_path, max_spend=CAPACITY + 50_000) if told else ()
    run = site.play(CHANNELS, *asked)
    assert run.status != 0
    assert words in " ".join(run.failures)
    assert not run.changed


def test_an_lnd_that_is_not_there_is_refused(site: Site, declared: Path) -> None:
    run = site.play(CHANNELS, "-e", "node=lightning-9", inventory=declared)
    assert run.status != 0
    assert "has no lnd; allowed: lightning-1" in " ".join(run.failures)
    assert not run.changed


@pytest.mark.parametrize("said", [(), ("-e", "spend=false"), ("-e", "spend=ture")])
def test_real_money_is_spent_only_where_the_run_says_so(site: Site, declared: Path, said: tuple[str, ...]) -> None:
    """On a chain of which it is only said that it is that one: lnd is not asked before."""
    laid = declared / "group_vars/lightning_nodes.yml"
    laid.write_text("spend: true\n")
    try:
        run = site.play(CHANNELS, "-e", "bcm_chain=mainnet", *said, inventory=declared)
    finally:
        laid.unlink()
    assert run.status != 0
    words = "spend = ture: is neither yes nor no" if "spend=ture" in said else "On mainnet this is real money"
    assert words in " ".join(run.failures)
    assert not run.changed


def test_a_rehearsal_says_what_the_channel_costs(site: Site, ours: Ours, theirs: Theirs, declared: Path) -> None:
    fund(ours, 2 * CAPACITY)
    before = existing(ours, theirs)
    run = site.play(CHANNELS, "--check", "--diff", inventory=declared)
    assert run.status == 0, run.text[-3000:]
    # Without a macaroon of its own that would be made, too; what counts is the channel.
    assert ((ours.host, "Have the channels") in run.changed) is (before == 0)
    assert str(CAPACITY) in run.text
    assert existing(ours, theirs) == before


def test_what_would_cost_more_than_the_limit_is_not_done(
    site: Site, ours: Ours, theirs: Theirs, tmp_path: Path
) -> None:
    channel = {"name": "too-dear", "peer": f"{theirs.key}@{theirs.address}", "amount": CAPACITY}
    before = existing(ours, theirs)
    run = site.play(CHANNELS, *asking_for(channel, directory=tmp_path, max_spend=CAPACITY))
    assert run.status != 0
    assert "max_spend" in " ".join(run.failures)
    assert existing(ours, theirs) == before


def test_the_declared_channel_opens(site: Site, ours: Ours, theirs: Theirs, declared: Path) -> None:
    run = site.play(CHANNELS, inventory=declared)
    assert run.status == 0, run.text[-3000:]
    confirm(ours, theirs)
    wait_for("a channel that both have", lambda: active(ours, theirs), PATIENCE, every=2)
    (channel,) = [one for one in ours.channels(theirs) if NAME in one["memo"]]
    assert int(channel["capacity"]) == CAPACITY


def test_they_talk_by_onion(ours: Ours, theirs: Theirs) -> None:
    assert ours.peers()[theirs.key] == theirs.address
    assert theirs.address.partition(":")[0].endswith(".onion")
    assert ours.address.partition(":")[0].endswith(".onion")
    # Who comes by an onion comes from loopback, as far as the other one sees.
    assert theirs.peers()[ours.key].startswith("127.0.0.1:")


def test_the_second_run_changes_nothing(site: Site, declared: Path) -> None:
    for playbook in (CHANNELS, "playbooks/lightning.yml"):
        run = site.play(playbook, inventory=declared)
        assert run.status == 0, run.text[-3000:]
        assert not run.changed


def test_payments_each_way(ours: Ours, theirs: Theirs, record_property: Callable[[str, object], None]) -> None:
    # So that the other side has something to pay with.
    pays(ours, theirs, CAPACITY // 4)
    wait_for("the channel without payments under way", eventually(lambda: settled(ours, theirs)), 60)
    (before,) = theirs.channels(ours)
    took = []
    for number in range(PAYMENTS):
        for payer, payee in ((ours, theirs), (theirs, ours)):
            invoice = payee.invoice(100 + number)
            begun = time.monotonic()
            paid = payer.pay(invoice)
            took.append(time.monotonic() - begun)
            assert paid["status"] == "SUCCEEDED", f"payment {number} of {payer.name}: {paid}"
    record_property("median", round(median(took), 2))
    print(f"{len(took)} payments, median {median(took):.2f} s, the slowest {max(took):.2f} s")
    wait_for("the channel without payments under way", eventually(lambda: settled(ours, theirs)), 60)
    (after,) = theirs.channels(ours)
    sent = sum(100 + number for number in range(PAYMENTS))
    assert int(after["total_satoshis_received"]) - int(before["total_satoshis_received"]) == sent
    assert int(after["total_satoshis_sent"]) - int(before["total_satoshis_sent"]) == sent


def settled(*lnds: Ours | Theirs) -> bool:
    one, other = lnds
    return not any(channel["pending_htlcs"] for channel in [*one.channels(other), *other.channels(one)])


def test_a_block_arrives_by_itself(ours: Ours) -> None:
    """Not a port that answers: a block that lnd was told of."""
    height = mine()
    wait_for(f"block {height} at the site's lnd", lambda: ours.in_step(height), 60)
    wait_for(
        "word of it",
        eventually(lambda: ours.status()["block"] >= height and ours.part("Blocks reach lnd")["works"]),
        60,
    )


# -- copies of the channel backup --------------------------------------------------------------------------------------


def test_copies_of_the_channel_backup_lie_in_two_places(ours: Ours) -> None:
    def copied() -> bool:
        copies = ours.status()["backup"]["copies"]
        return len(copies) >= 2 and all(copy["current"] and copy["channels"] >= 1 for copy in copies)

    wait_for("copies with the channel in them", eventually(copied), 120, every=2)


# -- who may do what ---------------------------------------------------------------------------------------------------


def test_a_macaroon_that_may_read_cannot_pay(ours: Ours, theirs: Theirs) -> None:
    reading = "--macaroonpath=/data/data/chain/bitcoin/regtest/readonly.macaroon"
    assert json.loads(ours.cli(reading, "getinfo"))["identity_pubkey"] == ours.key
    before = int(ours.channels(theirs)[0]["total_satoshis_sent"])
    done = ours.site.run(ours.host, "lncli", reading, "payinvoice", "--force", theirs.invoice(1000))
    assert done.returncode != 0
    assert "permission denied" in done.stderr + done.stdout
    assert int(ours.channels(theirs)[0]["total_satoshis_sent"]) == before


# What it is given for bitcoind, as it is given to it: USER:PASSWORD in a file that nothing but lnd reads.
CALL = """
from base64 import b64encode
from http.client import HTTPConnection
from sys import argv
words = open(argv[1]).read().strip()
host, port = argv[2].rsplit(":", 1)
connection = HTTPConnection(host, int(port), timeout=20)
body = '{"method": "%s", "params": []}' % argv[3]
connection.request("POST", "/", body, {"Authorization": "Basic " + b64encode(words.encode()).decode()})
print(connection.getresponse().status)
"""


def calls(ours: Ours, method: str) -> int:
    """The HTTP status that lnd's own user of bitcoind's RPC gets, from where lnd is."""
    form = '{{range .Mounts}}{{if .Source}}{{.Destination}} {{.Source}}{{"\\n"}}{{end}}{{end}}'
    mounts = dict(
        line.split()
        for line in ours.site.ask(ours.host, "docker", "inspect", "--format", form, ours.container()).splitlines()
        if line
    )
    folder = mounts.get("/etc/lnd", "")
    conf = ours.site.ask(ours.host, "cat", f"{folder}/lnd.conf")
    (where,) = [line.partition("=")[2] for line in conf.splitlines() if line.startswith("bitcoind.rpchost=")]
    inside = ["nsenter", "--target", ours.process(), "--net", "--", "python3", "-c", CALL]
    return int(ours.site.ask(ours.host, *inside, f"{folder}/rpc", address(ours, where), method))


def address(ours: Ours, where: str) -> str:
    """With an address in place of a name that only the container knows."""
    host, _, port = where.rpartition(":")
    if host.replace(".", "").isdigit():
        return where
    found = ours.site.ask(ours.host, "docker", "exec", ours.container(), "getent", "ahostsv4", host).split()[0]
    return f"{found}:{port}"


def test_lnds_user_of_bitcoind_may_ask_and_not_stop(ours: Ours) -> None:
    assert calls(ours, "getblockchaininfo") == 200
    assert calls(ours, "stop") == 403
    assert calls(ours, "getblockchaininfo") == 200
    # And somebody is told: a version of lnd that calls what it may not would not be noticed otherwise.
    told = ours.site.tier("manager")[-1]
    wait_for(
        "the alert", lambda: "bitcoin-rpc-refused/" in ours.site.run(told, "bcm-alerts", "open", "--json").stdout, 30
    )
