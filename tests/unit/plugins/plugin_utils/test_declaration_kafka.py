# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stack kafka of a declaration: where it is, what it brings with it, and what it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ansible_collections.bcm.datacenter.plugins.plugin_utils import _kafka

ROLES = Path(__file__).resolve().parents[4] / "roles"
NODE = {"tiers": {"bitcoin": {}}, "chain": "regtest"}
VOLUME = {"name": "kafka", "size": "10GiB", "path": "/srv/kafka", "options": {}}


def kafka(**settings):
    return {"stacks": {"kafka": settings}}


def volumes(found):
    return {host: [volume["name"] for volume in found.hosts[host]["bcm_volumes"]] for host in found.groups["instances"]}


def test_it_comes_with_a_site_and_stands_on_the_managers(site):
    found = site({"tiers": {"web": {}}})
    assert found.groups["kafka_nodes"] == ["manager-1", "manager-2", "manager-3"]
    assert found.hosts["manager-2"]["bcm_volumes"] == [VOLUME]
    assert [volume["name"] for volume in found.hosts["manager-1"]["bcm_volumes"]] == ["registry", "kafka"]
    assert found.hosts["web-1"]["bcm_volumes"] == []
    stack = found.variables["bcm_stacks"]["kafka"]
    assert (stack["tier"], stack["controllers"], stack["version"], stack["memory"]) == ("manager", None, None, "1GiB")
    assert set(stack["topics"]) == set(_kafka.TOPICS)
    assert stack["topics"]["audit"]["retention"] == "400d"
    assert found.variables["bcm_mirrors"]["downloads"]["kafka"] == _kafka.DOWNLOADS
    assert "archive.apache.org" in found.variables["bcm_egress_allowed_domains"]


def test_a_site_without_it_has_nothing_of_it(site):
    found = site({**kafka(enabled=False, volume_size="1GiB"), "tiers": {"kafka": {}}})
    assert found.groups["kafka_nodes"] == []
    assert volumes(found) == {host: [] for host in found.groups["instances"]} | {"manager-1": ["registry"]}
    assert "kafka" not in found.variables["bcm_stacks"]
    assert "kafka" not in found.variables["bcm_mirrors"]["downloads"]
    assert "archive.apache.org" not in found.variables["bcm_egress_allowed_domains"]


def test_controllers_of_their_own_are_three_at_most(site):
    found = site({**kafka(tier="bus", controllers="manager"), "tiers": {"bus": {"count": 2}, "manager": {"count": 5}}})
    assert found.groups["kafka_nodes"] == ["manager-1", "manager-2", "manager-3", "bus-1", "bus-2"]
    assert [host for host, names in volumes(found).items() if "kafka" in names] == found.groups["kafka_nodes"]


def test_topics_that_are_always_there_can_be_changed_and_others_added(site):
    found = site(kafka(topics={"audit": {"retention": "30d"}, "mine": {"partitions": 1}}))
    topics = found.variables["bcm_stacks"]["kafka"]["topics"]
    assert topics["audit"] == {"class": "audit", "partitions": 3, "retention": "30d", "size": "256MiB", "ordered": True}
    assert topics["mine"] == {"class": "other", "partitions": 1, "retention": "7d", "size": "64MiB", "ordered": True}
    assert len(topics) == len(_kafka.TOPICS) + 1


def test_the_version_of_the_stack_comes_first(site):
    def version(content):
        return site(content).variables["bcm_stacks"]["kafka"]["version"]

    assert version({"versions": {"kafka": "4.3.0"}}) == "4.3.0"
    assert version({"versions": {"kafka": "4.3.0"}, **kafka(version="4.3.1")}) == "4.3.1"


def test_a_release_whose_signer_is_named_may_be_any(site):
    signer = {"name": "a", "fingerprint": "A" * 40}
    found = site({"versions": {"kafka": "4.2.0"}, **kafka(signers=[signer])})
    assert found.variables["bcm_stacks"]["kafka"]["version"] == "4.2.0"
    # Of two that are declared, that of the stack counts.
    assert site({"versions": {"kafka": "4.2.0"}, **kafka(version="4.3.0", signatures=2)})


def test_who_is_known_to_the_role_is_counted():
    text = (ROLES / "kafka/vars/main.yml").read_text()
    maker = yaml.safe_load(text)["kafka__maker"]
    assert len(maker["signers"]) == _kafka.SIGNERS
    assert maker["downloads"] == _kafka.DOWNLOADS
    for version, key in _kafka.STRANGERS.items():
        assert version in text
        assert key in text
        assert not [fingerprint for fingerprint in maker["signers"].values() if fingerprint.endswith(key)]


@pytest.mark.parametrize(
    ("settings", "memory"),
    [
        ({}, "2GiB"),
        ({"memory": "1GiB"}, "1GiB"),
        ({"controllers": "manager"}, "1GiB"),
        ({"tier": "bus", "controllers": "manager"}, "1536MiB"),
    ],
)
def test_memory_is_half_of_the_smallest_instance_s(site, settings, memory):
    tiers = {"manager": {"size": {"memory": "4GiB"}}, "bus": {"size": {"memory": "3GiB"}}}
    assert site({**kafka(**settings), "tiers": tiers}).variables["bcm_stacks"]["kafka"]["memory"] == memory


