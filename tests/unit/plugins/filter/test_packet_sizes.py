# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.bcm.datacenter.plugins.filter.packet_sizes import packet_sizes

NETWORKS = [{"name": "outside", "mtu": None}, {"name": "gateway", "mtu": 1390}, {"name": "cluster", "mtu": 1390}]


def instance(name, status="Running", location="rack-1", **cards):
    network = {card: {"mtu": mtu, "host_name": f"veth-{card}"} for card, mtu in cards.items()}
    return {"name": name, "status": status, "location": location, "state": {"network": network}}


def test_only_cards_of_another_size_are_named():
    found = packet_sizes(
        [
            instance("manager-1", gateway=1450, cluster=1390, docker0=1500, lo=65536),
            instance("proxyhost-1", outside=1500, gateway=1280, location="rack-2"),
            # Whatever else is in the project is not asked about.
            instance("image-builder", gateway=1450),
        ],
        NETWORKS,
        ["manager-1", "proxyhost-1"],
    )
    assert found == [
        {
            "instance": "manager-1",
            "card": "gateway",
            "from": 1450,
            "to": 1390,
            "grows": False,
            "host_name": "veth-gateway",
            "location": "rack-1",
        },
        {
            "instance": "proxyhost-1",
            "card": "gateway",
            "from": 1280,
            "to": 1390,
            "grows": True,
            "host_name": "veth-gateway",
            "location": "rack-2",
        },
    ]


def test_one_that_does_not_run_gets_its_size_when_it_starts():
    stopped = {**instance("manager-1"), "status": "Stopped", "state": None}
    assert (
        packet_sizes([stopped, {"name": "manager-2", "state": {"network": None}}], NETWORKS, ["manager-1", "manager-2"])
        == []
    )
