# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a tor may be told, and what follows from a declaration for it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bcm.datacenter.plugins.filter.tor_bridges import tor_bridges
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _declaration_tor, _tor_plan

FINGERPRINT = "0123456789ABCDEF0123456789ABCDEF01234567"
OBFS4 = f"obfs4 192.0.2.1:443 {FINGERPRINT} cert=abc/DEF+g iat-mode=0"
SNOWFLAKE = f"snowflake 192.0.2.3:80 {FINGERPRINT} url=https://broker.example/ fronts=a.example,b.example ice=stun:stun.example:3478"
ASKED: dict[str, Any] = {"addresses": ["10.1.2.1"], "clients": ["10.1.2.3"], "port": 9050, "bridges": [], "config": []}


@pytest.mark.parametrize("line", [f"192.0.2.1:443 {FINGERPRINT}", f"[2001:db8::1]:443 {FINGERPRINT}", OBFS4, SNOWFLAKE])
def test_bridges_as_they_are_handed_out(line: str) -> None:
    assert _tor_plan.bridge_finding(line) == ""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "no bridge line"),
        (f"{OBFS4}\nSocksPort 0.0.0.0:1", "no bridge line"),
        (f" {OBFS4}", "no bridge line"),
        ("obfs4", "no ADDRESS:PORT"),
        (f"obfs5 192.0.2.1:443 {FINGERPRINT}", "no transport"),
        (f"bridge.example:443 {FINGERPRINT}", "no transport"),
        (f"192.0.2.999:443 {FINGERPRINT}", "no IP address"),
        (f"192.0.2.1:0 {FINGERPRINT}", "no port"),
        ("192.0.2.1:443", "no fingerprint"),
        (f"obfs4 192.0.2.1:443 {FINGERPRINT}", "cert="),
        (f"{OBFS4} more", "no NAME=VALUE"),
    ],
)
def test_what_is_no_bridge(line: str, told: str) -> None:
    assert told in _tor_plan.bridge_finding(line)


def test_what_bridges_need() -> None:
    assert tor_bridges([]) == {"packages": [], "lines": [], "udp": False}
    found = tor_bridges([OBFS4, OBFS4.replace("443", "444"), SNOWFLAKE])
    assert found["packages"] == ["obfs4proxy", "snowflake-client"]
    assert found["udp"]
    assert found["lines"][:3] == [
        "UseBridges 1",
        "ClientTransportPlugin obfs4 exec /usr/bin/obfs4proxy",
        "ClientTransportPlugin snowflake exec /usr/bin/snowflake-client",
    ]
    assert found["lines"][3] == f"Bridge {OBFS4}"
    assert tor_bridges([f"192.0.2.1:443 {FINGERPRINT}"])["packages"] == []


@pytest.mark.parametrize("line", ["TestingTorNetwork 1", "# a word", "", "+EntryNodes {de}", "ExcludeNodes {xx},{yy}"])
def test_further_configuration(line: str) -> None:
    assert _tor_plan.option_finding(line) == ""