def test_numbers_of_instances_are_one_of_a_kind(site):
    found = site({"tiers": {"kafka": {"count": 250}, "bitcoin": {"count": 250}, "web": {"block": 14}}})
    numbers = [found.hosts[host]["bcm_number"] for host in found.groups["instances"]]
    assert len(set(numbers)) == len(numbers)
    assert found.hosts["manager-3"]["bcm_number"] == 1003
    # What a controller of its own has on top of it, is nobody's.
    assert not {number + _kafka.CONTROLLER_OFFSET for number in numbers} & set(numbers)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (kafka(tier="proxyhost"), "stacks.kafka.tier = proxyhost: runs no Docker; allowed: manager"),
        (kafka(tier="buss"), "stacks.kafka.tier = buss: is no tier of this site; allowed: manager"),
        (
            kafka(controllers="managr"),
            "stacks.kafka.controllers = managr: is no tier of this site (did you mean manager?); ",
        ),
        (
            {**kafka(tier="bus"), "tiers": {"bus": {"count": 0}}},
            "tiers.bus.count = 0: the stack kafka has nowhere to run; allowed: at least 1",
        ),
        (
            kafka(version="4.1.2"),
            "stacks.kafka.version = 4.1.2: is too old: its controllers do not join by themselves; ",
        ),
        ({"versions": {"kafka": "3.9.0"}}, "versions.kafka = 3.9.0: is too old"),
        (
            kafka(signatures=2, signers=[{"name": "a", "fingerprint": "A" * 40}]),
            "stacks.kafka.signatures = 2: there are 1 signers",
        ),
        (
            kafka(signatures=3),
            "stacks.kafka.signatures = 3: the role knows 2 of its makers by their keys; allowed: at most 2, or more in signers",
        ),
        (
            kafka(version="4.2.0"),
            "stacks.kafka.version = 4.2.0: is signed by somebody whom the role does not know, with the key 3F66597F0116FD68; "
            "allowed: another release, or that signer in stacks.kafka.signers",
        ),
        ({"versions": {"kafka": "4.2.0"}}, "versions.kafka = 4.2.0: is signed by somebody whom the role does not know"),
        *(
            (
                {"stacks": {"kafka": {key: "bitcoin"}, "bitcoin": {}}, **NODE},
                f"stacks.kafka.{key} = bitcoin: leaves all its memory to its node; allowed: manager",
            )
            for key in ("tier", "controllers")
        ),
        (
            {"stacks": {"kafka": {"tier": "buss"}, "bitcoin": {}}, **NODE},
            "stacks.kafka.tier = buss: is no tier of this site; allowed: manager",
        ),
        (
            kafka(topics={"logs_system": {}}),
            "stacks.kafka.topics.logs_system: is logs.system to Kafka, to which dots and underscores are one; allowed: a name that differs in more",
        ),
        (
            kafka(topics={"my.own_topic": {}, "my_own.topic": {}}),
            "stacks.kafka.topics.my_own.topic: is my.own_topic to Kafka, to which dots and underscores are one; ",
        ),
        (
            {"tiers": {"manager": {"size": {"memory": "768MiB"}}}},
            "tiers.manager.size.memory = 768MiB: is too little for Kafka, which takes half of it and at least 512MiB; "
            "allowed: at least 1GiB, or stacks.kafka.enabled: false",
        ),
        (
            kafka(memory="1792MiB"),
            "stacks.kafka.memory = 1792MiB: an instance of manager has 2GiB, and needs 512MiB of it beside Kafka; ",
        ),
        (
            kafka(memory="1GiB", controllers="manager"),
            "stacks.kafka.memory = 1GiB: an instance of manager has 2GiB, and needs 512MiB of it beside Kafka; ",
        ),
        (
            kafka(volume_size="4GiB"),
            "stacks.kafka.volume_size = 4GiB: the topics hold up to 5GiB on one of 3 brokers (size and a file more, "
            "times the partitions of which it has a replica), and Kafka needs some for itself; allowed: at least 8GiB, or smaller topics",
        ),
        (
            kafka(topics={"big": {"size": "10GiB"}}),
            "stacks.kafka.volume_size = 10GiB: the topics hold up to 35GiB on one",
        ),
        (
            kafka(topics={"mine": {"retention": "2w"}}),
            "stacks.kafka.topics.mine.retention = 2w: has the wrong form; allowed: hours or days",
        ),
        (kafka(topics={"mine": {"class": "logs"}}), "stacks.kafka.topics.mine.class = logs: is not known"),
        (kafka(topics={"Mine": {}}), "stacks.kafka.topics.Mine: the name has the wrong form"),
        (
            kafka(clients={"kafka-admin": {}}),
            "stacks.kafka.clients.kafka-admin: is who the site itself is there; allowed: another name",
        ),
        (
            kafka(clients={"log-reader": {"reads": ["audit"]}}),
            "stacks.kafka.clients.log-reader: is who the site itself is there",
        ),
        (
            kafka(clients={"me": {"reads": ["logs.*", "audi"]}}),
            "stacks.kafka.clients.me.reads[1] = audi: is no topic of this site (did you mean audit?); allowed: ",
        ),
        (
            {"tiers": {"manager": {"volumes": [{"name": "a", "size": "1GiB", "path": "/srv/kafka"}]}}},
            "tiers.manager.volumes[0].path = /srv/kafka: belongs to the stack kafka; allowed: another path",
        ),
        (
            {"pool": {"size": "30GiB"}},
            "pool.size = 30GiB: all volumes hold 35GiB when full, 30GiB of it Kafka's; allowed: at least 35GiB, or smaller volumes, "
            "or stacks: {kafka: {enabled: false}}",
        ),
        (
            {"endpoints": [{"name": "kafka_nodes", "connection": "local"}]},
            "endpoints[0].name = kafka_nodes: has the wrong form",
        ),
    ],
)
def test_refused(wrong, content, words):
    said = wrong(content)
    assert len(said) == 1, said
    assert words in said[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "all volumes hold 50GiB when full, 30GiB of it Kafka's"),
        (kafka(enabled=False), "all volumes hold 20GiB when full"),
    ],
)
def test_a_pool_that_would_be_too_small_without_kafka_is_not_helped_by_turning_it_off(wrong, content, words):
    (said,) = wrong({"pool": {"size": "15GiB"}, "registry": {"volume_size": "20GiB"}, **content})
    assert f"pool.size = 15GiB: {words}; " in said
    assert said.endswith("or smaller volumes")


