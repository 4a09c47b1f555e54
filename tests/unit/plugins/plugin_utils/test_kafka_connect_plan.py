# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From settings to the configuration of a worker, its connectors and its archive."""

from __future__ import annotations

import pytest

from ansible_collections.bcm.datacenter.plugins.plugin_utils._kafka_connect_plan import PlanError, plan

MIB = 1024**2
ARCHIVE = {"topic": "audit", "file_size": "64MiB", "keep": None}


def settings(**other):
    return {
        "name": "connect-manager-1.x.internal",
        "brokers": ["manager-1.x.internal:9092", "manager-2.x.internal:9092"],
        "replication": 3,
        "password": "0123456789",
        "memory": "512MiB",
        "volume_size": "4GiB",
        "free_space_min": "256MiB",
        "archive": ARCHIVE,
        **other,
    }


def conf(**other):
    return dict(line.split("=", 1) for line in plan(settings(**other))["conf"].splitlines())


def test_what_it_keeps_in_kafka():
    found = conf()
    assert found["bootstrap.servers"] == "manager-1.x.internal:9092,manager-2.x.internal:9092"
    assert {key: value for key, value in found.items() if ".storage." in key} == {
        "config.storage.topic": "connect-configs",
        "config.storage.replication.factor": "3",
        "offset.storage.topic": "connect-offsets",
        "offset.storage.replication.factor": "3",
        "offset.storage.partitions": "5",
        "status.storage.topic": "connect-status",
        "status.storage.replication.factor": "3",
        "status.storage.partitions": "3",
    }
    assert found["group.id"] == "kafka-connect"


@pytest.mark.parametrize("client", ["", "producer.", "consumer.", "admin."])
def test_whoever_it_is_to_brokers_shows_a_certificate(client):
    found = conf()
    assert found[f"{client}security.protocol"] == "SSL"
    assert found[f"{client}ssl.keystore.location"] == "/etc/kafka-connect/client.pem"
    assert found[f"{client}ssl.truststore.location"] == "/etc/kafka-connect/ca.pem"


def test_its_rest_asks_for_a_certificate_of_another_authority():
    found = conf()
    assert found["listeners"] == "https://0.0.0.0:8083"
    assert found["listeners.https.ssl.client.auth"] == "required"
    # Where one of these stands, none of the others is taken from what it is to brokers.
    assert found["listeners.https.ssl.truststore.location"] == "/etc/kafka-connect/trusted.jks"
    assert found["listeners.https.ssl.cipher.suites"]
    assert found["rest.advertised.host.name"] == "connect-manager-1.x.internal"
    assert found["connector.client.config.override.policy"] == "None"


def test_one_task_writes_one_file():
    found = plan(settings())
    (archive,) = found["connectors"]
    assert archive["name"] == "audit-files"
    assert archive["config"]["connector.class"] == "org.apache.kafka.connect.file.FileStreamSinkConnector"
    assert (archive["config"]["tasks.max"], archive["config"]["file"]) == ("1", "/data/files/audit.jsonl")
    assert found["archive"] == {
        "name": "audit",
        "connector": "audit-files",
        "file_size": 64 * MIB,
        "keep": None,
        "room": (4096 - 256) * MIB * 4 // 5,
    }
    assert (found["heap_mib"], found["memory_limit"], found["free_space_kib"]) == (256, 512 * MIB, 256 * 1024)


def test_how_long_files_are_kept():
    assert plan(settings(archive={**ARCHIVE, "keep": "36h"}))["archive"]["keep"] == 36 * 3600
    assert plan(settings(archive={**ARCHIVE, "keep": "90d"}))["archive"]["keep"] == 90 * 86400


def test_without_an_archive_there_are_the_others_only():
    other = {"name": "copy", "config": {"connector.class": "C"}}
    found = plan(settings(archive={}, connectors=[other]))
    assert (found["connectors"], found["archive"]) == ([other], None)


def test_without_a_known_volume_there_are_ten_files():
    assert plan(settings(volume_size=None))["archive"]["room"] == 640 * MIB


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"memory": "128MiB"}, "memory: '128MiB': is too little for a worker; allowed: at least 384MiB"),
        ({"archive": {**ARCHIVE, "keep": "2w"}}, "archive.keep: '2w': is not a time"),
        ({"archive": {**ARCHIVE, "topic": "a/b"}}, "archive.topic: 'a/b': is not the name of a topic"),
        ({"archive": {**ARCHIVE, "file_size": "3GiB"}}, "volume_size: '4GiB': leaves no room for two files"),
        ({"connectors": [{"name": "audit-files", "config": {}}]}, "connectors.name: 'audit-files': is the archive"),
    ],
)
def test_refused(other, words):
    with pytest.raises(PlanError) as caught:
        plan(settings(**other))
    (said,) = caught.value.errors
    assert said.startswith(words)
