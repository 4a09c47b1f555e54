# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a declaration may have beside Kafka: Connect and doors, what follows from them, and what they cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ansible_collections.bcm.datacenter.plugins.module_utils import _sizes
from ansible_collections.bcm.datacenter.plugins.plugin_utils import _kafka_plan, _kafka_stacks

ROLES = Path(__file__).resolve().parents[4] / "roles"
DIGEST = "sha256:" + "a" * 64
ROOMY = {"manager": {"size": {"memory": "4GiB"}}}
GITHUB = {"registries": {"ghcr.io": "https://ghcr.io"}}
CONSOLE = {"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector"}


def connect(**settings):
    return {"stacks": {"connect": settings}}


def door(stack, **settings):
    return {"stacks": {stack: {"digest": DIGEST, **settings}}, "mirrors": GITHUB, "tiers": ROOMY}


def rules_of(found, client):
    clients = found.variables["bcm_stacks"]["beside_kafka"]["clients"]
    (rights,) = [one for one in _kafka_plan.rights(clients) if one["principal"] == f"User:{client}"]
    return {
        (rule["resource"], rule["name"], rule["pattern"], operation)
        for rule in rights["rules"]
        for operation in rule["operations"]
    }


def test_a_site_has_none_of_it_by_itself(site):
    found = site({})
    assert set(found.variables["bcm_stacks"]) == {"kafka"}
    assert found.groups["connect_nodes"] == found.groups["kafka_door_nodes"] == []


def test_connect_stands_on_the_first_manager_with_a_volume_of_its_own(site):
    found = site(connect())
    assert found.groups["connect_nodes"] == ["manager-1"]
    names = {host: [one["name"] for one in found.hosts[host]["bcm_volumes"]] for host in found.groups["tier_manager"]}
    assert names == {
        "manager-1": ["registry", "kafka", "connect"],
        "manager-2": ["kafka"],
        "manager-3": ["kafka"],
    }
    stack = found.variables["bcm_stacks"]["connect"]
    assert (stack["memory"], stack["volume_size"], stack["connectors"]) == ("512MiB", "4GiB", [])
    assert stack["archive"] == {"enabled": True, "file_size": "64MiB", "keep": None}


def test_several_workers_are_on_the_first_instances_of_a_tier(site):
    found = site({**connect(tier="web", workers=2), "tiers": {"web": {"count": 3}}})
    assert found.groups["connect_nodes"] == ["web-1", "web-2"]
    assert [one["name"] for one in found.hosts["web-2"]["bcm_volumes"]] == ["connect"]
    assert found.hosts["web-3"]["bcm_volumes"] == []


def test_connect_may_do_what_it_needs_and_nothing_else(site):
    found = site(connect())
    own = {"connect-configs", "connect-offsets", "connect-status"}
    assert rules_of(found, "kafka-connect") == {
        *(("topic", name, "literal", what) for name in own for what in ("read", "write", "describe_configs")),
        ("topic", "audit", "literal", "read"),
        ("group", "connect-audit-files", "literal", "read"),
        ("group", "kafka-connect", "literal", "read"),
        ("group", "kafka-connect.", "prefixed", "read"),
    }
    without = rules_of(site(connect(archive={"enabled": False})), "kafka-connect")
    assert not {rule for rule in without if rule[1] in ("audit", "connect-audit-files")}


@pytest.mark.parametrize(("brokers", "replicas", "in_sync"), [(1, 1, "1"), (3, 3, "2"), (5, 3, "2")])
def test_what_connect_keeps_is_kept_as_often_as_lines_are(site, brokers, replicas, in_sync):
    topics = _kafka_plan.topics(site(connect()).variables["bcm_stacks"]["beside_kafka"]["topics"], brokers)
    assert [(topic["name"], topic["partitions"]) for topic in topics] == [
        ("connect-configs", 1),
        ("connect-offsets", 5),
        ("connect-status", 3),
    ]
    for topic in topics:
        assert topic["replication_factor"] == replicas
        assert topic["config"]["min.insync.replicas"] == in_sync
        assert topic["config"]["cleanup.policy"] == "compact"
        assert "retention.ms" not in topic["config"]


def test_further_connectors_get_what_they_are_declared_for(site):
    found = site(
        connect(
            connectors={
                "copy": {"reads": ["alerts"], "config": CONSOLE},
                "many": {"reads": ["logs.*", "audit"], "writes": ["alerts"], "config": CONSOLE},
            }
        )
    )
    assert found.variables["bcm_stacks"]["connect"]["connectors"] == [
        {"name": "copy", "config": {**CONSOLE, "topics": "alerts"}},
        {"name": "many", "config": {**CONSOLE, "topics.regex": r"audit|logs\..*"}},
    ]
    rules = rules_of(found, "kafka-connect")
    assert {
        ("topic", "alerts", "literal", "read"),
        ("topic", "alerts", "literal", "write"),
        ("topic", "logs.", "prefixed", "read"),
        ("group", "connect-copy", "literal", "read"),
        ("group", "connect-many", "literal", "read"),
    } <= rules


