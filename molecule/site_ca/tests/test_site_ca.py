# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients make of the certificates, and what the role makes of secrets that are old, lost or somebody else's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standing import Run
from testinfra.host import Host

HANDSHAKE = (Path(__file__).parents[2] / "shared/handshake.py").read_text()
STORE = "/var/lib/bcm/sites/home/secrets"
DAYS = 397


@pytest.fixture(scope="module")
def leader(instance: Callable[[str], Host]) -> Host:
    return instance("site-ca-1")


@pytest.fixture(scope="module")
def client(leader: Host) -> Callable[..., str]:
    def shake(name: str, served: str = "registry", authority: str = "/root/served/ca.crt") -> str:
        files = [f"/root/served/{served}.crt", f"/root/served/{served}.key", authority]
        return leader.check_output("python3 -c %s %s %s %s %s", HANDSHAKE, *files, name)

    return shake


def kept(leader: Host) -> dict[str, str]:
    """The hash of each secret."""
    lines = leader.check_output(f"sha256sum {STORE}/*").splitlines()
    return {Path(path).name: digest for digest, path in (line.split() for line in lines)}


def test_a_client_that_trusts_the_authority_takes_its_certificates(client: Callable[..., str]) -> None:
    for name in ("registry.home.bcm.internal", "manager-1.home.bcm.internal", "127.0.0.1"):
        assert client(name) == str(DAYS)
    assert client("web.home.bcm.internal", "web") == str(DAYS)


def test_it_takes_no_other_name_and_nobody_else_takes_any(client: Callable[..., str]) -> None:
    assert "not valid for 'web.home.bcm.internal'" in client("web.home.bcm.internal")
    assert "unable to get local issuer" in client(
        "registry.home.bcm.internal", authority="/etc/ssl/certs/ca-certificates.crt"
    )


def test_the_authority_speaks_for_its_domain_alone(leader: Host) -> None:
    """A certificate for another name, made with its key, is worth nothing."""
    forge = f"""
        cd "$(mktemp -d)"
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key -out request \
            -subj /CN=bank.example -addext subjectAltName=DNS:bank.example 2>/dev/null
        openssl x509 -req -in request -CA {STORE}/site-ca -CAkey {STORE}/site-ca -copy_extensions copy -out forged 2>/dev/null
        openssl verify -CAfile /root/served/ca.crt forged 2>&1 || true"""
    assert "permitted subtree violation" in leader.check_output("sh -ceu %s", forge)


@pytest.mark.parametrize(
    ("served", "subject", "uses"),
    [
        ("web", "web.home.bcm.internal", ["sslserver"]),
        ("reader", "log-reader", ["sslclient"]),
        ("node", "kafka-node", ["sslserver", "sslclient"]),
    ],
)
def test_a_certificate_is_for_what_it_was_asked_for_and_says_whose_it_is(
    leader: Host, served: str, subject: str, uses: list[str]
) -> None:
    file = f"/root/served/{served}.crt"
    assert leader.check_output("openssl x509 -in %s -noout -subject -nameopt RFC2253", file) == f"subject=CN={subject}"
    verify = "openssl verify -CAfile /root/served/ca.crt -purpose %s %s"
    assert [use for use in ("sslserver", "sslclient") if leader.run(verify, use, file).rc == 0] == uses


def test_a_further_authority_has_signed_its_own_and_nobody_else(leader: Host) -> None:
    def signed_by(authority: str, served: str) -> bool:
        return leader.run("openssl verify -CAfile %s %s", f"/root/served/{authority}", f"/root/served/{served}").rc == 0

    assert signed_by("door-ca.crt", "door-guest.crt")
    assert not signed_by("ca.crt", "door-guest.crt")
    assert not signed_by("door-ca.crt", "reader.crt")
    said = leader.check_output("openssl x509 -in /root/served/door-ca.crt -noout -subject -nameopt RFC2253")
    assert said == "subject=CN=Authority door of site home"


def test_keys_are_for_root_alone_and_in_no_output(leader: Host, converge: Callable[..., Run]) -> None:
    modes = leader.check_output(f"stat --format '%a %U' {STORE} {STORE}/site-ca {STORE}/tls-registry")
    assert modes.splitlines() == ["700 root", "600 root", "600 root"]
    run = converge("converge.yml", "-vvv", "--diff")
    assert run.failures == []
    assert "PRIVATE KEY" not in run.text


def test_one_that_runs_out_is_issued_anew_and_the_others_stay(
    leader: Host, client: Callable[..., str], converge: Callable[..., Run]
) -> None:
    soon: list[dict[str, Any]] = [{"name": "soon", "dns": ["soon.home.bcm.internal"]}]
    assert not converge(scenario_certificates=soon, site_ca_certificate_days=20, site_ca_renew_days=10).failures
    assert client("soon.home.bcm.internal", "soon") == "20"
    before = kept(leader)
    # Twenty days are fewer than thirty.
    assert not converge(scenario_certificates=soon).failures
    assert client("soon.home.bcm.internal", "soon") == str(DAYS)
    after = kept(leader)
    assert {name for name in after if after[name] != before[name]} == {"tls-soon"}


def test_other_names_take_another_certificate(client: Callable[..., str], converge: Callable[..., Run]) -> None:
    assert not converge(scenario_certificates=[{"name": "web", "dns": ["www.home.bcm.internal"]}]).failures
    assert client("www.home.bcm.internal", "web") == str(DAYS)
    assert "not valid for" in client("web.home.bcm.internal", "web")


def test_an_authority_that_is_gone_is_not_made_anew(leader: Host, refusal: Callable[..., str]) -> None:
    before = kept(leader)
    leader.check_output(f"mv {STORE}/site-ca /root/site-ca")
    try:
        message = refusal()
        assert f"gone from {STORE}: site-ca." in message
        assert not leader.file(f"{STORE}/site-ca").exists
    finally:
        leader.check_output(f"mv /root/site-ca {STORE}/site-ca")
    assert kept(leader) == before


def test_a_site_that_stands_but_has_no_secrets_gets_none(leader: Host, refusal: Callable[..., str]) -> None:
    message = refusal(site_ca_site="elsewhere", site_ca_may_create=False)
    assert "The site elsewhere exists and its secrets do not" in message
    assert not leader.file("/var/lib/bcm/sites/elsewhere/secrets/site-ca").exists


def test_certificates_that_nobody_would_take(refusal: Callable[..., str]) -> None:
    message = refusal(
        scenario_certificates=[
            {"name": "nameless"},
            {"name": "stranger", "dns": ["registry.example"]},
            {"name": "anonymous", "usage": ["client"]},
        ],
        site_ca_certificate_days=20,
    )
    assert "nameless" in message
    assert "registry.example" in message
    assert "anonymous for a client without common_name" in message
    assert "site_ca_renew_days" in message
