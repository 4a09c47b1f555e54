# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From settings to server.properties, and from what is on volumes to what is done about them."""

from __future__ import annotations

import json

import pytest

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _kafka, _kafka_plan
from ansible_collections.bcm.datacenter.plugins.plugin_utils._kafka_plan import PlanError, birth, formatting, plan

PORTS = {"client": 9092, "broker": 9091, "controller": 9093}
HOSTVARS = {
    f"manager-{index}": {"bcm_number": 1000 + index, "bcm_addresses": {"cluster": f"10.0.0.{index}"}}
    for index in range(1, 6)
}
THREE = _kafka.members(list(HOSTVARS)[:3], None, HOSTVARS, "x.internal")
APART = _kafka.members(list(HOSTVARS)[:3], list(HOSTVARS)[:3], HOSTVARS, "x.internal")


def settings(**other):
    return {"version": "4.3.0", "members": THREE, "ports": PORTS, "memory": "1GiB", **other}


def conf(name, **other):
    return dict(line.split("=", 1) for line in plan(settings(**other))["conf"][name].splitlines())


def test_a_member_of_three():
    found = conf("manager-2")
    assert found["process.roles"] == "broker,controller"
    assert found["node.id"] == "1002"
    assert found["listeners"] == "CONTROLLER://0.0.0.0:9093,BROKER://0.0.0.0:9091,CLIENT://0.0.0.0:9092"
    name = "manager-2.x.internal"
    assert found["advertised.listeners"] == f"CONTROLLER://{name}:9093,BROKER://{name}:9091,CLIENT://{name}:9092"
    assert found["controller.quorum.bootstrap.servers"] == ",".join(f"manager-{n}.x.internal:9093" for n in (1, 2, 3))
    assert found["controller.quorum.auto.join.enable"] == "true"
    # The quorum is a dynamic one only where this is missing.
    assert "controller.quorum.voters" not in found


def test_nobody_speaks_without_a_certificate_or_does_what_was_not_granted():
    for name in ("manager-1", "manager-1-controller"):
        found = conf(name, members=APART)
        assert set(found["listener.security.protocol.map"].split(",")) == {
            f"{one}:SSL" for one in ("CONTROLLER", "BROKER", "CLIENT")
        }
        assert found["ssl.client.auth"] == "required"
        assert found["allow.everyone.if.no.acl.found"] == "false"
        assert found["authorizer.class.name"].endswith(".StandardAuthorizer")
        assert found["super.users"] == "User:kafka-node;User:kafka-admin"


@pytest.mark.parametrize(
    ("brokers", "replicas", "in_sync"), [(1, "1", "1"), (2, "2", "1"), (3, "3", "2"), (5, "3", "2")]
)
def test_replicas_of_all_topics_internal_ones_included(brokers, replicas, in_sync):
    found = conf("manager-1", members=_kafka.members(list(HOSTVARS)[:brokers], None, HOSTVARS, "x.internal"))
    assert {value for key, value in found.items() if key.endswith("replication.factor")} == {replicas}
    assert len([key for key in found if key.endswith("replication.factor")]) == 4
    assert {value for key, value in found.items() if key.endswith(("min.isr", "min.insync.replicas"))} == {in_sync}
    assert found["unclean.leader.election.enable"] == "false"


@pytest.mark.parametrize(("kept", "minutes"), [([], 576_000), (["14d", "36h"], 576_000), (["500d", "14d"], 720_000)])
def test_how_far_a_group_has_read_is_known_as_long_as_there_is_what_it_has_read(kept, minutes):
    topics = {
        f"t{n}": {"partitions": 1, "retention": one, "size": "8MiB", "ordered": True} for n, one in enumerate(kept)
    }
    own = {"connect-offsets": {"partitions": 5, "compact": True, "ordered": True}}
    assert conf("manager-1", topics={**topics, **own})["offsets.retention.minutes"] == str(minutes)


def test_kafkas_own_topics_have_as_many_partitions_as_brokers_count_with():
    """The role makes one of them before Kafka does."""
    found = conf("manager-1")
    counts = {value for key, value in found.items() if key.endswith("topic.num.partitions")}
    assert counts == {str(plan(settings())["own_partitions"])}
    assert found["offsets.topic.num.partitions"] in counts


def test_controllers_of_their_own():
    found = conf("manager-1-controller", members=APART)
    assert (found["process.roles"], found["node.id"]) == ("controller", "1501")
    assert found["listeners"] == "CONTROLLER://0.0.0.0:9093"
    assert "inter.broker.listener.name" not in found
    broker = conf("manager-1", members=APART)
    assert "CONTROLLER" not in broker["advertised.listeners"]
    assert "controller.quorum.auto.join.enable" not in broker