def test_doors_stand_on_the_first_instance_of_their_tier(site):
    declared = {
        **door("rest_proxy", reads=["alerts"], writes=["mine"], clients=["phone"]),
        "tiers": {**ROOMY, "web": {}},
    }
    declared["stacks"]["kafka"] = {"topics": {"mine": {}}}
    declared["stacks"]["kafka_ui"] = {"digest": DIGEST, "tier": "web", "reads": ["logs.*"]}
    declared["stacks"]["schema_registry"] = {"digest": DIGEST}
    found = site(declared)
    assert found.groups["kafka_door_nodes"] == ["manager-1", "web-1"]
    doors = {one["stack"]: one for one in found.variables["bcm_stacks"]["kafka_doors"]}
    assert doors["rest_proxy"] == {
        "stack": "rest_proxy",
        "name": "kafka-rest",
        "registry": "ghcr.io",
        "port": 8082,
        "tier": "manager",
        "image": "aiven-open/karapace",
        "digest": DIGEST,
        "memory": "256MiB",
        "clients": ["phone"],
    }
    assert rules_of(found, "kafka-rest") == {
        ("topic", "mine", "literal", "write"),
        ("topic", "alerts", "literal", "read"),
        ("group", "kafka-rest", "literal", "read"),
        ("group", "kafka-rest.", "prefixed", "read"),
    }
    shown = rules_of(found, "kafka-ui")
    assert ("topic", "*", "literal", "describe") in shown
    assert {
        rule for rule in shown if rule[3] in ("write", "create", "delete", "alter", "alter_configs", "all")
    } == set()
    assert {rule[1] for rule in rules_of(found, "schema-registry")} == {"_schemas", "schema-registry"}
    assert found.variables["bcm_stacks"]["beside_kafka"]["topics"] == {
        "_schemas": {"partitions": 1, "compact": True, "ordered": True}
    }


