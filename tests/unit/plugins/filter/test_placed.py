# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.bcm.datacenter.plugins.filter.placed import placed
from ansible_collections.bcm.datacenter.plugins.filter.placement_wishes import placement_wishes


def test_wishes_are_read_from_what_instances_are():
    devices = {
        "root": {"type": "disk", "path": "/", "pool": "p"},
        "data": {"type": "disk", "path": "/srv", "pool": "p", "source": "a-data"},
        "host": {"type": "disk", "path": "/mnt", "source": "/home"},
        "gone": None,
    }
    instances = [
        {"name": "a", "config": {"user.bcm.tier": "web"}, "devices": devices, "target": "rack-1"},
        {"name": "b"},
        {"name": "c", "state": "absent"},
    ]
    assert placement_wishes(instances) == [
        {"name": "a", "target": "rack-1", "apart": "web", "volumes": [{"name": "a-data", "pool": "p"}]},
        {"name": "b", "target": None, "apart": None, "volumes": []},
    ]


def test_volumes_go_where_their_instances_go():
    items = [{"name": "a", "target": "old"}, {"name": "a-data", "config": {"user.bcm.instance": "a"}}, {"name": "b"}]
    assert placed(items, {"a": "rack-1"}) == [
        {"name": "a", "target": "rack-1"},
        {"name": "a-data", "config": {"user.bcm.instance": "a"}, "target": "rack-1"},
        {"name": "b"},
    ]


def test_without_a_cluster_nothing_has_a_target():
    assert placed([{"name": "a", "target": "standalone"}], {}) == [{"name": "a"}]