def test_a_member_finds_itself_within_its_container_and_its_neighbour_on_the_host():
    names = plan(settings())["names"]["manager-2"]
    assert (
        names
        == "127.0.0.1 localhost manager-2\n"
        + "10.0.0.1 manager-1.x.internal\n127.0.0.1 manager-2.x.internal\n10.0.0.3 manager-3.x.internal\n"
    )
    # Two on one host: each is in a container of its own.
    assert "10.0.0.1 manager-1.x.internal\n" in plan(settings(members=APART))["names"]["manager-1"]


@pytest.mark.parametrize(("memory", "mib"), [("512MiB", 256), ("1GiB", 512), ("4GiB", 2048), ("64GiB", 6144)])
def test_heap_follows_from_memory(memory, mib):
    assert plan(settings(memory=memory))["heap_mib"] == mib


def test_further_options_come_last():
    assert plan(settings(options={"num.partitions": 4}))["conf"]["manager-1"].endswith("num.partitions=4\n")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"version": "4.1.0"}, "version: '4.1.0': is too old"),
        ({"version": "newest"}, "version: 'newest': is not a version"),
        ({"memory": "256MiB"}, "memory: '256MiB': is too little for Kafka; allowed: at least 512MiB"),
        ({"members": []}, "members: []: none is a broker; allowed: at least one broker"),
        ({"members": THREE[:2]}, "are an even number of controllers"),
        ({"members": [*THREE, THREE[0]]}, "members.id: 1001: is there twice"),
        ({"ports": {**PORTS, "client": 9093}}, "two are the same"),
        ({"volume_size": "2GiB", "free_space_min": "1.5GiB"}, "free_space_min: '1.5GiB': leaves no room on the volume"),
        ({"options": {"super.users": "User:me"}}, "options: 'super.users': is set by the role itself"),
        ({"options": {"SSL": "no"}}, "options: 'SSL': is no name of an option"),
        ({"options": {"num.partitions": "1\nsuper.users=User:me"}}, "has several lines"),
    ],
)
def test_refused(other, words):
    with pytest.raises(PlanError) as caught:
        plan(settings(**other))
    assert words in str(caught.value)


def test_topics_as_the_module_takes_them():
    declared = {"audit": {"class": "audit", "partitions": 3, "retention": "1d", "size": "64MiB", "ordered": True}}
    assert plan(settings(topics=declared))["topics"] == [
        {
            "name": "audit",
            "partitions": 3,
            "replication_factor": 3,
            "ordered": True,
            "config": {
                "cleanup.policy": "delete",
                "min.insync.replicas": "2",
                "retention.bytes": str(64 * 1024**2),
                "retention.ms": "86400000",
                "segment.bytes": str(16 * 1024**2),
                "unclean.leader.election.enable": "false",
            },
        }
    ]


def test_of_a_topic_that_is_a_memory_the_last_record_of_each_key_is_kept():
    declared = {"mine": {"class": "state", "partitions": 1, "retention": "1d", "size": "32MiB", "ordered": True}}
    (topic,) = plan(settings(topics=declared))["topics"]
    assert topic["config"]["cleanup.policy"] == "compact"
    assert topic["config"]["segment.bytes"] == str(8 * 1024**2)
    assert not [key for key in topic["config"] if key.startswith("retention")]


def test_who_may_do_what():
    found = {
        one["principal"]: one["rules"]
        for one in plan(settings(clients={"me": {"reads": ["audit"], "writes": []}}))["rights"]
    }
    assert set(found) == {"User:log-shipper", "User:log-reader", "User:log-alerts", "User:me"}
    assert {rule["operations"][0] for rule in found["User:log-shipper"]} == {"write"}
    assert {rule["operations"][0] for rule in found["User:log-reader"]} == {"read"}
    assert {"resource": "topic", "name": "logs.", "pattern": "prefixed", "operations": ["read"]} in found[
        "User:log-reader"
    ]
    # Who looks for alerts writes these, and what it remembers, as one; and none of the lines.
    of_alerts = [(rule["resource"], rule["name"], rule["operations"][0]) for rule in found["User:log-alerts"]]
    assert [one[:2] for one in of_alerts if one[2] == "write"] == [
        ("topic", "alerts"),
        ("topic", "alerts.state"),
        ("transactional_id", "log-alerts"),
    ]
    assert ("group", "log-alerts", "read") in of_alerts
    assert not [rule for rule in found["User:log-reader"] if rule["resource"] == "transactional_id"]
    assert found["User:me"] == [
        {"resource": "topic", "name": "audit", "pattern": "literal", "operations": ["read"]},
        {"resource": "group", "name": "me", "pattern": "literal", "operations": ["read"]},
        {"resource": "group", "name": "me.", "pattern": "prefixed", "operations": ["read"]},
    ]


