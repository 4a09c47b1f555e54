# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: it may change in any release.

"""What a Kafka is asked and told by its client's library, in plain values."""

from __future__ import annotations

import contextlib
import logging
import traceback
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_acl import Grant
from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_topic import Partition, Topic

try:
    from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
    from confluent_kafka.admin import (
        AclBinding,
        AclBindingFilter,
        AclOperation,
        AclPermissionType,
        AdminClient,
        AlterConfigOpType,
        ConfigEntry,
        ConfigResource,
        ConfigSource,
        NewPartitions,
        NewTopic,
        OffsetSpec,
        ResourcePatternType,
        ResourceType,
    )
except ImportError:
    LIBRARY_ERROR: str | None = traceback.format_exc()
else:
    LIBRARY_ERROR = None

ARGUMENT_SPEC: dict[str, t.Any] = {
    "bootstrap_servers": {"type": "list", "elements": "str", "required": True},
    "ca_path": {"type": "path"},
    "certificate_path": {"type": "path"},
    "key_path": {"type": "path", "no_log": False},
    "timeout": {"type": "int", "default": 30},
}
TOOL_SPEC: dict[str, t.Any] = {"tool": {"type": "list", "elements": "str", "default": ["/usr/local/sbin/kafka"]}}
REQUIRED_TOGETHER = [("certificate_path", "key_path")]

# The library has no word for a cluster as a resource; it counts as a broker does.
_RESOURCES = {"topic": "TOPIC", "group": "GROUP", "cluster": "BROKER", "transactional_id": "TRANSACTIONAL_ID"}


class KafkaError(Exception):
    """Something cannot be had; the text says what was tried, and why it failed."""


def require_library(module: AnsibleModule) -> None:
    """Fail where the library is missing."""
    if LIBRARY_ERROR is not None:
        module.fail_json(msg=missing_required_lib("confluent-kafka"), exception=LIBRARY_ERROR)


class _Words(logging.Handler):
    """What the library says about its connections; its exceptions tell no reason."""

    def __init__(self) -> None:
        super().__init__()
        self.last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()