def test_sizes_add_up():
    topics = {"a": {"size": "64MiB", "partitions": 2}, "b": {"size": "1GiB", "partitions": 1}}
    mib = 1024**2
    one_copy = (64 + 16) * 2 * mib + (1024 + 64) * mib
    assert _kafka.topics_size(topics, 3) == _kafka.topics_size(topics, 1) == one_copy
    # A partition is whole where it is: of three copies on five brokers one may have all of both.
    assert _kafka.topics_size(topics, 5) == one_copy
    many = {"a": {"size": "64MiB", "partitions": 12}}
    assert _kafka.topics_size(many, 3) == (64 + 16) * 12 * mib
    assert _kafka.topics_size(many, 5) == (64 + 16) * (2 * 3 + 2) * mib


@pytest.mark.parametrize("brokers", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("partitions", [1, 2, 3, 4, 5, 6, 8, 12, 17])
def test_no_broker_holds_more_partitions_than_is_reckoned(partitions, brokers):
    """As Kafka deals them out, a round of as many partitions as brokers after the other."""
    copies, worst = _kafka.replicas(brokers), 0
    for start in range(brokers):
        held = [0] * brokers
        for partition in range(partitions):
            # It shuffles them for each round but the first.
            order = list(range(brokers))[:: -1 if partition // brokers % 2 else 1]
            for replica in range(copies):
                held[order[(start + partition + replica) % brokers]] += 1
        worst = max(worst, *held)
    assert worst <= _kafka.partitions_held(partitions, brokers)
    # Where there is one round it is exact.
    assert partitions > brokers or worst == _kafka.partitions_held(partitions, brokers)


@pytest.mark.parametrize(
    ("brokers", "replicas", "in_sync", "controllers"),
    [(1, 1, 1, 1), (2, 2, 1, 1), (3, 3, 2, 3), (4, 3, 2, 3), (5, 3, 2, 3), (250, 3, 2, 3)],
)
def test_how_many_of_each(brokers, replicas, in_sync, controllers):
    found = _kafka.replicas(brokers), _kafka.in_sync(brokers), _kafka.controllers(brokers)
    assert found == (replicas, in_sync, controllers)
    assert found[2] % 2 == 1


def test_members_and_their_names():
    hostvars = {
        f"manager-{index}": {"bcm_number": 1000 + index, "bcm_addresses": {"cluster": f"10.0.0.{index}"}}
        for index in range(1, 6)
    }
    hosts = list(hostvars)
    combined = _kafka.members(hosts, None, hostvars, "x.bcm.internal")
    assert [member["roles"] for member in combined] == [["broker", "controller"]] * 3 + [["broker"]] * 2
    assert combined[1] == {
        "name": "manager-2",
        "host": "manager-2",
        "id": 1002,
        "roles": ["broker", "controller"],
        "dns": "manager-2.x.bcm.internal",
        "address": "10.0.0.2",
    }
    apart = _kafka.members(hosts[:2], hosts, hostvars, "x.bcm.internal")
    assert [(member["name"], member["id"], member["roles"]) for member in apart] == [
        ("manager-1", 1001, ["broker"]),
        ("manager-2", 1002, ["broker"]),
        ("manager-1-controller", 1501, ["controller"]),
        ("manager-2-controller", 1502, ["controller"]),
        ("manager-3-controller", 1503, ["controller"]),
    ]


@pytest.mark.parametrize(("text", "hours"), [("1h", 1), ("36h", 36), ("7d", 168)])
def test_retention_in_milliseconds(text, hours):
    assert _kafka.milliseconds(text) == hours * 3600 * 1000