def test_ids_are_new_each_time_and_never_an_option():
    first, second = json.loads(birth(THREE)), json.loads(birth(THREE))
    assert first["id"] != second["id"]
    assert sorted(first["controllers"]) == first["brokers"] == ["manager-1", "manager-2", "manager-3"]
    assert json.loads(birth(APART))["brokers"] == ["manager-1", "manager-2", "manager-3"]
    found = [_kafka_plan.new_id() for _each in range(500)]
    assert {len(one) for one in found} == {22}
    assert not [one for one in found if one.startswith("-")]


# Of a cluster that began with its first three.
CLUSTER = {
    "id": "cluster",
    "controllers": {
        f"manager-{n}": {"id": 1000 + n, "dns": f"manager-{n}.x.internal", "directory": f"d{n}"} for n in (1, 2, 3)
    },
}
INITIAL = ",".join(f"100{n}@manager-{n}.x.internal:9093:d{n}" for n in (1, 2, 3))
EMPTY = {"meta": "", "empty": True}
BOTH = ["broker", "controller"]


def volume(number, directory=None, cluster="cluster"):
    return {
        "meta": f"#x\ncluster.id={cluster}\nnode.id={number}\ndirectory.id={directory}\nversion=1\n",
        "empty": False,
    }


def known(*numbers):
    return {f"manager-{n}": {"directory": f"d{n}", "roles": BOTH} for n in numbers}


def decide(stored, found, members=None, rejoin="", cluster=None):
    return formatting(members or THREE, cluster or CLUSTER, stored, found, 9093, rejoin)


def test_a_new_cluster_is_formatted_with_all_its_controllers():
    found = decide({}, {member["name"]: EMPTY for member in THREE})
    assert found == {
        "problems": [],
        "format": {m["name"]: ["--initial-controllers", INITIAL] for m in THREE},
        "note": [],
    }


def test_a_cluster_that_stands_is_left_alone():
    found = decide(known(1, 2, 3), {f"manager-{n}": volume(1000 + n, f"d{n}") for n in (1, 2, 3)})
    assert found == {"problems": [], "format": {}, "note": []}


def test_what_a_killed_run_has_formatted_is_noted_and_the_rest_done():
    found = decide({}, {"manager-1": volume(1001, "d1"), "manager-2": EMPTY, "manager-3": EMPTY})
    assert found["note"] == ["manager-1"]
    assert found["format"] == {name: ["--initial-controllers", INITIAL] for name in ("manager-2", "manager-3")}


def test_who_comes_later_joins_what_is_there():
    one = {"id": "cluster", "controllers": {"manager-1": CLUSTER["controllers"]["manager-1"]}}
    found = {"manager-1": volume(1001, "d1"), "manager-2": EMPTY, "manager-3": EMPTY}
    grown = decide(known(1), found, cluster=one)
    assert grown["format"] == {name: ["--no-initial-controllers"] for name in ("manager-2", "manager-3")}
    five = _kafka.members(list(HOSTVARS), None, HOSTVARS, "x.internal")
    assert decide(known(1, 2, 3), {"manager-5": EMPTY}, five)["format"] == {"manager-5": []}


def test_a_volume_that_was_emptied_is_refused_unless_it_is_named():
    found = {"manager-1": volume(1001, "d1"), "manager-2": EMPTY, "manager-3": volume(1003, "d3")}
    refused = decide(known(1, 2, 3), found)
    assert refused["format"] == {}
    assert len(refused["problems"]) == 1
    assert "manager-2 had data, and its volume is empty" in refused["problems"][0]
    assert "-e kafka_rejoin=manager-2" in refused["problems"][0]
    # As one of the first it had a vote: with the old list it would begin a cluster of its own.
    assert decide(known(1, 2, 3), found, rejoin="manager-2") == {
        "problems": [],
        "format": {"manager-2": ["--no-initial-controllers"]},
        "note": [],
    }
    assert decide(known(1, 2, 3), found, rejoin="manager-3")["problems"] == refused["problems"]


def test_a_run_that_was_killed_while_a_member_began_anew_is_finished():
    found = {"manager-1": volume(1001, "d1"), "manager-2": volume(1002, "new"), "manager-3": volume(1003, "d3")}
    stored = known(1, 2, 3)
    assert "was formatted by somebody else" in decide(stored, found)["problems"][0]
    stored["manager-2"]["rejoining"] = True
    assert decide(stored, found) == {"problems": [], "format": {}, "note": ["manager-2"]}
    # It still has to be this cluster's, and this node's.
    for other in (volume(1003, "new"), volume(1002, "new", "another")):
        assert decide(stored, {**found, "manager-2": other})["problems"]


