# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules that are always there, held against lines as programs write them."""

from __future__ import annotations

import pytest
from bcm_alerts.rules import rule_from

from ansible_collections.bcm.datacenter.tests.unit.roles.log_alerts.telling import Teller

SERVICE = {"class": "service", "service": "bitcoin-1", "source": "bitcoin-1", "unit": "", "identifier": ""}
SYSTEMD = {"identifier": "systemd", "pid": "1"}
SSHD = {"class": "audit", "identifier": "sshd-session", "unit": "ssh.service", "source": "ssh.service"}
PULSE = {"identifier": "bcm-pulse", "unit": "bcm-pulse.service", "source": "bcm-pulse.service"}
TOR = {"identifier": "Tor", "unit": "tor@default.service", "source": "tor@.service"}
SHIPPER = {"source": "bcm-shipper", "unit": "", "identifier": "", "event": "lost"}


@pytest.fixture
def teller(known_rules):
    return Teller(*map(rule_from, known_rules))


@pytest.mark.parametrize(
    ("source", "message", "times", "alert"),
    [
        (SERVICE, "2026-11-29T18:30:00Z [*] UpdateTip: new best=00", 1, "bitcoin-log-limit/manager-1/bitcoin-1"),
        (SERVICE, "[*] 2026-11-29T18:30:00Z UpdateTip: new best=00", 1, "bitcoin-log-limit/manager-1/bitcoin-1"),
        (
            SERVICE,
            "2026-11-29T18:30:00Z [warning] Excessive logging detected from net.cpp:3 (f): >1048576 bytes logged during",
            1,
            "bitcoin-log-limit/manager-1/bitcoin-1",
        ),
        (
            SERVICE,
            ": Corrupted block database detected.",
            1,
            "bitcoin-corrupt/manager-1/bitcoin-1",
        ),
        (
            SERVICE,
            "2026-11-30T07:20:39Z Verification error: coin database inconsistencies found (last 6 blocks, 9 good transactions before that)",
            1,
            "bitcoin-corrupt/manager-1/bitcoin-1",
        ),
        (
            SERVICE,
            "Error: A fatal internal error occurred, see debug.log for details",
            1,
            "bitcoin-gives-up/manager-1/bitcoin-1",
        ),
        (SERVICE, "Fatal LevelDB error: Corruption: block checksum mismatch", 1, "bitcoin-corrupt/manager-1/bitcoin-1"),
        (
            SERVICE,
            "2026-11-30T16:00:00Z RPC User lnd not allowed to call method stop",
            1,
            "bitcoin-rpc-refused/manager-1/bitcoin-1",
        ),
        (
            SERVICE,
            "2026-11-30T16:00:00Z ThreadRPCServer incorrect password attempt from 10.0.1.3:51234",
            1,
            "bitcoin-rpc-refused/manager-1/bitcoin-1",
        ),
        (
            {**SERVICE, "source": "lnd-lightning-1"},
            "held: this volume has number 1 and 2 is the current one: its lnd was restored elsewhere, and this one stays down for ever",
            1,
            "lightning-fence/manager-1/lnd-lightning-1",
        ),
        (
            {**SERVICE, "source": "lnd-lightning-1"},
            "stopping lnd: for 905 seconds nobody outside of this machine has confirmed that this volume is the current one",
            1,
            "lightning-fence/manager-1/lnd-lightning-1",
        ),
        (
            {"source": "bcm-lnd-guard.service", "unit": "bcm-lnd-guard.service"},
            "lnd's channel backup (1 copies, 2 channels): all copies lie on the disks of one machine, server-1, where lnd itself is",
            1,
            "lightning-trouble/manager-1",
        ),
        (
            SYSTEMD,
            "app.service: Scheduled restart job, restart counter is at 7.",
            5,
            "unit-restarts/manager-1/app.service",
        ),
        (SSHD, "Failed password for root from 192.0.2.7 port 4711 ssh2", 10, "login-refused/manager-1"),
        (SSHD, "Invalid user admin from 192.0.2.7 port 4711", 10, "login-refused/manager-1"),
        (
            SSHD,
            "Connection closed by authenticating user root 192.0.2.7 port 4711 [preauth]",
            10,
            "login-refused/manager-1",
        ),
        (SSHD, "pam_unix(sudo:auth): authentication failure; logname= uid=1000", 10, "login-refused/manager-1"),
        (PULSE, "room /srv/kafka 93 % used, 700 MiB left", 1, "disk-nearly-full/manager-1//srv/kafka"),
        ({}, "write error: No space left on device", 1, "disk-full/manager-1/app.service"),
        (SERVICE, "held: less than 640000 KiB of free space for its data", 1, "disk-full/manager-1/bitcoin-1"),
        (TOR, "Problem bootstrapping. Stuck at 5% (conn): Connecting to a relay.", 1, "tor-trouble/manager-1"),
        (
            TOR,
            "Tor has not observed any network activity for the past 200 seconds. Disabling circuit build timeout recording.",
            1,
            "tor-trouble/manager-1",
        ),
        (
            SHIPPER,
            "12 entries of this host's journal were removed, because it had reached its size, before Kafka had them.",
            1,
            "lines-lost/manager-1",
        ),
    ],
)
def test_a_line_that_is_a_reason(teller, source, message, times, alert):
    for number in range(times - 1):
        assert teller.say(message, number / 10, **source) == []
    assert teller.say(message, times, **source) == [f"raised {alert}"]
    assert teller.say(message, times + 1, **source) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (SERVICE, "2026-11-29T18:30:00Z UpdateTip: new best=00 height=7"),
        (SERVICE, "2026-11-29T18:30:00Z Opened LevelDB successfully"),
        (SERVICE, "2026-11-29T18:30:00Z Loading block index db: last block file = 0"),
        (
            SERVICE,
            "2026-11-30T07:20:39Z Verification: No coin database inconsistencies in last 6 blocks (9 transactions)",
        ),
        (SSHD, "Accepted publickey for root from 192.0.2.7 port 4711 ssh2: ED25519 SHA256:x"),
        (SYSTEMD, "Started app.service - An app."),
        (PULSE, "room / 90 % used, 700 MiB left"),
        (TOR, "Bootstrapped 100% (done): Done"),
        ({}, "[*] anybody's list"),
    ],
)
def test_a_line_that_is_none(teller, source, message):
    for number in range(20):
        assert teller.say(message, number, **source) == []


def test_tor_is_through_again(teller):
    teller.say("Problem bootstrapping. Stuck at 5%", 1, **TOR)
    assert teller.say("Bootstrapped 100% (done): Done", 2, **TOR) == ["resolved tor-trouble/manager-1"]


def test_a_container_that_is_made_anew(teller):
    found = [teller.say("hello", at, **SERVICE, slot="1", container=f"c{at}") for at in (0, 60, 120, 180)]
    assert found == [[], [], [], ["raised service-restarts/manager-1/bitcoin-1.1"]]


def test_a_host_that_starts_again(teller):
    found = [teller.say("hello", at, boot=f"b{at}") for at in (0, 300, 600, 900)]
    assert found[-1] == ["raised host-restarts/manager-1"]


def test_a_host_that_is_silent(teller):
    teller.say("hello", 100)
    assert "raised silent-host/manager-1" not in teller.wait(999)
    assert "raised silent-host/manager-1" in teller.wait(1000)
