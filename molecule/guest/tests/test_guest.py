# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What programs of an instance see of its neighbours, its package sources and the authorities that it trusts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standing import lxc
from testinfra.host import Host

HANDSHAKE = (Path(__file__).parents[2] / "shared/handshake.py").read_text()
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture(scope="module")
def guest(instance: Callable[[str], Host]) -> Host:
    return instance("guest-1")


@pytest.mark.parametrize(
    ("name", "address"), [("manager-1", "10.64.33.1"), ("bitcoin-12.home.bcm.internal", "10.64.34.12")]
)
def test_neighbours_have_names(guest: Host, name: str, address: str) -> None:
    assert guest.check_output("getent ahostsv4 %s", name).startswith(f"{address} ")


def test_packages_come_from_the_declared_mirrors_and_no_others(guest: Host, lab: dict[str, Any]) -> None:
    # Also of what has not been fetched yet
    sites = guest.check_output("apt-get indextargets --no-release-info --format '$(SITE)'").splitlines()
    mirrors = lab["mirrors"]["apt"]
    assert {site.rstrip("/") for site in sites} == {mirrors["debian"].rstrip("/"), mirrors["security"].rstrip("/")}


@pytest.mark.parametrize(
    ("authority", "said"), [("declared", "30"), ("stranger", "unable to get local issuer certificate")]
)
def test_a_declared_authority_is_trusted_and_no_other(guest: Host, authority: str, said: str) -> None:
    made = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
    files = [f"{authority}-server.crt", f"{authority}-server.key"]
    for file in files:
        lxc("file", "push", str(made / file), f"guest-1/root/{file}", project="molecule")
    paths = [f"/root/{file}" for file in files]
    assert guest.check_output("python3 -c %s %s %s %s mirror.example", HANDSHAKE, *paths, BUNDLE) == said


def test_names_are_not_shouted_for(guest: Host) -> None:
    """The port of LLMNR: who listens there answers neighbours, and asks them."""
    assert guest.check_output("systemctl is-active systemd-resolved") == "active"
    assert "14EB" not in guest.check_output("cat /proc/net/udp /proc/net/udp6")


def test_a_neighbour_without_a_name(refusal: Callable[..., str]) -> None:
    assert "names" in refusal(guest_hosts=[{"address": "10.64.33.1"}])
