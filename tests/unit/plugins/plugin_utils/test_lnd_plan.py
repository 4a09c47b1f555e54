# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of lnd, and what is refused because it would put money or privacy at risk."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.filter.lnd_plan import lnd_plan
from ansible_collections.bcm.datacenter.plugins.filter.lnd_version import lnd_version
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _lnd_plan as sut
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _lnd_versions as versions
from ansible_collections.bcm.datacenter.plugins.plugin_utils._bitcoin_plan import PlanError

AGE = "age1" + "q" * 58
ONION = "a" * 56 + ".onion"
HEALTH = {
    "chain_attempts": 5,
    "chain_timeout": 120,
    "chain_backoff": 120,
    "chain_interval": 90,
    "disk_required": 0.05,
    "disk_interval": 600,
}


def settings(**changed):
    return {
        "version": "0.20.1-beta",
        "chain": "mainnet",
        "owner_key": AGE,
        "memory": "4GiB",
        "memory_reserve": "512MiB",
        "bitcoind": {"host": "10.77.34.1", "rpc": 8332, "zmq_rawblock": 28332, "zmq_rawtx": 28333},
        "tor": {"host": "10.77.16.254", "port": 9050},
        "onion": ONION,
        "health": HEALTH,
        **changed,
    }


def options(**changed):
    lines = [line for line in sut.plan(settings(**changed))["conf"].splitlines() if "=" in line]
    names = [line.partition("=")[0] for line in lines]
    assert len(names) == len(set(names))
    return dict(line.split("=", 1) for line in lines)


def refused(**changed):
    with pytest.raises(PlanError) as caught:
        sut.plan(settings(**changed))
    return caught.value.errors


def test_everything_goes_through_tor():
    found = options()
    assert found["tor.active"] == "true"
    assert found["tor.socks"] == "10.77.16.254:9050"
    assert found["tor.streamisolation"] == "true"
    assert found["tor.skip-proxy-for-clearnet-targets"] == "false"
    assert found["externalip"] == f"{ONION}:9735"
    assert found["nat"] == "false"
    # It has no way to the proxyhost's control port, and must not look for one.
    assert not {"tor.control", "tor.v3", "tor.password"} & set(found)


def test_no_secret_is_in_it():
    text = sut.plan(settings())["conf"]
    assert "rpcpass" not in text
    assert options()["bitcoind.rpccookie"] == "/etc/lnd/rpc"


def test_its_certificate_is_the_sites():
    found = options()
    assert found["tlscertpath"] == "/etc/lnd/tls.cert"
    assert (found["tlsdisableautofill"], found["tlsautorefresh"]) == ("true", "false")
    # With it lnd would look for the certificate in that folder, and make one of its own there.
    assert "lnddir" not in found


def test_on_a_chain_of_its_own_it_does_without_tor():
    found = options(chain="regtest", tor={}, onion=None)
    assert (found["tor.active"], found["bitcoin.regtest"], found["nobootstrap"]) == ("false", "true", "true")
    assert "externalip" not in found
    assert not sut.plan(settings(chain="regtest"))["real_money"]
    assert sut.plan(settings())["real_money"]


def test_where_to_listen_is_said_by_the_entry_point_alone():
    found = options()
    assert found["listen"] == "0.0.0.0:9735"
    assert not {"rpclisten", "restlisten", "wallet-unlock-password-file"} & set(found)


def test_options_of_your_own_stand_before_the_sections_of_others():
    text = sut.plan(settings(options={"accept-amp": True, "addpeer": ["a", "b"]}))["conf"]
    head = text.partition("[Bitcoin]")[0]
    assert "accept-amp=true\naddpeer=a\naddpeer=b\n" in head


