#!/usr/bin/python
# Copyright (c) 2026, the Bitcoin Cache Machine authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kafka_topic
short_description: Have a topic of Kafka
version_added: 0.1.0
description:
  - Makes a topic, or brings one that is there into the stated form. All that cannot be done is said at once, and then nothing is done.
  - Nothing that is in a topic is lost, and no order broken, unless O(allow_loss) or O(allow_reorder) says so.
extends_documentation_fragment:
  - bcm.datacenter.kafka
  - bcm.datacenter.kafka.tool
  - bcm.datacenter.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Name of the topic.
    type: str
    required: true
  state:
    description:
      - Whether it shall be there.
      - With V(absent), a topic that holds lines is refused without O(allow_loss).
    type: str
    choices: [present, absent]
    default: present
  partitions:
    description:
      - Number of its partitions. A topic that is made gets 1 unless this is said; one that is there keeps what it has.
      - Kafka cannot take partitions away.
    type: int
  replication_factor:
    description:
      - Number of replicas of each partition. A topic that is made gets 1 unless this is said; one that is there keeps what it has.
      - Where it differs, partitions are given other replicas by Kafka's own tool, and the module waits until all of them have caught up.
    type: int
  config:
    description:
      - Settings that the topic has of its own. Others that it has are left alone. One that is V(null) becomes the cluster's.
      - C(cleanup.policy), C(retention.ms), C(retention.bytes) and C(delete.retention.ms) are held against what is in force now, the topic's own
        value or else the cluster's. Less is refused without O(allow_loss), and V(null) too, for nobody knows what the cluster will have.
    type: dict
    default: {}
  ordered:
    description:
      - Whether it matters in which order lines with the same key come. More partitions are then refused without O(allow_reorder), for they
        send a key's lines elsewhere.
    type: bool
    default: true
  allow_loss:
    description:
      - Do what takes lines away, or copies of them - remove a topic that holds some, keep less of it, have fewer replicas.
    type: bool
    default: false
  allow_reorder:
    description: Add partitions to an O(ordered) topic.
    type: bool
    default: false
  reassign_timeout:
    description: Seconds until other replicas must have caught up.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: Have a topic for what was done
  bcm.datacenter.kafka_topic:
    bootstrap_servers: [manager-1.home.bcm.internal:9092]
    ca_path: /etc/bcm/kafka/admin/ca.pem
    certificate_path: /etc/bcm/kafka/admin/admin.pem
    key_path: /etc/bcm/kafka/admin/admin.pem
    name: audit
    partitions: 3
    replication_factor: 3
    config:
      min.insync.replicas: "2"
      retention.ms: "34560000000"
  vars:
    ansible_python_interpreter: /opt/bcm/kafka-client/bin/python

- name: Remove another, with all that is in it
  bcm.datacenter.kafka_topic:
    bootstrap_servers: [manager-1.home.bcm.internal:9092]
    name: tried-out
    state: absent
    allow_loss: true
"""

RETURN = r"""
topic:
  description: The topic as it is afterwards, or would be in check mode. Null if there is none.
  returned: success
  type: dict
  sample: {partitions: 3, replication_factor: 3, config: {min.insync.replicas: "2"}}
