# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the program between two hosts is told, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.bcm.datacenter.plugins.filter.tls_way_plan import tls_way_plan

PEM = {"certificate": "-----BEGIN CERTIFICATE-----\n", "key": "-----BEGIN PRIVATE KEY-----\n"}
EXIT = {
    "name": "mainnet-rpc",
    "address": "10.0.0.1",
    "port": 9332,
    "target": "127.0.0.1:8332",
    "identity": "server",
    "clients": ["lnd-b", "lnd-a"],
    "sources": ["10.0.0.2"],
}
ENTRY = {
    "name": "mainnet-rpc",
    "address": "10.0.0.2",
    "port": 8332,
    "target": "10.0.0.1:9332",
    "server": "bitcoin-1.home.bcm.internal",
    "interfaces": ["lo", "docker_gwbridge"],
    "identity": "client",
}


def settings(**changed: Any) -> dict[str, Any]:
    return {
        "directory": "/etc/bcm/tls-way",
        "authority": PEM["certificate"],
        "identities": {"server": PEM, "client": PEM},
        "exits": [],
        "entries": [],
        **changed,
    }


def sections(**changed: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in tls_way_plan(settings(**changed))["conf"].splitlines():
        if line.startswith("["):
            name = line.strip("[]")
            found[name] = []
        elif line:
            found[name].append(line)
    return found


def test_an_exit_asks_for_a_certificate_with_a_name_on_its_list() -> None:
    lines = sections(exits=[EXIT])["exit-mainnet-rpc"]
    for line in ("verifyChain = yes", "requireCert = yes", "sslVersionMin = TLSv1.3", "sessionResume = no"):
        assert line in lines
    assert [line for line in lines if line.startswith("checkHost")] == ["checkHost = lnd-a", "checkHost = lnd-b"]
    assert "accept = 10.0.0.1:9332" in lines
    assert "connect = 127.0.0.1:8332" in lines
    assert "cert = /etc/bcm/tls-way/server.pem" in lines


def test_an_entry_asks_for_the_certificate_of_its_server_alone() -> None:
    lines = sections(entries=[ENTRY])["entry-mainnet-rpc"]
    for line in (
        "client = yes",
        "verifyChain = yes",
        "checkHost = bitcoin-1.home.bcm.internal",
        "cert = /etc/bcm/tls-way/client.pem",
    ):
        assert line in lines


def test_the_firewall_lets_in_who_is_named_and_no_open_connection_of_others() -> None:
    rules = tls_way_plan(settings(exits=[EXIT], entries=[ENTRY]))["firewall"]
    assert 'ip daddr 10.0.0.2 tcp dport 8332 iifname != { "lo", "docker_gwbridge" } drop' in rules
    assert 'ip daddr 10.0.0.1 tcp dport 9332 iifname != "lo" ip saddr != { 10.0.0.2/32 } drop' in rules
    assert "established" not in rules


def test_where_it_listens() -> None:
    found = tls_way_plan(settings(exits=[EXIT], entries=[ENTRY]))
    assert found["listens"] == [{"address": "10.0.0.1", "port": 9332}, {"address": "10.0.0.2", "port": 8332}]
    assert found["identities"] == ["client", "server"]


def test_the_time_in_which_nothing_is_said_fits_into_what_the_program_counts_in() -> None:
    (idle,) = [line for line in sections(exits=[EXIT])["exit-mainnet-rpc"] if line.startswith("TIMEOUTidle")]
    assert 86400 < int(idle.split()[-1]) < 2**31 // 1000


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"exits": [{**EXIT, "clients": []}]}, "lets nobody in"),
        ({"exits": [{**EXIT, "clients": ["lnd\nverifyChain = no"]}]}, "is no name in a certificate"),
        ({"exits": [{**EXIT, "address": "0.0.0.0"}]}, "every address"),  # noqa: S104
        ({"exits": [{**EXIT, "address": "bitcoin-1"}]}, "is no address"),
        ({"exits": [{**EXIT, "port": 443}]}, "from 1024 to 65535"),
        ({"exits": [{**EXIT, "port": True}]}, "from 1024 to 65535"),
        ({"exits": [{**EXIT, "target": "8332"}]}, "HOST:PORT"),
        ({"exits": [{**EXIT, "target": "127.0.0.1:0"}]}, "from 1 to 65535"),
        ({"exits": [{**EXIT, "identity": "other"}]}, "has no certificate; allowed: client, server"),
        ({"exits": [{**EXIT, "sources": ["10.0.0.1/8"]}]}, "is no address and no network"),
        ({"exits": [{**EXIT, "name": "a b"}]}, "is no name"),
        ({"exits": [EXIT, {**EXIT, "port": 9333}]}, "is there twice"),
        ({"exits": [EXIT, {**EXIT, "name": "other"}]}, "is where exits.mainnet-rpc listens"),
        ({"entries": [{**ENTRY, "interfaces": []}]}, "lo for this host alone"),
        ({"entries": [{**ENTRY, "interfaces": ['lo" }']}]}, "is no name of an interface"),
        ({"entries": [{**ENTRY, "server": ""}]}, "is no name in a certificate"),
        ({"authority": ""}, "is no certificate"),
        ({"identities": {"server": {"certificate": "", "key": ""}}}, "is not whole"),
    ],
)
def test_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        tls_way_plan(settings(**changed))
    assert words in str(caught.value)
    assert "PRIVATE KEY" not in str(caught.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        tls_way_plan(settings(exits=[{**EXIT, "port": 1}], entries=[{**ENTRY, "port": 2}]))
    assert len(str(caught.value).splitlines()) == 3