@pytest.mark.parametrize("option", sorted(sut.FORBIDDEN))
def test_what_would_open_a_door_is_refused(option):
    (error,) = refused(options={option: True})
    assert error.startswith(f"options: '{option}': {sut.FORBIDDEN[option]}")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"chain": "simnet"}, "chain: 'simnet': lnd does not have it; allowed: mainnet"),
        ({"tor": {}}, "tor: None: on mainnet everything goes through Tor"),
        ({"tor": {"host": "proxyhost", "port": 9050}}, "a name would be asked for outside of Tor"),
        ({"tor": {"host": "10.0.0.1", "port": 0}}, "tor.port: 0: is no port"),
        ({"onion": "short.onion"}, "onion: 'short.onion': is no onion address of version 3"),
        ({"owner_key": ""}, "owner_key: None: is missing"),
        ({"owner_key": "age1short"}, "owner_key: 'age1short': is not a public key"),
        (
            {"owner_key": "AGE-SECRET-KEY-1QQ"},
            "owner_key: '(hidden)': is a private key, which must never leave its owner",
        ),
        ({"owner_key": "-----BEGIN PGP PRIVATE KEY BLOCK-----\nx"}, "owner_key: '(hidden)': is a private key"),
        ({"version": "0.19.3-beta"}, "nobody has looked yet which RPC methods of bitcoind it calls"),
        ({"version": "0.20.1-beta", "stands": "0.21.0-beta"}, "whose database (migration 35) it cannot read (33)"),
        ({"version": "0.20.1-beta", "stands": "0.99.0-beta"}, "which is not known here"),
        ({"options": {"--nat": 1}}, "is no name of an option"),
        ({"options": {"accept-amp": "true\nno-macaroons=true"}}, "has a value of several lines"),
        ({"options": {"addpeer": ["a", "b\nnat=true"]}}, "has a value of several lines"),
        ({"options": {"tor.socks": "1.2.3.4:9050"}}, "is set by a variable of its own"),
        ({"options": {"listen": "0.0.0.0:1"}}, "is set by a variable of its own"),
        ({"alias": "x" * 33}, "cannot be announced"),
        ({"color": "red"}, "is no colour"),
        ({"watchtowers": {"towers": ["02ab@1.2.3.4:9911"]}}, "is no watchtower that is reached through Tor alone"),
        ({"free_space_min": "6GiB", "volume_size": "10GiB"}, "leaves no room on the volume"),
        ({"bitcoind": {"host": "a b", "rpc": 1, "zmq_rawblock": 2, "zmq_rawtx": 3}}, "is no host"),
        ({"bitcoind": {"host": "a", "rpc": 1, "zmq_rawblock": 2, "zmq_rawtx": 2}}, "two of its ports are the same"),
        ({"bitcoind": {"host": "a", "rpc": None, "zmq_rawblock": 2, "zmq_rawtx": 3}}, "bitcoind.rpc: None: is no port"),
    ],
)
def test_what_is_refused(changed, words):
    assert any(words in error for error in refused(**changed)), refused(**changed)


def test_all_that_is_wrong_is_said_at_once():
    errors = refused(tor={}, alias="", color="red", owner_key="x")
    assert len(errors) == 4
    with pytest.raises(AnsibleFilterError, match="lnd cannot be set up like this:\n"):
        lnd_plan(settings(tor={}))


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (AGE, "age"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ owner@home", "ssh"),
        ("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----", "gpg"),
        ("ecdsa-sha2-nistp256 AAAA", None),
    ],
)
def test_what_a_seed_can_be_sealed_to(key, kind):
    assert sut.key_kind(key) == kind


# -- releases --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(versions.RELEASES))
def test_its_user_may_not_touch_the_node(name):
    methods = versions.RELEASES[name].methods
    assert list(methods) == sorted(set(methods))
    assert not {
        "stop",
        "setban",
        "generatetoaddress",
        "dumpwallet",
        "sendtoaddress",
        "addnode",
        "invalidateblock",
    } & set(methods)
    # What a force close, a fee bump, a sweep and a rescan need.
    assert {
        "sendrawtransaction",
        "testmempoolaccept",
        "estimatesmartfee",
        "getblock",
        "getblockhash",
        "gettxout",
    } <= set(methods)
    # rpcclient takes "unknown method" for an answer, and gives up at a refusal.
    assert "getinfo" in methods


def test_which_way_a_database_goes():
    go = versions.rollback_error
    assert go(None, "0.20.1-beta") is None
    assert go("", "0.21.0-beta") is None
    assert go("0.20.1-beta", "0.21.0-beta") is None
    assert go("0.20.3-beta", "0.20.1-beta") is None
    assert "allowed: 0.21.0-beta, 0.21.1-beta, 0.21.2-beta" in (go("0.21.2-beta", "0.20.3-beta") or "")


def test_a_release_that_nobody_has_looked_at():
    assert lnd_version("0.20.1-beta") == "0.20.1-beta"
    with pytest.raises(AnsibleFilterError, match="0.22.0-beta.*nobody has looked yet"):
        lnd_version("0.22.0-beta")