"""

import time
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
from ansible_collections.bcm.datacenter.plugins.module_utils._kafka_topic import (
    Plan,
    Topic,
    Wish,
    compare,
    reassigned,
    reassignment,
)


def wish_of(params: dict[str, t.Any]) -> Wish:
    settings = {key: None if value is None else _text(value) for key, value in params["config"].items()}
    return Wish(
        params["partitions"],
        params["replication_factor"],
        settings,
        params["ordered"],
        params["allow_loss"],
        params["allow_reorder"],
    )


def _text(value: t.Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Keeper:
    """Brings one topic into the stated form."""

    def __init__(self, module: AnsibleModule, cluster: Cluster) -> None:
        self.module = module
        self.cluster = cluster
        self.name: str = module.params["name"]
        self.wish = wish_of(module.params)

    def read(self) -> tuple[list[int], Topic | None]:
        brokers, topics = self.cluster.read()
        topic = next((one for one in topics if one.name == self.name), None)
        if topic:
            topic.settings = self.cluster.topic_settings([self.name])[self.name]
            topic.in_force = self.cluster.topics_in_force([self.name])[self.name]
        return sorted(brokers), topic

    def present(self) -> dict[str, t.Any]:
        brokers, topic = self.read()
        if topic is None:
            return self.make(brokers)
        plan = compare(topic, self.wish, brokers)
        if plan.problems:
            raise KafkaError(f"{self.name} was left as it is: {'; '.join(plan.problems)}")
        before = topic.described()
        if plan.changes and not self.module.check_mode:
            self.apply(plan)
        return self.result(before, changed_form(topic, plan), plan.changes)

    def make(self, brokers: list[int]) -> dict[str, t.Any]:
        partitions, replicas = self.wish.partitions or 1, self.wish.replicas or 1
        if replicas > len(brokers):
            raise KafkaError(
                f"{self.name} was not made: {replicas} replicas take as many brokers, and there are {len(brokers)}"
            )
        settings = {key: value for key, value in self.wish.settings.items() if value is not None}
        if not self.module.check_mode:
            self.cluster.create(self.name, partitions, replicas, settings)
        form = {"partitions": partitions, "replication_factor": replicas, "config": dict(sorted(settings.items()))}
        return self.result(None, form, True)

    def apply(self, plan: Plan) -> None:
        """First what makes it safer: replicas, then what counts on them."""
        if plan.assignment:
            self.reassign(plan.assignment)
        if plan.settings:
            self.cluster.alter(self.name, plan.settings)
        if plan.partitions:
            self.cluster.add_partitions(self.name, plan.partitions)

    def reassign(self, assignment: dict[int, list[int]]) -> None:
        argv = [*self.module.params["tool"], "reassign", "--reassignment-json-file", "@stdin", "--execute"]
        code, out, err = self.module.run_command(argv, data=reassignment(self.name, assignment))
        if code:
            raise KafkaError(f"replicas of {self.name} could not be changed: {(err or out).strip()[-500:]}")
        limit = self.module.params["reassign_timeout"]
        deadline = time.monotonic() + limit
        while True:
            topic = self.read()[1]
            if topic and reassigned(topic, assignment):
                return
            if time.monotonic() > deadline:
                raise KafkaError(
                    f"new replicas of {self.name} have not caught up within {limit} s; they go on doing so"
                )
            time.sleep(1)

    def absent(self) -> dict[str, t.Any]:
        topic = self.read()[1]
        if topic is None:
            return self.result(None, None, False)
        if not self.wish.allow_loss and self.cluster.holds_anything(topic):
            raise KafkaError(
                f"{self.name} was not removed: it holds lines, and allow_loss does not say that they may go"
            )
        if not self.module.check_mode:
            self.cluster.delete(self.name)
        return self.result(topic.described(), None, True)

    def result(
        self, before: dict[str, t.Any] | None, after: dict[str, t.Any] | None, changed: bool
    ) -> dict[str, t.Any]:
        return {"changed": changed, "topic": after, "diff": {"before": before or {}, "after": after or {}}}


def changed_form(topic: Topic, plan: Plan) -> dict[str, t.Any]:
    """What a topic is described as after PLAN."""
    form = topic.described()
    if plan.partitions:
        form["partitions"] = plan.partitions
    if plan.assignment:
        form["replication_factor"] = len(next(iter(plan.assignment.values())))
    for key, value in plan.settings.items():
        form["config"].pop(key, None)
        if value is not None:
            form["config"][key] = value
    form["config"] = dict(sorted(form["config"].items()))
    return form


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **ARGUMENT_SPEC,
            **TOOL_SPEC,
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "partitions": {"type": "int"},
            "replication_factor": {"type": "int"},
            "config": {"type": "dict", "default": {}},
            "ordered": {"type": "bool", "default": True},
            "allow_loss": {"type": "bool", "default": False},
            "allow_reorder": {"type": "bool", "default": False},
            "reassign_timeout": {"type": "int", "default": 600},
        },
        required_together=REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    require_library(module)
    try:
        keeper = Keeper(module, Cluster(module.params))
        result = keeper.present() if module.params["state"] == "present" else keeper.absent()
    except KafkaError as exc:
        module.fail_json(msg=f"Topic {module.params['name']}: {exc}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
