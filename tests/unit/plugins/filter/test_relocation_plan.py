# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bcm.datacenter.plugins.filter.losses import losses
from ansible_collections.bcm.datacenter.plugins.filter.relocation_plan import relocation_plan

RACK = [{"server_name": f"rack-{n}", "status": "Online"} for n in (1, 2, 3)]
TARGETS: dict[str, str | None] = {"manager-1": None, "bitcoin-1": None, "bitcoin-2": None}


def instance(name: str, location: str, **config: str) -> dict[str, Any]:
    return {
        "name": name,
        "location": location,
        "config": {"user.bcm.tier": name.partition("-")[0], **config},
        "devices": {"data": {"type": "disk", "pool": "p", "source": f"{name}-data", "path": "/srv"}},
    }


def volume(name: str, location: str, **config: str) -> dict[str, Any]:
    owner = {"user.bcm.instance": name, **config}
    return {"name": f"{name}-data", "pool": "p", "location": location, "config": owner, "used_by": []}


STANDING = [instance("bitcoin-1", "rack-3"), instance("manager-1", "rack-1")]
VOLUMES = [volume("bitcoin-1", "rack-3"), volume("manager-1", "rack-1")]


def findings(*leaving: str, **more: Any) -> list[str]:
    given = {"instances": STANDING, "volumes": VOLUMES, "members": RACK, "targets": TARGETS, **more}
    plan = relocation_plan(
        given["instances"], given["volumes"], given["members"], given["targets"], leaving=list(leaving)
    )
    found: list[str] = plan["findings"]
    return found


def test_wishes_are_those_of_the_declaration_in_its_order() -> None:
    plan = relocation_plan(STANDING, VOLUMES, RACK, {**TARGETS, "bitcoin-1": "rack-2"}, ["rack-3"])
    assert plan == {
        "findings": [],
        "unfinished": [],
        "wishes": [
            {"name": "manager-1", "target": None, "apart": "manager", "volumes": [{"name": "manager-1-data", "pool": "p"}]},
            {"name": "bitcoin-1", "target": "rack-2", "apart": "bitcoin", "volumes": [{"name": "bitcoin-1-data", "pool": "p"}]},
        ],
    }  # fmt: skip


def test_what_was_begun_goes_on_where_it_was_begun() -> None:
    begun = [*VOLUMES, volume("bitcoin-1", "rack-2", **{"user.bcm.copy": "begun"})]
    wishes = relocation_plan(STANDING, begun, RACK, TARGETS, ["rack-3"])["wishes"]
    assert [wish["target"] for wish in wishes] == [None, "rack-2"]
    # Unless nothing new goes there by now.
    away = [*RACK[:1], {**RACK[1], "status": "Evacuated"}, RACK[2]]
    assert [wish["target"] for wish in relocation_plan(STANDING, begun, away, TARGETS, ["rack-3"])["wishes"]] == [None, None]  # fmt: skip


def test_what_has_arrived_and_was_not_looked_at_is_finished() -> None:
    arrived = [instance("bitcoin-1", "rack-2", **{"user.bcm.move": "rack-3 t"}), STANDING[1]]
    both = [volume("bitcoin-1", "rack-3"), volume("bitcoin-1", "rack-2", **{"user.bcm.copy": "t"}), VOLUMES[1]]
    for leaving, expected in ((["rack-3"], [{"name": "bitcoin-1", "to": "rack-2"}]), (["rack-1"], [])):
        assert relocation_plan(arrived, both, RACK, TARGETS, leaving)["unfinished"] == expected
    assert relocation_plan(arrived, both, RACK, TARGETS)["unfinished"] == [{"name": "bitcoin-1", "to": "rack-2"}]
    assert findings("rack-3", instances=arrived, volumes=both) == []


