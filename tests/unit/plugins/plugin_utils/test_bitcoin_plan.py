# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of bitcoind, and what is refused."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bcm.datacenter.plugins.filter.bitcoin_version import bitcoin_version
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _bitcoin_plan as sut
from ansible_collections.bcm.datacenter.plugins.plugin_utils._chains import chain_ports


def settings(**changed):
    chain = changed.get("chain", "regtest")
    return {
        "version": "31.1",
        "chain": chain,
        "ports": chain_ports(chain) if chain != "dogecoin" else {},
        "memory": "4GiB",
        "memory_reserve": "512MiB",
        "cookie_file": "/tmp/cookie",
        "users_file": "/etc/bitcoin/users.conf",
        "shutdown_notify": "touch /tmp/stopping",
        "network": "clear",
        **changed,
    }


def options(**changed):
    """Options by section; those that may repeat are lists."""
    found, section = {"": {}}, ""
    for line in sut.plan(settings(**changed))["conf"].splitlines():
        if line.startswith("["):
            section = line.strip("[]")
            found[section] = {}
        elif line:
            name, value = line.partition("=")[::2]
            found[section].setdefault(name, []).append(value)
    return found


def refusals(**changed):
    with pytest.raises(sut.PlanError) as caught:
        sut.plan(settings(**changed))
    return caught.value.errors


def test_the_safe_defaults():
    common = options()[""]
    for name, value in {
        "chain": "regtest",
        "disablewallet": "1",
        "natpmp": "0",
        "printtoconsole": "1",
        "nodebuglogfile": "1",
        "rpcwhitelistdefault": "0",
        "prune": "0",
        "txindex": "0",
    }.items():
        assert common[name] == [value]
    assert options()["regtest"]["rpcbind"] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("chain", "section", "rpc"),
    [("mainnet", "main", "8332"), ("testnet4", "testnet4", "48332"), ("signet", "signet", "38332")],
)
def test_ports_stand_in_the_section_of_the_chain(chain, section, rpc):
    found = options(chain=chain)
    assert found[""]["chain"] == [section]
    assert found[section]["rpcport"] == [rpc]


def test_who_may_reach_the_rpc():
    found = options(rpc_allowed=["10.0.2.0/24"])["regtest"]
    assert found["rpcbind"] == ["0.0.0.0"]  # noqa: S104
    assert found["rpcallowip"] == ["127.0.0.0/8", "10.0.2.0/24"]


def test_rpc_users():
    users = [
        {"name": "lnd", "methods": ["getblock", "getblockhash"], "auth": "lnd:salt$hash"},
        {"name": "ops", "methods": None, "auth": "ops:salt$hash"},
    ]
    found = sut.plan(settings(rpc_users=users))
    assert found["users"] == "rpcauth=lnd:salt$hash\nrpcauth=ops:salt$hash\n"
    assert "hash" not in found["conf"].replace("getblockhash", "").replace("zmqpubhash", "")
    assert options(rpc_users=users)[""]["rpcwhitelist"] == ["lnd:getblock,getblockhash"]


def test_names_of_options_follow_the_version():
    assert options(version="31.1")["regtest"]["privatebroadcast"] == ["0"]
    assert "privatebroadcast" not in options(version="29.4.knots20260508")["regtest"]


def test_further_options_stand_last():
    found = options(options={"blocksonly": True, "uacomment": ["a", "b"]})["regtest"]
    assert found["blocksonly"] == ["1"]
    assert found["uacomment"] == ["a", "b"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"version": "30.0"}, "wallet"),
        ({"version": "30.1"}, "wallet"),
        ({"version": "30.1.knots20260101"}, "wallet"),
        ({"version": "27.2"}, "CVE-2024-52911"),
        ({"version": "28.2"}, "CVE-2024-52911"),
        ({"version": "29.0"}, "CVE-2025-54604"),
        ({"version": "32.0"}, "never released"),
        ({"version": "latest"}, "not a version"),
        ({"chain": "simnet"}, "does not have it"),
        ({"prune": 549}, "at least 550"),
        ({"prune": 2000, "indexes": {"txindex": True}}, "needs all blocks"),
        ({"indexes": {"addressindex": True}}, "is no index"),
        ({"memory": "600MiB"}, "too little"),
        ({"dbcache": 4000}, "does not fit"),
        ({"dbcache": 1}, "does not fit"),
        ({"chain": "mainnet", "volume_size": "100GiB"}, "too small for mainnet"),
        ({"volume_size": "5GiB", "free_space_min": "4GiB"}, "less than half"),
        ({"rpc_allowed": ["everywhere"]}, "is no network"),
        ({"zmq": ["blocks"]}, "is no topic"),
        ({"connect": ["a:1"], "network_active": False}, "one of the two"),
        ({"rpc_users": [{"name": "Lnd", "methods": None}]}, "is no name"),
        ({"rpc_users": [{"name": "lnd", "methods": []}]}, "may call nothing"),
        ({"rpc_users": [{"name": "a", "methods": None}] * 2}, "each name once"),
        ({"rpc_users": [{"name": "a", "methods": None, "auth": "a:b\nrpcauth=x"}]}, "several lines"),
        ({"options": {"natpmp": 1}}, "variable of its own"),
        ({"options": {"rpcpassword": "secret"}}, "variable of its own"),
        ({"options": {"-foo": 1}}, "is no name of an option"),
        ({"options": {"peerblockfilters": 1}}, "blockfilterindex"),
    ],
)
def test_refused(changed, words):
    (error,) = refusals(**changed)
    assert words in error


def test_a_pruned_mainnet_fits():
    assert options(chain="mainnet", volume_size="40GiB", prune=2000)[""]["prune"] == ["2000"]


def test_all_is_said_at_once():
    assert len(refusals(version="30.0", prune=100, zmq=["x"], rpc_allowed=["y"])) == 4


@given(st.integers(min_value=0, max_value=1 << 20), st.none() | st.integers(min_value=0, max_value=5000))
def test_the_cache_fits_into_the_memory(memory, mempool):
    check = sut.Checker()
    dbcache, taken = sut.memory_plan(memory, None, mempool, check)
    if not check.errors:
        assert dbcache >= sut.CACHE_LEAST
        assert dbcache + taken + sut.OVERHEAD <= memory


def test_the_formula_of_the_cache():
    found = sut.plan(settings(memory="4GiB", memory_reserve="0B"))
    assert found["maxmempool"] == 300
    assert found["dbcache"] == (4096 - 384 - 300) * 3 // 4


def test_the_filter_that_guards_the_download():
    assert bitcoin_version("29.4.knots20260508") == "29.4.knots20260508"
    with pytest.raises(AnsibleFilterError, match="wallet"):
        bitcoin_version("30.0")