def test_who_is_alone_has_nobody_to_catch_up_from():
    one = _kafka.members(["manager-1"], None, HOSTVARS, "x.internal")
    for rejoin in ("", "manager-1"):
        refused = decide(known(1), {"manager-1": EMPTY}, one, rejoin=rejoin)
        assert "nobody else is a broker and a controller" in refused["problems"][0]
        assert refused["format"] == {}
    # Of two brokers, only one is a controller.
    two = _kafka.members(["manager-1", "manager-2"], None, HOSTVARS, "x.internal")
    stored = {"manager-1": {"directory": "d1", "roles": BOTH}, "manager-2": {"directory": "d2", "roles": ["broker"]}}
    refused = decide(stored, {"manager-1": EMPTY, "manager-2": volume(1002, "d2")}, two, rejoin="manager-1")
    assert "nobody else is a controller" in refused["problems"][0]
    again = decide(stored, {"manager-1": volume(1001, "d1"), "manager-2": EMPTY}, two, rejoin="manager-2")
    assert again["format"] == {"manager-2": []}


@pytest.mark.parametrize(
    ("stored", "there", "words"),
    [
        ({}, volume(1001, "d1", "other"), "its volume belongs to another cluster (other, this is cluster)"),
        ({}, volume(1002, "d1"), "its volume is that of node 1002, and it is node 1001"),
        (
            known(1),
            volume(1001, "else"),
            "its volume was formatted by somebody else: it has directory else, known is d1",
        ),
        ({}, {"meta": "", "empty": False}, "holds files and no meta.properties"),
        (known(1), {"meta": "", "empty": False}, "holds files and no meta.properties"),
    ],
)
def test_a_volume_of_somebody_else_is_refused_whoever_is_named(stored, there, words):
    for rejoin in ("", "manager-1"):
        found = decide(stored, {"manager-1": there}, rejoin=rejoin)
        assert words in found["problems"][0]
        assert found["format"] == {}


def test_a_controller_does_not_stop_being_one():
    found = decide(known(1), {"manager-1": volume(1001, "d1")}, APART)
    assert "manager-1 was a controller and shall be none any more" in found["problems"][0]


OTHERS = {
    f"{tier}-{index}": {"bcm_number": number + index, "bcm_addresses": {"cluster": f"10.0.{number}.{index}"}}
    for tier, number in (("manager", 1000), ("bus", 5000), ("web", 6000))
    for index in (1, 2, 3)
}


def on(tier, controllers=None, count=3):
    first = [[f"{one}-{index}" for index in range(1, count + 1)] if one else None for one in (tier, controllers)]
    return _kafka.members(first[0], first[1], OTHERS, "x.internal")


@pytest.mark.parametrize(
    ("was", "shall", "began"),
    [
        (on("manager"), on("bus"), "manager-1, manager-2, manager-3"),
        (on("manager", count=1), on("bus"), "manager-1"),
        # Votes stay where they were, and lines would not.
        (on("bus", "manager"), on("web", "manager"), "bus-1, bus-2, bus-3"),
        # The other way round.
        (on("bus", "manager"), on("bus", "web"), "manager-1-controller, manager-2-controller, manager-3-controller"),
        (on("manager"), on("bus", "web"), "manager-1, manager-2, manager-3"),
    ],
)
def test_kafka_is_not_moved(was, shall, began):
    found = decide({}, {member["name"]: EMPTY for member in shall}, shall, cluster=json.loads(birth(was)))
    assert found["format"] == {}
    assert found["problems"] == [
        f"the cluster began on {began}, none of which is declared any more. Kafka cannot be moved: declare it as it was, or make the cluster anew"
    ]
    # So it is told before anything is known of volumes.
    assert decide({}, {}, shall, cluster=json.loads(birth(was)))["problems"] == found["problems"]


def test_growing_and_shrinking_is_no_move():
    for was, shall in [(1, 3), (3, 1)]:
        cluster = json.loads(birth(on("manager", count=was)))
        assert decide({}, {}, on("manager", count=shall), cluster=cluster)["problems"] == []
    # A site whose brokers were not written down when it began.
    assert decide({}, {}, THREE)["problems"] == []


def test_a_rejoining_member_must_be_one():
    assert "kafka_rejoin names manager-9, which is no member" in decide({}, {}, rejoin="manager-9")["problems"][0]