@pytest.mark.parametrize(
    ("leaving", "given", "words"),
    [
        (["rack-4"], {}, "the cluster has no member rack-4. Its members: rack-1, rack-2, rack-3"),
        (["rack-1"], {"members": []}, "Its members: none, for LXD is in no cluster"),
        (["rack-1"], {"members": RACK[:1]}, "there is no other member"),
        (["rack-3"], {"members": [*RACK[:2], {"server_name": "rack-3", "status": "Offline"}]}, "rack-3 does not answer, so that nothing"),
        ([], {"members": [*RACK[:2], {"server_name": "rack-3", "status": "Offline"}]}, "Start it first"),
        (["rack-3"], {"targets": {"manager-1": None}}, "instance bitcoin-1 on rack-3 is in the site's project and not in its declaration"),
        (["rack-3"], {"targets": {**TARGETS, "bitcoin-1": "rack-3"}}, "(tiers.bitcoin.target)"),
        (["rack-3"], {"volumes": [*VOLUMES, volume("bitcoin-2", "rack-3")]}, "volume p/bitcoin-2-data is on rack-3, and there is no instance"),
        (["rack-2"], {"volumes": [*VOLUMES, volume("manager-1", "rack-2", **{"user.bcm.copy": "t"})]}, "left by a rebalance.yml"),
        (["rack-2"], {"volumes": [*VOLUMES, volume("manager-1", "rack-2")]}, "Remove one of the two"),
    ],
)  # fmt: skip
def test_what_is_in_the_way(leaving: list[str], given: dict[str, Any], words: str) -> None:
    assert any(words in finding for finding in findings(*leaving, **given))


def test_what_is_on_others_does_not_matter() -> None:
    assert findings("rack-2", targets={"manager-1": None}) == []
    assert findings("rack-2", targets={**TARGETS, "bitcoin-1": "rack-3"}) == []


def test_losses() -> None:
    member = {
        "name": "rack-3",
        "instances": [
            {"project": "bcm-home", "name": "bitcoin-1", "status": "Error"},
            {"project": "bcm-home", "name": "by-hand", "status": "Error"},
            {"project": "default", "name": "bitcoin-1", "status": "Error"},
        ],
        "volumes": [{"project": "bcm-home", "pool": "p", "name": "bitcoin-1-data"}],
    }
    lost = losses(member, "bcm-home", ["bitcoin-1", "manager-1"])
    assert (lost["instances"], lost["data"]) == (["bitcoin-1"], True)
    assert lost["others"] == ["instance by-hand of project bcm-home", "instance bitcoin-1 of project default"]
    assert lost["words"] == [
        "Lost with rack-3:",
        "  volume p/bitcoin-1-data of project bcm-home, with all that was on it",
        "  instance by-hand of project bcm-home, which this site does not make anew",
        "  instance bitcoin-1 of project default, which this site does not make anew",
        "  instance bitcoin-1, which site.yml makes anew; what was on its root disk is lost",
    ]
    empty = losses({"name": "rack-3", "instances": [], "volumes": []}, "bcm-home", [], ["proxyhost-1"])
    assert (empty["data"], empty["words"]) == (False, ["Nothing was on rack-3."])


@pytest.mark.parametrize(
    ("proxyhosts", "said"),
    [
        (["proxyhost-1"], "  the way out: nothing goes out until site.yml has made it anew"),
        (["proxyhost-1", "proxyhost-2", "proxyhost-3"], "  what goes out goes by proxyhost-2 or proxyhost-3"),
    ],
)
def test_losses_of_the_way_out(proxyhosts: list[str], said: str) -> None:
    on_it = [{"project": "bcm-home", "name": name, "status": "Error"} for name in ("manager-1", "proxyhost-1")]
    member = {"name": "rack-3", "instances": on_it, "volumes": []}
    lost = losses(member, "bcm-home", ["manager-1", *proxyhosts], proxyhosts)
    assert lost["instances"] == ["manager-1", "proxyhost-1"]
    assert lost["words"][-1] == said
    # Elsewhere than on the member that is lost, they are not spoken of.
    other = losses({**member, "instances": on_it[:1]}, "bcm-home", ["manager-1", *proxyhosts], proxyhosts)
    assert other["words"] == lost["words"][:2]
