# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.bcm.datacenter.plugins.filter.swarm_plan import swarm_plan

MANAGERS = ["manager-1", "manager-2", "manager-3"]
HOSTS = [*MANAGERS, "bitcoin-1"]
NOTHING = {"problems": [], "unlock": [], "pending": [], "init": None, "join": {}, "stale": []}


def engine(state="active", node=None, control=False, **more):
    return {"LocalNodeState": state, "NodeID": node or "", "ControlAvailable": control, **more}


def node(host, number="1", state="ready"):
    described = {
        "ID": f"{host}-{number}",
        "Spec": {"Role": "manager" if host in MANAGERS else "worker"},
        "Description": {"Hostname": host},
        "Status": {"State": state},
    }
    if host in MANAGERS:
        described["ManagerStatus"] = {"Addr": "10.0.0.1:2377"}
    return described


@pytest.fixture
def engines():
    return {host: engine(node=f"{host}-1", control=host in MANAGERS) for host in HOSTS}


@pytest.fixture
def nodes():
    return [node(host) for host in HOSTS]


def test_a_swarm_that_stands_needs_nothing(engines, nodes):
    assert swarm_plan(engines, MANAGERS, nodes) == NOTHING


def test_begins_on_the_first_manager_and_all_others_join():
    plan = swarm_plan({host: engine("inactive") for host in HOSTS}, MANAGERS, [])
    assert plan == {
        **NOTHING,
        "init": "manager-1",
        "join": {"manager-2": "manager", "manager-3": "manager", "bitcoin-1": "worker"},
    }


def test_a_killed_run_is_finished(engines, nodes):
    engines["manager-3"] = engine("inactive")
    engines["bitcoin-1"] = engine("inactive")
    plan = swarm_plan(engines, MANAGERS, nodes[:2])
    assert plan == {**NOTHING, "join": {"manager-3": "manager", "bitcoin-1": "worker"}}


@pytest.mark.parametrize(("host", "voted"), [("manager-1", True), ("bitcoin-1", False)])
def test_a_host_made_anew_takes_the_place_of_its_node(engines, nodes, host, voted):
    engines[host] = engine("inactive")
    plan = swarm_plan(engines, MANAGERS, nodes)
    assert plan["init"] is None
    assert list(plan["join"]) == [host]
    assert plan["stale"] == [{"id": f"{host}-1", "host": host, "manager": voted}]


def test_a_name_that_begins_like_another_is_another(engines, nodes):
    engines["bitcoin-12"] = engine("inactive")
    assert swarm_plan(engines, MANAGERS, nodes)["stale"] == []


def test_what_a_join_left_behind_goes_with_the_next(engines, nodes):
    ghost = {"ID": "x", "Spec": {"Role": "manager"}, "Description": {}, "Status": {"State": "unknown"}}
    assert swarm_plan(engines, MANAGERS, [*nodes, ghost])["stale"] == []
    engines["manager-3"] = engine("inactive")
    plan = swarm_plan(engines, MANAGERS, [*nodes[:2], ghost])
    assert plan["stale"] == [{"id": "x", "host": "(nameless)", "manager": False}]


def test_another_swarm_is_a_problem(engines, nodes):
    engines["bitcoin-1"] = engine(node="foreign", control=True, Cluster={"ID": "c2"})
    plan = swarm_plan(engines, MANAGERS, nodes)
    assert plan["problems"] == ["bitcoin-1: belongs to another Swarm (c2) as node foreign"]
    assert plan["join"] == {}


def test_managers_made_anew_do_not_begin_beside_a_worker_of_the_old_swarm():
    engines = {host: engine("inactive") for host in MANAGERS} | {"bitcoin-1": engine(node="old")}
    plan = swarm_plan(engines, MANAGERS, [])
    assert plan["init"] is None
    assert plan["problems"] == ["bitcoin-1: is in a Swarm, and no manager of it answers"]


def test_a_worker_alone_cannot_join_what_does_not_exist():
    plan = swarm_plan({"bitcoin-1": engine("inactive")}, MANAGERS, [])
    assert plan["problems"] == [
        "bitcoin-1: cannot join, no manager is in a Swarm and manager-1, where it begins, has no part in this run"
    ]


def test_locked_and_connecting_hosts_are_not_problems(engines):
    engines["manager-1"] = engine("locked")
    engines["manager-2"] = engine("pending")
    engines["manager-3"] = engine("locked")
    plan = swarm_plan(engines, MANAGERS, [])
    assert plan["unlock"] == ["manager-1", "manager-3"]
    assert plan["pending"] == ["manager-2"]
    assert plan["init"] is None
    assert plan["problems"] == []


def test_an_engine_in_error_says_why(engines, nodes):
    engines["bitcoin-1"] = engine("error", Error="certificate has expired")
    plan = swarm_plan(engines, MANAGERS, nodes)
    assert plan["problems"] == ["bitcoin-1: its engine is in a Swarm that it cannot reach: certificate has expired"]
