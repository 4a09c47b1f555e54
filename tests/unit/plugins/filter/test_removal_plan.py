# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Only what carries the site's name goes; what is somebody else's stands in the way and is named."""

from __future__ import annotations

from typing import Any

from ansible_collections.bcm.datacenter.plugins.filter.removal_plan import removal_plan

OWN = {"user.bcm.site": "home"}


def plan(**things: Any) -> dict[str, Any]:
    return removal_plan("home", "bcm-home", **{"instances": [], "volumes": [], "networks": [], **things})


def test_own_things_go() -> None:
    network = {"name": "bcm1-cluster", "config": OWN, "used_by": ["/1.0/instances/manager-1?project=bcm-home"]}
    found = plan(
        instances=[{"name": "manager-1", "config": OWN}],
        networks=[network, {"name": "lxdbr0", "config": {}}],
        volumes=[{"name": "bitcoin-1-bitcoin", "pool": "bcm-home", "config": OWN, "used": 2**30}],
    )
    assert found["instances"] == ["manager-1"]
    assert found["networks"] == ["bcm1-cluster"]
    assert found["volumes"] == [{"name": "bitcoin-1-bitcoin", "pool": "bcm-home"}]
    assert found["sizes"] == ["volume bitcoin-1-bitcoin (1.00 GiB)"]
    assert found["foreign"] == []


def test_a_site_whose_name_begins_alike_is_another() -> None:
    found = plan(networks=[{"name": "x", "config": {"user.bcm.site": "home2"}}])
    assert found["networks"] == []


def test_foreign_instances_stand_in_the_way() -> None:
    network = {
        "name": "bcm1-cluster",
        "config": OWN,
        "used_by": [
            "/1.0/instances/visitor",
            "/1.0/instances/manager-1?project=other",
            "/1.0/profiles/default?project=bcm-home",
        ],
    }
    found = plan(instances=[{"name": "handmade", "config": {}}], networks=[network])
    assert found["foreign"] == ["instance bcm-home/handmade", "instance default/visitor", "instance other/manager-1"]
    assert found["instances"] == []


def test_a_volume_of_somebody_elses_is_named() -> None:
    found = plan(volumes=[{"name": "photos", "pool": "bcm-home", "config": {}}])
    assert found["volumes"] == []
    assert found["foreign_volumes"] == ["volume bcm-home/photos"]
    assert found["foreign"] == []