@pytest.mark.parametrize(
    "line",
    [
        *("SocksPort 0.0.0.0:9050", "socksport 9051", "+SocksPolicy accept *", "ControlPort 9051", "ORPort 9001"),
        *(
            "HiddenServiceDir /tmp/x",
            "%include /etc/passwd",
            "DisableNetwork 1",
            "CookieAuthentication 0",
            "ExitRelay 1",
        ),
        *("Log notice stdout\nSocksPort 9", "ContactInfo x \\", "!"),
    ],
)
def test_what_the_role_answers_for(line: str) -> None:
    assert _tor_plan.option_finding(line)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"clients": ["0.0.0.0/0"]}, "would let everybody in"),
        ({"clients": ["8.8.8.8"]}, "not for the world"),
        ({"clients": ["127.0.0.1"]}, "not for the world"),
        ({"clients": ["10.1.2.3/24"]}, "is no address or network"),
        ({"clients": ["manager-1"]}, "is no address or network"),
        ({"addresses": ["0.0.0.0"]}, "listen to everybody"),  # noqa: S104
        ({"addresses": ["::"]}, "no IPv4 address"),
        ({"port": 70000}, "allowed is 1 to 65535"),
        ({"further_ports": {"tor_transparent.port": 9050}}, "have to differ"),
        ({"bridges": [OBFS4, OBFS4]}, "names a bridge twice"),
        ({"bridges": ["x 192.0.2.77:1"]}, "tor_bridges, number 1"),
        ({"config": [{"name": "99-x", "lines": []}]}, "allowed are two digits from 11 to 49"),
        ({"config": [{"name": "20-x", "lines": ["ORPort 1"]}]}, "'ORPort 1' ORPort is not to be said here"),
        ({"config": [{"name": "20-x", "lines": []}, {"name": "20-x", "lines": []}]}, "two with the name"),
    ],
)
def test_what_cannot_be(changed: dict[str, Any], told: str) -> None:
    assert _tor_plan.findings(ASKED) == []
    found = _tor_plan.findings({**ASKED, **changed})
    assert len(found) == 1
    assert told in found[0]
    assert "192.0.2" not in found[0]


@pytest.mark.parametrize("client", ["10.1.2.3", "100.64.1.1", "198.18.0.0/24", "192.168.7.0/24"])
def test_who_may_be_a_client(client: str) -> None:
    assert _tor_plan.findings({**ASKED, "clients": [client]}) == []


def declared(bitcoin: dict[str, Any] | None = None, **stacks: Any) -> dict[str, Any]:
    node = {"tier": "bitcoin", "network": "onion", "chains": {}, **bitcoin} if bitcoin is not None else None
    return {
        "chain": "regtest",
        "tor": {"enabled": None, "tiers": []},
        "egress": {"through_tor": []},
        "tiers": {name: {"block": None} for name in ("proxyhost", "manager", "bitcoin", "lightning", "web")},
        "stacks": {"bitcoin": node, "lightning": None, **stacks},
    }


def test_a_stack_in_the_clear_needs_no_tor() -> None:
    node = {"tier": "bitcoin", "network": "clear"}
    assert not _declaration_tor.is_there(declared(bitcoin=node))
    assert _declaration_tor.networks_of(declared(bitcoin=node), "bitcoin", ("cluster",)) == ("cluster",)
    for network in ("onion", "onion_and_clear_through_tor"):
        data = declared(bitcoin={**node, "network": network})
        assert _declaration_tor.tiers(data) == ["bitcoin"]
        assert _declaration_tor.networks_of(data, "bitcoin", ("cluster",)) == ("gateway", "cluster")
        assert _declaration_tor.networks_of(data, "web", ("cluster",)) == ("cluster",)


def test_each_chain_and_lightning_count() -> None:
    signet = {"tier": "web", "network": "onion"}
    data = declared({"network": "clear", "chains": {"signet": signet}}, kafka={"tier": "manager"})
    assert _declaration_tor.tiers(data) == ["web"]
    signet["network"] = "clear"
    assert _declaration_tor.tiers(data) == []
    data = declared({"chains": {"signet": {**signet, "tier": None}}}, lightning={"tier": "lightning"})
    assert _declaration_tor.tiers(data) == ["bitcoin", "lightning"]
    assert _declaration_tor.confined(data, "10.9.16.0/20") == ["10.9.18.0/24", "10.9.19.0/24"]


def test_managers_stay_what_they_are() -> None:
    data = declared({})
    data["tor"]["tiers"] = ["manager"]
    assert _declaration_tor.confined(data, "10.9.16.0/20") == ["10.9.18.0/24"]
    assert _declaration_tor.networks_of(data, "manager", ("gateway", "cluster")) == ("gateway", "cluster")
