#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kafka_cluster_info
short_description: Ask a Kafka how it is as a whole
version_added: 0.1.0
description:
  - Says which brokers are there, who of the controllers has a vote and follows, which partitions have fewer replicas in sync than they should,
    which topics have fewer replicas at all, or acknowledge what fewer of them have, and whether settings are in force as they should. It
    changes nothing.
  - A Kafka that does not answer is a result, not a failure of the module.
extends_documentation_fragment:
  - bcm.datacenter.kafka
  - bcm.datacenter.kafka.tool
  - bcm.datacenter.attributes
  - bcm.datacenter.attributes.info_module
options:
  brokers:
    description: IDs of brokers that must be there.
    type: list
    elements: int
    default: []
  controllers:
    description: IDs of controllers that must have a vote. Others must have none.
    type: list
    elements: int
    default: []
  config:
    description: Settings that must be in force on every broker, wherever they come from.
    type: dict
    default: {}
  replication_factor:
    description: Each topic must have at least so many replicas, those that Kafka has for itself too. V(0) is any number.
    type: int
    default: 0
  min_insync_replicas:
    description:
      - In each topic at least so many replicas must have what is acknowledged, those that Kafka has for itself too. V(0) is any number.
      - What counts is what is in force for the topic. A value of its own comes before that of the brokers, of which O(config) is about.
    type: int
    default: 0
  apart_from:
    description: IDs of members that may be away. What follows from that is no finding.
    type: list
    elements: int
    default: []
  quorum:
    description: Whether to ask about controllers, which takes Kafka's own tool and some seconds.
    type: bool
    default: true
  waiting:
    description:
      - Whether somebody asks again and again until nothing is wrong. Controllers are asked only where all else is well then, for Kafka's own
        tool costs the machine a Java each time.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Wait until it is well
  bcm.datacenter.kafka_cluster_info:
    bootstrap_servers: [manager-1.home.bcm.internal:9092]
    ca_path: /etc/bcm/kafka/admin/ca.pem
    certificate_path: /etc/bcm/kafka/admin/admin.pem
    key_path: /etc/bcm/kafka/admin/admin.pem
    brokers: [1001, 1002, 1003]
    controllers: [1001, 1002, 1003]
    waiting: true
  register: bus
  until: bus.ready
  retries: 60
  delay: 5
"""

RETURN = r"""
reachable:
  description: Whether a broker has answered.
  returned: always
  type: bool
  sample: true
ready:
  description: Whether nothing is wrong.
  returned: always
  type: bool
  sample: false
reason:
  description: What is wrong, empty if nothing is.
  returned: always
  type: str
  sample: broker 1003 is not there; logs.system-0, logs.system-1 has fewer replicas in sync than it should
note:
  description: What is to be known of it where nothing is wrong.
  returned: always
  type: str
  sample: 3 brokers, 3 controllers, 1001 leads
brokers:
  description: Brokers that are there, or that a partition names, with how many partitions they hold.
  returned: always
  type: list
  elements: dict
  sample: [{id: 1001, address: 'manager-1.home.bcm.internal:9092', there: true, leads: 5, replicas: 16, in_sync: 16}]
votes:
  description: Controllers, and brokers that follow them, as Kafka's own tool lists them. Empty where they were not asked.
  returned: always
  type: list
  elements: dict
  sample: [{id: 1001, directory: 3Db5QLSqSZieL3rJBUUegA, lag: 0, last_fetch: 1700000000000, status: Leader}]
config:
  description: By broker, the values in force of the settings that O(config) names.
  returned: always
  type: dict
  sample: {"1001": {min.insync.replicas: "2"}}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_client import (
    ARGUMENT_SPEC,
    REQUIRED_TOGETHER,
    TOOL_SPEC,
    Cluster,
    KafkaError,
    require_library,
)
from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_cluster import (
    IN_SYNC,
    Expected,
    Vote,
    broker_findings,
    holdings,
    note,
    read_votes,
    setting_findings,
    topic_findings,
    vote_findings,
)


def expected_of(params: dict[str, t.Any]) -> Expected:
    return Expected(
        tuple(params["brokers"]),
        tuple(params["controllers"]),
        tuple((key, str(value)) for key, value in sorted(params["config"].items())),
        params["replication_factor"],
        params["min_insync_replicas"],
        tuple(params["apart_from"]),
    )


def look(module: AnsibleModule, result: dict[str, t.Any]) -> list[str]:
    """Fill RESULT, and return what is wrong. What cannot be told is wrong too, and hides nothing else.

    :raises KafkaError: no broker answers.
    """
    expected = expected_of(module.params)
    cluster = Cluster(module.params)
    brokers, topics = cluster.read()
    result.update(reachable=True, brokers=holdings(brokers, topics))
    findings = broker_findings(brokers, topics, expected)

    def settings() -> list[str]:
        found = cluster.broker_settings(sorted(brokers), [key for key, _value in expected.settings])
        result["config"] = {str(number): values for number, values in found.items()}
        return setting_findings(found, expected)

    def of_topics() -> list[str]:
        names = [topic.name for topic in topics] if expected.in_sync else []
        in_force = cluster.topics_in_force(names)
        return topic_findings(
            topics, {name: found[IN_SYNC] for name, found in in_force.items() if IN_SYNC in found}, expected
        )

    def controllers() -> list[str]:
        votes = ask_controllers(module)
        result["votes"] = [vote._asdict() for vote in votes]
        result["note"] = note(brokers, votes)
        return vote_findings(votes, expected)

    result["note"] = note(brokers, [])
    if expected.settings:
        findings += told(settings)
    findings += told(of_topics)
    if module.params["quorum"] and not (findings and module.params["waiting"]):
        findings += told(controllers)
    return findings


def told(ask: t.Callable[[], list[str]]) -> list[str]:
    """What ASK finds, or why it cannot tell."""
    try:
        return ask()
    except (KafkaError, ValueError, LookupError) as exc:
        return [str(exc)]


def ask_controllers(module: AnsibleModule) -> list[Vote]:
    argv = [*module.params["tool"], "quorum", "describe", "--replication"]
    try:
        code, out, err = module.run_command(argv, handle_exceptions=False)
    except OSError as exc:
        raise KafkaError(f"the controllers could not be asked: {exc}") from exc
    if code:
        raise KafkaError(f"the controllers could not be asked: {(err or out).strip()[-300:]}")
    return read_votes(out)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **ARGUMENT_SPEC,
            **TOOL_SPEC,
            "brokers": {"type": "list", "elements": "int", "default": []},
            "controllers": {"type": "list", "elements": "int", "default": []},
            "config": {"type": "dict", "default": {}},
            "replication_factor": {"type": "int", "default": 0},
            "min_insync_replicas": {"type": "int", "default": 0},
            "apart_from": {"type": "list", "elements": "int", "default": []},
            "quorum": {"type": "bool", "default": True},
            "waiting": {"type": "bool", "default": False},
        },
        required_together=REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    require_library(module)
    result: dict[str, t.Any] = {"reachable": False, "note": "", "brokers": [], "votes": [], "config": {}}
    try:
        findings = look(module, result)
    except KafkaError as exc:
        findings = [str(exc)]
    module.exit_json(changed=False, ready=not findings, reason="; ".join(findings), **result)


if __name__ == "__main__":
    main()
