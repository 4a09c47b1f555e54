# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.bcm.datacenter.plugins.filter.cluster_report import cluster_report
from ansible_collections.bcm.datacenter.plugins.filter.cluster_words import cluster_words


def member(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "url": f"https://{name}:8443",
        "status": "Online",
        "message": "Fully operational",
        "answers": True,
        "roles": ["database"],
        "failure_domain": "shelf-1",
        "version": "5.0.2",
        "cpus": 4,
        "memory": {"total": 8 * 2**30, "used": 2**30},
        "pools": {"fast": {"total": 20 * 2**30, "used": 5 * 2**30}},
        "instances": [],
        **more,
    }


GONE: dict[str, Any] = {
    "answers": False,
    "status": "Offline",
    "message": "No heartbeat for 25s",
    "version": None,
    "cpus": None,
    "memory": None,
    "pools": None,
}
INSTANCES = [
    {"project": "bcm-home", "name": "manager-1", "status": "Running"},
    {"project": "bcm-home", "name": "manager-2", "status": "Stopped"},
]


def test_a_cluster_with_a_member_that_is_gone() -> None:
    members = [
        member("node-1", roles=["database", "database-leader"], instances=INSTANCES),
        member("node-10", **GONE),
    ]
    hostvars = {
        "node-1": {
            "bcm_site": "home",
            "cluster_answer": {"reachable": True, "clustered": True},
            "cluster_capacity": {"clustered": True, "members": members, "contents": []},
        },
        "node-10": {"bcm_site": "home", "cluster_answer": {"unreachable": True, "msg": "no route to host"}},
    }
    report = cluster_report(["node-1", "node-10"], hostvars)
    assert report["site"] == "home"
    assert report["clusters"][0]["leader"] == "node-1"
    assert report["endpoints"] == [
        {"name": "node-1", "answers": True, "reason": ""},
        {"name": "node-10", "answers": False, "reason": "no route to host"},
    ]
    assert cluster_words(report).splitlines() == [
        "Site home: a cluster of 2, led by node-1",
        "  node-1: Online; leader, database; failure domain shelf-1; LXD 5.0.2",
        "    4 processors, memory 1.0 of 8.0 GiB, pool fast 5.0 of 20.0 GiB",
        "    project bcm-home: manager-1, manager-2 (Stopped)",
        "  node-10: Offline; database; failure domain shelf-1",
        "    does not answer: No heartbeat for 25s",
        "  node-10 cannot be reached: no route to host",
    ]


def test_a_server_by_itself_that_cannot_say_how_much_room_it_has() -> None:
    alone = member("here", url=None, roles=[], failure_domain=None, pools={"fast": {}})
    hostvars = {
        "here": {
            "bcm_site": "home",
            "cluster_answer": {"reachable": True},
            "cluster_capacity": {"clustered": False, "members": [alone], "contents": []},
        }
    }
    report = cluster_report(["here"], hostvars)
    assert report["clusters"][0]["leader"] is None
    assert cluster_words(report).splitlines() == [
        "Site home: one server by itself",
        "  here: Online; LXD 5.0.2",
        "    4 processors, memory 1.0 of 8.0 GiB, pool fast unknown",
    ]


def test_no_endpoints_and_none_that_answers() -> None:
    assert cluster_words(cluster_report([], {})) == "Site None: there are no endpoints"
    silent = cluster_report(["here"], {"here": {"bcm_site": "home", "cluster_answer": {"reason": "no socket"}}})
    assert cluster_words(silent) == "  here cannot be reached: no socket"