class Cluster:
    """A Kafka, by its administration interface."""

    def __init__(self, params: t.Mapping[str, t.Any]) -> None:
        self.timeout: int = params["timeout"]
        self.servers = ",".join(params["bootstrap_servers"])
        self.words = _Words()
        logger = logging.Logger("kafka")
        logger.addHandler(self.words)
        settings: dict[str, t.Any] = {"bootstrap.servers": self.servers, "logger": logger}
        if params["ca_path"]:
            settings |= {"security.protocol": "SSL", "ssl.ca.location": params["ca_path"]}
        if params["certificate_path"]:
            settings |= {
                "ssl.certificate.location": params["certificate_path"],
                "ssl.key.location": params["key_path"],
            }
        try:
            self.admin = AdminClient(settings)
        except (KafkaException, ValueError) as exc:
            raise KafkaError(f"no client could be made for {self.servers}: {_text(exc)}") from exc

    @contextlib.contextmanager
    def _trying(self, what: str) -> t.Iterator[None]:
        try:
            yield
        except (KafkaException, TimeoutError, TypeError, ValueError) as exc:
            # What was said about connections lies in a queue until somebody asks.
            self.admin.poll(0)
            words = f" ({self.words.last})" if self.words.last else ""
            raise KafkaError(f"{what} at {self.servers}: {_text(exc)}{words}") from exc

    def read(self) -> tuple[dict[int, str], list[Topic]]:
        """(brokers that are there, topics without their settings)."""
        with self._trying("the brokers and topics could not be read"):
            found = self.admin.list_topics(timeout=self.timeout)
        brokers = {broker.id: f"{broker.host}:{broker.port}" for broker in found.brokers.values()}
        topics = []
        for name, topic in sorted(found.topics.items()):
            partitions = [
                Partition(number, one.leader, tuple(one.replicas), tuple(one.isrs))
                for number, one in sorted(topic.partitions.items())
            ]
            topics.append(Topic(name, partitions))
        return brokers, topics

    def topic_settings(self, names: t.Sequence[str]) -> dict[str, dict[str, str]]:
        """The settings that topics have of their own."""
        found = self._configs([ConfigResource("topic", name) for name in names])
        own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        return {
            name: {key: entry.value for key, entry in entries.items() if _number(entry.source) == own}
            for name, entries in found.items()
        }

    def topics_in_force(self, names: t.Sequence[str]) -> dict[str, dict[str, str]]:
        """By topic, the settings that are in force there: its own, or else those of the brokers."""
        found = self._configs([ConfigResource("topic", name) for name in names])
        return {name: {key: entry.value for key, entry in entries.items()} for name, entries in found.items()}

    def broker_settings(self, ids: t.Sequence[int], keys: t.Sequence[str]) -> dict[int, dict[str, str]]:
        """The settings that are in force on brokers, wherever they come from."""
        shown: dict[int, dict[str, str]] = {}
        # Each is asked for its own: librdkafka takes one broker a call.
        for one in ids:
            (entries,) = self._configs([ConfigResource("broker", str(one))]).values()
            shown[one] = {key: entries[key].value for key in keys if key in entries}
        return shown

    def _configs(self, resources: t.Sequence[t.Any]) -> dict[str, dict[str, t.Any]]:
        if not resources:
            return {}
        with self._trying("settings could not be read"):
            futures = self.admin.describe_configs(list(resources), request_timeout=self.timeout)
            return {resource.name: future.result() for resource, future in futures.items()}

    def create(self, name: str, partitions: int, replicas: int, settings: t.Mapping[str, str]) -> None:
        topic = NewTopic(name, num_partitions=partitions, replication_factor=replicas, config=dict(settings))
        with self._trying(f"the topic {name} could not be made"):
            self._wait(self.admin.create_topics([topic], operation_timeout=self.timeout, request_timeout=self.timeout))

    def delete(self, name: str) -> None:
        with self._trying(f"the topic {name} could not be removed"):
            self._wait(self.admin.delete_topics([name], operation_timeout=self.timeout, request_timeout=self.timeout))

    def add_partitions(self, name: str, count: int) -> None:
        with self._trying(f"the topic {name} could not be given {count} partitions"):
            self._wait(
                self.admin.create_partitions(
                    [NewPartitions(name, count)], operation_timeout=self.timeout, request_timeout=self.timeout
                )
            )

    def alter(self, name: str, settings: t.Mapping[str, str | None]) -> None:
        """Set settings of a topic; those that are None become what the cluster has."""
        entries = [
            ConfigEntry(
                key,
                value or "",
                incremental_operation=AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET,
            )
            for key, value in settings.items()
        ]
        with self._trying(f"the settings of {name} could not be changed"):
            resource = ConfigResource("topic", name, incremental_configs=entries)
            self._wait(self.admin.incremental_alter_configs([resource], request_timeout=self.timeout))

    def holds_anything(self, topic: Topic) -> bool:
        """Whether a topic has a line that could be read."""
        first, last = self.ends(topic)
        return first != last

    def ends(self, topic: Topic) -> tuple[dict[int, int], dict[int, int]]:
        """By partition, the number of the first line that is there, and that of the next one to come."""
        found = []
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):
            asked = {TopicPartition(topic.name, one.number): spec for one in topic.partitions}
            with self._trying(f"it could not be told what {topic.name} holds"):
                futures = self.admin.list_offsets(asked, request_timeout=self.timeout)
                found.append({place.partition: future.result().offset for place, future in futures.items()})
        return found[0], found[1]

    def committed(self, group: str) -> dict[str, dict[int, int]]:
        """By topic and partition, up to where a consumer group says that it has read."""
        with self._trying(f"it could not be told how far {group} has read"):
            futures = self.admin.list_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group)], request_timeout=self.timeout
            )
            (places,) = [future.result().topic_partitions for future in futures.values()]
        found: dict[str, dict[int, int]] = {}
        for place in places or []:
            # A partition of which nothing was said has none.
            if place.offset >= 0:
                found.setdefault(place.topic, {})[place.partition] = place.offset
        return found

    def grants(self, principal: str | None = None) -> list[tuple[str, Grant]]:
        """(principal, what is granted or denied to it), of one principal or of all."""
        wanted = AclBindingFilter(
            ResourceType.ANY, None, ResourcePatternType.ANY, principal, None, AclOperation.ANY, AclPermissionType.ANY
        )
        with self._trying("rights could not be read"):
            found = self.admin.describe_acls(wanted, request_timeout=self.timeout).result()
        return sorted((one.principal, _grant(one)) for one in found)

    def grant(self, principal: str, grants: t.Sequence[Grant]) -> None:
        with self._trying(f"{principal} could not be given rights"):
            self._wait(
                self.admin.create_acls(
                    [_binding(AclBinding, principal, one) for one in grants], request_timeout=self.timeout
                )
            )

    def take(self, principal: str, grants: t.Sequence[Grant]) -> None:
        with self._trying(f"rights of {principal} could not be taken away"):
            self._wait(
                self.admin.delete_acls(
                    [_binding(AclBindingFilter, principal, one) for one in grants], request_timeout=self.timeout
                )
            )

    def _wait(self, futures: t.Mapping[t.Any, t.Any]) -> None:
        for future in futures.values():
            future.result(timeout=self.timeout + 10)


def _text(exc: Exception) -> str:
    error = exc.args[0] if exc.args else type(exc).__name__
    return str(error.str()) if hasattr(error, "str") else str(error)


def _number(value: t.Any) -> int:
    """Of one of the library's words or of what stands for it."""
    return int(getattr(value, "value", value))


def _binding(kind: t.Any, principal: str, grant: Grant) -> t.Any:
    return kind(
        ResourceType[_RESOURCES[grant.resource]],
        grant.name,
        ResourcePatternType[grant.pattern.upper()],
        principal,
        grant.host,
        AclOperation[grant.operation.upper()],
        AclPermissionType[grant.permission.upper()],
    )


def _grant(binding: t.Any) -> Grant:
    names = {word: name for name, word in _RESOURCES.items()}
    return Grant(
        names.get(binding.restype.name, binding.restype.name.lower()),
        binding.name,
        binding.resource_pattern_type.name.lower(),
        binding.operation.name.lower(),
        binding.permission_type.name.lower(),
        binding.host,
    )