NAMES = "connector.class"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            {"stacks": {"connect": {}, "kafka": {"enabled": False}}},
            "stacks.connect: there is no Kafka for it; allowed: null, or stacks.kafka.enabled: true",
        ),
        (connect(tier="proxyhost"), "stacks.connect.tier = proxyhost: runs no Docker; allowed: manager"),
        (connect(tier="managr"), "stacks.connect.tier = managr: is no tier of this site (did you mean manager?); "),
        (
            {"stacks": {"connect": {"tier": "bitcoin"}, "bitcoin": {}}, "tiers": {"bitcoin": {}}, "chain": "regtest"},
            "stacks.connect.tier = bitcoin: leaves all its memory to its node; allowed: manager",
        ),
        (connect(workers=4), "stacks.connect.workers = 4: manager has 3 instances; allowed: at most 3"),
        (
            {**connect(tier="web"), "tiers": {"web": {"count": 0}}},
            "tiers.web.count = 0: the stack connect has nowhere to run; allowed: at least 1",
        ),
        (
            connect(memory="768MiB"),
            "tiers.manager.size.memory = 2GiB: is too little: 1GiB of it are Kafka's, and connect take 768MiB beside 512MiB for the system; "
            "allowed: at least 2560MiB, or another tier for them",
        ),
        (
            {"stacks": {"connect": {"memory": "1GiB"}, "kafka": {"memory": "1GiB"}}},
            "allowed: at least 2560MiB, or another tier for them",
        ),
        (
            {**connect(tier="web", memory="2GiB"), "tiers": {"web": {}}},
            "tiers.web.size.memory = 2GiB: is too little: connect take 2GiB beside 512MiB for the system; allowed: at least 2560MiB",
        ),
        (connect(archive={"keep": "2w"}), "stacks.connect.archive.keep = 2w: has the wrong form"),
        (
            {"stacks": {"connect": {}, "kafka": {"topics": {"connect-status": {}}}}},
            "stacks.kafka.topics.connect-status: belongs to the stack connect; allowed: another name",
        ),
        (
            {"stacks": {"kafka": {"clients": {"kafka-connect": {}}}}},
            "stacks.kafka.clients.kafka-connect: is who the site itself is there",
        ),
        (
            {**connect(), "tiers": {"manager": {"volumes": [{"name": "a", "size": "1GiB", "path": "/srv/connect"}]}}},
            "tiers.manager.volumes[0].path = /srv/connect: belongs to the stack connect; allowed: another path",
        ),
        (
            connect(connectors={"audit-files": {"reads": ["audit"], "config": CONSOLE}}),
            "stacks.connect.connectors.audit-files: is the site's own; allowed: another name",
        ),
        (
            connect(connectors={"copy": {"reads": ["alert"], "config": CONSOLE}}),
            "stacks.connect.connectors.copy.reads[0] = alert: is no topic of this site (did you mean alerts?); ",
        ),
        (connect(connectors={"copy": {}}), f"stacks.connect.connectors.copy.config.{NAMES}: is missing; "),
        (
            connect(connectors={"copy": {"reads": ["audit"], "config": {**CONSOLE, "topics": "audit"}}}),
            "stacks.connect.connectors.copy.config.topics = audit: follows from name and reads; ",
        ),
        (
            connect(connectors={"copy": {"reads": ["audit"], "config": {**CONSOLE, "connection.password": "hidden"}}}),
            "stacks.connect.connectors.copy.config.connection.password: would be a secret in the declaration; ",
        ),
        (
            connect(archive={"file_size": "3GiB"}),
            "stacks.connect.archive.file_size = 3GiB: a volume of 4GiB leaves no room for two such files beside what must be free; "
            "allowed: at most 1792MiB, or stacks.connect.volume_size of at least 6656MiB",
        ),
        (
            connect(connectors={"copy": {"config": CONSOLE}}),
            "stacks.connect.connectors.copy.reads: are none, and a sink has nothing to do without them; allowed: ",
        ),
        *(
            (
                connect(connectors={"copy": {"reads": ["alerts"], "config": {**CONSOLE, "file": file}}}),
                f"stacks.connect.connectors.copy.config.file = {file}: belongs to the archive of the topic audit, which gives such files other "
                "names and removes them; allowed: another name, such as /data/files/copy.txt",
            )
            for file in ("/data/files/audit.jsonl", "/data/files/audit-mine.txt", "/data/x/..//files/audit.jsonl")
        ),
        ({"pool": {"size": "36GiB"}, **connect()}, "pool.size = 36GiB: all volumes hold 39GiB when full"),
        ({"stacks": {"kafka_ui": {}}, "mirrors": GITHUB, "tiers": ROOMY}, "stacks.kafka_ui.digest: is missing; "),
        (
            door("kafka_ui", digest="latest"),
            "stacks.kafka_ui.digest = latest: has the wrong form; allowed: sha256: and",
        ),
        (
            {**door("rest_proxy"), "mirrors": {}},
            "mirrors.registries = docker.io: has no ghcr.io, where the image of the stack rest_proxy is; allowed: "
            "mirrors: {registries: {ghcr.io: https://ghcr.io}}, or a mirror of it",
        ),
        (
            door("rest_proxy", clients=["phone", "verify"]),
            "stacks.rest_proxy.clients[1] = verify: is who the site itself tries it as; allowed: another name",
        ),
        (door("rest_proxy", writes=["audi"]), "stacks.rest_proxy.writes[0] = audi: is no topic of this site"),
        ({"endpoints": [{"name": "connect_nodes", "connection": "local"}]}, "endpoints[0].name = connect_nodes: "),
    ],
)
def test_refused(wrong, content, words):
    said = wrong(content)
    assert len(said) == 1, said
    assert words in said[0]
    assert "hidden" not in said[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"archive": {"file_size": "1792MiB"}},
        {"archive": {"file_size": "3GiB", "enabled": False}},
        {"connectors": {"copy": {"reads": ["alerts"], "config": {**CONSOLE, "file": "/data/files/alerts.jsonl"}}}},
        {"connectors": {"copy": {"reads": ["alerts"], "config": {**CONSOLE, "file": "/data/audit.jsonl"}}}},
        # Without an archive nobody else writes it.
        {
            "archive": {"enabled": False},
            "connectors": {"copy": {"reads": ["audit"], "config": {**CONSOLE, "file": "/data/files/audit.jsonl"}}},
        },
        # What a source reads is none of Kafka's topics.
        {
            "connectors": {
                "in": {"config": {"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector"}}
            }
        },
    ],
)
def test_allowed(site, settings):
    assert site(connect(**settings)).groups["connect_nodes"] == ["manager-1"]


def test_what_stays_free_is_what_the_role_has_by_default():
    defaults = yaml.safe_load((ROLES / "kafka_connect/defaults/main.yml").read_text())
    assert _sizes.to_bytes(defaults["kafka_connect_free_space_min"]) == _kafka_stacks.CONNECT_FREE


@pytest.mark.parametrize(
    "key",
    [
        "sasl.jaas.config",
        "source.cluster.sasl.jaas.config",
        "target.cluster.producer.sasl.jaas.config",
        "ssl.keystore.key",
        "source.cluster.ssl.keystore.key",
        "database.password",
        "aws-secret",
        "sasl.oauthbearer.client.credentials.client.secret",
    ],
)
def test_a_setting_that_would_be_a_secret_is_refused_whatever_stands_before_it(wrong, key):
    said = wrong(connect(connectors={"copy": {"reads": ["audit"], "config": {**CONSOLE, key: "hidden"}}}))
    assert len(said) == 1, said
    assert f"config.{key}: would be a secret in the declaration" in said[0]
    assert "hidden" not in said[0]


def test_a_setting_that_only_has_a_key_in_its_name_is_none(site):
    config = {
        **CONSOLE,
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "message.key.columns": "a",
    }
    assert site(connect(connectors={"copy": {"reads": ["audit"], "config": config}}))
